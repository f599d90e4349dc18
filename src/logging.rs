//! The operational log on standard error, as text or JSON.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::{self, IsTerminal};
use std::panic::PanicHookInfo;

use postern_config::model::{LogConfig, LogFormat};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt, reload};

mod queue;

pub use queue::LineQueue;

/// Environment variable that replaces `log.level` for this run.
pub const VARIABLE: &str = "POSTERN_LOG";

/// The log of the process. Its level can be changed at any time.
#[derive(Debug)]
pub struct ProcessLog {
    filter: reload::Handle<EnvFilter, Registry>,
    /// Level and format of the last applied configuration.
    log: LogConfig,
    lines: LineQueue,
}

impl ProcessLog {
    /// Starts the log of the process, which writes its lines into `queue`. It can be started only
    /// once.
    pub fn start(log: &LogConfig, queue: LineQueue) -> Result<Self, String> {
        let (filter, handle) = reload::Layer::new(filter(log)?);
        let lines = fmt::layer().with_writer(queue.clone()).with_ansi(io::stderr().is_terminal());
        // The journal adds its own timestamps.
        let in_journal = std::env::var_os("JOURNAL_STREAM").is_some();
        let lines: Box<dyn Layer<_> + Send + Sync> = match (log.format, in_journal) {
            (LogFormat::Text, false) => Box::new(lines),
            (LogFormat::Text, true) => Box::new(lines.without_time()),
            (LogFormat::Json, _) => Box::new(lines.json().flatten_event(true)),
        };
        let started = tracing_subscriber::registry().with(filter).with(lines).try_init();
        started.map_err(|error| format!("error: cannot start the log: {error}"))?;
        // The default hook would wait for the reader of standard error.
        std::panic::set_hook(Box::new(log_panic));
        Ok(Self { filter: handle, log: log.clone(), lines: queue })
    }

    /// Returns the queue of the lines.
    pub fn lines(&self) -> LineQueue {
        self.lines.clone()
    }

    /// Changes the level. The format stays until a restart.
    pub fn reconfigure(&mut self, log: &LogConfig) -> Result<(), String> {
        if log.level != self.log.level {
            let filter = filter(log)?;
            self.filter.reload(filter).map_err(|error| format!("cannot change the log level: {error}"))?;
            self.log.level = log.level.clone();
        }
        Ok(())
    }
}

/// Logs a panic: message, position, and the backtrace if `RUST_BACKTRACE` requests one.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let why = panic.payload_as_str().unwrap_or("no message");
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    let thread = std::thread::current().name().unwrap_or("unnamed").to_owned();
    let backtrace = Backtrace::capture();
    match backtrace.status() {
        BacktraceStatus::Captured => tracing::error!(target: "postern", thread, "panicked at {place}: {why}\n{backtrace}"),
        _ => tracing::error!(target: "postern", thread, "panicked at {place}: {why}"),
    }
}

/// Returns the filter from the configuration or the environment. File watchers stay at level info,
/// because a log file in a watched directory would trigger an event with each line. The crates of
/// the DNS library are silent unless they are named, because clients could fill the log through
/// them.
fn filter(log: &LogConfig) -> Result<EnvFilter, String> {
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
    fn a_level_is_a_word_or_a_filter() {
        let filter = |level: &str| filter(&LogConfig { level: level.into(), format: LogFormat::Text });
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
