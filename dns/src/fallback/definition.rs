//! Definition of a fallback: an answer with public data at a private-link name, or one that the zone's policy refused. An answer with public
//! data at the public name of a service is one too, if a private record of ours exists and the public chain does not lead to it.
//!
//! The record, the extended error, the metrics and the cap on TTLs all go by this one definition. These answers are no fallbacks:
//!
//! * NXDOMAIN and NODATA of the public DNS at the private-link name: nothing public was given;
//! * an alias into a private zone of the client's network that has the name, as the answer to a question for CNAME;
//! * addresses that are all private: another server spoke for the private zone;
//! * a failure of the upstreams;
//! * the probe of a Postern that looks for loops.

use std::sync::Arc;

use postern_zones::name::NameBuf;
use postern_zones::snapshot::Hosted;

use super::bypass::{BypassMemo, bypassed};
use crate::cache::{CacheEntry, EntryKind};
use crate::ede::{Failure, rcode};
use crate::loop_probe::is_loop_probe;
use crate::query::{Answer, AnswerEnd, MissedName, leads_home};
use crate::reason::{FallbackAction, FallbackReason};
use crate::state::View;
use crate::wire::question::Question;
use crate::wire::rtype;

/// Relation of an answer to the private-link names on its way. It is determined once for each answer.
#[derive(Debug, Default)]
pub struct FallbackVerdict<'a> {
    /// Number of aliases after which the answer is public data at or behind a private-link name, so that its TTLs are capped. `None` if it
    /// ends in private data, ours or that of another server.
    pub(crate) public_from: Option<usize>,
    /// Present if the answer is a fallback.
    pub(crate) finding: Option<FallbackFinding<'a>>,
}

/// Why an answer is a fallback, and what the client got in place of its private answer.
#[derive(Debug)]
pub(crate) struct FallbackFinding<'a> {
    pub(crate) reason: FallbackReason,
    pub(crate) action: FallbackAction,
    /// The RCODE that the client got.
    pub(super) rcode: u16,
    pub(super) private: PrivateName,
    /// The private zone that the name lies in, if it is hosted.
    pub(super) zone: Option<&'a Arc<Hosted>>,
}

/// Place of the private-link name.
#[derive(Debug)]
pub(super) enum PrivateName {
    /// In the chain, after so many aliases.
    Hop(usize),
    /// Not in the chain, which should have led to it. Boxed to keep verdicts small; finding such a name allocates anyway.
    Bypassed(Box<NameBuf>),
}

impl<'a> FallbackVerdict<'a> {
    /// Judges an answer.
    pub fn of(question: &Question, answer: &Answer<'a>, view: &View<'a>) -> Self {
        Self::with_memo(question, answer, view, None)
    }

    /// Judges an answer. Costs a few tests of flags if no private-link name is on its way.
    ///
    /// `memo`: public names that need no second look.
    #[inline]
    pub(super) fn with_memo(question: &Question, answer: &Answer<'a>, view: &View<'a>, memo: Option<&BypassMemo>) -> Self {
        match answer.missed {
            Some(missed) => Self::of_missed(missed, question, answer, view),
            None if answer.is_known_public() => Self::of_public_name(question, answer, view, memo),
            None => Self::default(),
        }
    }

    /// Judges an answer that came to a private-link name without a private record.
    #[inline(never)] // most answers came to none
    fn of_missed(missed: MissedName<'a>, question: &Question, answer: &Answer<'a>, view: &View<'a>) -> Self {
        let is_last = missed.hop == answer.chain.len();
        let public = match &answer.end {
            AnswerEnd::Upstream(end) => Some(end).filter(|end| !has_private_addresses(end)),
            _ => None,
        };
        let mut verdict = Self { public_from: public.map(|_| missed.hop), finding: None };
        if !missed.is_recorded() || is_probe(question, answer) {
            return verdict;
        }
        let action = match &answer.end {
            AnswerEnd::PrivateNxDomain(_) if is_last => FallbackAction::Nxdomain,
            AnswerEnd::Failed(Failure::MissingRefused | Failure::ZoneUnavailable) if is_last => FallbackAction::Servfail,
            _ if public.is_some_and(|end| !is_last || is_public(end, view)) => public_action(answer),
            _ => return verdict,
        };
        let (reason, zone, private) = (missed.reason, missed.zone, PrivateName::Hop(missed.hop));
        verdict.finding = Some(FallbackFinding { reason, action, rcode: rcode_of(answer, action), private, zone });
        verdict
    }

    /// Judges an answer that ends in upstream data and has the public name of a private-link service.
    #[inline(never)] // as above
    fn of_public_name(question: &Question, answer: &Answer<'a>, view: &View<'a>, memo: Option<&BypassMemo>) -> Self {
        let AnswerEnd::Upstream(end) = &answer.end else { return Self::default() };
        if is_loop_probe(&question.name) || !went_public(answer, end, view) {
            return Self::default();
        }
        let Some((hop, private)) = bypassed(question, answer, view, memo) else { return Self::default() };
        let zone = view.network.zone_of(&private, 0).filter(|zone| zone.fallback);
        let action = public_action(answer);
        let finding = zone.map(|zone| FallbackFinding {
            reason: FallbackReason::NoPrivateCname,
            action,
            rcode: rcode_of(answer, action),
            private: PrivateName::Bypassed(Box::new(private)),
            zone: Some(zone),
        });
        Self { public_from: Some(hop), finding }
    }
}

/// Returns true for the probe of a Postern that looks for loops.
fn is_probe(question: &Question, answer: &Answer) -> bool {
    // Without aliases the last name is the name asked.
    is_loop_probe(&answer.name) || !answer.chain.is_empty() && is_loop_probe(&question.name)
}

fn public_action(answer: &Answer) -> FallbackAction {
    if answer.stale { FallbackAction::Stale } else { FallbackAction::Public }
}

/// Returns the RCODE that the client got with a fallback.
fn rcode_of(answer: &Answer, action: FallbackAction) -> u16 {
    match (action, &answer.end) {
        (FallbackAction::Servfail, _) => rcode::SERVFAIL,
        (FallbackAction::Nxdomain, _) => rcode::NXDOMAIN,
        (_, AnswerEnd::Upstream(end)) if end.what == EntryKind::NxDomain => rcode::NXDOMAIN,
        _ => rcode::NOERROR,
    }
}

/// Returns true if an answer that ends in `end` at a public name gave the client public data.
fn went_public(answer: &Answer, end: &CacheEntry, view: &View) -> bool {
    (!answer.chain.is_empty() || is_public(end, view)) && !has_private_addresses(end)
}

/// Returns true for records of the public DNS that do not lead home.
fn is_public(end: &CacheEntry, view: &View) -> bool {
    match end.what {
        EntryKind::Set => true,
        EntryKind::Alias => !leads_home(view, end),
        EntryKind::NoData | EntryKind::NxDomain | EntryKind::Failure => false,
    }
}

/// Returns true if the entry has addresses and none of them is a public one.
fn has_private_addresses(end: &CacheEntry) -> bool {
    let mut addresses = end.records().filter_map(|(kind, rdata)| address(kind, rdata)).peekable();
    addresses.peek().is_some() && addresses.all(|address| !postern_zones::lint::is_public(address))
}

/// Returns the address of an A or AAAA record.
pub(super) fn address(kind: u16, rdata: &[u8]) -> Option<std::net::IpAddr> {
    match kind {
        rtype::A => <[u8; 4]>::try_from(rdata).ok().map(Into::into),
        rtype::AAAA => <[u8; 16]>::try_from(rdata).ok().map(Into::into),
        _ => None,
    }
}
