//! What interfaces may ask of the program: a reload, the configuration, how it is doing.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use arc_swap::ArcSwap;
use config::Config;
use zones::watch::Watch;

use super::live::{self, Live};

/// How the server is doing, for those who must not wait for a reload to end.
#[derive(Debug)]
pub struct Standing {
    config: ArcSwap<Config>,
    ailments: Mutex<Vec<String>>,
}

/// The program as interfaces see it. It holds nothing that a stop waits for.
pub struct Host {
    live: Weak<Mutex<Live>>,
    watch: Weak<Watch>,
    standing: Arc<Standing>,
}

impl Standing {
    /// At the start.
    pub fn new(config: &Config) -> Arc<Self> {
        Arc::new(Self { config: ArcSwap::from_pointee(config.clone()), ailments: Mutex::default() })
    }

    /// Another configuration is applied.
    pub fn configured(&self, config: &Config) {
        self.config.store(Arc::new(config.clone()));
    }

    /// What is not as it should be.
    pub fn ails(&self, ailments: Vec<String>) {
        *self.ailments.lock().unwrap_or_else(PoisonError::into_inner) = ailments;
    }
}

impl Host {
    /// The program that serves.
    pub fn new(live: &Arc<Mutex<Live>>, watch: &Arc<Watch>, standing: Arc<Standing>) -> Self {
        Self { live: Arc::downgrade(live), watch: Arc::downgrade(watch), standing }
    }
}

impl control::Host for Host {
    fn reload(&self) -> Result<(), String> {
        let ended = || "the server is stopping".to_string();
        let (live, watch) = self.live.upgrade().zip(self.watch.upgrade()).ok_or_else(ended)?;
        watch.with_store(move |store| live::lock(&live).reload(store)).ok_or_else(ended)?
    }

    fn config(&self) -> Arc<Config> {
        self.standing.config.load_full()
    }

    fn ailments(&self) -> Vec<String> {
        self.standing.ailments.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
