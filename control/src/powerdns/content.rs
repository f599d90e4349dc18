//! The `content` of a record: RDATA as clients of PowerDNS write it, and back.
//!
//! Clients compare what they wrote with what they read, octet by octet, so what is written in another way than we would write it is either
//! refused, as PowerDNS does ("Not in expected format"), or kept as it is beside the wire form (`RecordContent::written`).

use postern_zones::name::NameBuf;
use postern_zones::text::rdata::{read_rdata, write_rdata};
use postern_zones::zone::rtype;

/// RDATA in both forms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordContent {
    /// Uncompressed wire form.
    pub rdata: Box<[u8]>,
    /// As the client wrote it, where that is not as [`write`] does it.
    pub written: Option<String>,
}

/// Types whose presentation format is free enough (quotes, units, orders) that other spellings than ours are kept, not refused.
#[rustfmt::skip]
const FREE: [u16; 17] = [
    rtype::WKS, rtype::NSAP, rtype::LOC, rtype::NAPTR, rtype::CERT, rtype::APL, rtype::IPSECKEY, rtype::DNSKEY, rtype::HIP,
    rtype::CDNSKEY, rtype::OPENPGPKEY, rtype::SVCB, rtype::HTTPS, rtype::DSYNC, rtype::URI, rtype::CAA, rtype::AMTRELAY,
];
/// Types with hexadecimal digits, which PowerDNS gives in lower case.
#[rustfmt::skip]
const HEXADECIMAL: [u16; 12] = [
    rtype::DS, rtype::SSHFP, rtype::NSEC3PARAM, rtype::TLSA, rtype::SMIMEA, rtype::CDS, rtype::ZONEMD, rtype::EUI48, rtype::EUI64,
    rtype::EID, rtype::TA, rtype::DLV,
];

/// Reads the content of a record. The error is what is wrong with it, for behind "Record name/TYPE 'content': ".
pub fn read(rtype: u16, text: &str) -> Result<RecordContent, String> {
    if matches!(rtype, rtype::TXT | rtype::SPF) {
        return read_strings(text);
    }
    let rdata = read_rdata(rtype, text, &NameBuf::root()).map_err(|error| format!("Parsing record content: {error}"))?;
    let canonical = write(rtype, &rdata);
    let unexpected = || format!("Not in expected format (parsed as '{canonical}')");
    if canonical.eq_ignore_ascii_case(text) {
        let written = (canonical != text && rtype != rtype::AAAA).then(|| text.to_owned());
        return Ok(RecordContent { rdata: rdata.into(), written });
    }
    // A name without its final dot means another name below another origin.
    let below = NameBuf::parse("below").map_err(|error| error.to_string())?;
    let is_absolute = read_rdata(rtype, text, &below).is_ok_and(|below| below == rdata);
    let is_trim = text.trim() == text && !text.contains(['\n', '\t', '(', ')', ';']);
    match rtype {
        // Taken, and given back in the form of RFC 5952.
        rtype::AAAA if is_trim => Ok(RecordContent { rdata: rdata.into(), written: None }),
        _ if FREE.contains(&rtype) && is_absolute && is_trim => Ok(RecordContent { rdata: rdata.into(), written: Some(text.to_owned()) }),
        _ => Err(unexpected()),
    }
}

/// RDATA as text; octets that are no RDATA of the type in RFC 3597's form.
pub fn write(rtype: u16, rdata: &[u8]) -> String {
    let mut text = String::new();
    if write_rdata(rtype, rdata, &mut text).is_err() {
        text = format!("\\# {} {}", rdata.len(), data_encoding::HEXLOWER.encode(rdata));
    }
    if HEXADECIMAL.contains(&rtype) || text.starts_with("\\#") {
        text.make_ascii_lowercase();
    }
    text
}

/// Character-strings between quotes with one space between. One that is longer than 255 octets is several on the wire, and stays one in
/// writing.
fn read_strings(text: &str) -> Result<RecordContent, String> {
    let mut rdata = Vec::new();
    let mut rest = text.as_bytes();
    loop {
        let expected = |rdata: &[u8]| match read_rdata(rtype::TXT, text, &NameBuf::root()) {
            Ok(parsed) => format!("Not in expected format (parsed as '{}')", write(rtype::TXT, &parsed)),
            Err(error) => format!("Parsing record content: {error} after {} octets", rdata.len()),
        };
        let (octets, behind) = rest.strip_prefix(b"\"").and_then(read_string).ok_or_else(|| expected(&rdata))?;
        if octets.is_empty() {
            rdata.push(0);
        }
        for part in octets.chunks(255) {
            rdata.push(part.len() as u8);
            rdata.extend_from_slice(part);
        }
        match behind {
            [] => break,
            [b' ', more @ ..] if more.starts_with(b"\"") => rest = more,
            _ => return Err(expected(&rdata)),
        }
    }
    let written = (write(rtype::TXT, &rdata) != text).then(|| text.to_owned());
    Ok(RecordContent { rdata: rdata.into(), written })
}

/// The octets up to the closing quote, and what stands behind it.
fn read_string(mut rest: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut octets = Vec::new();
    loop {
        match rest {
            [b'"', behind @ ..] => return Some((octets, behind)),
            [b'\\', a @ b'0'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', more @ ..] => {
                let digit = |octet: &u8| u32::from(octet - b'0');
                octets.push(u8::try_from(digit(a) * 100 + digit(b) * 10 + digit(c)).ok()?);
                rest = more;
            }
            [b'\\', octet, more @ ..] if !octet.is_ascii_digit() => {
                octets.push(*octet);
                rest = more;
            }
            [b'\\', ..] | [] => return None,
            [octet, more @ ..] => {
                octets.push(*octet);
                rest = more;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use postern_zones::text::rdata::type_code;

    use super::*;

    /// The content as it is read back.
    fn back(rtype: &str, text: &str) -> Result<String, String> {
        let rtype = type_code(rtype).unwrap();
        read(rtype, text).map(|content| content.written.unwrap_or_else(|| write(rtype, &content.rdata)))
    }

    #[test]
    fn rule_8_txt_is_read_back_as_it_was_written() {
        let long = format!("\"{}\"", "x".repeat(300));
        for text in [
            "\"plain\"",
            "\"\"",
            "\"a\" \"b\"",
            "\"a  b\"",
            "\"a;b\"",
            "\"a\\;b\"",
            "\"say \\\"hi\\\"\"",
            "\"back\\\\slash\"",
            "\"\\228\"",
            "\"ü\"",
            "\"v=DKIM1; p=MIG\" \"fMA0\"",
            &long,
        ] {
            assert_eq!(back("TXT", text), Ok(text.to_owned()));
            assert_eq!(back("SPF", text), Ok(text.to_owned()));
        }
        let content = read(rtype::TXT, &long).unwrap();
        assert_eq!((content.rdata.len(), content.rdata[0], content.rdata[256]), (302, 255, 45), "two strings on the wire");
    }

    #[test]
    fn rule_8_txt_that_is_not_quoted_exactly_is_refused() {
        for (text, parsed) in [
            ("plain", "\"plain\""),
            ("\"a\"\"b\"", "\"a\" \"b\""),
            ("\"a\" ", "\"a\""),
            (" \"a\"", "\"a\""),
            ("\"a\"  \"b\"", "\"a\" \"b\""),
            ("\"a\" b", "\"a\" \"b\""),
        ] {
            assert_eq!(back("TXT", text), Err(format!("Not in expected format (parsed as '{parsed}')")), "{text}");
        }
        for text in ["", "\"a", "\"\\25\"", "\"\\256\"", "\"a\\", "\"", "\\"] {
            assert!(back("TXT", text).is_err(), "{text}");
        }
    }

    #[test]
    fn content_that_other_clients_would_read_differently_is_refused() {
        for (rtype, text, parsed) in [
            ("CNAME", "x", "x."),
            ("MX", "10 mail", "10 mail."),
            ("MX", "10   mail.contoso.test.", "10 mail.contoso.test."),
            ("SRV", "0 5 443 h", "0 5 443 h."),
            ("A", " 10.0.0.1", "10.0.0.1"),
            ("A", "10.0.0.1 ", "10.0.0.1"),
        ] {
            assert_eq!(back(rtype, text), Err(format!("Not in expected format (parsed as '{parsed}')")), "{rtype} {text}");
        }
        for (rtype, text) in [
            ("A", ""),
            ("A", "999.1.1.1"),
            ("AAAA", "10.0.0.1"),
            ("MX", "mail.contoso.test."),
            ("HTTPS", "1 svc alpn=h2"),
            ("HINFO", "\"a"),
        ] {
            assert!(back(rtype, text).is_err(), "{rtype} {text}");
        }
    }

    #[test]
    fn content_that_powerdns_takes_is_read_back_as_it_was_written() {
        for (rtype, text) in [
            ("A", "10.0.0.1"),
            ("CNAME", "Host.Contoso.test."),
            ("MX", "10 ."),
            ("SRV", "0 5 443 h.contoso.test."),
            ("CAA", "0 issue \"ca.test\""),
            ("CAA", "0 ISSUE \"ca.test\""),
            ("HTTPS", "1 . alpn=h2 ipv4hint=10.0.0.1"),
            ("HTTPS", "1 . mandatory=alpn alpn=h2 no-default-alpn ech=\"AAAA\""),
            ("SVCB", "1 svc.contoso.test. port=443"),
            ("LOC", "51 56 0.123 N 5 54 0.000 E 4.00m 1.00m 10000.00m 10.00m"),
            ("DS", "12345 13 2 49FD46E6C4B45C55D4AC49FD46E6C4B45C55D4AC49FD46E6C4B45C55D4AC49FD"),
            ("SSHFP", "1 1 aa65e3415a50d9b3519c2b17aceb815fc2538d88"),
            ("TLSA", "3 1 1 0D6FCE13243AA7AA0D6FCE13243AA7AA0D6FCE13243AA7AA0D6FCE13243AA7AA"),
            ("NAPTR", "100 50 \"s\" \"z3950+I2L+I2C\" \"\" _z3950._tcp.contoso.test."),
            ("URI", "10 1 \"https://contoso.test/\""),
            ("HINFO", "\"cpu\" \"os\""),
            ("TYPE65400", "\\# 4 0A000001"),
            ("TYPE65400", "\\# 4 0a000001"),
            ("OPENPGPKEY", "AAAA"),
            ("CERT", "1 1 1 AAAA"),
            ("APL", "1:10.0.0.0/8"),
            ("EUI48", "00-00-5e-00-53-2a"),
        ] {
            assert_eq!(back(rtype, text), Ok(text.to_owned()), "{rtype} {text}");
        }
        for text in ["2001:db8:0:0:0:0:0:1", "2001:DB8::1"] {
            assert_eq!(back("AAAA", text), Ok("2001:db8::1".into()), "as PowerDNS does");
        }
    }
}
