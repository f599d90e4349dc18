//! What upstreams said, hop by hop (S5): one RRset, alias, denial or failure an entry. Private data is never in here.
//!
//! The key is (route, DO and CD, type, owner). Routes have caches of their own, so what one network's upstreams say is never given to
//! a network that does not ask them. An alias, and that there is no such name, is kept under CNAME and under each type that was asked, so
//! that a hit is one probe.

use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use postern_zones::compression::{CompactRecords, SharedSuffix};
use postern_zones::name::NameBuf;
use quick_cache::Equivalent;
use quick_cache::sync::Cache as Store;
use siphasher::sip::SipHasher13;

use crate::clock::Now;
use crate::route::RouteId;

/// The shared cache of upstream data, bounded in memory.
#[derive(Debug)]
pub struct UpstreamCache {
    store: Option<Entries>,
    size: u64,
    evicted: Arc<AtomicU64>,
    /// How often something was forgotten because somebody said so.
    forgets: AtomicU64,
    /// No failure that is held lasts longer: mostly there is none, and none needs to be looked for.
    failing_until: AtomicU64,
}

type Entries = Store<Kept, Arc<CacheEntry>, Weight, BuildHasherDefault<AsItIs>, Evictions>;

/// One thing an upstream said about one name.
#[derive(Debug)]
pub struct CacheEntry {
    /// The kind of the data.
    pub what: EntryKind,
    /// Records of the answer: each the owner placeholder `C0 0C`, TYPE, CLASS, TTL, RDLENGTH, RDATA; signatures included. Empty if they
    /// are in `compact`.
    pub wire: Box<[u8]>,
    /// Records in `wire`.
    pub count: u16,
    /// Of an alias: what of its target need not be written.
    pub shared: SharedSuffix,
    /// An RRset with names that can be compressed, or the authority section of a denial: the SOA, and with DO the proofs.
    pub compact: CompactRecords,
    /// Records of other names that belong to it. Most entries have none.
    pub attached: Option<Box<AttachedRecords>>,
    /// When it was heard.
    pub born: Now,
    /// Seconds it may be given out as fresh.
    pub ttl: u32,
    /// The upstream validated it (AD).
    pub authentic: bool,
    /// The name, or the alias's target, is one the zone table knows as public name of a private-link service.
    pub known_public: bool,
    /// INFO-CODE of the extended error that came with it (RFC 8914).
    pub error: Option<u16>,
    /// Who said it.
    pub upstream: Arc<str>,
    /// Until then a stale copy is given at once, because a refresh failed a moment ago (RFC 8767 section 5).
    pub recheck: AtomicU64,
}

/// Records of other names that belong to an RRset or an alias.
#[derive(Debug, Default)]
pub struct AttachedRecords {
    /// The DNAME that an alias was made from, with its signatures: records with the owner placeholder. Empty if there is none.
    pub dname: Box<[u8]>,
    /// Number of records in `dname`.
    pub dname_count: u16,
    /// Octets of the alias before the owner of the DNAME.
    pub above_dname: u8,
    /// With DO, the proof that an answer made from a wildcard is the right one (RFC 4035 section 3.1.3.3): NSEC or NSEC3 records with
    /// their signatures, owners in full.
    pub proofs: Box<[u8]>,
}

/// Kinds of entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    /// The RRset asked for.
    Set,
    /// A CNAME. If it was made from a DNAME, that one is attached.
    Alias,
    /// The name exists, the type does not.
    NoData,
    /// No such name.
    NxDomain,
    /// No upstream could say (RFC 9520).
    Failure,
}

impl EntryKind {
    /// Returns true if it holds for every type of the name: it is kept under CNAME as well.
    #[inline]
    pub fn is_of_every_type(self) -> bool {
        matches!(self, Self::Alias | Self::NxDomain)
    }
}

/// How old an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryAge {
    /// Within its TTL; seconds since it was heard.
    Fresh(u32),
    /// Past its TTL; a refresh failed a moment ago, so it may be given at once.
    StaleNow,
    /// Past its TTL.
    Stale,
}

/// A key for looking up: it borrows the name, whose octets are hashed once however many keys are made from it.
#[derive(Debug, Clone, Copy)]
pub struct CacheKey<'n> {
    prefix: [u8; PREFIX],
    name: &'n [u8],
    name_hash: u64,
}

/// A key that is kept: prefix and name, and the hash of both.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Kept {
    octets: Box<[u8]>,
    hash: u64,
}

/// An entry with what it is kept under.
#[derive(Debug, Clone)]
pub struct KeyedEntry {
    /// Owner.
    pub name: NameBuf,
    /// The type that was asked.
    pub rtype: u16,
    /// Whose upstreams said it.
    pub route: RouteId,
    /// It was asked with DO.
    pub dnssec_ok: bool,
    /// It was asked with CD.
    pub checking_disabled: bool,
    /// The kind of the data.
    pub entry: Arc<CacheEntry>,
}

/// Octets of route, options and type.
const PREFIX: usize = 5;

impl<'n> CacheKey<'n> {
    /// `options`: bit 0 DO, bit 1 CD.
    #[inline]
    pub fn new(route: RouteId, options: u8, rtype: u16, name: &'n NameBuf) -> Self {
        // Names come from strangers: nobody may foresee which of them share a place.
        static SECRET: LazyLock<(u64, u64)> = LazyLock::new(|| (rand::random(), rand::random()));
        let ([route_high, route_low], [high, low]) = (route.0.to_be_bytes(), rtype.to_be_bytes());
        let name = name.as_wire();
        let mut hasher = SipHasher13::new_with_keys(SECRET.0, SECRET.1);
        hasher.write(name);
        Self { prefix: [route_high, route_low, options, high, low], name, name_hash: hasher.finish() }
    }

    /// The same name's data of another type.
    #[inline]
    pub fn of_type(self, rtype: u16) -> Self {
        let [high, low] = rtype.to_be_bytes();
        let [route_high, route_low, options, ..] = self.prefix;
        Self { prefix: [route_high, route_low, options, high, low], ..self }
    }

    /// Where a failure is kept: beside the data, which may still be served stale.
    #[inline]
    fn failure(mut self) -> Self {
        self.prefix[2] |= 0x80;
        self
    }

    /// The name's hash decides, which nobody can foresee; the rest, of which strangers choose little, is mixed in.
    #[inline]
    fn hash_value(&self) -> u64 {
        let [a, b, c, d, e] = self.prefix;
        let product = u128::from(self.name_hash ^ u64::from_be_bytes([0, 0, 0, a, b, c, d, e])) * 0x9e37_79b9_7f4a_7c15;
        (product ^ product >> 64) as u64
    }

    fn keep(&self) -> Kept {
        Kept { octets: [&self.prefix, self.name].concat().into(), hash: self.hash_value() }
    }
}

impl Hash for CacheKey<'_> {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash_value());
    }
}

impl Hash for Kept {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl Equivalent<Kept> for CacheKey<'_> {
    #[inline]
    fn equivalent(&self, kept: &Kept) -> bool {
        // The hash stands in the table, the octets somewhere else in memory: an entry that is not meant is not fetched.
        kept.hash == self.hash_value()
            && kept.octets.split_at_checked(PREFIX).is_some_and(|(prefix, name)| name == self.name && prefix == self.prefix)
    }
}

impl UpstreamCache {
    /// A cache of at most about `size` bytes; 0: none.
    pub fn new(size: u64) -> Self {
        const TYPICAL: u64 = 400; // bytes an entry with one CNAME or address takes, key included
        let evicted = Arc::new(AtomicU64::new(0));
        let store = (size > 0).then(|| {
            let typical = (size / TYPICAL).max(64) as usize;
            Store::with(typical, size, Weight, Default::default(), Evictions(evicted.clone()))
        });
        Self { store, size, evicted, forgets: AtomicU64::new(0), failing_until: AtomicU64::new(0) }
    }

    /// Returns the entry of a key, however old: the caller checks [`CacheEntry::age`].
    pub fn get(&self, key: &CacheKey) -> Option<Arc<CacheEntry>> {
        self.store.as_ref()?.get(key)
    }

    /// Keeps an entry, in place of what was there.
    pub fn insert(&self, key: &CacheKey, entry: Arc<CacheEntry>) {
        if let Some(store) = &self.store {
            store.insert(key.keep(), entry);
        }
    }

    /// Returns the failure that is cached for a key, unless it has expired (RFC 9520).
    pub fn failure(&self, key: CacheKey, now: Now) -> Option<Arc<CacheEntry>> {
        if self.failing_until.load(Ordering::Relaxed) <= now.0 {
            return None;
        }
        self.get(&key.failure()).filter(|failure| matches!(failure.age(now), EntryAge::Fresh(_)))
    }

    /// Keeps a failure.
    pub fn insert_failure(&self, key: CacheKey, failure: Arc<CacheEntry>) {
        let until = failure.born.plus(Duration::from_secs(failure.ttl.into()));
        self.failing_until.fetch_max(until.0, Ordering::Relaxed);
        self.insert(&key.failure(), failure);
    }

    /// Forgets one entry.
    pub fn remove(&self, key: &CacheKey) {
        if let Some(store) = &self.store {
            store.remove(key);
        }
        self.forgot();
    }

    /// Forgets everything.
    pub fn clear(&self) {
        if let Some(store) = &self.store {
            store.clear();
        }
        self.forgot();
    }

    /// Forgets everything at and below a name; gives how many entries that were. Walks the whole cache: for operators, not for queries.
    pub fn forget_below(&self, name: &NameBuf) -> usize {
        let Some(store) = &self.store else { return 0 };
        let forgotten = std::sync::atomic::AtomicUsize::new(0);
        store.retain(|key, _| {
            let owner = key.octets.get(PREFIX..).and_then(|owner| NameBuf::read(owner).ok());
            let is_below = owner.is_some_and(|owner| owner.is_under(name.as_wire()));
            forgotten.fetch_add(usize::from(is_below), Ordering::Relaxed);
            !is_below
        });
        self.forgot();
        forgotten.into_inner()
    }

    /// What is held at and below a name, of whatever route, at most `most` of it, and whether there is more. Walks the whole cache: for
    /// operators, not for queries.
    pub fn below(&self, name: &NameBuf, most: usize) -> (Vec<KeyedEntry>, bool) {
        let mut held = Vec::new();
        for (key, entry) in self.store.iter().flat_map(Store::iter) {
            let Some((&[route_high, route_low, options, high, low], owner)) = key.octets.split_first_chunk::<PREFIX>() else { continue };
            let Ok(owner) = NameBuf::read(owner) else { continue };
            if !owner.is_under(name.as_wire()) {
                continue;
            }
            if held.len() == most {
                return (held, true);
            }
            let route = RouteId(u16::from_be_bytes([route_high, route_low]));
            held.push(KeyedEntry {
                name: owner,
                rtype: u16::from_be_bytes([high, low]),
                route,
                dnssec_ok: options & 1 != 0,
                checking_disabled: options & 2 != 0,
                entry,
            });
        }
        (held, false)
    }

    /// Rises when something was forgotten because somebody said so: whoever keeps what was made from the cache lets go of it.
    #[inline]
    pub fn forgets(&self) -> u64 {
        self.forgets.load(Ordering::Acquire)
    }

    /// After the entries went, so that nobody who sees it finds them still.
    fn forgot(&self) {
        self.forgets.fetch_add(1, Ordering::Release);
    }

    /// Entries held.
    pub fn len(&self) -> usize {
        self.store.as_ref().map_or(0, Store::len)
    }

    /// True where nothing is held.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Entries that had to make room for others.
    pub fn evicted(&self) -> u64 {
        self.evicted.load(Ordering::Relaxed)
    }

    /// Bytes that may be held.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Bytes accounted for.
    pub fn weight(&self) -> u64 {
        self.store.as_ref().map_or(0, Store::weight)
    }
}

impl CacheEntry {
    /// How old it is.
    pub fn age(&self, now: Now) -> EntryAge {
        let seconds = now.since(self.born) / 1000;
        if seconds < u64::from(self.ttl) {
            EntryAge::Fresh(seconds as u32)
        } else if now.0 < self.recheck.load(Ordering::Relaxed) {
            EntryAge::StaleNow
        } else {
            EntryAge::Stale
        }
    }

    /// True where it may still be served stale, `window` after its TTL ran out. Failures never are.
    pub fn may_be_stale(&self, now: Now, window: Duration) -> bool {
        self.what != EntryKind::Failure && now.since(self.born) <= u64::from(self.ttl) * 1000 + window.as_millis() as u64
    }

    /// A refresh failed: give the stale copy at once until `until`.
    pub fn refresh_failed(&self, until: Now) {
        self.recheck.store(until.0, Ordering::Relaxed);
    }

    /// TYPE and RDATA of each record of the answer.
    pub fn records(&self) -> impl Iterator<Item = (u16, &[u8])> {
        let mut rest = &*self.wire;
        std::iter::from_fn(move || {
            let kind = u16::from_be_bytes([*rest.get(2)?, *rest.get(3)?]);
            let length = usize::from(u16::from_be_bytes([*rest.get(10)?, *rest.get(11)?]));
            let rdata = rest.get(12..12 + length)?;
            rest = &rest[12 + length..];
            Some((kind, rdata))
        })
    }

    /// The DNAME that this alias was made from.
    #[inline]
    pub fn dname(&self) -> Option<&AttachedRecords> {
        self.attached.as_deref().filter(|attached| attached.dname_count > 0)
    }

    /// The records that prove an answer made from a wildcard: the owner of each, and the record from its TYPE on.
    pub fn proofs(&self) -> impl Iterator<Item = (NameBuf, &[u8])> {
        let mut rest = self.attached.as_ref().map_or(&[][..], |attached| &attached.proofs);
        std::iter::from_fn(move || {
            let owner = NameBuf::read(rest).ok()?;
            let record = rest.get(owner.len()..)?;
            let length = usize::from(u16::from_be_bytes([*record.get(8)?, *record.get(9)?]));
            let (record, behind) = record.split_at_checked(10 + length)?;
            rest = behind;
            Some((owner, record))
        })
    }

    /// The alias's target as it was given, wire form; none for other kinds. The signatures of the alias stand behind it.
    pub fn alias(&self) -> Option<&[u8]> {
        let length = usize::from(u16::from_be_bytes([*self.wire.get(10)?, *self.wire.get(11)?]));
        (self.what == EntryKind::Alias).then(|| self.wire.get(12..12 + length)).flatten()
    }
}

impl AttachedRecords {
    /// The name that the DNAME leads to, with its length: RDLENGTH and RDATA.
    pub fn dname_target(&self) -> Option<&[u8]> {
        let length = self.dname.get(10..12)?;
        self.dname.get(10..12 + usize::from(u16::from_be_bytes([length[0], length[1]])))
    }

    /// Bytes that the records take outside the entry itself.
    fn memory(&self) -> usize {
        size_of::<Self>() + self.dname.len() + self.proofs.len()
    }
}

/// Accounts for what an entry takes, its place in the table included.
#[derive(Debug, Clone)]
struct Weight;

impl quick_cache::Weighter<Kept, Arc<CacheEntry>> for Weight {
    fn weight(&self, key: &Kept, entry: &Arc<CacheEntry>) -> u64 {
        const TABLE: usize = 104; // slot, hash table, ghost entries and allocator rounding
        let attached = entry.attached.as_ref().map_or(0, |attached| attached.memory());
        (key.octets.len() + size_of::<CacheEntry>() + entry.wire.len() + entry.compact.memory() + attached + TABLE) as u64
    }
}

/// Counts entries that make room for others: on the thread that inserts, which is the resolver's.
#[derive(Debug, Clone)]
struct Evictions(Arc<AtomicU64>);

impl quick_cache::Lifecycle<Kept, Arc<CacheEntry>> for Evictions {
    /// Removed entries are dropped after the shard is unlocked.
    type RequestState = [Option<(Kept, Arc<CacheEntry>)>; 2];

    fn before_evict(&self, _: &mut Self::RequestState, _: &Kept, _: &mut Arc<CacheEntry>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn on_evict(&self, state: &mut Self::RequestState, key: Kept, entry: Arc<CacheEntry>) {
        if let Some(place) = state.iter_mut().find(|place| place.is_none()) {
            *place = Some((key, entry));
        }
    }
}

/// Keys bring their hash along.
#[derive(Debug, Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    #[inline]
    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn write(&mut self, octets: &[u8]) {
        octets.iter().for_each(|octet| self.0 = self.0.rotate_left(8) ^ u64::from(*octet)); // no key has other octets
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.0
    }
}
