//! Finds the files of a source in its directory: those that its zones read, and those that none reads.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use postern_config::model::{FileSource, SourceFormat};

use super::directory::{self, FileKind, Listing, NamedFile, is_passed_over};
use super::source_group::{SourceGroup, own_kind};
use super::zone_slot::ZoneSlot;
use crate::source::{SourceFile, plain};

impl SourceGroup {
    /// Finds the files of a directory. One that is gone stays known, so that its last good records stay.
    pub(super) fn discover(&mut self, slots: &[ZoneSlot]) {
        let FileSource::Directory { path } = &self.source else { return };
        let names: Vec<String> = match fs::read_dir(path).and_then(|entries| entries.collect::<Result<Vec<_>, _>>()) {
            Ok(entries) => entries.iter().filter_map(|entry| entry.file_name().into_string().ok()).collect(),
            Err(error) => {
                self.error = Some(format!("{}: {}", path.display(), plain(&error)));
                return;
            }
        };
        self.error = None;
        let listing = Listing::new(names);
        let own: HashMap<(usize, FileKind), usize> =
            self.inputs.iter().enumerate().filter_map(|(at, input)| Some((own_kind(input)?, at))).collect();
        let mut read: HashSet<String> = HashSet::new();
        let mut new = Vec::new();
        for slot in &self.zones {
            let config = &slots[*slot].config;
            for kind in kinds(config.preset) {
                let Some(name) = listing.of_zone(&config.name, *kind) else { continue };
                read.insert(name.to_owned());
                let path = path.join(name);
                let format = NamedFile::of(name).map_or(SourceFormat::Auto, |named| named.format);
                match own.get(&(*slot, *kind)).map(|at| &mut self.inputs[*at]) {
                    Some(input) if *input.path == path => {}
                    Some(input) => {
                        // Another file of the zone takes over. Until it is good the last good records of the one before count.
                        let mut next = SourceFile::new(path, format, Some(*slot));
                        (next.log, next.was_good, next.holds) = (input.log.take(), input.was_good, input.holds);
                        next.counts = std::mem::take(&mut input.counts);
                        *input = next;
                    }
                    None => new.push(SourceFile::new(path, format, Some(*slot))),
                }
            }
        }
        if !self.sharing.is_empty() {
            let known: HashSet<Arc<PathBuf>> =
                self.inputs.iter().filter(|input| input.own.is_none()).map(|input| input.path.clone()).collect();
            for name in listing.names.iter().filter(|name| self.shares(Some(OsStr::new(name)), slots)) {
                read.insert(name.clone());
                let path = path.join(name);
                if !known.contains(&path) {
                    let format = NamedFile::of(name).map_or(SourceFormat::Auto, |named| named.format);
                    let mut input = SourceFile::new(path, format, None);
                    input.sharing = Some(self.sharing.clone());
                    new.push(input);
                }
            }
        }
        self.unread =
            listing.names.iter().filter(|name| !read.contains(*name) && !is_passed_over(name)).map(|name| path.join(name)).collect();
        if !new.is_empty() {
            self.inputs.append(&mut new);
            self.inputs.sort_by(|a, b| (a.own.is_none(), &a.path).cmp(&(b.own.is_none(), &b.path)));
        }
        self.listing = listing;
    }

    /// Files of the directory that it does not read. `is_used` knows those that something else reads or writes.
    pub(super) fn unread(&self, is_used: impl Fn(&Path) -> bool) -> Vec<PathBuf> {
        let unread = self.unread.iter().filter(|path| self.error.is_none() && path.is_file() && !is_used(path));
        unread.cloned().collect()
    }

    /// Returns advice about an unread file: the zone that it probably belongs to.
    pub(super) fn hint(&self, path: &Path, slots: &[ZoneSlot]) -> String {
        let zones: Vec<&str> = self.zones.iter().map(|slot| &*slots[*slot].name).collect();
        let others: Vec<&str> = slots.iter().map(|slot| &*slot.name).filter(|name| !zones.contains(name)).collect();
        directory::hint(path, &zones, &others, !self.sharing.is_empty(), &self.listing)
    }

    /// Takes over what is known of the files that are still files of it.
    pub(super) fn continue_from(&mut self, mut inputs: Vec<SourceFile>, slots: &[ZoneSlot]) {
        let named = |input: &SourceFile| NamedFile::of(&input.path.file_name()?.to_string_lossy());
        for slot in &self.zones {
            let config = &slots[*slot].config;
            for kind in kinds(config.preset) {
                let is_it = |input: &SourceFile| {
                    input.own.is_some() && named(input).is_some_and(|named| named.zone == config.name && named.kind == *kind)
                };
                if let Some(found) = inputs.iter().position(is_it) {
                    let mut input = inputs.remove(found);
                    input.own = Some(*slot);
                    self.inputs.push(input);
                }
            }
        }
        let is_shared = |input: &SourceFile| input.own.is_none() && !self.sharing.is_empty() && self.shares(input.path.file_name(), slots);
        inputs.retain(is_shared);
        inputs.iter_mut().for_each(|input| input.sharing = Some(self.sharing.clone()));
        self.inputs.append(&mut inputs);
    }

    /// True if a file is read for all zones of a preset: its name is not that of another zone.
    fn shares(&self, name: Option<&OsStr>, slots: &[ZoneSlot]) -> bool {
        let Some(named) = name.and_then(|name| NamedFile::of(&name.to_string_lossy())) else { return false };
        let is_own = |slot: &usize| !slots[*slot].config.preset && slots[*slot].config.name == named.zone;
        named.kind != FileKind::Zone && !self.zones.iter().any(is_own)
    }
}

/// The kinds of files that are a zone's own. The exports of a preset are shared by its zones.
fn kinds(preset: bool) -> &'static [FileKind] {
    if preset { &[FileKind::Zone] } else { &[FileKind::Zone, FileKind::Hosts, FileKind::Azure] }
}
