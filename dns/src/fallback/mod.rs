//! The fallback record: every answer that went public at a private-link name, and why.
//!
//! ```text
//! worker, resolver ── judge, note ────▶ bounded queue ──▶ writer thread ─┬─ ledger and counts
//!     flags only, unless there             full: counted                └─ fold repetitions ─ rates ─ file or log
//!     is something to note
//! ```
//!
//! [`definition`] is what a fallback is, [`bypass`] finds public names that lead past a record of ours, [`sighting`] takes one down, [`event`] words it, [`ledger`] counts by network and name, [`mute`]
//! keeps the names whose lines nobody wants, [`rate`] bounds the lines of a second, [`writer`] is the thread.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::Thread;

use crossbeam_queue::ArrayQueue;
use postern_config::model::{FallbackConfig, RepeatPolicy};
use postern_zones::state_directory::StateDirectory;
use tokio::sync::broadcast;

use crate::query::Answer;
use crate::state::View;
use crate::vital::ThreadLiveness;
use crate::wire::question::Question;

mod again;
mod bypass;
pub(crate) mod definition;
pub mod event;
pub mod ledger;
mod mute;
mod output;
mod rate;
mod recent;
mod repeat;
mod sighting;
pub mod writer;

use again::RepeatCounters;
use bypass::BypassMemo;
pub use definition::FallbackVerdict;
pub use event::{FallbackEvent, MendHint};
pub use ledger::{FallbackCount, LedgerEntry};
use ledger::{FallbackCounts, FallbackLedger};
use mute::MuteList;
pub use mute::{MuteEntry, MuteError};
pub use rate::RateOverflow;
use sighting::{FallbackDraft, FallbackSighting};
pub use writer::FallbackWriter;

/// Recorder of fallbacks. All workers share it, and [`FallbackWriter`] takes the fallbacks out at the other end.
#[derive(Debug)]
pub struct FallbackRecorder {
    queue: ArrayQueue<Box<FallbackDraft>>,
    /// Slips that were read and can be used again.
    spare: ArrayQueue<Box<FallbackDraft>>,
    memo: BypassMemo,
    again: RepeatCounters,
    /// True if repetitions are folded: the same fallback of several clients is one.
    folds: AtomicBool,
    dropped: AtomicU64,
    writer: OnceLock<Thread>,
    vital: OnceLock<ThreadLiveness>,
    /// True if the writer sleeps and must be woken.
    asleep: AtomicBool,
    ledger: Mutex<FallbackLedger>,
    counts: Mutex<FallbackCounts>,
    muted: Mutex<MuteList>,
    /// Directory that keeps muted names. Without it they are kept until the server stops.
    state: OnceLock<Arc<StateDirectory>>,
    /// True if the kept names could not be read. They must not be replaced then.
    is_unread: AtomicBool,
    /// Lets one change of muted names happen at a time.
    muting: Mutex<()>,
    /// Number of changes of muted names. It is part of each tag, so that a counter of a muted name ends when the name is no longer muted.
    mute_changes: AtomicU64,
    /// Events for watchers.
    live: broadcast::Sender<Arc<FallbackEvent>>,
}

/// Events that a watcher may be behind before it loses some.
const BEHIND: usize = 1_024;

/// Slips that are kept for the next fallbacks: as many as come while the writer works. Only beyond that does a fallback allocate.
const SPARE: usize = 256;

impl FallbackRecorder {
    /// Returns a recorder with the bounds of the configuration. Nothing is written before a [`FallbackWriter`] is started on it.
    pub fn new(settings: &FallbackConfig) -> Arc<Self> {
        let spare = ArrayQueue::new(SPARE);
        while spare.push(Box::new(FallbackDraft::with_room())).is_ok() {}
        Arc::new(Self {
            queue: ArrayQueue::new(settings.queue.max(1)),
            spare,
            memo: BypassMemo::new(),
            again: RepeatCounters::new(),
            folds: (settings.repeat != RepeatPolicy::All).into(),
            dropped: AtomicU64::new(0),
            writer: OnceLock::new(),
            vital: OnceLock::new(),
            asleep: AtomicBool::new(false),
            ledger: Mutex::new(FallbackLedger::new(settings.ledger)),
            counts: Mutex::new(FallbackCounts::default()),
            muted: Mutex::default(),
            state: OnceLock::new(),
            is_unread: AtomicBool::new(false),
            muting: Mutex::default(),
            mute_changes: AtomicU64::new(0),
            live: broadcast::Sender::new(BEHIND),
        })
    }

    /// Judges an answer, before it is written. Costs a few tests of flags if no private-link name is on its way.
    #[inline]
    pub fn judge<'a>(&self, question: &Question, answer: &Answer<'a>, view: &View<'a>) -> FallbackVerdict<'a> {
        FallbackVerdict::with_memo(question, answer, view, Some(&self.memo))
    }

    /// Takes note of an answer if it fell back, with the verdict that [`FallbackRecorder::judge`] gave. To be called for every answer.
    ///
    /// Returns the tag with which [`FallbackRecorder::note_again`] notes the same again, 0 if there was nothing to note. Returns `None` if each must be
    /// noted by its client (`repeat = "all"`).
    #[inline]
    pub fn note(&self, question: &Question, client: IpAddr, answer: &Answer, verdict: &FallbackVerdict, view: &View) -> Option<u64> {
        match &verdict.finding {
            Some(finding) => {
                let is_capped = verdict.public_from.is_some();
                self.note_fallback(&FallbackSighting { question, client, answer, finding, is_capped, view })
            }
            None => Some(0),
        }
    }

    /// Notes a fallback with this tag once more. Returns false if it must be noted in full.
    #[inline]
    pub fn note_again(&self, tag: u64) -> bool {
        tag == 0 || self.again.count(tag)
    }

    /// Number of fallbacks that found the queue full. They are in no ledger and no file.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Number of fallbacks that wait for the writer.
    pub fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// Largest number of fallbacks that may wait for the writer.
    pub fn room(&self) -> usize {
        self.queue.capacity()
    }

    /// State of the writer's thread. `None` before it was started.
    pub fn vital(&self) -> Option<&ThreadLiveness> {
        self.vital.get()
    }

    /// Entries of the ledger, the most recently seen first.
    pub fn ledger(&self) -> Vec<LedgerEntry> {
        lock(&self.ledger).list()
    }

    /// Fallbacks so far by zone, network, reason and action.
    pub fn counts(&self) -> Vec<FallbackCount> {
        lock(&self.counts).list()
    }

    /// Returns a receiver of all fallbacks from now on, except for muted ones. Of repetitions that workers count, it receives one a second.
    /// A receiver that is too slow loses the oldest events and learns how many.
    pub fn watch(&self) -> broadcast::Receiver<Arc<FallbackEvent>> {
        self.live.subscribe()
    }

    /// Reads the mutes of an earlier run, and keeps changes of them in this directory. If they cannot be read, the recorder logs it and
    /// rejects changes until they can.
    pub fn keep_muted_in(&self, state: Arc<StateDirectory>) {
        match MuteList::load(&state) {
            Ok(mutes) => *lock(&self.muted) = mutes,
            Err(error) => {
                self.is_unread.store(true, Ordering::Relaxed);
                tracing::error!(
                    target: "postern::fallback",
                    "cannot read the muted names; nothing is muted: {error}; mend the file or remove it"
                );
            }
        }
        let _ = self.state.set(state); // set once: one server a recorder
    }

    /// Mutes a name: its fallbacks are counted, but neither written nor streamed. The change is on the disk when this returns. Returns
    /// false if the name was muted already.
    pub fn mute(&self, muted: MuteEntry) -> Result<bool, MuteError> {
        let _one = lock(&self.muting);
        self.read_unread()?;
        let mutes = lock(&self.muted).with(muted)?;
        self.change_muted(mutes)
    }

    /// Ends a mute. Returns false if the name was not muted.
    pub fn unmute(&self, muted: &MuteEntry) -> Result<bool, MuteError> {
        let _one = lock(&self.muting);
        self.read_unread()?;
        let mutes = lock(&self.muted).without(muted);
        self.change_muted(mutes)
    }

    /// Tries again to read mutes that could not be read at the start.
    fn read_unread(&self) -> Result<(), MuteError> {
        if let Some(state) = self.state.get().filter(|_| self.is_unread.load(Ordering::Relaxed)) {
            *lock(&self.muted) = MuteList::load(state).map_err(MuteError::Unread)?;
            self.is_unread.store(false, Ordering::Relaxed);
            self.mute_changes.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    fn change_muted(&self, mutes: Option<MuteList>) -> Result<bool, MuteError> {
        let Some(mutes) = mutes else { return Ok(false) };
        // Without a lock that the writer waits for: a disk may be slow.
        if let Some(state) = self.state.get() {
            mutes.keep(state)?;
        }
        *lock(&self.muted) = mutes;
        self.mute_changes.fetch_add(1, Ordering::Relaxed);
        Ok(true)
    }

    /// The mutes, sorted.
    pub fn muted(&self) -> Vec<MuteEntry> {
        lock(&self.muted).list()
    }

    /// The mutes, sorted, each with how many of these names it covers. Each pair is a network and a name.
    pub fn muted_counts<'l>(&self, names: impl Iterator<Item = (&'l str, &'l str)>) -> Vec<(MuteEntry, usize)> {
        let mutes = lock(&self.muted).clone(); // the writer of fallbacks waits for the lock
        mutes.counts(names)
    }

    /// Returns true if a name is muted for a network.
    pub fn is_muted(&self, network: &str, name: &str) -> bool {
        lock(&self.muted).covers(network, name)
    }

    #[cold]
    fn note_fallback(&self, sighting: &FallbackSighting) -> Option<u64> {
        let folds = self.folds.load(Ordering::Relaxed);
        let tag = sighting.tag(&self.again, self.mute_changes.load(Ordering::Relaxed), folds);
        // A kept answer does not know the next client, so it cannot be noted by its client.
        let kept = folds.then_some(tag);
        if !self.again.count(tag) {
            self.take_down(sighting, tag);
        }
        kept
    }

    /// Hands a fallback to the writer.
    #[cold]
    fn take_down(&self, sighting: &FallbackSighting, tag: u64) {
        let mut slip = self.spare.pop().unwrap_or_default();
        slip.take_down(sighting, tag);
        if let Err(slip) = self.queue.push(slip) {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            self.put_back(slip);
        }
        // Only the first one after a pause pays for a system call. The fence: what was pushed is seen before `asleep` is read.
        fence(Ordering::SeqCst);
        if self.asleep.load(Ordering::Relaxed)
            && self.asleep.swap(false, Ordering::AcqRel)
            && let Some(writer) = self.writer.get()
        {
            writer.unpark();
        }
    }

    /// Keeps a slip that was read. It must not hold a snapshot while it waits, because the next worker to use it would have to free it.
    fn put_back(&self, mut slip: Box<FallbackDraft>) {
        slip.clear();
        let _ = self.spare.push(slip); // enough of them are there
    }
}

/// Locks a mutex. A panic elsewhere leaves the counts usable.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
