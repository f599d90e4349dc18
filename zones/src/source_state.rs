//! States of sources, as the store reports them to other threads.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

/// How a zone's source is doing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SourceState {
    /// When the source was last found to be good.
    pub last_success: Option<SystemTime>,
    /// Time and description of the problem. `None` if the source is good.
    pub error: Option<(SystemTime, String)>,
    /// When what it serves was last changed in the source.
    pub changed: Option<SystemTime>,
    /// Networks that the zone is left out of, and why. `None` if it is served in all of its networks.
    pub conflict: Option<String>,
    /// True if the source is bad only because it would lose too much: the operator can accept it.
    pub is_held: bool,
    /// True if what it serves is that of an earlier run, because the source is bad since the start.
    pub is_kept: bool,
}

/// A [`SourceState`] as others see it while the store is at work: a zone that is being read keeps nobody waiting.
#[derive(Debug, Default)]
pub struct Shown {
    state: Mutex<SourceState>,
    journal: AtomicU64,
    unread: Mutex<Arc<[PathBuf]>>,
}

impl Shown {
    /// How the source is doing.
    pub fn state(&self) -> SourceState {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Octets of its journal; 0: it has none.
    pub fn journal(&self) -> u64 {
        self.journal.load(Relaxed)
    }

    /// Files of its directory that no zone reads. Of several zones with one directory the first has them.
    pub fn unread(&self) -> Arc<[PathBuf]> {
        self.unread.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn show_unread(&self, files: Arc<[PathBuf]>) {
        *self.unread.lock().unwrap_or_else(PoisonError::into_inner) = files;
    }

    pub(crate) fn show(&self, state: &SourceState) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone_from(state);
    }

    pub(crate) fn show_journal(&self, octets: u64) {
        self.journal.store(octets, Relaxed);
    }
}

impl SourceState {
    /// Returns true if the source is good.
    pub fn is_good(&self) -> bool {
        self.error.is_none()
    }

    /// Age of the data: time since the source was last changed.
    pub fn age(&self, now: SystemTime) -> Option<Duration> {
        now.duration_since(self.changed?).ok()
    }
}
