//! Batched UDP, and all unsafe code of the workspace.
//!
//! ```text
//! server side                 bind_udp ─ DatagramBackend: receive → reply → send      one call each for up to 64 datagrams
//! sockets that outlive us     InheritedSocket                                         opened by systemd, passed at each start
//! replies sent later          DatagramOutbox, send_to_from                            from the address that was queried
//! client side                 ClientBatch over connected sockets, Poller              upstreams, load generators
//!                             receive                                                 single datagrams, for occasional queries
//! baseline of measurements    mirror                                                  the least a server can do
//! ```
//!
//! The crate contains no DNS code, starts no thread and keeps no state except the buffers. It
//! supports Linux only.

mod address;
mod affinity;
mod backend;
mod batch;
mod bind;
mod client;
mod datagram;
mod echo;
mod inherited;
mod memory;
mod outbox;
mod poller;

pub use affinity::{allowed_cpus, pin_thread, wake_on_time};
pub use backend::{DatagramBackend, KernelBackend};
pub use batch::{BatchSent, DatagramBatch, ReceivedDatagram, send_to_from};
pub use bind::{UdpOptions, bind_tcp, bind_udp, is_present, overflowed};
pub use client::ClientBatch;
pub use datagram::receive;
pub use echo::mirror;
pub use inherited::{InheritedSocket, InheritedSocketError};
pub use memory::{LARGE_PAGE, prefetch, release_memory, want_large_pages};
pub use outbox::DatagramOutbox;
pub use poller::{SocketPoller, SocketReady};
