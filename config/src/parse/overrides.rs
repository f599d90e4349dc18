//! Conversion of `[[override]]` into the configuration.

use std::time::Duration;

use toml::de::DeTable;

use super::values;
use crate::key::AnyKey;
use crate::keys::overrides as key;
use crate::model::{FileSource, NetworkLinks, OnMissing, ServerConfig, SourceFormat, ZoneConfig, ZoneSource};
use crate::override_line::OverrideLine;
use crate::places::ConfigPlaces;
use crate::problems::ConfigProblems;
use crate::reader::{self, TableReader};

/// Reads the overrides in file order, as zones of records that own no domain.
pub(super) fn overrides(
    document: &DeTable<'_>,
    server: &ServerConfig,
    problems: &mut ConfigProblems<'_>,
    places: &mut ConfigPlaces,
) -> Vec<ZoneConfig> {
    let mut overrides = Vec::new();
    for (at, table) in reader::tables(document, &key::SECTION, problems) {
        let mut read = TableReader::open(&key::SECTION, Some(table), at, problems);
        let name = read.value(&key::NAME);
        let networks = read.option(&key::NETWORK).unwrap_or_default();
        let other_types = read.value(&key::OTHER_TYPES);
        let ttl = read.value(&key::TTL);
        let (max_loss, allow_empty) = (read.value(&key::MAX_LOSS), read.value(&key::ALLOW_EMPTY));
        let Some(source) = source(&mut read) else { continue };
        places.overrides.push((read.place(&key::NAME).unwrap_or(at), networks.iter().map(|item| item.at).collect()));
        overrides.push(ZoneConfig {
            name,
            preset: false,
            networks: NetworkLinks::of_list(values(networks)),
            source: ZoneSource::Files(source),
            on_missing: OnMissing::Public,
            fallback: false,
            min_ttl: ttl,
            max_ttl: ttl,
            max_loss,
            allow_empty,
            hold_deleted: Duration::ZERO,
            zone_names: server.zone_names.clone(),
            transfer_to: Vec::new(),
            notify: Vec::new(),
            transfer_key: None,
            overrides: Some(other_types),
            line: read.problems().line(at),
        });
    }
    overrides
}

/// Returns the place of the lines. A problem was reported if there is none.
fn source(read: &mut TableReader<'_, '_>) -> Option<FileSource> {
    let (file, hosts) = (read.option(&key::FILE), read.option(&key::HOSTS));
    if read.chosen(&key::FILE)? == key::FILE.name() {
        return Some(FileSource::File { path: file?, format: SourceFormat::Overrides });
    }
    let problems = read.problems();
    let lines = hosts?.into_iter().filter_map(|item| {
        let (line, column) = problems.place(item.at);
        let lines: Option<OverrideLine> = item.value;
        lines.map(|read| OverrideLine { place: (line, column + 1), ..read }) // behind the quotation mark
    });
    let lines = lines.collect();
    Some(FileSource::Lines { path: read.problems().file().to_path_buf(), lines })
}
