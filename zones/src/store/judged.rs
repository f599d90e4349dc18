//! Content of a source: of files as they were read now, as an earlier run kept them, and the zones that are made of them.

use std::path::PathBuf;
use std::sync::Arc;

use postern_config::model::SourceFormat;

use super::kept::KeptFile;
use crate::diff::Difference;
use crate::origin::FileShare;
use crate::record::{Severity, SourceProblem};
use crate::source::{FileCounts, RecordLog, SettledContent};
use crate::text;
use crate::zone::{Built, ZoneBuilder};

/// A changed input, read.
pub struct JudgedInput {
    /// Place of the input in its group.
    pub input: usize,
    /// Bytes of the file and the time that they stood still.
    pub content: SettledContent,
    /// Format of the bytes.
    pub format: SourceFormat,
    /// Files that it includes.
    pub included: Vec<text::IncludedFile>,
    /// Records, by file.
    pub counts: FileCounts,
    pub(super) problems: Vec<SourceProblem>,
    /// Number of records in the file and in the files that it includes.
    pub(super) records: u64,
    pub(super) log: Option<Arc<RecordLog>>,
    /// Without logs: straight into the builders of these slots.
    pub(super) built: Vec<(usize, ZoneBuilder)>,
    /// Every line is right, and too much is lost.
    pub(super) is_held: bool,
}

/// A zone, and how it differs from the one before it; or the problems for which there is none.
pub type ZoneResult = Result<(Built, Option<Difference>), Vec<SourceProblem>>;

/// A zone made anew, and how it differs from what is served.
pub struct MadeZone {
    /// Index of the slot that the zone is for.
    pub slot: usize,
    /// The zone, and the difference if another one is served.
    pub result: ZoneResult,
    /// The files that its records come from.
    pub files: Vec<FileShare>,
}

/// A file of a source that the last run kept.
#[derive(Debug)]
pub struct RecalledFile {
    /// Its path.
    pub path: PathBuf,
    /// The only zone that has its records; none: all zones of the source.
    pub(super) slot: Option<usize>,
    /// The zones that share it otherwise.
    pub(super) sharing: Option<Arc<[usize]>>,
    pub(super) file: KeptFile,
}

/// Fingerprint of a judged file, by which a later look recognizes that it is unchanged.
pub struct KeptDraft {
    pub(super) length: u64,
    pub(super) sum: u32,
    pub(super) included: Vec<(String, u64, i64, i64)>,
}

impl KeptDraft {
    /// Takes the properties of content that was read now.
    pub fn of(found: &JudgedInput) -> Self {
        let included = found.included.iter().map(|file| {
            let (size, seconds, nanoseconds) = file.stamp.map_or((0, 0, 0), |stamp| stamp.size_and_time());
            (file.path.to_string_lossy().into_owned(), size, seconds, nanoseconds)
        });
        let bytes = &found.content.bytes;
        Self { length: bytes.len() as u64, sum: crc32fast::hash(bytes), included: included.collect() }
    }

    pub fn is(&self, file: &KeptFile) -> bool {
        (self.length, self.sum, &self.included) == (file.length, file.sum, &file.included)
    }
}

impl JudgedInput {
    /// Returns true if nothing is wrong with it.
    pub fn is_good(&self) -> bool {
        self.problems.iter().all(|problem| problem.severity != Severity::Error)
    }
}

impl RecalledFile {
    pub fn is_of(&self, slot: usize) -> bool {
        match (self.slot, &self.sharing) {
            (Some(of), _) => of == slot,
            (None, Some(zones)) => zones.contains(&slot),
            (None, None) => true,
        }
    }
}
