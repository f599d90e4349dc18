//! Denials that are not the last word: with `next-on`, the next upstream of the route is asked after one.
//!
//! The answer of the last upstream counts. If those behind it do not answer, the clients that wait get the last denial, but it is not
//! cached: an upstream that is away may know the name. For the same reason an upstream that is down is not waited for.

use std::sync::Arc;

use postern_config::model::UpstreamDenial;

use super::{ResolverCore, ResolverEffects, view};
use crate::accept::{UpstreamVerdict, accept};
use crate::cache::EntryKind;
use crate::clock::Now;
use crate::query::UpstreamAnswers;
use crate::route::RoutePlan;
use crate::state::State;
use crate::upstream::UpstreamCondition;

/// A denial after which another upstream was asked.
#[derive(Debug)]
pub(super) struct PassedDenial {
    upstream: Arc<str>,
    octets: Box<[u8]>,
}

impl PassedDenial {
    pub(super) fn new(upstream: Arc<str>, octets: &[u8]) -> Self {
        Self { upstream, octets: octets.into() }
    }
}

/// Returns true if the route asks its next upstream after this answer.
pub(super) fn is_denied(plan: &RoutePlan, heard: &UpstreamAnswers) -> bool {
    let denial = match heard.0.last().map(|(_, _, entry)| entry.what) {
        Some(EntryKind::NxDomain) => UpstreamDenial::Nxdomain,
        Some(EntryKind::NoData) => UpstreamDenial::Nodata,
        _ => return false,
    };
    plan.next_on.contains(&denial)
}

impl ResolverCore {
    /// Returns true if a member's answer is a denial that is not cached: another member has not denied the name, and may know it. One that
    /// failed is not asked again, but a denial must not outlive its failure.
    pub(super) fn is_passed_over(&self, exchange: u32, member: u8, heard: &UpstreamAnswers) -> bool {
        let going = &self.exchanges.list[exchange as usize];
        let Some(route) = self.exchanges.routes.get(&going.ask.route).filter(|route| is_denied(&route.plan, heard)) else { return false };
        let denied = going.denied | 1 << member;
        (0..route.members.len()).any(|other| denied & (1 << other) == 0)
    }

    /// Asks the next member after a denial.
    pub(super) fn pass_over(
        &mut self,
        now: Now,
        state: &State,
        (exchange, member): (u32, u8),
        denial: PassedDenial,
        out: &mut impl ResolverEffects,
    ) {
        let going = &mut self.exchanges.list[exchange as usize];
        going.refused |= 1 << member;
        going.denied |= 1 << member;
        going.denial = Some(denial);
        if going.active.is_none() && going.queued.is_none() {
            self.ask_next(now, state, exchange, out);
        }
    }

    /// Returns the members that are not asked any more once there is a denial: those that are down.
    pub(super) fn down_after_denial(&self, exchange: u32) -> u64 {
        if self.exchanges.list[exchange as usize].denial.is_some() { self.down_members(exchange) } else { 0 }
    }

    /// Ends an exchange with its last denial, because no other member answered.
    pub(super) fn give_denial(&mut self, now: Now, state: &State, exchange: u32, denial: &PassedDenial, out: &mut impl ResolverEffects) {
        let going = &self.exchanges.list[exchange as usize];
        let verdict = accept(&going.ask, &view(state, going.client, now), &denial.upstream, &denial.octets);
        let UpstreamVerdict::Heard(heard) = verdict else {
            // The zones changed meanwhile, so that nothing of it is believed any more.
            return self.exchange_failed(now, state, exchange, crate::ede::Failure::UpstreamFailed, out);
        };
        self.hand_out(now, state, exchange, &denial.upstream, &denial.octets, heard);
        self.wake_from_aliases(exchange);
        self.listen_on(now, exchange, u8::MAX);
        self.end_exchange(exchange, out);
    }

    fn down_members(&self, exchange: u32) -> u64 {
        let Some(route) = self.exchanges.routes.get(&self.exchanges.ask(exchange).route) else { return 0 };
        let is_down = |server: usize| self.exchanges.servers[server].health.condition() == UpstreamCondition::Down;
        let down = route.members.iter().enumerate().filter(|(_, member)| is_down(member.server.0 as usize));
        down.fold(0, |mask, (place, _)| mask | 1 << place)
    }
}
