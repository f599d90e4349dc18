//! Batched UDP: the only unsafe code.
//!
//! ```text
//! the side that is asked      bind_udp ─ Batch: receive → reply in place → send       one call each for up to 64 datagrams
//! answers that come later     Outbox, send_to_from                                    from the address that was asked
//! the side that asks          ClientBatch over connected sockets, Poller              upstreams, load generators
//!                             receive                                                 one datagram, for who asks now and then
//! to measure against          mirror                                                  the least a server can do
//! ```
//!
//! It knows nothing of DNS, starts no thread and keeps no state beside the buffers. Linux only.

mod address;
mod affinity;
mod batch;
mod bind;
mod client;
mod datagram;
mod echo;
mod memory;
mod outbox;
mod poller;

pub use affinity::{allowed_cpus, pin_thread, wake_on_time};
pub use batch::{Batch, Datagram, Sent, send_to_from};
pub use bind::{UdpOptions, bind_tcp, bind_udp, is_present, overflowed};
pub use client::ClientBatch;
pub use datagram::receive;
pub use echo::mirror;
pub use memory::{LARGE_PAGE, prefetch, release_memory, want_large_pages};
pub use outbox::Outbox;
pub use poller::{Poller, Ready};
