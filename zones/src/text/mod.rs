//! Sources as text: zone files, hosts files and Azure's JSON, read into a [`RecordSink`].
//!
//! ```text
//! bytes ─ detect ─┬─ read_zone_file ─┐
//!                 ├─ read_hosts ─────┼─▶ RecordSink (the zone keeps what lies in it)
//!                 └─ read_azure ─────┘     Problem  (file:line:column: error: … help: …)
//! ```
//!
//! A zone file is about one zone. A hosts file and Azure's JSON may concern several zones at once, so their owners are absolute and the sink
//! keeps those that lie in its zone. A name that the private-link table maps is given several times there: as it is written, and as each of the
//! private-link names it may stand for (a DICOM service has two spellings). All records of one written name have the same
//! [`RecordRef::at`](crate::record::RecordRef::at), so a caller can tell a name of which no record was kept.
//!
//! The way back is [`ZoneFileWriter`].
//!
//! Nothing here panics on any input, and every reader goes on after an error: it reports up to [`MAX_SHOWN`] errors in one run and counts the rest.

mod azure;
mod hosts;
mod json;
mod lexer;
mod lookalike;
mod names;
mod overrides;
pub mod rdata;
mod report;
mod write;
mod zonefile;

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use postern_config::azure::PrivateLinkTable;
use postern_config::model::SourceFormat;

use crate::name::{NameBuf, is_private_link};
use crate::record::{RecordSink, Severity, SourceProblem, TextPosition};
use crate::stamp::Stamp;

pub use azure::read_azure;
pub use hosts::read_hosts;
pub use overrides::{NO_DATA, NO_NAME, OverrideWriter, PASS_THROUGH, read_overrides};
pub use report::MAX_SHOWN;
pub use write::{ZoneFileWriter, data_text, record_line};
pub use zonefile::read_zone_file;

/// TTL of records that Azure makes for a private endpoint, seconds: for sources that say none.
pub const AZURE_TTL: u32 = 10;

/// Findings of a reader, apart from records and problems.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReadSummary {
    /// Records given to the sink.
    pub records: u64,
    /// Files that `$INCLUDE` named, in that order: a change of one is a change of the source.
    pub included: Vec<IncludedFile>,
    /// Virtual network links that Azure's JSON tells of.
    pub links: Vec<AzureLink>,
}

/// The files that a zone file may include.
#[derive(Debug, Clone, Copy)]
pub struct IncludeScope<'r> {
    /// Directory in or below which they lie, links followed.
    pub root: &'r Path,
    /// Bytes of the zone file and of all that it includes.
    pub most: u64,
}

/// A file that a zone file included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IncludedFile {
    /// Where it is, as it was written: a link on the way may be turned elsewhere.
    pub path: PathBuf,
    /// Its stamp before it was read; none: there was no such file.
    pub stamp: Option<Stamp>,
    /// [`postern_config::fingerprint`] of the bytes that were read; none: it could not be read, or must not be.
    pub fingerprint: Option<u64>,
}

/// A link of a private zone to a virtual network: no records, but a policy to compare with `on-missing`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AzureLink {
    /// The zone, lower case, no final dot; empty where the JSON does not say.
    pub zone: String,
    /// Its name.
    pub name: String,
    /// The virtual network's resource id, or its name; may be empty.
    pub network: String,
    /// `Default` or `NxDomainRedirect`; none where the JSON does not say.
    pub resolution_policy: Option<String>,
    /// Where it stands.
    pub at: TextPosition,
}

/// Reads a whole source in `format` (looked for when [`SourceFormat::Auto`]).
///
/// `origin` is the zone of relative names, which hosts files do not have. `includes` matters to zone files
/// alone, `table` to the others.
#[allow(clippy::too_many_arguments)] // what a source is, and where its parts go
pub fn read(
    format: SourceFormat,
    text: &[u8],
    file: &Arc<PathBuf>,
    origin: &NameBuf,
    includes: Option<IncludeScope<'_>>,
    table: &PrivateLinkTable,
    sink: &mut dyn RecordSink,
    problems: &mut Vec<SourceProblem>,
) -> ReadSummary {
    let before = problems.len();
    let format = if format == SourceFormat::Auto { detect(file, text) } else { format };
    let read = match format {
        SourceFormat::Hosts => read_hosts(text, file, table, sink, problems),
        SourceFormat::Azure => read_azure(text, file, origin, table, sink, problems),
        SourceFormat::Overrides => read_overrides(text, file, sink, problems),
        SourceFormat::Zone | SourceFormat::Auto => read_zone_file(text, file, origin, includes, sink, problems),
    };
    let has_errors = problems[before..].iter().any(|problem| problem.severity == Severity::Error);
    if let Some(bad) = lookalike::recognize(&decode(text)).filter(|_| has_errors && format != SourceFormat::Azure) {
        problems.truncate(before);
        let at = TextPosition { line: bad.spot.line, column: 1 };
        problems.push(SourceProblem { file: file.clone(), at, severity: Severity::Error, message: bad.message, help: bad.help });
    }
    read
}

/// Detects the format of a file from its name and its first bytes. Never returns [`SourceFormat::Auto`].
pub fn detect(path: &Path, text: &[u8]) -> SourceFormat {
    let text = decode(text);
    let text = text.strip_prefix(BOM).unwrap_or(&text);
    let start = text.trim_ascii_start();
    // Neither a zone file nor a hosts file can begin with these, whatever the file is called.
    if matches!(start.first(), Some(b'{' | b'[')) || json::follows_messages(start) {
        return SourceFormat::Azure;
    }
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default().to_ascii_lowercase();
    match extension.as_str() {
        "zone" | "db" => return SourceFormat::Zone,
        "hosts" => return SourceFormat::Hosts,
        "json" => return SourceFormat::Azure,
        _ => {}
    }
    for line in start.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii) {
        match line.first() {
            None | Some(b';') => {}
            // `#` is a comment in hosts files alone.
            Some(b'#') => return SourceFormat::Hosts,
            Some(_) => {
                let word = line.split(|byte| byte.is_ascii_whitespace()).next().unwrap_or_default();
                return if hosts::address(word).is_some() { SourceFormat::Hosts } else { SourceFormat::Zone };
            }
        }
    }
    SourceFormat::Zone
}

/// A written name and, where it is not a private-link name itself, the private-link names that it may stand for, most likely first.
///
/// The written name stays among them for zones that override a public name. More than one private-link name is not a doubt that must be
/// settled here: Azure's documents disagree about DICOM (`x.privatelink.dicom.…` or `x.dicom.privatelink.…`), both spellings are answered, and
/// a sink keeps those that lie in its zone.
fn spellings(name: &NameBuf, table: &PrivateLinkTable) -> Vec<NameBuf> {
    let mut names = vec![name.clone()];
    if !is_private_link(name) {
        names.extend(table.private_names(&name.to_string()).iter().filter_map(|private| NameBuf::parse(private).ok()));
    }
    names
}

const BOM: &[u8] = b"\xef\xbb\xbf";

/// Text as UTF-8 where a byte order mark says that it is UTF-16, which is what Windows PowerShell's `>` writes.
fn decode(text: &[u8]) -> Cow<'_, [u8]> {
    let unit: fn([u8; 2]) -> u16 = match text {
        [0xff, 0xfe, ..] => u16::from_le_bytes,
        [0xfe, 0xff, ..] => u16::from_be_bytes,
        _ => return Cow::Borrowed(text),
    };
    let units = text[2..].chunks_exact(2).map(|pair| unit([pair[0], pair[1]]));
    Cow::Owned(char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)).collect::<String>().into_bytes())
}
