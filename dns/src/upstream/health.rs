//! What is known of an upstream: whether and how fast it answers, and how much it may be asked.
//!
//! ```text
//!            3 questions in a row lost                    any useful answer
//! Up ──────────────────────────────────▶ Down ─────────────────────────────────▶ Up
//!  └── 8 names in a row not answered usefully ──▶ Poor ── any useful answer ────▶ Up
//! ```
//!
//! A question counts as lost when it was sent after the last answer and its time ran out, so that one burst lost in one moment of a busy
//! upstream counts once. An upstream that is down is probed after 1 s, then 2, 4 and every 5 s, with a copy of a question it lost, for
//! as long as somebody asks its routes; so it is back at most about 5 s after it is well again.

use std::time::Duration;

use postern_config::model::Upstream;

use super::Condition;
use crate::clock::Now;

/// Questions lost in a row that make an upstream `Down`.
pub const LOST: u32 = 3;
/// Different names in a row without a useful answer that make it `Poor`.
pub const USELESS: u32 = 8;
/// Most outstanding questions of an upstream that is down: each is a probe, more would only wait.
pub const DOWN_IN_FLIGHT: u32 = 32;
/// How long an upstream is asked without EDNS after it was seen not to know it.
pub const WITHOUT_EDNS: Duration = Duration::from_secs(600);

const FIRST_BACKOFF: Duration = Duration::from_secs(1);
const LONGEST_BACKOFF: Duration = Duration::from_secs(5);

/// The state of one upstream.
#[derive(Debug)]
pub struct Health {
    condition: Condition,
    in_flight: u32,
    most_in_flight: u32,
    bucket: Bucket,
    /// Smoothed round-trip time in milliseconds.
    round_trip: Option<f32>,
    measured: Now,
    lost: u32,
    useless: u32,
    last_useless: u64,
    last_answer: Now,
    backoff: Duration,
    probe_at: Now,
    without_edns: Now,
}

/// Whether a question may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// Yes.
    Now,
    /// When another one is answered.
    Full,
    /// At this moment, as far as the rate goes.
    At(Now),
}

impl Health {
    /// Nothing known yet.
    pub fn new(now: Now, upstream: &Upstream) -> Self {
        Self {
            condition: Condition::Up,
            in_flight: 0,
            most_in_flight: upstream.in_flight,
            bucket: Bucket::new(now, upstream.rate),
            round_trip: None,
            measured: Now(0),
            lost: 0,
            useless: 0,
            last_useless: 0,
            last_answer: Now(0),
            backoff: FIRST_BACKOFF,
            probe_at: now,
            without_edns: Now(0),
        }
    }

    /// Takes over limits from the configuration.
    pub fn limit(&mut self, now: Now, most_in_flight: u32, rate: u32) {
        self.most_in_flight = most_in_flight.max(1);
        if self.bucket.rate != rate {
            self.bucket = Bucket::new(now, rate);
        }
    }

    /// Whether it answers.
    pub fn condition(&self) -> Condition {
        self.condition
    }

    /// Questions outstanding.
    pub fn in_flight(&self) -> u32 {
        self.in_flight
    }

    /// Smoothed round-trip time, milliseconds; none until measured.
    pub fn round_trip(&self) -> Option<f32> {
        self.round_trip
    }

    /// When it was measured last.
    pub fn measured(&self) -> Now {
        self.measured
    }

    /// Whether one more question may be sent.
    pub fn admits(&mut self, now: Now) -> Admission {
        let most = match self.condition {
            Condition::Down => self.most_in_flight.min(DOWN_IN_FLIGHT),
            _ => self.most_in_flight,
        };
        if self.in_flight >= most { Admission::Full } else { self.bucket.admits(now) }
    }

    /// One question is sent.
    pub fn sent(&mut self, now: Now) {
        self.in_flight += 1;
        self.bucket.take(now);
    }

    /// One question is no longer waited for.
    pub fn released(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    /// A useful answer came to a question sent at `sent`. True where this changed its condition.
    pub fn useful(&mut self, now: Now, sent: Now) -> bool {
        self.answered(now, sent);
        self.useless = 0;
        let changed = self.condition != Condition::Up;
        self.condition = Condition::Up;
        changed
    }

    /// An answer came that says nothing about the name, whose hash is `name`. True where this changed its condition.
    ///
    /// Names that no server can answer are asked again and again: the same one counts once.
    pub fn useless(&mut self, now: Now, sent: Now, name: u64) -> bool {
        self.answered(now, sent);
        if name != self.last_useless {
            self.last_useless = name;
            self.useless += 1;
        }
        let condition = if self.useless >= USELESS { Condition::Poor } else { Condition::Up };
        let changed = condition != self.condition;
        if changed && condition == Condition::Poor {
            self.back_off(now, true);
        }
        self.condition = condition;
        changed
    }

    /// A question sent at `sent` was lost after `waited`. True where this changed its condition.
    pub fn lost(&mut self, now: Now, sent: Now, waited: Duration) -> bool {
        if sent < self.last_answer {
            return false;
        }
        self.lost += 1;
        // A lost question counts as a round trip of twice the time waited.
        self.measure(now, waited.as_secs_f32() * 2000.0);
        if self.lost < LOST || self.condition == Condition::Down {
            return false;
        }
        self.condition = Condition::Down;
        self.back_off(now, true);
        true
    }

    /// When it may be probed next.
    pub fn probe_at(&self) -> Now {
        self.probe_at
    }

    /// A probe was sent: the next one later.
    pub fn probed(&mut self, now: Now) {
        self.back_off(now, false);
    }

    /// True where questions to it may have an OPT record.
    pub fn knows_edns(&self, now: Now) -> bool {
        now >= self.without_edns
    }

    /// It answered only when asked without EDNS.
    pub fn lacks_edns(&mut self, now: Now) {
        self.without_edns = now.plus(WITHOUT_EDNS);
    }

    fn answered(&mut self, now: Now, sent: Now) {
        self.lost = 0;
        self.last_answer = now;
        self.measure(now, now.since(sent) as f32);
    }

    fn measure(&mut self, now: Now, sample: f32) {
        self.measured = now;
        // Jacobson's smoothing (RFC 6298 section 2.3).
        self.round_trip = Some(self.round_trip.map_or(sample, |smoothed| smoothed + (sample - smoothed) / 8.0));
    }

    fn back_off(&mut self, now: Now, first: bool) {
        self.backoff = if first { FIRST_BACKOFF } else { (self.backoff * 2).min(LONGEST_BACKOFF) };
        self.probe_at = now.plus(self.backoff);
    }
}

/// A token bucket, in thousandths of a question.
#[derive(Debug)]
struct Bucket {
    rate: u32,
    tokens: u64,
    filled: Now,
}

impl Bucket {
    /// Full: a tenth of a second's worth, but at least one question.
    fn new(now: Now, rate: u32) -> Self {
        Self { rate, tokens: Self::burst(rate), filled: now }
    }

    fn burst(rate: u32) -> u64 {
        u64::from(rate / 10).max(1) * 1000
    }

    fn admits(&mut self, now: Now) -> Admission {
        if self.rate == 0 {
            return Admission::Now;
        }
        // A rate a second is as many thousandths a millisecond.
        self.tokens = (self.tokens + now.since(self.filled) * u64::from(self.rate)).min(Self::burst(self.rate));
        self.filled = self.filled.max(now);
        match 1000u64.saturating_sub(self.tokens) {
            0 => Admission::Now,
            missing => Admission::At(Now(now.0 + missing.div_ceil(u64::from(self.rate)))),
        }
    }

    fn take(&mut self, now: Now) {
        if self.admits(now) == Admission::Now {
            self.tokens = self.tokens.saturating_sub(1000);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use postern_config::model::Transport;

    fn health(in_flight: u32, rate: u32) -> Health {
        Health::new(Now(1000), &Upstream { address: "192.0.2.1:53".parse().unwrap(), transport: Transport::Udp, in_flight, rate })
    }

    fn second(seconds: u64) -> Now {
        Now(1000 + seconds * 1000)
    }

    #[test]
    fn no_second_sees_more_than_the_rate_and_its_burst() {
        for rate in [1, 7, 200, 1000] {
            let mut health = health(u32::MAX, rate);
            let (mut sent, mut first) = (0u32, Vec::new());
            for ms in 0..5000 {
                while health.admits(Now(1000 + ms)) == Admission::Now {
                    health.sent(Now(1000 + ms));
                    sent += 1;
                }
                first.push(sent);
            }
            let burst = (rate / 10).max(1);
            for ms in 1000..5000 {
                assert!(first[ms] - first[ms - 1000] <= rate + burst, "rate {rate} at {ms}");
            }
            assert!(sent >= rate * 5 - 1, "rate {rate}: {sent}");
            let Admission::At(next) = health.admits(Now(5999)) else { panic!() };
            assert!(next > Now(5999) && next <= Now(5999 + 1000_u64.div_ceil(u64::from(rate))));
        }
    }

    #[test]
    fn outstanding_questions_are_bounded_and_fewer_when_down() {
        let mut health = health(100, 0);
        for _ in 0..100 {
            assert_eq!(health.admits(second(0)), Admission::Now);
            health.sent(second(0));
        }
        assert_eq!(health.admits(second(0)), Admission::Full);
        for _ in 0..60 {
            health.released();
        }
        assert_eq!(health.admits(second(0)), Admission::Now);
        for _ in 0..LOST {
            health.lost(second(2), second(1), Duration::from_secs(1));
        }
        assert_eq!((health.condition(), health.admits(second(2))), (Condition::Down, Admission::Full));
    }

    #[test]
    fn goes_down_after_three_lost_and_is_probed_at_growing_distances_up_to_five_seconds() {
        let mut health = health(10, 0);
        let lose = |health: &mut Health| health.lost(second(2), second(1), Duration::from_secs(1));
        assert_eq!([lose(&mut health), lose(&mut health), lose(&mut health), lose(&mut health)], [false, false, true, false]);
        let mut at = second(2);
        for seconds in [1, 2, 4, 5, 5] {
            assert_eq!(health.probe_at(), at.plus(Duration::from_secs(seconds)));
            at = health.probe_at();
            health.probed(at);
        }
        assert!(health.useful(second(60), second(60)));
        assert_eq!(health.condition(), Condition::Up);
    }

    #[test]
    fn questions_lost_before_the_last_answer_do_not_count() {
        let mut health = health(10, 0);
        health.useful(second(3), second(2));
        for _ in 0..10 {
            assert!(!health.lost(second(4), second(2), Duration::from_secs(2)));
        }
        assert_eq!(health.condition(), Condition::Up);
    }

    #[test]
    fn one_name_that_nobody_can_answer_does_not_make_it_poor_but_many_do() {
        let mut health = health(10, 0);
        for _ in 0..50 {
            assert!(!health.useless(second(1), second(1), 7));
        }
        let changes: Vec<bool> = (8..16).map(|name| health.useless(second(1), second(1), name)).collect();
        assert_eq!(changes.iter().filter(|changed| **changed).count(), 1);
        assert_eq!(health.condition(), Condition::Poor);
        assert!(health.useful(second(2), second(2)));
    }

    #[test]
    fn the_round_trip_follows_what_is_measured_and_grows_with_losses() {
        let mut health = health(10, 0);
        assert_eq!(health.round_trip(), None);
        for _ in 0..50 {
            health.useful(Now(1040), Now(1000));
        }
        assert!((39.0..41.0).contains(&health.round_trip().unwrap()));
        health.lost(Now(4000), Now(2000), Duration::from_secs(2));
        assert!(health.round_trip().unwrap() > 500.0);
    }
}
