//! Losses that a reload applies only if the operator accepts them.

use std::collections::BTreeSet;
use std::fmt;

use postern_config::PosternConfig;
use postern_config::model::NetworkLinks;
use postern_zones::store::AcceptedZone;

/// The word that accepts a configuration that drops most of its parts.
const CONFIGURATION: &str = "configuration";
/// The network of all other clients, which every configuration has.
const DEFAULT: &str = "default";
/// Number of names of one kind in a message.
const SHOWN: usize = 5;

/// Losses that the operator accepts for one reload.
#[derive(Debug, Default)]
pub struct AcceptedLoss {
    /// Set if the configuration may drop zones, networks, routes and keys.
    configuration: bool,
    /// Zones that may lose records.
    pub zones: Vec<AcceptedZone>,
}

impl AcceptedLoss {
    /// Parses `ZONE`, `ZONE@NETWORK` and `configuration`. A zone with the name of that word is
    /// written `configuration.`, with a final dot.
    pub fn parse(words: &[String]) -> Self {
        let zones = words.iter().filter(|word| *word != CONFIGURATION).map(|word| AcceptedZone::parse(word)).collect();
        Self { configuration: words.iter().any(|word| word == CONFIGURATION), zones }
    }

    /// Returns an error if a zone to accept does not exist in `new`.
    pub fn check_zones(&self, new: &PosternConfig) -> Result<(), String> {
        match self.zones.iter().find(|accepted| !new.zones.iter().any(|zone| accepted.is(zone))) {
            Some(unknown) => Err(format!("the configuration has no zone {unknown} whose loss could be accepted")),
            None => Ok(()),
        }
    }

    /// Returns an error if `new` would drop more than half of the zones, networks or routes of
    /// `old`, or is empty, unless that is accepted. A zone or route counts once for each network
    /// that it is linked to.
    pub fn check(&self, old: &PosternConfig, new: &PosternConfig) -> Result<(), String> {
        let is_empty = new.settings.iter().all(|setting| setting.line.is_none());
        let networks = |config: &PosternConfig| config.networks.iter().map(|network| network.name.clone()).collect::<Vec<_>>();
        let (zones, routes) = (Links::of_zones(new), Links::of_routes(new));
        let all = networks(new);
        let (old_zones, old_routes) = (Links::of_zones(old), Links::of_routes(old));
        let dropped = [
            old_zones.dropped(if old_zones.have_networks() { "zone links" } else { "zones" }, &zones, &all),
            Dropped::of("networks", networks(old).into_iter().filter(|name| name != DEFAULT), |name| all.contains(name)),
            old_routes.dropped(if old_routes.have_networks() { "route links" } else { "routes" }, &routes, &all),
            Dropped::of("keys", old.keys.iter().map(|key| key.name.clone()), |_| !is_empty),
        ];
        let most: Vec<String> = dropped.iter().filter(|dropped| dropped.are_most()).map(ToString::to_string).collect();
        if self.configuration || most.is_empty() {
            return Ok(());
        }
        let file = new.path.as_deref().map_or_else(|| "the configuration".into(), |path| path.display().to_string());
        let empty = if is_empty { "sets nothing and " } else { "" };
        let lost = most.join("; ");
        Err(format!("{file} {empty}would drop {lost}. help: to accept it as it is now: postern reload --accept {CONFIGURATION}"))
    }
}

/// Names with the networks that they are linked to. Without a network they are linked to all.
struct Links(BTreeSet<(String, Option<String>)>);

impl Links {
    fn of_zones(config: &PosternConfig) -> Self {
        Self::new(config.zones.iter().map(|zone| (&zone.name, &zone.networks)))
    }

    /// Collects the routes, without the default route that a configuration without routes gets.
    fn of_routes(config: &PosternConfig) -> Self {
        Self::new(config.forwards.iter().filter(|route| route.line != 0).map(|route| (&route.zone, &route.networks)))
    }

    fn new<'a>(items: impl Iterator<Item = (&'a String, &'a NetworkLinks)>) -> Self {
        let links = |(name, networks): (&String, &NetworkLinks)| match networks {
            NetworkLinks::All => vec![(name.clone(), None)],
            NetworkLinks::These(networks) => networks.iter().map(|network| (name.clone(), Some(network.clone()))).collect(),
        };
        Self(items.flat_map(links).collect())
    }

    fn have_networks(&self) -> bool {
        self.0.iter().any(|(_, network)| network.is_some())
    }

    /// Returns true if the link exists. `networks` is the list of all networks.
    fn have(&self, name: &str, network: Option<&str>, networks: &[String]) -> bool {
        let has = |network: Option<&str>| self.0.contains(&(name.to_owned(), network.map(str::to_owned)));
        has(None) || network.map_or_else(|| networks.iter().all(|network| has(Some(network))), |network| has(Some(network)))
    }

    fn dropped(&self, what: &'static str, new: &Self, networks: &[String]) -> Dropped {
        let gone = |(name, network): &&(String, Option<String>)| !new.have(name, network.as_deref(), networks);
        let shown = |(name, network): &(String, Option<String>)| match network {
            Some(network) => format!("{name}@{network}"),
            None => name.clone(),
        };
        Dropped { what, before: self.0.len(), names: self.0.iter().filter(gone).map(shown).collect() }
    }
}

/// Parts of one kind that a configuration drops.
struct Dropped {
    what: &'static str,
    before: usize,
    names: Vec<String>,
}

impl Dropped {
    fn of(what: &'static str, before: impl Iterator<Item = String>, is_kept: impl Fn(&String) -> bool) -> Self {
        let before: BTreeSet<String> = before.collect();
        Self { what, before: before.len(), names: before.into_iter().filter(|name| !is_kept(name)).collect() }
    }

    fn are_most(&self) -> bool {
        self.names.len() * 2 > self.before
    }
}

impl fmt::Display for Dropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (count, shown) = (self.names.len(), self.names[..self.names.len().min(SHOWN)].join(", "));
        write!(f, "{count} of {} {}: {shown}", self.before, self.what)?;
        if count > SHOWN { write!(f, " and {} more", count - SHOWN) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn config(zones: &[&str]) -> PosternConfig {
        let text: String = zones.iter().map(|name| format!("[[zone]]\nname = '{name}'\nfile = 'a.zone'\n")).collect();
        postern_config::parse(&text, Path::new("postern.toml")).expect("zones with files").config
    }

    #[test]
    fn a_configuration_that_drops_most_zones_needs_the_word() {
        let old = config(&["a.test", "b.test", "c.test", "d.test"]);
        let word = |accepted: &[&str]| AcceptedLoss::parse(&accepted.iter().map(ToString::to_string).collect::<Vec<_>>());
        for (zones, is_taken) in [
            (&["a.test", "b.test", "c.test"][..], true),
            (&["a.test", "b.test"], true),
            (&["a.test", "new.test", "other.test", "more.test"], false),
            (&["a.test"], false),
            (&[], false),
        ] {
            assert_eq!(word(&[]).check(&old, &config(zones)).is_ok(), is_taken, "{zones:?}");
            assert_eq!(word(&["configuration"]).check(&old, &config(zones)), Ok(()), "{zones:?}");
        }
        let refused = word(&[]).check(&old, &config(&["a.test"])).unwrap_err();
        let told = "postern.toml would drop 3 of 4 zones: b.test, c.test, d.test. help: to accept it as it is now: \
                    postern reload --accept configuration";
        assert_eq!(refused, told);
        assert_eq!(word(&[]).check(&config(&[]), &config(&[])), Ok(()));
    }

    #[test]
    fn a_configuration_that_drops_most_links_networks_or_routes_needs_the_word() {
        let parsed = |text: &str| postern_config::parse(text, Path::new("postern.toml")).expect("a configuration").config;
        let networks = "[[network]]\nname = 'hub'\nclients = ['10.0.0.0/8']\n[[network]]\nname = 'spoke'\nclients = ['172.16.0.0/12']\n";
        let zone = |networks: &str| format!("[[zone]]\nname = 'a.test'\nfile = 'a.zone'\n{networks}\n");
        let route = |zone: &str| format!("[[forward]]\nzone = '{zone}'\nupstreams = ['192.0.2.1']\n");
        let key = "[[key]]\nname = 'contoso'\nsecret = 'bm90IGEgc2VjcmV0IHRvIGtlZXAsIGJ1dCBvbmUgdG8gc2hvdw=='\nallow = ['query']\n";
        let with = |rest: String| format!("{networks}{rest}");
        for (old, new, lost) in [
            (
                with(zone("network = ['hub', 'spoke', 'default']")),
                with(zone("network = ['hub']")),
                Some("2 of 3 zone links: a.test@default, a.test@spoke"),
            ),
            (with(zone("network = ['hub', 'spoke']")), with(zone("network = ['hub']")), None),
            (with(zone("network = ['hub', 'spoke']")), with(zone("")), None),
            (with(zone("")), with(zone("network = ['hub', 'spoke', 'default']")), None),
            (with(zone("")), with(zone("network = ['hub']")), Some("1 of 1 zones: a.test")),
            (networks.into(), "[log]\nlevel = 'info'\n".into(), Some("drop 2 of 2 networks: hub, spoke")),
            (route("a.test") + &route("."), route("."), None),
            (route("a.test") + &route("b.test") + &route("."), route("."), Some("drop 2 of 3 routes: a.test, b.test")),
            (key.into(), "[log]\nlevel = 'info'\n".into(), None),
            (key.into(), "# nothing\n".into(), Some("postern.toml sets nothing and would drop 1 of 1 keys: contoso")),
            ("[log]\nlevel = 'info'\n".into(), String::new(), None),
        ] {
            let checked = AcceptedLoss::default().check(&parsed(&old), &parsed(&new));
            match lost {
                Some(lost) => assert!(checked.as_ref().is_err_and(|why| why.contains(lost)), "{old}{new}{checked:?}"),
                None => assert_eq!(checked, Ok(()), "{old}{new}"),
            }
            assert_eq!(AcceptedLoss::parse(&["configuration".into()]).check(&parsed(&old), &parsed(&new)), Ok(()));
        }
    }

    #[test]
    fn a_zone_to_accept_must_be_one() {
        let all = config(&["a.test", "configuration"]);
        let check = |name: &str| AcceptedLoss::parse(&[name.to_owned()]).check_zones(&all);
        for good in ["a.test", "A.Test.", "a.test@hub", "configuration."] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        assert_eq!(check("b.test").unwrap_err(), "the configuration has no zone b.test whose loss could be accepted");
    }
}
