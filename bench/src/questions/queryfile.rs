//! The query file format of dnsperf: a name and a type per line.

use std::io::Read as _;
use std::path::Path;

use super::{QuestionBank, QuestionKind};
use crate::message::{self, QueryForm};

/// Maximum number of questions from a file, because all of them are held in memory.
pub const MOST_QUESTIONS: usize = 20_000_000;

/// Reasons why a query file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BadQueryFile {
    /// The file cannot be read.
    #[error("{path}: {error}")]
    Read {
        /// Path of the file.
        path: String,
        /// The error of the system.
        error: std::io::Error,
    },
    /// No line is a question.
    #[error("{path}: no questions in it{}\nhelp: write `name type`, one question a line, as dnsperf has it", skipped.iter().map(|line| format!("\n{line}")).collect::<String>())]
    Empty {
        /// Path of the file.
        path: String,
        /// Reasons why lines were skipped.
        skipped: Vec<String>,
    },
}

/// Number of skipped lines that are shown individually.
const MOST_SHOWN: usize = 3;

/// Reads a query file: `name type` per line. `;` and `#` start a comment. The path `-` is standard
/// input.
///
/// As with dnsperf, lines that are not questions are skipped. [`QuestionBank::notes`] counts such
/// lines and shows the first of them.
pub fn read(path: &Path, form: QueryForm) -> Result<QuestionBank, BadQueryFile> {
    let is_standard_input = path == Path::new("-");
    let name = if is_standard_input { "standard input".to_string() } else { path.display().to_string() };
    let mut bytes = Vec::new();
    let read = if is_standard_input {
        std::io::stdin().lock().read_to_end(&mut bytes).map(|_| ())
    } else {
        std::fs::read(path).map(|read| bytes = read)
    };
    read.map_err(|error| BadQueryFile::Read { path: name.clone(), error })?;
    parse(&String::from_utf8_lossy(&bytes), &name, form)
}

/// Parses the text of a query file. `path` is used only in messages.
pub fn parse(text: &str, path: &str, form: QueryForm) -> Result<QuestionBank, BadQueryFile> {
    let mut questions = QuestionBank::in_turn(format!("query file {path}"));
    let (mut skipped, mut shown) = (0_u64, Vec::new());
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with([';', '#']) {
            continue;
        }
        if questions.len() == MOST_QUESTIONS {
            questions.notes.push(format!("{path}: only the first {MOST_QUESTIONS} questions are used"));
            break;
        }
        match question(line) {
            Ok((name, rtype)) => questions.push(&name, rtype, form, QuestionKind::Given),
            Err(problem) => {
                skipped += 1;
                if shown.len() < MOST_SHOWN {
                    shown.push(format!("{path}:{}: {problem}", index + 1));
                }
            }
        }
    }
    if questions.is_empty() {
        return Err(BadQueryFile::Empty { path: path.to_string(), skipped: shown });
    }
    if skipped > 0 {
        let plural = if skipped == 1 { "line was" } else { "lines were" };
        questions.notes.push(format!("{path}: {skipped} {plural} skipped: not a question"));
        questions.notes.append(&mut shown);
    }
    Ok(questions)
}

/// Returns name and type of one line.
fn question(line: &str) -> Result<(Vec<u8>, u16), String> {
    let mut words = line.split_whitespace();
    let (Some(name), Some(rtype)) = (words.next(), words.next()) else { return Err(format!("`{line}` has no type")) };
    let name = message::name_to_wire(name).map_err(|error| error.to_string())?;
    Ok((name, message::type_to_number(rtype).map_err(|error| error.to_string())?))
}

#[cfg(test)]
mod tests {
    use super::super::QuestionPicker;
    use super::*;

    #[test]
    fn a_dnsperf_file_is_read_in_order() {
        let text = "; a comment\nws-fhir.contoso.example A\n\n# another\nb.contoso.example. AAAA\nc.example TYPE65\n";
        let questions = parse(text, "q.txt", QueryForm::default()).unwrap();
        let mut picker = QuestionPicker::new(0, 0, 1);
        let asked: Vec<String> = (0..4).map(|_| questions.describe(picker.pick(&questions))).collect();
        assert_eq!(asked, ["ws-fhir.contoso.example. A", "b.contoso.example. AAAA", "c.example. HTTPS", "ws-fhir.contoso.example. A"]);
    }

    #[test]
    fn a_line_that_is_no_question_is_skipped_counted_and_named() {
        let text = "a.example A\nb.example\na..example A\nc.example NOPE\nd.example BAD\ne.example MX\n";
        let questions = parse(text, "q.txt", QueryForm::default()).unwrap();
        assert_eq!(questions.len(), 2);
        assert_eq!(
            questions.notes,
            [
                "q.txt: 4 lines were skipped: not a question",
                "q.txt:2: `b.example` has no type",
                "q.txt:3: `a..example` is not a domain name",
                "q.txt:4: `NOPE` is not a record type",
            ]
        );
    }

    #[test]
    fn a_file_without_a_question_is_an_error_that_says_why() {
        for (text, expected) in [
            ("; nothing\n", "q.txt: no questions in it\nhelp: write `name type`"),
            ("b.example\n", "q.txt: no questions in it\nq.txt:1: `b.example` has no type\nhelp: write `name type`"),
        ] {
            let error = parse(text, "q.txt", QueryForm::default()).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
