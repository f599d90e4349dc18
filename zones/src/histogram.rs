//! How long things take: counts by bounds that reach from the time of a system call to that of a client's patience.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Upper bounds, seconds: an answer from memory takes tens of microseconds, one through an upstream milliseconds.
pub const BOUNDS: [f64; 19] =
    [1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2, 1e-1, 2e-1, 5e-1, 1.0, 2.0, 5.0, 10.0];

/// The same in microseconds.
const MICROS: [u64; BOUNDS.len()] = {
    let mut micros = [0; BOUNDS.len()];
    let mut at = 0;
    while at < BOUNDS.len() {
        micros[at] = (BOUNDS[at] * 1e6 + 0.5) as u64;
        at += 1;
    }
    micros
};

/// Counts of durations. Any thread may add.
#[derive(Debug, Default)]
pub struct Histogram {
    counts: [AtomicU64; BOUNDS.len() + 1],
    micros: AtomicU64,
}

/// Counts of a [`Histogram`] at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Distribution {
    /// By the first of [`BOUNDS`] that is not below; the last: above all of them.
    pub counts: [u64; BOUNDS.len() + 1],
    /// Sum of all, seconds.
    pub sum: f64,
}

impl Histogram {
    /// Adds a duration that so many had.
    pub fn add(&self, duration: Duration, times: u64) {
        let micros = duration.as_micros() as u64;
        let place = MICROS.partition_point(|bound| *bound < micros);
        self.counts[place].fetch_add(times, Relaxed);
        self.micros.fetch_add(micros * times, Relaxed);
    }

    /// The counts of this moment.
    pub fn read(&self) -> Distribution {
        Distribution { counts: std::array::from_fn(|place| self.counts[place].load(Relaxed)), sum: self.micros.load(Relaxed) as f64 / 1e6 }
    }
}

impl Distribution {
    /// Adds what another has counted.
    pub fn add(&mut self, other: &Self) {
        self.counts.iter_mut().zip(other.counts).for_each(|(sum, count)| *sum += count);
        self.sum += other.sum;
    }

    /// How many were counted.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_counts_at_the_first_bound_that_it_does_not_exceed() {
        let histogram = Histogram::default();
        for micros in [0, 10, 11, 20, 21, 10_000_000, 10_000_001] {
            histogram.add(Duration::from_micros(micros), 2);
        }
        let read = histogram.read();
        assert_eq!((read.counts[0], read.counts[1], read.counts[2]), (4, 4, 2));
        assert_eq!((read.counts[BOUNDS.len() - 1], read.counts[BOUNDS.len()], read.count()), (2, 2, 14));
        assert!((read.sum - 40.000_126).abs() < 1e-9, "{}", read.sum);
    }
}
