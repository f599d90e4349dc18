//! Hosts files: `address name…`, comments behind `#`.
//!
//! The portal's "Download host file" (Private Link Center) is one: its names are the *public* ones, with the private endpoint's id as a comment.

#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use postern_config::azure::PrivateLinkTable;

use super::names::read_absolute;
use super::report::{ProblemReport, TextError, TextSpot, shown};
use super::{AZURE_TTL, BOM, ReadSummary, decode, spellings};
use crate::name::is_private_link;
use crate::record::{RecordRef, RecordSink, SourceProblem, TextPosition};

/// Reads a hosts file. Owners are absolute; a public name of the table is given as it is written and as its private-link names.
pub fn read_hosts(
    text: &[u8],
    file: &Arc<PathBuf>,
    table: &PrivateLinkTable,
    sink: &mut dyn RecordSink,
    problems: &mut Vec<SourceProblem>,
) -> ReadSummary {
    let text = &*decode(text);
    let mut report = ProblemReport::new(problems);
    let mut read = ReadSummary::default();
    sink.file(file);
    if u32::try_from(text.len()).is_err() {
        report.error(file, Default::default(), *TextError::new(TextSpot::default(), "the file is larger than 4 GiB", ""));
        report.finish();
        return read;
    }
    let mut start = if text.starts_with(BOM) { BOM.len() } else { 0 };
    let mut line = 0;
    let mut skipped = SkippedRows { file, early: Vec::new() };
    while start < text.len() && skipped.early.len() < MAX_EARLY {
        line += 1;
        let end = memchr::memchr(b'\n', &text[start..]).map_or(text.len(), |length| start + length);
        let entry = Entry { text, line: TextSpot { line, line_start: start as u32, at: start as u32 }, end };
        entry.read(table, sink, &mut report, &mut skipped, &mut read);
        start = end + 1;
    }
    skipped.finish(&mut report);
    report.finish();
    read
}

/// Bad rows without a single record before them, after which the file is something else than a hosts file.
const MAX_EARLY: usize = 1000;

/// Rows and names that cannot be used. Each costs itself alone, unless nothing in the file can be used.
struct SkippedRows<'f> {
    file: &'f Arc<PathBuf>,
    /// Those before the first record, each with its kind. They are errors if no record follows.
    early: Vec<(TextPosition, TextError, &'static str)>,
}

impl SkippedRows<'_> {
    fn add(&mut self, at: TextPosition, bad: TextError, kind: &'static str, report: &mut ProblemReport<'_>, read: &ReadSummary) {
        if read.records == 0 {
            self.early.push((at, bad, kind));
        } else {
            self.warn(at, bad, kind, report);
        }
    }

    /// Called at each record: the file is a hosts file.
    fn settle(&mut self, report: &mut ProblemReport<'_>) {
        for (at, bad, kind) in std::mem::take(&mut self.early) {
            self.warn(at, bad, kind, report);
        }
    }

    fn finish(self, report: &mut ProblemReport<'_>) {
        self.early.into_iter().for_each(|(at, bad, _)| report.error(self.file, at, bad));
    }

    fn warn(&self, at: TextPosition, bad: TextError, kind: &str, report: &mut ProblemReport<'_>) {
        let message = format!("{}; this {kind} is skipped", bad.message);
        report.warning(self.file, at, TextError { message, ..bad });
    }
}

/// An IP address; a zone index (`fe80::1%eth0`) is not one that DNS can give.
pub(super) fn address(text: &[u8]) -> Option<IpAddr> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// One line.
struct Entry<'t> {
    text: &'t [u8],
    line: TextSpot,
    end: usize,
}

impl<'t> Entry<'t> {
    fn read(
        &self,
        table: &PrivateLinkTable,
        sink: &mut dyn RecordSink,
        report: &mut ProblemReport<'_>,
        skipped: &mut SkippedRows<'_>,
        read: &mut ReadSummary,
    ) {
        let comment = memchr::memchr(b'#', &self.text[self.start()..self.end]).map_or(self.end, |length| self.start() + length);
        let mut words = self.words(comment);
        let Some((at, word)) = words.next() else { return };
        let Some(address) = address(word) else {
            let help = if word.contains(&b'%') {
                "an address with `%` is valid on one machine alone"
            } else {
                "a line is `address name…`; a comment begins with `#`"
            };
            let bad = TextError::new(at, format!("`{}` is not an IP address", shown(word)), help);
            return skipped.add(at.position(self.text), *bad, "line", report, read);
        };
        let mut octets = Vec::with_capacity(16);
        let rtype = write_address(address, &mut octets);
        let mut names = 0;
        for (at, word) in words {
            names += 1;
            let position = at.position(self.text);
            let name = match read_absolute(word) {
                Ok(name) => name,
                Err(error) => {
                    let bad = TextError::new(at, format!("`{}` is not a name: {error}", shown(word)), "");
                    skipped.add(position, *bad, "name", report, read);
                    continue;
                }
            };
            skipped.settle(report);
            let owners = spellings(&name, table);
            let of_endpoint = memchr::memmem::find(&self.text[comment..self.end].to_ascii_lowercase(), b"/privateendpoints/").is_some();
            if of_endpoint && owners.len() == 1 && !is_private_link(&name) {
                report.warning(skipped.file, position, unmapped(at, word));
            }
            for owner in &owners {
                sink.record(RecordRef { owner, rtype, ttl: Some(AZURE_TTL), rdata: &octets, at: position });
                read.records += 1;
            }
        }
        if names == 0 {
            let bad = TextError::new(at, format!("`{}` has no name", shown(word)), "a line is `address name…`");
            skipped.add(at.position(self.text), *bad, "line", report, read);
        }
    }

    fn start(&self) -> usize {
        self.line.at as usize
    }

    /// Words up to `end`, with their places.
    fn words(&self, end: usize) -> impl Iterator<Item = (TextSpot, &'t [u8])> + use<'t> {
        let (text, line) = (self.text, self.line);
        let mut at = self.start();
        std::iter::from_fn(move || {
            at += text[at..end].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
            let length = text[at..end].iter().take_while(|byte| !byte.is_ascii_whitespace()).count();
            let word = &text[at..at + length];
            let spot = TextSpot { at: at as u32, ..line };
            at += length;
            (length > 0).then_some((spot, word))
        })
    }
}

/// Appends the octets of an address; returns their type.
pub(super) fn write_address(address: IpAddr, out: &mut Vec<u8>) -> u16 {
    match address {
        IpAddr::V4(address) => {
            out.extend(address.octets());
            1
        }
        IpAddr::V6(address) => {
            out.extend(address.octets());
            28
        }
    }
}

/// A private endpoint's name that the table does not know.
pub(super) fn unmapped(spot: TextSpot, name: &[u8]) -> TextError {
    *TextError::new(
        spot,
        format!("no private-link zone is known for `{}`", shown(name)),
        "it is served by a zone that holds the name itself; a row of the zone table (server.zone-table) tells its private-link zone",
    )
}
