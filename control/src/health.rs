//! How the server is: for probes, and for people who wonder.
//!
//! Three questions, three answers. Is it alive (`/health`)? Not where a thread has ended that should run: only a restart mends that. May it
//! be asked (`/ready`)? Not while it stops, nor where a zone has no data at all. Is all as it should be? Not while a source is bad or a
//! reload was refused; but then the last good data goes on serving, and to take the server out of service for it, with all others that
//! read the same files, would do what a bad file must never do. `/ready?strict` says no there too.

use crate::Control;

/// What is not as it should be, one line each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Health {
    /// It should not be asked: it stops, a thread has ended, a zone has no data.
    pub failing: Vec<String>,
    /// It answers all it should, and something is wrong: a source is bad, a reload was refused.
    pub degraded: Vec<String>,
    /// Threads that ended: the first of `failing`.
    pub ended: usize,
}

impl Control {
    /// How the server is at this moment. It waits for nobody.
    pub fn health(&self) -> Health {
        let mut health = Health::default();
        let is_stopping = self.host.is_stopping();
        let vitals = self.gauges.ended().chain(self.recorder.vital().filter(|vital| !vital.runs()));
        let mut ended: Vec<String> = vitals.map(|vital| vital.name.to_string()).collect();
        ended.extend((!self.host.is_watching()).then(|| "watch".into()));
        if is_stopping {
            health.failing.push("stopping".into()); // threads end by then as they should
        } else {
            health.ended = ended.len();
            health.failing.extend(ended.iter().map(|name| format!("thread {name} has ended")));
        }
        for link in self.state.load().snapshot.hosted() {
            let hosted = &link.hosted;
            let error = hosted.source.state().error.map(|(_, why)| why);
            match (hosted.zone(), error) {
                (Some(_), None) => {}
                (Some(_), Some(why)) => health.degraded.push(format!("zone {}: last good data serves: {why}", hosted.name)),
                (None, why) => {
                    let why = why.unwrap_or_else(|| "its source was not read yet".into());
                    health.failing.push(format!("zone {} has no data: {why}", hosted.name));
                }
            }
        }
        health.degraded.extend(self.host.reloads().refusal.map(|why| format!("reload refused: {why}")));
        health
    }
}

impl Health {
    /// Everything, the worst first.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.failing.iter().chain(&self.degraded).map(String::as_str)
    }
}
