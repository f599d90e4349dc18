//! Operations of the program that the interfaces use: reload, configuration, status.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use postern_config::Config;
use postern_control::Reloads;
use postern_zones::watch::Watch;

use super::accept::AcceptedLoss;
use super::live::{self, Live};
use crate::logging::LineQueue;

/// Status of the server, readable while a reload is running.
#[derive(Debug)]
pub struct Standing {
    config: ArcSwap<Config>,
    reloads: Mutex<Reloads>,
    is_stopping: AtomicBool,
    lines: LineQueue,
}

/// The program as the interfaces see it. It holds no reference that would delay a stop.
pub struct Host {
    live: Weak<Mutex<Live>>,
    watch: Weak<Watch>,
    standing: Arc<Standing>,
}

impl Standing {
    /// Creates the status at startup.
    pub fn new(config: &Config, lines: LineQueue) -> Arc<Self> {
        let now = SystemTime::now();
        let reloads = Reloads { started: now, applied: 0, refused: 0, refusal: None, last_applied: now, took: Duration::ZERO };
        let config = ArcSwap::from_pointee(config.clone());
        Arc::new(Self { config, reloads: Mutex::new(reloads), is_stopping: AtomicBool::new(false), lines })
    }

    /// Stores a newly applied configuration.
    pub fn configured(&self, config: &Config) {
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

    fn reloads(&self) -> MutexGuard<'_, Reloads> {
        self.reloads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Host {
    /// Creates the host of a running server.
    pub fn new(live: &Arc<Mutex<Live>>, watch: &Arc<Watch>, standing: Arc<Standing>) -> Self {
        Self { live: Arc::downgrade(live), watch: Arc::downgrade(watch), standing }
    }
}

impl postern_control::Host for Host {
    fn reload(&self, accepted: &[String]) -> Result<(), String> {
        let accepted = AcceptedLoss::parse(accepted);
        let ended = || "the server is stopping".to_string();
        let (live, watch) = self.live.upgrade().zip(self.watch.upgrade()).ok_or_else(ended)?;
        watch.with_store(move |store| live::lock(&live).reload(store, &accepted)).ok_or_else(ended)?
    }

    fn config(&self) -> Arc<Config> {
        self.standing.config.load_full()
    }

    fn reloads(&self) -> Reloads {
        self.standing.reloads().clone()
    }

    fn is_stopping(&self) -> bool {
        self.standing.is_stopping.load(Ordering::Relaxed)
    }

    fn is_watching(&self) -> bool {
        self.watch.upgrade().is_some_and(|watch| watch.is_running())
    }

    fn log_lines_dropped(&self) -> u64 {
        self.standing.lines.dropped()
    }
}
