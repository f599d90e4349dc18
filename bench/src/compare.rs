//! Comparison of two servers that are loaded in turn, so that drift of the machine affects both
//! equally.

use std::net::SocketAddr;
use std::sync::Arc;

use serde::Serialize;

use crate::load::{self, LoadOutcome, LoadPlan, RunError, RunSecond};
use crate::questions::QuestionBank;

/// Two servers that were loaded in turn.
#[derive(Debug, Clone, Serialize)]
pub struct ServerComparison {
    /// Address of the first server.
    pub first: SocketAddr,
    /// Address of the second server.
    pub second: SocketAddr,
    /// Number of rounds. Each round loads both servers.
    pub rounds: usize,
    /// Each quantity that was measured for both.
    pub ratios: Vec<QuantityRatio>,
}

/// One quantity of two servers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct QuantityRatio {
    /// Name of the quantity.
    pub quantity: String,
    /// Unit of the quantity.
    pub unit: String,
    /// Median over the rounds of the first server.
    pub first: f64,
    /// Median over the rounds of the second server.
    pub second: f64,
    /// `first / second`, from the medians.
    pub ratio: f64,
    /// Lowest ratio of a single round.
    pub lowest: f64,
    /// Highest ratio of a single round.
    pub highest: f64,
}

/// Loads two servers in turn with the same questions, and reports each run. The order changes each
/// round.
pub fn versus(
    plans: [&LoadPlan; 2],
    questions: &Arc<QuestionBank>,
    rounds: usize,
    mut each: impl FnMut(usize, usize, &LoadOutcome),
    mut progress: impl FnMut(&RunSecond),
) -> Result<ServerComparison, RunError> {
    let mut found: [Vec<LoadOutcome>; 2] = [Vec::new(), Vec::new()];
    for round in 0..rounds.max(1) {
        // The second server of a round finds warmer caches, so the order alternates.
        let order = if round % 2 == 0 { [0, 1] } else { [1, 0] };
        for which in order {
            let outcome = load::run(plans[which], questions, &mut progress)?;
            each(round, which, &outcome);
            found[which].push(outcome);
        }
    }
    let mut ratios = Vec::new();
    for (quantity, unit, of) in QUANTITIES {
        let values = found.each_ref().map(|outcomes| outcomes.iter().filter_map(of).collect::<Vec<f64>>());
        ratios.extend(ratio(quantity, unit, &values[0], &values[1]));
    }
    Ok(ServerComparison { first: plans[0].target, second: plans[1].target, rounds: rounds.max(1), ratios })
}

type Of = fn(&LoadOutcome) -> Option<f64>;

const QUANTITIES: [(&str, &str, Of); 6] = [
    ("answers a second", "", |outcome| Some(outcome.rate())),
    ("latency p50", "µs", |outcome| quantile(outcome, 0.5)),
    ("latency p99", "µs", |outcome| quantile(outcome, 0.99)),
    ("latency p99.9", "µs", |outcome| quantile(outcome, 0.999)),
    ("server CPU a query", "µs", |outcome| outcome.server.as_ref().map(|server| server.cpu_per_query)),
    ("server memory", "MiB", |outcome| outcome.server.as_ref().map(|server| server.resident as f64 / 1_048_576.0)),
];

fn quantile(outcome: &LoadOutcome, quantile: f64) -> Option<f64> {
    (!outcome.latency.is_empty()).then(|| outcome.latency.value_at_quantile(quantile) as f64 / 1e3)
}

/// Returns the ratio of a quantity from its values in each round. Returns `None` if a round lacks
/// the quantity or it is zero.
pub fn ratio(quantity: &str, unit: &str, first: &[f64], second: &[f64]) -> Option<QuantityRatio> {
    if first.is_empty() || first.len() != second.len() || second.iter().any(|value| *value <= 0.0) {
        return None;
    }
    let by_round: Vec<f64> = first.iter().zip(second).map(|(first, second)| first / second).collect();
    let (median_first, median_second) = (median(first), median(second));
    Some(QuantityRatio {
        quantity: quantity.to_string(),
        unit: unit.to_string(),
        first: median_first,
        second: median_second,
        ratio: median_first / median_second,
        lowest: by_round.iter().copied().fold(f64::INFINITY, f64::min),
        highest: by_round.iter().copied().fold(f64::NEG_INFINITY, f64::max),
    })
}

fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ratio_is_that_of_medians_with_the_spread_of_rounds() {
        let found = ratio("cpu", "µs", &[4.0, 4.2, 9.0], &[4.0, 4.0, 5.0]).unwrap();
        assert!((found.ratio - 1.05).abs() < 1e-9);
        assert!((found.lowest - 1.0).abs() < 1e-9 && (found.highest - 1.8).abs() < 1e-9);
        assert_eq!(ratio("cpu", "µs", &[], &[]), None);
        assert_eq!(ratio("cpu", "µs", &[1.0], &[0.0]), None);
        assert!((median(&[1.0, 4.0, 2.0, 3.0]) - 2.5).abs() < 1e-9);
    }
}
