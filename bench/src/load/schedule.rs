//! The schedule of queries. Time is passed in as nanoseconds since the start of the run.

use serde::Serialize;

/// Distribution of the queries of an open loop over time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ArrivalProcess {
    /// Constant gaps between queries.
    Even,
    /// Random gaps with an exponential distribution, as from many independent clients.
    Poisson,
}

/// The scheduled times of one worker's queries. They do not depend on any answer, which makes the
/// loop open.
#[derive(Debug, Clone)]
pub struct SendSchedule {
    start: f64,
    interval: f64,
    arrivals: ArrivalProcess,
    count: u64,
    due: u64,
}

impl SendSchedule {
    /// Creates a schedule of `rate` queries per second in total, divided evenly among `workers`.
    pub fn new(rate: f64, arrivals: ArrivalProcess, worker: usize, workers: usize) -> Self {
        let workers = workers.max(1) as f64;
        let start = worker as f64 * 1e9 / rate;
        Self { start, interval: workers * 1e9 / rate, arrivals, count: 0, due: start as u64 }
    }

    /// Returns the time at which the next query is due.
    pub fn due(&self) -> u64 {
        self.due
    }

    /// Advances to the following query. `random` determines the gap if gaps are random.
    pub fn advance(&mut self, random: u64) {
        match self.arrivals {
            ArrivalProcess::Even => {
                // The time is computed from the count instead of the last time, so that rounding
                // errors do not add up.
                self.count += 1;
                self.due = (self.start + self.count as f64 * self.interval) as u64;
            }
            ArrivalProcess::Poisson => {
                // 53 bits make a number in (0, 1].
                let uniform = ((random >> 11) + 1) as f64 / (1u64 << 53) as f64;
                self.start += -uniform.ln() * self.interval;
                self.due = self.start as u64;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::rngs::Xoshiro256PlusPlus;
    use rand::{Rng, SeedableRng};

    #[test]
    fn even_arrivals_interleave_among_workers_and_never_drift() {
        let due = |worker: usize| {
            let mut schedule = SendSchedule::new(3_000_000.0, ArrivalProcess::Even, worker, 3);
            (0..3_000_000u64).fold(0, |_, _| {
                let due = schedule.due();
                schedule.advance(0);
                due
            })
        };
        // The last of three million queries of each worker, one microsecond apart.
        assert_eq!([due(0), due(1), due(2)], [2_999_999_000, 2_999_999_333, 2_999_999_666]);
    }

    #[test]
    fn poisson_arrivals_keep_the_rate_and_the_spread_of_an_exponential() {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(3);
        let mut schedule = SendSchedule::new(10_000.0, ArrivalProcess::Poisson, 0, 1);
        let mut last = 0;
        let (mut sum, mut squares) = (0.0, 0.0);
        for _ in 0..200_000 {
            schedule.advance(random.next_u64());
            let gap = (schedule.due() - last) as f64;
            last = schedule.due();
            sum += gap;
            squares += gap * gap;
        }
        let mean = sum / 2e5;
        let deviation = (squares / 2e5 - mean * mean).sqrt();
        assert!((mean / 1e5 - 1.0).abs() < 0.02, "{mean}");
        assert!((deviation / mean - 1.0).abs() < 0.03, "{deviation}");
    }
}
