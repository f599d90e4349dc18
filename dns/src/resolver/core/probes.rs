//! Learning from how upstreams answer, and the messages that are sent to learn more.
//!
//! * The probe, a fixed question of our own (key `probe`), decides whether an upstream is there and whether it is of use
//!   ([`health`](crate::upstream::health)). An upstream that is down gets it by a timer, until it responds.
//! * A copy of a client's question goes to an upstream that is not the one asked: every 5 s to each with `select = "latency"`, and after
//!   1, 2, 4, 5, 5 … s to a poor one. Nobody waits for copies, and nothing of them is kept.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use arrayvec::ArrayVec;
use postern_config::model::UpstreamOrder;
use postern_zones::name::NameBuf;

use super::attempts::{AttemptPurpose, OutgoingMessage};
use super::exchange::ExchangeTable;
use super::upstreams::MOST_MEMBERS;
use super::{ResolverCore, ResolverEffects, TimerPurpose};
use crate::clock::Now;
use crate::query::UpstreamQuery;
use crate::route::RouteId;
use crate::state::State;
use crate::upstream::health::{HealthChange, SendAdmission};
use crate::upstream::{UpstreamCondition, UpstreamId, message};

/// How often the upstreams of a route by latency are measured at least, while it is asked.
const MEASURE: Duration = Duration::from_secs(5);
/// An upstream that is down is probed for as long as somebody wanted it this recently.
const WANTED: Duration = Duration::from_secs(60);

impl ResolverCore {
    /// An upstream answered a question.
    pub(super) fn answered_usefully(&mut self, now: Now, place: u32, out: &mut impl ResolverEffects) {
        let attempt = &self.exchanges.attempts[place as usize];
        let (id, sent, edns) = (attempt.server, attempt.sent(), attempt.edns);
        let server = &mut self.exchanges.servers[id.0 as usize];
        server.meter.answered.fetch_add(1, Relaxed);
        server.leads_back = false;
        if edns {
            server.health.showed_edns();
        }
        let change = server.health.useful(now, sent);
        self.reached(id);
        self.exchanges.servers[id.0 as usize].show_condition();
        self.follow(now, id, change, out);
    }

    /// An upstream responded to an exchange's question, but said nothing about the name.
    pub(super) fn answered_uselessly(&mut self, now: Now, place: u32, exchange: u32, out: &mut impl ResolverEffects) {
        let domain = self.hash_domain(&self.exchanges.ask(exchange).name);
        let attempt = &self.exchanges.attempts[place as usize];
        let (id, sent) = (attempt.server, attempt.sent());
        let server = &mut self.exchanges.servers[id.0 as usize];
        server.meter.failed.fetch_add(1, Relaxed);
        let change = server.health.useless(now, sent, domain);
        self.reached(id);
        self.exchanges.servers[id.0 as usize].show_condition();
        self.follow(now, id, change, out);
    }

    /// An upstream responded to something that says nothing about its use.
    pub(super) fn responded(&mut self, now: Now, id: UpstreamId, out: &mut impl ResolverEffects) {
        let change = self.exchanges.servers[id.0 as usize].health.responded(now);
        self.reached(id);
        self.follow(now, id, change, out);
    }

    /// The probe was answered.
    pub(super) fn probe_answered(&mut self, now: Now, place: u32, octets: &[u8], out: &mut impl ResolverEffects) {
        let attempt = &self.exchanges.attempts[place as usize];
        let (id, sent) = (attempt.server, attempt.sent());
        let rcode = octets.get(3).map_or(0, |flags| flags & 0xf);
        let (edns, health) = (attempt.edns, &mut self.exchanges.servers[id.0 as usize].health);
        let change = if edns {
            health.edns_probe_answered(now, matches!(rcode, 1 | 4));
            health.responded(now)
        } else {
            health.probe_answered(now, sent, matches!(rcode, 0 | 3))
        };
        self.reached(id);
        self.follow(now, id, change, out);
    }

    /// The probe was not answered.
    pub(super) fn probe_silent(&mut self, now: Now, state: &State, id: UpstreamId, sent: Now, out: &mut impl ResolverEffects) {
        let server = &mut self.exchanges.servers[id.0 as usize];
        server.meter.lost.fetch_add(1, Relaxed);
        let change = server.health.probe_silent(now, sent);
        self.follow(now, id, change, out);
        if change == HealthChange::Condition {
            self.empty_queue(now, state, id, out);
            self.probe_server_for_loops(now, id, out);
        }
    }

    /// An upstream does not answer an exchange's question, so far.
    pub(super) fn silent(&mut self, now: Now, place: u32, exchange: u32, out: &mut impl ResolverEffects) {
        let name = self.hash_suffix(self.exchanges.ask(exchange).name.as_wire());
        let attempt = &self.exchanges.attempts[place as usize];
        let (id, sent) = (attempt.server, attempt.sent());
        let server = &mut self.exchanges.servers[id.0 as usize];
        let change = server.health.silent(sent, name);
        self.domain_silent(now, id, exchange);
        self.follow(now, id, change, out);
    }

    /// An upstream did not answer an exchange's question in time, or could not be reached.
    pub(super) fn lost(&mut self, now: Now, place: u32, exchange: u32, out: &mut impl ResolverEffects) {
        let server = self.exchanges.attempts[place as usize].server;
        self.exchanges.servers[server.0 as usize].meter.lost.fetch_add(1, Relaxed);
        self.silent(now, place, exchange, out);
    }

    /// Notes that an upstream can be reached.
    fn reached(&mut self, id: UpstreamId) {
        let server = &mut self.exchanges.servers[id.0 as usize];
        if std::mem::take(&mut server.refused) {
            server.show_condition();
        }
        if std::mem::take(&mut server.unreachable) {
            tracing::info!(upstream = %server.meter.name, "upstream can be reached again");
        }
    }

    /// Does what a change of an upstream's health asks for.
    fn follow(&mut self, now: Now, id: UpstreamId, change: HealthChange, out: &mut impl ResolverEffects) {
        let server = &mut self.exchanges.servers[id.0 as usize];
        match change {
            HealthChange::None => {}
            HealthChange::Probe => self.send_probe(now, id, false, out),
            HealthChange::EdnsProbe => self.send_probe(now, id, true, out),
            HealthChange::Condition => {
                server.show_condition();
                match server.health.condition() {
                    UpstreamCondition::Down => {
                        tracing::warn!(upstream = %server.meter.name, "upstream does not answer; using it only as a last resort, and probing it");
                        return self.arm_probe(id);
                    }
                    UpstreamCondition::Poor => {
                        tracing::warn!(upstream = %server.meter.name, "upstream returns no useful answers; querying it last")
                    }
                    _ => tracing::info!(upstream = %server.meter.name, "upstream answers again"),
                }
                if let Some(timer) = server.probe_timer.take() {
                    self.timers.cancel(timer);
                }
            }
        }
    }

    fn arm_probe(&mut self, id: UpstreamId) {
        let server = &mut self.exchanges.servers[id.0 as usize];
        if server.probe_timer.is_none() {
            server.probe_timer = Some(self.timers.set(server.health.probe_at(), TimerPurpose::Probe(id)));
        }
    }

    /// Time to see whether an upstream is still down.
    pub(super) fn probe(&mut self, now: Now, id: UpstreamId, out: &mut impl ResolverEffects) {
        let server = &mut self.exchanges.servers[id.0 as usize];
        server.probe_timer = None;
        if server.health.condition() != UpstreamCondition::Down || now.since(server.wanted) > WANTED.as_millis() as u64 {
            return;
        }
        server.health.probed(now);
        self.send_probe(now, id, false, out);
        self.arm_probe(id);
    }

    /// Sends the fixed question. It has EDNS only to find out about EDNS: some servers do not answer such questions.
    fn send_probe(&mut self, now: Now, id: UpstreamId, edns: bool, out: &mut impl ResolverEffects) {
        let server = &self.exchanges.servers[id.0 as usize];
        let size = server.upstream.udp_size;
        let (over, waits, rtype) = (server.upstream.transport, server.health.probe_patience(), server.upstream.probe.rtype);
        let sent = NameBuf::parse(&server.upstream.probe.name).ok().and_then(|name| {
            let ask = UpstreamQuery { route: RouteId(0), name, rtype, dnssec_ok: false, checking_disabled: false };
            let mut octets = [0; message::MAX];
            let len = message::write(&ask, edns.then_some(size), &mut octets);
            self.send(now, OutgoingMessage { server: id, over, message: &octets[..len], edns, waits, purpose: AttemptPurpose::Probe }, out)
                .ok()
        });
        if sent.is_none() && !edns {
            self.exchanges.servers[id.0 as usize].health.probe_unsent();
        }
    }

    /// An exchange's question was answered only without EDNS.
    pub(super) fn lacked_edns(&mut self, now: Now, id: UpstreamId, exchange: u32, out: &mut impl ResolverEffects) {
        let name = &self.exchanges.ask(exchange).name;
        let (name, domain) = (self.hash_suffix(name.as_wire()), self.hash_domain(name));
        let change = self.exchanges.servers[id.0 as usize].health.lacked_edns(now, name, domain);
        self.follow(now, id, change, out);
    }

    /// Returns true if a question to an upstream may have an OPT record.
    pub(super) fn may_use_edns(&self, now: Now, id: UpstreamId, name: &NameBuf) -> bool {
        let server = &self.exchanges.servers[id.0 as usize];
        server.upstream.edns && server.health.knows_edns(now, || self.hash_suffix(name.as_wire()))
    }

    /// Copies an exchange's question to those upstreams of its route of which too little is known.
    pub(super) fn copy_to_others(&mut self, now: Now, exchange: u32, out: &mut impl ResolverEffects) {
        let id = self.exchanges.ask(exchange).route;
        let ExchangeTable { routes, servers, .. } = &mut self.exchanges;
        let mut copies: ArrayVec<UpstreamId, MOST_MEMBERS> = ArrayVec::new();
        let Some(route) = routes.get(&id) else { return };
        let mut down: ArrayVec<UpstreamId, MOST_MEMBERS> = ArrayVec::new();
        let first = route.order(servers).first().map(|member| route.members[usize::from(*member)].server);
        for member in &route.members {
            let server = &mut servers[member.server.0 as usize];
            server.wanted = now;
            match server.health.condition() {
                UpstreamCondition::Down => down.push(member.server),
                _ if first == Some(member.server) => {}
                UpstreamCondition::Poor if server.health.probe_at() <= now => {
                    server.health.probed(now);
                    copies.push(member.server);
                }
                UpstreamCondition::Up if route.plan.select == UpstreamOrder::Latency && server.health.measured().plus(MEASURE) <= now => {
                    copies.push(member.server);
                }
                _ => {}
            }
        }
        for id in down {
            self.arm_probe(id);
        }
        if !copies.is_empty() {
            let ask = self.exchanges.ask(exchange).clone();
            copies.into_iter().for_each(|id| self.copy(now, id, &ask, out));
        }
    }

    fn copy(&mut self, now: Now, id: UpstreamId, ask: &UpstreamQuery, out: &mut impl ResolverEffects) {
        let server = &mut self.exchanges.servers[id.0 as usize];
        let is_poor = server.health.condition() == UpstreamCondition::Poor;
        if server.health.admits(now) == SendAdmission::Now {
            let (over, size) = (server.upstream.transport, server.upstream.udp_size);
            let edns = self.may_use_edns(now, id, &ask.name);
            let mut octets = [0; message::MAX];
            let len = message::write(ask, edns.then_some(size), &mut octets);
            let server = &mut self.exchanges.servers[id.0 as usize];
            server.health.is_being_measured(now);
            let waits = server.upstream.timeout;
            let _ = self.send(
                now,
                OutgoingMessage { server: id, over, message: &octets[..len], edns, waits, purpose: AttemptPurpose::Copy },
                out,
            ); // nobody waits for it
        }
        if is_poor {
            self.send_probe(now, id, false, out); // the copy may be of a name that nobody can answer
        }
    }
}
