//! Log lines on their way to standard error. A separate thread writes them, so that a stalled
//! reader blocks no other thread.
//!
//! `tracing-appender` is not used, because its bound counts messages instead of bytes, and a burst
//! is one message here.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::mem;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

/// Lines that wait to be written. Fallback events arrive in bursts and are held until the burst
/// ends, because a system call per line costs as much as formatting it. Any other line is written
/// together with them, which preserves the order.
#[derive(Debug, Clone)]
pub struct LineQueue(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    /// Wakes the writer.
    due: Condvar,
    /// Wakes a thread that waits in [`LineQueue::flush`].
    idle: Condvar,
    dropped: AtomicU64,
}

#[derive(Debug, Default)]
struct Waiting {
    lines: Vec<u8>,
    /// Set if the writer must not wait for the end of a burst.
    is_due: bool,
    /// Set while the writer is writing lines.
    is_writing: bool,
    /// Number of dropped lines that the log has not reported yet.
    unreported: u64,
}

/// Maximum number of waiting bytes: seconds of a busy log in little memory.
const ROOM: usize = 4 << 20;
/// Bytes of it that a burst may use. The rest is reserved for lines that explain events.
const BURST_ROOM: usize = 3 << 20;
/// Approximate size of the pieces in which a burst is written, in bytes.
const BURST: usize = 32 << 10;
/// Capacity in bytes above which a buffer is freed after use.
const KEPT: usize = 128 << 10;
/// Pause before the next attempt if standard error is non-blocking and full.
const PAUSE: Duration = Duration::from_millis(10);

impl LineQueue {
    /// Starts the writer on standard error.
    pub fn start() -> io::Result<Self> {
        // `io::stderr()` is not used, because its lock would be held while the reader is stalled,
        // and a panic needs it as well.
        Self::start_on(File::from(io::stderr().as_fd().try_clone_to_owned()?))
    }

    fn start_on(out: File) -> io::Result<Self> {
        let queue = Self(Arc::default());
        let of_writer = queue.clone();
        std::thread::Builder::new().name("log".into()).spawn(move || of_writer.write_for_ever(&out))?;
        Ok(queue)
    }

    /// Writes a burst that was held back.
    pub fn release(&self) {
        let mut waiting = self.waiting();
        if !waiting.lines.is_empty() {
            waiting.is_due = true;
            self.0.due.notify_one();
        }
    }

    /// Writes text outside of events, as whole lines.
    pub fn print(&self, text: &str) {
        self.enqueue(text.as_bytes(), false);
    }

    /// Waits until all lines are written, for at most `patience`. Returns `false` if lines remain.
    pub fn flush(&self, patience: Duration) -> bool {
        self.release();
        let is_left = |waiting: &mut Waiting| waiting.is_writing || !waiting.lines.is_empty();
        let waited = self.0.idle.wait_timeout_while(self.waiting(), patience, is_left);
        let (_guard, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        !timeout.timed_out()
    }

    /// Returns the number of lines that could not be written to standard error.
    pub fn dropped(&self) -> u64 {
        self.0.dropped.load(Ordering::Relaxed)
    }

    fn enqueue(&self, text: &[u8], is_of_burst: bool) {
        if text.is_empty() {
            return;
        }
        let mut waiting = self.waiting();
        if waiting.lines.len() + text.len() > if is_of_burst { BURST_ROOM } else { ROOM } {
            let lines = count_lines(text);
            waiting.unreported += lines;
            self.0.dropped.fetch_add(lines, Ordering::Relaxed);
            return;
        }
        waiting.lines.extend_from_slice(text);
        if !is_of_burst || waiting.lines.len() > BURST {
            waiting.is_due = true;
            self.0.due.notify_one();
        }
    }

    fn write_for_ever(&self, mut out: &File) {
        let mut batch = Vec::new();
        loop {
            let unreported = self.next_batch(&mut batch);
            self.write_batch(&mut out, &batch);
            batch.clear();
            batch.shrink_to(KEPT);
            if unreported > 0 {
                tracing::warn!(target: "postern", lines = unreported, "log lines were dropped because standard error was not read");
            }
        }
    }

    /// Waits for lines and swaps them into `batch`. Returns the number of lines dropped meanwhile.
    fn next_batch(&self, batch: &mut Vec<u8>) -> u64 {
        let mut waiting = self.waiting();
        waiting.is_writing = false;
        if waiting.lines.is_empty() {
            self.0.idle.notify_all();
        }
        let mut waiting = self.0.due.wait_while(waiting, |waiting| !waiting.is_due).unwrap_or_else(PoisonError::into_inner);
        mem::swap(batch, &mut waiting.lines);
        (waiting.is_due, waiting.is_writing) = (false, true);
        mem::take(&mut waiting.unreported)
    }

    fn write_batch(&self, out: &mut impl Write, mut batch: &[u8]) {
        while !batch.is_empty() {
            match out.write(batch) {
                Ok(written) if written > 0 => batch = &batch[written..],
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::sleep(PAUSE),
                // Standard error is closed. A line that reports it would be lost as well, so the
                // lines are only counted.
                Ok(_) | Err(_) => {
                    self.0.dropped.fetch_add(count_lines(batch), Ordering::Relaxed);
                    return;
                }
            }
        }
    }

    /// Locks the queue. A panic under the lock leaves at most a partial line.
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn count_lines(text: &[u8]) -> u64 {
    text.iter().filter(|octet| **octet == b'\n').count() as u64
}

/// Writes one line into the queue.
pub struct LineWriter<'q> {
    queue: &'q LineQueue,
    is_of_burst: bool,
}

impl<'q> MakeWriter<'q> for LineQueue {
    type Writer = LineWriter<'q>;

    fn make_writer(&'q self) -> LineWriter<'q> {
        LineWriter { queue: self, is_of_burst: false }
    }

    fn make_writer_for(&'q self, line: &tracing::Metadata<'_>) -> LineWriter<'q> {
        LineWriter { queue: self, is_of_burst: line.target() == "postern::fallback" }
    }
}

impl Write for LineWriter<'_> {
    /// The subscriber writes each line with one call.
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.queue.enqueue(text, self.is_of_burst);
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::sync::mpsc;

    use tracing_subscriber::fmt;
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);

    #[test]
    fn lines_of_a_burst_wait_for_its_end_or_for_another_line() {
        let queue = LineQueue(Arc::default()); // without a writer, all lines stay in the queue
        let inside = tracing_subscriber::registry().with(fmt::layer().with_writer(queue.clone()).with_ansi(false).without_time());
        let held = || {
            let mut waiting = queue.waiting();
            (String::from_utf8(waiting.lines.clone()).unwrap(), mem::take(&mut waiting.is_due))
        };
        tracing::subscriber::with_default(inside, || {
            tracing::warn!(target: "postern::fallback", "one");
            tracing::warn!(target: "postern::fallback", "two");
            let burst = " WARN postern::fallback: one\n WARN postern::fallback: two\n";
            assert_eq!(held(), (burst.into(), false));
            tracing::info!(target: "postern", "another, in its order");
            assert_eq!(held(), (format!("{burst} INFO postern: another, in its order\n"), true));
            queue.release();
            assert!(held().1);
        });
    }

    #[test]
    fn a_pipe_that_nobody_reads_makes_no_line_wait_and_every_lost_line_is_counted() {
        let (mut reading, writing) = io::pipe().unwrap();
        let queue = LineQueue::start_on(File::from(std::os::fd::OwnedFd::from(writing))).unwrap();
        let line = format!("{}\n", "x".repeat(999));
        const LINES: u64 = 20_000;
        for _ in 0..LINES {
            queue.enqueue(line.as_bytes(), true);
        }
        queue.print("the line that explains it\n");
        assert!(!queue.flush(Duration::from_millis(1)), "nobody reads");
        let (done, read) = mpsc::channel();
        std::thread::spawn(move || {
            let (mut text, mut part) = (Vec::new(), [0; 64 << 10]);
            while !text.ends_with(b"the line that explains it\n") {
                let length = reading.read(&mut part).unwrap();
                text.extend_from_slice(&part[..length]);
            }
            done.send(text).unwrap();
        });
        assert!(queue.flush(PATIENCE), "somebody reads again");
        let text = read.recv_timeout(PATIENCE).unwrap();
        let whole = text.chunks(1000).filter(|chunk| *chunk == line.as_bytes()).count() as u64;
        assert_eq!(whole + queue.dropped(), LINES);
        assert!(queue.dropped() > LINES / 2, "{}", queue.dropped());
    }

    #[test]
    fn lines_to_a_pipe_without_a_reader_are_counted() {
        let (reading, writing) = io::pipe().unwrap();
        let queue = LineQueue::start_on(File::from(std::os::fd::OwnedFd::from(writing))).unwrap();
        drop(reading);
        queue.print("one\ntwo\n");
        assert!(queue.flush(PATIENCE));
        assert_eq!(queue.dropped(), 2);
    }
}
