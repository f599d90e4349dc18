//! Record sets of a private DNS zone: the command line's, REST's, templates' and Terraform's.

use super::super::json::{JsonKind, JsonValue};
use super::super::names::{read_absolute, read_name};
use super::super::rdata::type_code;
use super::super::report::{TextResult, shown};
use super::{Object, Walk, segment};
use crate::name::NameBuf;
use crate::record::RecordRef;

/// Type, and the member that holds its records: a list, but for the types that can have one record only.
static MEMBERS: [(u16, &str); 10] = [
    (1, "aRecords"),
    (28, "aaaaRecords"),
    (5, "cnameRecord"),
    (15, "mxRecords"),
    (12, "ptrRecords"),
    (33, "srvRecords"),
    (16, "txtRecords"),
    (6, "soaRecord"),
    (2, "nsRecords"),
    (257, "caaRecords"),
];

/// The type of a record set; none: the object is not one. `kind` is its `type` in lower case.
pub(super) fn type_of(object: &Object<'_>, kind: &str) -> Option<u16> {
    let named = kind.strip_prefix("microsoft.network/privatednszones/").or_else(|| kind.strip_prefix("microsoft.network/dnszones/"));
    if let Some(rtype) = named.and_then(type_code) {
        return Some(rtype);
    }
    // Older command lines print every member, those of other types as null.
    MEMBERS.iter().find(|(_, member)| object.get(member).is_some()).map(|(rtype, _)| *rtype).or_else(|| powershell_type(object))
}

/// The type of a record set of `Get-AzPrivateDnsRecordSet`. Its `RecordType` may be a number that depends on the module, so a record shows it.
fn powershell_type(object: &Object<'_>) -> Option<u16> {
    const SHOWN_BY: [(&str, u16); 10] = [
        ("ipv4Address", 1),
        ("ipv6Address", 28),
        ("cname", 5),
        ("exchange", 15),
        ("ptrdname", 12),
        ("target", 33),
        ("serialNumber", 6),
        ("nsdname", 2),
        ("tag", 257),
        ("value", 16),
    ];
    if !object.has("recordType") || !object.has("zoneName") {
        return None;
    }
    let first = object.list("records").first().and_then(Object::of);
    let shown = first.and_then(|first| SHOWN_BY.iter().find(|(member, _)| first.has(member)).map(|(_, rtype)| *rtype));
    shown.or_else(|| type_code(object.text("recordType")?)).or(Some(1))
}

/// The type of `azurerm_private_dns_a_record` and its like, from what stands behind `azurerm_`.
pub(super) fn terraform_type(resource: &str) -> Option<u16> {
    type_code(resource.strip_prefix("private_dns_").or(resource.strip_prefix("dns_"))?.strip_suffix("_record")?)
}

/// A name relative to its zone; `@` is the zone.
pub(super) fn name_in(walk: &Walk<'_>, value: &JsonValue<'_>, zone: &str) -> TextResult<NameBuf> {
    let JsonKind::String(text) = &value.kind else {
        return Err(walk.shape(value, "name", "a name"));
    };
    let whole = if text == "@" { zone.to_owned() } else { format!("{text}.{zone}") };
    read_absolute(whole.as_bytes()).map_err(|error| walk.bad(value.at, format!("`{}` is not a name: {error}", shown(whole.as_bytes())), ""))
}

impl Walk<'_> {
    pub(super) fn record_set(&mut self, object: &Object<'_>, rtype: u16) {
        if let Err(bad) = self.try_record_set(object, rtype) {
            self.error(*bad);
        }
    }

    fn try_record_set(&mut self, object: &Object<'_>, rtype: u16) -> TextResult<()> {
        let Some((_, member)) = MEMBERS.iter().find(|(code, _)| *code == rtype) else {
            self.unused.add(&format!("record set of type {}", super::super::rdata::type_name(rtype)), object.at);
            return Ok(());
        };
        if object.get("targetResource").and_then(Object::of).is_some_and(|target| target.has("id")) {
            self.unused.add("alias record set", object.at);
            return Ok(());
        }
        let (owner, written) = self.owner(object)?;
        let ttl = object.get("ttl").map(|value| self.number(value, "ttl", i32::MAX as u32)).transpose()?;
        // Terraform calls them `records` and `record`, whatever the type.
        let Some(records) = object.get(member).or(object.get("records")).or(object.get("record")) else {
            self.empty = true;
            return Ok(());
        };
        let items = match &records.kind {
            JsonKind::Array(items) => &items[..],
            _ => std::slice::from_ref(records),
        };
        self.empty |= items.is_empty();
        let at = self.lines.spot(written).position(self.text);
        for item in items {
            let mut rdata = Vec::new();
            match self.rdata(rtype, item, &mut rdata) {
                Ok(()) => {
                    self.sink.record(RecordRef { owner: &owner, rtype, ttl, rdata: &rdata, at });
                    self.read.records += 1;
                }
                Err(bad) => self.error(*bad),
            }
        }
        Ok(())
    }

    /// Owner of a record set, and the place of what names it.
    fn owner(&self, object: &Object<'_>) -> TextResult<(NameBuf, u32)> {
        if let Some(fqdn) = object.get("fqdn") {
            return self.name(fqdn, "fqdn");
        }
        let help = "`fqdn`, `id` or `zone_name` tells the zone of a record set";
        let Some(value) = object.get("name") else {
            return Err(self.bad(object.at, "the record set has no name", help));
        };
        let id = object.text("id").unwrap_or_default();
        let zone =
            segment(id, "privateDnsZones").or(segment(id, "dnsZones")).or(object.text("zoneName")).or(object.text("privateDnsZoneName"));
        if let (Some(zone), JsonKind::String(text)) = (zone, &value.kind)
            && !text.contains('/')
        {
            return Ok((name_in(self, value, zone)?, value.at));
        }
        let JsonKind::String(text) = &value.kind else {
            return Err(self.shape(value, "name", "a name"));
        };
        if text.starts_with('[') {
            return Err(self.bad(
                value.at,
                "the name is an expression of a template",
                "give what was deployed: `az network private-dns record-set list`",
            ));
        }
        // A template names a record set `zone/record`.
        let Some((zone, name)) = text.split_once('/') else {
            return Err(self.bad(value.at, format!("the zone of `{}` is not told", shown(text.as_bytes())), help));
        };
        let whole = if name == "@" { zone.to_owned() } else { format!("{name}.{zone}") };
        let owner = read_absolute(whole.as_bytes());
        Ok((owner.map_err(|error| self.bad(value.at, format!("`{}` is not a name: {error}", shown(whole.as_bytes())), ""))?, value.at))
    }

    fn rdata(&self, rtype: u16, item: &JsonValue<'_>, out: &mut Vec<u8>) -> TextResult<()> {
        let object = Object::of(item);
        // Terraform gives the value itself where others give an object of one member.
        let only = |name: &str| match &object {
            Some(object) => object.get(name).ok_or_else(|| self.bad(item.at, format!("`{name}` is missing"), "")),
            None => Ok(item),
        };
        let member = |name: &str| match &object {
            Some(object) => object.get(name).ok_or_else(|| self.bad(item.at, format!("`{name}` is missing"), "")),
            None => Err(self.shape(item, "a record", "an object")),
        };
        let number = |name: &str, max: u32| self.number(member(name)?, name, max);
        match rtype {
            1 => out.extend(self.parsed::<std::net::Ipv4Addr>(only("ipv4Address")?, "an IPv4 address")?.octets()),
            28 => out.extend(self.parsed::<std::net::Ipv6Addr>(only("ipv6Address")?, "an IPv6 address")?.octets()),
            5 => self.target(only("cname")?, out)?,
            12 => self.target(only("ptrdname")?, out)?,
            2 => self.target(only("nsdname")?, out)?,
            15 => {
                out.extend((number("preference", 65535)? as u16).to_be_bytes());
                self.target(member("exchange")?, out)?;
            }
            33 => {
                for name in ["priority", "weight", "port"] {
                    out.extend((number(name, 65535)? as u16).to_be_bytes());
                }
                self.target(member("target")?, out)?;
            }
            16 => self.strings(only("value")?, out)?,
            6 => {
                self.target(member("host")?, out)?;
                self.target(member("email")?, out)?;
                for name in ["serialNumber", "refreshTime", "retryTime", "expireTime", "minimumTtl"] {
                    out.extend(number(name, u32::MAX)?.to_be_bytes());
                }
            }
            257 => {
                let (tag, value) = (self.text_of(member("tag")?, "tag")?, self.text_of(member("value")?, "value")?);
                out.push(number("flags", 255)? as u8);
                if tag.is_empty() || tag.len() > 255 || !tag.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
                    return Err(self.bad(item.at, format!("`{}` is not a CAA tag", shown(tag.as_bytes())), ""));
                }
                out.push(tag.len() as u8);
                out.extend_from_slice(tag.as_bytes());
                out.extend_from_slice(value.as_bytes());
            }
            // `try_record_set` lets the types of `MEMBERS` through, and no others.
            _ => {}
        }
        Ok(())
    }

    fn parsed<T: std::str::FromStr>(&self, value: &JsonValue<'_>, what: &str) -> TextResult<T> {
        let text = self.text_of(value, what)?;
        text.trim().parse().map_err(|_| self.bad(value.at, format!("`{}` is not {what}", shown(text.as_bytes())), ""))
    }

    fn text_of<'v>(&self, value: &'v JsonValue<'_>, what: &str) -> TextResult<&'v str> {
        match &value.kind {
            JsonKind::String(text) => Ok(text),
            _ => Err(self.shape(value, what, "a string")),
        }
    }

    /// A name in RDATA: absolute with or without its final dot, its case kept. A mailbox may be written with `@`.
    fn target(&self, value: &JsonValue<'_>, out: &mut Vec<u8>) -> TextResult<()> {
        let text = self.text_of(value, "a name")?;
        let name = text.replacen('@', ".", 1);
        match read_name(name.as_bytes(), &[0], out) {
            Ok(_) => Ok(()),
            Err(error) => Err(self.bad(value.at, format!("`{}` is not a name: {error}", shown(text.as_bytes())), "")),
        }
    }

    /// Text of a TXT record: a string or a list of them, cut where one is longer than a character-string may be.
    fn strings(&self, value: &JsonValue<'_>, out: &mut Vec<u8>) -> TextResult<()> {
        let items = match &value.kind {
            JsonKind::Array(items) => &items[..],
            _ => std::slice::from_ref(value),
        };
        if items.is_empty() {
            out.push(0);
        }
        for item in items {
            let text = self.text_of(item, "value")?.as_bytes();
            if text.is_empty() {
                out.push(0);
            }
            for chunk in text.chunks(255) {
                out.push(chunk.len() as u8);
                out.extend_from_slice(chunk);
            }
        }
        if out.len() > usize::from(u16::MAX) {
            return Err(self.bad(value.at, "RDATA of more than 65535 octets", ""));
        }
        Ok(())
    }
}
