//! Sockets and connections.

use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use postern_config::WatchedFile;
use postern_config::model::ApiConfig;
use postern_dns::listen::places::{BusyRule, ClientKey, ConnectionPlace, ConnectionPlaces, PlaceBounds, client_of};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tower_service::Service;

use super::Shared;
use super::busy::BusyPlace;
use super::interface::{Interface, merge};
use super::patience::Patient;
use super::peer::Peer;
use super::settings::{CurrentSettings, HttpSettings};
use crate::Control;
use crate::credentials::CredentialFiles;
use crate::runtime::build_runtime;

/// Sockets that are bound and not yet served: before privileges are given up.
#[derive(Debug, Default)]
pub struct HttpSockets {
    tcp: Vec<(SocketAddr, TcpListener)>,
    socket: Option<(PathBuf, UnixListener)>,
}

/// Something that cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {place}: {error}")]
pub struct HttpBindError {
    /// The address, or the path of the socket.
    pub place: String,
    /// Why.
    pub error: io::Error,
}

/// A listener that serves. Dropped without [`Http::stop`], it ends without waiting.
#[derive(Debug)]
pub struct Http {
    runtime: Runtime,
    settings: Arc<HttpSettings>,
    addresses: Vec<SocketAddr>,
    socket: Option<(PathBuf, u64)>,
    stop: watch::Sender<bool>,
    /// Places for connections over TCP, by address, and over the socket, by user.
    places: (Arc<ConnectionPlaces<IpAddr>>, Arc<ConnectionPlaces<u32>>),
}

/// Ends when the listener stops: for handlers that would go on for ever. Among the extensions of every request.
#[derive(Debug, Clone)]
pub struct Stopping(watch::Receiver<bool>);

/// Time for the head of a request, and for a TLS handshake.
const HEAD_TIME: Duration = Duration::from_secs(10);
/// Time for a body.
pub(super) const BODY_TIME: Duration = Duration::from_secs(60);
/// A client that takes nothing of an answer for so long is cut off; one that takes too little, a while later.
const PATIENCE: Duration = Duration::from_secs(60);
/// Octets that a kernel takes ahead of what it sends. Left to itself it takes megabytes, and takes more only when a third of them is gone: a
/// slow reader would be seen to take nothing for minutes.
const UNSENT: u32 = 32 << 10;
/// Connections over the socket, beside `api.connections`, in all and of one user: however many hang on TCP, who runs the server gets in.
pub(crate) const SOCKET_CONNECTIONS: usize = 64;
const SOCKET_PER_USER: usize = 48;
/// Connections that may wait to be accepted.
pub(crate) const BACKLOG: i32 = 1024;
/// After an error of accept (no file descriptors, mostly).
const PAUSE: Duration = Duration::from_millis(50);
/// How often a stop looks whether connections are open.
const LOOK: Duration = Duration::from_millis(2);
/// Threads: a change waits for the disk, not for them.
const THREADS: usize = 2;

/// Binds what `[api]` names. `owner`: the user and group that the socket is to belong to.
pub fn bind(api: &ApiConfig, owner: Option<(u32, u32)>) -> Result<HttpSockets, HttpBindError> {
    let mut bound = HttpSockets::default();
    for address in &api.listen {
        let failed = |error| HttpBindError { place: address.to_string(), error };
        let listener = postern_sockets::bind_tcp(*address, BACKLOG).map_err(failed)?;
        bound.tcp.push((listener.local_addr().map_err(failed)?, listener));
    }
    if let Some(path) = &api.socket {
        match bind_socket(path, owner) {
            Ok(listener) => bound.socket = Some((path.clone(), listener)),
            Err(error) if api.socket_is_named => return Err(HttpBindError { place: path.display().to_string(), error }),
            // Nobody asked for it, and the server is as good without.
            Err(error) => {
                tracing::warn!(target: "postern", socket = %path.display(), "cannot create the API socket, which the commands need: {error}")
            }
        }
    }
    Ok(bound)
}

fn bind_socket(path: &Path, owner: Option<(u32, u32)>) -> io::Result<UnixListener> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    // What a server left that was killed is taken away; what another one serves is not, nor what is no socket.
    if fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket()) {
        match UnixStream::connect(path) {
            Ok(_) => return Err(io::Error::new(io::ErrorKind::AddrInUse, "another server has it")),
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path)?,
            Err(error) => return Err(error),
        }
    }
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o660))?;
    if let Some((user, group)) = owner {
        std::os::unix::fs::chown(path, Some(user), Some(group))?;
    }
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Says what is wrong with the files of keys and certificates; and what was in them.
pub fn check(api: &ApiConfig) -> (Vec<WatchedFile>, Result<(), String>) {
    let files = CredentialFiles::read(api.files());
    (files.as_read(), CurrentSettings::of(api, &files).map(drop))
}

/// Starts to serve these interfaces. Also returns the content of the files of keys and certificates.
pub(crate) fn start(
    api: &ApiConfig,
    bound: HttpSockets,
    control: Arc<Control>,
    interfaces: impl IntoIterator<Item = Interface>,
) -> Result<(Http, Vec<WatchedFile>), String> {
    let files = CredentialFiles::read(api.files());
    let now = CurrentSettings::of(api, &files)?;
    let settings = Arc::new(HttpSettings::new(now));
    let failed = |error: io::Error| format!("cannot start the API: {error}");
    let runtime = build_runtime(THREADS, "api").map_err(failed)?;
    let (stop, stopping) = watch::channel(false);
    let of_socket = PlaceBounds { all: SOCKET_CONNECTIONS, per_client: SOCKET_PER_USER, idle: None };
    let places = (ConnectionPlaces::new(tcp_bounds(api), BusyRule::Stays), ConnectionPlaces::new(of_socket, BusyRule::Stays));
    let router = merge(interfaces, Shared { control: control.clone(), settings: settings.clone() });
    let serve = Serve { router, settings: settings.clone(), stopping: Stopping(stopping) };
    let _enter = runtime.enter();
    let mut addresses = Vec::new();
    for (address, listener) in bound.tcp {
        let listener = tokio::net::TcpListener::from_std(listener).map_err(failed)?;
        let (serve, places) = (serve.clone(), places.0.clone());
        let alive = control.vitals.begin(&format!("api {address}"));
        runtime.spawn(async move {
            let _alive = alive;
            serve.accept_tcp(listener, places).await;
        });
        addresses.push(address);
    }
    let mut socket = None;
    if let Some((path, listener)) = bound.socket {
        let listener = tokio::net::UnixListener::from_std(listener).map_err(failed)?;
        let alive = control.vitals.begin("api socket");
        let places = places.1.clone();
        runtime.spawn(async move {
            let _alive = alive;
            serve.accept_socket(listener, places).await;
        });
        let inode = fs::symlink_metadata(&path).map(|metadata| metadata.ino()).map_err(failed)?;
        socket = Some((path, inode));
    }
    drop(_enter);
    Ok((Http { runtime, settings, addresses, socket, stop, places }, files.as_read()))
}

/// Bounds on connections over TCP.
fn tcp_bounds(api: &ApiConfig) -> PlaceBounds {
    PlaceBounds { all: api.connections, per_client: api.per_client, idle: None }
}

impl Http {
    /// The addresses that it listens on.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The path of its socket.
    pub fn socket(&self) -> Option<&Path> {
        self.socket.as_ref().map(|(path, _)| path.as_path())
    }

    /// Reads keys, certificates and bounds again. If one of the files cannot be read, nothing changes. Returns the content of the files in
    /// either case.
    pub fn reconfigure(&self, api: &ApiConfig) -> (Vec<WatchedFile>, Result<(), String>) {
        let files = CredentialFiles::read(api.files());
        let taken = CurrentSettings::of(api, &files).map(|now| {
            self.settings.replace(now);
            self.bound(api);
        });
        (files.as_read(), taken)
    }

    /// Sets the bounds on connections over TCP. Connections beyond them give way when the next connection comes.
    pub fn bound(&self, api: &ApiConfig) {
        self.places.0.bound(tcp_bounds(api));
    }

    /// Takes no more requests, answers those under way for at most `drain`, and ends.
    pub fn stop(self, drain: Duration) {
        if let Some((path, inode)) = &self.socket
            && fs::symlink_metadata(path).is_ok_and(|metadata| metadata.ino() == *inode)
        {
            let _ = fs::remove_file(path); // where the directory is not ours, the next start does it
        }
        let _ = self.stop.send(true); // nobody listens where nothing is bound
        let idle = async {
            while self.places.0.open() + self.places.1.open() > 0 {
                tokio::time::sleep(LOOK).await;
            }
        };
        let _ = self.runtime.block_on(async { tokio::time::timeout(drain, idle).await }); // what is under way then is cut off
        self.runtime.shutdown_timeout(Duration::from_millis(100));
    }
}

impl Stopping {
    /// Waits until the listener stops.
    pub async fn wait(&mut self) {
        let _ = self.0.wait_for(|is_stopping| *is_stopping).await; // gone: it has stopped
    }
}

/// Everything that a connection needs.
#[derive(Clone)]
struct Serve {
    router: Router,
    settings: Arc<HttpSettings>,
    stopping: Stopping,
}

impl Serve {
    async fn accept_tcp(mut self, listener: tokio::net::TcpListener, places: Arc<ConnectionPlaces<IpAddr>>) {
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = self.stopping.wait() => return,
            };
            let Ok((stream, peer)) = accepted else {
                places.make_room(Instant::now());
                tokio::time::sleep(PAUSE).await;
                continue;
            };
            let address = peer.ip().to_canonical();
            let Some(place) = self.take_place(&places, client_of(address)).await else { return };
            let _ = stream.set_nodelay(true); // slower without, not wrong
            let _ = SockRef::from(&stream).set_tcp_notsent_lowat(UNSENT); // coarser without
            let (serve, peer) = (self.clone(), Peer::Remote { address });
            let tls = self.settings.now().tls.clone();
            tokio::spawn(async move {
                let Some(config) = tls else { return serve.connection(stream, peer, place).await };
                let handshake = tokio::time::timeout(HEAD_TIME, TlsAcceptor::from(config).accept(stream));
                let handshake = tokio::select! {
                    handshake = handshake => handshake,
                    () = place.displaced() => return,
                };
                match handshake {
                    Ok(Ok(stream)) => serve.connection(stream, peer, place).await,
                    Ok(Err(error)) => tracing::debug!(?peer, "no TLS: {error}"),
                    Err(_) => {}
                }
            });
            tokio::task::yield_now().await; // so that a connection that gave way closes before the next one is accepted
        }
    }

    async fn accept_socket(mut self, listener: tokio::net::UnixListener, places: Arc<ConnectionPlaces<u32>>) {
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = self.stopping.wait() => return,
            };
            let Ok((stream, _)) = accepted else {
                places.make_room(Instant::now());
                tokio::time::sleep(PAUSE).await;
                continue;
            };
            let user = stream.peer_cred().map(|peer| peer.uid());
            let Some(place) = self.take_place(&places, *user.as_ref().unwrap_or(&u32::MAX)).await else { return };
            let serve = self.clone();
            tokio::spawn(async move {
                // Names may be asked of the network (NSS).
                let user = tokio::task::spawn_blocking(|| user.map_or_else(|_| "local".into(), user_name)).await;
                let peer = Peer::Local { user: user.unwrap_or_else(|_| "local".into()) };
                serve.connection(stream, peer, place).await;
            });
            tokio::task::yield_now().await; // as above
        }
    }

    /// A place for one more connection. If every other one has a request under way, it waits. Returns `None` if the listener stops.
    async fn take_place<K: ClientKey>(&mut self, places: &Arc<ConnectionPlaces<K>>, client: K) -> Option<ConnectionPlace<K>> {
        loop {
            if let Some(place) = places.take(client, Instant::now()) {
                return Some(place);
            }
            tokio::select! {
                () = places.freed() => {}
                () = tokio::time::sleep(PAUSE) => {} // one may have become idle
                () = self.stopping.wait() => return None,
            }
        }
    }

    /// Serves a connection until either side has enough, or it gives way to another one.
    async fn connection<S: AsyncRead + AsyncWrite + Unpin, K: ClientKey>(mut self, stream: S, peer: Peer, place: ConnectionPlace<K>) {
        let (router, stopping, busy) = (self.router, self.stopping.clone(), BusyPlace::new(place));
        let (stream, requests) = (busy.stream(Patient::new(stream, PATIENCE)), busy.clone());
        let service = service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
            request.extensions_mut().insert(peer.clone());
            request.extensions_mut().insert(stopping.clone());
            let answer = router.clone().call(request);
            requests.clone().answer(answer)
        });
        let mut http = hyper::server::conn::http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(HEAD_TIME).max_buf_size(64 << 10);
        let connection = http.serve_connection(TokioIo::new(stream), service);
        let mut connection = std::pin::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = busy.place().displaced() => {
                if !busy.place().is_busy() {
                    return;
                }
                // A request came in that very moment, and may change something: it gets its answer.
                connection.as_mut().graceful_shutdown();
                connection.await
            }
            () = self.stopping.wait() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!("connection to the API: {error}");
        }
    }
}

fn user_name(uid: u32) -> Arc<str> {
    let known = nix::unistd::User::from_uid(uid.into()).ok().flatten();
    known.map_or_else(|| format!("uid {uid}").into(), |user| user.name.into())
}
