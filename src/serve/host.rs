//! What interfaces may ask of the program: a reload, the configuration, how it is doing.

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

/// How the server is doing, for those who must not wait for a reload to end.
#[derive(Debug)]
pub struct Standing {
    config: ArcSwap<Config>,
    reloads: Mutex<Reloads>,
    is_stopping: AtomicBool,
    lines: LineQueue,
}

/// The program as interfaces see it. It holds nothing that a stop waits for.
pub struct Host {
    live: Weak<Mutex<Live>>,
    watch: Weak<Watch>,
    standing: Arc<Standing>,
}

impl Standing {
    /// At the start.
    pub fn new(config: &Config, lines: LineQueue) -> Arc<Self> {
        let now = SystemTime::now();
        let reloads = Reloads { started: now, applied: 0, refused: 0, refusal: None, last_applied: now, took: Duration::ZERO };
        let config = ArcSwap::from_pointee(config.clone());
        Arc::new(Self { config, reloads: Mutex::new(reloads), is_stopping: AtomicBool::new(false), lines })
    }

    /// Another configuration is applied.
    pub fn configured(&self, config: &Config) {
        self.config.store(Arc::new(config.clone()));
    }

    /// A reload ended, after so long.
    pub fn reloaded(&self, refusal: Option<&str>, took: Duration) {
        let mut reloads = self.reloads();
        match refusal {
            None => (reloads.applied, reloads.last_applied) = (reloads.applied + 1, SystemTime::now()),
            Some(_) => reloads.refused += 1,
        }
        (reloads.refusal, reloads.took) = (refusal.map(str::to_owned), took);
    }

    /// A stop was asked for.
    pub fn stopping(&self) {
        self.is_stopping.store(true, Ordering::Relaxed);
    }

    fn reloads(&self) -> MutexGuard<'_, Reloads> {
        self.reloads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Host {
    /// The program that serves.
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
