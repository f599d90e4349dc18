//! A thread that owns the store and looks at the sources when something happened, and now and then in any case.
//!
//! ```text
//! notify (directories) ─┐ "something happened"
//! poll timer ───────────┼──▶ thread: Store::look_again ─▶ callback: snapshot, report
//! look now, SIGHUP ─────┘        ▲ again, while a file is still being written
//! ```
//! Events only say that it is time to look: what changed, the store finds by itself. So a lost event costs a poll interval, never data,
//! and nothing grows with the number of events. Watched are directories, never files: a file watch ends with the first rename. Links on
//! the way are watched where they stand, which is how a Kubernetes ConfigMap is swapped.

use std::collections::{HashMap, HashSet, VecDeque};
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use notify::event::{AccessKind, AccessMode, ModifyKind};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use postern_config::WatchedFile;

use crate::edit::{EditQueue, Refusal, ZoneEditor};
use crate::snapshot::Snapshot;
use crate::source::{FileLook, OpenWriters, SettledContent, SourceFile};
use crate::store::{Committed, LONGEST_WRITE, LookMode, LookReport, Store, UNFINISHED};

/// Least time between looks, however many events come; more where a look takes long: a tenth of a core at most.
const LEAST: Duration = Duration::from_millis(5);
const SHARE: u32 = 10;
/// Files that are being written are waited for so many settle times before the others are read without them.
const PATIENCE: u32 = 10;
/// A file of the configuration that was written over with less than it had must stand still for so long: a program that opens and closes
/// it for each piece leaves a good one without the zones that are still to come.
const REWRITE: Duration = Duration::from_secs(2);
/// How soon old snapshots that were still held are tried again.
const OLD: Duration = Duration::from_secs(1);
/// Links followed on one path (as the kernel: 40).
const MOST_LINKS: usize = 40;
/// Commands that may wait for the thread.
const COMMANDS: usize = 16;

/// Event of the watch.
#[derive(Debug)]
pub enum WatchEvent {
    /// A look found something: a new snapshot where [`LookReport::is_new`], and what to log.
    Looked(Arc<Snapshot>, LookReport),
    /// An API changed zones: a new snapshot, and what changed. Who asked is told once this was handled.
    Edited(Arc<Snapshot>, LookReport),
    /// Files that are watched beside the sources have other content.
    Files(Vec<PathBuf>),
}

/// The watching thread. Dropped, it stops.
#[derive(Debug)]
pub struct Watch {
    sender: SyncSender<WatchMessage>,
    waiting: Arc<EditQueue>,
    thread: Option<JoinHandle<()>>,
}

/// Called on the watching thread; it may use the store, for a new configuration.
pub type WatchCallback = Box<dyn FnMut(&mut Store, WatchEvent) + Send>;

/// Message that wakes the thread.
pub(crate) enum WatchMessage {
    /// An event came; one such message waits at most.
    Happened,
    /// Edits wait.
    Edits,
    Do(Box<dyn FnOnce(&mut WatchLoop) + Send>),
    Stop,
}

impl Watch {
    /// Starts watching the sources of `store` and the files beside them (the configuration).
    pub fn start(store: Store, callback: WatchCallback) -> io::Result<Self> {
        Self::start_with(store, callback, true)
    }

    /// Looks now, without waiting for files to stand still, and gives what was found; the callback has been called when this returns.
    /// None: the thread has ended.
    pub fn look_now(&self) -> Option<LookReport> {
        self.run(|watcher| {
            let (snapshot, report) = watcher.store.look_again(Instant::now(), LookMode::Now);
            if !report.is_empty() {
                (watcher.callback)(&mut watcher.store, WatchEvent::Looked(snapshot, report.clone()));
            }
            report
        })
    }

    /// Does something with the store, on its thread: a new configuration, status. None: the thread has ended.
    pub fn with_store<R: Send + 'static>(&self, work: impl FnOnce(&mut Store) -> R + Send + 'static) -> Option<R> {
        self.run(|watcher| work(&mut watcher.store))
    }

    /// Hands edits to the store.
    pub fn editor(&self) -> ZoneEditor {
        let sender = self.sender.clone();
        // A full queue is as good: the thread looks at the edits behind each message.
        ZoneEditor::new(self.waiting.clone(), move || !matches!(sender.try_send(WatchMessage::Edits), Err(TrySendError::Disconnected(_))))
    }

    /// True while its thread runs.
    pub fn is_running(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    fn run<R: Send + 'static>(&self, work: impl FnOnce(&mut WatchLoop) -> R + Send + 'static) -> Option<R> {
        let (reply, answer) = sync_channel(1);
        let message = WatchMessage::Do(Box::new(move |watcher| {
            let _ = reply.send(work(watcher)); // nobody waits any more: nothing to tell
        }));
        self.sender.send(message).ok()?;
        answer.recv().ok()
    }

    fn start_with(store: Store, callback: WatchCallback, with_events: bool) -> io::Result<Self> {
        let (sender, receiver) = sync_channel(COMMANDS);
        let interests = Arc::new(Mutex::new(Interests::default()));
        let happened = Arc::new(AtomicBool::new(false));
        let is_lost = Arc::new(AtomicBool::new(false));
        let told =
            Told { happened: happened.clone(), is_lost: is_lost.clone(), interests: interests.clone(), writers: store.writers().clone() };
        let notifier = if with_events { notifier(sender.clone(), told) } else { None };
        let waiting = Arc::new(EditQueue::new(store.meter().clone()));
        let (watched, failed) = (HashMap::new(), HashSet::new());
        let mut watcher = WatchLoop {
            store,
            callback,
            beside: Vec::new(),
            notifier,
            interests,
            watched,
            happened,
            is_lost,
            failed,
            unsettled: None,
            waiting: waiting.clone(),
        };
        watcher.follow();
        let left = waiting.clone();
        let thread = std::thread::Builder::new().name("postern-watch".into()).spawn(move || {
            watcher.run(&receiver);
            drop(receiver); // from here on whoever hands something over learns that nobody is there
            left.take().into_iter().for_each(|task| task.refuse(Refusal::Stopped));
        })?;
        Ok(Self { sender, waiting, thread: Some(thread) })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.sender.send(WatchMessage::Stop); // it may have ended
        if let Some(thread) = self.thread.take() {
            let _ = thread.join(); // a panic there was told by its hook
        }
    }
}

/// State of the thread.
pub(crate) struct WatchLoop {
    store: Store,
    callback: WatchCallback,
    beside: Vec<SourceFile>,
    notifier: Option<RecommendedWatcher>,
    interests: Arc<Mutex<Interests>>,
    /// Directories that are watched, and which inode each was.
    watched: HashMap<PathBuf, (u64, u64)>,
    happened: Arc<AtomicBool>,
    /// A directory that was watched went away, and its watch with it: another of its name, or itself again, may have the same inode.
    is_lost: Arc<AtomicBool>,
    /// Directories that cannot be watched: said once.
    failed: HashSet<PathBuf>,
    waiting: Arc<EditQueue>,
    /// Since when something is being written.
    unsettled: Option<Instant>,
}

impl WatchLoop {
    fn run(&mut self, receiver: &Receiver<WatchMessage>) {
        let start = Instant::now();
        let (mut earliest, mut next_poll) = (start, start);
        let mut again: Option<Instant> = None;
        let mut is_due = true; // something may have changed since the store was opened
        loop {
            let mut deadline = next_poll.min(again.unwrap_or(next_poll)).min(self.store.next_release().unwrap_or(next_poll));
            if is_due {
                deadline = deadline.min(earliest);
            }
            match receiver.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(WatchMessage::Happened) => is_due = true,
                Ok(WatchMessage::Edits) => {} // below, as behind every message
                Ok(WatchMessage::Do(work)) => {
                    work(self);
                    is_due |= self.watch();
                }
                Ok(WatchMessage::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {}
            }
            is_due |= self.happened.load(Ordering::Acquire); // where the queue was full, only this tells
            self.edit();
            let now = Instant::now();
            let is_time = is_due && now >= earliest || now >= next_poll || again.is_some_and(|again| now >= again);
            if !is_time {
                continue;
            }
            if now >= next_poll {
                if let Some((snapshot, report)) = self.store.tend_journals() {
                    (self.callback)(&mut self.store, WatchEvent::Looked(snapshot, report));
                }
                self.store.tend_kept();
            }
            self.happened.store(false, Ordering::Release); // before looking: what happens from here on is told again
            again = self.look(now).map(|time| now + time);
            is_due = self.watch();
            earliest = now + LEAST.max(now.elapsed() * SHARE);
            next_poll = now + self.store.poll();
            if self.store.drop_old() > 0 {
                next_poll = next_poll.min(now + OLD);
            }
        }
    }

    /// Does what APIs asked for. While it writes to the disk more comes together, which the next round writes at once.
    fn edit(&mut self) {
        let now = Instant::now();
        if self.store.next_release().is_some_and(|release| release <= now) {
            let released = self.store.release(now);
            self.tell(released);
        }
        if !self.waiting.is_empty() {
            let committed = self.store.commit(self.waiting.take(), now);
            self.tell(committed);
        }
    }

    fn tell(&mut self, mut committed: Committed) {
        if let Some(snapshot) = committed.snapshot.take() {
            (self.callback)(&mut self.store, WatchEvent::Edited(snapshot, std::mem::take(&mut committed.report)));
        }
        committed.answer();
    }

    /// Gives when to look again, where something is still being written.
    fn look(&mut self, now: Instant) -> Option<Duration> {
        let settle = self.store.settle();
        // What changes together is applied together: nothing is, while something is still being written, unless that goes on and on.
        let beside = self.beside.iter_mut().filter_map(|input| input.settles_in(now, settle)).max();
        match beside.max(self.store.settles_in(now)) {
            None => self.unsettled = None,
            Some(time) if now < *self.unsettled.get_or_insert(now) + settle * PATIENCE => return Some(time),
            Some(_) => {}
        }
        let mut again = None;
        let mut changed = Vec::new();
        for input in &mut self.beside {
            let seen = input.look(now, LookMode::Settled, settle);
            if let Some(why) = input.lost(&seen) {
                tracing::warn!(target: "postern", "{} {why}; keeping its previous content", input.path.display());
            }
            match seen {
                // Half a configuration may be a good one, without the zones that are still to come.
                FileLook::Changed(content) if let Some(left) = left_to_write(input, &content, self.store.writers(), settle) => {
                    again = again.into_iter().chain([left]).min();
                }
                FileLook::Changed(content) => {
                    input.judged(&content, &[]);
                    let file = WatchedFile { path: input.path.to_path_buf(), fingerprint: input.fingerprint() };
                    changed.push(file.path.clone());
                    self.store.saw(file); // who reads it now may find yet another
                }
                FileLook::Waiting(time) => again = again.into_iter().chain([time]).min(),
                FileLook::Same | FileLook::Gone | FileLook::Unreadable(_) | FileLook::TooLarge(_) => {}
            }
        }
        // Before the sources: who applies a configuration reads them too, so that both are one generation.
        if !changed.is_empty() {
            (self.callback)(&mut self.store, WatchEvent::Files(changed));
        }
        let (snapshot, report) = self.store.look_again(now, LookMode::Settled);
        again = again.into_iter().chain(report.again).min();
        if !report.is_empty() {
            (self.callback)(&mut self.store, WatchEvent::Looked(snapshot, report));
        }
        again
    }

    /// Looks from now on at the files beside the sources that the configuration read last names, for other content than was read.
    fn follow(&mut self) {
        let is_of = |input: &SourceFile, file: &WatchedFile| *input.path == file.path && input.fingerprint() == file.fingerprint;
        let files = self.store.beside();
        if self.beside.len() == files.len() && self.beside.iter().zip(files).all(|(input, file)| is_of(input, file)) {
            return;
        }
        let mut old = std::mem::take(&mut self.beside);
        for file in files {
            let place = old.iter().position(|input| is_of(input, file));
            self.beside.push(place.map_or_else(|| SourceFile::held(file), |place| old.swap_remove(place)));
        }
    }

    /// Watches what there is to watch by now; true where that is other than before, so that a look is due.
    fn watch(&mut self) -> bool {
        self.follow();
        let Some(notifier) = &mut self.notifier else { return false };
        let mut wanted = Interests::default();
        for path in self.store.paths() {
            wanted.add(&path);
        }
        for input in &self.beside {
            wanted.add(&input.path);
        }
        let inode = |path: &Path| fs::metadata(path).ok().map(|metadata| (metadata.dev(), metadata.ino()));
        // Another directory of the same name is another watch.
        let is_lost = self.is_lost.swap(false, Ordering::AcqRel);
        let stale: Vec<PathBuf> = self
            .watched
            .iter()
            .filter(|(path, known)| is_lost || !wanted.names.contains_key(*path) || inode(path) != Some(**known))
            .map(|(path, _)| path.clone())
            .collect();
        for path in stale {
            self.watched.remove(&path);
            let _ = notifier.unwatch(&path); // gone with the directory
        }
        let mut added = false;
        for path in wanted.names.keys() {
            let Some(inode) = inode(path).filter(|_| !self.watched.contains_key(path)) else { continue };
            match notifier.watch(path, RecursiveMode::NonRecursive) {
                Ok(()) => {
                    self.watched.insert(path.clone(), inode);
                    added = true;
                }
                Err(error) if self.failed.insert(path.clone()) => {
                    tracing::warn!("{} cannot be watched; polling every {:?}: {error}", path.display(), self.store.poll());
                }
                Err(_) => {}
            }
        }
        // What happened to a file before it mattered was not told.
        let mut interests = self.interests.lock().unwrap_or_else(PoisonError::into_inner);
        let is_other = *interests != wanted;
        *interests = wanted;
        added || is_other
    }
}

/// How long to wait on for a file of the configuration that is written in place. Returns `None` if nothing suggests that more is to come.
fn left_to_write(input: &SourceFile, content: &SettledContent, writers: &OpenWriters, settle: Duration) -> Option<Duration> {
    let wanted = match (input.has_shrunk(content), content.ends_a_line(), writers.is_open(&content.stamp)) {
        (_, _, Some(true)) => LONGEST_WRITE,
        (true, ..) => REWRITE,
        (false, false, None) => UNFINISHED,
        (false, false, Some(false)) => settle * PATIENCE,
        (false, true, _) => return None,
    };
    Some(wanted.saturating_sub(content.still)).filter(|left| !left.is_zero())
}

/// Directories to watch, and which names in them matter.
#[derive(Debug, Default, PartialEq, Eq)]
struct Interests {
    names: HashMap<PathBuf, Names>,
    /// Directories on the way that are no links: looked at once, however many paths lead through.
    plain: HashSet<PathBuf>,
}

#[derive(Debug, PartialEq, Eq)]
enum Names {
    All,
    These(HashSet<OsString>),
}

impl Interests {
    /// Adds what can change where `path` leads: the directory it is, the one it stands in, and those in which links on the way stand.
    fn add(&mut self, path: &Path) {
        let Ok(path) = std::path::absolute(path) else { return };
        let mut rest: VecDeque<OsString> = VecDeque::new();
        let mut at = PathBuf::from("/");
        queue(&path, &mut rest, &mut at);
        let mut links = 0;
        while let Some(name) = rest.pop_front() {
            if name == ".." {
                at.pop();
                continue;
            }
            let next = at.join(&name);
            if !rest.is_empty() && self.plain.contains(&next) {
                at = next;
                continue;
            }
            let metadata = fs::symlink_metadata(&next);
            let is_link = metadata.as_ref().is_ok_and(|metadata| metadata.is_symlink());
            if is_link || metadata.is_err() || rest.is_empty() {
                self.name(&at, name);
            }
            if is_link {
                links += 1;
                let Some(target) = fs::read_link(&next).ok().filter(|_| links <= MOST_LINKS) else { return };
                queue(&target, &mut rest, &mut at);
            } else if metadata.is_err() {
                return; // what comes later is seen when this appears
            } else {
                if !rest.is_empty() {
                    self.plain.insert(next.clone());
                }
                at = next;
            }
        }
        if at.is_dir() {
            self.names.insert(at, Names::All);
        }
    }

    fn name(&mut self, directory: &Path, name: OsString) {
        match self.names.entry(directory.to_path_buf()).or_insert_with(|| Names::These(HashSet::new())) {
            Names::All => {}
            Names::These(names) => drop(names.insert(name)),
        }
    }

    /// Whether something at `path` matters.
    fn concerns(&self, path: &Path) -> bool {
        let named = path.parent().zip(path.file_name()).and_then(|(parent, name)| Some((self.names.get(parent)?, name)));
        self.names.contains_key(path)
            || named
                .is_some_and(|(names, name)| matches!(names, Names::All) || matches!(names, Names::These(these) if these.contains(name)))
    }
}

/// Puts the parts of a path in front of the rest; an absolute one begins at the root.
fn queue(path: &Path, rest: &mut VecDeque<OsString>, at: &mut PathBuf) {
    if path.is_absolute() {
        *at = PathBuf::from("/");
    }
    let parts = path.components().filter(|part| matches!(part, Component::Normal(_) | Component::ParentDir));
    parts.rev().for_each(|part| rest.push_front(part.as_os_str().to_owned()));
}

/// Effect of an event.
struct Told {
    happened: Arc<AtomicBool>,
    is_lost: Arc<AtomicBool>,
    interests: Arc<Mutex<Interests>>,
    writers: Arc<OpenWriters>,
}

fn notifier(sender: SyncSender<WatchMessage>, told: Told) -> Option<RecommendedWatcher> {
    let Told { happened, is_lost, interests, writers } = told;
    let handler = move |event: notify::Result<notify::Event>| {
        let matters = match &event {
            // Our own reading opens and closes files, too.
            Ok(event) if matches!(event.kind, EventKind::Access(kind) if kind != AccessKind::Close(AccessMode::Write)) => false,
            Ok(event) if event.need_rescan() || event.paths.is_empty() => true,
            Ok(event) => {
                let interests = interests.lock().unwrap_or_else(PoisonError::into_inner);
                let is_away = matches!(event.kind, EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(_)));
                if is_away && event.paths.iter().any(|path| interests.names.contains_key(path)) {
                    is_lost.store(true, Ordering::Release); // before it is told that something happened
                }
                event.paths.iter().any(|path| interests.concerns(path))
            }
            Err(_) => true,
        };
        if let Ok(event) = &event
            && matters
        {
            writers.note(event); // before it is told: who looks then sees it
        }
        if matters && !happened.swap(true, Ordering::AcqRel) {
            let _ = sender.try_send(WatchMessage::Happened); // a full queue wakes the thread as well
        }
    };
    match notify::recommended_watcher(handler) {
        Ok(notifier) => Some(notifier),
        Err(error) => {
            tracing::warn!("cannot watch files; relying on polling: {error}");
            None
        }
    }
}

#[cfg(test)]
mod tests;
