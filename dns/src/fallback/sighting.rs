//! What is worth a record, taken down in few copies on the thread that answers; it is worded later, on the writer's.

use std::hash::BuildHasher;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use postern_config::azure::Table;
use postern_zones::name::NameBuf;
use postern_zones::snapshot::{Hosted, NetworkId, Snapshot};

use super::again::Again;
use super::definition::{alias_given, fallback, rcode_of, upstream, went_public};
use super::{Action, Reason};
use crate::cache::{Age, Entry};
use crate::chain::Hop;
use crate::private_link::private_names;
use crate::query::{Answer, End, has_private_data};
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

impl Answer<'_> {
    /// True where the answer ends in public data and some name of it is known as the public name of a private-link service.
    #[inline]
    pub(super) fn is_known_public(&self) -> bool {
        let End::Upstream(end) = &self.end else { return false };
        end.known_public || self.chain.iter().any(|hop| upstream(hop).is_some_and(|entry| entry.known_public))
    }
}

/// The private name that we have data for, and that the chain should have led to and did not.
fn bypassed(question: &Question, answer: &Answer, view: &View, nothing: &Nothing) -> Option<NameBuf> {
    let end = match &answer.end {
        End::Upstream(entry) => Some(entry),
        _ => None,
    };
    let aliases = answer.chain.iter().map(|hop| (upstream(hop), target(hop)));
    let mut owner = question.name.as_wire();
    for (entry, target) in aliases.chain([(end, None)]) {
        if entry.is_some_and(|entry| entry.known_public) {
            let slot = nothing.slot(view, owner, target.unwrap_or_default());
            if !slot.is_known() {
                for name in [Some(owner), target].into_iter().flatten().filter_map(|wire| NameBuf::read(wire).ok()) {
                    let private = private_names(&view.state.table, &name).into_iter().find(|private| has_private_data(view, private));
                    if let Some(private) = private
                        && !passes(question, answer, &private)
                    {
                        return Some(private);
                    }
                }
                slot.learn();
            }
        }
        owner = target.unwrap_or_default();
    }
    None
}

fn passes(question: &Question, answer: &Answer, name: &NameBuf) -> bool {
    let is_it = |wire: &[u8]| NameBuf::read(wire).is_ok_and(|passed| passed == *name);
    question.name == *name || answer.chain.iter().filter_map(target).chain(alias_given(answer)).any(is_it)
}

fn target<'a>(hop: &'a Hop) -> Option<&'a [u8]> {
    match hop {
        Hop::Upstream(entry) => entry.alias(),
        Hop::Private(set) => set.rdata().next(),
        Hop::Dname(_, _, target) | Hop::Derived(target) => Some(target.as_wire()),
    }
}

/// Remembers for which public names a look into the zone table found no private record, so that names that are simply public (most
/// storage accounts of the world) cost one hash and one load the next time. A slot holds the hash of what was looked at, with the
/// snapshot's generation in it, so that a change of ours makes it look again; of two hashes that share a slot the later stays.
#[derive(Debug)]
pub(super) struct Nothing {
    slots: Box<[AtomicU64]>,
    hasher: foldhash::quality::RandomState,
}

impl Nothing {
    const SLOTS: usize = 4096; // 32 KiB

    pub fn new() -> Self {
        Self { slots: (0..Self::SLOTS).map(|_| AtomicU64::new(0)).collect(), hasher: Default::default() }
    }

    fn slot(&self, view: &View, owner: &[u8], target: &[u8]) -> Slot<'_> {
        let hash = self.hasher.hash_one((view.state.snapshot.generation, view.network_id.0, owner, target)) | 1;
        Slot { slot: &self.slots[(hash >> 32) as usize % Self::SLOTS], hash }
    }
}

struct Slot<'n> {
    slot: &'n AtomicU64,
    hash: u64,
}

impl Slot<'_> {
    fn is_known(&self) -> bool {
        self.slot.load(Ordering::Relaxed) == self.hash
    }

    fn learn(&self) {
        self.slot.store(self.hash, Ordering::Relaxed);
    }
}
