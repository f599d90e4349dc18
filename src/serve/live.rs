//! The running server, and its reaction to file changes and signals.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use postern_config::{PosternConfig, RejectedConfig};
use postern_control::Control;
use postern_control::http::{self, Http};
use postern_control::messages::Inbox;
use postern_dns::fallback;
use postern_dns::server::Server;
use postern_zones::snapshot::Snapshot;
use postern_zones::state_directory::StateDirectory;
use postern_zones::store::{LookReport, Store};
use postern_zones::watch::WatchEvent;

use super::accept::AcceptedLoss;
use super::descriptors;
use super::kept;
use super::reload_status::ReloadStatus;
use super::restart::keep_what_needs_a_restart;
use crate::logging::ProcessLog;
use crate::systemd;

/// Number of additional zones that the open-file limit allows, so that not every new zone changes
/// it.
const SPARE_ZONES: usize = 16;

/// Everything that a reload affects.
pub struct RunningServer {
    /// The applied configuration. Settings that need a restart have their values from startup.
    config: PosternConfig,
    server: Server,
    writer: fallback::FallbackWriter,
    logging: ProcessLog,
    /// The API. `None` until it serves.
    api: Option<Http>,
    /// Holds the keys of the configuration.
    inbox: Arc<Inbox>,
    /// Stores the accepted configuration.
    state: Arc<StateDirectory>,
    /// Number of zones that the open-file limit allows.
    room_for: usize,
    /// Reason why the last reload was rejected. `None` if it was applied.
    refused: Option<String>,
    /// Zones whose source has errors. They serve their last good data, if any.
    bad: Vec<Arc<str>>,
    /// Status for the interfaces.
    standing: Arc<ReloadStatus>,
}

/// Reason why a reload changed nothing.
enum ReloadFailure {
    /// The operator accepts the loss of a zone that does not exist. The configuration itself may be
    /// valid.
    UnknownZone(String),
    /// The configuration cannot be applied.
    Refused(String),
}

impl From<String> for ReloadFailure {
    fn from(why: String) -> Self {
        Self::Refused(why)
    }
}

/// Locks the server. After a panic under the lock, the server can still serve.
pub fn lock(live: &Mutex<RunningServer>) -> MutexGuard<'_, RunningServer> {
    live.lock().unwrap_or_else(PoisonError::into_inner)
}

impl RunningServer {
    /// Creates the state of a server that has just started.
    pub fn new(
        config: PosternConfig,
        server: Server,
        writer: fallback::FallbackWriter,
        logging: ProcessLog,
        inbox: Arc<Inbox>,
        state: Arc<StateDirectory>,
    ) -> Self {
        let standing = ReloadStatus::new(&config, logging.lines());
        Self { config, server, writer, logging, api: None, inbox, state, room_for: 0, refused: None, bad: Vec::new(), standing }
    }

    /// Records the configuration file as a rejected reload, because the last accepted configuration
    /// is in use.
    pub fn refuse(&mut self, loss: String) {
        tracing::error!(target: "postern", "the configuration was truncated while the server was down, using the last accepted one: {loss}");
        self.standing.reloaded(Some(&loss), Duration::ZERO);
        self.refused = Some(loss);
    }

    /// Returns the status for the interfaces.
    pub fn standing(&self) -> Arc<ReloadStatus> {
        self.standing.clone()
    }

    /// Returns the part that answers DNS.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// Starts the API with the current configuration, which may have changed since startup.
    pub fn start_api(&mut self, bound: http::HttpSockets, control: Arc<Control>) -> Result<&Http, String> {
        let (api, read) = postern_control::start_http(&self.config.api, bound, control)?;
        self.config.note(&read);
        Ok(self.api.insert(api))
    }

    /// Returns the addresses of the API.
    pub fn api_addresses(&self) -> Vec<SocketAddr> {
        self.api.as_ref().map(|api| api.addresses().to_vec()).unwrap_or_default()
    }

    /// Removes the API for a stop, and returns it with the time for pending requests.
    pub fn take_api(&mut self) -> Option<(Http, Duration)> {
        self.api.take().map(|api| (api, self.config.server.drain))
    }

    /// Reports that the server answers queries.
    pub fn ready(&mut self, store: &mut Store) {
        store.attend(&self.config.files); // with the files of the API
        if self.refused.is_none() {
            kept::keep(&self.config, &self.state);
        }
        self.see_sources(store);
        let snapshot = self.server.snapshot();
        let zones = snapshot.hosted().len();
        let records: usize = snapshot.hosted().iter().map(|link| link.hosted.records()).sum();
        tracing::info!(target: "postern", zones, records, generation = snapshot.generation, "ready");
        systemd::ready(&self.status());
    }

    /// Handles a change of a source or of a configuration file.
    pub fn on_event(&mut self, store: &mut Store, event: WatchEvent) {
        match event {
            WatchEvent::Looked(snapshot, report) => {
                self.publish(snapshot, &report);
                self.see_sources(store);
                systemd::status(&self.status());
            }
            WatchEvent::Edited(snapshot, _) => {
                self.make_room(snapshot.hosted().len());
                self.server.publish(snapshot);
            }
            WatchEvent::Files(paths) => {
                paths.iter().for_each(|path| tracing::info!(target: "postern", file = %path.display(), "changed"));
                // The log and the status contain the reason of a failure.
                let _ = self.reload(store, &AcceptedLoss::default());
            }
        }
    }

    /// Reads the configuration and all sources again, and applies what it can. Nothing changes if
    /// the configuration has errors, or if it drops most of its parts without being accepted.
    pub fn reload(&mut self, store: &mut Store, accepted: &AcceptedLoss) -> Result<(), String> {
        systemd::reloading();
        let start = Instant::now();
        self.refused = match self.try_reload(store, accepted) {
            Ok(()) => None,
            Err(ReloadFailure::Refused(why)) => Some(why),
            Err(ReloadFailure::UnknownZone(why)) => {
                tracing::warn!(target: "postern", "not reloaded: {why}");
                systemd::ready(&self.status());
                return Err(why);
            }
        };
        self.standing.reloaded(self.refused.as_deref(), start.elapsed());
        match &self.refused {
            None => tracing::info!(target: "postern", generation = self.server.snapshot().generation, "reloaded"),
            Some(why) => tracing::error!(target: "postern", "reload rejected, keeping the current configuration: {why}"),
        }
        self.see_sources(store);
        systemd::ready(&self.status());
        self.refused.clone().map_or(Ok(()), Err)
    }

    /// Reopens the file of the fallback record.
    pub fn reopen(&self) {
        self.writer.reopen();
        tracing::info!(target: "postern", "fallback record reopened");
    }

    /// Completes pending queries, writes pending fallbacks, and stops.
    pub fn stop(self) {
        self.server.stop(self.config.server.drain);
        self.writer.stop();
    }

    fn try_reload(&mut self, store: &mut Store, accepted: &AcceptedLoss) -> Result<(), ReloadFailure> {
        let config = match &self.config.path {
            Some(path) => {
                if std::fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
                    // A pipe cannot be read twice.
                    return Err(format!("{}: not a file, so it cannot be read again", path.display()).into());
                }
                let loaded = postern_config::load(path).map_err(|RejectedConfig { problems, files }| {
                    store.attend(&files);
                    problems.iter().for_each(|problem| tracing::error!(target: "postern", "{problem}"));
                    let more = if problems.len() == 1 { String::new() } else { format!(" and {} more", problems.len() - 1) };
                    format!("{}{more}", problems.first().map(ToString::to_string).unwrap_or_default())
                })?;
                loaded.warnings.iter().for_each(|warning| tracing::warn!(target: "postern", "{warning}"));
                let mut config = loaded.config;
                self.room_for = 0; // the next change of zones checks the limit again
                let journals = descriptors::journals(&self.config); // another `server.state` needs a restart
                if let Some(warning) = descriptors::fit(&mut config, journals) {
                    tracing::warn!(target: "postern", "{warning}");
                }
                config
            }
            None => self.config.clone(),
        };
        // Before the file counts as read.
        accepted.check_zones(&config).map_err(ReloadFailure::UnknownZone)?;
        store.attend(&config.files);
        accepted.check(&self.config, &config)?;
        let (mut config, kept) = keep_what_needs_a_restart(&self.config, config);
        for key in kept {
            tracing::warn!(target: "postern", "`{key}` changed, and takes effect after a restart");
        }
        // Steps that can fail come first, so that a rejected reload changes nothing.
        if config.fallback != self.config.fallback {
            self.writer.reconfigure(&config.fallback).map_err(|error| format!("cannot write the fallback record: {error}"))?;
        }
        self.logging.reconfigure(&config.log)?;
        let (read, taken) = match &self.api {
            Some(api) => api.reconfigure(&config.api),
            None => http::check(&config.api), // the API has not started yet
        };
        config.note(&read);
        store.attend(&config.files);
        taken?;
        let (snapshot, report) = store.reconfigure_accepting(&config, &accepted.zones);
        report.log();
        self.server.reconfigure(&config, snapshot);
        self.inbox.configure(&config);
        self.standing.configured(&config);
        self.config = config;
        kept::keep(&self.config, &self.state);
        Ok(())
    }

    /// Raises the open-file limit when an API created more zones than it allows. If the hard limit
    /// is lower, fewer connections are accepted.
    fn make_room(&mut self, zones: usize) {
        if zones <= self.room_for {
            return;
        }
        self.room_for = zones + SPARE_ZONES;
        let journals = self.room_for.saturating_sub(self.config.zones.len());
        let Some(warning) = descriptors::fit(&mut self.config, journals) else { return };
        tracing::warn!(target: "postern", "{warning}");
        self.server.bound_connections(&self.config.limits);
        self.api.iter().for_each(|api| api.bound(&self.config.api));
        self.standing.configured(&self.config);
    }

    fn publish(&mut self, snapshot: Arc<Snapshot>, report: &LookReport) {
        report.log();
        if report.is_new {
            self.server.publish(snapshot);
        }
    }

    fn see_sources(&mut self, store: &Store) {
        self.bad = store.zones().filter(|zone| !zone.state.is_good()).map(|zone| zone.name.clone()).collect();
    }

    /// Returns one line for `systemctl status`.
    fn status(&self) -> String {
        let snapshot = self.server.snapshot();
        let mut status = format!("{} zones, generation {}", snapshot.hosted().len(), snapshot.generation);
        if !self.bad.is_empty() {
            status += &format!("; bad sources, serving the last good data: {}", self.bad.join(", "));
        }
        if let Some(why) = &self.refused {
            status += &format!("; reload rejected: {why}");
        }
        status
    }
}
