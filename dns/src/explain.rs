//! Why a question has the answer it has: each name on the way, who speaks for it, what was said, and what the client gets.
//!
//! It walks by [`query::walk`] like every question, with the state of this moment, and then looks again at each name
//! that the walk came to. What an upstream would have to be asked is told, not asked.

use std::net::IpAddr;

use postern_config::rtype::{self, is_meta, type_code, type_name};
use postern_zones::lookup::Lookup;
use postern_zones::name::NameBuf;
use postern_zones::snapshot::{Hosted, ZoneState};
use postern_zones::text::record_line;
use postern_zones::zone::OverriddenName;
use serde::Serialize;

use crate::cache::{CacheKey, EntryAge, EntryKind};
use crate::chain::{AliasHop, MAX_HOPS};
use crate::clock::Now;
use crate::counters::rcode_name;
use crate::cuts;
use crate::ede;
use crate::fallback::event::MissingRecord;
use crate::fallback::{FallbackEvent, FallbackVerdict, MendHint};
use crate::private_link::private_names;
use crate::query::{self, Answer, AnswerEnd, DataPolicy, UpstreamAnswers, WalkStep};
use crate::reason::FallbackReason;
use crate::respond::respond;
use crate::state::{State, View};
use crate::upstream;
use crate::wire::HEADER;
use crate::wire::message::{Message, flag};
use crate::wire::question::{Question, understand};

/// Everything about one question. Names are lower case and have no final dot.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct QueryExplanation {
    /// The name asked.
    pub name: String,
    /// The type asked.
    #[serde(rename = "type")]
    pub rtype: String,
    /// Who asks.
    pub client: IpAddr,
    /// The client's network.
    pub network: String,
    /// The client may query at all.
    pub admitted: bool,
    /// The client may have recursion.
    pub recursion: bool,
    /// Generation of the snapshot that was looked at.
    pub generation: u64,
    /// The names that the answer goes over, in order.
    pub hops: Vec<NameStop>,
    /// The query that must be sent upstream before there is an answer. `None` if there is none.
    pub ask: Option<NeededQuery>,
    /// The answer to the client, if nothing must be asked first.
    pub answer: Option<GivenAnswer>,
    /// The line that would stand in the fallback record, where the answer falls back.
    pub fallback: Option<FallbackEvent>,
    /// Why the name has no private answer, whatever the cache holds. `None` if it has one, or if no private zone of the network is on the way.
    pub verdict: Option<ExplainVerdict>,
}

/// Why a name has no private answer, and the record that would give it one.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ExplainVerdict {
    /// Why.
    pub reason: FallbackReason,
    /// Policy of the zone for a missing name: `public`, `nxdomain` or `servfail`.
    pub action: &'static str,
    /// The name that the zone lacks.
    pub private: String,
    /// The zone.
    pub zone: String,
    /// False: an upstream must be asked whether the public DNS leads to this name. An alias past its TTL or the zone table does.
    pub certain: bool,
    /// The fallback record has the names that this zone lacks.
    pub recorded: bool,
    /// The record that mends it.
    pub mend: MendHint,
}

/// One name on the way.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NameStop {
    /// The name.
    pub name: String,
    /// The private zone of the client's network that it lies in.
    pub zone: Option<ZoneStop>,
    /// The overrides of the client's network that have it.
    pub overrides: Option<OverrideStop>,
    /// The route that would be asked for it.
    pub route: Option<RouteStop>,
    /// The cache entry for this question.
    pub cache: Option<CacheStop>,
    /// Who said what comes next: `zone`, `override`, `upstream`, `zone-table`, or `nobody` where the answer waits for an upstream.
    pub decided_by: &'static str,
    /// The decision, in words.
    pub said: String,
    /// The name that it leads to.
    pub leads_to: Option<String>,
}

/// A private zone on the way.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ZoneStop {
    /// Apex.
    pub name: String,
    /// SOA serial; none: it has no data.
    pub serial: Option<u32>,
    /// Policy for a name that it lacks: `public`, `nxdomain` or `servfail`.
    pub on_missing: &'static str,
    /// The file that the record comes from. If there is no such record, the file where it would be added.
    pub file: Option<String>,
    /// Why it has no data.
    pub unavailable: Option<String>,
    /// A route has a longer suffix than the zone, so that the zone does not speak here.
    pub passed_over: bool,
    /// The zone has no such name.
    pub lacks_name: bool,
}

/// Overrides on the way.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OverrideStop {
    /// Name of the overrides.
    pub name: String,
    /// The file that has the name.
    pub file: Option<String>,
    /// The upstreams answer all the same, because the name is an exception, or lacks the type.
    pub passed_over: bool,
}

/// A route on the way.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RouteStop {
    /// Its suffix.
    pub suffix: String,
    /// Who is asked.
    pub upstreams: Vec<String>,
    /// It leads back to this server and is not asked.
    pub to_self: bool,
}

/// A cache entry on the way.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CacheStop {
    /// `set`, `alias`, `no-data`, `nxdomain` or `failure`.
    pub what: &'static str,
    /// Seconds that are left of its TTL; 0: it is stale.
    pub ttl: u32,
    /// It is past its TTL.
    pub stale: bool,
    /// Who said it.
    pub upstream: String,
}

/// A query that must be sent upstream.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NeededQuery {
    /// QNAME.
    pub name: String,
    /// QTYPE.
    #[serde(rename = "type")]
    pub rtype: String,
    /// Who is asked.
    pub upstreams: Vec<String>,
}

/// A message as the client gets it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GivenAnswer {
    /// RCODE.
    pub rcode: String,
    /// AA: all of it is ours.
    pub authoritative: bool,
    /// Something in it is past its TTL, or was derived from the zone table.
    pub stale: bool,
    /// Records of the answer section, presentation form.
    pub answer: Vec<String>,
    /// Records of the authority section.
    pub authority: Vec<String>,
    /// Extended errors (RFC 8914): code and text.
    pub errors: Vec<String>,
}

/// Why a question cannot be explained.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadQuestion {
    /// Not a name.
    #[error("`{0}` is not a domain name")]
    Name(String),
    /// Not a type that can be asked for.
    #[error("`{0}` is not a type that one can ask for")]
    Type(String),
}

/// A recursive question with EDNS, as a message: what is explained, and what a resolver can be asked to see it answered.
pub fn question(name: &str, rtype: &str) -> Result<Vec<u8>, BadQuestion> {
    let qname = NameBuf::parse(name).map_err(|_| BadQuestion::Name(name.into()))?;
    let code = type_code(rtype).filter(|code| !is_meta(*code) || *code == rtype::ANY);
    let code = code.ok_or_else(|| BadQuestion::Type(rtype.into()))?;
    let mut message = vec![0; HEADER];
    message[2..4].copy_from_slice(&flag::RD.to_be_bytes());
    (message[5], message[11]) = (1, 1); // one question, one additional record
    message.extend_from_slice(qname.as_wire());
    message.extend_from_slice(&code.to_be_bytes());
    message.extend_from_slice(&[0, 1, 0]); // class IN; OPT's owner
    message.extend_from_slice(&rtype::OPT.to_be_bytes());
    message.extend_from_slice(&upstream::message::UDP_SIZE.to_be_bytes());
    message.extend_from_slice(&[0; 6]);
    Ok(message)
}

/// Explains what `client` gets for a message of [`question`].
///
/// `reply`: what the server answered to this very message, where upstreams were asked meanwhile; shown where the state still lacks data,
/// as for what must not be cached.
pub fn explain(message: &[u8], client: IpAddr, state: &State, now: Now, reply: Option<&[u8]>) -> Result<QueryExplanation, BadQuestion> {
    let question = understand(message).map_err(|_| BadQuestion::Name("?".into()))?;
    let view = state.view_of(client, now);
    let nothing_heard = UpstreamAnswers::default();
    let step = query::walk(&question, &view, &nothing_heard, DataPolicy::Fresh);
    let (answer, ask) = match step {
        WalkStep::Answer(answer) => (answer, None),
        WalkStep::Ask(ask) => {
            let mut so_far = Answer::new();
            query::walk_into(&mut so_far, &question, &view, &nothing_heard, DataPolicy::Fresh);
            (so_far, Some(ask))
        }
    };
    let mut names = vec![question.name.clone()];
    names.extend(answer.chain.iter().map(AliasHop::target));
    let hops = names.iter().enumerate().map(|(index, name)| {
        let waits = ask.is_some() && index == answer.chain.len();
        stop(name, answer.chain.get(index), &answer, &question, &view, waits)
    });
    let hops = hops.collect();
    let judged = FallbackVerdict::of(&question, &answer, &view);
    let given = match (&ask, reply) {
        (Some(_), Some(reply)) => given(reply, false),
        (Some(_), None) => None,
        (None, _) => {
            let mut packet = vec![0; 65_535];
            packet[..message.len()].copy_from_slice(message);
            let length = respond(&question, &answer, &judged, &view, &mut packet, 65_535);
            given(&packet[..length], answer.stale)
        }
    };
    let fallback = ask.is_none().then(|| FallbackEvent::would_be(&question, client, &answer, &judged, &view)).flatten();
    let verdict = verdict(&question, &names, &answer, ask.is_some(), &view);
    Ok(QueryExplanation {
        name: question.name.without_dot(),
        rtype: type_name(question.rtype).into_owned(),
        client,
        network: view.network.name.to_string(),
        admitted: state.access.admits(client),
        recursion: view.recursion,
        generation: state.snapshot.generation,
        hops,
        ask: ask.map(|ask| NeededQuery {
            name: ask.name.without_dot(),
            rtype: type_name(ask.rtype).into_owned(),
            upstreams: upstreams(&view, ask.route),
        }),
        answer: given,
        fallback,
        verdict,
    })
}

/// The first private zone on the way that lacks its name, unless the answer is private in the end. Where an upstream must be asked first, the
/// way goes on over aliases past their TTL, then to the private name that the zone table has for the last name.
fn verdict(question: &Question, names: &[NameBuf], answer: &Answer<'_>, waits: bool, view: &View<'_>) -> Option<ExplainVerdict> {
    let is_private = matches!(
        answer.end,
        AnswerEnd::Private(..)
            | AnswerEnd::PrivateNoData(_)
            | AnswerEnd::Referral(..)
            | AnswerEnd::TooLong(..)
            | AnswerEnd::MinimalAny
            | AnswerEnd::PrivateUndecided(_)
    );
    if is_private && !waits {
        return None;
    }
    let zone_at = |name: &NameBuf| cuts::private_zone(question, view, name);
    if let Some((name, hosted)) = names.iter().find_map(|name| zone_at(name).filter(|hosted| !hosted.holds(name)).map(|zone| (name, zone)))
    {
        return Some(lacking(question, name, hosted, true, view));
    }
    let mut name = names.last().filter(|_| waits)?.clone();
    for _ in 0..MAX_HOPS {
        let alias = cuts::route_of(view, &name, question.rtype).and_then(|(route, _)| {
            let (entry, _) = query::cached(view, CacheKey::new(route.id, options(question), question.rtype, &name))?;
            NameBuf::read(entry.alias()?).ok()
        });
        let Some(target) = alias else { break };
        if let Some(hosted) = zone_at(&target) {
            return (!hosted.holds(&target)).then(|| lacking(question, &target, hosted, false, view));
        }
        name = target;
    }
    let candidates = private_names(&view.state.table, &name);
    let hosted: Vec<_> = candidates.iter().filter_map(|name| Some((name, zone_at(name)?))).collect();
    let is_private = hosted.iter().any(|(name, hosted)| hosted.holds(name));
    let (name, hosted) = hosted.first().filter(|_| !is_private)?;
    Some(lacking(question, name, hosted, false, view))
}

fn lacking(question: &Question, name: &NameBuf, hosted: &Hosted, certain: bool, view: &View<'_>) -> ExplainVerdict {
    let snapshot = &view.state.snapshot;
    let elsewhere = hosted.zone().and_then(|_| snapshot.elsewhere(name, view.network_id));
    let reason = match (&hosted.state, &elsewhere) {
        (ZoneState::Unavailable(_), _) => FallbackReason::ZoneUnavailable,
        (_, Some(_)) => FallbackReason::OtherNetwork,
        (_, None) => FallbackReason::NoRecord,
    };
    let private = name.without_dot();
    let (zone, network, elsewhere) = (&*hosted.name, &*view.network.name, elsewhere.as_deref());
    let missing = MissingRecord { reason, rtype: question.rtype, name, private: &private, zone, hosted: Some(hosted), network, elsewhere };
    let mend = missing.mend();
    let action = if reason == FallbackReason::ZoneUnavailable { "servfail" } else { hosted.on_missing.word() };
    ExplainVerdict { reason, action, zone: zone.into(), certain, recorded: hosted.fallback, mend, private }
}

/// DO and CD, as the cache's keys have them.
fn options(question: &Question) -> u8 {
    u8::from(question.dnssec_ok()) | u8::from(question.checking_disabled) << 1
}

/// Returns true if the zone has data, but not this name. What is below a zone cut is not the zone's to lack.
fn lacks(hosted: &Hosted, name: &NameBuf) -> bool {
    hosted.zone().is_some_and(|zone| matches!(zone.lookup(name, rtype::ANY), Lookup::Missing))
}

/// The file that the record of an answer comes from. If the zone lacks it, the file where it would be added.
fn file_of(hosted: &Hosted, name: &NameBuf, rtype: u16) -> Option<String> {
    let of_record = hosted.zone().and_then(|zone| zone.file_of_answer(name, rtype));
    of_record.map(|path| path.display().to_string()).or_else(|| hosted.origin.file().map(|path| path.display().to_string()))
}

fn stop(name: &NameBuf, hop: Option<&AliasHop<'_>>, answer: &Answer<'_>, question: &Question, view: &View<'_>, waits: bool) -> NameStop {
    let hosted = cuts::private_zone(question, view, name);
    let zone = hosted.or_else(|| view.network.zone_of(name, 0)).map(|found| ZoneStop {
        name: found.name.to_string(),
        serial: found.serial(),
        on_missing: found.on_missing.word(),
        file: file_of(found, name, question.rtype),
        unavailable: match &found.state {
            ZoneState::Unavailable(why) => Some(why.to_string()),
            ZoneState::Serving(_) => None,
        },
        passed_over: hosted.is_none(),
        lacks_name: lacks(found, name),
    });
    let is_lacking = hosted.is_some_and(|hosted| lacks(hosted, name));
    let overridden = hosted.is_none().then(|| cuts::overridden(view, name, question.rtype)).flatten();
    let overrides = hosted.is_none().then(|| overrides_stop(name, question, view)).flatten();
    let route = cuts::route_of(view, name, question.rtype).map(|(route, suffix)| RouteStop {
        suffix: NameBuf::read(&name.as_wire()[name.len() - suffix..]).unwrap_or(NameBuf::root()).without_dot(), // a suffix of a name is one
        upstreams: upstreams(view, route.id),
        to_self: route.to_self,
    });
    let route_id = cuts::route_of(view, name, question.rtype).map(|(route, _)| route.id);
    let cached = route_id.and_then(|route| query::cached(view, CacheKey::new(route, options(question), question.rtype, name)));
    let cache = cached.map(|(entry, age)| CacheStop {
        what: match entry.what {
            EntryKind::Set => "set",
            EntryKind::Alias => "alias",
            EntryKind::NoData => "no-data",
            EntryKind::NxDomain => "nxdomain",
            EntryKind::Failure => "failure",
        },
        ttl: if let EntryAge::Fresh(age) = age { entry.ttl.saturating_sub(age) } else { 0 },
        stale: !matches!(age, EntryAge::Fresh(_)),
        upstream: entry.upstream.to_string(),
    });
    let (decided_by, said) = match hop {
        _ if waits && is_lacking => ("nobody", "the zone has no such name: an upstream must be asked".into()),
        _ if waits => ("nobody", "an upstream must be asked".into()),
        Some(AliasHop::Upstream(entry)) if is_lacking => {
            ("upstream", format!("the zone has no such name: alias that {} gave", entry.upstream))
        }
        Some(AliasHop::Private(_)) if overridden.is_some() => ("override", "alias that an override gives".into()),
        None if let Some((_, found)) = overridden => ("override", overriding(found)),
        Some(AliasHop::Private(_)) => ("zone", "alias of the private zone".into()),
        Some(AliasHop::Dname(..)) => ("zone", "DNAME of the private zone".into()),
        Some(AliasHop::Upstream(entry)) => ("upstream", format!("alias that {} gave", entry.upstream)),
        Some(AliasHop::Derived(_)) => ("zone-table", "no upstream answers: the zone table knows the private name".into()),
        None => match &answer.end {
            AnswerEnd::Upstream(entry) if is_lacking => ("upstream", format!("the zone has no such name: answer of {}", entry.upstream)),
            end => ended(end, question),
        },
    };
    let leads_to = hop.map(|hop| hop.target().without_dot());
    NameStop { name: name.without_dot(), zone, overrides, route, cache, decided_by, said, leads_to }
}

/// The overrides that have a name.
fn overrides_stop(name: &NameBuf, question: &Question, view: &View<'_>) -> Option<OverrideStop> {
    let (hosted, ..) = view.network.overridden(name, question.rtype)?;
    let passed_over = cuts::overridden(view, name, question.rtype).is_none();
    Some(OverrideStop { name: hosted.name.to_string(), file: file_of(hosted, name, question.rtype), passed_over })
}

fn overriding(found: OverriddenName<'_>) -> String {
    match found {
        OverriddenName::Set(set) => format!("{} records of an override", set.count),
        OverriddenName::Alias(_) => "alias that an override gives".into(),
        OverriddenName::NoName => "an override denies the name".into(),
        OverriddenName::NoData => "an override denies all data of the name".into(),
        OverriddenName::OtherType | OverriddenName::PassThrough => "an override has the name and lacks this type".into(),
    }
}

fn ended(end: &AnswerEnd<'_>, question: &Question) -> (&'static str, String) {
    match end {
        AnswerEnd::Private(set, _) => ("zone", format!("{} records of the private zone", set.count)),
        AnswerEnd::PrivateNoData(_) => ("zone", "the name is private and lacks this type".into()),
        AnswerEnd::PrivateNxDomain(_) => ("zone", "the private zone lacks the name, and nobody else is asked".into()),
        AnswerEnd::PrivateUndecided(_) => ("zone", "the private zone lacks the name; only other types of it are asked for publicly".into()),
        AnswerEnd::TooLong(..) => ("zone", ede::TOO_LONG.text.into()),
        AnswerEnd::Referral(..) => ("zone", "a zone cut of the private zone".into()),
        AnswerEnd::Upstream(entry) => ("upstream", format!("answer of {}", entry.upstream)),
        AnswerEnd::Aliases if matches!(question.rtype, rtype::CNAME | rtype::ANY) => {
            ("zone", "the alias that was asked for leads here".into())
        }
        AnswerEnd::Aliases => ("nobody", "where the aliases lead this client has no recursion".into()),
        AnswerEnd::MinimalAny => ("nobody", "ANY for a name that is not ours".into()),
        AnswerEnd::Failed(failure) => ("nobody", failure.outcome().1.text.into()),
    }
}

fn upstreams(view: &View<'_>, route: crate::route::RouteId) -> Vec<String> {
    let plan = view.state.routes.plans().iter().find(|(id, _)| *id == route);
    plan.map_or_else(Vec::new, |(_, plan)| plan.upstreams.iter().map(upstream::name).collect())
}

/// A message in words; none where it is none.
fn given(message: &[u8], stale: bool) -> Option<GivenAnswer> {
    const EXTENDED_ERROR: u16 = 15; // RFC 8914 section 2
    let message = Message::read(message).ok()?;
    let lines = |answer: bool| {
        let records = message.records.iter().filter(|record| record.answer == answer);
        let line = |record| {
            let mut rdata = Vec::new();
            message.append_rdata(record, &mut rdata).ok()?;
            Some(record_line(&record.owner, record.ttl, record.rtype, &rdata))
        };
        records.map(line).collect::<Option<Vec<String>>>()
    };
    let errors = message.options().filter(|(code, _)| *code == EXTENDED_ERROR).filter_map(|(_, data)| {
        let (code, text) = data.split_first_chunk::<2>()?;
        Some(format!("{} {}", u16::from_be_bytes(*code), String::from_utf8_lossy(text)).trim_end().to_string())
    });
    Some(GivenAnswer {
        rcode: rcode_name(message.rcode).into_owned(),
        authoritative: message.flags & flag::AA != 0,
        stale,
        answer: lines(true)?,
        authority: lines(false)?,
        errors: errors.collect(),
    })
}
