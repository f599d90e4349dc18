//! Findings of an examination, and how they are printed.

use std::process::ExitCode;

use serde_json::{Value, json};

use crate::client::OutputForm;

/// How bad a finding is. The order is that of monitoring plugins, and so are the exit codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FindingLevel {
    /// As it should be.
    Good,
    /// Worth knowing. Nothing has to be done.
    Note,
    /// Works now, and may fail later or for some clients.
    Warning,
    /// Clients do not reach the service, or reach its public address.
    Critical,
}

/// The result of one examination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DoctorFinding {
    /// Subject of the examination, in one or two words.
    pub topic: &'static str,
    /// How bad it is.
    pub level: FindingLevel,
    /// The result as a sentence.
    pub text: String,
    /// The command or the change that mends it. `None` for good findings and notes.
    pub mend: Option<String>,
}

/// All findings, in the order of the examination.
#[derive(Debug, Default)]
pub struct DoctorReport {
    /// The examined name or machine, with the client.
    pub title: String,
    /// Findings of all examinations, good ones too.
    pub findings: Vec<DoctorFinding>,
}

impl FindingLevel {
    fn word(self) -> &'static str {
        match self {
            Self::Good => "ok",
            Self::Note => "note",
            Self::Warning => "warn",
            Self::Critical => "FAIL",
        }
    }

    fn json_word(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Critical => "critical",
            other => other.word(),
        }
    }
}

impl DoctorReport {
    /// Adds a finding that is as it should be.
    pub fn good(&mut self, topic: &'static str, text: impl Into<String>) {
        self.add(topic, FindingLevel::Good, text.into(), None);
    }

    /// Adds something that is worth knowing.
    pub fn note(&mut self, topic: &'static str, text: impl Into<String>) {
        self.add(topic, FindingLevel::Note, text.into(), None);
    }

    /// Adds something that may fail, with the way to mend it.
    pub fn warn(&mut self, topic: &'static str, text: impl Into<String>, mend: impl Into<String>) {
        self.add(topic, FindingLevel::Warning, text.into(), Some(mend.into()));
    }

    /// Adds something that fails, with the way to mend it.
    pub fn fail(&mut self, topic: &'static str, text: impl Into<String>, mend: impl Into<String>) {
        self.add(topic, FindingLevel::Critical, text.into(), Some(mend.into()));
    }

    fn add(&mut self, topic: &'static str, level: FindingLevel, text: String, mend: Option<String>) {
        self.findings.push(DoctorFinding { topic, level, text, mend });
    }

    /// Returns the worst level of all findings.
    pub fn worst(&self) -> FindingLevel {
        self.findings.iter().map(|finding| finding.level).max().unwrap_or(FindingLevel::Good)
    }

    /// Returns 0 if all is well, 1 for warnings, and 2 if something fails, as monitoring plugins do.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self.worst() {
            FindingLevel::Good | FindingLevel::Note => 0,
            FindingLevel::Warning => 1,
            FindingLevel::Critical => 2,
        })
    }

    /// Prints the report.
    pub fn print(&self, output: OutputForm) -> Result<(), String> {
        match output {
            OutputForm::Json => crate::print::json(&self.as_json()),
            OutputForm::Table => crate::print::prose(&self.worded()),
        }
    }

    fn as_json(&self) -> Value {
        let finding = |finding: &DoctorFinding| json!({"topic": finding.topic, "level": finding.level.json_word(), "text": finding.text, "mend": finding.mend});
        json!({"examined": self.title, "level": self.worst().json_word(), "findings": self.findings.iter().map(finding).collect::<Vec<_>>()})
    }

    fn worded(&self) -> String {
        let mut out = format!("{}\n\n", self.title);
        for finding in &self.findings {
            out += &format!("{:<4}  {}: {}\n", finding.level.word(), finding.topic, finding.text);
            for line in finding.mend.iter().flat_map(|mend| mend.lines()) {
                out += &format!("      mend: {line}\n");
            }
        }
        out + &format!("\n{}\n", self.summary())
    }

    fn summary(&self) -> String {
        let count = |level| self.findings.iter().filter(|finding| finding.level == level).count();
        match (count(FindingLevel::Critical), count(FindingLevel::Warning)) {
            (0, 0) => "nothing to mend".into(),
            (0, warnings) => format!("{warnings} to look at"),
            (failed, 0) => format!("{failed} to mend"),
            (failed, warnings) => format!("{failed} to mend, {warnings} to look at"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_ends_with_its_worst_level_and_prints_how_to_mend_it() {
        let mut report = DoctorReport { title: "the machine".into(), ..DoctorReport::default() };
        report.good("server", "it runs");
        report.note("browsers", "no policy");
        assert_eq!(report.worst(), FindingLevel::Note);
        assert!(report.worded().ends_with("\nnothing to mend\n"));
        report.warn("peer", "serials differ", "postern reload");
        report.fail("routes", "no route", "add a [[forward]]");
        assert_eq!(report.worst(), FindingLevel::Critical);
        let want = "the machine\n\nok    server: it runs\nnote  browsers: no policy\nwarn  peer: serials differ\n      mend: postern reload\n\
                    FAIL  routes: no route\n      mend: add a [[forward]]\n\n1 to mend, 1 to look at\n";
        assert_eq!(report.worded(), want);
        assert_eq!(report.as_json()["level"], "critical");
    }
}
