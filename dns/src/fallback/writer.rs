//! The thread that words events, keeps the ledger and writes.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use postern_config::model::{FallbackConfig, RepeatPolicy};

use super::output::FallbackOutput;
use super::rate::LineRates;
use super::repeat::{FoldedRepeats, RepeatFolding};
use super::{FallbackEvent, FallbackRecorder, lock};
use crate::vital::ThreadLiveness;

/// The writer of a [`FallbackRecorder`]. Dropped or stopped, it writes what waits and ends.
#[derive(Debug)]
pub struct FallbackWriter {
    recorder: Arc<FallbackRecorder>,
    commands: mpsc::Sender<Command>,
    stopping: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
enum Command {
    Reopen,
    Use(Box<FallbackConfig>, FallbackOutput),
}

/// How long the writer may sleep while nothing comes: a look now and then, should a wake be lost.
const NAP: Duration = Duration::from_millis(500);
/// How long the writer waits for more once something has come: what comes in a burst is written at once, and wakes it once.
const GATHER: Duration = Duration::from_millis(2);
/// How often what workers have counted is taken in.
const COUNT_FOR: Duration = Duration::from_secs(1);
/// How long repetitions of a fallback are counted, where no line is due before, until one of them is taken down again. While somebody
/// watches, it is each time.
const SAME_FOR: Duration = Duration::from_secs(10);
/// Least time between two log lines about drops or about writing that fails.
const COMPLAIN_EVERY: Duration = Duration::from_secs(10);

impl FallbackWriter {
    /// Opens the destination and starts the thread. One writer a recorder.
    ///
    /// `burst_is_over` is called when nothing more is to be written for the moment: until then whoever takes the log may hold its lines back.
    pub fn start(
        recorder: Arc<FallbackRecorder>,
        settings: &FallbackConfig,
        burst_is_over: impl Fn() + Send + 'static,
    ) -> io::Result<Self> {
        let output = FallbackOutput::open(settings)?;
        let (commands, inbox) = mpsc::channel();
        let stopping = Arc::new(AtomicBool::new(false));
        let work = Work {
            recorder: recorder.clone(),
            folding: RepeatFolding::new(settings.repeat, settings.ledger),
            rates: LineRates::new(settings.rate, settings.client_rate, Instant::now()),
            settings: settings.clone(),
            output,
            inbox,
            stopping: stopping.clone(),
            counted: Vec::new(),
            harvest: Instant::now() + COUNT_FOR,
            dropped: Complaint::default(),
            failed: Complaint::default(),
            burst_is_over,
        };
        let (vital, alive) = ThreadLiveness::new("fallback");
        let thread = std::thread::Builder::new().name("fallback".into()).spawn(move || {
            let _alive = alive;
            work.run();
        })?;
        let _ = recorder.vital.set(vital);
        let _ = recorder.writer.set(thread.thread().clone()); // set once: one writer a recorder
        Ok(Self { recorder, commands, stopping, thread: Some(thread) })
    }

    /// Opens the file anew: after somebody renamed it.
    pub fn reopen(&self) {
        self.tell(Command::Reopen);
    }

    /// Goes on with other settings. The length of the queue stays: it needs a restart.
    pub fn reconfigure(&self, settings: &FallbackConfig) -> io::Result<()> {
        let output = FallbackOutput::open(settings)?;
        self.tell(Command::Use(Box::new(settings.clone()), output));
        Ok(())
    }

    /// Writes what waits and ends.
    pub fn stop(mut self) {
        self.end();
    }

    fn tell(&self, command: Command) {
        let _ = self.commands.send(command); // the thread lives as long as we do
        self.wake();
    }

    fn wake(&self) {
        if let Some(thread) = &self.thread {
            thread.thread().unpark();
        }
    }

    fn end(&mut self) {
        self.stopping.store(true, Ordering::Release);
        self.wake();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join(); // a panic there was already reported
        }
    }

    /// The recorder it writes for.
    pub fn recorder(&self) -> &Arc<FallbackRecorder> {
        &self.recorder
    }
}

impl Drop for FallbackWriter {
    fn drop(&mut self) {
        self.end();
    }
}

/// A fallback that workers count.
#[derive(Debug)]
struct Counter {
    tag: u64,
    /// As it was taken down.
    event: FallbackEvent,
    opened: Instant,
    stands_for: Repetition,
}

/// Decision about the repetitions of a fallback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Repetition {
    /// Each has a line of its own.
    Line,
    /// They are folded into the next line.
    Folded,
    /// They are counted with what exceeds the rates.
    Over,
    /// Ledger and metrics alone have them.
    Muted,
}

struct Work<F> {
    recorder: Arc<FallbackRecorder>,
    folding: RepeatFolding,
    settings: FallbackConfig,
    output: FallbackOutput,
    inbox: mpsc::Receiver<Command>,
    stopping: Arc<AtomicBool>,
    rates: LineRates,
    /// Fallbacks that workers count.
    counted: Vec<Counter>,
    /// When counts are to be taken in.
    harvest: Instant,
    dropped: Complaint,
    failed: Complaint,
    burst_is_over: F,
}

impl<F: Fn()> Work<F> {
    fn run(mut self) {
        loop {
            let stopping = self.stopping.load(Ordering::Acquire); // before the queue is emptied: what came earlier is written
            self.drain();
            if stopping || Instant::now() >= self.harvest {
                self.take_counts(stopping);
            }
            self.turn_window(Instant::now(), stopping);
            while let Ok(command) = self.inbox.try_recv() {
                self.obey(command);
            }
            self.complain(stopping);
            (self.burst_is_over)();
            if stopping {
                return;
            }
            self.sleep();
        }
    }

    fn sleep(&self) {
        self.recorder.asleep.store(true, Ordering::SeqCst);
        if self.recorder.queue.is_empty() && !self.stopping.load(Ordering::Acquire) {
            std::thread::park_timeout(NAP);
        }
        self.recorder.asleep.store(false, Ordering::SeqCst);
        let few = self.recorder.queue.len() < self.recorder.queue.capacity() / 4;
        if few && !self.recorder.queue.is_empty() && !self.stopping.load(Ordering::Acquire) {
            std::thread::sleep(GATHER);
        }
    }

    fn drain(&mut self) {
        let mut any = false;
        // No more than a queue full at a time, so that a command is heard under any load.
        for _ in 0..self.recorder.queue.capacity() {
            let Some(slip) = self.recorder.queue.pop() else { break };
            let Some(seen) = &slip.seen else { continue }; // every slip in the queue was written on
            any = true;
            let mut event = FallbackEvent::of(&slip, seen);
            lock(&self.recorder.ledger).see(&event, seen.time, 1);
            lock(&self.recorder.counts).count(&event, seen.time, 1);
            let tag = slip.tag;
            self.recorder.put_back(slip);
            let stands_for = self.give_out(&mut event);
            let is_counted = stands_for != Repetition::Line && self.recorder.again.open(tag);
            if is_counted {
                self.counted.push(Counter { tag, event, opened: Instant::now(), stands_for });
            }
        }
        if any {
            let result = self.output.flush();
            self.check(result);
        }
    }

    /// Shows an event to those who watch, and writes it unless it is muted, folded, or beyond the rates. Returns what becomes of repetitions.
    fn give_out(&mut self, event: &mut FallbackEvent) -> Repetition {
        let folds = self.settings.repeat != RepeatPolicy::All;
        if self.recorder.is_muted(&event.network, &event.name) {
            return Repetition::Muted;
        }
        if self.recorder.live.receiver_count() > 0 {
            let _ = self.recorder.live.send(Arc::new(event.clone())); // the last watcher may be gone by now
        }
        let now = Instant::now();
        self.turn_window(now, false);
        match self.folding.fold(event, now, || self.rates.take(event.client)) {
            FoldedRepeats::Line(folded) => {
                event.folded = folded;
                let result = self.output.write(event);
                self.check(result);
                if folds { Repetition::Folded } else { Repetition::Line }
            }
            FoldedRepeats::Repeated => Repetition::Folded,
            FoldedRepeats::Over => {
                self.rates.count(event, 1);
                Repetition::Over
            }
        }
    }

    /// Writes what had no line in a window that ended.
    fn turn_window(&mut self, now: Instant, must: bool) {
        if let Some(over) = self.rates.turn(now, must) {
            let result = self.output.write_overflow(&over).and_then(|()| self.output.flush());
            self.check(result);
        }
    }

    /// Takes in what workers have counted. Counters that are closed, because nothing came, or long ago, or `all` of them, are opened again
    /// by the next of their kind, which is taken down with who asks and what was said by then.
    fn take_counts(&mut self, all: bool) {
        let since = Instant::now();
        self.harvest = since + COUNT_FOR;
        let now = SystemTime::now();
        let all = all || self.recorder.live.receiver_count() > 0;
        let same_for = match self.settings.repeat {
            RepeatPolicy::Every(period) => SAME_FOR.min(period),
            RepeatPolicy::All | RepeatPolicy::First => SAME_FOR,
        };
        let Self { recorder, folding, rates, .. } = self;
        self.counted.retain(|Counter { tag, event, opened, stands_for }| {
            let mut times = recorder.again.harvest(*tag);
            // The next one may have a line again: in the next second, or when the name is no longer muted.
            let is_short = matches!(stands_for, Repetition::Over | Repetition::Muted);
            let stays = times > 0 && !all && !is_short && since.duration_since(*opened) < same_for;
            if !stays {
                times += recorder.again.close(*tag);
            }
            if times > 0 {
                lock(&recorder.ledger).see(event, now, times);
                lock(&recorder.counts).count(event, now, times);
                match stands_for {
                    Repetition::Over => rates.count(event, times),
                    Repetition::Folded => folding.fold_counted(event, times),
                    Repetition::Muted | Repetition::Line => {}
                }
            }
            stays
        });
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Reopen => match FallbackOutput::open(&self.settings) {
                Ok(output) => self.output = output,
                Err(error) => {
                    tracing::error!(target: "postern::fallback", %error, "cannot reopen the fallback file; keeping the old one")
                }
            },
            Command::Use(settings, output) => {
                self.recorder.folds.store(settings.repeat != RepeatPolicy::All, Ordering::Relaxed);
                self.take_counts(true);
                self.turn_window(Instant::now(), true);
                self.output = output;
                self.rates.set(settings.rate, settings.client_rate);
                if settings.repeat != self.settings.repeat || settings.ledger != self.settings.ledger {
                    self.folding = RepeatFolding::new(settings.repeat, settings.ledger);
                }
                lock(&self.recorder.ledger).bound(settings.ledger);
                self.settings = *settings;
            }
        }
    }

    /// A full disk must not stop the server, and must not go unsaid.
    fn check(&mut self, result: io::Result<()>) {
        if let Err(error) = result {
            self.failed.total += 1;
            self.failed.last = error.to_string();
        }
    }

    fn complain(&mut self, now: bool) {
        self.dropped.total = self.recorder.dropped();
        if let Some(count) = self.dropped.due(now) {
            tracing::warn!(target: "postern::fallback", count, total = self.dropped.total, "fallbacks came faster than they could be written: dropped");
        }
        if let Some(count) = self.failed.due(now) {
            tracing::error!(target: "postern::fallback", count, error = self.failed.last, "cannot write the fallback record");
        }
    }
}

/// Something that goes wrong often is said seldom, with how often it was.
#[derive(Debug, Default)]
struct Complaint {
    total: u64,
    said: u64,
    when: Option<Instant>,
    last: String,
}

impl Complaint {
    /// How many since the last time, if it is time to say so.
    fn due(&mut self, now: bool) -> Option<u64> {
        let quiet = self.when.is_some_and(|when| when.elapsed() < COMPLAIN_EVERY);
        if self.total == self.said || (quiet && !now) {
            return None;
        }
        self.when = Some(Instant::now());
        Some(self.total - std::mem::replace(&mut self.said, self.total))
    }
}
