//! What is wrong with the records of a zone.

use std::path::PathBuf;
use std::sync::Arc;

use super::builder::ZoneBuilder;
use super::log::Entry;
use crate::record::{Position, Problem, Severity};

/// Problems shown of one source, the first by place of ten times as many; the rest is counted.
const MAX_PROBLEMS: usize = 100;

/// Problems of one zone, bounded.
#[derive(Debug, Default)]
pub struct Problems {
    list: Vec<Problem>,
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
    pub fn push(&mut self, problem: Problem) {
        self.errors += usize::from(problem.severity == Severity::Error);
        if self.list.len() < 10 * MAX_PROBLEMS {
            self.list.push(problem);
        } else {
            self.left_out += 1;
        }
    }

    pub fn error(&mut self, builder: &ZoneBuilder, entry: &Entry<'_>, message: String, help: &str) {
        let file = builder.files[entry.file as usize].clone();
        self.push(Problem { file, at: entry.at, severity: Severity::Error, message, help: help.into() });
    }

    pub fn warning(&mut self, builder: &ZoneBuilder, entry: &Entry<'_>, message: String, help: &str) {
        let file = builder.files[entry.file as usize].clone();
        self.push(Problem { file, at: entry.at, severity: Severity::Warning, message, help: help.into() });
    }

    /// In the order of the file; the last one says how many were left out.
    pub fn into_list(mut self, file: &Arc<PathBuf>) -> Vec<Problem> {
        self.list.sort_by(|a, b| (&a.file, a.at).cmp(&(&b.file, b.at)));
        self.left_out += self.list.len().saturating_sub(MAX_PROBLEMS);
        self.list.truncate(MAX_PROBLEMS);
        if self.left_out > 0 {
            let severity = if self.errors > 0 { Severity::Error } else { Severity::Warning };
            let message = format!("and {} more problems", self.left_out);
            self.list.push(Problem { file: file.clone(), at: Position::default(), severity, message, help: String::new() });
        }
        self.list
    }
}
