//! Resolution of questions that need an upstream.
//!
//! ```text
//! workers, TCP ── submit(Job) ──▶ inbox ─▶ core: walk ─ join or lead ─▶ upstream (UDP pool, TCP)
//!                                            ▲                               │
//! clients ◀── respond ◀── walk again ◀── remember ◀── accept ◀───────────────┘
//! ```
//!
//! [`core`] decides and has no socket; [`thread`] is the loop around it. In reading order: [`job`], [`core`], `exchange` (one question to the
//! upstreams of a route), `attempts` (one message to one upstream), `late` (answers after the end), `upstreams` (the choice of an
//! upstream), `probes` (what is learned of them), `queues` (for room at one), `shares` (room for others), `loops` (S7), `aliases` (before a
//! question is given up), `timers`, [`thread`]. [`routes`] makes routes from the configuration.

mod aliases;
mod attempts;
mod clients;
pub mod core;
mod exchange;
pub mod job;
mod late;
mod loops;
mod probes;
mod queues;
pub mod routes;
mod shares;
pub mod thread;
mod timers;
mod upstreams;

pub use job::Job;
pub use thread::{Resolver, Submitter};
