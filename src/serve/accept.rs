//! What a reload must not lose without the operator's word.

use std::collections::BTreeSet;

use config::Config;
use config::model::Zone;
use zones::store::AcceptedZone;

/// The word that accepts a configuration that drops most zones.
const CONFIGURATION: &str = "configuration";
/// Names of dropped zones that a message shows.
const SHOWN: usize = 5;

/// What the operator accepts for one reload.
#[derive(Debug, Default)]
pub struct AcceptedLoss {
    /// The configuration may drop zones.
    configuration: bool,
    /// Zones that may lose records.
    pub zones: Vec<AcceptedZone>,
}

impl AcceptedLoss {
    /// From `ZONE`, `ZONE@NETWORK` and `configuration`. A zone of that name is `configuration.`, with a final dot.
    pub fn parse(words: &[String]) -> Self {
        let zones = words.iter().filter(|word| *word != CONFIGURATION).map(|word| AcceptedZone::parse(word)).collect();
        Self { configuration: words.iter().any(|word| word == CONFIGURATION), zones }
    }

    /// Returns an error if `new` would drop more than half of the zones of `old` and that is not accepted, or if a zone to accept is none.
    pub fn check(&self, old: &Config, new: &Config) -> Result<(), String> {
        if let Some(unknown) = self.zones.iter().find(|accepted| !new.zones.iter().any(|zone| accepted.is(zone))) {
            return Err(format!("the configuration has no zone {unknown} whose loss could be accepted"));
        }
        let names = |zones: &[Zone]| zones.iter().map(|zone| zone.name.clone()).collect::<BTreeSet<_>>();
        let (before, after) = (names(&old.zones), names(&new.zones));
        let dropped: Vec<&str> = before.difference(&after).map(String::as_str).collect();
        if self.configuration || dropped.len() * 2 <= before.len() {
            return Ok(());
        }
        let file = new.path.as_deref().map_or_else(|| "the configuration".into(), |path| path.display().to_string());
        let more = if dropped.len() > SHOWN { format!(" and {} more", dropped.len() - SHOWN) } else { String::new() };
        let shown = dropped[..dropped.len().min(SHOWN)].join(", ");
        let (count, all) = (dropped.len(), before.len());
        Err(format!(
            "{file} would drop {count} of {all} zones: {shown}{more}. help: to accept it as it is now: postern reload --accept {CONFIGURATION}"
        ))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn config(zones: &[&str]) -> Config {
        let text: String = zones.iter().map(|name| format!("[[zone]]\nname = '{name}'\nfile = 'a.zone'\n")).collect();
        config::parse(&text, Path::new("postern.toml")).expect("zones with files").config
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
    fn a_zone_to_accept_must_be_one() {
        let all = config(&["a.test", "configuration"]);
        let check = |name: &str| AcceptedLoss::parse(&[name.to_owned()]).check(&all, &all);
        for good in ["a.test", "A.Test.", "a.test@hub", "configuration."] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        assert_eq!(check("b.test").unwrap_err(), "the configuration has no zone b.test whose loss could be accepted");
    }
}
