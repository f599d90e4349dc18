//! Public names that should lead to a private record of ours and do not.

use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU64, Ordering};

use postern_zones::name::NameBuf;

use crate::cache::Entry;
use crate::chain::Hop;
use crate::private_link::private_names;
use crate::query::{Answer, End, has_private_data};
use crate::state::View;
use crate::wire::question::Question;

impl Answer<'_> {
    /// True where the answer ends in public data and some name of it is known as the public name of a private-link service.
    #[inline]
    pub(super) fn is_known_public(&self) -> bool {
        let End::Upstream(end) = &self.end else { return false };
        end.known_public || self.chain.iter().any(|hop| upstream(hop).is_some_and(|entry| entry.known_public))
    }
}

/// The private name that we have data for, and that the chain should have led to and did not.
pub(super) fn bypassed(question: &Question, answer: &Answer, view: &View, nothing: &Nothing) -> Option<NameBuf> {
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

pub(super) fn target<'a>(hop: &'a Hop) -> Option<&'a [u8]> {
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

/// Returns the name that this answer leads to with its last alias, if that is what a question for CNAME asked for.
pub(super) fn alias_given<'a>(answer: &'a Answer) -> Option<&'a [u8]> {
    match &answer.end {
        End::Upstream(end) => end.alias(),
        _ => None,
    }
}

/// Returns the entry of an upstream's alias.
pub(super) fn upstream<'a>(hop: &'a Hop) -> Option<&'a std::sync::Arc<Entry>> {
    match hop {
        Hop::Upstream(entry) => Some(entry),
        Hop::Private(_) | Hop::Dname(..) | Hop::Derived(_) => None,
    }
}
