//! How the server is: for probes, and for people who wonder.
//!
//! Three questions, three answers. Is it alive (`/health`)? Not where a thread has ended that should run: only a restart mends that. May it
//! be asked (`/ready`)? Not while it stops, nor where a zone has no data at all. Is all as it should be? Not while a source is bad or a
//! reload was rejected; but then the last good data is served, and to take the server out of service for it, with all others that
//! read the same files, would do what a bad file must never do. `/ready?strict` says no there too.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use postern_dns::vital::{LivenessGuard, ThreadLiveness};
use postern_zones::state_directory::StateTrouble;

use crate::Control;

/// Tasks that run for as long as the server does: those that take connections and messages, and that keep transfers.
#[derive(Debug, Default)]
pub struct TaskLiveness(Mutex<Vec<ThreadLiveness>>);

impl TaskLiveness {
    /// One of this name, which takes what is given with it.
    pub fn begin(&self, name: &str) -> LivenessGuard {
        let (vital, alive) = ThreadLiveness::new(name);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(vital);
        alive
    }

    /// Names of those that have ended.
    fn ended(&self) -> Vec<String> {
        let vitals = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        vitals.iter().filter(|vital| !vital.runs()).map(|vital| vital.name.to_string()).collect()
    }
}

/// Problems of the server, one line each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServerHealth {
    /// It should not be asked: it stops, a thread has ended, a zone has no data.
    pub failing: Vec<String>,
    /// It answers all it should, and something is wrong: a source is bad, a reload was rejected.
    pub degraded: Vec<String>,
    /// Threads that ended: the first of `failing`.
    pub ended: usize,
}

impl Control {
    /// How the server is at this moment. It waits for nobody.
    pub fn health(&self) -> ServerHealth {
        let mut health = ServerHealth::default();
        let is_stopping = self.host.is_stopping();
        let vitals = self.gauges.ended().chain(self.recorder.vital().filter(|vital| !vital.runs()));
        let mut ended: Vec<String> = vitals.map(|vital| vital.name.to_string()).collect();
        ended.extend((!self.host.is_watching()).then(|| "watch".into()));
        ended.extend(self.vitals.ended());
        ended.extend(self.feeds.ended());
        if is_stopping {
            health.failing.push("stopping".into()); // threads end by then as they should
        } else {
            health.ended = ended.len();
            health.failing.extend(ended.iter().map(|name| format!("thread {name} has ended")));
        }
        for link in self.state.load().snapshot.hosted() {
            let hosted = &link.hosted;
            health.degraded.extend(hosted.source.unread().iter().map(|path| format!("{}: no zone reads this file", path.display())));
            let state = hosted.source.state();
            health.degraded.extend(state.conflict.as_ref().map(|why| format!("zone {}: {why}", hosted.name)));
            match (hosted.zone(), state.error) {
                (Some(_), None) => {}
                (Some(_), Some((_, why))) => {
                    let age =
                        state.last_success.and_then(|last| last.elapsed().ok()).map_or("of unknown age".into(), |age| rough(age) + " old");
                    let age = format!(" ({age}{})", if state.is_kept { ", kept over a restart" } else { "" });
                    health.degraded.push(format!("zone {}: last good data{age} serves: {why}", hosted.name));
                }
                (None, error) => {
                    let why = error.map(|(_, why)| why).unwrap_or_else(|| "its source was not read yet".into());
                    health.failing.push(format!("zone {} has no data: {why}", hosted.name));
                }
            }
        }
        health.degraded.extend(self.state_troubles());
        health.degraded.extend(self.host.reloads().refusal.map(|why| format!("reload rejected: {why}")));
        health
    }
}

impl Control {
    /// Problems of the state directory: a line for the directory itself, or one for each of the first few files.
    fn state_troubles(&self) -> Vec<String> {
        const MOST: usize = 3;
        let troubles = self.state_directory.troubles();
        if let Some(trouble) = troubles.iter().find(|trouble| trouble.path == self.state_directory.path()) {
            return vec![format!("changes cannot be kept: {}", trouble.why)];
        }
        let line = |trouble: &StateTrouble| format!("{}: {}: {}", trouble.path.display(), trouble.problem, trouble.why);
        let mut lines: Vec<String> = troubles.iter().take(MOST).map(line).collect();
        if troubles.len() > MOST {
            lines.push(format!("{} more files of the state directory have problems", troubles.len() - MOST));
        }
        lines
    }
}

impl ServerHealth {
    /// Everything, the worst first.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.failing.iter().chain(&self.degraded).map(String::as_str)
    }
}

/// A time in its largest unit.
fn rough(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..60 => format!("{seconds} s"),
        seconds @ 60..3600 => format!("{} min", seconds / 60),
        seconds @ 3600..86_400 => format!("{} h", seconds / 3600),
        seconds => format!("{} d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_that_ended_is_named() {
        let vitals = TaskLiveness::default();
        let (api, messages) = (vitals.begin("api 127.0.0.1:8053"), vitals.begin("messages"));
        assert!(vitals.ended().is_empty());
        let panicked = std::thread::spawn(move || {
            let _alive = messages;
            panic!("as a task may");
        });
        assert!(panicked.join().is_err());
        assert_eq!(vitals.ended(), ["messages"]);
        drop(api);
        assert_eq!(vitals.ended().len(), 2);
    }
}
