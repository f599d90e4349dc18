//! Everything a query needs, immutable, swapped whole.

use std::net::IpAddr;
use std::sync::Arc;

use config::model::{OnMissing, Recursion};

use crate::name::{NameBuf, WireName};
use crate::zone::Zone;

/// Private zones and networks as of one moment.
#[derive(Debug)]
pub struct Snapshot {
    /// Rises by one with each change.
    pub generation: u64,
}

/// Index of a network in a snapshot; the same network keeps its index only within one snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct NetworkId(pub u32);

/// A network and what is linked to it.
#[derive(Debug)]
pub struct Network {
    /// Its name.
    pub name: Arc<str>,
    /// Who in it may have recursion.
    pub recursion: Recursion,
}

/// A zone as it is hosted: data or the reason why there is none, and its policy.
#[derive(Debug)]
pub struct Hosted {
    /// Apex.
    pub apex: WireName,
    /// Apex as text, no final dot: for logs and labels.
    pub name: Arc<str>,
    /// What happens to a name that it lacks.
    pub on_missing: OnMissing,
    /// The data.
    pub state: ZoneState,
}

/// Data of a hosted zone.
#[derive(Debug, Clone)]
pub enum ZoneState {
    /// Good data (perhaps older than a source that went bad since).
    Serving(Arc<Zone>),
    /// Never had good data: SERVFAIL with this reason as extended error.
    Unavailable(Arc<str>),
}

impl Snapshot {
    /// The network of a client, by longest prefix.
    pub fn network_of(&self, _client: IpAddr) -> NetworkId {
        NetworkId(0)
    }

    /// A network of this snapshot.
    pub fn network(&self, _id: NetworkId) -> &Network {
        unreachable!("replaced by the store")
    }

    /// Other networks in which `name` has data of its own, by name: for the reason of a fallback. Off the hot path.
    pub fn elsewhere(&self, _name: &NameBuf, _not: NetworkId) -> Option<Arc<str>> {
        None
    }
}

impl Network {
    /// The hosted zone with the longest apex at or above `name`, starting at its label `from` (0: the name itself; 1 for DS at an apex).
    pub fn zone_of(&self, _name: &NameBuf, _from: usize) -> Option<&Arc<Hosted>> {
        None
    }
}
