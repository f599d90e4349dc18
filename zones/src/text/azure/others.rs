//! JSON of other servers: `Get-DnsServerResourceRecord | ConvertTo-Json` of Windows DNS, and `list-resource-record-sets` of Route 53.

use std::borrow::Cow;

use super::super::json::{JsonKind, JsonValue};
use super::super::rdata::{read_rdata, type_code};
use super::super::report::{TextResult, shown};
use super::{Object, Walk};
use crate::name::NameBuf;
use crate::record::RecordRef;

/// Type, and the members of `RecordData` in the order of the zone file form.
static WINDOWS: [(&str, &[&str]); 8] = [
    ("A", &["IPv4Address"]),
    ("AAAA", &["IPv6Address"]),
    ("CNAME", &["HostNameAlias"]),
    ("PTR", &["PtrDomainName"]),
    ("NS", &["NameServer"]),
    ("MX", &["Preference", "MailExchange"]),
    ("SRV", &["Priority", "Weight", "Port", "DomainName"]),
    ("SOA", &["PrimaryServer", "ResponsiblePerson", "SerialNumber", "RefreshInterval", "RetryDelay", "ExpireLimit", "MinimumTimeToLive"]),
];

/// Members of `RecordData` that are time spans. In others, such as the text of a TXT record, colons have no meaning.
const DURATIONS: [&str; 4] = ["RefreshInterval", "RetryDelay", "ExpireLimit", "MinimumTimeToLive"];

impl Walk<'_> {
    /// A record of Windows DNS.
    pub(super) fn windows_record(&mut self, object: &Object<'_>) {
        if let Err(bad) = self.try_windows_record(object) {
            self.error(*bad);
        }
    }

    fn try_windows_record(&mut self, object: &Object<'_>) -> TextResult<()> {
        let mnemonic = object.text("recordType").unwrap_or_default().to_ascii_uppercase();
        let members = WINDOWS.iter().find(|(name, _)| *name == mnemonic).map(|(_, members)| *members);
        if members.is_none() && mnemonic != "TXT" {
            self.unused.add(&format!("Windows record of type {}", shown(mnemonic.as_bytes())), object.at);
            return Ok(());
        }
        let Some(host) = object.get("hostName") else { return Err(self.bad(object.at, "`HostName` is missing", "")) };
        let Some(data) = object.get("recordData") else { return Err(self.bad(object.at, "`RecordData` is missing", "")) };
        let owner = self.windows_owner(object, host)?;
        let ttl = object.get("timeToLive").map(|value| self.duration(value, "TimeToLive")).transpose()?;
        let inside = Object::of(data).ok_or_else(|| self.shape(data, "RecordData", "an object"))?;
        let rdata = match members {
            None => {
                let (text, _) = self.windows_member(&inside, "DescriptiveText")?;
                let mut out = Vec::new();
                text.as_bytes().chunks(255).for_each(|part| {
                    out.push(part.len() as u8);
                    out.extend_from_slice(part);
                });
                if out.is_empty() { vec![0] } else { out }
            }
            Some(members) => {
                let words: TextResult<Vec<_>> = members.iter().map(|name| Ok(self.windows_member(&inside, name)?.0)).collect();
                let code = type_code(&mnemonic).unwrap_or_default();
                let root = NameBuf::root();
                read_rdata(code, &words?.join(" "), &root).map_err(|error| self.bad(data.at, error, ""))?
            }
        };
        let at = self.lines.spot(host.at).position(self.text);
        let rtype = type_code(&mnemonic).unwrap_or_default();
        self.sink.record(RecordRef { owner: &owner, rtype, ttl, rdata: &rdata, at });
        self.read.records += 1;
        Ok(())
    }

    /// The owner: its zone is in `DistinguishedName` of a zone in Active Directory. Otherwise it is that of the file.
    fn windows_owner(&self, object: &Object<'_>, host: &JsonValue<'_>) -> TextResult<NameBuf> {
        let mut parts = object.text("distinguishedName").unwrap_or_default().split(',').filter_map(|part| part.trim().get(3..));
        let zone = parts.nth(1).or(object.text("zoneName"));
        match zone {
            Some(zone) => super::record_set::name_in(self, host, zone.trim_start_matches("..")),
            None => super::record_set::name_in(self, host, self.origin.without_dot().to_string().as_str()),
        }
    }

    /// A value of `RecordData` as text, and its place. An address may be an object, and properties may be listed.
    fn windows_member<'v>(&self, data: &Object<'v>, name: &str) -> TextResult<(Cow<'v, str>, u32)> {
        if let Some(value) = data.get(name) {
            if let Some(object) = Object::of(value) {
                if let Some(text) = object.text("ipAddressToString") {
                    return Ok((text.into(), value.at));
                }
                return Ok((self.duration(value, name)?.to_string().into(), value.at));
            }
            return match &value.kind {
                JsonKind::String(text) if DURATIONS.contains(&name) && text.contains(':') && text.split([':', '.']).all(is_decimal) => {
                    Ok((self.duration(value, name)?.to_string().into(), value.at))
                }
                JsonKind::String(text) => Ok((text.clone(), value.at)),
                JsonKind::Number(text) => Ok(((*text).into(), value.at)),
                _ => Err(self.shape(value, name, "a string")),
            };
        }
        for property in data.list("cimInstanceProperties") {
            match &property.kind {
                JsonKind::Object(_) => {
                    let property = Object::of(property).filter(|property| property.text("name") == Some(name));
                    if let Some(JsonValue { at, kind: JsonKind::String(text) }) = property.and_then(|property| property.get("value")) {
                        return Ok((text.clone(), *at));
                    }
                }
                // The form in which PowerShell writes a property below its depth: `IPv4Address = "10.0.0.1"`.
                JsonKind::String(text) => {
                    let value = text.strip_prefix(name).and_then(|rest| rest.trim_start().strip_prefix('='));
                    if let Some(value) = value {
                        return Ok((value.trim().trim_matches('"').to_owned().into(), property.at));
                    }
                }
                _ => {}
            }
        }
        Err(self.bad(data.at, format!("`RecordData` lacks `{name}`"), "use `ConvertTo-Json -Depth 5`"))
    }

    /// Seconds of a time span: an object with `TotalSeconds`, `hh:mm:ss`, or a number.
    fn duration(&self, value: &JsonValue<'_>, what: &str) -> TextResult<u32> {
        if let Some(seconds) = Object::of(value).and_then(|object| object.get("totalSeconds")) {
            return match &seconds.kind {
                JsonKind::Number(text) => {
                    let whole = text.split_once('.').filter(|(_, fraction)| fraction.bytes().all(|byte| byte == b'0'));
                    self.number(
                        &JsonValue { at: seconds.at, kind: JsonKind::Number(whole.map_or(text, |(whole, _)| whole)) },
                        what,
                        u32::MAX,
                    )
                }
                _ => self.number(seconds, what, u32::MAX),
            };
        }
        if let JsonKind::String(text) = &value.kind {
            let (days, clock) = text.rsplit_once('.').unwrap_or(("0", text));
            let parts: Vec<u64> = clock.split(':').filter_map(|part| part.parse().ok()).collect();
            if let ([hours, minutes, seconds], Ok(days)) = (&parts[..], days.parse::<u64>())
                && [days, *hours, *minutes, *seconds].iter().all(|part| *part <= 1 << 20)
            {
                return Ok((days * 86400 + hours * 3600 + minutes * 60 + seconds).min(u64::from(u32::MAX)) as u32);
            }
        }
        self.number(value, what, u32::MAX)
    }

    /// A record set of Route 53.
    pub(super) fn route53(&mut self, object: &Object<'_>) {
        if let Err(bad) = self.try_route53(object) {
            self.error(*bad);
        }
    }

    fn try_route53(&mut self, object: &Object<'_>) -> TextResult<()> {
        if object.has("aliasTarget") {
            self.unused.add("Route 53 alias record set", object.at);
            return Ok(());
        }
        if object.has("setIdentifier") {
            self.unused.add("Route 53 record set with a routing policy", object.at);
            return Ok(());
        }
        let Some(written) = object.get("name") else { return Err(self.bad(object.at, "`Name` is missing", "")) };
        let mnemonic = object.text("type").unwrap_or_default();
        let Some(rtype) = type_code(mnemonic) else {
            return Err(self.bad(object.at, format!("`{}` is not a type", shown(mnemonic.as_bytes())), ""));
        };
        let JsonKind::String(text) = &written.kind else { return Err(self.shape(written, "Name", "a name")) };
        let plain = JsonValue { at: written.at, kind: JsonKind::String(unescape_octal(text).into()) };
        let (owner, at) = self.name(&plain, "Name")?;
        let ttl = object.get("ttl").map(|value| self.number(value, "TTL", i32::MAX as u32)).transpose()?;
        let at = self.lines.spot(at).position(self.text);
        for item in object.list("resourceRecords") {
            let value = Object::of(item).and_then(|item| item.get("value")).unwrap_or(item);
            let JsonKind::String(text) = &value.kind else { return Err(self.shape(value, "Value", "a string")) };
            let root = NameBuf::root();
            let rdata = read_rdata(rtype, text, &root).map_err(|error| self.bad(value.at, error, ""))?;
            self.sink.record(RecordRef { owner: &owner, rtype, ttl, rdata: &rdata, at });
            self.read.records += 1;
        }
        Ok(())
    }
}

fn is_decimal(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Route 53 writes octets of names as `\052` in octal, where zone files are decimal.
fn unescape_octal(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let digits = rest.get(at + 1..at + 4).filter(|digits| digits.bytes().all(|byte| (b'0'..=b'7').contains(&byte)));
        match digits.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(b'*') => out.push('*'),
            Some(octet) => out.push_str(&format!("\\{octet:03}")),
            None => {
                out.push('\\');
                rest = &rest[at + 1..];
                continue;
            }
        }
        rest = &rest[at + 4..];
    }
    out.push_str(rest);
    out
}
