//! LOC (RFC 1876).

use std::fmt;

use super::super::report::TextResult;
use super::fields::Fields;
use super::wire::{BadRdata, Cursor};

/// Latitude and longitude lie around this (RFC 1876 section 2).
const EQUATOR: i64 = 1 << 31;
/// Altitude is counted from 100 km below the reference spheroid, centimetres.
const BELOW: i64 = 10_000_000;

/// Reads `d [m [s]] N d [m [s]] E altitude [size [horizontal [vertical]]]`.
pub(super) fn read(fields: &mut Fields<'_>, out: &mut Vec<u8>) -> TextResult<()> {
    let latitude = angle(fields, "latitude", 90, b'N', b'S')?;
    let longitude = angle(fields, "longitude", 180, b'E', b'W')?;
    let (token, text) = fields.word("altitude")?;
    let altitude = centimetres(text)
        .and_then(|value| u32::try_from(value + BELOW).ok())
        .ok_or_else(|| fields.wrong(&token, "altitude", "metres are expected, as in `-2.00m`"))?;
    // Defaults of RFC 1876 section 3: 1 m, 10 km, 10 m.
    let mut sizes = [0x12, 0x16, 0x13];
    for (size, what) in sizes.iter_mut().zip(["size", "horizontal precision", "vertical precision"]) {
        if fields.is_empty() {
            break;
        }
        let (token, text) = fields.word(what)?;
        *size = centimetres(text).and_then(power).ok_or_else(|| fields.wrong(&token, what, "metres from 0 to 90000000.00 are expected"))?;
    }
    out.push(0); // version
    out.extend(sizes);
    out.extend(latitude.to_be_bytes());
    out.extend(longitude.to_be_bytes());
    out.extend(altitude.to_be_bytes());
    Ok(())
}

/// Writes all fields in full.
pub(super) fn write(cursor: &mut Cursor<'_>, out: &mut dyn fmt::Write) -> Result<(), BadRdata> {
    let head = cursor.take(4)?;
    if head[0] != 0 || head[1..].iter().any(|size| size >> 4 > 9 || size & 15 > 9) {
        return Err(BadRdata::Malformed);
    }
    for (limit, ahead, behind) in [(90, 'N', 'S'), (180, 'E', 'W')] {
        let value = i64::from(cursor.u32()?) - EQUATOR;
        let (value, letter) = if value < 0 { (-value, behind) } else { (value, ahead) };
        if value > limit * 3_600_000 {
            return Err(BadRdata::Malformed);
        }
        let (seconds, thousandths) = (value / 1000, value % 1000);
        write!(out, " {} {} {}.{:03} {letter}", seconds / 3600, seconds / 60 % 60, seconds % 60, thousandths)?;
    }
    let altitude = i64::from(cursor.u32()?) - BELOW;
    write!(out, " {}{}.{:02}m", if altitude < 0 { "-" } else { "" }, altitude.abs() / 100, altitude.abs() % 100)?;
    for size in &head[1..] {
        let value = u64::from(size >> 4) * 10u64.pow(u32::from(size & 15));
        write!(out, " {}.{:02}m", value / 100, value % 100)?;
    }
    Ok(())
}

/// An angle in thousandths of a second, around [`EQUATOR`].
fn angle(fields: &mut Fields<'_>, what: &str, limit: i64, ahead: u8, behind: u8) -> TextResult<u32> {
    let mut total = 0;
    for (index, unit) in [3_600_000, 60_000, 1000].into_iter().enumerate() {
        let (token, text) = fields.word(what)?;
        let letter = text.len() == 1 && index > 0;
        if letter && text[0].eq_ignore_ascii_case(&ahead) {
            return Ok((EQUATOR + total) as u32); // at most 180 degrees: fits
        }
        if letter && text[0].eq_ignore_ascii_case(&behind) {
            return Ok((EQUATOR - total) as u32);
        }
        let value = thousandths(text).filter(|value| match index {
            0 => *value <= limit * 1000 && value % 1000 == 0,
            1 => *value < 60_000 && value % 1000 == 0,
            _ => *value < 60_000,
        });
        total += value.ok_or_else(|| fields.wrong(&token, what, "degrees, minutes and seconds are expected, as in `52 22 23.000 N`"))?
            * unit
            / 1000;
        if total > limit * 3_600_000 {
            return Err(fields.wrong(&token, what, format!("at most {limit} degrees")));
        }
    }
    let (token, text) = fields.word(what)?;
    match text {
        [letter] if letter.eq_ignore_ascii_case(&ahead) => Ok((EQUATOR + total) as u32),
        [letter] if letter.eq_ignore_ascii_case(&behind) => Ok((EQUATOR - total) as u32),
        _ => Err(fields.wrong(&token, what, format!("`{}` or `{}` is expected", ahead as char, behind as char))),
    }
}

/// `12`, `12.3`, `12.345` in thousandths.
fn thousandths(text: &[u8]) -> Option<i64> {
    let (whole, part) = match text.iter().position(|byte| *byte == b'.') {
        Some(dot) => (&text[..dot], &text[dot + 1..]),
        None => (text, &b""[..]),
    };
    if whole.is_empty() || whole.len() > 10 || part.len() > 3 || !whole.iter().chain(part).all(u8::is_ascii_digit) {
        return None;
    }
    let digits = whole.iter().chain(part).chain(&b"000"[part.len()..]);
    Some(digits.fold(0, |value, digit| value * 10 + i64::from(digit - b'0')))
}

/// `-2.00m` in centimetres.
fn centimetres(text: &[u8]) -> Option<i64> {
    let text = text.strip_suffix(b"m").or_else(|| text.strip_suffix(b"M")).unwrap_or(text);
    let (sign, digits) = match text.strip_prefix(b"-") {
        Some(rest) => (-1, rest),
        None => (1, text),
    };
    let value = thousandths(digits)?;
    (value % 10 == 0).then_some(sign * value / 10)
}

/// Centimetres as mantissa and power of ten, four bits each, rounded down.
fn power(value: i64) -> Option<u8> {
    let mut mantissa = u64::try_from(value).ok()?;
    let mut exponent = 0u8;
    while mantissa > 9 {
        mantissa /= 10;
        exponent += 1;
    }
    (exponent <= 9).then_some((mantissa as u8) << 4 | exponent)
}
