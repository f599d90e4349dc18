//! Prometheus's text format, written by hand: our counters are sums made at the moment of a scrape, for which a registry of counters has
//! no use.

use std::fmt::Write;

use postern_zones::histogram::{BOUNDS, Distribution};

/// A metric: what it is called, what it means, and the names of its labels.
#[derive(Debug)]
pub struct Metric<const LABELS: usize> {
    /// Its name.
    pub name: &'static str,
    /// Its kind.
    pub kind: MetricKind,
    /// Names of its labels.
    pub labels: [&'static str; LABELS],
    /// Help text of the metric.
    pub help: &'static str,
}

/// Kinds of metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricKind {
    /// Only ever rises.
    Counter,
    /// Rises and falls.
    Gauge,
    /// Counts by upper bounds.
    Histogram,
}

/// A page as it is scraped.
#[derive(Debug, Default)]
pub struct MetricsPage {
    text: String,
    family: &'static str,
}

/// Content type of the page.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

impl MetricsPage {
    /// Adds a sample. Samples of one metric must follow each other.
    pub fn add<const LABELS: usize>(&mut self, metric: &'static Metric<LABELS>, values: [&str; LABELS], value: impl Into<Number>) {
        self.begin(metric);
        self.sample(metric.name, "", metric.labels.iter().copied().zip(values), value.into());
    }

    /// Adds a histogram.
    pub fn histogram<const LABELS: usize>(&mut self, metric: &'static Metric<LABELS>, values: [&str; LABELS], read: &Distribution) {
        self.begin(metric);
        let labels = || metric.labels.iter().copied().zip(values);
        let mut sum = 0;
        for (place, count) in read.counts.iter().enumerate() {
            sum += count;
            let bound = BOUNDS.get(place).map_or_else(|| "+Inf".into(), |bound| bound.to_string());
            self.sample(metric.name, "_bucket", labels().chain([("le", bound.as_str())]), Number::Whole(sum));
        }
        self.sample(metric.name, "_sum", labels(), Number::Real(read.sum));
        self.sample(metric.name, "_count", labels(), Number::Whole(sum));
    }

    /// The page.
    pub fn into_text(self) -> String {
        self.text
    }

    fn begin<const LABELS: usize>(&mut self, metric: &'static Metric<LABELS>) {
        if self.family != metric.name {
            self.family = metric.name;
            // A String takes everything, here and below.
            let _ = writeln!(self.text, "# HELP {} {}\n# TYPE {} {}", metric.name, metric.help, metric.name, metric.kind.word());
        }
    }

    fn sample<'l>(&mut self, name: &str, suffix: &str, labels: impl Iterator<Item = (&'l str, &'l str)>, value: Number) {
        let _ = write!(self.text, "{name}{suffix}");
        let mut open = '{';
        for (label, value) in labels {
            let _ = write!(self.text, "{open}{label}=\"");
            for character in value.chars() {
                match character {
                    '\\' => self.text.push_str("\\\\"),
                    '"' => self.text.push_str("\\\""),
                    '\n' => self.text.push_str("\\n"),
                    other => self.text.push(other),
                }
            }
            self.text.push('"');
            open = ',';
        }
        if open == ',' {
            self.text.push('}');
        }
        let _ = match value {
            Number::Whole(value) => writeln!(self.text, " {value}"),
            Number::Real(value) => writeln!(self.text, " {value}"),
        };
    }
}

/// A sample's value.
#[derive(Debug, Clone, Copy)]
pub enum Number {
    /// A count, exact.
    Whole(u64),
    /// Seconds and the like.
    Real(f64),
}

impl From<u64> for Number {
    fn from(value: u64) -> Self {
        Self::Whole(value)
    }
}

impl From<u32> for Number {
    fn from(value: u32) -> Self {
        Self::Whole(value.into())
    }
}

impl From<usize> for Number {
    fn from(value: usize) -> Self {
        Self::Whole(value as u64)
    }
}

impl From<bool> for Number {
    fn from(value: bool) -> Self {
        Self::Whole(value.into())
    }
}

impl From<f64> for Number {
    fn from(value: f64) -> Self {
        Self::Real(value)
    }
}

impl MetricKind {
    /// As the format has it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use postern_zones::histogram::Histogram;

    use super::*;

    static LABELLED: Metric<2> = Metric { name: "a_total", kind: MetricKind::Counter, labels: ["x", "y"], help: "Of a." };
    static PLAIN: Metric<0> = Metric { name: "b_seconds", kind: MetricKind::Gauge, labels: [], help: "Of b." };
    static TIMES: Metric<1> = Metric { name: "c_seconds", kind: MetricKind::Histogram, labels: ["x"], help: "Of c." };

    #[test]
    fn a_family_is_announced_once_and_label_values_are_escaped() {
        let mut page = MetricsPage::default();
        page.add(&LABELLED, ["1", "a\"b\\c\nd"], 7u64);
        page.add(&LABELLED, ["2", ""], true);
        page.add(&PLAIN, [], 0.25);
        let want = "# HELP a_total Of a.\n# TYPE a_total counter\na_total{x=\"1\",y=\"a\\\"b\\\\c\\nd\"} 7\na_total{x=\"2\",y=\"\"} 1\n\
                    # HELP b_seconds Of b.\n# TYPE b_seconds gauge\nb_seconds 0.25\n";
        assert_eq!(page.into_text(), want);
    }

    #[test]
    fn buckets_are_cumulative_and_end_with_all() {
        let histogram = Histogram::default();
        histogram.add(Duration::from_micros(15), 2);
        histogram.add(Duration::from_secs(60), 1);
        let mut page = MetricsPage::default();
        page.histogram(&TIMES, ["udp"], &histogram.read());
        let text = page.into_text();
        for line in [
            "c_seconds_bucket{x=\"udp\",le=\"0.00001\"} 0",
            "c_seconds_bucket{x=\"udp\",le=\"0.00002\"} 2",
            "c_seconds_bucket{x=\"udp\",le=\"10\"} 2",
            "c_seconds_bucket{x=\"udp\",le=\"+Inf\"} 3",
            "c_seconds_sum{x=\"udp\"} 60.00003",
            "c_seconds_count{x=\"udp\"} 3",
        ] {
            assert!(text.lines().any(|other| other == line), "{line} in\n{text}");
        }
    }
}
