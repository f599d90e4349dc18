//! Writing what the path found: answer first, encoding after.

use arrayvec::ArrayVec;
use zones::lookup::RrSet;
use zones::name::NameBuf;
use zones::zone::Zone;

use crate::cache::{Age, Entry, What};
use crate::chain::Hop;
use crate::ede::{self, ExtendedError, Failure, rcode};
use crate::fallback::definition::fallback;
use crate::query::{Answer, End};
use crate::state::View;
use crate::wire::message::flag;
use crate::wire::question::Question;
use crate::wire::reply::{Opt, Reply, Section, Ttl};
use crate::wire::{HEADER, rtype};

/// Writes `answer` behind the question in `packet` (header and question in front, room behind); gives the length of the message.
///
/// `limit`: the most octets the client takes over this transport.
pub fn respond(question: &Question, answer: &Answer, view: &View, packet: &mut [u8], limit: usize) -> usize {
    let mut errors: ArrayVec<ExtendedError, 2> = ArrayVec::new();
    let rcode = outcome(answer, view, &mut errors);
    let opt = opt(question, view, &errors);
    let mut reply = Reply::start(packet, question.end, limit, opt.map_or(0, |opt| opt.reserve()));
    let mut owner = HEADER;
    let mut authentic = true;
    for (index, hop) in answer.chain.iter().enumerate() {
        let dname = hop.dname().filter(|set| !has_dname(&answer.chain[..index], set));
        owner = write_hop(&mut reply, hop, dname, owner, view, answer.is_public_from(index), &mut authentic);
    }
    match &answer.end {
        End::Private(set, _) if has_dname(&answer.chain, set) => authentic = false,
        End::Private(set, _) => {
            authentic = false;
            reply.records(Section::Answer, set.wire, set.count, owner, Ttl::Keep);
            add_addresses(&mut reply, set, &answer.name, view);
        }
        End::PrivateNoData(zone) | End::PrivateNxDomain(zone) | End::PrivateUndecided(zone) => {
            authentic = false;
            let soa = zone.negative_soa();
            // The apex is a suffix of the name that ends the chain, wherever that name stands.
            let apex = owner + answer.name.len() - zone.apex().as_wire().len();
            reply.records(Section::Authority, soa.wire, soa.count, apex, Ttl::Keep);
        }
        End::Referral(set, label, zone) => {
            authentic = false;
            reply.records(Section::Authority, set.wire, set.count, owner + answer.name.start(*label), Ttl::Keep);
            add_glue(&mut reply, set, zone);
        }
        End::Upstream(entry) => {
            authentic &= entry.authentic;
            let ttl = ttl(entry, view, answer.is_public_from(answer.chain.len()));
            reply.records(Section::Answer, &entry.wire, entry.count, owner, ttl);
            reply.owned_records(Section::Authority, &entry.authority, entry.authority_count, ttl);
        }
        End::MinimalAny => {
            authentic = false;
            reply.record(Section::Answer, owner, rtype::HINFO, 3600, b"\x07RFC8482\x00");
        }
        End::TooLong(set, label) => {
            authentic = false;
            if !has_dname(&answer.chain, set) {
                reply.records(Section::Answer, set.wire, set.count, owner + answer.name.start(*label), Ttl::Keep);
            }
        }
        End::Aliases => authentic = false,
        End::Failed(_) => {
            authentic = false;
            reply.drop_overflow(); // TC would make the client come again over TCP, to receive the same RCODE
        }
    }
    let mut flags = flag::QR;
    for (set, bit) in [
        (answer.is_ours_alone(), flag::AA),
        (question.recursion_desired, flag::RD),
        (view.recursion, flag::RA),
        // An authoritative server clears it, a recursive one copies it (RFC 4035 sections 3.1.6 and 3.2.2).
        (question.checking_disabled && view.recursion, flag::CD),
        // AD only where the client can make something of it (RFC 6840 section 5.7), and never over private data (S2).
        (authentic && (question.authentic_data || question.dnssec_ok()), flag::AD),
    ] {
        flags |= if set { bit } else { 0 };
    }
    reply.finish(flags, rcode, opt)
}

/// RCODE of the last hop (S2), and what the client should know beside it.
fn outcome(answer: &Answer, view: &View, errors: &mut ArrayVec<ExtendedError, 2>) -> u16 {
    let rcode = match &answer.end {
        End::Failed(failure) => {
            let (rcode, error) = failure.outcome();
            errors.push(error);
            // Once an alias is in the answer, refusing would deny what was already said.
            if rcode == rcode::REFUSED && !answer.chain.is_empty() { rcode::SERVFAIL } else { rcode }
        }
        End::PrivateNxDomain(_) => {
            if fallback(answer, view).is_some() {
                errors.push(ede::MISSING);
            }
            rcode::NXDOMAIN
        }
        End::TooLong(..) => {
            errors.push(ede::TOO_LONG);
            rcode::YXDOMAIN
        }
        End::Upstream(entry) if entry.what == What::NxDomain => rcode::NXDOMAIN,
        _ => rcode::NOERROR,
    };
    if answer.stale {
        let derived = answer.chain.iter().any(|hop| matches!(hop, Hop::Derived(_)));
        errors.push(if derived { ede::DERIVED } else { ede::STALE });
    } else if matches!(answer.end, End::Upstream(_)) && fallback(answer, view).is_some() {
        errors.push(ede::FELL_BACK);
    }
    rcode
}

/// The OPT record for a client that sent one.
pub fn opt<'a>(question: &Question, view: &View<'a>, errors: &'a [ExtendedError]) -> Option<Opt<'a>> {
    let edns = question.edns?;
    let settings = &view.state.settings;
    Some(Opt { udp_size: settings.udp_size, dnssec_ok: edns.dnssec_ok, nsid: if edns.nsid { &settings.nsid } else { &[] }, errors })
}

/// Answers with nothing but an RCODE and why: for what the path never sees (limits, access).
pub fn refuse(question: &Question, failure: Failure, view: &View, packet: &mut [u8], limit: usize) -> usize {
    let answer = Answer { chain: Default::default(), end: End::Failed(failure), name: question.name.clone(), missed: None, stale: false };
    respond(question, &answer, view, packet, limit)
}

/// Returns true if one of these aliases was made from this DNAME: a record stands in an answer once (RFC 2181 section 5).
#[inline]
fn has_dname(hops: &[Hop], set: &RrSet) -> bool {
    // Both are of one snapshot, so that the same RRset is the same place in memory.
    hops.iter().filter_map(Hop::dname).any(|written| std::ptr::eq(written.wire, set.wire))
}

/// Writes one alias, after `dname` if it was made from one that is not yet written. Returns the offset of the name it leads to.
fn write_hop(
    reply: &mut Reply,
    hop: &Hop,
    dname: Option<RrSet>,
    owner: usize,
    view: &View,
    is_public: bool,
    authentic: &mut bool,
) -> usize {
    let start = reply.position();
    match hop {
        Hop::Upstream(entry) => {
            *authentic &= entry.authentic;
            reply.records(Section::Answer, &entry.wire, entry.count, owner, ttl(entry, view, is_public));
            start + 12
        }
        Hop::Private(set) => {
            *authentic = false;
            reply.records(Section::Answer, set.wire, set.count, owner, Ttl::Keep);
            start + 12
        }
        Hop::Dname(set, above, target) => {
            *authentic = false;
            if let Some(dname) = dname {
                // The DNAME's owner is a suffix of the name that it redirects.
                reply.records(Section::Answer, dname.wire, dname.count, owner + above, Ttl::Keep);
            }
            reply.record(Section::Answer, owner, rtype::CNAME, set.ttl, target.as_wire())
        }
        Hop::Derived(target) => {
            *authentic = false;
            reply.record(Section::Answer, owner, rtype::CNAME, view.state.settings.cache.stale_ttl, target.as_wire())
        }
    }
}

/// Age of an entry's records, or the TTL that stale ones get (RFC 8767 section 4).
///
/// `is_public`: it is public data at or behind a private-link name. The client must ask again soon after the private record exists.
fn ttl(entry: &Entry, view: &View, is_public: bool) -> Ttl {
    let settings = &view.state.settings;
    let most = settings.max_public_ttl;
    match entry.age(view.now) {
        Age::Fresh(age) if is_public => Ttl::Capped { age, most },
        Age::Fresh(age) => Ttl::Age(age),
        Age::Stale | Age::StaleNow if entry.ttl == 0 => Ttl::Fixed(0), // heard just now, never cached
        Age::Stale | Age::StaleNow if is_public => Ttl::Fixed(settings.cache.stale_ttl.min(most)),
        Age::Stale | Age::StaleNow => Ttl::Fixed(settings.cache.stale_ttl),
    }
}

/// Addresses that the client will ask for next: of MX, SRV, NS, SVCB and HTTPS targets in private zones of its network.
fn add_addresses(reply: &mut Reply, set: &RrSet, owner: &NameBuf, view: &View) {
    let skip = match set.rtype {
        rtype::NS => 0,
        rtype::MX | rtype::SVCB | rtype::HTTPS => 2,
        rtype::SRV => 6,
        _ => return,
    };
    for rdata in set.rdata() {
        let Some(Ok(mut target)) = rdata.get(skip..).map(NameBuf::read) else { continue };
        if target.labels() == 0 && matches!(set.rtype, rtype::SVCB | rtype::HTTPS) {
            target = owner.clone(); // "." stands for the owner (RFC 9460 section 2.5)
        }
        let Some(hosted) = view.network.zone_of(&target, 0) else { continue };
        if let zones::snapshot::ZoneState::Serving(zone) = &hosted.state {
            for rtype in [rtype::A, rtype::AAAA] {
                if let zones::lookup::Lookup::Found { set, .. } = zone.lookup(&target, rtype) {
                    reply.additional(target.as_wire(), set.wire, set.count);
                }
            }
        }
    }
}

/// Addresses of the servers that a referral names, where the zone has them.
fn add_glue(reply: &mut Reply, set: &RrSet, zone: &Zone) {
    for rdata in set.rdata() {
        let Ok(target) = NameBuf::read(rdata) else { continue };
        if target.is_under(zone.apex().as_wire()) {
            for glue in zone.at(&target).filter(|set| matches!(set.rtype, rtype::A | rtype::AAAA)) {
                reply.additional(target.as_wire(), glue.wire, glue.count);
            }
        }
    }
}
