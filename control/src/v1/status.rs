//! How the server and its upstreams are.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use postern_config::model::UpstreamTransport;
use serde::Serialize;
use utoipa::ToSchema;

use super::Refusals;
use super::cache::Fill;
use crate::Control;
use crate::azure::ReaderStatus;
use crate::http::{Caller, Problem};

/// How the server is.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Status {
    /// Version of the program.
    version: &'static str,
    /// Seconds since it started.
    uptime: u64,
    /// It should be asked (`/ready`).
    ready: bool,
    /// Problems, the worst first. Empty if there are none.
    ailments: Vec<String>,
    /// Generation of the data that is served.
    generation: u64,
    /// Zones.
    zones: usize,
    /// Sets of overrides, one for each `[[override]]`.
    overrides: usize,
    /// Records in all of them.
    records: usize,
    /// Reloads that were applied.
    reloads_applied: u64,
    /// Reloads that were refused.
    reloads_refused: u64,
    /// How full the cache is.
    cache: Fill,
    /// Queues and their bounds.
    queues: Queues,
    /// Fallbacks since the start.
    fallbacks: u64,
    /// Fallbacks that found the queue full: they are in no list and no file.
    fallbacks_dropped: u64,
    /// Who is asked what is not ours.
    upstreams: Vec<Upstream>,
    /// Readers of the private endpoints of Azure that zones use.
    azure: Vec<AzureStatus>,
}

/// A reader of the private endpoints of Azure.
#[derive(Debug, Serialize, ToSchema)]
struct AzureStatus {
    /// Name of the `[[azure]]`.
    name: String,
    /// Seconds since the last good reading; null: there was none since the start.
    age: Option<u64>,
    /// Endpoints that are approved and have names.
    approved: usize,
    /// Endpoints in another state, or without names.
    others: usize,
    /// Endpoints that are kept although their subscription may not be read.
    hidden: usize,
    /// Why the last reading failed or was not complete; null: it was good.
    error: Option<String>,
}

/// The queues of the server.
#[derive(Debug, Serialize, ToSchema)]
struct Queues {
    /// Questions that wait for upstreams.
    pending: Queue,
    /// Questions on their way to the resolver.
    resolver: Queue,
    /// Fallbacks that wait for their writer.
    fallbacks: Queue,
    /// Changes that wait for the store.
    edits: Queue,
    /// TCP connections.
    tcp: Queue,
}

/// Length and bound of a queue.
#[derive(Debug, Serialize, ToSchema)]
struct Queue {
    /// Now.
    length: usize,
    /// At most.
    limit: usize,
}

/// An upstream.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Upstream {
    /// As logs write it.
    name: String,
    /// Address and port.
    address: String,
    /// `udp` or `tcp`.
    transport: &'static str,
    /// `up`, `poor`, `down`, or `loop`: it leads back to this server.
    condition: String,
    /// Smoothed round-trip time, seconds; null: not measured yet.
    round_trip: Option<f64>,
    /// Questions outstanding.
    in_flight: u32,
    /// Questions that wait because its limits are reached.
    queued: u32,
    /// Questions sent, retries and probes included.
    asked: u64,
    /// Useful answers.
    answered: u64,
    /// SERVFAIL, REFUSED and the like.
    failed: u64,
    /// Questions that got no answer in time.
    lost: u64,
}

/// Tells how the server is.
#[utoipa::path(get, path = "/v1/status", operation_id = "status", tag = "insight", responses((status = 200, body = Status), Refusals))]
pub(super) async fn status(caller: Caller, State(control): State<Arc<Control>>) -> Result<Json<Status>, Problem> {
    caller.must_see_all()?;
    let (state, config) = (control.state.load_full(), control.host.config());
    let (health, reloads) = (control.health(), control.host.reloads());
    let resolver = control.gauges.resolver();
    let (waiting, room) = resolver.waiting();
    let hosted = state.snapshot.hosted();
    Ok(Json(Status {
        version: env!("CARGO_PKG_VERSION"),
        uptime: reloads.started.elapsed().map_or(0, |since| since.as_secs()),
        ready: health.failing.is_empty(),
        ailments: health.lines().map(str::to_owned).collect(),
        generation: state.snapshot.generation,
        zones: hosted.iter().filter(|link| link.hosted.overrides.is_none()).count(),
        overrides: hosted.iter().filter(|link| link.hosted.overrides.is_some()).count(),
        records: hosted.iter().map(|link| link.hosted.records()).sum(),
        reloads_applied: reloads.applied,
        reloads_refused: reloads.refused,
        cache: Fill::of(&state.cache),
        queues: Queues {
            pending: Queue { length: resolver.counts().pending, limit: config.limits.pending },
            resolver: Queue { length: waiting, limit: room },
            fallbacks: Queue { length: control.recorder.waiting(), limit: control.recorder.room() },
            edits: Queue { length: control.editor.waiting(), limit: postern_zones::edit::MOST_WAITING },
            tcp: Queue { length: control.gauges.connections().open(), limit: config.limits.tcp_connections },
        },
        fallbacks: control.recorder.counts().iter().map(|counted| counted.count).sum(),
        fallbacks_dropped: control.recorder.dropped(),
        upstreams: all_upstreams(&control),
        azure: control.azure.status().into_iter().map(AzureStatus::of).collect(),
    }))
}

impl AzureStatus {
    fn of(reader: ReaderStatus) -> Self {
        let age = reader.last_success.and_then(|last| last.elapsed().ok()).map(|age| age.as_secs());
        let ReaderStatus { name, approved, others, hidden, error, .. } = reader;
        Self { name, age, approved, others, hidden, error }
    }
}

/// Tells how each upstream is.
#[utoipa::path(get, path = "/v1/upstreams", operation_id = "list_upstreams", tag = "insight", responses((status = 200, body = [Upstream]), Refusals))]
pub(super) async fn upstreams(caller: Caller, State(control): State<Arc<Control>>) -> Result<Json<Vec<Upstream>>, Problem> {
    caller.must_see_all()?;
    Ok(Json(all_upstreams(&control)))
}

fn all_upstreams(control: &Control) -> Vec<Upstream> {
    let upstream = |of: postern_dns::upstream::UpstreamStatus| Upstream {
        name: of.name.to_string(),
        address: of.address.to_string(),
        transport: match of.transport {
            UpstreamTransport::Udp => "udp",
            UpstreamTransport::Tcp => "tcp",
        },
        condition: of.condition.to_string(),
        round_trip: of.round_trip.map(|micros| f64::from(micros) / 1e6),
        in_flight: of.in_flight,
        queued: of.queued,
        asked: of.asked,
        answered: of.answered,
        failed: of.failed,
        lost: of.lost,
    };
    control.gauges.resolver().upstreams().into_iter().map(upstream).collect()
}

/// The configuration as it is applied.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Configuration {
    /// The file; null: there is none.
    file: Option<String>,
    /// Every key.
    settings: Vec<Setting>,
}

/// A key as it counts.
#[derive(Debug, Serialize, ToSchema)]
struct Setting {
    /// Section, without brackets.
    section: String,
    /// Of a section that is a list: which of its tables, by name, else by number from 1.
    table: Option<String>,
    /// Key.
    key: String,
    /// TOML; null: the key is absent and has no default. Secrets are hidden.
    value: Option<String>,
    /// Meaning of an absent key that has no default.
    absent: Option<String>,
    /// Line of the file that says so; null: it is the default.
    line: Option<u32>,
}

/// Shows the configuration as it is applied, and where each value comes from.
#[utoipa::path(get, path = "/v1/configuration", operation_id = "show_configuration", tag = "insight",
    responses((status = 200, body = Configuration), Refusals))]
pub(super) async fn configuration(caller: Caller, State(control): State<Arc<Control>>) -> Result<Json<Configuration>, Problem> {
    caller.must_see_all()?;
    let config = control.host.config();
    let setting = |one: &postern_config::EffectiveSetting| Setting {
        section: one.section.into(),
        table: one.table.clone(),
        key: one.key.into(),
        value: one.value.clone(),
        absent: one.absent.map(str::to_owned),
        line: one.line,
    };
    let file = config.path.as_ref().map(|path| path.display().to_string());
    Ok(Json(Configuration { file, settings: config.settings.iter().map(setting).collect() }))
}
