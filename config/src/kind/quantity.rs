//! Numbers, durations and sizes, each with its bounds.

use std::fmt::Display;
use std::time::Duration;

use serde_json::{Value, json};
use toml::Spanned;
use toml::de::DeValue;

use super::{string, wrong_type};
use crate::key::{KeyUse, ValueKind};
use crate::problems::ConfigProblems;

/// An integer within bounds.
pub(crate) struct BoundedNumber<T> {
    pub(crate) least: T,
    pub(crate) most: T,
    /// Special meaning of 0. If empty, 0 must be within the bounds.
    pub(crate) zero: &'static str,
}

/// A duration with its unit, stored in milliseconds.
pub(crate) struct BoundedDuration {
    pub(crate) least: u64,
    pub(crate) most: u64,
    /// Special meaning of 0. Empty if it has none.
    pub(crate) zero: &'static str,
}

/// A TTL: a number of seconds, or a duration with its unit.
pub(crate) struct BoundedTtl {
    pub(crate) least: u32,
    pub(crate) most: u32,
}

/// A size of memory or disk, in bytes.
pub(crate) struct ByteSize {
    pub(crate) least: u64,
    pub(crate) most: u64,
    /// Special meaning of 0. Empty if it has none.
    pub(crate) zero: &'static str,
}

/// A share: an integer followed by `%`.
pub(crate) struct PercentShare {
    pub(crate) least: u8,
    pub(crate) most: u8,
}

const TIMES: [(&str, u64); 5] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
const SIZES: [(&str, u64); 5] = [("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40)];
const TIME_PATTERN: &str = "^(0|[0-9]+(ms|s|m|h|d))$";

/// Formats a duration in its largest whole unit.
pub(crate) fn write_millis(millis: u64) -> String {
    write_in(millis, &TIMES)
}

impl<T: Copy + Display + PartialOrd + TryFrom<i128> + Into<Value> + Sync> ValueKind for BoundedNumber<T> {
    type Out = T;

    fn read(&self, value: &Spanned<DeValue<'_>>, field: KeyUse<'_>, problems: &mut ConfigProblems<'_>) -> Option<T> {
        let Some(written) = integer(value) else {
            wrong_type(&self.shape(), value, field, problems);
            return None;
        };
        let inside = |number: &T| (*number >= self.least && *number <= self.most) || (written == Some(0) && !self.zero.is_empty());
        let number = written.and_then(|written| T::try_from(written).ok()).filter(inside);
        if number.is_none() {
            out_of_bounds(&self.shape(), &value_text(value), value, field, problems);
        }
        number
    }

    fn shape(&self) -> String {
        with_zero(format!("a whole number from {} to {}", self.least, self.most), self.zero)
    }

    fn schema(&self) -> Value {
        let bounds = json!({"type": "integer", "minimum": self.least.into(), "maximum": self.most.into()});
        if self.zero.is_empty() { bounds } else { json!({"anyOf": [bounds, {"const": 0}]}) }
    }
}

impl ValueKind for BoundedDuration {
    type Out = Duration;

    fn read(&self, value: &Spanned<DeValue<'_>>, field: KeyUse<'_>, problems: &mut ConfigProblems<'_>) -> Option<Duration> {
        let millis = read_unit(&self.shape(), "s", &TIMES, value, field, problems)?;
        if !inside(millis, self.least, self.most, self.zero) {
            out_of_bounds(&self.shape(), &value_text(value), value, field, problems);
            return None;
        }
        Some(Duration::from_millis(millis))
    }

    fn shape(&self) -> String {
        with_zero(format!("a time from {} to {}", write_millis(self.least), write_millis(self.most)), self.zero)
    }

    fn schema(&self) -> Value {
        json!({"anyOf": [{"type": "string", "pattern": TIME_PATTERN}, {"const": 0}]})
    }
}

impl ValueKind for BoundedTtl {
    type Out = u32;

    fn read(&self, value: &Spanned<DeValue<'_>>, field: KeyUse<'_>, problems: &mut ConfigProblems<'_>) -> Option<u32> {
        let seconds = match integer(value) {
            Some(written) => written.and_then(|written| u64::try_from(written).ok()),
            None => {
                let millis = read_unit(&self.shape(), "s", &TIMES, value, field, problems)?;
                millis.is_multiple_of(1_000).then_some(millis / 1_000)
            }
        };
        let seconds = seconds.and_then(|seconds| u32::try_from(seconds).ok()).filter(|seconds| (self.least..=self.most).contains(seconds));
        if seconds.is_none() {
            out_of_bounds(&self.shape(), &value_text(value), value, field, problems);
        }
        seconds
    }

    fn shape(&self) -> String {
        format!("a TTL from {} to {} seconds", self.least, self.most)
    }

    fn schema(&self) -> Value {
        let number = json!({"type": "integer", "minimum": self.least, "maximum": self.most});
        json!({"anyOf": [number, {"type": "string", "pattern": TIME_PATTERN}]})
    }
}

impl ValueKind for ByteSize {
    type Out = u64;

    fn read(&self, value: &Spanned<DeValue<'_>>, field: KeyUse<'_>, problems: &mut ConfigProblems<'_>) -> Option<u64> {
        let size = read_unit(&self.shape(), "B", &SIZES, value, field, problems)?;
        if !inside(size, self.least, self.most, self.zero) {
            out_of_bounds(&self.shape(), &value_text(value), value, field, problems);
            return None;
        }
        Some(size)
    }

    fn shape(&self) -> String {
        with_zero(format!("a size from {} to {}", write_in(self.least, &SIZES), write_in(self.most, &SIZES)), self.zero)
    }

    fn schema(&self) -> Value {
        json!({"anyOf": [{"type": "string", "pattern": "^(0|[0-9]+([KMGT]i)?B)$"}, {"const": 0}]})
    }
}

impl ValueKind for PercentShare {
    type Out = u8;

    fn read(&self, value: &Spanned<DeValue<'_>>, field: KeyUse<'_>, problems: &mut ConfigProblems<'_>) -> Option<u8> {
        let percent = read_unit(&self.shape(), "%", &[("%", 1)], value, field, problems)?;
        let percent = u8::try_from(percent).ok().filter(|percent| (self.least..=self.most).contains(percent));
        if percent.is_none() {
            out_of_bounds(&self.shape(), &value_text(value), value, field, problems);
        }
        percent
    }

    fn shape(&self) -> String {
        format!("a share from {}% to {}%", self.least, self.most)
    }

    fn schema(&self) -> Value {
        json!({"type": "string", "pattern": "^[0-9]{1,3}%$"})
    }
}

fn inside(value: u64, least: u64, most: u64, zero: &str) -> bool {
    (least..=most).contains(&value) || (value == 0 && !zero.is_empty())
}

fn with_zero(shape: String, zero: &str) -> String {
    if zero.is_empty() { shape } else { format!("{shape} (0: {zero})") }
}

/// Returns the integer in any radix. The inner `None` means that it is too large.
fn integer(value: &Spanned<DeValue<'_>>) -> Option<Option<i128>> {
    let integer = value.get_ref().as_integer()?;
    Some(i128::from_str_radix(integer.as_str(), integer.radix()).ok())
}

/// Parses a number with a unit into the smallest unit. A bare 0 needs no unit.
fn read_unit(
    shape: &str,
    usual: &str,
    units: &[(&str, u64)],
    value: &Spanned<DeValue<'_>>,
    field: KeyUse<'_>,
    problems: &mut ConfigProblems<'_>,
) -> Option<u64> {
    if let Some(written) = integer(value) {
        if written == Some(0) {
            return Some(0);
        }
        let help = format!("write it with its unit in quotes: `{} = \"{}{usual}\"`", field.name, value_text(value));
        problems.error(value.span().start, format!("`{}` has no unit", field.name), help);
        return None;
    }
    let text = string(shape, value, field, problems)?;
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    if number == "0" && unit.is_empty() {
        return Some(0);
    }
    let named = units.iter().find(|(name, _)| *name == unit.trim());
    let written = named.and_then(|(_, unit)| number.parse::<u64>().ok()?.checked_mul(*unit));
    if written.is_none() {
        let meant = units.iter().find(|(name, _)| unit_meant(unit.trim(), name)).filter(|_| !number.is_empty() && named.is_none());
        if let Some((meant, _)) = meant {
            problems.error(
                value.span().start,
                format!("`{}`: `{}` is not a unit", field.name, unit.trim()),
                format!("did you mean `{number}{meant}`?"),
            );
            return None;
        }
        let names = units.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
        let help = format!("write a whole number and one of {names}, such as `{} = {}`", field.name, field.example);
        problems.error(value.span().start, format!("`{}` must be {shape}, found `{text}`", field.name), help);
    }
    written
}

/// Returns true if `written` probably means the unit `name`: `MB`, `mib`, `min`, `seconds`.
fn unit_meant(written: &str, name: &str) -> bool {
    let (written, name) = (written.to_ascii_lowercase(), name.to_ascii_lowercase());
    let size = name.ends_with('b') && (written == name || written == name.replace('i', "") || format!("{written}ib") == name);
    size || matches!((name.as_str(), written.as_str()), ("ms", "msec" | "millis") | ("s", "sec" | "secs" | "second" | "seconds"))
        || matches!(
            (name.as_str(), written.as_str()),
            ("m", "min" | "mins" | "minute" | "minutes") | ("h", "hour" | "hours") | ("d", "day" | "days")
        )
}

fn out_of_bounds(shape: &str, found: &str, value: &Spanned<DeValue<'_>>, field: KeyUse<'_>, problems: &mut ConfigProblems<'_>) {
    problems.error(value.span().start, format!("`{}` must be {shape}, found {found}", field.name), field.help());
}

fn value_text(value: &Spanned<DeValue<'_>>) -> String {
    match value.get_ref() {
        DeValue::Integer(integer) => integer.to_string(),
        other => other.as_str().unwrap_or_default().to_string(),
    }
}

fn write_in(value: u64, units: &[(&str, u64)]) -> String {
    let (name, unit) = units.iter().rev().find(|(_, unit)| value >= *unit && value.is_multiple_of(*unit)).unwrap_or(&units[0]);
    format!("{}{name}", value / unit)
}
