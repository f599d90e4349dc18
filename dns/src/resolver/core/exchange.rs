//! One exchange with the upstreams of a route, for all clients that ask the same question.
//!
//! An exchange asks the upstreams in the order of [`upstreams`](super::upstreams) until one gives an answer about the name:
//!
//! * no answer within the retransmission timeout (RFC 6298): the same one again, up to five times, each time after twice as long;
//! * no answer within the upstream's `timeout`: the next one. A late answer is still welcome. When all were tried, those that were
//!   silent are tried again, up to four rounds or the deadline;
//! * no answer within a percentile of the upstream's round-trip times, if the route has `hedge`: the next one as well;
//! * SERVFAIL, REFUSED, another error or nonsense: the next one, and this one not again;
//! * FORMERR or NOTIMP to a question with EDNS: the same one without;
//! * truncated, or responses with wrong IDs: the same one over TCP;
//! * an ICMP error: the same one again from another port, up to three times, because strangers can forge such errors. The answers to
//!   the earlier messages are still listened for;
//! * at its limit in flight or a second: the next one; if all are, the exchange waits for room ([`queues`](super::queues)).
//!
//! When all failed, the failure is remembered (RFC 9520), and the clients that wait get stale data or SERVFAIL. What comes after the end of
//! an exchange still fills the cache ([`late`](super::late)).

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use arrayvec::ArrayVec;
use postern_config::model::{UpstreamIdentity, UpstreamTransport};
use slab::Slab;

use super::attempts::{AskTurn, AttemptPurpose, OutgoingMessage, UpstreamAttempt};
use super::denials::PassedDenial;
use super::loops::LoopProbes;
use super::upstreams::{MemberChoice, RouteState, UpstreamState};
use super::{NONE, ResolverCore, ResolverEffects, TimerPurpose};
use crate::accept;
use crate::clock::Now;
use crate::ede::Failure;
use crate::query::UpstreamQuery;
use crate::resolver::timers::TimerId;
use crate::route::{RouteId, RoutePlan, RouteTable};
use crate::state::State;
use crate::upstream::health::SendAdmission;
use crate::upstream::{AttemptError, AttemptId, UpstreamCondition, UpstreamId, message};

/// Number of rounds in which silent upstreams are tried.
const ROUNDS: u8 = 4;
/// Number of attempts of one exchange whose answers are still accepted.
pub(super) const LISTENING: usize = 12;
/// Shortest time after which the next upstream is asked as well: less than the timers can tell would ask it for nearly every name.
const SHORTEST_HEDGE: Duration = Duration::from_millis(20);
/// Silent domains that one exchange counts at: one for each upstream.
const HELD: usize = 4;
/// Number of messages of one exchange to one upstream in one round.
const SENDS: u8 = 6;

/// Everything about upstreams: exchanges, attempts, servers, routes.
#[derive(Debug)]
pub(super) struct ExchangeTable {
    pub(super) list: Slab<UpstreamExchange>,
    by_hash: HashMap<u64, u32, foldhash::fast::RandomState>, // the keys are keyed hashes already
    pub(super) attempts: Slab<UpstreamAttempt>,
    pub(super) serial: u32,
    pub(super) servers: Slab<UpstreamState>,
    pub(super) by_identity: HashMap<UpstreamIdentity, UpstreamId>,
    pub(super) routes: HashMap<RouteId, RouteState, foldhash::fast::RandomState>, // the keys are our own numbers
    pub(super) known: Option<Arc<RouteTable>>,
    /// Number of upstreams that were added or removed.
    pub(super) changes: u64,
    pub(super) loops: LoopProbes,
    /// Exchanges that ended and whose answers are still waited for.
    pub(super) late: Slab<LateAnswers>,
    /// Servers that may have room for exchanges in their queues.
    pub(super) to_serve: Vec<UpstreamId>,
}

/// The question of an exchange that ended, and its messages that may still be answered.
#[derive(Debug)]
pub(super) struct LateAnswers {
    pub(super) ask: UpstreamQuery,
    pub(super) client: IpAddr,
    pub(super) attempts: ArrayVec<u32, LISTENING>,
    pub(super) timer: TimerId,
}

/// A question to upstreams and its progress.
#[derive(Debug)]
pub(super) struct UpstreamExchange {
    pub(super) ask: UpstreamQuery,
    pub(super) hash: u64,
    /// The client that asked first. An answer is read for it if no client waits any more.
    pub(super) client: IpAddr,
    pub(super) first: u32,
    /// Questions that left to wait for the alias of the name. Some of them may be over already.
    pub(super) at_alias: Vec<u32>,
    pub(super) deadline: Now,
    /// Members of the route tried in this round, and those that are not tried again.
    pub(super) tried: u64,
    pub(super) refused: u64,
    /// ICMP errors from the member that is asked now.
    pub(super) icmp_errors: u8,
    /// The last denial after which another member was asked.
    pub(super) denial: Option<PassedDenial>,
    /// It came back to this server (S7).
    pub(super) has_circled: bool,
    /// Members that denied the name.
    pub(super) denied: u64,
    /// It is asked over TCP because an answer lacked a mark.
    pub(super) is_doubtful: bool,
    /// Members that have no TCP, so that their answers over UDP need no mark.
    pub(super) unmarked: u64,
    /// How often the member that is asked now was asked otherwise than at first.
    pub(super) turns: u8,
    round: u8,
    pub(super) failure: Option<Failure>,
    /// Set once an upstream was asked. Only then is a failure cached for this name.
    pub(super) asked: Option<UpstreamId>,
    pub(super) attempts: ArrayVec<u32, LISTENING>,
    /// The attempt whose answer is awaited.
    pub(super) active: Option<u32>,
    /// How long the member that is asked now is waited for, and the messages that it got.
    pub(super) patience: Now,
    pub(super) sends: u8,
    /// Silent domains at which it counts.
    pub(super) held: ArrayVec<(UpstreamId, u64), HELD>,
    /// The timer after which the next member is asked as well.
    pub(super) hedge: Option<TimerId>,
    /// The member at which it waits for room, and the timer that ends the wait.
    pub(super) queued: Option<(u8, TimerId)>,
}

impl ExchangeTable {
    pub(super) fn new() -> Self {
        Self {
            list: Slab::new(),
            by_hash: HashMap::default(),
            attempts: Slab::new(),
            serial: 0,
            servers: Slab::new(),
            by_identity: HashMap::new(),
            routes: HashMap::default(),
            known: None,
            changes: 0,
            loops: LoopProbes::default(),
            late: Slab::new(),
            to_serve: Vec::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    /// Returns the question of an exchange.
    pub(super) fn ask(&self, exchange: u32) -> &UpstreamQuery {
        &self.list[exchange as usize].ask
    }

    /// Returns the hash of the question of an exchange.
    pub(super) fn hash_of(&self, exchange: u32) -> Option<u64> {
        self.list.get(exchange as usize).map(|going| going.hash)
    }

    pub(super) fn route(&mut self, exchange: u32) -> Option<&mut RouteState> {
        self.routes.get_mut(&self.list[exchange as usize].ask.route)
    }
}

impl ResolverCore {
    /// Lets a question wait for the exchange of `ask`. Returns true if it was under way, false if it is new.
    #[allow(clippy::too_many_arguments)]
    pub(super) fn join_or_lead(
        &mut self,
        now: Now,
        state: &State,
        pending: u32,
        ask: UpstreamQuery,
        hash: u64,
        client: IpAddr,
        out: &mut impl ResolverEffects,
    ) -> Result<bool, Failure> {
        let share = self.share(self.exchanges.routes.len());
        let exchanges = &mut self.exchanges;
        let Some(route) = exchanges.routes.get_mut(&ask.route) else { return Err(Failure::NoRoute) };
        if route.waiting >= share {
            return Err(Failure::Busy);
        }
        route.waiting += 1;
        let under_way = exchanges.by_hash.get(&hash).copied();
        if let Some(exchange) = under_way.filter(|exchange| exchanges.list[*exchange as usize].ask == ask) {
            self.link(pending, exchange);
            return Ok(true);
        }
        route.exchanges += 1;
        let exchange = exchanges.list.insert(UpstreamExchange {
            ask,
            hash,
            client,
            first: NONE,
            at_alias: Vec::new(),
            deadline: now.plus(state.settings.deadline),
            tried: 0,
            refused: 0,
            icmp_errors: 0,
            denial: None,
            has_circled: false,
            denied: 0,
            is_doubtful: false,
            unmarked: 0,
            turns: 0,
            round: 1,
            failure: None,
            asked: None,
            attempts: ArrayVec::new(),
            active: None,
            patience: now,
            sends: 0,
            held: ArrayVec::new(),
            hedge: None,
            queued: None,
        }) as u32;
        exchanges.by_hash.insert(hash, exchange);
        self.link(pending, exchange);
        self.copy_to_others(now, exchange, out);
        self.ask_next(now, state, exchange, out);
        Ok(false)
    }

    /// Takes a question out of its exchange, which goes on.
    pub(super) fn leave_exchange(&mut self, pending: u32) {
        let (exchange, before, after) = {
            let pending = &mut self.pending[pending as usize];
            (std::mem::replace(&mut pending.exchange, NONE), pending.before, pending.after)
        };
        if exchange == NONE {
            return;
        }
        match before {
            NONE => self.exchanges.list[exchange as usize].first = after,
            before => self.pending[before as usize].after = after,
        }
        if after != NONE {
            self.pending[after as usize].before = before;
        }
        if let Some(route) = self.exchanges.route(exchange) {
            route.waiting -= 1;
        }
    }

    fn link(&mut self, pending: u32, exchange: u32) {
        let first = std::mem::replace(&mut self.exchanges.list[exchange as usize].first, pending);
        let waiting = &mut self.pending[pending as usize];
        (waiting.exchange, waiting.before, waiting.after) = (exchange, NONE, first);
        if first != NONE {
            self.pending[first as usize].before = pending;
        }
    }

    /// Returns true if every upstream that the exchange could ask is down.
    pub(super) fn is_outage(&self, exchange: u32) -> bool {
        let route = &self.exchanges.list[exchange as usize].ask.route;
        self.exchanges.routes.get(route).is_some_and(|route| route.is_down(&self.exchanges.servers))
    }

    /// Asks the next upstream. Ends the exchange if there is none.
    pub(super) fn ask_next(&mut self, now: Now, state: &State, exchange: u32, out: &mut impl ResolverEffects) {
        let used_up = self.used_up(now, exchange);
        let down = self.down_after_denial(exchange);
        loop {
            let ExchangeTable { list, servers, routes, .. } = &mut self.exchanges;
            let going = &mut list[exchange as usize];
            let Some(route) = routes.get_mut(&going.ask.route).filter(|_| now < going.deadline) else {
                return self.exchange_failed(now, state, exchange, Failure::NoUpstream, out);
            };
            match route.choose(now, servers, going.tried | going.refused | used_up | down) {
                MemberChoice::Ask(member) => {
                    let server = route.members[usize::from(member)].server;
                    let Err(fault) = self.ask_member(now, exchange, member, AskTurn::First, out) else { return };
                    if fault == AttemptError::Unreachable {
                        self.unsendable(server);
                    }
                    self.exchanges.list[exchange as usize].refused |= 1 << member;
                }
                MemberChoice::Wait(member) => {
                    let server = route.members[usize::from(member)].server;
                    let until = now.plus(route.timeout(member)).min(going.deadline);
                    return self.enter_queue(exchange, member, server, until);
                }
                MemberChoice::NoRoom(failure) => return self.exchange_failed(now, state, exchange, failure, out),
                MemberChoice::Nobody if going.round < ROUNDS && going.denial.is_none() && going.tried & !going.refused != 0 => {
                    going.round += 1;
                    going.tried = 0;
                }
                MemberChoice::Nobody => {
                    let failure = if used_up == 0 { Failure::NoUpstream } else { Failure::SilentDomain };
                    return self.exchange_failed(now, state, exchange, failure, out);
                }
            }
        }
    }

    /// Sends an exchange's question to one member of its route.
    pub(super) fn ask_member(
        &mut self,
        now: Now,
        exchange: u32,
        member: u8,
        turn: AskTurn,
        out: &mut impl ResolverEffects,
    ) -> Result<(), AttemptError> {
        let going = &self.exchanges.list[exchange as usize];
        let Some(route) = self.exchanges.routes.get(&going.ask.route) else { return Err(AttemptError::Exhausted) };
        let server = route.members[usize::from(member)].server;
        let known = &self.exchanges.servers[server.0 as usize];
        let (over, edns) = match turn {
            AskTurn::First => (known.upstream.transport, self.may_use_edns(now, server, &going.ask.name)),
            AskTurn::Otherwise(over, edns) | AskTurn::Repeated(over, edns) => (over, edns),
        };
        let (patience, sends) = match turn {
            AskTurn::Repeated(..) => (going.patience, going.sends),
            _ => (now.plus(route.timeout(member)).min(going.deadline), 0),
        };
        let mut octets = [0; message::MAX];
        let len = message::write(&going.ask, edns.then_some(known.upstream.udp_size), &mut octets);
        let waits = self.wait(now, server, &route.plan, (over, patience), sends + 2 * (going.round - 1));
        let purpose = AttemptPurpose::Question { exchange, member };
        let place = self.send(now, OutgoingMessage { server, over, message: &octets[..len], edns, waits, purpose }, out)?;
        if self.exchanges.list[exchange as usize].attempts.is_full() {
            let oldest = self.exchanges.list[exchange as usize].attempts[0];
            self.end_attempt(oldest, out);
        }
        let going = &mut self.exchanges.list[exchange as usize];
        if over == UpstreamTransport::Udp && going.unmarked & (1 << member) != 0 {
            out.expect_unmarked(AttemptId { place, serial: self.exchanges.serial });
        }
        going.attempts.push(place);
        (going.active, going.asked) = (Some(place), Some(server));
        (going.patience, going.sends) = (patience, sends + 1);
        let is_late = going.round > 1 || matches!(turn, AskTurn::Repeated(..));
        if matches!(turn, AskTurn::First) {
            (going.icmp_errors, going.turns) = (0, 0);
            self.hold_share(now, server, exchange);
            self.arm_hedge(now, exchange, server);
        }
        if is_late {
            self.mark_late(now, place);
        }
        Ok(())
    }

    /// Returns how long a message is waited for before it is repeated, or before the upstream is given up.
    fn wait(&self, now: Now, server: UpstreamId, plan: &RoutePlan, (over, patience): (UpstreamTransport, Now), doublings: u8) -> Duration {
        let rest = Duration::from_millis(patience.since(now));
        if over == UpstreamTransport::Tcp {
            return rest;
        }
        let first = self.exchanges.servers[server.0 as usize].health.retransmission_timeout();
        let first = first.clamp(plan.retransmit_min, plan.retransmit_max.max(plan.retransmit_min));
        (first * (1 << doublings.min(16))).min(plan.retransmit_max.max(first)).min(rest)
    }

    /// A message of an exchange was not answered in the time that most answers take: it is sent again, or waited for further.
    pub(super) fn wait_further(&mut self, now: Now, place: u32, out: &mut impl ResolverEffects) {
        let attempt = &self.exchanges.attempts[place as usize];
        let (server, over, edns) = (attempt.server, attempt.over, attempt.edns);
        let AttemptPurpose::Question { exchange, member } = attempt.purpose else { return };
        if self.exchanges.list[exchange as usize].sends > 1 {
            self.silent(now, place, exchange, out);
        }
        let going = &self.exchanges.list[exchange as usize];
        let is_repeated = over == UpstreamTransport::Udp
            && going.sends < SENDS
            && self.exchanges.servers[server.0 as usize].health.admits(now) == SendAdmission::Now
            && self.ask_member(now, exchange, member, AskTurn::Repeated(over, edns), out).is_ok();
        self.mark_late(now, place);
        let going = &self.exchanges.list[exchange as usize];
        if is_repeated || going.active != Some(place) || self.exchanges.attempts[place as usize].timer.is_some() {
            return; // or it has just given up its place, and is waited for to the end
        }
        // There is no room now, or it was sent often enough: it is only waited for.
        let Some(route) = self.exchanges.routes.get(&going.ask.route) else { return };
        let waits = match going.sends < SENDS {
            true => self.wait(now, server, &route.plan, (over, going.patience), going.sends),
            false => Duration::from_millis(going.patience.since(now)),
        };
        let timer = self.timers.set(now.plus(waits.max(Duration::from_millis(1))), TimerPurpose::Attempt(place));
        self.exchanges.attempts[place as usize].timer = Some(timer);
    }

    /// An attempt's question is not sent again in this turn. Returns how long its member is waited for, if it is the one that is awaited.
    pub(super) fn stop_repeating(&mut self, place: u32) -> Option<Now> {
        let AttemptPurpose::Question { exchange, .. } = self.exchanges.attempts[place as usize].purpose else { return None };
        let going = &mut self.exchanges.list[exchange as usize];
        if going.active != Some(place) {
            return None; // an earlier message of the same question
        }
        going.sends = SENDS;
        Some(going.patience)
    }

    /// Sets the timer after which the next upstream is asked as well, if the route wants it.
    fn arm_hedge(&mut self, now: Now, exchange: u32, server: UpstreamId) {
        let ExchangeTable { list, servers, routes, .. } = &mut self.exchanges;
        let going = &mut list[exchange as usize];
        let Some(route) = routes.get(&going.ask.route) else { return };
        let Some(percent) = route.plan.hedge.filter(|_| route.members.len() > 1 && going.hedge.is_none()) else { return };
        let health = &servers[server.0 as usize].health;
        let after = health.percentile(percent).unwrap_or_else(|| health.retransmission_timeout()).max(SHORTEST_HEDGE);
        going.hedge = Some(self.timers.set(now.plus(after), TimerPurpose::Hedge(exchange)));
    }

    /// The upstream that is asked takes longer than it usually does: the next one is asked as well. Whoever answers first is heard.
    pub(super) fn hedge(&mut self, now: Now, exchange: u32, out: &mut impl ResolverEffects) {
        let ExchangeTable { list, servers, routes, attempts, .. } = &mut self.exchanges;
        let going = &mut list[exchange as usize];
        going.hedge = None;
        let asked = going.active.map(|place| attempts[place as usize].purpose);
        let (Some(AttemptPurpose::Question { member: asked, .. }), Some(route)) = (asked, routes.get(&going.ask.route)) else { return };
        let MemberChoice::Ask(member) = route.choose(now, servers, going.tried | going.refused | 1 << asked) else { return };
        let server = route.members[usize::from(member)].server;
        if servers[server.0 as usize].health.condition() == UpstreamCondition::Down {
            return;
        }
        let (active, patience, sends, upstream) = (going.active, going.patience, going.sends, going.asked);
        let over = servers[server.0 as usize].upstream.transport;
        let edns = self.may_use_edns(now, server, &self.exchanges.ask(exchange).name);
        let _ = self.ask_member(now, exchange, member, AskTurn::Otherwise(over, edns), out); // the first one is waited for in any case
        let going = &mut self.exchanges.list[exchange as usize];
        (going.active, going.patience, going.sends, going.asked) = (active, patience, sends, upstream);
    }

    /// Ends an exchange that no upstream answered.
    pub(super) fn exchange_failed(&mut self, now: Now, state: &State, exchange: u32, failure: Failure, out: &mut impl ResolverEffects) {
        if let Some(denial) = self.exchanges.list[exchange as usize].denial.take() {
            return self.give_denial(now, state, exchange, &denial, out);
        }
        let going = &self.exchanges.list[exchange as usize];
        let failure = if going.has_circled { Failure::RouteToSelf } else { going.failure.unwrap_or(failure) };
        let failure = (failure, going.hash);
        if let Some(server) = going.asked {
            let name = &self.exchanges.servers[server.0 as usize].meter.name;
            accept::remember_failure(state, &going.ask, failure.0, now, name);
        }
        let mut waiting = going.first;
        while waiting != NONE {
            let next = self.pending[waiting as usize].after;
            self.leave_exchange(waiting);
            self.wake(waiting, Err(failure));
            waiting = next;
        }
        self.listen_on(now, exchange, u8::MAX);
        self.end_exchange(exchange, out);
    }

    /// Removes an exchange for which no client waits.
    pub(super) fn end_exchange(&mut self, exchange: u32, out: &mut impl ResolverEffects) {
        self.leave_queue(exchange);
        if let Some(timer) = self.exchanges.list[exchange as usize].hedge.take() {
            self.timers.cancel(timer);
        }
        while let Some(place) = self.exchanges.list[exchange as usize].attempts.last().copied() {
            self.end_attempt(place, out);
        }
        let going = self.exchanges.list.remove(exchange as usize);
        self.give_shares_back(&going.held);
        if self.exchanges.by_hash.get(&going.hash) == Some(&exchange) {
            self.exchanges.by_hash.remove(&going.hash);
        }
        self.exchange_gone(going.ask.route, out);
    }
}
