//! A few hundred names of a zone in two allocations: nodes one behind the other, and a table that finds them.
//!
//! ```text
//! node   owner length u8 · flags u8 · RRsets u16 · children u32 · owner (relative to the apex, wire) · RRsets
//! RRset  records u16 · octets u16 · records as in `RrSet::wire`
//! slot   low hash half u32 · offset of the node + 1 u32; 0 is empty
//! ```
//! Nodes stand in the order of (low hash half, owner), so equal content is equal bytes whatever the way that led to it: a rebuilt
//! zone can share the shards that did not change. The table is filled in the same order, each slot at its home or behind its
//! predecessor: a run never wraps, and a miss ends at the first greater hash.

use std::hash::{BuildHasher, Hasher};

use crate::lookup::RrSet;

/// The node lies below a zone cut or a DNAME: its data is never an answer.
pub const OCCLUDED: u8 = 1;
/// NS records below the apex.
pub const CUT: u8 = 2;
/// A DNAME that takes over everything below.
pub const DNAME: u8 = 4;
/// `*` exists right below.
pub const WILD: u8 = 8;

const NODE_HEAD: usize = 8;
const SET_HEAD: usize = 4;
/// TYPE's and TTL's place in a record that starts with the owner placeholder.
const TYPE_AT: usize = 2;
const TTL_AT: usize = 6;

/// Some names of a zone; which ones, the upper half of their hash says.
#[derive(Debug, PartialEq, Eq)]
pub struct Shard {
    arena: Box<[u8]>,
    slots: Box<[u64]>,
    homes: u32,
}

/// One name in a shard.
#[derive(Debug, Clone, Copy)]
pub struct Node<'z> {
    /// From its start to the end of the arena.
    bytes: &'z [u8],
}

/// Makes a shard from nodes that come in its order.
#[derive(Debug, Default)]
pub struct ShardWriter {
    arena: Vec<u8>,
    index: Vec<(u32, u32)>,
}

/// Hash of an owner relative to the apex: upper half chooses the shard, lower half the slot.
///
/// The seed is fixed: only names that the operator chose are in the table, and equal zones must be equal bytes.
#[inline]
pub fn hash(owner: &[u8]) -> u64 {
    const HASHER: foldhash::fast::FixedState = foldhash::fast::FixedState::with_seed(0x706f_7374_6572_6e00);
    let mut hasher = HASHER.build_hasher();
    hasher.write(owner);
    hasher.finish()
}

/// Which of `count` shards holds the hash.
#[inline]
pub fn shard_of(hash: u64, count: usize) -> usize {
    (((hash >> 32) * count as u64) >> 32) as usize
}

impl Shard {
    /// The node of an owner.
    #[inline]
    pub fn find(&self, hash: u64, owner: &[u8]) -> Option<Node<'_>> {
        let low = hash as u32;
        let mut slot = home(low, self.homes);
        loop {
            let entry = *self.slots.get(slot)?;
            let found = (entry >> 32) as u32;
            if entry == 0 || found > low {
                return None;
            }
            if found == low {
                let node = self.node(entry as u32 as usize - 1);
                if node.owner() == owner {
                    return Some(node);
                }
            }
            slot += 1;
        }
    }

    /// All nodes, in the shard's order, with the lower half of their hash.
    pub fn nodes(&self) -> impl Iterator<Item = (u32, Node<'_>)> {
        self.slots.iter().filter(|entry| **entry != 0).map(|entry| ((entry >> 32) as u32, self.node(*entry as u32 as usize - 1)))
    }

    /// Octets held.
    pub fn memory(&self) -> usize {
        self.arena.len() + self.slots.len() * 8 + size_of::<Self>()
    }

    #[inline]
    fn node(&self, offset: usize) -> Node<'_> {
        Node { bytes: &self.arena[offset..] }
    }
}

impl<'z> Node<'z> {
    /// Owner relative to the apex, wire form without the root label; the apex itself is empty.
    #[inline]
    pub fn owner(&self) -> &'z [u8] {
        &self.bytes[NODE_HEAD..NODE_HEAD + self.bytes[0] as usize]
    }

    /// [`OCCLUDED`], [`CUT`], [`DNAME`], [`WILD`].
    #[inline]
    pub fn flags(&self) -> u8 {
        self.bytes[1]
    }

    /// RRsets at it; none: an empty non-terminal (or the apex).
    #[inline]
    pub fn set_count(&self) -> usize {
        u16::from_le_bytes([self.bytes[2], self.bytes[3]]) as usize
    }

    /// Names one label below it.
    pub fn children(&self) -> u32 {
        u32::from_le_bytes([self.bytes[4], self.bytes[5], self.bytes[6], self.bytes[7]])
    }

    /// Its RRsets by ascending type.
    #[inline]
    pub fn sets(&self) -> impl Iterator<Item = RrSet<'z>> + use<'z> {
        let mut left = self.set_count();
        let mut rest = &self.bytes[NODE_HEAD + self.bytes[0] as usize..];
        std::iter::from_fn(move || {
            left = left.checked_sub(1)?;
            let count = u16::from_le_bytes([rest[0], rest[1]]);
            let length = u16::from_le_bytes([rest[2], rest[3]]) as usize;
            let set = read_set(count, &rest[SET_HEAD..SET_HEAD + length]);
            rest = &rest[SET_HEAD + length..];
            Some(set)
        })
    }

    /// Its octets, without what follows it.
    fn whole(&self) -> &'z [u8] {
        let mut end = NODE_HEAD + self.bytes[0] as usize;
        for _ in 0..self.set_count() {
            end += SET_HEAD + u16::from_le_bytes([self.bytes[end + 2], self.bytes[end + 3]]) as usize;
        }
        &self.bytes[..end]
    }

    /// The RRset of a type.
    #[inline]
    pub fn set(&self, rtype: u16) -> Option<RrSet<'z>> {
        self.sets().find(|set| set.rtype == rtype)
    }
}

impl ShardWriter {
    /// Starts a node; its RRsets follow with [`ShardWriter::set`].
    pub fn node(&mut self, low: u32, owner: &[u8], flags: u8, children: u32) {
        self.index.push((low, self.arena.len() as u32));
        self.arena.extend_from_slice(&[owner.len() as u8, flags, 0, 0]);
        self.arena.extend_from_slice(&children.to_le_bytes());
        self.arena.extend_from_slice(owner);
    }

    /// Adds an RRset to the last node.
    pub fn set(&mut self, count: u16, wire: &[u8]) {
        let Some(&(_, at)) = self.index.last() else { return };
        let sets = &mut self.arena[at as usize + 2..at as usize + 4];
        let more = u16::from_le_bytes([sets[0], sets[1]]) + 1;
        sets.copy_from_slice(&more.to_le_bytes());
        self.arena.extend_from_slice(&count.to_le_bytes());
        self.arena.extend_from_slice(&(wire.len() as u16).to_le_bytes());
        self.arena.extend_from_slice(wire);
    }

    /// Adds a node as it is in another shard.
    pub fn copy(&mut self, low: u32, node: Node<'_>) {
        self.index.push((low, self.arena.len() as u32));
        self.arena.extend_from_slice(node.whole());
    }

    /// The shard; the writer is empty again and keeps its room.
    pub fn finish(&mut self) -> Shard {
        let nodes = self.index.len();
        let homes = (nodes + nodes / 3 + 1) as u32; // three quarters full: runs stay short, 11 octets a name
        let mut slots = vec![0u64; homes as usize];
        let mut next = 0;
        for &(low, offset) in &self.index {
            let slot = home(low, homes).max(next);
            if slot >= slots.len() {
                slots.resize(slot + 1, 0);
            }
            slots[slot] = (u64::from(low) << 32) | u64::from(offset + 1);
            next = slot + 1;
        }
        let shard = Shard { arena: self.arena.as_slice().into(), slots: slots.into(), homes };
        self.arena.clear();
        self.index.clear();
        shard
    }
}

/// An RRset from its records.
#[inline]
pub fn read_set(count: u16, wire: &[u8]) -> RrSet<'_> {
    let octet = |at: usize| wire[at];
    RrSet {
        rtype: u16::from_be_bytes([octet(TYPE_AT), octet(TYPE_AT + 1)]),
        count,
        ttl: u32::from_be_bytes([octet(TTL_AT), octet(TTL_AT + 1), octet(TTL_AT + 2), octet(TTL_AT + 3)]),
        wire,
    }
}

/// Appends one record in the form of `RrSet::wire`.
pub fn write_record(out: &mut Vec<u8>, rtype: u16, ttl: u32, rdata: &[u8]) {
    out.extend_from_slice(&[0xc0, 0x0c]);
    out.extend_from_slice(&rtype.to_be_bytes());
    out.extend_from_slice(&[0, 1]);
    out.extend_from_slice(&ttl.to_be_bytes());
    out.extend_from_slice(&(rdata.len() as u16).to_be_bytes());
    out.extend_from_slice(rdata);
}

#[inline]
fn home(low: u32, homes: u32) -> usize {
    ((u64::from(low) * u64::from(homes)) >> 32) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_every_name_and_no_other() {
        let mut owners: Vec<(u32, Vec<u8>)> =
            (0..5000u32).map(|number| format!("\x08{number:08}").into_bytes()).map(|owner| (hash(&owner) as u32, owner)).collect();
        owners.push((owners[0].0, b"\x04twin".to_vec())); // two owners with one hash
        owners.sort();
        let mut writer = ShardWriter::default();
        let mut wire = Vec::new();
        write_record(&mut wire, 1, 60, &[10, 0, 0, 1]);
        for (low, owner) in &owners {
            writer.node(*low, owner, 0, 0);
            writer.set(1, &wire);
        }
        let shard = writer.finish();
        for (low, owner) in &owners {
            let node = shard.find(u64::from(*low), owner).unwrap();
            assert_eq!((node.owner(), node.set(1).unwrap().ttl, node.set(28)), (owner.as_slice(), 60, None));
        }
        for number in 5000..20000u32 {
            let owner = format!("\x08{number:08}").into_bytes();
            assert!(shard.find(hash(&owner), &owner).is_none());
        }
        assert_eq!(shard.nodes().count(), owners.len());
    }

    #[test]
    fn an_empty_shard_finds_nothing() {
        assert!(ShardWriter::default().finish().find(hash(b""), b"").is_none());
    }
}
