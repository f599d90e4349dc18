//! One zone's data, compiled.
use crate::lookup::{Lookup, RrSet};
use crate::name::{NameBuf, WireName};

/// One zone's data: immutable; a change makes a new one that shares what did not change.
#[derive(Debug)]
pub struct Zone {
    apex: WireName,
}

impl Zone {
    /// Its apex.
    pub fn apex(&self) -> &WireName {
        &self.apex
    }

    /// What it says about `name` (at or below the apex) and `rtype`.
    pub fn lookup(&self, _name: &NameBuf, _rtype: u16) -> Lookup<'_> {
        Lookup::Missing
    }

    /// All RRsets at exactly `name`, cuts and wildcards not considered (glue, ANY, additional data, transfers).
    pub fn at<'z>(&'z self, _name: &NameBuf) -> impl Iterator<Item = RrSet<'z>> + use<'z> {
        std::iter::empty()
    }

    /// The SOA RRset as given in an answer.
    pub fn soa(&self) -> RrSet<'_> {
        RrSet { rtype: 6, count: 0, ttl: 0, wire: &[] }
    }

    /// The SOA RRset as given in a negative answer: TTL is the lower of its own and MINIMUM (RFC 2308 section 5).
    pub fn negative_soa(&self) -> RrSet<'_> {
        self.soa()
    }

    /// SOA serial.
    pub fn serial(&self) -> u32 {
        0
    }
}
