//! Rate steps, and the search for the highest rate that meets an objective.

use std::sync::Arc;

use serde::Serialize;

use crate::load::{self, LoadModel, LoadOutcome, LoadPlan, RunError, RunSecond};
use crate::objective::RunConditions;
use crate::questions::QuestionBank;

/// Maximum number of runs in one search, because each takes its full duration.
const MOST_RUNS: usize = 40;
/// Minimum number of queries in a run of a search. The 99th percentile of fewer queries is
/// meaningless.
pub const LEAST_QUERIES: u64 = 1000;
/// Number of runs for a rate at which the generator fell behind. Other work on the machine must not
/// look like a slow server.
const CHANCES: usize = 3;

/// Result of a search, or of several rates in turn.
#[derive(Debug, Clone, Serialize)]
pub struct SearchResult {
    /// Text of the objective. Empty for a series of rates.
    pub objective: Vec<String>,
    /// Each rate that was tried, in order.
    pub steps: Vec<SearchStep>,
    /// The highest rate in queries per second that met the objective twice.
    pub highest: Option<f64>,
    /// True if the generator, not the server, ended the search.
    pub generator_was_the_limit: bool,
    /// True if the search reached its maximum number of runs without a result.
    pub stopped_early: bool,
}

/// One rate that was tried.
#[derive(Debug, Clone, Serialize)]
pub struct SearchStep {
    /// Queries per second according to the schedule.
    pub rate: f64,
    /// Answers per second.
    pub answered: f64,
    /// True if the run met the objective.
    pub met: bool,
    /// Conditions that the run did not meet, with the measured values.
    pub missed: Vec<String>,
    /// Median latency in microseconds.
    pub p50: f64,
    /// 99th percentile of latency in microseconds.
    pub p99: f64,
    /// 99.9th percentile of latency in microseconds.
    #[serde(rename = "p99.9")]
    pub p99_9: f64,
    /// Share of the queries without an answer in time, from 0 to 1.
    pub loss: f64,
    /// CPU time of the server divided by elapsed time.
    pub server_cpu: Option<f64>,
    /// True if the generator fell behind.
    pub generator_limited: bool,
}

/// Runs the plan at each rate in turn.
pub fn steps(
    plan: &LoadPlan,
    questions: &Arc<QuestionBank>,
    rates: &[f64],
    objective: Option<&RunConditions>,
    mut each: impl FnMut(&LoadOutcome, &SearchStep),
    mut progress: impl FnMut(&RunSecond),
) -> Result<SearchResult, RunError> {
    let mut search = SearchResult::new(objective);
    for &rate in rates {
        let outcome = load::run(&at(plan, rate), questions, &mut progress)?;
        let step = SearchStep::of(rate, &outcome, objective);
        each(&outcome, &step);
        if step.met {
            search.highest = Some(search.highest.map_or(rate, |highest| highest.max(rate)));
        }
        search.steps.push(step);
    }
    search.generator_was_the_limit = ended_by_the_generator(&search.steps, search.highest);
    Ok(search)
}

/// Searches for the highest rate that meets the objective. It doubles from `start`, then halves the
/// gap until the gap is at most `precision` (a share of the rate).
///
/// The resulting rate has met the objective in two separate runs, because near the limit a single
/// success may be luck. A rate that failed while the generator fell behind is tried again.
pub fn highest(
    plan: &LoadPlan,
    questions: &Arc<QuestionBank>,
    start: f64,
    precision: f64,
    objective: &RunConditions,
    mut each: impl FnMut(&LoadOutcome, &SearchStep),
    mut progress: impl FnMut(&RunSecond),
) -> Result<SearchResult, RunError> {
    let mut search = SearchResult::new(Some(objective));
    let mut hunt = Hunt::new(start, precision, LEAST_QUERIES as f64 / plan.duration.as_secs_f64());
    let mut tried = 0;
    while let (Some(rate), true) = (hunt.next(), search.steps.len() < MOST_RUNS) {
        let outcome = load::run(&at(plan, rate), questions, &mut progress)?;
        let step = SearchStep::of(rate, &outcome, Some(objective));
        each(&outcome, &step);
        tried += 1;
        if step.met || !step.generator_limited || tried == CHANCES {
            hunt.take(rate, step.met);
            tried = 0;
        }
        search.steps.push(step);
    }
    search.highest = hunt.found();
    search.stopped_early = hunt.next().is_some();
    search.generator_was_the_limit = ended_by_the_generator(&search.steps, search.highest);
    Ok(search)
}

/// Returns true if the generator fell behind at the lowest failed rate above the result. A better
/// generator might have met the objective there.
fn ended_by_the_generator(steps: &[SearchStep], found: Option<f64>) -> bool {
    let missed = steps.iter().filter(|step| !step.met && found.is_none_or(|found| step.rate > found));
    missed.min_by(|one, other| one.rate.total_cmp(&other.rate)).is_some_and(|step| step.generator_limited)
}

fn at(plan: &LoadPlan, rate: f64) -> LoadPlan {
    let arrivals = match plan.load {
        LoadModel::Open { arrivals, .. } => arrivals,
        LoadModel::Closed { .. } => load::ArrivalProcess::Even,
    };
    LoadPlan { load: LoadModel::Open { rate, arrivals }, ..plan.clone() }
}

impl SearchResult {
    /// Returns the rates that met the objective in at least one run, in ascending order.
    pub fn met_once(&self) -> Vec<f64> {
        let mut rates: Vec<f64> = self.steps.iter().filter(|step| step.met).map(|step| step.rate).collect();
        rates.sort_by(f64::total_cmp);
        rates.dedup();
        rates
    }

    /// Describes the result of a search in one sentence. Returns `None` for a series of rates.
    pub fn verdict(&self) -> Option<String> {
        if self.objective.is_empty() {
            return None;
        }
        let objective = self.objective.join(", ");
        if let Some(rate) = self.highest {
            return Some(format!("highest rate with {objective}: {} queries a second", grouped(rate.round() as u64)));
        }
        let met_once = self.met_once();
        let stopped = if self.stopped_early { format!("the search stopped after {} runs: ", self.steps.len()) } else { String::new() };
        if met_once.is_empty() {
            return Some(format!(
                "{stopped}no rate met {objective} (rates that make at least {} queries a run were tried)",
                grouped(LEAST_QUERIES)
            ));
        }
        let rates: Vec<String> = met_once.iter().map(|rate| grouped(rate.round() as u64)).collect();
        let rates = rates.join(", ");
        Some(format!("{stopped}no rate met {objective} twice in a row; met once: {rates} queries a second"))
    }

    fn new(objective: Option<&RunConditions>) -> Self {
        let objective = objective.map(|conditions| conditions.0.iter().map(ToString::to_string).collect()).unwrap_or_default();
        Self { objective, steps: Vec::new(), highest: None, generator_was_the_limit: false, stopped_early: false }
    }
}

/// Formats a number with commas between thousands.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let comma = |place: usize| if place > 0 && (digits.len() - place).is_multiple_of(3) { "," } else { "" };
    digits.char_indices().map(|(place, digit)| format!("{}{digit}", comma(place))).collect()
}

impl SearchStep {
    fn of(rate: f64, outcome: &LoadOutcome, objective: Option<&RunConditions>) -> Self {
        let missed: Vec<String> = objective
            .map(|objective| objective.missed(outcome).iter().map(|condition| condition.explain(outcome)).collect())
            .unwrap_or_default();
        let at = |quantile: f64| if outcome.latency.is_empty() { 0.0 } else { outcome.latency.value_at_quantile(quantile) as f64 / 1e3 };
        Self {
            rate,
            answered: outcome.rate(),
            met: missed.is_empty(),
            missed,
            p50: at(0.5),
            p99: at(0.99),
            p99_9: at(0.999),
            loss: outcome.loss(),
            server_cpu: outcome.server.as_ref().map(|server| (server.user + server.system) / outcome.elapsed.as_secs_f64()),
            generator_limited: !outcome.generator_limits().is_empty(),
        }
    }
}

/// The order in which a search tries rates.
#[derive(Debug)]
struct Hunt {
    start: f64,
    precision: f64,
    /// Lower bound of the search.
    least: f64,
    /// Rates that met the objective, in ascending order.
    good: Vec<f64>,
    bad: Option<f64>,
    confirmed: bool,
}

impl Hunt {
    fn new(start: f64, precision: f64, least: f64) -> Self {
        Self {
            start: start.max(1.0),
            precision: precision.clamp(0.001, 0.5),
            least: least.max(1.0),
            good: Vec::new(),
            bad: None,
            confirmed: false,
        }
    }

    /// Returns the next rate to try. Returns `None` at the end of the search.
    fn next(&self) -> Option<f64> {
        match (self.good.last(), self.bad) {
            (None, None) => Some(self.start),
            (Some(good), None) => (*good < 5e7).then_some(good * 2.0),
            (None, Some(bad)) => (bad / 2.0 >= self.least).then_some(bad / 2.0),
            (Some(good), Some(bad)) if bad - good > self.precision * bad => Some((good + bad) / 2.0),
            (Some(good), Some(_)) => (!self.confirmed).then_some(*good),
        }
    }

    fn take(&mut self, rate: f64, met: bool) {
        let again = self.good.last() == Some(&rate);
        match (met, again) {
            (true, true) => self.confirmed = true,
            (true, false) => self.good.push(rate),
            (false, _) => {
                if again {
                    // The rate met the objective only once, by luck.
                    self.good.pop();
                }
                self.bad = Some(self.bad.map_or(rate, |bad| bad.min(rate)));
            }
        }
    }

    fn found(&self) -> Option<f64> {
        self.good.last().copied().filter(|_| self.confirmed || self.bad.is_none())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hunt(start: f64, met: impl Fn(f64, usize) -> bool) -> (Option<f64>, usize) {
        let mut hunt = Hunt::new(start, 0.02, 1.0);
        let mut tries = 0;
        while let (Some(rate), true) = (hunt.next(), tries < MOST_RUNS) {
            hunt.take(rate, met(rate, tries));
            tries += 1;
        }
        (hunt.found(), tries)
    }

    #[test]
    fn the_highest_rate_is_found_from_below_and_from_above() {
        for start in [1000.0, 100_000.0, 5_000_000.0] {
            let (found, tries) = hunt(start, |rate, _| rate <= 123_456.0);
            let found = found.unwrap();
            assert!(found <= 123_456.0 && found > 123_456.0 * 0.97, "{start}: {found}");
            assert!(tries < 25, "{tries}");
        }
    }

    #[test]
    fn a_rate_that_was_good_by_luck_is_not_the_answer() {
        // The seventh attempt succeeds although the rate exceeds the capacity.
        let (found, _) = hunt(50_000.0, |rate, tries| rate <= 100_000.0 || tries == 2);
        assert!(found.unwrap() <= 100_000.0, "{found:?}");
    }

    #[test]
    fn a_search_without_an_answer_says_which_rates_met_the_objective_once() {
        let step = |rate: f64, met: bool| SearchStep {
            rate,
            answered: rate,
            met,
            missed: Vec::new(),
            p50: 0.0,
            p99: 0.0,
            p99_9: 0.0,
            loss: 0.0,
            server_cpu: None,
            generator_limited: false,
        };
        let mut search = SearchResult {
            objective: vec!["p99<5ms".into()],
            steps: vec![step(10_000.0, true), step(20_000.0, true), step(20_000.0, false), step(10_000.0, true), step(40_000.0, false)],
            highest: None,
            generator_was_the_limit: false,
            stopped_early: true,
        };
        let verdict = search.verdict().unwrap();
        assert_eq!(
            verdict,
            "the search stopped after 5 runs: no rate met p99<5ms twice in a row; met once: 10,000, 20,000 queries a second"
        );
        search.steps.iter_mut().for_each(|step| step.met = false);
        assert!(search.verdict().unwrap().starts_with("the search stopped after 5 runs: no rate met p99<5ms (rates"));
        search.highest = Some(20_000.0);
        assert_eq!(search.verdict().unwrap(), "highest rate with p99<5ms: 20,000 queries a second");
        search.objective.clear();
        assert_eq!(search.verdict(), None);
    }

    #[test]
    fn steps_that_all_meet_the_objective_are_not_limited_by_the_generator() {
        let step = |generator_limited| SearchStep {
            rate: 1e3,
            answered: 1e3,
            met: true,
            missed: Vec::new(),
            p50: 0.0,
            p99: 0.0,
            p99_9: 0.0,
            loss: 0.0,
            server_cpu: None,
            generator_limited,
        };
        assert!(!ended_by_the_generator(&[step(true), step(true)], None));
    }

    #[test]
    fn a_search_that_the_generator_ended_is_known_for_it() {
        let step = |rate: f64, met: bool, generator_limited: bool| SearchStep {
            rate,
            answered: rate,
            met,
            missed: Vec::new(),
            p50: 0.0,
            p99: 0.0,
            p99_9: 0.0,
            loss: 0.0,
            server_cpu: None,
            generator_limited,
        };
        // The last run confirms a good rate, but the lowest failed rate ended the search.
        assert!(ended_by_the_generator(
            &[step(2e3, false, false), step(1e3, true, false), step(1.5e3, false, true), step(1e3, true, false)],
            Some(1e3)
        ));
        assert!(!ended_by_the_generator(&[step(2e3, false, true), step(1e3, true, true), step(1.5e3, false, false)], Some(1e3)));
        assert!(!ended_by_the_generator(&[step(1e3, true, true)], Some(1e3)));
        // The retry at 1,000 per second succeeded, so the generator's delay meanwhile ended
        // nothing.
        assert!(!ended_by_the_generator(&[step(1e3, false, true), step(1e3, true, false), step(2e3, false, false)], Some(1e3)));
    }

    #[test]
    fn a_server_that_never_meets_the_objective_ends_the_search() {
        let (found, tries) = hunt(1000.0, |_, _| false);
        assert_eq!(found, None);
        assert!(tries < 15, "{tries}");
        let mut hunt = Hunt::new(1000.0, 0.02, 200.0);
        let tried: Vec<f64> = std::iter::from_fn(|| hunt.next().inspect(|rate| hunt.take(*rate, false))).collect();
        assert_eq!(tried, [1000.0, 500.0, 250.0], "a rate too low to say anything is not tried");
    }
}
