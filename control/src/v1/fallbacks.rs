//! `/v1/fallbacks`: lists fallbacks with their reasons, creates their records, and mutes them.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use postern_config::model::NamePattern;
use postern_dns::fallback::{FallbackEvent, FallbackRecorder, LedgerEntry, MuteEntry, MuteError};
use postern_dns::private_link::private_names;
use postern_zones::edit::Refusal;
use postern_zones::name::NameBuf;
use postern_zones::network::NetworkId;
use postern_zones::snapshot::{Hosted, Snapshot};
use postern_zones::zone::{DEFAULT_TTL, RrSetChange, rtype};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use utoipa::ToSchema;

use super::Refusals;
use super::change::{self, ChangeAnswer, ChangeNotes, Dry};
use super::records::{changeable, find, network_names};
use super::rrsets::bad_parameter;
use crate::Control;
use crate::http::{Body, Caller, Problem, Query, RequestFault, one_of};

/// Conditions that select fallbacks.
#[derive(Debug, Clone, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct FallbackFilter {
    /// Of clients of this network.
    network: Option<String>,
    /// Of names in this private zone.
    zone: Option<String>,
    /// With this reason: `no-record`, `no-zone`, `zone-unavailable`, `other-network` or `no-private-cname`.
    reason: Option<String>,
    /// With this result for the client: `public`, `nxdomain`, `servfail` or `stale`.
    action: Option<String>,
    /// With this text in the queried name or the private-link name.
    name: Option<String>,
}

/// Conditions that select a page of the list.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct FallbackPage {
    /// Seen since: a time (RFC 3339), or that long ago, as in `15m`, `2h`, `1d`.
    since: Option<String>,
    /// True: only those for which the private name has a record by now; false: only those for which it has none.
    mended: Option<bool>,
    /// Those that are muted, in place of those that are not.
    #[serde(default)]
    muted: bool,
    /// Where the last page ended.
    cursor: Option<u64>,
    /// How many.
    #[param(minimum = 1, maximum = 10_000, default = 100)]
    limit: Option<usize>,
}

/// Fallbacks, the most recently seen first.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Fallbacks {
    /// One a network and name.
    fallbacks: Vec<Fallback>,
    /// Cursor of the next page; null: this is the last one. What is seen again meanwhile is among the first anew.
    next: Option<u64>,
}

/// A name for which clients of a network got no private answer.
#[derive(Debug, Serialize, ToSchema)]
struct Fallback {
    /// The clients' network.
    network: String,
    /// The queried name, no final dot.
    name: String,
    /// The type of the last query.
    #[serde(rename = "type")]
    rtype: String,
    /// The private-link name that has no private answer.
    private: String,
    /// The private zone of that name. Empty if none is known.
    zone: String,
    /// Number of fallbacks since the name is in the ledger.
    count: u64,
    /// Time of the first fallback (RFC 3339).
    first_seen: String,
    /// Time of the last fallback (RFC 3339).
    last_seen: String,
    /// Reason of the last fallback.
    reason: &'static str,
    /// Result for the client of the last fallback.
    action: &'static str,
    /// Address of the last client.
    client: String,
    /// The record that mends it.
    mend: Mend,
    /// True if the private name has records now.
    mended: bool,
}

/// Instructions that give a name its private answer.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Mend {
    /// Instruction for the operator.
    what: String,
    /// The record line without the address. Null if a line does not help.
    #[schema(required = true)]
    record: Option<String>,
    /// The file that the line belongs in. Null if there is none.
    #[schema(required = true)]
    file: Option<String>,
}

/// The record that a fallback lacks.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Missing {
    /// The queried name, or the private-link name.
    #[schema(examples("contosows-fhir2.fhir.azurehealthcareapis.com"))]
    name: String,
    /// The clients' network. Absent: the network of the fallback, if there is only one.
    network: Option<String>,
    /// Private addresses, IPv4 and IPv6.
    #[schema(value_type = Vec<String>, min_items = 1)]
    addresses: Vec<IpAddr>,
    /// TTL, seconds. Absent: 10.
    #[schema(maximum = 2_147_483_647)]
    ttl: Option<u32>,
}

/// The muted names and patterns.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct MutedEntry {
    /// A name, or a pattern with `*` in place of labels.
    name: String,
    /// Network that the mute is limited to. Null: all networks.
    #[schema(required = true)]
    network: Option<String>,
    /// Number of names in the ledger that it covers. A name counts once for each network.
    names: usize,
}

/// Result of a mute or unmute.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct MuteChange {
    /// The name or pattern.
    name: String,
    /// Network that the mute is limited to. Null: all networks.
    #[schema(required = true)]
    network: Option<String>,
    /// False if it was muted already.
    changed: bool,
    /// Number of names in the ledger that it covers.
    names: usize,
    /// All mutes after the change.
    muted: Vec<MutedEntry>,
}

/// A name or a pattern to mute or unmute.
#[derive(Debug, Clone, Deserialize, ToSchema, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct MutedName {
    /// The queried name. `*` as first or last label stands for any number of labels, between others for one.
    #[schema(examples("*.azurehealthcareapis.com"))]
    name: String,
    /// Network that the mute is limited to. Absent: all networks.
    #[serde(default)]
    network: Option<String>,
}

const USUAL_PAGE: usize = 100;
const LARGEST_PAGE: usize = 10_000;

impl FallbackFilter {
    /// Rejects words that no fallback has.
    pub fn checked(self) -> Result<Self, Problem> {
        let known = |parameter: &str, word: &Option<String>, words: &[&str]| match word {
            Some(word) if !words.contains(&word.as_str()) => {
                Err(bad_parameter(parameter, format!("`{word}` is none of {}", words.join(", "))))
            }
            _ => Ok(()),
        };
        known("reason", &self.reason, &["no-record", "no-zone", "zone-unavailable", "other-network", "no-private-cname"])?;
        known("action", &self.action, &["public", "nxdomain", "servfail", "stale"])?;
        let plain = |name: Option<String>| name.map(|name| name.trim_end_matches('.').to_ascii_lowercase());
        Ok(Self { zone: plain(self.zone), name: plain(self.name), ..self })
    }

    /// Rejects a network that the server does not have.
    pub fn known_in(self, snapshot: &Snapshot) -> Result<Self, Problem> {
        check_network(snapshot, self.network.as_deref()).map_err(|detail| bad_parameter("network", detail))?;
        Ok(self)
    }

    /// Returns true if the filter selects an event.
    pub fn takes(&self, event: &FallbackEvent) -> bool {
        self.fits(&event.network, &event.zone, event.reason.as_str(), event.action.as_str(), [&event.name, &event.private])
    }

    fn fits(&self, network: &str, zone: &str, reason: &str, action: &str, names: [&str; 2]) -> bool {
        let is = |wanted: &Option<String>, word: &str| wanted.as_ref().is_none_or(|wanted| wanted == word);
        let has = |part: &String| names.iter().any(|name| name.contains(part.as_str()));
        is(&self.network, network)
            && is(&self.zone, zone)
            && is(&self.reason, reason)
            && is(&self.action, action)
            && self.name.as_ref().is_none_or(has)
    }
}

/// Returns an error with a suggestion if the server does not have this network. `None` stands for all networks.
fn check_network(snapshot: &Snapshot, network: Option<&str>) -> Result<(), String> {
    let Some(network) = network.filter(|network| snapshot.network_named(network).is_none()) else { return Ok(()) };
    let known: Vec<String> = snapshot.networks().map(|(_, network)| network.name.to_string()).collect();
    Err(format!("there is no network `{network}`{}", one_of(network, &known)))
}

/// Lists the fallbacks, the most recently seen first.
#[utoipa::path(get, path = "/v1/fallbacks", operation_id = "list_fallbacks", tag = "insight", params(FallbackFilter, FallbackPage),
    responses((status = 200, body = Fallbacks), Refusals))]
pub(super) async fn list(
    caller: Caller,
    State(control): State<Arc<Control>>,
    Query(filter): Query<FallbackFilter>,
    Query(page): Query<FallbackPage>,
) -> Result<Json<Fallbacks>, Problem> {
    caller.must_see_all()?;
    let filter = filter.checked()?.known_in(&control.state.load().snapshot)?;
    let since = page.since.as_deref().map(since).transpose().map_err(|detail| bad_parameter("since", detail))?;
    let state = control.state.load_full();
    let limit = page.limit.unwrap_or(USUAL_PAGE).clamp(1, LARGEST_PAGE);
    let (mut fallbacks, mut last) = (Vec::new(), None);
    for seen in control.recorder.ledger() {
        let names = [&*seen.name, &*seen.private];
        if page.cursor.is_some_and(|cursor| seen.turn >= cursor)
            || since.is_some_and(|since| seen.last_seen < since)
            || !filter.fits(&seen.network, &seen.zone, seen.reason.as_str(), seen.action.as_str(), names)
            || control.recorder.is_muted(&seen.network, &seen.name) != page.muted
        {
            continue;
        }
        let is_mended = is_mended(&state.snapshot, &seen);
        if page.mended.is_some_and(|wanted| wanted != is_mended) {
            continue;
        }
        if fallbacks.len() == limit {
            return Ok(Json(Fallbacks { fallbacks, next: last }));
        }
        last = Some(seen.turn);
        fallbacks.push(Fallback::of(&seen, is_mended));
    }
    Ok(Json(Fallbacks { fallbacks, next: None }))
}

impl Fallback {
    fn of(seen: &LedgerEntry, mended: bool) -> Self {
        let time = |time: SystemTime| OffsetDateTime::from(time).format(&Rfc3339).unwrap_or_default(); // every such time can be written
        Self {
            network: seen.network.to_string(),
            name: seen.name.to_string(),
            rtype: seen.rtype.to_string(),
            private: seen.private.to_string(),
            zone: seen.zone.to_string(),
            count: seen.count,
            first_seen: time(seen.first_seen),
            last_seen: time(seen.last_seen),
            reason: seen.reason.as_str(),
            action: seen.action.as_str(),
            client: seen.client.to_string(),
            mend: Mend { what: seen.mend.what.clone(), record: seen.mend.record.clone(), file: seen.mend.file.clone() },
            mended,
        }
    }
}

fn is_mended(snapshot: &Snapshot, seen: &LedgerEntry) -> bool {
    let network = snapshot.network_named(&seen.network);
    let name = NameBuf::parse(&seen.private).ok();
    network.zip(name).is_some_and(|(network, name)| zone_of(snapshot, network, &name).is_some_and(|hosted| hosted.holds(&name)))
}

fn zone_of<'s>(snapshot: &'s Snapshot, network: NetworkId, name: &NameBuf) -> Option<&'s Arc<Hosted>> {
    snapshot.network(network).zone_of(name, 0)
}

/// Reads a time or an age.
fn since(text: &str) -> Result<SystemTime, String> {
    let bad = || format!("`{text}` is neither a time (RFC 3339) nor a duration such as 15m, 2h or 1d");
    if let Ok(time) = OffsetDateTime::parse(text, &Rfc3339) {
        return Ok(time.into());
    }
    let unit = text.chars().last().filter(char::is_ascii).ok_or_else(bad)?;
    let count: u64 = text[..text.len() - 1].parse().map_err(|_| bad())?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return Err(bad()),
    };
    let ago = Duration::from_secs(count.checked_mul(seconds).ok_or_else(bad)?);
    Ok(SystemTime::now().checked_sub(ago).unwrap_or(SystemTime::UNIX_EPOCH))
}

/// Creates the record that a fallback lacks, in the zone that the API writes.
#[utoipa::path(post, path = "/v1/fallbacks/create", operation_id = "create_missing", tag = "insight", params(Dry), request_body = Missing,
    responses((status = 200, body = change::Changed), Refusals))]
pub(super) async fn create(
    caller: Caller,
    State(control): State<Arc<Control>>,
    Query(dry): Query<Dry>,
    Body(missing): Body<Missing>,
) -> Result<ChangeAnswer, Problem> {
    let invalid = |pointer: &str, detail: String| Problem::invalid(vec![RequestFault { pointer: pointer.into(), detail }]);
    let name = NameBuf::parse(&missing.name).map_err(|error| invalid("/name", format!("`{}` is not a name: {error}", missing.name)))?;
    if missing.addresses.is_empty() {
        return Err(invalid("/addresses", "a record has one address at least".into()));
    }
    let (zone, owner) = {
        let state = control.state.load_full();
        let (hosted, owner) = place(&control, &state, &name, missing.network.as_deref(), &caller)?;
        let link = state.snapshot.hosted().iter().find(|link| Arc::ptr_eq(&link.hosted, &hosted));
        let network = link.and_then(|link| network_names(&state.snapshot, link).first().map(|name| name.to_string()));
        let zone = network.map_or_else(|| hosted.name.to_string(), |network| format!("{}@{network}", hosted.name));
        changeable(&state.snapshot, &caller, &zone)?;
        (zone, owner)
    };
    type Data = Vec<Box<[u8]>>;
    let (mut v4, mut v6) = (Data::new(), Data::new());
    for address in &missing.addresses {
        match address {
            IpAddr::V4(address) => v4.push(Box::new(address.octets())),
            IpAddr::V6(address) => v6.push(Box::new(address.octets())),
        }
    }
    let ttl = missing.ttl.unwrap_or(DEFAULT_TTL);
    change::make(&control, &caller, &zone, dry, vec!["/addresses".into(), "/addresses".into()], ChangeNotes::default(), move |zone| {
        let sets = [(rtype::A, v4), (rtype::AAAA, v6)].into_iter().filter(|(_, addresses)| !addresses.is_empty());
        let change = |(rtype, addresses): (u16, Vec<Box<[u8]>>)| match find(zone, &owner, rtype) {
            Some(old) if !old.rdata().all(|rdata| addresses.iter().any(|address| **address == *rdata)) => {
                let kind = postern_zones::text::rdata::type_name(rtype);
                Err(Refusal::Exists(format!("{owner} has {kind} records with other addresses already: `postern records set` changes them")))
            }
            _ => Ok(RrSetChange::set(&owner, rtype, ttl, addresses)),
        };
        sets.map(change).collect()
    })
    .await
}

/// Finds the zone and the name in it that give a name its private answer. The ledger decides; without an entry there, the hosted zones and
/// the zone table do. A caller that may not see everything learns of zones that it may change only, not of fallbacks.
fn place(
    control: &Control,
    state: &postern_dns::state::State,
    name: &NameBuf,
    network: Option<&str>,
    caller: &Caller,
) -> Result<(Arc<Hosted>, NameBuf), Problem> {
    let snapshot = &state.snapshot;
    let text = name.to_string();
    let text = text.trim_end_matches('.');
    let conflict = |detail: String| Problem::new(StatusCode::CONFLICT, detail);
    let may_change = |hosted: &Arc<Hosted>| {
        let link = snapshot.hosted().iter().find(|link| Arc::ptr_eq(&link.hosted, hosted));
        caller.may_see_all() || link.is_some_and(|link| caller.may_change(&hosted.name, &snapshot.meant_for(link)))
    };
    let wanted = |id: NetworkId| network.is_none_or(|network| *snapshot.network(id).name == *network);
    if caller.may_see_all() {
        check_network(snapshot, network).map_err(|detail| Problem::invalid(vec![RequestFault { pointer: "/network".into(), detail }]))?;
    }
    let known = control.recorder.ledger().into_iter().filter(|seen| [&*seen.name, &*seen.private].contains(&text));
    let known = known.filter_map(|seen| Some((snapshot.network_named(&seen.network)?, NameBuf::parse(&seen.private).ok()?, seen.zone)));
    let mut known: Vec<(NetworkId, NameBuf, Arc<str>)> = known.filter(|(network, ..)| wanted(*network)).collect();
    if known.is_empty() {
        let mut names = private_names(&state.table, name);
        names.push(name.clone());
        for (id, _) in snapshot.networks().filter(|(id, _)| wanted(*id)) {
            let hosted = names.iter().find(|name| zone_of(snapshot, id, name).is_some());
            known.extend(hosted.map(|name| (id, name.clone(), "".into())));
        }
    }
    let mut found: Vec<(Arc<Hosted>, NameBuf, Arc<str>)> = Vec::new();
    for (id, private, _) in &known {
        if let Some(hosted) = zone_of(snapshot, *id, private)
            && !found.iter().any(|(other, name, _)| Arc::ptr_eq(other, hosted) && name == private)
            && may_change(hosted)
        {
            found.push((hosted.clone(), private.clone(), snapshot.network(*id).name.clone()));
        }
    }
    match (&found[..], known.first()) {
        ([(hosted, private, _)], _) => Ok((hosted.clone(), private.clone())),
        ([], _) if !caller.may_see_all() => {
            Err(Problem::forbidden(format!("the key `{}` reaches to no zone that has a place for {text}", caller.who)))
        }
        ([], Some((id, private, zone))) => {
            let (network, zone) = (&snapshot.network(*id).name, if zone.is_empty() { "of it" } else { zone });
            Err(conflict(format!("network {network} hosts no zone for {private}: make zone {zone} first, with POST /v1/zones")))
        }
        ([], None) => Err(Problem::not_found(format!("{text} did not fall back, and no zone that is hosted has a place for it"))),
        (several, _) => {
            let networks: Vec<&str> = several.iter().map(|(.., network)| &**network).collect();
            Err(conflict(format!("{text} has a place in several zones: say for which network ({})", networks.join(", "))))
        }
    }
}

/// Lists the mutes.
#[utoipa::path(get, path = "/v1/fallbacks/muted", operation_id = "list_muted", tag = "insight",
    responses((status = 200, body = [MutedEntry]), Refusals))]
pub(super) async fn muted(caller: Caller, State(control): State<Arc<Control>>) -> Result<Json<Vec<MutedEntry>>, Problem> {
    caller.must_see_all()?;
    Ok(Json(entries(&control)))
}

/// Mutes a name, or the names of a pattern. Their fallbacks are counted, but neither listed, written nor streamed, over a restart too.
#[utoipa::path(post, path = "/v1/fallbacks/muted", operation_id = "mute", tag = "insight", request_body = MutedName,
    responses((status = 200, body = MuteChange), Refusals))]
pub(super) async fn mute(
    caller: Caller,
    State(control): State<Arc<Control>>,
    Body(muted): Body<MutedName>,
) -> Result<Json<MuteChange>, Problem> {
    caller.must_be_admin()?;
    let invalid = |pointer: &str, detail: String| Problem::invalid(vec![RequestFault { pointer: pointer.into(), detail }]);
    let muted = muted.checked().map_err(|detail| invalid("/name", detail))?;
    check_network(&control.state.load().snapshot, muted.network.as_deref()).map_err(|detail| invalid("/network", detail))?;
    let changed = change_muted(&control, muted.clone(), |recorder, muted| recorder.mute(muted)).await?;
    Ok(Json(MuteChange::of(&control, muted, changed)))
}

/// Unmutes a name or pattern.
#[utoipa::path(delete, path = "/v1/fallbacks/muted", operation_id = "unmute", tag = "insight", params(MutedName),
    responses((status = 200, body = MuteChange), Refusals))]
pub(super) async fn unmute(
    caller: Caller,
    State(control): State<Arc<Control>>,
    Query(muted): Query<MutedName>,
) -> Result<Json<MuteChange>, Problem> {
    caller.must_be_admin()?;
    let muted = muted.checked().map_err(|detail| bad_parameter("name", detail))?;
    match change_muted(&control, muted.clone(), |recorder, muted| recorder.unmute(&muted)).await? {
        true => Ok(Json(MuteChange::of(&control, muted, true))),
        false => {
            let others: Vec<String> = control.recorder.muted().into_iter().filter(|other| other.name == muted.name).map(shown).collect();
            let help = match &others[..] {
                [] => "`postern fallbacks muted` lists what is".into(),
                others => format!("what is muted is {}", others.join(", ")),
            };
            Err(Problem::not_found(format!("{} is not muted: {help}", shown(muted))))
        }
    }
}

/// Changes the mutes on a thread that may wait for the disk.
async fn change_muted(
    control: &Arc<Control>,
    muted: MuteEntry,
    change: impl FnOnce(&FallbackRecorder, MuteEntry) -> Result<bool, MuteError> + Send + 'static,
) -> Result<bool, Problem> {
    let recorder = control.recorder.clone();
    let changed = tokio::task::spawn_blocking(move || change(&recorder, muted)).await;
    let failed = |detail: String| Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail);
    match changed.map_err(|error| failed(error.to_string()))? {
        Ok(changed) => Ok(changed),
        Err(error @ (MuteError::NotKept(_) | MuteError::Unread(_))) => Err(failed(error.to_string())),
        Err(error) => Err(Problem::new(StatusCode::CONFLICT, error.to_string())),
    }
}

fn entries(control: &Control) -> Vec<MutedEntry> {
    let ledger = control.recorder.ledger();
    let counts = control.recorder.muted_counts(pairs(&ledger));
    counts.into_iter().map(|(MuteEntry { name, network }, names)| MutedEntry { name, network, names }).collect()
}

/// Network and name of each fallback.
fn pairs(ledger: &[LedgerEntry]) -> impl Iterator<Item = (&str, &str)> {
    ledger.iter().map(|seen| (&*seen.network, &*seen.name))
}

/// `name`, or `name for network hub`.
fn shown(muted: MuteEntry) -> String {
    muted.network.map_or(muted.name.clone(), |network| format!("{} for network {network}", muted.name))
}

impl MuteChange {
    fn of(control: &Control, muted: MuteEntry, changed: bool) -> Self {
        let names = muted.count(pairs(&control.recorder.ledger()));
        Self { name: muted.name, network: muted.network, changed, names, muted: entries(control) }
    }
}

impl MutedName {
    fn checked(self) -> Result<MuteEntry, String> {
        NamePattern::parse(&self.name)?;
        Ok(MuteEntry { name: self.name.trim_end_matches('.').to_ascii_lowercase(), network: self.network })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn since_is_a_time_or_how_long_ago() {
        assert_eq!(since("1970-01-01T00:00:09Z"), Ok(SystemTime::UNIX_EPOCH + Duration::from_secs(9)));
        for (text, seconds) in [("9s", 9), ("15m", 900), ("2h", 7_200), ("1d", 86_400)] {
            let ago = || SystemTime::now() - Duration::from_secs(seconds);
            let (before, read, after) = (ago(), since(text).unwrap(), ago());
            assert!(before <= read && read <= after, "{text}");
        }
        for bad in ["", "m", "15", "15x", "99999999999999999999s", "yesterday", "9€"] {
            assert!(since(bad).is_err(), "{bad}");
        }
    }
}
