//! Public names that should lead to a private record of ours and do not.

use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU64, Ordering};

use postern_zones::name::NameBuf;

use crate::cache::CacheEntry;
use crate::chain::AliasHop;
use crate::cuts::has_private_data;
use crate::private_link::private_names;
use crate::query::{Answer, AnswerEnd};
use crate::state::View;
use crate::wire::question::Question;

impl Answer<'_> {
    /// Returns true if the answer ends in upstream data and the zone table knows a name of it as the public name of a private-link service.
    #[inline]
    pub(super) fn is_known_public(&self) -> bool {
        let AnswerEnd::Upstream(end) = &self.end else { return false };
        end.known_public || self.chain.iter().any(|hop| upstream(hop).is_some_and(|entry| entry.known_public))
    }
}

/// Returns the private name that has data of ours and that the chain should have led to but does not, with the number of aliases before the
/// public name that stands for it.
pub(super) fn bypassed(question: &Question, answer: &Answer, view: &View, memo: Option<&BypassMemo>) -> Option<(usize, NameBuf)> {
    let end = match &answer.end {
        AnswerEnd::Upstream(entry) => Some(entry),
        _ => None,
    };
    let aliases = answer.chain.iter().map(|hop| (upstream(hop), target(hop)));
    let mut owner = question.name.as_wire();
    for (hop, (entry, target)) in aliases.chain([(end, None)]).enumerate() {
        if entry.is_some_and(|entry| entry.known_public) {
            let slot = memo.map(|memo| memo.slot(view, owner, target.unwrap_or_default()));
            if !slot.as_ref().is_some_and(MemoSlot::is_known) {
                for name in [Some(owner), target].into_iter().flatten().filter_map(|wire| NameBuf::read(wire).ok()) {
                    let private = private_names(&view.state.table, &name).into_iter().find(|private| has_private_data(view, private));
                    if let Some(private) = private
                        && !passes(question, answer, &private)
                    {
                        return Some((hop, private));
                    }
                }
                if let Some(slot) = slot {
                    slot.learn();
                }
            }
        }
        owner = target.unwrap_or_default();
    }
    None
}

/// Returns true if `name` is the name asked or the target of an alias in the answer.
fn passes(question: &Question, answer: &Answer, name: &NameBuf) -> bool {
    let is_it = |wire: &[u8]| NameBuf::read(wire).is_ok_and(|passed| passed == *name);
    question.name == *name || answer.chain.iter().filter_map(target).chain(alias_given(answer)).any(is_it)
}

/// Returns the name that an alias leads to, in the case in which it came.
pub(super) fn target<'a>(hop: &'a AliasHop) -> Option<&'a [u8]> {
    match hop {
        AliasHop::Upstream(entry) => entry.alias(),
        AliasHop::Private(set) => set.rdata().next(),
        AliasHop::Dname(_, _, target) | AliasHop::Derived(target) => Some(target.as_wire()),
    }
}

/// Remembers public names for which the zone table led to no private record, so that names that are simply public (most storage accounts of
/// the world) cost one hash and one load the next time.
///
/// A slot holds the hash of an alias. The hash includes the generation of the snapshot, so a change of ours makes each name be looked up
/// again. Of two hashes that share a slot, the later one stays.
#[derive(Debug)]
pub(super) struct BypassMemo {
    slots: Box<[AtomicU64]>,
    hasher: foldhash::quality::RandomState,
}

impl BypassMemo {
    const SLOTS: usize = 4096; // 32 KiB

    pub fn new() -> Self {
        Self { slots: (0..Self::SLOTS).map(|_| AtomicU64::new(0)).collect(), hasher: Default::default() }
    }

    fn slot(&self, view: &View, owner: &[u8], target: &[u8]) -> MemoSlot<'_> {
        let hash = self.hasher.hash_one((view.state.snapshot.generation, view.network_id.0, owner, target)) | 1;
        MemoSlot { slot: &self.slots[(hash >> 32) as usize % Self::SLOTS], hash }
    }
}

struct MemoSlot<'m> {
    slot: &'m AtomicU64,
    hash: u64,
}

impl MemoSlot<'_> {
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
        AnswerEnd::Upstream(end) => end.alias(),
        _ => None,
    }
}

/// Returns the entry of an upstream's alias.
pub(super) fn upstream<'a>(hop: &'a AliasHop) -> Option<&'a std::sync::Arc<CacheEntry>> {
    match hop {
        AliasHop::Upstream(entry) => Some(entry),
        AliasHop::Private(_) | AliasHop::Dname(..) | AliasHop::Derived(_) => None,
    }
}
