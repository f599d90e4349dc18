//! Permissions of clients for DNS messages, from `[[key]]`.

use std::fmt;

use ipnet::IpNet;

/// A TSIG key, or clients that need none, with the permissions that it grants.
#[derive(Debug, Clone, PartialEq)]
pub struct KeyConfig {
    /// Name of the key in lower case, without the final dot.
    pub name: String,
    /// Proof that a client must provide.
    pub proof: KeyProof,
    /// Operations that the key permits.
    pub allow: Vec<KeyAction>,
    /// Zones that the key applies to. Empty means all.
    pub zones: Vec<QualifiedZoneName>,
    /// Owners that the key may change. Empty means all.
    pub names: Vec<NamePattern>,
    /// Record types that the key may change. Empty means all.
    pub types: Vec<u16>,
    /// Clients that may use the key. Empty means all.
    pub clients: Vec<IpNet>,
    /// Line of the `[[key]]` in the configuration file, 1-based. 0 means none.
    pub line: u32,
}

/// Proof that a client must provide to use a key.
#[derive(Debug, Clone, PartialEq)]
pub enum KeyProof {
    /// A TSIG signature (RFC 8945).
    Tsig {
        /// Hash of the signature.
        algorithm: TsigAlgorithm,
        /// Set if HMAC-MD5 is also accepted.
        allow_md5: bool,
        /// Minimum number of bits of a MAC. `None` means the full length.
        mac_bits: Option<u16>,
        /// Shared secret of both sides.
        secret: TsigSecret,
    },
    /// The client address alone.
    Address,
}

/// A hash of TSIG (RFC 8945, section 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TsigAlgorithm {
    /// MD5, with the algorithm name `HMAC-MD5.SIG-ALG.REG.INT`.
    Md5,
    /// SHA-1, with the algorithm name `hmac-sha1`.
    Sha1,
    /// SHA-224, with the algorithm name `hmac-sha224`.
    Sha224,
    /// SHA-256, with the algorithm name `hmac-sha256`.
    Sha256,
    /// SHA-384, with the algorithm name `hmac-sha384`.
    Sha384,
    /// SHA-512, with the algorithm name `hmac-sha512`.
    Sha512,
}

/// An operation that a key can permit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyAction {
    /// Dynamic updates (RFC 2136).
    Update,
    /// Zone transfers by AXFR and IXFR.
    Transfer,
    /// Notifications of zone changes (RFC 1996).
    Notify,
    /// Queries outside updates and transfers.
    Query,
}

/// A zone, with a network if several zones share its name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct QualifiedZoneName {
    /// Apex in lower case, without the final dot.
    pub name: String,
    /// A network that the zone is linked to.
    pub network: Option<String>,
}

/// A pattern for names, by labels. `*` at the start or end matches one or more labels. Between
/// other labels it matches one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamePattern {
    /// Labels in lower case. `None` means `*`.
    labels: Vec<Option<Box<str>>>,
}

/// Octets that must not be displayed.
#[derive(Clone, PartialEq, Eq)]
pub struct TsigSecret(Box<[u8]>);

impl NamePattern {
    /// Creates a pattern from a lower-case name without its final dot, in which labels may be `*`.
    pub(crate) fn new(text: &str) -> Self {
        Self { labels: text.split('.').map(|label| (label != "*").then(|| label.into())).collect() }
    }

    /// Returns true if the pattern matches a name of these lower-case labels, without the root.
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

impl fmt::Display for QualifiedZoneName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        self.network.as_ref().map_or(Ok(()), |network| write!(f, "@{network}"))
    }
}

impl TsigSecret {
    /// Creates a secret from its octets.
    pub fn new(octets: impl Into<Box<[u8]>>) -> Self {
        Self(octets.into())
    }

    /// Returns the octets in plain form.
    pub fn as_octets(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for TsigSecret {
    /// Writes the length only, so that a secret never appears in a log.
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
        assert_eq!(format!("{:?}", TsigSecret::new(*b"hidden")), "Secret(6 octets)");
    }
}
