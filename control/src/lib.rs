//! Everything that changes a running server or looks into it, beside files and signals.
//!
//! ```text
//! HTTP (/v1, PowerDNS) ─┐                        ┌─▶ postern_zones::edit::Editor ─▶ store thread ─▶ journal, snapshot
//! UPDATE, NOTIFY, AXFR ─┼─▶ Control ─ reads ─────┼─▶ postern_dns::state::State (snapshot, routes, cache)
//! metrics, health ──────┘                        └─▶ Host: what only the program can do (reload, configuration)
//! ```
//! A change has one path, whatever brings it: [`postern_zones::edit`]. Nothing here is on the path of a query.
#![forbid(unsafe_code)]

pub mod azure;
mod credentials;
pub mod feed;
pub mod health;
pub mod http;
pub mod messages;
pub mod metrics;
mod powerdns;
mod reply;
mod requester;
mod runtime;
pub mod transfer;
pub mod tsig;
pub mod update;
mod v1;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use postern_config::model::ApiConfig;
use postern_config::{PosternConfig, WatchedFile};
use postern_dns::fallback::FallbackRecorder;
use postern_dns::listen::StreamService;
use postern_dns::server::ServerGauges;
use postern_dns::state::State;
use postern_zones::edit::{EditResult, Refusal, StoreTask, ZoneEdit, ZoneEditor};
use postern_zones::state_directory::StateDirectory;

/// State that all interfaces share.
pub struct Control {
    /// Changes zones.
    pub editor: ZoneEditor,
    /// Data that is served now.
    pub state: Arc<ArcSwap<State>>,
    /// Where the server keeps its own data.
    pub state_directory: Arc<StateDirectory>,
    /// The fallback ledger.
    pub recorder: Arc<FallbackRecorder>,
    /// Counters of the server.
    pub gauges: ServerGauges,
    /// Asks as clients do.
    pub streams: Arc<StreamService>,
    /// Readers of the private endpoints of Azure.
    pub azure: azure::AzureReaders,
    /// Zones that other systems write.
    pub feeds: Arc<feed::Feeds>,
    /// Servers that receive a NOTIFY when zones change.
    pub transfers: Arc<transfer::Transfers>,
    /// Tasks that must not end.
    pub vitals: health::TaskLiveness,
    /// The program.
    pub host: Arc<dyn Host>,
}

/// Operations that only the program can do.
pub trait Host: Send + Sync {
    /// Reads the configuration and every source again, as SIGHUP does. `accepted` names what may lose data this time: zones as `ZONE` or
    /// `ZONE@NETWORK`, and `configuration`. An error is the reason why nothing changed.
    fn reload(&self, accepted: &[String]) -> Result<(), String>;

    /// The configuration as it is applied.
    fn config(&self) -> Arc<PosternConfig>;

    /// Returns the results of reloads so far.
    fn reloads(&self) -> Reloads;

    /// True from the moment on in which a stop was asked for.
    fn is_stopping(&self) -> bool;

    /// True while changes of sources are seen and edits are made.
    fn is_watching(&self) -> bool;

    /// Lines of the log that standard error did not take.
    fn log_lines_dropped(&self) -> u64;
}

/// Results of reloads.
#[derive(Debug, Clone)]
pub struct Reloads {
    /// When the server started.
    pub started: SystemTime,
    /// Reloads that were applied.
    pub applied: u64,
    /// Reloads that were refused.
    pub refused: u64,
    /// Why the last one was; none: it was applied.
    pub refusal: Option<String>,
    /// When a configuration was last applied: at the start, at first.
    pub last_applied: SystemTime,
    /// How long the last one took.
    pub took: Duration,
}

/// Starts to serve every interface on the sockets of the API. Also returns the content of the files of keys and certificates.
pub fn start_http(api: &ApiConfig, bound: http::HttpSockets, control: Arc<Control>) -> Result<(http::Http, Vec<WatchedFile>), String> {
    http::start(api, bound, control, interfaces())
}

/// Every interface that speaks HTTP: one line each.
fn interfaces() -> [http::Interface; 3] {
    [http::Interface::new(v1::routes()), powerdns::interface(), http::Interface::new(metrics::routes())]
}

/// Every kind of feed: one line each.
static FEEDS: [feed::NewFeed; 2] = [transfer::secondary::SecondaryZone::feed, azure::AzureZone::feed];

/// Returns the feeds of all kinds, without tasks.
pub fn feeds() -> Arc<feed::Feeds> {
    feed::Feeds::new(&FEEDS)
}

/// File descriptors that connections to the socket and to the listener of metrics may take.
pub fn descriptors() -> usize {
    http::SOCKET_CONNECTIONS + metrics::CONNECTIONS
}

impl Control {
    /// Makes a change; back once it is on the disk and served, or refused.
    pub async fn edit(&self, edit: ZoneEdit) -> Result<EditResult, Refusal> {
        self.ask(|answer| StoreTask::Edit(edit, answer)).await
    }

    /// Has the store do something: `task` makes it from the answer's way back.
    pub async fn ask<T: Send + 'static>(&self, task: impl FnOnce(postern_zones::edit::ReplyFn<T>) -> StoreTask) -> Result<T, Refusal> {
        let (reply, answer) = tokio::sync::oneshot::channel();
        self.editor.submit(task(Box::new(move |result| {
            let _ = reply.send(result); // nobody waits any more: the change is made all the same
        })));
        answer.await.unwrap_or(Err(Refusal::Stopped))
    }
}

impl std::fmt::Debug for Control {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Control").finish_non_exhaustive()
    }
}
