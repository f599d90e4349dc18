//! Objectives and failure conditions: `p99<1ms,loss<0.01%`.

use std::fmt;
use std::str::FromStr;

use crate::load::LoadOutcome;
use crate::message::rcode_to_text;

/// A quantity of a run that conditions can refer to.
#[derive(Debug, Clone, PartialEq)]
pub enum RunMetric {
    /// A quantile of latency, in nanoseconds.
    Quantile(f64),
    /// The largest latency, in nanoseconds.
    Max,
    /// The mean latency, in nanoseconds.
    Mean,
    /// The share of queries without an answer in time, from 0 to 1.
    Loss,
    /// Answers per second.
    Rate,
    /// The share of answers with this RCODE, from 0 to 1.
    Rcode(u8),
    /// The share of answers that contradict the expectation for their question, from 0 to 1.
    Unpromised,
    /// CPU time of the server per answer, in nanoseconds.
    Cpu,
    /// Resident memory of the server, in octets.
    Memory,
    /// The 99th percentile of the delay behind the schedule, in nanoseconds.
    Lag,
}

/// A comparison operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ComparisonOperator {
    /// `<`: less than.
    Less,
    /// `<=`: at most.
    AtMost,
    /// `>`: greater than.
    More,
    /// `>=`: at least.
    AtLeast,
}

/// One comparison, such as `p99<1ms`.
#[derive(Debug, Clone, PartialEq)]
pub struct RunCondition {
    /// Quantity on the left side.
    pub metric: RunMetric,
    /// Operator of the comparison.
    pub comparison: ComparisonOperator,
    /// Right side, in the unit of the metric.
    pub limit: f64,
    text: String,
}

/// Several conditions, separated by commas.
#[derive(Debug, Clone, PartialEq)]
pub struct RunConditions(pub Vec<RunCondition>);

/// Reason why a text is not a condition.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}`: {problem}\nhelp: {HELP}")]
pub struct BadCondition {
    text: String,
    problem: String,
}

const HELP: &str = "write conditions such as `p99<1ms,loss<0.01%`; quantities: p50 p90 p99 p99.9 p99.99 max mean (with ns us ms s), \
loss noerror servfail nxdomain refused unpromised (with %), rate (with k M), cpu (a query, with ns us ms), memory (with KiB MiB GiB), lag (with ns us ms s)";

impl RunCondition {
    /// Returns whether the run meets the condition. Returns `None` if the run did not measure the
    /// quantity (no process, no answers).
    pub fn holds(&self, outcome: &LoadOutcome) -> Option<bool> {
        let found = self.metric.of(outcome)?;
        Some(match self.comparison {
            ComparisonOperator::Less => found < self.limit,
            ComparisonOperator::AtMost => found <= self.limit,
            ComparisonOperator::More => found > self.limit,
            ComparisonOperator::AtLeast => found >= self.limit,
        })
    }

    /// Formats the condition with the measured value, such as `p99<1ms (2.31 ms)`.
    pub fn explain(&self, outcome: &LoadOutcome) -> String {
        match self.metric.of(outcome) {
            Some(found) => format!("{} ({})", self.text, self.metric.show(found)),
            None => format!("{} (not measured)", self.text),
        }
    }
}

impl RunConditions {
    /// Returns the conditions that do not hold or were not measured.
    pub fn missed<'a>(&'a self, outcome: &LoadOutcome) -> Vec<&'a RunCondition> {
        self.0.iter().filter(|condition| condition.holds(outcome) != Some(true)).collect()
    }

    /// Returns the conditions that hold.
    pub fn held<'a>(&'a self, outcome: &LoadOutcome) -> Vec<&'a RunCondition> {
        self.0.iter().filter(|condition| condition.holds(outcome) == Some(true)).collect()
    }
}

impl RunMetric {
    /// Returns the value of the quantity in a run.
    pub fn of(&self, outcome: &LoadOutcome) -> Option<f64> {
        let answered = outcome.tally.answered;
        let some = |value: f64| (answered > 0).then_some(value);
        match self {
            RunMetric::Quantile(quantile) => some(outcome.latency.value_at_quantile(*quantile) as f64),
            RunMetric::Max => some(outcome.latency.max() as f64),
            RunMetric::Mean => some(outcome.latency.mean()),
            RunMetric::Loss => (outcome.asked() > 0).then(|| outcome.loss()),
            RunMetric::Rate => Some(outcome.rate()),
            RunMetric::Rcode(rcode) => {
                let found = outcome.tally.by_rcode().into_iter().find(|(found, _)| found == rcode);
                some(found.map_or(0.0, |(_, latency)| latency.len() as f64) / answered as f64)
            }
            RunMetric::Unpromised => some(outcome.tally.unpromised as f64 / answered as f64),
            RunMetric::Cpu => outcome.server.as_ref().map(|server| server.cpu_per_query * 1000.0),
            RunMetric::Memory => outcome.server.as_ref().map(|server| server.resident as f64),
            RunMetric::Lag => Some(outcome.tally.lag.value_at_quantile(0.99) as f64),
        }
    }

    /// Formats a value of the quantity as in reports.
    pub fn show(&self, value: f64) -> String {
        match self {
            RunMetric::Quantile(_) | RunMetric::Max | RunMetric::Mean | RunMetric::Cpu | RunMetric::Lag => show_nanoseconds(value),
            RunMetric::Loss | RunMetric::Rcode(_) | RunMetric::Unpromised => format!("{} %", trim(value * 100.0, 4)),
            RunMetric::Rate => format!("{value:.0} a second"),
            RunMetric::Memory => format!("{:.1} MiB", value / 1_048_576.0),
        }
    }
}

impl fmt::Display for RunMetric {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RunMetric::Quantile(quantile) => write!(out, "p{}", trim(quantile * 100.0, 6)),
            RunMetric::Max => out.write_str("max"),
            RunMetric::Mean => out.write_str("mean"),
            RunMetric::Loss => out.write_str("loss"),
            RunMetric::Rate => out.write_str("rate"),
            RunMetric::Rcode(rcode) => out.write_str(&rcode_to_text(*rcode).to_ascii_lowercase()),
            RunMetric::Unpromised => out.write_str("unpromised"),
            RunMetric::Cpu => out.write_str("cpu"),
            RunMetric::Memory => out.write_str("memory"),
            RunMetric::Lag => out.write_str("lag"),
        }
    }
}

impl fmt::Display for RunCondition {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.text)
    }
}

impl FromStr for RunMetric {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.to_ascii_lowercase();
        if let Some(percent) = text.strip_prefix('p').and_then(|digits| digits.parse::<f64>().ok()) {
            return if (0.0..=100.0).contains(&percent) {
                Ok(RunMetric::Quantile((percent * 1e6).round() / 1e8))
            } else {
                Err("a quantile is from p0 to p100".into())
            };
        }
        Ok(match text.as_str() {
            "max" => RunMetric::Max,
            "mean" | "avg" => RunMetric::Mean,
            "loss" => RunMetric::Loss,
            "rate" | "qps" => RunMetric::Rate,
            "unpromised" => RunMetric::Unpromised,
            "cpu" => RunMetric::Cpu,
            "memory" | "mem" => RunMetric::Memory,
            "lag" => RunMetric::Lag,
            _ => match (0..16).find(|rcode| rcode_to_text(*rcode).eq_ignore_ascii_case(&text)) {
                Some(rcode) => RunMetric::Rcode(rcode),
                None => return Err(format!("`{text}` is not a quantity")),
            },
        })
    }
}

impl FromStr for RunCondition {
    type Err = BadCondition;

    fn from_str(text: &str) -> Result<Self, BadCondition> {
        let text = text.trim();
        let bad = |problem: String| BadCondition { text: text.to_string(), problem };
        let at = text.find(['<', '>']).ok_or_else(|| bad("there is no `<` or `>`".into()))?;
        let metric: RunMetric = text[..at].trim().parse().map_err(bad)?;
        let (comparison, rest) = match (&text[at..at + 1], text[at + 1..].strip_prefix('=')) {
            ("<", Some(rest)) => (ComparisonOperator::AtMost, rest),
            ("<", None) => (ComparisonOperator::Less, &text[at + 1..]),
            (_, Some(rest)) => (ComparisonOperator::AtLeast, rest),
            (_, None) => (ComparisonOperator::More, &text[at + 1..]),
        };
        let limit = read_limit(&metric, rest.trim()).map_err(bad)?;
        Ok(Self { metric, comparison, limit, text: text.to_string() })
    }
}

impl FromStr for RunConditions {
    type Err = BadCondition;

    fn from_str(text: &str) -> Result<Self, BadCondition> {
        text.split(',').map(str::parse).collect::<Result<_, _>>().map(Self)
    }
}

/// Parses the right side of a condition. The unit is required if there are several, because `p99<2`
/// would be ambiguous.
fn read_limit(metric: &RunMetric, text: &str) -> Result<f64, String> {
    let digits = text.find(|letter: char| !(letter.is_ascii_digit() || letter == '.')).unwrap_or(text.len());
    let number: f64 = text[..digits].parse().map_err(|_| format!("`{text}` is not a number with a unit"))?;
    let units: &[(&str, f64)] = match metric {
        RunMetric::Quantile(_) | RunMetric::Max | RunMetric::Mean | RunMetric::Cpu | RunMetric::Lag => {
            &[("ns", 1.0), ("us", 1e3), ("µs", 1e3), ("ms", 1e6), ("s", 1e9)]
        }
        RunMetric::Loss | RunMetric::Rcode(_) | RunMetric::Unpromised => &[("%", 0.01)],
        RunMetric::Rate => &[("", 1.0), ("k", 1e3), ("M", 1e6)],
        RunMetric::Memory => &[("KiB", 1024.0), ("MiB", 1_048_576.0), ("GiB", 1_073_741_824.0)],
    };
    let unit = text[digits..].trim();
    let found = units.iter().find(|(name, _)| *name == unit);
    found.map(|(_, factor)| number * factor).ok_or_else(|| {
        let names: Vec<&str> = units.iter().map(|(name, _)| *name).filter(|name| !name.is_empty()).collect();
        format!("`{unit}` is not a unit of {metric}; those are {}", names.join(", "))
    })
}

/// Formats nanoseconds in the most readable unit.
pub fn show_nanoseconds(value: f64) -> String {
    match value {
        value if value < 1e3 => format!("{value:.0} ns"),
        value if value < 1e6 => format!("{} µs", three_digits(value / 1e3)),
        value if value < 1e9 => format!("{} ms", three_digits(value / 1e6)),
        value => format!("{} s", three_digits(value / 1e9)),
    }
}

fn three_digits(value: f64) -> String {
    match value {
        value if value < 10.0 => format!("{value:.2}"),
        value if value < 100.0 => format!("{value:.1}"),
        value => format!("{value:.0}"),
    }
}

fn trim(value: f64, digits: usize) -> String {
    let text = format!("{value:.digits$}");
    text.trim_end_matches('0').trim_end_matches('.').to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_read_with_their_units() {
        for (text, metric, comparison, limit) in [
            ("p99<1ms", RunMetric::Quantile(0.99), ComparisonOperator::Less, 1e6),
            ("p99.9 <= 250us", RunMetric::Quantile(0.999), ComparisonOperator::AtMost, 250e3),
            ("max>2s", RunMetric::Max, ComparisonOperator::More, 2e9),
            ("loss<0.01%", RunMetric::Loss, ComparisonOperator::Less, 0.0001),
            ("rate>=100k", RunMetric::Rate, ComparisonOperator::AtLeast, 100e3),
            ("servfail>0%", RunMetric::Rcode(2), ComparisonOperator::More, 0.0),
            ("memory<150MiB", RunMetric::Memory, ComparisonOperator::Less, 157_286_400.0),
            ("cpu<4us", RunMetric::Cpu, ComparisonOperator::Less, 4000.0),
        ] {
            let condition: RunCondition = text.parse().unwrap();
            assert_eq!((condition.metric, condition.comparison), (metric, comparison), "{text}");
            assert!((condition.limit - limit).abs() < 1e-6 * limit.max(1.0), "{text}: {}", condition.limit);
        }
        assert_eq!("p99<1ms, loss<1%".parse::<RunConditions>().unwrap().0.len(), 2);
    }

    #[test]
    fn a_condition_without_sense_says_what_is_wrong() {
        for (text, problem) in [
            ("p99", "there is no `<` or `>`"),
            ("p99<2", "`` is not a unit of p99"),
            ("p999<2ms", "a quantile is from p0 to p100"),
            ("loss<1ms", "`ms` is not a unit of loss"),
            ("speed>1", "`speed` is not a quantity"),
            ("rate>fast", "`fast` is not a number"),
        ] {
            let error = text.parse::<RunConditions>().unwrap_err().to_string();
            assert!(error.contains(problem), "{text}: {error}");
        }
    }

    #[test]
    fn times_are_shown_in_the_unit_that_reads_best() {
        for (value, text) in [(850.0, "850 ns"), (12_345.0, "12.3 µs"), (2_310_000.0, "2.31 ms"), (1.5e9, "1.50 s")] {
            assert_eq!(show_nanoseconds(value), text);
        }
    }
}
