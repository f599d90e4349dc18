//! `/v1/cache`: what upstreams said, looked at and forgotten.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use postern_dns::cache::{EntryAge, EntryKind, KeyedEntry};
use postern_dns::clock::Now;
use postern_zones::name::NameBuf;
use postern_zones::text::rdata::type_name;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Refusals;
use super::rrsets::bad_parameter;
use crate::Control;
use crate::http::{Caller, Problem, Query};

/// The part of the cache that is shown or flushed.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Below {
    /// Only entries at and below this name. Absent: all entries.
    name: Option<String>,
}

/// How much of it.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct HowMuch {
    /// Largest number of entries to show.
    #[param(minimum = 0, maximum = 10_000, default = 1000)]
    limit: Option<usize>,
}

/// The cache.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Cache {
    /// Use of its memory.
    #[serde(flatten)]
    fill: Fill,
    /// Entries, in no particular order.
    held: Vec<CacheEntry>,
    /// True if there are more entries than are shown.
    more: bool,
}

/// Use of the cache's memory.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Fill {
    /// Number of entries.
    entries: usize,
    /// Bytes in use.
    bytes: u64,
    /// Largest number of bytes (`cache.size`).
    limit: u64,
    /// Number of entries that were evicted to make room for others.
    evicted: u64,
}

/// An entry: data of an upstream for a name and type.
#[derive(Debug, Serialize, ToSchema)]
struct CacheEntry {
    /// Owner, absolute.
    name: String,
    /// The type that was asked.
    #[serde(rename = "type")]
    rtype: String,
    /// `set`, `alias`, `no-data`, `nxdomain` or `failure`.
    what: &'static str,
    /// Records.
    records: u16,
    /// Seconds left of its TTL; 0: it is stale.
    ttl: u32,
    /// It is past its TTL.
    stale: bool,
    /// Who said it.
    upstream: String,
    /// It was asked with DO.
    dnssec_ok: bool,
    /// It was asked with CD.
    checking_disabled: bool,
}

/// Result of a flush.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Flushed {
    /// Entries.
    forgotten: usize,
}

const USUAL: usize = 1_000;
const MOST: usize = 10_000;

impl Fill {
    /// As of this moment.
    pub fn of(cache: &postern_dns::cache::UpstreamCache) -> Self {
        Self { entries: cache.len(), bytes: cache.weight(), limit: cache.size(), evicted: cache.evicted() }
    }
}

impl CacheEntry {
    fn of(held: &KeyedEntry, now: Now) -> Self {
        let age = held.entry.age(now);
        Self {
            name: held.name.to_string(),
            rtype: type_name(held.rtype).into_owned(),
            what: match held.entry.what {
                EntryKind::Set => "set",
                EntryKind::Alias => "alias",
                EntryKind::NoData => "no-data",
                EntryKind::NxDomain => "nxdomain",
                EntryKind::Failure => "failure",
            },
            records: held.entry.count,
            ttl: if let EntryAge::Fresh(age) = age { held.entry.ttl.saturating_sub(age) } else { 0 },
            stale: !matches!(age, EntryAge::Fresh(_)),
            upstream: held.entry.upstream.to_string(),
            dnssec_ok: held.dnssec_ok,
            checking_disabled: held.checking_disabled,
        }
    }
}

impl Below {
    fn name(&self) -> Result<Option<NameBuf>, Problem> {
        let parse = |text: &String| NameBuf::parse(text).map_err(|error| bad_parameter("name", format!("`{text}` is not a name: {error}")));
        self.name.as_ref().map(parse).transpose()
    }
}

/// Shows what the cache holds.
#[utoipa::path(get, path = "/v1/cache", operation_id = "show_cache", tag = "insight", params(Below, HowMuch), responses((status = 200, body = Cache), Refusals))]
pub(super) async fn look(
    caller: Caller,
    State(control): State<Arc<Control>>,
    Query(below): Query<Below>,
    Query(how_much): Query<HowMuch>,
) -> Result<Json<Cache>, Problem> {
    caller.must_see_all()?;
    let name = below.name()?.unwrap_or(NameBuf::root());
    let most = how_much.limit.unwrap_or(USUAL).min(MOST);
    let (cache, now) = (control.state.load().cache.clone(), control.streams.service.clock.now());
    let look = move || {
        let (held, more) = cache.below(&name, most);
        Cache { fill: Fill::of(&cache), held: held.iter().map(|held| CacheEntry::of(held, now)).collect(), more }
    };
    on_a_thread(look).await
}

/// Forgets what the cache holds, or what it holds at and below a name.
#[utoipa::path(delete, path = "/v1/cache", operation_id = "flush_cache", tag = "insight", params(Below), responses((status = 200, body = Flushed), Refusals))]
pub(super) async fn flush(
    caller: Caller,
    State(control): State<Arc<Control>>,
    Query(below): Query<Below>,
) -> Result<Json<Flushed>, Problem> {
    caller.must_be_admin()?;
    let name = below.name()?;
    let cache = control.state.load().cache.clone();
    tracing::info!(target: "postern", by = %caller.who, name = name.as_ref().map(tracing::field::display), "cache flushed");
    let flush = move || match name {
        Some(name) => Flushed { forgotten: cache.forget_below(&name) },
        None => {
            let forgotten = cache.len();
            cache.clear();
            Flushed { forgotten }
        }
    };
    on_a_thread(flush).await
}

/// The whole cache is walked, which may take longer than other requests should wait.
async fn on_a_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<Json<T>, Problem> {
    let stopped = |_| Problem::new(axum::http::StatusCode::SERVICE_UNAVAILABLE, "the server is stopping");
    tokio::task::spawn_blocking(work).await.map(Json).map_err(stopped)
}
