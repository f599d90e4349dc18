//! Problems on their way to people: bounded in number, with places found only when they are needed.

use std::path::PathBuf;
use std::sync::Arc;

use crate::record::{Severity, SourceProblem, TextPosition};

/// Errors, and warnings, that one run of a reader shows; the rest is counted.
pub const MAX_SHOWN: usize = 50;
/// Errors after which a reader gives the file up: it is something else than it is taken for.
const MAX_COUNTED: usize = 1000;

/// A place in a text: cheap to keep, turned into a column only for a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct TextSpot {
    /// 1-based line.
    pub line: u32,
    /// Offset of the line's first byte.
    pub line_start: u32,
    /// Offset of the byte.
    pub at: u32,
}

/// Something wrong at a spot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TextError {
    pub spot: TextSpot,
    pub message: String,
    pub help: String,
}

/// A result whose error is boxed: the good way stays small.
pub(super) type TextResult<T> = Result<T, Box<TextError>>;

impl TextError {
    pub fn new(spot: TextSpot, message: impl Into<String>, help: impl Into<String>) -> Box<Self> {
        Box::new(Self { spot, message: message.into(), help: help.into() })
    }
}

impl TextSpot {
    /// Line and column, the column in characters; bytes that are no UTF-8 count as one each.
    pub fn position(self, text: &[u8]) -> TextPosition {
        let line = text.get(self.line_start as usize..self.at as usize).unwrap_or_default();
        let characters = if line.is_ascii() {
            line.len()
        } else {
            line.utf8_chunks().map(|chunk| chunk.valid().chars().count() + chunk.invalid().len()).sum()
        };
        TextPosition { line: self.line, column: characters as u32 + 1 }
    }
}

/// Where a reader's problems go.
pub(super) struct ProblemReport<'p> {
    problems: &'p mut Vec<SourceProblem>,
    errors: usize,
    warnings: usize,
    /// The first of each that was not shown.
    unshown: [Option<(Arc<PathBuf>, TextPosition)>; 2],
}

impl<'p> ProblemReport<'p> {
    pub fn new(problems: &'p mut Vec<SourceProblem>) -> Self {
        Self { problems, errors: 0, warnings: 0, unshown: [None, None] }
    }

    /// An error at `at`; the spot of `bad` is not looked at.
    pub fn error(&mut self, file: &Arc<PathBuf>, at: TextPosition, bad: TextError) {
        self.add(file, at, Severity::Error, bad);
    }

    /// A warning at `at`.
    pub fn warning(&mut self, file: &Arc<PathBuf>, at: TextPosition, bad: TextError) {
        self.add(file, at, Severity::Warning, bad);
    }

    fn add(&mut self, file: &Arc<PathBuf>, at: TextPosition, severity: Severity, bad: TextError) {
        let count = match severity {
            Severity::Error => &mut self.errors,
            Severity::Warning => &mut self.warnings,
        };
        *count += 1;
        if *count > MAX_SHOWN {
            self.unshown[usize::from(severity == Severity::Error)].get_or_insert((file.clone(), at));
            return;
        }
        self.problems.push(SourceProblem { file: file.clone(), at, severity, message: bad.message, help: bad.help });
    }

    /// True when so much is wrong that reading on tells nobody anything.
    pub fn is_full(&self) -> bool {
        self.errors >= MAX_COUNTED
    }

    /// Errors so far.
    pub fn errors(&self) -> usize {
        self.errors
    }

    /// Says how many problems were not shown.
    pub fn finish(self) {
        let Self { problems, errors, warnings, unshown: [warning, error] } = self;
        for (first, count, severity) in [(error, errors, Severity::Error), (warning, warnings, Severity::Warning)] {
            let Some((file, at)) = first else { continue };
            let what = if severity == Severity::Error { "error" } else { "warning" };
            let more = count - MAX_SHOWN;
            let message = if severity == Severity::Error && count >= MAX_COUNTED {
                format!("{more} more errors from here on, and the rest was not read")
            } else {
                format!("{more} more {what}{} from here on", if more == 1 { "" } else { "s" })
            };
            problems.push(SourceProblem { file, at, severity, message, help: String::new() });
        }
    }
}

/// A piece of the text for a message: readable, short, on one line.
pub(super) fn shown(text: &[u8]) -> String {
    const LONGEST: usize = 60;
    let mut out = String::new();
    for (count, character) in String::from_utf8_lossy(&text[..text.len().min(4 * LONGEST)]).chars().enumerate() {
        if count == LONGEST {
            out.push('…');
            break;
        }
        if character.is_control() { out.extend(character.escape_default()) } else { out.push(character) }
    }
    out
}
