//! What a reload may change of the listener.

use std::sync::Arc;

use arc_swap::ArcSwap;
use postern_config::model::Api;
use tokio::sync::watch;
use tokio_rustls::rustls::ServerConfig;

use super::files::Files;
use super::keys::Keys;
use super::rate::Rate;
use super::tls;

/// What a reload may change.
#[derive(Debug)]
pub(crate) struct Settings {
    now: ArcSwap<Now>,
    pub(super) rate: Rate,
    /// Says that there are others.
    changed: watch::Sender<()>,
}

/// The settings of the moment.
#[derive(Debug)]
pub(super) struct Now {
    /// None: no keys are needed.
    pub keys: Option<Keys>,
    pub rate: u32,
    pub max_body: u64,
    pub tls: Option<Arc<ServerConfig>>,
}

impl Settings {
    /// With the settings of the start.
    pub(super) fn new(now: Now) -> Self {
        Self { now: ArcSwap::from_pointee(now), rate: Rate::default(), changed: watch::Sender::new(()) }
    }

    /// Replaces the settings of the moment, and tells those who wait for changes.
    pub(super) fn replace(&self, now: Now) {
        self.now.store(Arc::new(now));
        self.changed.send_replace(());
    }

    pub(super) fn now(&self) -> Arc<Now> {
        self.now.load_full()
    }

    pub(super) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }
}

impl Now {
    pub(super) fn of(api: &Api, files: &Files) -> Result<Self, String> {
        let keys = match &api.key_file {
            Some(path) => Some(Keys::of(path, files.content(path)).map_err(|wrong| wrong.to_string())?),
            None => None,
        };
        Ok(Self { keys, rate: api.rate, max_body: api.max_body, tls: tls::read(api, files)? })
    }
}
