//! Counters of one worker: written by it alone, summed when somebody reads.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Numbers of one worker, on cache lines of their own.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Counters {
    /// More than one thread counts here.
    shared: bool,
    answered: [AtomicU64; RCODES],
    handed_on: AtomicU64,
    busy: AtomicU64,
    handed_over: AtomicU64,
    handler_busy: AtomicU64,
    denied: AtomicU64,
    ignored: AtomicU64,
    truncated: AtomicU64,
    lost: AtomicU64,
    panics: AtomicU64,
}

/// RCODEs that fit a header; BADVERS counts as its lower bits say, 0, and is told apart by nobody here.
const RCODES: usize = 16;

/// What a worker counts beside answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A question that needs an upstream was handed to the resolver.
    HandedOn,
    /// The resolver had no room for one.
    Busy,
    /// A message that is not the path's was handed to its handler.
    HandedOver,
    /// The handler had no room for one.
    HandlerBusy,
    /// A client that may not query.
    Denied,
    /// A message that is not answered: a response, too short, from port 0.
    Ignored,
    /// An answer that did not fit.
    Truncated,
    /// An answer that the system would not send.
    Lost,
    /// A panic that was caught.
    Panic,
}

/// Sums over workers.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Totals {
    /// Answers made at once, by RCODE.
    pub answered: [u64; RCODES],
    /// Questions handed to the resolver.
    pub handed_on: u64,
    /// Questions that the resolver had no room for.
    pub busy: u64,
    /// Messages handed to the handler: UPDATE, NOTIFY, transfers, signed ones.
    pub handed_over: u64,
    /// Messages that the handler had no room for.
    pub handler_busy: u64,
    /// Questions of clients that may not query.
    pub denied: u64,
    /// Messages that are not answered.
    pub ignored: u64,
    /// Answers that did not fit.
    pub truncated: u64,
    /// Answers that the system would not send.
    pub lost: u64,
    /// Panics caught.
    pub panics: u64,
}

impl Counters {
    /// For a worker that is a thread of its own.
    pub fn own() -> Arc<Self> {
        Arc::default()
    }

    /// For tasks that move between threads.
    pub fn shared() -> Arc<Self> {
        Arc::new(Self { shared: true, ..Self::default() })
    }

    /// Counts an answer by what stands in its header.
    #[inline]
    pub fn answer(&self, message: &[u8]) {
        self.add(&self.answered[usize::from(message[3] & 0xf)], 1);
        if message[2] & 0x02 != 0 {
            self.event(Event::Truncated);
        }
    }

    /// Counts an event.
    #[inline]
    pub fn event(&self, event: Event) {
        self.events(event, 1);
    }

    /// Counts an event several times.
    pub fn events(&self, event: Event, times: u64) {
        let counter = match event {
            Event::HandedOn => &self.handed_on,
            Event::Busy => &self.busy,
            Event::HandedOver => &self.handed_over,
            Event::HandlerBusy => &self.handler_busy,
            Event::Denied => &self.denied,
            Event::Ignored => &self.ignored,
            Event::Truncated => &self.truncated,
            Event::Lost => &self.lost,
            Event::Panic => &self.panics,
        };
        self.add(counter, times);
    }

    /// A worker alone with its counters needs no locked instruction.
    #[inline]
    fn add(&self, counter: &AtomicU64, times: u64) {
        if self.shared {
            counter.fetch_add(times, Relaxed);
        } else {
            counter.store(counter.load(Relaxed) + times, Relaxed);
        }
    }
}

/// Sums what workers have counted.
pub fn total<'c>(workers: impl IntoIterator<Item = &'c Arc<Counters>>) -> Totals {
    let mut totals = Totals::default();
    for worker in workers {
        for (sum, counter) in totals.answered.iter_mut().zip(&worker.answered) {
            *sum += counter.load(Relaxed);
        }
        for (sum, counter) in [
            (&mut totals.handed_on, &worker.handed_on),
            (&mut totals.busy, &worker.busy),
            (&mut totals.handed_over, &worker.handed_over),
            (&mut totals.handler_busy, &worker.handler_busy),
            (&mut totals.denied, &worker.denied),
            (&mut totals.ignored, &worker.ignored),
            (&mut totals.truncated, &worker.truncated),
            (&mut totals.lost, &worker.lost),
            (&mut totals.panics, &worker.panics),
        ] {
            *sum += counter.load(Relaxed);
        }
    }
    totals
}
