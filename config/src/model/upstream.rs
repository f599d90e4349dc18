//! Upstreams of a route.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::PosternConfig;

/// File with the name servers of the operating system.
pub const RESOLV_CONF: &str = "/etc/resolv.conf";

/// Upstreams of a route.
#[derive(Debug, Clone, PartialEq)]
pub enum UpstreamSet {
    /// The name servers of [`RESOLV_CONF`], which is watched like every other file of the configuration.
    System,
    /// A list of upstream servers.
    List(Vec<UpstreamConfig>),
}

/// One upstream server.
#[derive(Debug, Clone, PartialEq)]
pub struct UpstreamConfig {
    /// Address and port of the upstream.
    pub address: SocketAddr,
    /// Transport of queries to the upstream.
    pub transport: UpstreamTransport,
    /// Maximum number of outstanding queries (168.63.129.16: 200).
    pub in_flight: u32,
    /// Maximum number of queries per second, limited by a token bucket. 0 means no limit
    /// (168.63.129.16: 1000).
    pub rate: u32,
    /// Query that tells whether the upstream is up.
    pub probe: ProbeQuestion,
    /// How long the upstream may take before the next one is queried.
    pub timeout: Duration,
    /// Whether the letter case of names is random, and is checked in answers.
    pub random_case: bool,
    /// Whether queries carry a DNS cookie (RFC 7873).
    pub cookies: bool,
    /// Whether queries carry an OPT record (EDNS).
    pub edns: bool,
    /// Largest UDP response that queries ask for, in bytes.
    pub udp_size: u16,
    /// Source of queries. `None`: the system chooses it.
    pub source: Option<QuerySource>,
}

/// Source of queries to an upstream.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum QuerySource {
    /// An address of this machine.
    Address(IpAddr),
    /// Name of a network interface of this machine.
    Interface(String),
}

/// The properties that tell upstreams apart. Upstreams that agree in them share sockets, limits, and health.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct UpstreamIdentity {
    /// Address and port.
    pub address: SocketAddr,
    /// Transport of queries.
    pub transport: UpstreamTransport,
    /// Source of queries.
    pub source: Option<QuerySource>,
}

/// A fixed query that tells whether an upstream is up: any response will do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeQuestion {
    /// Name in lower case, without the final dot.
    pub name: String,
    /// Type of the query.
    pub rtype: u16,
}

/// Transport of queries to an upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UpstreamTransport {
    /// UDP, and TCP after a truncated answer.
    Udp,
    /// TCP for every query.
    Tcp,
}

/// A denial after which the next upstream of a route may be queried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UpstreamDenial {
    /// The name does not exist.
    Nxdomain,
    /// The name exists without the type.
    Nodata,
}

/// Order in which the upstreams of a route are tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpstreamOrder {
    /// In the order of the file. If one fails, the next is tried.
    Order,
    /// By measured response time, the fastest first.
    Latency,
}

impl UpstreamConfig {
    /// Creates an upstream with the default limits. A resolver that the operator runs easily
    /// handles 1000 outstanding queries. Azure's resolver gets 200 and 1000 per second, because it
    /// drops further queries of one virtual machine.
    pub fn new(address: SocketAddr, transport: UpstreamTransport) -> Self {
        let is_azure = address.ip() == PosternConfig::AZURE_DNS;
        let (in_flight, rate) = if is_azure { (200, 1000) } else { (1000, 0) };
        // Microsoft asks for more than 4 s: with less, private names may be resolved by the next upstream.
        let timeout = Duration::from_millis(if is_azure { 4500 } else { 1500 });
        let probe = ProbeQuestion { name: ".".into(), rtype: 2 }; // NS
        let (random_case, cookies, edns, udp_size, source) = (true, true, true, 1232, None);
        Self { address, transport, in_flight, rate, probe, timeout, random_case, cookies, edns, udp_size, source }
    }

    /// Returns the properties that tell it from other upstreams.
    pub fn identity(&self) -> UpstreamIdentity {
        UpstreamIdentity { address: self.address, transport: self.transport, source: self.source.clone() }
    }
}

impl fmt::Display for QuerySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Interface(name) => f.write_str(name),
        }
    }
}
