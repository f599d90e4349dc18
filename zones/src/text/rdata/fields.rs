//! RDATA from presentation format to wire, field by field.

use std::net::{Ipv4Addr, Ipv6Addr};

use data_encoding::{BASE32HEX_NOPAD, BASE64, HEXLOWER_PERMISSIVE};

use crate::name::NameBuf;

use super::super::lexer::{Form, Token};
use super::super::names::{Written, read_name, repeats_origin};
use super::super::report::{Bad, Outcome, Spot, shown};
use postern_config::rtype::{self, type_code_of};

use super::values::{decimal, hex_number, is_address, moment, parse, prefix, seconds, unescape_into};
use super::{BadRdata, Field, gateways, historic, layout, location, of, quote, services, type_name};

/// DNSSEC algorithm mnemonics (IANA; RFC 4034 appendix A.1).
#[rustfmt::skip]
static ALGORITHMS: &[(&str, u32)] = &[
    ("RSAMD5", 1), ("DH", 2), ("DSA", 3), ("RSASHA1", 5), ("DSA-NSEC3-SHA1", 6), ("RSASHA1-NSEC3-SHA1", 7), ("RSASHA256", 8), ("RSASHA512", 10),
    ("ECC-GOST", 12), ("ECDSAP256SHA256", 13), ("ECDSAP384SHA384", 14), ("ED25519", 15), ("ED448", 16), ("INDIRECT", 252), ("PRIVATEDNS", 253),
    ("PRIVATEOID", 254),
];

/// Certificate types (RFC 4398 section 2.1).
#[rustfmt::skip]
static CERT_TYPES: &[(&str, u32)] = &[
    ("PKIX", 1), ("SPKI", 2), ("PGP", 3), ("IPKIX", 4), ("ISPKI", 5), ("IPGP", 6), ("ACPKIX", 7), ("IACPKIX", 8), ("URI", 253), ("OID", 254),
];

/// Schemes of DSYNC (IANA "DSYNC: Location of Synchronization Endpoints").
static SCHEMES: &[(&str, u32)] = &[("NOTIFY", 1)];

/// The tokens of one record's RDATA, taken one after the other.
pub(in super::super) struct Fields<'t> {
    text: &'t [u8],
    tokens: &'t [Token],
    /// The string behind the `=` of a token such as `key="value"`, which is two tokens for every type but SVCB and HTTPS.
    split: Option<Token>,
    origin: &'t [u8],
    rtype: u16,
    /// Where something that is missing is reported: the type, because there is nothing where it should stand.
    behind: Spot,
    /// The first name that seems to lack its final dot.
    pub without_dot: Option<Token>,
    /// The text is not a line of a zone file: a relative name has one label.
    pub is_input: bool,
}

/// Appends the wire form of the RDATA in `fields` to `out`.
pub(in super::super) fn read_fields(fields: &mut Fields<'_>, out: &mut Vec<u8>) -> Outcome<()> {
    let start = out.len();
    match (fields.first(), layout(fields.rtype)) {
        (Some(token), _) if token.is(fields.text, "\\#") => fields.generic(out)?,
        (_, None) => {
            let name = type_name(fields.rtype);
            return Err(Bad::new(
                fields.first_spot(),
                format!("{name} has no presentation format of its own"),
                format!("write its octets: `{name} \\# 4 0A000001`"),
            ));
        }
        (_, Some(layout)) => {
            for field in layout.fields {
                fields.field(*field, out)?;
            }
            if let Some(extra) = fields.first() {
                let what = quote(extra.raw(fields.text));
                return Err(Bad::new(
                    extra.spot,
                    format!("{what} is more than {} has room for", type_name(fields.rtype)),
                    extra_help(fields.rtype),
                ));
            }
        }
    }
    if out.len() - start > usize::from(u16::MAX) {
        return Err(Bad::new(fields.behind, "RDATA of more than 65535 octets", ""));
    }
    Ok(())
}

fn extra_help(rtype: u16) -> &'static str {
    match rtype {
        1 | 28 => "one address a record; give each its own line",
        16 => "put the text between quotes",
        _ => "a comment begins with `;`",
    }
}

impl<'t> Fields<'t> {
    pub fn new(text: &'t [u8], tokens: &'t [Token], origin: &'t [u8], rtype: u16, behind: Spot) -> Self {
        Self { text, tokens, split: None, origin, rtype, behind, without_dot: None, is_input: false }
    }

    /// True when all tokens are taken.
    pub fn is_empty(&self) -> bool {
        self.first().is_none()
    }

    /// The next token with its text; `what` is missing where there is none.
    pub fn next(&mut self, what: &str) -> Outcome<(Token, &'t [u8])> {
        let Some(mut token) = self.first() else {
            return Err(Bad::new(self.behind, format!("{} is missing", of(what, self.rtype)), ""));
        };
        if self.split.take().is_none() {
            self.tokens = &self.tokens[1..];
            if token.form == Form::Pair && !matches!(self.rtype, 64 | 65) {
                (token, self.split) = token.split(self.text);
            }
        }
        Ok((token, token.content(self.text)))
    }

    fn first(&self) -> Option<Token> {
        self.split.or(self.tokens.first().copied())
    }

    /// The same for what is not a string.
    pub fn word(&mut self, what: &str) -> Outcome<(Token, &'t [u8])> {
        let (token, text) = self.next(what)?;
        if token.form != Form::Plain {
            return Err(Bad::new(
                token.spot,
                format!("{} is not a quoted string", of(what, self.rtype)),
                "write it without the quotes".to_owned(),
            ));
        }
        Ok((token, text))
    }

    /// The next token as a number up to `max`.
    pub fn number(&mut self, what: &str, max: u32) -> Outcome<u32> {
        let (token, text) = self.word(what)?;
        decimal(text)
            .filter(|value| *value <= max)
            .ok_or_else(|| self.wrong(&token, what, format!("a whole number from 0 to {max} is expected")))
    }

    /// ``x` is not the exchange of MX``
    pub fn wrong(&self, token: &Token, what: &str, help: impl Into<String>) -> Box<Bad> {
        Bad::new(token.spot, format!("{} cannot be {}", quote(token.raw(self.text)), of(what, self.rtype)), help)
    }

    fn first_spot(&self) -> Spot {
        self.first().map_or(self.behind, |token| token.spot)
    }

    fn field(&mut self, field: Field, out: &mut Vec<u8>) -> Outcome<()> {
        match field {
            Field::Name(what) => self.name(what, out)?,
            Field::U8(what) => out.push(self.number(what, 255)? as u8),
            Field::U16(what) => out.extend((self.number(what, 65535)? as u16).to_be_bytes()),
            Field::U32(what) => out.extend(self.number(what, u32::MAX)?.to_be_bytes()),
            Field::Seconds(what) => {
                let (token, text) = self.word(what)?;
                let seconds = seconds(text).ok_or_else(|| self.wrong(&token, what, "seconds are expected, or units as in `1h30m`"))?;
                out.extend(seconds.to_be_bytes());
            }
            Field::Moment(what) => {
                let (token, text) = self.word(what)?;
                let moment = moment(text).ok_or_else(|| self.wrong(&token, what, "a time as YYYYMMDDHHmmSS is expected"))?;
                out.extend(moment.to_be_bytes());
            }
            Field::U64(what) => {
                let (token, text) = self.word(what)?;
                let value = parse::<u64>(text).filter(|_| text.iter().all(u8::is_ascii_digit));
                out.extend(
                    value
                        .ok_or_else(|| self.wrong(&token, what, format!("a whole number from 0 to {} is expected", u64::MAX)))?
                        .to_be_bytes(),
                );
            }
            Field::V4 => self.v4("address", out)?,
            Field::V6 => self.v6("address", out)?,
            Field::Text(what) => self.string(what, out)?,
            Field::MayText(what) => {
                if !self.is_empty() {
                    self.string(what, out)?;
                }
            }
            Field::Texts => {
                self.strings("text", out)?;
                while !self.is_empty() {
                    self.strings("text", out)?;
                }
            }
            Field::Names(what) => {
                while !self.is_empty() {
                    self.name(what, out)?;
                }
            }
            Field::Value(what) => {
                let (token, text) = self.next(what)?;
                unescape_into(text, out).map_err(|()| self.bad_escape(&token))?;
            }
            Field::Tag => {
                let (token, text) = self.next("tag")?;
                if text.is_empty() || text.len() > 255 || !text.iter().all(u8::is_ascii_alphanumeric) {
                    return Err(self.wrong(&token, "tag", "letters and digits, such as `issue`, `issuewild` or `iodef`"));
                }
                out.push(text.len() as u8);
                out.extend_from_slice(text);
            }
            Field::Hex(what) => {
                let (token, digits) = self.rest(what)?;
                out.extend(HEXLOWER_PERMISSIVE.decode(&digits).map_err(|error| self.bad_code(&token, what, "hexadecimal digits", error))?);
            }
            Field::Salt => {
                let (token, text) = self.word("salt")?;
                let digits = if text == b"-" { &b""[..] } else { text };
                let salt = HEXLOWER_PERMISSIVE
                    .decode(digits)
                    .map_err(|error| self.bad_code(&token, "salt", "hexadecimal digits or `-`", error))?;
                self.counted(&token, "salt", &salt, out)?;
            }
            Field::Hash => {
                let (token, text) = self.word("next hashed owner")?;
                let hash = BASE32HEX_NOPAD
                    .decode(&text.to_ascii_uppercase())
                    .map_err(|error| self.bad_code(&token, "next hashed owner", "base32hex", error))?;
                self.counted(&token, "next hashed owner", &hash, out)?;
            }
            Field::Base64(what) => self.base64(what, out)?,
            Field::MayBase64(what) => {
                if !self.is_empty() {
                    self.base64(what, out)?;
                }
            }
            Field::DashBase64(what) => match self.first() {
                Some(token) if token.is(self.text, "-") => drop(self.next(what)?),
                _ => self.base64(what, out)?,
            },
            Field::Type(what) => {
                let (token, text) = self.word(what)?;
                let code = type_code_of(text).ok_or_else(|| self.wrong(&token, what, "a type such as `A` or `TYPE65400` is expected"))?;
                out.extend(code.to_be_bytes());
            }
            Field::Types => self.types(out)?,
            Field::Algorithm => {
                let value = self.mnemonic("algorithm", ALGORITHMS, 255)?;
                out.push(value as u8);
            }
            Field::CertType => {
                let value = self.mnemonic("certificate type", CERT_TYPES, 65535)?;
                out.extend((value as u16).to_be_bytes());
            }
            Field::Eui(octets) => {
                let (token, text) = self.word("identifier")?;
                let pairs: Option<Vec<u8>> =
                    text.split(|byte| *byte == b'-').map(|pair| hex_number(pair, 2).map(|value| value as u8)).collect();
                let pairs = pairs.filter(|pairs| pairs.len() == octets);
                out.extend(
                    pairs.ok_or_else(|| {
                        self.wrong(&token, "identifier", format!("{octets} pairs of hexadecimal digits with `-` between"))
                    })?,
                );
            }
            Field::Groups(what) => {
                let (token, text) = self.word(what)?;
                let groups: Option<Vec<u16>> = text
                    .split(|byte| *byte == b':')
                    .map(|group| if group.len() <= 4 { hex_number(group, group.len()) } else { None })
                    .collect();
                let groups = groups.filter(|groups| groups.len() == 4);
                for group in groups.ok_or_else(|| self.wrong(&token, what, "four groups of hexadecimal digits with `:` between"))? {
                    out.extend(group.to_be_bytes());
                }
            }
            Field::Services => services::read(self, out)?,
            Field::Location => location::read(self, out)?,
            Field::Prefixes => self.prefixes(out)?,
            Field::Scheme => {
                let value = self.mnemonic("scheme", SCHEMES, 255)?;
                out.push(value as u8);
            }
            Field::Gateway => gateways::read_ipseckey(self, out)?,
            Field::Relay => gateways::read_relay(self, out)?,
            Field::HostIdentity => gateways::read_host_identity(self, out)?,
            Field::WellKnown => historic::read_services(self, out)?,
            Field::Nsap => historic::read_nsap(self, out)?,
            Field::Bits => historic::read_bits(self, out)?,
            Field::AtmAddress => historic::read_atm_address(self, out)?,
            Field::Chained => historic::read_chained(self, out)?,
        }
        Ok(())
    }

    /// An IPv4 address.
    pub fn v4(&mut self, what: &str, out: &mut Vec<u8>) -> Outcome<()> {
        let (token, text) = self.word(what)?;
        let address = parse::<Ipv4Addr>(text).ok_or_else(|| self.bad_v4(&token, text))?;
        out.extend(address.octets());
        Ok(())
    }

    /// An IPv6 address.
    pub fn v6(&mut self, what: &str, out: &mut Vec<u8>) -> Outcome<()> {
        let (token, text) = self.word(what)?;
        let address = parse::<Ipv6Addr>(text).ok_or_else(|| self.bad_v6(&token, text))?;
        out.extend(address.octets());
        Ok(())
    }

    /// Base64 to the end, at least one token.
    pub fn base64(&mut self, what: &str, out: &mut Vec<u8>) -> Outcome<()> {
        let (token, digits) = self.rest(what)?;
        out.extend(BASE64.decode(&digits).map_err(|error| self.bad_code(&token, what, "base64", error))?);
        Ok(())
    }

    /// A domain name, with the origin behind it where it is relative.
    pub fn name(&mut self, what: &str, out: &mut Vec<u8>) -> Outcome<()> {
        let (token, text) = self.word(what)?;
        let start = out.len();
        match read_name(text, self.origin, out) {
            Ok(Written::Relative { length }) if self.is_input && usize::from(out[start]) + 1 < length && !is_address(text) => {
                let (name, origin) = (shown(text), NameBuf::read(self.origin).map(|origin| origin.to_string()).unwrap_or_default());
                let message = format!("{} of several labels has no final dot: `{name}`", of(what, self.rtype));
                return Err(Bad::new(token.spot, message, format!("write `{name}.` or `{name}.{origin}`")));
            }
            Ok(Written::Relative { length }) if repeats_origin(&out[start..start + length], self.origin) => {
                self.without_dot.get_or_insert(token);
            }
            Ok(_) => {}
            Err(error) => {
                return Err(Bad::new(token.spot, format!("{} is not a name: {error}", quote(text)), ""));
            }
        }
        // An address is a name too as far as its letters go, but nobody means it.
        if text.last() != Some(&b'.') && is_address(text) {
            let help = if matches!(self.rtype, rtype::CNAME | rtype::DNAME) {
                "an address goes into an A or AAAA record"
            } else {
                "a host's name is expected here"
            };
            return Err(self.wrong(&token, what, help));
        }
        Ok(())
    }

    /// A character-string: at most 255 octets, with its length before it (RFC 1035 section 3.3).
    fn string(&mut self, what: &str, out: &mut Vec<u8>) -> Outcome<()> {
        let (token, text) = self.next(what)?;
        let length_at = out.len();
        out.push(0);
        unescape_into(text, out).map_err(|()| self.bad_escape(&token))?;
        let length = out.len() - length_at - 1;
        out[length_at] = u8::try_from(length).map_err(|_| {
            let what = of(what, self.rtype);
            Bad::new(token.spot, format!("{what} has {length} octets, a string holds 255"), "write it as several quoted strings")
        })?;
        Ok(())
    }

    /// One token as character-strings: exporters and people put the whole of a long text between one pair of quotes.
    fn strings(&mut self, what: &str, out: &mut Vec<u8>) -> Outcome<()> {
        let (token, text) = self.next(what)?;
        let mut octets = Vec::new();
        unescape_into(text, &mut octets).map_err(|()| self.bad_escape(&token))?;
        if octets.is_empty() {
            out.push(0);
        }
        for part in octets.chunks(255) {
            out.push(part.len() as u8);
            out.extend_from_slice(part);
        }
        Ok(())
    }

    /// All that is left, without the white space between; at least one token.
    fn rest(&mut self, what: &str) -> Outcome<(Token, Vec<u8>)> {
        let (first, text) = self.word(what)?;
        let mut all = text.to_vec();
        while !self.is_empty() {
            all.extend_from_slice(self.word(what)?.1);
        }
        Ok((first, all))
    }

    /// `\# length hex` (RFC 3597 section 5).
    fn generic(&mut self, out: &mut Vec<u8>) -> Outcome<()> {
        let (mark, _) = self.word("octets")?;
        let length = self.number("length", 65535)?;
        let mut octets = Vec::new();
        if !self.is_empty() {
            let (token, digits) = self.rest("octets")?;
            octets = HEXLOWER_PERMISSIVE.decode(&digits).map_err(|error| self.bad_code(&token, "octets", "hexadecimal digits", error))?;
        }
        if octets.len() != length as usize {
            return Err(Bad::new(mark.spot, format!("`\\#` says {length} octets, {} are written", octets.len()), ""));
        }
        if super::write_rdata(self.rtype, &octets, &mut Nothing) == Err(BadRdata::Malformed) {
            return Err(Bad::new(mark.spot, format!("these octets are not RDATA of {}", type_name(self.rtype)), ""));
        }
        out.extend(octets);
        Ok(())
    }

    fn types(&mut self, out: &mut Vec<u8>) -> Outcome<()> {
        let mut codes = Vec::new();
        while !self.is_empty() {
            let (token, text) = self.word("types")?;
            codes.push(type_code_of(text).ok_or_else(|| self.wrong(&token, "types", "a type such as `A` or `TYPE65400` is expected"))?);
        }
        codes.sort_unstable();
        for window in codes.chunk_by(|a, b| a >> 8 == b >> 8) {
            let mut bitmap = [0u8; 32];
            let mut length = 0;
            for code in window {
                let bit = usize::from(code & 0xff);
                bitmap[bit / 8] |= 0x80 >> (bit % 8);
                length = bit / 8 + 1;
            }
            out.extend([(window[0] >> 8) as u8, length as u8]);
            out.extend_from_slice(&bitmap[..length]);
        }
        Ok(())
    }

    fn mnemonic(&mut self, what: &str, table: &[(&str, u32)], max: u32) -> Outcome<u32> {
        let (token, text) = self.word(what)?;
        if let Some((_, value)) = table.iter().find(|(name, _)| name.as_bytes().eq_ignore_ascii_case(text)) {
            return Ok(*value);
        }
        decimal(text)
            .filter(|value| *value <= max)
            .ok_or_else(|| self.wrong(&token, what, format!("a number from 0 to {max} or a mnemonic is expected")))
    }

    fn prefixes(&mut self, out: &mut Vec<u8>) -> Outcome<()> {
        while !self.is_empty() {
            let (token, text) = self.word("prefix")?;
            let item = prefix(text).ok_or_else(|| self.wrong(&token, "prefix", "`1:192.0.2.0/24` or `!2:2001:db8::/32` is expected"))?;
            out.extend(item);
        }
        Ok(())
    }

    fn counted(&self, token: &Token, what: &str, octets: &[u8], out: &mut Vec<u8>) -> Outcome<()> {
        out.push(u8::try_from(octets.len()).map_err(|_| self.wrong(token, what, "at most 255 octets fit"))?);
        out.extend_from_slice(octets);
        Ok(())
    }

    fn bad_escape(&self, token: &Token) -> Box<Bad> {
        Bad::new(
            token.spot,
            format!("{} has a bad escape", quote(token.raw(self.text))),
            "`\\` is followed by three digits up to 255, or by one other character",
        )
    }

    pub fn bad_code(&self, token: &Token, what: &str, code: &str, error: data_encoding::DecodeError) -> Box<Bad> {
        let why = match error.kind {
            data_encoding::DecodeKind::Length => "their number is wrong",
            data_encoding::DecodeKind::Symbol => "a character is not one of them",
            data_encoding::DecodeKind::Trailing => "the last one has bits too many",
            data_encoding::DecodeKind::Padding => "the padding is wrong",
        };
        Bad::new(token.spot, format!("{} is not {code}: {why}", of(what, self.rtype)), "")
    }

    fn bad_v4(&self, token: &Token, text: &[u8]) -> Box<Bad> {
        let help = if parse::<Ipv6Addr>(text).is_some() {
            "an IPv6 address goes into an AAAA record"
        } else {
            "four numbers from 0 to 255 are expected, as in 10.20.1.4"
        };
        Bad::new(token.spot, format!("`{}` is not an IPv4 address", shown(text)), help)
    }

    fn bad_v6(&self, token: &Token, text: &[u8]) -> Box<Bad> {
        let help = if parse::<Ipv4Addr>(text).is_some() {
            "an IPv4 address goes into an A record"
        } else {
            "an address as in 2001:db8::1 is expected"
        };
        Bad::new(token.spot, format!("`{}` is not an IPv6 address", shown(text)), help)
    }
}

/// Discards what is written: for looking whether RDATA can be written at all.
pub(super) struct Nothing;

impl std::fmt::Write for Nothing {
    fn write_str(&mut self, _: &str) -> std::fmt::Result {
        Ok(())
    }
}
