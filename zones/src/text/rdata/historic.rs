//! Types that RFCs have given up, which old zones still hold: WKS, NSAP, NXT, ATMA and A6.

use std::fmt;
use std::net::Ipv6Addr;

use data_encoding::{HEXLOWER, HEXLOWER_PERMISSIVE};

use super::super::report::TextResult;
use super::fields::Fields;
use super::values::decimal;
use super::wire::{BadRdata, Cursor, write_text_name};
use super::{type_code_of, type_name};

/// Protocols that WKS names (IANA "Protocol Numbers").
static PROTOCOLS: &[(&str, u8)] = &[("icmp", 1), ("igmp", 2), ("ggp", 3), ("tcp", 6), ("egp", 8), ("udp", 17)];

/// Services that WKS records of old zones name, with the spellings of RFC 1010 (IANA "Service Names and Port Numbers").
#[rustfmt::skip]
static SERVICES: &[(&str, u16)] = &[
    ("rje", 5), ("echo", 7), ("discard", 9), ("systat", 11), ("users", 11), ("daytime", 13), ("qotd", 17), ("quote", 17), ("chargen", 19),
    ("ftp-data", 20), ("ftp", 21), ("ssh", 22), ("telnet", 23), ("smtp", 25), ("time", 37), ("rlp", 39), ("name", 42), ("nameserver", 42),
    ("nicname", 43), ("whois", 43), ("login", 49), ("tacacs", 49), ("domain", 53), ("bootps", 67), ("bootpc", 68), ("tftp", 69),
    ("gopher", 70), ("finger", 79), ("http", 80), ("www", 80), ("link", 87), ("ttylink", 87), ("kerberos", 88), ("supdup", 95),
    ("hostname", 101), ("hostnames", 101), ("iso-tsap", 102), ("x400", 103), ("csnet-ns", 105), ("pop2", 109), ("pop-2", 109),
    ("pop3", 110), ("pop-3", 110), ("sunrpc", 111), ("auth", 113), ("sftp", 115), ("uucp-path", 117), ("nntp", 119), ("ntp", 123),
    ("netbios-ns", 137), ("netbios-dgm", 138), ("netbios-ssn", 139), ("imap", 143), ("imap2", 143), ("snmp", 161), ("snmptrap", 162),
    ("irc", 194), ("imap3", 220), ("ldap", 389), ("https", 443), ("submission", 587), ("imaps", 993), ("pop3s", 995),
];

/// Reads what follows the address of WKS: a protocol and its ports, by number or name.
pub(super) fn read_services(fields: &mut Fields<'_>, out: &mut Vec<u8>) -> TextResult<()> {
    let (token, text) = fields.word("protocol")?;
    let named = PROTOCOLS.iter().find(|(name, _)| name.as_bytes().eq_ignore_ascii_case(text)).map(|(_, number)| *number);
    let protocol = named.or_else(|| decimal(text).and_then(|number| u8::try_from(number).ok()));
    out.push(protocol.ok_or_else(|| fields.wrong(&token, "protocol", "`tcp`, `udp` or a number from 0 to 255 is expected"))?);
    let start = out.len();
    while !fields.is_empty() {
        let (token, text) = fields.word("port")?;
        let named = SERVICES.iter().find(|(name, _)| name.as_bytes().eq_ignore_ascii_case(text)).map(|(_, port)| *port);
        let port = named.or_else(|| decimal(text).and_then(|port| u16::try_from(port).ok()));
        let port = port.ok_or_else(|| fields.wrong(&token, "port", "a number from 0 to 65535 or a service such as `smtp` is expected"))?;
        set_bit(out, start, port);
    }
    Ok(())
}

/// Writes what follows the address of WKS, in numbers.
pub(super) fn write_services(cursor: &mut Cursor<'_>, out: &mut dyn fmt::Write) -> Result<(), BadRdata> {
    write!(out, "{}", cursor.u8()?)?;
    let bitmap = cursor.rest();
    if bitmap.len() > 8192 {
        return Err(BadRdata::Malformed);
    }
    bits(bitmap)?.try_for_each(|port| write!(out, " {port}"))?;
    Ok(())
}

/// Reads the types of NXT: all below 128.
pub(super) fn read_bits(fields: &mut Fields<'_>, out: &mut Vec<u8>) -> TextResult<()> {
    let start = out.len();
    while !fields.is_empty() {
        let (token, text) = fields.word("types")?;
        let code = type_code_of(text).filter(|code| (1..128).contains(code));
        set_bit(out, start, code.ok_or_else(|| fields.wrong(&token, "types", "a type below 128 such as `A` is expected"))?);
    }
    Ok(())
}

/// Writes the types of NXT.
pub(super) fn write_bits(cursor: &mut Cursor<'_>, out: &mut dyn fmt::Write) -> Result<(), BadRdata> {
    let bitmap = cursor.rest();
    // Bit 0 means that the rest has another form, which was never defined (RFC 2535 section 5.2).
    if bitmap.len() > 16 || bitmap.first().is_some_and(|first| first & 0x80 != 0) {
        return Err(BadRdata::NoText);
    }
    bits(bitmap)?.try_for_each(|code| write!(out, " {}", type_name(code)))?;
    Ok(())
}

fn set_bit(out: &mut Vec<u8>, start: usize, bit: u16) {
    let at = start + usize::from(bit / 8);
    if out.len() <= at {
        out.resize(at + 1, 0);
    }
    out[at] |= 0x80 >> (bit % 8);
}

/// The bits of a bitmap that are set. Zeroes at its end have no text form, as they would be lost.
fn bits(bitmap: &[u8]) -> Result<impl Iterator<Item = u16>, BadRdata> {
    if bitmap.last() == Some(&0) {
        return Err(BadRdata::NoText);
    }
    Ok((0..bitmap.len() * 8).filter(|bit| bitmap[bit / 8] & (0x80 >> (bit % 8)) != 0).map(|bit| bit as u16)) // at most 65536
}

/// Reads an NSAP address.
pub(super) fn read_nsap(fields: &mut Fields<'_>, out: &mut Vec<u8>) -> TextResult<()> {
    let (token, text) = fields.word("address")?;
    let digits = text.strip_prefix(b"0x").or_else(|| text.strip_prefix(b"0X")).filter(|digits| !digits.is_empty());
    let digits = digits.ok_or_else(|| fields.wrong(&token, "address", "`0x` and hexadecimal digits are expected"))?;
    let digits: Vec<u8> = digits.iter().copied().filter(|byte| *byte != b'.').collect();
    out.extend(HEXLOWER_PERMISSIVE.decode(&digits).map_err(|error| fields.bad_code(&token, "address", "hexadecimal digits", error))?);
    Ok(())
}

/// Writes an NSAP address.
pub(super) fn write_nsap(cursor: &mut Cursor<'_>, out: &mut dyn fmt::Write) -> Result<(), BadRdata> {
    match cursor.rest() {
        [] => Err(BadRdata::Malformed),
        octets => Ok(write!(out, "0x{}", HEXLOWER.encode(octets))?),
    }
}

/// Reads an ATM address: `+` and the digits of E.164 (format 1), or hexadecimal digits (format 0); `.` may stand between them.
pub(super) fn read_atm_address(fields: &mut Fields<'_>, out: &mut Vec<u8>) -> TextResult<()> {
    let (token, text) = fields.word("address")?;
    let plain = |digits: &[u8]| digits.iter().copied().filter(|byte| *byte != b'.').collect::<Vec<u8>>();
    let help = "hexadecimal digits are expected, or `+` and decimal ones";
    if text.starts_with(b".") || text.ends_with(b".") {
        return Err(fields.wrong(&token, "address", help));
    }
    if let Some(number) = text.strip_prefix(b"+") {
        let digits = plain(number);
        if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
            return Err(fields.wrong(&token, "address", help));
        }
        out.push(1);
        out.extend(digits);
        return Ok(());
    }
    let octets = HEXLOWER_PERMISSIVE.decode(&plain(text)).map_err(|_| fields.wrong(&token, "address", help))?;
    out.push(0);
    out.extend(octets);
    Ok(())
}

/// Writes an ATM address.
pub(super) fn write_atm_address(cursor: &mut Cursor<'_>, out: &mut dyn fmt::Write) -> Result<(), BadRdata> {
    let (format, address) = (cursor.u8()?, cursor.rest());
    match format {
        _ if address.is_empty() => Err(BadRdata::Malformed),
        0 => Ok(out.write_str(&HEXLOWER.encode(address))?),
        1 if address.iter().all(u8::is_ascii_digit) => Ok(write!(out, "+{}", String::from_utf8_lossy(address))?),
        1 => Err(BadRdata::Malformed),
        _ => Err(BadRdata::NoText),
    }
}

/// Reads an A6: `length [suffix] [name]`, no suffix for a length of 128, no name for one of 0.
pub(super) fn read_chained(fields: &mut Fields<'_>, out: &mut Vec<u8>) -> TextResult<()> {
    let length = fields.number("prefix length", 128)? as u8;
    out.push(length);
    if length < 128 {
        let mut address = Vec::with_capacity(16);
        fields.v6("address suffix", &mut address)?;
        let from = usize::from(length / 8);
        address[from] &= 0xff >> (length % 8);
        out.extend_from_slice(&address[from..]);
    }
    if length > 0 { fields.name("prefix name", out) } else { Ok(()) }
}

/// Writes an A6. Bits of the prefix must be zero (RFC 2874 section 3.1.1).
pub(super) fn write_chained(cursor: &mut Cursor<'_>, out: &mut dyn fmt::Write) -> Result<(), BadRdata> {
    let length = cursor.u8()?;
    write!(out, "{length}")?;
    if length > 128 {
        return Err(BadRdata::Malformed);
    }
    if length < 128 {
        let from = usize::from(length / 8);
        let mut address = [0; 16];
        address[from..].copy_from_slice(cursor.take(16 - from)?);
        if address[from] & !(0xff >> (length % 8)) != 0 {
            return Err(BadRdata::Malformed);
        }
        write!(out, " {}", Ipv6Addr::from(address))?;
    }
    if length > 0 {
        out.write_char(' ')?;
        write_text_name(cursor.name()?, out)?;
    }
    Ok(())
}
