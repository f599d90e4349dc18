//! Encoding of the answer that the path found.

use arrayvec::ArrayVec;
use postern_zones::compression::{NameTable, SharedSuffix, names_in};
use postern_zones::lookup::{Lookup, RrSet};
use postern_zones::name::NameBuf;
use postern_zones::snapshot::ZoneState;
use postern_zones::zone::Zone;

use crate::cache::{AttachedRecords, CacheEntry, EntryAge, EntryKind};
use crate::chain::AliasHop;
use crate::cookie::CookieOption;
use crate::ede::{self, ExtendedError, Failure, rcode};
use crate::fallback::FallbackVerdict;
use crate::query::{Answer, AnswerEnd};
use crate::reason::{FallbackAction, FallbackReason};
use crate::state::{AnswerSettings, View};
use crate::wire::message::flag;
use crate::wire::question::{Edns, Question};
use crate::wire::reply::{ReplyOpt, ReplyWriter, Section, Ttl};
use crate::wire::rtype;

/// Extended errors of one answer: one of its end, one that an upstream gave, and one of its way.
const MOST_ERRORS: usize = 3;

/// Writes `answer` behind the question in `packet` (header and question in front, room behind). Returns the length of the message.
///
/// `limit`: the most octets the client takes over this transport.
pub fn respond(question: &Question, answer: &Answer, verdict: &FallbackVerdict, view: &View, packet: &mut [u8], limit: usize) -> usize {
    let mut errors: ArrayVec<ExtendedError, MOST_ERRORS> = ArrayVec::new();
    let rcode = outcome(answer, verdict, &mut errors);
    let opt = opt(question.edns.as_ref(), &question.cookie, &view.state.settings, &errors);
    let mut reply = ReplyWriter::start(packet, question.end, limit, opt.map_or(0, |opt| opt.reserve()));
    let mut authentic = true;
    let public_from = verdict.public_from;
    for (index, hop) in answer.chain.iter().enumerate() {
        let is_public = public_from.is_some_and(|first| first <= index);
        write_hop(&mut reply, question, answer, index, hop, view, is_public, &mut authentic);
    }
    match &answer.end {
        AnswerEnd::Private(set, _) => {
            authentic = false;
            if !has_dname(&answer.chain, set) {
                match has_names(set.rtype) {
                    true => write_with_addresses(&mut reply, question, answer, set, view, public_from),
                    false => reply.records(Section::Answer, set.wire, set.count, 0, Ttl::Keep),
                }
            }
        }
        AnswerEnd::PrivateNoData(zone) | AnswerEnd::PrivateNxDomain(zone) | AnswerEnd::PrivateUndecided(zone) => {
            authentic = false;
            reply.compact(zone.negative_soa(), answer.name.len() - zone.apex().as_wire().len(), Ttl::Keep);
        }
        AnswerEnd::Referral(set, label, zone) => {
            authentic = false;
            write_proofs(&mut reply, question, answer, view, public_from); // before the addresses, which are in ADDITIONAL
            write_referral(&mut reply, question, answer, set, *label, zone);
        }
        AnswerEnd::Upstream(entry) => {
            authentic &= entry.authentic;
            write_entry(&mut reply, question, answer, entry, ttl(entry, view, public_from.is_some()));
        }
        AnswerEnd::MinimalAny => {
            authentic = false;
            reply.record(Section::Answer, rtype::HINFO, 3600, b"\x07RFC8482\x00");
        }
        AnswerEnd::TooLong(set, label) => {
            authentic = false;
            if !has_dname(&answer.chain, set) {
                reply.records(Section::Answer, set.wire, set.count, answer.name.start(*label), Ttl::Keep);
            }
        }
        AnswerEnd::Aliases => authentic = false,
        AnswerEnd::Failed(_) => {
            authentic = false;
            reply.drop_overflow(); // TC would make the client come again over TCP, to receive the same RCODE
        }
    }
    match &answer.end {
        AnswerEnd::Private(set, _) if has_names(set.rtype) => {} // the proofs stand before the addresses already
        AnswerEnd::Referral(..) | AnswerEnd::Failed(_) => {}
        _ if question.dnssec_ok() => write_proofs(&mut reply, question, answer, view, public_from),
        _ => {}
    }
    let mut flags = flag::QR;
    for (set, bit) in [
        (answer.is_ours_alone(), flag::AA),
        (question.recursion_desired, flag::RD),
        (view.recursion, flag::RA),
        // An authoritative server clears it, a recursive one copies it (RFC 4035 sections 3.1.6 and 3.2.2).
        (question.checking_disabled && view.recursion, flag::CD),
        // AD is set only for a client that understands it (RFC 6840 section 5.7), and never over private data (S2).
        (authentic && (question.authentic_data || question.dnssec_ok()), flag::AD),
    ] {
        flags |= if set { bit } else { 0 };
    }
    reply.finish(flags, rcode, opt)
}

/// Returns the RCODE of the last hop (S2). Adds the errors that the client should know beside it.
fn outcome(answer: &Answer, verdict: &FallbackVerdict, errors: &mut ArrayVec<ExtendedError, MOST_ERRORS>) -> u16 {
    let fallback = verdict.finding.as_ref().map(|finding| (finding.action, finding.reason));
    let rcode = match &answer.end {
        AnswerEnd::Failed(failure) => {
            let (rcode, error) = failure.outcome();
            errors.push(error);
            errors.extend(failure.reported().filter(|code| *code != error.code).map(ede::reported));
            // REFUSED would contradict an alias that is already in the answer.
            if rcode == rcode::REFUSED && !answer.chain.is_empty() { rcode::SERVFAIL } else { rcode }
        }
        AnswerEnd::PrivateNxDomain(_) => {
            if fallback.is_some() {
                errors.push(ede::MISSING);
            }
            rcode::NXDOMAIN
        }
        AnswerEnd::TooLong(..) => {
            errors.push(ede::TOO_LONG);
            rcode::YXDOMAIN
        }
        AnswerEnd::Upstream(entry) => {
            errors.extend(entry.error.map(ede::reported));
            if entry.what == EntryKind::NxDomain { rcode::NXDOMAIN } else { rcode::NOERROR }
        }
        _ => rcode::NOERROR,
    };
    if answer.stale {
        let derived = answer.chain.iter().any(|hop| matches!(hop, AliasHop::Derived(_)));
        errors.push(if derived { ede::DERIVED } else { ede::STALE });
    } else if let Some((FallbackAction::Public, reason)) = fallback {
        errors.push(if reason == FallbackReason::NoPrivateCname { ede::BYPASSED } else { ede::FELL_BACK });
    }
    rcode
}

/// Returns the OPT record for a client that sent one.
pub fn opt<'a>(
    edns: Option<&Edns>,
    cookie: &'a Option<CookieOption>,
    settings: &'a AnswerSettings,
    errors: &'a [ExtendedError],
) -> Option<ReplyOpt<'a>> {
    let edns = edns?;
    let nsid = if edns.nsid { &*settings.nsid } else { &[] };
    let cookie = cookie.as_ref().map_or(&[][..], CookieOption::octets);
    Some(ReplyOpt { udp_size: settings.udp_size, dnssec_ok: edns.dnssec_ok, nsid, cookie, errors })
}

/// Answers a question that never reaches the path (limits, access) with an RCODE and its reason. Returns the length of the answer.
pub fn refuse(question: &Question, failure: Failure, view: &View, packet: &mut [u8], limit: usize) -> usize {
    let answer =
        Answer { chain: Default::default(), end: AnswerEnd::Failed(failure), name: question.name.clone(), missed: None, stale: false };
    respond(question, &answer, &FallbackVerdict::default(), view, packet, limit)
}

/// Returns true if one of these aliases was made from this DNAME: a record stands in an answer once (RFC 2181 section 5).
#[inline]
fn has_dname(hops: &[AliasHop], set: &RrSet) -> bool {
    // Both are of one snapshot, so that the same RRset is the same place in memory.
    hops.iter().filter_map(AliasHop::dname).any(|written| std::ptr::eq(written.wire, set.wire))
}

/// Writes the alias `hop` at `index` of the chain. The name it leads to is the current one of `reply` from then on.
#[allow(clippy::too_many_arguments)] // one alias, whole: a struct would be made for this call alone
fn write_hop(
    reply: &mut ReplyWriter,
    question: &Question,
    answer: &Answer,
    index: usize,
    hop: &AliasHop,
    view: &View,
    is_public: bool,
    authentic: &mut bool,
) {
    let shared = |target: &NameBuf| SharedSuffix::of(&name_at(question, answer, index), target);
    match hop {
        AliasHop::Upstream(entry) => {
            *authentic &= entry.authentic;
            if let Some(attached) = entry.dname() {
                write_dname(reply, question, answer, index, attached, ttl(entry, view, is_public));
            }
            reply.alias(&entry.wire, entry.count, entry.shared, ttl(entry, view, is_public));
        }
        AliasHop::Private(set) => {
            *authentic = false;
            reply.alias(set.wire, set.count, shared(&hop.target()), Ttl::Keep);
        }
        AliasHop::Dname(set, above, target) => {
            *authentic = false;
            if !has_dname(&answer.chain[..index], set) {
                // The DNAME's owner is a suffix of the name that it redirects.
                reply.records(Section::Answer, set.wire, set.count, *above, Ttl::Keep);
            }
            reply.alias_to(target, shared(target), set.ttl);
        }
        AliasHop::Derived(target) => {
            *authentic = false;
            reply.alias_to(target, shared(target), view.state.settings.cache.stale_ttl);
        }
    }
}

/// Returns the name that the answer reaches after `index` aliases.
fn name_at(question: &Question, answer: &Answer, index: usize) -> NameBuf {
    index.checked_sub(1).and_then(|before| answer.chain.get(before)).map_or_else(|| question.name.clone(), AliasHop::target)
}

/// Writes the DNAME that the alias at `index` was made from, in front of it. A record stands in an answer once (RFC 2181 section 5).
#[inline(never)] // seldom needed
fn write_dname(reply: &mut ReplyWriter, question: &Question, answer: &Answer, index: usize, attached: &AttachedRecords, ttl: Ttl) {
    let above = usize::from(attached.above_dname);
    let owner_at = |index: usize, above: usize| name_at(question, answer, index).as_wire().get(above..).map(<[u8]>::to_vec);
    let owner = owner_at(index, above);
    let is_same = |(earlier, hop): (usize, &AliasHop)| match hop {
        AliasHop::Upstream(entry) => {
            let dname = entry.dname().filter(|other| other.dname_target() == attached.dname_target());
            dname.is_some_and(|other| owner_at(earlier, usize::from(other.above_dname)) == owner)
        }
        _ => false,
    };
    if !answer.chain.iter().take(index).enumerate().any(is_same) {
        reply.records(Section::Answer, &attached.dname, attached.dname_count, above, ttl);
    }
}

/// Writes the proofs of everything that upstreams made from wildcards, for a client that asked for DNSSEC.
#[inline(never)] // the table would make the frame of every answer larger
fn write_proofs(reply: &mut ReplyWriter, question: &Question, answer: &Answer, view: &View, public_from: Option<usize>) {
    let hops = answer.chain.iter().map(|hop| if let AliasHop::Upstream(entry) = hop { Some(entry) } else { None });
    let end = if let AnswerEnd::Upstream(entry) = &answer.end { Some(entry) } else { None };
    let entries = || hops.clone().chain(std::iter::once(end)).enumerate().filter_map(|(index, entry)| Some((index, entry?)));
    if !question.dnssec_ok() || entries().all(|(_, entry)| entry.attached.is_none()) {
        return;
    }
    let mut table = table_of(reply, question, answer);
    for (index, entry) in entries() {
        let ttl = ttl(entry, view, public_from.is_some_and(|first| first <= index));
        for (owner, record) in entry.proofs() {
            reply.authority_once(&mut table, &owner, record, ttl);
        }
    }
}

/// Writes the data of an upstream.
fn write_entry(reply: &mut ReplyWriter, question: &Question, answer: &Answer, entry: &CacheEntry, ttl: Ttl) {
    if let Some(attached) = entry.dname() {
        write_dname(reply, question, answer, answer.chain.len(), attached, ttl);
    }
    match entry.what {
        EntryKind::Alias => reply.last_alias(&entry.wire, entry.count, entry.shared, ttl),
        _ if entry.wire.is_empty() => {}
        _ => reply.records(Section::Answer, &entry.wire, entry.count, 0, ttl),
    }
    if !entry.compact.is_empty() {
        reply.compact(&entry.compact, 0, ttl);
    }
}

/// Returns true for types with a name in their RDATA that can be compressed, or that has addresses which belong into ADDITIONAL.
#[inline]
fn has_names(rtype: u16) -> bool {
    names_in(rtype).is_some() || address_target(rtype).is_some()
}

/// Returns the number of octets of RDATA before the name whose addresses the client asks for next. `None` if there is no such name.
#[inline]
fn address_target(rtype: u16) -> Option<usize> {
    match rtype {
        rtype::NS => Some(0),
        rtype::MX | rtype::SVCB | rtype::HTTPS => Some(2),
        rtype::SRV => Some(6),
        _ => None,
    }
}

/// Returns the names of the chain with their places in the message.
fn table_of(reply: &ReplyWriter, question: &Question, answer: &Answer) -> NameTable {
    let mut table = NameTable::new();
    reply.note_names(&mut table, (0..=answer.chain.len()).map(|index| name_at(question, answer, index)));
    table
}

/// Returns the age of an entry's records, or the TTL that stale ones get (RFC 8767 section 4).
///
/// `is_public`: the entry is public data at or behind a private-link name. Its TTL is capped, so that the client asks again soon after the
/// private record exists.
fn ttl(entry: &CacheEntry, view: &View, is_public: bool) -> Ttl {
    let settings = &view.state.settings;
    let most = settings.max_public_ttl;
    match entry.age(view.now) {
        EntryAge::Fresh(age) if is_public => Ttl::Capped { age, most },
        EntryAge::Fresh(age) => Ttl::Age(age),
        EntryAge::Stale | EntryAge::StaleNow if entry.ttl == 0 => Ttl::Fixed(0), // heard just now, never cached
        EntryAge::Stale | EntryAge::StaleNow if is_public => Ttl::Fixed(settings.cache.stale_ttl.min(most)),
        EntryAge::Stale | EntryAge::StaleNow => Ttl::Fixed(settings.cache.stale_ttl),
    }
}

/// Writes an RRset whose RDATA holds names, with the addresses that private zones of the client's network have for them, as many as fit.
#[inline(never)] // the table would make the frame of every answer larger
fn write_with_addresses(
    reply: &mut ReplyWriter,
    question: &Question,
    answer: &Answer,
    set: &RrSet,
    view: &View,
    public_from: Option<usize>,
) {
    let mut table = table_of(reply, question, answer);
    reply.compress(&mut table, Section::Answer, set.wire, set.count, 0);
    write_proofs(reply, question, answer, view, public_from);
    let Some(skip) = address_target(set.rtype) else { return };
    for rdata in set.rdata() {
        let Some(Ok(mut target)) = rdata.get(skip..).map(NameBuf::read) else { continue };
        if target.labels() == 0 && matches!(set.rtype, rtype::SVCB | rtype::HTTPS) {
            target = answer.name.clone(); // "." stands for the owner (RFC 9460 section 2.5)
        }
        let Some(ZoneState::Serving(zone)) = view.network.zone_of(&target, 0).map(|hosted| &hosted.state) else { continue };
        if reply.is_marked(&table, &target) {
            continue; // MX and SRV may name a host more than once
        }
        for rtype in [rtype::A, rtype::AAAA] {
            let Lookup::Found { set, .. } = zone.lookup(&target, rtype) else { continue };
            if !reply.additional(&mut table, &target, set.wire, set.count) {
                break;
            }
            reply.mark(&mut table, &target);
        }
    }
}

/// Writes a zone cut with the addresses of its servers. Those of servers below the cut belong to the answer: without all of them it is
/// truncated. Those of other servers in the zone are left out if they do not fit (RFC 9471 section 3).
#[inline(never)] // as above
fn write_referral(reply: &mut ReplyWriter, question: &Question, answer: &Answer, set: &RrSet, label: usize, zone: &Zone) {
    let mut table = table_of(reply, question, answer);
    reply.compress(&mut table, Section::Authority, set.wire, set.count, answer.name.start(label));
    let cut = answer.name.suffix(label);
    for in_domain in [true, false] {
        for target in set.rdata().filter_map(|rdata| NameBuf::read(rdata).ok()) {
            if target.is_under(cut) != in_domain || !target.is_under(zone.apex().as_wire()) {
                continue;
            }
            let glue = zone.at(&target).filter(|set| matches!(set.rtype, rtype::A | rtype::AAAA));
            if !add_addresses(reply, &mut table, &target, glue) && in_domain {
                reply.truncate();
                return;
            }
        }
    }
}

/// Adds the addresses of a name. Returns false if some do not fit.
fn add_addresses<'z>(reply: &mut ReplyWriter, table: &mut NameTable, target: &NameBuf, mut sets: impl Iterator<Item = RrSet<'z>>) -> bool {
    sets.all(|set| reply.additional(table, target, set.wire, set.count))
}
