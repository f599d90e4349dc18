//! HTTP/1.1 requests to Azure: few, one after the other, and bounded in time and size.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{HOST, HeaderMap};
use hyper::{Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// How long a connection may take to be ready, TLS included.
const CONNECT: Duration = Duration::from_secs(10);
/// How long a request may take until its answer is complete. Resource Graph itself gives up after 30 s.
const PATIENCE: Duration = Duration::from_secs(60);

/// Why a request got no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    /// The URL cannot be used.
    #[error("`{0}` is not a URL that can be requested")]
    Url(String),
    /// No connection could be made.
    #[error("cannot connect to {host}: {why}")]
    Connect {
        /// Host and port of the service.
        host: String,
        /// Error of the system or of TLS.
        why: String,
    },
    /// No complete answer in time.
    #[error("{0} did not answer in time")]
    Timeout(String),
    /// The connection or the answer ended early.
    #[error("the answer of {0} broke off")]
    BrokenOff(String),
    /// The body is larger than expected.
    #[error("the answer of {host} is larger than {most} bytes")]
    TooLarge {
        /// Host and port of the service.
        host: String,
        /// Largest accepted body.
        most: usize,
    },
}

/// An answer with its whole body.
pub(super) struct HttpAnswer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// Client for requests to one service, which reuses its connection.
#[derive(Default)]
pub(super) struct HttpClient {
    open: Option<(String, SendRequest<Full<Bytes>>)>,
}

impl HttpClient {
    /// Sends a request. `most` is the largest accepted body in bytes.
    pub async fn send(&mut self, request: Request<Full<Bytes>>, most: usize) -> Result<HttpAnswer, HttpError> {
        let (host, port, has_tls) = place(request.uri())?;
        let origin = format!("{host}:{port}");
        let mut reused = self.open.take().filter(|(open, _)| *open == origin).map(|(_, sender)| sender);
        if let Some(sender) = &mut reused
            && !matches!(timeout(CONNECT, sender.ready()).await, Ok(Ok(())))
        {
            reused = None; // the service has closed it meanwhile
        }
        let mut sender = match reused {
            Some(sender) => sender,
            None => {
                let connected = timeout(CONNECT, connect(&host, port, has_tls)).await;
                connected.map_err(|_| HttpError::Timeout(origin.clone()))??
            }
        };
        let exchange = async {
            let broken = |_| HttpError::BrokenOff(origin.clone());
            let answer = sender.send_request(relative(request, &origin)).await.map_err(broken)?;
            let (head, body) = answer.into_parts();
            let body = Limited::new(body, most).collect().await.map_err(|error| match error.is::<http_body_util::LengthLimitError>() {
                true => HttpError::TooLarge { host: origin.clone(), most },
                false => HttpError::BrokenOff(origin.clone()),
            })?;
            Ok(HttpAnswer { status: head.status, headers: head.headers, body: body.to_bytes() })
        };
        let answer = timeout(PATIENCE, exchange).await.map_err(|_| HttpError::Timeout(origin.clone()))??;
        self.open = Some((origin, sender));
        Ok(answer)
    }
}

/// Returns host, port, and whether TLS is used.
fn place(url: &Uri) -> Result<(String, u16, bool), HttpError> {
    let wrong = || HttpError::Url(url.to_string());
    let host = url.host().ok_or_else(wrong)?.trim_matches(['[', ']']).to_owned();
    match url.scheme_str() {
        Some("http") => Ok((host, url.port_u16().unwrap_or(80), false)),
        Some("https") => Ok((host, url.port_u16().unwrap_or(443), true)),
        _ => Err(wrong()),
    }
}

/// Returns the request as an origin server expects it: a path in the first line, and the host in a header.
fn relative(request: Request<Full<Bytes>>, origin: &str) -> Request<Full<Bytes>> {
    let (mut head, body) = request.into_parts();
    let host = head.uri.authority().map_or(origin, |authority| authority.as_str()).to_owned();
    if let Ok(host) = host.parse() {
        head.headers.insert(HOST, host);
    }
    if let Some(path) = head.uri.path_and_query().and_then(|path| path.as_str().parse().ok()) {
        head.uri = path;
    }
    Request::from_parts(head, body)
}

async fn connect(host: &str, port: u16, has_tls: bool) -> Result<SendRequest<Full<Bytes>>, HttpError> {
    let failed = |why: String| HttpError::Connect { host: format!("{host}:{port}"), why };
    let stream = TcpStream::connect((host, port)).await.map_err(|error| failed(error.to_string()))?;
    let _ = stream.set_nodelay(true);
    if !has_tls {
        let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(|error| failed(error.to_string()))?;
        tokio::spawn(connection);
        return Ok(sender);
    }
    let name = ServerName::try_from(host.to_owned()).map_err(|error| failed(error.to_string()))?;
    let stream = TlsConnector::from(trust().map_err(failed)?).connect(name, stream).await.map_err(|error| failed(error.to_string()))?;
    let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(|error| failed(error.to_string()))?;
    tokio::spawn(connection);
    Ok(sender)
}

/// Returns the settings of TLS, with the authorities that the system trusts.
fn trust() -> Result<Arc<ClientConfig>, String> {
    static TRUST: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    if let Some(trust) = TRUST.get() {
        return Ok(trust.clone());
    }
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        return Err("the system has no certificates of authorities that can be read".into());
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider())).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| error.to_string())?;
    Ok(TRUST.get_or_init(|| Arc::new(builder.with_root_certificates(roots).with_no_client_auth())).clone())
}
