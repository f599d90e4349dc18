//! Problems in files of the operator: position, message and help.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Serialize;

/// One problem of a file, displayed as `file:line:column: error: message help: help`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct FileDiagnostic {
    /// Path of the file.
    pub file: PathBuf,
    /// Line, 1-based. 0 means the file as a whole.
    pub line: u32,
    /// Column, 1-based, in characters. 0 means the file as a whole.
    pub column: u32,
    /// Severity, which decides whether the file is used.
    pub severity: DiagnosticSeverity,
    /// The problem and the expected value.
    pub message: String,
    /// Advice on how to fix the problem. May be empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub help: String,
}

/// Severity of a problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DiagnosticSeverity {
    /// The file is not used.
    Error,
    /// The file is used, but may not do what the operator expects.
    Warning,
    /// Information only: the file is correct.
    Note,
}

impl fmt::Display for DiagnosticSeverity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        })
    }
}

impl fmt::Display for FileDiagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file.display())?;
        if self.line > 0 {
            write!(f, "{}:{}:", self.line, self.column)?;
        }
        write!(f, " {}: {}", self.severity, self.message)?;
        if !self.help.is_empty() {
            write!(f, " help: {}", self.help)?;
        }
        Ok(())
    }
}

/// A text with the starts of its lines, which converts byte offsets to lines and columns.
#[derive(Debug)]
pub(crate) struct LineIndex<'a> {
    file: &'a Path,
    text: &'a str,
    starts: Vec<usize>,
}

impl<'a> LineIndex<'a> {
    pub(crate) fn new(file: &'a Path, text: &'a str) -> Self {
        let starts =
            std::iter::once(0).chain(text.bytes().enumerate().filter(|(_, octet)| *octet == b'\n').map(|(at, _)| at + 1)).collect();
        Self { file, text, starts }
    }

    /// Returns the file.
    pub(crate) fn file(&self) -> &'a Path {
        self.file
    }

    /// Returns line and column of a byte offset, both 1-based, the column in characters.
    pub(crate) fn position(&self, offset: usize) -> (u32, u32) {
        let offset = offset.min(self.text.len());
        let line = self.starts.partition_point(|start| *start <= offset) - 1;
        let column = self.text.get(self.starts[line]..offset).map_or(0, |before| before.chars().count());
        (line as u32 + 1, column as u32 + 1)
    }

    /// Returns the byte offset of a 1-based line and a 1-based column in bytes, as serde_json
    /// counts them.
    pub(crate) fn offset(&self, line: usize, column: usize) -> usize {
        self.starts.get(line.saturating_sub(1)).map_or(self.text.len(), |start| (start + column.saturating_sub(1)).min(self.text.len()))
    }

    pub(crate) fn error(&self, offset: usize, message: impl Into<String>, help: impl Into<String>) -> FileDiagnostic {
        let (line, column) = self.position(offset);
        FileDiagnostic {
            file: self.file.into(),
            line,
            column,
            severity: DiagnosticSeverity::Error,
            message: message.into(),
            help: help.into(),
        }
    }
}

/// Creates a problem of the file as a whole.
pub(crate) fn whole_file(file: &Path, message: impl Into<String>, help: impl Into<String>) -> FileDiagnostic {
    FileDiagnostic {
        file: file.into(),
        line: 0,
        column: 0,
        severity: DiagnosticSeverity::Error,
        message: message.into(),
        help: help.into(),
    }
}

/// Returns the candidate closest to `word` if it is close enough to be a likely misspelling.
pub fn did_you_mean<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let reach = (word.chars().count() / 3).clamp(1, 3);
    candidates
        .into_iter()
        .map(|candidate| (strsim::osa_distance(word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= reach || (word.len() > 3 && candidate.starts_with(word)))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_become_lines_and_columns_in_characters() {
        let lines = LineIndex::new(Path::new("a"), "ab\n\u{e9}x\n");
        for (offset, want) in [(0, (1, 1)), (2, (1, 3)), (3, (2, 1)), (5, (2, 2)), (7, (3, 1)), (99, (3, 1))] {
            assert_eq!(lines.position(offset), want, "{offset}");
        }
    }

    #[test]
    fn suggests_only_what_is_near() {
        let keys = ["listen", "workers", "user", "udp-size"];
        for (word, want) in [("lisen", Some("listen")), ("worker", Some("workers")), ("udp_size", Some("udp-size")), ("colour", None)] {
            assert_eq!(did_you_mean(word, keys), want, "{word}");
        }
    }
}
