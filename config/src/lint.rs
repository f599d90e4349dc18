//! What is wrong, or likely not meant, in a configuration that can be read: what one key alone cannot show.
//!
//! Errors are what cannot be served as written. Warnings are what Azure, or this server, will do otherwise than its writer hoped. What only
//! records show (one name with addresses of two networks, a public address in a private zone) is told by those who read the records.

use crate::model::{Config, Network, Recursion};
use crate::parse::Places;
use crate::read::Problems;

mod api;
mod azure;
mod networks;
mod routes;
mod settings;
mod transfers;

/// Reports what is wrong with the whole.
pub(crate) fn check(config: &Config, places: &Places, problems: &mut Problems<'_>) {
    let lint = Lint { config, places };
    networks::unknown_names(&lint, problems);
    networks::prefixes(&lint, problems);
    networks::access(&lint, problems);
    networks::zones_linked_twice(&lint, problems);
    networks::zones_linked_to_several(&lint, problems);
    azure::zone_names(&lint, problems);
    azure::public_names_without_route(&lint, problems);
    azure::private_link_routes(&lint, problems);
    routes::twice(&lint, problems);
    routes::to_ourselves(&lint, problems);
    routes::without_effect(&lint, problems);
    routes::limits_of_azure(&lint, problems);
    settings::without_effect(&lint, problems);
    api::keys_and_certificates(&lint, problems);
    transfers::keys(&lint, problems);
    transfers::without_effect(&lint, problems);
}

/// A configuration with its places.
struct Lint<'c> {
    config: &'c Config,
    places: &'c Places,
}

impl<'c> Lint<'c> {
    /// The networks that a list of names links to: all of them where it is empty.
    fn networks(&self, names: &'c [String]) -> Vec<&'c Network> {
        let linked = |network: &&Network| names.is_empty() || names.contains(&network.name);
        self.config.networks.iter().filter(linked).collect()
    }

    /// The longest route of a network for `name`.
    fn covers(&self, network: &Network, name: &str) -> bool {
        self.config.forwards.iter().any(|route| serves(&route.networks, network) && is_under(name, &route.zone))
    }
}

/// True where a list of network names links to `network`.
fn serves(names: &[String], network: &Network) -> bool {
    names.is_empty() || names.contains(&network.name)
}

/// True where some client of it may have names forwarded.
fn recurses(network: &Network) -> bool {
    network.recursion != Recursion::No
}

/// True where `name` is `zone` or below it.
fn is_under(name: &str, zone: &str) -> bool {
    zone == "." || name.strip_suffix(zone).is_some_and(|front| front.is_empty() || front.ends_with('.'))
}

/// `a`, `b` and `c`, each in backquotes.
fn listed<'n>(names: impl IntoIterator<Item = &'n str>) -> String {
    let names: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
    match names.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => names.concat(),
    }
}
