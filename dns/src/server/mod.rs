//! The server as one thing: sockets, workers, resolver, and the state that they read.
//!
//! ```text
//! bind ─▶ Bound ─ start ─▶ Server ─ publish (zones) ─ reconfigure (routes, access, cache …) ─ stop
//!                             │
//!                    ArcSwap<State> ◀── read by UDP workers, TCP, resolver: once a batch, a read, a round
//! ```

use std::collections::HashSet;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use postern_config::PosternConfig;
use postern_config::model::{LimitsConfig, UpstreamConfig, UpstreamSet};
use postern_sockets::{InheritedSocket, KernelBackend};
use postern_zones::snapshot::Snapshot;
use tokio::runtime::Runtime;
use tokio::sync::watch;

use crate::access::AccessLists;
use crate::cache::UpstreamCache;
use crate::clock::Clock;
use crate::counters::WorkerCounters;
use crate::fallback::FallbackRecorder;
use crate::listen::handler::MessageHandler;
use crate::listen::places::ConnectionPlaces;
use crate::listen::tcp;
use crate::listen::udp::UdpWorker;
use crate::listen::{QueryService, StreamService};
use crate::resolver::routes::{MOST_SYSTEM_RESOLVERS, RouteRegistry};
use crate::resolver::thread::Resolver;
use crate::route::RouteTable;
use crate::state::{AnswerSettings, State};
use crate::transport::{ClientTransport, ListenerKind, PerListener};
use crate::upstream::tcp::{CONNECTIONS, MOST_CONNECTIONS};
use crate::upstream::udp::{MOST_SOCKETS, POOL};
use crate::vital::ThreadLiveness;

mod bind;
mod gauges;

pub use bind::{BindError, BoundSockets};
pub use gauges::{ListenerCounters, ServerGauges};

/// A server that answers. Dropped without [`Server::stop`], it ends without waiting.
pub struct Server {
    assembly: Assembly,
    addresses: Vec<SocketAddr>,
    resolver: Resolver,
    runtime: Runtime,
    workers: Vec<UdpWorker>,
    streams: Arc<StreamService>,
    connections: Arc<ConnectionPlaces<IpAddr>>,
    limits: watch::Sender<LimitsConfig>,
    gauges: ServerGauges,
    stop_workers: Arc<AtomicBool>,
    stop_streams: watch::Sender<bool>,
}

/// Threads for TCP clients and TCP upstreams: their work is small beside that of the UDP workers.
const STREAM_THREADS: usize = 2;

/// File descriptors that a server of this configuration needs beside those of its TCP connections: listeners and upstreams.
pub fn descriptors(config: &PosternConfig) -> usize {
    let listeners = config.server.listen.len() * (config.server.workers + 1);
    let mut upstreams = HashSet::new();
    let mut system = 0;
    for forward in &config.forwards {
        match &forward.upstreams {
            UpstreamSet::System => system = MOST_SYSTEM_RESOLVERS,
            UpstreamSet::List(list) => upstreams.extend(list.iter().map(UpstreamConfig::identity)),
        }
    }
    let upstreams = upstreams.len() + system;
    listeners + (upstreams * POOL).min(MOST_SOCKETS) + upstreams + (upstreams * CONNECTIONS).min(MOST_CONNECTIONS)
}

impl Server {
    /// Binds UDP for `workers` threads and TCP on each address; port 0 becomes one that is free for both. Nothing is answered yet.
    pub fn bind(listen: &[SocketAddr], workers: usize) -> Result<BoundSockets, BindError> {
        BoundSockets::new(listen, workers, Vec::new())
    }

    /// Like [`Server::bind`], but serves each inherited socket whose address is listed instead of binding one.
    pub fn bind_inherited(listen: &[SocketAddr], workers: usize, inherited: Vec<InheritedSocket>) -> Result<BoundSockets, BindError> {
        BoundSockets::new(listen, workers, inherited)
    }

    /// Starts answering from a configuration and the snapshot that was made with it.
    ///
    /// `handler` takes what is not the path's; without one there is no UPDATE, no NOTIFY, no transfer and no TSIG.
    pub fn start(
        config: &PosternConfig,
        bound: BoundSockets,
        snapshot: Arc<Snapshot>,
        recorder: Arc<FallbackRecorder>,
        handler: Option<Arc<dyn MessageHandler>>,
    ) -> io::Result<Self> {
        let clock = Clock::start();
        let assembly = Assembly::new(config, snapshot, bound.addresses.clone())?;
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(STREAM_THREADS);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(threads).thread_name("tcp").enable_all().build()?;
        let state = assembly.state.clone();
        let resolver = Resolver::start(state.clone(), clock, config.limits.pending, runtime.handle().clone(), Some(recorder.clone()))?;
        let handled = PerListener::new(WorkerCounters::shared);
        let service = QueryService {
            state,
            clock,
            resolver: resolver.submitter(),
            recorder,
            handler,
            handled: handled.clone(),
            rates: Default::default(),
        };
        let stop_workers = Arc::new(AtomicBool::new(false));
        let (mut workers, mut listeners, mut vitals) = (Vec::new(), Vec::new(), vec![resolver.gauges().vital]);
        for (address, sockets) in bound.addresses.iter().zip(bound.udp) {
            for socket in sockets {
                let worker = UdpWorker::start::<KernelBackend>(workers.len(), socket, service.clone(), stop_workers.clone())?;
                let kind = ListenerKind::new(ClientTransport::Udp, address.ip());
                listeners.push(ListenerCounters { kind, counters: worker.counters.clone() });
                vitals.push(worker.vital.clone());
                workers.push(worker);
            }
        }
        let (stop_streams, stopped) = watch::channel(false);
        let connections = tcp::places(&config.limits);
        let limits = watch::Sender::new(config.limits.clone());
        let streams = Arc::new(StreamService { service: service.clone(), counters: WorkerCounters::shared() });
        for (address, listener) in bound.addresses.iter().zip(bound.tcp) {
            let _enter = runtime.enter();
            let listener = tokio::net::TcpListener::from_std(listener)?;
            let counters = WorkerCounters::shared();
            let kind = ListenerKind::new(ClientTransport::Tcp, address.ip());
            listeners.push(ListenerCounters { kind, counters: counters.clone() });
            let answerer = Arc::new(StreamService { service: service.clone(), counters });
            let (vital, alive) = ThreadLiveness::new(&format!("tcp {address}"));
            vitals.push(vital);
            let accepting = tcp::serve(listener, limits.subscribe(), connections.clone(), answerer, stopped.clone());
            runtime.spawn(async move {
                let _alive = alive;
                accepting.await;
            });
        }
        let kinds: Vec<_> = ListenerKind::all().filter(|kind| listeners.iter().any(|listener| listener.kind == *kind)).collect();
        listeners.extend(kinds.into_iter().map(|kind| ListenerCounters { kind, counters: handled[kind].clone() }));
        let gauges = ServerGauges::new(listeners, vitals, connections.clone(), resolver.gauges());
        let addresses = bound.addresses;
        Ok(Self { assembly, addresses, resolver, runtime, workers, streams, connections, limits, gauges, stop_workers, stop_streams })
    }

    /// The addresses that it listens on, UDP and TCP.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Private zones and networks as served now.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.assembly.state.load().snapshot.clone()
    }

    /// Serves other private zones of the same configuration, from the next batch on.
    pub fn publish(&self, snapshot: Arc<Snapshot>) {
        self.assembly.publish(snapshot);
    }

    /// Serves another configuration, and the snapshot made with it, from the next batch on. Addresses and workers stay as they are.
    pub fn reconfigure(&mut self, config: &PosternConfig, snapshot: Arc<Snapshot>) {
        self.assembly.reconfigure(config, snapshot);
        self.bound_connections(&config.limits);
        self.limits.send_replace(config.limits.clone());
        self.resolver.limit(config.limits.pending);
        self.resolver.reloaded();
    }

    /// Sets the bounds on TCP connections. Connections beyond them give way when the next connection comes.
    pub fn bound_connections(&self, limits: &LimitsConfig) {
        self.connections.bound(tcp::bounds(limits));
    }

    /// True as long as every thread runs.
    pub fn is_well(&self) -> bool {
        self.gauges.ended().next().is_none()
    }

    /// The path as streams have it, for those who answer on their own.
    pub fn streams(&self) -> Arc<StreamService> {
        self.streams.clone()
    }

    /// Returns the counters of all parts.
    pub fn gauges(&self) -> &ServerGauges {
        &self.gauges
    }

    /// The state of the moment.
    pub fn state(&self) -> Arc<State> {
        self.assembly.state.load_full()
    }

    /// The state of the moment, for those who look again and again.
    pub fn states(&self) -> Arc<ArcSwap<State>> {
        self.assembly.state.clone()
    }

    /// Takes no more questions, answers those under way for at most `drain`, and ends.
    pub fn stop(self, drain: Duration) {
        let start = Instant::now();
        self.stop_workers.store(true, Ordering::Relaxed);
        let _ = self.stop_streams.send(true);
        // Sockets of the workers stay open in the jobs that wait, so their answers still leave.
        self.workers.into_iter().for_each(UdpWorker::join);
        self.resolver.stop(drain);
        while self.connections.open() > 0 && start.elapsed() < drain {
            std::thread::sleep(Duration::from_millis(5));
        }
        self.runtime.shutdown_timeout(Duration::from_millis(100));
    }
}

/// Returns the part that makes states.
#[derive(Debug)]
struct Assembly {
    state: Arc<ArcSwap<State>>,
    config: PosternConfig,
    registry: RouteRegistry,
    own: Vec<SocketAddr>,
    /// Takes states that were replaced.
    retired: mpsc::Sender<Arc<State>>,
}

impl Assembly {
    fn new(config: &PosternConfig, snapshot: Arc<Snapshot>, own: Vec<SocketAddr>) -> io::Result<Self> {
        let mut registry = RouteRegistry::default();
        let routes = routes(&mut registry, config, &snapshot, &own);
        let cache = Arc::new(UpstreamCache::new(config.cache.size));
        let state = Arc::new(ArcSwap::from_pointee(state(config, snapshot, routes, cache)));
        Ok(Self { state, config: config.clone(), registry, own, retired: reaper()? })
    }

    fn swap(&self, state: State) {
        let old = self.state.swap(Arc::new(state));
        let _ = self.retired.send(old); // the reaper goes only when we do
    }

    /// Other private zones, the same configuration.
    fn publish(&self, snapshot: Arc<Snapshot>) {
        let old = self.state.load_full();
        self.swap(state(&self.config, snapshot, old.routes.clone(), old.cache.clone()));
    }

    /// Another configuration, and the snapshot made with it: swapped together.
    fn reconfigure(&mut self, config: &PosternConfig, snapshot: Arc<Snapshot>) {
        let old = self.state.load_full();
        let routes = routes(&mut self.registry, config, &snapshot, &self.own);
        let cache = match self.config.cache.size == config.cache.size {
            true => old.cache.clone(),
            false => Arc::new(UpstreamCache::new(config.cache.size)),
        };
        self.config = config.clone();
        self.swap(state(config, snapshot, routes, cache));
    }
}

/// Drops states once no worker has them any more: freeing a large zone takes milliseconds, and whoever lets go last does it. What was freed
/// is given back to the system once it is quiet: else a server that reloads a large zone would keep twice its size for ever.
fn reaper() -> io::Result<mpsc::Sender<Arc<State>>> {
    const LOOK: Duration = Duration::from_millis(20);
    const QUIET: Duration = Duration::from_secs(1);
    let (retire, retired) = mpsc::channel::<Arc<State>>();
    std::thread::Builder::new().name("reaper".into()).spawn(move || {
        let mut waiting: Vec<Arc<State>> = Vec::new();
        let mut freed = false;
        loop {
            let next = match (waiting.is_empty(), freed) {
                (false, _) => retired.recv_timeout(LOOK),
                (true, true) => retired.recv_timeout(QUIET),
                (true, false) => retired.recv().map_err(|_| mpsc::RecvTimeoutError::Disconnected),
            };
            match next {
                Ok(state) => waiting.push(state),
                Err(mpsc::RecvTimeoutError::Timeout) if waiting.is_empty() => {
                    postern_sockets::release_memory();
                    freed = false;
                }
                Err(mpsc::RecvTimeoutError::Timeout) => {}
                Err(mpsc::RecvTimeoutError::Disconnected) => return,
            }
            let before = waiting.len();
            waiting.retain(|state| Arc::strong_count(state) > 1);
            freed |= waiting.len() < before;
        }
    })?;
    Ok(retire)
}

fn routes(registry: &mut RouteRegistry, config: &PosternConfig, snapshot: &Snapshot, own: &[SocketAddr]) -> Arc<RouteTable> {
    let (routes, warnings) = registry.routes(config, snapshot, own);
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    Arc::new(routes)
}

fn state(config: &PosternConfig, snapshot: Arc<Snapshot>, routes: Arc<RouteTable>, cache: Arc<UpstreamCache>) -> State {
    let server = &config.server;
    State {
        snapshot,
        routes,
        table: config.azure.clone(),
        cache,
        access: AccessLists::from(server),
        settings: AnswerSettings {
            udp_size: server.udp_size,
            nsid: server.nsid.as_deref().unwrap_or_default().as_bytes().into(),
            version: server.version.as_deref().map(Into::into),
            identity: server.identity.as_deref().map(Into::into),
            max_public_ttl: config.fallback.max_public_ttl,
            cache: config.cache.clone(),
            deadline: config.limits.query_deadline,
            responses_per_second: config.limits.responses_per_second,
        },
    }
}
