//! Which upstream of a route is asked.
//!
//! A route's upstreams are taken in this order:
//!
//! 1. those that are up, then the poor ones, then those that are down ([`health`](crate::upstream::health) says what that is);
//! 2. among these, with `select = "order"` as they are written, with `select = "latency"` the fastest first by smoothed round-trip time
//!    (RFC 6298 smoothing; one never measured comes first).
//!
//! [`probes`](super::probes) measures the upstreams that are not asked.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use arrayvec::ArrayVec;
use postern_config::model::{UpstreamConfig, UpstreamOrder};
use slab::Slab;

use super::{ResolverCore, ResolverEffects};
use crate::clock::Now;
use crate::ede::Failure;
use crate::resolver::timers::TimerId;
use crate::route::{RouteId, RoutePlan};
use crate::state::State;
use crate::upstream::health::{SendAdmission, UpstreamHealth};
use crate::upstream::silence::SilentDomains;
use crate::upstream::{AttemptId, UpstreamCondition, UpstreamId, UpstreamMeter};

/// Upstreams of one route that are considered.
pub const MOST_MEMBERS: usize = 64;

/// A route as the resolver keeps it.
#[derive(Debug)]
pub(super) struct RouteState {
    pub(super) plan: Arc<RoutePlan>,
    pub(super) members: Vec<RouteMember>,
    pub(super) exchanges: u32,
    /// Questions that wait for them.
    pub(super) waiting: usize,
    /// It is in the routes of this moment; others go when their last exchange ends.
    current: bool,
}

/// One upstream of a route.
#[derive(Debug)]
pub(super) struct RouteMember {
    pub(super) server: UpstreamId,
}

/// An upstream, whichever routes ask it.
#[derive(Debug)]
pub(super) struct UpstreamState {
    pub(super) upstream: UpstreamConfig,
    pub(super) meter: Arc<UpstreamMeter>,
    pub(super) health: UpstreamHealth,
    /// Exchanges that wait for room, by place and hash.
    pub(super) queue: VecDeque<(u32, u64)>,
    pub(super) refill: Option<TimerId>,
    /// Domains that it is silent for.
    pub(super) silence: SilentDomains,
    /// Attempts that take long, the oldest first, and the number of those that count as in flight.
    pub(super) late: VecDeque<AttemptId>,
    pub(super) late_counted: u32,
    routes: u32,
    /// When a route last wanted it.
    pub(super) wanted: Now,
    pub(super) probe_timer: Option<TimerId>,
    /// Its port refused the last loop probe, and nothing was asked there since. It is shown as down and probed again.
    pub(super) refused: bool,
    /// It could not be reached, and did not respond since.
    pub(super) unreachable: bool,
    /// Its loop probe came back, and no useful answer came since. It is shown as a loop.
    pub(super) leads_back: bool,
    /// When responses with wrong IDs were last logged.
    pub(super) guesses_reported: Option<Now>,
}

/// Next step of an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MemberChoice {
    /// Ask this member.
    Ask(u8),
    /// Wait for room at this one.
    Wait(u8),
    /// There is room nowhere.
    NoRoom(Failure),
    /// All were tried.
    Nobody,
}

impl RouteState {
    /// The next member to ask, those in `not` left out.
    pub(super) fn choose(&self, now: Now, servers: &mut Slab<UpstreamState>, not: u64) -> MemberChoice {
        let (mut full, mut no_room) = (None, None);
        for member in self.order(servers) {
            if not & (1 << member) != 0 {
                continue;
            }
            let server = &mut servers[self.members[usize::from(member)].server.0 as usize];
            let down = server.health.condition() == UpstreamCondition::Down;
            if (server.queue.is_empty() || down) && server.health.admits(now) == SendAdmission::Now {
                return MemberChoice::Ask(member);
            }
            if down {
                no_room.get_or_insert(Failure::NoUpstream);
            } else if server.queue.len() < server.queue_limit() {
                full.get_or_insert(member);
            } else {
                no_room = Some(Failure::Busy);
            }
        }
        match (full, no_room) {
            (Some(member), _) => MemberChoice::Wait(member),
            (None, Some(failure)) => MemberChoice::NoRoom(failure),
            (None, None) => MemberChoice::Nobody,
        }
    }

    /// Members that may be asked, best first.
    pub(super) fn order(&self, servers: &Slab<UpstreamState>) -> ArrayVec<u8, MOST_MEMBERS> {
        let health = |member: &u8| &servers[self.members[usize::from(*member)].server.0 as usize].health;
        let mut order: ArrayVec<u8, MOST_MEMBERS> = (0..self.members.len() as u8).collect();
        if order.len() > 1 {
            order.sort_by(|a, b| {
                let (a, b) = (health(a), health(b));
                let time = |health: &UpstreamHealth| health.round_trip().unwrap_or(0.0);
                (a.condition() as u8).cmp(&(b.condition() as u8)).then_with(|| match self.plan.select {
                    UpstreamOrder::Order => std::cmp::Ordering::Equal,
                    UpstreamOrder::Latency => time(a).total_cmp(&time(b)),
                })
            });
        }
        order
    }

    /// Returns how long a member is waited for.
    pub(super) fn timeout(&self, member: u8) -> Duration {
        self.plan.upstreams[usize::from(member)].timeout
    }

    /// Returns true if every upstream is down.
    pub(super) fn is_down(&self, servers: &Slab<UpstreamState>) -> bool {
        self.members.iter().all(|member| servers[member.server.0 as usize].health.condition() == UpstreamCondition::Down)
    }
}

impl UpstreamState {
    /// Exchanges that may wait: what would be answered in about a second.
    fn queue_limit(&self) -> usize {
        self.upstream.in_flight.max(self.upstream.rate) as usize
    }

    /// Shows its state in its meter.
    pub(super) fn show(&self) {
        self.meter.in_flight.store(self.health.in_flight(), Relaxed);
        self.meter.queued.store(self.queue.len() as u32, Relaxed);
    }

    pub(super) fn show_condition(&self) {
        let condition = match (self.leads_back, self.refused) {
            (true, _) => UpstreamCondition::Loop,
            (false, true) => UpstreamCondition::Down,
            (false, false) => self.health.condition(),
        };
        self.meter.condition.store(condition as u8, Relaxed);
        self.meter.round_trip.store(self.health.round_trip().map_or(0, |ms| (ms * 1000.0).max(1.0) as u32), Relaxed);
    }
}

impl ResolverCore {
    /// Meters of all upstreams.
    pub fn meters(&self) -> Vec<Arc<UpstreamMeter>> {
        self.exchanges.servers.iter().map(|(_, server)| server.meter.clone()).collect()
    }

    /// Rises each time an upstream comes or goes.
    pub fn changes(&self) -> u64 {
        self.exchanges.changes
    }

    /// Takes over the routes of `state`, if they are new.
    pub(super) fn sync_routes(&mut self, now: Now, state: &State, out: &mut impl ResolverEffects) {
        if self.exchanges.known.as_ref().is_some_and(|known| Arc::ptr_eq(known, &state.routes)) {
            return;
        }
        self.exchanges.known = Some(state.routes.clone());
        for route in self.exchanges.routes.values_mut() {
            route.current = false;
        }
        for (id, plan) in state.routes.plans() {
            if let Some(route) = self.exchanges.routes.get_mut(id) {
                (route.current, route.plan) = (true, plan.clone());
                continue;
            }
            let upstreams = plan.upstreams.iter().take(MOST_MEMBERS);
            let members = upstreams.map(|upstream| RouteMember { server: self.open(now, upstream, out) }).collect();
            let route = RouteState { plan: plan.clone(), members, exchanges: 0, waiting: 0, current: true };
            self.exchanges.routes.insert(*id, route);
        }
        self.apply_limits(now, state);
        let gone: Vec<RouteId> = self.exchanges.routes.iter().filter(|(_, route)| !route.current).map(|(id, _)| *id).collect();
        for id in gone {
            self.drop_drained(id, out);
        }
        self.probe_all_for_loops(now, out);
    }

    /// The lowest of the limits that routes give for one upstream counts, and EDNS is off if any route has it off.
    fn apply_limits(&mut self, now: Now, state: &State) {
        for (_, server) in &mut self.exchanges.servers {
            let identity = server.upstream.identity();
            let plans = state.routes.plans().iter().flat_map(|(_, plan)| &plan.upstreams);
            let same = |other: &&UpstreamConfig| other.identity() == identity;
            let (mut in_flight, mut rate) = (u32::MAX, 0);
            let (mut edns, mut udp_size) = (true, u16::MAX);
            for upstream in plans.filter(same) {
                in_flight = in_flight.min(upstream.in_flight);
                (edns, udp_size) = (edns && upstream.edns, udp_size.min(upstream.udp_size));
                server.upstream.probe.clone_from(&upstream.probe);
                server.upstream.timeout = upstream.timeout;
                rate = if rate == 0 || upstream.rate == 0 { rate.max(upstream.rate) } else { rate.min(upstream.rate) };
            }
            if in_flight != u32::MAX {
                (server.upstream.in_flight, server.upstream.rate) = (in_flight, rate);
                (server.upstream.edns, server.upstream.udp_size) = (edns, udp_size);
                server.health.limit(now, in_flight, rate);
            }
        }
    }

    fn open(&mut self, now: Now, upstream: &UpstreamConfig, out: &mut impl ResolverEffects) -> UpstreamId {
        let key = upstream.identity();
        if let Some(id) = self.exchanges.by_identity.get(&key) {
            self.exchanges.servers[id.0 as usize].routes += 1;
            return *id;
        }
        let server = UpstreamState {
            upstream: upstream.clone(),
            meter: Arc::new(UpstreamMeter::new(upstream)),
            health: UpstreamHealth::new(now, upstream),
            queue: VecDeque::new(),
            refill: None,
            silence: SilentDomains::default(),
            late: VecDeque::new(),
            late_counted: 0,
            routes: 1,
            wanted: Now(0),
            probe_timer: None,
            refused: false,
            unreachable: false,
            leads_back: false,
            guesses_reported: None,
        };
        let meter = server.meter.clone();
        let id = UpstreamId(self.exchanges.servers.insert(server) as u32);
        self.exchanges.by_identity.insert(key, id);
        self.exchanges.changes += 1;
        out.open(id, upstream, &meter);
        id
    }

    /// An exchange of a route ended.
    pub(super) fn exchange_gone(&mut self, id: RouteId, out: &mut impl ResolverEffects) {
        if let Some(route) = self.exchanges.routes.get_mut(&id) {
            route.exchanges -= 1;
            self.drop_drained(id, out);
        }
    }

    /// Lets a route go that is no longer wanted, and upstreams that no route has.
    fn drop_drained(&mut self, id: RouteId, out: &mut impl ResolverEffects) {
        if self.exchanges.routes.get(&id).is_none_or(|route| route.current || route.exchanges > 0) {
            return;
        }
        let Some(route) = self.exchanges.routes.remove(&id) else { return };
        self.exchanges.loops.forget(id);
        for RouteMember { server: id, .. } in route.members {
            let server = &mut self.exchanges.servers[id.0 as usize];
            server.routes -= 1;
            if server.routes > 0 {
                continue;
            }
            // Only copies and probes are left.
            let left = self.exchanges.attempts.iter().filter(|(_, attempt)| attempt.server == id);
            for place in left.map(|(place, _)| place as u32).collect::<Vec<_>>() {
                self.forget_late(place);
                self.end_attempt(place, out);
            }
            let server = self.exchanges.servers.remove(id.0 as usize);
            for timer in [server.refill, server.probe_timer].into_iter().flatten() {
                self.timers.cancel(timer);
            }
            self.exchanges.by_identity.remove(&server.upstream.identity());
            self.exchanges.changes += 1;
            out.close(id);
        }
    }
}
