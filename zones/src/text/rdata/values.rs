//! The text of one token as a value: numbers, times, addresses and escaped text.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::super::names::unescape;

/// Text as a value of a type of std that reads text.
pub(super) fn parse<T: std::str::FromStr>(text: &[u8]) -> Option<T> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// True for an IP address of either family.
pub(in super::super) fn is_address(text: &[u8]) -> bool {
    let digits = |byte: &u8| byte.is_ascii_hexdigit() || matches!(byte, b'.' | b':'); // most names are told from these alone
    text.iter().all(digits) && parse::<std::net::IpAddr>(text).is_some()
}

/// Digits alone as a number: no sign, no white space.
pub(in super::super) fn decimal(text: &[u8]) -> Option<u32> {
    if text.is_empty() || text.len() > 10 {
        return None;
    }
    let mut value = 0u64;
    for byte in text {
        if !byte.is_ascii_digit() {
            return None;
        }
        value = value * 10 + u64::from(byte - b'0');
    }
    u32::try_from(value).ok()
}

/// A time in seconds: `3600`, or with units as BIND has them, `1w2d3h4m5s`, each at most once as far as the sum fits.
pub(in super::super) fn seconds(text: &[u8]) -> Option<u32> {
    if let Some(value) = decimal(text) {
        return Some(value);
    }
    let mut total = 0u64;
    let mut rest = text;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let value = decimal(&rest[..digits])?;
        let unit = match rest.get(digits)?.to_ascii_lowercase() {
            b's' => 1,
            b'm' => 60,
            b'h' => 3600,
            b'd' => 86_400,
            b'w' => 604_800,
            _ => return None,
        };
        total = total.checked_add(u64::from(value) * unit).filter(|total| *total <= u64::from(u32::MAX))?;
        rest = &rest[digits + 1..];
    }
    u32::try_from(total).ok()
}

/// YYYYMMDDHHmmSS or seconds since 1970, modulo 2^32 (RFC 4034 section 3.2).
pub(super) fn moment(text: &[u8]) -> Option<u32> {
    if text.len() != 14 {
        return decimal(text);
    }
    let part = |from: usize, to: usize| decimal(&text[from..to]).map(i64::from);
    let (year, month, day) = (part(0, 4)?, part(4, 6)?, part(6, 8)?);
    let (hour, minute, second) = (part(8, 10)?, part(10, 12)?, part(12, 14)?);
    if year < 1970 || !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    // Days from the civil calendar, years beginning in March.
    let (y, m) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    let days = 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719_468;
    Some((days * 86_400 + hour * 3600 + minute * 60 + second) as u32) // modulo 2^32 by RFC 4034
}

/// One item of an APL record (RFC 3123 section 4): family, prefix length, `!`, octets without the zeroes at the end.
pub(super) fn prefix(text: &[u8]) -> Option<Vec<u8>> {
    let (negated, text) = match text.strip_prefix(b"!") {
        Some(rest) => (0x80, rest),
        None => (0, text),
    };
    let colon = text.iter().position(|byte| *byte == b':')?;
    let slash = text.iter().rposition(|byte| *byte == b'/').filter(|slash| *slash > colon)?;
    let length = decimal(&text[slash + 1..])?;
    let address = &text[colon + 1..slash];
    let (family, octets, most) = match &text[..colon] {
        b"1" => (1u16, parse::<Ipv4Addr>(address)?.octets().to_vec(), 32),
        b"2" => (2u16, parse::<Ipv6Addr>(address)?.octets().to_vec(), 128),
        _ => return None,
    };
    if length > most {
        return None;
    }
    let kept = octets.iter().rposition(|octet| *octet != 0).map_or(0, |last| last + 1);
    let mut item = family.to_be_bytes().to_vec();
    item.extend([length as u8, negated | kept as u8]);
    item.extend_from_slice(&octets[..kept]);
    Some(item)
}

pub(super) fn hex_number(text: &[u8], digits: usize) -> Option<u16> {
    if text.len() != digits || text.is_empty() || !text.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    u16::from_str_radix(std::str::from_utf8(text).ok()?, 16).ok()
}

/// Appends text with its escapes resolved.
pub(in super::super) fn unescape_into(text: &[u8], out: &mut Vec<u8>) -> Result<(), ()> {
    let mut rest = text;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        out.extend_from_slice(&rest[..at]);
        let (octet, used) = unescape(&rest[at..]).ok_or(())?;
        out.push(octet);
        rest = &rest[at + used..];
    }
    out.extend_from_slice(rest);
    Ok(())
}
