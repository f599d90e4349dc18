//! dnsperf's query file: a name and a type a line.

use std::path::Path;

use super::{Kind, Questions};
use crate::message::{self, QueryForm};

/// Most questions that are read from a file; a bank of them is held in memory.
pub const MOST_QUESTIONS: usize = 20_000_000;

/// Why a query file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BadQueryFile {
    /// The file cannot be read.
    #[error("{path}: {error}")]
    Read {
        /// The file.
        path: String,
        /// What the system said.
        error: std::io::Error,
    },
    /// A line is not a question.
    #[error("{path}:{line}: error: {problem}\nhelp: write `name type`, one question a line, as dnsperf has it")]
    Line {
        /// The file.
        path: String,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        problem: String,
    },
    /// There is nothing in it.
    #[error("{0}: no questions in it")]
    Empty(String),
}

/// Reads a query file: `name type` a line; `;` and `#` begin a comment, blank lines are skipped.
pub fn read(path: &Path, form: QueryForm) -> Result<Questions, BadQueryFile> {
    let name = path.display().to_string();
    let bytes = std::fs::read(path).map_err(|error| BadQueryFile::Read { path: name.clone(), error })?;
    parse(&String::from_utf8_lossy(&bytes), &name, form)
}

/// Parses the text of a query file; `path` is for messages.
pub fn parse(text: &str, path: &str, form: QueryForm) -> Result<Questions, BadQueryFile> {
    let mut questions = Questions::in_turn(format!("query file {path}"));
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with([';', '#']) {
            continue;
        }
        let bad = |problem: String| BadQueryFile::Line { path: path.to_string(), line: index + 1, problem };
        let mut words = line.split_whitespace();
        let (Some(name), Some(rtype)) = (words.next(), words.next()) else {
            return Err(bad(format!("`{line}` has no type")));
        };
        let wire = message::name_to_wire(name).map_err(|error| bad(error.to_string()))?;
        let rtype = message::type_to_number(rtype).map_err(|error| bad(error.to_string()))?;
        if questions.len() == MOST_QUESTIONS {
            questions.notes.push(format!("{path}: only the first {MOST_QUESTIONS} questions are used"));
            break;
        }
        questions.push(&wire, rtype, form, Kind::Given);
    }
    if questions.is_empty() { Err(BadQueryFile::Empty(path.to_string())) } else { Ok(questions) }
}

#[cfg(test)]
mod tests {
    use super::super::Picker;
    use super::*;

    #[test]
    fn a_dnsperf_file_is_read_in_order() {
        let text = "; a comment\nws-fhir.contoso.example A\n\n# another\nb.contoso.example. AAAA\nc.example TYPE65\n";
        let questions = parse(text, "q.txt", QueryForm::default()).unwrap();
        let mut picker = Picker::new(0, 0, 1);
        let asked: Vec<String> = (0..4).map(|_| questions.describe(picker.pick(&questions))).collect();
        assert_eq!(asked, ["ws-fhir.contoso.example. A", "b.contoso.example. AAAA", "c.example. HTTPS", "ws-fhir.contoso.example. A"]);
    }

    #[test]
    fn a_bad_line_is_named_with_its_number() {
        for (text, expected) in [
            ("a.example A\nb.example\n", "q.txt:2: error: `b.example` has no type"),
            ("a..example A\n", "q.txt:1: error: `a..example` is not a domain name"),
            ("a.example NOPE\n", "q.txt:1: error: `NOPE` is not a record type"),
            ("; nothing\n", "q.txt: no questions in it"),
        ] {
            let error = parse(text, "q.txt", QueryForm::default()).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
