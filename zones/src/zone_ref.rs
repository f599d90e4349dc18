//! Zones as clients and operators name them.

use std::fmt;

use postern_config::model::NetworkLinks;

/// A hosted zone as people name it: `name`, or `name@network` where several zones have one name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ZoneRef {
    /// Apex, lower case, no final dot; `.` for the root.
    pub name: String,
    /// A network that it is linked to.
    pub network: Option<String>,
}

impl ZoneRef {
    /// From `name` or `name@network`; a final dot and letter case do not matter.
    pub fn parse(text: &str) -> Self {
        let (name, network) = text.split_once('@').map_or((text, None), |(name, network)| (name, Some(network.to_owned())));
        let name = if name == "." { name } else { name.trim_end_matches('.') };
        Self { name: name.to_ascii_lowercase(), network }
    }

    /// Returns true if the zone with this name and these networks is meant.
    pub fn means(&self, name: &str, networks: &NetworkLinks) -> bool {
        self.name == name && self.network.as_ref().is_none_or(|wanted| networks.include(wanted))
    }
}

impl fmt::Display for ZoneRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        self.network.as_ref().map_or(Ok(()), |network| write!(f, "@{network}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_are_named_with_and_without_network() {
        for (text, name, network) in [
            ("Contoso.Test.", "contoso.test", None),
            ("contoso.test@hub", "contoso.test", Some("hub")),
            (".", ".", None),
            (".@hub", ".", Some("hub")),
        ] {
            assert_eq!(ZoneRef::parse(text), ZoneRef { name: name.into(), network: network.map(Into::into) });
        }
        assert_eq!(ZoneRef::parse("contoso.test.@hub").to_string(), "contoso.test@hub");
    }

    #[test]
    fn a_zone_is_meant_by_its_name_and_one_of_its_networks() {
        let hub = NetworkLinks::of_list(vec!["spoke".into(), "hub".into()]);
        let all = NetworkLinks::All;
        for (text, name, networks, is_meant) in [
            ("contoso.test", "contoso.test", &hub, true),
            ("contoso.test@hub", "contoso.test", &hub, true),
            ("contoso.test@lab", "contoso.test", &hub, false),
            ("contoso.test@hub", "contoso.test", &all, true),
            ("contoso.test", "fabrikam.test", &all, false),
        ] {
            assert_eq!(ZoneRef::parse(text).means(name, networks), is_meant, "{text} and {name} of {networks:?}");
        }
    }
}
