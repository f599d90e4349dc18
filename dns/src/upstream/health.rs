//! Health of an upstream: whether and how fast it answers, and how much it may be asked.
//!
//! ```text
//!     3 different names silent ─▶ doubt: probes ── all silent ──▶ Down ── any response ──▶ Up
//! Up ─┤                              └── any response ──▶ Up
//!     └ 8 different domains without a useful answer ─▶ doubt: a probe ── useless ──▶ Poor ── any useful answer ──▶ Up
//! ```
//!
//! The silence of names says little about a server: whoever resolves a dead domain is silent for it by nature. So names only raise a
//! doubt, and a fixed question of our own, the probe, decides it. Any response to anything ends the doubt that the server is there. A
//! question counts as silent only if it was sent after the last response.
//!
//! EDNS is the same: FORMERR for one name is about this name, and after three domains a probe with EDNS decides about the server.
//!
//! An upstream that is down is probed after 0.5 s, then 1 s, and then every 2 s, for as long as somebody asks its routes.

use std::time::Duration;

use arrayvec::ArrayVec;
use postern_config::model::UpstreamConfig;

use super::UpstreamCondition;
use super::latency::LatencyHistogram;
pub use super::token_bucket::SendAdmission;
use super::token_bucket::TokenBucket;
use crate::clock::Now;

/// Number of different silent names that raise the doubt that an upstream is there.
pub const SILENT: usize = 3;
/// Number of different domains in a row without a useful answer that raise the doubt that an upstream is of use.
pub const USELESS: usize = 8;
/// Number of silent probes in a row after which an upstream is down. They are sent over at least a second, so that a short break of the
/// network is none of the upstream.
pub const TRIES: u32 = 4;
/// Most outstanding questions of an upstream that is down: each is a probe, more would only wait.
pub const DOWN_IN_FLIGHT: u32 = 32;
/// Number of different domains answered only without EDNS that raise the doubt that an upstream knows EDNS.
pub const PLAIN: usize = 3;
/// How long an upstream, or one name there, is asked without EDNS after that alone was answered.
pub const WITHOUT_EDNS: Duration = Duration::from_secs(600);
/// Names that are remembered for that.
const PLAIN_NAMES: usize = 32;

/// Retransmission timeout of an upstream that was never measured: most resolvers on the Internet are nearer.
const UNMEASURED: Duration = Duration::from_millis(400);
/// Granularity of the timers, milliseconds.
const GRANULARITY: f32 = 8.0;
const FIRST_BACKOFF: Duration = Duration::from_millis(500);
const LONGEST_BACKOFF: Duration = Duration::from_secs(2);
/// How often a poor upstream gets a copy of a client's question.
const LONGEST_COPY_BACKOFF: Duration = Duration::from_secs(5);
/// How long the probes that decide a doubt are waited for.
const SHORTEST_TRY: Duration = Duration::from_millis(250);
const UNMEASURED_TRY: Duration = Duration::from_millis(500);
const LONGEST_TRY: Duration = Duration::from_secs(1);

/// The state of one upstream.
#[derive(Debug)]
pub struct UpstreamHealth {
    condition: UpstreamCondition,
    in_flight: u32,
    most_in_flight: u32,
    bucket: TokenBucket,
    /// Smoothed round-trip time in milliseconds.
    round_trip: Option<f32>,
    /// Smoothed variation of it.
    variation: f32,
    latencies: LatencyHistogram,
    measured: Now,
    /// Hashes of the names that were silent since the last response.
    silent: ArrayVec<u64, SILENT>,
    /// Hashes of the domains that had no useful answer since the last one that had.
    useless: ArrayVec<u64, USELESS>,
    last_response: Now,
    /// Probes under way to decide a doubt, and those that were silent.
    doubt: Option<u32>,
    backoff: Duration,
    probe_at: Now,
    /// Hashes of names that were answered only without EDNS, the latest last, and when they are forgotten.
    plain_names: ArrayVec<u64, PLAIN_NAMES>,
    plain_until: Now,
    /// Hashes of their domains since the last answer to a question with EDNS.
    plain_domains: ArrayVec<u64, PLAIN>,
    without_edns: Now,
}

/// Consequence of an event for the probes and the condition of an upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HealthChange {
    /// There is none.
    None,
    /// A probe must decide a doubt.
    Probe,
    /// A probe with EDNS must decide a doubt.
    EdnsProbe,
    /// The condition is another one.
    Condition,
}

impl UpstreamHealth {
    /// Nothing known yet.
    pub fn new(now: Now, upstream: &UpstreamConfig) -> Self {
        Self {
            condition: UpstreamCondition::Up,
            in_flight: 0,
            most_in_flight: upstream.in_flight,
            bucket: TokenBucket::new(now, upstream.rate),
            round_trip: None,
            variation: 0.0,
            latencies: LatencyHistogram::default(),
            measured: Now(0),
            silent: ArrayVec::new(),
            useless: ArrayVec::new(),
            last_response: Now(0),
            doubt: None,
            backoff: FIRST_BACKOFF,
            probe_at: now,
            plain_names: ArrayVec::new(),
            plain_until: Now(0),
            plain_domains: ArrayVec::new(),
            without_edns: Now(0),
        }
    }

    /// Takes over limits from the configuration.
    pub fn limit(&mut self, now: Now, most_in_flight: u32, rate: u32) {
        self.most_in_flight = most_in_flight.max(1);
        if self.bucket.rate() != rate {
            self.bucket = TokenBucket::new(now, rate);
        }
    }

    /// Whether it answers.
    pub fn condition(&self) -> UpstreamCondition {
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

    /// Returns how long an answer may take before the question is sent again (RFC 6298 section 2).
    pub fn retransmission_timeout(&self) -> Duration {
        self.round_trip.map_or(UNMEASURED, |time| Duration::from_secs_f32((time + (4.0 * self.variation).max(GRANULARITY)) / 1000.0))
    }

    /// Returns the time within which this share of its responses came, in percent. None until enough of them came.
    pub fn percentile(&self, percent: u8) -> Option<Duration> {
        self.latencies.percentile(percent)
    }

    /// A question is sent only to measure it. If that is not answered, the next one is due as late as if it were.
    pub fn is_being_measured(&mut self, now: Now) {
        self.measured = now;
    }

    /// Returns when it was measured last, or a question was sent for that.
    pub fn measured(&self) -> Now {
        self.measured
    }

    /// Whether one more question may be sent.
    pub fn admits(&mut self, now: Now) -> SendAdmission {
        let most = match self.condition {
            UpstreamCondition::Down => self.most_in_flight.min(DOWN_IN_FLIGHT),
            _ => self.most_in_flight,
        };
        if self.in_flight >= most { SendAdmission::Full } else { self.bucket.admits(now) }
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

    /// A useful answer came to a question sent at `sent`.
    pub fn useful(&mut self, now: Now, sent: Now) -> HealthChange {
        self.measure(now, now.since(sent) as f32);
        self.useless.clear();
        let was = self.condition;
        self.responded(now);
        self.condition = UpstreamCondition::Up;
        if was == UpstreamCondition::Up { HealthChange::None } else { HealthChange::Condition }
    }

    /// An answer came that says nothing about the name, which lies in the domain with the hash `domain`.
    ///
    /// Names that no server can answer are asked again and again: each domain counts once.
    pub fn useless(&mut self, now: Now, sent: Now, domain: u64) -> HealthChange {
        self.measure(now, now.since(sent) as f32);
        let change = self.responded(now);
        if !self.useless.contains(&domain) {
            let _ = self.useless.try_push(domain);
        }
        match change {
            HealthChange::None if self.useless.is_full() && self.condition == UpstreamCondition::Up && self.probe_at <= now => {
                self.probe_at = now.plus(LONGEST_BACKOFF); // a probe that is lost is repeated, but not for each question
                HealthChange::Probe
            }
            change => change,
        }
    }

    /// A response of any kind came: the server is there.
    pub fn responded(&mut self, now: Now) -> HealthChange {
        self.silent.clear();
        self.doubt = None;
        self.last_response = now;
        if self.condition != UpstreamCondition::Down {
            return HealthChange::None;
        }
        self.condition = UpstreamCondition::Up;
        self.probe_at = now;
        HealthChange::Condition
    }

    /// The probe was answered, usefully or not.
    pub fn probe_answered(&mut self, now: Now, sent: Now, useful: bool) -> HealthChange {
        if useful {
            return self.useful(now, sent);
        }
        self.measure(now, now.since(sent) as f32);
        match self.responded(now) {
            HealthChange::None if self.useless.is_full() && self.condition == UpstreamCondition::Up => {
                self.condition = UpstreamCondition::Poor;
                self.back_off(now, FIRST_BACKOFF);
                HealthChange::Condition
            }
            change => change,
        }
    }

    /// A question sent at `sent` for the name with the hash `name` was silent.
    pub fn silent(&mut self, sent: Now, name: u64) -> HealthChange {
        if sent < self.last_response || self.silent.contains(&name) || self.condition == UpstreamCondition::Down {
            return HealthChange::None;
        }
        let _ = self.silent.try_push(name);
        if !self.silent.is_full() || self.doubt.is_some() {
            return HealthChange::None;
        }
        self.doubt = Some(0);
        HealthChange::Probe
    }

    /// A probe sent at `sent` was silent.
    pub fn probe_silent(&mut self, now: Now, sent: Now) -> HealthChange {
        let Some(silent) = self.doubt.filter(|_| sent >= self.last_response) else { return HealthChange::None };
        self.doubt = Some(silent + 1);
        if silent + 1 < TRIES {
            return HealthChange::Probe;
        }
        self.doubt = None;
        self.condition = UpstreamCondition::Down;
        self.back_off(now, FIRST_BACKOFF);
        HealthChange::Condition
    }

    /// The probe could not be sent, which is no fault of the upstream's.
    pub fn probe_unsent(&mut self) {
        self.doubt = None;
        self.silent.clear();
    }

    /// Returns how long a probe is waited for before it counts as silent.
    pub fn probe_patience(&self) -> Duration {
        self.round_trip.map_or(UNMEASURED_TRY, |time| Duration::from_secs_f32(4.0 * time / 1000.0).clamp(SHORTEST_TRY, LONGEST_TRY))
    }

    /// Returns the moment of the next probe.
    pub fn probe_at(&self) -> Now {
        self.probe_at
    }

    /// A probe or copy was sent: the next one later.
    pub fn probed(&mut self, now: Now) {
        let longest = if self.condition == UpstreamCondition::Down { LONGEST_BACKOFF } else { LONGEST_COPY_BACKOFF };
        self.back_off(now, (self.backoff * 2).min(longest));
    }

    /// Returns true if questions may have an OPT record. The hash of the name is computed only if it matters.
    pub fn knows_edns(&self, now: Now, name: impl FnOnce() -> u64) -> bool {
        now >= self.without_edns && (self.plain_names.is_empty() || now >= self.plain_until || !self.plain_names.contains(&name()))
    }

    /// A question with EDNS was answered usefully.
    pub fn showed_edns(&mut self) {
        self.plain_domains.clear();
    }

    /// The name with the hash `name`, in the domain with the hash `domain`, was answered only without EDNS.
    pub fn lacked_edns(&mut self, now: Now, name: u64, domain: u64) -> HealthChange {
        if now >= self.plain_until {
            self.plain_names.clear();
        }
        if self.plain_names.is_full() {
            self.plain_names.remove(0);
        }
        self.plain_names.push(name);
        self.plain_until = now.plus(WITHOUT_EDNS);
        if !self.plain_domains.contains(&domain) {
            let _ = self.plain_domains.try_push(domain);
        }
        if self.plain_domains.is_full() { HealthChange::EdnsProbe } else { HealthChange::None }
    }

    /// The probe with EDNS was answered: with FORMERR or NOTIMP, or in another way.
    pub fn edns_probe_answered(&mut self, now: Now, refused: bool) {
        if refused && self.plain_domains.is_full() {
            self.without_edns = now.plus(WITHOUT_EDNS);
        }
        self.plain_domains.clear();
    }

    fn measure(&mut self, now: Now, sample: f32) {
        self.measured = now;
        self.latencies.add(sample);
        let Some(smoothed) = self.round_trip else {
            (self.round_trip, self.variation) = (Some(sample), sample / 2.0);
            return;
        };
        // RFC 6298 section 2.3. Each message has its own ID, so an answer to a repeated question is measured as well.
        self.variation += ((sample - smoothed).abs() - self.variation) / 4.0;
        self.round_trip = Some(smoothed + (sample - smoothed) / 8.0);
    }

    fn back_off(&mut self, now: Now, backoff: Duration) {
        self.backoff = backoff;
        self.probe_at = now.plus(backoff);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use postern_config::model::UpstreamTransport;

    fn health(in_flight: u32, rate: u32) -> UpstreamHealth {
        let mut upstream = UpstreamConfig::new("192.0.2.1:53".parse().unwrap(), UpstreamTransport::Udp);
        (upstream.in_flight, upstream.rate) = (in_flight, rate);
        UpstreamHealth::new(Now(1000), &upstream)
    }

    fn second(seconds: u64) -> Now {
        Now(1000 + seconds * 1000)
    }

    /// Three names and all probes are silent.
    fn lose(health: &mut UpstreamHealth, from: Now) {
        let doubts: Vec<HealthChange> = (0..SILENT as u64).map(|name| health.silent(from, name)).collect();
        assert_eq!(doubts, [HealthChange::None, HealthChange::None, HealthChange::Probe]);
        for _ in 1..TRIES {
            assert_eq!(health.probe_silent(from, from), HealthChange::Probe);
        }
        assert_eq!(health.probe_silent(from, from), HealthChange::Condition);
        assert_eq!(health.condition(), UpstreamCondition::Down);
    }

    #[test]
    fn outstanding_questions_are_bounded_and_fewer_when_down() {
        let mut health = health(100, 0);
        for _ in 0..100 {
            assert_eq!(health.admits(second(0)), SendAdmission::Now);
            health.sent(second(0));
        }
        assert_eq!(health.admits(second(0)), SendAdmission::Full);
        for _ in 0..60 {
            health.released();
        }
        assert_eq!(health.admits(second(0)), SendAdmission::Now);
        lose(&mut health, second(1));
        assert_eq!(health.admits(second(2)), SendAdmission::Full);
    }

    #[test]
    fn an_upstream_that_is_down_is_probed_at_growing_distances_up_to_two_seconds_and_any_response_ends_it() {
        let mut health = health(10, 0);
        lose(&mut health, second(2));
        let mut at = second(2);
        for milliseconds in [500, 1000, 2000, 2000] {
            assert_eq!(health.probe_at(), at.plus(Duration::from_millis(milliseconds)));
            at = health.probe_at();
            health.probed(at);
        }
        assert_eq!(health.probe_answered(second(60), second(60), false), HealthChange::Condition);
        assert_eq!(health.condition(), UpstreamCondition::Up);
    }

    #[test]
    fn one_name_or_two_that_are_silent_again_and_again_raise_no_doubt() {
        let mut health = health(10, 0);
        for time in 1..50 {
            assert_eq!(health.silent(second(time), time % 2), HealthChange::None);
        }
    }

    #[test]
    fn any_response_ends_the_doubt_and_what_was_sent_before_it_does_not_count() {
        let mut health = health(10, 0);
        for name in 0..3 {
            health.silent(second(1), name);
        }
        assert_eq!(health.probe_silent(second(2), second(1)), HealthChange::Probe);
        assert_eq!(health.responded(second(3)), HealthChange::None);
        assert_eq!(health.probe_silent(second(3), second(2)), HealthChange::None);
        for name in 0..10 {
            assert_eq!(health.silent(second(2), name), HealthChange::None);
        }
        assert_eq!(health.condition(), UpstreamCondition::Up);
    }

    #[test]
    fn many_domains_without_a_useful_answer_make_it_poor_only_if_the_probe_has_none_either() {
        let mut health = health(10, 0);
        for _ in 0..50 {
            assert_eq!(health.useless(second(1), second(1), 7), HealthChange::None);
        }
        let changes: Vec<_> = (8..16).map(|domain| health.useless(second(1), second(1), domain)).collect();
        assert_eq!(changes.iter().filter(|change| **change == HealthChange::Probe).count(), 1);
        assert_eq!(health.probe_answered(second(1), second(1), true), HealthChange::None);
        assert_eq!(health.condition(), UpstreamCondition::Up);
        (20..40).for_each(|domain| assert_ne!(health.useless(second(9), second(9), domain), HealthChange::Condition));
        assert_eq!(health.probe_answered(second(9), second(9), false), HealthChange::Condition);
        assert_eq!(health.condition(), UpstreamCondition::Poor);
        assert_eq!(health.useful(second(10), second(10)), HealthChange::Condition);
    }

    #[test]
    fn edns_is_given_up_for_one_name_at_once_and_for_the_server_when_three_domains_and_the_probe_agree() {
        let mut health = health(10, 0);
        assert_eq!(health.lacked_edns(second(1), 1, 1), HealthChange::None);
        assert_eq!([1, 2].map(|name| health.knows_edns(second(1), || name)), [false, true]);
        assert_eq!(health.lacked_edns(second(1), 2, 1), HealthChange::None, "one domain counts once");
        assert_eq!(health.lacked_edns(second(1), 3, 3), HealthChange::None);
        health.showed_edns();
        assert_eq!([4, 5, 6].map(|name| health.lacked_edns(second(1), name, name)).last(), Some(&HealthChange::EdnsProbe));
        health.edns_probe_answered(second(1), false);
        assert!(health.knows_edns(second(1), || 9));
        (4..7).for_each(|name| assert_ne!(health.lacked_edns(second(2), name, name), HealthChange::Condition));
        health.edns_probe_answered(second(2), true);
        assert!(!health.knows_edns(second(2), || 9));
        assert!(health.knows_edns(second(603), || 9) && health.knows_edns(second(603), || 4));
        for name in 0..1000 {
            health.lacked_edns(second(700), name, 1);
        }
        assert_eq!([999, 0].map(|name| health.knows_edns(second(700), || name)), [false, true], "bounded");
    }

    #[test]
    fn the_retransmission_timeout_is_that_of_rfc_6298() {
        let mut health = health(10, 0);
        assert_eq!(health.retransmission_timeout(), UNMEASURED);
        health.useful(Now(1100), Now(1000));
        let is_near = |health: &UpstreamHealth, wanted: u128| health.retransmission_timeout().as_millis().abs_diff(wanted) <= 1;
        assert!(is_near(&health, 300), "section 2.2: R + 4 * R/2");
        health.useful(Now(1300), Now(1000));
        // RTTVAR = 3/4 * 50 + 1/4 * |100 - 300|, SRTT = 7/8 * 100 + 1/8 * 300.
        assert!(is_near(&health, 475), "section 2.3");
        for _ in 0..100 {
            health.useful(Now(1100), Now(1000));
        }
        assert!(is_near(&health, 108), "and the granularity of the timers at least");
    }

    #[test]
    fn the_round_trip_follows_what_is_measured_and_silence_is_no_measure() {
        let mut health = health(10, 0);
        assert_eq!(health.round_trip(), None);
        for _ in 0..50 {
            health.useful(Now(1040), Now(1000));
        }
        (0..20).for_each(|name| assert_ne!(health.silent(Now(2000), name), HealthChange::Condition));
        assert!((39.0..41.0).contains(&health.round_trip().unwrap()));
    }
}
