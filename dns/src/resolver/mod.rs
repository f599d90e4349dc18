//! Resolution of questions that need an upstream.
//!
//! ```text
//! workers, TCP ── submit(Job) ──▶ inbox ─▶ core: walk ─ join or lead ─▶ upstream (UDP pool, TCP)
//!                                            ▲                               │
//! clients ◀── respond ◀── walk again ◀── remember ◀── accept ◀───────────────┘
//! ```
//!
//! [`core`] decides and has no socket; [`thread`] is the loop around it. [`job`] is a question on its way here, and [`routes`] makes routes
//! from the configuration.

mod clients;
pub mod core;
pub mod job;
pub mod routes;
pub mod thread;
mod timers;

pub use job::ResolverJob;
pub use thread::{JobSubmitter, Resolver};
