//! Zones: list, make, read, change, give up, export.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use postern_zones::edit::{Author, StoreTask, Via, ZoneRemoval};
use postern_zones::text::rdata::type_code;
use postern_zones::zone::rtype;
use serde_json::json;
use time::OffsetDateTime;
use tokio::sync::Semaphore;

use super::answer::{self, Detail, Summary, Wanted};
use super::create;
use super::draft::{self, ZoneDraft};
use super::fault::PowerDnsError;
use super::find::{self, FoundZone};
use super::id;
use super::patch::{self, ZonePatch};
use super::read::{self, Object};
use super::settings::PowerDnsSettings;
use super::{Asked, Json, Parameters, ZoneId};
use crate::Control;
use crate::http::Caller;

/// RRsets from which on something is made of them on a thread of its own, so that no other request waits for it.
const MANY: usize = 2_000;
/// Lines of a zone file count as RRsets of about this many octets.
const LINE: usize = 32;
/// So many of these at once: each may hold all of a large zone as text.
static ASIDE: Semaphore = Semaphore::const_new(2);

/// `GET /zones[?zone=][&dnssec=false]`.
pub async fn list(
    Asked(caller): Asked,
    State(control): State<Arc<Control>>,
    Parameters(parameters): Parameters,
) -> Result<Response, PowerDnsError> {
    let with_dnssec = read::switch(parameters.get("dnssec").map(String::as_str), "dnssec", true)?;
    let only = parameters.get("zone").map(|name| draft::read_absolute(name)).transpose()?;
    let mut found = find::all(&control, &caller);
    found.retain(|found| only.as_ref().is_none_or(|only| found.apex() == *only));
    let summaries: Vec<Summary> = found.iter().map(|found| Summary::new(found, &found.settings(), with_dnssec)).collect();
    Ok(super::json(StatusCode::OK, serde_json::to_string(&summaries).unwrap_or_default())) // text and numbers: always JSON
}

/// `POST /zones[?rrsets=false]`.
pub async fn create(
    Asked(caller): Asked,
    State(control): State<Arc<Control>>,
    Parameters(parameters): Parameters,
    Json(body): Json,
) -> Result<Response, PowerDnsError> {
    super::must_be_admin(&caller)?;
    let with_rrsets = read::switch(parameters.get("rrsets").map(String::as_str), "rrsets", true)?;
    let object = Object::of(&body);
    let sets = object.list("rrsets").map_or(0, <[_]>::len) + object.may_text("zone").map_or(0, str::len) / LINE;
    let table = control.state.load().table.clone();
    let names = control.host.config().server.zone_names.clone();
    let zone = aside(sets, move || create::read(&body, &names, &table, OffsetDateTime::now_utc())).await??;
    let author = author(&caller);
    let made = id::write(&zone.settings.name, zone.settings.networks.names().first().map(String::as_str));
    control.ask(|answer| StoreTask::Create(vec![zone], author, answer)).await?;
    let found = find::find(&control, &made, &caller)?;
    detail(StatusCode::CREATED, found, with_rrsets.then(Wanted::default)).await
}

/// `GET /zones/{id}[?rrsets=][&rrset_name=][&rrset_type=][&include_disabled=]`.
pub async fn get(
    Asked(caller): Asked,
    State(control): State<Arc<Control>>,
    ZoneId(id): ZoneId,
    Parameters(parameters): Parameters,
) -> Result<Response, PowerDnsError> {
    let found = find::find(&control, &id, &caller)?;
    let parameter = |name: &str| parameters.get(name).map(String::as_str);
    let with_rrsets = read::switch(parameter("rrsets"), "rrsets", true)?;
    let name = match parameter("rrset_name") {
        Some(name) => Some(draft::read_absolute(&format!("{}.", name.trim_end_matches('.')))?), // the dot may be missing here
        None => None,
    };
    // PowerDNS looks at the type only where it looks at a name.
    let rtype = name.as_ref().and(parameter("rrset_type")).map(|kind| type_code(kind).unwrap_or(0));
    let without_disabled = !read::switch(parameter("include_disabled"), "include_disabled", true)?;
    detail(StatusCode::OK, found, with_rrsets.then_some(Wanted { name, rtype, without_disabled })).await
}

/// `PATCH /zones/{id}`.
pub async fn patch(
    Asked(caller): Asked,
    State(control): State<Arc<Control>>,
    ZoneId(id): ZoneId,
    Json(body): Json,
) -> Result<Response, PowerDnsError> {
    let found = find::find(&control, &id, &caller)?;
    found.must_be_changeable(&caller)?;
    let now = OffsetDateTime::now_utc();
    let (sets, apex) = (Object::of(&body).list("rrsets").map_or(0, <[_]>::len), found.apex());
    let patch = aside(sets, move || ZonePatch::read(&body, &apex, now)).await??;
    let amend: postern_zones::edit::AmendFn = Box::new(move |zone, kept| {
        let (changes, settings) = patch.apply(zone, &PowerDnsSettings::of(kept), now)?;
        settings.keep(kept)?;
        Ok(changes)
    });
    let author = author(&caller);
    let done = control.ask(|answer| StoreTask::Amend(found.as_ref(), author, amend, answer)).await?;
    let serials = [("x-pdns-old-serial", done.before.serial().to_string()), ("x-pdns-new-serial", done.after.serial().to_string())];
    Ok((StatusCode::NO_CONTENT, axum::response::AppendHeaders(serials)).into_response())
}

/// `PUT /zones/{id}`: settings, and all records where `rrsets` is given.
pub async fn put(
    Asked(caller): Asked,
    State(control): State<Arc<Control>>,
    ZoneId(id): ZoneId,
    Json(body): Json,
) -> Result<Response, PowerDnsError> {
    let found = find::find(&control, &id, &caller)?;
    found.must_be_changeable(&caller)?;
    let (apex, now) = (found.apex(), OffsetDateTime::now_utc());
    let amend: postern_zones::edit::AmendFn = Box::new(move |zone, kept| {
        let body = Object::of(&body);
        let mut settings = PowerDnsSettings::of(kept);
        create::change_settings(&mut settings, body)?;
        let Some(rrsets) = body.list("rrsets") else {
            settings.keep(kept)?;
            return Ok(Vec::new());
        };
        let mut draft = ZoneDraft::new(Some(zone), &settings);
        draft.only();
        *draft.set(&apex, rtype::SOA) = draft::DraftSet::default();
        rrsets.iter().try_for_each(|rrset| create::add_set(&mut draft, Object::of(rrset), &apex, now))?;
        if draft.set(&apex, rtype::SOA).records.is_empty() {
            return Err(PowerDnsError::invalid("Must give SOA record for zone when replacing all RR sets").into());
        }
        let (changes, settings) = draft.finish("another")?;
        let changes = patch::settle(zone, changes, settings.rule(), now)?;
        settings.keep(kept)?;
        Ok(changes)
    });
    let author = author(&caller);
    control.ask(|answer| StoreTask::Amend(found.as_ref(), author, amend, answer)).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `DELETE /zones/{id}`.
pub async fn remove(Asked(caller): Asked, State(control): State<Arc<Control>>, ZoneId(id): ZoneId) -> Result<Response, PowerDnsError> {
    super::must_be_admin(&caller)?;
    let found = find::find(&control, &id, &caller)?;
    let removal = ZoneRemoval { zone: found.as_ref(), author: author(&caller), may: Box::new(|_| Ok(())), discards_damaged: false };
    control.ask(|answer| StoreTask::Remove(removal, answer)).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `GET /zones/{id}/export`: text, or JSON where that is asked for.
pub async fn export(
    Asked(caller): Asked,
    State(control): State<Arc<Control>>,
    ZoneId(id): ZoneId,
    headers: HeaderMap,
) -> Result<Response, PowerDnsError> {
    let found = find::find(&control, &id, &caller)?;
    let zone = found.data()?;
    let text = aside(zone.counts().sets, move || answer::export(&zone, &found.settings())).await?;
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    Ok(match accept.contains("application/json") {
        true => super::json(StatusCode::OK, json!({ "zone": text }).to_string()),
        false => ([(header::CONTENT_TYPE, "text/plain; charset=us-ascii")], text).into_response(),
    })
}

/// `PUT /zones/{id}/rectify`: there is nothing to rectify in a zone that is not signed.
pub async fn rectify(Asked(caller): Asked, State(control): State<Arc<Control>>, ZoneId(id): ZoneId) -> Result<Response, PowerDnsError> {
    find::find(&control, &id, &caller)?.must_be_changeable(&caller)?;
    Ok(super::json(StatusCode::OK, json!({ "result": "Rectified" }).to_string()))
}

/// `GET /zones/{id}/cryptokeys`: none, for no zone is signed.
pub async fn cryptokeys(Asked(caller): Asked, State(control): State<Arc<Control>>, ZoneId(id): ZoneId) -> Result<Response, PowerDnsError> {
    find::find(&control, &id, &caller)?;
    Ok(super::json(StatusCode::OK, "[]".into()))
}

/// `PUT /zones/{id}/notify`: tells the secondaries.
pub async fn notify(Asked(caller): Asked, State(control): State<Arc<Control>>, ZoneId(id): ZoneId) -> Result<Response, PowerDnsError> {
    let found = find::find(&control, &id, &caller)?;
    found.must_be_changeable(&caller)?;
    control.transfers.tell(found.as_ref());
    Ok(super::json(StatusCode::OK, json!({ "result": "Notification queued" }).to_string()))
}

/// `PUT /zones/{id}/axfr-retrieve`: transfers a secondary zone now.
pub async fn retrieve(Asked(caller): Asked, State(control): State<Arc<Control>>, ZoneId(id): ZoneId) -> Result<Response, PowerDnsError> {
    let found = find::find(&control, &id, &caller)?;
    found.must_be_changeable(&caller)?;
    if control.feeds.retrieve(&found.hosted.name, &found.networks) {
        let result = format!("Added retrieval request for '{}' from its primary", found.name());
        return Ok(super::json(StatusCode::OK, json!({ "result": result }).to_string()));
    }
    Err(PowerDnsError::invalid(format!("Domain '{}' is not a slave domain (or has no master defined)", found.name())))
}

/// A zone with the RRsets that are wanted; none: without.
async fn detail(status: StatusCode, found: FoundZone, wanted: Option<Wanted>) -> Result<Response, PowerDnsError> {
    let settings = found.settings();
    let head = Detail::new(&found, &settings);
    let Some(wanted) = wanted else { return Ok(super::json(status, head.to_json(None))) };
    let zone = found.data()?;
    let sets = if wanted.name.is_some() { 1 } else { zone.counts().sets };
    let json = aside(sets, move || head.to_json(Some((&zone, &settings, &wanted)))).await?;
    Ok(super::json(status, json))
}

/// Makes something of so many RRsets, on a thread of its own where they are many.
pub async fn aside<T: Send + 'static>(sets: usize, make: impl FnOnce() -> T + Send + 'static) -> Result<T, PowerDnsError> {
    if sets < MANY {
        return Ok(make());
    }
    let failed = || PowerDnsError { status: StatusCode::INTERNAL_SERVER_ERROR, message: "the answer could not be made".into() };
    let _permit = ASIDE.acquire().await.map_err(|_| failed())?;
    tokio::task::spawn_blocking(make).await.map_err(|_| failed())
}

/// Who changes.
pub fn author(caller: &Caller) -> Author {
    caller.author(Via::PowerDns)
}

/// Parameters behind the question mark; the first of each name counts.
pub type Pairs = HashMap<String, String>;
