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
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use postern_config::model::{FeedKind, NetworkLinks, OnMissing};
use serde::{Deserialize, Serialize};

use crate::diff::Difference;
use crate::histogram::Histogram;
use crate::journal;
use crate::zone::{Change, Refused, Zone};

/// Key of [`ZoneSettings::extra`] for the time when a feed last found that the zone is as its source has it, in seconds since 1970.
pub const FETCHED: &str = "transferred";

/// Edits that may wait: one more is refused.
pub const MOST_WAITING: usize = 10_000;

/// A hosted zone as people name it: `name`, or `name@network` where several zones have one name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ZoneRef {
    /// Apex, lower case, no final dot; `.` for the root.
    pub name: String,
    /// A network that it is linked to.
    pub network: Option<String>,
}

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
pub type Make = Box<dyn FnOnce(&Zone) -> Result<Vec<Change>, Refusal> + Send>;

/// The same, and changes what is kept beside the records ([`ZoneSettings::extra`] alone): both go to the disk as one, or neither.
pub type Amend = Box<dyn FnOnce(&Zone, &mut ZoneSettings) -> Result<Vec<Change>, Refusal> + Send>;

/// One change of one zone.
pub struct Edit {
    /// The zone.
    pub zone: ZoneRef,
    /// Who asks.
    pub author: Author,
    /// What is to be different.
    pub make: Make,
    /// Only say what would happen.
    pub is_dry: bool,
}

/// What a change did.
#[derive(Debug, Clone)]
pub struct Done {
    /// Apex, no final dot.
    pub name: Arc<str>,
    /// Networks it is linked to, by name; empty: all.
    pub networks: NetworkLinks,
    /// The zone before.
    pub before: Arc<Zone>,
    /// The zone after; the same where nothing differs.
    pub after: Arc<Zone>,
    /// What is different.
    pub difference: Difference,
    /// The records taken out and put in, the SOA among them; none: nothing differs.
    pub change: Option<Arc<journal::Change>>,
    /// What was probably not meant.
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
        /// What writes it: a file, a primary.
        writer: String,
    },
    /// A zone of that name is linked to that network already.
    #[error("{0}")]
    Exists(String),
    /// What the change depends on is not so.
    #[error("{message}")]
    Precondition {
        /// What is otherwise.
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
    Invalid(Vec<Refused>),
    /// It would take records away that were probably not meant.
    #[error("{0}")]
    Loss(String),
    /// Not written to the disk.
    #[error("the journal cannot be written: {0}")]
    Journal(String),
    /// What makes the change panicked: nothing was changed.
    #[error("the change failed inside the server and was not made; its log says more")]
    Panicked,
    /// Too many edits wait.
    #[error("too many changes wait; try again")]
    Busy,
    /// The server is stopping.
    #[error("the server is stopping")]
    Stopped,
}

/// What is kept of a zone that an API writes, beside its records.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ZoneSettings {
    /// Apex, no final dot.
    pub name: String,
    /// Networks that it is linked to.
    #[serde(default = "all_networks", with = "network_list")]
    pub networks: NetworkLinks,
    /// What happens to a name that it lacks.
    #[serde(default = "usual_policy", with = "policy")]
    pub on_missing: OnMissing,
    /// Whether the fallback record has the names that it lacks; absent: where it is a private-link zone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback: Option<bool>,
    /// It stands in the configuration file, whose word counts for the above.
    #[serde(default)]
    pub declared: bool,
    /// What the interfaces keep of it (kind, account, metadata …): opaque here.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    pub extra: serde_json::Map<String, serde_json::Value>,
}

/// A zone to be made.
#[derive(Debug, Clone)]
pub struct NewZone {
    /// Name, networks, policy.
    pub settings: ZoneSettings,
    /// Its records; without SOA it gets Azure's own values.
    pub records: Vec<Change>,
}

/// Says what came of it, on the store's thread: no place to wait.
pub type Answer<T> = Box<dyn FnOnce(Result<T, Refusal>) + Send>;

/// Changes settings of the zone as it is when its turn comes; a refusal leaves them as they were.
pub type Configure = Box<dyn FnOnce(&Zone, &mut ZoneSettings) -> Result<(), Refusal> + Send>;

/// Decides whether a zone may be removed, from its data at that moment. `None`: its journal cannot be read.
pub type May = Box<dyn FnOnce(Option<&Zone>) -> Result<(), Refusal> + Send>;

/// A zone to be removed.
pub struct ZoneRemoval {
    /// Zone to remove, as the client names it.
    pub zone: ZoneRef,
    /// Client that removes it, for the audit.
    pub author: Author,
    /// Conditions of the client.
    pub may: May,
    /// Removes a zone whose journal cannot be read, too. The file is kept under another name.
    pub discards_damaged: bool,
}

/// Something for the store to do.
pub enum Task {
    /// Change records.
    Edit(Edit, Answer<Done>),
    /// Change records and what interfaces keep beside them, as one.
    Amend(ZoneRef, Author, Amend, Answer<Done>),
    /// Make zones, all of them or none; what each came to, in their order.
    Create(Vec<NewZone>, Author, Answer<Vec<Done>>),
    /// Remove a zone with its journal. A zone of the configuration is refused.
    Remove(ZoneRemoval, Answer<()>),
    /// Change what is kept beside the records.
    Configure(ZoneRef, Author, Configure, Answer<Arc<ZoneSettings>>),
    /// Answer no more from a zone whose primaries were silent for too long (RFC 1035 section 3.3.13, EXPIRE), for this reason, until it is
    /// transferred again.
    Expire(ZoneRef, String, Answer<()>),
}

/// Recent changes of a zone, for incremental transfers and for those who ask what happened. Bounded.
#[derive(Debug, Default)]
pub struct History {
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    changes: VecDeque<Arc<journal::Change>>,
    records: usize,
}

/// Hands edits to the store's thread. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Editor {
    waiting: Arc<Waiting>,
    wake: SyncSender<crate::watch::Message>,
}

/// What waits for the store's thread.
#[derive(Default)]
pub struct Waiting {
    tasks: Mutex<VecDeque<Task>>,
    count: AtomicUsize,
    meter: Arc<Meter>,
}

/// What the store counts of edits.
#[derive(Debug, Default)]
pub struct Meter {
    /// How long it took to put edits of one zone on the disk.
    pub commits: Histogram,
    /// Commits that failed.
    pub failures: AtomicU64,
    /// Edits on the disk.
    pub edits: AtomicU64,
}

impl Editor {
    /// For the watching thread, which wakes by `wake`.
    pub(crate) fn new(waiting: Arc<Waiting>, wake: SyncSender<crate::watch::Message>) -> Self {
        Self { waiting, wake }
    }

    /// Makes a change; `answer` is called once it is on the disk and served, or refused.
    pub fn edit(&self, edit: Edit, answer: impl FnOnce(Result<Done, Refusal>) + Send + 'static) {
        self.submit(Task::Edit(edit, Box::new(answer)));
    }

    /// Makes a change and waits for what comes of it.
    pub fn edit_and_wait(&self, edit: Edit) -> Result<Done, Refusal> {
        self.wait(|answer| Task::Edit(edit, answer))
    }

    /// Does something and waits for what comes of it: `task` makes it from the answer's way back.
    pub fn wait<T: Send + 'static>(&self, task: impl FnOnce(Answer<T>) -> Task) -> Result<T, Refusal> {
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

    /// What the store counts of edits.
    pub fn meter(&self) -> &Meter {
        &self.waiting.meter
    }

    /// Hands a task over; what does not fit is refused at once.
    pub fn submit(&self, task: Task) {
        if self.waiting.count.fetch_add(1, Ordering::AcqRel) >= MOST_WAITING {
            self.waiting.count.fetch_sub(1, Ordering::AcqRel);
            return task.refuse(Refusal::Busy);
        }
        self.waiting.tasks.lock().unwrap_or_else(PoisonError::into_inner).push_back(task);
        // Full: the thread has messages to read, and looks at what waits behind each.
        if let Err(std::sync::mpsc::TrySendError::Disconnected(_)) = self.wake.try_send(crate::watch::Message::Edits) {
            self.waiting.take().into_iter().for_each(|task| task.refuse(Refusal::Stopped));
        }
    }
}

impl Meter {
    pub(crate) fn committed(&self, took: Duration, edits: usize, is_ok: bool) {
        self.commits.add(took, 1);
        match is_ok {
            true => self.edits.fetch_add(edits as u64, Ordering::Relaxed),
            false => self.failures.fetch_add(1, Ordering::Relaxed),
        };
    }
}

impl Waiting {
    /// For a store that counts there.
    pub(crate) fn new(meter: Arc<Meter>) -> Self {
        Self { meter, ..Self::default() }
    }

    /// Everything that waits, in order.
    pub(crate) fn take(&self) -> VecDeque<Task> {
        let tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        self.count.fetch_sub(tasks.len(), Ordering::AcqRel);
        tasks
    }

    /// True where nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.count.load(Ordering::Acquire) == 0
    }
}

impl fmt::Debug for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiting").field("count", &self.count).finish_non_exhaustive()
    }
}

impl Task {
    /// Says that it is not done.
    pub fn refuse(self, refusal: Refusal) {
        match self {
            Self::Edit(_, answer) | Self::Amend(_, _, _, answer) => answer(Err(refusal)),
            Self::Create(_, _, answer) => answer(Err(refusal)),
            Self::Remove(_, answer) | Self::Expire(_, _, answer) => answer(Err(refusal)),
            Self::Configure(_, _, _, answer) => answer(Err(refusal)),
        }
    }
}

impl History {
    /// Records kept, taken out and put in together: about 16 MiB.
    const MOST: usize = 100_000;

    /// The changes that lead from `serial` to the newest one, oldest first; none: it is not known how to get there. Empty: it is the
    /// newest.
    pub fn since(&self, serial: u32) -> Option<Vec<Arc<journal::Change>>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.changes.back().is_some_and(|last| last.to == serial) {
            return Some(Vec::new());
        }
        let first = kept.changes.iter().position(|change| change.from == serial)?;
        Some(kept.changes.iter().skip(first).cloned().collect())
    }

    /// The newest `most` changes, newest first.
    pub fn newest(&self, most: usize) -> Vec<Arc<journal::Change>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).changes.iter().rev().take(most).cloned().collect()
    }

    /// Adds the newest change. One that does not go on from the last leaves only itself.
    pub fn push(&self, change: Arc<journal::Change>) {
        let size = |change: &journal::Change| change.removed.len() + change.added.len();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        // What does not go on from the last one leads nowhere.
        if kept.changes.back().is_some_and(|last| last.to != change.from) {
            *kept = Kept::default();
        }
        kept.records += size(&change);
        kept.changes.push_back(change);
        while kept.records > Self::MOST {
            let Some(oldest) = kept.changes.pop_front() else { return };
            kept.records -= size(&oldest);
        }
    }
}

impl ZoneRef {
    /// From `name` or `name@network`; a final dot and letter case do not matter.
    pub fn parse(text: &str) -> Self {
        let (name, network) = text.split_once('@').map_or((text, None), |(name, network)| (name, Some(network.to_owned())));
        let name = if name == "." { name } else { name.trim_end_matches('.') };
        Self { name: name.to_ascii_lowercase(), network }
    }

    /// Returns true if the zone with this name and these networks is meant.
    pub fn means(&self, name: &str, networks: &NetworkLinks) -> bool {
        self.name == name && self.network.as_ref().is_none_or(|wanted| networks.include(wanted))
    }
}

impl fmt::Display for ZoneRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        self.network.as_ref().map_or(Ok(()), |network| write!(f, "@{network}"))
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

impl fmt::Debug for Edit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Edit").field("zone", &self.zone).field("author", &self.author).field("is_dry", &self.is_dry).finish_non_exhaustive()
    }
}

fn list(refused: &[Refused]) -> String {
    refused.iter().map(|refused| refused.message.as_str()).collect::<Vec<_>>().join("; ")
}

fn all_networks() -> NetworkLinks {
    NetworkLinks::All
}

fn usual_policy() -> OnMissing {
    OnMissing::Public
}

mod network_list {
    //! A list of names, as in journals of all versions. An empty list stands for all networks.

    use postern_config::model::NetworkLinks;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<S: Serializer>(networks: &NetworkLinks, serializer: S) -> Result<S::Ok, S::Error> {
        networks.names().serialize(serializer)
    }

    pub fn deserialize<'d, D: Deserializer<'d>>(deserializer: D) -> Result<NetworkLinks, D::Error> {
        Vec::deserialize(deserializer).map(NetworkLinks::of_list)
    }
}

mod policy {
    //! The words of the configuration file.

    use postern_config::model::OnMissing;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(policy: &OnMissing, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(policy.word())
    }

    pub fn deserialize<'d, D: Deserializer<'d>>(deserializer: D) -> Result<OnMissing, D::Error> {
        let word = String::deserialize(deserializer)?;
        OnMissing::of_word(&word).ok_or_else(|| D::Error::custom(format!("`{word}` is no policy: public, nxdomain or servfail")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(from: u32, records: usize) -> Arc<journal::Change> {
        let record =
            journal::Record { owner: crate::name::WireName::parse("a.test").unwrap(), rtype: 1, ttl: 1, rdata: Box::new([10, 0, 0, 1]) };
        Arc::new(journal::Change { from, to: from + 1, at: 0, by: String::new(), removed: Vec::new(), added: vec![record; records] })
    }

    fn serials(history: &History, since: u32) -> Option<Vec<u32>> {
        history.since(since).map(|changes| changes.iter().map(|change| change.to).collect())
    }

    #[test]
    fn a_history_leads_from_a_serial_to_the_newest() {
        let history = History::default();
        assert_eq!(serials(&history, 7), None);
        (7..10).for_each(|from| history.push(change(from, 1)));
        for (since, leads) in [(7, Some(vec![8, 9, 10])), (9, Some(vec![10])), (10, Some(vec![])), (6, None), (11, None)] {
            assert_eq!(serials(&history, since), leads, "{since}");
        }
        history.push(change(20, 1));
        assert_eq!((serials(&history, 7), serials(&history, 20)), (None, Some(vec![21])), "what led to 10 does not lead to 21");
    }

    #[test]
    fn a_history_is_bounded_by_its_records() {
        let history = History::default();
        (0..12).for_each(|from| history.push(change(from, History::MOST / 10)));
        assert_eq!((serials(&history, 1), serials(&history, 2).map(|serials| serials.len())), (None, Some(10)));
    }

    #[test]
    fn zones_are_named_with_and_without_network() {
        for (text, name, network) in [
            ("Contoso.Test.", "contoso.test", None),
            ("contoso.test@hub", "contoso.test", Some("hub")),
            (".", ".", None),
            (".@hub", ".", Some("hub")),
        ] {
            assert_eq!(ZoneRef::parse(text), ZoneRef { name: name.into(), network: network.map(Into::into) });
        }
        assert_eq!(ZoneRef::parse("contoso.test.@hub").to_string(), "contoso.test@hub");
    }

    #[test]
    fn a_zone_is_meant_by_its_name_and_one_of_its_networks() {
        let hub = NetworkLinks::of_list(vec!["spoke".into(), "hub".into()]);
        let all = NetworkLinks::All;
        for (text, name, networks, is_meant) in [
            ("contoso.test", "contoso.test", &hub, true),
            ("contoso.test@hub", "contoso.test", &hub, true),
            ("contoso.test@lab", "contoso.test", &hub, false),
            ("contoso.test@hub", "contoso.test", &all, true),
            ("contoso.test", "fabrikam.test", &all, false),
        ] {
            assert_eq!(ZoneRef::parse(text).means(name, networks), is_meant, "{text} and {name} of {networks:?}");
        }
    }
}
