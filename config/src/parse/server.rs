//! Conversion of `[server]` into the configuration.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::de::DeTable;

use super::{open, values};
use crate::azure::PrivateLinkTable;
use crate::keys::server as key;
use crate::model::{ServerConfig, ZoneNames};
use crate::places::ConfigPlaces;
use crate::problems::ConfigProblems;

/// Reads the section, and the private-link table with the rows of `zone-table`.
pub(super) fn server(
    document: &DeTable<'_>,
    problems: &mut ConfigProblems<'_>,
    places: &mut ConfigPlaces,
) -> (ServerConfig, Arc<PrivateLinkTable>) {
    let directory = problems.directory().to_path_buf();
    let mut read = open(&key::SECTION, document, problems);
    let (listen, allow, deny) = (read.value(&key::LISTEN), read.value(&key::ALLOW), read.value(&key::DENY));
    places.listen = listen.iter().map(|item| item.at).collect();
    places.allow = allow.iter().map(|item| item.at).collect();
    places.deny = deny.iter().map(|item| item.at).collect();
    places.group = read.place(&key::GROUP);
    (places.state, places.zone_table) = (read.place(&key::STATE), read.place(&key::ZONE_TABLE));
    let zone_table = read.option(&key::ZONE_TABLE);
    let mut azure = None;
    if let (Some(path), Some(at)) = (&zone_table, read.place(&key::ZONE_TABLE)) {
        match read.problems().read(path) {
            Ok(text) => match PrivateLinkTable::builtin().extended(&text, path) {
                Ok(table) => azure = Some(Arc::new(table)),
                Err(wrong) => read.problems().append(at, wrong),
            },
            Err(error) => read.problems().error(
                at,
                format!("cannot read the zone table {}: {error}", path.display()),
                "paths are relative to the directory of this file",
            ),
        }
    }
    let server = ServerConfig {
        listen: values(listen),
        workers: read.option(&key::WORKERS).unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from)),
        user: read.option(&key::USER),
        group: read.option(&key::GROUP),
        allow: values(allow),
        deny: values(deny),
        nsid: read.option(&key::NSID),
        version: read.option(&key::VERSION),
        identity: read.option(&key::IDENTITY),
        zone_names: ZoneNames {
            primary: read.option(&key::PRIMARY_NAME),
            servers: read.option(&key::NAME_SERVERS).map(values).unwrap_or_default(),
        },
        poll: read.value(&key::POLL),
        settle: read.value(&key::SETTLE),
        max_source_size: read.value(&key::MAX_SOURCE_SIZE),
        strict: read.value(&key::STRICT),
        udp_size: read.value(&key::UDP_SIZE),
        drain: read.value(&key::DRAIN),
        lame_duck: read.value(&key::LAME_DUCK),
        state: read.option(&key::STATE).unwrap_or_else(|| usual_state(&directory)),
        zone_table,
    };
    (server, azure.unwrap_or_else(PrivateLinkTable::shared))
}

/// Returns the directory that systemd created for the unit, or a directory next to the file. It is
/// the first one of `StateDirectory=` (systemd.exec(5)).
fn usual_state(directory: &Path) -> PathBuf {
    let given = std::env::var_os("STATE_DIRECTORY").filter(|given| !given.is_empty());
    let first = given.and_then(|given| std::env::split_paths(&given).next());
    first.unwrap_or_else(|| directory.join("state"))
}
