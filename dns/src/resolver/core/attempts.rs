//! One message to one upstream: it is sent, and then it is answered, lost or given up.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use postern_config::model::UpstreamTransport;

use super::denials::PassedDenial;
use super::{NONE, ResolverCore, ResolverEffects, TimerPurpose, view};
use crate::accept::{self, UpstreamVerdict, accept};
use crate::clock::Now;
use crate::ede::Failure;
use crate::query::UpstreamAnswers;
use crate::resolver::timers::TimerId;
use crate::state::State;
use crate::upstream::{AttemptError, AttemptId, UpstreamId};

/// Number of ICMP errors of one upstream that only repeat the question. A stranger who sends 20,000 forged errors a second to random ports
/// hits one question in 16 if the upstream takes 100 ms. To end a question, errors must hit all its messages before the answer comes.
const REPEATS: u8 = 3;
/// Most changes of transport or EDNS, and repetitions after errors, of one question to one upstream.
const TURNS: u8 = 6;

/// One message sent to one upstream.
#[derive(Debug)]
pub(super) struct UpstreamAttempt {
    pub(super) serial: u32,
    pub(super) server: UpstreamId,
    pub(super) over: UpstreamTransport,
    pub(super) purpose: AttemptPurpose,
    sent: Now,
    pub(super) edns: bool,
    /// It was sent again without EDNS.
    plain_again: bool,
    pub(super) timer: Option<TimerId>,
    /// It counts as in flight, and among the late ones.
    counted: bool,
    late: bool,
}

/// Purpose of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AttemptPurpose {
    /// Clients wait for it.
    Question { exchange: u32, member: u8 },
    /// A copy of a client's question, to measure the upstream.
    Copy,
    /// Its exchange has ended, and its answer would only fill the cache.
    Late(u32),
    /// The fixed question that decides whether the upstream is there.
    Probe,
    /// A loop probe: it shows whether the upstream leads back to this server.
    Loop,
}

/// A message to be sent.
pub(super) struct OutgoingMessage<'a> {
    pub(super) server: UpstreamId,
    pub(super) over: UpstreamTransport,
    pub(super) message: &'a [u8],
    pub(super) edns: bool,
    pub(super) waits: Duration,
    pub(super) purpose: AttemptPurpose,
}

/// Occasion of a message to a member of a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AskTurn {
    /// It is this member's turn.
    First,
    /// It is asked over this transport, and with EDNS or without.
    Otherwise(UpstreamTransport, bool),
    /// The same message once more, in the same time.
    Repeated(UpstreamTransport, bool),
}

impl UpstreamAttempt {
    pub(super) fn sent(&self) -> Now {
        self.sent
    }

    /// Counts an attempt among the late ones. Returns false if it does not count at all.
    pub(super) fn count_late(&mut self) -> bool {
        self.late |= self.counted;
        self.late
    }

    pub(super) fn is_late(&self) -> bool {
        self.late
    }
}

impl ResolverCore {
    /// Sends one message. Returns the place of the attempt.
    pub(super) fn send(&mut self, now: Now, send: OutgoingMessage, out: &mut impl ResolverEffects) -> Result<u32, AttemptError> {
        let OutgoingMessage { server, over, message, edns, waits, purpose } = send;
        let exchanges = &mut self.exchanges;
        exchanges.serial = exchanges.serial.wrapping_add(1);
        let entry = exchanges.attempts.vacant_entry();
        let (place, serial) = (entry.key() as u32, exchanges.serial);
        out.send(server, over, AttemptId { place, serial }, message)?;
        let timer = Some(self.timers.set(now.plus(waits.max(Duration::from_millis(1))), TimerPurpose::Attempt(place)));
        entry.insert(UpstreamAttempt {
            serial,
            server,
            over,
            purpose,
            sent: now,
            edns,
            plain_again: false,
            timer,
            counted: true,
            late: false,
        });
        let server = &mut exchanges.servers[server.0 as usize];
        server.health.sent(now);
        // Loop probes are no questions: neither they nor their responses are counted.
        if purpose != AttemptPurpose::Loop {
            server.meter.asked.fetch_add(1, Relaxed);
        }
        server.show();
        Ok(place)
    }

    /// Stops counting an attempt as in flight.
    pub(super) fn release(&mut self, place: u32) {
        let attempt = &mut self.exchanges.attempts[place as usize];
        if let Some(timer) = attempt.timer.take() {
            self.timers.cancel(timer);
        }
        if !std::mem::take(&mut attempt.counted) {
            return;
        }
        let (id, was_late) = (attempt.server, std::mem::take(&mut attempt.late));
        let server = &mut self.exchanges.servers[id.0 as usize];
        server.late_counted -= u32::from(was_late);
        server.health.released();
        server.show();
        if !server.queue.is_empty() {
            self.exchanges.to_serve.push(id);
        }
    }

    /// Stops counting all messages of an exchange to one member.
    fn release_all(&mut self, exchange: u32, member: u8) {
        for place in self.exchanges.list[exchange as usize].attempts.clone() {
            if self.exchanges.attempts[place as usize].purpose == (AttemptPurpose::Question { exchange, member }) {
                self.release(place);
            }
        }
    }

    /// Removes an attempt.
    pub(super) fn end_attempt(&mut self, place: u32, out: &mut impl ResolverEffects) {
        self.release(place);
        let attempt = self.exchanges.attempts.remove(place as usize);
        out.forget(attempt.server, attempt.over, AttemptId { place, serial: attempt.serial });
        if let AttemptPurpose::Question { exchange, .. } = attempt.purpose {
            let going = &mut self.exchanges.list[exchange as usize];
            going.attempts.retain(|other| *other != place);
            going.active = going.active.filter(|active| *active != place);
        }
    }

    /// Handles the response to an attempt, or its fault.
    pub(super) fn attempt_said(
        &mut self,
        now: Now,
        state: &State,
        id: AttemptId,
        said: Result<&[u8], AttemptError>,
        out: &mut impl ResolverEffects,
    ) {
        let Some(attempt) = self.exchanges.attempts.get(id.place as usize).filter(|attempt| attempt.serial == id.serial) else { return };
        if let Ok(octets) = said
            && attempt.purpose != AttemptPurpose::Loop
        {
            let after = Duration::from_millis(now.since(attempt.sent));
            self.exchanges.servers[attempt.server.0 as usize].meter.count_response(octets, after);
        }
        match (attempt.purpose, said) {
            (AttemptPurpose::Question { exchange, member }, Ok(octets)) => {
                self.answered(now, state, id.place, (exchange, member), octets, out);
            }
            (AttemptPurpose::Question { .. }, Err(fault)) => self.question_lost(now, state, id.place, Some(fault), out),
            (AttemptPurpose::Copy, Ok(octets)) => {
                // The RCODE is enough: data, a denial, or an upstream without EDNS.
                match octets.get(3).is_some_and(|flags| matches!(flags & 0xf, 0 | 1 | 3 | 4)) {
                    true => self.answered_usefully(now, id.place, out),
                    false => self.responded(now, attempt.server, out),
                }
                self.end_attempt(id.place, out);
            }
            (AttemptPurpose::Late(late), Ok(octets)) => self.answered_late(now, state, id.place, late, octets, out),
            (AttemptPurpose::Late(_), Err(_)) => {}
            (AttemptPurpose::Probe, Ok(octets)) => {
                self.probe_answered(now, id.place, octets, out);
                self.end_attempt(id.place, out);
            }
            (AttemptPurpose::Copy | AttemptPurpose::Probe, Err(AttemptError::Doubtful | AttemptError::BadCookie)) => {
                let server = attempt.server;
                self.responded(now, server, out);
            }
            // It counts when its time runs out: neither a forged error nor a broken connection shortens the wait.
            (AttemptPurpose::Copy | AttemptPurpose::Probe, Err(_)) => {}
            (AttemptPurpose::Loop, said) => {
                let server = attempt.server;
                if said.is_ok() {
                    self.responded(now, server, out);
                }
                self.end_attempt(id.place, out);
                self.loop_probe_ended(now, server, said.err());
            }
        }
    }

    /// Handles an attempt whose time ran out.
    pub(super) fn attempt_lost(&mut self, now: Now, state: &State, place: u32, out: &mut impl ResolverEffects) {
        self.exchanges.attempts[place as usize].timer = None;
        if let AttemptPurpose::Question { exchange, .. } = self.exchanges.attempts[place as usize].purpose {
            let going = &self.exchanges.list[exchange as usize];
            if going.active == Some(place) && now < going.patience {
                // The upstream may still be at work on it: it counts as in flight, as a late one.
                return self.wait_further(now, place, out);
            }
        }
        self.release(place);
        match self.exchanges.attempts[place as usize].purpose {
            AttemptPurpose::Question { exchange, member } => {
                if self.exchanges.list[exchange as usize].active == Some(place) {
                    self.release_all(exchange, member);
                    self.question_lost(now, state, place, None, out);
                }
            }
            AttemptPurpose::Late(_) => {}
            AttemptPurpose::Probe => {
                let (server, sent) = (self.exchanges.attempts[place as usize].server, self.exchanges.attempts[place as usize].sent);
                self.end_attempt(place, out);
                self.probe_silent(now, state, server, sent, out);
            }
            AttemptPurpose::Copy => {
                // Its silence may be that of its name.
                let server = self.exchanges.attempts[place as usize].server;
                self.exchanges.servers[server.0 as usize].meter.lost.fetch_add(1, Relaxed);
                self.end_attempt(place, out);
            }
            AttemptPurpose::Loop => self.end_attempt(place, out),
        }
    }

    /// Reads an answer for the client that asked first, and hands it to all clients that wait.
    fn answered(
        &mut self,
        now: Now,
        state: &State,
        place: u32,
        (exchange, member): (u32, u8),
        octets: &[u8],
        out: &mut impl ResolverEffects,
    ) {
        let attempt = &self.exchanges.attempts[place as usize];
        let (over, edns, plain_again) = (attempt.over, attempt.edns, attempt.plain_again);
        let server = attempt.server;
        let name = self.exchanges.servers[server.0 as usize].meter.name.clone();
        self.domain_responded(now, server, exchange);
        let going = &self.exchanges.list[exchange as usize];
        let asker = view(state, going.client, now);
        match accept(&going.ask, &asker, &name, octets) {
            UpstreamVerdict::Heard(heard) if self.is_passed_over(exchange, member, &heard) => {
                self.answered_usefully(now, place, out);
                if plain_again {
                    self.lacked_edns(now, server, exchange, out);
                }
                self.end_attempt(place, out);
                self.pass_over(now, state, (exchange, member), PassedDenial::new(name, octets), out);
            }
            UpstreamVerdict::Heard(heard) => {
                accept::remember(&asker, &going.ask, &heard);
                self.answered_usefully(now, place, out);
                if plain_again {
                    self.lacked_edns(now, server, exchange, out);
                }
                self.hand_out(now, state, exchange, &name, octets, heard);
                self.wake_from_aliases(exchange);
                self.listen_on(now, exchange, member);
                self.end_exchange(exchange, out);
            }
            UpstreamVerdict::Truncated if over == UpstreamTransport::Udp => {
                self.exchanges.servers[server.0 as usize].meter.truncated.fetch_add(1, Relaxed);
                self.answered_usefully(now, place, out);
                self.end_attempt(place, out);
                self.ask_again(now, state, (exchange, member), (UpstreamTransport::Tcp, edns, false), out);
            }
            UpstreamVerdict::WithoutEdns if edns => {
                self.end_attempt(place, out);
                self.ask_again(now, state, (exchange, member), (over, false, true), out);
            }
            verdict @ (UpstreamVerdict::Truncated
            | UpstreamVerdict::WithoutEdns
            | UpstreamVerdict::Failed(..)
            | UpstreamVerdict::Nonsense(_)) => {
                self.answered_uselessly(now, place, exchange, out);
                self.end_attempt(place, out);
                let going = &mut self.exchanges.list[exchange as usize];
                going.refused |= 1 << member;
                let failure = match verdict {
                    UpstreamVerdict::Failed(_, Some(code)) => Failure::Reported(code),
                    _ => Failure::UpstreamFailed,
                };
                going.failure = Some(failure.after(going.failure));
                if going.active.is_none() && going.queued.is_none() {
                    self.ask_next(now, state, exchange, out);
                }
            }
        }
    }

    /// Gives what was heard to all clients that wait for an exchange.
    pub(super) fn hand_out(&mut self, now: Now, state: &State, exchange: u32, name: &Arc<str>, octets: &[u8], heard: UpstreamAnswers) {
        let asker = view(state, self.exchanges.list[exchange as usize].client, now);
        let mut heard = Some(heard);
        let mut others: Vec<(u32, Option<UpstreamAnswers>)> = Vec::new();
        let mut waiting = self.exchanges.list[exchange as usize].first;
        while waiting != NONE {
            let next = self.pending[waiting as usize].after;
            let own = view(state, self.client(waiting), now);
            let heard = if own.network_id == asker.network_id {
                if next == NONE { heard.take() } else { heard.clone() }
            } else {
                // Networks changed meanwhile: the answer is read for the network that each client belongs to now (S1).
                let known = others.iter().find(|(network, _)| *network == own.network_id.0).map(|(_, heard)| heard.clone());
                known.unwrap_or_else(|| {
                    let heard = match accept(self.exchanges.ask(exchange), &own, name, octets) {
                        UpstreamVerdict::Heard(heard) => Some(heard),
                        _ => None,
                    };
                    others.push((own.network_id.0, heard.clone()));
                    heard
                })
            };
            self.leave_exchange(waiting);
            self.wake(waiting, Ok(heard.unwrap_or_default()));
            waiting = next;
        }
    }

    /// Asks the same upstream over another transport or without EDNS.
    fn ask_again(
        &mut self,
        now: Now,
        state: &State,
        (exchange, member): (u32, u8),
        (over, edns, plain_again): (UpstreamTransport, bool, bool),
        out: &mut impl ResolverEffects,
    ) {
        self.leave_queue(exchange);
        let going = &mut self.exchanges.list[exchange as usize];
        let may_ask = going.turns < TURNS && now < going.deadline;
        going.turns = going.turns.saturating_add(1);
        let asked = match may_ask {
            true => self.ask_member(now, exchange, member, AskTurn::Otherwise(over, edns), out),
            false => Err(AttemptError::Exhausted),
        };
        match asked {
            Ok(()) => {
                let active = self.exchanges.list[exchange as usize].active;
                if let Some(attempt) = active.and_then(|place| self.exchanges.attempts.get_mut(place as usize)) {
                    attempt.plain_again = plain_again;
                }
            }
            Err(_) => {
                self.exchanges.list[exchange as usize].refused |= 1 << member;
                self.ask_next(now, state, exchange, out);
            }
        }
    }

    /// Handles a question that was not answered in time or not delivered.
    fn question_lost(&mut self, now: Now, state: &State, place: u32, fault: Option<AttemptError>, out: &mut impl ResolverEffects) {
        let UpstreamAttempt { purpose, over, edns, .. } = self.exchanges.attempts[place as usize];
        let AttemptPurpose::Question { exchange, member } = purpose else { return };
        let is_awaited = self.exchanges.list[exchange as usize].active == Some(place);
        // Once the exchange asks elsewhere, an event that a stranger can cause must not disturb it.
        match (over, fault) {
            (UpstreamTransport::Udp, Some(AttemptError::Unreachable)) if !is_awaited => return self.unreachable(place),
            (UpstreamTransport::Udp, Some(AttemptError::Guessed | AttemptError::Doubtful | AttemptError::BadCookie)) if !is_awaited => {
                return self.end_attempt(place, out);
            }
            (UpstreamTransport::Udp, Some(AttemptError::Unreachable)) if self.exchanges.list[exchange as usize].icmp_errors < REPEATS => {
                self.unreachable(place);
                let going = &mut self.exchanges.list[exchange as usize];
                (going.icmp_errors, going.active) = (going.icmp_errors + 1, None);
                // Its answer is still accepted, but it counts neither as in flight nor, in time, as lost.
                self.release(place);
                return self.ask_again(now, state, (exchange, member), (over, edns, false), out);
            }
            (UpstreamTransport::Udp, Some(AttemptError::BadCookie)) if self.exchanges.list[exchange as usize].icmp_errors < REPEATS => {
                self.exchanges.list[exchange as usize].icmp_errors = REPEATS; // once, and then over TCP (RFC 7873 section 5.3)
                self.end_attempt(place, out);
                return self.ask_again(now, state, (exchange, member), (over, edns, false), out);
            }
            (_, Some(fault @ (AttemptError::Guessed | AttemptError::Doubtful | AttemptError::BadCookie))) => {
                if fault == AttemptError::Guessed {
                    self.report_guesses(now, place);
                }
                self.exchanges.list[exchange as usize].is_doubtful = fault == AttemptError::Doubtful;
                self.end_attempt(place, out);
                return self.ask_again(now, state, (exchange, member), (UpstreamTransport::Tcp, edns, false), out);
            }
            // There is no TCP: a second answer over UDP will do, whatever its marks.
            (UpstreamTransport::Tcp, Some(AttemptError::Unreachable)) if is_awaited && self.may_go_unmarked(exchange, member) => {
                self.end_attempt(place, out);
                return self.ask_again(now, state, (exchange, member), (UpstreamTransport::Udp, edns, false), out);
            }
            _ => {}
        }
        if fault == Some(AttemptError::Unreachable) {
            self.unreachable(place);
        }
        if fault != Some(AttemptError::Exhausted) {
            self.lost(now, place, exchange, out);
        }
        let going = &mut self.exchanges.list[exchange as usize];
        going.tried |= 1 << member;
        going.failure = Some(Failure::NoUpstream.after(going.failure));
        let waited_for = going.active == Some(place);
        if fault.is_some() {
            going.refused |= 1 << member;
            self.end_attempt(place, out);
        } else if waited_for {
            going.active = None; // a late answer is still accepted
        }
        if waited_for {
            self.ask_next(now, state, exchange, out);
        }
    }

    /// Returns true if a member that refuses TCP is asked over UDP once more, which happens once in an exchange.
    fn may_go_unmarked(&mut self, exchange: u32, member: u8) -> bool {
        let going = &mut self.exchanges.list[exchange as usize];
        let may = std::mem::take(&mut going.is_doubtful) && going.unmarked & (1 << member) == 0;
        going.unmarked |= u64::from(may) << member;
        may
    }

    /// Counts that an upstream could not be reached.
    fn unreachable(&mut self, place: u32) {
        self.report_unreachable(self.exchanges.attempts[place as usize].server);
    }

    /// A question could not even be sent: the network is unreachable, say. The upstream is shown as down until it responds.
    pub(super) fn unsendable(&mut self, id: UpstreamId) {
        self.report_unreachable(id);
        let server = &mut self.exchanges.servers[id.0 as usize];
        server.refused = true;
        server.show_condition();
    }

    /// Counts that an upstream could not be reached. It is logged once until it responds again.
    fn report_unreachable(&mut self, id: UpstreamId) {
        let server = &mut self.exchanges.servers[id.0 as usize];
        server.meter.unreachable.fetch_add(1, Relaxed);
        if !std::mem::replace(&mut server.unreachable, true) {
            tracing::warn!(upstream = %server.meter.name, "upstream cannot be reached, or refuses");
        }
    }

    /// Logs that a stranger guesses the IDs of an upstream, once a minute for each upstream.
    fn report_guesses(&mut self, now: Now, place: u32) {
        const AGAIN: Duration = Duration::from_secs(60);
        let server = &mut self.exchanges.servers[self.exchanges.attempts[place as usize].server.0 as usize];
        if server.guesses_reported.is_none_or(|at| now.since(at) >= AGAIN.as_millis() as u64) {
            server.guesses_reported = Some(now);
            tracing::warn!(upstream = %server.meter.name, "received responses with wrong IDs; sending the queries again over TCP");
        }
    }
}
