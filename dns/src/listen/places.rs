//! Places for connections, bounded in all and for each client. When they run out, the connection with the longest idle time gives way.
//!
//! ```text
//! take ─┬─ the client has all of its places ─▶ its own longest idle connection gives way
//!       ├─ no place is left at all          ─▶ the longest idle one of the client that has the most; of all, if that has none
//!       └─ more than half are taken         ─▶ connections beyond the shortened idle time are closed as well
//! ```
//! A connection that has not sent a complete question yet is idle. A connection is busy while the server owes it an answer.
//!
//! Activity is one atomic store and takes no lock. The order of the connections is updated when a connection has to give way. Each such
//! step is paid for by activity since the last one, so a new connection costs O(log n). After a reload that lowered the bounds, the first
//! new connection pays for all connections beyond them.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use slab::Slab;
use tokio::sync::Notify;

/// How many connections there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlaceBounds {
    /// Open connections of all clients.
    pub all: usize,
    /// Open connections of one client.
    pub per_client: usize,
    /// How long a connection may be idle while at least half of the places are free. If `None`, the caller closes idle connections.
    pub idle: Option<Duration>,
}

/// Rule for busy connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BusyRule {
    /// A busy connection gives way if all are busy and its client has at least two more connections than the new client.
    GivesWay,
    /// A busy connection keeps its place in any case. A client may exceed its bound while all of its connections are busy.
    Stays,
}

/// Open connections by the client `K` that they belong to.
#[derive(Debug)]
pub struct ConnectionPlaces<K: ClientKey> {
    table: Mutex<Table<K>>,
    rule: BusyRule,
    start: Instant,
    all: AtomicUsize,
    per_client: AtomicUsize,
    /// Milliseconds, or `NEVER` without a bound.
    idle: AtomicU64,
    open: AtomicUsize,
    refused: AtomicUsize,
    displaced: AtomicUsize,
    freed: Notify,
}

/// A value that identifies a client.
pub trait ClientKey: Copy + Ord + Hash + Send + 'static {}
impl<K: Copy + Ord + Hash + Send + 'static> ClientKey for K {}

/// A place, given back when it is dropped.
#[derive(Debug)]
pub struct ConnectionPlace<K: ClientKey> {
    places: Arc<ConnectionPlaces<K>>,
    id: usize,
    activity: Arc<Activity>,
}

#[derive(Debug, Default)]
struct Activity {
    /// Milliseconds since the start of the places: the last complete question, or the last progress of an answer.
    seen: AtomicU64,
    is_busy: AtomicBool,
    gives_way: Notify,
}

#[derive(Debug)]
struct Table<K> {
    connections: Slab<Connection<K>>,
    /// The connections of each client, the longest idle first. The keys are strangers' addresses, so the hash is keyed.
    by_client: HashMap<K, BTreeSet<Idle>>,
    /// Clients by their number of connections, the largest first, then by their longest idle connection.
    ranks: BTreeSet<(Reverse<usize>, Idle, K)>,
    /// All connections, the longest idle first.
    by_idle: BTreeSet<Idle>,
}

#[derive(Debug)]
struct Connection<K> {
    client: K,
    /// Last activity that the table knows of. The activity itself may be later.
    seen: u64,
    activity: Arc<Activity>,
}

/// Last activity of a connection that the table knows of, and its index there.
type Idle = (u64, usize);

const NEVER: u64 = u64::MAX;
/// Idle connections that one new connection may close beside the one whose place it takes. A flood so pays for itself.
const SWEEP: usize = 4;
/// Entries that one search updates before it takes the first one: a bound for the worst case.
const STALE: usize = 256;
/// Busy connections that one search passes over.
const BUSY: usize = 16;

impl<K: ClientKey> ConnectionPlaces<K> {
    /// Creates places without connections.
    pub fn new(bounds: PlaceBounds, rule: BusyRule) -> Arc<Self> {
        let table = Table { connections: Slab::new(), by_client: HashMap::new(), ranks: BTreeSet::new(), by_idle: BTreeSet::new() };
        let this = Self {
            table: Mutex::new(table),
            rule,
            start: Instant::now(),
            all: AtomicUsize::new(0),
            per_client: AtomicUsize::new(0),
            idle: AtomicU64::new(NEVER),
            open: AtomicUsize::new(0),
            refused: AtomicUsize::new(0),
            displaced: AtomicUsize::new(0),
            freed: Notify::new(),
        };
        this.bound(bounds);
        Arc::new(this)
    }

    /// Sets other bounds. Connections beyond them give way when the next connection comes.
    pub fn bound(&self, bounds: PlaceBounds) {
        self.all.store(bounds.all, Relaxed);
        self.per_client.store(bounds.per_client, Relaxed);
        self.idle.store(bounds.idle.map_or(NEVER, |idle| idle.as_millis() as u64), Relaxed);
    }

    /// Takes a place for a new connection of `client`. Returns `None` if all places are taken and no connection can give way.
    pub fn take(self: &Arc<Self>, client: K, now: Instant) -> Option<ConnectionPlace<K>> {
        let now = self.millis(now);
        let mut table = self.table();
        self.sweep(&mut table, now);
        let (all, per_client) = (self.all.load(Relaxed).max(1), self.per_client.load(Relaxed).max(1));
        // A reload may have lowered the bounds, so that more than one connection has to give way.
        while table.connections_of(client) >= per_client {
            match table.victim(Some(client), now) {
                Some(id) => self.displace(&mut table, id),
                None if self.rule == BusyRule::Stays => break,
                None => return self.refuse(),
            }
        }
        while table.connections.len() >= all {
            match table.victim(None, now).or_else(|| self.busy_victim(&table, client)) {
                Some(id) => self.displace(&mut table, id),
                None => return self.refuse(),
            }
        }
        let activity = Arc::new(Activity { seen: now.into(), ..Activity::default() });
        let id = table.insert(client, now, activity.clone());
        self.open.store(table.connections.len(), Relaxed);
        Some(ConnectionPlace { places: self.clone(), id, activity })
    }

    /// Lets the longest idle connection of the client with the most give way, because file descriptors ran out. Returns `false` if all
    /// connections are busy.
    pub fn make_room(&self, now: Instant) -> bool {
        let mut table = self.table();
        let victim = table.victim(None, self.millis(now));
        victim.into_iter().for_each(|id| self.displace(&mut table, id));
        victim.is_some()
    }

    /// Waits until a connection ends.
    pub async fn freed(&self) {
        self.freed.notified().await;
    }

    /// Number of open connections.
    pub fn open(&self) -> usize {
        self.open.load(Relaxed)
    }

    /// Bound on open connections.
    pub fn limit(&self) -> usize {
        self.all.load(Relaxed)
    }

    /// Number of connections that were refused because no other could give way.
    pub fn refused(&self) -> usize {
        self.refused.load(Relaxed)
    }

    /// Number of connections that gave way to others.
    pub fn displaced(&self) -> usize {
        self.displaced.load(Relaxed)
    }

    /// A busy connection that gives way to one of `client`: it belongs to a client with at least two more connections.
    fn busy_victim(&self, table: &Table<K>, client: K) -> Option<usize> {
        let (Reverse(most), (_, id), _) = table.ranks.first()?;
        (self.rule == BusyRule::GivesWay && *most >= table.connections_of(client) + 2).then_some(*id)
    }

    fn refuse(&self) -> Option<ConnectionPlace<K>> {
        self.refused.fetch_add(1, Relaxed);
        None
    }

    /// Closes connections that were idle for longer than the number of open connections allows.
    fn sweep(&self, table: &mut Table<K>, now: u64) {
        let Some(allowed) = self.allowed_idle(table.connections.len()) else { return };
        if table.connections.len() * 2 <= self.all.load(Relaxed) {
            return; // each connection watches its own idle time
        }
        let mut displaced = 0;
        for _ in 0..STALE {
            let Some(id) = table.by_idle.first().map(|(_, id)| *id) else { return };
            if !table.is_current(id, now) {
                continue;
            }
            if displaced == SWEEP || now.saturating_sub(table.connections[id].seen) <= allowed {
                return;
            }
            self.displace(table, id);
            displaced += 1;
        }
    }

    /// Milliseconds that a connection may be idle: the whole bound while half of the places are free, a tenth of it when none is.
    fn allowed_idle(&self, open: usize) -> Option<u64> {
        let (idle, all) = (self.idle.load(Relaxed), self.all.load(Relaxed).max(1));
        let beyond_half = (2 * open).saturating_sub(all).min(all) as u64;
        (idle != NEVER).then(|| idle - idle * 9 / 10 * beyond_half / all as u64)
    }

    fn displace(&self, table: &mut Table<K>, id: usize) {
        table.remove(id).activity.gives_way.notify_one();
        self.displaced.fetch_add(1, Relaxed);
        self.open.store(table.connections.len(), Relaxed);
    }

    fn millis(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.start).as_millis() as u64
    }

    fn table(&self) -> MutexGuard<'_, Table<K>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: ClientKey> Table<K> {
    /// Number of open connections of a client.
    fn connections_of(&self, client: K) -> usize {
        self.by_client.get(&client).map_or(0, BTreeSet::len)
    }

    fn insert(&mut self, client: K, seen: u64, activity: Arc<Activity>) -> usize {
        let id = self.connections.insert(Connection { client, seen, activity });
        self.change_client(client, |connections| connections.insert((seen, id)));
        self.by_idle.insert((seen, id));
        id
    }

    fn remove(&mut self, id: usize) -> Connection<K> {
        let connection = self.connections.remove(id);
        let place = (connection.seen, id);
        self.change_client(connection.client, |connections| connections.remove(&place));
        self.by_idle.remove(&place);
        connection
    }

    /// Records a later activity of a connection.
    fn see(&mut self, id: usize, seen: u64) {
        let Connection { client, seen: before, .. } = self.connections[id];
        self.connections[id].seen = seen;
        self.change_client(client, |connections| connections.remove(&(before, id)) && connections.insert((seen, id)));
        self.by_idle.remove(&(before, id));
        self.by_idle.insert((seen, id));
    }

    fn change_client(&mut self, client: K, change: impl FnOnce(&mut BTreeSet<Idle>) -> bool) {
        let connections = self.by_client.entry(client).or_default();
        let rank = |connections: &BTreeSet<Idle>| connections.first().map(|first| (Reverse(connections.len()), *first, client));
        let before = rank(connections);
        change(connections);
        let after = rank(connections);
        if after.is_none() {
            self.by_client.remove(&client);
        }
        if let Some(rank) = before {
            self.ranks.remove(&rank);
        }
        self.ranks.extend(after);
    }

    /// Returns `true` if the table knows the last activity of a connection, and updates the table otherwise. A busy connection counts as
    /// active now.
    fn is_current(&mut self, id: usize, now: u64) -> bool {
        let Connection { seen, activity, .. } = &self.connections[id];
        let active = if activity.is_busy.load(Relaxed) { now } else { activity.seen.load(Relaxed) };
        if active <= *seen && !activity.is_busy.load(Relaxed) {
            return true;
        }
        let active = active.max(*seen + 1); // so that the next one comes to the front
        self.see(id, active);
        false
    }

    /// The longest idle connection of `client`. Without a client it is that of the client with the most, or of all if that client has none.
    /// Returns `None` if all examined connections are busy.
    fn victim(&mut self, client: Option<K>, now: u64) -> Option<usize> {
        match client {
            Some(_) => self.victim_of(client, now),
            None => self.victim_of(None, now).or_else(|| self.victim_of_all(now)),
        }
    }

    fn victim_of(&mut self, client: Option<K>, now: u64) -> Option<usize> {
        let mut busy = 0;
        for _ in 0..STALE {
            let id = self.first_of(client)?;
            if self.is_current(id, now) {
                return Some(id);
            }
            busy += usize::from(self.connections[id].activity.is_busy.load(Relaxed));
            if busy == BUSY {
                return None;
            }
        }
        self.first_of(client)
    }

    /// The longest idle connection of all. A search moves the busy connections that it meets behind the rest, so the next search starts
    /// with others.
    fn victim_of_all(&mut self, now: u64) -> Option<usize> {
        for _ in 0..STALE {
            // All further connections were active or examined in this very millisecond.
            let (_, id) = *self.by_idle.first().filter(|(seen, _)| *seen < now)?;
            if self.is_current(id, now) {
                return Some(id);
            }
        }
        None
    }

    fn first_of(&self, client: Option<K>) -> Option<usize> {
        match client {
            Some(client) => self.by_client.get(&client)?.first().map(|(_, id)| *id),
            None => self.ranks.first().map(|(_, (_, id), _)| *id),
        }
    }
}

impl<K: ClientKey> ConnectionPlace<K> {
    /// Records a complete question or the progress of an answer.
    pub fn touch(&self, now: Instant) {
        self.activity.seen.store(self.places.millis(now), Relaxed);
    }

    /// Records whether the server owes the client an answer.
    pub fn set_busy(&self, is_busy: bool) {
        self.activity.is_busy.store(is_busy, Relaxed);
    }

    /// Returns `true` while the server owes the client an answer.
    pub fn is_busy(&self) -> bool {
        self.activity.is_busy.load(Relaxed)
    }

    /// How long the connection may be idle from now on. The more places are taken, the shorter it is.
    pub fn idle_time(&self) -> Duration {
        self.places.allowed_idle(self.places.open()).map_or(Duration::MAX, Duration::from_millis)
    }

    /// Waits until the connection must give way. Its place belongs to another connection by then.
    pub async fn displaced(&self) {
        self.activity.gives_way.notified().await;
    }
}

impl<K: ClientKey> Drop for ConnectionPlace<K> {
    fn drop(&mut self) {
        let mut table = self.places.table();
        if table.connections.get(self.id).is_some_and(|connection| Arc::ptr_eq(&connection.activity, &self.activity)) {
            table.remove(self.id);
            self.places.open.store(table.connections.len(), Relaxed);
        }
        drop(table);
        self.places.freed.notify_waiters();
    }
}

/// The client that an address belongs to. An IPv6 client is a /64, because a host can use every address of its /64.
pub fn client_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Places = Arc<ConnectionPlaces<u32>>;

    fn places(all: usize, per_client: usize, rule: BusyRule) -> Places {
        ConnectionPlaces::new(PlaceBounds { all, per_client, idle: None }, rule)
    }

    /// So many milliseconds after the start.
    fn at(places: &Places, millis: u64) -> Instant {
        places.start + Duration::from_millis(millis)
    }

    fn take(places: &Places, client: u32, millis: u64) -> ConnectionPlace<u32> {
        places.take(client, at(places, millis)).expect("a place")
    }

    fn gave_way(place: &ConnectionPlace<u32>) -> bool {
        let table = place.places.table();
        !table.connections.get(place.id).is_some_and(|connection| Arc::ptr_eq(&connection.activity, &place.activity))
    }

    fn who_gave_way(held: &[ConnectionPlace<u32>]) -> Vec<usize> {
        (0..held.len()).filter(|index| gave_way(&held[*index])).collect()
    }

    #[test]
    fn a_client_that_has_all_of_its_places_gives_up_its_own_longest_idle_connection() {
        let places = places(10, 3, BusyRule::GivesWay);
        let mut held = vec![take(&places, 7, 0)]; // idle longest, but another client's
        held.extend((1..4).map(|millis| take(&places, 1, millis)));
        held[1].touch(at(&places, 10));
        held.push(take(&places, 1, 20));
        assert_eq!(who_gave_way(&held), [2]);
        held[3].set_busy(true);
        held.push(take(&places, 1, 21));
        assert_eq!(who_gave_way(&held), [1, 2], "a busy one stays");
        assert_eq!((places.open(), places.displaced(), places.refused()), (4, 2, 0));
    }

    #[test]
    fn a_client_whose_places_are_all_busy_is_refused_or_has_more_by_the_rule() {
        for (rule, refused) in [(BusyRule::GivesWay, 1), (BusyRule::Stays, 0)] {
            let places = places(10, 2, rule);
            let held: Vec<_> = (0..2).map(|millis| take(&places, 1, millis)).collect();
            held.iter().for_each(|place| place.set_busy(true));
            let third = places.take(1, at(&places, 5));
            assert_eq!((third.is_none(), places.refused()), (refused == 1, refused));
            assert!(who_gave_way(&held).is_empty());
        }
    }

    #[test]
    fn when_no_place_is_left_the_client_with_the_most_gives_up_its_longest_idle_one() {
        let places = places(6, 6, BusyRule::GivesWay);
        let mut held: Vec<_> = [1, 2, 2, 2, 3, 3].into_iter().zip(0..).map(|(client, millis)| take(&places, client, millis)).collect();
        held[1].touch(at(&places, 50));
        held.push(take(&places, 4, 60));
        assert_eq!(who_gave_way(&held), [2]);
        // Now two clients have two each: that of the longest idle connection.
        held.push(take(&places, 5, 61));
        assert_eq!(who_gave_way(&held), [2, 3]);
        held.push(take(&places, 6, 62));
        assert_eq!(who_gave_way(&held), [2, 3, 4]);
        // One each: the longest idle of all.
        held.push(take(&places, 7, 63));
        assert_eq!(who_gave_way(&held), [0, 2, 3, 4]);
        assert_eq!(places.open(), 6);
    }

    #[test]
    fn busy_connections_give_way_to_clients_that_have_fewer_and_to_no_others() {
        for (rule, most, is_taken) in [(BusyRule::GivesWay, 2, true), (BusyRule::GivesWay, 1, false), (BusyRule::Stays, 2, false)] {
            let places = places(4, 4, rule);
            let held: Vec<_> = (0..4).map(|number| take(&places, number / most, 0)).collect();
            held.iter().for_each(|place| place.set_busy(true));
            assert_eq!(places.take(9, at(&places, 9)).is_some(), is_taken, "{rule:?} {most}");
        }
    }

    #[test]
    fn an_idle_connection_gives_way_although_the_client_with_the_most_has_busy_ones_alone() {
        for rule in [BusyRule::GivesWay, BusyRule::Stays] {
            let places = places(100, 100, rule);
            let held: Vec<_> = (0..100).map(|number| take(&places, number.max(80), u64::from(number))).collect();
            held.iter().enumerate().filter(|(index, _)| *index != 90).for_each(|(_, place)| place.set_busy(true));
            let _newcomer = take(&places, 7, 200);
            assert_eq!(who_gave_way(&held), [90], "{rule:?}");
            assert_eq!((places.open(), places.refused()), (100, 0));
            assert_eq!(places.take(8, at(&places, 200)).is_some(), rule == BusyRule::GivesWay, "now all are busy, or came just now");
        }
    }

    #[test]
    fn idle_time_shortens_as_places_fill_and_who_was_idle_for_longer_is_closed() {
        let places =
            ConnectionPlaces::new(PlaceBounds { all: 100, per_client: 100, idle: Some(Duration::from_secs(10)) }, BusyRule::GivesWay);
        let allowed = |open| places.allowed_idle(open).unwrap();
        assert_eq!([allowed(0), allowed(50), allowed(75), allowed(100)], [10_000, 10_000, 5_500, 1_000]);
        let held: Vec<_> = (0..75).map(|number| take(&places, number, u64::from(number))).collect();
        held[0].touch(at(&places, 3_000));
        held[1].set_busy(true);
        let _next = take(&places, 99, 6_000);
        assert_eq!(who_gave_way(&held), [2, 3, 4, 5], "a few at a time, and none that is active");
        assert_eq!(held[0].idle_time(), Duration::from_millis(allowed(72)));
    }

    #[test]
    fn a_new_connection_brings_the_open_ones_down_to_bounds_that_were_lowered() {
        let places = places(100, 50, BusyRule::GivesWay);
        let mut held: Vec<_> = (0..100).map(|number| take(&places, number / 50, u64::from(number))).collect();
        places.bound(PlaceBounds { all: 60, per_client: 20, idle: None });
        held.push(take(&places, 0, 200));
        let left = |client: u32| places.table().connections_of(client);
        assert_eq!((left(0), left(1), places.open(), places.displaced()), (20, 40, 60, 41), "the bound of the client, then that of all");
        places.bound(PlaceBounds { all: 5, per_client: 5, idle: None });
        held.push(take(&places, 2, 201));
        assert_eq!((places.open(), places.displaced()), (5, 97));
    }

    #[test]
    fn busy_connections_beyond_bounds_that_were_lowered_keep_their_places() {
        let places = places(100, 100, BusyRule::Stays);
        let held: Vec<_> = (0..20).map(|number| take(&places, 1, number)).collect();
        held[..15].iter().for_each(|place| place.set_busy(true));
        places.bound(PlaceBounds { all: 10, per_client: 3, idle: None });
        assert!(places.take(1, at(&places, 50)).is_none());
        assert_eq!((places.open(), places.displaced(), places.refused()), (15, 5, 1), "every idle one gave way, and no busy one");
    }

    #[test]
    fn a_client_with_many_busy_connections_keeps_no_other_out() {
        let places = places(1000, 1000, BusyRule::GivesWay);
        let held: Vec<_> = (0..1000).map(|number| take(&places, u32::from(number % 20 == 0), 0)).collect();
        held.iter().for_each(|place| place.set_busy(true));
        let _others: Vec<_> = (100..200).map(|client| take(&places, client, 5)).collect();
        assert_eq!((places.open(), places.refused()), (1000, 0));
    }

    #[test]
    fn places_come_back_and_clients_without_connections_are_forgotten() {
        let places = places(3, 2, BusyRule::GivesWay);
        let held: Vec<_> = (0..3).map(|client| take(&places, client, 0)).collect();
        let displacing = take(&places, 5, 1);
        assert_eq!(who_gave_way(&held), [0]);
        drop(held); // one of them has no place any more
        assert_eq!(places.open(), 1);
        assert!(places.make_room(at(&places, 2)), "for a file descriptor");
        assert!(gave_way(&displacing));
        drop(displacing);
        assert!(!places.make_room(at(&places, 2)));
        let table = places.table();
        assert!(table.by_client.is_empty() && table.ranks.is_empty() && table.by_idle.is_empty() && table.connections.is_empty());
    }

    #[test]
    fn an_ipv6_site_is_one_client() {
        let of = |text: &str| client_of(text.parse().unwrap());
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), of("2001:db8:1:2::1"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
    }
}
