//! Zones and routes that conflict with the way Azure works.

use super::{Lint, is_under, listed, recurses, serves};
use crate::azure::is_private_link;
use crate::model::{NetworkConfig, OnMissing};
use crate::problems::ConfigProblems;

/// Reports misspelled private-link zones, and public zones that would hide the names of other
/// owners.
pub(super) fn zone_names(lint: &Lint<'_>, problems: &mut ConfigProblems<'_>) {
    let table = &lint.config.azure;
    for (zone, place) in lint.config.zones.iter().zip(&lint.places.zones) {
        if place.preset {
            continue;
        }
        if let Some(meant) = table.nearest(&zone.name) {
            let message = format!("`{}` is not a private-link zone of Azure", zone.name);
            problems.warning(place.name, message, format!("did you mean `{meant}`?"));
        } else if is_private_link(&zone.name) && !table.private_zone_of(&zone.name).is_some_and(|apex| table.knows_zone(apex)) {
            let message = format!("the private-link table does not have the zone `{}`", zone.name);
            problems.warning(
                place.name,
                message,
                "compare the name with the portal's; `server.zone-table` adds zones that are newer than this version",
            );
        } else if table.is_public_zone(&zone.name) && zone.on_missing != OnMissing::Public {
            let private = table.private_names(&format!("name.{}", zone.name));
            let private = private.first().and_then(|name| name.strip_prefix("name.")).unwrap_or("privatelink…");
            let message =
                format!("`{}` is the public zone: all its names that are not ours will be missing, other people's included", zone.name);
            problems.warning(place.name, message, format!("host `{private}` and forward `{}`", zone.name));
        }
    }
}

/// Reports hosted zones that no public name leads to, because no route forwards the public names.
pub(super) fn public_names_without_route(lint: &Lint<'_>, problems: &mut ConfigProblems<'_>) {
    if lint.places.routes_missing {
        return;
    }
    let mut told = Vec::new();
    for (zone, place) in lint.config.zones.iter().zip(&lint.places.zones) {
        if told.contains(&place.name) {
            continue;
        }
        let forwarders = lint.config.azure.public_forwarders(&zone.name);
        let networks: Vec<_> = lint.networks(&zone.networks).into_iter().filter(|network| recurses(network)).collect();
        let without = |covered: &dyn Fn(&NetworkConfig) -> bool| -> Vec<&NetworkConfig> {
            networks.iter().copied().filter(|network| !covered(network)).collect()
        };
        let lacking = without(&|network| forwarders.is_empty() || forwarders.iter().any(|public| lint.covers(network, public)));
        if !lacking.is_empty() {
            told.push(place.name);
            let part = lint.config.forwards.iter().filter(|route| {
                lacking.iter().any(|network| serves(&route.networks, network))
                    && forwarders.iter().any(|public| is_under(&route.zone, public))
            });
            let part = listed(part.map(|route| route.zone.as_str()).filter(|zone| !is_private_link(zone)));
            let part = if part.is_empty() { part } else { format!("; those for {part} leave some of them out") };
            let public = listed(forwarders.iter().map(String::as_str));
            let message =
                format!("zone `{}` is hosted, but no route of {} covers its public names, {public}{part}", zone.name, named(&lacking));
            problems.warning(place.name, message, format!("add a `[[forward]]` for `{}` or for `.`", forwarders[0]));
            continue;
        }
        let lacking = without(&|network| lint.covers(network, &zone.name));
        if zone.on_missing == OnMissing::Public && !lacking.is_empty() {
            told.push(place.name);
            let message = format!(
                "names that zone `{}` lacks are to be asked for publicly, but no route of {} covers it",
                zone.name,
                named(&lacking)
            );
            let public = zone.name.strip_prefix("privatelink.").unwrap_or(&zone.name);
            problems.warning(place.name, message, format!("add a `[[forward]]` for `{public}`, or write `on-missing = \"nxdomain\"`"));
        }
    }
}

/// Reports routes for private-link names, because clients query the public names.
pub(super) fn private_link_routes(lint: &Lint<'_>, problems: &mut ConfigProblems<'_>) {
    for (route, place) in lint.config.forwards.iter().zip(&lint.places.forwards) {
        if !is_private_link(&route.zone) || lint.config.zones.iter().any(|zone| zone.name == route.zone) {
            continue; // for a hosted zone, this route serves its missing names
        }
        let forwarders = lint.config.azure.public_forwarders(&route.zone);
        let public = match forwarders.first() {
            Some(public) => public.clone(),
            None => route.zone.split('.').filter(|label| !is_private_link(label)).collect::<Vec<_>>().join("."),
        };
        let networks = lint.networks(&route.networks);
        let covered = !networks.is_empty() && networks.iter().all(|network| lint.covers(network, &public));
        let message = if covered {
            format!(
                "clients ask for names in `{public}`, never in `{}`: this route is reached only if the route that has `{public}` first answers with a CNAME into it",
                route.zone
            )
        } else {
            format!("clients ask for names in `{public}`, never in `{}`, and no route covers `{public}`", route.zone)
        };
        problems.warning(place.zone, message, format!("forward `{public}` instead"));
    }
}

/// Formats `network `hub`` or `networks `hub` and `spoke``.
fn named(networks: &[&NetworkConfig]) -> String {
    let word = if networks.len() == 1 { "network" } else { "networks" };
    format!("{word} {}", listed(networks.iter().map(|network| network.name.as_str())))
}
