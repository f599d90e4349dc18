//! Names of servers for zones without an SOA or NS records of their own.
//!
//! The SOA names the server that updates go to (RFC 2136 section 4.3), and a secondary rejects a zone without NS records, so a zone that
//! an API writes gets both when it is made. Azure's own zones name `azureprivatedns.net`; so does a file without an SOA, unless keys say
//! otherwise.

use std::fs;

use postern_config::model::ZoneNames;

use crate::name::NameBuf;

/// REFRESH, RETRY, EXPIRE and MINIMUM as in Azure's private zones: a name that was missing a moment ago is asked for again after 10 seconds.
pub const AZURE_TIMERS: [u32; 4] = [3600, 300, 2_419_200, 10];

/// First label of the primary server's name on a host without a name.
const NAMELESS: &str = "ns";

/// The servers of a zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZoneAuthority {
    /// Primary server (MNAME).
    pub primary: NameBuf,
    /// Mailbox of the person responsible (RNAME).
    pub mailbox: NameBuf,
    /// Name servers.
    pub servers: Vec<NameBuf>,
}

impl ZoneAuthority {
    /// The servers of a zone that an API makes: those of the configuration, otherwise this host.
    pub fn of_api(names: &ZoneNames, apex: &NameBuf) -> Self {
        Self::configured(names, apex).unwrap_or_else(|| {
            let primary = host_in(apex, host_name().as_deref());
            Self { servers: vec![primary.clone()], mailbox: mailbox(apex), primary }
        })
    }

    /// The servers that the configuration names. Returns `None` if it names none.
    pub fn configured(names: &ZoneNames, apex: &NameBuf) -> Option<Self> {
        let servers: Vec<NameBuf> = names.servers.iter().filter_map(|name| NameBuf::parse(name).ok()).collect(); // checked when it was read
        let primary = names.primary.as_deref().and_then(|name| NameBuf::parse(name).ok()).or_else(|| servers.first().cloned())?;
        let servers = if servers.is_empty() { vec![primary.clone()] } else { servers };
        Some(Self { primary, mailbox: mailbox(apex), servers })
    }

    /// RDATA of the SOA, with serial 0.
    pub fn soa(&self) -> Vec<u8> {
        let mut rdata = [self.primary.as_wire(), self.mailbox.as_wire(), &[0; 4]].concat();
        AZURE_TIMERS.iter().for_each(|timer| rdata.extend_from_slice(&timer.to_be_bytes()));
        rdata
    }
}

fn mailbox(apex: &NameBuf) -> NameBuf {
    below("hostmaster", apex).unwrap_or_else(|| apex.clone())
}

/// The name of a host, in the zone if it has no domain.
fn host_in(apex: &NameBuf, host: Option<&str>) -> NameBuf {
    match host {
        Some(host) if host.contains('.') => NameBuf::parse(host).ok(),
        Some(host) => below(host, apex),
        None => None,
    }
    .or_else(|| below(NAMELESS, apex))
    .unwrap_or_else(|| apex.clone())
}

fn below(label: &str, apex: &NameBuf) -> Option<NameBuf> {
    let apex = apex.to_string();
    NameBuf::parse(&if apex == "." { format!("{label}.") } else { format!("{label}.{apex}") }).ok()
}

/// The name of this host, with its domain if `/etc/hosts` has it.
fn host_name() -> Option<String> {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    full_name(name.trim(), &fs::read_to_string("/etc/hosts").unwrap_or_default())
}

fn full_name(name: &str, hosts: &str) -> Option<String> {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    if name.is_empty() || name.split('.').next() == Some("localhost") {
        return None;
    }
    let of_line = |line: &str| {
        let names = line.split('#').next().unwrap_or_default().split_whitespace().skip(1).map(str::to_ascii_lowercase);
        names.filter(|other| other.strip_prefix(name.as_str()).is_some_and(|rest| rest.starts_with('.'))).find(|_| true)
    };
    if name.contains('.') { Some(name) } else { hosts.lines().find_map(of_line).or(Some(name)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> NameBuf {
        NameBuf::parse(text).unwrap()
    }

    #[test]
    fn the_host_has_the_domain_that_its_hosts_file_gives_it() {
        let hosts = "127.0.0.1 localhost\n127.0.1.1 DNS1.corp.contoso.test dns1 # dns1.not.test\n10.0.0.9 dns10.corp.contoso.test\n";
        for (host, want) in [
            ("dns1", Some("dns1.corp.contoso.test")),
            ("dns2", Some("dns2")),
            ("DNS2.fabrikam.test.", Some("dns2.fabrikam.test")),
            ("localhost", None),
            ("localhost.localdomain", None),
            ("", None),
        ] {
            assert_eq!(full_name(host, hosts).as_deref(), want, "{host}");
        }
        for (host, want) in [(Some("dns1.contoso.test"), "dns1.contoso.test."), (Some("dns1"), "dns1.a.test."), (None, "ns.a.test.")] {
            assert_eq!(host_in(&name("a.test"), host), name(want), "{host:?}");
        }
        assert_eq!(host_in(&name("."), Some("dns1")), name("dns1."));
    }

    #[test]
    fn what_is_not_configured_follows_from_what_is() {
        let names = |primary: Option<&str>, servers: &[&str]| ZoneNames {
            primary: primary.map(str::to_owned),
            servers: servers.iter().map(|server| (*server).to_owned()).collect(),
        };
        let apex = name("a.test");
        assert_eq!(ZoneAuthority::configured(&names(None, &[]), &apex), None);
        for (names, primary, servers) in [
            (names(Some("ns1.test"), &[]), "ns1.test", vec!["ns1.test"]),
            (names(None, &["ns2.test", "ns3.test"]), "ns2.test", vec!["ns2.test", "ns3.test"]),
            (names(Some("ns1.test"), &["ns2.test"]), "ns1.test", vec!["ns2.test"]),
        ] {
            let got = ZoneAuthority::of_api(&names, &apex);
            assert_eq!((got.primary, got.servers), (name(primary), servers.into_iter().map(name).collect()));
            assert_eq!(got.mailbox, name("hostmaster.a.test"));
        }
    }
}
