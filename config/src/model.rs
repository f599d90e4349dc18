//! The configuration in checked form: complete, with all defaults filled in.
//!
//! Zone and network names are plain lower-case text here. The crate `zones` converts them into wire
//! form.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use crate::azure::PrivateLinkTable;
use crate::file::WatchedFile;

mod azure;
mod key;
mod networks;
mod overrides;
mod setting;
mod source;
mod upstream;

pub use azure::{AzureCloud, AzureIdentity, AzureReaderConfig, AzureScope};
pub use key::{KeyAction, KeyConfig, KeyProof, NamePattern, QualifiedZoneName, TsigAlgorithm, TsigSecret};
pub use networks::NetworkLinks;
pub use overrides::OtherTypes;
pub use setting::EffectiveSetting;
pub use source::{AZURE, FeedKind, FeedSource, FileSource, SourceFormat, TRANSFER, ZoneSource};
pub use upstream::{
    ProbeQuestion, QuerySource, RESOLV_CONF, UpstreamConfig, UpstreamDenial, UpstreamIdentity, UpstreamOrder, UpstreamSet,
    UpstreamTransport,
};

/// All settings of `postern serve`, from one file.
#[derive(Debug, Clone, PartialEq)]
pub struct PosternConfig {
    /// The configuration file. `None` for the lab and in tests.
    pub path: Option<PathBuf>,
    /// Listeners, identity, user, watching.
    pub server: ServerConfig,
    /// Networks in file order. `default` is always present, and last if the file does not name it.
    pub networks: Vec<NetworkConfig>,
    /// Private zones in file order. Presets are already expanded to their zones.
    pub zones: Vec<ZoneConfig>,
    /// Overrides in file order: the first ones that have a name count.
    pub overrides: Vec<ZoneConfig>,
    /// Forward rules in file order. Without any in the file, one for `.` with
    /// [`UpstreamSet::System`].
    pub forwards: Vec<ForwardConfig>,
    /// Readers of private endpoints in file order.
    pub azure_readers: Vec<AzureReaderConfig>,
    /// TSIG keys, and clients that need none, in file order.
    pub keys: Vec<KeyConfig>,
    /// Cache of upstream answers.
    pub cache: CacheConfig,
    /// Bounds on the resources that clients can consume.
    pub limits: LimitsConfig,
    /// The operational log.
    pub log: LogConfig,
    /// The fallback record.
    pub fallback: FallbackConfig,
    /// The HTTP API.
    pub api: ApiConfig,
    /// Metrics and probes.
    pub metrics: MetricsConfig,
    /// The private-link table, including the rows of `server.zone-table`.
    pub azure: Arc<PrivateLinkTable>,
    /// Every key with its value as text and the source of the value, for display.
    pub settings: Vec<EffectiveSetting>,
    /// Files other than zone sources, each once. If one of them changes, the whole configuration is
    /// read again.
    pub files: Vec<WatchedFile>,
}

impl PosternConfig {
    /// Stores the fingerprints of files that were read again. Later changes are detected against
    /// them.
    pub fn note(&mut self, read: &[WatchedFile]) {
        for file in &mut self.files {
            if let Some(other) = read.iter().find(|other| other.path == file.path) {
                file.fingerprint = other.fingerprint;
            }
        }
    }
}

impl ApiConfig {
    /// Returns its files of keys and certificates.
    pub fn files(&self) -> impl Iterator<Item = &PathBuf> {
        [&self.key_file, &self.certificate, &self.private_key, &self.client_ca].into_iter().flatten()
    }
}

/// Identity, listeners and files of the server, from `[server]`.
#[derive(Debug, Clone, PartialEq)]
pub struct ServerConfig {
    /// Addresses for UDP and TCP.
    pub listen: Vec<SocketAddr>,
    /// UDP worker threads for each address. The default is one per core.
    pub workers: usize,
    /// User to switch to after the sockets are bound.
    pub user: Option<String>,
    /// Group to switch to. The default is the group of the user.
    pub group: Option<String>,
    /// Clients that may send queries at all. Empty means every client.
    pub allow: Vec<IpNet>,
    /// Clients that are refused. The longest matching prefix of `allow` and `deny` decides.
    pub deny: Vec<IpNet>,
    /// NSID (RFC 5001) for clients that request it. `None` means no NSID.
    pub nsid: Option<String>,
    /// Answer to `version.bind`/`version.server` CH TXT. `None` means REFUSED.
    pub version: Option<String>,
    /// Answer to `id.server`/`hostname.bind` CH TXT (RFC 4892). `None` means REFUSED.
    pub identity: Option<String>,
    /// Server names for zones without their own SOA or NS records.
    pub zone_names: ZoneNames,
    /// Interval at which sources are checked even without a file event.
    pub poll: Duration,
    /// Time without further file events before sources are read.
    pub settle: Duration,
    /// Largest source of a zone in bytes, including all files that it includes.
    pub max_source_size: u64,
    /// Refuse to start if a zone's source has errors, instead of serving the other zones.
    pub strict: bool,
    /// Largest UDP response in bytes (RFC 9715: 1232).
    pub udp_size: u16,
    /// Longest time that a stop waits for pending answers.
    pub drain: Duration,
    /// Time for which a stopping server still answers while `/ready` reports not ready.
    pub lame_duck: Duration,
    /// Directory of the journals of zones that an API or a transfer writes.
    pub state: PathBuf,
    /// File that extends or replaces rows of the built-in private-link table.
    pub zone_table: Option<PathBuf>,
}

/// A virtual network or site, from `[[network]]`.
#[derive(Debug, Clone, PartialEq)]
pub struct NetworkConfig {
    /// Name of the network. `default` contains every client of no other network.
    pub name: String,
    /// Client prefixes of the network. The longest matching prefix over all networks decides.
    pub clients: Vec<IpNet>,
    /// Clients of the network that may use recursion (forwarding).
    pub recursion: RecursionPolicy,
    /// Resource IDs of the virtual networks and subnets in Azure whose private endpoints the network reaches, in lower case.
    pub virtual_networks: Vec<String>,
}

impl NetworkConfig {
    /// Name of the network of all clients that belong to no other network.
    pub(crate) const DEFAULT: &str = "default";
}

/// Clients that may use recursion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecursionPolicy {
    /// Every client of the network.
    Yes,
    /// No client of the network.
    No,
    /// Clients with a private, loopback, link-local or unique local address. This is the default of
    /// the network `default`.
    PrivateClients,
}

/// A private zone that is linked to networks, from `[[zone]]`.
#[derive(Debug, Clone, PartialEq)]
pub struct ZoneConfig {
    /// Apex in lower case, without the final dot (`.` for the root).
    pub name: String,
    /// Set for a zone of a preset. The zones of a preset share the JSON and hosts files of their
    /// directory.
    pub preset: bool,
    /// Networks that the zone is linked to.
    pub networks: NetworkLinks,
    /// Source of the records.
    pub source: ZoneSource,
    /// Treatment of names that the zone lacks.
    pub on_missing: OnMissing,
    /// Set if the fallback record includes missing names of this zone.
    pub fallback: bool,
    /// Lowest TTL in answers, in seconds.
    pub min_ttl: u32,
    /// Highest TTL in answers, in seconds.
    pub max_ttl: u32,
    /// Largest share of the names, in percent, that one change of the files or one import may
    /// remove.
    pub max_loss: u8,
    /// Set if files or imports without records may empty the zone.
    pub allow_empty: bool,
    /// Server names for the SOA and NS records if the zone has none of its own. Keys of the zone
    /// take precedence over those of `[server]`.
    pub zone_names: ZoneNames,
    /// How long a name that was deleted through the API is still answered.
    pub hold_deleted: Duration,
    /// Clients that may transfer the zone.
    pub transfer_to: Vec<TransferPeer>,
    /// Servers that receive a NOTIFY when the zone changes.
    pub notify: Vec<SocketAddr>,
    /// Name of the key that signs messages to primaries and `notify`, in lower case without the
    /// final dot.
    pub transfer_key: Option<String>,
    /// Present if these are overrides, from `[[override]]`: records at their own names, which own no domain. `name` is then the name of
    /// the overrides, and the apex is the root.
    pub overrides: Option<OtherTypes>,
    /// Line of the `[[zone]]` or `[[override]]` in the configuration file, 1-based. 0 means none.
    pub line: u32,
}

impl ZoneConfig {
    /// Returns the apex in lower case, without the final dot.
    pub fn apex(&self) -> &str {
        if self.overrides.is_some() { "." } else { &self.name }
    }
}

/// Limits on the names that one change may remove from a zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LossLimits {
    /// Largest share of the names in percent, for a zone of 20 names or more.
    pub max_loss: u8,
    /// Set if the zone may lose its last record.
    pub allow_empty: bool,
}

impl LossLimits {
    /// Returns the limits of a zone outside the configuration: the defaults of the keys.
    pub fn usual() -> Self {
        Self { max_loss: 50, allow_empty: false }
    }

    /// Returns the limits of a zone of the configuration.
    pub fn of(zone: &ZoneConfig) -> Self {
        Self { max_loss: zone.max_loss, allow_empty: zone.allow_empty }
    }
}

/// Names of servers for the SOA and NS records of a zone, in lower case without the final dot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ZoneNames {
    /// Primary server (MNAME). `None` means the first of `servers`.
    pub primary: Option<String>,
    /// Name servers. Empty means the primary server.
    pub servers: Vec<String>,
}

/// A permission to transfer a zone.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum TransferPeer {
    /// Clients with an address in this prefix.
    Prefix(IpNet),
    /// Clients that sign with the key of this name (lower case, no final dot).
    Key(String),
}

/// Treatment of names that a private zone lacks. Missing types of an existing name are always
/// NODATA.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnMissing {
    /// Resolve the name in the public DNS and record the fallback (Azure: `NxDomainRedirect`).
    Public,
    /// Answer NXDOMAIN (Azure: `Default`).
    Nxdomain,
    /// Answer with SERVFAIL.
    Servfail,
}

/// A route, from `[[forward]]`.
#[derive(Debug, Clone, PartialEq)]
pub struct ForwardConfig {
    /// Suffix in lower case, without the final dot. `.` matches all other names.
    pub zone: String,
    /// Networks that use the route.
    pub networks: NetworkLinks,
    /// Upstreams of the route.
    pub upstreams: UpstreamSet,
    /// Order in which the upstreams are tried.
    pub select: UpstreamOrder,
    /// How long an upstream may take before the next one is tried. `None`: by its address.
    pub timeout: Option<Duration>,
    /// Shortest time after which a query is sent again.
    pub retransmit_min: Duration,
    /// Longest time after which a query is sent again.
    pub retransmit_max: Duration,
    /// The share of an upstream's answers, in percent, after whose time the next one is queried as
    /// well. `None` means never.
    pub hedge: Option<u8>,
    /// Denials after which the next upstream is queried.
    pub next_on: Vec<UpstreamDenial>,
    /// Source of queries, for upstreams that are not written with their own. `None`: the system chooses it.
    pub source: Option<QuerySource>,
    /// Line of the `[[forward]]` in the configuration file, 1-based. 0 means none.
    pub line: u32,
}

/// The cache of upstream answers, from `[cache]`.
#[derive(Debug, Clone, PartialEq)]
pub struct CacheConfig {
    /// Memory for entries in bytes. 0 disables the cache.
    pub size: u64,
    /// Lower bound of cached TTLs, in seconds.
    pub min_ttl: u32,
    /// Upper bound of cached TTLs, in seconds.
    pub max_ttl: u32,
    /// Upper bound of cached negative answers, in seconds (RFC 2308, section 5).
    pub max_negative_ttl: u32,
    /// How long a resolution failure is cached, in seconds (RFC 9520: 1 to 300).
    pub failure_ttl: u32,
    /// How long an expired entry may be served when no upstream answers (RFC 8767). Zero means
    /// never.
    pub stale: Duration,
    /// TTL of a stale answer, in seconds (RFC 8767: 30).
    pub stale_ttl: u32,
    /// How long a client waits for a fresh answer before it receives a stale one (RFC 8767: 1.8 s).
    pub stale_after: Duration,
    /// Time after a failed refresh in which stale data is served at once, without another query
    /// (RFC 8767: 30 s).
    pub stale_recheck: Duration,
}

/// Bounds on resources that clients can consume, from `[limits]`.
#[derive(Debug, Clone, PartialEq)]
pub struct LimitsConfig {
    /// Maximum number of client queries that wait for upstreams. Further ones are answered with
    /// SERVFAIL.
    pub pending: usize,
    /// Maximum number of TCP connections.
    pub tcp_connections: usize,
    /// Maximum number of TCP connections for each client address.
    pub tcp_per_client: usize,
    /// Time without a complete query after which a TCP connection is closed (RFC 7766).
    pub tcp_idle: Duration,
    /// Maximum number of pending queries on one TCP connection.
    pub tcp_pipeline: usize,
    /// Maximum number of UDP responses per second to one client network. 0 means no limit.
    pub responses_per_second: u32,
    /// Maximum time for a client query.
    pub query_deadline: Duration,
    /// Maximum size of the records in one transfer from a primary, in bytes.
    pub transfer_size: u64,
}

/// The operational log, from `[log]`.
#[derive(Debug, Clone, PartialEq)]
pub struct LogConfig {
    /// `error` … `trace`, or a filter such as `info,postern_dns=debug`.
    pub level: String,
    /// Format of log lines.
    pub format: LogFormat,
}

/// Format of log lines and fallback events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Text for human readers.
    Text,
    /// One JSON object per line.
    Json,
}

/// The record of public answers for private-link names, from `[fallback]`.
#[derive(Debug, Clone, PartialEq)]
pub struct FallbackConfig {
    /// File for the events. `None` means the log, at level WARN.
    pub file: Option<PathBuf>,
    /// Format of the events.
    pub format: LogFormat,
    /// Size in bytes at which the file is rotated. 0 means never.
    pub rotate: u64,
    /// Number of rotated files to keep.
    pub keep: u32,
    /// Which repetitions of the same network, name, type and reason are written.
    pub repeat: RepeatPolicy,
    /// Maximum number of lines per second. 0 means no limit.
    pub rate: u32,
    /// Maximum number of lines per second for one client. 0 means no limit.
    pub client_rate: u32,
    /// Maximum number of ledger entries, each for a network and a name.
    pub ledger: usize,
    /// Highest TTL in answers to clients for public records at a private-link name, in seconds.
    pub max_public_ttl: u32,
    /// Maximum number of events in the writer's queue. Further ones are counted as dropped.
    pub queue: usize,
}

/// The HTTP API, from `[api]`.
#[derive(Debug, Clone, PartialEq)]
pub struct ApiConfig {
    /// TCP addresses. Empty means none.
    pub listen: Vec<SocketAddr>,
    /// UNIX socket. `None` means that the operator disabled it.
    pub socket: Option<PathBuf>,
    /// Set if the file names `socket`. The server then does not start if it cannot create the
    /// socket.
    pub socket_is_named: bool,
    /// File with the hashed keys of TCP clients. `None` grants everything to every client of a
    /// loopback address.
    pub key_file: Option<PathBuf>,
    /// Certificate chain in PEM. `None` means no TLS.
    pub certificate: Option<PathBuf>,
    /// Private key of the certificate in PEM.
    pub private_key: Option<PathBuf>,
    /// Certificate authorities for client certificates, in PEM. `None` means that clients need no
    /// certificate.
    pub client_ca: Option<PathBuf>,
    /// Largest request body in bytes.
    pub max_body: u64,
    /// Maximum number of requests per second for one client address. 0 means no limit.
    pub rate: u32,
    /// Maximum number of connections.
    pub connections: usize,
    /// Maximum number of connections for one client address.
    pub per_client: usize,
}

/// Metrics and probes, from `[metrics]`.
#[derive(Debug, Clone, PartialEq)]
pub struct MetricsConfig {
    /// TCP address. `None` means only the listener of the API.
    pub listen: Option<SocketAddr>,
}

/// Which repetitions of the same fallback are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RepeatPolicy {
    /// Write every repetition.
    All,
    /// Only the first occurrence.
    First,
    /// One in each interval of this length.
    Every(Duration),
}

impl PosternConfig {
    /// The address of Azure's own resolver, as every virtual machine reaches it.
    pub const AZURE_DNS: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(168, 63, 129, 16));
}
