//! Counters of a server, for metrics and the API.

use std::net::IpAddr;
use std::sync::Arc;

use crate::counters::{CounterTotals, WorkerCounters};
use crate::listen::places::ConnectionPlaces;
use crate::resolver::thread;
use crate::transport::ListenerKind;
use crate::vital::ThreadLiveness;

/// Everything that a server counts. Cheap to clone; it holds nothing that a stop waits for.
#[derive(Debug, Clone)]
pub struct ServerGauges {
    listeners: Arc<[ListenerCounters]>,
    vitals: Arc<[ThreadLiveness]>,
    connections: Arc<ConnectionPlaces<IpAddr>>,
    resolver: thread::ResolverGauges,
}

/// WorkerCounters of one worker, of all connections to one address, or of answers that handlers gave.
#[derive(Debug)]
pub struct ListenerCounters {
    /// The transport and address family.
    pub kind: ListenerKind,
    /// The counters.
    pub counters: Arc<WorkerCounters>,
}

impl ServerGauges {
    pub(super) fn new(
        listeners: Vec<ListenerCounters>,
        vitals: Vec<ThreadLiveness>,
        connections: Arc<ConnectionPlaces<IpAddr>>,
        resolver: thread::ResolverGauges,
    ) -> Self {
        Self { listeners: listeners.into(), vitals: vitals.into(), connections, resolver }
    }

    /// What all listeners answered by themselves and handed on.
    pub fn totals(&self) -> CounterTotals {
        CounterTotals::of(self.listeners.iter().map(|listener| &listener.counters))
    }

    /// Returns true if the server has a listener of this kind.
    pub fn listens(&self, kind: ListenerKind) -> bool {
        self.listeners.iter().any(|listener| listener.kind == kind)
    }

    /// Returns the sums of questions that the listeners of a kind answered from memory or handed on.
    pub fn listeners(&self, kind: ListenerKind) -> CounterTotals {
        let wanted = |listener: &&ListenerCounters| listener.kind == kind;
        CounterTotals::of(self.listeners.iter().filter(wanted).map(|listener| &listener.counters))
    }

    /// Returns the sums of questions that the resolver answered for the listeners of a kind.
    pub fn resolved(&self, kind: ListenerKind) -> CounterTotals {
        CounterTotals::of([self.resolver.answers(kind)])
    }

    /// Places of TCP connections.
    pub fn connections(&self) -> &ConnectionPlaces<IpAddr> {
        &self.connections
    }

    /// Counters of the resolver and of its upstreams.
    pub fn resolver(&self) -> &thread::ResolverGauges {
        &self.resolver
    }

    /// Threads and tasks that should run and do not. Empty while the server is not being stopped: all is well.
    pub fn ended(&self) -> impl Iterator<Item = &ThreadLiveness> {
        self.vitals.iter().filter(|vital| !vital.runs())
    }
}
