//! Errors and likely mistakes in a readable configuration that no single key can reveal.
//!
//! An error means that the configuration cannot be served as written. A warning means that Azure or
//! this server probably behaves differently than the operator expects. Checks that need records (a
//! name with addresses of two networks, a public address in a private zone) belong to the code that
//! reads records.

use std::collections::HashMap;

use crate::model::{NetworkConfig, NetworkLinks, PosternConfig, RecursionPolicy};
use crate::places::ConfigPlaces;
use crate::problems::ConfigProblems;

mod api;
mod azure;
mod networks;
mod overrides;
mod permissions;
mod reverse;
mod routes;
mod settings;
mod transfers;

/// Reports problems of the configuration as a whole.
pub(crate) fn check(config: &PosternConfig, places: &ConfigPlaces, problems: &mut ConfigProblems<'_>) {
    let by_name = (0..).zip(&config.networks).map(|(index, network)| (network.name.as_str(), index)).collect();
    let lint = Lint { config, places, by_name };
    networks::unknown_names(&lint, problems);
    networks::prefixes(&lint, problems);
    networks::access(&lint, problems);
    networks::zones_linked_twice(&lint, problems);
    networks::zones_linked_to_several(&lint, problems);
    overrides::named_twice(&lint, problems);
    reverse::prefixes_as_names(&lint, problems);
    azure::zone_names(&lint, problems);
    azure::public_names_without_route(&lint, problems);
    azure::private_link_routes(&lint, problems);
    routes::twice(&lint, problems);
    routes::to_ourselves(&lint, problems);
    routes::sources(&lint, problems);
    routes::without_effect(&lint, problems);
    routes::patience_with_azure(&lint, problems);
    routes::limits_of_azure(&lint, problems);
    settings::without_effect(&lint, problems);
    api::keys_and_certificates(&lint, problems);
    transfers::keys(&lint, problems);
    transfers::without_effect(&lint, problems);
    permissions::open_to_everybody(&lint, problems);
}

/// A configuration with the positions of its parts.
struct Lint<'c> {
    config: &'c PosternConfig,
    places: &'c ConfigPlaces,
    /// Index of each network in the configuration by name. There may be ten thousand networks, and
    /// as many names in a list.
    by_name: HashMap<&'c str, usize>,
}

impl<'c> Lint<'c> {
    /// Returns the networks that are linked.
    fn networks(&self, links: &'c NetworkLinks) -> Vec<&'c NetworkConfig> {
        let NetworkLinks::These(names) = links else {
            return self.config.networks.iter().collect();
        };
        let mut linked: Vec<usize> = names.iter().filter_map(|name| self.by_name.get(name.as_str()).copied()).collect();
        linked.sort_unstable();
        linked.dedup();
        linked.into_iter().map(|index| &self.config.networks[index]).collect()
    }

    /// Returns the longest route of a network for `name`.
    fn covers(&self, network: &NetworkConfig, name: &str) -> bool {
        self.config.forwards.iter().any(|route| serves(&route.networks, network) && is_under(name, &route.zone))
    }
}

/// Returns true if `network` is linked.
fn serves(links: &NetworkLinks, network: &NetworkConfig) -> bool {
    links.include(&network.name)
}

/// Returns true if names may be forwarded for at least one client of the network.
fn recurses(network: &NetworkConfig) -> bool {
    network.recursion != RecursionPolicy::No
}

/// Returns true if `name` is `zone` or below it.
fn is_under(name: &str, zone: &str) -> bool {
    zone == "." || name.strip_suffix(zone).is_some_and(|front| front.is_empty() || front.ends_with('.'))
}

/// Maximum number of names in a message, to keep the sentence readable.
const MOST_LISTED: usize = 20;

/// Formats `a`, `b` and `c`, each in backquotes. Only the first of very many names are shown.
fn listed<'n>(names: impl IntoIterator<Item = &'n str>) -> String {
    let mut names = names.into_iter();
    let mut listed: Vec<String> = names.by_ref().take(MOST_LISTED).map(|name| format!("`{name}`")).collect();
    let rest = names.count();
    if rest > 0 {
        listed.push(format!("{rest} more"));
    }
    let names = listed;
    match names.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => names.concat(),
    }
}
