//! What is handed out: one model for JSON, text and HTML.

mod html;
mod plot;
mod text;

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::compare::Comparison;
use crate::environment::Environment;
use crate::load::{Effort, Moment, Outcome, Plan, ServerUse, Tally};
use crate::message::rcode_to_text;
use crate::questions::Questions;
use crate::search::Search;
pub use html::to_html;
pub use text::{progress_line, to_text};

/// Version of the JSON report. A field that changes its meaning or goes makes a new version; a field that comes does not.
pub const VERSION: u32 = 1;

/// Everything that one command found. Times are microseconds unless a name says otherwise.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// [`VERSION`].
    pub version: u32,
    /// Where it happened.
    pub environment: Environment,
    /// What was asked.
    pub questions: Asked,
    /// Each run, in order.
    pub runs: Vec<Run>,
    /// The search for the highest rate, if one was made.
    pub search: Option<Search>,
    /// Two servers against each other, if they were compared.
    pub comparison: Option<Comparison>,
    /// Conditions that make the command fail and held, each with what was found.
    pub failures: Vec<String>,
}

/// What was asked.
#[derive(Debug, Clone, Serialize)]
pub struct Asked {
    /// Where the questions came from.
    pub source: String,
    /// How many different ones there are; a fresh one counts once.
    pub count: usize,
    /// How many of each kind.
    pub kinds: Vec<(String, usize)>,
    /// What was left out.
    pub notes: Vec<String>,
}

/// One run.
#[derive(Debug, Clone, Serialize)]
pub struct Run {
    /// What it is called in the report.
    pub label: String,
    /// The plan.
    pub plan: Plan,
    /// How long was measured, seconds.
    pub elapsed: f64,
    /// Answers a second.
    pub rate: f64,
    /// Part of the queries without an answer in time, 0 to 1.
    pub loss: f64,
    /// What was counted.
    pub counts: Counts,
    /// From the schedule to the answer (open loop), or from sending (closed loop).
    pub latency: Latency,
    /// From sending to the answer.
    pub service: Latency,
    /// From the schedule to sending.
    pub lag: Latency,
    /// Answers that came after the timeout, from the schedule; not in `latency`.
    pub late: Latency,
    /// Latency by RCODE.
    pub by_rcode: Vec<Part>,
    /// Latency by kind of question.
    pub by_kind: Vec<Part>,
    /// Quantile and latency, for plots.
    pub quantiles: Vec<(f64, f64)>,
    /// Second by second, from the beginning of the warm-up.
    pub series: Vec<SecondReport>,
    /// What the generator needed.
    pub generator: Effort,
    /// Where the generator, not the server, may have been the limit.
    pub generator_limits: Vec<String>,
    /// Where the server seems to have limited how often it answers.
    pub rate_limit: Option<String>,
    /// What the server needed, if its process was named.
    pub server: Option<ServerUse>,
}

/// Counts of a run.
#[derive(Debug, Clone, Serialize)]
pub struct Counts {
    /// Queries that went out.
    pub sent: u64,
    /// Answers in time.
    pub answered: u64,
    /// Queries without an answer in time.
    pub timed_out: u64,
    /// Queries whose connection broke.
    pub cut_off: u64,
    /// Queries that were due and never left.
    pub unsent: u64,
    /// Answers after the timeout.
    pub late: u64,
    /// Second answers.
    pub duplicates: u64,
    /// Answers that nobody waited for.
    pub unknown: u64,
    /// Answers with another question.
    pub mismatched: u64,
    /// Answers with TC.
    pub truncated: u64,
    /// Messages that are no DNS response.
    pub malformed: u64,
    /// Answers against what their question promises.
    pub unpromised: u64,
    /// Errors of sockets.
    pub socket_errors: u64,
    /// Connections opened again.
    pub reconnects: u64,
}

/// A distribution of times, microseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Latency {
    /// How many.
    pub count: u64,
    /// Shortest.
    pub min: f64,
    /// Mean.
    pub mean: f64,
    /// Standard deviation.
    pub deviation: f64,
    /// Median.
    pub p50: f64,
    /// Three quarters are below.
    pub p75: f64,
    /// 90 % are below.
    pub p90: f64,
    /// 95 % are below.
    pub p95: f64,
    /// 99 % are below.
    pub p99: f64,
    /// 99.9 % are below.
    #[serde(rename = "p99.9")]
    pub p99_9: f64,
    /// 99.99 % are below.
    #[serde(rename = "p99.99")]
    pub p99_99: f64,
    /// Longest.
    pub max: f64,
}

/// Latency of a part of the answers.
#[derive(Debug, Clone, Serialize)]
pub struct Part {
    /// Which part.
    pub name: String,
    /// Its share of all answers, 0 to 1.
    pub share: f64,
    /// Its latency.
    pub latency: Latency,
}

/// A second of a run.
#[derive(Debug, Clone, Serialize)]
pub struct SecondReport {
    /// Which one; the warm-up counts.
    pub second: u32,
    /// Whether it belongs to the warm-up.
    pub warmup: bool,
    /// Queries that went out.
    pub sent: u64,
    /// Answers in time.
    pub answered: u64,
    /// Queries given up.
    pub timed_out: u64,
    /// Answers after the timeout.
    pub late: u64,
    /// Answers by RCODE, those that came.
    pub rcodes: Vec<(String, u64)>,
    /// Median latency.
    pub p50: f64,
    /// 99 % are below.
    pub p99: f64,
    /// 99.9 % are below.
    #[serde(rename = "p99.9")]
    pub p99_9: f64,
    /// Longest.
    pub max: f64,
    /// Most that a query left behind its schedule.
    pub worst_lag: f64,
    /// CPU time over elapsed time of the server.
    pub server_cpu: Option<f64>,
    /// Resident memory of the server, octets.
    pub server_memory: Option<u64>,
}

impl Report {
    /// A report without runs yet.
    pub fn new(questions: &Questions, pids: &[u32]) -> Self {
        let kinds = questions.census().into_iter().map(|(kind, count)| (kind.text().to_string(), count)).collect();
        let notes = questions.notes.clone();
        Self {
            version: VERSION,
            environment: Environment::capture(pids),
            questions: Asked { source: questions.source.clone(), count: questions.len(), kinds, notes },
            runs: Vec::new(),
            search: None,
            comparison: None,
            failures: Vec::new(),
        }
    }

    /// The report as JSON.
    pub fn to_json(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(self)
    }
}

impl Run {
    /// What a run found, ready to be written.
    pub fn new(label: impl Into<String>, outcome: &Outcome) -> Self {
        let tally = &outcome.tally;
        let part = |name: String, latency: &Histogram<u64>| Part {
            name,
            share: latency.len() as f64 / tally.answered.max(1) as f64,
            latency: Latency::of(latency),
        };
        Self {
            label: label.into(),
            plan: outcome.plan.clone(),
            elapsed: outcome.elapsed.as_secs_f64(),
            rate: outcome.rate(),
            loss: outcome.loss(),
            counts: Counts::of(tally),
            latency: Latency::of(&outcome.latency),
            service: Latency::of(&tally.service),
            lag: Latency::of(&tally.lag),
            late: Latency::of(&tally.late_latency),
            by_rcode: tally.by_rcode().iter().map(|(rcode, latency)| part(rcode_to_text(*rcode), latency)).collect(),
            by_kind: tally.by_kind().iter().map(|(kind, latency)| part(kind.text().to_string(), latency)).collect(),
            quantiles: quantiles(&outcome.latency),
            series: outcome.series.iter().map(|moment| SecondReport::of(moment, outcome)).collect(),
            generator: outcome.effort,
            generator_limits: outcome.generator_limits(),
            rate_limit: outcome.rate_limit(),
            server: outcome.server.clone(),
        }
    }
}

impl Counts {
    fn of(tally: &Tally) -> Self {
        Self {
            sent: tally.sent,
            answered: tally.answered,
            timed_out: tally.timed_out,
            cut_off: tally.cut_off,
            unsent: tally.unsent,
            late: tally.late,
            duplicates: tally.duplicates,
            unknown: tally.unknown,
            mismatched: tally.mismatched,
            truncated: tally.truncated,
            malformed: tally.malformed,
            unpromised: tally.unpromised,
            socket_errors: tally.socket_errors,
            reconnects: tally.reconnects,
        }
    }
}

impl Latency {
    /// The distribution of a histogram of nanoseconds.
    pub fn of(histogram: &Histogram<u64>) -> Self {
        if histogram.is_empty() {
            return Self::default();
        }
        let at = |quantile: f64| histogram.value_at_quantile(quantile) as f64 / 1e3;
        Self {
            count: histogram.len(),
            min: histogram.min() as f64 / 1e3,
            mean: histogram.mean() / 1e3,
            deviation: histogram.stdev() / 1e3,
            p50: at(0.5),
            p75: at(0.75),
            p90: at(0.9),
            p95: at(0.95),
            p99: at(0.99),
            p99_9: at(0.999),
            p99_99: at(0.9999),
            max: histogram.max() as f64 / 1e3,
        }
    }
}

impl SecondReport {
    fn of(moment: &Moment, outcome: &Outcome) -> Self {
        let second = &moment.second;
        let at = |quantile: f64| if second.latency.is_empty() { 0.0 } else { second.latency.value_at_quantile(quantile) as f64 / 1e3 };
        let rcodes = second.rcodes.iter().enumerate().filter(|(_, count)| **count > 0);
        Self {
            second: second.index,
            warmup: f64::from(second.index) + 1.0 <= outcome.plan.warmup.as_secs_f64(),
            sent: second.sent,
            answered: second.answered,
            timed_out: second.timed_out,
            late: second.late,
            rcodes: rcodes.map(|(rcode, count)| (rcode_to_text(rcode as u8), *count)).collect(),
            p50: at(0.5),
            p99: at(0.99),
            p99_9: at(0.999),
            max: second.latency.max() as f64 / 1e3,
            worst_lag: second.worst_lag as f64 / 1e3,
            server_cpu: moment.server_cpu,
            server_memory: moment.server_memory,
        }
    }
}

/// Quantiles that lie evenly on a logarithmic axis of `1 / (1 - quantile)`, up to one answer.
fn quantiles(histogram: &Histogram<u64>) -> Vec<(f64, f64)> {
    if histogram.is_empty() {
        return Vec::new();
    }
    let decades = (histogram.len() as f64).log10().clamp(1.0, 7.0);
    let steps = (decades * 16.0) as usize;
    (0..=steps)
        .map(|step| 1.0 - 10f64.powf(-decades * step as f64 / steps as f64))
        .map(|quantile| (quantile, histogram.value_at_quantile(quantile) as f64 / 1e3))
        .collect()
}

#[cfg(test)]
pub(crate) mod tests;
