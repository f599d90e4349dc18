//! What zone files of Windows DNS hold beside RFC 1035: the age of a record before its TTL, and lookups in WINS.

use super::super::lexer::{Form, Token};
use super::super::report::TextError;
use super::class_code;

/// Returns true for `[AGE:3634093]`: hours since 1601 until a client last refreshed the record, which only scavenging needs.
pub(super) fn is_age(word: &[u8]) -> bool {
    let inside = word.strip_prefix(b"[").and_then(|word| word.strip_suffix(b"]"));
    let digits = inside.and_then(|inside| inside.split_at_checked(4)).filter(|(key, _)| key.eq_ignore_ascii_case(b"AGE:"));
    digits.is_some_and(|(_, digits)| !digits.is_empty() && digits.iter().all(u8::is_ascii_digit))
}

/// The warning for a WINS or WINSR row, which is left out. None if the row, whose owner is not among `tokens`, is another.
pub(super) fn lookup_row(text: &[u8], tokens: &[Token]) -> Option<Box<TextError>> {
    let before_type = |word: &[u8]| word[0].is_ascii_digit() || is_age(word) || class_code(word).is_some();
    let token = tokens.iter().find(|token| token.form != Form::Plain || !before_type(token.raw(text)))?;
    let name = ["WINS", "WINSR"].into_iter().find(|name| token.is(text, name))?;
    let message = format!("{name} is a lookup of Windows DNS, no record of DNS: this row is left out");
    Some(TextError::new(token.spot, message, "clients that need the names found there get records of their own"))
}
