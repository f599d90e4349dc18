//! TLS of the listener, from files.

use std::fmt::Display;
use std::path::Path;
use std::sync::Arc;

use postern_config::model::ApiConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

use super::files::CredentialFiles;

/// What `certificate`, `private-key` and `client-ca` say; none: no TLS.
pub(super) fn read(api: &ApiConfig, files: &CredentialFiles) -> Result<Option<Arc<ServerConfig>>, String> {
    let (Some(certificate), Some(private_key)) = (&api.certificate, &api.private_key) else { return Ok(None) };
    let chain = certificates(certificate, files)?;
    let no_key = |error: &dyn Display| format!("{}: no private key: {error}", private_key.display());
    let pem = files.content(private_key).as_ref().map_err(|error| no_key(error))?;
    let key = PrivateKeyDer::from_pem_slice(pem).map_err(|error| no_key(&error))?;
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS cannot be set up: {error}"))?;
    let builder = match &api.client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates(path, files)? {
                roots.add(certificate).map_err(|error| format!("{}: not the certificate of an authority: {error}", path.display()))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            builder.with_client_cert_verifier(verifier.map_err(|error| format!("{}: {error}", path.display()))?)
        }
    };
    let mut config = builder.with_single_cert(chain, key).map_err(|error| format!("{}: {error}", certificate.display()))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Some(Arc::new(config)))
}

fn certificates(path: &Path, files: &CredentialFiles) -> Result<Vec<CertificateDer<'static>>, String> {
    let none = |error: &dyn Display| format!("{}: no certificate: {error}", path.display());
    let pem = files.content(path).as_ref().map_err(|error| none(error))?;
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().map_err(|error| none(&error))?;
    if certificates.is_empty() {
        return Err(format!("{}: no certificate: the file has none", path.display()));
    }
    Ok(certificates)
}
