//! Routes and their upstreams.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::{Lint, listed, recurses, serves};
use crate::model::{OnMissing, PosternConfig, QuerySource, UpstreamConfig, UpstreamOrder, UpstreamSet};
use crate::problems::ConfigProblems;

/// Reports two routes for one suffix in one network.
pub(super) fn twice(lint: &Lint<'_>, problems: &mut ConfigProblems<'_>) {
    for (index, (route, place)) in lint.config.forwards.iter().zip(&lint.places.forwards).enumerate() {
        let earlier = lint.config.forwards[..index].iter().filter(|other| other.zone == route.zone);
        for other in earlier {
            let both = lint.config.networks.iter().filter(|network| serves(&route.networks, network) && serves(&other.networks, network));
            let both = listed(both.map(|network| network.name.as_str()));
            if !both.is_empty() {
                let message = format!("network {both} has a route for `{}` already, in line {}", route.zone, other.line);
                problems.error(place.zone, message, "write all upstreams into one, or say by `network` whom each is for");
                break;
            }
        }
    }
}

/// Reports upstreams that are this server.
pub(super) fn to_ourselves(lint: &Lint<'_>, problems: &mut ConfigProblems<'_>) {
    for (upstream, at) in upstreams(lint) {
        if let Some(ours) = lint.config.server.listen.iter().find(|ours| reaches(upstream.address, **ours)) {
            let message =
                format!("the upstream {} is this server itself, which listens on {ours}: every question would come back", upstream.address);
            problems.error(at, message, "name the server that is to be asked, such as 168.63.129.16 inside Azure");
        }
    }
}

/// Reports sources that queries to an upstream cannot have.
pub(super) fn sources(lint: &Lint<'_>, problems: &mut ConfigProblems<'_>) {
    for (upstream, at) in upstreams(lint) {
        match &upstream.source {
            Some(QuerySource::Address(source)) if source.is_ipv4() != upstream.address.is_ipv4() => {
                let family = |is_ipv4| if is_ipv4 { "IPv4" } else { "IPv6" };
                let (ours, other) = (family(source.is_ipv4()), family(upstream.address.is_ipv4()));
                let message = format!("`source` {source} is an {ours} address, and the upstream {} is {other}", upstream.address);
                problems.error(
                    at,
                    message,
                    "write a `source` of the same family in the table of the upstream, or the name of an interface",
                );
            }
            _ => {}
        }
    }
}

/// Reports keys and routes without effect.
pub(super) fn without_effect(lint: &Lint<'_>, problems: &mut ConfigProblems<'_>) {
    for (route, place) in lint.config.forwards.iter().zip(&lint.places.forwards) {
        let serving = lint.networks(&route.networks);
        if !serving.is_empty() && !serving.iter().any(|network| recurses(network)) {
            let message = format!("the route for `{}` is never asked: none of its networks has recursion", route.zone);
            problems.warning(place.zone, message, "write `recursion = true` for the network, or take the route out");
        }
        let hosts: Vec<_> = lint.config.zones.iter().filter(|zone| zone.name == route.zone).collect();
        let everywhere =
            serving.iter().all(|network| hosts.iter().any(|zone| serves(&zone.networks, network) && zone.on_missing != OnMissing::Public));
        if everywhere && !hosts.is_empty() {
            let message =
                format!("the route for `{}` is never asked: the zone is hosted, and its `on-missing` is not `public`", route.zone);
            problems.warning(place.zone, message, "take the route out, or write `on-missing = \"public\"`");
        }
        let UpstreamSet::List(list) = &route.upstreams else { continue };
        for (index, upstream) in list.iter().enumerate() {
            if list[..index].iter().any(|other| other.identity() == upstream.identity()) {
                problems.warning(place.upstreams[index], format!("the upstream {} is listed twice", upstream.address), "remove one");
            }
        }
        if let (1, UpstreamOrder::Latency, Some(at)) = (list.len(), route.select, place.select) {
            problems.warning(at, "`select = \"latency\"` has no effect with one upstream", "remove it, or add an upstream");
        }
        if list.len() > 1 && list[0].timeout >= lint.config.limits.query_deadline {
            let deadline = crate::kind::write_millis(lint.config.limits.query_deadline.as_millis() as u64);
            let message =
                format!("the second upstream is never asked: `limits.query-deadline`, {deadline}, ends before the `timeout` of the first");
            problems.warning(place.timeout, message, "make `timeout` shorter, or the deadline longer");
        }
        if route.retransmit_min > route.retransmit_max {
            let message = "`retransmit-min` is longer than `retransmit-max`, which has no effect";
            problems.warning(place.retransmit_max.unwrap_or(place.timeout), message, "make `retransmit-max` the longer one");
        }
    }
}

/// Reports limits above those of 168.63.129.16 for one machine.
pub(super) fn limits_of_azure(lint: &Lint<'_>, problems: &mut ConfigProblems<'_>) {
    for (upstream, at) in upstreams(lint) {
        if upstream.address.ip() == PosternConfig::AZURE_DNS && (upstream.in_flight > 200 || upstream.rate > 1000 || upstream.rate == 0) {
            let message = "168.63.129.16 takes 1000 queries a second and 200 at a time from one virtual machine, and drops the rest";
            problems.warning(at, message, "leave `in-flight` and `rate` out: they are 200 and 1000 for this address");
        }
    }
}

/// Reports timeouts in which 168.63.129.16 cannot resolve a slow name.
pub(super) fn patience_with_azure(lint: &Lint<'_>, problems: &mut ConfigProblems<'_>) {
    const LEAST: Duration = Duration::from_secs(4);
    for (route, place) in lint.config.forwards.iter().zip(&lint.places.forwards) {
        let UpstreamSet::List(list) = &route.upstreams else { continue };
        let azure = list.iter().find(|upstream| upstream.address.ip() == PosternConfig::AZURE_DNS);
        if azure.is_some_and(|azure| azure.timeout <= LEAST) {
            let message = "168.63.129.16 may take longer: Microsoft asks for a timeout of more than 4 s";
            problems.warning(place.timeout, message, "leave `timeout` out: it is 4500ms for this address");
        }
    }
}

fn upstreams<'c>(lint: &Lint<'c>) -> impl Iterator<Item = (&'c UpstreamConfig, usize)> {
    let routes = lint.config.forwards.iter().zip(&lint.places.forwards);
    let lists = routes.filter_map(|(route, place)| match &route.upstreams {
        UpstreamSet::List(list) => Some(list.iter().zip(place.upstreams.iter().copied())),
        UpstreamSet::System => None,
    });
    lists.flatten()
}

/// Returns true if a query to `upstream` would reach the listener `ours`.
fn reaches(upstream: SocketAddr, ours: SocketAddr) -> bool {
    let (to, at) = (upstream.ip().to_canonical(), ours.ip());
    let any = match at {
        IpAddr::V4(at) => at.is_unspecified() && to.is_ipv4(),
        // Listeners on `[::]` do not accept IPv4.
        IpAddr::V6(at) => at.is_unspecified() && to.is_ipv6(),
    };
    upstream.port() == ours.port() && (to == at.to_canonical() || (any && to.is_loopback()))
}
