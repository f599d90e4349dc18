//! One thread of the generator: it sends due queries, receives responses, and times out late ones.

use std::collections::VecDeque;
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use postern_sockets::SocketPoller;

use super::flight::{PendingQueries, ResponseMatch, SentQuery};
use super::schedule::SendSchedule;
use super::tally::{LoadTally, TallySecond};
use super::{LoadModel, LoadPlan};
use crate::message::ParsedResponse;
use crate::questions::{DrawnQuestion, QuestionBank, QuestionPicker};

/// How long an open loop may continue to send queries that were due before its end, in nanoseconds.
const GRACE: u64 = 100_000_000;
/// Pause before sending again on a socket that had no room, in nanoseconds.
const RETRY: u64 = 1_000_000;
/// Minimum interval between two attempts to reopen a broken connection, in nanoseconds.
const REOPEN_EVERY: u64 = 10_000_000;

/// The source ports of one thread with their transport.
pub(super) trait QueryCarrier {
    /// Returns the number of source ports.
    fn lines(&self) -> usize;
    /// Returns the descriptor to wait for.
    fn descriptor(&self, line: usize) -> BorrowedFd<'_>;
    /// Lets `write` write query `index` of a batch.
    fn fill(&mut self, line: usize, index: usize, write: impl FnOnce(&mut [u8]) -> usize);
    /// Sends a batch of `count` queries, and data left from before. Returns the number of queries
    /// accepted from the batch.
    fn flush(&mut self, line: usize, count: usize) -> io::Result<usize>;
    /// Passes on the received messages. Returns true if more may be waiting.
    fn receive(&mut self, line: usize, each: impl FnMut(&[u8])) -> io::Result<bool>;
    /// Returns true if data remains to be written once there is room.
    fn wants_write(&self, line: usize) -> bool;
    /// Whether an error breaks a line, which must then be reopened.
    const BREAKS: bool;
    /// Reopens a broken line.
    fn reopen(&mut self, line: usize) -> io::Result<()>;
}

pub(super) struct LoadWorker<'a, C> {
    carrier: C,
    poller: SocketPoller,
    plan: &'a LoadPlan,
    questions: &'a QuestionBank,
    picker: QuestionPicker,
    flights: Vec<PendingQueries>,
    windows: Vec<usize>,
    schedule: Option<SendSchedule>,
    held: VecDeque<(u64, DrawnQuestion)>,
    batch: Vec<(u16, u64, DrawnQuestion)>,
    epoch: Instant,
    /// Nanoseconds since the epoch at which the measurement starts and sending ends.
    begin: u64,
    end: u64,
    quota: u64,
    line: usize,
    blocked: bool,
    broken: Vec<Option<u64>>,
    writing: Vec<bool>,
    tally: LoadTally,
    second: TallySecond,
    seconds: Sender<TallySecond>,
}

impl<'a, C: QueryCarrier> LoadWorker<'a, C> {
    /// Creates worker `index` of the plan. `epoch` is common to all workers.
    pub(super) fn new(
        carrier: C,
        plan: &'a LoadPlan,
        questions: &'a QuestionBank,
        index: usize,
        epoch: Instant,
        seconds: Sender<TallySecond>,
    ) -> io::Result<Self> {
        let lines = carrier.lines();
        let poller = SocketPoller::new(lines)?;
        for line in 0..lines {
            poller.add(&carrier.descriptor(line), line as u64, false)?;
        }
        let mut picker = QuestionPicker::new(plan.seed, index, plan.threads);
        let (schedule, windows) = match plan.load {
            LoadModel::Open { rate, arrivals } => (Some(SendSchedule::new(rate, arrivals, index, plan.threads)), vec![0; lines]),
            LoadModel::Closed { window } => (None, split(split(window, plan.threads)[index], lines)),
        };
        let most = match plan.load {
            LoadModel::Open { rate, .. } => (rate / plan.threads as f64 / lines as f64 * plan.timeout.as_secs_f64() * 1.2) as usize + 64,
            LoadModel::Closed { .. } => windows.iter().copied().max().unwrap_or(1) * 2,
        };
        let flights = (0..lines).map(|_| PendingQueries::new(most, picker.random() as u16)).collect();
        let begin = plan.warmup.as_nanos() as u64;
        let quota = plan.queries.map_or(u64::MAX, |queries| split(queries as usize, plan.threads)[index] as u64);
        Ok(Self {
            carrier,
            poller,
            plan,
            questions,
            picker,
            flights,
            windows,
            schedule,
            held: VecDeque::new(),
            batch: Vec::with_capacity(plan.batch),
            epoch,
            begin,
            end: begin + plan.duration.as_nanos() as u64,
            quota,
            line: 0,
            blocked: false,
            broken: vec![None; lines],
            writing: vec![false; lines],
            tally: LoadTally::default(),
            second: TallySecond::new(0),
            seconds,
        })
    }

    /// Runs until every query is answered or timed out. Also returns when the last one was sent.
    pub(super) fn run(mut self) -> io::Result<(LoadTally, Instant)> {
        let timeout = self.plan.timeout.as_nanos() as u64;
        let every = (timeout / 20).clamp(1_000_000, 50_000_000);
        let mut sweep = every;
        self.wait_for_epoch();
        let mut refill = true;
        let mut sending_end = self.epoch;
        loop {
            let now = self.now();
            self.turn_second(now);
            if now >= sweep {
                self.give_up(now.saturating_sub(timeout));
                self.reopen(now);
                sweep = now + every;
                refill = true;
            }
            let sending = self.sending(now);
            if sending && self.schedule.is_some() {
                self.send_due()?;
            } else if sending && (refill || self.blocked) {
                self.blocked = false;
                for line in 0..self.flights.len() {
                    self.fill_window(line)?;
                }
            }
            refill = false;
            if sending {
                sending_end = self.epoch + Duration::from_nanos(now);
            }
            if !sending && self.flights.iter().all(|flight| flight.waiting() == 0) {
                break;
            }
            let ready = self.poller.wait(Some(self.pause(sweep)))?;
            for index in 0..ready {
                let event = self.poller.ready(index);
                let line = event.token as usize;
                if event.write {
                    self.flush(line, 0)?;
                }
                if event.read {
                    self.receive(line)?;
                }
                let now = self.now();
                if self.sending(now) {
                    if self.schedule.is_some() { self.send_due()? } else { self.fill_window(line)? }
                }
            }
        }
        self.count_unsent();
        let last = std::mem::replace(&mut self.second, TallySecond::new(0));
        let _ = self.seconds.send(last);
        if self.quota > 0 {
            sending_end = self.epoch + Duration::from_nanos(self.end);
        }
        Ok((self.tally, sending_end))
    }

    fn now(&self) -> u64 {
        self.epoch.elapsed().as_nanos() as u64
    }

    fn wait_for_epoch(&self) {
        let wait = self.epoch.saturating_duration_since(Instant::now());
        if !wait.is_zero() {
            std::thread::sleep(wait);
        }
    }

    fn sending(&self, now: u64) -> bool {
        match &self.schedule {
            _ if self.quota == 0 => false,
            Some(schedule) => now < self.end + GRACE && (schedule.due() < self.end || !self.held.is_empty()),
            None => now < self.end,
        }
    }

    /// Returns how long the worker can wait if nothing arrives.
    fn pause(&self, sweep: u64) -> Duration {
        let now = self.now();
        let mut until = sweep;
        if self.blocked {
            until = until.min(now + RETRY);
        } else if let Some(schedule) = &self.schedule
            && self.sending(now)
        {
            until = until.min(if self.held.is_empty() { schedule.due() } else { now });
        } else if self.sending(now) {
            until = until.min(self.end);
        }
        Duration::from_nanos(until.saturating_sub(now))
    }

    /// Sends everything that is due, in one batch per source port. Queries without room stay due,
    /// and their latency keeps counting.
    fn send_due(&mut self) -> io::Result<()> {
        self.blocked = false;
        loop {
            let now = self.now();
            let Some(line) = self.line_with_room() else {
                self.blocked = true;
                return Ok(());
            };
            self.batch.clear();
            while self.batch.len() < self.plan.batch && self.quota > 0 {
                let Some(schedule) = &mut self.schedule else { break };
                let (scheduled, question) = match self.held.pop_front() {
                    Some(held) => held,
                    None if schedule.due() <= now && schedule.due() < self.end => {
                        let scheduled = schedule.due();
                        schedule.advance(self.picker.random());
                        (scheduled, self.picker.pick(self.questions))
                    }
                    None => break,
                };
                if !self.launch(line, SentQuery { question, scheduled, sent: now }) {
                    self.held.push_front((scheduled, question));
                    break;
                }
            }
            let full = self.batch.len() == self.plan.batch;
            if self.batch.is_empty() || !self.flush(line, self.batch.len())? || !full {
                return Ok(());
            }
        }
    }

    /// Returns the next source port, in turn, that can take a query.
    fn line_with_room(&mut self) -> Option<usize> {
        for _ in 0..self.flights.len() {
            self.line = (self.line + 1) % self.flights.len();
            let ids_left = self.flights[self.line].waiting() < self.flights[self.line].capacity();
            if ids_left && self.broken[self.line].is_none() && !self.carrier.wants_write(self.line) {
                return Some(self.line);
            }
        }
        None
    }

    /// Sends as many queries as the window of a source port allows.
    fn fill_window(&mut self, line: usize) -> io::Result<()> {
        while self.broken[line].is_none() && !self.carrier.wants_write(line) {
            let room = self.windows[line].saturating_sub(self.flights[line].waiting()).min(self.plan.batch);
            let now = self.now();
            self.batch.clear();
            for _ in 0..room {
                if self.quota == 0 {
                    break;
                }
                let question = self.picker.pick(self.questions);
                self.launch(line, SentQuery { question, scheduled: now, sent: now });
            }
            if self.batch.is_empty() {
                return Ok(());
            }
            if !self.flush(line, self.batch.len())? {
                self.blocked = true;
                return Ok(());
            }
        }
        Ok(())
    }

    /// Writes a query as the next one of the batch.
    fn launch(&mut self, line: usize, sent: SentQuery) -> bool {
        let Some(id) = self.flights[line].launch(sent) else { return false };
        let questions = self.questions;
        self.carrier.fill(line, self.batch.len(), |place| questions.write(sent.question, id, place));
        self.batch.push((id, sent.scheduled, sent.question));
        if sent.scheduled >= self.begin {
            self.quota -= 1;
        }
        true
    }

    /// Sends the batch. Queries that were not sent are unregistered. Returns true if all were sent.
    fn flush(&mut self, line: usize, count: usize) -> io::Result<bool> {
        let now = self.now();
        let taken = match self.carrier.flush(line, count) {
            Ok(taken) => taken,
            Err(error) => {
                self.line_failed(line, &error)?;
                0
            }
        };
        if count > 0 {
            for (id, scheduled, question) in self.batch.drain(taken..).rev() {
                self.flights[line].withdraw(id);
                if scheduled >= self.begin {
                    self.quota += 1;
                }
                if self.schedule.is_some() {
                    self.held.push_front((scheduled, question));
                }
            }
            for (_, scheduled, _) in &self.batch {
                let lag = now.saturating_sub(*scheduled);
                self.second.worst_lag = self.second.worst_lag.max(lag);
                if *scheduled >= self.begin {
                    self.tally.sent += 1;
                    self.tally.lag.saturating_record(lag);
                }
            }
            self.second.sent += taken as u64;
        }
        self.wait_for_write(line)?;
        Ok(taken == count)
    }

    fn wait_for_write(&mut self, line: usize) -> io::Result<()> {
        let wants = self.carrier.wants_write(line) && self.broken[line].is_none();
        if wants != self.writing[line] {
            self.writing[line] = wants;
            if self.broken[line].is_none() {
                self.poller.change(&self.carrier.descriptor(line), line as u64, wants)?;
            }
        }
        Ok(())
    }

    fn receive(&mut self, line: usize) -> io::Result<()> {
        let Self { carrier, flights, questions, tally, second, begin, epoch, .. } = self;
        let flight = &mut flights[line];
        let mut now = None;
        let result = carrier.receive(line, |message| {
            // The clock is read once per batch, because all of it arrived with one system call.
            let now = *now.get_or_insert_with(|| epoch.elapsed().as_nanos() as u64);
            let Some(response) = ParsedResponse::read(message) else {
                tally.malformed += 1;
                return;
            };
            let id = response.id();
            if flight.asked(id).is_some_and(|question| !questions.matches(question, response)) {
                tally.mismatched += 1;
                return;
            }
            match flight.arrive(id) {
                ResponseMatch::Answer(sent) => {
                    let (kind, rcode) = (questions.kind(sent.question), response.rcode());
                    second.answered += 1;
                    second.rcodes[usize::from(rcode)] += 1;
                    second.latency.saturating_record(now.saturating_sub(sent.scheduled));
                    if sent.scheduled >= *begin {
                        tally.answer(sent, now, kind, rcode);
                        tally.truncated += u64::from(response.truncated());
                        tally.unpromised += u64::from(kind.as_promised(rcode, response.answers()) == Some(false));
                    }
                }
                ResponseMatch::Late(sent) => {
                    second.late += 1;
                    if sent.scheduled >= *begin {
                        tally.late += 1;
                        tally.late_latency.saturating_record(now.saturating_sub(sent.scheduled));
                    }
                }
                ResponseMatch::Duplicate => tally.duplicates += 1,
                ResponseMatch::Unknown => tally.unknown += 1,
            }
        });
        match result {
            Ok(_) => Ok(()),
            Err(error) => self.line_failed(line, &error),
        }
    }

    fn give_up(&mut self, limit: u64) {
        let Self { flights, tally, second, begin, .. } = self;
        for flight in flights {
            flight.give_up(limit, |sent| {
                second.timed_out += 1;
                tally.timed_out += u64::from(sent.scheduled >= *begin);
            });
        }
    }

    /// Counts a rejected datagram. A broken connection loses its pending queries and is reopened
    /// with the next sweep.
    fn line_failed(&mut self, line: usize, error: &io::Error) -> io::Result<()> {
        use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionRefused, ConnectionReset, NotConnected, TimedOut, UnexpectedEof};
        self.tally.socket_errors += 1;
        match error.kind() {
            ConnectionRefused | ConnectionReset | ConnectionAborted | BrokenPipe | UnexpectedEof | NotConnected | TimedOut => {}
            _ => return Err(io::Error::new(error.kind(), format!("source port {line}: {error}"))),
        }
        if C::BREAKS && self.broken[line].is_none() {
            let now = self.now();
            self.broken[line] = Some(now);
            let Self { flights, tally, second, begin, .. } = self;
            flights[line].give_up(u64::MAX, |sent| {
                second.timed_out += 1;
                tally.cut_off += u64::from(sent.scheduled >= *begin);
            });
        }
        Ok(())
    }

    fn reopen(&mut self, now: u64) {
        for line in 0..self.broken.len() {
            if self.broken[line].is_some_and(|since| now >= since + REOPEN_EVERY) && self.sending(now) {
                let added = self.carrier.reopen(line).and_then(|()| self.poller.add(&self.carrier.descriptor(line), line as u64, false));
                self.broken[line] = added.is_err().then_some(now);
                self.writing[line] = false;
                self.tally.reconnects += u64::from(added.is_ok());
            }
        }
    }

    fn turn_second(&mut self, now: u64) {
        let index = (now / 1_000_000_000) as u32;
        if index != self.second.index {
            let done = std::mem::replace(&mut self.second, TallySecond::new(index));
            // The receiver is gone only when the run is aborted, and the seconds are then
            // irrelevant.
            let _ = self.seconds.send(done);
        }
    }

    /// Counts the queries that were due and never sent.
    fn count_unsent(&mut self) {
        if self.quota == 0 {
            return;
        }
        self.tally.unsent += self.held.iter().filter(|(scheduled, _)| *scheduled >= self.begin).count() as u64;
        let Some(schedule) = &mut self.schedule else { return };
        while schedule.due() < self.end {
            self.tally.unsent += u64::from(schedule.due() >= self.begin);
            schedule.advance(self.picker.random());
        }
    }
}

/// Divides `total` into `parts`, with the remainder spread over the first ones.
fn split(total: usize, parts: usize) -> Vec<usize> {
    (0..parts).map(|part| total / parts + usize::from(part < total % parts)).collect()
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn a_total_is_dealt_out_whole() {
        for (total, parts, expected) in [(10, 3, vec![4, 3, 3]), (2, 3, vec![1, 1, 0]), (9, 3, vec![3, 3, 3])] {
            assert_eq!(split(total, parts), expected);
        }
    }
}
