//! What is worth a record, taken down in few copies on the thread that answers; it is worded later, on the writer's.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use postern_config::azure::Table;
use postern_zones::name::NameBuf;
use postern_zones::snapshot::{Hosted, NetworkId, Snapshot};

use super::again::Again;
use super::bypass::{Nothing, bypassed, target, upstream};
use super::definition::{fallback, rcode_of, went_public};
use super::{Action, Reason};
use crate::cache::{Age, Entry};
use crate::query::{Answer, End};
use crate::resolver::is_loop_probe;
use crate::state::View;
use crate::wire::question::Question;

/// One fallback as the answering thread saw it, on paper that is used again.
#[derive(Debug, Default)]
pub(super) struct Slip {
    /// The name asked, the name each alias leads to, and after the chain a private-link name that is not in it: wire form, one after the
    /// other, in the case in which they came.
    pub names: Vec<u8>,
    /// Names in the chain.
    pub chain: usize,
    /// Which of the names is the private-link name.
    pub private: usize,
    /// With which tag the same can be counted.
    pub tag: u64,
    pub seen: Option<Seen>,
}

/// What a slip says beside names.
#[derive(Debug)]
pub(super) struct Seen {
    pub time: SystemTime,
    pub client: IpAddr,
    pub network: NetworkId,
    pub rtype: u16,
    pub zone: Option<Arc<Hosted>>,
    pub reason: Reason,
    pub action: Action,
    pub rcode: u16,
    /// What the public DNS had to say at the end of the chain.
    pub end: Option<Arc<Entry>>,
    /// Who said it, or the last alias.
    pub upstream: Option<Arc<str>>,
    /// TTL of the answer's end; of nothing: 0.
    pub ttl: u32,
    pub snapshot: Arc<Snapshot>,
    pub table: Arc<Table>,
}

/// What makes an answer a fallback.
pub(super) struct Sighting<'a> {
    client: IpAddr,
    action: Action,
    rcode: u16,
    reason: Reason,
    private: Private,
    zone: Option<&'a Arc<Hosted>>,
}

/// Where the private-link name is.
#[allow(clippy::large_enum_variant)] // lives on the stack for as long as it takes to take it down; a box would be an allocation
enum Private {
    /// In the chain, after so many aliases.
    Hop(usize),
    /// Not in the chain, which should have led to it.
    Bypassed(NameBuf),
}

impl<'a> Sighting<'a> {
    /// None where the answer is no fallback after all.
    pub fn of(question: &Question, client: IpAddr, answer: &Answer<'a>, view: &View<'a>, nothing: &Nothing) -> Option<Self> {
        let (action, reason, private, zone) = match fallback(answer, view) {
            // Without aliases the last name, which is no probe then, is the name asked.
            Some(_) if !answer.chain.is_empty() && is_loop_probe(&question.name) => return None,
            Some((missed, action)) => (action, missed.reason, Private::Hop(missed.hop), missed.zone),
            None if is_loop_probe(&question.name) => return None,
            None => {
                let End::Upstream(end) = &answer.end else { return None };
                if answer.missed.is_some() || !went_public(answer, end, view) {
                    return None;
                }
                let private = bypassed(question, answer, view, nothing)?;
                let zone = view.network.zone_of(&private, 0).filter(|zone| zone.fallback)?;
                let action = if answer.stale { Action::Stale } else { Action::Public };
                (action, Reason::NoPrivateCname, Private::Bypassed(private), Some(zone))
            }
        };
        Some(Self { client, action, rcode: rcode_of(answer, action), reason, private, zone })
    }

    /// The tag of this fallback: what the writer folds (network, name, type, reason), and what it would say of it. Without folding, the client
    /// too.
    pub fn tag(&self, again: &Again, mute_changes: u64, folds: bool, question: &Question, answer: &Answer, view: &View) -> u64 {
        let private = match &self.private {
            Private::Hop(hop) => (*hop, &[][..]),
            Private::Bypassed(name) => (usize::MAX, name.as_wire()),
        };
        let last = answer.chain.last().and_then(target).unwrap_or_default();
        let name = question.name.as_wire();
        let place = (view.state.snapshot.generation, view.network_id.0);
        let client = (!folds).then_some(self.client);
        again.tag((
            mute_changes,
            client,
            place,
            name,
            question.rtype,
            self.reason,
            self.action,
            self.rcode,
            private,
            answer.chain.len(),
            last,
        ))
    }
}

impl Slip {
    /// An empty one, with room for four names of the usual length.
    pub fn with_room() -> Self {
        Self { names: Vec::with_capacity(256), ..Self::default() }
    }

    /// Takes a fallback down.
    pub fn take_down(&mut self, sighting: Sighting, question: &Question, answer: &Answer, view: &View, tag: u64) {
        self.tag = tag;
        self.names.clear();
        self.names.extend_from_slice(question.name.as_wire());
        answer.chain.iter().filter_map(target).for_each(|name| self.names.extend_from_slice(name));
        self.chain = 1 + answer.chain.len();
        self.private = match sighting.private {
            Private::Hop(hop) => hop,
            Private::Bypassed(name) => {
                self.names.extend_from_slice(name.as_wire());
                self.chain
            }
        };
        let end = match &answer.end {
            End::Upstream(entry) => Some(entry.clone()),
            _ => None,
        };
        let last = end.as_ref().or_else(|| answer.chain.iter().rev().find_map(upstream));
        let ttl = end.as_ref().map_or(0, |entry| match entry.age(view.now) {
            Age::Fresh(age) => entry.ttl - age,
            _ if entry.ttl == 0 => 0,
            _ => view.state.settings.cache.stale_ttl,
        });
        let ttl = if answer.public_from().is_some() { ttl.min(view.state.settings.max_public_ttl) } else { ttl };
        self.seen = Some(Seen {
            time: SystemTime::now(),
            client: sighting.client.to_canonical(),
            network: view.network_id,
            rtype: question.rtype,
            zone: sighting.zone.cloned(),
            reason: sighting.reason,
            action: sighting.action,
            rcode: sighting.rcode,
            upstream: last.map(|entry| entry.upstream.clone()),
            end,
            ttl,
            snapshot: view.state.snapshot.clone(),
            table: view.state.table.clone(),
        });
    }

    /// Nothing is on it any more; its room stays.
    pub fn clear(&mut self) {
        self.names.clear();
        self.seen = None;
    }
}
