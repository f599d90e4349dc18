//! Objects of a file that no record can be made of, counted by kind and reported in one warning.

use super::super::report::{TextError, TextSpot};

/// Kinds that the warning names. Further ones are counted.
const MAX_NAMED: usize = 8;
/// Kinds that are told apart, which bounds the work for hostile files.
const MAX_KINDS: usize = 100;

/// Objects that became no records.
#[derive(Debug, Default)]
pub(super) struct UnusedObjects {
    /// Kind, number of objects, in the order of their first appearance.
    kinds: Vec<(String, usize)>,
    /// Objects of kinds beyond [`MAX_KINDS`].
    further: usize,
    /// Offset of the first object.
    first: u32,
}

impl UnusedObjects {
    pub fn add(&mut self, kind: &str, at: u32) {
        if self.kinds.is_empty() {
            self.first = at;
        }
        let is_full = self.kinds.len() >= MAX_KINDS;
        match self.kinds.iter_mut().find(|(known, _)| known == kind) {
            Some((_, count)) => *count += 1,
            None if is_full => self.further += 1,
            None => self.kinds.push((kind.to_owned(), 1)),
        }
    }

    /// Returns the warning. Returns `None` if there is nothing to report.
    pub fn warning(&self, spot: impl Fn(u32) -> TextSpot) -> Option<TextError> {
        let total = self.kinds.iter().map(|(_, count)| count).sum::<usize>() + self.further;
        if total == 0 {
            return None;
        }
        let mut named: Vec<String> = self.kinds.iter().take(MAX_NAMED).map(|(kind, count)| format!("{count} × {kind}")).collect();
        let rest = self.kinds.iter().skip(MAX_NAMED).map(|(_, count)| count).sum::<usize>() + self.further;
        if rest > 0 {
            named.push(format!("{rest} of other kinds"));
        }
        let objects = if total == 1 { "object is" } else { "objects are" };
        Some(*TextError::new(spot(self.first), format!("{total} {objects} not used: {}", named.join(", ")), ""))
    }
}
