//! Whether threads and tasks still run: one that ended by a panic says nothing by itself.

use std::sync::{Arc, Weak};

/// Kept by whoever wants to know.
#[derive(Debug, Clone)]
pub struct ThreadLiveness {
    /// The thread's name.
    pub name: Arc<str>,
    alive: Weak<()>,
}

/// Kept by the thread, for as long as it runs.
#[derive(Debug)]
pub struct LivenessGuard(#[allow(dead_code)] Arc<()>); // only ever dropped

impl ThreadLiveness {
    /// For a thread of this name, which takes the other half with it.
    pub fn new(name: &str) -> (Self, LivenessGuard) {
        let alive = Arc::new(());
        (Self { name: name.into(), alive: Arc::downgrade(&alive) }, LivenessGuard(alive))
    }

    /// True while it runs.
    pub fn runs(&self) -> bool {
        self.alive.strong_count() > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_panics_is_seen_to_have_ended() {
        let (vital, alive) = ThreadLiveness::new("worker");
        let (go, wait) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || {
            let _alive = alive;
            wait.recv().expect("somebody says go");
        });
        assert!(vital.runs());
        drop(go);
        assert!(thread.join().is_err());
        assert!(!vital.runs());
    }
}
