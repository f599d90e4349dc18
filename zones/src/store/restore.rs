//! Last good data of the last run, for sources that are bad or missing at the start, or that would lose too much.
//!
//! Sources are read first. If all files of a zone are good and unchanged, only the serial of the kept data is used. Otherwise the kept data
//! is loaded as if it were served, and the files are judged against it like any change. One bad file thus costs its own change alone.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use postern_config::model::SourceFormat;

use super::context::Context;
use super::directory::NamedFile;
use super::judged::{JudgedInput, KeptDraft, RecalledFile};
use super::kept::{Keeper, KeptFile, KeptRecords, KeptZone, source_key, zone_key};
use super::report::ZoneOutcome;
use super::source_group::{SourceGroup, own_kind};
use super::zone_slot::ZoneSlot;
use crate::source::{FileCounts, SourceFile};
use crate::zone::{Foreign, Zone, next_serial};

impl SourceGroup {
    /// Looks up the kept files of this source once. Files that are gone since then become inputs again.
    pub(super) fn recall(&mut self, slots: &[ZoneSlot], context: &Context) {
        let Some(keeper) = context.keeper.as_ref().filter(|_| self.recalled.is_none()) else { return };
        let is_directory = self.source.is_directory();
        let mut recalled = Vec::new();
        for file in keeper.files(&self.source).into_iter().filter(|file| !file.is_inherited()) {
            let slot = file.zone.as_ref().map(|key| self.zones.iter().copied().find(|slot| zone_key(&slots[*slot].config) == *key));
            if slot == Some(None) {
                continue; // of a zone that is no longer hosted
            }
            let (slot, mut path) = (slot.flatten(), PathBuf::from(&file.path));
            let own = slot.filter(|_| is_directory);
            let sharing = slot.is_none().then(|| self.sharing.clone());
            if is_directory && own.is_none() && self.sharing.is_empty() {
                continue; // no zone reads it any more
            }
            if is_directory && !self.inputs.iter().any(|input| *input.path == path && input.own == own) {
                let named = path.file_name().and_then(|name| NamedFile::of(&name.to_string_lossy()));
                let format = named.map_or(SourceFormat::Auto, |named| named.format);
                let mut input = SourceFile::new(path.clone(), format, own);
                input.sharing.clone_from(&sharing);
                input.was_good = true;
                // Another file of the zone has taken its place.
                match self.inputs.iter().find(|other| own.is_some() && own_kind(other) == own_kind(&input)) {
                    Some(other) => path = other.path.to_path_buf(),
                    None => self.inputs.push(input),
                }
            }
            recalled.push(RecalledFile { path, slot, sharing, file });
        }
        self.inputs.sort_by(|a, b| (a.own.is_none(), &a.path).cmp(&(b.own.is_none(), &b.path)));
        self.recalled = Some(recalled);
    }

    /// Gives the kept data to zones that do not serve yet, unless all of their files are good and unchanged.
    pub(super) fn restore(&mut self, judged: &[JudgedInput], slots: &mut [ZoneSlot], context: &Context) {
        let Some(keeper) = &context.keeper else { return };
        let mut wanted: Vec<(usize, KeptZone)> = Vec::new();
        for &slot in &self.zones {
            if slots[slot].zone.is_some() || std::mem::replace(&mut slots[slot].is_recalled, true) {
                continue;
            }
            let Some(zone) = keeper.zone(&slots[slot].config) else { continue };
            let is_same = self.error.is_none() && self.is_as_kept(slot, judged);
            slots[slot].kept_serial = Some((zone, is_same));
            if let Some(file) = keeper.inherited(&slots[slot].config) {
                slots[slot].kept_serial = Some((zone, false));
                slots[slot].load_inherited(&file, &zone, keeper, context);
            } else if !is_same && self.recalled.iter().flatten().any(|kept| kept.is_of(slot)) {
                wanted.push((slot, zone));
            }
        }
        if !wanted.is_empty() {
            self.load(wanted, keeper, slots, context);
        }
    }

    fn is_as_kept(&self, slot: usize, judged: &[JudgedInput]) -> bool {
        self.inputs.iter().enumerate().filter(|(_, input)| input.is_of(slot)).all(|(index, input)| {
            let kept = self.recalled.iter().flatten().find(|kept| kept.path == *input.path && kept.is_of(slot));
            let found = judged.iter().find(|found| found.input == index && found.is_good());
            found.zip(kept).is_some_and(|(found, kept)| KeptDraft::of(found).is(&kept.file))
        })
    }

    /// Loads kept data. A zone is left out if a part of it cannot be read, because the missing names would go public.
    fn load(&mut self, mut wanted: Vec<(usize, KeptZone)>, keeper: &Keeper, slots: &mut [ZoneSlot], context: &Context) {
        let is_directory = self.source.is_directory();
        for kept in self.recalled.iter().flatten() {
            if !wanted.iter().any(|(slot, _)| kept.is_of(*slot)) {
                continue;
            }
            let (file, log) = match keeper.read(&kept.file) {
                Ok(read) => read,
                Err(why) => {
                    tracing::warn!("the last good data of {} cannot be used: {why}", kept.file.path);
                    wanted.retain(|(slot, _)| !kept.is_of(*slot));
                    continue;
                }
            };
            if let Some(slot) = kept.slot.filter(|_| !is_directory) {
                // One file that each of several zones reads for itself.
                let Some(place) = wanted.iter().position(|(other, _)| *other == slot) else { continue };
                let (_, zone) = wanted.swap_remove(place);
                let mut builder = slots[slot].builder(context).foreign(Foreign::Skip);
                log.replay(&mut builder);
                builder.finish(zone.serial).into_iter().for_each(|built| slots[slot].take_kept(built.zone, &zone, keeper));
                self.inputs.iter_mut().for_each(|input| input.set_kept(&file));
            } else if let Some(input) = self.inputs.iter_mut().find(|input| *input.path == kept.path && input.own == kept.slot) {
                input.set_kept(&file);
                input.log = Some(Arc::new(log));
            }
        }
        let affected: Vec<usize> = wanted.iter().map(|(slot, _)| *slot).collect();
        for made in self.make(&mut [], &affected, slots, context).0 {
            let Some((_, zone)) = wanted.iter().find(|(slot, _)| *slot == made.slot) else { continue };
            made.result.into_iter().for_each(|(built, _)| slots[made.slot].take_kept(built.zone, zone, keeper));
        }
    }

    /// Keeps the data that was read now for the next start.
    pub(super) fn keep(&self, drafts: Vec<(usize, KeptDraft)>, changed: &[usize], slots: &[ZoneSlot], context: &Context) {
        let Some(keeper) = &context.keeper else { return };
        let source = source_key(&self.source);
        for (index, draft) in drafts {
            let input = &self.inputs[index];
            let of_file: Vec<usize> = self.zones.iter().copied().filter(|slot| input.is_of(*slot)).collect();
            if of_file.iter().any(|slot| slots[*slot].build_error.is_some()) {
                continue; // good by itself, and not served
            }
            let file = |slot: Option<usize>| KeptFile {
                source: source.clone(),
                path: input.path.to_string_lossy().into_owned(),
                zone: slot.map(|slot| zone_key(&slots[slot].config)),
                length: draft.length,
                sum: draft.sum,
                included: draft.included.clone(),
                counts: input.counts.iter().map(|(path, count)| (path.to_string_lossy().into_owned(), count)).collect(),
            };
            match &input.log {
                Some(log) => keeper.save(file(input.own), KeptRecords::Log(log.clone())),
                None => {
                    for slot in of_file {
                        let zone = slots[slot].zone.clone();
                        zone.into_iter().for_each(|zone| keeper.save(file(Some(slot)), KeptRecords::Zone(zone)));
                    }
                }
            }
        }
        for &slot in changed {
            let newest = self.inputs.iter().filter(|input| input.is_of(slot)).filter_map(|input| input.changed).max();
            let zone = slots[slot].zone.as_ref().filter(|_| slots[slot].build_error.is_none());
            if let Some(zone) = zone {
                keeper.save_zone(&slots[slot].config, zone, newest);
                keeper.forget_inherited(&slots[slot].config);
            }
        }
    }
}

impl SourceGroup {
    /// Writes the records of files anew that were removed from the state directory.
    pub(super) fn keep_again(&self, removed: &[KeptFile], slots: &[ZoneSlot], keeper: &Keeper) {
        let source = source_key(&self.source);
        for file in removed.iter().filter(|file| file.source == source) {
            let of = |key: &String| self.zones.iter().copied().find(|slot| zone_key(&slots[*slot].config) == *key);
            let slot = file.zone.as_ref().and_then(of);
            let input =
                self.inputs.iter().find(|input| input.path.to_string_lossy() == file.path && (input.own.is_none() || input.own == slot));
            let log = input.and_then(|input| input.log.clone()).map(KeptRecords::Log);
            let records = log.or_else(|| slots[slot?].zone.clone().map(KeptRecords::Zone));
            records.into_iter().for_each(|records| keeper.write(file.clone(), records));
        }
    }
}

impl SourceFile {
    /// Takes the counts of its last good content from an earlier run.
    fn set_kept(&mut self, file: &KeptFile) {
        let mut counts = FileCounts::default();
        file.counts.iter().for_each(|(path, count)| counts.add(&Arc::new(PathBuf::from(path)), *count));
        (self.was_good, self.counts) = (true, counts);
    }
}

impl ZoneSlot {
    /// Serves the data of another source, as an earlier run did.
    fn load_inherited(&mut self, file: &KeptFile, kept: &KeptZone, keeper: &Keeper, context: &Context) {
        match keeper.read(file) {
            Ok((_, log)) => {
                let mut builder = self.builder(context).foreign(Foreign::Skip);
                log.replay(&mut builder);
                builder.finish(kept.serial).into_iter().for_each(|built| self.take_kept(built.zone, kept, keeper));
                self.is_inherited = self.zone.is_some();
            }
            Err(why) => tracing::warn!("the last good data of zone {} cannot be used: {why}", self.name),
        }
    }

    /// Serves the data that an earlier run kept. The serial moves on if the same records make another zone now.
    fn take_kept(&mut self, zone: Zone, kept: &KeptZone, keeper: &Keeper) {
        let serial = if kept.is_of(&zone) { kept.serial } else { next_serial(kept.serial) };
        let zone = Arc::new(if zone.has_own_serial() { zone } else { zone.with_serial(serial) });
        keeper.save_serial(&self.config, &zone, kept);
        (self.zone, self.hosted) = (Some(zone), None);
        (self.state.changed, self.state.last_success) = (kept.changed(), Some(kept.saved()));
        (self.kept_since, self.kept_is_new) = (Some(kept.saved()), true);
    }

    /// Notes whether the zone serves the data of an earlier run. Returns the outcome to report the first time.
    pub(super) fn note_kept(&mut self, is_bad: bool) -> Option<ZoneOutcome> {
        let since: SystemTime = self.kept_since?;
        let is_new = std::mem::take(&mut self.kept_is_new);
        self.state.is_kept = is_bad;
        if !is_bad {
            self.kept_since = None; // it was there to compare with
        }
        is_new.then_some(if is_bad { ZoneOutcome::Kept(since) } else { ZoneOutcome::Loaded })
    }
}
