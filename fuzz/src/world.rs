//! A server without sockets and upstreams: one network, one private zone, one route.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use postern_config::PosternConfig;
use postern_config::model::{OnMissing, RecursionPolicy};
use postern_dns::access::AccessLists;
use postern_dns::cache::UpstreamCache;
use postern_dns::route::{Route, RouteId, RouteTable};
use postern_dns::state::{AnswerSettings, State};
use postern_zones::name::{NameBuf, WireName};
use postern_zones::snapshot::SnapshotBuilder;
use postern_zones::zone::ZoneBuilder;

/// The configuration behind it. Its route leads to a port of this machine that no server listens on, and is never asked.
const CONFIGURATION: &str = "
[server]
listen = ['127.0.0.1:0']
[[forward]]
zone = '.'
upstreams = ['127.0.0.1:9']
[[key]]
name = 'fuzz-key'
secret = 'c2VjcmV0'
allow = ['update', 'query', 'transfer']
";

/// Apex of the private zone.
const PRIVATE_APEX: &str = "contoso.test";

/// Records of the private zone: every kind of answer that the path distinguishes.
const RECORDS: [(&str, &str, &str); 9] = [
    ("@", "NS", "ns.contoso.test."),
    ("www", "A", "10.20.1.5"),
    ("www", "AAAA", "2001:db8::5"),
    ("alias", "CNAME", "www"),
    ("out", "CNAME", "www.fabrikam.test."),
    ("*.wild", "TXT", "\"any name\""),
    ("old", "DNAME", "new.contoso.test."),
    ("cut", "NS", "ns.fabrikam.test."),
    ("mail", "MX", "10 www"),
];

/// A client of the network `hub`.
pub fn client() -> SocketAddr {
    SocketAddr::from(([10, 20, 0, 7], 5353))
}

/// Returns true for the apex of the private zone and for every name below it.
pub fn is_private(name: &NameBuf) -> bool {
    name.is_under(private_apex().as_wire())
}

fn private_apex() -> WireName {
    WireName::parse(PRIVATE_APEX).expect("a name")
}

/// The configuration, read once.
pub fn configuration() -> &'static PosternConfig {
    static READ: OnceLock<PosternConfig> = OnceLock::new();
    READ.get_or_init(|| postern_config::parse(CONFIGURATION, Path::new("fuzz.toml")).expect("a correct configuration").config)
}

/// The state that answers are made from; its cache is shared by all inputs.
pub fn state() -> &'static Arc<State> {
    static STATE: OnceLock<Arc<State>> = OnceLock::new();
    STATE.get_or_init(|| Arc::new(make_state(configuration())))
}

fn make_state(config: &PosternConfig) -> State {
    let mut builder = ZoneBuilder::new(private_apex());
    for (owner, rtype, data) in RECORDS {
        builder.add(owner, 60, rtype, data).expect("a correct record");
    }
    let zone = builder.finish(1).expect("a correct zone").zone;
    let snapshot = SnapshotBuilder::new()
        .network("hub", &["10.20.0.0/16".parse().expect("a prefix")], RecursionPolicy::Yes)
        .zone(zone, &[], OnMissing::Nxdomain)
        .build();
    let mut routes = RouteTable::new(snapshot.networks().count());
    for (network, _) in snapshot.networks() {
        routes.add(network, &WireName::parse(".").expect("the root"), Route { id: RouteId(0), to_self: false });
    }
    State {
        snapshot: Arc::new(snapshot),
        routes: Arc::new(routes),
        table: config.azure.clone(),
        cache: Arc::new(UpstreamCache::new(1 << 20)),
        access: AccessLists::default(),
        settings: AnswerSettings {
            udp_size: config.server.udp_size,
            nsid: Box::from(*b"fuzz"),
            version: Some("1".into()),
            identity: Some("fuzz".into()),
            max_public_ttl: config.fallback.max_public_ttl,
            cache: config.cache.clone(),
            deadline: std::time::Duration::from_secs(5),
            responses_per_second: 0,
        },
    }
}
