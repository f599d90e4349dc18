//! Groups of zones that are read from one source: a file, or a directory with files of each zone and shared files.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use postern_config::model::{FileSource, SourceFormat};

use super::context::Context;
use super::directory::{FileKind, Listing, NamedFile};
use super::guard::{self, DoubtVerdict, PATIENCE, UNFINISHED, UNFINISHED_UNSERVED};
use super::judged::{JudgedInput, KeptDraft, RecalledFile};
use super::report::LookReport;
use super::zone_slot::ZoneSlot;
use crate::memory;
use crate::name::{NameBuf, WireName};
use crate::record::{RecordRef, RecordSink, Severity, SourceProblem, TextPosition};
use crate::source::{Census, FileCounts, FileLook, LookMode, RecordLog, SettledContent, Sorter, SourceFile, Strays};
use crate::text;

/// Zones that the message about a file that is gone names.
const MOST_NAMED: usize = 8;

/// A source and the zones that have it.
#[derive(Debug)]
pub struct SourceGroup {
    pub(super) source: FileSource,
    /// Indices of the slots of its zones.
    pub(super) zones: Vec<usize>,
    /// Indices of the zones that share files. In a directory these are the zones of presets.
    pub(super) sharing: Arc<[usize]>,
    pub(super) inputs: Vec<SourceFile>,
    /// Reason why the directory cannot be read.
    pub(super) error: Option<String>,
    /// Files that the last run kept. `None` until they were looked up.
    pub(super) recalled: Option<Vec<RecalledFile>>,
    /// Files of the directory that no zone reads and that no other rule explains.
    pub(super) unread: Vec<PathBuf>,
    /// All files of the directory.
    pub(super) listing: Listing,
    /// True until zones are built from its records.
    pub(super) is_fresh: bool,
}

impl SourceGroup {
    /// The groups of all slots. They keep the last good records of `old` groups, and read all files again.
    pub fn all(slots: &[ZoneSlot], old: Vec<SourceGroup>) -> Vec<SourceGroup> {
        let mut groups: Vec<SourceGroup> = Vec::new();
        let mut of_source: HashMap<&FileSource, usize> = HashMap::new(); // there may be as many as zones
        for (index, source) in slots.iter().enumerate().filter_map(|(index, slot)| Some((index, slot.config.source.files()?))) {
            match of_source.entry(source) {
                Entry::Occupied(known) => groups[*known.get()].zones.push(index),
                Entry::Vacant(new) => {
                    new.insert(groups.len());
                    groups.push(SourceGroup::new(source.clone(), index));
                }
            }
        }
        for group in &mut groups {
            let is_directory = group.source.is_directory();
            group.sharing = group.zones.iter().copied().filter(|slot| !is_directory || slots[*slot].config.preset).collect();
        }
        for before in old {
            let Some(group) = of_source.get(&before.source).map(|group| &mut groups[*group]) else { continue };
            match group.source.is_directory() {
                true => group.continue_from(before.inputs, slots),
                false => group.inputs = before.inputs,
            }
            group.inputs.iter_mut().for_each(SourceFile::forget);
        }
        groups
    }

    fn new(source: FileSource, slot: usize) -> Self {
        let inputs = match &source {
            FileSource::File { path, format } => vec![SourceFile::new(path.clone(), *format, None)],
            FileSource::Directory { .. } | FileSource::Lines { .. } => Vec::new(),
        };
        Self {
            source,
            zones: vec![slot],
            sharing: Arc::default(),
            inputs,
            error: None,
            recalled: None,
            unread: Vec::new(),
            listing: Listing::default(),
            is_fresh: true,
        }
    }

    /// Paths to watch, there or not.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        std::iter::once(self.source.path()).chain(self.inputs.iter().flat_map(SourceFile::paths))
    }

    /// Time until none of its files changes any more. `None` if none is being written.
    pub fn settles_in(&mut self, slots: &[ZoneSlot], now: Instant, settle: Duration) -> Option<Duration> {
        self.discover(slots);
        self.inputs.iter_mut().filter_map(|input| input.settles_in(now, settle)).max()
    }

    /// Returns true if one of its files was changed since it was read.
    pub fn has_moved(&self) -> bool {
        self.inputs.iter().any(SourceFile::has_moved)
    }

    /// Reads changed files and gives the zones to the slots.
    pub fn look(&mut self, slots: &mut [ZoneSlot], context: &Context, now: Instant, how: LookMode, report: &mut LookReport) {
        self.discover(slots);
        self.recall(slots, context);
        match self.error {
            None => self.read(slots, context, now, how, report),
            Some(_) => self.restore(&[], slots, context),
        }
        for slot in &self.zones {
            let inputs = self.inputs.iter().filter(|input| input.is_of(*slot));
            slots[*slot].state.is_held = inputs.clone().any(|input| input.is_held && input.missing.is_none());
            // A file that is gone concerns the zones alone that have records of it.
            let concerns = |input: &&SourceFile| input.gone_from.as_ref().is_none_or(|zones| zones.contains(slot));
            let error = self
                .error
                .clone()
                .or_else(|| inputs.clone().filter(concerns).find_map(SourceFile::problem))
                .or_else(|| slots[*slot].build_error.clone());
            slots[*slot].state.changed = inputs.filter_map(|input| input.changed).max().or(slots[*slot].state.changed);
            if let Some(outcome) = slots[*slot].note_kept(error.is_some()) {
                let is_told = report.zones.iter().any(|zone| zone.name == slots[*slot].name && zone.networks == slots[*slot].networks);
                report.zones.extend((!is_told).then(|| slots[*slot].report(outcome)));
            }
            if let Some(outcome) = slots[*slot].note(error) {
                report.zones.push(slots[*slot].report(outcome));
            }
        }
    }

    /// The zones that have this source.
    pub fn zones(&self) -> &[usize] {
        &self.zones
    }

    fn read(&mut self, slots: &mut [ZoneSlot], context: &Context, now: Instant, how: LookMode, report: &mut LookReport) {
        let (mut judged, mut unfinished) = (Vec::new(), Vec::new());
        let mut forgotten = Vec::new();
        let is_directory = self.source.is_directory();
        let mut gone = Vec::new();
        let with_logs = self.with_logs();
        for index in 0..self.inputs.len() {
            let input = &mut self.inputs[index];
            let lacks_log = with_logs && input.was_good && input.log.is_none();
            if lacks_log {
                input.forget(); // its records were not kept apart while the zone had no other file
            }
            input.most = context.most;
            let seen = input.look(now, if lacks_log { LookMode::Now } else { how }, context.settle);
            match seen {
                FileLook::Gone if is_directory => self.accept_loss(index, slots, context),
                FileLook::Gone | FileLook::Waiting(_) => {}
                _ => input.gone_from = None,
            }
            let input = &mut self.inputs[index];
            match seen {
                FileLook::Same => input.missing = None,
                FileLook::Waiting(time) => report.look_again_in(time),
                FileLook::Gone if is_directory && (!input.was_good || input.gone_from.as_ref().is_some_and(Vec::is_empty)) => {
                    forgotten.push(index)
                }
                FileLook::Gone if input.was_good => {
                    let path = input.path.display();
                    let losers = input.gone_from.iter().flatten().take(MOST_NAMED);
                    let accept: Vec<String> = losers.map(|slot| format!("--accept {}", slots[*slot].title())).collect();
                    let accept = match accept.is_empty() {
                        true => String::new(),
                        false => format!(" (postern reload {} drops its records)", accept.join(" ")),
                    };
                    input.missing = Some(format!("{path} is gone{accept}"));
                    gone.push(index);
                }
                FileLook::Gone => input.missing = Some(format!("{}: no such file", input.path.display())),
                FileLook::Unreadable(why) => input.missing = Some(format!("{}: {why}", input.path.display())),
                FileLook::TooLarge(size) => input.missing = Some(too_large(&input.path, size, context.most)),
                FileLook::Changed(content) => {
                    let found = self.judge(index, content, with_logs, slots, context);
                    let looks_cut = !found.is_good() || found.content.bytes.is_empty();
                    let left = (context.settle * PATIENCE).saturating_sub(found.content.still);
                    if how == LookMode::Settled && looks_cut && !left.is_zero() {
                        report.look_again_in(left);
                    } else if let Some(left) = self.unfinished(&found, slots, context) {
                        report.look_again_in(left);
                        unfinished.push(found);
                    } else {
                        judged.push(found);
                    }
                }
            }
        }
        forgotten.extend(self.moved_elsewhere(&gone, &judged));
        if !forgotten.is_empty() {
            self.is_fresh |= forgotten.iter().any(|index| self.inputs[*index].was_good); // zones are made anew, without it
            for index in &forgotten {
                context.keeper.iter().for_each(|keeper| keeper.forget(&self.source, &self.inputs[*index].path));
            }
            let mut index = 0..;
            self.inputs.retain(|_| index.next().is_none_or(|index| !forgotten.contains(&index)));
            return self.read(slots, context, now, how, report); // indices moved
        }
        self.restore(&judged, slots, context);
        unfinished.iter().for_each(|found| self.log_unfinished(found, slots, report));
        let affected = self.affected(&judged, slots);
        if judged.is_empty() && affected.is_empty() {
            return;
        }
        let (mut made, mut strays) = self.make(&mut judged, &affected, slots, context);
        while let Some(doubts) = guard::doubts(&judged, &made, &self.inputs, slots, context, how) {
            let of_doubt: Vec<usize> = doubts.iter().map(|doubt| judged[doubt.judged].input).collect();
            let mut later = Vec::new();
            for doubt in doubts {
                match doubt.verdict {
                    DoubtVerdict::Later(time) => {
                        report.look_again_in(time);
                        later.push(doubt.judged);
                    }
                    DoubtVerdict::Held(problem) => {
                        judged[doubt.judged].is_held = true;
                        judged[doubt.judged].problems.push(problem);
                    }
                }
            }
            let mut place = 0..;
            judged.retain(|_| place.next().is_none_or(|place| !later.contains(&place)));
            if with_logs {
                let affected = self.affected(&judged, slots);
                (made, strays) = self.make(&mut judged, &affected, slots, context);
            } else {
                made.retain(|made| !of_doubt.iter().any(|input| self.inputs[*input].is_of(made.slot))); // each is of one file
            }
        }
        if judged.is_empty() && made.is_empty() {
            return;
        }
        self.is_fresh = false;
        let drafts = judged.iter().filter(|found| found.is_good()).map(|found| (found.input, KeptDraft::of(found))).collect();
        let changed: Vec<usize> = made.iter().map(|made| made.slot).collect();
        self.commit(judged, made, strays, slots, report);
        self.keep(drafts, &changed, slots, context);
    }

    /// How long to wait for the rest of a file that ends inside a line. Returns `None` if the last line is whole, or was not written for
    /// so long that it is believed to be.
    fn unfinished(&self, found: &JudgedInput, slots: &[ZoneSlot], context: &Context) -> Option<Duration> {
        let input = &self.inputs[found.input];
        if !found.is_good() || found.format == SourceFormat::Azure || found.content.ends_a_line() || context.is_inspection {
            return None;
        }
        let mut of_file = self.zones.iter().filter(|slot| input.is_of(**slot));
        if input.is_published() || of_file.clone().all(|slot| slots[*slot].accepts_loss) {
            return None;
        }
        let was_kept = self.recalled.iter().flatten().any(|kept| kept.path == *input.path);
        let serves = was_kept || of_file.all(|slot| slots[*slot].zone.is_some());
        let patience = if serves { UNFINISHED } else { UNFINISHED_UNSERVED };
        Some(patience.saturating_sub(found.content.unwritten())).filter(|left| !left.is_zero())
    }

    /// Reports once that the rest of a line is waited for.
    fn log_unfinished(&mut self, found: &JudgedInput, slots: &[ZoneSlot], report: &mut LookReport) {
        let input = &mut self.inputs[found.input];
        let print = Some(postern_config::fingerprint(&found.content.bytes));
        let is_served = |slot: &ZoneSlot| slot.zone.is_some() && slot.kept_since.is_none();
        if !self.zones.iter().any(|slot| input.is_of(*slot) && is_served(&slots[*slot])) {
            input.missing = Some(format!("{} ends inside a line: waiting for the rest", input.path.display()));
        }
        if std::mem::replace(&mut input.logged_unfinished, print) == print {
            return;
        }
        let line = found.content.bytes.iter().filter(|octet| **octet == b'\n').count() + 1;
        let at = TextPosition { line: line as u32, column: 1 };
        let message = format!("the file ends inside this line: waiting up to {} s for the rest", UNFINISHED.as_secs());
        let help = "end the last line with a line break, and the file is read at once".into();
        report.problems.push(SourceProblem { file: input.path.clone(), at, severity: Severity::Warning, message, help });
    }

    /// Notes which zones have records of a file that is gone, and drops the records of those zones that accept the loss. The other zones
    /// keep their records.
    fn accept_loss(&mut self, index: usize, slots: &[ZoneSlot], context: &Context) {
        let input = &self.inputs[index];
        if !input.was_good || (input.gone_from.is_some() && !self.zones.iter().any(|slot| slots[*slot].accepts_loss)) {
            return;
        }
        let losers = self.zones_with_records(input, slots);
        let (accepting, others): (Vec<usize>, Vec<usize>) = losers.into_iter().partition(|slot| slots[*slot].accepts_loss);
        let rest = input.log.clone().filter(|_| !accepting.is_empty() && !others.is_empty());
        let left = match rest {
            None if others.is_empty() => Vec::new(),
            None => accepting.into_iter().chain(others).collect(),
            Some(log) => {
                let of_file = self.zones.iter().filter(|slot| input.is_of(**slot));
                let apexes = of_file.map(|slot| (&slots[*slot].apex, accepting.contains(slot))).collect();
                let mut rest = Remainder { apexes, log: RecordLog::default() };
                log.replay(&mut rest);
                let rest = rest.log;
                let apexes: Vec<&WireName> = others.iter().map(|slot| &slots[*slot].apex).collect();
                let mut nowhere = RecordSet::default();
                let mut census = Census::new(&mut nowhere, &apexes, &input.path);
                rest.replay(&mut census);
                let counts = census.counts();
                let log = Arc::new(rest);
                context.keeper.iter().for_each(|keeper| keeper.replace(&self.source, &input.path, &counts, &log));
                let input = &mut self.inputs[index];
                input.forget(); // if the file comes back unchanged, all of its records come back
                (input.log, input.counts) = (Some(log), counts);
                self.is_fresh = true; // zones are made anew, without those records
                others
            }
        };
        self.inputs[index].gone_from = Some(left);
    }

    /// The zones that have records of a file. All zones of the file if its records are not kept apart.
    fn zones_with_records(&self, input: &SourceFile, slots: &[ZoneSlot]) -> Vec<usize> {
        let of_file: Vec<usize> = self.zones.iter().copied().filter(|slot| input.is_of(*slot)).collect();
        let Some(log) = input.log.as_ref().filter(|_| input.own.is_none()) else { return of_file };
        let mut found = vec![RecordSet::default(); of_file.len()];
        let sinks = of_file.iter().map(|slot| &slots[*slot].apex).zip(&mut found).collect();
        log.replay(&mut Sorter { sinks, strays: Strays::default() });
        of_file.into_iter().zip(found).filter(|(_, records)| !records.0.is_empty()).map(|(slot, _)| slot).collect()
    }

    /// Returns the files that are gone and whose records all stand in other files of the directory, because they were renamed.
    fn moved_elsewhere(&self, gone: &[usize], judged: &[JudgedInput]) -> Vec<usize> {
        if gone.is_empty() || !self.with_logs() {
            return Vec::new();
        }
        let mut others = RecordSet::default();
        for (index, input) in self.inputs.iter().enumerate().filter(|(index, _)| !gone.contains(index)) {
            let new = judged.iter().find(|found| found.input == index && found.is_good());
            new.map_or(input.log.as_ref(), |found| found.log.as_ref()).into_iter().for_each(|log| log.replay(&mut others));
        }
        let is_elsewhere = |index: &&usize| {
            let mut own = RecordSet::default();
            self.inputs[**index].log.iter().for_each(|log| log.replay(&mut own));
            !own.0.is_empty() && own.0.is_subset(&others.0)
        };
        gone.iter().filter(is_elsewhere).copied().collect()
    }

    /// Returns true if records are kept by file, because a zone is made from more than one.
    fn with_logs(&self) -> bool {
        let mut own: Vec<usize> = self.inputs.iter().filter_map(|input| input.own).collect();
        own.sort_unstable();
        let is_shared = self.inputs.iter().any(|input| input.own.is_none()) || own.windows(2).any(|pair| pair[0] == pair[1]);
        self.source.is_directory() && is_shared
    }

    /// Reads the records of new bytes into a log, or straight into builders.
    fn judge(&self, index: usize, content: SettledContent, with_logs: bool, slots: &[ZoneSlot], context: &Context) -> JudgedInput {
        let input = &self.inputs[index];
        let format = if input.format == SourceFormat::Auto { text::detect(&input.path, &content.bytes) } else { input.format };
        let mut judged = JudgedInput {
            input: index,
            content,
            format,
            included: Vec::new(),
            counts: FileCounts::default(),
            problems: Vec::new(),
            records: 0,
            log: None,
            built: Vec::new(),
            is_held: false,
        };
        if let Some(problem) = lacks_memory(input, &judged.content) {
            judged.problems.push(problem);
            return judged;
        }
        let is_zone_file = format == SourceFormat::Zone;
        let slots_of: Vec<usize> = self.zones.iter().copied().filter(|slot| input.is_of(*slot)).collect();
        // A hosts file or an export may name much that no zone has.
        let apexes: Vec<&WireName> = if is_zone_file { Vec::new() } else { slots_of.iter().map(|slot| &slots[*slot].apex).collect() };
        let read = |origin: &WireName, sink: &mut dyn RecordSink, judged: &mut JudgedInput| {
            let (origin, most) = (origin.to_buf(), context.most);
            let includes = input.path.parent().map(|root| text::IncludeScope { root, most });
            let mut census = Census::new(sink, &apexes, &input.path);
            let (bytes, problems) = (&judged.content.bytes, &mut judged.problems);
            let read = text::read(format, bytes, &input.path, &origin, includes, &context.table, &mut census, problems);
            (judged.included, judged.records) = (read.included, read.records);
            judged.counts = census.counts();
        };
        if is_zone_file && !with_logs {
            for slot in slots_of {
                let mut builder = slots[slot].builder(context);
                read(&slots[slot].apex, &mut builder, &mut judged);
                judged.built.push((slot, builder));
            }
            judged.problems.dedup();
            return judged;
        }
        let mut log = RecordLog::default();
        // Relative names of a file of several zones belong to none of them.
        let shared = NameBuf::root().to_wire_name();
        let origin = if is_zone_file || slots_of.len() == 1 { &slots[slots_of[0]].apex } else { &shared };
        read(origin, &mut log, &mut judged);
        if log.lacks_memory() {
            let size = judged.content.bytes.len();
            judged.problems.push(of_file(input, format!("there is no memory for the records of its {size} bytes"), memory::HELP));
        }
        judged.log = Some(Arc::new(log));
        judged
    }
}

/// The zone whose own file it is, and its kind.
pub fn own_kind(input: &SourceFile) -> Option<(usize, FileKind)> {
    Some((input.own?, NamedFile::of(&input.path.file_name()?.to_string_lossy())?.kind))
}

/// Records of a shared file that remain when some of its zones drop theirs.
struct Remainder<'a> {
    /// Apexes of the zones that share the file. True if the zone drops its records.
    apexes: Vec<(&'a WireName, bool)>,
    log: RecordLog,
}

impl RecordSink for Remainder<'_> {
    fn record(&mut self, record: RecordRef<'_>) {
        let owning = self.apexes.iter().filter(|(apex, _)| record.owner.is_under(apex.as_wire()));
        let longest = owning.clone().map(|(apex, _)| apex.as_wire().len()).max();
        let mut owners = owning.filter(|(apex, _)| Some(apex.as_wire().len()) == longest).peekable();
        if owners.peek().is_none() || owners.any(|(_, drops)| !drops) {
            self.log.record(record);
        }
    }

    fn file(&mut self, file: &Arc<PathBuf>) {
        self.log.file(file);
    }
}

/// Records in any order, without TTL and place.
#[derive(Default, Clone)]
struct RecordSet(HashSet<(WireName, u16, Box<[u8]>)>);

impl RecordSink for RecordSet {
    fn record(&mut self, record: RecordRef<'_>) {
        self.0.insert((record.owner.to_wire_name(), record.rtype, record.rdata.into()));
    }
}

/// Octets of memory that a file needs at most for each of its own while its zone is built. Measured: 7.1 with a million short records, 3.4
/// with long ones. Buffers that grow take a little more of the address space.
const MEMORY_OF_OCTET: u64 = 8;

/// Returns a problem if the memory is too small for the records of a file.
fn lacks_memory(input: &SourceFile, content: &SettledContent) -> Option<SourceProblem> {
    let size = content.bytes.len() as u64;
    let shortage = memory::check_room(size * MEMORY_OF_OCTET).err()?;
    Some(of_file(input, format!("the file has {size} bytes: {shortage}"), memory::HELP))
}

fn of_file(input: &SourceFile, message: String, help: &str) -> SourceProblem {
    SourceProblem { file: input.path.clone(), at: TextPosition::default(), severity: Severity::Error, message, help: help.into() }
}

fn too_large(path: &Path, size: u64, most: u64) -> String {
    let path = path.display();
    format!("{path}: it has {size} bytes, and `server.max-source-size` is {most}: make the file smaller, or raise the key")
}
