//! Load for DNS servers, and what they made of it.
//!
//! [`load::run`] sends [`questions`] to one server and counts what comes back; [`search`] looks for the highest rate, [`compare`] sets two servers
//! against each other, [`report`] writes it down. [`answers`] compares what two servers say, not how fast.
//!
//! It makes load and measures; it resolves nothing. What it serves is made up, by a [`responder`]: a mirror, and an [`upstream`] for forwarders to ask.

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
