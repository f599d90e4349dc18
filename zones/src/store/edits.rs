//! Edits on the store's thread: staged zone by zone, one fsync a journal for all that waits, then one new snapshot.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use postern_config::model::NetworkLinks;

use super::owned::{self, JournaledZone};
use super::{LookReport, Store, ZoneOutcome, ZoneSlot, guard};
use crate::diff::Difference;
use crate::edit::{
    ACCEPTED_LOSS, AmendFn, Author, ChangeFn, EditResult, Refusal, ReplyFn, StoreTask, Via, ZoneEdit, ZoneRef, ZoneSettings,
};
use crate::journal::{self, JournalError};
use crate::snapshot::Snapshot;
use crate::zone::{RrSetChange, Zone};

/// Result of a batch of tasks. The answers are given once the snapshot serves.
#[derive(Default)]
pub struct Committed {
    /// Snapshot to serve from now on. `None` if nothing changed.
    pub snapshot: Option<Arc<Snapshot>>,
    /// Changed zones, for the log.
    pub report: LookReport,
    generation: u64,
    answers: Vec<Box<dyn FnOnce(u64) + Send>>,
}

/// Edits of one zone that are not on the disk yet.
struct Staged {
    slot: usize,
    zone: Arc<Zone>,
    changes: Vec<RrSetChange>,
    /// New settings. `None` if they are unchanged.
    settings: Option<Arc<ZoneSettings>>,
    difference: Difference,
    done: Vec<(Author, EditResult, ReplyFn<EditResult>)>,
}

/// Function that makes an edit.
enum Maker {
    Records(ChangeFn),
    Both(AmendFn),
}

/// Result of an edit that is not in the journal yet.
struct Attempt {
    done: EditResult,
    changes: Vec<RrSetChange>,
    settings: Option<Arc<ZoneSettings>>,
}

/// An edit in either form.
struct Wanted {
    zone: ZoneRef,
    author: Author,
    maker: Maker,
    is_dry: bool,
}

impl Committed {
    /// Tells everybody who asked.
    pub fn answer(self) {
        let generation = self.generation;
        self.answers.into_iter().for_each(|answer| answer(generation));
    }
}

impl Store {
    /// Does everything that was asked, in order. Edits that follow each other go to the disk together.
    pub fn commit(&mut self, tasks: VecDeque<StoreTask>, now: Instant) -> Committed {
        let mut committed = Committed::default();
        let mut staged: Vec<Staged> = Vec::new();
        let mut is_anew = !tasks.is_empty() && self.retry_listing(&mut committed.report);
        for task in tasks {
            if !matches!(task, StoreTask::Edit(..) | StoreTask::Amend(..)) {
                self.flush(&mut staged, &mut committed, now);
                is_anew |= !matches!(task, StoreTask::Observe(..));
            }
            match task {
                StoreTask::Edit(ZoneEdit { zone, author, make, is_dry }, answer) => {
                    let wanted = Wanted { zone, author, maker: Maker::Records(make), is_dry };
                    self.stage_or_refuse(wanted, answer, &mut staged, &mut committed);
                }
                StoreTask::Amend(zone, author, amend, answer) => {
                    let wanted = Wanted { zone, author, maker: Maker::Both(amend), is_dry: false };
                    self.stage_or_refuse(wanted, answer, &mut staged, &mut committed);
                }
                StoreTask::Create(new, author, answer) => {
                    let made = self.create_all(new, &author, &mut committed.report);
                    let served =
                        |made: Vec<EditResult>, generation| made.into_iter().map(|done| EditResult { generation, ..done }).collect();
                    committed.answers.push(Box::new(move |generation| answer(made.map(|made| served(made, generation)))));
                }
                StoreTask::Remove(removal, answer) => {
                    let removed = self.remove(removal, &mut committed.report);
                    committed.answers.push(Box::new(move |_| answer(removed)));
                }
                StoreTask::Expire(zone, reason, answer) => {
                    let expired = self.expire(&zone, reason, &mut committed.report);
                    committed.answers.push(Box::new(move |_| answer(expired)));
                }
                StoreTask::Observe(zone, error, answer) => {
                    let observed = self.observe(&zone, error);
                    committed.answers.push(Box::new(move |_| answer(observed)));
                }
                StoreTask::Configure(zone, author, change, answer) => {
                    let settings = self.configure(&zone, &author, change, &mut committed.report);
                    committed.answers.push(Box::new(move |_| answer(settings)));
                }
            }
        }
        self.flush(&mut staged, &mut committed, now);
        self.publish_changed(is_anew, &mut committed);
        committed
    }

    /// Lets held names go whose time is over.
    pub fn release(&mut self, now: Instant) -> Committed {
        for slot in &mut self.slots {
            let Some(owned) = slot.owned.as_mut().filter(|owned| owned.next_release().is_some_and(|until| until <= now)) else { continue };
            slot.zone = Some(owned.served(now));
            slot.hosted = None;
        }
        let mut committed = Committed::default();
        self.publish_changed(false, &mut committed);
        committed
    }

    /// When [`Store::release`] has something to do.
    pub fn next_release(&self) -> Option<Instant> {
        self.slots.iter().filter_map(|slot| slot.owned.as_ref()?.next_release()).min()
    }

    fn publish_changed(&mut self, is_anew: bool, committed: &mut Committed) {
        if is_anew || self.slots.iter().any(|slot| slot.hosted.is_none()) {
            self.publish(is_anew);
            committed.report.is_new = true;
            committed.snapshot = Some(self.current.clone());
        }
        committed.generation = self.current.generation;
        committed.report.generation = self.current.generation;
        self.drop_old();
    }

    fn stage_or_refuse(&mut self, wanted: Wanted, answer: ReplyFn<EditResult>, staged: &mut Vec<Staged>, committed: &mut Committed) {
        if let Err((answer, refusal)) = self.stage(wanted, answer, staged, committed) {
            committed.answers.push(Box::new(move |_| answer(Err(refusal))));
        }
    }

    /// Makes the zone as the edit wants it and appends the difference to its journal, not yet on the disk.
    fn stage(
        &mut self,
        wanted: Wanted,
        answer: ReplyFn<EditResult>,
        staged: &mut Vec<Staged>,
        committed: &mut Committed,
    ) -> Result<(), (ReplyFn<EditResult>, Refusal)> {
        let place = match self.place_of(&wanted.zone) {
            Ok(place) => place,
            Err(refusal) => return Err((answer, refusal)),
        };
        let at = staged.iter().position(|staged| staged.slot == place);
        let Attempt { done, changes, settings } = match self.attempt(place, at.map(|at| &staged[at]), wanted.maker, &wanted.author) {
            Ok(attempt) => attempt,
            Err(refusal) => {
                self.note_loss(place, &wanted.author, &refusal);
                return Err((answer, refusal));
            }
        };
        if !wanted.is_dry && wanted.author.via.feed().is_some() {
            self.slots[place].state.is_held = false; // a loss that was held is over
        }
        let Some(owned) = &mut self.slots[place].owned else { return Err((answer, Refusal::Stopped)) }; // the attempt needed it
        if wanted.is_dry || (done.change.is_none() && settings.is_none()) {
            let done = EditResult { change: None, ..done };
            committed.answers.push(Box::new(move |generation| answer(Ok(EditResult { generation, ..done }))));
            return Ok(());
        }
        if let Some(change) = &done.change {
            owned.journal.append(change);
        }
        if let Some(settings) = &settings {
            owned.journal.append_settings(&serde_json::to_string(&**settings).unwrap_or_default()); // text and lists: always JSON
        }
        match at {
            Some(at) => {
                let staged = &mut staged[at];
                staged.zone = done.after.clone();
                staged.changes.extend(changes);
                staged.settings = settings.or(staged.settings.take());
                staged.difference.add(&done.difference);
                staged.done.push((wanted.author, done, answer));
            }
            None => {
                let (zone, difference) = (done.after.clone(), done.difference.clone());
                let done = vec![(wanted.author, done, answer)];
                staged.push(Staged { slot: place, zone, changes, settings, difference, done });
            }
        }
        Ok(())
    }

    /// Makes the zone as an edit wants it, from the data that is staged or committed. Nothing of it is in the journal yet, so that a
    /// panic leaves what others staged there.
    fn attempt(&self, place: usize, staged: Option<&Staged>, maker: Maker, author: &Author) -> Result<Attempt, Refusal> {
        let slot = &self.slots[place];
        if let Some(refusal) = slot.refuses_edits(author.via) {
            return Err(refusal);
        }
        let owned = slot.owned.as_ref().ok_or(Refusal::Stopped)?; // refused above
        let before = staged.map_or(&owned.latest, |staged| &staged.zone);
        let kept = staged.and_then(|staged| staged.settings.as_ref()).unwrap_or(&owned.settings);
        let clients = self.context.clients.as_deref();
        unless_it_panics(&slot.name, || {
            let (changes, settings) = maker.make(before, kept)?;
            let after = Arc::new(before.apply(&changes).map_err(Refusal::Invalid)?);
            let is_guarded = author.via.feed().is_some_and(|kind| kind.is_guarded) && !kept.extra.contains_key(ACCEPTED_LOSS);
            if let Some(loss) = guard::feed_loss(slot, before, &after).filter(|_| is_guarded) {
                return Err(Refusal::Loss(loss));
            }
            let warnings = owned::lint_changes(&changes, clients);
            let (change, difference) = owned::compare(before, &after, &changes, author).unzip();
            let after = if difference.is_some() { after } else { before.clone() };
            let done = EditResult {
                name: slot.name.clone(),
                networks: slot.networks.clone(),
                before: before.clone(),
                after,
                difference: difference.unwrap_or_default(),
                change: change.map(Arc::new),
                warnings,
                generation: 0, // known when it is served
            };
            Ok(Attempt { done, changes, settings })
        })
    }

    /// Shows and logs once that the edit of a feed waits for the operator, because it would remove too many names.
    fn note_loss(&mut self, place: usize, author: &Author, refusal: &Refusal) {
        if let (Refusal::Loss(why), Some(_)) = (refusal, author.via.feed()) {
            let slot = &mut self.slots[place];
            slot.state.is_held = true;
            if slot.note(Some(why.clone())).is_some() {
                tracing::error!(zone = &*slot.name, networks = %slot.networks, "keeping the last good data: {why}");
            }
        }
    }

    /// Notes what a feed found without an edit. Its own log line has the reason, so the report does not repeat it for each zone.
    fn observe(&mut self, zone: &ZoneRef, error: Option<String>) -> Result<(), Refusal> {
        let place = self.place_of(zone)?;
        let slot = &mut self.slots[place];
        match error {
            Some(_) if slot.state.is_held => {} // the operator must learn of the loss first
            error => {
                slot.state.is_held = false;
                slot.note(error);
            }
        }
        Ok(())
    }

    /// Puts what is staged on the disk; what gets there is served by the next snapshot, the rest is refused.
    fn flush(&mut self, staged: &mut Vec<Staged>, committed: &mut Committed, now: Instant) {
        for Staged { slot, zone, changes, settings, difference, done } in staged.drain(..) {
            let slot = &mut self.slots[slot];
            let Some(owned) = &mut slot.owned else { continue }; // it was staged because there is one
            let latest = std::mem::replace(&mut owned.latest, zone.clone());
            let kept = owned.settings.clone();
            owned.settings = settings.unwrap_or_else(|| kept.clone());
            let start = Instant::now();
            let written = owned.commit(&self.context.state);
            self.meter.committed(start.elapsed(), done.len(), written.is_ok());
            if let (Err(error), Some(feed)) = (&written, slot.origin.feed()) {
                // A copy: nobody was promised that it is kept, and clients should have what the primary has.
                owned.journal.spend(format!("changes of the {} are not on the disk: {error}", feed.word));
            } else if let Err(error) = written {
                owned.journal.discard();
                (owned.latest, owned.settings) = (latest, kept);
                tracing::error!(zone = &*slot.name, "rejecting changes: {error}");
                for (_, _, answer) in done {
                    let refusal = Refusal::Journal(error.to_string());
                    committed.answers.push(Box::new(move |_| answer(Err(refusal))));
                }
                continue;
            }
            owned.latest = latest;
            owned.take(zone, &changes, slot.config.hold_deleted, now);
            if let Err(error) = owned.journal.settle().and_then(|()| owned.compact_aside()) {
                tracing::error!(zone = &*slot.name, "cannot compact the journal: {error}");
            }
            let is_changed = done.iter().any(|(_, done, _)| done.change.is_some());
            for (author, done, answer) in done {
                match &done.change {
                    Some(change) => {
                        owned.history.push(change.clone());
                        audit(&author, &slot.name, &slot.networks, done.after.serial(), &done.difference.to_string());
                    }
                    // A feed that found nothing new is no one's decision.
                    None if author.via.feed().is_some() => {}
                    None => audit(&author, &slot.name, &slot.networks, done.after.serial(), "settings changed"),
                }
                committed.answers.push(Box::new(move |generation| answer(Ok(EditResult { generation, ..done }))));
            }
            slot.zone = Some(owned.served(now));
            slot.hosted = None;
            if is_changed {
                slot.state.changed = Some(std::time::SystemTime::now());
            }
            slot.state.is_held = false;
            let recovered = slot.note(None);
            let outcome = if is_changed { Some(ZoneOutcome::Changed(difference)) } else { recovered };
            committed.report.zones.extend(outcome.map(|outcome| slot.report(outcome)));
        }
    }

    /// The slot that somebody names.
    pub(super) fn place_of(&self, zone: &ZoneRef) -> Result<usize, Refusal> {
        // A network that does not exist means no zone of all networks, as in `Snapshot::is_meant`.
        let exists = |wanted: &String| self.networks.iter().any(|network| network.name == *wanted);
        let is_linked =
            |slot: &ZoneSlot| zone.network.as_ref().is_none_or(|wanted| exists(wanted) || slot.networks.names().contains(wanted));
        let is_meant = |slot: &ZoneSlot| zone.means(&slot.name, &slot.networks) && is_linked(slot);
        let mut places = (0..self.slots.len()).filter(|place| is_meant(&self.slots[*place]));
        let place = places.next().ok_or_else(|| Refusal::NoZone(zone.to_string()))?;
        let others: Vec<usize> = places.collect();
        if others.is_empty() {
            return Ok(place);
        }
        let network = |place: &usize| self.slots[*place].networks.names().first().cloned().unwrap_or_default();
        Err(Refusal::Ambiguous { name: zone.name.clone(), networks: std::iter::once(&place).chain(&others).map(network).collect() })
    }
}

impl Maker {
    /// The RRsets that are to be different, and the settings where they are.
    fn make(self, zone: &Zone, kept: &Arc<ZoneSettings>) -> Result<(Vec<RrSetChange>, Option<Arc<ZoneSettings>>), Refusal> {
        match self {
            Self::Records(make) => Ok((make(zone)?, None)),
            Self::Both(amend) => {
                let mut settings = (**kept).clone();
                let changes = amend(zone, &mut settings)?;
                let settings = ZoneSettings { extra: settings.extra, ..(**kept).clone() };
                Ok((changes, (settings != **kept).then(|| Arc::new(settings))))
            }
        }
    }
}

impl ZoneSlot {
    /// Refuses another zone of the same name in one of its networks.
    pub(super) fn refuse_twin(&self) -> Refusal {
        let networks = if self.networks.are_all() { "all networks".into() } else { self.networks.names().join(", ") };
        Refusal::Exists(format!("zone {} is hosted already, for {networks}", self.name))
    }

    /// Why its records are not to be changed by an edit; none: they are.
    fn refuses_edits(&self, via: Via) -> Option<Refusal> {
        let name = self.name.clone();
        if !self.origin.accepts_edits_of(via.feed()) {
            return Some(Refusal::ReadOnly { name, writer: self.origin.name().into() });
        }
        self.owned.is_none().then(|| Refusal::Unavailable { name, reason: self.reason.to_string() })
    }

    /// The origin of the zone for messages. Line 0 stands for a zone without a line.
    pub(super) fn declared_by(&self) -> String {
        match self.config.line {
            0 => "the configuration".into(),
            line => format!("the configuration, line {line}"),
        }
    }
}

impl JournaledZone {
    /// Begins the journal anew with the zone as it is, on a thread of its own, where that pays.
    fn compact_aside(&mut self) -> Result<(), JournalError> {
        if !self.journal.wants_compaction() {
            return Ok(());
        }
        let (settings, serial, zone) = (self.image_settings(), self.latest.serial(), self.latest.clone());
        self.journal.compact_aside(move |path| journal::write_fresh(path, &settings, serial, owned::records(&zone)))
    }
}

/// Runs what an interface handed over. It must not panic; if it does, it costs that change, and not the thread that all changes need.
pub(super) fn unless_it_panics<T>(zone: &str, make: impl FnOnce() -> Result<T, Refusal>) -> Result<T, Refusal> {
    // It sees the zone and copies of what is kept: half done, it leaves nothing behind.
    catch_unwind(AssertUnwindSafe(make)).unwrap_or_else(|_| {
        tracing::error!(zone, "a change panicked and was rejected; the zone is unchanged");
        Err(Refusal::Panicked)
    })
}

/// Who, when, what, from where: one line a change, under a target of its own.
pub(super) fn audit(author: &Author, zone: &str, networks: &NetworkLinks, serial: u32, what: &str) {
    let from = author.from.map(|from| from.to_string()).unwrap_or_default();
    tracing::info!(target: "postern::audit", zone, networks = %networks, serial, who = &*author.who, via = author.via.word(), from, "{what}");
}

/// A serial to begin with.
pub(super) fn unix_seconds() -> u32 {
    std::time::SystemTime::now().duration_since(std::time::SystemTime::UNIX_EPOCH).map_or(1, |since| since.as_secs() as u32).max(1)
}

#[cfg(test)]
mod tests;
