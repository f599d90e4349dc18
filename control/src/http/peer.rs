//! Where a request comes from.

use std::net::IpAddr;
use std::sync::Arc;

/// Where a request comes from. Among the extensions of every request.
#[derive(Debug, Clone)]
pub(super) enum Peer {
    /// Over the UNIX socket.
    Local {
        /// Who, by name where the system knows one.
        user: Arc<str>,
    },
    /// A client over TCP.
    Remote {
        /// Address of the client.
        address: IpAddr,
    },
}
