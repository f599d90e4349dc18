//! Operations of the program that the interfaces use: reload, configuration, status.

use std::sync::{Arc, Mutex, Weak};

use postern_config::PosternConfig;
use postern_control::Reloads;
use postern_zones::watch::Watch;

use super::accept::AcceptedLoss;
use super::live::{self, RunningServer};
use super::reload_status::ReloadStatus;

/// The program as the interfaces see it. It holds no reference that would delay a stop.
pub struct ServerHost {
    live: Weak<Mutex<RunningServer>>,
    watch: Weak<Watch>,
    standing: Arc<ReloadStatus>,
}

impl ServerHost {
    /// Creates the host of a running server.
    pub fn new(live: &Arc<Mutex<RunningServer>>, watch: &Arc<Watch>, standing: Arc<ReloadStatus>) -> Self {
        Self { live: Arc::downgrade(live), watch: Arc::downgrade(watch), standing }
    }
}

impl postern_control::Host for ServerHost {
    fn reload(&self, accepted: &[String]) -> Result<(), String> {
        let accepted = AcceptedLoss::parse(accepted);
        let ended = || "the server is stopping".to_string();
        let (live, watch) = self.live.upgrade().zip(self.watch.upgrade()).ok_or_else(ended)?;
        watch.with_store(move |store| live::lock(&live).reload(store, &accepted)).ok_or_else(ended)?
    }

    fn config(&self) -> Arc<PosternConfig> {
        self.standing.config()
    }

    fn reloads(&self) -> Reloads {
        self.standing.reloads().clone()
    }

    fn is_stopping(&self) -> bool {
        self.standing.is_stopping()
    }

    fn is_watching(&self) -> bool {
        self.watch.upgrade().is_some_and(|watch| watch.is_running())
    }

    fn log_lines_dropped(&self) -> u64 {
        self.standing.log_lines_dropped()
    }
}
