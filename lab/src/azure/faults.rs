//! Faults of the simulated Azure.

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};
use serde::{Deserialize, Serialize};

/// Faults that are in force, until they are replaced.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct AzureFaults {
    /// Share of the queries that the faults below strike, from 0 to 1. Absent: all.
    pub chance: Option<f64>,
    /// Number of queries that the faults strike before they end. Absent: no end.
    pub count: Option<u32>,
    /// First page that the faults strike, from 1. Absent: the first.
    pub from_page: Option<usize>,
    /// Queries get this status.
    pub status: Option<u16>,
    /// Queries get 429, with this `Retry-After` in seconds.
    pub throttle: Option<u64>,
    /// The connection closes in the middle of an answer.
    pub cut: bool,
    /// Answers are a page of HTML with status 200.
    pub garbage: bool,
    /// Answers have no rows, with status 200.
    pub empty: bool,
    /// Answers have only their first page, and say that rows are missing.
    pub lose_pages: bool,
    /// Answers never end.
    pub endless: bool,
    /// Queries get no answer.
    pub silent: bool,
    /// Requests for a token get this status.
    pub token_status: Option<u16>,
    /// No token is accepted.
    pub revoke: bool,
    /// IDs of subscriptions that may not be read.
    pub forbidden: Vec<String>,
    /// Forbidden subscriptions are left out of answers, instead of 403 for a query that names one.
    pub forbidden_silently: bool,
}

/// Fate of one query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum QueryFate {
    Honest,
    Status(u16),
    Throttle(u64),
    Cut,
    Garbage,
    Empty,
    LosePages,
    Endless,
    Silent,
}

/// Decides the fate of queries.
#[derive(Debug)]
pub(super) struct FaultDice {
    pub faults: AzureFaults,
    random: Xoshiro256PlusPlus,
}

impl FaultDice {
    pub fn new(seed: u64, faults: AzureFaults) -> Self {
        Self { faults, random: Xoshiro256PlusPlus::seed_from_u64(seed) }
    }

    /// Returns the fate of a query for this page, which starts at 1.
    pub fn roll(&mut self, page: usize) -> QueryFate {
        let faults = &mut self.faults;
        let fate = match faults {
            AzureFaults { status: Some(status), .. } => QueryFate::Status(*status),
            AzureFaults { throttle: Some(seconds), .. } => QueryFate::Throttle(*seconds),
            AzureFaults { cut: true, .. } => QueryFate::Cut,
            AzureFaults { garbage: true, .. } => QueryFate::Garbage,
            AzureFaults { empty: true, .. } => QueryFate::Empty,
            AzureFaults { lose_pages: true, .. } => QueryFate::LosePages,
            AzureFaults { endless: true, .. } => QueryFate::Endless,
            AzureFaults { silent: true, .. } => QueryFate::Silent,
            _ => return QueryFate::Honest,
        };
        if page < faults.from_page.unwrap_or(1) || faults.count == Some(0) {
            return QueryFate::Honest;
        }
        if faults.chance.is_some_and(|chance| self.random.random::<f64>() >= chance) {
            return QueryFate::Honest;
        }
        if let Some(count) = &mut faults.count {
            *count -= 1;
        }
        fate
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_strikes_the_same_queries() {
        let faults = AzureFaults { chance: Some(0.5), cut: true, ..AzureFaults::default() };
        let fates = |seed| {
            let mut dice = FaultDice::new(seed, faults.clone());
            (0..64).map(|_| dice.roll(1)).collect::<Vec<_>>()
        };
        assert_eq!(fates(7), fates(7));
        assert_ne!(fates(7), fates(8));
    }

    #[test]
    fn a_fault_ends_after_its_count_and_spares_earlier_pages() {
        let faults = AzureFaults { count: Some(1), from_page: Some(2), status: Some(503), ..AzureFaults::default() };
        let mut dice = FaultDice::new(0, faults);
        let fates = [1, 2, 2].map(|page| dice.roll(page));
        assert_eq!(fates, [QueryFate::Honest, QueryFate::Status(503), QueryFate::Honest]);
    }
}
