//! Load for DNS servers, and what they made of it.
//!
//! [`load::run`] sends [`questions`] to one server and counts what comes back; [`search`] looks for the highest rate, [`compare`] sets two servers
//! against each other, [`report`] writes it down.
//!
//! It makes load and measures; it resolves nothing and serves nothing but a [`mirror`].

#![forbid(unsafe_code)]

pub mod compare;
pub mod environment;
pub mod load;
pub mod message;
pub mod mirror;
pub mod objective;
pub mod process;
pub mod questions;
pub mod report;
pub mod search;
