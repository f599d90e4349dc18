//! `[[key]]`: who may do what to which zones by DNS messages.

use std::fmt;

use ipnet::IpNet;

/// `[[key]]`: a TSIG key, or clients that need none, and what it is good for.
#[derive(Debug, Clone, PartialEq)]
pub struct Key {
    /// Its name, lower case, no final dot.
    pub name: String,
    /// How a client shows that the key is its own.
    pub proof: Proof,
    /// What it may be used for.
    pub allow: Vec<Action>,
    /// Zones that it is good for; empty: all.
    pub zones: Vec<ZoneName>,
    /// Owners that it may change; empty: all.
    pub names: Vec<NamePattern>,
    /// TYPEs that it may change; empty: all.
    pub types: Vec<u16>,
    /// Clients that may use it; empty: all.
    pub clients: Vec<IpNet>,
    /// Line of the `[[key]]` in the configuration file, 1-based; 0: none.
    pub line: u32,
}

/// How a client shows that a key is its own.
#[derive(Debug, Clone, PartialEq)]
pub enum Proof {
    /// It signs (RFC 8945).
    Tsig {
        /// With which hash.
        algorithm: Algorithm,
        /// And by HMAC-MD5 too.
        allow_md5: bool,
        /// Fewest bits of a MAC that are taken; none: all of them.
        mac_bits: Option<u16>,
        /// What both sides know.
        secret: Secret,
    },
    /// By its address alone.
    Address,
}

/// A hash of TSIG (RFC 8945 section 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// `HMAC-MD5.SIG-ALG.REG.INT`.
    Md5,
    /// `hmac-sha1`.
    Sha1,
    /// `hmac-sha224`.
    Sha224,
    /// `hmac-sha256`.
    Sha256,
    /// `hmac-sha384`.
    Sha384,
    /// `hmac-sha512`.
    Sha512,
}

/// What a key may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// RFC 2136.
    Update,
    /// AXFR and IXFR.
    Transfer,
    /// Telling that a zone changed (RFC 1996).
    Notify,
    /// Ordinary questions.
    Query,
}

/// A zone, or with a network the one of several with its name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ZoneName {
    /// Apex, lower case, no final dot.
    pub name: String,
    /// A network that it is linked to.
    pub network: Option<String>,
}

/// Names by their labels. `*` in front or at the end is any labels, one or more; between others it is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamePattern {
    /// Lower case; none: `*`.
    labels: Vec<Option<Box<str>>>,
}

/// Octets that nobody should see.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Box<[u8]>);

impl NamePattern {
    /// From a name in lower case without its final dot, in which labels may be `*`.
    pub(crate) fn new(text: &str) -> Self {
        Self { labels: text.split('.').map(|label| (label != "*").then(|| label.into())).collect() }
    }

    /// Reads a domain name in which labels may be `*`. The error is for people.
    pub fn parse(text: &str) -> Result<Self, String> {
        crate::kind::name_pattern(text).map_err(|(message, help)| if help.is_empty() { message } else { format!("{message}; {help}") })
    }

    /// True for a name of these labels, lower case, without the root.
    pub fn matches(&self, name: &[&[u8]]) -> bool {
        let fits = |pattern: &Option<Box<str>>, label: &[u8]| pattern.as_ref().is_none_or(|text| text.as_bytes() == label);
        let all = |pattern: &[Option<Box<str>>], name: &[&[u8]]| {
            pattern.len() == name.len() && pattern.iter().zip(name).all(|(pattern, label)| fits(pattern, label))
        };
        let Some(more) = name.len().checked_sub(self.labels.len()) else { return false };
        match &self.labels[..] {
            [None] => true,
            [None, middle @ .., None] => (0..=more).any(|skip| all(middle, &name[1 + skip..name.len() - 1 - (more - skip)])),
            [None, rest @ ..] => all(rest, &name[1 + more..]),
            [front @ .., None] => all(front, &name[..name.len() - 1 - more]),
            whole => all(whole, name),
        }
    }
}

impl fmt::Display for ZoneName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        self.network.as_ref().map_or(Ok(()), |network| write!(f, "@{network}"))
    }
}

impl Secret {
    /// Takes the octets.
    pub fn new(octets: impl Into<Box<[u8]>>) -> Self {
        Self(octets.into())
    }

    /// The octets.
    pub fn as_octets(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    /// Not what it is.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({} octets)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_has_stars_in_place_of_labels() {
        for (pattern, takes, leaves) in [
            ("a.test", &["a.test"][..], &["b.a.test", "test", "a", "a.test.x"][..]),
            ("_acme-challenge.*", &["_acme-challenge.www.test", "_acme-challenge.test"], &["_acme-challenge", "x._acme-challenge.test"]),
            ("*.test", &["a.test", "b.a.test"], &["test", "a.best"]),
            ("_acme.*.test", &["_acme.a.test"], &["_acme.test", "_acme.b.a.test"]),
            ("*.mid.*", &["a.mid.test", "b.a.mid.test", "a.mid.c.test"], &["mid.test", "a.mid", "a.test"]),
            ("*", &["a", "b.a"], &[]),
            ("*.*", &["b.a", "c.b.a"], &["a"]),
        ] {
            let labels = |name: &str| NamePattern::new(pattern).matches(&name.split('.').map(str::as_bytes).collect::<Vec<_>>());
            takes.iter().for_each(|name| assert!(labels(name), "{pattern} takes {name}"));
            leaves.iter().for_each(|name| assert!(!labels(name), "{pattern} leaves {name}"));
        }
        assert!(!NamePattern::new("*.a").matches(&[]));
    }

    #[test]
    fn a_secret_is_not_shown() {
        assert_eq!(format!("{:?}", Secret::new(*b"hidden")), "Secret(6 octets)");
    }
}
