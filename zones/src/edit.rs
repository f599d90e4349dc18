//! Changes of zones whose writer is an API: what is asked, who asks, and what came of it.
//!
//! ```text
//! HTTP ─────┐
//! UPDATE ───┼─▶ Editor ─ queue ─▶ store thread: make, check, journal (one fsync for all that waits), publish ─▶ answers
//! transfer ─┘
//! ```
//! One path for every change, whatever brings it. An edit is a function from the zone as it is by then to the RRsets that are to be
//! different, so that what it depends on (prerequisites, ETags) is looked at on the thread that makes the change, and nothing can come
//! in between. It is applied whole or not at all; its answer comes after it is on the disk and visible to the next query.

use std::collections::VecDeque;
use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use postern_config::model::{FeedKind, NetworkLinks};

use crate::diff::Difference;
use crate::histogram::Histogram;
use crate::journal;
use crate::zone::{ChangeError, RrSetChange, Zone};

pub use crate::history::ZoneHistory;
pub use crate::settings::{ACCEPTED_LOSS, FETCHED, ZoneSettings};
pub use crate::zone_ref::ZoneRef;

/// Edits that may wait: one more is refused.
pub const MOST_WAITING: usize = 10_000;

/// Who makes a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Author {
    /// Name of the key, or of the local user.
    pub who: Arc<str>,
    /// Where from; none: over a UNIX socket, or by the server itself.
    pub from: Option<IpAddr>,
    /// Which way.
    pub via: Via,
}

/// Which way a change comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Via {
    /// `/v1`.
    Api,
    /// The PowerDNS-compatible API.
    PowerDns,
    /// RFC 2136.
    Update,
    /// A feed, such as AXFR and IXFR from a primary.
    Feed(&'static FeedKind),
}

/// Gives the RRsets that are to be different, from the zone as it is when its turn comes.
pub type ChangeFn = Box<dyn FnOnce(&Zone) -> Result<Vec<RrSetChange>, Refusal> + Send>;

/// The same, and changes what is kept beside the records ([`ZoneSettings::extra`] alone): both go to the disk as one, or neither.
pub type AmendFn = Box<dyn FnOnce(&Zone, &mut ZoneSettings) -> Result<Vec<RrSetChange>, Refusal> + Send>;

/// One change of one zone.
pub struct ZoneEdit {
    /// The zone.
    pub zone: ZoneRef,
    /// Who asks.
    pub author: Author,
    /// Function that makes the changes.
    pub make: ChangeFn,
    /// Only say what would happen.
    pub is_dry: bool,
}

/// Result of a change.
#[derive(Debug, Clone)]
pub struct EditResult {
    /// Apex, no final dot.
    pub name: Arc<str>,
    /// Networks it is linked to, by name; empty: all.
    pub networks: NetworkLinks,
    /// The zone before.
    pub before: Arc<Zone>,
    /// The zone after; the same where nothing differs.
    pub after: Arc<Zone>,
    /// Difference between both zones.
    pub difference: Difference,
    /// The records taken out and put in, the SOA among them; none: nothing differs.
    pub change: Option<Arc<journal::JournalChange>>,
    /// Warnings about probable mistakes.
    pub warnings: Vec<String>,
    /// Generation that serves it.
    pub generation: u64,
}

/// Why a change is not made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No such zone.
    #[error("no zone {0} is hosted")]
    NoZone(String),
    /// Several zones have the name.
    #[error("zone {name} is hosted for several networks ({}): say which, as in {name}@{}", networks.join(", "), networks.first().map_or("", String::as_str))]
    Ambiguous {
        /// The name.
        name: String,
        /// One network for each of them.
        networks: Vec<String>,
    },
    /// Something else writes the zone.
    #[error("zone {name} is managed by {writer}; read-only through the API")]
    ReadOnly {
        /// The zone.
        name: Arc<str>,
        /// Writer of the zone: a file, a primary.
        writer: String,
    },
    /// A zone of that name is linked to that network already.
    #[error("{0}")]
    Exists(String),
    /// A condition of the change does not hold.
    #[error("{message}")]
    Precondition {
        /// The condition and the present state.
        message: String,
        /// RCODE for an UPDATE (RFC 2136 section 2.2).
        rcode: u16,
    },
    /// The zone has no data: its journal cannot be read.
    #[error("zone {name} cannot be changed: {reason}")]
    Unavailable {
        /// The zone.
        name: Arc<str>,
        /// Why.
        reason: String,
    },
    /// It would break a rule of zones: each with the index of the change at fault.
    #[error("{}", list(.0))]
    Invalid(Vec<ChangeError>),
    /// It would take records away that were probably not meant.
    #[error("{0}")]
    Loss(String),
    /// Not written to the disk.
    #[error("the journal cannot be written: {0}")]
    Journal(String),
    /// The function that makes the change panicked. Nothing was changed.
    #[error("the change failed inside the server and was not made; its log says more")]
    Panicked,
    /// Too many edits wait.
    #[error("too many changes wait; try again")]
    Busy,
    /// The server is stopping.
    #[error("the server is stopping")]
    Stopped,
}

/// A zone to be made.
#[derive(Debug, Clone)]
pub struct NewZone {
    /// Name, networks, policy.
    pub settings: ZoneSettings,
    /// Its records; without SOA it gets Azure's own values.
    pub records: Vec<RrSetChange>,
}

/// Says what came of it, on the store's thread: no place to wait.
pub type ReplyFn<T> = Box<dyn FnOnce(Result<T, Refusal>) + Send>;

/// Changes settings of the zone as it is when its turn comes; a refusal leaves them as they were.
pub type ConfigureFn = Box<dyn FnOnce(&Zone, &mut ZoneSettings) -> Result<(), Refusal> + Send>;

/// Decides whether a zone may be removed, from its data at that moment. `None`: its journal cannot be read.
pub type PreconditionFn = Box<dyn FnOnce(Option<&Zone>) -> Result<(), Refusal> + Send>;

/// A zone to be removed.
pub struct ZoneRemoval {
    /// Zone to remove, as the client names it.
    pub zone: ZoneRef,
    /// Client that removes it, for the audit.
    pub author: Author,
    /// Conditions of the client.
    pub may: PreconditionFn,
    /// Removes a zone whose journal cannot be read, too. The file is kept under another name.
    pub discards_damaged: bool,
}

/// Something for the store to do.
pub enum StoreTask {
    /// Change records.
    Edit(ZoneEdit, ReplyFn<EditResult>),
    /// Change records and what interfaces keep beside them, as one.
    Amend(ZoneRef, Author, AmendFn, ReplyFn<EditResult>),
    /// Make zones, all of them or none; what each came to, in their order.
    Create(Vec<NewZone>, Author, ReplyFn<Vec<EditResult>>),
    /// Remove a zone with its journal. A zone of the configuration is refused.
    Remove(ZoneRemoval, ReplyFn<()>),
    /// Change what is kept beside the records.
    Configure(ZoneRef, Author, ConfigureFn, ReplyFn<Arc<ZoneSettings>>),
    /// Answer no more from a zone whose primaries were silent for too long (RFC 1035 section 3.3.13, EXPIRE), for this reason, until it is
    /// transferred again.
    Expire(ZoneRef, String, ReplyFn<()>),
    /// Note what a feed found without an edit: its source is good, or it is bad for this reason. The zone keeps its data.
    Observe(ZoneRef, Option<String>, ReplyFn<()>),
}

/// Hands edits to the store's thread. Cheap to clone.
#[derive(Clone)]
pub struct ZoneEditor {
    waiting: Arc<EditQueue>,
    /// Wakes the store's thread. Returns false if the thread has ended.
    wake: Arc<dyn Fn() -> bool + Send + Sync>,
}

/// Tasks that wait for the store's thread.
#[derive(Default)]
pub struct EditQueue {
    tasks: Mutex<VecDeque<StoreTask>>,
    count: AtomicUsize,
    meter: Arc<EditMeter>,
}

/// Counters of edits.
#[derive(Debug, Default)]
pub struct EditMeter {
    /// How long it took to put edits of one zone on the disk.
    pub commits: Histogram,
    /// Commits that failed.
    pub failures: AtomicU64,
    /// Edits on the disk.
    pub edits: AtomicU64,
}

impl ZoneEditor {
    /// Creates the editor for a thread that `wake` wakes. `wake` returns false if the thread has ended.
    pub(crate) fn new(waiting: Arc<EditQueue>, wake: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self { waiting, wake: Arc::new(wake) }
    }

    /// Makes a change; `answer` is called once it is on the disk and served, or refused.
    pub fn edit(&self, edit: ZoneEdit, answer: impl FnOnce(Result<EditResult, Refusal>) + Send + 'static) {
        self.submit(StoreTask::Edit(edit, Box::new(answer)));
    }

    /// Makes a change and waits for what comes of it.
    pub fn edit_and_wait(&self, edit: ZoneEdit) -> Result<EditResult, Refusal> {
        self.wait(|answer| StoreTask::Edit(edit, answer))
    }

    /// Does something and waits for what comes of it: `task` makes it from the answer's way back.
    pub fn wait<T: Send + 'static>(&self, task: impl FnOnce(ReplyFn<T>) -> StoreTask) -> Result<T, Refusal> {
        let (reply, answer) = sync_channel(1);
        self.submit(task(Box::new(move |result| {
            let _ = reply.send(result); // somebody waits, below
        })));
        answer.recv().unwrap_or(Err(Refusal::Stopped))
    }

    /// Tasks that wait.
    pub fn waiting(&self) -> usize {
        self.waiting.count.load(Ordering::Relaxed)
    }

    /// Counters of edits.
    pub fn meter(&self) -> &EditMeter {
        &self.waiting.meter
    }

    /// Hands a task over; what does not fit is refused at once.
    pub fn submit(&self, task: StoreTask) {
        if self.waiting.count.fetch_add(1, Ordering::AcqRel) >= MOST_WAITING {
            self.waiting.count.fetch_sub(1, Ordering::AcqRel);
            return task.refuse(Refusal::Busy);
        }
        self.waiting.tasks.lock().unwrap_or_else(PoisonError::into_inner).push_back(task);
        if !(self.wake)() {
            self.waiting.take().into_iter().for_each(|task| task.refuse(Refusal::Stopped));
        }
    }
}

impl EditMeter {
    pub(crate) fn committed(&self, took: Duration, edits: usize, is_ok: bool) {
        self.commits.add(took, 1);
        match is_ok {
            true => self.edits.fetch_add(edits as u64, Ordering::Relaxed),
            false => self.failures.fetch_add(1, Ordering::Relaxed),
        };
    }
}

impl EditQueue {
    /// For a store that counts there.
    pub(crate) fn new(meter: Arc<EditMeter>) -> Self {
        Self { meter, ..Self::default() }
    }

    /// Everything that waits, in order.
    pub(crate) fn take(&self) -> VecDeque<StoreTask> {
        let tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        self.count.fetch_sub(tasks.len(), Ordering::AcqRel);
        tasks
    }

    /// True where nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.count.load(Ordering::Acquire) == 0
    }
}

impl fmt::Debug for ZoneEditor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Editor").field("waiting", &self.waiting).finish_non_exhaustive()
    }
}

impl fmt::Debug for EditQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiting").field("count", &self.count).finish_non_exhaustive()
    }
}

impl StoreTask {
    /// Says that it is not done.
    pub fn refuse(self, refusal: Refusal) {
        match self {
            Self::Edit(_, answer) | Self::Amend(_, _, _, answer) => answer(Err(refusal)),
            Self::Create(_, _, answer) => answer(Err(refusal)),
            Self::Remove(_, answer) | Self::Expire(_, _, answer) | Self::Observe(_, _, answer) => answer(Err(refusal)),
            Self::Configure(_, _, _, answer) => answer(Err(refusal)),
        }
    }
}

impl Via {
    /// As the audit shows it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::PowerDns => "powerdns",
            Self::Update => "update",
            Self::Feed(kind) => kind.word,
        }
    }

    /// Returns the kind of feed. Returns `None` for interfaces.
    pub fn feed(self) -> Option<&'static FeedKind> {
        match self {
            Self::Feed(kind) => Some(kind),
            Self::Api | Self::PowerDns | Self::Update => None,
        }
    }
}

impl fmt::Display for Author {
    /// `api:key from 192.0.2.1`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.via.word(), self.who)?;
        self.from.map_or(Ok(()), |from| write!(f, " from {from}"))
    }
}

impl fmt::Debug for ZoneEdit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Edit").field("zone", &self.zone).field("author", &self.author).field("is_dry", &self.is_dry).finish_non_exhaustive()
    }
}

fn list(refused: &[ChangeError]) -> String {
    refused.iter().map(|refused| refused.message.as_str()).collect::<Vec<_>>().join("; ")
}
