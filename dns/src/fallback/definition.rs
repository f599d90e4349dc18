//! What is a fallback: an answer with public data at a private-link name, or one that the zone's policy refused.
//!
//! The record, the extended error and the metrics all go by this one definition. These answers are no fallbacks:
//!
//! * NXDOMAIN and NODATA of the public DNS at the private-link name: nothing public was given;
//! * an alias into a private zone of the client's network that has the name, as the answer to a question for CNAME;
//! * addresses that are all private: another server spoke for the private zone;
//! * a failure of the upstreams;
//! * the probe of a Postern that looks for loops.

use super::Action;
use crate::cache::{Entry, What};
use crate::ede::{Failure, rcode};
use crate::query::{Answer, End, Missed, leads_home};
use crate::resolver::is_loop_probe;
use crate::state::View;
use crate::wire::rtype;

/// Returns the private-link name that was missed and what the client got in place of its private answer. `None` if the answer is no fallback.
#[inline]
pub(crate) fn fallback<'a>(answer: &Answer<'a>, view: &View) -> Option<(Missed<'a>, Action)> {
    let missed = answer.missed.filter(|missed| missed.is_recorded())?;
    if is_loop_probe(&answer.name) {
        return None;
    }
    let is_last = missed.hop == answer.chain.len();
    let action = match &answer.end {
        End::PrivateNxDomain(_) if is_last => Action::Nxdomain,
        End::Failed(Failure::MissingRefused | Failure::ZoneUnavailable) if is_last => Action::Servfail,
        End::Upstream(end) if is_last && !is_public(end, view) => return None,
        End::Upstream(end) if has_private_addresses(end) => return None,
        End::Upstream(_) if answer.stale => Action::Stale,
        End::Upstream(_) => Action::Public,
        _ => return None,
    };
    Some((missed, action))
}

/// Returns the RCODE that the client got with a fallback.
pub(super) fn rcode_of(answer: &Answer, action: Action) -> u16 {
    match (action, &answer.end) {
        (Action::Servfail, _) => rcode::SERVFAIL,
        (Action::Nxdomain, _) => rcode::NXDOMAIN,
        (_, End::Upstream(end)) if end.what == What::NxDomain => rcode::NXDOMAIN,
        _ => rcode::NOERROR,
    }
}

/// Returns true if an answer that ends in `end` at a public name gave the client public data.
pub(super) fn went_public(answer: &Answer, end: &Entry, view: &View) -> bool {
    (!answer.chain.is_empty() || is_public(end, view)) && !has_private_addresses(end)
}

/// Returns true for records of the public DNS that do not lead home.
fn is_public(end: &Entry, view: &View) -> bool {
    match end.what {
        What::Set => true,
        What::Alias => !leads_home(view, end),
        What::NoData | What::NxDomain | What::Failure => false,
    }
}

/// Returns true if the entry has addresses and none of them is a public one.
fn has_private_addresses(end: &Entry) -> bool {
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

impl Answer<'_> {
    /// Returns the name of the chain from which on the answer is public data at or behind a private-link name. `None` if it ends in private
    /// data, ours or that of another server.
    #[inline]
    pub(crate) fn public_from(&self) -> Option<usize> {
        let missed = self.missed?;
        let End::Upstream(end) = &self.end else { return None };
        (!has_private_addresses(end)).then_some(missed.hop)
    }
}
