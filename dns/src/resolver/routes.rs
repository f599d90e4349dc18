//! Routes from the configuration: which networks ask which upstreams for which suffix.
//!
//! A [`RouteRegistry`] lives as long as the server. It gives a list of upstreams with its order and timeout the same [`RouteId`] every time, so
//! that cache, health and questions in flight go on over a reload that leaves them as they are. Networks that ask the same upstreams in
//! the same way share a route, and with it a cache of what those say: public data, in which private zones never are.

use std::collections::{HashMap, HashSet};
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use postern_config::model::{
    ForwardConfig, PosternConfig, RESOLV_CONF, UpstreamConfig, UpstreamDenial, UpstreamIdentity, UpstreamOrder, UpstreamSet,
    UpstreamTransport,
};
use postern_config::scoped_address;
use postern_zones::name::WireName;
use postern_zones::snapshot::Snapshot;

use crate::route::{Route, RouteId, RoutePlan, RouteTable};
use crate::upstream::name;

/// Numbers of routes, over all reloads.
#[derive(Debug)]
pub struct RouteRegistry {
    known: HashMap<Key, RouteId>,
    resolv_conf: PathBuf,
    /// The system's resolvers as they were read last, this server left out.
    system: Vec<SocketAddr>,
}

/// Routes with equal keys are one route.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Key {
    upstreams: Vec<(UpstreamIdentity, bool, Duration)>,
    by_latency: bool,
    retransmit: (Duration, Duration),
    hedge: Option<u8>,
    next_on: Vec<UpstreamDenial>,
}

/// A warning for the operator about a route.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RouteWarning {
    /// S7, seen before anything was asked.
    #[error("the upstream {upstream} of the route for `{zone}` is this server: left out")]
    ToSelf {
        /// The upstream.
        upstream: String,
        /// The route's suffix.
        zone: String,
    },
    /// No `[[forward]]`, or one that names the system's resolvers, and there are none.
    #[error("the route for `{zone}` goes to the system's resolvers, and {} names none but this server: nothing is forwarded", file.display())]
    NoSystemResolver {
        /// The route's suffix.
        zone: String,
        /// `/etc/resolv.conf`.
        file: PathBuf,
    },
    /// The same, because the file cannot be read.
    #[error("the route for `{zone}` goes to the system's resolvers, but {}: {error}", file.display())]
    Unreadable {
        /// The route's suffix.
        zone: String,
        /// `/etc/resolv.conf`.
        file: PathBuf,
        /// Why.
        error: String,
    },
    /// The file has no resolvers any more, or cannot be read.
    #[error("{} names no resolvers ({reason}), and the last good ones stay in use", file.display())]
    KeptSystemResolvers {
        /// The file, usually `/etc/resolv.conf`.
        file: PathBuf,
        /// Error, or what the file lacks.
        reason: String,
    },
    /// 65,536 different routes since the start.
    #[error("the route for `{zone}` is left out: too many changes of routes since the start; start the server anew")]
    Exhausted {
        /// The route's suffix.
        zone: String,
    },
}

impl Default for RouteRegistry {
    fn default() -> Self {
        Self::with_resolv_conf(RESOLV_CONF.into())
    }
}

impl RouteRegistry {
    /// A registry that reads the system's resolvers from this file.
    pub fn with_resolv_conf(resolv_conf: PathBuf) -> Self {
        Self { known: HashMap::new(), resolv_conf, system: Vec::new() }
    }

    /// Routes of all networks of a snapshot that was made from the same configuration. `listening`: addresses this server answers at.
    pub fn routes(&mut self, config: &PosternConfig, snapshot: &Snapshot, listening: &[SocketAddr]) -> (RouteTable, Vec<RouteWarning>) {
        let mut warnings = Vec::new();
        let mut routes = RouteTable::new(snapshot.networks().count());
        if config.forwards.iter().any(|forward| forward.upstreams == UpstreamSet::System) {
            self.read_system_resolvers(listening, &mut warnings);
        }
        // The shortest suffix of a plan comes first: its names are what loop probes are made of.
        let mut forwards: Vec<&ForwardConfig> = config.forwards.iter().collect();
        forwards.sort_by_key(|forward| forward.zone.len());
        for forward in forwards {
            let Ok(suffix) = WireName::parse(&forward.zone) else { continue }; // checked with the configuration
            let Some(written) = self.upstreams(forward, &mut warnings) else { continue };
            let (own, upstreams): (Vec<_>, Vec<_>) = written.into_iter().partition(|upstream| is_own(upstream.address, listening));
            warnings.extend(own.iter().map(|own| RouteWarning::ToSelf { upstream: name(own), zone: forward.zone.clone() }));
            let to_self = upstreams.is_empty();
            let plan = RoutePlan {
                suffix: suffix.clone(),
                upstreams,
                select: forward.select,
                retransmit_min: forward.retransmit_min,
                retransmit_max: forward.retransmit_max,
                hedge: forward.hedge,
                next_on: forward.next_on.clone(),
            };
            let Some(id) = self.number(&plan) else {
                warnings.push(RouteWarning::Exhausted { zone: forward.zone.clone() });
                continue;
            };
            let named: HashSet<&str> = forward.networks.names().iter().map(String::as_str).collect();
            for (network, known) in snapshot.networks() {
                if forward.networks.are_all() || named.contains(&*known.name) {
                    routes.add(network, &suffix, Route { id, to_self });
                }
            }
            if !to_self {
                routes.plan(id, Arc::new(plan));
            }
        }
        (routes, warnings)
    }

    /// Returns the upstreams of a forward rule. `None` if it asks the system's resolvers and there are none.
    fn upstreams(&self, forward: &ForwardConfig, warnings: &mut Vec<RouteWarning>) -> Option<Vec<UpstreamConfig>> {
        match &forward.upstreams {
            UpstreamSet::List(upstreams) => Some(upstreams.clone()),
            UpstreamSet::System if self.system.is_empty() => {
                let (zone, file) = (forward.zone.clone(), self.resolv_conf.clone());
                warnings.push(match system_resolvers(&file) {
                    Ok(_) => RouteWarning::NoSystemResolver { zone, file },
                    Err(error) => RouteWarning::Unreadable { zone, file, error: error.to_string() },
                });
                None
            }
            UpstreamSet::System => {
                let upstreams = self.system.iter().map(|address| {
                    let upstream = UpstreamConfig::new(*address, UpstreamTransport::Udp);
                    let timeout = forward.timeout.unwrap_or(upstream.timeout);
                    UpstreamConfig { timeout, source: forward.source.clone(), ..upstream }
                });
                Some(upstreams.collect())
            }
        }
    }

    /// Reads the system's resolvers again. A file without any keeps the last good ones: it is being written, or a link is down.
    fn read_system_resolvers(&mut self, listening: &[SocketAddr], warnings: &mut Vec<RouteWarning>) {
        // The machine may well use this server itself: no mistake, and no reason to warn.
        let others = |found: Vec<SocketAddr>| found.into_iter().filter(|address| !is_own(*address, listening)).collect::<Vec<_>>();
        let reason = match system_resolvers(&self.resolv_conf).map(others) {
            Ok(found) if !found.is_empty() => return self.system = found,
            Ok(_) => "no `nameserver` but this server".to_owned(),
            Err(error) => error.to_string(),
        };
        if !self.system.is_empty() {
            warnings.push(RouteWarning::KeptSystemResolvers { file: self.resolv_conf.clone(), reason });
        }
    }

    fn number(&mut self, plan: &RoutePlan) -> Option<RouteId> {
        let upstreams = plan.upstreams.iter().map(|upstream| (upstream.identity(), upstream.edns, upstream.timeout)).collect();
        let retransmit = (plan.retransmit_min, plan.retransmit_max);
        let key = Key {
            upstreams,
            by_latency: plan.select == UpstreamOrder::Latency,
            retransmit,
            hedge: plan.hedge,
            next_on: plan.next_on.clone(),
        };
        // Never one number for two routes: the cache goes by it.
        let next = u16::try_from(self.known.len()).ok();
        match self.known.get(&key) {
            Some(id) => Some(*id),
            None => next.map(|next| *self.known.entry(key).or_insert(RouteId(next))),
        }
    }
}

/// Number of resolvers that are taken from a `resolv.conf`, as by the C library.
pub const MOST_SYSTEM_RESOLVERS: usize = 3;

/// Returns the name servers of a `resolv.conf`, port 53.
pub fn system_resolvers(file: &Path) -> io::Result<Vec<SocketAddr>> {
    let text = String::from_utf8_lossy(&postern_config::read(file)?).into_owned();
    let mut found: Vec<SocketAddr> = Vec::new();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        if words.next() != Some("nameserver") || found.len() == MOST_SYSTEM_RESOLVERS {
            continue;
        }
        if let Some(address) = words.next().and_then(|word| scoped_address(word, 53))
            && !found.contains(&address)
        {
            found.push(address);
        }
    }
    Ok(found)
}

/// True where what is sent to `address` comes to one of our listeners.
pub fn is_own(address: SocketAddr, listening: &[SocketAddr]) -> bool {
    let to = address.ip().to_canonical();
    listening.iter().any(|ours| {
        let at = ours.ip().to_canonical();
        let reaches = match at.is_unspecified() {
            // An address is this machine's own where a socket can be bound to it.
            true => at.is_ipv4() == to.is_ipv4() && (to.is_unspecified() || to.is_loopback() || UdpSocket::bind((to, 0)).is_ok()),
            false => to == at || (to.is_unspecified() && at.is_loopback()),
        };
        ours.port() == address.port() && reaches
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use postern_config::model::{NetworkLinks, RecursionPolicy};
    use postern_zones::name::NameBuf;
    use postern_zones::network::NetworkId;
    use postern_zones::snapshot::SnapshotBuilder;
    use std::io::Write;

    fn forward(zone: &str, networks: &[&str], upstreams: &[&str]) -> ForwardConfig {
        let upstreams = match upstreams {
            ["system"] => UpstreamSet::System,
            list => UpstreamSet::List(
                list.iter().map(|address| UpstreamConfig::new(address.parse().unwrap(), UpstreamTransport::Udp)).collect(),
            ),
        };
        let networks = NetworkLinks::of_list(networks.iter().map(|name| (*name).to_owned()).collect());
        let mut forward = PosternConfig::default().forwards.remove(0);
        (forward.zone, forward.networks, forward.upstreams) = (zone.into(), networks, upstreams);
        forward
    }

    fn config(forwards: Vec<ForwardConfig>) -> PosternConfig {
        let mut config = postern_config::parse("", Path::new("test.toml")).expect("defaults").config;
        config.forwards = forwards;
        config
    }

    fn snapshot() -> Snapshot {
        let prefix = |text: &str| [text.parse().unwrap()];
        SnapshotBuilder::new()
            .network("hub", &prefix("10.20.0.0/16"), RecursionPolicy::Yes)
            .network("spoke", &prefix("10.30.0.0/16"), RecursionPolicy::Yes)
            .build()
    }

    fn found(routes: &RouteTable, network: u32, name: &str) -> Option<u16> {
        routes.find(NetworkId(network), &NameBuf::parse(name).unwrap()).map(|(route, _)| route.id.0)
    }

    #[test]
    fn a_route_keeps_its_number_for_as_long_as_its_upstreams_stay_the_same() {
        let mut registry = RouteRegistry::default();
        let snapshot = snapshot();
        let mut rules = vec![
            forward(".", &[], &["192.0.2.1:53"]),
            forward("corp.test", &["hub"], &["192.0.2.2:53", "192.0.2.3:53"]),
            forward("lab.test", &["spoke"], &["192.0.2.1:53"]),
        ];
        let (routes, warnings) = registry.routes(&config(rules.clone()), &snapshot, &[]);
        assert_eq!(warnings, []);
        let first =
            [(0, "a.test"), (0, "x.corp.test"), (1, "x.corp.test"), (1, "lab.test")].map(|(network, name)| found(&routes, network, name));
        assert_eq!(first[0], first[2], "a rule for one network is not the other's");
        assert_eq!(first[0], first[3], "the same upstreams: the same route");
        assert_ne!(first[0], first[1]);
        assert_eq!(routes.plans().len(), 2);
        assert_eq!(routes.plans()[0].1.suffix, WireName::parse(".").unwrap(), "the shortest suffix");

        rules.remove(0);
        rules.insert(1, forward(".", &[], &["192.0.2.1:53"]));
        let UpstreamSet::List(list) = &mut rules[0].upstreams else { panic!() };
        list[0].in_flight = 7;
        let (again, _) = registry.routes(&config(rules.clone()), &snapshot, &[]);
        assert_eq!(found(&again, 0, "a.test"), first[0]);
        assert_eq!(found(&again, 0, "x.corp.test"), first[1], "limits change nothing of what upstreams say");

        rules[0].select = UpstreamOrder::Latency;
        let (changed, _) = registry.routes(&config(rules), &snapshot, &[]);
        assert!(![first[0], first[1]].contains(&found(&changed, 0, "x.corp.test")), "a number is never used twice");
    }

    #[test]
    fn upstreams_that_are_this_server_are_left_out_and_a_route_of_nothing_else_is_refused() {
        let mut registry = RouteRegistry::default();
        let rules = vec![forward(".", &[], &["127.0.0.1:53", "192.0.2.1:53"]), forward("corp.test", &[], &["127.0.0.2:53"])];
        let (routes, warnings) = registry.routes(&config(rules), &snapshot(), &["0.0.0.0:53".parse().unwrap()]);
        let to_self = |name: &str| routes.find(NetworkId(0), &NameBuf::parse(name).unwrap()).unwrap().0.to_self;
        assert!(!to_self("a.test") && to_self("corp.test"));
        assert_eq!(warnings.len(), 2, "{warnings:?}");
        assert_eq!(routes.plans().iter().map(|(_, plan)| plan.upstreams.len()).collect::<Vec<_>>(), [1]);
    }

    #[test]
    fn what_is_ours_is_told_from_what_is_not() {
        let listening = ["127.0.0.1:5300", "0.0.0.0:53", "[::1]:53"].map(|address| address.parse().unwrap());
        for (address, own) in [
            ("127.0.0.1:5300", true),
            ("127.0.0.1:53", true),
            ("127.0.0.53:53", true),
            ("127.0.0.2:5300", false),
            ("127.0.0.1:54", false),
            ("0.0.0.0:5300", true),
            ("[::1]:53", true),
            ("[::ffff:127.0.0.1]:53", true),
            ("192.0.2.1:53", false),
            ("168.63.129.16:53", false),
            ("[2001:db8::1]:53", false),
        ] {
            assert_eq!(is_own(address.parse().unwrap(), &listening), own, "{address}");
        }
    }

    #[test]
    fn the_systems_resolvers_are_asked_but_for_ourselves() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let text = "# one\nnameserver 127.0.0.1\n search contoso.test\nnameserver 192.0.2.53 # two\nnameserver 2001:db8::53\n\
                    nameserver 192.0.2.53\nnameserver fe80::1%no-such-link\nnameserver fe80::1\nnameserver\nnameservers 192.0.2.99\n;nameserver 192.0.2.98\n";
        file.write_all(text.as_bytes()).unwrap();
        let mut registry = RouteRegistry::with_resolv_conf(file.path().to_owned());
        let rules = config(vec![forward(".", &[], &["system"])]);
        let (routes, warnings) = registry.routes(&rules, &snapshot(), &["127.0.0.1:53".parse().unwrap()]);
        let asked: Vec<String> = routes.plans()[0].1.upstreams.iter().map(|upstream| upstream.address.to_string()).collect();
        assert_eq!(asked, ["192.0.2.53:53", "[2001:db8::53]:53"]);
        assert_eq!(warnings, []);
        std::fs::write(file.path(), "nameserver 127.0.0.1\n").unwrap();
        let asked =
            |routes: &RouteTable| routes.plans()[0].1.upstreams.iter().map(|upstream| upstream.address.to_string()).collect::<Vec<_>>();
        let (routes, warnings) = registry.routes(&rules, &snapshot(), &["127.0.0.1:53".parse().unwrap()]);
        assert_eq!(asked(&routes).len(), 2, "the last good ones stay in use");
        assert!(matches!(warnings[..], [RouteWarning::KeptSystemResolvers { .. }]), "{warnings:?}");
        std::fs::write(file.path(), "nameserver 192.0.2.54\nnameserver fe80::1%1\n").unwrap();
        assert_eq!(asked(&registry.routes(&rules, &snapshot(), &[]).0), ["192.0.2.54:53", "[fe80::1%1]:53"]);
        let mut another = RouteRegistry::with_resolv_conf(file.path().to_owned());
        std::fs::write(file.path(), "nameserver 127.0.0.1\n").unwrap();
        let (routes, warnings) = another.routes(&rules, &snapshot(), &["127.0.0.1:53".parse().unwrap()]);
        assert!(found(&routes, 0, "a.test").is_none() && matches!(warnings[..], [RouteWarning::NoSystemResolver { .. }]));
        std::fs::remove_file(file.path()).unwrap();
        let (_, warnings) = another.routes(&rules, &snapshot(), &[]);
        assert!(matches!(warnings[..], [RouteWarning::Unreadable { .. }]));
        let (routes, warnings) = registry.routes(&rules, &snapshot(), &[]);
        assert!(asked(&routes).len() == 2 && matches!(warnings[..], [RouteWarning::KeptSystemResolvers { .. }]));
    }
}
