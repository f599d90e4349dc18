//! `/v1/zones`: which zones there are; made, set, given up; what happened to them.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use postern_config::model::{NetworkLinks, OnMissing};
use postern_zones::edit::{NewZone as Made, Refusal, StoreTask, Via, ZoneRef, ZoneRemoval, ZoneSettings};
use postern_zones::name::NameBuf;
use postern_zones::snapshot::{Snapshot, ZoneLink, ZoneState};
use postern_zones::zone::{DEFAULT_TTL, RrSetChange};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Refusals;
use super::change::{Conditions, SaysMore};
use super::records::{data, hosted, network_names, owner, rdata, rtype, zone_etag};
use crate::Control;
use crate::http::{Body, Caller, Path, Problem, Query, RequestFault, part};

/// A zone.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Zone)]
pub(super) struct ZoneBody {
    /// Its id in paths: its name, or `name@network` if several zones have the name.
    id: String,
    /// Name, absolute.
    name: String,
    /// Networks it is linked to.
    networks: Vec<String>,
    /// Policy for a name that it lacks: `public`, `nxdomain` or `servfail`.
    on_missing: &'static str,
    /// Whether the fallback record has the names that it lacks.
    fallback: bool,
    /// The writer of its records.
    writer: ZoneWriter,
    /// SOA serial; null: it has no data.
    serial: Option<u32>,
    /// Records.
    records: usize,
    /// RRsets.
    rrsets: usize,
    /// Why it has no data; null: it has.
    unavailable: Option<String>,
}

/// Writer of a zone.
#[derive(Debug, Serialize, ToSchema)]
struct ZoneWriter {
    /// `api`, `transfer`, `file` or `none`.
    kind: &'static str,
    /// The file that most records come from, or where the first one would be added.
    file: Option<String>,
    /// All files that records come from.
    files: Vec<String>,
    /// Line of the configuration that declares the zone; null: it was made through the API.
    line: Option<u32>,
}

/// Zones.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Zones {
    /// In the order of their names.
    zones: Vec<ZoneBody>,
    /// Cursor of the next page; null: this is the last one.
    next: Option<String>,
}

/// Which zones are listed.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ZonePage {
    /// Where the last page ended.
    cursor: Option<String>,
    /// How many.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<usize>,
}

/// A zone to be made, or the zones of a preset.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewZone)]
pub(super) struct ZoneRequest {
    /// Name of the zone.
    name: Option<String>,
    /// Several zones at once: `azure-health-data-services` or `azure-health-data-services-usgov`.
    preset: Option<String>,
    /// Networks that it is linked to; none: all.
    #[serde(default)]
    networks: Vec<String>,
    /// Policy for a name that it lacks: `public`, `nxdomain` or `servfail`. Absent: `public` for a private-link zone, otherwise `nxdomain`.
    on_missing: Option<String>,
    /// Whether the fallback record has the names that it lacks. Absent: true for a private-link zone, else false.
    fallback: Option<bool>,
    /// Its first records.
    #[serde(default)]
    rrsets: Vec<NewSet>,
}

/// An RRset of a new zone.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewSet {
    /// Owner.
    name: String,
    /// Type.
    #[serde(rename = "type")]
    rtype: String,
    /// TTL, seconds; absent: 10.
    #[schema(maximum = 2_147_483_647)]
    ttl: Option<u32>,
    /// RDATA of each record.
    records: Vec<String>,
}

/// Changes to a zone's settings.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Settings)]
pub(super) struct ZoneSettingsBody {
    /// Networks that it is linked to; none: all.
    networks: Option<Vec<String>>,
    /// Policy for a name that it lacks: `public`, `nxdomain` or `servfail`.
    on_missing: Option<String>,
    /// Whether the fallback record has the names that it lacks.
    fallback: Option<bool>,
}

/// Losses that a removal accepts.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct AcceptedLosses {
    /// Remove a zone whose journal cannot be read, too. The file is kept beside under another name. Otherwise the request is rejected.
    #[serde(default)]
    discard_damaged: bool,
}

/// Changes of a zone, newest first.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = History)]
pub(super) struct HistoryBody {
    /// Each with what it took out and put in.
    changes: Vec<PastChange>,
}

/// A change that was made.
#[derive(Debug, Serialize, ToSchema)]
struct PastChange {
    /// Serial before.
    from: u32,
    /// Serial after.
    to: u32,
    /// When (RFC 3339).
    at: String,
    /// Who, which way, where from.
    by: String,
    /// Records taken out.
    removed: Vec<String>,
    /// Records put in.
    added: Vec<String>,
}

/// How much of the past.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct HowMany {
    /// How many changes.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<usize>,
}

const USUAL_PAGE: usize = 100;
const LARGEST_PAGE: usize = 1_000;

impl ZoneBody {
    fn of(snapshot: &Snapshot, link: &ZoneLink) -> Self {
        let hosted = &link.hosted;
        let name = &hosted.name;
        let is_alone = snapshot.hosted().iter().filter(|other| other.hosted.name == *name).count() == 1;
        let networks: Vec<String> = network_names(snapshot, link).into_iter().map(Into::into).collect();
        let id = if is_alone { name.to_string() } else { format!("{name}@{}", networks.first().map_or("", String::as_str)) };
        let (kind, file) = (hosted.origin.word(), hosted.origin.file().map(|file| file.display().to_string()));
        let zone = data(hosted).ok();
        let files = zone.map_or_else(Vec::new, |zone| zone.files().into_iter().map(|path| path.display().to_string()).collect());
        Self {
            id,
            name: hosted.apex.to_string(),
            networks,
            on_missing: hosted.on_missing.word(),
            fallback: hosted.fallback,
            writer: ZoneWriter { kind, file, files, line: hosted.declared.as_ref().map(|zone| zone.line) },
            serial: zone.map(|zone| zone.serial()),
            records: zone.map_or(0, |zone| zone.counts().records),
            rrsets: zone.map_or(0, |zone| zone.counts().sets),
            unavailable: match &hosted.state {
                ZoneState::Unavailable(reason) => Some(reason.to_string()),
                ZoneState::Serving(_) => None,
            },
        }
    }
}

/// Lists the zones that the caller may see.
#[utoipa::path(get, path = "/v1/zones", operation_id = "list_zones", tag = "zones", params(ZonePage),
    responses((status = 200, body = Zones), Refusals))]
pub(super) async fn list(caller: Caller, State(control): State<Arc<Control>>, Query(page): Query<ZonePage>) -> Json<Zones> {
    let state = control.state.load_full();
    let snapshot = &state.snapshot;
    let seen = snapshot.hosted().iter().filter(|link| caller.may_see(&link.hosted.name, &snapshot.meant_for(link)));
    let mut keyed: Vec<(String, &ZoneLink)> = seen.map(|link| (key(snapshot, link), link)).collect();
    keyed.sort_by(|one, other| one.0.cmp(&other.0));
    let start = page.cursor.map_or(0, |cursor| keyed.partition_point(|(key, _)| *key <= cursor));
    let limit = page.limit.unwrap_or(USUAL_PAGE).clamp(1, LARGEST_PAGE);
    let shown = &keyed[start..keyed.len().min(start.saturating_add(limit))];
    let next = (start + shown.len() < keyed.len()).then(|| shown.last().map(|(key, _)| key.clone())).flatten();
    Json(Zones { zones: shown.iter().map(|(_, link)| ZoneBody::of(snapshot, link)).collect(), next })
}

/// Sort key of zones: unique, and the same from one snapshot to the next.
fn key(snapshot: &Snapshot, link: &ZoneLink) -> String {
    format!("{}@{}", link.hosted.name, network_names(snapshot, link).first().unwrap_or(&""))
}

/// Shows a zone.
#[utoipa::path(get, path = "/v1/zones/{zone}", operation_id = "show_zone", tag = "zones",
    params(("zone" = String, Path, description = "The zone.", example = "contoso.test")), responses((status = 200, body = ZoneBody), Refusals))]
pub(super) async fn show(caller: Caller, State(control): State<Arc<Control>>, Path(zone): Path<String>) -> Result<Response, Problem> {
    let state = control.state.load_full();
    let link = hosted(&state.snapshot, &caller, &zone)?;
    let body = Json(ZoneBody::of(&state.snapshot, link));
    Ok(match data(&link.hosted) {
        Ok(zone) => ([(header::ETAG, zone_etag(zone))], Extension(SaysMore), body).into_response(),
        Err(_) => body.into_response(),
    })
}

/// Makes a zone, or the zones of a preset: all of them or none.
#[utoipa::path(post, path = "/v1/zones", operation_id = "create_zone", tag = "zones", request_body = ZoneRequest,
    responses((status = 201, body = Zones, headers(("Location" = String))), Refusals))]
pub(super) async fn create(caller: Caller, State(control): State<Arc<Control>>, Body(new): Body<ZoneRequest>) -> Result<Response, Problem> {
    caller.must_be_admin()?;
    let mut faults = Vec::new();
    let on_missing = policy(new.on_missing.as_deref(), &mut faults);
    let names: Vec<String> = match (&new.name, &new.preset) {
        (Some(name), None) => match ZoneRef::parse(name) {
            ZoneRef { name, network: None } => vec![name],
            ZoneRef { network: Some(_), .. } => return Err(invalid("/name", "the networks of a new zone stand in `networks`".into())),
        },
        (None, Some(preset)) => match postern_config::preset_zones(preset) {
            Some(zones) => zones.iter().map(|zone| zone.to_string()).collect(),
            None => return Err(invalid("/preset", format!("there is no preset `{preset}`"))),
        },
        _ => return Err(invalid("", "a zone has a `name` or a `preset`, one of them".into())),
    };
    if new.preset.is_some() && !new.rrsets.is_empty() {
        return Err(invalid("/rrsets", "a preset is several zones: put records into each afterwards".into()));
    }
    let mut records = Vec::new();
    if let [name] = &names[..] {
        let apex = NameBuf::parse(name).map_err(|error| invalid("/name", format!("`{name}` is not a name: {error}")))?;
        records = first_records(&new.rrsets, &apex, &mut faults);
    }
    if !faults.is_empty() {
        return Err(Problem::invalid(faults));
    }
    let table = control.state.load().table.clone();
    let settings = |name: String| {
        let is_private_link = table.is_private_link_zone(&name);
        ZoneSettings {
            name,
            networks: NetworkLinks::of_list(new.networks.clone()),
            on_missing: on_missing.unwrap_or(OnMissing::usual(is_private_link)),
            fallback: Some(new.fallback.unwrap_or(is_private_link)),
            declared: false,
            extra: serde_json::Map::default(),
        }
    };
    let all = names.into_iter().map(|name| Made { settings: settings(name), records: std::mem::take(&mut records) }).collect();
    let author = caller.author(Via::Api);
    let made = control.ask(|answer| StoreTask::Create(all, author, answer)).await?;
    let state = control.state.load_full();
    let zones: Vec<ZoneBody> = made
        .iter()
        .map(|done| ZoneRef { name: done.name.to_string(), network: done.networks.names().first().cloned() })
        .filter_map(|zone| hosted(&state.snapshot, &caller, &zone.to_string()).ok())
        .map(|link| ZoneBody::of(&state.snapshot, link))
        .collect();
    let location = zones.first().and_then(|zone| HeaderValue::from_str(&format!("/v1/zones/{}", part(&zone.id))).ok());
    let mut response = (StatusCode::CREATED, Json(Zones { zones, next: None })).into_response();
    location.map(|location| response.headers_mut().insert(header::LOCATION, location));
    Ok(response)
}

fn first_records(sets: &[NewSet], apex: &NameBuf, faults: &mut Vec<RequestFault>) -> Vec<RrSetChange> {
    let mut changes = Vec::with_capacity(sets.len());
    for (index, set) in sets.iter().enumerate() {
        let at = format!("/rrsets/{index}");
        let name = owner(&set.name, apex).map_err(|detail| faults.push(RequestFault { pointer: format!("{at}/name"), detail }));
        let rtype = rtype(&set.rtype).map_err(|detail| faults.push(RequestFault { pointer: format!("{at}/type"), detail }));
        let (Ok(name), Ok(rtype)) = (name, rtype) else { continue };
        let records = rdata(apex, rtype, &set.records, &format!("{at}/records"), faults);
        changes.push(RrSetChange::set(&name, rtype, set.ttl.unwrap_or(DEFAULT_TTL), records));
    }
    changes
}

/// Changes the settings of a zone that an API made.
#[utoipa::path(patch, path = "/v1/zones/{zone}", operation_id = "set_zone", tag = "zones", request_body = ZoneSettingsBody,
    params(("zone" = String, Path, description = "The zone.", example = "contoso.test"),
        ("If-Match" = Option<String>, Header, description = "Tag that the zone must have.")),
    responses((status = 200, body = ZoneBody), Refusals))]
pub(super) async fn set(
    caller: Caller,
    State(control): State<Arc<Control>>,
    Path(zone): Path<String>,
    headers: HeaderMap,
    Body(new): Body<ZoneSettingsBody>,
) -> Result<Json<ZoneBody>, Problem> {
    caller.must_be_admin()?;
    let mut faults = Vec::new();
    let on_missing = policy(new.on_missing.as_deref(), &mut faults);
    if !faults.is_empty() {
        return Err(Problem::invalid(faults));
    }
    let conditions = Conditions::of(&headers)?;
    let author = caller.author(Via::Api);
    let is_relinked = new.networks.is_some();
    let change = Box::new(move |zone: &postern_zones::zone::Zone, settings: &mut ZoneSettings| -> Result<(), Refusal> {
        conditions.hold("the zone", Some(&zone_etag(zone)))?;
        settings.networks = new.networks.map_or_else(|| settings.networks.clone(), NetworkLinks::of_list);
        settings.on_missing = on_missing.unwrap_or(settings.on_missing);
        settings.fallback = new.fallback.or(settings.fallback);
        Ok(())
    });
    let named = ZoneRef::parse(&zone);
    let settings = control.ask(|answer| StoreTask::Configure(named.clone(), author, change, answer)).await?;
    let state = control.state.load_full();
    let relinked = || ZoneRef { name: settings.name.clone(), network: settings.networks.names().first().cloned() };
    let now = if is_relinked { relinked() } else { named };
    Ok(Json(ZoneBody::of(&state.snapshot, hosted(&state.snapshot, &caller, &now.to_string())?)))
}

/// Removes a zone that was created through an API, with its records.
#[utoipa::path(delete, path = "/v1/zones/{zone}", operation_id = "delete_zone", tag = "zones",
    params(("zone" = String, Path, description = "The zone.", example = "contoso.test"),
        AcceptedLosses, ("If-Match" = Option<String>, Header, description = "Tag that the zone must have.")),
    responses((status = 204), Refusals))]
pub(super) async fn remove(
    caller: Caller,
    State(control): State<Arc<Control>>,
    Path(zone): Path<String>,
    Query(loss): Query<AcceptedLosses>,
    headers: HeaderMap,
) -> Result<StatusCode, Problem> {
    caller.must_be_admin()?;
    hosted(&control.state.load().snapshot, &caller, &zone)?;
    let conditions = Conditions::of(&headers)?;
    let may = Box::new(move |zone: Option<&postern_zones::zone::Zone>| conditions.hold("the zone", zone.map(zone_etag).as_deref()));
    let (zone, author) = (ZoneRef::parse(&zone), caller.author(Via::Api));
    let removal = ZoneRemoval { zone, author, may, discards_damaged: loss.discard_damaged };
    control.ask(|answer| StoreTask::Remove(removal, answer)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Tells the newest changes of a zone that an API writes, since the server started.
#[utoipa::path(get, path = "/v1/zones/{zone}/history", operation_id = "zone_history", tag = "zones",
    params(("zone" = String, Path, description = "The zone.", example = "contoso.test"), HowMany), responses((status = 200, body = HistoryBody), Refusals))]
pub(super) async fn history(
    caller: Caller,
    State(control): State<Arc<Control>>,
    Path(zone): Path<String>,
    Query(how_many): Query<HowMany>,
) -> Result<Json<HistoryBody>, Problem> {
    let state = control.state.load_full();
    let link = hosted(&state.snapshot, &caller, &zone)?;
    let Some(kept) = &link.hosted.kept else {
        return Err(Problem::new(
            StatusCode::CONFLICT,
            format!("zone {} is not written by an API: its source has its history", link.hosted.name),
        ));
    };
    let line = |record: &postern_zones::journal::JournalRecord| {
        postern_zones::text::record_line(&record.owner.to_buf(), record.ttl, record.rtype, &record.rdata)
    };
    let changes = kept.history.newest(how_many.limit.unwrap_or(USUAL_PAGE).clamp(1, LARGEST_PAGE));
    let told = changes.iter().map(|change| PastChange {
        from: change.from,
        to: change.to,
        at: rfc3339(change.at),
        by: change.by.clone(),
        removed: change.removed.iter().map(line).collect(),
        added: change.added.iter().map(line).collect(),
    });
    Ok(Json(HistoryBody { changes: told.collect() }))
}

/// Milliseconds since the UNIX epoch as people write them.
fn rfc3339(at: u64) -> String {
    let time = time::OffsetDateTime::from_unix_timestamp_nanos(i128::from(at) * 1_000_000).unwrap_or(time::OffsetDateTime::UNIX_EPOCH);
    time.format(&time::format_description::well_known::Rfc3339).unwrap_or_default() // every such time can be written
}

fn policy(word: Option<&str>, faults: &mut Vec<RequestFault>) -> Option<OnMissing> {
    let word = word?;
    let policy = OnMissing::of_word(word);
    if policy.is_none() {
        let detail = format!("`{word}` is no policy: public, nxdomain or servfail");
        faults.push(RequestFault { pointer: "/on_missing".into(), detail });
    }
    policy
}

fn invalid(pointer: &str, detail: String) -> Problem {
    Problem::invalid(vec![RequestFault { pointer: pointer.into(), detail }])
}
