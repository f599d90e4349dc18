//! Counters of one worker.

use hdrhistogram::Histogram;

use super::flight::SentQuery;
use crate::questions::QuestionKind;

/// Largest latency that the histograms distinguish, in nanoseconds.
const LONGEST: u64 = 120_000_000_000;
/// Number of RCODEs that a header can carry.
pub const RCODES: usize = 16;

/// Creates a histogram of latencies in nanoseconds with three digits, for the run as a whole.
pub fn fine() -> Histogram<u64> {
    // The bounds are constants that the crate accepts: 1 <= low, 2 * low <= high, digits <= 5.
    Histogram::new_with_bounds(64, LONGEST, 3).expect("bounds are valid")
}

/// Creates a histogram of latencies with two digits, for one second.
pub fn coarse() -> Histogram<u32> {
    Histogram::new_with_bounds(64, LONGEST, 2).expect("bounds are valid")
}

/// Counts of one worker, or the sum over all workers.
#[derive(Debug, Clone)]
pub struct LoadTally {
    /// Queries that were sent.
    pub sent: u64,
    /// Responses in time.
    pub answered: u64,
    /// Queries without a response in time.
    pub timed_out: u64,
    /// Queries whose connection broke before the answer.
    pub cut_off: u64,
    /// Queries among the timed-out ones that were answered later.
    pub late: u64,
    /// Queries that were due but not sent, because every ID was pending.
    pub unsent: u64,
    /// Second responses to one query.
    pub duplicates: u64,
    /// Responses that belong to no query.
    pub unknown: u64,
    /// Responses with another question than the query.
    pub mismatched: u64,
    /// Responses with TC.
    pub truncated: u64,
    /// Datagrams or frames that are not DNS responses.
    pub malformed: u64,
    /// Responses that contradict the expectation for their kind of question.
    pub unpromised: u64,
    /// Errors of the socket, such as refused or reset.
    pub socket_errors: u64,
    /// Connections that were reopened.
    pub reconnects: u64,
    /// Latency from the schedule, by kind and RCODE.
    cells: Vec<Option<Box<Histogram<u64>>>>,
    /// Latency from the moment of sending.
    pub service: Histogram<u64>,
    /// Delay of sending behind the schedule.
    pub lag: Histogram<u64>,
    /// Latency of late answers, measured from the schedule.
    pub late_latency: Histogram<u64>,
}

impl Default for LoadTally {
    fn default() -> Self {
        Self {
            sent: 0,
            answered: 0,
            timed_out: 0,
            cut_off: 0,
            late: 0,
            unsent: 0,
            duplicates: 0,
            unknown: 0,
            mismatched: 0,
            truncated: 0,
            malformed: 0,
            unpromised: 0,
            socket_errors: 0,
            reconnects: 0,
            cells: vec![None; QuestionKind::ALL.len() * RCODES],
            service: fine(),
            lag: fine(),
            late_latency: fine(),
        }
    }
}

impl LoadTally {
    /// Counts a response in time.
    pub fn answer(&mut self, sent: SentQuery, now: u64, kind: QuestionKind, rcode: u8) {
        self.answered += 1;
        let cell = &mut self.cells[kind as usize * RCODES + usize::from(rcode) % RCODES];
        cell.get_or_insert_with(|| Box::new(fine())).saturating_record(now.saturating_sub(sent.scheduled));
        self.service.saturating_record(now.saturating_sub(sent.sent));
    }

    /// Adds the counts of another worker.
    pub fn add(&mut self, other: &LoadTally) {
        self.sent += other.sent;
        self.answered += other.answered;
        self.timed_out += other.timed_out;
        self.cut_off += other.cut_off;
        self.late += other.late;
        self.unsent += other.unsent;
        self.duplicates += other.duplicates;
        self.unknown += other.unknown;
        self.mismatched += other.mismatched;
        self.truncated += other.truncated;
        self.malformed += other.malformed;
        self.unpromised += other.unpromised;
        self.socket_errors += other.socket_errors;
        self.reconnects += other.reconnects;
        for (mine, theirs) in self.cells.iter_mut().zip(&other.cells) {
            if let Some(theirs) = theirs {
                add(mine.get_or_insert_with(|| Box::new(fine())), theirs);
            }
        }
        add(&mut self.service, &other.service);
        add(&mut self.lag, &other.lag);
        add(&mut self.late_latency, &other.late_latency);
    }

    /// Returns the latency of all answers.
    pub fn latency(&self) -> Histogram<u64> {
        self.joined(|_, _| true)
    }

    /// Returns the latency by RCODE, for those that occurred.
    pub fn by_rcode(&self) -> Vec<(u8, Histogram<u64>)> {
        (0..RCODES as u8).map(|rcode| (rcode, self.joined(|_, found| found == rcode))).filter(|(_, latency)| !latency.is_empty()).collect()
    }

    /// Returns the latency by kind of question, for those that were answered.
    pub fn by_kind(&self) -> Vec<(QuestionKind, Histogram<u64>)> {
        QuestionKind::ALL
            .into_iter()
            .map(|kind| (kind, self.joined(|found, _| found == kind)))
            .filter(|(_, latency)| !latency.is_empty())
            .collect()
    }

    fn joined(&self, wanted: impl Fn(QuestionKind, u8) -> bool) -> Histogram<u64> {
        let mut sum = fine();
        for (index, cell) in self.cells.iter().enumerate() {
            if let Some(cell) = cell
                && wanted(QuestionKind::ALL[index / RCODES], (index % RCODES) as u8)
            {
                add(&mut sum, cell);
            }
        }
        sum
    }
}

/// Adds one histogram of [`fine`] to another.
pub fn add(sum: &mut Histogram<u64>, more: &Histogram<u64>) {
    // This fails only if the bounds differ, and all histograms come from `fine`.
    sum.add(more).expect("the bounds are the same");
}

/// One second of one worker, or of all workers.
#[derive(Debug, Clone)]
pub struct TallySecond {
    /// Index of the second, counted from 0 at the start of the warm-up.
    pub index: u32,
    /// Queries sent in this second.
    pub sent: u64,
    /// Answers received in this second.
    pub answered: u64,
    /// Queries that timed out in this second.
    pub timed_out: u64,
    /// Late answers received in this second.
    pub late: u64,
    /// Answers by RCODE.
    pub rcodes: [u64; RCODES],
    /// Latency of the answers in this second, measured from the schedule.
    pub latency: Histogram<u32>,
    /// Longest delay of a query behind its schedule, in nanoseconds.
    pub worst_lag: u64,
}

impl TallySecond {
    /// Creates an empty second.
    pub fn new(index: u32) -> Self {
        Self { index, sent: 0, answered: 0, timed_out: 0, late: 0, rcodes: [0; RCODES], latency: coarse(), worst_lag: 0 }
    }

    /// Adds the counts of another worker for the same second.
    pub fn add(&mut self, other: &TallySecond) {
        self.sent += other.sent;
        self.answered += other.answered;
        self.timed_out += other.timed_out;
        self.late += other.late;
        for (mine, theirs) in self.rcodes.iter_mut().zip(other.rcodes) {
            *mine += theirs;
        }
        self.latency.add(&other.latency).expect("the bounds are the same");
        self.worst_lag = self.worst_lag.max(other.worst_lag);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::questions::DrawnQuestion;

    #[test]
    fn answers_are_found_again_by_rcode_and_by_kind() {
        let sent = |scheduled| SentQuery { question: DrawnQuestion { item: 0, serial: 0 }, scheduled, sent: scheduled + 10 };
        let mut one = LoadTally::default();
        one.answer(sent(0), 1_000_000, QuestionKind::Hit, 0);
        one.answer(sent(0), 2_000_000, QuestionKind::NxDomain, 3);
        let mut two = LoadTally::default();
        two.answer(sent(0), 4_000_000, QuestionKind::Hit, 2);
        one.add(&two);
        assert_eq!(one.answered, 3);
        assert_eq!(one.latency().len(), 3);
        let rcodes: Vec<(u8, u64)> = one.by_rcode().iter().map(|(rcode, latency)| (*rcode, latency.len())).collect();
        assert_eq!(rcodes, [(0, 1), (2, 1), (3, 1)]);
        let kinds: Vec<(QuestionKind, u64)> = one.by_kind().iter().map(|(kind, latency)| (*kind, latency.len())).collect();
        assert_eq!(kinds, [(QuestionKind::Hit, 2), (QuestionKind::NxDomain, 1)]);
    }
}
