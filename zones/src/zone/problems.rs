//! Problems of the records of a zone.

use std::path::PathBuf;
use std::sync::Arc;

use super::log::LogEntry;
use crate::record::{Severity, SourceProblem, TextPosition};

/// Problems shown of one source, the first by place of ten times as many; the rest is counted.
const MAX_PROBLEMS: usize = 100;

/// Problems of one zone, bounded.
#[derive(Debug, Default)]
pub struct Problems {
    list: Vec<SourceProblem>,
    /// Errors among them.
    pub errors: usize,
    left_out: usize,
}

impl Problems {
    /// Takes over what another part of the zone has.
    pub fn merge(&mut self, other: Problems) {
        self.left_out += other.left_out;
        self.errors += other.errors - other.list.iter().filter(|problem| problem.severity == Severity::Error).count();
        other.list.into_iter().for_each(|problem| self.push(problem));
    }

    /// Adds a problem.
    pub fn push(&mut self, problem: SourceProblem) {
        let is_error = problem.severity == Severity::Error;
        self.errors += usize::from(is_error);
        // Many warnings must not hide the errors behind them.
        if self.list.len() < 10 * MAX_PROBLEMS || is_error && self.errors <= MAX_PROBLEMS {
            self.list.push(problem);
        } else {
            self.left_out += 1;
        }
    }

    pub fn error(&mut self, files: &[Arc<PathBuf>], entry: &LogEntry<'_>, message: String, help: &str) {
        let file = files[entry.file as usize].clone();
        self.push(SourceProblem { file, at: entry.at, severity: Severity::Error, message, help: help.into() });
    }

    pub fn warning(&mut self, files: &[Arc<PathBuf>], entry: &LogEntry<'_>, message: String, help: &str) {
        let file = files[entry.file as usize].clone();
        self.push(SourceProblem { file, at: entry.at, severity: Severity::Warning, message, help: help.into() });
    }

    /// In the order of the file, errors preferred if there are too many; the last one counts those that were left out.
    pub fn into_list(mut self, file: &Arc<PathBuf>) -> Vec<SourceProblem> {
        self.left_out += self.list.len().saturating_sub(MAX_PROBLEMS);
        self.list.sort_by(|a, b| (a.severity != Severity::Error, &a.file, a.at).cmp(&(b.severity != Severity::Error, &b.file, b.at)));
        self.list.truncate(MAX_PROBLEMS);
        self.list.sort_by(|a, b| (&a.file, a.at).cmp(&(&b.file, b.at)));
        if self.left_out > 0 {
            let severity = if self.errors > 0 { Severity::Error } else { Severity::Warning };
            let message = format!("and {} more problems", self.left_out);
            self.list.push(SourceProblem { file: file.clone(), at: TextPosition::default(), severity, message, help: String::new() });
        }
        self.list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_behind_many_warnings_is_shown() {
        let file = Arc::new(PathBuf::from("contoso.zone"));
        let problem = |line, severity| {
            let at = TextPosition { line, column: 1 };
            SourceProblem { file: file.clone(), at, severity, message: format!("line {line}"), help: String::new() }
        };
        let mut problems = Problems::default();
        (1..=5000).for_each(|line| problems.push(problem(line, Severity::Warning)));
        problems.push(problem(5001, Severity::Error));
        let list = problems.into_list(&file);
        assert_eq!((list.len(), list[0].at.line), (MAX_PROBLEMS + 1, 1));
        assert_eq!((list[MAX_PROBLEMS - 1].at.line, list[MAX_PROBLEMS - 1].severity), (5001, Severity::Error));
        assert_eq!(list[MAX_PROBLEMS].message, "and 4901 more problems");
    }
}
