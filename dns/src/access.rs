//! Who may query, and who may have recursion.

use std::net::IpAddr;

use ipnet::IpNet;
use postern_config::model::ServerConfig;
use postern_zones::network::Clients;
use postern_zones::network::NetworkId;

/// Access lists: the longest prefix of both decides.
#[derive(Debug, Default)]
pub struct AccessLists {
    /// None: everybody may query.
    lists: Option<Clients>,
}

const DENIED: NetworkId = NetworkId(0);
const ALLOWED: NetworkId = NetworkId(1);

impl AccessLists {
    /// Takes the lists of the configuration. Who is in neither may query unless there is an `allow` list; a prefix in both is denied.
    pub fn new(allow: &[IpNet], deny: &[IpNet]) -> Self {
        if allow.is_empty() && deny.is_empty() {
            return Self::default();
        }
        let denied = deny.iter().map(|prefix| (*prefix, DENIED));
        let allowed = allow.iter().map(|prefix| (*prefix, ALLOWED));
        Self { lists: Some(Clients::new(denied.chain(allowed), if allow.is_empty() { ALLOWED } else { DENIED })) }
    }

    /// Whether this client may query at all.
    #[inline]
    pub fn admits(&self, client: IpAddr) -> bool {
        self.lists.as_ref().is_none_or(|lists| lists.network_of(client) == ALLOWED)
    }
}

impl From<&ServerConfig> for AccessLists {
    fn from(server: &ServerConfig) -> Self {
        Self::new(&server.allow, &server.deny)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_prefix_of_both_lists_decides() {
        let nets = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<IpNet>>();
        for (allow, deny, client, admitted) in [
            (&[][..], &[][..], "192.0.2.1", true),
            (&["10.0.0.0/8"], &[], "10.1.2.3", true),
            (&["10.0.0.0/8"], &[], "192.0.2.1", false),
            (&["10.0.0.0/8"], &[], "2001:db8::1", false),
            (&[], &["10.0.0.0/8"], "10.1.2.3", false),
            (&[], &["10.0.0.0/8"], "192.0.2.1", true),
            (&["10.0.0.0/8"], &["10.1.0.0/16"], "10.1.2.3", false),
            (&["10.0.0.0/8"], &["10.1.0.0/16"], "10.2.2.3", true),
            (&["10.1.2.0/24", "10.0.0.0/8"], &["10.1.0.0/16"], "10.1.2.3", true),
            (&["10.0.0.0/8"], &["10.0.0.0/8"], "10.1.2.3", false),
            (&["10.0.0.0/8"], &[], "::ffff:10.1.2.3", true),
            (&["2001:db8::/32"], &["2001:db8:1::/48"], "2001:db8:1::5", false),
            (&["2001:db8::/32"], &["2001:db8:1::/48"], "2001:db8:2::5", true),
        ] {
            let access = AccessLists::new(&nets(allow), &nets(deny));
            assert_eq!(access.admits(client.parse().unwrap()), admitted, "{allow:?} {deny:?} {client}");
        }
    }
}
