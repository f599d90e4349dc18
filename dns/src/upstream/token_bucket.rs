//! The rate at which an upstream may be asked.

use std::collections::VecDeque;

use crate::clock::Now;

/// Whether a question may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SendAdmission {
    /// Yes.
    Now,
    /// When another one is answered.
    Full,
    /// At this moment, as far as the rate goes.
    At(Now),
}

/// A token bucket, in thousandths of a question, that also counts what was sent in the last second: a bucket alone would let its burst
/// through above the rate.
#[derive(Debug)]
pub struct TokenBucket {
    rate: u32,
    tokens: u64,
    filled: Now,
    /// Questions by the hundredth of a second that they were sent in, the oldest first, and their sum.
    recent: VecDeque<(u64, u32)>,
    sum: u32,
}

/// Milliseconds that are counted together.
const SLICE: u64 = 10;

impl TokenBucket {
    /// A full bucket: a tenth of a second's worth, but at least one question.
    pub fn new(now: Now, rate: u32) -> Self {
        Self { rate, tokens: Self::burst(rate), filled: now, recent: VecDeque::new(), sum: 0 }
    }

    /// Returns the rate, in questions a second. 0 means no bound.
    pub fn rate(&self) -> u32 {
        self.rate
    }

    fn burst(rate: u32) -> u64 {
        u64::from(rate / 10).max(1) * 1000
    }

    /// Returns whether one more question may be sent.
    pub fn admits(&mut self, now: Now) -> SendAdmission {
        if self.rate == 0 {
            return SendAdmission::Now;
        }
        // A rate a second is as many thousandths a millisecond.
        self.tokens = (self.tokens + now.since(self.filled) * u64::from(self.rate)).min(Self::burst(self.rate));
        self.filled = self.filled.max(now);
        while let Some((_, sent)) = self.recent.pop_front_if(|(slice, _)| (*slice + 1) * SLICE + 1000 <= now.0) {
            self.sum -= sent;
        }
        let missing = 1000u64.saturating_sub(self.tokens).div_ceil(u64::from(self.rate));
        let room_at = self.recent.front().filter(|_| self.sum >= self.rate).map_or(0, |(slice, _)| (slice + 1) * SLICE + 1000);
        match (now.0 + missing).max(room_at) {
            at if at <= now.0 => SendAdmission::Now,
            at => SendAdmission::At(Now(at)),
        }
    }

    /// Takes note of a question that is sent.
    pub fn take(&mut self, now: Now) {
        if self.rate == 0 || self.admits(now) != SendAdmission::Now {
            return;
        }
        self.tokens = self.tokens.saturating_sub(1000);
        self.sum += 1;
        match self.recent.back_mut().filter(|(slice, _)| *slice == now.0 / SLICE) {
            Some((_, sent)) => *sent += 1,
            None => self.recent.push_back((now.0 / SLICE, 1)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_second_sees_more_than_the_rate() {
        for rate in [1, 7, 200, 1000] {
            let mut bucket = TokenBucket::new(Now(1000), rate);
            let (mut sent, mut first) = (0u32, Vec::new());
            for ms in 0..5000 {
                while bucket.admits(Now(1000 + ms)) == SendAdmission::Now {
                    bucket.take(Now(1000 + ms));
                    sent += 1;
                }
                first.push(sent);
            }
            for ms in 1000..5000 {
                assert!(first[ms] - first[ms - 1000] <= rate, "rate {rate} at {ms}");
            }
            assert!(sent >= rate * 5 * 98 / 100 - 1, "rate {rate}: {sent}");
            let SendAdmission::At(next) = bucket.admits(Now(5999)) else { panic!() };
            assert!(next > Now(5999) && next <= Now(5999 + 1000_u64.div_ceil(u64::from(rate)) + SLICE + 100), "{next:?}");
        }
    }
}
