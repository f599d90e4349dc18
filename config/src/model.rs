//! The configuration as the server needs it: checked, complete, defaults filled in.
//!
//! Zone and network names are plain lower-case text here; `zones` turns them into wire form.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use crate::azure::Table;
use crate::effective::Setting;
use crate::file::File;

mod key;

pub use key::{Action, Algorithm, Key, NamePattern, Proof, Secret, ZoneName};

/// Everything `postern serve` needs, from one file.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The file it came from; none for the lab and for tests.
    pub path: Option<PathBuf>,
    /// Listeners, identity, user, watching.
    pub server: Server,
    /// Networks in file order. `default` is always present, added last if the file does not name it.
    pub networks: Vec<Network>,
    /// Private zones in file order, presets already expanded to their zone names.
    pub zones: Vec<Zone>,
    /// Forward rules in file order; with none given, one for `.` with [`Upstreams::System`].
    pub forwards: Vec<Forward>,
    /// TSIG keys, and clients that need none, in file order.
    pub keys: Vec<Key>,
    /// The cache of upstream data.
    pub cache: Cache,
    /// Bounds on what strangers can make the server hold.
    pub limits: Limits,
    /// Operational log.
    pub log: Log,
    /// The fallback record.
    pub fallback: Fallback,
    /// The HTTP API.
    pub api: Api,
    /// Metrics and probes.
    pub metrics: Metrics,
    /// The private-link table, with the rows of `server.zone-table`.
    pub azure: Arc<Table>,
    /// Every key with its value as text and where that comes from: to be shown.
    pub settings: Vec<Setting>,
    /// Files beside the sources of zones, each once: where one of them changes, all is read again.
    pub files: Vec<File>,
}

impl Config {
    /// Some of its files were read again: from now on a change is told by that.
    pub fn note(&mut self, read: &[File]) {
        for file in &mut self.files {
            if let Some(other) = read.iter().find(|other| other.path == file.path) {
                file.fingerprint = other.fingerprint;
            }
        }
    }
}

impl Api {
    /// Its files of keys and certificates.
    pub fn files(&self) -> impl Iterator<Item = &PathBuf> {
        [&self.key_file, &self.certificate, &self.private_key, &self.client_ca].into_iter().flatten()
    }
}

/// `[server]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Server {
    /// Addresses for UDP and TCP.
    pub listen: Vec<SocketAddr>,
    /// UDP worker threads for each address; default: one a core.
    pub workers: usize,
    /// User to become once the sockets are bound.
    pub user: Option<String>,
    /// Group to become; default: the user's own.
    pub group: Option<String>,
    /// Clients that may query at all; empty: everybody.
    pub allow: Vec<IpNet>,
    /// Clients that are refused, longest prefix of `allow` and `deny` wins.
    pub deny: Vec<IpNet>,
    /// NSID (RFC 5001) given to clients that ask; none: not answered.
    pub nsid: Option<String>,
    /// `version.bind`/`version.server` CH TXT; none: REFUSED.
    pub version: Option<String>,
    /// `id.server`/`hostname.bind` CH TXT (RFC 4892); none: REFUSED.
    pub identity: Option<String>,
    /// Names for zones without an SOA or NS records of their own.
    pub zone_names: ZoneNames,
    /// How often sources are looked at even when no file event came.
    pub poll: Duration,
    /// How long a burst of file events is left to settle before sources are read.
    pub settle: Duration,
    /// Largest source of a zone, bytes: a file with all files that it includes.
    pub max_source_size: u64,
    /// Refuse to start when a zone's source is bad, instead of serving the rest.
    pub strict: bool,
    /// Largest UDP answer sent, bytes (RFC 9715: 1232).
    pub udp_size: u16,
    /// How long a stop waits for answers that are under way.
    pub drain: Duration,
    /// How long a stop goes on answering before it begins, while `/ready` says no.
    pub lame_duck: Duration,
    /// Directory of the journals of zones that an API or a transfer writes.
    pub state: PathBuf,
    /// Extends or replaces rows of the built-in private-link zone table.
    pub zone_table: Option<PathBuf>,
}

/// `[[network]]`: a virtual network or site.
#[derive(Debug, Clone, PartialEq)]
pub struct Network {
    /// Its name; `default` is everybody else.
    pub name: String,
    /// Client prefixes that belong to it; longest prefix over all networks wins.
    pub clients: Vec<IpNet>,
    /// Who in it may have recursion (forwarding).
    pub recursion: Recursion,
}

/// Who may have recursion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recursion {
    /// Every client of the network.
    Yes,
    /// None.
    No,
    /// Clients with a private, loopback, link-local or unique local address: what `default` gets when nothing is said.
    PrivateClients,
}

/// `[[zone]]`: a private zone, linked to networks.
#[derive(Debug, Clone, PartialEq)]
pub struct Zone {
    /// Apex, lower case, no final dot (`.` for the root).
    pub name: String,
    /// It is one of the zones of a preset, which share the JSON and hosts files of their directory.
    pub preset: bool,
    /// Networks it is linked to, by name; empty: all of them.
    pub networks: Vec<String>,
    /// Where its records come from.
    pub source: Source,
    /// What happens to a name that it lacks.
    pub on_missing: OnMissing,
    /// The fallback record has the names that it lacks.
    pub fallback: bool,
    /// Lowest TTL given out, seconds.
    pub min_ttl: u32,
    /// Highest TTL given out, seconds.
    pub max_ttl: u32,
    /// Largest share of its names that one change of its files or one import may remove, percent.
    pub max_loss: u8,
    /// True if files or imports without records may empty the zone.
    pub allow_empty: bool,
    /// Names for an SOA and NS records, if the zone has none of its own: its own keys, otherwise those of `[server]`.
    pub zone_names: ZoneNames,
    /// How long a name deleted through the API goes on being answered.
    pub hold_deleted: Duration,
    /// Who may have it transferred.
    pub transfer_to: Vec<Peer>,
    /// Who is told when it changes.
    pub notify: Vec<SocketAddr>,
    /// Name of the key that signs what goes to primaries and `notify`, lower case, no final dot.
    pub transfer_key: Option<String>,
    /// Line of the `[[zone]]` in the configuration file, 1-based; 0: none.
    pub line: u32,
}

/// Limits on the names that one change may remove from a zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LossLimits {
    /// Largest share of the names of a zone of 20 names or more, percent.
    pub max_loss: u8,
    /// True if the zone may lose its last record.
    pub allow_empty: bool,
}

impl LossLimits {
    /// The limits of a zone that the configuration does not name: the defaults of the keys.
    pub fn usual() -> Self {
        Self { max_loss: 50, allow_empty: false }
    }

    /// The limits of a zone of the configuration.
    pub fn of(zone: &Zone) -> Self {
        Self { max_loss: zone.max_loss, allow_empty: zone.allow_empty }
    }
}

/// Names of servers for the SOA and the NS records of a zone. Lower case, no final dot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ZoneNames {
    /// Primary server (MNAME); none: the first of `servers`.
    pub primary: Option<String>,
    /// Name servers; empty: the primary server.
    pub servers: Vec<String>,
}

/// The one writer of a zone.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Source {
    /// One file; the format is told from its content unless given.
    File {
        /// Path, resolved against the configuration file's directory.
        path: PathBuf,
        /// What is in it.
        format: Format,
    },
    /// A watched directory: `<name>.zone` (or another name of a zone file), `<name>.hosts` and `<name>.json`. The zones of a preset share
    /// all `*.json` and `*.hosts`. Absent files are an empty zone.
    Directory {
        /// Path, resolved against the configuration file's directory.
        path: PathBuf,
    },
    /// The API and RFC 2136 updates; kept in a journal in [`Server::state`].
    Api,
    /// Transfers from other servers; kept like the above.
    Transfer {
        /// Asked in this order.
        primaries: Vec<SocketAddr>,
    },
}

/// Who may have a zone transferred.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Peer {
    /// Clients with such an address.
    Prefix(IpNet),
    /// Whoever signs with the key of this name (lower case, no final dot).
    Key(String),
}

/// What a source file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Format {
    /// Look at the name and the first bytes.
    Auto,
    /// RFC 1035 zone file.
    Zone,
    /// `address name…` lines.
    Hosts,
    /// Any JSON shape of Azure.
    Azure,
}

/// What a private zone does with a name it lacks (never with a type it lacks).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnMissing {
    /// Ask the public DNS and record it (Azure: `NxDomainRedirect`).
    Public,
    /// NXDOMAIN (Azure: `Default`).
    Nxdomain,
    /// SERVFAIL.
    Servfail,
}

/// `[[forward]]`: a route.
#[derive(Debug, Clone, PartialEq)]
pub struct Forward {
    /// Suffix, lower case, no final dot (`.` for the rest).
    pub zone: String,
    /// Networks it serves, by name; empty: all of them.
    pub networks: Vec<String>,
    /// Who is asked.
    pub upstreams: Upstreams,
    /// In which order.
    pub select: Select,
    /// How long one upstream is waited for before the next is asked.
    pub timeout: Duration,
    /// Line of the `[[forward]]` in the configuration file, 1-based; 0: none.
    pub line: u32,
}

/// Who a route asks.
#[derive(Debug, Clone, PartialEq)]
pub enum Upstreams {
    /// The nameservers of `/etc/resolv.conf`, read at start and on reload.
    System,
    /// These.
    List(Vec<Upstream>),
}

/// One upstream server.
#[derive(Debug, Clone, PartialEq)]
pub struct Upstream {
    /// Where it listens.
    pub address: SocketAddr,
    /// How it is spoken to.
    pub transport: Transport,
    /// Most questions outstanding there (168.63.129.16: 200).
    pub in_flight: u32,
    /// Most questions a second, token bucket; 0: no bound (168.63.129.16: 1000).
    pub rate: u32,
}

/// How an upstream is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transport {
    /// UDP, and TCP when the answer is truncated.
    Udp,
    /// TCP always.
    Tcp,
}

/// Order in which a route's upstreams are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Select {
    /// As written; the next when one fails.
    Order,
    /// Fastest measured first.
    Latency,
}

/// `[cache]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Cache {
    /// Memory for entries, bytes; 0: no cache.
    pub size: u64,
    /// Lower bound of cached TTLs, seconds.
    pub min_ttl: u32,
    /// Upper bound of cached TTLs, seconds.
    pub max_ttl: u32,
    /// Upper bound of cached negative answers, seconds (RFC 2308 section 5).
    pub max_negative_ttl: u32,
    /// How long a failure to resolve is remembered, seconds (RFC 9520: 1 to 300).
    pub failure_ttl: u32,
    /// How long past expiry an entry may be served when no upstream answers (RFC 8767); zero: never.
    pub stale: Duration,
    /// TTL of a stale answer, seconds (RFC 8767: 30).
    pub stale_ttl: u32,
    /// How long a client waits for a fresh answer before it gets a stale one (RFC 8767: 1.8 s).
    pub stale_after: Duration,
    /// How long after a failed refresh stale data is served at once, without asking again (RFC 8767: 30 s).
    pub stale_recheck: Duration,
}

/// `[limits]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// Client questions waiting for upstreams, in all; one more is answered SERVFAIL.
    pub pending: usize,
    /// TCP connections, in all.
    pub tcp_connections: usize,
    /// TCP connections for each client address.
    pub tcp_per_client: usize,
    /// A TCP connection without a complete question this long is closed (RFC 7766).
    pub tcp_idle: Duration,
    /// Questions of one TCP connection that may wait for answers.
    pub tcp_pipeline: usize,
    /// Responses over UDP to one client network in a second; 0: no limit.
    pub responses_per_second: u32,
    /// Time a client's question may take in all.
    pub query_deadline: Duration,
    /// Bytes of records that one transfer from a primary may bring.
    pub transfer_size: u64,
}

/// `[log]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Log {
    /// `error` … `trace`, or a filter such as `info,postern_dns=debug`.
    pub level: String,
    /// Text or JSON lines.
    pub format: LogFormat,
}

/// How lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// `[fallback]`: the record of answers that went public at a private-link name.
#[derive(Debug, Clone, PartialEq)]
pub struct Fallback {
    /// File the events go to; none: the log, at WARN.
    pub file: Option<PathBuf>,
    /// JSON lines or text.
    pub format: LogFormat,
    /// Size at which the file is rotated, bytes; 0: never.
    pub rotate: u64,
    /// Rotated files that are kept.
    pub keep: u32,
    /// Which repetitions of a (network, name, type, reason) are written.
    pub repeat: Repeat,
    /// Most lines a second, in all; 0: no bound.
    pub rate: u32,
    /// Most lines a second for one client; 0: no bound.
    pub client_rate: u32,
    /// Entries of the ledger by (network, name).
    pub ledger: usize,
    /// Highest TTL of public records at a private-link name, in answers to clients, seconds.
    pub max_public_ttl: u32,
    /// Events that may wait for the writer; more are counted as dropped.
    pub queue: usize,
}

/// `[api]`: the HTTP API.
#[derive(Debug, Clone, PartialEq)]
pub struct Api {
    /// Addresses for TCP; empty: none.
    pub listen: Vec<SocketAddr>,
    /// UNIX socket; none: none is wanted.
    pub socket: Option<PathBuf>,
    /// The file says where `socket` is: a server that cannot make it there does not start.
    pub socket_is_named: bool,
    /// Hashed keys of those who come over TCP; none: over a loopback address everybody may do everything.
    pub key_file: Option<PathBuf>,
    /// Certificate chain, PEM; none: no TLS.
    pub certificate: Option<PathBuf>,
    /// Its private key, PEM.
    pub private_key: Option<PathBuf>,
    /// Authorities of the certificates that clients must show, PEM; none: they need none.
    pub client_ca: Option<PathBuf>,
    /// Largest body of a request, bytes.
    pub max_body: u64,
    /// Most requests a second of one client address; 0: no bound.
    pub rate: u32,
    /// Connections, in all.
    pub connections: usize,
    /// Connections of one client address.
    pub per_client: usize,
}

/// `[metrics]`: metrics and probes.
#[derive(Debug, Clone, PartialEq)]
pub struct Metrics {
    /// Address for TCP; none: the API's listener alone.
    pub listen: Option<SocketAddr>,
}

/// Which repetitions of the same fallback are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    /// Every one.
    All,
    /// The first.
    First,
    /// One in each such time.
    Every(Duration),
}

impl Config {
    /// The address of Azure's own resolver, as every virtual machine sees it.
    pub const AZURE_DNS: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(168, 63, 129, 16));
}

impl Upstream {
    /// An upstream with the limits that are right where nothing is said: 1000 questions outstanding, as many as a resolver of one's own
    /// takes with ease; 200 and 1000 a second for Azure's, which drops what one virtual machine asks beyond that.
    pub fn new(address: SocketAddr, transport: Transport) -> Self {
        let (in_flight, rate) = if address.ip() == Config::AZURE_DNS { (200, 1000) } else { (1000, 0) };
        Self { address, transport, in_flight, rate }
    }
}
