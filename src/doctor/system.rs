//! Files of this machine that decide how names are resolved.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use serde_json::Value;

/// Address of the stub of systemd-resolved, which hides the resolvers that it asks.
const RESOLVED_STUBS: [&str; 2] = ["127.0.0.53", "127.0.0.54"];
/// Directories of Firefox's and of Chromium's managed policies.
const FIREFOX: [&str; 2] = ["etc/firefox/policies/policies.json", "usr/lib/firefox/distribution/policies.json"];
const CHROMIUM: [&str; 3] = ["etc/opt/chrome/policies/managed", "etc/chromium/policies/managed", "etc/opt/edge/policies/managed"];

/// The files of a machine, below a directory that is `/` for this one.
#[derive(Debug, Clone)]
pub struct SystemFiles {
    root: PathBuf,
}

/// A resolver that the machine's programs ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SystemResolver {
    /// Address and port.
    pub address: SocketAddr,
    /// The file that names it.
    pub file: PathBuf,
}

impl SystemFiles {
    /// Files below `root`.
    pub fn below(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    fn read(&self, path: &str) -> Option<String> {
        fs::read_to_string(self.root.join(path)).ok()
    }

    /// Returns the resolvers in order. The stub of systemd-resolved is replaced by those that it asks.
    pub fn resolvers(&self) -> Result<Vec<SystemResolver>, String> {
        let of = |path: &str| {
            let text = fs::read_to_string(self.root.join(path)).map_err(|error| format!("/{path}: {error}"))?;
            Ok::<_, String>(
                nameservers(&text).map(|address| SystemResolver { address, file: Path::new("/").join(path) }).collect::<Vec<_>>(),
            )
        };
        let named = of("etc/resolv.conf")?;
        let is_stub = |resolver: &SystemResolver| RESOLVED_STUBS.contains(&resolver.address.ip().to_string().as_str());
        match !named.is_empty() && named.iter().all(is_stub) {
            true => of("run/systemd/resolve/resolv.conf"),
            false => Ok(named),
        }
    }

    /// Returns the lines of `/etc/hosts` that name this host, with their numbers.
    pub fn hosts_lines(&self, name: &str) -> Vec<(usize, String)> {
        let text = self.read("etc/hosts").unwrap_or_default();
        let names_it =
            |line: &str| line.split('#').next().unwrap_or_default().split_whitespace().skip(1).any(|word| word.eq_ignore_ascii_case(name));
        text.lines().enumerate().filter(|(_, line)| names_it(line)).map(|(at, line)| (at + 1, line.trim().to_owned())).collect()
    }

    /// Returns the `hosts` line of `/etc/nsswitch.conf` if programs that follow it never ask DNS.
    pub fn order_without_dns(&self) -> Option<String> {
        let text = self.read("etc/nsswitch.conf")?;
        let line = text.lines().find(|line| line.trim_start().starts_with("hosts:"))?;
        let asks = line.split_whitespace().any(|word| matches!(word, "dns" | "resolve"));
        (!asks).then(|| line.trim().to_owned())
    }

    /// Returns policy files that make a browser ask a resolver of its own over HTTPS.
    pub fn browsers_with_own_resolver(&self) -> Vec<PathBuf> {
        let json = |path: &Path| fs::read(path).ok().and_then(|octets| serde_json::from_slice::<Value>(&octets).ok()).unwrap_or_default();
        let firefox =
            FIREFOX.iter().map(|path| self.root.join(path)).filter(|path| json(path)["policies"]["DNSOverHTTPS"]["Enabled"] == true);
        let policies = CHROMIUM.iter().filter_map(|path| fs::read_dir(self.root.join(path)).ok()).flatten().flatten();
        let is_secure = |path: &PathBuf| json(path)["DnsOverHttpsMode"] == "secure";
        let mut found: Vec<PathBuf> = firefox.chain(policies.map(|entry| entry.path()).filter(is_secure)).collect();
        found.sort();
        found
    }
}

fn nameservers(text: &str) -> impl Iterator<Item = SocketAddr> + '_ {
    text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        (words.next() == Some("nameserver")).then(|| words.next()).flatten().and_then(server_address)
    })
}

/// Parses an address of a DNS server. The default port is 53.
pub fn server_address(text: &str) -> Option<SocketAddr> {
    let ip = || text.trim_matches(['[', ']']).parse().ok().map(|ip: IpAddr| SocketAddr::new(ip, 53));
    text.parse().ok().or_else(ip)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(files: &[(&str, &str)]) -> (tempfile::TempDir, SystemFiles) {
        let directory = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = directory.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let files = SystemFiles::below(directory.path());
        (directory, files)
    }

    #[test]
    fn the_stub_of_systemd_resolved_is_replaced_by_the_resolvers_that_it_asks() {
        let stub = "nameserver 127.0.0.53\noptions edns0 trust-ad\n";
        let (_directory, files) =
            machine(&[("etc/resolv.conf", stub), ("run/systemd/resolve/resolv.conf", "nameserver 10.20.0.10\nnameserver 2001:db8::53\n")]);
        let found: Vec<String> = files.resolvers().unwrap().iter().map(|resolver| resolver.address.to_string()).collect();
        assert_eq!(found, ["10.20.0.10:53", "[2001:db8::53]:53"]);
        let (_directory, files) = machine(&[("etc/resolv.conf", "# none\n")]);
        assert_eq!(files.resolvers().unwrap(), []);
        let (_directory, files) = machine(&[]);
        assert!(files.resolvers().unwrap_err().starts_with("/etc/resolv.conf: "));
    }

    #[test]
    fn files_that_pass_dns_by_are_found() {
        let policy = r#"{"policies": {"DNSOverHTTPS": {"Enabled": true}}}"#;
        let (_directory, files) = machine(&[
            ("etc/hosts", "127.0.0.1 localhost\n203.0.113.20 a.contoso.test B.contoso.test # old\n# 10.0.0.1 c.contoso.test\n"),
            ("etc/nsswitch.conf", "passwd: files\nhosts: files mdns4_minimal [NOTFOUND=return]\n"),
            ("etc/firefox/policies/policies.json", policy),
            ("etc/chromium/policies/managed/dns.json", r#"{"DnsOverHttpsMode": "secure"}"#),
            ("etc/opt/chrome/policies/managed/dns.json", r#"{"DnsOverHttpsMode": "off"}"#),
        ]);
        assert_eq!(files.hosts_lines("b.contoso.test"), [(2, "203.0.113.20 a.contoso.test B.contoso.test # old".to_owned())]);
        assert_eq!(files.hosts_lines("c.contoso.test"), []);
        assert_eq!(files.order_without_dns().unwrap(), "hosts: files mdns4_minimal [NOTFOUND=return]");
        let found = files.browsers_with_own_resolver();
        assert_eq!(found.len(), 2, "{found:?}");
    }
}
