//! Networks: their names, their prefixes, and the zones and routes linked to them.

use std::collections::{HashMap, HashSet};

use ipnet::IpNet;

use super::{Lint, listed, serves};
use crate::azure::is_private_link;
use crate::diagnostic::did_you_mean;
use crate::model::{NetworkConfig, RecursionPolicy};
use crate::problems::ConfigProblems;

/// Reports names that no `[[network]]` has, and duplicate names in one list.
pub(super) fn unknown_names(lint: &Lint<'_>, problems: &mut ConfigProblems<'_>) {
    let zones = lint.config.zones.iter().zip(&lint.places.zones).map(|(zone, place)| (&zone.networks, &place.networks));
    let routes = lint.config.forwards.iter().zip(&lint.places.forwards).map(|(route, place)| (&route.networks, &place.networks));
    let mut told = Vec::new();
    let overrides = lint.config.overrides.iter().zip(&lint.places.overrides).map(|(overrides, (_, places))| (&overrides.networks, places));
    for (names, places) in zones.chain(overrides).chain(routes) {
        let mut before = HashSet::new();
        for (name, &at) in names.names().iter().zip(places) {
            let is_first = before.insert(name);
            if told.contains(&at) {
                continue; // the list belongs to another zone of the same preset
            }
            if !lint.by_name.contains_key(name.as_str()) {
                told.push(at);
                let known = lint.config.networks.iter().map(|network| network.name.as_str());
                let help = match did_you_mean(name, known.clone()) {
                    Some(meant) => format!("did you mean `{meant}`?"),
                    None => format!("the networks are {}", listed(known)),
                };
                problems.error(at, format!("there is no network `{name}`"), help);
            } else if !is_first {
                told.push(at);
                problems.warning(at, format!("network `{name}` is listed twice"), "remove one");
            }
        }
    }
}

/// Reports prefixes that two networks share, or that another prefix of the same network contains.
pub(super) fn prefixes(lint: &Lint<'_>, problems: &mut ConfigProblems<'_>) {
    let mut seen: HashMap<IpNet, Vec<(&str, usize)>> = HashMap::new();
    let all = lint.config.networks.iter().flat_map(|network| network.clients.iter().map(|prefix| (prefix.trunc(), network.name.as_str())));
    let owners: HashMap<IpNet, &str> = all.collect();
    for (network, place) in lint.config.networks.iter().zip(&lint.places.networks) {
        for (&prefix, &at) in network.clients.iter().zip(&place.clients) {
            let before = seen.entry(prefix).or_default();
            if let Some((other, other_at)) = before.iter().find(|(other, _)| *other != network.name) {
                let line = problems.line(*other_at);
                let message = format!("network `{other}` has the prefix {prefix} already, in line {line}");
                problems.error(at, message, "a client belongs to one network: remove the prefix from one, or write a longer one");
            } else if !before.is_empty() {
                problems.warning(at, format!("the prefix {prefix} is listed twice in network `{}`", network.name), "remove it");
            } else if let Some((wider, _)) = around(&owners, prefix).filter(|(_, owner)| *owner == network.name) {
                let message = format!("the prefix {prefix} has no effect: {wider} of the same network holds it");
                problems.warning(at, message, "remove it");
            }
            before.push((&network.name, at));
        }
    }
}

/// Returns the longest prefix of any network that strictly contains `prefix`, with its network.
fn around<'c>(owners: &HashMap<IpNet, &'c str>, prefix: IpNet) -> Option<(IpNet, &'c str)> {
    let mut wider = std::iter::successors(prefix.supernet(), IpNet::supernet);
    wider.find_map(|wider| owners.get(&wider).map(|owner| (wider, *owner)))
}

/// Reports contradictory access lists, and recursion for every client.
pub(super) fn access(lint: &Lint<'_>, problems: &mut ConfigProblems<'_>) {
    let server = &lint.config.server;
    for (prefix, &at) in server.deny.iter().zip(&lint.places.deny) {
        if server.allow.contains(prefix) {
            problems.error(at, format!("`allow` and `deny` both have {prefix}"), "remove it from one of them");
        }
    }
    for (index, (address, &at)) in server.listen.iter().zip(&lint.places.listen).enumerate() {
        if address.port() != 0 && server.listen[..index].contains(address) {
            problems.error(at, format!("{address} is already in the list"), "remove it");
        }
    }
    let reachable = server.listen.iter().any(|address| !address.ip().is_loopback());
    if !reachable || !server.allow.is_empty() {
        return;
    }
    for (network, place) in lint.config.networks.iter().zip(&lint.places.networks) {
        let everybody = network.name == NetworkConfig::DEFAULT || network.clients.iter().any(|prefix| prefix.prefix_len() == 0);
        if network.recursion == RecursionPolicy::Yes && everybody {
            let message = format!(
                "network `{}` contains every client and has recursion: this is an open resolver, which attackers can abuse",
                network.name
            );
            problems.warning(place.table, message, "write `recursion = \"private-clients\"`, or list the clients in `server.allow`");
        }
    }
}

/// Reports a zone name that one network gets from two places.
pub(super) fn zones_linked_twice(lint: &Lint<'_>, problems: &mut ConfigProblems<'_>) {
    let mut named: HashMap<&str, Vec<usize>> = HashMap::new();
    for (index, zone) in lint.config.zones.iter().enumerate() {
        named.entry(&zone.name).or_default().push(index);
    }
    let mut several: Vec<&Vec<usize>> = named.values().filter(|indices| indices.len() > 1).collect();
    several.sort();
    for indices in several {
        // First zone of that name in each network.
        let mut taken: HashMap<&str, usize> = HashMap::new();
        for &index in indices {
            let (zone, place) = (&lint.config.zones[index], &lint.places.zones[index]);
            let mut first: Option<usize> = None;
            for network in lint.networks(&zone.networks) {
                let earlier = *taken.entry(&network.name).or_insert(index);
                if earlier != index && first.is_none_or(|first| earlier < first) {
                    first = Some(earlier);
                }
            }
            let Some(first) = first else { continue };
            let other = &lint.config.zones[first];
            let both = lint.config.networks.iter().filter(|network| serves(&zone.networks, network) && serves(&other.networks, network));
            let both: Vec<&str> = both.map(|network| network.name.as_str()).collect();
            let networks = if both.len() == 1 { "network" } else { "networks" };
            let message =
                format!("zone `{}` is linked to {networks} {} already, in line {}", zone.name, listed(both.iter().copied()), other.line);
            let help = if zone.networks.are_all() || other.networks.are_all() {
                "a `[[zone]]` without `network` is linked to all networks: set `network` for each"
            } else {
                "link each to other networks, or put all records into one"
            };
            problems.error(place.name, message, help);
        }
    }
}

/// Warns about a private-link zone that several networks share. That is right for one endpoint that
/// all of them reach, and wrong for one endpoint in each.
pub(super) fn zones_linked_to_several(lint: &Lint<'_>, problems: &mut ConfigProblems<'_>) {
    let mut told = Vec::new();
    for (zone, place) in lint.config.zones.iter().zip(&lint.places.zones) {
        if !is_private_link(&zone.name) || told.contains(&place.name) {
            continue;
        }
        // Without `network`, `default` does not count. A single network must not become several
        // because of it.
        let linked = lint.networks(&zone.networks).into_iter().map(|network| network.name.as_str());
        let linked: Vec<&str> = linked.filter(|name| !zone.networks.are_all() || *name != NetworkConfig::DEFAULT).collect();
        if linked.len() < 2 {
            continue;
        }
        told.push(place.name);
        let zones: Vec<&str> = lint
            .config
            .zones
            .iter()
            .zip(&lint.places.zones)
            .filter(|(_, other)| other.name == place.name)
            .map(|(zone, _)| zone.name.as_str())
            .collect();
        let (zones, is) =
            if zones.len() == 1 { (format!("zone `{}`", zone.name), "is") } else { (format!("the zones {}", listed(zones)), "are") };
        let message = format!(
            "{zones} {is} linked to the networks {}: if each has its own private endpoint for a resource, their addresses overwrite one \
             another, and clients that are sent to the endpoint of the other network get HTTP 403",
            listed(linked)
        );
        problems.warning(
            place.name,
            message,
            "give each network a `[[zone]]` of its own; share one only if all networks reach the same private endpoints",
        );
    }
}
