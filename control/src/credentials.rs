//! Certificates and keys of listeners.
//!
//! A listener reads all of its files at once with [`CredentialFiles`], and makes its settings from their content: the files that a reload
//! watches are then those that are used. A reload reads them again, and a listener keeps its settings if one of them is bad.

use std::fmt::Display;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use postern_config::WatchedFile;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

/// Files of keys and certificates, each read once.
pub(crate) struct CredentialFiles(Vec<(PathBuf, io::Result<Vec<u8>>)>);

/// Paths of the files that TLS needs. All of them must be among the [`CredentialFiles`].
pub(crate) struct TlsPaths<'p> {
    pub certificate: &'p Path,
    pub private_key: &'p Path,
    /// Authorities of client certificates. `None` if clients need no certificate.
    pub client_ca: Option<&'p Path>,
}

impl CredentialFiles {
    /// Reads the files at these paths.
    pub fn read<'p>(paths: impl IntoIterator<Item = &'p PathBuf>) -> Self {
        let mut files: Vec<(PathBuf, io::Result<Vec<u8>>)> = Vec::new();
        for path in paths {
            if files.iter().all(|(other, _)| other != path) {
                files.push((path.clone(), postern_config::read(path)));
            }
        }
        Self(files)
    }

    /// Returns the content of a file, or the error that reading it gave.
    pub fn content(&self, path: &Path) -> &io::Result<Vec<u8>> {
        let (_, content) = self.0.iter().find(|(other, _)| other == path).expect("every path of the listener was read");
        content
    }

    /// Returns the files with their content, for the watch.
    pub fn as_read(&self) -> Vec<WatchedFile> {
        self.0.iter().map(|(path, content)| WatchedFile::of(path, content)).collect()
    }

    /// Returns the TLS settings of a listener that speaks these protocols (ALPN).
    pub fn server_config(&self, paths: &TlsPaths<'_>, protocols: &[&[u8]]) -> Result<Arc<ServerConfig>, String> {
        let TlsPaths { certificate, private_key, client_ca } = paths;
        let chain = certificates(certificate, self)?;
        let no_key = |error: &dyn Display| format!("{}: no private key: {error}", private_key.display());
        let pem = self.content(private_key).as_ref().map_err(|error| no_key(error))?;
        let key = PrivateKeyDer::from_pem_slice(pem).map_err(|error| no_key(&error))?;
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| format!("TLS cannot be set up: {error}"))?;
        let builder = match client_ca {
            None => builder.with_no_client_auth(),
            Some(path) => {
                let mut roots = RootCertStore::empty();
                for certificate in certificates(path, self)? {
                    roots.add(certificate).map_err(|error| format!("{}: not the certificate of an authority: {error}", path.display()))?;
                }
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
                builder.with_client_cert_verifier(verifier.map_err(|error| format!("{}: {error}", path.display()))?)
            }
        };
        let mut config = builder.with_single_cert(chain, key).map_err(|error| format!("{}: {error}", certificate.display()))?;
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        Ok(Arc::new(config))
    }
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
