//! SVCB and HTTPS parameters (RFC 9460).

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use data_encoding::BASE64;

use super::super::lexer::{Form, Token};
use super::super::report::{TextError, TextResult, shown};
use super::fields::Fields;
use super::values::{decimal, parse, unescape_into};
use super::wire::{BadRdata, Cursor, write_escaped};

/// Parameter keys by number (IANA "DNS Service Bindings").
static KEYS: &[&str] = &["mandatory", "alpn", "no-default-alpn", "port", "ipv4hint", "ech", "ipv6hint", "dohpath", "ohttp"];

/// Reads all that is left as parameters; on the wire they stand in the order of their keys.
pub(super) fn read(fields: &mut Fields<'_>, out: &mut Vec<u8>) -> TextResult<()> {
    let mut parameters: Vec<(u16, Token, Vec<u8>)> = Vec::new();
    while !fields.is_empty() {
        let (token, text) = fields.next("parameter")?;
        let (name, value) = match text.iter().position(|byte| *byte == b'=') {
            Some(equals) => (&text[..equals], Some(&text[equals + 1..])),
            None => (text, None),
        };
        let Some(key) = key_code(name).filter(|_| token.form != Form::Quoted) else {
            let message = format!("`{}` is not a service parameter", shown(text));
            return Err(TextError::new(token.spot, message, "`key=value` is expected, such as `alpn=h2` or `key667=\"value\"`"));
        };
        if parameters.iter().any(|(other, ..)| *other == key) {
            return Err(TextError::new(token.spot, format!("`{}` is given twice", shown(name)), ""));
        }
        let value = value.map(|value| value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value));
        let value =
            read_value(key, value).map_err(|help| TextError::new(token.spot, format!("`{}` has a bad value", shown(text)), help))?;
        parameters.push((key, token, value));
    }
    parameters.sort_unstable_by_key(|(key, ..)| *key);
    let has = |key: u16| parameters.iter().any(|(other, ..)| *other == key);
    for (key, token, value) in &parameters {
        let missing = match key {
            0 => value.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).find(|key| !has(*key)),
            2 if !has(1) => Some(1),
            _ => None,
        };
        if let Some(missing) = missing {
            return Err(TextError::new(
                token.spot,
                format!("`{}` without `{}`", KeyName(*key), KeyName(missing)),
                "RFC 9460 demands both or neither",
            ));
        }
    }
    for (key, token, value) in parameters {
        let length = u16::try_from(value.len())
            .map_err(|_| TextError::new(token.spot, format!("`{}` is longer than 65535 octets", KeyName(key)), ""))?;
        out.extend(key.to_be_bytes());
        out.extend(length.to_be_bytes());
        out.extend(value);
    }
    Ok(())
}

/// Writes the parameters that are left, each with a space before it.
pub(super) fn write(cursor: &mut Cursor<'_>, out: &mut dyn fmt::Write) -> Result<(), BadRdata> {
    let mut last = None;
    while !cursor.is_empty() {
        let key = cursor.u16()?;
        if last.is_some_and(|last| last >= key) {
            return Err(BadRdata::Malformed);
        }
        last = Some(key);
        let length = cursor.u16()?;
        let value = cursor.take(length as usize)?;
        write!(out, " {}", KeyName(key))?;
        write_value(key, value, out)?;
    }
    Ok(())
}

struct KeyName(u16);

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match KEYS.get(self.0 as usize) {
            Some(name) => f.write_str(name),
            None => write!(f, "key{}", self.0),
        }
    }
}

fn key_code(name: &[u8]) -> Option<u16> {
    if let Some(index) = KEYS.iter().position(|key| key.as_bytes() == name) {
        return Some(index as u16);
    }
    let digits = name.strip_prefix(b"key")?;
    // No leading zeroes (RFC 9460 section 2.1); 65535 is reserved.
    if digits.len() > 1 && digits[0] == b'0' {
        return None;
    }
    decimal(digits).and_then(|key| u16::try_from(key).ok()).filter(|key| *key != u16::MAX)
}

fn read_value(key: u16, text: Option<&[u8]>) -> Result<Vec<u8>, &'static str> {
    let mut value = Vec::new();
    unescape_into(text.unwrap_or_default(), &mut value)
        .map_err(|()| "`\\` is followed by three digits up to 255, or by one other character")?;
    let mut wire = Vec::new();
    match key {
        0 => {
            let mut keys: Vec<u16> = Vec::new();
            for name in value.split(|byte| *byte == b',') {
                let key = key_code(name).filter(|key| *key != 0).ok_or("names of other keys are expected, with `,` between")?;
                if keys.contains(&key) {
                    return Err("a key stands there twice");
                }
                keys.push(key);
            }
            keys.sort_unstable();
            wire.extend(keys.iter().flat_map(|key| key.to_be_bytes()));
        }
        1 => {
            for item in list(&value) {
                let length = u8::try_from(item.len()).ok().filter(|length| *length > 0);
                wire.push(length.ok_or("protocol names of 1 to 255 octets are expected, with `,` between")?);
                wire.extend(item);
            }
        }
        2 | 8 => {
            if text.is_some() {
                return Err("it takes no value");
            }
        }
        3 => wire
            .extend(decimal(&value).and_then(|port| u16::try_from(port).ok()).ok_or("a port from 0 to 65535 is expected")?.to_be_bytes()),
        4 => {
            for item in value.split(|byte| *byte == b',') {
                wire.extend(parse::<Ipv4Addr>(item).ok_or("IPv4 addresses are expected, with `,` between")?.octets());
            }
        }
        5 => {
            wire = BASE64.decode(&value).map_err(|_| "base64 is expected")?;
            if wire.is_empty() {
                return Err("base64 is expected");
            }
        }
        6 => {
            for item in value.split(|byte| *byte == b',') {
                wire.extend(parse::<Ipv6Addr>(item).ok_or("IPv6 addresses are expected, with `,` between")?.octets());
            }
        }
        _ => wire = value,
    }
    Ok(wire)
}

/// Items of a comma-separated list; `\,` is a comma in an item and `\\` a backslash (RFC 9460 appendix A.1).
fn list(value: &[u8]) -> Vec<Vec<u8>> {
    let mut items = vec![Vec::new()];
    let mut bytes = value.iter().copied();
    while let Some(byte) = bytes.next() {
        let item = items.len() - 1;
        match byte {
            b',' => items.push(Vec::new()),
            b'\\' => items[item].extend(bytes.next()),
            byte => items[item].push(byte),
        }
    }
    items
}

fn write_value(key: u16, value: &[u8], out: &mut dyn fmt::Write) -> Result<(), BadRdata> {
    let joined = |out: &mut dyn fmt::Write, size: usize, item: &dyn Fn(&[u8]) -> String| -> Result<(), BadRdata> {
        if value.is_empty() || !value.len().is_multiple_of(size) {
            return Err(BadRdata::Malformed);
        }
        for (index, chunk) in value.chunks_exact(size).enumerate() {
            out.write_char(if index == 0 { '=' } else { ',' })?;
            out.write_str(&item(chunk))?;
        }
        Ok(())
    };
    match key {
        0 => joined(out, 2, &|pair| KeyName(u16::from_be_bytes([pair[0], pair[1]])).to_string())?,
        1 => write_protocols(value, out)?,
        2 | 8 if value.is_empty() => {}
        2 | 8 => return Err(BadRdata::Malformed),
        3 => {
            let port: [u8; 2] = value.try_into().map_err(|_| BadRdata::Malformed)?;
            write!(out, "={}", u16::from_be_bytes(port))?;
        }
        4 => joined(out, 4, &|octets| Ipv4Addr::new(octets[0], octets[1], octets[2], octets[3]).to_string())?,
        5 if value.is_empty() => return Err(BadRdata::Malformed),
        5 => write!(out, "={}", BASE64.encode(value))?,
        6 => joined(out, 16, &|octets| {
            let mut address = [0; 16];
            address.copy_from_slice(octets);
            Ipv6Addr::from(address).to_string()
        })?,
        _ if value.is_empty() => {}
        _ => {
            out.write_str("=\"")?;
            write_escaped(value, out)?;
            out.write_char('"')?;
        }
    }
    Ok(())
}

/// Writes the protocols of `alpn`: strings with their length before them.
fn write_protocols(value: &[u8], out: &mut dyn fmt::Write) -> Result<(), BadRdata> {
    let mut cursor = Cursor::new(value);
    let mut items = Vec::new();
    while !cursor.is_empty() {
        let length = cursor.u8()?;
        if length == 0 {
            return Err(BadRdata::Malformed);
        }
        if !items.is_empty() {
            items.push(b',');
        }
        for octet in cursor.take(length as usize)? {
            if matches!(octet, b',' | b'\\') {
                items.push(b'\\');
            }
            items.push(*octet);
        }
    }
    if items.is_empty() {
        return Err(BadRdata::Malformed);
    }
    out.write_str("=\"")?;
    write_escaped(&items, out)?;
    out.write_char('"')?;
    Ok(())
}
