//! Round-trip times of one upstream, from which its percentiles are taken.

use std::time::Duration;

/// Recent round-trip times in buckets that grow by the square root of two, from 1 ms. Older ones fade.
#[derive(Debug, Default)]
pub struct LatencyHistogram {
    buckets: [u16; Self::BUCKETS],
    count: u16,
}

impl LatencyHistogram {
    const BUCKETS: usize = 32;
    /// All counts are halved at this sum, so that about the last thousand responses count.
    const FADE: u16 = 1024;
    /// Fewest responses that a percentile is taken of.
    const FEWEST: u16 = 20;

    /// Adds one round trip.
    pub fn add(&mut self, milliseconds: f32) {
        let bucket = ((milliseconds.max(1.0).log2() * 2.0) as usize).min(Self::BUCKETS - 1);
        self.buckets[bucket] += 1;
        self.count += 1;
        if self.count >= Self::FADE {
            self.buckets.iter_mut().for_each(|count| *count /= 2);
            self.count = self.buckets.iter().sum();
        }
    }

    /// Returns the time within which this share of the round trips ended, in percent. None until there are enough of them.
    pub fn percentile(&self, percent: u8) -> Option<Duration> {
        if self.count < Self::FEWEST {
            return None;
        }
        let wanted = u32::from(self.count) * u32::from(percent);
        let mut sum = 0;
        let bucket = self.buckets.iter().position(|count| {
            sum += u32::from(*count) * 100;
            sum >= wanted
        });
        // The upper end of the bucket.
        bucket.map(|bucket| Duration::from_secs_f32(2f32.powf((bucket + 1) as f32 / 2.0) / 1000.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_percentile_is_that_of_recent_responses() {
        let mut latencies = LatencyHistogram::default();
        for number in 0..100 {
            latencies.add(if number % 10 == 9 { 500.0 } else { 20.0 });
            assert_eq!(latencies.percentile(80).is_some(), number >= 19);
        }
        let between = |percent, least, most| (least..=most).contains(&latencies.percentile(percent).unwrap().as_millis());
        assert!(between(80, 20, 32) && between(95, 500, 724));
        for _ in 0..5000 {
            latencies.add(3.0);
        }
        assert!(latencies.percentile(95).unwrap() < Duration::from_millis(6), "old ones fade");
    }

    #[test]
    fn the_longest_time_has_a_bucket() {
        let mut latencies = LatencyHistogram::default();
        (0..30).for_each(|_| latencies.add(f32::MAX));
        assert!(latencies.percentile(99).is_some());
    }
}
