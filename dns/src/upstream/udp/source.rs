//! The address or interface that the questions to one upstream leave from.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::sync::Arc;

use postern_config::model::QuerySource;

/// The source of one upstream's sockets, and whether this machine has it.
#[derive(Debug)]
pub(super) struct SocketSource {
    wanted: Option<QuerySource>,
    upstream: Arc<str>,
    /// It could not be used, and this was logged.
    is_lacking: bool,
}

impl SocketSource {
    pub(super) fn new(wanted: Option<QuerySource>, upstream: Arc<str>) -> Self {
        Self { wanted, upstream, is_lacking: false }
    }

    pub(super) fn wanted(&self) -> Option<&QuerySource> {
        self.wanted.as_ref()
    }

    /// Returns true if a socket could not be opened because its upstream cannot be reached from here at all.
    pub(super) fn cannot_reach(&mut self, error: &io::Error) -> bool {
        self.is_lacking(error) || is_unreachable(error)
    }

    /// Returns true if this machine does not have the source. That is logged once until it has.
    fn is_lacking(&mut self, error: &io::Error) -> bool {
        const NO_DEVICE: i32 = 19; // ENODEV, for which std has no kind
        let Some(source) = &self.wanted else { return false };
        let is_denied = matches!(error.kind(), io::ErrorKind::AddrNotAvailable | io::ErrorKind::PermissionDenied);
        if !is_denied && error.raw_os_error() != Some(NO_DEVICE) {
            return false;
        }
        if !std::mem::replace(&mut self.is_lacking, true) {
            tracing::warn!(upstream = %self.upstream, %source, %error, "cannot send queries from the source of the upstream");
        }
        true
    }

    /// Notes that a socket was opened.
    pub(super) fn is_there(&mut self) {
        if std::mem::take(&mut self.is_lacking) {
            tracing::info!(upstream = %self.upstream, "queries leave from the source of the upstream again");
        }
    }
}

/// Returns the address that a socket towards `address` is bound to, with port 0.
pub(in crate::upstream) fn sender(address: SocketAddr, source: Option<&QuerySource>) -> SocketAddr {
    let any: IpAddr = if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    match (source, address) {
        (Some(QuerySource::Address(IpAddr::V6(source))), SocketAddr::V6(to)) if source.is_unicast_link_local() => {
            SocketAddrV6::new(*source, 0, 0, to.scope_id()).into() // it exists on each link
        }
        (Some(QuerySource::Address(source)), _) => SocketAddr::new(*source, 0),
        _ => SocketAddr::new(any, 0),
    }
}

/// Returns true if an upstream cannot be reached from here at all.
fn is_unreachable(error: &io::Error) -> bool {
    use io::ErrorKind::{AddrNotAvailable, HostUnreachable, NetworkUnreachable};
    matches!(error.kind(), AddrNotAvailable | HostUnreachable | NetworkUnreachable)
}
