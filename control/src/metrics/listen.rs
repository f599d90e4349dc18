//! A listener for scrapes and probes alone: no keys, no TLS, nothing that can be changed. Bounded all the same.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use postern_dns::listen::places::{BusyRule, ConnectionPlace, ConnectionPlaces, PlaceBounds, client_of};
use tokio::runtime::Runtime;
use tower_service::Service;

use crate::Control;
use crate::http::{BACKLOG, BusyPlace, require_one_host};
use crate::runtime::build_runtime;

/// A socket that is bound and not yet served: before privileges are given up.
#[derive(Debug)]
pub struct MetricsSockets {
    listener: TcpListener,
    address: SocketAddr,
}

/// The listener, serving. Dropped, it ends.
#[derive(Debug)]
pub struct Metrics {
    runtime: Option<Runtime>,
    address: SocketAddr,
}

/// Connections at once, in all and of one client address: a few scrapers, a few probes, and some that hang.
pub(crate) const CONNECTIONS: usize = 128;
const PER_CLIENT: usize = 32;
/// Time for the head of a request.
const HEAD_TIME: Duration = Duration::from_secs(10);
/// A connection that is kept alive ends with the next answer after so long, and is cut off when that does not come: nobody keeps a place.
const CONNECTION_TIME: Duration = Duration::from_secs(300);
const LAST_ANSWER: Duration = Duration::from_secs(20);
/// After an error of accept (no file descriptors, mostly).
const PAUSE: Duration = Duration::from_millis(50);

/// Binds `metrics.listen`.
pub fn bind(address: SocketAddr) -> io::Result<MetricsSockets> {
    let listener = postern_sockets::bind_tcp(address, BACKLOG)?;
    let address = listener.local_addr()?;
    Ok(MetricsSockets { listener, address })
}

/// Starts serving.
pub fn start(bound: MetricsSockets, control: Arc<Control>) -> io::Result<Metrics> {
    let MetricsSockets { listener, address } = bound;
    let runtime = build_runtime(1, "metrics")?;
    let _enter = runtime.enter();
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let alive = control.vitals.begin("metrics");
    let router = super::routes().layer(axum::middleware::from_fn(require_one_host)).with_state(control);
    runtime.spawn(async move {
        let _alive = alive;
        accept(listener, router).await;
    });
    drop(_enter);
    Ok(Metrics { runtime: Some(runtime), address })
}

impl Metrics {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Metrics {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background(); // whoever scrapes at this moment comes again
        }
    }
}

async fn accept(listener: tokio::net::TcpListener, router: Router) {
    let places = ConnectionPlaces::new(PlaceBounds { all: CONNECTIONS, per_client: PER_CLIENT, idle: None }, BusyRule::Stays);
    loop {
        let Ok((stream, peer)) = listener.accept().await else {
            places.make_room(Instant::now());
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        // Requests here take no time: one that finds no idle connection to take the place of comes again.
        let Some(place) = places.take(client_of(peer.ip()), Instant::now()) else { continue };
        tokio::spawn(converse(stream, router.clone(), place));
        tokio::task::yield_now().await; // so that a connection that gave way closes before the next one is accepted
    }
}

async fn converse(stream: tokio::net::TcpStream, router: Router, place: ConnectionPlace<IpAddr>) {
    let busy = BusyPlace::new(place);
    let (stream, requests) = (busy.stream(stream), busy.clone());
    let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
        let answer = router.clone().call(request);
        requests.clone().answer(answer)
    });
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_TIME).max_buf_size(16 << 10);
    let mut connection = std::pin::pin!(http.serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        _ = connection.as_mut() => return, // a client that breaks off is no event
        () = busy.place().displaced() => return,
        () = tokio::time::sleep(CONNECTION_TIME) => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = tokio::time::timeout(LAST_ANSWER, connection).await;
}
