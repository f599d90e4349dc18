//! Records from and to files.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use postern_config::model::{LossLimits, SourceFormat};
use postern_zones::edit::Refusal;
use postern_zones::lookup::RrSet;
use postern_zones::name::{NameBuf, WireName};
use postern_zones::record::{RecordRef, RecordSink, Severity, SourceProblem as Wrong, TextPosition};
use postern_zones::snapshot::{Snapshot, ZoneLink};
use postern_zones::text;
use postern_zones::zone::{DEFAULT_TTL, OutsideRows, RrSetChange, Zone, next_serial, rtype, serial_rose};
use serde::Deserialize;
use utoipa::ToSchema;

use super::Refusals;
use super::change::{self, ChangeAnswer, ChangeNotes, Changed, Conditions, Dry};
use super::records::{changeable, data, hosted, zone_etag};
use crate::Control;
use crate::http::{Caller, Path, Problem, Query, RequestFault, Shared, read};

/// Options of an import.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct How {
    /// Effect on RRsets that the file lacks.
    #[serde(default)]
    #[param(inline)]
    mode: Mode,
    /// Format of the file. Absent: JSON of Azure for `application/json`, otherwise told from the first bytes of the file.
    #[serde(default)]
    #[param(inline)]
    format: FileFormat,
    /// Accept a file without records. Otherwise an empty body is rejected, and so is `mode=replace` if the file has no record of the zone.
    /// The key `allow-empty` of the zone accepts both as well.
    #[serde(default)]
    allow_empty: bool,
    /// Accept that `mode=replace` removes more names than the zone's key `max-loss` allows (half of them, unless the configuration has
    /// another share). A zone of fewer than 20 names may lose any number. Otherwise the request is rejected.
    #[serde(default)]
    allow_loss: bool,
    /// Only report what would happen. A change that would be rejected for its losses is a warning.
    #[serde(default)]
    dry_run: bool,
}

/// Effect of an import on RRsets that the file lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Mode {
    /// They stay. An RRset of the file replaces that of the zone.
    #[default]
    Merge,
    /// They are removed, except the SOA and the NS records of the zone itself.
    Replace,
}

/// Format of a file.
#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum FileFormat {
    /// Detected from the first bytes.
    #[default]
    Auto,
    /// A zone file.
    Zone,
    /// A hosts file.
    Hosts,
    /// JSON of Azure in any of its shapes.
    Azure,
}

/// Zones with fewer names may lose all but the last by a replacement.
const GUARDED_NAMES: usize = 20;

/// Number of problems in the response for one file.
const MOST_TOLD: usize = 1_000;

/// Imports a zone file, a hosts file or Azure's JSON into a zone, whole or not at all. Records of other zones are skipped and counted.
#[utoipa::path(post, path = "/v1/zones/{zone}/import", operation_id = "import", tag = "records",
    request_body(
        content((String = "text/plain"), (String = "text/dns"), (serde_json::Value = "application/json"), (Vec<u8> = "application/octet-stream")),
        description = "The file, unchanged. `application/json` is Azure's JSON. Under every other type, `text/*` too, `format` decides, or the first bytes do.",
    ),
    params(("zone" = String, Path, description = "The zone.", example = "contoso.test"), How,
        ("If-Match" = Option<String>, Header, description = "Tag that the zone must have.")),
    responses((status = 200, body = Changed), Refusals))]
pub(super) async fn import(
    caller: Caller,
    State(shared): State<Shared>,
    Path(zone): Path<String>,
    Query(how): Query<How>,
    request: Request,
) -> Result<ChangeAnswer, Problem> {
    let control = &shared.control;
    let (link, state) = {
        let state = control.state.load_full();
        (changeable(&state.snapshot, &caller, &zone)?.clone(), state)
    };
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if !kind.is_empty() && !kind.starts_with("text/") && !matches!(kind.as_str(), "application/json" | "application/octet-stream") {
        let detail = "send the file as `text/plain`, `text/dns`, `application/json` or `application/octet-stream`";
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail));
    }
    let conditions = Conditions::of(request.headers())?;
    let limits = link.hosted.declared.as_deref().map_or(LossLimits::usual(), LossLimits::of);
    let limits = LossLimits { allow_empty: limits.allow_empty || how.allow_empty, ..limits };
    let bytes = read(request, &shared).await?;
    let is_json = kind == "application/json";
    if bytes.iter().all(u8::is_ascii_whitespace) && (is_json || !limits.allow_empty) {
        return Err(Problem::new(StatusCode::BAD_REQUEST, empty_body(is_json)));
    }
    let format = match how.format {
        FileFormat::Auto if is_json => SourceFormat::Azure,
        FileFormat::Auto => SourceFormat::Auto,
        FileFormat::Zone => SourceFormat::Zone,
        FileFormat::Hosts => SourceFormat::Hosts,
        FileFormat::Azure => SourceFormat::Azure,
    };
    let hosted = link.hosted.clone();
    let reading = tokio::task::spawn_blocking(move || File::read(&bytes, format, &state, &link)).await;
    let file = reading.map_err(|_| Problem::new(StatusCode::BAD_REQUEST, "the file cannot be read"))??;
    let File { sets, places, soa, mut notes } = file;
    if how.dry_run {
        notes.warnings.extend(how.rejected_loss(limits, data(&hosted)?, &sets));
    }
    change::make(control, &caller, &zone, Dry { dry_run: how.dry_run }, places, notes, move |zone| {
        conditions.hold("the zone", Some(&zone_etag(zone)))?;
        if let Some(loss) = how.rejected_loss(limits, zone, &sets).filter(|_| !how.dry_run) {
            return Err(Refusal::Loss(loss));
        }
        Ok(match how.mode {
            Mode::Merge => sets,
            Mode::Replace => replace(zone, sets, soa),
        })
    })
    .await
}

fn empty_body(is_json: bool) -> &'static str {
    if is_json {
        "the body is empty, but JSON is expected (`Content-Type: application/json`)"
    } else {
        "the body is empty: there is no file in it. `allow_empty=true` accepts an empty file"
    }
}

impl How {
    /// Why the loss of records is rejected. Returns `None` if it is within the limits.
    fn rejected_loss(&self, limits: LossLimits, zone: &Zone, sets: &[RrSetChange]) -> Option<String> {
        if self.mode == Mode::Merge {
            return None;
        }
        let name = zone.apex();
        if sets.is_empty() {
            let removed: usize =
                zone.records().filter(|(owner, set)| !is_own(zone, owner, set)).map(|(_, set)| usize::from(set.count)).sum();
            let loss = format!("the file has no record of zone {name}, and replacing would remove the {removed} records that are there");
            return (!limits.allow_empty).then(|| format!("{loss}; `allow_empty=true` accepts it"));
        }
        if self.allow_loss || zone.counts().names < GUARDED_NAMES {
            return None;
        }
        let kept: HashSet<&WireName> = sets.iter().map(|set| &set.owner).collect();
        let owners: HashSet<WireName> = zone.records().map(|(owner, _)| owner.to_wire_name()).filter(|owner| owner != name).collect();
        let (names, lost) = (owners.len(), owners.iter().filter(|owner| !kept.contains(owner)).count());
        let share = usize::from(limits.max_loss);
        (names >= GUARDED_NAMES && lost * 100 > names * share).then(|| {
            format!(
                "replacing would remove {lost} of the {names} names of zone {name}, more than max-loss ({share}%); `allow_loss=true` \
                 accepts it"
            )
        })
    }
}

/// Records of a file, by RRset.
#[derive(Default)]
struct File {
    sets: Vec<RrSetChange>,
    /// `line:column` of the first record of each set.
    places: Vec<String>,
    /// RDATA and TTL of the SOA.
    soa: Option<(Box<[u8]>, u32)>,
    notes: ChangeNotes,
}

impl File {
    /// Reads a file for a zone. Records that belong to another zone are skipped with a warning.
    fn read(bytes: &[u8], format: SourceFormat, state: &postern_dns::state::State, link: &ZoneLink) -> Result<Self, Problem> {
        let name = Arc::new(PathBuf::from("body"));
        let format = if format == SourceFormat::Auto { text::detect(&name, bytes) } else { format };
        let apex = link.hosted.apex.to_buf();
        let mut sink = Sink::new(&apex, &state.snapshot, link, name.clone(), format == SourceFormat::Zone);
        let mut problems: Vec<Wrong> = Vec::new();
        text::read(format, bytes, &name, &apex, None, &state.table, &mut sink, &mut problems);
        let Sink { mut file, outside, of_others, .. } = sink;
        let problem = outside.problem(&link.hosted.apex, file.soa.is_some());
        let mut faults: Vec<RequestFault> = Vec::new();
        for problem in problems.into_iter().take(MOST_TOLD).chain(problem) {
            let help = if problem.help.is_empty() { String::new() } else { format!(" ({})", problem.help) };
            let place = format_place(problem.at);
            match problem.severity {
                Severity::Error => faults.push(RequestFault { pointer: place, detail: format!("{}{help}", problem.message) }),
                Severity::Warning => file.notes.warnings.push(format!("{place}: {}{help}", problem.message)),
            }
        }
        file.notes.skipped = outside.count();
        if let Some((count, first)) = of_others {
            file.notes.skipped += count;
            file.notes.warnings.push(format!("{count} records of other zones were left out, the first is {first}"));
        }
        if faults.is_empty() { Ok(file) } else { Err(Problem::invalid(faults)) }
    }
}

fn format_place(at: TextPosition) -> String {
    format!("{}:{}", at.line, at.column)
}

/// Gathers records into RRsets.
struct Sink<'s> {
    apex: &'s NameBuf,
    snapshot: &'s Snapshot,
    link: &'s ZoneLink,
    /// Name of the body in problems.
    name: Arc<PathBuf>,
    file: File,
    by_name: HashMap<(WireName, u16), usize>,
    /// The file is that of one zone, as in a zone directory. The other formats list names of many zones.
    is_zone_file: bool,
    /// Rows of a zone file that lie outside the zone.
    outside: OutsideRows,
    /// Number of other records that belong to other zones, and the first of their names.
    of_others: Option<(usize, NameBuf)>,
}

impl RecordSink for Sink<'_> {
    fn record(&mut self, record: RecordRef<'_>) {
        let RecordRef { owner, rtype, ttl, rdata, at } = record;
        let is_inside = owner.is_under(self.apex.as_wire());
        let ttl = ttl.unwrap_or(DEFAULT_TTL);
        self.outside.note_inside(usize::from(is_inside));
        if !is_inside && self.is_zone_file {
            self.outside.note(&self.name, at, owner, rtype == rtype::SOA);
        } else if !is_inside || self.has_longer_zone(owner) {
            self.of_others.get_or_insert_with(|| (0, owner.clone())).0 += 1;
        } else if rtype == rtype::SOA && *owner == *self.apex {
            self.file.soa = Some((rdata.into(), ttl));
        } else {
            let next = self.file.sets.len();
            match *self.by_name.entry((owner.to_wire_name(), rtype)).or_insert(next) {
                place if place == next => {
                    self.file.sets.push(RrSetChange::set(owner, rtype, ttl, [rdata.into()]));
                    self.file.places.push(format_place(at));
                }
                place => {
                    let set = &mut self.file.sets[place];
                    set.ttl = set.ttl.min(ttl); // RFC 2181 section 5.2: one TTL a set
                    set.rdata.push(rdata.into());
                }
            }
        }
    }
}

impl<'s> Sink<'s> {
    fn new(apex: &'s NameBuf, snapshot: &'s Snapshot, link: &'s ZoneLink, name: Arc<PathBuf>, is_zone_file: bool) -> Self {
        let (file, by_name, outside) = (File::default(), HashMap::new(), OutsideRows::default());
        Self { apex, snapshot, link, name, file, by_name, is_zone_file, outside, of_others: None }
    }

    /// Returns true if another zone of the same network is closer to the name.
    fn has_longer_zone(&self, owner: &NameBuf) -> bool {
        let network = self.link.networks.first().map(|id| self.snapshot.network(*id));
        let nearest = network.and_then(|network| network.zone_of(owner, 0));
        nearest.is_some_and(|nearest| nearest.apex != self.link.hosted.apex)
    }
}

/// The SOA and the NS records of the zone itself, which a replacement keeps.
fn is_own(zone: &Zone, owner: &NameBuf, set: &RrSet<'_>) -> bool {
    matches!(set.rtype, rtype::SOA | rtype::NS) && *owner == zone.apex().to_buf()
}

/// Returns the changes after which a zone has only the RRsets of a file, apart from its SOA and NS if the file has none.
fn replace(zone: &Zone, mut sets: Vec<RrSetChange>, soa: Option<(Box<[u8]>, u32)>) -> Vec<RrSetChange> {
    let apex = zone.apex().to_buf();
    let kept: HashSet<(WireName, u16)> = sets.iter().map(|set| (set.owner.clone(), set.rtype)).collect();
    for (owner, set) in zone.records() {
        if !is_own(zone, &owner, &set) && !kept.contains(&(owner.to_wire_name(), set.rtype)) {
            sets.push(RrSetChange::set(&owner, set.rtype, 0, []));
        }
    }
    // Azure's SOA names a server that takes no updates of this zone.
    if let Some((mut rdata, ttl)) = soa.filter(|(rdata, _)| !postern_zones::zone::is_azure_soa(rdata))
        && let Some(at) = rdata.len().checked_sub(20)
    {
        // The serial goes on from ours, whatever the file says: it must never fall.
        let given = u32::from_be_bytes([rdata[at], rdata[at + 1], rdata[at + 2], rdata[at + 3]]);
        let serial = if serial_rose(zone.serial(), given) { given } else { next_serial(zone.serial()) };
        rdata[at..at + 4].copy_from_slice(&serial.to_be_bytes());
        let old = zone.soa();
        let is_alike = |old: &[u8]| old.len() == rdata.len() && old[..at] == rdata[..at] && old[at + 4..] == rdata[at + 4..];
        let is_same = old.ttl == ttl && old.rdata().next().is_some_and(is_alike);
        if !is_same || serial == given {
            sets.push(RrSetChange::set(&apex, rtype::SOA, ttl, [rdata]));
        }
    }
    sets
}

/// Writes a zone as a zone file.
#[utoipa::path(get, path = "/v1/zones/{zone}/export", operation_id = "export", tag = "records",
    params(("zone" = String, Path, description = "The zone.", example = "contoso.test")),
    responses((status = 200, body = String, content_type = "text/dns"), (status = 304, description = "The client has it: `If-None-Match` names its tag."), Refusals))]
pub(super) async fn export(caller: Caller, State(control): State<Arc<Control>>, Path(zone): Path<String>) -> Result<Response, Problem> {
    let state = control.state.load_full();
    let zone = data(&hosted(&state.snapshot, &caller, &zone)?.hosted)?.clone();
    let tag = zone_etag(&zone);
    let writing = tokio::task::spawn_blocking(move || write(&zone)).await;
    let text = writing.map_err(|_| Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the server is stopping"))?;
    let kind = HeaderValue::from_static("text/dns; charset=utf-8"); // RFC 4027
    Ok(([(header::CONTENT_TYPE, kind)], [(header::ETAG, tag)], text).into_response())
}

/// The SOA first, then names in canonical order (RFC 4034 section 6.1), the zone itself before them.
pub(crate) fn write(zone: &Zone) -> String {
    let apex = zone.apex().to_buf();
    let mut sets: Vec<(Vec<u8>, NameBuf, RrSet<'_>)> = zone.records().skip(1).map(|(owner, set)| (canonical(&owner), owner, set)).collect();
    sets.sort_by(|one, other| (&one.0, one.2.rtype).cmp(&(&other.0, other.2.rtype)));
    let mut out = String::new();
    let Ok(mut writer) = text::ZoneFileWriter::new(&mut out, &apex) else { return out }; // a string takes everything
    let soa = zone.soa();
    let all = std::iter::once((&apex, &soa)).chain(sets.iter().map(|(_, owner, set)| (owner, set)));
    for (owner, set) in all {
        for (ttl, rdata) in set.records() {
            let _ = writer.record(owner, ttl, set.rtype, rdata); // a string takes everything
        }
    }
    out
}

/// Labels from the root down, each ended by what sorts before every octet.
fn canonical(name: &NameBuf) -> Vec<u8> {
    let mut key = Vec::with_capacity(name.len());
    for label in (0..name.labels()).rev() {
        let start = name.start(label);
        let length = usize::from(name.as_wire()[start]);
        for octet in &name.as_wire()[start + 1..=start + length] {
            // 0 and 1 are escaped, so that an end is less than everything.
            if *octet < 2 {
                key.push(1);
            }
            key.push(*octet);
        }
        key.push(0);
    }
    key
}
