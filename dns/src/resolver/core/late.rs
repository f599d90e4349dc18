//! Answers that come after their exchange has ended: they fill the cache, and the next client gets them.
//!
//! When another upstream of the route has answered, only those before it in the order are listened to: their answers replace its own.
//! When none has answered, all are.

use std::time::Duration;

use arrayvec::ArrayVec;

use super::attempts::AttemptPurpose;
use super::denials::is_denied;
use super::exchange::{LISTENING, LateAnswers};
use super::{ResolverCore, ResolverEffects, TimerPurpose, view};
use crate::accept::{self, UpstreamVerdict, accept};
use crate::clock::Now;
use crate::state::State;

/// How long a late answer is waited for. An upstream that resolves a name for longer gives up itself (BIND after 10 s).
const LISTEN: Duration = Duration::from_secs(5);
/// Most ended exchanges whose answers are waited for.
const MOST: usize = 1024;

impl ResolverCore {
    /// Takes those messages from an exchange that were sent to members before `member`, to listen for their answers.
    pub(super) fn listen_on(&mut self, now: Now, exchange: u32, member: u8) {
        let going = &self.exchanges.list[exchange as usize];
        let to = |place: &u32| match self.exchanges.attempts[*place as usize].purpose {
            AttemptPurpose::Question { member, .. } => member,
            _ => u8::MAX,
        };
        let attempts: ArrayVec<u32, LISTENING> = going.attempts.iter().copied().filter(|place| to(place) < member).collect();
        if attempts.is_empty() || self.exchanges.late.len() >= MOST {
            return;
        }
        let (ask, client) = (going.ask.clone(), going.client);
        self.exchanges.list[exchange as usize].attempts.retain(|place| !attempts.contains(place));
        let late = self.exchanges.late.vacant_key() as u32;
        for place in &attempts {
            self.release(*place);
            self.exchanges.attempts[*place as usize].purpose = AttemptPurpose::Late(late);
        }
        let timer = self.timers.set(now.plus(LISTEN), TimerPurpose::Late(late));
        self.exchanges.late.insert(LateAnswers { ask, client, attempts, timer });
    }

    /// Handles a late answer.
    pub(super) fn answered_late(&mut self, now: Now, state: &State, place: u32, late: u32, octets: &[u8], out: &mut impl ResolverEffects) {
        let LateAnswers { ask, client, .. } = &self.exchanges.late[late as usize];
        let server = self.exchanges.attempts[place as usize].server;
        let name = self.exchanges.servers[server.0 as usize].meter.name.clone();
        let asker = view(state, *client, now);
        if let UpstreamVerdict::Heard(heard) = accept(ask, &asker, &name, octets) {
            // Another upstream may have had the name.
            if !self.exchanges.routes.get(&ask.route).is_some_and(|route| is_denied(&route.plan, &heard)) {
                accept::remember(&asker, ask, &heard);
            }
            self.answered_usefully(now, place, out);
            self.end_late(late, out);
        } else {
            self.responded(now, server, out);
            self.exchanges.late[late as usize].attempts.retain(|other| *other != place);
            self.end_attempt(place, out);
        }
    }

    /// Listens no more.
    pub(super) fn end_late(&mut self, late: u32, out: &mut impl ResolverEffects) {
        let ended = self.exchanges.late.remove(late as usize);
        self.timers.cancel(ended.timer);
        ended.attempts.into_iter().for_each(|place| self.end_attempt(place, out));
    }

    /// Listens no more to messages of an upstream that is closed.
    pub(super) fn forget_late(&mut self, place: u32) {
        if let AttemptPurpose::Late(late) = self.exchanges.attempts[place as usize].purpose {
            self.exchanges.late[late as usize].attempts.retain(|other| *other != place);
        }
    }
}
