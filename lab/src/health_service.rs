//! A simulated FHIR and DICOM service: HTTPS that answers clients of a private network, and refuses
//! all others with 403, as Azure Health Data Services do once public access is disabled.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, DATE};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use ipnet::IpNet;
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Connections that are served at a time. Others wait.
const MOST_CONNECTIONS: usize = 256;
/// Longest time of one connection.
const LONGEST: Duration = Duration::from_secs(30);

/// Properties of the simulated service.
#[derive(Debug, Clone)]
pub struct HealthServiceSettings {
    /// PEM file with the certificate chain.
    pub certificate: PathBuf,
    /// PEM file with the private key.
    pub private_key: PathBuf,
    /// Prefixes of the clients that came through the private endpoint.
    pub private_clients: Vec<IpNet>,
    /// Seconds by which the clock of the service is ahead.
    pub clock_ahead: i64,
}

/// A running service, which stops when dropped.
#[derive(Debug)]
pub struct HealthService {
    address: SocketAddr,
    requests: Arc<AtomicU64>,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl HealthService {
    /// Binds a TCP address, where port 0 means any free port, and serves until it is dropped.
    pub fn start(settings: HealthServiceSettings, listen: SocketAddr) -> io::Result<Self> {
        let acceptor = TlsAcceptor::from(Arc::new(tls(&settings.certificate, &settings.private_key)?));
        let listener = TcpListener::bind(listen)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let listener = {
            let _inside = runtime.enter();
            tokio::net::TcpListener::from_std(listener)?
        };
        let (stop, mut stopped) = watch::channel(false);
        let requests = Arc::new(AtomicU64::new(0));
        let served = Arc::new(ServedRequests { settings, count: requests.clone() });
        let thread = std::thread::Builder::new().name("health-service".to_owned()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = accept(listener, acceptor, served) => {}
                    _ = stopped.changed() => {}
                }
            });
        })?;
        Ok(Self { address, requests, stop, thread: Some(thread) })
    }

    /// Address that the service listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Number of requests that were answered.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }
}

impl Drop for HealthService {
    fn drop(&mut self) {
        let _ = self.stop.send(true);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct ServedRequests {
    settings: HealthServiceSettings,
    count: Arc<AtomicU64>,
}

impl ServedRequests {
    fn answer(&self, client: IpAddr, path: &str) -> Response<Full<Bytes>> {
        self.count.fetch_add(1, Ordering::Relaxed);
        let is_private = self.settings.private_clients.iter().any(|prefix| prefix.contains(&client.to_canonical()));
        let (status, body) = match path {
            _ if !is_private => (StatusCode::FORBIDDEN, r#"{"error":{"code":"Forbidden","message":"Public network access is disabled."}}"#),
            "/metadata" => (StatusCode::OK, r#"{"resourceType":"CapabilityStatement","status":"active","fhirVersion":"4.0.1"}"#),
            "/health/check" => (StatusCode::OK, r#"{"overallStatus":"Healthy"}"#),
            _ => (StatusCode::UNAUTHORIZED, r#"{"error":{"code":"Unauthorized","message":"Authentication failed."}}"#),
        };
        let ahead = Duration::from_secs(self.settings.clock_ahead.unsigned_abs());
        let now = if self.settings.clock_ahead < 0 { SystemTime::now() - ahead } else { SystemTime::now() + ahead };
        let answer = Response::builder().status(status).header(CONTENT_TYPE, "application/json").header(DATE, httpdate::fmt_http_date(now));
        answer.body(Full::from(body)).unwrap_or_default()
    }
}

async fn accept(listener: tokio::net::TcpListener, acceptor: TlsAcceptor, served: Arc<ServedRequests>) {
    let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        let Ok((stream, client)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(50)).await; // no descriptors are left
            continue;
        };
        let (acceptor, served) = (acceptor.clone(), served.clone());
        tokio::spawn(async move {
            let _place = place;
            let _ = tokio::time::timeout(LONGEST, serve(stream, client.ip(), acceptor, served)).await; // the client sees the end
        });
    }
}

async fn serve(stream: tokio::net::TcpStream, client: IpAddr, acceptor: TlsAcceptor, served: Arc<ServedRequests>) {
    let Ok(stream) = acceptor.accept(stream).await else { return };
    let handler = hyper::service::service_fn(|request: Request<Incoming>| {
        let answer = served.answer(client, request.uri().path());
        async move { Ok::<_, Infallible>(answer) }
    });
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), handler).await; // the client sees the end
}

fn tls(certificate: &Path, private_key: &Path) -> io::Result<ServerConfig> {
    let bad = |path: &Path, error: String| io::Error::other(format!("{}: {error}", path.display()));
    let chain: Result<Vec<CertificateDer<'static>>, _> = CertificateDer::pem_file_iter(certificate).and_then(Iterator::collect);
    let chain = chain.map_err(|error| bad(certificate, error.to_string()))?;
    let key = PrivateKeyDer::from_pem_file(private_key).map_err(|error| bad(private_key, error.to_string()))?;
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider())).with_safe_default_protocol_versions();
    let builder = builder.map_err(io::Error::other)?.with_no_client_auth();
    builder.with_single_cert(chain, key).map_err(|error| bad(certificate, error.to_string()))
}
