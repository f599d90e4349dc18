//! Status of the server, readable while a reload is running.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use postern_config::PosternConfig;
use postern_control::Reloads;

use crate::logging::LineQueue;

/// The applied configuration and the results of reloads, for the interfaces.
#[derive(Debug)]
pub struct ReloadStatus {
    config: ArcSwap<PosternConfig>,
    reloads: Mutex<Reloads>,
    is_stopping: AtomicBool,
    lines: LineQueue,
}

impl ReloadStatus {
    /// Creates the status at startup.
    pub fn new(config: &PosternConfig, lines: LineQueue) -> Arc<Self> {
        let now = SystemTime::now();
        let reloads = Reloads { started: now, applied: 0, refused: 0, refusal: None, last_applied: now, took: Duration::ZERO };
        let config = ArcSwap::from_pointee(config.clone());
        Arc::new(Self { config, reloads: Mutex::new(reloads), is_stopping: AtomicBool::new(false), lines })
    }

    /// Stores a newly applied configuration.
    pub fn configured(&self, config: &PosternConfig) {
        self.config.store(Arc::new(config.clone()));
    }

    /// Records the result and duration of a reload.
    pub fn reloaded(&self, refusal: Option<&str>, took: Duration) {
        let mut reloads = self.reloads();
        match refusal {
            None => (reloads.applied, reloads.last_applied) = (reloads.applied + 1, SystemTime::now()),
            Some(_) => reloads.refused += 1,
        }
        (reloads.refusal, reloads.took) = (refusal.map(str::to_owned), took);
    }

    /// Records that a stop was requested.
    pub fn stopping(&self) {
        self.is_stopping.store(true, Ordering::Relaxed);
    }

    /// Returns the results of the reloads so far.
    pub fn reloads(&self) -> MutexGuard<'_, Reloads> {
        self.reloads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the applied configuration.
    pub fn config(&self) -> Arc<PosternConfig> {
        self.config.load_full()
    }

    /// Returns true once a stop was requested.
    pub fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::Relaxed)
    }

    /// Returns the number of log lines that were dropped because the queue was full.
    pub fn log_lines_dropped(&self) -> u64 {
        self.lines.dropped()
    }
}
