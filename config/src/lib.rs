//! What the operator wrote, turned into what the server needs.
#![forbid(unsafe_code)]

pub mod model;
