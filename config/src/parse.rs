//! Conversion of the parsed TOML into the configuration.

use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::file::WatchedFile;
use crate::key::{KeySection, json_value, toml_to_json};
use crate::keys;
use crate::kind::ValueAt;
use crate::model::{
    ApiConfig, CacheConfig, FallbackConfig, LimitsConfig, LogConfig, MetricsConfig, PosternConfig, RESOLV_CONF, UpstreamSet,
};
use crate::places::{ApiPlaces, ConfigPlaces};
use crate::problems::ConfigProblems;
use crate::reader::{self, TableReader};

mod azure;
mod forwards;
mod networks;
mod overrides;
mod server;
mod tsig;
mod zones;

/// Converts section by section. Unreadable values are reported, and then skipped or replaced by
/// their default.
pub(crate) fn lower(document: &DeTable<'_>, problems: &mut ConfigProblems<'_>) -> (PosternConfig, ConfigPlaces) {
    let mut places = ConfigPlaces::default();
    let (server, azure) = server::server(document, problems, &mut places);
    let networks = networks::networks(document, problems, &mut places);
    let azure_readers = azure::readers(document, problems);
    let zones = zones::zones(document, &server, &azure, &azure_readers, problems, &mut places);
    let overrides = overrides::overrides(document, &server, problems, &mut places);
    let forwards = forwards::forwards(document, problems, &mut places);
    let keys = tsig::keys(document, &networks, problems);
    let key_tables = document.get(keys::key::SECTION.name).and_then(|tables| tables.get_ref().as_array());
    places.keys_missing = key_tables.is_some_and(|tables| tables.len() > keys.len());
    let secret = |table: &Spanned<DeValue<'_>>| Some(table.get_ref().as_table()?.get(keys::key::SECRET.name)?.span().start);
    places.secret = key_tables.and_then(|tables| tables.iter().find_map(secret));
    let cache = cache(document, problems, &mut places);
    let limits = limits(document, problems, &mut places);
    let log = log(document, problems);
    let fallback = fallback(document, problems, &mut places);
    let api = api(document, &server.state, problems, &mut places);
    for path in api.files() {
        problems.has_file(WatchedFile::now(path));
    }
    if forwards.iter().any(|forward| forward.upstreams == UpstreamSet::System) {
        problems.has_file(WatchedFile::now(Path::new(RESOLV_CONF)));
    }
    let metrics = metrics(document, problems);
    (
        PosternConfig {
            path: None,
            server,
            networks,
            zones,
            overrides,
            forwards,
            azure_readers: azure_readers.readers,
            keys,
            cache,
            limits,
            log,
            fallback,
            api,
            metrics,
            azure,
            settings: Vec::new(),
            files: Vec::new(),
        },
        places,
    )
}

fn cache(document: &DeTable<'_>, problems: &mut ConfigProblems<'_>, places: &mut ConfigPlaces) -> CacheConfig {
    use keys::cache as key;
    let mut read = open(&key::SECTION, document, problems);
    let cache = CacheConfig {
        size: read.value(&key::SIZE),
        min_ttl: read.value(&key::MIN_TTL),
        max_ttl: read.value(&key::MAX_TTL),
        max_negative_ttl: read.value(&key::MAX_NEGATIVE_TTL),
        failure_ttl: read.value(&key::FAILURE_TTL),
        stale: read.value(&key::STALE),
        stale_ttl: read.value(&key::STALE_TTL),
        stale_after: read.value(&key::STALE_AFTER),
        stale_recheck: read.value(&key::STALE_RECHECK),
    };
    if cache.min_ttl > cache.max_ttl {
        let at = read.place(&key::MIN_TTL).or(read.place(&key::MAX_TTL)).unwrap_or_default();
        let message = format!("`min-ttl` {} is above `max-ttl` {}", cache.min_ttl, cache.max_ttl);
        read.problems().error(at, message, "lower `min-ttl`, or raise `max-ttl`");
    }
    changed(&key::SECTION, document, places);
    cache
}

fn limits(document: &DeTable<'_>, problems: &mut ConfigProblems<'_>, places: &mut ConfigPlaces) -> LimitsConfig {
    use keys::limits as key;
    let mut read = open(&key::SECTION, document, problems);
    let limits = LimitsConfig {
        pending: read.value(&key::PENDING),
        tcp_connections: read.value(&key::TCP_CONNECTIONS),
        tcp_per_client: read.value(&key::TCP_PER_CLIENT),
        tcp_idle: read.value(&key::TCP_IDLE),
        tcp_pipeline: read.value(&key::TCP_PIPELINE),
        responses_per_second: read.value(&key::RESPONSES_PER_SECOND),
        query_deadline: read.value(&key::QUERY_DEADLINE),
        transfer_size: read.value(&key::TRANSFER_SIZE),
    };
    changed(&key::SECTION, document, places);
    limits
}

fn log(document: &DeTable<'_>, problems: &mut ConfigProblems<'_>) -> LogConfig {
    use keys::log as key;
    let mut read = open(&key::SECTION, document, problems);
    LogConfig { level: read.value(&key::LEVEL), format: read.value(&key::FORMAT) }
}

fn fallback(document: &DeTable<'_>, problems: &mut ConfigProblems<'_>, places: &mut ConfigPlaces) -> FallbackConfig {
    use keys::fallback as key;
    let mut read = open(&key::SECTION, document, problems);
    let fallback = FallbackConfig {
        file: read.option(&key::FILE),
        format: read.value(&key::FORMAT),
        rotate: read.value(&key::ROTATE),
        keep: read.value(&key::KEEP),
        repeat: read.value(&key::REPEAT),
        rate: read.value(&key::RATE),
        client_rate: read.value(&key::CLIENT_RATE),
        ledger: read.value(&key::LEDGER),
        max_public_ttl: read.value(&key::MAX_PUBLIC_TTL),
        queue: read.value(&key::QUEUE),
    };
    changed(&key::SECTION, document, places);
    fallback
}

fn api(document: &DeTable<'_>, state: &Path, problems: &mut ConfigProblems<'_>, places: &mut ConfigPlaces) -> ApiConfig {
    use keys::api as key;
    let mut read = open(&key::SECTION, document, problems);
    let (listen, socket) = (read.option(&key::LISTEN).unwrap_or_default(), read.option(&key::SOCKET));
    places.api = ApiPlaces {
        listen: listen.iter().map(|item| item.at).collect(),
        key_file: read.place(&key::KEY_FILE),
        certificate: read.place(&key::CERTIFICATE),
        private_key: read.place(&key::PRIVATE_KEY),
        client_ca: read.place(&key::CLIENT_CA),
    };
    ApiConfig {
        listen: values(listen),
        socket_is_named: socket.is_some(),
        socket: socket.unwrap_or_else(|| Some(usual_socket(state))),
        key_file: read.option(&key::KEY_FILE),
        certificate: read.option(&key::CERTIFICATE),
        private_key: read.option(&key::PRIVATE_KEY),
        client_ca: read.option(&key::CLIENT_CA),
        max_body: read.value(&key::MAX_BODY),
        rate: read.value(&key::RATE),
        connections: read.value(&key::CONNECTIONS),
        per_client: read.value(&key::PER_CLIENT),
    }
}

/// Returns a path in the directory that systemd created for the unit's sockets (systemd.exec(5),
/// `RuntimeDirectory=`), or in the state directory.
fn usual_socket(state: &Path) -> PathBuf {
    let given = std::env::var_os("RUNTIME_DIRECTORY").filter(|given| !given.is_empty());
    let first = given.and_then(|given| std::env::split_paths(&given).next());
    first.as_deref().unwrap_or(state).join("postern.sock")
}

fn metrics(document: &DeTable<'_>, problems: &mut ConfigProblems<'_>) -> MetricsConfig {
    use keys::metrics as key;
    MetricsConfig { listen: open(&key::SECTION, document, problems).option(&key::LISTEN) }
}

fn open<'r, 'a>(section: &'static KeySection, document: &'r DeTable<'r>, problems: &'r mut ConfigProblems<'a>) -> TableReader<'r, 'a> {
    let table = reader::table(document, section, problems);
    TableReader::open(section, table.map(|(_, table)| table), table.map_or(0, |(at, _)| at), problems)
}

/// Collects the keys of a section whose values differ from their defaults.
fn changed(section: &'static KeySection, document: &DeTable<'_>, places: &mut ConfigPlaces) {
    let Some(table) = document.get(section.name).and_then(|value| value.get_ref().as_table()) else { return };
    for key in section.keys {
        if let Some(value) = table.get(key.name())
            && json_value(value.get_ref()) != toml_to_json(key.example())
        {
            places.changed.push((section.name, key.name(), value.span().start));
        }
    }
}

fn values<T>(items: Vec<ValueAt<T>>) -> Vec<T> {
    items.into_iter().map(|item| item.value).collect()
}
