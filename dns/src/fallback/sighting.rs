//! Notes of fallbacks: the answering thread takes each down in few copies, and the writer's thread words it later.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::SystemTime;

use postern_config::azure::PrivateLinkTable;
use postern_zones::network::NetworkId;
use postern_zones::snapshot::{Hosted, Snapshot};

use super::again::RepeatCounters;
use super::bypass::{target, upstream};
use super::definition::{FallbackFinding, PrivateName};
use crate::cache::{CacheEntry, EntryAge};
use crate::query::{Answer, AnswerEnd};
use crate::reason::{FallbackAction, FallbackReason};
use crate::state::View;
use crate::wire::question::Question;

/// One fallback as the answering thread saw it. Slips are used again.
#[derive(Debug, Default)]
pub(super) struct FallbackDraft {
    /// The name asked, the target of each alias, and after the chain a private-link name that is not in it. All are in wire form, one after
    /// the other, in the case in which they came.
    pub names: Vec<u8>,
    /// Names in the chain.
    pub chain: usize,
    /// Which of the names is the private-link name.
    pub private: usize,
    /// The tag that counts the same fallback.
    pub tag: u64,
    pub seen: Option<FallbackFacts>,
}

/// The fields of a slip beside names.
#[derive(Debug)]
pub(super) struct FallbackFacts {
    pub time: SystemTime,
    pub client: IpAddr,
    pub network: NetworkId,
    pub rtype: u16,
    pub zone: Option<Arc<Hosted>>,
    pub reason: FallbackReason,
    pub action: FallbackAction,
    pub rcode: u16,
    /// Data of the public DNS at the end of the chain.
    pub end: Option<Arc<CacheEntry>>,
    /// The upstream that sent it, or that sent the last alias.
    pub upstream: Option<Arc<str>>,
    /// TTL of the answer's end, seconds; 0 if it has none.
    pub ttl: u32,
    pub snapshot: Arc<Snapshot>,
    pub table: Arc<PrivateLinkTable>,
}

/// A fallback with all that the record says of it.
pub(super) struct FallbackSighting<'s, 'a> {
    pub question: &'s Question,
    pub client: IpAddr,
    pub answer: &'s Answer<'a>,
    pub finding: &'s FallbackFinding<'a>,
    /// The TTLs of the answer are capped.
    pub is_capped: bool,
    pub view: &'s View<'a>,
}

impl FallbackSighting<'_, '_> {
    /// Returns the tag of this fallback: a hash of the fields that the writer folds by (network, name, type, reason) and of those that it
    /// writes. If it does not fold, the client is one of them.
    pub fn tag(&self, again: &RepeatCounters, mute_changes: u64, folds: bool) -> u64 {
        let Self { question, answer, finding, view, .. } = self;
        let private = match &finding.private {
            PrivateName::Hop(hop) => (*hop, &[][..]),
            PrivateName::Bypassed(name) => (usize::MAX, name.as_wire()),
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
            finding.reason,
            finding.action,
            finding.rcode,
            private,
            answer.chain.len(),
            last,
        ))
    }
}

impl FallbackDraft {
    /// Returns an empty slip with room for four names of the usual length.
    pub fn with_room() -> Self {
        Self { names: Vec::with_capacity(256), ..Self::default() }
    }

    /// Copies a fallback.
    pub fn take_down(&mut self, sighting: &FallbackSighting, tag: u64) {
        let FallbackSighting { question, client, answer, finding, is_capped, view } = *sighting;
        self.tag = tag;
        self.names.clear();
        self.names.extend_from_slice(question.name.as_wire());
        answer.chain.iter().filter_map(target).for_each(|name| self.names.extend_from_slice(name));
        self.chain = 1 + answer.chain.len();
        self.private = match &finding.private {
            PrivateName::Hop(hop) => *hop,
            PrivateName::Bypassed(name) => {
                self.names.extend_from_slice(name.as_wire());
                self.chain
            }
        };
        let end = match &answer.end {
            AnswerEnd::Upstream(entry) => Some(entry.clone()),
            _ => None,
        };
        let last = end.as_ref().or_else(|| answer.chain.iter().rev().find_map(upstream));
        let ttl = end.as_ref().map_or(0, |entry| match entry.age(view.now) {
            EntryAge::Fresh(age) => entry.ttl - age,
            _ if entry.ttl == 0 => 0,
            _ => view.state.settings.cache.stale_ttl,
        });
        let ttl = if is_capped { ttl.min(view.state.settings.max_public_ttl) } else { ttl };
        self.seen = Some(FallbackFacts {
            time: SystemTime::now(),
            client: client.to_canonical(),
            network: view.network_id,
            rtype: question.rtype,
            zone: finding.zone.cloned(),
            reason: finding.reason,
            action: finding.action,
            rcode: finding.rcode,
            upstream: last.map(|entry| entry.upstream.clone()),
            end,
            ttl,
            snapshot: view.state.snapshot.clone(),
            table: view.state.table.clone(),
        });
    }

    /// Drops all references. The memory for names stays.
    pub fn clear(&mut self) {
        self.names.clear();
        self.seen = None;
    }
}
