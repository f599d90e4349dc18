//! Makes the zones of a source from its records, and gives them to their slots.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use postern_config::model::{FileSource, SourceFormat};

use super::context::Context;
use super::judged::{JudgedInput, MadeZone, ZoneResult};
use super::report::LookReport;
use super::source_group::SourceGroup;
use super::zone_slot::ZoneSlot;
use crate::authority::ZoneAuthority;
use crate::diff::Difference;
use crate::origin::FileShare;
use crate::record::{RecordRef, RecordSink, Severity, SourceProblem, TextPosition};
use crate::source::{Sorter, SourceFile, Strays};
use crate::text::OverrideWriter;
use crate::zone::{Foreign, Zone, ZoneBuilder, next_serial, serial_rose};

impl SourceGroup {
    /// Zones to make anew: those with a changed file, and those that wait for their first data.
    pub(super) fn affected(&self, judged: &[JudgedInput], slots: &[ZoneSlot]) -> Vec<usize> {
        let good: Vec<&JudgedInput> = judged.iter().filter(|judged| judged.is_good()).collect();
        let is_file = !self.source.is_directory();
        let can_be_made = |slot: usize| {
            let has_data = |(index, input): (usize, &SourceFile)| {
                let has_records = input.log.is_some() || good.iter().any(|judged| judged.input == index);
                // A shared file that never was good adds nothing to a zone that serves. Without it a zone that does not serve yet
                // would say of names that they are missing, and they would go public.
                has_records || !is_file && !input.was_good && slots[slot].zone.is_some() && !slots[slot].is_inherited
            };
            self.inputs.iter().enumerate().filter(|(_, input)| input.is_of(slot)).all(has_data)
        };
        let is_due = |slot: &usize| {
            let is_new = good.iter().any(|judged| self.inputs[judged.input].is_of(*slot));
            let waits = (slots[*slot].zone.is_none() && slots[*slot].build_error.is_none()) || self.is_fresh;
            (is_new || waits) && can_be_made(*slot)
        };
        self.zones.iter().copied().filter(is_due).collect()
    }

    /// Makes zones from the new records and the last good ones of the other files.
    pub(super) fn make(
        &self,
        judged: &mut [JudgedInput],
        affected: &[usize],
        slots: &[ZoneSlot],
        context: &Context,
    ) -> (Vec<MadeZone>, Vec<Strays>) {
        let mut builders: Vec<(usize, Target)> = self.zones.iter().map(|slot| (*slot, Target::default())).collect();
        for (slot, target) in builders.iter_mut().filter(|(slot, _)| affected.contains(slot)) {
            target.builder = Some(Box::new(slots[*slot].builder(context)));
        }
        self.write_lines(&mut builders);
        let mut strays = Vec::new();
        for (index, input) in self.inputs.iter().enumerate() {
            let new = judged.iter_mut().find(|judged| judged.input == index && judged.is_good());
            let is_new = new.is_some();
            let format = new.as_ref().map_or(input.holds, |judged| judged.format);
            let share = |records| FileShare { path: input.path.clone(), format, records };
            if let Some(judged) = new.filter(|judged| !judged.built.is_empty()) {
                for (slot, builder) in judged.built.drain(..) {
                    if let Some((_, target)) = builders.iter_mut().find(|(other, _)| *other == slot) {
                        *target = Target { builder: Some(Box::new(builder)), files: vec![share(judged.records)], taken: 0 };
                    }
                }
                continue;
            }
            let log =
                judged.iter().find(|judged| judged.input == index && is_new).and_then(|judged| judged.log.as_ref()).or(input.log.as_ref());
            let Some(log) = log else { continue };
            if let Some(own) = input.own.filter(|_| format == SourceFormat::Zone) {
                if let Some((_, target)) = builders.iter_mut().find(|(slot, _)| *slot == own) {
                    target.set_foreign(Foreign::Warn);
                    log.replay(target);
                    target.end_file(share);
                }
                continue;
            }
            let mut concerned: Vec<_> = builders.iter_mut().filter(|(slot, _)| input.is_of(*slot)).collect();
            concerned.iter_mut().for_each(|(_, target)| target.set_foreign(Foreign::Skip));
            let sinks = concerned.into_iter().map(|(slot, target)| (&slots[*slot].apex, target)).collect();
            let mut sorter = Sorter { sinks, strays: Strays::default() };
            log.replay(&mut sorter);
            sorter.strays.close();
            if is_new {
                strays.push(sorter.strays);
            }
            builders.iter_mut().for_each(|(_, target)| target.end_file(share));
        }
        let mut made = Vec::new();
        for (slot, target) in builders {
            let Target { builder: Some(builder), files, .. } = target else { continue };
            let result = self.finish(slot, *builder, judged, &slots[slot]);
            made.push(MadeZone { slot, result, files });
        }
        (made, strays)
    }

    /// Finishes the zone of a slot. Its serial follows the newest change of its files, and its shards are shared with the zone before it.
    fn finish(&self, slot: usize, builder: ZoneBuilder, judged: &[JudgedInput], hosted: &ZoneSlot) -> ZoneResult {
        let newest = self.inputs.iter().filter(|input| input.is_of(slot)).filter_map(|input| input.changed);
        let newest = judged
            .iter()
            .filter(|judged| self.inputs[judged.input].is_of(slot))
            .filter_map(|judged| judged.content.modified())
            .chain(newest)
            .max();
        let old = hosted.zone.as_deref();
        let kept = hosted.kept_serial.filter(|_| old.is_none());
        let last = kept.map_or_else(|| old.map(Zone::serial), |(kept, _)| Some(kept.serial));
        let next = serial(newest, last);
        builder.finish(next).map(|mut built| {
            // The same files make another zone if the configuration or the zone table changed.
            if let Some((kept, true)) = kept
                && !built.zone.has_own_serial()
                && kept.is_of(&built.zone)
            {
                built.zone = built.zone.with_serial(kept.serial);
            }
            let difference = old.map(|old| {
                built.zone.share_with(old);
                Difference::between(old, &built.zone)
            });
            (built, difference)
        })
    }

    /// Gives lines that stand in the configuration to the overrides that have them.
    fn write_lines(&self, builders: &mut [(usize, Target)]) {
        let FileSource::Lines { path, lines } = &self.source else { return };
        let file = Arc::new(path.clone());
        for (_, target) in builders {
            let mut writer = OverrideWriter::default();
            target.file(&file);
            lines.iter().for_each(|line| writer.write(line, target));
            target.end_file(|records| FileShare { path: file.clone(), format: SourceFormat::Overrides, records });
        }
    }

    pub(super) fn commit(
        &mut self,
        judged: Vec<JudgedInput>,
        made: Vec<MadeZone>,
        strays: Vec<Strays>,
        slots: &mut [ZoneSlot],
        report: &mut LookReport,
    ) {
        for JudgedInput { input, content, format, included, counts, problems, log, is_held, .. } in judged {
            let input = &mut self.inputs[input];
            input.judged(&content, &included);
            input.missing = None;
            input.is_held = is_held;
            input.error = problems.iter().find(|problem| problem.severity == Severity::Error).map(brief);
            if input.error.is_none() {
                input.was_good = true;
                (input.log, input.counts) = (log, counts);
                input.holds = format;
            }
            report.problems.extend(problems);
        }
        for made in made {
            let slot = &mut slots[made.slot];
            match made.result {
                Err(problems) => {
                    slot.build_error = problems.iter().find(|problem| problem.severity == Severity::Error).map(brief);
                    report.problems.extend(problems);
                }
                Ok((built, difference)) => {
                    (slot.build_error, slot.is_inherited) = (None, false);
                    slot.comes_from(made.files);
                    report.problems.extend(built.warnings);
                    let old = slot.zone.clone();
                    if let (Some(old), Some((file, at)), Some(true)) =
                        (&old, built.soa, difference.as_ref().map(|difference| !difference.is_empty()))
                        && built.zone.has_own_serial()
                        && !serial_rose(old.serial(), built.zone.serial())
                    {
                        let message =
                            format!("records changed and the serial did not rise: {} after {}", built.zone.serial(), old.serial());
                        let help = "it is served as it stands: secondaries will not see the change".into();
                        report.problems.push(SourceProblem { file, at, severity: Severity::Warning, message, help });
                    }
                    if let Some(outcome) = slot.take(built.zone, difference) {
                        report.zones.push(slot.report(outcome));
                    }
                }
            }
        }
        for strays in strays.iter().filter(|strays| strays.count > 0) {
            report.problems.push(stray(strays, slots));
        }
    }
}

impl ZoneSlot {
    pub(super) fn builder(&self, context: &Context) -> ZoneBuilder {
        let builder = ZoneBuilder::new(self.apex.clone()).ttl_bounds(self.config.min_ttl, self.config.max_ttl);
        let is_export =
            matches!(self.config.source.files(), Some(FileSource::File { format: SourceFormat::Azure | SourceFormat::Hosts, .. }));
        let builder = builder.authority(ZoneAuthority::configured(&self.config.zone_names, &self.apex.to_buf()));
        builder.networks(context.clients.clone()).foreign(if is_export { Foreign::Skip } else { Foreign::Warn })
    }
}

/// Sink for the records of one zone. It takes none if the zone is not made anew.
#[derive(Debug, Default)]
struct Target {
    builder: Option<Box<ZoneBuilder>>,
    /// Files that it has records from.
    files: Vec<FileShare>,
    /// Records of the file that is being read.
    taken: u64,
}

impl Target {
    fn set_foreign(&mut self, foreign: Foreign) {
        if let Some(builder) = &mut self.builder {
            builder.set_foreign(foreign);
        }
    }

    fn end_file(&mut self, share: impl Fn(u64) -> FileShare) {
        let taken = std::mem::take(&mut self.taken);
        self.files.extend((taken > 0).then(|| share(taken)));
    }
}

impl RecordSink for Target {
    fn record(&mut self, record: RecordRef<'_>) {
        if let Some(builder) = &mut self.builder {
            builder.record(record);
            self.taken += 1;
        }
    }

    fn file(&mut self, file: &Arc<PathBuf>) {
        if let Some(builder) = &mut self.builder {
            builder.file(file);
        }
    }
}

/// The serial of a zone whose source gives none: when the newest file was changed, and more than before.
///
/// It is derived from the files, so that two servers with the same files serve the same serial.
fn serial(newest: Option<SystemTime>, last: Option<u32>) -> u32 {
    let since = newest.and_then(|newest| newest.duration_since(SystemTime::UNIX_EPOCH).ok());
    let stamp = since.map_or(1, |since| since.as_secs() as u32).max(1);
    match last {
        Some(last) if !serial_rose(last, stamp) => next_serial(last),
        _ => stamp,
    }
}

/// A problem as the status shows it. It has the help only if the problem has no line.
fn brief(problem: &SourceProblem) -> String {
    match problem.at.line {
        0 => format!("{}: {}; {}", problem.file.display(), problem.message, problem.help),
        line => format!("{}:{line}:{}: {}", problem.file.display(), problem.at.column, problem.message),
    }
}

fn stray(strays: &Strays, slots: &[ZoneSlot]) -> SourceProblem {
    let names: Vec<String> = strays.first.iter().map(|(_, at, name)| format!("{name} (line {})", at.line)).collect();
    let more = if strays.count > names.len() { format!(" and {} more", strays.count - names.len()) } else { String::new() };
    let elsewhere = strays.first.iter().find_map(|(.., name)| slots.iter().find(|slot| name.is_under(slot.apex.as_wire())));
    let help = match elsewhere {
        Some(slot) => format!("{} is hosted, but has another source", slot.config.name),
        None => "add a [[zone]] for them, or leave them out".into(),
    };
    let (file, at) = strays.first.first().map_or_else(Default::default, |(file, at, _)| (file.clone(), *at));
    let plural = if strays.count == 1 { "a name that lies" } else { "names that lie" };
    let message = format!("{plural} in no zone of this source: {}{more}", names.join(", "));
    SourceProblem { file, at: TextPosition { line: at.line, column: at.column }, severity: Severity::Warning, message, help }
}
