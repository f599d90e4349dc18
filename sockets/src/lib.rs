//! Postern: sockets.

mod affinity;
mod client;
mod echo;
mod poller;

pub use affinity::{allowed_cpus, pin_thread, wake_on_time};
pub use client::ClientBatch;
pub use echo::mirror;
pub use poller::{Poller, Ready};
