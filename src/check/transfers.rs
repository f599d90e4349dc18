//! Zones that other servers or clients would reject.

use postern_config::diagnostic::{DiagnosticSeverity, FileDiagnostic};
use postern_config::model::{KeyAction, PosternConfig, ZoneConfig, ZoneSource};
use postern_zones::snapshot::Snapshot;
use postern_zones::zone::{is_azure_soa, rtype};

/// Returns warnings for zones that secondaries would reject, and for zones whose SOA sends updates
/// elsewhere.
pub fn problems(config: &PosternConfig, snapshot: &Snapshot) -> Vec<FileDiagnostic> {
    let (mut without_servers, mut elsewhere) = (Vec::new(), Vec::new());
    for hosted in snapshot.hosted().iter().map(|link| &link.hosted) {
        let (Some(zone), Some(data)) = (&hosted.declared, hosted.zone()) else { continue };
        let apex = data.apex().to_buf();
        if is_transferred(config, zone) && !data.at(&apex).any(|set| set.rtype == rtype::NS) {
            add(&mut without_servers, zone);
        }
        if zone.source == ZoneSource::Api && takes_updates(config, zone) && data.soa().rdata().next().is_some_and(is_azure_soa) {
            add(&mut elsewhere, zone);
        }
    }
    let warning = |(line, names): (u32, Vec<&str>), message: &str, help: &str| FileDiagnostic {
        file: config.path.clone().unwrap_or_default(),
        line,
        column: 1,
        severity: DiagnosticSeverity::Warning,
        message: message.replace("ZONE", &names.join(", ")),
        help: help.into(),
    };
    let without_servers = without_servers.into_iter().map(|zones| {
        warning(zones, "secondaries will reject ZONE: it has no NS records", "add NS records for the zone itself, or set `name-servers`")
    });
    let elsewhere = elsewhere.into_iter().map(|zones| {
        warning(
            zones,
            "clients will send their updates of ZONE to azureprivatedns.net: its SOA names that server",
            "replace the SOA record, for example with `postern records set`",
        )
    });
    without_servers.chain(elsewhere).collect()
}

/// Groups the zones by their `[[zone]]`.
fn add<'c>(found: &mut Vec<(u32, Vec<&'c str>)>, zone: &'c ZoneConfig) {
    match found.iter_mut().find(|(line, _)| *line == zone.line) {
        Some((_, names)) => names.push(&zone.name),
        None => found.push((zone.line, vec![&zone.name])),
    }
}

/// Returns true if the configuration names a recipient of the zone. A key for all zones does not
/// name one.
fn is_transferred(config: &PosternConfig, zone: &ZoneConfig) -> bool {
    let is_named = |key: &postern_config::model::KeyConfig| key.zones.iter().any(|known| known.name == zone.name);
    let by_key = config.keys.iter().any(|key| key.allow.contains(&KeyAction::Transfer) && is_named(key));
    zone.source.feed().is_none() && (by_key || !zone.transfer_to.is_empty() || !zone.notify.is_empty())
}

fn takes_updates(config: &PosternConfig, zone: &ZoneConfig) -> bool {
    let covers = |key: &postern_config::model::KeyConfig| key.zones.is_empty() || key.zones.iter().any(|known| known.name == zone.name);
    config.keys.iter().any(|key| key.allow.contains(&KeyAction::Update) && covers(key))
}
