//! Names that no upstream is to be asked about: this server answers them by itself, unless a zone or a route is configured for them.
//!
//! They are those that BIND and Unbound answer as well: `localhost`, `invalid` (RFC 6761), `onion` (RFC 7686), `resolver.arpa` (RFC 9462),
//! `home.arpa` (RFC 8375), and the reverse zones of addresses that mean something else in each network (RFC 6303, RFC 7793). Everything but
//! `localhost` is empty.

use std::collections::HashMap;
use std::sync::{LazyLock, OnceLock};

use postern_zones::name::{NameBuf, WireName};
use postern_zones::zone::{Zone, ZoneBuilder};

/// A zone of a special name.
#[derive(Debug)]
pub struct SpecialZone {
    apex: WireName,
    /// Resolvers of the site may know names in it: a question for them stays at the site, but it may be asked there.
    pub is_local: bool,
    zone: OnceLock<Zone>,
}

/// Zones that mean the same everywhere. An upstream has nothing to say about them.
const FIXED: [&str; 18] = [
    "localhost",
    "invalid",
    "onion",
    "resolver.arpa",
    "0.in-addr.arpa",
    "127.in-addr.arpa",
    "254.169.in-addr.arpa",
    "2.0.192.in-addr.arpa",
    "100.51.198.in-addr.arpa",
    "113.0.203.in-addr.arpa",
    "255.255.255.255.in-addr.arpa",
    "0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.ip6.arpa",
    "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.ip6.arpa",
    "8.e.f.ip6.arpa",
    "9.e.f.ip6.arpa",
    "a.e.f.ip6.arpa",
    "b.e.f.ip6.arpa",
    "8.b.d.0.1.0.0.2.ip6.arpa",
];
/// Zones that a site may serve for itself. Those of 172.16.0.0/12 and 100.64.0.0/10 are added to them.
const LOCAL: [&str; 4] = ["home.arpa", "10.in-addr.arpa", "168.192.in-addr.arpa", "d.f.ip6.arpa"];
/// Seconds that an answer may be kept: what RFC 6303 section 3 gives.
const TTL: u32 = 10_800;

/// Finds the special zone that `name` without its first `from` labels lies in.
pub fn find(name: &NameBuf, from: usize) -> Option<&'static SpecialZone> {
    static ZONES: LazyLock<HashMap<Box<[u8]>, SpecialZone, foldhash::fast::RandomState>> = LazyLock::new(zones);
    // Nearly every name ends in something else.
    let last = name.suffix(name.labels().checked_sub(1)?);
    if !matches!(last, b"\x04arpa\0" | b"\x09localhost\0" | b"\x07invalid\0" | b"\x05onion\0") {
        return None;
    }
    (from..name.labels()).find_map(|label| ZONES.get(name.suffix(label)))
}

/// Returns true if a name that the zone lacks does not exist. All names in `resolver.arpa` have no data instead (RFC 9462 section 6.4).
pub fn denies_names(zone: &Zone) -> bool {
    zone.apex().as_wire() != b"\x08resolver\x04arpa\0"
}

fn zones() -> HashMap<Box<[u8]>, SpecialZone, foldhash::fast::RandomState> {
    let fixed = FIXED.iter().map(|apex| (false, (*apex).to_owned()));
    let local = LOCAL.iter().map(|apex| (*apex).to_owned());
    let local = local.chain((16..32).map(|octet| format!("{octet}.172.in-addr.arpa")));
    let local = local.chain((64..128).map(|octet| format!("{octet}.100.in-addr.arpa")));
    let all = fixed.chain(local.map(|apex| (true, apex)));
    let parsed = all.filter_map(|(is_local, apex)| Some((is_local, WireName::parse(&apex).ok()?)));
    parsed.map(|(is_local, apex)| (apex.as_wire().into(), SpecialZone { apex, is_local, zone: OnceLock::new() })).collect()
}

impl SpecialZone {
    /// Returns true if DS at its apex is denied here as well. The delegation of `resolver.arpa` is in the public DNS, and so are those of reverse
    /// zones that a site may serve.
    pub fn denies_ds(&self) -> bool {
        !self.is_local && self.apex.as_wire() != b"\x08resolver\x04arpa\0"
    }

    /// Its data, made when the first question comes.
    pub fn zone(&self) -> &Zone {
        self.zone.get_or_init(|| {
            let mut builder = ZoneBuilder::new(self.apex.clone());
            let soa = [("@", "SOA", "@ nobody.invalid. 1 3600 1200 604800 10800"), ("@", "NS", "@")];
            let records = match self.apex.as_wire() {
                b"\x09localhost\0" => &[("@", "A", "127.0.0.1"), ("@", "AAAA", "::1"), ("*", "A", "127.0.0.1"), ("*", "AAAA", "::1")][..],
                b"\x03127\x07in-addr\x04arpa\0" => &[("1.0.0", "PTR", "localhost.")],
                wire if wire.starts_with(b"\x011\x010") => &[("@", "PTR", "localhost.")],
                _ => &[],
            };
            for (owner, rtype, rdata) in soa.iter().chain(records) {
                builder.add(owner, TTL, rtype, rdata).expect("a record of this file, which a test reads");
            }
            builder.finish(1).expect("a zone of this file, which a test reads").zone
        })
    }
}

#[cfg(test)]
mod tests {
    use postern_zones::lookup::Lookup;

    use super::*;

    fn name(text: &str) -> NameBuf {
        NameBuf::parse(text).unwrap()
    }

    #[test]
    fn every_special_zone_can_be_served() {
        let all = zones();
        assert_eq!(all.len(), FIXED.len() + LOCAL.len() + 16 + 64);
        for special in all.values() {
            let apex = special.apex.to_buf();
            assert_eq!(find(&apex, 0).map(|found| &found.apex), Some(&special.apex));
            assert!(matches!(special.zone().lookup(&apex, 6), Lookup::Found { .. }), "{apex}");
        }
    }

    #[test]
    fn a_name_lies_in_a_special_zone_or_not() {
        for (text, from, want) in [
            ("www.localhost", 0, true),
            ("localhost", 1, false),
            ("a.onion", 0, true),
            ("1.20.172.in-addr.arpa", 0, true),
            ("1.32.172.in-addr.arpa", 0, false),
            ("1.63.100.in-addr.arpa", 0, false),
            ("1.127.100.in-addr.arpa", 0, true),
            ("_dns.resolver.arpa", 0, true),
            ("arpa", 0, false),
            ("8.8.8.8.in-addr.arpa", 0, false),
            ("localhost.contoso.test", 0, false),
            (".", 0, false),
        ] {
            assert_eq!(find(&name(text), from).is_some(), want, "{text}");
        }
    }

    #[test]
    fn this_machine_has_its_name_and_addresses() {
        for (text, rtype, found) in [
            ("localhost", 1, true),
            ("www.localhost", 28, true),
            ("1.0.0.127.in-addr.arpa", 12, true),
            ("2.0.0.127.in-addr.arpa", 12, false),
            (FIXED[12], 12, true),
            (FIXED[11], 12, false),
        ] {
            let name = name(text);
            let lookup = find(&name, 0).unwrap().zone().lookup(&name, rtype);
            assert_eq!(matches!(lookup, Lookup::Found { .. }), found, "{text}");
        }
    }
}
