//! Records on their way from a source into a zone.

use std::path::PathBuf;
use std::sync::Arc;

use crate::name::NameBuf;

/// A place in a source: for messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct TextPosition {
    /// 1-based; 0: the file as a whole.
    pub line: u32,
    /// 1-based, in characters.
    pub column: u32,
}

/// One record as a source gives it, class IN. Borrowed, because a source may hold a million of them.
#[derive(Debug, Clone)]
pub struct RecordRef<'a> {
    /// Owner, absolute.
    pub owner: &'a NameBuf,
    /// TYPE (RFC 1035 section 3.2.2).
    pub rtype: u16,
    /// Seconds; none: the source says nothing, the zone's default applies.
    pub ttl: Option<u32>,
    /// RDATA, uncompressed wire form; names in it keep their case.
    pub rdata: &'a [u8],
    /// Where it stands.
    pub at: TextPosition,
}

/// Takes records one at a time as a source is read.
pub trait RecordSink {
    /// One record. The sink checks what concerns the zone (out of zone, CNAME beside data …) and keeps its own problems.
    fn record(&mut self, record: RecordRef<'_>);

    /// The records that follow stand in this file: called before the first one and where `$INCLUDE` goes into a file or comes back.
    fn file(&mut self, _file: &Arc<PathBuf>) {}
}

/// One thing wrong with a source, for people: `file:line:column: error: message help: help`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceProblem {
    /// The file.
    pub file: Arc<PathBuf>,
    /// Where in it.
    pub at: TextPosition,
    /// Whether the source can be served all the same.
    pub severity: Severity,
    /// The problem, with the expected form.
    pub message: String,
    /// How to mend it; may be empty.
    pub help: String,
}

/// How bad a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Served all the same.
    Warning,
    /// The source is not used, and the last good data is served.
    Error,
}

impl std::fmt::Display for SourceProblem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let severity = match self.severity {
            Severity::Warning => "warning",
            Severity::Error => "error",
        };
        write!(f, "{}:", self.file.display())?;
        if self.at.line > 0 {
            write!(f, "{}:{}:", self.at.line, self.at.column)?;
        }
        write!(f, " {severity}: {}", self.message)?;
        if !self.help.is_empty() {
            write!(f, " help: {}", self.help)?;
        }
        Ok(())
    }
}
