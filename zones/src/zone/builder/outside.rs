//! Rows of a zone file that lie outside the zone. They are skipped with a warning, unless the file seems to be that of another zone.

use std::path::PathBuf;
use std::sync::Arc;

use crate::name::{NameBuf, WireName};
use crate::record::{Severity, SourceProblem, TextPosition};

/// Number of names in a message. Further rows are counted.
const SHOWN: usize = 5;

/// Rows of other zones in a zone file.
#[derive(Debug, Default)]
pub struct OutsideRows {
    /// The first [`SHOWN`] rows.
    first: Vec<Row>,
    count: usize,
    /// The first SOA among the rows.
    soa: Option<Row>,
    /// Rows of the same files that lie in the zone.
    inside: usize,
}

#[derive(Debug, Clone)]
struct Row {
    file: Arc<PathBuf>,
    at: TextPosition,
    owner: NameBuf,
}

impl OutsideRows {
    /// Counts a row outside the zone.
    pub fn note(&mut self, file: &Arc<PathBuf>, at: TextPosition, owner: &NameBuf, is_soa: bool) {
        self.count += 1;
        if self.first.len() < SHOWN || is_soa && self.soa.is_none() {
            let row = Row { file: file.clone(), at, owner: owner.clone() };
            if is_soa {
                self.soa.get_or_insert(row.clone());
            }
            if self.first.len() < SHOWN {
                self.first.push(row);
            }
        }
    }

    /// Counts rows of the same files that lie in the zone.
    pub fn note_inside(&mut self, rows: usize) {
        self.inside += rows;
    }

    /// Number of rows outside the zone.
    pub fn count(&self) -> usize {
        self.count
    }

    /// One warning for all rows, or an error if the file seems to be that of another zone. Returns `None` if every row lies in the zone.
    /// `has_soa`: a file of the zone has its SOA.
    pub fn problem(&self, apex: &WireName, has_soa: bool) -> Option<SourceProblem> {
        let first = self.first.first()?;
        let names: Vec<String> = self.first.iter().map(|row| format!("{} (line {})", row.owner.without_dot(), row.at.line)).collect();
        let more = if self.count > names.len() { format!(" and {} more", self.count - names.len()) } else { String::new() };
        let zone = apex.to_buf().without_dot();
        let (lie, are) = if self.count == 1 { ("1 record lies".into(), "is") } else { (format!("{} records lie", self.count), "are") };
        let (row, severity, message, help) = match &self.soa {
            _ if self.inside == 0 => (
                first,
                Severity::Error,
                format!("no record of this file lies in the zone {zone}: {}{more}", names.join(", ")),
                "is it the file of another zone? A name without a final dot is relative to the origin",
            ),
            Some(soa) if !has_soa => (
                soa,
                Severity::Error,
                format!("the SOA is that of the zone {}, not of {zone}", soa.owner.without_dot()),
                "is it the file of another zone? Remove the SOA to take the records that lie in this one",
            ),
            _ => (
                first,
                Severity::Warning,
                format!("{} outside the zone {zone} and {} not served: {}{more}", lie, are, names.join(", ")),
                "a name without a final dot is relative to the origin",
            ),
        };
        Some(SourceProblem { file: row.file.clone(), at: row.at, severity, message, help: help.into() })
    }
}
