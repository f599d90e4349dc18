//! Settings of the listener that a reload may change.

use std::sync::Arc;

use arc_swap::ArcSwap;
use postern_config::model::ApiConfig;
use tokio::sync::watch;
use tokio_rustls::rustls::ServerConfig;

use super::keys::ApiKeys;
use super::rate::Rate;
use crate::credentials::{CredentialFiles, TlsPaths};

/// Settings of the listener that a reload may change, and the notice that it did.
#[derive(Debug)]
pub(crate) struct HttpSettings {
    now: ArcSwap<CurrentSettings>,
    pub(super) rate: Rate,
    /// Wakes the listeners after a change.
    changed: watch::Sender<()>,
}

/// The current settings.
#[derive(Debug)]
pub(super) struct CurrentSettings {
    /// `None` if no key is required.
    pub keys: Option<ApiKeys>,
    pub rate: u32,
    pub max_body: u64,
    pub tls: Option<Arc<ServerConfig>>,
}

impl HttpSettings {
    /// With the settings of the start.
    pub(super) fn new(now: CurrentSettings) -> Self {
        Self { now: ArcSwap::from_pointee(now), rate: Rate::default(), changed: watch::Sender::new(()) }
    }

    /// Replaces the settings of the moment, and tells those who wait for changes.
    pub(super) fn replace(&self, now: CurrentSettings) {
        self.now.store(Arc::new(now));
        self.changed.send_replace(());
    }

    pub(super) fn now(&self) -> Arc<CurrentSettings> {
        self.now.load_full()
    }

    pub(super) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }
}

impl CurrentSettings {
    pub(super) fn of(api: &ApiConfig, files: &CredentialFiles) -> Result<Self, String> {
        let keys = match &api.key_file {
            Some(path) => Some(ApiKeys::of(path, files.content(path)).map_err(|wrong| wrong.to_string())?),
            None => None,
        };
        Ok(Self { keys, rate: api.rate, max_body: api.max_body, tls: tls(api, files)? })
    }
}

/// The settings of TLS. `None` if `[api]` names no certificate.
fn tls(api: &ApiConfig, files: &CredentialFiles) -> Result<Option<Arc<ServerConfig>>, String> {
    let (Some(certificate), Some(private_key)) = (&api.certificate, &api.private_key) else { return Ok(None) };
    let paths = TlsPaths { certificate, private_key, client_ca: api.client_ca.as_deref() };
    files.server_config(&paths, &[b"http/1.1"]).map(Some)
}
