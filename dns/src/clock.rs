//! Time as it is handed in: protocol code owns no clock, so that a test can turn it.

use std::time::{Duration, Instant};

/// A moment: milliseconds since the server started, monotonic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Now(pub u64);

/// The real clock.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    start: Instant,
}

impl Now {
    /// This moment and `later` after it.
    pub fn plus(self, later: Duration) -> Self {
        Self(self.0.saturating_add(later.as_millis() as u64))
    }

    /// Milliseconds since `earlier`; zero if that is in the future.
    pub fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl Clock {
    /// Starts at a moment well past zero, so that "long ago" can be said.
    pub fn start() -> Self {
        Self { start: Instant::now() }
    }

    /// The present.
    pub fn now(&self) -> Now {
        self.at(Instant::now())
    }

    /// A moment of the real clock.
    pub fn at(&self, instant: Instant) -> Now {
        Now(1_000_000 + instant.duration_since(self.start).as_millis() as u64)
    }
}
