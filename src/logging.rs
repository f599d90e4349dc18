//! The operational log: lines for people or JSON, on standard error.

use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use config::model::{Log, LogFormat};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt, reload};

/// Replaces `log.level`, for this run.
pub const VARIABLE: &str = "POSTERN_LOG";

/// The log, once started: its level can be changed while it runs.
#[derive(Debug)]
pub struct Logging {
    filter: reload::Handle<EnvFilter, Registry>,
    /// Level and format as last configured.
    log: Log,
    lines: Lines,
}

impl Logging {
    /// Starts the log of the process. Once only.
    pub fn start(log: &Log) -> Result<Self, String> {
        let (filter, handle) = reload::Layer::new(filter(log)?);
        let held = Lines::default();
        let lines = fmt::layer().with_writer(held.clone()).with_ansi(io::stderr().is_terminal());
        // The journal has a clock of its own.
        let in_journal = std::env::var_os("JOURNAL_STREAM").is_some();
        let lines: Box<dyn Layer<_> + Send + Sync> = match (log.format, in_journal) {
            (LogFormat::Text, false) => Box::new(lines),
            (LogFormat::Text, true) => Box::new(lines.without_time()),
            (LogFormat::Json, _) => Box::new(lines.json().flatten_event(true)),
        };
        let started = tracing_subscriber::registry().with(filter).with(lines).try_init();
        started.map_err(|error| format!("error: cannot start the log: {error}"))?;
        Ok(Self { filter: handle, log: log.clone(), lines: held })
    }

    /// Where its lines go.
    pub fn lines(&self) -> Lines {
        self.lines.clone()
    }

    /// Goes on with another level. The format stays, which is what the message says then.
    pub fn reconfigure(&mut self, log: &Log) -> Result<(), String> {
        if log.level != self.log.level {
            let filter = filter(log)?;
            self.filter.reload(filter).map_err(|error| format!("cannot change the log level: {error}"))?;
            self.log.level = log.level.clone();
        }
        Ok(())
    }
}

/// Lines on their way to standard error. Those of the fallback record come in bursts and are held back until one is over, since a system
/// call a line costs as much as wording it; any other line takes them with it, so that the order stays.
#[derive(Debug, Clone, Default)]
pub struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    const MOST: usize = 32 << 10;

    /// Writes what is held back.
    pub fn release(&self) {
        write_out(&mut self.held());
    }

    /// A panic while it was held leaves a part of a line at most.
    fn held(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Nobody can be told that standard error is gone.
fn write_out(held: &mut Vec<u8>) {
    let _ = io::stderr().write_all(held);
    held.clear();
}

/// One line.
pub struct Line<'l> {
    held: MutexGuard<'l, Vec<u8>>,
    is_of_burst: bool,
}

impl<'l> MakeWriter<'l> for Lines {
    type Writer = Line<'l>;

    fn make_writer(&'l self) -> Line<'l> {
        Line { held: self.held(), is_of_burst: false }
    }

    fn make_writer_for(&'l self, line: &tracing::Metadata<'_>) -> Line<'l> {
        Line { held: self.held(), is_of_burst: line.target() == "postern::fallback" }
    }
}

impl Write for Line<'_> {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.held.extend_from_slice(text);
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        if !self.is_of_burst || self.held.len() > Lines::MOST {
            write_out(&mut self.held);
        }
    }
}

/// The level, or what the environment says in its place. The watchers of files stay at info: a log in a watched directory would be a
/// change of it with each line. The vocabulary's own crates are silent unless they are named: their lines speak
/// of packets from strangers, and nobody bounds them.
fn filter(log: &Log) -> Result<EnvFilter, String> {
    const SILENT: &str = "hickory_proto=off,hickory_net=off,hickory_server=off,hickory_resolver=off,notify=info,mio=info,inotify=info";
    let (level, whose) = match std::env::var(VARIABLE) {
        Ok(level) if !level.is_empty() => (level, VARIABLE),
        _ => (log.level.clone(), "log.level"),
    };
    EnvFilter::builder().parse(format!("{SILENT},{level}")).map_err(|error| format!("error: {whose} = \"{level}\": {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_a_burst_wait_for_its_end_or_for_another_line() {
        let lines = Lines::default();
        let inside = tracing_subscriber::registry().with(fmt::layer().with_writer(lines.clone()).with_ansi(false).without_time());
        let held = || String::from_utf8(lines.held().clone()).unwrap();
        tracing::subscriber::with_default(inside, || {
            tracing::warn!(target: "postern::fallback", "one");
            tracing::warn!(target: "postern::fallback", "two");
            assert_eq!(held(), " WARN postern::fallback: one\n WARN postern::fallback: two\n");
            tracing::info!(target: "postern", "another, in its order");
            assert_eq!(held(), "");
            tracing::warn!(target: "postern::fallback", "three");
            lines.release();
            assert_eq!(held(), "");
        });
    }

    #[test]
    fn a_level_is_a_word_or_a_filter() {
        let filter = |level: &str| filter(&Log { level: level.into(), format: LogFormat::Text });
        for level in ["info", "warn,postern_dns=debug", "hickory_proto=trace,info"] {
            assert!(filter(level).is_ok(), "{level}");
        }
        let message = filter("info,postern=loud").unwrap_err();
        assert!(message.starts_with("error: log.level = \"info,postern=loud\": "), "{message}");
        let trace = filter("trace").unwrap().to_string();
        assert!(trace.contains("notify=info") && trace.contains("mio=info"), "{trace}");
        assert!(filter("hickory_proto=trace,info").unwrap().to_string().contains("hickory_proto=trace"), "what is named is heard");
    }
}
