//! The networks that a zone or a route is linked to.

use std::fmt;
use std::sync::Arc;

/// Networks that a zone or a route is linked to, by name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum NetworkLinks {
    /// Every network of the configuration.
    All,
    /// The networks with these names, which need not exist.
    These(Arc<[String]>),
}

impl NetworkLinks {
    /// Returns the links that a list stands for where an empty list stands for all networks: in the configuration, in the API, and in
    /// journals.
    pub fn of_list(names: Vec<String>) -> Self {
        if names.is_empty() { Self::All } else { Self::These(names.into()) }
    }

    /// Returns the list that stands for the links. It is empty for all networks.
    pub fn names(&self) -> &[String] {
        match self {
            Self::All => &[],
            Self::These(names) => names,
        }
    }

    /// Returns true if these are all networks.
    pub fn are_all(&self) -> bool {
        *self == Self::All
    }

    /// Returns true if the network with this name is linked.
    pub fn include(&self, network: &str) -> bool {
        match self {
            Self::All => true,
            Self::These(names) => names.iter().any(|name| name == network),
        }
    }

    /// Returns true if a network can be linked by both.
    pub fn overlap(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::All, _) | (_, Self::All) => true,
            (Self::These(names), Self::These(_)) => names.iter().any(|name| other.include(name)),
        }
    }

    /// Returns true if both have the same networks, in any order.
    pub fn are_same(&self, other: &Self) -> bool {
        let has_all = |names: &[String], others: &[String]| names.iter().all(|name| others.contains(name));
        match (self, other) {
            (Self::All, Self::All) => true,
            (Self::These(own), Self::These(others)) => own.len() == others.len() && has_all(own, others) && has_all(others, own),
            (Self::All, Self::These(_)) | (Self::These(_), Self::All) => false,
        }
    }
}

impl fmt::Display for NetworkLinks {
    /// `all`, or the names separated by commas.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::These(names) => f.write_str(&names.join(",")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn links(text: &str) -> NetworkLinks {
        NetworkLinks::of_list(text.split_whitespace().map(String::from).collect())
    }

    #[test]
    fn all_networks_overlap_with_any_and_are_the_same_as_all_only() {
        for (one, other, overlap, same) in [
            ("", "", true, true),
            ("", "hub", true, false),
            ("hub", "hub", true, true),
            ("hub spoke", "spoke hub", true, true),
            ("hub spoke", "spoke lab", true, false),
            ("hub", "lab", false, false),
        ] {
            let (one, other) = (links(one), links(other));
            assert_eq!((one.overlap(&other), other.overlap(&one)), (overlap, overlap), "{one} and {other}");
            assert_eq!((one.are_same(&other), other.are_same(&one)), (same, same), "{one} and {other}");
        }
        assert!(links("").include("hub") && links("hub").include("hub") && !links("hub").include("spoke"));
        assert_eq!((links("").to_string(), links("hub spoke").to_string()), ("all".into(), "hub,spoke".into()));
    }
}
