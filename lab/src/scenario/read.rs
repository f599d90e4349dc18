//! Conversion of TOML into a scenario. Each problem has its line and column.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::time::Duration;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;
use serde::Deserialize;
use toml::{Spanned, Value};

use super::{Data, LabScenario};
use crate::fault::{AnswerDelay, AnswerForgery, EdnsFault, FaultScope, FaultWindow, LabFault, QuestionTransport, TcpFault};
use crate::record_text::{absolute, fields, rdata, read_record, record_type};

/// All problems of a scenario.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ScenarioError {
    /// Problems in the order of the file.
    pub problems: Vec<ScenarioProblem>,
}

/// One problem of a scenario.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScenarioProblem {
    /// Path of the file, as given by the caller.
    pub file: String,
    /// Line, 1-based. 0 means the file as a whole.
    pub line: usize,
    /// Column in characters, 1-based.
    pub column: usize,
    /// Description for the operator.
    pub message: String,
}

impl ScenarioProblem {
    pub(super) fn of_file(file: &str, message: String) -> ScenarioProblem {
        ScenarioProblem { file: file.to_owned(), line: 0, column: 0, message }
    }
}

impl fmt::Display for ScenarioProblem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(out, "{}: error: {}", self.file, self.message),
            line => write!(out, "{}:{line}:{}: error: {}", self.file, self.column, self.message),
        }
    }
}

impl fmt::Display for ScenarioError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, problem) in self.problems.iter().enumerate() {
            write!(out, "{}{problem}", if nth == 0 { "" } else { "\n" })?;
        }
        Ok(())
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawScenario {
    seed: Option<u64>,
    #[serde(default)]
    records: Vec<Spanned<String>>,
    /// Groups of records under a title that is only for the reader.
    #[serde(default)]
    group: BTreeMap<String, RawGroup>,
    #[serde(default)]
    fault: Vec<RawFault>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawGroup {
    #[serde(default)]
    records: Vec<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RawFault {
    name: Option<Spanned<String>>,
    suffix: Option<Spanned<String>>,
    #[serde(rename = "type")]
    kind: Option<Spanned<String>>,
    transport: Option<Spanned<String>>,
    chance: Option<Spanned<f64>>,
    times: Option<u64>,
    #[serde(default)]
    during: Vec<Spanned<String>>,
    every: Option<Spanned<String>>,
    delay: Option<Spanned<Value>>,
    loss: Option<Spanned<f64>>,
    #[serde(default)]
    silent: bool,
    duplicate: Option<Spanned<f64>>,
    #[serde(default)]
    truncate: bool,
    rcode: Option<Spanned<String>>,
    #[serde(default)]
    first_hop: bool,
    edns: Option<Spanned<String>>,
    #[serde(default)]
    inject: Vec<Spanned<String>>,
    #[serde(default)]
    forge: Vec<Spanned<String>>,
    #[serde(default)]
    honest_too: bool,
    tcp: Option<Spanned<String>>,
}

pub(super) fn scenario(text: &str, file: &str) -> Result<LabScenario, ScenarioError> {
    let at = |span: Range<usize>, message: String| {
        let (line, column) = position(text, span.start);
        ScenarioProblem { file: file.to_owned(), line, column, message }
    };
    let raw: RawScenario = toml::from_str(text).map_err(|error| {
        let message = error.message().replace("unknown field", "unknown key").lines().collect::<Vec<_>>().join(", ");
        ScenarioError { problems: vec![at(error.span().unwrap_or(0..0), message)] }
    })?;

    let mut scenario = LabScenario { seed: raw.seed.unwrap_or(0), ..LabScenario::default() };
    let mut wrong: Vec<(Range<usize>, String)> = Vec::new();
    for line in raw.records.iter().chain(raw.group.values().flat_map(|group| &group.records)) {
        if let Err(message) = add_record(&mut scenario, line.get_ref()) {
            wrong.push((line.span(), message));
        }
    }
    for fault in raw.fault {
        let fault = fault.check(&mut wrong);
        scenario.faults.push(fault);
    }
    if wrong.is_empty() {
        return Ok(scenario);
    }
    wrong.sort_by_key(|(span, _)| span.start);
    Err(ScenarioError { problems: wrong.into_iter().map(|(span, message)| at(span, message)).collect() })
}

/// Adds `owner [TTL] [IN] TYPE data`. The target of a CNAME at a wildcard may be `{}.suffix`, where
/// `{}` stands for the labels that the star matched.
pub(super) fn add_record(scenario: &mut LabScenario, line: &str) -> Result<(), String> {
    let (owner, ttl, kind, data) = fields(line)?;
    let data = match data.strip_prefix("{}.").filter(|_| kind == RecordType::CNAME) {
        Some(_) if !owner.is_wildcard() => return Err(format!("`{{}}` stands for what a `*` matched, and `{owner}` has none")),
        Some(suffix) => Data::Expand(absolute(suffix)?),
        None => Data::Fixed(rdata(kind, data)?),
    };
    let alone = |entry: &super::Entry| match &entry.data {
        Data::Fixed(data) => data.record_type() == RecordType::CNAME,
        Data::Expand(_) => true,
    };
    let (here, alias) = (scenario.nodes.get(&owner).map(|node| &node.records), kind == RecordType::CNAME);
    if here.is_some_and(|here| here.iter().any(|entry| alias || alone(entry))) {
        return Err(format!("`{owner}` has a CNAME and another record (RFC 1034 section 3.6.2)"));
    }
    scenario.add(owner, ttl, data);
    Ok(())
}

impl RawFault {
    fn check(self, wrong: &mut Vec<(Range<usize>, String)>) -> LabFault {
        let mut fault = LabFault {
            times: self.times,
            truncate: self.truncate,
            first_hop: self.first_hop,
            honest_too: self.honest_too,
            ..LabFault::default()
        };
        if let (Some(_), Some(suffix)) = (&self.name, &self.suffix) {
            wrong.push((suffix.span(), "a fault has a `name` or a `suffix`, not both".to_owned()));
        }
        if let Some(suffix) = take(self.suffix, wrong, |text| absolute(text)) {
            fault.scope = FaultScope::Suffix(suffix);
        }
        if let Some(name) = take(self.name, wrong, |text| absolute(text)) {
            fault.scope = FaultScope::Name(name);
        }
        fault.kind = take(self.kind, wrong, |text| record_type(text));
        fault.transport =
            take(self.transport, wrong, |text| one_of(text, &[("udp", QuestionTransport::Udp), ("tcp", QuestionTransport::Tcp)]));
        fault.chance = take(self.chance, wrong, |share| probability(*share));
        fault.loss = take(self.loss, wrong, |share| probability(*share)).unwrap_or(0.0);
        if self.silent {
            fault.loss = 1.0;
        }
        fault.duplicate = take(self.duplicate, wrong, |share| probability(*share)).unwrap_or(0.0);
        fault.every = take(self.every, wrong, |text| duration(text));
        fault.during = self.during.into_iter().filter_map(|text| take(Some(text), wrong, |text| window(text))).collect();
        fault.delay = take(self.delay, wrong, delay);
        fault.rcode = take(self.rcode, wrong, |text| one_of(text, RCODES));
        fault.edns = take(self.edns, wrong, |text| one_of(text, EDNS));
        fault.tcp = take(self.tcp, wrong, |text| one_of(text, TCP));
        fault.forge = self.forge.into_iter().filter_map(|text| take(Some(text), wrong, |text| one_of(text, FORGERIES))).collect();
        fault.inject = self.inject.into_iter().filter_map(|text| take(Some(text), wrong, |text| read_record(text))).collect();
        fault
    }
}

const RCODES: &[(&str, ResponseCode)] = &[
    ("SERVFAIL", ResponseCode::ServFail),
    ("REFUSED", ResponseCode::Refused),
    ("NXDOMAIN", ResponseCode::NXDomain),
    ("FORMERR", ResponseCode::FormErr),
    ("NOTIMP", ResponseCode::NotImp),
    ("NOERROR", ResponseCode::NoError),
];
const EDNS: &[(&str, EdnsFault)] =
    &[("formerr", EdnsFault::Formerr), ("badvers", EdnsFault::Badvers), ("ignore", EdnsFault::Ignore), ("drop", EdnsFault::Drop)];
const TCP: &[(&str, TcpFault)] =
    &[("reset", TcpFault::Reset), ("close", TcpFault::Close), ("half", TcpFault::Half), ("slow", TcpFault::Slow)];
const FORGERIES: &[(&str, AnswerForgery)] = &[
    ("id", AnswerForgery::Id),
    ("question", AnswerForgery::Question),
    ("case", AnswerForgery::Case),
    ("garbage", AnswerForgery::Garbage),
    ("cut", AnswerForgery::Cut),
    ("source", AnswerForgery::Source),
];

/// Returns the value of a key if it is present and valid. Otherwise the problem is added to `wrong`.
fn take<T, V>(value: Option<Spanned<T>>, wrong: &mut Vec<(Range<usize>, String)>, read: impl FnOnce(&T) -> Result<V, String>) -> Option<V> {
    let value = value?;
    read(value.get_ref()).map_err(|message| wrong.push((value.span(), message))).ok()
}

fn one_of<T: Copy>(text: &str, known: &[(&str, T)]) -> Result<T, String> {
    let found = known.iter().find(|(word, _)| word.eq_ignore_ascii_case(text)).map(|(_, value)| *value);
    found.ok_or_else(|| {
        let words: Vec<String> = known.iter().map(|(word, _)| format!("`{word}`")).collect();
        format!("`{text}` is none of {}", words.join(", "))
    })
}

fn probability(share: f64) -> Result<f64, String> {
    if (0.0..=1.0).contains(&share) { Ok(share) } else { Err(format!("{share} is not a probability between 0 and 1")) }
}

fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let unit = match text[digits..].trim() {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err(format!("`{text}` is not a time such as `500ms`, `5s` or `2m`")),
    };
    let number: f64 = text[..digits].parse().map_err(|_| format!("`{text}` is not a time such as `500ms`, `5s` or `2m`"))?;
    Duration::try_from_secs_f64(number * unit).map_err(|error| format!("`{text}`: {error}"))
}

fn window(text: &str) -> Result<FaultWindow, String> {
    let (from, until) = text.split_once("..").ok_or_else(|| format!("`{text}` is not a span of time such as `5s..8s`"))?;
    let from = duration(from.trim())?;
    let until = if until.trim().is_empty() { Duration::MAX } else { duration(until.trim())? };
    if from < until { Ok(FaultWindow { from, until }) } else { Err(format!("`{text}` ends before it begins")) }
}

fn delay(value: &Value) -> Result<AnswerDelay, String> {
    const FORMS: &str =
        "milliseconds, or a table with one of `uniform = [low, high]`, `normal = [mean, deviation]`, `pareto = [scale, shape]`";
    let bad = || format!("a delay is {FORMS}");
    let number = |value: &Value| match value {
        Value::Integer(number) if *number >= 0 => Ok(*number as f64),
        Value::Float(number) if *number >= 0.0 && number.is_finite() => Ok(*number),
        _ => Err(bad()),
    };
    let time = |milliseconds: f64| Duration::try_from_secs_f64(milliseconds / 1000.0).map_err(|error| error.to_string());
    let Value::Table(table) = value else { return Ok(AnswerDelay::Fixed(time(number(value)?)?)) };
    let mut pairs = table.iter();
    let (Some((form, Value::Array(pair))), None) = (pairs.next(), pairs.next()) else { return Err(bad()) };
    let [first, second] = pair.as_slice() else { return Err(bad()) };
    let (first, second) = (number(first)?, number(second)?);
    match form.as_str() {
        "uniform" if first <= second => Ok(AnswerDelay::Uniform(time(first)?, time(second)?)),
        "uniform" => Err("the low end of `uniform` is above the high end".to_owned()),
        "normal" => Ok(AnswerDelay::Normal(time(first)?, time(second)?)),
        "pareto" if second > 0.0 => Ok(AnswerDelay::Pareto(time(first)?, second)),
        _ => Err(bad()),
    }
}

/// Returns line and column of a byte offset, both 1-based, the column in characters.
fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before[start..].chars().count() + 1)
}
