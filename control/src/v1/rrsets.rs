//! `/v1/zones/{zone}/rrsets`: records, RRset by RRset or many at once.

use std::collections::HashSet;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use data_encoding::BASE64URL_NOPAD;
use postern_zones::name::NameBuf;
use postern_zones::zone::{DEFAULT_TTL, RrSetChange, Zone};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Refusals;
use super::change::{self, ChangeAnswer, ChangeNotes, Changed, Conditions, Dry};
use super::records::{RrSetBody, changeable, data, etag, find, hosted, owner, rdata, rtype, zone_etag};
use crate::Control;
use crate::http::{Body, Caller, Path, Problem, Query, RequestFault};

/// Which RRsets are listed.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct RrSetFilter {
    /// Of this name alone.
    name: Option<String>,
    /// Of this type alone.
    #[serde(rename = "type")]
    rtype: Option<String>,
    /// Where the last page ended.
    cursor: Option<String>,
    /// About how many; the RRsets of one name are never torn apart.
    #[param(minimum = 1, maximum = 10_000, default = 1000)]
    limit: Option<usize>,
}

/// RRsets of a zone.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RrSets {
    /// Serial of the zone.
    serial: u32,
    /// The SOA first, then in no order that means anything.
    rrsets: Vec<RrSetBody>,
    /// Cursor of the next page; null: this is the last one.
    next: Option<String>,
}

/// New content of an RRset.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewSet {
    /// TTL, seconds. Absent: the one that the RRset has, else 10.
    #[schema(maximum = 2_147_483_647)]
    ttl: Option<u32>,
    /// RDATA of each record.
    records: Vec<String>,
}

/// Changes to an RRset.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Patch)]
pub(super) struct RrSetPatch {
    /// TTL, seconds.
    #[schema(maximum = 2_147_483_647)]
    ttl: Option<u32>,
    /// Records that are put in.
    #[serde(default)]
    add: Vec<String>,
    /// Records that are taken out.
    #[serde(default)]
    remove: Vec<String>,
}

/// RRsets that are to be different, all of them or none.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Batch {
    /// Each as it is to be.
    rrsets: Vec<BatchSet>,
}

/// An RRset as it is to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct BatchSet {
    /// Owner.
    name: String,
    /// Type.
    #[serde(rename = "type")]
    rtype: String,
    /// TTL, seconds. Absent: the one that the RRset has, else 10.
    #[schema(maximum = 2_147_483_647)]
    ttl: Option<u32>,
    /// RDATA of each record. An empty list removes the RRset.
    records: Vec<String>,
}

const USUAL_PAGE: usize = 1_000;
const LARGEST_PAGE: usize = 10_000;

/// Lists the RRsets of a zone.
#[utoipa::path(get, path = "/v1/zones/{zone}/rrsets", operation_id = "list_rrsets", tag = "records",
    params(("zone" = String, Path, description = "The zone.", example = "contoso.test"), RrSetFilter), responses((status = 200, body = RrSets), (status = 304, description = "The client has it: `If-None-Match` names its tag."), Refusals))]
pub(super) async fn list(
    caller: Caller,
    State(control): State<Arc<Control>>,
    Path(zone): Path<String>,
    Query(filter): Query<RrSetFilter>,
) -> Result<Response, Problem> {
    let state = control.state.load_full();
    let zone = data(&hosted(&state.snapshot, &caller, &zone)?.hosted)?.clone();
    let rtype = filter.rtype.as_deref().map(rtype).transpose().map_err(|detail| bad_parameter("type", detail))?;
    let wanted = |set: &postern_zones::lookup::RrSet<'_>| rtype.is_none_or(|rtype| set.rtype == rtype);
    let (rrsets, next) = match &filter.name {
        Some(name) => {
            let name = owner(name, &zone.apex().to_buf()).map_err(|detail| bad_parameter("name", detail))?;
            (zone.at(&name).filter(wanted).map(|set| RrSetBody::in_zone(&zone, &name, &set)).collect(), None)
        }
        None => page(&zone, filter.cursor.as_deref(), filter.limit.unwrap_or(USUAL_PAGE).clamp(1, LARGEST_PAGE), wanted)?,
    };
    Ok(([(header::ETAG, zone_etag(&zone))], Json(RrSets { serial: zone.serial(), rrsets, next })).into_response())
}

/// One page: RRsets that are wanted, until `limit` were looked at or found and the name is whole.
fn page(
    zone: &Zone,
    cursor: Option<&str>,
    limit: usize,
    wanted: impl Fn(&postern_zones::lookup::RrSet<'_>) -> bool,
) -> Result<(Vec<RrSetBody>, Option<String>), Problem> {
    /// RRsets that are looked at for one page where few are wanted.
    const LOOKED_AT: usize = 100_000;
    let mut rrsets = Vec::new();
    let apex = zone.apex().to_buf();
    let rest: Box<dyn Iterator<Item = (NameBuf, postern_zones::lookup::RrSet<'_>)>> = match cursor {
        None => {
            rrsets.extend(Some(zone.soa()).filter(|soa| wanted(soa)).map(|soa| RrSetBody::in_zone(zone, &apex, &soa)));
            Box::new(zone.records().skip(1))
        }
        Some(cursor) => Box::new(zone.records_after(&read_cursor(zone, cursor)?)),
    };
    let (mut last, mut looked_at): (Option<NameBuf>, usize) = (None, 0);
    for (owner, set) in rest {
        if let Some(last) = last.as_ref().filter(|last| **last != owner)
            && (rrsets.len() >= limit || looked_at >= LOOKED_AT)
        {
            return Ok((rrsets, Some(write_cursor(zone, last))));
        }
        if wanted(&set) {
            rrsets.push(RrSetBody::in_zone(zone, &owner, &set));
        }
        looked_at += 1;
        last = Some(owner);
    }
    Ok((rrsets, None))
}

/// The layout that the order depends on, and the last name.
fn write_cursor(zone: &Zone, last: &NameBuf) -> String {
    BASE64URL_NOPAD.encode(&[&(zone.layout() as u32).to_be_bytes()[..], last.as_wire()].concat())
}

fn read_cursor(zone: &Zone, cursor: &str) -> Result<NameBuf, Problem> {
    let octets = BASE64URL_NOPAD.decode(cursor.as_bytes()).unwrap_or_default();
    let parts = octets.split_first_chunk().map(|(layout, name)| (u32::from_be_bytes(*layout), NameBuf::read(name)));
    match parts {
        Some((layout, Ok(name))) if name.is_under(zone.apex().as_wire()) => match layout as usize == zone.layout() {
            true => Ok(name),
            false => Err(Problem::new(StatusCode::CONFLICT, "the zone has grown much since the list was begun: begin it again")),
        },
        _ => Err(bad_parameter("cursor", "it is not one that this zone gave".into())),
    }
}

/// Shows an RRset.
#[utoipa::path(get, path = "/v1/zones/{zone}/rrsets/{name}/{type}", operation_id = "show_rrset", tag = "records",
    params(("zone" = String, Path, description = "The zone.", example = "contoso.test"), ("name" = String, Path, description = "Owner.", example = "www"),
        ("type" = String, Path, description = "Type.", example = "A")),
    responses((status = 200, body = RrSetBody, headers(("ETag" = String))), (status = 304, description = "The client has it: `If-None-Match` names its tag."), Refusals))]
pub(super) async fn show(
    caller: Caller,
    State(control): State<Arc<Control>>,
    Path((zone, name, kind)): Path<(String, String, String)>,
) -> Result<Response, Problem> {
    let state = control.state.load_full();
    let zone = data(&hosted(&state.snapshot, &caller, &zone)?.hosted)?;
    let (name, rtype) = place(&name, &kind, &zone.apex().to_buf())?;
    let set = find(zone, &name, rtype).ok_or_else(|| missing(&name, rtype))?;
    Ok(([(header::ETAG, etag(&set))], Json(RrSetBody::in_zone(zone, &name, &set))).into_response())
}

/// Makes an RRset what the body says.
#[utoipa::path(put, path = "/v1/zones/{zone}/rrsets/{name}/{type}", operation_id = "put_rrset", tag = "records", request_body = NewSet,
    params(("zone" = String, Path, description = "The zone.", example = "contoso.test"), ("name" = String, Path, description = "Owner.", example = "www"),
        ("type" = String, Path, description = "Type.", example = "A"), Dry,
        ("If-Match" = Option<String>, Header, description = "Tag that the RRset must have."),
        ("If-None-Match" = Option<String>, Header, description = "`*`: the RRset must not be there.")),
    responses((status = 200, body = Changed), Refusals))]
pub(super) async fn put(
    caller: Caller,
    State(control): State<Arc<Control>>,
    Path((zone, name, kind)): Path<(String, String, String)>,
    Query(dry): Query<Dry>,
    headers: HeaderMap,
    Body(new): Body<NewSet>,
) -> Result<ChangeAnswer, Problem> {
    let (apex, name, rtype) = place_in(&control, &caller, &zone, &name, &kind)?;
    if new.records.is_empty() {
        let detail = "an RRset has one record at least: DELETE takes it away".into();
        return Err(Problem::invalid(vec![RequestFault { pointer: "/records".into(), detail }]));
    }
    let mut faults = Vec::new();
    let records = rdata(&apex, rtype, &new.records, "/records", &mut faults);
    if !faults.is_empty() {
        return Err(Problem::invalid(faults));
    }
    let conditions = Conditions::of(&headers)?;
    change::make(&control, &caller, &zone, dry, vec!["/records".into()], ChangeNotes::default(), move |zone| {
        let old = find(zone, &name, rtype);
        conditions.hold("the RRset", old.as_ref().map(etag).as_deref())?;
        Ok(vec![RrSetChange::set(&name, rtype, new.ttl.unwrap_or_else(|| old.map_or(DEFAULT_TTL, |old| old.ttl)), records)])
    })
    .await
}

/// Puts records into an RRset, takes some out, sets its TTL.
#[utoipa::path(patch, path = "/v1/zones/{zone}/rrsets/{name}/{type}", operation_id = "patch_rrset", tag = "records", request_body = RrSetPatch,
    params(("zone" = String, Path, description = "The zone.", example = "contoso.test"), ("name" = String, Path, description = "Owner.", example = "www"),
        ("type" = String, Path, description = "Type.", example = "A"), Dry,
        ("If-Match" = Option<String>, Header, description = "Tag that the RRset must have.")),
    responses((status = 200, body = Changed), Refusals))]
pub(super) async fn patch(
    caller: Caller,
    State(control): State<Arc<Control>>,
    Path((zone, name, kind)): Path<(String, String, String)>,
    Query(dry): Query<Dry>,
    headers: HeaderMap,
    Body(patch): Body<RrSetPatch>,
) -> Result<ChangeAnswer, Problem> {
    let (apex, name, rtype) = place_in(&control, &caller, &zone, &name, &kind)?;
    let mut faults = Vec::new();
    let add = rdata(&apex, rtype, &patch.add, "/add", &mut faults);
    let remove = rdata(&apex, rtype, &patch.remove, "/remove", &mut faults);
    if !faults.is_empty() {
        return Err(Problem::invalid(faults));
    }
    let conditions = Conditions::of(&headers)?;
    change::make(&control, &caller, &zone, dry, vec!["/add".into()], ChangeNotes::default(), move |zone| {
        let old = find(zone, &name, rtype);
        conditions.hold("the RRset", old.as_ref().map(etag).as_deref())?;
        let mut records: Vec<Box<[u8]>> = old.iter().flat_map(|old| old.rdata()).map(Into::into).collect();
        let remove: HashSet<Box<[u8]>> = remove.into_iter().collect();
        records.retain(|record| !remove.contains(record));
        records.extend(add);
        Ok(vec![RrSetChange::set(&name, rtype, patch.ttl.unwrap_or_else(|| old.map_or(DEFAULT_TTL, |old| old.ttl)), records)])
    })
    .await
}

/// Takes an RRset away.
#[utoipa::path(delete, path = "/v1/zones/{zone}/rrsets/{name}/{type}", operation_id = "delete_rrset", tag = "records",
    params(("zone" = String, Path, description = "The zone.", example = "contoso.test"), ("name" = String, Path, description = "Owner.", example = "www"),
        ("type" = String, Path, description = "Type.", example = "A"), Dry,
        ("If-Match" = Option<String>, Header, description = "Tag that the RRset must have.")),
    responses((status = 200, body = Changed), Refusals))]
pub(super) async fn remove(
    caller: Caller,
    State(control): State<Arc<Control>>,
    Path((zone, name, kind)): Path<(String, String, String)>,
    Query(dry): Query<Dry>,
    headers: HeaderMap,
) -> Result<ChangeAnswer, Problem> {
    let (_, name, rtype) = place_in(&control, &caller, &zone, &name, &kind)?;
    let conditions = Conditions::of(&headers)?;
    let gone = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let (told, what) = (gone.clone(), missing(&name, rtype));
    let answer = change::make(&control, &caller, &zone, dry, Vec::new(), ChangeNotes::default(), move |zone| {
        let old = find(zone, &name, rtype);
        conditions.hold("the RRset", old.as_ref().map(etag).as_deref())?;
        told.store(old.is_none(), std::sync::atomic::Ordering::Relaxed);
        Ok(if old.is_some() { vec![RrSetChange::set(&name, rtype, 0, [])] } else { Vec::new() })
    })
    .await?;
    if gone.load(std::sync::atomic::Ordering::Relaxed) { Err(what) } else { Ok(answer) }
}

/// Changes many RRsets at once: all of them, or none.
#[utoipa::path(patch, path = "/v1/zones/{zone}/rrsets", operation_id = "change_rrsets", tag = "records", request_body = Batch,
    params(("zone" = String, Path, description = "The zone.", example = "contoso.test"), Dry,
        ("If-Match" = Option<String>, Header, description = "Tag that the zone must have.")),
    responses((status = 200, body = Changed), Refusals))]
pub(super) async fn change(
    caller: Caller,
    State(control): State<Arc<Control>>,
    Path(zone): Path<String>,
    Query(dry): Query<Dry>,
    headers: HeaderMap,
    Body(batch): Body<Batch>,
) -> Result<ChangeAnswer, Problem> {
    let apex = {
        let state = control.state.load_full();
        changeable(&state.snapshot, &caller, &zone)?.hosted.apex.to_buf()
    };
    let (mut faults, mut sets) = (Vec::new(), Vec::with_capacity(batch.rrsets.len()));
    for (index, set) in batch.rrsets.iter().enumerate() {
        let at = format!("/rrsets/{index}");
        let name = owner(&set.name, &apex).map_err(|detail| faults.push(RequestFault { pointer: format!("{at}/name"), detail }));
        let rtype = rtype(&set.rtype).map_err(|detail| faults.push(RequestFault { pointer: format!("{at}/type"), detail }));
        let (Ok(name), Ok(rtype)) = (name, rtype) else { continue };
        let records = rdata(&apex, rtype, &set.records, &format!("{at}/records"), &mut faults);
        sets.push((name, rtype, set.ttl, records));
    }
    if !faults.is_empty() {
        return Err(Problem::invalid(faults));
    }
    let conditions = Conditions::of(&headers)?;
    let pointers = (0..sets.len()).map(|index| format!("/rrsets/{index}")).collect();
    change::make(&control, &caller, &zone, dry, pointers, ChangeNotes::default(), move |zone| {
        conditions.hold("the zone", Some(&zone_etag(zone)))?;
        let usual = |name: &NameBuf, rtype| find(zone, name, rtype).map_or(DEFAULT_TTL, |old| old.ttl);
        let as_change = |(name, rtype, ttl, records): (NameBuf, u16, Option<u32>, Vec<Box<[u8]>>)| {
            RrSetChange::set(&name, rtype, ttl.unwrap_or_else(|| usual(&name, rtype)), records)
        };
        Ok(sets.into_iter().map(as_change).collect())
    })
    .await
}

/// The RRset that a path means, in a zone that the caller may change: the apex of the zone, the owner and the type.
fn place_in(control: &Control, caller: &Caller, zone: &str, name: &str, kind: &str) -> Result<(NameBuf, NameBuf, u16), Problem> {
    let state = control.state.load_full();
    let apex = changeable(&state.snapshot, caller, zone)?.hosted.apex.to_buf();
    place(name, kind, &apex).map(|(name, rtype)| (apex, name, rtype))
}

fn place(name: &str, kind: &str, apex: &NameBuf) -> Result<(NameBuf, u16), Problem> {
    let name = owner(name, apex).map_err(|detail| bad_parameter("name", detail))?;
    Ok((name, rtype(kind).map_err(|detail| bad_parameter("type", detail))?))
}

fn missing(name: &NameBuf, rtype: u16) -> Problem {
    Problem::not_found(format!("{name} has no {} records", postern_zones::text::rdata::type_name(rtype)))
}

pub(super) fn bad_parameter(name: &str, detail: String) -> Problem {
    let problem = Problem::new(StatusCode::BAD_REQUEST, format!("{name}: {detail}"));
    Problem { errors: vec![RequestFault { pointer: name.into(), detail }], ..problem }
}
