//! Load for DNS servers, and measurements of their behavior.
//!
//! [`load::run`] sends [`questions`] to one server and counts the responses. [`search`] finds the
//! highest rate, [`compare`] compares two servers, and [`report`] writes the results. [`answers`]
//! compares the content of answers instead of their speed.
//!
//! The crate generates load and measures it, but resolves nothing. Its own servers, each a
//! [`responder`], return synthetic answers: a mirror, and an [`upstream`] for forwarders.

#![forbid(unsafe_code)]

pub mod answers;
pub mod compare;
pub mod environment;
pub mod load;
pub mod message;
pub mod objective;
pub mod process;
pub mod questions;
pub mod report;
pub mod responder;
pub mod search;
pub mod upstream;
