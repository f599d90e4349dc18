//! What happens to a question that needs an upstream.
//!
//! ```text
//! workers, TCP ── submit(Job) ──▶ inbox ─▶ core: walk ─ join or lead ─▶ upstream (UDP pool, TCP)
//!                                            ▲                               │
//! clients ◀── respond ◀── walk again ◀── remember ◀── accept ◀───────────────┘
//! ```

pub mod core;
mod exchange;
pub mod job;
mod loops;
mod timers;
mod upstreams;

pub use job::{Job, ReplyTo};

/// Takes questions to the resolver thread. Cheap to clone: one for each worker.
#[derive(Debug, Clone)]
pub struct Submitter {}

impl Submitter {
    /// Hands a question over. Given back where the queue is full: answer it with [`crate::ede::Failure::Busy`].
    pub fn submit(&self, job: Box<Job>) -> Result<(), Box<Job>> {
        Err(job)
    }
}
