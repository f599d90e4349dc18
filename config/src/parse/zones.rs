//! Conversion of `[[zone]]` into the configuration.

use toml::de::DeTable;

use super::azure::ReadersFound;
use super::values;
use crate::azure::PrivateLinkTable;
use crate::diagnostic::did_you_mean;
use crate::key::AnyKey;
use crate::keys::zone as key;
use crate::model::{FeedSource, FileSource, NetworkLinks, OnMissing, ServerConfig, ZoneConfig, ZoneNames, ZoneSource};
use crate::places::{ConfigPlaces, ZonePlaces};
use crate::problems::ConfigProblems;
use crate::reader::{self, TableReader};

/// Reads the zones in file order. A preset becomes one zone for each of its names.
pub(super) fn zones(
    document: &DeTable<'_>,
    server: &ServerConfig,
    azure: &PrivateLinkTable,
    readers: &ReadersFound,
    problems: &mut ConfigProblems<'_>,
    places: &mut ConfigPlaces,
) -> Vec<ZoneConfig> {
    let mut zones = Vec::new();
    for (at, table) in reader::tables(document, &key::SECTION, problems) {
        let mut read = TableReader::open(&key::SECTION, Some(table), at, problems);
        let (read, place) = zone_table(&mut read, at, server, azure, readers);
        places.zones.extend(std::iter::repeat_n(place, read.len()));
        zones.extend(read);
    }
    zones
}

/// Reads one `[[zone]]`: its zones, which differ only in name and policy, and the positions of its
/// keys. Every key is read even if the zone cannot be served, so that all problems are reported.
fn zone_table(
    read: &mut TableReader<'_, '_>,
    at: usize,
    server: &ServerConfig,
    azure: &PrivateLinkTable,
    readers: &ReadersFound,
) -> (Vec<ZoneConfig>, ZonePlaces) {
    let (names, source, zone_names) = (names(read), source(read, readers), zone_names(read, server));
    let networks = read.option(&key::NETWORK).unwrap_or_default();
    let (on_missing, fallback) = (read.option(&key::ON_MISSING), read.option(&key::FALLBACK));
    let (min_ttl, max_ttl) = ttl_bounds(read, at);
    let (max_loss, allow_empty) = (read.value(&key::MAX_LOSS), read.value(&key::ALLOW_EMPTY));
    let hold_deleted = read.value(&key::HOLD_DELETED);
    let (transfer_to, notify) = (read.value(&key::TRANSFER_TO), values(read.value(&key::NOTIFY)));
    let transfer_key = read.option(&key::TRANSFER_KEY);
    let place = ZonePlaces {
        name: read.place(&key::PRESET).or(read.place(&key::NAME)).unwrap_or(at),
        networks: networks.iter().map(|item| item.at).collect(),
        preset: read.place(&key::PRESET).is_some(),
        transfer_to: transfer_to.iter().map(|item| item.at).collect(),
        notify: read.place(&key::NOTIFY),
        transfer_key: read.place(&key::TRANSFER_KEY),
        hold_deleted: read.place(&key::HOLD_DELETED),
        guard: [("max-loss", read.place(&key::MAX_LOSS)), ("allow-empty", read.place(&key::ALLOW_EMPTY))],
    };
    let (networks, transfer_to) = (NetworkLinks::of_list(values(networks)), values(transfer_to));
    let line = read.problems().line(at);
    let zones = names.into_iter().filter_map(|name| {
        let is_private_link = azure.is_private_link_zone(&name);
        Some(ZoneConfig {
            name,
            preset: place.preset,
            networks: networks.clone(),
            source: source.clone()?,
            on_missing: on_missing.unwrap_or(OnMissing::usual(is_private_link)),
            fallback: fallback.unwrap_or(is_private_link),
            min_ttl,
            max_ttl,
            max_loss,
            allow_empty,
            hold_deleted,
            zone_names: zone_names.clone(),
            transfer_to: transfer_to.clone(),
            notify: notify.clone(),
            transfer_key: transfer_key.clone(),
            overrides: None,
            line,
        })
    });
    (zones.collect(), place)
}

/// Returns the names of the zones. It is empty if the table does not say them.
fn names(read: &mut TableReader<'_, '_>) -> Vec<String> {
    let (preset, name) = (read.option(&key::PRESET), read.option(&key::NAME));
    let presets = preset.into_iter().flat_map(|preset| preset.zones()).map(|zone| zone.to_string());
    match read.chosen(&key::NAME) {
        Some(_) => presets.chain(name).collect(),
        None => Vec::new(),
    }
}

/// Returns the one writer of the zone. A problem was reported if there is none.
fn source(read: &mut TableReader<'_, '_>, readers: &ReadersFound) -> Option<ZoneSource> {
    let (directory, file, format) = (read.option(&key::DIRECTORY), read.option(&key::FILE), read.value(&key::FORMAT));
    let (_, feed) = (read.option(&key::API), feed(read, readers));
    let chosen = read.chosen(&key::DIRECTORY)?;
    if let (Some(at), true) = (read.place(&key::FORMAT), chosen == key::DIRECTORY.name()) {
        let message = "`format` has no effect with `directory`: the names of the files determine the format";
        read.problems().warning(at, message, "remove `format`");
    }
    match chosen {
        chosen if chosen == key::DIRECTORY.name() => Some(ZoneSource::Files(FileSource::Directory { path: directory? })),
        chosen if chosen == key::FILE.name() => Some(ZoneSource::Files(FileSource::File { path: file?, format })),
        chosen if chosen == key::API.name() => Some(ZoneSource::Api),
        _ => feed.map(ZoneSource::Feed),
    }
}

/// Returns the feed that the table names. One line for each kind of feed.
fn feed(read: &mut TableReader<'_, '_>, readers: &ReadersFound) -> Option<FeedSource> {
    let transfer = read.option(&key::PRIMARIES).map(|list| FeedSource::Transfer { primaries: values(list) });
    let azure = read.option(&key::AZURE).map(|reader| FeedSource::Azure { reader: known_reader(read, reader, readers) });
    transfer.or(azure)
}

/// Reports a name that no `[[azure]]` has.
fn known_reader(read: &mut TableReader<'_, '_>, name: String, readers: &ReadersFound) -> String {
    let known = readers.readers.iter().map(|reader| reader.name.as_str());
    if !readers.are_missing && !known.clone().any(|known| known == name) {
        let at = read.place(&key::AZURE).unwrap_or_default();
        let help = match did_you_mean(&name, known) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("add an `[[azure]]` with `name = \"{name}\"`"),
        };
        read.problems().error(at, format!("there is no `[[azure]]` `{name}`"), help);
    }
    name
}

/// Returns the names of servers for records that the zone lacks. Those of `[server]` stand in for
/// names that the zone does not have.
fn zone_names(read: &mut TableReader<'_, '_>, server: &ServerConfig) -> ZoneNames {
    let own =
        ZoneNames { primary: read.option(&key::PRIMARY_NAME), servers: read.option(&key::NAME_SERVERS).map(values).unwrap_or_default() };
    match own {
        own if own == ZoneNames::default() => server.zone_names.clone(),
        own if own.servers.is_empty() => ZoneNames { servers: server.zone_names.servers.clone(), ..own },
        own => own,
    }
}

fn ttl_bounds(read: &mut TableReader<'_, '_>, at: usize) -> (u32, u32) {
    let (min_ttl, max_ttl) = (read.value(&key::MIN_TTL), read.value(&key::MAX_TTL));
    if min_ttl > max_ttl {
        let at = read.place(&key::MIN_TTL).or(read.place(&key::MAX_TTL)).unwrap_or(at);
        let message = format!("`min-ttl` {min_ttl} is above `max-ttl` {max_ttl}");
        read.problems().error(at, message, "lower `min-ttl`, or raise `max-ttl`");
    }
    (min_ttl, max_ttl)
}
