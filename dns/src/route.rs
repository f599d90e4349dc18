//! Routes: which upstreams a name is asked at, per network, by longest suffix.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use postern_config::model::{PosternConfig, UpstreamConfig, UpstreamDenial, UpstreamOrder};
use postern_zones::name::{NameBuf, WireName};
use postern_zones::network::NetworkId;

/// A route's number: the same for as long as its upstreams stay the same, across reloads; cache and questions in flight go by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RouteId(pub u16);

/// All routes, by network.
#[derive(Debug, Default)]
pub struct RouteTable {
    networks: Vec<Table>,
    plans: Vec<(RouteId, Arc<RoutePlan>)>,
}

/// One route as a network sees it.
#[derive(Debug, Clone)]
pub struct Route {
    /// Its number.
    pub id: RouteId,
    /// All its upstreams are addresses of this server (S7): not asked. Loops that show only at run time are the resolver's to find.
    pub to_self: bool,
}

/// How a route's questions are asked.
#[derive(Debug, Clone, PartialEq)]
pub struct RoutePlan {
    /// Its suffix, the shortest if it has several: names for loop probes are made under it.
    pub suffix: WireName,
    /// Who is asked, as written; addresses of this server are left out.
    pub upstreams: Vec<UpstreamConfig>,
    /// In which order.
    pub select: UpstreamOrder,
    /// Shortest time after which a question is sent again.
    pub retransmit_min: Duration,
    /// Longest time after which a question is sent again.
    pub retransmit_max: Duration,
    /// The share of an upstream's answers, in percent, after whose time the next one is asked as well.
    pub hedge: Option<u8>,
    /// Denials after which the next one is asked.
    pub next_on: Vec<UpstreamDenial>,
}

#[derive(Debug, Default)]
struct Table {
    by_suffix: HashMap<Box<[u8]>, Route, foldhash::fast::RandomState>,
    rest: Option<Route>,
}

impl RouteTable {
    /// Routes of `networks` networks, in the order of the configuration; none yet.
    pub fn new(networks: usize) -> Self {
        Self { networks: (0..networks).map(|_| Table::default()).collect(), plans: Vec::new() }
    }

    /// Says how the questions of a route are asked; the first plan given for a route stays.
    pub fn plan(&mut self, id: RouteId, plan: Arc<RoutePlan>) {
        if self.plans.iter().all(|(other, _)| *other != id) {
            self.plans.push((id, plan));
        }
    }

    /// How the questions of each route are asked.
    pub fn plans(&self) -> &[(RouteId, Arc<RoutePlan>)] {
        &self.plans
    }

    /// Adds a route for `suffix` in one network; the first one given for a suffix stays.
    pub fn add(&mut self, network: NetworkId, suffix: &WireName, route: Route) {
        let Some(table) = self.networks.get_mut(network.0 as usize) else { return };
        if suffix.as_wire().len() == 1 {
            table.rest.get_or_insert(route);
        } else {
            table.by_suffix.entry(suffix.as_wire().into()).or_insert(route);
        }
    }

    /// The route with the longest suffix at or above `name`, with that suffix's length on the wire.
    pub fn find(&self, network: NetworkId, name: &NameBuf) -> Option<(&Route, usize)> {
        self.find_from(network, name, 0)
    }

    /// The same for `name` without its first `from` labels.
    pub fn find_from(&self, network: NetworkId, name: &NameBuf, from: usize) -> Option<(&Route, usize)> {
        let table = self.networks.get(network.0 as usize)?;
        if !table.by_suffix.is_empty() {
            for label in from..name.labels() {
                if let Some(route) = table.by_suffix.get(name.suffix(label)) {
                    return Some((route, name.suffix(label).len()));
                }
            }
        }
        table.rest.as_ref().map(|route| (route, 1))
    }

    /// Returns true if a route has an upstream that may know names of this site: one with a private address, or Azure's resolver.
    pub fn leads_inside(&self, id: RouteId) -> bool {
        let plan = self.plans.iter().find(|(other, _)| *other == id);
        plan.is_none_or(|(_, plan)| {
            let mut addresses = plan.upstreams.iter().map(|upstream| upstream.address.ip());
            addresses.any(|address| address == PosternConfig::AZURE_DNS || !postern_zones::lint::is_public(address))
        })
    }

    /// True where the network has routes for more than `.`.
    pub fn has_suffixes(&self, network: NetworkId) -> bool {
        self.networks.get(network.0 as usize).is_some_and(|table| !table.by_suffix.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn longest_suffix_wins_and_networks_are_apart() {
        let mut routes = RouteTable::new(2);
        let route = |id| Route { id: RouteId(id), to_self: false };
        let suffix = |text| WireName::parse(text).unwrap();
        routes.add(NetworkId(0), &suffix("."), route(0));
        routes.add(NetworkId(0), &suffix("contoso.test"), route(1));
        routes.add(NetworkId(0), &suffix("eu.contoso.test"), route(2));
        routes.add(NetworkId(1), &suffix("contoso.test"), route(3));
        let find = |network, name| routes.find(NetworkId(network), &NameBuf::parse(name).unwrap()).map(|(route, _)| route.id.0);
        let cases = [
            (0, "a.eu.contoso.test", Some(2)),
            (0, "eu.contoso.test", Some(2)),
            (0, "contoso.test", Some(1)),
            (0, "xcontoso.test", Some(0)),
            (0, ".", Some(0)),
            (1, "a.contoso.test", Some(3)),
            (1, "fabrikam.test", None),
            (7, "contoso.test", None),
        ];
        for (network, name, want) in cases {
            assert_eq!(find(network, name), want, "{network} {name}");
        }
    }
}
