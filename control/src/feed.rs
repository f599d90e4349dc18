//! Feeds: tasks that keep zones as another system has them.
//!
//! Each zone with a feed has a task. It hands in what it finds as edits, which are checked, journaled, served and audited as all others.
//! [`Feeds`] starts and ends the tasks as the configuration says.

use std::any::Any;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use postern_config::PosternConfig;
use postern_config::model::{self, FeedKind, NetworkLinks};
use postern_zones::edit::ZoneRef;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use crate::Control;
use crate::tsig::TsigKey;

/// How often the configuration is compared with the tasks.
const LOOK: Duration = Duration::from_millis(100);

/// A zone of the configuration that a feed keeps.
pub trait ZoneFeed: Any + Send + Sync {
    /// Returns the kind of feed.
    fn kind(&self) -> &'static FeedKind;

    /// Returns the zone as edits name it.
    fn zone(&self) -> &ZoneRef;

    /// Returns true if `other` keeps the same zone in the same way. Its task then goes on after a reload.
    fn is_same(&self, other: &dyn ZoneFeed) -> bool;

    /// Keeps the zone as the other system has it, through [`Control::ask`], until the future is dropped. `wake` asks it to look at once.
    fn run(self: Arc<Self>, control: Arc<Control>, wake: Arc<Notify>) -> Pin<Box<dyn Future<Output = ()> + Send>>;

    /// Returns true if a NOTIFY (RFC 1996) for the zone with this apex wakes the feed.
    fn heeds(&self, _apex: &[u8], _client: IpAddr, _keys: &[Arc<TsigKey>]) -> bool {
        false
    }
}

/// Makes the feed of a zone. Returns `None` if the zone has no feed of this kind.
pub type NewFeed = fn(&model::ZoneConfig, &PosternConfig) -> Option<Arc<dyn ZoneFeed>>;

/// All feeds of the configuration with their tasks.
pub struct Feeds {
    kinds: &'static [NewFeed],
    running: Mutex<Vec<RunningFeed>>,
}

struct RunningFeed {
    feed: Arc<dyn ZoneFeed>,
    wake: Arc<Notify>,
    task: AbortHandle,
}

impl Feeds {
    /// Creates the set without tasks. `kinds` has a function for each kind of feed.
    pub fn new(kinds: &'static [NewFeed]) -> Arc<Self> {
        Arc::new(Self { kinds, running: Mutex::default() })
    }

    /// Keeps the tasks as the configuration says, until the future is dropped.
    pub async fn run(self: Arc<Self>, control: Arc<Control>) {
        let mut config: Option<Arc<PosternConfig>> = None;
        let mut tick = tokio::time::interval(LOOK);
        loop {
            tick.tick().await;
            let now = control.host.config();
            if !config.as_ref().is_some_and(|before| Arc::ptr_eq(before, &now)) {
                self.reconcile(&now, &control);
                config = Some(now);
            }
        }
    }

    /// Returns the feeds whose task has ended, which none should.
    pub fn ended(&self) -> Vec<String> {
        let ended = |running: &&RunningFeed| running.task.is_finished();
        self.lock().iter().filter(ended).map(|running| format!("{} {}", running.feed.kind().word, running.feed.zone())).collect()
    }

    /// Wakes the feed of the zone with this name and these networks. Returns false if the zone has no feed.
    pub fn retrieve(&self, name: &str, networks: &NetworkLinks) -> bool {
        self.wake(|feed| feed.zone().means(name, networks))
    }

    /// Takes a NOTIFY. Returns true if a feed heeds it.
    pub fn notified(&self, apex: &[u8], client: IpAddr, keys: &[Arc<TsigKey>]) -> bool {
        self.wake(|feed| feed.heeds(apex, client, keys))
    }

    fn wake(&self, is_meant: impl Fn(&dyn ZoneFeed) -> bool) -> bool {
        let running = self.lock();
        let meant = running.iter().filter(|running| is_meant(&*running.feed));
        meant.map(|running| running.wake.notify_one()).count() > 0
    }

    /// Ends the tasks of feeds that are gone or changed, and starts those of new feeds.
    fn reconcile(&self, config: &PosternConfig, control: &Arc<Control>) {
        let feed_of = |zone: &model::ZoneConfig| self.kinds.iter().find_map(|kind| kind(zone, config));
        let wanted: Vec<Arc<dyn ZoneFeed>> = config.zones.iter().filter_map(feed_of).collect();
        let mut running = self.lock();
        running.retain(|running| {
            let stays = wanted.iter().any(|wanted| wanted.is_same(&*running.feed));
            if !stays {
                running.task.abort();
            }
            stays
        });
        for feed in wanted {
            if running.iter().any(|running| running.feed.is_same(&*feed)) {
                continue;
            }
            let wake = Arc::new(Notify::new());
            let task = tokio::spawn(feed.clone().run(control.clone(), wake.clone())).abort_handle();
            running.push(RunningFeed { feed, wake, task });
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<RunningFeed>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Feeds {
    fn drop(&mut self) {
        self.lock().iter().for_each(|running| running.task.abort());
    }
}
