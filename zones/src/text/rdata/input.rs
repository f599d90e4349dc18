//! RDATA that a client of an API or a user of a command writes: one value by itself, not a line of a zone file.
//!
//! It differs from a zone file where habits of zone files would change data silently:
//!
//! * A name of one label is relative to the zone, and a name with a final dot is absolute. Any other name may be meant either way and is
//!   rejected with both spellings.
//! * Text without quotes is one string, with its blanks and semicolons.
//! * `;` starts no comment.

use super::super::lexer::{Lexer, Line, Token};
use super::fields::Fields;
use super::read::read_fields;
use super::values::unescape_into;
use super::{Field, is_meta, layout, type_name};
use crate::name::NameBuf;

/// Octets of the longest character-string (RFC 1035 section 3.3).
const LONGEST_STRING: usize = 255;

/// Reads the RDATA of one record of `zone`. The error is a sentence for people.
pub fn read_input(rtype: u16, text: &str, zone: &NameBuf) -> Result<Vec<u8>, String> {
    if is_meta(rtype) {
        return Err(format!("{} is not a type of zone data", type_name(rtype)));
    }
    let is_text = layout(rtype).is_some_and(|layout| matches!(layout.fields, [Field::Texts]));
    let trimmed = text.trim();
    if is_text && !trimmed.is_empty() && !trimmed.starts_with('"') && !trimmed.starts_with("\\#") {
        return read_text(trimmed, &type_name(rtype));
    }
    let bytes = text.as_bytes();
    let mut lexer = Lexer::new(bytes);
    let mut tokens = Vec::new();
    if let Line::Bad(bad) = lexer.entry(&mut tokens) {
        return Err(bad.to_text());
    }
    if !matches!(lexer.entry(&mut Vec::new()), Line::End) {
        return Err("more than one line".into());
    }
    if has_comment(bytes, &tokens) {
        return Err("`;` starts no comment here (write it between quotes if it belongs to the value)".into());
    }
    let mut out = Vec::new();
    let mut fields = Fields::new(bytes, &tokens, zone.as_wire(), rtype, lexer.spot());
    fields.is_input = true;
    read_fields(&mut fields, &mut out).map(|()| out).map_err(|bad| bad.to_text())
}

/// Text without quotes: one string, which is several on the wire if it is long. Escapes count as in a zone file.
fn read_text(text: &str, mnemonic: &str) -> Result<Vec<u8>, String> {
    if text.contains(['\n', '\r']) {
        return Err("more than one line".into());
    }
    let mut octets = Vec::new();
    unescape_into(text.as_bytes(), &mut octets).map_err(|()| "`\\` is followed by three digits up to 255, or by one other character")?;
    if has_bare_quote(text) {
        return Err(format!("a quote within text (put all text of {mnemonic} between quotes, or write `\\\"`)"));
    }
    let strings = octets.chunks(LONGEST_STRING);
    let wire: Vec<u8> = strings.flat_map(|part| std::iter::once(part.len() as u8).chain(part.iter().copied())).collect();
    if wire.len() > usize::from(u16::MAX) {
        return Err("RDATA of more than 65535 octets".into());
    }
    Ok(wire)
}

fn has_bare_quote(text: &str) -> bool {
    let mut is_escaped = false;
    text.bytes().any(|octet| {
        let is_bare = octet == b'"' && !is_escaped;
        is_escaped = octet == b'\\' && !is_escaped;
        is_bare
    })
}

/// True if there is a `;` that belongs to no token.
fn has_comment(text: &[u8], tokens: &[Token]) -> bool {
    let is_in_token = |at: usize| tokens.iter().any(|token| (token.spot.at as usize..token.end as usize).contains(&at));
    text.iter().enumerate().any(|(at, octet)| *octet == b';' && !is_in_token(at))
}

#[cfg(test)]
mod tests {
    use super::super::{type_code, write_rdata};
    use super::*;

    fn read(rtype: &str, text: &str) -> Result<String, String> {
        let rtype = type_code(rtype).unwrap();
        let rdata = read_input(rtype, text, &NameBuf::parse("corp.contoso.test").unwrap())?;
        let mut written = String::new();
        write_rdata(rtype, &rdata, &mut written).unwrap();
        Ok(written)
    }

    #[test]
    fn a_name_of_one_label_is_relative_and_one_with_a_final_dot_is_absolute() {
        for (rtype, text, want) in [
            ("CNAME", "app", "app.corp.contoso.test."),
            ("CNAME", "app.", "app."),
            ("CNAME", "@", "corp.contoso.test."),
            ("CNAME", "a\\.b", "a\\.b.corp.contoso.test."),
            ("CNAME", "www.fabrikam.test.", "www.fabrikam.test."),
            ("MX", "10 mail", "10 mail.corp.contoso.test."),
            ("MX", "0 .", "0 ."),
            ("SRV", "0 5 443 dc", "0 5 443 dc.corp.contoso.test."),
            ("NS", "ns1", "ns1.corp.contoso.test."),
            ("PTR", "host", "host.corp.contoso.test."),
            ("HTTPS", "1 svc alpn=h2", "1 svc.corp.contoso.test. alpn=\"h2\""),
            ("HTTPS", "1 . alpn=h2", "1 . alpn=\"h2\""),
            ("SOA", "ns1 hostmaster 1 2 3 4 5", "ns1.corp.contoso.test. hostmaster.corp.contoso.test. 1 2 3 4 5"),
        ] {
            assert_eq!(read(rtype, text), Ok(want.into()), "{rtype} {text}");
        }
    }

    #[test]
    fn a_name_that_may_be_meant_either_way_is_rejected_with_both_spellings() {
        for (rtype, text, name) in [
            ("CNAME", "www.fabrikam.test", "www.fabrikam.test"),
            ("CNAME", "app.corp.contoso.test", "app.corp.contoso.test"),
            ("MX", "10 mail.fabrikam.test", "mail.fabrikam.test"),
            ("SRV", "0 5 443 dc.site", "dc.site"),
            ("NS", "ns1.fabrikam.test", "ns1.fabrikam.test"),
            ("PTR", "host.contoso.test", "host.contoso.test"),
            ("SVCB", "1 svc.test port=443", "svc.test"),
            ("SOA", "ns1. hostmaster.contoso.test 1 2 3 4 5", "hostmaster.contoso.test"),
            ("NAPTR", "1 1 \"s\" \"x\" \"\" a.b", "a.b"),
            ("RP", "a.b .", "a.b"),
        ] {
            let error = read(rtype, text).unwrap_err();
            let both = format!("write `{name}.` or `{name}.corp.contoso.test.`");
            assert!(error.contains(&both), "{rtype} {text}: {error}");
        }
    }

    #[test]
    fn text_without_quotes_is_one_string() {
        let long = "x".repeat(300);
        let split = format!("\"{}\" \"{}\"", "x".repeat(255), "x".repeat(45));
        for (text, want) in [
            ("v=DMARC1; p=none", "\"v=DMARC1; p=none\""),
            ("v=DMARC1\\; p=none", "\"v=DMARC1; p=none\""),
            ("  v=spf1  include:spf.contoso.test -all ", "\"v=spf1  include:spf.contoso.test -all\""),
            ("(a) b=\\\"c\\\"", "\"(a) b=\\\"c\\\"\""),
            ("\"a b\" \"c\"", "\"a b\" \"c\""),
            ("\"a;b\"", "\"a;b\""),
            ("\"\"", "\"\""),
            ("\\# 2 0161", "\"a\""),
            (&long, &split),
        ] {
            assert_eq!(read("TXT", text), Ok(want.into()), "{text}");
        }
        assert_eq!(read("SPF", "v=spf1 -all"), Ok("\"v=spf1 -all\"".into()));
        for text in ["", "  ", "a \"b\"", "a\nb", "a\\", "a\\999", "\"a\" ; b"] {
            assert!(read("TXT", text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_semicolon_starts_no_comment() {
        for (rtype, text) in [("A", "10.0.0.1 ; web"), ("CAA", "0 issue ca.test; account=1"), ("MX", "10 mail;"), ("CNAME", "; app")] {
            let error = read(rtype, text).unwrap_err();
            assert!(error.contains("`;` starts no comment"), "{rtype} {text}: {error}");
        }
        assert_eq!(read("CAA", "0 issue \"ca.test; account=1\""), Ok("0 issue \"ca.test; account=1\"".into()));
    }
}
