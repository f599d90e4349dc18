//! Conversion of the parsed TOML into the configuration.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::azure::Table;
use crate::file::File;
use crate::key::{AnyKey, Section, json_value, toml_to_json};
use crate::keys;
use crate::kind::{At, UpstreamItem};
use crate::model::{
    Api, Cache, Config, Fallback, FeedSource, FileSource, Forward, Limits, Log, Metrics, Network, NetworkLinks, OnMissing, Recursion,
    Select, Server, Upstream, Upstreams, Zone, ZoneNames, ZoneSource,
};
use crate::places::{ApiPlaces, ForwardPlaces, NetworkPlaces, Places, ZonePlaces};
use crate::problems::Problems;
use crate::reader::{self, Reader};

mod tsig;

/// Converts section by section. Unreadable values are reported, and then skipped or replaced by
/// their default.
pub(crate) fn lower(document: &DeTable<'_>, problems: &mut Problems<'_>) -> (Config, Places) {
    let mut places = Places::default();
    let (server, azure) = server(document, problems, &mut places);
    let networks = networks(document, problems, &mut places);
    let zones = zones(document, &server, &azure, problems, &mut places);
    let forwards = forwards(document, problems, &mut places);
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
        problems.has_file(File::now(path));
    }
    let metrics = metrics(document, problems);
    (
        Config {
            path: None,
            server,
            networks,
            zones,
            forwards,
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

fn server(document: &DeTable<'_>, problems: &mut Problems<'_>, places: &mut Places) -> (Server, Arc<Table>) {
    use keys::server as key;
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
            Ok(text) => match Table::builtin().extended(&text, path) {
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
    let server = Server {
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
    (server, azure.unwrap_or_else(Table::shared))
}

/// Returns the directory that systemd created for the unit, or a directory next to the file. It is
/// the first one of `StateDirectory=` (systemd.exec(5)).
fn usual_state(directory: &Path) -> PathBuf {
    let given = std::env::var_os("STATE_DIRECTORY").filter(|given| !given.is_empty());
    let first = given.and_then(|given| std::env::split_paths(&given).next());
    first.unwrap_or_else(|| directory.join("state"))
}

fn networks(document: &DeTable<'_>, problems: &mut Problems<'_>, places: &mut Places) -> Vec<Network> {
    use keys::network as key;
    let mut networks: Vec<Network> = Vec::new();
    let mut by_name: HashMap<String, usize> = HashMap::new();
    for (at, table) in reader::tables(document, &key::SECTION, problems) {
        let mut read = Reader::open(&key::SECTION, Some(table), at, problems);
        let name = read.required(&key::NAME);
        let clients = read.option(&key::CLIENTS);
        let recursion = read.option(&key::RECURSION);
        let clients_at = read.place(&key::CLIENTS);
        let name_at = read.place(&key::NAME).unwrap_or(at);
        let problems = read.problems();
        let Some(name) = name else { continue };
        if let Some(other) = by_name.get(&name).copied() {
            let line = problems.line(places.networks[other].table);
            problems.error(
                name_at,
                format!("network `{name}` is already there, in line {line}"),
                "write all its prefixes in one `[[network]]`",
            );
        }
        match (name == Network::DEFAULT, clients_at) {
            (true, Some(at)) => {
                problems.error(
                    at,
                    "`default` is everybody who is in no other network: it has no clients",
                    "give the network another name, or take `clients` out",
                );
            }
            (false, None) if !problems.broken => {
                let help = format!("write, for example, `clients = {}`", key::CLIENTS.example());
                problems.error(at, format!("network `{name}` has no clients"), help);
            }
            _ => {}
        }
        let clients = clients.unwrap_or_default();
        by_name.entry(name.clone()).or_insert(networks.len());
        places.networks.push(NetworkPlaces { table: at, clients: clients.iter().map(|item| item.at).collect() });
        networks.push(Network { recursion: recursion.unwrap_or(usual_recursion(&name)), name, clients: values(clients) });
    }
    if !networks.iter().any(|network| network.name == Network::DEFAULT) {
        networks.push(Network { name: Network::DEFAULT.into(), clients: Vec::new(), recursion: usual_recursion(Network::DEFAULT) });
    }
    networks
}

/// A public client address gets no recursion by default, so that the server never becomes an open
/// resolver by accident.
fn usual_recursion(network: &str) -> Recursion {
    if network == Network::DEFAULT { Recursion::PrivateClients } else { Recursion::Yes }
}

fn zones(document: &DeTable<'_>, server: &Server, azure: &Table, problems: &mut Problems<'_>, places: &mut Places) -> Vec<Zone> {
    use keys::zone as key;
    let mut zones = Vec::new();
    for (at, table) in reader::tables(document, &key::SECTION, problems) {
        let mut read = Reader::open(&key::SECTION, Some(table), at, problems);
        let (preset, name) = (read.option(&key::PRESET), read.option(&key::NAME));
        let networks = read.option(&key::NETWORK).unwrap_or_default();
        let (directory, file) = (read.option(&key::DIRECTORY), read.option(&key::FILE));
        let api = read.option(&key::API);
        let hold_deleted = read.value(&key::HOLD_DELETED);
        let (max_loss, allow_empty) = (read.value(&key::MAX_LOSS), read.value(&key::ALLOW_EMPTY));
        let feeds = feeds(&mut read);
        let (transfer_to, notify) = (read.value(&key::TRANSFER_TO), values(read.value(&key::NOTIFY)));
        let transfer_key = read.option(&key::TRANSFER_KEY);
        let own_names = ZoneNames {
            primary: read.option(&key::PRIMARY_NAME),
            servers: read.option(&key::NAME_SERVERS).map(values).unwrap_or_default(),
        };
        let format = read.value(&key::FORMAT);
        let (on_missing, fallback) = (read.option(&key::ON_MISSING), read.option(&key::FALLBACK));
        let (min_ttl, max_ttl) = (read.value(&key::MIN_TTL), read.value(&key::MAX_TTL));
        let (preset_at, name_at) = (read.place(&key::PRESET), read.place(&key::NAME));
        let (directory_at, file_at, format_at) = (read.place(&key::DIRECTORY), read.place(&key::FILE), read.place(&key::FORMAT));
        let api_at = read.place(&key::API).filter(|_| api != Some(false));
        let feed_at = feeds.first().map(|(at, _)| *at);
        let ttl_at = read.place(&key::MIN_TTL).or(read.place(&key::MAX_TTL));
        let (notify_at, transfer_key_at) = (read.place(&key::NOTIFY), read.place(&key::TRANSFER_KEY));
        let hold_deleted_at = read.place(&key::HOLD_DELETED);
        let guard_at = [("max-loss", read.place(&key::MAX_LOSS)), ("allow-empty", read.place(&key::ALLOW_EMPTY))];
        let problems = read.problems();
        match (preset_at, name_at) {
            (Some(at), Some(_)) => problems.error(at, "a zone has a `preset` or a `name`, not both", "write two `[[zone]]`"),
            (None, None) if !problems.broken => {
                problems.error(
                    at,
                    "`[[zone]]` lacks `name`",
                    "write `name = \"…\"`, or `preset = \"azure-health-data-services\"` for its zones",
                );
            }
            _ => {}
        }
        let files_at = directory_at.or(file_at);
        match (directory_at, file_at, api_at.or(feed_at)) {
            (Some(at), Some(_), _) => problems.error(at, "a zone has one writer: `directory` or `file`, not both", "keep one of them"),
            (_, _, Some(at)) if api_at.is_some() && files_at.is_some() => {
                problems.error(at, "a zone has one writer: files or the API, not both", "take `api` out, or what names the files");
            }
            (_, _, Some(_)) if let Some(at) = feed_at.filter(|_| files_at.or(api_at).is_some() || feeds.len() > 1) => {
                problems.error(at, "a zone has one writer: what is transferred from another server has no other", "keep `primaries` alone");
            }
            (None, None, Some(_)) if let Some(at) = feed_at.and(preset_at) => {
                problems.error(
                    at,
                    "a preset is several zones, which are not transferred as one",
                    "write a `[[zone]]` with `name` for each",
                );
            }
            (None, None, None) if !problems.broken => {
                problems.error(
                    at,
                    "`[[zone]]` does not say where its records are",
                    "write `file = \"…\"`, `directory = \"…\"` for `<zone>.zone` in it, `api = true`, or `primaries = […]`",
                );
            }
            (None, Some(at), None) if preset_at.is_some() => {
                problems.error(at, "a preset is several zones, which one file cannot hold", "write `directory = \"…\"`");
            }
            (Some(_), None, None) if let Some(at) = format_at => {
                problems.warning(at, "`format` has no effect with `directory`: there the names of the files tell", "take `format` out");
            }
            _ => {}
        }
        if min_ttl > max_ttl {
            problems.error(
                ttl_at.unwrap_or(at),
                format!("`min-ttl` {min_ttl} is above `max-ttl` {max_ttl}"),
                "make `min-ttl` the smaller one",
            );
        }
        let source = match (file, directory) {
            (Some(path), _) => ZoneSource::Files(FileSource::File { path, format }),
            (None, Some(path)) => ZoneSource::Files(FileSource::Directory { path }),
            (None, None) if api == Some(true) => ZoneSource::Api,
            (None, None) => match feeds.into_iter().next() {
                Some((_, feed)) => ZoneSource::Feed(feed),
                None => continue,
            },
        };
        let names: Vec<String> = match (preset, name) {
            (Some(preset), _) => preset.zones().iter().map(|zone| zone.to_string()).collect(),
            (None, Some(name)) => vec![name],
            (None, None) => continue,
        };
        let zone_names = match own_names {
            own if own == ZoneNames::default() => server.zone_names.clone(),
            own if own.servers.is_empty() => ZoneNames { servers: server.zone_names.servers.clone(), ..own },
            own => own,
        };
        let line = problems.line(at);
        let place = ZonePlaces {
            name: preset_at.or(name_at).unwrap_or(at),
            networks: networks.iter().map(|item| item.at).collect(),
            preset: preset.is_some(),
            transfer_to: transfer_to.iter().map(|item| item.at).collect(),
            notify: notify_at,
            transfer_key: transfer_key_at,
            hold_deleted: hold_deleted_at,
            guard: guard_at,
        };
        let (networks, transfer_to) = (NetworkLinks::of_list(values(networks)), values(transfer_to));
        for name in names {
            places.zones.push(place.clone());
            let is_private_link = azure.is_private_link_zone(&name);
            zones.push(Zone {
                name,
                preset: preset.is_some(),
                networks: networks.clone(),
                source: source.clone(),
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
                line,
            });
        }
    }
    zones
}

/// Returns the feeds that a zone names, with their positions. One line for each kind of feed.
fn feeds(read: &mut Reader<'_, '_>) -> Vec<(usize, FeedSource)> {
    use keys::zone as key;
    let primaries = read.option(&key::PRIMARIES).map(|list| FeedSource::Transfer { primaries: values(list) });
    let found = [(read.place(&key::PRIMARIES), primaries)];
    found.into_iter().filter_map(|(at, feed)| at.zip(feed)).collect()
}

fn forwards(document: &DeTable<'_>, problems: &mut Problems<'_>, places: &mut Places) -> Vec<Forward> {
    use keys::forward as key;
    let mut forwards = Vec::new();
    let tables = reader::tables(document, &key::SECTION, problems);
    let none = tables.is_empty();
    for (at, table) in tables {
        let mut read = Reader::open(&key::SECTION, Some(table), at, problems);
        let zone = read.required(&key::ZONE);
        let networks = read.option(&key::NETWORK).unwrap_or_default();
        let upstreams = read.required(&key::UPSTREAMS);
        let select = read.value(&key::SELECT);
        let timeout = read.option(&key::TIMEOUT);
        let (retransmit_min, retransmit_max) = (read.value(&key::RETRANSMIT_MIN), read.value(&key::RETRANSMIT_MAX));
        let hedge = read.option(&key::HEDGE);
        let (Some(zone), Some(upstreams)) = (zone, upstreams) else {
            places.routes_missing = true;
            continue;
        };
        places.forwards.push(ForwardPlaces {
            zone: read.place(&key::ZONE).unwrap_or(at),
            networks: networks.iter().map(|item| item.at).collect(),
            upstreams: upstreams.iter().map(|item| item.at).collect(),
            select: read.place(&key::SELECT),
            timeout: read.place(&key::TIMEOUT).unwrap_or(at),
            retransmit_max: read.place(&key::RETRANSMIT_MAX),
        });
        let servers = upstreams.into_iter().map(|item| match item.value {
            UpstreamItem::System => None,
            UpstreamItem::Server(server) => Some(Upstream { timeout: timeout.unwrap_or(server.timeout), ..server }),
        });
        let upstreams = servers.collect::<Option<Vec<_>>>().map_or(Upstreams::System, Upstreams::List);
        let line = read.problems().line(at);
        forwards.push(Forward {
            zone,
            networks: NetworkLinks::of_list(values(networks)),
            upstreams,
            select,
            timeout,
            retransmit_min,
            retransmit_max,
            hedge,
            line,
        });
    }
    if none && !problems.broken {
        forwards.push(Forward {
            zone: ".".into(),
            networks: NetworkLinks::All,
            upstreams: Upstreams::System,
            select: Select::Order,
            timeout: None,
            retransmit_min: Reader::open(&key::SECTION, None, 0, problems).value(&key::RETRANSMIT_MIN),
            retransmit_max: Reader::open(&key::SECTION, None, 0, problems).value(&key::RETRANSMIT_MAX),
            hedge: None,
            line: 0,
        });
    }
    places.routes_missing |= none && problems.broken;
    forwards
}

fn cache(document: &DeTable<'_>, problems: &mut Problems<'_>, places: &mut Places) -> Cache {
    use keys::cache as key;
    let mut read = open(&key::SECTION, document, problems);
    let cache = Cache {
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
        read.problems().error(at, message, "make `min-ttl` the smaller one");
    }
    changed(&key::SECTION, document, places);
    cache
}

fn limits(document: &DeTable<'_>, problems: &mut Problems<'_>, places: &mut Places) -> Limits {
    use keys::limits as key;
    let mut read = open(&key::SECTION, document, problems);
    let limits = Limits {
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

fn log(document: &DeTable<'_>, problems: &mut Problems<'_>) -> Log {
    use keys::log as key;
    let mut read = open(&key::SECTION, document, problems);
    Log { level: read.value(&key::LEVEL), format: read.value(&key::FORMAT) }
}

fn fallback(document: &DeTable<'_>, problems: &mut Problems<'_>, places: &mut Places) -> Fallback {
    use keys::fallback as key;
    let mut read = open(&key::SECTION, document, problems);
    let fallback = Fallback {
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

fn api(document: &DeTable<'_>, state: &Path, problems: &mut Problems<'_>, places: &mut Places) -> Api {
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
    Api {
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

fn metrics(document: &DeTable<'_>, problems: &mut Problems<'_>) -> Metrics {
    use keys::metrics as key;
    Metrics { listen: open(&key::SECTION, document, problems).option(&key::LISTEN) }
}

fn open<'r, 'a>(section: &'static Section, document: &'r DeTable<'r>, problems: &'r mut Problems<'a>) -> Reader<'r, 'a> {
    let table = reader::table(document, section, problems);
    Reader::open(section, table.map(|(_, table)| table), table.map_or(0, |(at, _)| at), problems)
}

/// Collects the keys of a section whose values differ from their defaults.
fn changed(section: &'static Section, document: &DeTable<'_>, places: &mut Places) {
    let Some(table) = document.get(section.name).and_then(|value| value.get_ref().as_table()) else { return };
    for key in section.keys {
        if let Some(value) = table.get(key.name())
            && json_value(value.get_ref()) != toml_to_json(key.example())
        {
            places.changed.push((section.name, key.name(), value.span().start));
        }
    }
}

fn values<T>(items: Vec<At<T>>) -> Vec<T> {
    items.into_iter().map(|item| item.value).collect()
}
