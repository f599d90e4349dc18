//! Names whose fallbacks are known and wanted: they are counted, and neither written nor shown. They are kept in the state directory.

use std::collections::{BTreeSet, HashMap};

use postern_config::model::NamePattern;
use postern_zones::state_directory::{StateDirectory, StateFileError};
use serde::{Deserialize, Serialize};

/// Names that are muted, by a name or a pattern.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Muted {
    /// The name as it is asked, lower case, no final dot; labels may be `*` ([`NamePattern`]).
    pub name: String,
    /// For clients of this network alone. `None` for all.
    pub network: Option<String>,
}

/// Why a name is not muted.
#[derive(Debug, thiserror::Error)]
pub enum MuteError {
    /// As much is muted as can be.
    #[error("{} names are muted already", Mutes::BOUND)]
    Full,
    /// As many patterns that must each be tried are muted as can be.
    #[error(
        "{} patterns with `*` behind the first label are muted already; write names, or patterns that begin with `*.`",
        Mutes::PATTERNS
    )]
    Patterns,
    /// Neither a name nor a pattern.
    #[error("{0}")]
    Bad(String),
    /// What was muted before would be lost.
    #[error("what is muted cannot be read, so nothing was changed: {0}; mend the file or remove it, then try again")]
    Unread(String),
    /// It would be forgotten by a restart.
    #[error("what is muted cannot be kept, so nothing was changed: {0}")]
    NotKept(#[from] StateFileError),
}

/// The muted names and patterns.
#[derive(Debug, Clone, Default)]
pub(super) struct Mutes {
    all: BTreeSet<Muted>,
    names: HashMap<String, Networks>,
    /// Patterns `*.name`, by the name.
    below: HashMap<String, Networks>,
    /// The others, which are tried one by one.
    patterns: Vec<(NamePattern, Option<String>)>,
}

/// Networks for which a name is muted; `None` among them stands for all.
type Networks = Vec<Option<String>>;

impl Mutes {
    /// Each was named by somebody who may change the server: more is a mistake.
    const BOUND: usize = 10_000;
    /// Each costs every fallback a comparison.
    const PATTERNS: usize = 100;
    /// Its file in the state directory.
    const FILE: &'static str = "fallback-muted.json";
    /// Octets of that file: more than so many names of 255 octets take.
    const LARGEST: u64 = 8 << 20;

    /// What was muted when the server stopped.
    pub fn load(state: &StateDirectory) -> Result<Self, String> {
        let Some(octets) = state.read(Self::FILE, Self::LARGEST).map_err(|error| error.to_string())? else { return Ok(Self::default()) };
        let bad = |error: String| format!("{}: {error}", state.path().join(Self::FILE).display());
        let all: BTreeSet<Muted> = serde_json::from_slice(&octets).map_err(|error| bad(error.to_string()))?;
        Self::of(all).map_err(|error| bad(error.to_string()))
    }

    /// Writes it, so that it outlives the server.
    pub fn keep(&self, state: &StateDirectory) -> Result<(), StateFileError> {
        state.write_atomically_with(Self::FILE, |file| Ok(serde_json::to_writer_pretty(file, &self.all)?))
    }

    /// The same with one more. Returns `None` if it is there already.
    pub fn with(&self, muted: Muted) -> Result<Option<Self>, MuteError> {
        if self.all.contains(&muted) {
            return Ok(None);
        }
        let mut all = self.all.clone();
        all.insert(muted);
        Self::of(all).map(Some)
    }

    /// The same with one less. Returns `None` if it is not there.
    pub fn without(&self, muted: &Muted) -> Option<Self> {
        let mut all = self.all.clone();
        all.remove(muted).then(|| Self::of(all).ok()).flatten()
    }

    fn of(all: BTreeSet<Muted>) -> Result<Self, MuteError> {
        let mut mutes = Self { all: BTreeSet::new(), ..Self::default() };
        if all.len() > Self::BOUND {
            return Err(MuteError::Full);
        }
        for Muted { name, network } in &all {
            let pattern = NamePattern::parse(name).map_err(MuteError::Bad)?;
            let (stars, rest) = (name.split('.').filter(|label| *label == "*").count(), name.strip_prefix("*."));
            match (stars, rest) {
                (0, _) => mutes.names.entry(name.clone()).or_default().push(network.clone()),
                (1, Some(rest)) => mutes.below.entry(rest.into()).or_default().push(network.clone()),
                _ => mutes.patterns.push((pattern, network.clone())),
            }
        }
        mutes.all = all;
        if mutes.patterns.len() > Self::PATTERNS { Err(MuteError::Patterns) } else { Ok(mutes) }
    }

    pub fn list(&self) -> Vec<Muted> {
        self.all.iter().cloned().collect()
    }

    /// Returns true if a name is muted for a network, or for all. Allocates only where there are patterns to try.
    pub fn covers(&self, network: &str, name: &str) -> bool {
        if self.all.is_empty() {
            return false;
        }
        let is_for = |muted: &Option<String>| muted.as_deref().is_none_or(|muted| muted == network);
        let has = |networks: Option<&Networks>| networks.is_some_and(|networks| networks.iter().any(is_for));
        let mut above = name.match_indices('.').map(|(dot, _)| &name[dot + 1..]);
        if has(self.names.get(name)) || above.any(|above| has(self.below.get(above))) {
            return true;
        }
        if self.patterns.is_empty() {
            return false;
        }
        let labels: Vec<&[u8]> = name.split('.').map(str::as_bytes).collect();
        self.patterns.iter().any(|(pattern, network)| is_for(network) && pattern.matches(&labels))
    }
}

impl Muted {
    /// Returns true if this covers the name for clients of the network.
    pub fn covers(&self, network: &str, name: &str) -> bool {
        let labels: Vec<&[u8]> = name.split('.').map(str::as_bytes).collect();
        let is_for = self.network.as_deref().is_none_or(|muted| muted == network);
        is_for && NamePattern::parse(&self.name).is_ok_and(|pattern| pattern.matches(&labels))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn muted(name: &str, network: Option<&str>) -> Muted {
        Muted { name: name.into(), network: network.map(Into::into) }
    }

    fn mutes(all: &[(&str, Option<&str>)]) -> Mutes {
        Mutes::of(all.iter().map(|(name, network)| muted(name, *network)).collect()).unwrap()
    }

    #[test]
    fn names_and_patterns_are_muted_for_one_network_or_for_all() {
        let all = [("a.test", None), ("b.test", Some("hub")), ("*.c.test", None), ("d.*.test", None), ("*.e.test", Some("hub"))];
        let mutes = mutes(&all);
        for (network, name, covered) in [
            ("hub", "a.test", true),
            ("spoke", "a.test", true),
            ("hub", "b.test", true),
            ("spoke", "b.test", false),
            ("hub", "x.a.test", false),
            ("hub", "x.c.test", true),
            ("hub", "y.x.c.test", true),
            ("hub", "c.test", false),
            ("hub", "d.x.test", true),
            ("hub", "d.y.x.test", false),
            ("hub", "x.e.test", true),
            ("spoke", "x.e.test", false),
        ] {
            assert_eq!(mutes.covers(network, name), covered, "{network} {name}");
            let each = all.iter().any(|(pattern, of)| muted(pattern, *of).covers(network, name));
            assert_eq!(each, covered, "{network} {name}, one by one");
        }
    }

    #[test]
    fn what_is_muted_twice_or_never_was_changes_nothing() {
        let mutes = mutes(&[("a.test", None)]);
        assert!(mutes.with(muted("a.test", None)).unwrap().is_none() && mutes.without(&muted("b.test", None)).is_none());
        let both = mutes.with(muted("b.test", Some("hub"))).unwrap().unwrap();
        assert_eq!(both.without(&muted("a.test", None)).unwrap().list(), [muted("b.test", Some("hub"))]);
        assert!(matches!(mutes.with(muted("a*.test", None)), Err(MuteError::Bad(_))));
    }

    #[test]
    fn what_is_muted_has_bounds() {
        let full: BTreeSet<Muted> = (0..Mutes::BOUND).map(|number| muted(&format!("n{number}.test"), None)).collect();
        let mutes = Mutes::of(full).unwrap();
        assert!(matches!(mutes.with(muted("one-more.test", None)), Err(MuteError::Full)));
        let patterns: BTreeSet<Muted> = (0..Mutes::PATTERNS).map(|number| muted(&format!("n{number}.*"), None)).collect();
        let mutes = Mutes::of(patterns).unwrap();
        assert!(matches!(mutes.with(muted("one-more.*", None)), Err(MuteError::Patterns)));
        assert!(mutes.with(muted("*.fine.test", None)).unwrap().is_some());
    }

    #[test]
    fn what_is_muted_outlives_the_server() {
        let directory = tempfile::tempdir().unwrap();
        let state = StateDirectory::claim(directory.path(), None).unwrap();
        assert_eq!(Mutes::load(&state).unwrap().list(), []);
        let mutes = mutes(&[("*.a.test", None), ("b.test", Some("hub"))]);
        mutes.keep(&state).unwrap();
        assert_eq!(Mutes::load(&state).unwrap().list(), mutes.list());
        std::fs::write(directory.path().join(Mutes::FILE), "[{").unwrap();
        assert!(Mutes::load(&state).unwrap_err().contains("fallback-muted.json: EOF"));
    }
}
