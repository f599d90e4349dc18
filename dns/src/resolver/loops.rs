//! Forwards that lead back to this server (S7).
//!
//! When routes are new, and when an upstream went down, each upstream is asked for `<random>.postern-loop-probe.<suffix of the route>`.
//! If that very name arrives here as a client's question, the upstream leads back to us, for that route: it is asked no more, and the
//! probe is repeated every minute until it no longer comes back. A name under the route's own suffix is asked for, because an upstream
//! may well forward everything else to us and still be the right one for its own zones.
//!
//! A question over UDP from an address of our own upstream sockets has gone in the shortest circle, and is refused alone. It says nothing
//! of the route: anybody can forge a source address, while only the upstream knows the random name of a probe.

use std::time::Duration;

use postern_zones::name::NameBuf;

use super::attempts::{Purpose, Send};
use super::core::{Core, Due, Outside};
use super::job::Job;
use super::timers::TimerId;
use crate::clock::Now;
use crate::loop_probe::{LABEL, is_loop_probe};
use crate::query::Ask;
use crate::return_path::ReplyTo;
use crate::route::RouteId;
use crate::state::State;
use crate::upstream::health::Admission;
use crate::upstream::{Fault, UpstreamId, message};
use crate::wire::rtype;

/// How often upstreams that led back to us are probed.
const AGAIN: Duration = Duration::from_secs(60);
/// How long after the last sign of a loop an upstream is asked again.
const FORGOTTEN: Duration = Duration::from_secs(90);
/// How long a probe may take to come back.
const WAITS: Duration = Duration::from_secs(10);
/// Probes that are remembered.
const MOST: usize = 1024;

/// Probes under way.
#[derive(Debug, Default)]
pub(super) struct LoopProbes {
    sent: Vec<LoopProbe>,
    timer: Option<TimerId>,
}

#[derive(Debug)]
struct LoopProbe {
    nonce: [u8; 16],
    route: RouteId,
    member: u8,
    sent: Now,
}

impl LoopProbes {
    /// A route is gone.
    pub(super) fn forget(&mut self, route: RouteId) {
        self.sent.retain(|probe| probe.route != route);
    }

    /// The route and member of the probe that has this name.
    fn find(&self, name: &NameBuf) -> Option<(RouteId, u8)> {
        if self.sent.is_empty() || !is_loop_probe(name) {
            return None;
        }
        let nonce = &name.as_wire()[name.start(0) + 1..name.start(1)];
        let found = self.sent.iter().find(|probe| probe.nonce == nonce)?;
        Some((found.route, found.member))
    }
}

impl Core {
    /// Returns true if a question is one of ours that has gone in a circle.
    pub(super) fn came_back(&mut self, now: Now, state: &State, job: &Job, out: &mut impl Outside) -> bool {
        if let Some((route, member)) = self.exchanges.loops.find(&job.question.name) {
            self.mark(now, state, route, member, out);
            return true;
        }
        // Ports of TCP are others: a client on this machine may well come from one that has our socket's number.
        matches!(job.reply, ReplyTo::Udp { .. }) && out.upstream_at(job.client).is_some()
    }

    /// Probes all upstreams of all routes.
    pub(super) fn probe_all_for_loops(&mut self, now: Now, out: &mut impl Outside) {
        let routes = self.exchanges.routes.iter();
        let all: Vec<(RouteId, u8)> = routes.flat_map(|(id, route)| (0..route.members.len() as u8).map(|member| (*id, member))).collect();
        self.probe_for_loops(now, &all, out);
    }

    /// Probes one upstream, as a member of each of its routes.
    pub(super) fn probe_server_for_loops(&mut self, now: Now, server: UpstreamId, out: &mut impl Outside) {
        let all = self.members_at(server);
        self.probe_for_loops(now, &all, out);
    }

    /// Probes upstreams that led back to us, and trusts those again that do so no more.
    pub(super) fn probe_loops_again(&mut self, now: Now, out: &mut impl Outside) {
        self.exchanges.loops.timer = None;
        let mut still = Vec::new();
        for (id, route) in &mut self.exchanges.routes {
            for (place, member) in (0..).zip(&mut route.members) {
                match member.looped {
                    Some(seen) if now.since(seen) > FORGOTTEN.as_millis() as u64 => {
                        member.looped = None;
                        let server = &self.exchanges.servers[member.server.0 as usize];
                        server.show_condition(false);
                        tracing::info!(upstream = %server.meter.name, route = %route.plan.suffix, "upstream leads back to this server no more");
                    }
                    Some(_) => still.push((*id, place)),
                    None if self.exchanges.servers[member.server.0 as usize].refused => still.push((*id, place)),
                    None => {}
                }
            }
        }
        if !still.is_empty() {
            self.probe_for_loops(now, &still, out);
            self.arm_loops(now);
        }
    }

    fn probe_for_loops(&mut self, now: Now, members: &[(RouteId, u8)], out: &mut impl Outside) {
        self.exchanges.loops.sent.retain(|probe| now.since(probe.sent) < 2 * WAITS.as_millis() as u64);
        for &(route, member) in members {
            let Some(state) = self.exchanges.routes.get(&route) else { continue };
            let server = state.members[usize::from(member)].server;
            let nonce: [u8; 16] = std::array::from_fn(|_| b"0123456789abcdef"[usize::from(rand::random::<u8>() & 15)]);
            let mut wire = vec![nonce.len() as u8];
            wire.extend_from_slice(&nonce);
            wire.push(LABEL.len() as u8);
            wire.extend_from_slice(LABEL.as_bytes());
            wire.extend_from_slice(state.plan.suffix.as_wire());
            let Ok(name) = NameBuf::read(&wire) else { continue }; // the suffix leaves no room
            let known = &mut self.exchanges.servers[server.0 as usize];
            if self.exchanges.loops.sent.len() >= MOST || known.health.admits(now) != Admission::Now {
                continue;
            }
            let over = known.upstream.transport;
            let ask = Ask { route, name, rtype: rtype::TXT, dnssec_ok: false, checking_disabled: false };
            let mut octets = [0; message::MAX];
            let len = message::write(&ask, true, &mut octets);
            let send = Send { server, over, message: &octets[..len], edns: true, waits: WAITS, purpose: Purpose::Loop };
            if self.send(now, send, out).is_ok() {
                self.exchanges.loops.sent.push(LoopProbe { nonce, route, member, sent: now });
            }
        }
    }

    /// A loop probe of an upstream ended. One whose port refuses is shown as down, though no question met it yet, and is probed again.
    pub(super) fn loop_probe_ended(&mut self, now: Now, server: UpstreamId, fault: Option<Fault>) {
        let is_looped = self
            .exchanges
            .routes
            .values()
            .flat_map(|route| &route.members)
            .any(|member| member.server == server && member.looped.is_some());
        let Some(known) = self.exchanges.servers.get_mut(server.0 as usize) else { return };
        let is_refused = fault == Some(Fault::Unreachable);
        if is_refused != known.refused && (is_refused || fault.is_none()) {
            known.refused = is_refused;
            known.show_condition(is_looped);
        }
        if is_refused {
            self.arm_loops(now);
        }
    }

    /// A question of a route came back from one of its upstreams.
    fn mark(&mut self, now: Now, state: &State, route: RouteId, at: u8, out: &mut impl Outside) {
        let Some(known) = self.exchanges.routes.get_mut(&route) else { return };
        let member = &mut known.members[usize::from(at)];
        if member.looped.replace(now).is_some() {
            return;
        }
        let server = &self.exchanges.servers[member.server.0 as usize];
        server.show_condition(true);
        tracing::error!(upstream = %server.meter.name, route = %known.plan.suffix, "forward leads back to this server: not asked any more");
        self.arm_loops(now);
        self.fail_attempts(now, state, route, at, out);
    }

    fn members_at(&self, server: UpstreamId) -> Vec<(RouteId, u8)> {
        let routes = self.exchanges.routes.iter();
        let members = routes.flat_map(|(id, route)| (0..).zip(&route.members).map(move |(place, member)| (*id, place, member.server)));
        members.filter(|(_, _, at)| *at == server).map(|(id, place, _)| (id, place)).collect()
    }

    fn arm_loops(&mut self, now: Now) {
        if self.exchanges.loops.timer.is_none() {
            self.exchanges.loops.timer = Some(self.timers.set(now.plus(AGAIN), Due::Loops));
        }
    }
}
