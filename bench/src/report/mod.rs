//! Reports: one model for JSON, text and HTML.

mod html;
mod plot;
mod text;

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::compare::ServerComparison;
use crate::environment::MachineInfo;
use crate::load::{GeneratorEffort, LoadOutcome, LoadPlan, LoadTally, RunSecond, ServerUse};
use crate::message::rcode_to_text;
use crate::questions::QuestionBank;
use crate::search::SearchResult;
pub use html::to_html;
pub use text::{progress_line, to_text};

/// Version of the JSON report. It changes when a field changes its meaning or is removed, but not
/// when a field is added.
pub const VERSION: u32 = 1;

/// All results of one command. Times are in microseconds unless the name of a field states
/// otherwise.
#[derive(Debug, Clone, Serialize)]
pub struct BenchReport {
    /// Format version, see [`VERSION`].
    pub version: u32,
    /// Environment of the run.
    pub environment: MachineInfo,
    /// Questions of the run.
    pub questions: RunQuestions,
    /// All runs in order.
    pub runs: Vec<RunReport>,
    /// The search for the highest rate. `None` if there was none.
    pub search: Option<SearchResult>,
    /// The comparison of two servers. `None` if there was none.
    pub comparison: Option<ServerComparison>,
    /// Failure conditions that hold, each with the measured value.
    pub failures: Vec<String>,
}

/// Questions of a run.
#[derive(Debug, Clone, Serialize)]
pub struct RunQuestions {
    /// Source of the questions.
    pub source: String,
    /// Number of different questions. A fresh question counts once.
    pub count: usize,
    /// Number of questions of each kind.
    pub kinds: Vec<(String, usize)>,
    /// Skipped input with reasons.
    pub notes: Vec<String>,
}

/// One run with its results.
#[derive(Debug, Clone, Serialize)]
pub struct RunReport {
    /// Title of the run in the report.
    pub label: String,
    /// Parameters of the run.
    pub plan: LoadPlan,
    /// Duration of the measurement in seconds.
    pub elapsed: f64,
    /// Answers per second.
    pub rate: f64,
    /// Share of the queries without an answer in time, from 0 to 1.
    pub loss: f64,
    /// Counts of queries and responses.
    pub counts: RunCounts,
    /// Latency from the schedule (open loop) or from sending (closed loop).
    pub latency: LatencyReport,
    /// Latency from sending.
    pub service: LatencyReport,
    /// Delay of sending behind the schedule.
    pub lag: LatencyReport,
    /// Latency of answers after the timeout, from the schedule. Not included in `latency`.
    pub late: LatencyReport,
    /// Latency by RCODE.
    pub by_rcode: Vec<LatencyPart>,
    /// Latency by kind of question.
    pub by_kind: Vec<LatencyPart>,
    /// Pairs of quantile and latency, for plots.
    pub quantiles: Vec<(f64, f64)>,
    /// Seconds from the beginning of the warm-up.
    pub series: Vec<SecondReport>,
    /// Resources that the generator used.
    pub generator: GeneratorEffort,
    /// Warnings that the generator, not the server, may have been the limit.
    pub generator_limits: Vec<String>,
    /// Warnings that the server may limit its response rate.
    pub rate_limit: Option<String>,
    /// Resources that the server used. `None` if its process was not named.
    pub server: Option<ServerUse>,
}

/// Counts of a run.
#[derive(Debug, Clone, Serialize)]
pub struct RunCounts {
    /// Queries that were sent.
    pub sent: u64,
    /// Answers in time.
    pub answered: u64,
    /// Queries without an answer in time.
    pub timed_out: u64,
    /// Queries whose connection broke.
    pub cut_off: u64,
    /// Queries that were due but not sent.
    pub unsent: u64,
    /// Answers after the timeout.
    pub late: u64,
    /// Second answers to the same query.
    pub duplicates: u64,
    /// Answers that belong to no query.
    pub unknown: u64,
    /// Answers with another question.
    pub mismatched: u64,
    /// Answers with TC.
    pub truncated: u64,
    /// Messages that are not DNS responses.
    pub malformed: u64,
    /// Answers that contradict the expectation for their question.
    pub unpromised: u64,
    /// Errors of sockets.
    pub socket_errors: u64,
    /// Connections that were reopened.
    pub reconnects: u64,
}

/// A distribution of times in microseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct LatencyReport {
    /// Number of values.
    pub count: u64,
    /// Smallest of all values.
    pub min: f64,
    /// Mean of all values.
    pub mean: f64,
    /// Standard deviation of all values.
    pub deviation: f64,
    /// Median of all values.
    pub p50: f64,
    /// 75th percentile of all values.
    pub p75: f64,
    /// 90th percentile of all values.
    pub p90: f64,
    /// 95th percentile of all values.
    pub p95: f64,
    /// 99th percentile of all values.
    pub p99: f64,
    /// 99.9th percentile of all values.
    #[serde(rename = "p99.9")]
    pub p99_9: f64,
    /// 99.99th percentile of all values.
    #[serde(rename = "p99.99")]
    pub p99_99: f64,
    /// Largest of all values.
    pub max: f64,
}

/// Latency of a part of the answers.
#[derive(Debug, Clone, Serialize)]
pub struct LatencyPart {
    /// Name of the part: an RCODE or a kind of question.
    pub name: String,
    /// Share of all answers, from 0 to 1.
    pub share: f64,
    /// Latency of these answers.
    pub latency: LatencyReport,
}

/// One second of a run.
#[derive(Debug, Clone, Serialize)]
pub struct SecondReport {
    /// Index of the second, including the warm-up.
    pub second: u32,
    /// True if the second belongs to the warm-up.
    pub warmup: bool,
    /// Queries that were sent.
    pub sent: u64,
    /// Answers in time.
    pub answered: u64,
    /// Queries that timed out.
    pub timed_out: u64,
    /// Answers after the timeout.
    pub late: u64,
    /// Answers by RCODE, for those that occurred.
    pub rcodes: Vec<(String, u64)>,
    /// Median of the latency.
    pub p50: f64,
    /// 99th percentile of the latency.
    pub p99: f64,
    /// 99.9th percentile of the latency.
    #[serde(rename = "p99.9")]
    pub p99_9: f64,
    /// Largest latency of the second.
    pub max: f64,
    /// Longest delay of a query behind its schedule.
    pub worst_lag: f64,
    /// CPU time of the server divided by elapsed time.
    pub server_cpu: Option<f64>,
    /// Resident memory of the server in octets.
    pub server_memory: Option<u64>,
}

impl BenchReport {
    /// Creates a report without runs.
    pub fn new(questions: &QuestionBank, pids: &[u32]) -> Self {
        let kinds = questions.census().into_iter().map(|(kind, count)| (kind.text().to_string(), count)).collect();
        let notes = questions.notes.clone();
        Self {
            version: VERSION,
            environment: MachineInfo::capture(pids),
            questions: RunQuestions { source: questions.source.clone(), count: questions.len(), kinds, notes },
            runs: Vec::new(),
            search: None,
            comparison: None,
            failures: Vec::new(),
        }
    }

    /// Returns the report as JSON.
    pub fn to_json(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(self)
    }
}

impl RunReport {
    /// Converts the outcome of a run for the report.
    pub fn new(label: impl Into<String>, outcome: &LoadOutcome) -> Self {
        let tally = &outcome.tally;
        let part = |name: String, latency: &Histogram<u64>| LatencyPart {
            name,
            share: latency.len() as f64 / tally.answered.max(1) as f64,
            latency: LatencyReport::of(latency),
        };
        Self {
            label: label.into(),
            plan: outcome.plan.clone(),
            elapsed: outcome.elapsed.as_secs_f64(),
            rate: outcome.rate(),
            loss: outcome.loss(),
            counts: RunCounts::of(tally),
            latency: LatencyReport::of(&outcome.latency),
            service: LatencyReport::of(&tally.service),
            lag: LatencyReport::of(&tally.lag),
            late: LatencyReport::of(&tally.late_latency),
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

impl RunCounts {
    fn of(tally: &LoadTally) -> Self {
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

impl LatencyReport {
    /// Converts a histogram of nanoseconds to a distribution.
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
    fn of(moment: &RunSecond, outcome: &LoadOutcome) -> Self {
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

/// Returns quantiles at equal distances on a logarithmic axis of `1 / (1 - quantile)`, up to a
/// single answer.
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
