//! How a zone is named in a path.
//!
//! PowerDNS writes an id as the name with its final dot, and `=` with two hexadecimal digits for what is no letter, digit, dot or hyphen;
//! clients leave the dot out, write other characters so too, or escape with `%`, which the path's reader has taken back already. Where
//! several zones have one name, `@` and a network stand behind it: `contoso.test.@hub`.

use postern_zones::edit::ZoneRef;
use postern_zones::name::NameBuf;

use super::fault::PowerDnsError;

/// The zone that an id means; `%` escapes are taken back already.
pub fn read(id: &str) -> Result<ZoneRef, PowerDnsError> {
    let text = unescape(id)?;
    let (name, network) = text.split_once('@').map_or((&*text, None), |(name, network)| (name, Some(network)));
    let name = read_name(name)?;
    // Clients put a final dot behind whatever they take for a name.
    Ok(ZoneRef { name, network: network.map(|network| network.trim_end_matches('.').to_owned()) })
}

/// A zone's name as the store has it: lower case, without final dot.
pub fn read_name(text: &str) -> Result<String, PowerDnsError> {
    let name = NameBuf::parse(text).ok().filter(|_| !text.is_empty());
    let name = name.ok_or_else(|| PowerDnsError::invalid(format!("Unable to parse DNS Name '{text}'")))?.to_string();
    Ok(if name == "." { name } else { name.trim_end_matches('.').to_owned() })
}

/// The id of a zone; `network` only where the name alone means several.
pub fn write(name: &str, network: Option<&str>) -> String {
    let mut id = String::new();
    if name == "." {
        id.push_str("=2E"); // a path has no segment of one dot
    } else {
        escape(name, &mut id);
        id.push('.');
    }
    if let Some(network) = network {
        id.push('@');
        escape(network, &mut id);
    }
    id
}

fn escape(text: &str, out: &mut String) {
    for octet in text.bytes() {
        match octet {
            b'.' | b'-' => out.push(char::from(octet)),
            _ if octet.is_ascii_alphanumeric() => out.push(char::from(octet)),
            _ => out.push_str(&format!("={octet:02X}")),
        }
    }
}

fn unescape(id: &str) -> Result<String, PowerDnsError> {
    let mut octets = Vec::with_capacity(id.len());
    let mut rest = id.bytes();
    while let Some(octet) = rest.next() {
        let mut digit = || char::from(rest.next()?).to_digit(16);
        octets.push(match octet {
            b'=' => match (digit(), digit()) {
                (Some(high), Some(low)) => (high * 16 + low) as u8,
                _ => return Err(PowerDnsError::bad_request("an `=` in a zone id is followed by two hexadecimal digits")),
            },
            _ => octet,
        });
    }
    String::from_utf8(octets).map_err(|_| PowerDnsError::bad_request("a zone id is UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rule_1_ids_come_with_and_without_final_dot_escaped_and_in_any_letter_case() {
        for (id, name, network) in [
            ("contoso.test.", "contoso.test", None),
            ("contoso.test", "contoso.test", None),
            ("Contoso.TEST.", "contoso.test", None),
            ("contoso=2Etest=2E", "contoso.test", None),
            ("contoso=2etest", "contoso.test", None),
            ("0=2F25.2.0.192.in-addr.arpa.", "0/25.2.0.192.in-addr.arpa", None),
            ("0/25.2.0.192.in-addr.arpa", "0/25.2.0.192.in-addr.arpa", None),
            ("=5Fdmarc.contoso.test", "_dmarc.contoso.test", None),
            ("=2E", ".", None),
            ("contoso.test.@hub", "contoso.test", Some("hub")),
            ("contoso.test@hub.", "contoso.test", Some("hub")),
            ("contoso.test.=40hub", "contoso.test", Some("hub")),
        ] {
            assert_eq!(read(id).unwrap(), ZoneRef { name: name.into(), network: network.map(Into::into) }, "{id}");
        }
    }

    #[test]
    fn rule_1_ids_go_out_with_the_final_dot_and_mean_the_same_zone() {
        for (name, network, id) in [
            ("contoso.test", None, "contoso.test."),
            ("0/25.2.0.192.in-addr.arpa", None, "0=2F25.2.0.192.in-addr.arpa."),
            ("_dmarc.contoso.test", None, "=5Fdmarc.contoso.test."),
            (".", None, "=2E"),
            ("contoso.test", Some("hub_1"), "contoso.test.@hub=5F1"),
        ] {
            assert_eq!(write(name, network), id);
            assert_eq!(read(id).unwrap(), ZoneRef { name: name.into(), network: network.map(Into::into) });
        }
    }

    #[test]
    fn what_is_no_name_is_refused_in_words() {
        for (id, status, message) in [
            ("x..y", 422, "Unable to parse DNS Name 'x..y'"),
            ("", 422, "Unable to parse DNS Name ''"),
            ("contoso=2", 400, "an `=` in a zone id is followed by two hexadecimal digits"),
            ("contoso=zz", 400, "an `=` in a zone id is followed by two hexadecimal digits"),
        ] {
            let fault = read(id).unwrap_err();
            assert_eq!((fault.status.as_u16(), fault.message.as_str()), (status, message));
        }
    }
}
