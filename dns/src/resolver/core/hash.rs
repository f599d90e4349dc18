//! Keyed hashes of questions and names, which a stranger cannot predict.

use std::hash::{BuildHasher, Hasher};

use postern_zones::name::NameBuf;

use super::ResolverCore;
use crate::query::UpstreamQuery;
use crate::state::View;

/// Secret keys of the hash of questions.
#[derive(Debug, Clone)]
pub(super) struct HashKeys(u64, u64);

impl HashKeys {
    /// Draws new keys.
    pub(super) fn draw() -> Self {
        Self(rand::random(), rand::random())
    }
}

impl ResolverCore {
    /// Returns a hash of the fields that make two questions the same to an upstream and their clients one network.
    ///
    /// The network goes by its place in the snapshot; so does the generation, because places change with it.
    pub(super) fn hash(&self, ask: &UpstreamQuery, view: &View) -> u64 {
        let mut hasher = self.keys.build_hasher();
        hasher.write_u64(view.state.snapshot.generation);
        hasher.write_u32(view.network_id.0);
        hasher.write_u16(ask.route.0);
        hasher.write_u16(ask.rtype);
        hasher.write_u8(u8::from(ask.dnssec_ok) | u8::from(ask.checking_disabled) << 1);
        hasher.write(ask.name.as_wire());
        hasher.finish()
    }

    /// Returns a keyed hash of the last two labels of a name: those of one owner mostly.
    pub(super) fn hash_domain(&self, name: &NameBuf) -> u64 {
        self.hash_suffix(name.suffix(name.labels().saturating_sub(2)))
    }

    /// Returns a keyed hash of a name on the wire, which a stranger cannot predict.
    pub(super) fn hash_suffix(&self, wire: &[u8]) -> u64 {
        let mut hasher = self.keys.build_hasher();
        hasher.write(wire);
        hasher.finish()
    }
}

impl BuildHasher for HashKeys {
    type Hasher = siphasher::sip::SipHasher13;

    fn build_hasher(&self) -> Self::Hasher {
        siphasher::sip::SipHasher13::new_with_keys(self.0, self.1)
    }
}
