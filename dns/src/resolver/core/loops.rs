//! Forwards that lead back to this server (S7).
//!
//! Two servers may well forward to each other: a hub that hosts `corp.contoso.com` sends the names that it lacks to a site, which asks the hub
//! for `corp.contoso.com`. Names that exist are answered, and a missing one travels in a circle. So no route is ever stopped: each question
//! that goes in a circle is refused alone.
//!
//! * When routes are new, and when an upstream went down, each upstream is asked for `<random>.postern-loop-probe.<suffix of the route>`. If
//!   that name arrives here as a question, there is a circle, and the address that it came from is the one that circles arrive from.
//! * From then on, a question from that address is refused while the same question is outstanding at that upstream. The refusal travels back,
//!   so that every server on the circle gives up at once. It works with any server on the other side.
//! * A question over UDP from an address of our own upstream sockets has gone in the shortest circle, and is refused without a probe.
//!
//! A stranger can forge the source address of a question. But the question that is outstanding goes on, so that this gains nothing; and only
//! servers on the circle know the random name of a probe.

use std::net::IpAddr;
use std::time::Duration;

use postern_zones::name::NameBuf;

use super::attempts::{AttemptPurpose, OutgoingMessage};
use super::{ResolverCore, ResolverEffects, TimerPurpose};
use crate::clock::Now;
use crate::loop_probe::{LABEL, is_loop_probe};
use crate::query::UpstreamQuery;
use crate::resolver::job::ResolverJob;
use crate::resolver::timers::TimerId;
use crate::return_path::ReplyTo;
use crate::route::RouteId;
use crate::upstream::health::SendAdmission;
use crate::upstream::{AttemptError, UpstreamId, message};
use crate::wire::rtype;

/// How often upstreams that lead back to us are probed.
const AGAIN: Duration = Duration::from_secs(60);
/// How long after the last sign of a circle it counts as gone.
const FORGOTTEN: Duration = Duration::from_secs(90);
/// How long a probe may take to come back.
const WAITS: Duration = Duration::from_secs(10);
/// Probes that are remembered.
const MOST: usize = 1024;

/// Probes under way.
#[derive(Debug, Default)]
pub(super) struct LoopProbes {
    sent: Vec<LoopProbe>,
    circles: Vec<Circle>,
    timer: Option<TimerId>,
}

#[derive(Debug)]
struct LoopProbe {
    nonce: [u8; 16],
    route: RouteId,
    member: u8,
    sent: Now,
}

/// An upstream that leads back to us, and the address that its circles arrive from.
#[derive(Debug)]
struct Circle {
    route: RouteId,
    server: UpstreamId,
    from: IpAddr,
    seen: Now,
}

impl LoopProbes {
    /// A route is gone.
    pub(super) fn forget(&mut self, route: RouteId) {
        self.sent.retain(|probe| probe.route != route);
        self.circles.retain(|circle| circle.route != route);
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

impl ResolverCore {
    /// Returns true if a question is one of ours that has gone in a circle.
    pub(super) fn came_back(&mut self, now: Now, job: &ResolverJob, out: &mut impl ResolverEffects) -> bool {
        if let Some((route, member)) = self.exchanges.loops.find(&job.question.name) {
            self.mark(now, route, member, job.client.ip().to_canonical());
            return true;
        }
        // Ports of TCP are others: a client on this machine may well come from one that has our socket's number.
        let is_own = matches!(job.reply, ReplyTo::Udp { .. }) && out.upstream_at(job.client).is_some();
        is_own || self.goes_in_circle(job)
    }

    /// Returns true if a question is outstanding at an upstream whose circles arrive from the client's address.
    fn goes_in_circle(&mut self, job: &ResolverJob) -> bool {
        let exchanges = &mut self.exchanges;
        let from = job.client.ip().to_canonical();
        let circles = exchanges.loops.circles.iter().filter(|circle| circle.from == from);
        let mut circled = None;
        for circle in circles {
            // Flags are left out: the servers on the way set their own.
            circled = exchanges.attempts.iter().find_map(|(_, attempt)| match attempt.purpose {
                AttemptPurpose::Question { exchange, .. } if attempt.server == circle.server => {
                    let ask = &exchanges.list[exchange as usize].ask;
                    (ask.rtype == job.question.rtype && ask.name == job.question.name).then_some(exchange)
                }
                _ => None,
            });
            if circled.is_some() {
                break;
            }
        }
        if let Some(exchange) = circled {
            exchanges.list[exchange as usize].has_circled = true;
        }
        circled.is_some()
    }

    /// Probes all upstreams of all routes.
    pub(super) fn probe_all_for_loops(&mut self, now: Now, out: &mut impl ResolverEffects) {
        let routes = self.exchanges.routes.iter();
        let all: Vec<(RouteId, u8)> = routes.flat_map(|(id, route)| (0..route.members.len() as u8).map(|member| (*id, member))).collect();
        self.probe_for_loops(now, &all, out);
    }

    /// Probes one upstream, as a member of each of its routes.
    pub(super) fn probe_server_for_loops(&mut self, now: Now, server: UpstreamId, out: &mut impl ResolverEffects) {
        let all = self.members_at(server);
        self.probe_for_loops(now, &all, out);
    }

    /// Probes upstreams that lead back to us, and forgets circles that are gone.
    pub(super) fn probe_loops_again(&mut self, now: Now, out: &mut impl ResolverEffects) {
        let exchanges = &mut self.exchanges;
        exchanges.loops.timer = None;
        let is_gone = |circle: &Circle| now.since(circle.seen) > FORGOTTEN.as_millis() as u64;
        for circle in exchanges.loops.circles.extract_if(.., |circle| is_gone(circle)) {
            let Some(server) = exchanges.servers.get_mut(circle.server.0 as usize) else { continue };
            server.leads_back = false;
            server.show_condition();
            tracing::info!(upstream = %server.meter.name, from = %circle.from, "upstream leads back to this server no more");
        }
        let mut still = Vec::new();
        for (id, route) in &exchanges.routes {
            for (place, member) in (0..).zip(&route.members) {
                let circles = exchanges.loops.circles.iter().any(|circle| circle.route == *id && circle.server == member.server);
                if circles || exchanges.servers[member.server.0 as usize].refused {
                    still.push((*id, place));
                }
            }
        }
        if !still.is_empty() {
            self.probe_for_loops(now, &still, out);
            self.arm_loops(now);
        }
    }

    fn probe_for_loops(&mut self, now: Now, members: &[(RouteId, u8)], out: &mut impl ResolverEffects) {
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
            if self.exchanges.loops.sent.len() >= MOST || known.health.admits(now) != SendAdmission::Now {
                continue;
            }
            let (over, edns, size) = (known.upstream.transport, known.upstream.edns, known.upstream.udp_size);
            let ask = UpstreamQuery { route, name, rtype: rtype::TXT, dnssec_ok: false, checking_disabled: false };
            let mut octets = [0; message::MAX];
            let len = message::write(&ask, edns.then_some(size), &mut octets);
            let send = OutgoingMessage { server, over, message: &octets[..len], edns, waits: WAITS, purpose: AttemptPurpose::Loop };
            if self.send(now, send, out).is_ok() {
                self.exchanges.loops.sent.push(LoopProbe { nonce, route, member, sent: now });
            }
        }
    }

    /// A loop probe of an upstream ended. One whose port refuses is shown as down, though no question met it yet, and is probed again.
    pub(super) fn loop_probe_ended(&mut self, now: Now, server: UpstreamId, fault: Option<AttemptError>) {
        let Some(known) = self.exchanges.servers.get_mut(server.0 as usize) else { return };
        let is_refused = fault == Some(AttemptError::Unreachable);
        if is_refused != known.refused && (is_refused || fault.is_none()) {
            known.refused = is_refused;
            known.show_condition();
        }
        if is_refused {
            self.arm_loops(now);
        }
    }

    /// The probe of an upstream came back from this address.
    fn mark(&mut self, now: Now, route: RouteId, at: u8, from: IpAddr) {
        let Some(known) = self.exchanges.routes.get(&route) else { return };
        let server = known.members[usize::from(at)].server;
        let circles = &mut self.exchanges.loops.circles;
        if let Some(circle) = circles.iter_mut().find(|circle| (circle.route, circle.server, circle.from) == (route, server, from)) {
            circle.seen = now;
            return;
        }
        if circles.len() >= MOST {
            return;
        }
        circles.push(Circle { route, server, from, seen: now });
        let server = &mut self.exchanges.servers[server.0 as usize];
        server.leads_back = true;
        server.show_condition();
        tracing::warn!(
            upstream = %server.meter.name, route = %known.plan.suffix, %from,
            "names that the upstream lacks come back to this server; refusing such queries"
        );
        self.arm_loops(now);
    }

    fn members_at(&self, server: UpstreamId) -> Vec<(RouteId, u8)> {
        let routes = self.exchanges.routes.iter();
        let members = routes.flat_map(|(id, route)| (0..).zip(&route.members).map(move |(place, member)| (*id, place, member.server)));
        members.filter(|(_, _, at)| *at == server).map(|(id, place, _)| (id, place)).collect()
    }

    fn arm_loops(&mut self, now: Now) {
        if self.exchanges.loops.timer.is_none() {
            self.exchanges.loops.timer = Some(self.timers.set(now.plus(AGAIN), TimerPurpose::Loops));
        }
    }
}
