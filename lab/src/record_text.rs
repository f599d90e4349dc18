//! Names and records as text.

use std::str::FromStr;

use hickory_proto::rr::rdata::CNAME;
use hickory_proto::rr::{Name, RData, Record, RecordType};

/// TTL in seconds of a record without one.
const DEFAULT_TTL: u32 = 60;

/// Parses an absolute name. The final dot is optional.
pub(crate) fn absolute(text: &str) -> Result<Name, String> {
    let mut name = Name::from_ascii(text).map_err(|error| format!("`{text}` is not a domain name: {error}"))?.to_lowercase();
    name.set_fqdn(true);
    Ok(name)
}

/// Parses one record, written `owner [TTL] [IN] TYPE data`.
pub(crate) fn read_record(line: &str) -> Result<Record, String> {
    let (owner, ttl, kind, data) = fields(line)?;
    Ok(Record::from_rdata(owner, ttl, rdata(kind, data)?))
}

/// Splits a record into its owner, TTL, type and data.
pub(crate) fn fields(line: &str) -> Result<(Name, u32, RecordType, &str), String> {
    let (owner, rest) = word(line);
    let owner = absolute(owner)?;
    let (mut token, mut rest) = word(rest);
    let mut ttl = DEFAULT_TTL;
    if token.starts_with(|first: char| first.is_ascii_digit()) {
        ttl = token.parse().map_err(|_| format!("`{token}` is not a TTL in seconds"))?;
        (token, rest) = word(rest);
    }
    if token.eq_ignore_ascii_case("IN") {
        (token, rest) = word(rest);
    }
    let kind = record_type(token)?;
    if rest.is_empty() {
        return Err(format!("no data behind {kind}: a record is `owner [TTL] TYPE data`"));
    }
    Ok((owner, ttl, kind, rest))
}

pub(crate) fn rdata(kind: RecordType, text: &str) -> Result<RData, String> {
    // For hickory, a name without a final dot is relative. Here every name is absolute.
    if kind == RecordType::CNAME {
        return Ok(RData::CNAME(CNAME(absolute(text)?)));
    }
    RData::try_from_str(kind, text).map_err(|error| format!("`{text}` is not the data of {kind}: {error}"))
}

fn word(text: &str) -> (&str, &str) {
    let text = text.trim();
    let (first, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    (first, rest.trim_start())
}

pub(crate) fn record_type(text: &str) -> Result<RecordType, String> {
    RecordType::from_str(&text.to_ascii_uppercase()).map_err(|_| format!("`{text}` is not a record type"))
}
