//! Client of a running server's API, over its UNIX socket or over a URL with a key.

mod socket;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::{Method, Request, Uri, header};
use hyper_util::rt::TokioIo;
pub use postern_control::http::part;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// Heading of the options that select a server.
const CONNECTION: &str = "Connection";

/// Server that a command connects to.
#[derive(Debug, Clone, Args)]
pub struct ClientArgs {
    /// UNIX socket of the server. Default: the one that the configuration names, or
    /// /run/postern/postern.sock.
    #[arg(help_heading = CONNECTION, long, value_name = "PATH", global = true, conflicts_with = "url")]
    socket: Option<PathBuf>,
    /// Connect over TCP, for example to `http://127.0.0.1:8053` or `https://dns.contoso.com:8053`.
    #[arg(help_heading = CONNECTION, long, value_name = "URL", global = true)]
    url: Option<Uri>,
    /// File with the key to send, as `postern key` printed it.
    #[arg(help_heading = CONNECTION, long, value_name = "FILE", global = true, requires = "url")]
    key_file: Option<PathBuf>,
    /// PEM file with the certificate authorities to trust for https. Default: those of the system.
    #[arg(help_heading = CONNECTION, long, value_name = "FILE", global = true, requires = "url")]
    ca: Option<PathBuf>,
    /// Configuration that names the socket. Default: ./postern.toml, or /etc/postern/postern.toml.
    #[arg(help_heading = CONNECTION, short, long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
    /// Form of the results.
    #[arg(short, long, value_enum, default_value = "table", global = true)]
    pub output: OutputForm,
}

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum OutputForm {
    /// A table for people to read.
    Table,
    /// The JSON of the API.
    Json,
}

/// A client of one server's API.
pub struct ApiClient {
    place: Place,
    key: Option<String>,
    runtime: tokio::runtime::Runtime,
}

enum Place {
    Socket(PathBuf),
    Tcp { host: String, port: u16, tls: Option<Arc<ClientConfig>> },
}

/// A successful (2xx) response of the server.
pub struct ApiAnswer {
    /// Body of the response.
    pub body: Bytes,
}

/// Timeout of a request. It is longer than any change takes, and sufficient for importing a million
/// records.
const PATIENCE: Duration = Duration::from_secs(120);
/// Timeout between two events of a stream. The server sends one at least every 15 seconds.
const SILENCE: Duration = Duration::from_secs(60);
/// Prints the error, if any, and returns the exit code.
pub fn told(result: Result<(), String>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

impl ApiClient {
    /// Creates a client for the server that the arguments select.
    pub fn new(args: &ClientArgs) -> Result<Self, String> {
        let place = match &args.url {
            Some(url) => of_url(url, args.ca.as_deref())?,
            None => Place::Socket(args.socket.clone().map_or_else(|| socket::find(args.config.as_deref()), Ok)?),
        };
        let key = args.key_file.as_deref().map(read_key).transpose()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        Ok(Self { place, key, runtime: runtime.map_err(|error| format!("error: {error}"))? })
    }

    /// Returns the items of a list, page by page, but at most `most` of them.
    pub fn pages(&self, path: &str, filter: &str, items: &str, most: usize) -> Result<Vec<Value>, String> {
        let mut all = Vec::new();
        let mut cursor = String::new();
        loop {
            let mut page = self.get(&format!("{path}?{filter}{cursor}"))?;
            if let Value::Array(more) = page[items].take() {
                all.extend(more);
            }
            match &page["next"] {
                Value::String(next) if all.len() < most => cursor = format!("&cursor={}", part(next)),
                Value::Number(next) if all.len() < most => cursor = format!("&cursor={next}"),
                _ => {
                    all.truncate(most);
                    return Ok(all);
                }
            }
        }
    }

    /// Returns the JSON at a path.
    pub fn get(&self, path: &str) -> Result<Value, String> {
        json(&self.send(Method::GET, path, None)?)
    }

    /// Sends JSON and returns the JSON of the response, or null if the response is empty.
    pub fn change(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, String> {
        let body = body.map(|body| ("application/json", body.to_string().into_bytes()));
        json(&self.send(method, path, body)?)
    }

    /// Sends a request. A response without success becomes an error with the server's message.
    pub fn send(&self, method: Method, path: &str, body: Option<(&str, Vec<u8>)>) -> Result<ApiAnswer, String> {
        let whole = async {
            let body = self.exchange(method, path, body).await?.collect().await.map_err(broke_off)?;
            Ok(ApiAnswer { body: body.to_bytes() })
        };
        let patient = async { tokio::time::timeout(PATIENCE, whole).await };
        self.runtime.block_on(patient).unwrap_or_else(|_| Err(format!("error: no answer within {PATIENCE:?}")))
    }

    /// Passes on server-sent events (kind and data) until the server ends the stream or `take`
    /// returns an error.
    pub fn follow(&self, path: &str, mut take: impl FnMut(&str, &str) -> Result<(), String>) -> Result<(), String> {
        self.runtime.block_on(async {
            let mut body = self.exchange(Method::GET, path, None).await?;
            let mut waiting = Vec::new();
            loop {
                let frame = tokio::time::timeout(SILENCE, body.frame()).await;
                let Some(frame) = frame.map_err(|_| format!("error: the server sent nothing for {SILENCE:?}"))? else { return Ok(()) };
                waiting.extend(frame.map_err(broke_off)?.into_data().unwrap_or_default());
                while let Some(end) = waiting.windows(2).position(|two| two == b"\n\n") {
                    let event: Vec<u8> = waiting.drain(..end + 2).collect();
                    let event = String::from_utf8_lossy(&event);
                    let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
                    if let Some(data) = field("data") {
                        take(field("event").unwrap_or_default(), data)?;
                    }
                }
            }
        })
    }

    async fn exchange(&self, method: Method, path: &str, body: Option<(&str, Vec<u8>)>) -> Result<Incoming, String> {
        match &self.place {
            Place::Socket(path_of_socket) => {
                let stream = UnixStream::connect(path_of_socket).await.map_err(|error| socket::failed(path_of_socket, &error))?;
                self.ask(stream, "localhost", method, path, body).await
            }
            Place::Tcp { host, port, tls } => {
                let cannot = |error: std::io::Error| format!("error: no server at {host}:{port}: {error}");
                let stream = TcpStream::connect((host.trim_matches(['[', ']']), *port)).await.map_err(cannot)?;
                let authority = format!("{host}:{port}");
                match tls {
                    None => self.ask(stream, &authority, method, path, body).await,
                    Some(config) => {
                        let name = ServerName::try_from(host.trim_matches(['[', ']']).to_string())
                            .map_err(|error| format!("error: {host}: {error}"))?;
                        let not_tls = |error: std::io::Error| match error
                            .get_ref()
                            .is_some_and(|inner| inner.to_string().contains("corrupt message"))
                        {
                            true => {
                                format!("error: the server at {host}:{port} does not answer with TLS. help: write the URL with http://")
                            }
                            false => cannot(error),
                        };
                        let stream = TlsConnector::from(config.clone()).connect(name, stream).await.map_err(not_tls)?;
                        self.ask(stream, &authority, method, path, body).await
                    }
                }
            }
        }
    }

    async fn ask<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
        &self,
        stream: S,
        host: &str,
        method: Method,
        path: &str,
        body: Option<(&str, Vec<u8>)>,
    ) -> Result<Incoming, String> {
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(broke_off)?;
        tokio::spawn(async move {
            let _ = connection.await; // the request receives the error
        });
        let mut request = Request::builder().method(method).uri(path).header(header::HOST, host);
        if let Some(key) = &self.key {
            request = request.header(header::AUTHORIZATION, format!("Bearer {key}"));
        }
        let content = match body {
            Some((kind, body)) => {
                request = request.header(header::CONTENT_TYPE, kind);
                Full::<Bytes>::from(body)
            }
            None => Full::default(),
        };
        let request = request.body(content).map_err(|error| format!("error: {error}"))?;
        let is_plain_tcp = matches!(self.place, Place::Tcp { tls: None, .. });
        let answer = sender.send_request(request).await.map_err(|error| {
            match is_plain_tcp && (error.is_parse() || error.is_incomplete_message()) {
                true => format!(
                    "error: the server at {host} does not answer with HTTP. help: if it has a certificate, write the URL with https://"
                ),
                false => broke_off(error),
            }
        })?;
        let status = answer.status();
        if status.is_success() {
            return Ok(answer.into_body());
        }
        let refused = refusal(status, &answer.into_body().collect().await.map_err(broke_off)?.to_bytes());
        match status == hyper::StatusCode::UNAUTHORIZED && self.key.is_none() {
            true => Err(format!("{refused}\nhelp: name the file with the key by --key-file")),
            false => Err(refused),
        }
    }
}

fn broke_off(error: hyper::Error) -> String {
    format!("error: the connection to the server failed: {error}")
}

/// Formats an error response, with each problem on its own line.
fn refusal(status: hyper::StatusCode, body: &[u8]) -> String {
    let problem: Value = serde_json::from_slice(body).unwrap_or_default();
    let detail = problem["detail"].as_str().unwrap_or_else(|| status.canonical_reason().unwrap_or("refused"));
    let faults: Vec<&Value> = problem["errors"].as_array().into_iter().flatten().collect();
    if faults.is_empty() {
        return format!("error: {detail}");
    }
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let lines = faults.iter().map(|fault| match text(&fault["pointer"]) {
        pointer if pointer.is_empty() => format!("error: {}", text(&fault["detail"])),
        pointer => format!("{pointer}: error: {}", text(&fault["detail"])),
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn json(answer: &ApiAnswer) -> Result<Value, String> {
    if answer.body.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_slice(&answer.body).map_err(|error| format!("error: the server's answer is not JSON: {error}"))
}

fn of_url(url: &Uri, ca: Option<&Path>) -> Result<Place, String> {
    let host = url.host().ok_or_else(|| format!("error: `{url}` names no host"))?.to_owned();
    match url.scheme_str() {
        Some("http") => Ok(Place::Tcp { host, port: url.port_u16().unwrap_or(80), tls: None }),
        Some("https") => Ok(Place::Tcp { host, port: url.port_u16().unwrap_or(443), tls: Some(trust(ca)?) }),
        _ => Err(format!("error: `{url}` does not begin with http:// or https://")),
    }
}

fn trust(ca: Option<&Path>) -> Result<Arc<ClientConfig>, String> {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider())).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| format!("error: {error}"))?;
    Ok(Arc::new(builder.with_root_certificates(authorities(ca)?).with_no_client_auth()))
}

/// Reads the certificate authorities to trust: those of a PEM file, or those of the system.
pub fn authorities(ca: Option<&Path>) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    let Some(path) = ca else {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        return Ok(roots);
    };
    let cannot = |error: String| format!("error: {}: {error}", path.display());
    let certificates = CertificateDer::pem_file_iter(path).map_err(|error| cannot(error.to_string()))?;
    for certificate in certificates {
        let certificate = certificate.map_err(|error| cannot(error.to_string()))?;
        roots.add(certificate).map_err(|error| cannot(error.to_string()))?;
    }
    Ok(roots)
}

/// Returns the first line that is neither empty nor a comment.
fn read_key(path: &Path) -> Result<String, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("error: {}: {error}", path.display()))?;
    let key = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'));
    key.map(Into::into).ok_or_else(|| format!("error: {}: the file contains no key", path.display()))
}
