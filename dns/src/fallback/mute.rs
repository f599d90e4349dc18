//! Names whose fallbacks are known and wanted. Their fallbacks are counted, but neither written nor shown. The list is kept in the state
//! directory.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use postern_config::model::NamePattern;
use postern_zones::state_directory::{StateDirectory, StateFileError};
use serde::{Deserialize, Serialize};

/// Names that are muted, by a name or a pattern.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct MuteEntry {
    /// The name as it is asked, lower case, no final dot; labels may be `*` ([`NamePattern`]).
    pub name: String,
    /// For clients of this network alone. `None` for all.
    pub network: Option<String>,
}

/// Why a name is not muted.
#[derive(Debug, thiserror::Error)]
pub enum MuteError {
    /// The bound of names and patterns is reached.
    #[error(
        "{} names and patterns are muted already, which is the most that is kept; unmute some, or mute a pattern such as `*.contoso.test` \
         in their place",
        MuteList::BOUND
    )]
    Full,
    /// The bound of patterns that are tried one by one is reached.
    #[error(
        "{} patterns with `*` behind the first label are muted already, which is the most that is kept; write names, or patterns that \
         begin with `*.`",
        MuteList::PATTERNS
    )]
    Patterns,
    /// Neither a name nor a pattern.
    #[error("{0}")]
    Bad(String),
    /// The file with the earlier mutes cannot be read, and a change would overwrite it.
    #[error("what is muted cannot be read, so nothing was changed: {0}; mend the file or remove it, then try again")]
    Unread(String),
    /// The file cannot be written, so a restart would lose the change.
    #[error("what is muted cannot be kept, so nothing was changed: {0}")]
    NotKept(#[from] StateFileError),
}

/// The muted names and patterns.
#[derive(Debug, Clone, Default)]
pub(super) struct MuteList {
    all: BTreeSet<MuteEntry>,
    names: HashMap<String, Networks>,
    /// Patterns `*.name`, by the name.
    below: HashMap<String, Networks>,
    /// The others, which are tried one by one.
    patterns: Vec<(NamePattern, MuteEntry)>,
}

/// Networks for which a name is muted; `None` among them stands for all.
type Networks = Vec<Option<String>>;

impl MuteList {
    /// Operators enter mutes by hand, so a longer list is a mistake of a script.
    const BOUND: usize = 10_000;
    /// Each of them costs every fallback a comparison.
    const PATTERNS: usize = 100;
    /// Its file in the state directory.
    const FILE: &'static str = "fallback-muted.json";
    /// Largest size of that file, octets: above what [`MuteList::BOUND`] names of 255 octets take.
    const LARGEST: u64 = 8 << 20;

    /// Reads the list of an earlier run.
    pub fn load(state: &StateDirectory) -> Result<Self, String> {
        let Some(octets) = state.read(Self::FILE, Self::LARGEST).map_err(|error| error.to_string())? else { return Ok(Self::default()) };
        let bad = |error: String| format!("{}: {error}", state.path().join(Self::FILE).display());
        let all: BTreeSet<MuteEntry> = serde_json::from_slice(&octets).map_err(|error| bad(error.to_string()))?;
        Self::of(all).map_err(|error| bad(error.to_string()))
    }

    /// Writes the list to the state directory.
    pub fn keep(&self, state: &StateDirectory) -> Result<(), StateFileError> {
        state.write_atomically_with(Self::FILE, |file| Ok(serde_json::to_writer_pretty(file, &self.all)?))
    }

    /// A copy with one more mute. Returns `None` if it is there already.
    pub fn with(&self, muted: MuteEntry) -> Result<Option<Self>, MuteError> {
        if self.all.contains(&muted) {
            return Ok(None);
        }
        let mut all = self.all.clone();
        all.insert(muted);
        Self::of(all).map(Some)
    }

    /// A copy with one mute less. Returns `None` if it is not there.
    pub fn without(&self, muted: &MuteEntry) -> Option<Self> {
        let mut all = self.all.clone();
        all.remove(muted).then(|| Self::of(all).ok()).flatten()
    }

    fn of(all: BTreeSet<MuteEntry>) -> Result<Self, MuteError> {
        let mut mutes = Self { all: BTreeSet::new(), ..Self::default() };
        if all.len() > Self::BOUND {
            return Err(MuteError::Full);
        }
        for MuteEntry { name, network } in &all {
            let pattern = NamePattern::parse(name).map_err(MuteError::Bad)?;
            let (stars, rest) = (name.split('.').filter(|label| *label == "*").count(), name.strip_prefix("*."));
            match (stars, rest) {
                (0, _) => mutes.names.entry(name.clone()).or_default().push(network.clone()),
                (1, Some(rest)) => mutes.below.entry(rest.into()).or_default().push(network.clone()),
                _ => mutes.patterns.push((pattern, MuteEntry { name: name.clone(), network: network.clone() })),
            }
        }
        mutes.all = all;
        if mutes.patterns.len() > Self::PATTERNS { Err(MuteError::Patterns) } else { Ok(mutes) }
    }

    pub fn list(&self) -> Vec<MuteEntry> {
        self.all.iter().cloned().collect()
    }

    /// Returns true if a name is muted for a network, or for all. Allocates only if there are patterns to try.
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
        self.patterns.iter().any(|(pattern, muted)| is_for(&muted.network) && pattern.matches(&labels))
    }

    /// Every mute, with how many of these names it covers. Each pair is a network and a name. The indexes are used as in
    /// [`MuteList::covers`]: the cost does not grow with names times mutes.
    pub fn counts<'l>(&self, names: impl Iterator<Item = (&'l str, &'l str)>) -> Vec<(MuteEntry, usize)> {
        let mut counts: BTreeMap<MuteEntry, usize> = self.all.iter().map(|muted| (muted.clone(), 0)).collect();
        for (network, name) in names {
            for muted in self.covering(network, name) {
                counts.entry(muted).and_modify(|count| *count += 1);
            }
        }
        counts.into_iter().collect()
    }

    /// The mutes that cover a name for clients of a network.
    fn covering(&self, network: &str, name: &str) -> Vec<MuteEntry> {
        let is_for = |muted: &Option<String>| muted.as_deref().is_none_or(|muted| muted == network);
        let named = |networks: Option<&Networks>, name: &str| -> Vec<MuteEntry> {
            let networks = networks.into_iter().flatten().filter(|network| is_for(network));
            networks.map(|network| MuteEntry { name: name.into(), network: network.clone() }).collect()
        };
        let mut covering = named(self.names.get(name), name);
        for above in name.match_indices('.').map(|(dot, _)| &name[dot + 1..]) {
            let networks = self.below.get(above);
            if networks.is_some() {
                covering.extend(named(networks, &format!("*.{above}")));
            }
        }
        if !self.patterns.is_empty() {
            let labels: Vec<&[u8]> = name.split('.').map(str::as_bytes).collect();
            let fits = |(pattern, muted): &&(NamePattern, MuteEntry)| is_for(&muted.network) && pattern.matches(&labels);
            covering.extend(self.patterns.iter().filter(fits).map(|(_, muted)| muted.clone()));
        }
        covering
    }
}

impl MuteEntry {
    /// Number of these names that it covers. Each pair is a network and a name.
    pub fn count<'l>(&self, names: impl Iterator<Item = (&'l str, &'l str)>) -> usize {
        let Ok(pattern) = NamePattern::parse(&self.name) else { return 0 };
        let is_for = |network: &str| self.network.as_deref().is_none_or(|muted| muted == network);
        let fits = |name: &str| pattern.matches(&name.split('.').map(str::as_bytes).collect::<Vec<_>>());
        names.filter(|(network, name)| is_for(network) && fits(name)).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn muted(name: &str, network: Option<&str>) -> MuteEntry {
        MuteEntry { name: name.into(), network: network.map(Into::into) }
    }

    fn mutes(all: &[(&str, Option<&str>)]) -> MuteList {
        MuteList::of(all.iter().map(|(name, network)| muted(name, *network)).collect()).unwrap()
    }

    #[test]
    fn names_and_patterns_are_muted_for_one_network_or_for_all() {
        let all = [("a.test", None), ("b.test", Some("hub")), ("*.c.test", None), ("d.*.test", None), ("*.e.test", Some("hub"))];
        let mutes = mutes(&all);
        let table = [
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
        ];
        for (network, name, covered) in table {
            assert_eq!(mutes.covers(network, name), covered, "{network} {name}");
            let each: usize = all.iter().map(|(pattern, of)| muted(pattern, *of).count([(network, name)].into_iter())).sum();
            assert_eq!(each > 0, covered, "{network} {name}, one by one");
        }
        let names = || table.iter().map(|(network, name, _)| (*network, *name));
        let muted = all.iter().map(|(name, network)| muted(name, *network));
        let mut expected: Vec<(MuteEntry, usize)> = muted.zip([2, 1, 2, 1, 1]).collect();
        expected.sort();
        assert_eq!(mutes.counts(names()), expected);
    }

    #[test]
    fn each_of_a_full_list_of_mutes_counts_the_names_that_it_covers() {
        let all: BTreeSet<MuteEntry> = (0..MuteList::BOUND).map(|number| muted(&format!("*.n{number}.test"), None)).collect();
        let mutes = MuteList::of(all).unwrap();
        let names: Vec<String> = (0..10_000).map(|number| format!("a.n{number}.test")).collect();
        let counts = mutes.counts(names.iter().map(|name| ("hub", name.as_str())));
        assert!(counts.len() == MuteList::BOUND && counts.iter().all(|(_, count)| *count == 1));
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
        let full: BTreeSet<MuteEntry> = (0..MuteList::BOUND).map(|number| muted(&format!("n{number}.test"), None)).collect();
        let mutes = MuteList::of(full).unwrap();
        assert!(matches!(mutes.with(muted("one-more.test", None)), Err(MuteError::Full)));
        let patterns: BTreeSet<MuteEntry> = (0..MuteList::PATTERNS).map(|number| muted(&format!("n{number}.*"), None)).collect();
        let mutes = MuteList::of(patterns).unwrap();
        assert!(matches!(mutes.with(muted("one-more.*", None)), Err(MuteError::Patterns)));
        assert!(mutes.with(muted("*.fine.test", None)).unwrap().is_some());
    }

    #[test]
    fn what_is_muted_outlives_the_server() {
        let directory = tempfile::tempdir().unwrap();
        let state = StateDirectory::claim(directory.path(), None).unwrap();
        assert_eq!(MuteList::load(&state).unwrap().list(), []);
        let mutes = mutes(&[("*.a.test", None), ("b.test", Some("hub"))]);
        mutes.keep(&state).unwrap();
        assert_eq!(MuteList::load(&state).unwrap().list(), mutes.list());
        std::fs::write(directory.path().join(MuteList::FILE), "[{").unwrap();
        assert!(MuteList::load(&state).unwrap_err().contains("fallback-muted.json: EOF"));
    }
}
