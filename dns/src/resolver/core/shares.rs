//! Shares, so that names, domains and clients that take much leave room to others.
//!
//! * A client may have as many questions waiting as three times the places that are still free. So a single client gets three quarters of
//!   `pending` at most, several share it, and one that asks little always finds a place.
//! * Questions that had to be sent again (late ones) may fill half of an upstream's `in-flight`. Beyond that the oldest no
//!   longer counts and is not sent again. Its answer is still welcome.
//! * A domain, or a query type, that an upstream is silent for ([`silence`](crate::upstream::silence)) may have a quarter of its
//!   `in-flight` outstanding, and more while less than half of `in-flight` is in use. Beyond that, its questions go to the next upstream,
//!   and fail at once if there is none (EDE 22). A question that the upstream answered before is never refused: other names of a shared
//!   suffix, or of a rare type, say nothing about it.

use arrayvec::ArrayVec;

use super::{ResolverCore, TimerPurpose};
use crate::clock::Now;
use crate::query::UpstreamQuery;
use crate::resolver::clients::ClientPlaces;
use crate::upstream::{AttemptId, UpstreamId};
use crate::wire::rtype;

/// Suffixes of one name that are looked at, those nearest to the root: deeper ones are rarely zones.
const SUFFIXES: usize = 8;
impl ResolverCore {
    /// Returns true if a client may have one more question waiting.
    pub(super) fn has_share(&self, client: ClientPlaces) -> bool {
        self.clients.count(client) < 3 * (self.most_pending.saturating_sub(self.pending.len()))
    }

    /// Returns the suffixes at which the silence of a question counts, each with its child, as hashes.
    fn suffixes(&self, ask: &UpstreamQuery) -> ArrayVec<(u64, u64), { SUFFIXES + 1 }> {
        let mut suffixes = ArrayVec::new();
        let labels = ask.name.labels();
        let first = labels.saturating_sub(SUFFIXES).max(1);
        let mut child = self.hash_suffix(ask.name.suffix(first - 1));
        // Not at the last label: dead domains below a top-level domain say nothing about it.
        for label in first..labels.saturating_sub(1) {
            let hash = self.hash_suffix(ask.name.suffix(label));
            suffixes.push((hash, child));
            child = hash;
        }
        // An upstream that does not answer for addresses is no upstream.
        if ask.rtype != rtype::A {
            let [high, low] = ask.rtype.to_be_bytes();
            suffixes.push((self.hash_suffix(&[u8::MAX, high, low]), self.hash_domain(&ask.name))); // no name begins so
        }
        suffixes
    }

    /// An upstream does not answer an exchange's question, so far.
    pub(super) fn domain_silent(&mut self, now: Now, id: UpstreamId, exchange: u32) {
        let suffixes = self.suffixes(self.exchanges.ask(exchange));
        self.exchanges.servers[id.0 as usize].silence.silent(now, &suffixes);
    }

    /// An upstream responded to a question.
    pub(super) fn domain_responded(&mut self, now: Now, id: UpstreamId, exchange: u32) {
        let hash = self.exchanges.list[exchange as usize].hash;
        self.exchanges.servers[id.0 as usize].silence.answered(hash);
        if self.exchanges.servers[id.0 as usize].silence.is_watching() {
            let suffixes = self.suffixes(self.exchanges.ask(exchange));
            self.exchanges.servers[id.0 as usize].silence.responded(now, &suffixes);
        }
    }

    /// Returns the members of an exchange's route, one bit each, at which its domain has used its share.
    pub(super) fn used_up(&mut self, now: Now, exchange: u32) -> u64 {
        let ask = self.exchanges.ask(exchange);
        let Some(route) = self.exchanges.routes.get(&ask.route) else { return 0 };
        let is_watching = |id: UpstreamId| self.exchanges.servers[id.0 as usize].silence.is_watching();
        if !route.members.iter().any(|member| is_watching(member.server)) {
            return 0;
        }
        let suffixes = self.suffixes(ask);
        let exchanges = &mut self.exchanges;
        let hash = exchanges.list[exchange as usize].hash;
        let members = &exchanges.routes[&exchanges.list[exchange as usize].ask.route].members;
        let mut used_up = 0;
        for (place, member) in members.iter().enumerate() {
            let server = &mut exchanges.servers[member.server.0 as usize];
            let share = (server.upstream.in_flight / 4).max(1);
            let has_room = server.health.in_flight() < server.upstream.in_flight / 2;
            if has_room || server.silence.has_answered(hash) {
                continue;
            }
            if server.silence.find(now, &suffixes).is_some_and(|(_, outstanding)| outstanding >= share) {
                used_up |= 1 << place;
            }
        }
        used_up
    }

    /// Counts an exchange that is asked at an upstream for its silent domain, if it lies in one.
    pub(super) fn hold_share(&mut self, now: Now, id: UpstreamId, exchange: u32) {
        if !self.exchanges.servers[id.0 as usize].silence.is_watching() || self.exchanges.list[exchange as usize].held.is_full() {
            return;
        }
        let suffixes = self.suffixes(self.exchanges.ask(exchange));
        let silence = &mut self.exchanges.servers[id.0 as usize].silence;
        if let Some((suffix, _)) = silence.find(now, &suffixes) {
            silence.take(suffix);
            self.exchanges.list[exchange as usize].held.push((id, suffix));
        }
    }

    /// Gives back what an exchange held.
    pub(super) fn give_shares_back(&mut self, held: &[(UpstreamId, u64)]) {
        for (id, suffix) in held {
            if let Some(server) = self.exchanges.servers.get_mut(id.0 as usize) {
                server.silence.give_back(*suffix);
            }
        }
    }

    /// An attempt is a late one. If too many are, the oldest gives up its place.
    pub(super) fn mark_late(&mut self, now: Now, place: u32) {
        let attempt = &mut self.exchanges.attempts[place as usize];
        let id = attempt.server;
        if attempt.is_late() || !attempt.count_late() {
            return;
        }
        let entry = AttemptId { place, serial: attempt.serial };
        let server = &mut self.exchanges.servers[id.0 as usize];
        server.late.push_back(entry);
        server.late_counted += 1;
        while let Some(oldest) = self.exchanges.servers[id.0 as usize].late.front().copied() {
            let attempt = self.exchanges.attempts.get(oldest.place as usize);
            let is_late = attempt.is_some_and(|attempt| attempt.serial == oldest.serial && attempt.is_late());
            let server = &mut self.exchanges.servers[id.0 as usize];
            if is_late && server.late_counted <= (server.upstream.in_flight / 2).max(1) {
                break;
            }
            server.late.pop_front();
            if is_late {
                self.give_place_up(now, oldest.place);
            }
        }
    }

    /// An attempt goes on being waited for, but it neither counts nor is sent again.
    fn give_place_up(&mut self, now: Now, place: u32) {
        self.release(place);
        if let Some(patience) = self.stop_repeating(place) {
            let timer = self.timers.set(now.max(patience), TimerPurpose::Attempt(place));
            self.exchanges.attempts[place as usize].timer = Some(timer);
        }
    }
}
