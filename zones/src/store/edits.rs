//! Edits on the store's thread: staged zone by zone, one fsync a journal for all that waits, then one new snapshot.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use postern_config::model::{self, NetworkLinks, ZoneSource};

use super::owned::{self, Owned};
use super::{Outcome, Report, Store, ZoneSlot};
use crate::diff::Difference;
use crate::edit::{Amend, Answer, Author, Configure, Done, Edit, Make, NewZone, Refusal, Task, Via, ZoneRef, ZoneRemoval, ZoneSettings};
use crate::journal::{self, JournalError};
use crate::name::NameBuf;
use crate::snapshot::Snapshot;
use crate::zone::{Change, Zone};

/// What came of a batch of tasks. The answers are given once the snapshot serves.
#[derive(Default)]
pub struct Committed {
    /// What to serve from now on; none: nothing changed.
    pub snapshot: Option<Arc<Snapshot>>,
    /// What changed.
    pub report: Report,
    generation: u64,
    answers: Vec<Box<dyn FnOnce(u64) + Send>>,
}

/// Edits of one zone that are not on the disk yet.
struct Staged {
    slot: usize,
    zone: Arc<Zone>,
    changes: Vec<Change>,
    /// What is kept beside the records from now on; none: as it was.
    settings: Option<Arc<ZoneSettings>>,
    difference: Difference,
    done: Vec<(Author, Done, Answer<Done>)>,
}

/// What an edit is made by.
enum Maker {
    Records(Make),
    Both(Amend),
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
    pub fn commit(&mut self, tasks: VecDeque<Task>, now: Instant) -> Committed {
        let mut committed = Committed::default();
        let mut staged: Vec<Staged> = Vec::new();
        let mut is_anew = !tasks.is_empty() && self.retry_listing(&mut committed.report);
        for task in tasks {
            if !matches!(task, Task::Edit(..) | Task::Amend(..)) {
                self.flush(&mut staged, &mut committed, now);
                is_anew = true;
            }
            match task {
                Task::Edit(Edit { zone, author, make, is_dry }, answer) => {
                    let wanted = Wanted { zone, author, maker: Maker::Records(make), is_dry };
                    self.stage_or_refuse(wanted, answer, &mut staged, &mut committed);
                }
                Task::Amend(zone, author, amend, answer) => {
                    let wanted = Wanted { zone, author, maker: Maker::Both(amend), is_dry: false };
                    self.stage_or_refuse(wanted, answer, &mut staged, &mut committed);
                }
                Task::Create(new, author, answer) => {
                    let made = self.create_all(new, &author, &mut committed.report);
                    let served = |made: Vec<Done>, generation| made.into_iter().map(|done| Done { generation, ..done }).collect();
                    committed.answers.push(Box::new(move |generation| answer(made.map(|made| served(made, generation)))));
                }
                Task::Remove(removal, answer) => {
                    let removed = self.remove(removal, &mut committed.report);
                    committed.answers.push(Box::new(move |_| answer(removed)));
                }
                Task::Expire(zone, reason, answer) => {
                    let expired = self.expire(&zone, reason, &mut committed.report);
                    committed.answers.push(Box::new(move |_| answer(expired)));
                }
                Task::Configure(zone, author, change, answer) => {
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

    fn stage_or_refuse(&mut self, wanted: Wanted, answer: Answer<Done>, staged: &mut Vec<Staged>, committed: &mut Committed) {
        if let Err((answer, refusal)) = self.stage(wanted, answer, staged, committed) {
            committed.answers.push(Box::new(move |_| answer(Err(refusal))));
        }
    }

    /// Makes the zone as the edit wants it and appends the difference to its journal, not yet on the disk.
    fn stage(
        &mut self,
        wanted: Wanted,
        answer: Answer<Done>,
        staged: &mut Vec<Staged>,
        committed: &mut Committed,
    ) -> Result<(), (Answer<Done>, Refusal)> {
        let place = match self.place_of(&wanted.zone) {
            Ok(place) => place,
            Err(refusal) => return Err((answer, refusal)),
        };
        let slot = &mut self.slots[place];
        if let Some(refusal) = slot.refuses_edits(wanted.author.via) {
            return Err((answer, refusal));
        }
        let Some(owned) = &mut slot.owned else { return Err((answer, Refusal::Stopped)) }; // refused above
        let at = staged.iter().position(|staged| staged.slot == place);
        let before = at.map_or_else(|| owned.latest.clone(), |at| staged[at].zone.clone());
        let kept = at.and_then(|at| staged[at].settings.as_ref()).unwrap_or(&owned.settings);
        let clients = self.context.clients.as_deref();
        // Before anything of it is in the journal: what others staged there stays.
        let made = unless_it_panics(&slot.name, || {
            let (changes, settings) = wanted.maker.make(&before, kept)?;
            let after = Arc::new(before.apply(&changes).map_err(Refusal::Invalid)?);
            let warnings = owned::lint_changes(&changes, clients);
            let (change, difference) = owned::compare(&before, &after, &changes, &wanted.author).unzip();
            Ok((changes, settings, after, warnings, change, difference))
        });
        let (changes, settings, after, warnings, change, difference) = match made {
            Ok(made) => made,
            Err(refusal) => return Err((answer, refusal)),
        };
        let (name, networks) = (slot.name.clone(), slot.networks.clone());
        let done = |after: Arc<Zone>, change: Option<journal::Change>| Done {
            name,
            networks,
            before: before.clone(),
            after,
            difference: difference.clone().unwrap_or_default(),
            change: change.map(Arc::new),
            warnings,
            generation: 0, // known when it is served
        };
        let after = if difference.is_some() { after } else { before.clone() };
        if wanted.is_dry || (change.is_none() && settings.is_none()) {
            let done = done(after, None);
            committed.answers.push(Box::new(move |generation| answer(Ok(Done { generation, ..done }))));
            return Ok(());
        }
        if let Some(change) = &change {
            owned.journal.append(change);
        }
        if let Some(settings) = &settings {
            owned.journal.append_settings(&serde_json::to_string(&**settings).unwrap_or_default()); // text and lists: always JSON
        }
        let done = done(after.clone(), change);
        match at {
            Some(at) => {
                let staged = &mut staged[at];
                staged.zone = after;
                staged.changes.extend(changes);
                staged.settings = settings.or(staged.settings.take());
                staged.difference.add(&done.difference);
                staged.done.push((wanted.author, done, answer));
            }
            None => {
                let difference = done.difference.clone();
                let done = vec![(wanted.author, done, answer)];
                staged.push(Staged { slot: place, zone: after, changes, settings, difference, done });
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
                committed.answers.push(Box::new(move |generation| answer(Ok(Done { generation, ..done }))));
            }
            slot.zone = Some(owned.served(now));
            slot.hosted = None;
            if is_changed {
                slot.state.changed = Some(std::time::SystemTime::now());
            }
            let recovered = slot.note(None);
            let outcome = if is_changed { Some(Outcome::Changed(difference)) } else { recovered };
            committed.report.zones.extend(outcome.map(|outcome| slot.report(outcome)));
        }
    }

    /// Creates zones. If one of them cannot be created, the others are removed again before anybody saw them.
    fn create_all(&mut self, new: Vec<NewZone>, author: &Author, report: &mut Report) -> Result<Vec<Done>, Refusal> {
        if let (Some(reason), Some(first)) = (self.unlistable(), new.first()) {
            return Err(Refusal::Unavailable { name: first.settings.name.as_str().into(), reason }); // it may be there already
        }
        let before = self.slots.len();
        let made: Result<Vec<Done>, Refusal> = new.into_iter().map(|new| self.create(new)).collect();
        match &made {
            Ok(_) => {
                for slot in &self.slots[before..] {
                    audit(author, &slot.name, &slot.networks, slot.zone.as_ref().map_or(0, |zone| zone.serial()), "zone created");
                    report.zones.push(slot.report(Outcome::Loaded));
                }
            }
            Err(_) => {
                for mut slot in self.slots.drain(before..) {
                    if let Some(Err(error)) = slot.owned.as_mut().map(|owned| owned.journal.remove()) {
                        tracing::error!(zone = &*slot.name, "zone not created, but it will appear at the next start: {error}");
                    }
                }
            }
        }
        made
    }

    fn create(&mut self, new: NewZone) -> Result<Done, Refusal> {
        let NewZone { settings, records } = new;
        let settings = ZoneSettings { declared: false, ..settings };
        let slot = self.slot_of(&settings)?;
        // Records with an SOA are a whole zone: no NS records are added to them.
        let sets_serial = records.iter().any(|change| change.rtype == crate::zone::rtype::SOA);
        let builder = if sets_serial { slot.empty_builder().authority(None) } else { slot.empty_builder() };
        let zone = builder.finish(unix_seconds()).map_err(|_| Refusal::Stopped)?.zone; // no record, no problem
        let serial = zone.serial();
        let zone = zone.apply(&records).map_err(Refusal::Invalid)?;
        let zone = if sets_serial { zone } else { zone.with_serial(serial) };
        let path = owned::path_for(self.context.state.path(), &settings.name);
        let owned = Owned::create(&self.context.state, path, settings, zone).map_err(|error| Refusal::Journal(error.to_string()))?;
        let warnings = owned::lint_changes(&records, self.context.clients.as_deref());
        let zone = owned.latest.clone();
        let difference = Difference::whole(&zone, true);
        let slot = ZoneSlot { owned: Some(owned), zone: Some(zone.clone()), ..slot };
        let (name, networks) = (slot.name.clone(), slot.networks.clone());
        self.slots.push(slot);
        Ok(Done { name, networks, before: zone.clone(), after: zone, difference, change: None, warnings, generation: 0 })
    }

    /// Removes a zone. After an error of the file system behind the removal itself the zone is gone here, which is no acknowledgement.
    fn remove(&mut self, removal: ZoneRemoval, report: &mut Report) -> Result<(), Refusal> {
        let ZoneRemoval { zone, author, may, .. } = removal;
        let place = self.place_of(&zone)?;
        if let Some(path) = self.slots[place].awaits.clone() {
            unless_it_panics(&self.slots[place].name, || may(None))?;
            return self.remove_damaged(place, &path, &author, removal.discards_damaged, report);
        }
        let slot = &mut self.slots[place];
        let name = slot.name.clone();
        let writer = slot.declared_by();
        let Some(owned) = slot.owned.as_mut().filter(|owned| !owned.settings.declared) else {
            return Err(Refusal::ReadOnly { name, writer });
        };
        unless_it_panics(&name, || may(Some(&owned.latest)))?;
        self.context.state.verify().map_err(|error| Refusal::Journal(JournalError::from(error).to_string()))?;
        let removed = owned.journal.remove().map_err(|error| Refusal::Journal(error.to_string()));
        if removed.is_err() && !is_absent(&owned.path) {
            return removed;
        }
        self.drop_slot(place, &author, report);
        removed
    }

    /// Removes a zone whose journal cannot be read. The file is kept under another name, because its records may be salvaged.
    fn remove_damaged(
        &mut self,
        place: usize,
        path: &Path,
        author: &Author,
        discards_damaged: bool,
        report: &mut Report,
    ) -> Result<(), Refusal> {
        let ZoneSlot { name, reason, .. } = &self.slots[place];
        if !discards_damaged {
            return Err(Refusal::Loss(format!(
                "the records of zone {name} cannot be read: {reason}; `discard_damaged=true` removes the zone and keeps the file under \
                 another name"
            )));
        }
        self.context.state.verify().map_err(|error| Refusal::Journal(JournalError::from(error).to_string()))?;
        let kept = owned::set_aside(path);
        if kept.is_err() && !is_absent(path) {
            return kept.map(drop).map_err(|error| Refusal::Journal(error.to_string()));
        }
        if let Ok(Some(kept)) = &kept {
            tracing::warn!(zone = &**name, "the zone is removed; its damaged journal is kept as {}", kept.display());
        }
        self.drop_slot(place, author, report);
        kept.map(drop).map_err(|error| Refusal::Journal(error.to_string()))
    }

    fn drop_slot(&mut self, place: usize, author: &Author, report: &mut Report) {
        let slot = self.slots.remove(place);
        audit(author, &slot.name, &slot.networks, slot.zone.as_ref().map_or(0, |zone| zone.serial()), "zone removed");
        report.zones.push(slot.report(Outcome::Removed));
        self.groups = super::source_group::SourceGroup::all(&self.slots, std::mem::take(&mut self.groups)); // places moved
    }

    fn configure(&mut self, zone: &ZoneRef, author: &Author, change: Configure, report: &mut Report) -> Result<Arc<ZoneSettings>, Refusal> {
        let place = self.place_of(zone)?;
        let name = self.slots[place].name.clone();
        let writer = self.slots[place].declared_by();
        let Some(owned) = &self.slots[place].owned else { return Err(Refusal::ReadOnly { name, writer }) };
        let old = owned.settings.clone();
        let mut settings = (*old).clone();
        unless_it_panics(&name, || change(&owned.latest, &mut settings))?;
        settings.name.clone_from(&old.name);
        settings.declared = old.declared;
        let moves = (&settings.networks, settings.on_missing, settings.fallback) != (&old.networks, old.on_missing, old.fallback);
        if moves && old.declared {
            return Err(Refusal::ReadOnly { name, writer });
        }
        let is_relinked = settings.networks != old.networks;
        if is_relinked {
            self.check_links(&settings, Some(place))?;
        }
        let slot = &mut self.slots[place];
        let Some(owned) = &mut slot.owned else { return Err(Refusal::Stopped) }; // there was one above
        owned.journal.append_settings(&serde_json::to_string(&settings).unwrap_or_default());
        owned.settings = Arc::new(settings);
        if let Err(error) = owned.commit(&self.context.state) {
            owned.journal.discard();
            owned.settings = old;
            return Err(Refusal::Journal(error.to_string()));
        }
        let config = Arc::make_mut(&mut slot.config);
        config.networks.clone_from(&owned.settings.networks);
        config.on_missing = owned.settings.on_missing;
        config.fallback = records_fallbacks(&owned.settings);
        let settings = owned.settings.clone();
        slot.hosted = None;
        if is_relinked {
            slot.networks = settings.networks.clone();
            slot.show_conflict(None);
        }
        if *settings != *old {
            audit(author, &slot.name, &slot.networks, slot.zone.as_ref().map_or(0, |zone| zone.serial()), "settings changed");
        }
        report.is_new = true;
        Ok(settings)
    }

    /// Takes the data of a zone away from clients; what was committed stays, so that a transfer goes on from there.
    fn expire(&mut self, zone: &ZoneRef, reason: String, report: &mut Report) -> Result<(), Refusal> {
        let place = self.place_of(zone)?;
        let slot = &mut self.slots[place];
        slot.zone = None;
        slot.hosted = None;
        if let Some(outcome) = slot.note(Some(reason)) {
            report.zones.push(slot.report(outcome));
        }
        Ok(())
    }

    /// The slot that somebody names.
    fn place_of(&self, zone: &ZoneRef) -> Result<usize, Refusal> {
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

    /// A slot for a zone that an API makes, with no data yet.
    fn slot_of(&self, settings: &ZoneSettings) -> Result<ZoneSlot, Refusal> {
        let invalid = |message: String| Refusal::Invalid(vec![crate::zone::Refused { change: 0, message }]);
        let name = NameBuf::parse(&settings.name).map_err(|error| invalid(format!("`{}` is not a name: {error}", settings.name)))?;
        let text = name.to_string().to_ascii_lowercase();
        let plain = if text == "." { "." } else { text.trim_end_matches('.') };
        if plain != settings.name {
            return Err(invalid(format!("write the zone's name as `{plain}`")));
        }
        self.check_links(settings, None)?;
        let zone = model::ZoneConfig { zone_names: self.context.zone_names.clone(), ..made_zone(settings) };
        ZoneSlot::new(&zone, None, &mut Report::default()).ok_or_else(|| invalid(format!("`{}` is not a name", settings.name)))
    }

    /// Networks must be there, and none may have the zone twice.
    pub(super) fn check_links(&self, settings: &ZoneSettings, not: Option<usize>) -> Result<(), Refusal> {
        if let Some(unknown) = settings.networks.names().iter().find(|name| !self.networks.iter().any(|network| network.name == **name)) {
            let message = format!("there is no network `{unknown}`");
            return Err(Refusal::Invalid(vec![crate::zone::Refused { change: 0, message }]));
        }
        let meets = |slot: &ZoneSlot| slot.networks.overlap(&settings.networks);
        let twice = self.slots.iter().enumerate().find(|(place, slot)| Some(*place) != not && *slot.name == settings.name && meets(slot));
        twice.map_or(Ok(()), |(_, slot)| Err(slot.refuse_twin()))
    }
}

/// Returns true if a file is known to be gone. A directory that cannot be searched tells nothing about its files.
fn is_absent(path: &Path) -> bool {
    fs::symlink_metadata(path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
}

impl Maker {
    /// The RRsets that are to be different, and the settings where they are.
    fn make(self, zone: &Zone, kept: &Arc<ZoneSettings>) -> Result<(Vec<Change>, Option<Arc<ZoneSettings>>), Refusal> {
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

impl Owned {
    /// Begins the journal anew with the zone as it is, on a thread of its own, where that pays.
    fn compact_aside(&mut self) -> Result<(), JournalError> {
        if !self.journal.wants_compaction() {
            return Ok(());
        }
        let (settings, serial, zone) = (self.image_settings(), self.latest.serial(), self.latest.clone());
        self.journal.compact_aside(move |path| journal::write_fresh(path, &settings, serial, owned::records(&zone)))
    }
}

/// Whether the fallback record has the names that a zone lacks which an API made.
fn records_fallbacks(settings: &ZoneSettings) -> bool {
    settings.fallback.unwrap_or_else(|| postern_config::azure::is_private_link(&settings.name))
}

/// A zone that an API made, as the configuration would say it.
pub(super) fn made_zone(settings: &ZoneSettings) -> model::ZoneConfig {
    model::ZoneConfig {
        name: settings.name.clone(),
        preset: false,
        networks: settings.networks.clone(),
        source: ZoneSource::Api,
        on_missing: settings.on_missing,
        fallback: records_fallbacks(settings),
        min_ttl: 0,
        max_ttl: i32::MAX as u32,
        hold_deleted: std::time::Duration::ZERO,
        max_loss: 100,
        allow_empty: true,
        zone_names: model::ZoneNames::default(),
        transfer_to: Vec::new(),
        notify: Vec::new(),
        transfer_key: None,
        line: 0,
    }
}

/// Runs what an interface handed over. It must not panic; if it does, it costs that change, and not the thread that all changes need.
fn unless_it_panics<T>(zone: &str, make: impl FnOnce() -> Result<T, Refusal>) -> Result<T, Refusal> {
    // It sees the zone and copies of what is kept: half done, it leaves nothing behind.
    catch_unwind(AssertUnwindSafe(make)).unwrap_or_else(|_| {
        tracing::error!(zone, "a change panicked and was rejected; the zone is unchanged");
        Err(Refusal::Panicked)
    })
}

/// Who, when, what, from where: one line a change, under a target of its own.
fn audit(author: &Author, zone: &str, networks: &NetworkLinks, serial: u32, what: &str) {
    let from = author.from.map(|from| from.to_string()).unwrap_or_default();
    tracing::info!(target: "postern::audit", zone, networks = %networks, serial, who = &*author.who, via = author.via.word(), from, "{what}");
}

/// A serial to begin with.
pub(super) fn unix_seconds() -> u32 {
    std::time::SystemTime::now().duration_since(std::time::SystemTime::UNIX_EPOCH).map_or(1, |since| since.as_secs() as u32).max(1)
}

#[cfg(test)]
mod tests;
