//! The aliases followed so far.

use std::sync::Arc;

use arrayvec::ArrayVec;
use postern_zones::lookup::RrSet;
use postern_zones::name::NameBuf;

use crate::cache::CacheEntry;

/// Most aliases in one answer (S7).
pub const MAX_HOPS: usize = 16;

/// Aliases in the order in which they were followed.
pub type AliasChain<'s> = ArrayVec<AliasHop<'s>, MAX_HOPS>;

/// One alias: how the answer went from one name to the next.
#[derive(Debug, Clone)]
pub enum AliasHop<'s> {
    /// A CNAME an upstream gave.
    Upstream(Arc<CacheEntry>),
    /// A CNAME of a private zone.
    Private(RrSet<'s>),
    /// A DNAME of a private zone, with the octets of the name before its owner, and the target of the CNAME made from it.
    Dname(RrSet<'s>, usize, Box<NameBuf>),
    /// A CNAME the zone table says must be there, while no upstream answers (S6).
    Derived(Box<NameBuf>),
}

impl<'s> AliasHop<'s> {
    /// The name this alias leads to, in lower case.
    pub fn target(&self) -> NameBuf {
        match self {
            Self::Dname(_, _, target) | Self::Derived(target) => (**target).clone(),
            // Zones and cache hold only names that were read once already.
            _ => NameBuf::read(self.target_wire()).unwrap_or_else(|_| NameBuf::root()),
        }
    }

    /// Returns true if this alias leads to `name`.
    #[inline]
    pub fn leads_to(&self, name: &NameBuf) -> bool {
        self.target_wire().eq_ignore_ascii_case(name.as_wire()) // octets of length are below the letters
    }

    /// The DNAME RRset that this alias was made from.
    pub fn dname(&self) -> Option<RrSet<'s>> {
        if let Self::Dname(set, ..) = self { Some(*set) } else { None }
    }

    /// The target in wire form, its case kept.
    #[inline]
    fn target_wire(&self) -> &[u8] {
        let wire = match self {
            Self::Upstream(entry) => entry.alias(),
            Self::Private(set) => set.rdata().next(),
            Self::Dname(_, _, target) | Self::Derived(target) => Some(target.as_wire()),
        };
        wire.unwrap_or_default()
    }
}

/// Returns the name that a DNAME leads to: the labels below its owner, then its target (RFC 6672 section 2.2).
pub(crate) fn redirected(name: &NameBuf, owner: usize, set: &RrSet) -> Option<NameBuf> {
    let target = set.rdata().next()?;
    let mut wire = name.as_wire()[..name.start(owner)].to_vec();
    wire.extend_from_slice(target);
    NameBuf::read(&wire).ok()
}
