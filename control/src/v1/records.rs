//! How names and records are written in JSON, and which zone a path means.

use postern_zones::edit::ZoneRef;
use postern_zones::lookup::RrSet as Stored;
use postern_zones::name::NameBuf;
use postern_zones::snapshot::{Hosted, Snapshot, ZoneLink};
use postern_zones::text::data_text;
use postern_zones::text::rdata::{read_input, type_code, type_name};
use postern_zones::zone::Zone;
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::http::{Caller, Problem, RequestFault};

/// An RRset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = RrSet)]
pub(super) struct RrSetBody {
    /// Owner, absolute.
    #[schema(examples("www.contoso.test."))]
    pub name: String,
    /// Type.
    #[serde(rename = "type")]
    #[schema(examples("A"))]
    pub rtype: String,
    /// TTL, seconds.
    pub ttl: u32,
    /// RDATA of each record, in presentation format.
    #[schema(examples(json!(["10.0.0.4"])))]
    pub records: Vec<String>,
    /// The file that the records come from. Absent if the zone is not read from files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
}

impl RrSetBody {
    /// As a zone has it.
    pub fn of(owner: &NameBuf, set: &Stored<'_>) -> Self {
        let records = set.rdata().map(|rdata| data_text(set.rtype, rdata)).collect();
        Self { name: owner.to_string(), rtype: type_name(set.rtype).into_owned(), ttl: set.ttl, records, file: None }
    }

    /// As a zone has it, with the file that it comes from.
    pub fn in_zone(zone: &Zone, owner: &NameBuf, set: &Stored<'_>) -> Self {
        let file = zone.file_of(owner, set.rtype).map(|path| path.display().to_string());
        Self { file, ..Self::of(owner, set) }
    }
}

/// An RRset's entity tag: the same for the same TTL and records in whatever order.
pub(super) fn etag(set: &Stored<'_>) -> String {
    let mut records: Vec<&[u8]> = set.rdata().collect();
    records.sort_unstable();
    let mut octets = set.ttl.to_be_bytes().to_vec();
    for rdata in records {
        octets.extend((rdata.len() as u16).to_be_bytes());
        octets.extend(rdata);
    }
    let hash = digest(&SHA256, &octets);
    format!("\"{}\"", data_encoding::HEXLOWER.encode(&hash.as_ref()[..12])) // 96 bits: no two sets of one name meet
}

/// A zone's entity tag.
pub(super) fn zone_etag(zone: &Zone) -> String {
    format!("\"{}\"", zone.serial())
}

/// The RRset of a name and type.
pub(super) fn find<'z>(zone: &'z Zone, owner: &NameBuf, rtype: u16) -> Option<Stored<'z>> {
    zone.at(owner).find(|set| set.rtype == rtype)
}

/// An owner as somebody writes it: absolute with the final dot or inside the zone, else relative to it.
pub(super) fn owner(text: &str, apex: &NameBuf) -> Result<NameBuf, String> {
    let wrong = |error: postern_zones::name::BadName| format!("`{text}` is not a name: {error}");
    if text == "@" {
        return Ok(apex.clone());
    }
    if text.is_empty() {
        return Err("a name is empty: the zone itself is `@`".into());
    }
    let name = NameBuf::parse(text).map_err(wrong)?;
    if text.ends_with('.') && !text.ends_with("\\.") || name.is_under(apex.as_wire()) {
        return match name.is_under(apex.as_wire()) {
            true => Ok(name),
            false => Err(format!("{name} does not lie in the zone {apex}")),
        };
    }
    NameBuf::parse(&format!("{text}.{apex}")).map_err(wrong)
}

/// A type as somebody writes it.
pub(super) fn rtype(text: &str) -> Result<u16, String> {
    let code = type_code(text).ok_or_else(|| format!("`{text}` is not a type of records"))?;
    match postern_zones::text::rdata::is_meta(code) {
        true => Err(format!("{text} is not a type of zone data")),
        false => Ok(code),
    }
}

/// RDATA of an RRset of the zone `apex`; what is wrong is told with its pointer below `pointer`.
pub(super) fn rdata(apex: &NameBuf, rtype: u16, records: &[String], pointer: &str, faults: &mut Vec<RequestFault>) -> Vec<Box<[u8]>> {
    let mut read = Vec::with_capacity(records.len());
    for (index, text) in records.iter().enumerate() {
        match read_input(rtype, text, apex) {
            Ok(rdata) => read.push(rdata.into_boxed_slice()),
            Err(error) => {
                let detail = format!("{} `{text}`: {error}", type_name(rtype));
                faults.push(RequestFault { pointer: format!("{pointer}/{index}"), detail });
            }
        }
    }
    read
}

/// The zone that a path means, if the caller may see it.
pub(super) fn hosted<'s>(snapshot: &'s Snapshot, caller: &Caller, path: &str) -> Result<&'s ZoneLink, Problem> {
    let link = named(snapshot, caller, &ZoneRef::parse(path))?;
    match caller.may_see(&link.hosted.name, &snapshot.meant_for(link)) {
        true => Ok(link),
        false => Err(beyond(caller, &link.hosted)),
    }
}

/// The zone that a path means, if the caller may change its records.
pub(super) fn changeable<'s>(snapshot: &'s Snapshot, caller: &Caller, path: &str) -> Result<&'s ZoneLink, Problem> {
    let link = named(snapshot, caller, &ZoneRef::parse(path))?;
    match caller.may_change(&link.hosted.name, &snapshot.meant_for(link)) {
        true => Ok(link),
        false => Err(beyond(caller, &link.hosted)),
    }
}

fn beyond(caller: &Caller, hosted: &Hosted) -> Problem {
    Problem::forbidden(format!("the key `{}` does not reach to zone {}", caller.who, hosted.name))
}

fn named<'s>(snapshot: &'s Snapshot, caller: &Caller, zone: &ZoneRef) -> Result<&'s ZoneLink, Problem> {
    let links: Vec<&ZoneLink> = snapshot.find(zone).collect();
    match links[..] {
        [] => Err(postern_zones::edit::Refusal::NoZone(zone.to_string()).into()),
        [link] => Ok(link),
        [first, ..] => {
            // Those that the caller may not see are not named to it.
            let seen = links.iter().filter(|link| caller.may_see(&link.hosted.name, &snapshot.meant_for(link)));
            let network = |link: &&ZoneLink| network_names(snapshot, link).first().map(|name| name.to_string()).unwrap_or_default();
            let networks: Vec<String> = seen.map(network).collect();
            match networks.is_empty() {
                true => Err(beyond(caller, &first.hosted)),
                false => Err(postern_zones::edit::Refusal::Ambiguous { name: zone.name.clone(), networks }.into()),
            }
        }
    }
}

/// Names of the networks that a zone is linked to.
pub(super) fn network_names<'s>(snapshot: &'s Snapshot, link: &ZoneLink) -> Vec<&'s str> {
    link.networks.iter().map(|id| &*snapshot.network(*id).name).collect()
}

/// A zone's data as whoever writes it sees it.
pub(super) fn data(hosted: &Hosted) -> Result<&std::sync::Arc<Zone>, Problem> {
    let kept = hosted.kept.as_ref().map(|kept| &kept.latest);
    kept.or(hosted.zone()).ok_or_else(|| {
        let reason = match &hosted.state {
            postern_zones::snapshot::ZoneState::Unavailable(reason) => reason.to_string(),
            postern_zones::snapshot::ZoneState::Serving(_) => String::new(),
        };
        Problem::new(axum::http::StatusCode::CONFLICT, format!("zone {} has no data: {reason}", hosted.name))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_are_taken_absolute_and_relative() {
        let apex = NameBuf::parse("contoso.test").unwrap();
        for (text, want) in [
            ("@", Ok("contoso.test.")),
            ("www", Ok("www.contoso.test.")),
            ("a.b", Ok("a.b.contoso.test.")),
            ("www.contoso.test", Ok("www.contoso.test.")),
            ("WWW.Contoso.Test.", Ok("www.contoso.test.")),
            ("contoso.test", Ok("contoso.test.")),
            ("*.apps", Ok("*.apps.contoso.test.")),
            ("www.fabrikam.test.", Err("does not lie in the zone")),
            ("", Err("empty")),
            ("a..b", Err("is not a name")),
        ] {
            match (owner(text, &apex), want) {
                (Ok(got), Ok(want)) => assert_eq!(got.to_string(), want, "{text}"),
                (Err(got), Err(want)) => assert!(got.contains(want), "{text}: {got}"),
                (got, want) => panic!("{text}: {got:?}, not {want:?}"),
            }
        }
    }

    #[test]
    fn types_of_messages_are_no_types_of_data() {
        assert_eq!((rtype("a"), rtype("TYPE65280")), (Ok(1), Ok(65280)));
        assert!(rtype("ANY").is_err() && rtype("AXFR").is_err() && rtype("nonsense").is_err());
    }
}
