//! A connection to the service itself: TCP, TLS, and one HTTP request.

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::{Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

/// How far a service answered. Each step is `None` if the one before failed.
#[derive(Debug, Default)]
pub struct ServiceReply {
    /// Whether TCP connected.
    pub connected: Option<Result<(), String>>,
    /// The certificate, if the service presented one.
    pub certificate: Option<SeenCertificate>,
    /// Status of the response, or why there is none.
    pub status: Option<Result<StatusCode, String>>,
    /// Clock of the service, from its `Date` header.
    pub date: Option<SystemTime>,
}

/// A certificate as an ordinary client judges it.
#[derive(Debug)]
pub struct SeenCertificate {
    /// Whether it is valid for the name, or why a client rejects it.
    pub verdict: Result<(), String>,
    /// Last moment at which it is valid. `None` if that cannot be read.
    pub end: Option<SystemTime>,
}

/// Connects to `address` as a client of `host` does, and requests `path`.
pub async fn visit(address: SocketAddr, host: &str, path: &str, roots: Arc<RootCertStore>, patience: Duration) -> ServiceReply {
    let mut reply = ServiceReply::default();
    let late = "no answer in time".to_owned();
    let stream = match tokio::time::timeout(patience, TcpStream::connect(address)).await {
        Ok(Ok(stream)) => stream,
        failed => {
            reply.connected =
                Some(Err(failed.map_or(late, |result| result.map_or_else(|error| super::resolve::failure(&error), |_| String::new()))));
            return reply;
        }
    };
    reply.connected = Some(Ok(()));
    match tokio::time::timeout(patience, request(stream, host, path, roots, &mut reply)).await {
        Ok(Ok(status)) => reply.status = Some(Ok(status)),
        Ok(Err(why)) => reply.status = Some(Err(why)),
        Err(_) => reply.status = Some(Err(late)),
    }
    reply
}

async fn request(
    stream: TcpStream,
    host: &str,
    path: &str,
    roots: Arc<RootCertStore>,
    reply: &mut ServiceReply,
) -> Result<StatusCode, String> {
    let name = ServerName::try_from(host.to_owned()).map_err(|error| format!("{host}: {error}"))?;
    let observer = Arc::new(CertificateObserver::new(roots)?);
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider())).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| error.to_string())?;
    let config = builder.dangerous().with_custom_certificate_verifier(observer.clone()).with_no_client_auth();
    let connected = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
    reply.certificate = observer.seen.lock().ok().and_then(|mut seen| seen.take());
    let stream = connected.map_err(|error| format!("no TLS: {error}"))?;
    let failed = |error: hyper::Error| format!("the connection failed: {error}");
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
    tokio::spawn(async move {
        let _ = connection.await; // the request receives the error
    });
    let request = Request::builder().uri(path).header(header::HOST, host).header(header::USER_AGENT, "postern-doctor");
    let request = request.body(Empty::<Bytes>::new()).map_err(|error| error.to_string())?;
    let answer = sender.send_request(request).await.map_err(failed)?;
    let date = answer.headers().get(header::DATE).and_then(|value| value.to_str().ok());
    reply.date = date.and_then(|text| httpdate::parse_http_date(text).ok());
    Ok(answer.status())
}

/// Accepts each certificate and remembers what an ordinary client would have said about it, so that
/// the examination can go on.
struct CertificateObserver {
    usual: Arc<WebPkiServerVerifier>,
    seen: Mutex<Option<SeenCertificate>>,
}

impl CertificateObserver {
    fn new(roots: Arc<RootCertStore>) -> Result<Self, String> {
        let usual = WebPkiServerVerifier::builder_with_provider(roots, Arc::new(ring::default_provider())).build();
        Ok(Self {
            usual: usual.map_err(|error| {
                format!("this machine has no certificate authorities to trust ({error}); name a file with --service-ca")
            })?,
            seen: Mutex::new(None),
        })
    }
}

impl fmt::Debug for CertificateObserver {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("CertificateObserver")
    }
}

impl ServerCertVerifier for CertificateObserver {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verdict = self.usual.verify_server_cert(certificate, chain, name, ocsp, now).map(|_| ()).map_err(|error| why(&error));
        if let Ok(mut seen) = self.seen.lock() {
            *seen = Some(SeenCertificate { verdict, end: end_of(&self.usual, certificate) });
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.usual.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.usual.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.usual.supported_verify_schemes()
    }
}

fn why(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(CertificateError::UnknownIssuer) => "its authority is not trusted on this machine".into(),
        Error::InvalidCertificate(CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. }) => {
            "it is for another name".into()
        }
        Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => "it has expired".into(),
        Error::InvalidCertificate(CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. }) => {
            "it is not valid yet".into()
        }
        other => other.to_string(),
    }
}

/// Returns the last moment at which a certificate is valid: the one that a verification in the far
/// future reports. Dates are examined before the chain, so any authority serves.
fn end_of(verifier: &WebPkiServerVerifier, certificate: &CertificateDer<'_>) -> Option<SystemTime> {
    let far = UnixTime::since_unix_epoch(Duration::from_secs(250_000_000_000)); // the year 9892; dates of certificates end in 9999
    let name = ServerName::try_from("contoso.test").ok()?;
    match verifier.verify_server_cert(certificate, &[], &name, &[], far) {
        Err(Error::InvalidCertificate(CertificateError::ExpiredContext { not_after, .. })) => {
            Some(SystemTime::UNIX_EPOCH + Duration::from_secs(not_after.as_secs()))
        }
        _ => None,
    }
}

/// Returns the end of the first certificate in a PEM file.
pub fn end_of_file(path: &Path) -> Result<SystemTime, String> {
    use tokio_rustls::rustls::pki_types::pem::PemObject;
    let failed = |error: String| format!("{}: {error}", path.display());
    let certificate = CertificateDer::from_pem_file(path).map_err(|error| failed(error.to_string()))?;
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).map_err(|error| failed(error.to_string()))?;
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::new(ring::default_provider())).build();
    let verifier = verifier.map_err(|error| failed(error.to_string()))?;
    end_of(&verifier, &certificate).ok_or_else(|| failed("the certificate has no readable end".into()))
}
