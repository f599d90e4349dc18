//! Everything a worker reads while it answers: swapped whole, never changed.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use postern_zones::network::NetworkId;
use postern_zones::snapshot::{Network, Snapshot};

use crate::access::AccessLists;
use crate::cache::UpstreamCache;
use crate::clock::Now;
use crate::route::RouteTable;

/// The state of one moment.
#[derive(Debug)]
pub struct State {
    /// Private zones and networks.
    pub snapshot: Arc<Snapshot>,
    /// Which upstreams a name is asked at.
    pub routes: Arc<RouteTable>,
    /// The private-link zone table.
    pub table: Arc<postern_config::azure::PrivateLinkTable>,
    /// Upstream data; the same one over all states.
    pub cache: Arc<UpstreamCache>,
    /// Who may query, and who may have recursion.
    pub access: AccessLists,
    /// Numbers and names that answers carry.
    pub settings: AnswerSettings,
}

/// Settings of answers.
#[derive(Debug, Clone)]
pub struct AnswerSettings {
    /// Largest UDP answer, octets.
    pub udp_size: u16,
    /// NSID (RFC 5001); empty: not answered.
    pub nsid: Box<[u8]>,
    /// `version.bind`; none: REFUSED.
    pub version: Option<Box<str>>,
    /// `id.server`; none: REFUSED.
    pub identity: Option<Box<str>>,
    /// Highest TTL of public records at a private-link name, seconds.
    pub max_public_ttl: u32,
    /// Bounds and manners of the cache.
    pub cache: postern_config::model::CacheConfig,
    /// How long a client's question may take.
    pub deadline: Duration,
    /// Responses over UDP to one client network in a second; 0: no limit.
    pub responses_per_second: u32,
}

/// The state as one question sees it.
#[derive(Clone, Copy)]
pub struct View<'s> {
    /// The state of this moment.
    pub state: &'s State,
    /// The client's network.
    pub network: &'s Network,
    /// Its index.
    pub network_id: NetworkId,
    /// The client may have recursion.
    pub recursion: bool,
    /// This moment.
    pub now: Now,
}

impl State {
    /// Returns the view of a client: its network, by longest prefix, and whether it may use recursion there.
    #[inline]
    pub fn view_of(&self, client: IpAddr, now: Now) -> View<'_> {
        let network_id = self.snapshot.network_of(client);
        let network = self.snapshot.network(network_id);
        View { state: self, network, network_id, recursion: network.may_recurse(client), now }
    }
}
