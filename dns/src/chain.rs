//! The aliases followed so far.

use std::sync::Arc;

use arrayvec::ArrayVec;
use zones::lookup::RrSet;
use zones::name::NameBuf;

use crate::cache::Entry;

/// Most aliases in one answer (S7).
pub const MAX_HOPS: usize = 16;

/// Aliases in the order in which they were followed.
pub type Chain<'s> = ArrayVec<Hop<'s>, MAX_HOPS>;

/// One alias: how the answer went from one name to the next.
#[derive(Debug, Clone)]
pub enum Hop<'s> {
    /// A CNAME an upstream gave.
    Upstream(Arc<Entry>),
    /// A CNAME of a private zone.
    Private(RrSet<'s>),
    /// A DNAME of a private zone, with the octets of the name before its owner, and the target of the CNAME made from it.
    Dname(RrSet<'s>, usize, Box<NameBuf>),
    /// A CNAME the zone table says must be there, while no upstream answers (S6).
    Derived(Box<NameBuf>),
}

impl Hop<'_> {
    /// The name this alias leads to, lowered.
    pub fn target(&self) -> NameBuf {
        let wire = match self {
            Self::Upstream(entry) => entry.alias(),
            Self::Private(set) => set.rdata().next(),
            Self::Dname(_, _, target) | Self::Derived(target) => return (**target).clone(),
        };
        // Zones and cache hold only names that were read once already.
        wire.and_then(|wire| NameBuf::read(wire).ok()).unwrap_or(NameBuf::root())
    }
}
