//! What the operator wrote, turned into what the server needs.
#![forbid(unsafe_code)]

pub mod azure;
pub mod diagnostic;
pub mod model;

pub use diagnostic::{Diagnostic, Severity};
pub use model::Config;
