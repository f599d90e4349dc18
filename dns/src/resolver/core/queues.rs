//! Waiting for room at upstreams that are at their limits, in flight or a second.
//!
//! An exchange waits in the queue of the first upstream of its route, and no longer than that upstream's `timeout`; then it goes to the next.
//! A queue holds as many as may be in flight (or asked in a second, if that is more); what finds it full is answered SERVFAIL at once. An
//! upstream that is down has no queue.

use std::sync::atomic::Ordering::Relaxed;

use super::attempts::AskTurn;
use super::{ResolverCore, ResolverEffects, TimerPurpose};
use crate::clock::Now;
use crate::ede::Failure;
use crate::state::State;
use crate::upstream::UpstreamId;
use crate::upstream::health::SendAdmission;

impl ResolverCore {
    /// Lets an exchange wait for room at a member of its route.
    pub(super) fn enter_queue(&mut self, exchange: u32, member: u8, server: UpstreamId, until: Now) {
        self.leave_queue(exchange);
        let going = &mut self.exchanges.list[exchange as usize];
        going.queued = Some((member, self.timers.set(until, TimerPurpose::Queued(exchange))));
        let waits_at = &mut self.exchanges.servers[server.0 as usize];
        waits_at.queue.push_back((exchange, going.hash));
        waits_at.meter.delayed.fetch_add(1, Relaxed);
        waits_at.show();
        self.exchanges.to_serve.push(server);
    }

    /// An exchange has waited long for room at an upstream.
    pub(super) fn queued_long(&mut self, now: Now, state: &State, exchange: u32, out: &mut impl ResolverEffects) {
        let Some(going) = self.exchanges.list.get_mut(exchange as usize) else { return };
        if let Some((member, _)) = going.queued.take() {
            going.tried |= 1 << member;
            going.failure.get_or_insert(Failure::Busy);
            self.ask_next(now, state, exchange, out);
        }
    }

    /// An upstream's rate allows for more.
    pub(super) fn refilled(&mut self, now: Now, state: &State, id: UpstreamId, out: &mut impl ResolverEffects) {
        self.exchanges.servers[id.0 as usize].refill = None;
        self.exchanges.to_serve.push(id);
        self.serve_queues(now, state, out);
    }

    /// Sends what waits in queues and has room by now. True where questions became ready to go on.
    pub(super) fn serve_queues(&mut self, now: Now, state: &State, out: &mut impl ResolverEffects) -> bool {
        while let Some(id) = self.exchanges.to_serve.pop() {
            while let Some((exchange, member)) = self.next_queued(now, id) {
                self.leave_queue(exchange);
                if self.used_up(now, exchange) & 1 << member != 0 {
                    self.ask_next(now, state, exchange, out);
                } else if self.ask_member(now, exchange, member, AskTurn::First, out).is_err() {
                    self.exchanges.list[exchange as usize].refused |= 1 << member;
                    self.ask_next(now, state, exchange, out);
                }
            }
        }
        self.is_ready()
    }

    /// The first exchange in a server's queue, where that server has room.
    fn next_queued(&mut self, now: Now, id: UpstreamId) -> Option<(u32, u8)> {
        let server = self.exchanges.servers.get_mut(id.0 as usize)?;
        loop {
            let (exchange, hash) = *server.queue.front()?;
            // Exchanges that ended or went elsewhere leave their places behind.
            let here = self.exchanges.list.get(exchange as usize).filter(|going| going.hash == hash);
            let queued = here.and_then(|going| Some((going.queued?.0, self.exchanges.routes.get(&going.ask.route)?)));
            let Some((member, _)) = queued.filter(|(member, route)| route.members[usize::from(*member)].server == id) else {
                server.queue.pop_front();
                continue;
            };
            match server.health.admits(now) {
                SendAdmission::Now => {
                    server.queue.pop_front();
                    return Some((exchange, member));
                }
                SendAdmission::Full => return None,
                SendAdmission::At(at) => {
                    if server.refill.is_none() {
                        server.refill = Some(self.timers.set(at, TimerPurpose::Refill(id)));
                    }
                    return None;
                }
            }
        }
    }

    pub(super) fn leave_queue(&mut self, exchange: u32) {
        if let Some((_, timer)) = self.exchanges.list[exchange as usize].queued.take() {
            self.timers.cancel(timer);
        }
    }

    /// Exchanges in the queue of an upstream that went down try the next upstream.
    pub(super) fn empty_queue(&mut self, now: Now, state: &State, id: UpstreamId, out: &mut impl ResolverEffects) {
        let queue = std::mem::take(&mut self.exchanges.servers[id.0 as usize].queue);
        for (exchange, hash) in queue {
            let going = self.exchanges.list.get(exchange as usize).filter(|going| going.hash == hash);
            let Some((member, _)) = going.and_then(|going| going.queued) else { continue };
            let at = self.exchanges.route(exchange).map(|route| route.members[usize::from(member)].server);
            if at == Some(id) {
                self.leave_queue(exchange);
                self.exchanges.list[exchange as usize].tried |= 1 << member;
                self.ask_next(now, state, exchange, out);
            }
        }
    }
}
