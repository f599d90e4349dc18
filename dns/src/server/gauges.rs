//! What a server counts, for whoever shows it.

use std::net::IpAddr;
use std::sync::Arc;

use crate::counters::{Counters, Totals};
use crate::listen::places::ConnectionPlaces;
use crate::resolver::thread;
use crate::vital::Vital;

/// Everything that a server counts. Cheap to clone; it holds nothing that a stop waits for.
#[derive(Debug, Clone)]
pub struct Gauges {
    listeners: Arc<[Listener]>,
    vitals: Arc<[Vital]>,
    connections: Arc<ConnectionPlaces<IpAddr>>,
    resolver: thread::Gauges,
}

/// Counters of one worker, of all connections to one address, or of answers that handlers gave.
#[derive(Debug)]
pub struct Listener {
    /// TCP, not UDP.
    pub is_stream: bool,
    /// Its address is one of IPv6.
    pub is_v6: bool,
    /// What it counts.
    pub counters: Arc<Counters>,
}

impl Gauges {
    pub(super) fn new(
        listeners: Vec<Listener>,
        vitals: Vec<Vital>,
        connections: Arc<ConnectionPlaces<IpAddr>>,
        resolver: thread::Gauges,
    ) -> Self {
        Self { listeners: listeners.into(), vitals: vitals.into(), connections, resolver }
    }

    /// What all listeners answered by themselves and handed on.
    pub fn totals(&self) -> Totals {
        Totals::of(self.listeners.iter().map(|listener| &listener.counters))
    }

    /// True where it listens over a transport and family.
    pub fn listens(&self, is_stream: bool, is_v6: bool) -> bool {
        self.listeners.iter().any(|listener| listener.is_stream == is_stream && listener.is_v6 == is_v6)
    }

    /// What listeners of a transport and family answered by themselves and handed on.
    pub fn listeners(&self, is_stream: bool, is_v6: bool) -> Totals {
        let wanted = |listener: &&Listener| listener.is_stream == is_stream && listener.is_v6 == is_v6;
        Totals::of(self.listeners.iter().filter(wanted).map(|listener| &listener.counters))
    }

    /// What the resolver answered over a transport and family.
    pub fn resolved(&self, is_stream: bool, is_v6: bool) -> Totals {
        Totals::of([self.resolver.answers(is_stream, is_v6)])
    }

    /// Places of TCP connections.
    pub fn connections(&self) -> &ConnectionPlaces<IpAddr> {
        &self.connections
    }

    /// What the resolver counts of itself and of upstreams.
    pub fn resolver(&self) -> &thread::Gauges {
        &self.resolver
    }

    /// Threads and tasks that should run and do not. Empty while the server is not being stopped: all is well.
    pub fn ended(&self) -> impl Iterator<Item = &Vital> {
        self.vitals.iter().filter(|vital| !vital.runs())
    }
}
