//! The path of a query, on one page.
//!
//! [`walk`] goes from the question name alias by alias until something ends the answer, or until an upstream has to be asked. At each
//! name: a private zone of the client's network, unless a route says more about the name; else what upstreams said, from this
//! question's own exchanges or from the cache. It changes nothing and waits for nothing, so it is repeated whole after each upstream
//! answer, with the snapshot of that moment.

use std::sync::Arc;
use std::time::Duration;

use postern_zones::lookup::{Lookup, RrSet};
use postern_zones::name::{NameBuf, is_private_link};
use postern_zones::snapshot::{Hosted, ZoneState};
use postern_zones::zone::{OverriddenName, Zone};

use postern_config::model::OnMissing;

use crate::cache::{CacheEntry, CacheKey, EntryAge, EntryKind};
use crate::chain::{AliasChain, AliasHop, redirected};
use crate::clock::Now;
use crate::cuts::{self, has_private_data, is_cut, labels_off, may_fall_back, own_route, own_zone, private_zone, route_of};
use crate::ede::Failure;
use crate::reason::FallbackReason;
use crate::route::{Route, RouteId};
use crate::special;
use crate::state::View;
use crate::wire::question::Question;
use crate::wire::rtype;

/// Where a walk came to.
#[derive(Debug)]
#[allow(clippy::large_enum_variant)] // lives on the stack of one worker; a box would be an allocation a question
pub enum WalkStep<'s> {
    /// The answer is known.
    Answer(Answer<'s>),
    /// An upstream must be asked this first.
    Ask(UpstreamQuery),
}

/// An answer, found but not yet written.
#[derive(Debug)]
pub struct Answer<'s> {
    /// Aliases on the way.
    pub chain: AliasChain<'s>,
    /// The data at the end of the chain.
    pub end: AnswerEnd<'s>,
    /// The last name: the owner of what stands at the end.
    pub name: NameBuf,
    /// The first private-link name on the way that no private record answered.
    pub missed: Option<MissedName<'s>>,
    /// Something in it is past its TTL, or was derived (S6).
    pub stale: bool,
}

/// A private-link name that no private record answered.
#[derive(Debug, Clone, Copy)]
pub struct MissedName<'s> {
    /// Aliases followed before it: 0 is the question name itself.
    pub hop: usize,
    /// The hosted zone it lies in, if there is one.
    pub zone: Option<&'s Arc<Hosted>>,
    /// Why, as far as the walk knows.
    pub reason: FallbackReason,
}

/// The end of an answer.
#[derive(Debug)]
pub enum AnswerEnd<'s> {
    /// An RRset of a private zone.
    Private(RrSet<'s>, &'s Zone),
    /// A private zone has the name but not the type.
    PrivateNoData(&'s Zone),
    /// A private zone lacks the name, and no upstream is asked.
    PrivateNxDomain(&'s Zone),
    /// A private zone lacks the name, but an address of it may be found publicly. NODATA, because NXDOMAIN would deny every type.
    PrivateUndecided(&'s Zone),
    /// A DNAME, and the label at which its owner starts, whose substitution is longer than a name may be: YXDOMAIN.
    TooLong(RrSet<'s>, usize),
    /// A zone cut of a private zone, and the label of the name at which it starts.
    Referral(RrSet<'s>, usize, &'s Zone),
    /// Data of an upstream: an RRset or a denial.
    Upstream(Arc<CacheEntry>),
    /// The aliases alone: the question was for the alias, or the client has no recursion where they lead.
    Aliases,
    /// ANY, answered with HINFO (RFC 8482 section 4.2).
    MinimalAny,
    /// No answer.
    Failed(Failure),
}

/// A query for an upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamQuery {
    /// Where.
    pub route: RouteId,
    /// QNAME.
    pub name: NameBuf,
    /// QTYPE.
    pub rtype: u16,
    /// DO.
    pub dnssec_ok: bool,
    /// CD.
    pub checking_disabled: bool,
}

/// Answers of upstreams to this very question, cacheable or not.
#[derive(Debug, Default, Clone)]
pub struct UpstreamAnswers(pub Vec<(RouteId, NameBuf, Arc<CacheEntry>)>);

/// Which data will do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DataPolicy {
    /// Fresh data; what is missing is asked for.
    Fresh,
    /// No upstream answers: stale data and names derived from the zone table too (S6); nothing is asked.
    Outage(Failure),
}

/// Goes from the question to its answer, or to the next thing that must be asked.
pub fn walk<'s>(question: &Question, view: &View<'s>, heard: &UpstreamAnswers, patience: DataPolicy) -> WalkStep<'s> {
    let mut answer = Answer::new();
    match walk_into(&mut answer, question, view, heard, patience) {
        Some(ask) => WalkStep::Ask(ask),
        None => WalkStep::Answer(answer),
    }
}

/// The same into an answer that is used again and again: an answer has 1.2 KB, and moving it costs more than finding it.
///
/// `None`: `answer` is the answer.
pub fn walk_into<'s>(
    answer: &mut Answer<'s>,
    question: &Question,
    view: &View<'s>,
    heard: &UpstreamAnswers,
    patience: DataPolicy,
) -> Option<UpstreamQuery> {
    answer.restart(&question.name);
    loop {
        let next = match private_zone(question, view, &answer.name) {
            Some(hosted) => ask_zone(question, view, hosted, answer),
            None if view.network.has_overrides()
                && let Some(next) = ask_overrides(question, view, &answer.name) =>
            {
                next
            }
            None => {
                // DS of a hosted zone is the parent's to answer, so that no private record is missing.
                if is_private_link(&answer.name) && !(question.rtype == rtype::DS && own_zone(view, &answer.name).is_some()) {
                    answer.miss(None, FallbackReason::NoZone);
                }
                Next::Public
            }
        };
        let next = match next {
            Next::Public => ask_upstreams_data(question, view, heard, patience, answer),
            local => local,
        };
        match next {
            Next::End(end) => answer.end = end,
            Next::Ask(route) => return Some(UpstreamQuery::new(route, &answer.name, question)),
            Next::Follow(_) if answer.chain.is_full() => answer.end = AnswerEnd::Failed(Failure::Loop),
            Next::Follow(hop) => match answer.follow(hop, question) {
                None => continue,
                Some(end) => answer.end = end,
            },
            Next::Public => answer.end = AnswerEnd::Failed(Failure::NoRoute),
        }
        return None;
    }
}

/// One name's outcome.
enum Next<'s> {
    End(AnswerEnd<'s>),
    Follow(AliasHop<'s>),
    Ask(RouteId),
    Public,
}

/// Looks up the current name of the answer in a private zone.
fn ask_zone<'s>(question: &Question, view: &View<'s>, hosted: &'s Arc<Hosted>, answer: &mut Answer<'s>) -> Next<'s> {
    let zone: &'s Zone = match &hosted.state {
        ZoneState::Serving(zone) => zone,
        ZoneState::Unavailable(_) => {
            answer.miss(Some(hosted), FallbackReason::ZoneUnavailable);
            return Next::End(AnswerEnd::Failed(Failure::ZoneUnavailable));
        }
    };
    match zone.lookup(&answer.name, question.rtype) {
        Lookup::Found { set, .. } => Next::End(AnswerEnd::Private(set, zone)),
        Lookup::Alias { set, .. } if question.rtype == rtype::ANY => Next::End(AnswerEnd::Private(set, zone)),
        Lookup::Alias { set, .. } => Next::Follow(AliasHop::Private(set)),
        Lookup::Redirect { set, owner } => match redirected(&answer.name, owner, &set) {
            Some(target) => Next::Follow(AliasHop::Dname(set, answer.name.start(owner), Box::new(target))),
            None => Next::End(AnswerEnd::TooLong(set, owner)),
        },
        Lookup::Referral { set, owner } => Next::End(AnswerEnd::Referral(set, owner, zone)),
        // Never the public data for a type we lack (S3).
        Lookup::NoData => match (question.rtype == rtype::ANY).then(|| zone.at(&answer.name).next()).flatten() {
            Some(any) => Next::End(AnswerEnd::Private(any, zone)), // one RRset is enough (RFC 8482 section 4.1)
            None => Next::End(AnswerEnd::PrivateNoData(zone)),
        },
        Lookup::Missing if question.rtype == rtype::DS && is_cut(view, &answer.name) => Next::End(AnswerEnd::PrivateNoData(zone)),
        Lookup::Missing if !may_fall_back(question, view) => Next::End(AnswerEnd::PrivateNxDomain(zone)),
        Lookup::Missing if never_falls_back(question.rtype) => match hosted.on_missing {
            // Resolvers behind this server apply NXDOMAIN to every type of the name (RFC 2308 section 5, RFC 8020).
            OnMissing::Public | OnMissing::Servfail => Next::End(AnswerEnd::PrivateUndecided(zone)),
            OnMissing::Nxdomain => Next::End(AnswerEnd::PrivateNxDomain(zone)),
        },
        Lookup::Missing => {
            answer.miss(Some(hosted), FallbackReason::NoRecord);
            match hosted.on_missing {
                OnMissing::Public => Next::Public,
                OnMissing::Nxdomain => Next::End(AnswerEnd::PrivateNxDomain(zone)),
                OnMissing::Servfail => Next::End(AnswerEnd::Failed(Failure::MissingRefused)),
            }
        }
    }
}

/// Answers from the overrides of the network. Returns `None` if they leave the name, or this type of it, to the upstreams.
#[inline(never)] // most networks have none
fn ask_overrides<'s>(question: &Question, view: &View<'s>, name: &NameBuf) -> Option<Next<'s>> {
    let (zone, found) = cuts::overridden(view, name, question.rtype)?;
    Some(Next::End(match found {
        OverriddenName::Alias(set) => return Some(Next::Follow(AliasHop::Private(set))),
        OverriddenName::Set(set) => AnswerEnd::Private(set, zone),
        OverriddenName::NoName => AnswerEnd::PrivateNxDomain(zone),
        _ => AnswerEnd::PrivateNoData(zone),
    }))
}

/// Takes the upstream data for the current name of the answer, or asks for it.
fn ask_upstreams_data<'s>(
    question: &Question,
    view: &View<'s>,
    heard: &UpstreamAnswers,
    patience: DataPolicy,
    answer: &mut Answer<'s>,
) -> Next<'s> {
    let first = answer.chain.is_empty();
    if !view.recursion {
        return Next::End(if first { AnswerEnd::Failed(Failure::NoRecursion) } else { AnswerEnd::Aliases });
    }
    if question.rtype == rtype::ANY {
        return Next::End(AnswerEnd::MinimalAny);
    }
    let found = route_of(view, &answer.name, question.rtype);
    if question.rtype == rtype::DS {
        let next = ask_route(question, view, heard, patience, answer, found);
        // The parent's side of a route may not know its suffix, which exists all the same.
        let is_unknown = matches!(&next, Next::End(AnswerEnd::Upstream(entry)) if entry.what == EntryKind::NxDomain);
        return match own_route(view, &answer.name).filter(|_| is_unknown) {
            Some(own) => ask_route(question, view, heard, patience, answer, Some(own)),
            None => next,
        };
    }
    ask_route(question, view, heard, patience, answer, found)
}

/// Data of the upstreams of one route at the name the answer has come to, or that they must be asked.
#[inline]
fn ask_route<'s>(
    question: &Question,
    view: &View<'s>,
    heard: &UpstreamAnswers,
    patience: DataPolicy,
    answer: &mut Answer<'s>,
    found: Option<(&'s Route, usize)>,
) -> Next<'s> {
    let first = answer.chain.is_empty();
    let Some((route, _)) = found else {
        let special = special_zone(view, &answer.name, question.rtype, None);
        return special.map_or(Next::End(AnswerEnd::Failed(Failure::NoRoute)), |zone| ask_special(zone, question, &answer.name));
    };
    let options = u8::from(question.dnssec_ok()) | u8::from(question.checking_disabled) << 1;
    let Answer { name, stale, .. } = answer;
    let (entry, key) = match heard.at(route.id, name) {
        Some(entry) => (Some((entry, EntryAge::Fresh(0))), None),
        None => {
            let key = CacheKey::new(route.id, options, question.rtype, name);
            (cached(view, key), Some(key))
        }
    };
    let failed = match &entry {
        Some((_, EntryAge::Fresh(_))) => None,
        _ => key.and_then(|key| view.state.cache.failure(key, view.now)),
    };
    // Past its TTL it is used only where nobody can say, or could say a moment ago.
    let may_be_stale = failed.is_some() || patience != DataPolicy::Fresh;
    match entry {
        Some((entry, EntryAge::Fresh(_))) => return believe(entry, question, view, name),
        Some((entry, age)) if (age == EntryAge::StaleNow || may_be_stale) && outlives_its_ttl(view, &entry) => {
            *stale = true;
            return believe(entry, question, view, name);
        }
        _ => {}
    }
    if let Some(zone) = special_zone(view, name, question.rtype, found) {
        return ask_special(zone, question, name);
    }
    let failure = match patience {
        _ if !question.recursion_desired => {
            return Next::End(if first { AnswerEnd::Failed(Failure::NotAuthoritative) } else { AnswerEnd::Aliases });
        }
        _ if route.to_self => Failure::RouteToSelf,
        DataPolicy::Outage(failure) => failure,
        DataPolicy::Fresh => match failed {
            Some(failed) => Failure::CachedFailure(failed.error),
            None => return Next::Ask(route.id),
        },
    };
    match derived(question, view, name) {
        Some(target) => {
            *stale = true;
            Next::Follow(AliasHop::Derived(Box::new(target)))
        }
        None => Next::End(AnswerEnd::Failed(failure)),
    }
}

/// Takes up the data of an upstream at this name.
fn believe<'s>(entry: Arc<CacheEntry>, question: &Question, view: &View<'s>, name: &NameBuf) -> Next<'s> {
    if question.rtype == rtype::DS
        && matches!(entry.what, EntryKind::NxDomain | EntryKind::Alias)
        && let Some(hosted) = own_zone(view, name)
    {
        // The apex of a private zone exists, whatever the public DNS has there.
        return Next::End(hosted.zone().map_or(AnswerEnd::Failed(Failure::ZoneUnavailable), |zone| AnswerEnd::PrivateNoData(zone)));
    }
    match entry.what {
        EntryKind::Alias if question.rtype != rtype::CNAME => Next::Follow(AliasHop::Upstream(entry)),
        _ => Next::End(AnswerEnd::Upstream(entry)),
    }
}

/// Answers for a special name without any upstream.
fn ask_special<'s>(zone: &'static Zone, question: &Question, name: &NameBuf) -> Next<'s> {
    Next::End(match zone.lookup(name, question.rtype) {
        Lookup::Found { set, .. } => AnswerEnd::Private(set, zone),
        Lookup::Missing if special::denies_names(zone) => AnswerEnd::PrivateNxDomain(zone),
        _ => AnswerEnd::PrivateNoData(zone),
    })
}

/// The special zone that answers for `name`, unless a route other than `.` covers it, or `.` leads to resolvers that may know it.
fn special_zone(view: &View, name: &NameBuf, rtype: u16, route: Option<(&Route, usize)>) -> Option<&'static Zone> {
    // No upstream has a say on a name that means the same everywhere, not even on its DS: its denial would hold for every type.
    let special = special::find(name, 0).filter(|special| special.denies_ds()).or_else(|| special::find(name, labels_off(name, rtype)))?;
    let is_routed = route.is_some_and(|(route, suffix)| suffix > 1 || special.is_local && view.state.routes.leads_inside(route.id));
    (!is_routed).then(|| special.zone())
}

/// The cache's entry for the type asked, or what stands for every type: an alias, or that there is no such name (RFC 2308 section 5).
pub(crate) fn cached(view: &View, key: CacheKey) -> Option<(Arc<CacheEntry>, EntryAge)> {
    let look = |key: CacheKey| {
        let entry = view.state.cache.get(&key)?;
        let age = entry.age(view.now);
        Some((entry, age))
    };
    let own = look(key);
    if matches!(own, Some((_, EntryAge::Fresh(_)))) {
        return own;
    }
    let general = look(key.of_type(rtype::CNAME)).filter(|(entry, _)| entry.what.is_of_every_type());
    match (own, general) {
        (Some(own), Some(general)) if general.0.born > own.0.born => Some(general),
        (own @ Some(_), _) => own,
        (None, general) => general,
    }
}

/// S4: record managers read hosted data back with these types, so they never see public data.
fn never_falls_back(rtype: u16) -> bool {
    matches!(rtype, rtype::SOA | rtype::NS | rtype::DS | rtype::ANY | rtype::AXFR | rtype::IXFR)
}

/// Returns true if an entry may be used past its TTL (RFC 8767).
fn outlives_its_ttl(view: &View, entry: &CacheEntry) -> bool {
    entry.may_be_stale(view.now, view.state.settings.cache.stale) || leads_home(view, entry)
}

/// S6: an alias into a private zone of this network outlives every bound on staleness, because what it leads to is ours and is fresh.
pub(crate) fn leads_home(view: &View, entry: &CacheEntry) -> bool {
    let target = entry.alias().and_then(|wire| NameBuf::read(wire).ok());
    target.is_some_and(|target| has_private_data(view, &target))
}

/// S6: the private name that the zone table says this public name stands for, if we have data there.
fn derived(question: &Question, view: &View, name: &NameBuf) -> Option<NameBuf> {
    if question.rtype == rtype::CNAME {
        return None;
    }
    crate::private_link::private_names(&view.state.table, name).into_iter().find(|candidate| has_private_data(view, candidate))
}

impl Answer<'_> {
    /// True where all of it is a private zone's own: AA is set on such an answer alone (S2).
    ///
    /// AA speaks for the first owner name (RFC 1035 section 4.1.1): aliases of ours that lead out of the zone, or to a cut, are ours too.
    pub fn is_ours_alone(&self) -> bool {
        self.chain.iter().all(|hop| matches!(hop, AliasHop::Private(_) | AliasHop::Dname(..)))
            && match self.end {
                AnswerEnd::Private(..)
                | AnswerEnd::PrivateNoData(_)
                | AnswerEnd::PrivateNxDomain(_)
                | AnswerEnd::PrivateUndecided(_)
                | AnswerEnd::TooLong(..) => true,
                AnswerEnd::Aliases | AnswerEnd::Referral(..) => !self.chain.is_empty(),
                _ => false,
            }
    }
}

impl Answer<'_> {
    /// Until when the same question finds the same in the same state: no TTL in it counts down a second before. None: not even now.
    pub fn holds_until(&self, now: Now) -> Option<Now> {
        if self.stale || matches!(self.end, AnswerEnd::Failed(_)) {
            return None;
        }
        let end = if let AnswerEnd::Upstream(entry) = &self.end { Some(entry) } else { None };
        let hops = self.chain.iter().filter_map(|hop| if let AliasHop::Upstream(entry) = hop { Some(entry) } else { None });
        hops.chain(end).try_fold(Now(u64::MAX), |until, entry| match entry.age(now) {
            EntryAge::Fresh(age) => Some(until.min(entry.born.plus(Duration::from_secs(u64::from(age) + 1)))),
            EntryAge::Stale | EntryAge::StaleNow => None,
        })
    }
}

impl<'s> Answer<'s> {
    /// Nothing yet.
    pub fn new() -> Self {
        Self { chain: AliasChain::new(), end: AnswerEnd::Aliases, name: NameBuf::root(), missed: None, stale: false }
    }

    fn restart(&mut self, name: &NameBuf) {
        self.chain.clear();
        self.end = AnswerEnd::Aliases;
        self.name.clone_from(name);
        self.missed = None;
        self.stale = false;
    }

    /// Follows an alias to its target. Returns the end of the answer if the alias leads nowhere.
    fn follow(&mut self, hop: AliasHop<'s>, question: &Question) -> Option<AnswerEnd<'s>> {
        self.name = hop.target();
        let passed = self.name == question.name || self.chain.iter().any(|earlier| earlier.leads_to(&self.name));
        self.chain.push(hop);
        match question.rtype {
            _ if passed => Some(AnswerEnd::Failed(Failure::Loop)),
            // An alias that was asked for is the answer (RFC 1034 section 4.3.2 step 3a). A CNAME made from a DNAME comes here.
            rtype::CNAME | rtype::ANY => Some(AnswerEnd::Aliases),
            _ => None,
        }
    }

    /// Notes that this name has no private record. The first such name counts, or the first that the fallback record is to
    /// have; but a name at which the answer ends because its zone refuses counts before any that went public.
    fn miss(&mut self, zone: Option<&'s Arc<Hosted>>, reason: FallbackReason) {
        let refuses = zone.is_some_and(|zone| reason == FallbackReason::ZoneUnavailable || zone.on_missing != OnMissing::Public);
        let (zone, reason) = match zone.filter(|zone| !zone.is_private_link && !zone.fallback) {
            None => (zone, reason),
            // An ordinary zone above it is not the private zone that such a name belongs in.
            Some(_) if reason == FallbackReason::NoRecord && is_private_link(&self.name) => (None, FallbackReason::NoZone),
            Some(_) => return,
        };
        let missed = MissedName { hop: self.chain.len(), zone, reason };
        if !self.missed.is_some_and(|missed| missed.is_recorded()) || refuses && missed.is_recorded() {
            self.missed = Some(missed);
        }
    }
}

impl MissedName<'_> {
    /// Returns true if the fallback record has the names that this zone lacks.
    pub fn is_recorded(&self) -> bool {
        self.zone.is_none_or(|zone| zone.fallback)
    }
}

impl Default for Answer<'_> {
    fn default() -> Self {
        Self::new()
    }
}

impl UpstreamQuery {
    pub(crate) fn new(route: RouteId, name: &NameBuf, question: &Question) -> Self {
        let (dnssec_ok, checking_disabled) = (question.dnssec_ok(), question.checking_disabled);
        Self { route, name: name.clone(), rtype: question.rtype, dnssec_ok, checking_disabled }
    }
}

impl UpstreamAnswers {
    fn at(&self, route: RouteId, name: &NameBuf) -> Option<Arc<CacheEntry>> {
        self.0.iter().find(|(from, owner, _)| *from == route && owner == name).map(|(_, _, entry)| entry.clone())
    }
}
