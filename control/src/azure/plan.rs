//! A dry run: the changes that a reading would make, and what it would leave out.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use postern_config::PosternConfig;
use postern_config::model::{self, AzureReaderConfig};
use postern_zones::name::WireName;
use postern_zones::zone::{Zone, rtype};
use serde::Serialize;

use super::reading::{AzureReading, PrivateEndpoint};
use super::view::AzureView;
use super::zone::{WantedRecords, ZoneScope, candidates};

/// Changes that a reading would make to the zones of a reader.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AzurePlan {
    /// Name of the `[[azure]]`.
    pub reader: String,
    /// Zones of the reader, in the order of the configuration.
    pub zones: Vec<ZonePlan>,
    /// Endpoints and names that become no record.
    pub skipped: Vec<SkippedName>,
    /// IDs of configured subscriptions that the identity may not read.
    pub forbidden: Vec<String>,
}

/// Changes of one zone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ZonePlan {
    /// Name of the zone, with a network if several zones may have it.
    pub zone: String,
    /// Names that would get other addresses, sorted.
    pub changes: Vec<PlannedRecord>,
    /// Names that would stay as they are.
    pub unchanged: usize,
}

/// New addresses of a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlannedRecord {
    /// Owner, without the final dot.
    pub name: String,
    /// Addresses now. Empty if the name is added.
    pub before: Vec<IpAddr>,
    /// Addresses afterwards. Empty if the name is removed.
    pub after: Vec<IpAddr>,
    /// Resource IDs of the endpoints of these addresses.
    pub endpoints: Vec<String>,
}

/// An endpoint, or a name of one, that becomes no record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SkippedName {
    /// Resource ID of the endpoint.
    pub endpoint: String,
    /// Public name. `None` if the whole endpoint is skipped.
    pub name: Option<String>,
    /// Reason why it becomes no record.
    pub reason: String,
}

/// Compares a reading with the zones of a reader. `current` returns the data of a zone, if it has any.
pub fn plan(
    config: &PosternConfig,
    reader: &AzureReaderConfig,
    reading: AzureReading,
    current: impl Fn(&model::ZoneConfig) -> Option<Arc<Zone>>,
) -> AzurePlan {
    let forbidden = reading.forbidden.iter().cloned().collect();
    let mut view = AzureView::default();
    view.take(reading, &reader.scope);
    let is_fed = |zone: &&model::ZoneConfig| zone.source.feed().and_then(|feed| feed.azure_reader()) == Some(&reader.name);
    let fed: Vec<(&model::ZoneConfig, ZoneScope)> =
        config.zones.iter().filter(is_fed).filter_map(|zone| Some((zone, ZoneScope::new(zone, config)?))).collect();
    let zones = fed.iter().map(|(zone, scope)| plan_zone(scope.title(), &scope.wanted(&view), current(zone).as_deref())).collect();
    let scopes: Vec<&ZoneScope> = fed.iter().map(|(_, scope)| scope).collect();
    let skipped = view.endpoints().flat_map(|kept| skipped(&kept.endpoint, &scopes, config, &reader.name)).collect();
    AzurePlan { reader: reader.name.clone(), zones, skipped, forbidden }
}

fn plan_zone(title: &str, wanted: &WantedRecords, current: Option<&Zone>) -> ZonePlan {
    let mut before: BTreeMap<String, Vec<IpAddr>> = BTreeMap::new();
    for (owner, set) in current.into_iter().flat_map(Zone::records) {
        let addresses = set.rdata().filter_map(|rdata| match set.rtype {
            rtype::A => <[u8; 4]>::try_from(rdata).ok().map(IpAddr::from),
            rtype::AAAA => <[u8; 16]>::try_from(rdata).ok().map(IpAddr::from),
            _ => None,
        });
        let addresses: Vec<IpAddr> = addresses.collect();
        if !addresses.is_empty() {
            before.entry(owner.without_dot().to_ascii_lowercase()).or_default().extend(addresses);
        }
    }
    let (mut changes, mut unchanged) = (Vec::new(), 0);
    for (name, addresses) in wanted.iter().filter(|(name, _)| WireName::parse(name).is_ok()) {
        let mut old = before.remove(name).unwrap_or_default();
        old.sort_unstable();
        let after: Vec<IpAddr> = addresses.keys().copied().collect();
        match old == after {
            true => unchanged += 1,
            false => {
                let endpoints = addresses.values().cloned().collect();
                changes.push(PlannedRecord { name: name.clone(), before: old, after, endpoints });
            }
        }
    }
    let gone = |(name, before)| PlannedRecord { name, before, after: Vec::new(), endpoints: Vec::new() };
    changes.extend(before.into_iter().map(gone));
    changes.sort_by(|one, other| one.name.cmp(&other.name));
    ZonePlan { zone: title.to_owned(), changes, unchanged }
}

/// Returns what of an endpoint becomes no record, and why.
fn skipped(endpoint: &PrivateEndpoint, zones: &[&ZoneScope], config: &PosternConfig, reader: &str) -> Vec<SkippedName> {
    let skip = |name: Option<&String>, reason: String| SkippedName { endpoint: endpoint.id.clone(), name: name.cloned(), reason };
    if !endpoint.is_approved() {
        return vec![skip(None, format!("its connection is {}", endpoint.state))];
    }
    if endpoint.names.is_empty() {
        return vec![skip(None, "its network interface has no names".into())];
    }
    let reason = |name: &String| {
        let hosting: Vec<&&ZoneScope> = zones.iter().filter(|zone| !zone.owners(name).is_empty()).collect();
        if hosting.iter().any(|zone| zone.reaches(endpoint)) {
            return None;
        }
        if !hosting.is_empty() {
            return Some("no network of its zones has its virtual network in `virtual-networks`".into());
        }
        let candidates = candidates(name, &config.azure);
        match candidates.iter().find_map(|name| config.azure.private_zone_of(name)) {
            Some(zone) => Some(format!("no zone `{zone}` has `azure = \"{reader}\"`")),
            None => Some("the zone table has no private-link zone for it".into()),
        }
    };
    let mut last = None;
    let names = endpoint.names.iter().map(|(name, _)| name).filter(|name| last.replace(*name) != Some(*name));
    names.filter_map(|name| Some(skip(Some(name), reason(name)?))).collect()
}
