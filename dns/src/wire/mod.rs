//! Wire bytes, read and written in place.

pub mod message;
pub mod question;
pub mod reply;

/// Octets of a message header (RFC 1035 section 4.1.1).
pub const HEADER: usize = 12;

pub use postern_config::rtype;
