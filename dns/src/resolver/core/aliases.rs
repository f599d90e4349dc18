//! The question for the alias of a name whose answer does not come.
//!
//! An upstream that resolves aliases itself fails as a whole if the public end of a chain does not resolve, although its first alias may
//! lead into a private zone or to another route. So before a question is given up, the upstream is asked for CNAME at the name that
//! failed. This is done once for each name, and costs one more upstream question.

use super::{AliasQuestion, NONE, ResolverCore, ResolverEffects, WithoutAlias, view};
use crate::accept::key_of;
use crate::cache::{EntryAge, EntryKind};
use crate::clock::Now;
use crate::cuts::route_of;
use crate::ede::Failure;
use crate::query::{Answer, AnswerEnd, UpstreamAnswers, UpstreamQuery};
use crate::state::{State, View};
use crate::wire::question::Question;
use crate::wire::rtype;

impl ResolverCore {
    /// Asks for the alias at the name where `answer` failed. Returns false if that cannot help, or was done already.
    ///
    /// `failed`: the failure and the hash of the question that failed. `None` if its answer may still come.
    pub(super) fn ask_alias(
        &mut self,
        now: Now,
        state: &State,
        id: u32,
        answer: &Answer,
        failed: Option<(Failure, u64)>,
        out: &mut impl ResolverEffects,
    ) -> bool {
        let pending = &self.pending[id as usize];
        let view = view(state, pending.job.client.ip(), now);
        let Some(ask) = alias_question(&pending.job.question, answer, &view) else { return false };
        // Stale data may lead to a name that was not asked for yet, so that its alias is not either.
        let asked_for = UpstreamQuery { rtype: pending.job.question.rtype, ..ask.clone() };
        let waits_for = match failed {
            Some((_, hash)) => Some(hash),
            None if pending.exchange == NONE || self.is_outage(pending.exchange) => None,
            None => self.exchanges.hash_of(pending.exchange),
        };
        if waits_for != Some(self.hash(&asked_for, &view)) {
            return false;
        }
        let hash = self.hash(&ask, &view);
        let pending = &mut self.pending[id as usize];
        if pending.alias.asked == Some(hash) || pending.has_no_exchanges_left() {
            return false;
        }
        let instead = match (failed, waits_for) {
            (Some((failure, hash)), _) => WithoutAlias::Fail(failure, hash),
            (None, own) => WithoutAlias::Wait(own.unwrap_or_default()),
        };
        pending.alias = AliasQuestion { asked: Some(hash), awaited: Some(instead) };
        if pending.exchange != NONE {
            self.exchanges.list[pending.exchange as usize].at_alias.push(id);
            self.leave_exchange(id); // it goes on, and can be joined again
        }
        self.ask(now, state, id, ask, &view, out);
        true
    }

    /// The answer of an exchange came before the alias that some of its questions wait for: they go on with what the cache has now.
    pub(super) fn wake_from_aliases(&mut self, exchange: u32) {
        let going = &mut self.exchanges.list[exchange as usize];
        let hash = going.hash;
        for id in std::mem::take(&mut going.at_alias) {
            let Some(pending) = self.pending.get_mut(id as usize) else { continue };
            if matches!(pending.alias.awaited, Some(WithoutAlias::Wait(own)) if own == hash) {
                pending.alias.awaited = None;
                self.leave_exchange(id);
                self.wake(id, Ok(UpstreamAnswers::default()));
            }
        }
    }

    /// Returns the result with which a question goes on if it waited for an alias.
    ///
    /// Only an alias is of use: that the name has no CNAME says nothing about the type that the client asked for.
    pub(super) fn alias_result(
        &mut self,
        id: u32,
        result: Result<UpstreamAnswers, (Failure, u64)>,
    ) -> Result<UpstreamAnswers, (Failure, u64)> {
        let Some(instead) = self.pending[id as usize].alias.awaited.take() else { return result };
        let mut heard = result.unwrap_or_default();
        heard.0.retain(|(_, _, entry)| entry.what == EntryKind::Alias);
        match instead {
            WithoutAlias::Fail(failure, hash) if heard.0.is_empty() => Err((failure, hash)),
            _ => Ok(heard),
        }
    }
}

/// Returns the question for the alias at the name where an answer failed. `None` if an alias cannot lead to data that the upstream lacks, or
/// if it is known that there is none.
fn alias_question(question: &Question, answer: &Answer, view: &View) -> Option<UpstreamQuery> {
    let AnswerEnd::Failed(Failure::NoUpstream | Failure::UpstreamFailed | Failure::Reported(_)) = answer.end else { return None };
    let leads_elsewhere = view.network.zones().next().is_some() || view.state.routes.has_suffixes(view.network_id);
    if !leads_elsewhere || matches!(question.rtype, rtype::CNAME | rtype::DS | rtype::ANY) {
        return None;
    }
    let (route, _) = route_of(view, &answer.name, rtype::CNAME)?;
    let ask = UpstreamQuery { rtype: rtype::CNAME, ..UpstreamQuery::new(route.id, &answer.name, question) };
    let key = key_of(&ask);
    let known = view.state.cache.get(&key).is_some_and(|entry| matches!(entry.age(view.now), EntryAge::Fresh(_)));
    let failed = view.state.cache.failure(key, view.now).is_some();
    (!known && !failed).then_some(ask)
}
