//! The tokens of one record's RDATA, and the values that many types have.

use std::net::{Ipv4Addr, Ipv6Addr};

use data_encoding::BASE64;

use crate::name::NameBuf;

use super::super::lexer::{Form, Token};
use super::super::names::{Written, read_name, repeats_origin};
use super::super::report::{TextError, TextResult, TextSpot, shown};
use postern_config::rtype;

use super::values::{decimal, is_address, parse, unescape_into};
use super::{of, quote};

/// The tokens of one record's RDATA, taken one after the other.
pub(in super::super) struct Fields<'t> {
    pub text: &'t [u8],
    tokens: &'t [Token],
    /// The string behind the `=` of a token such as `key="value"`, which is two tokens for every type but SVCB and HTTPS.
    split: Option<Token>,
    origin: &'t [u8],
    pub rtype: u16,
    /// Where something that is missing is reported: the type, because there is nothing where it should stand.
    pub behind: TextSpot,
    /// The first name that seems to lack its final dot.
    pub without_dot: Option<Token>,
    /// The text is not a line of a zone file: a relative name has one label.
    pub is_input: bool,
    /// A name of several labels is absolute without a final dot.
    pub has_bare_targets: bool,
    /// The first name that was taken for absolute because of this.
    pub completed: Option<Token>,
}

impl<'t> Fields<'t> {
    pub fn new(text: &'t [u8], tokens: &'t [Token], origin: &'t [u8], rtype: u16, behind: TextSpot) -> Self {
        Self {
            text,
            tokens,
            split: None,
            origin,
            rtype,
            behind,
            without_dot: None,
            is_input: false,
            has_bare_targets: false,
            completed: None,
        }
    }

    /// True when all tokens are taken.
    pub fn is_empty(&self) -> bool {
        self.first().is_none()
    }

    /// The next token with its text; `what` is missing where there is none.
    pub fn next(&mut self, what: &str) -> TextResult<(Token, &'t [u8])> {
        let Some(mut token) = self.first() else {
            return Err(TextError::new(self.behind, format!("{} is missing", of(what, self.rtype)), ""));
        };
        if self.split.take().is_none() {
            self.tokens = &self.tokens[1..];
            if token.form == Form::Pair && !matches!(self.rtype, 64 | 65) {
                (token, self.split) = token.split(self.text);
            }
        }
        Ok((token, token.content(self.text)))
    }

    /// The next token, which stays.
    pub fn first(&self) -> Option<Token> {
        self.split.or(self.tokens.first().copied())
    }

    /// The same for what is not a string.
    pub fn word(&mut self, what: &str) -> TextResult<(Token, &'t [u8])> {
        let (token, text) = self.next(what)?;
        if token.form != Form::Plain {
            return Err(TextError::new(
                token.spot,
                format!("{} is not a quoted string", of(what, self.rtype)),
                "write it without the quotes".to_owned(),
            ));
        }
        Ok((token, text))
    }

    /// The next token as a number up to `max`.
    pub fn number(&mut self, what: &str, max: u32) -> TextResult<u32> {
        let (token, text) = self.word(what)?;
        decimal(text)
            .filter(|value| *value <= max)
            .ok_or_else(|| self.wrong(&token, what, format!("a whole number from 0 to {max} is expected")))
    }

    /// ``x` is not the exchange of MX``
    pub fn wrong(&self, token: &Token, what: &str, help: impl Into<String>) -> Box<TextError> {
        TextError::new(token.spot, format!("{} cannot be {}", quote(token.raw(self.text)), of(what, self.rtype)), help)
    }

    /// Place of the next token, or of the type if there is none.
    pub fn first_spot(&self) -> TextSpot {
        self.first().map_or(self.behind, |token| token.spot)
    }

    /// An IPv4 address.
    pub fn v4(&mut self, what: &str, out: &mut Vec<u8>) -> TextResult<()> {
        let (token, text) = self.word(what)?;
        let address = parse::<Ipv4Addr>(text).ok_or_else(|| self.bad_v4(&token, text))?;
        out.extend(address.octets());
        Ok(())
    }

    /// An IPv6 address.
    pub fn v6(&mut self, what: &str, out: &mut Vec<u8>) -> TextResult<()> {
        let (token, text) = self.word(what)?;
        let address = parse::<Ipv6Addr>(text).ok_or_else(|| self.bad_v6(&token, text))?;
        out.extend(address.octets());
        Ok(())
    }

    /// Base64 to the end, at least one token.
    pub fn base64(&mut self, what: &str, out: &mut Vec<u8>) -> TextResult<()> {
        let (token, digits) = self.rest(what)?;
        out.extend(BASE64.decode(&digits).map_err(|error| self.bad_code(&token, what, "base64", error))?);
        Ok(())
    }

    /// A domain name, with the origin behind it where it is relative.
    pub fn name(&mut self, what: &str, out: &mut Vec<u8>) -> TextResult<()> {
        let (token, text) = self.word(what)?;
        let start = out.len();
        match read_name(text, self.origin, out) {
            Ok(Written::Relative { length }) if self.is_input && usize::from(out[start]) + 1 < length && !is_address(text) => {
                let (name, origin) = (shown(text), NameBuf::read(self.origin).map(|origin| origin.to_string()).unwrap_or_default());
                let message = format!("{} of several labels has no final dot: `{name}`", of(what, self.rtype));
                return Err(TextError::new(token.spot, message, format!("write `{name}.` or `{name}.{origin}`")));
            }
            Ok(Written::Relative { length }) if self.has_bare_targets && usize::from(out[start]) + 1 < length && !is_address(text) => {
                out.truncate(start + length);
                out.push(0);
                self.completed.get_or_insert(token);
            }
            Ok(Written::Relative { length }) if repeats_origin(&out[start..start + length], self.origin) => {
                self.without_dot.get_or_insert(token);
            }
            Ok(_) => {}
            Err(error) => {
                return Err(TextError::new(token.spot, format!("{} is not a name: {error}", quote(text)), ""));
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
    pub fn string(&mut self, what: &str, out: &mut Vec<u8>) -> TextResult<()> {
        let (token, text) = self.next(what)?;
        let length_at = out.len();
        out.push(0);
        unescape_into(text, out).map_err(|()| self.bad_escape(&token))?;
        let length = out.len() - length_at - 1;
        out[length_at] = u8::try_from(length).map_err(|_| {
            let what = of(what, self.rtype);
            TextError::new(token.spot, format!("{what} has {length} octets, a string holds 255"), "write it as several quoted strings")
        })?;
        Ok(())
    }

    /// One token as character-strings: exporters and people put the whole of a long text between one pair of quotes.
    pub fn strings(&mut self, what: &str, out: &mut Vec<u8>) -> TextResult<()> {
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
    pub fn rest(&mut self, what: &str) -> TextResult<(Token, Vec<u8>)> {
        let (first, text) = self.word(what)?;
        let mut all = text.to_vec();
        while !self.is_empty() {
            all.extend_from_slice(self.word(what)?.1);
        }
        Ok((first, all))
    }

    /// A number up to `max`, or a mnemonic of `table`.
    pub fn mnemonic(&mut self, what: &str, table: &[(&str, u32)], max: u32) -> TextResult<u32> {
        let (token, text) = self.word(what)?;
        if let Some((_, value)) = table.iter().find(|(name, _)| name.as_bytes().eq_ignore_ascii_case(text)) {
            return Ok(*value);
        }
        decimal(text)
            .filter(|value| *value <= max)
            .ok_or_else(|| self.wrong(&token, what, format!("a number from 0 to {max} or a mnemonic is expected")))
    }

    /// Appends octets with their length before them.
    pub fn counted(&self, token: &Token, what: &str, octets: &[u8], out: &mut Vec<u8>) -> TextResult<()> {
        out.push(u8::try_from(octets.len()).map_err(|_| self.wrong(token, what, "at most 255 octets fit"))?);
        out.extend_from_slice(octets);
        Ok(())
    }

    /// Returns the error for an escape that is none.
    pub fn bad_escape(&self, token: &Token) -> Box<TextError> {
        TextError::new(
            token.spot,
            format!("{} has a bad escape", quote(token.raw(self.text))),
            "`\\` is followed by three digits up to 255, or by one other character",
        )
    }

    pub fn bad_code(&self, token: &Token, what: &str, code: &str, error: data_encoding::DecodeError) -> Box<TextError> {
        let why = match error.kind {
            data_encoding::DecodeKind::Length => "their number is wrong",
            data_encoding::DecodeKind::Symbol => "a character is not one of them",
            data_encoding::DecodeKind::Trailing => "the last one has bits too many",
            data_encoding::DecodeKind::Padding => "the padding is wrong",
        };
        TextError::new(token.spot, format!("{} is not {code}: {why}", of(what, self.rtype)), "")
    }

    fn bad_v4(&self, token: &Token, text: &[u8]) -> Box<TextError> {
        let help = if parse::<Ipv6Addr>(text).is_some() {
            "an IPv6 address goes into an AAAA record"
        } else {
            "four numbers from 0 to 255 are expected, as in 10.20.1.4"
        };
        TextError::new(token.spot, format!("`{}` is not an IPv4 address", shown(text)), help)
    }

    fn bad_v6(&self, token: &Token, text: &[u8]) -> Box<TextError> {
        let help = if parse::<Ipv4Addr>(text).is_some() {
            "an IPv4 address goes into an A record"
        } else {
            "an address as in 2001:db8::1 is expected"
        };
        TextError::new(token.spot, format!("`{}` is not an IPv6 address", shown(text)), help)
    }
}
