//! Everything a query needs, immutable, swapped whole.

mod hosted;

use std::borrow::Borrow;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use postern_config::model::{NetworkLinks, OnMissing, RecursionPolicy};

use crate::name::{NameBuf, WireName};
use crate::network::{Clients, NetworkId};
use crate::origin::ZoneOrigin;
use crate::zone::{OverriddenName, Zone};
use crate::zone_ref::ZoneRef;

pub use hosted::{Hosted, Kept, ZoneState};

/// Private zones and networks as of one moment.
#[derive(Debug)]
pub struct Snapshot {
    /// Rises by one with each change.
    pub generation: u64,
    networks: Vec<Network>,
    clients: Arc<Clients>,
    /// Every hosted zone once, with the networks it is linked to.
    hosted: Vec<ZoneLink>,
    /// Places in `hosted` by apex.
    by_apex: Arc<HashMap<WireName, Vec<u32>, Hasher>>,
}

/// A network and what is linked to it.
#[derive(Debug)]
pub struct Network {
    /// Its name.
    pub name: Arc<str>,
    /// Who in it may have recursion.
    pub recursion: RecursionPolicy,
    zones: Arc<Index>,
}

/// A hosted zone and the networks it is linked to.
#[derive(Debug, Clone)]
pub struct ZoneLink {
    /// The zone.
    pub hosted: Arc<Hosted>,
    /// The networks, ascending.
    pub networks: Arc<[NetworkId]>,
}

/// Makes a snapshot from its parts.
#[derive(Debug, Default)]
pub struct SnapshotBuilder {
    generation: u64,
    networks: Vec<(Arc<str>, RecursionPolicy)>,
    by_name: HashMap<Arc<str>, NetworkId>,
    prefixes: Vec<(IpNet, NetworkId)>,
    hosted: Vec<ZoneLink>,
}

type Hasher = foldhash::fast::FixedState; // only the operator's names are keys

/// Zones of a network by apex. Networks with the same zones share one.
#[derive(Debug, Default)]
struct Index {
    zones: HashMap<WireName, (u32, Arc<Hosted>), Hasher>,
    /// Bit n: some apex has n labels. A name is only looked up at those.
    lengths: u128,
    /// Overrides in the order of the configuration.
    overrides: Vec<(u32, Arc<Hosted>)>,
}

impl Snapshot {
    /// The network of a client, by longest prefix.
    #[inline]
    pub fn network_of(&self, client: IpAddr) -> NetworkId {
        self.clients.network_of(client)
    }

    /// A network of this snapshot.
    #[inline]
    pub fn network(&self, id: NetworkId) -> &Network {
        &self.networks[id.0 as usize]
    }

    /// All networks.
    pub fn networks(&self) -> impl Iterator<Item = (NetworkId, &Network)> {
        (0..).map(NetworkId).zip(&self.networks)
    }

    /// The network of a name.
    pub fn network_named(&self, name: &str) -> Option<NetworkId> {
        self.networks().find(|(_, network)| *network.name == *name).map(|(id, _)| id)
    }

    /// Every hosted zone, in the order of the configuration.
    pub fn hosted(&self) -> &[ZoneLink] {
        &self.hosted
    }

    /// The hosted zones that a reference means: several if zones share the name and the reference has no network.
    pub fn find<'s>(&'s self, zone: &ZoneRef) -> impl Iterator<Item = &'s ZoneLink> {
        self.hosted.iter().filter(|link| self.is_meant(link, zone))
    }

    /// Returns true if a reference means this zone: the network sees the zone, or the network does not exist and an API created the zone
    /// for it. A network that sees another zone of that name means only that one.
    pub fn is_meant(&self, link: &ZoneLink, zone: &ZoneRef) -> bool {
        let is_linked = |network: &String| {
            let is_kept = |kept: &Kept| kept.settings.networks.names().contains(network);
            match self.network_named(network) {
                Some(id) => link.networks.contains(&id),
                None => link.hosted.kept.as_ref().is_some_and(is_kept),
            }
        };
        *link.hosted.name == *zone.name && zone.network.as_ref().is_none_or(is_linked)
    }

    /// Returns the networks that a zone is for, as its writer names them. It may be for all and linked to one, as long as that is all there
    /// are.
    pub fn meant_for(&self, link: &ZoneLink) -> NetworkLinks {
        match &link.hosted.kept {
            Some(kept) => kept.settings.networks.clone(),
            None if link.networks.len() == self.networks.len() => NetworkLinks::All,
            None => NetworkLinks::These(link.networks.iter().map(|id| self.network(*id).name.to_string()).collect()),
        }
    }

    /// The next snapshot: the same networks and links, other data. `hosted` gives each zone as it is from now on, by its place in
    /// [`Snapshot::hosted`]; only the zones' own tables are made anew.
    pub fn next(&self, hosted: impl Fn(usize) -> Arc<Hosted>) -> Self {
        let links = self.hosted.iter().enumerate().map(|(place, link)| ZoneLink { hosted: hosted(place), networks: link.networks.clone() });
        let links: Vec<ZoneLink> = links.collect();
        let mut renewed: HashMap<*const Index, Arc<Index>, Hasher> = HashMap::default(); // one for each different set of linked zones
        let networks = self.networks.iter().map(|network| {
            let zones = renewed.entry(Arc::as_ptr(&network.zones)).or_insert_with(|| network.zones.renew(&links)).clone();
            Network { name: network.name.clone(), recursion: network.recursion, zones }
        });
        let networks = networks.collect();
        Self { generation: self.generation + 1, networks, clients: self.clients.clone(), hosted: links, by_apex: self.by_apex.clone() }
    }

    /// Another network in which `name` has data (the first by name): for the reason of a fallback. Off the hot path.
    pub fn elsewhere(&self, name: &NameBuf, not: NetworkId) -> Option<Arc<str>> {
        let at = (0..=name.labels()).filter_map(|label| self.by_apex.get(name.suffix(label))).flatten();
        let links = at.map(|&place| &self.hosted[place as usize]);
        let holds = links.filter(|link| link.networks.binary_search_by_key(&not.0, |id| id.0).is_err() && link.hosted.holds(name));
        holds.flat_map(|link| link.networks.iter()).map(|id| &self.network(*id).name).min().cloned()
    }
}

impl Network {
    /// The hosted zone with the longest apex at or above `name`, starting at its label `from` (0: the name itself; 1 for DS at an apex).
    #[inline]
    pub fn zone_of(&self, name: &NameBuf, from: usize) -> Option<&Arc<Hosted>> {
        let labels = name.labels();
        (from..=labels)
            .filter(|label| self.zones.lengths & (1 << (labels - label)) != 0)
            .find_map(|label| self.zones.zones.get(name.suffix(label)))
            .map(|(_, hosted)| hosted)
    }

    /// Returns true if the network has overrides. A query that asks no more than this pays for it with one load.
    #[inline]
    pub fn has_overrides(&self) -> bool {
        !self.zones.overrides.is_empty()
    }

    /// Returns the answer that the overrides of the network have for a name, with the overrides, and with the length of the wire form that matched. The first
    /// overrides that have the name count. Private zones are not considered.
    pub fn overridden(&self, name: &NameBuf, rtype: u16) -> Option<(&Arc<Hosted>, &Zone, OverriddenName<'_>, usize)> {
        self.zones.overrides.iter().find_map(|(_, hosted)| {
            let zone = hosted.zone()?; // those that never had good data change no answer
            let (found, matched) = zone.overridden(name, rtype)?;
            Some((hosted, &**zone, found, matched))
        })
    }

    /// Overrides of the network, in the order of the configuration.
    pub fn overrides(&self) -> impl Iterator<Item = &Arc<Hosted>> {
        self.zones.overrides.iter().map(|(_, hosted)| hosted)
    }

    /// Zones linked to it, in no order.
    pub fn zones(&self) -> impl Iterator<Item = &Arc<Hosted>> {
        self.zones.zones.values().map(|(_, hosted)| hosted)
    }

    /// Whether a client of this network may have recursion.
    pub fn may_recurse(&self, client: IpAddr) -> bool {
        match self.recursion {
            RecursionPolicy::Yes => true,
            RecursionPolicy::No => false,
            RecursionPolicy::PrivateClients => is_private(client),
        }
    }
}

impl SnapshotBuilder {
    /// No network but `default`, no zone.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the generation.
    pub fn generation(mut self, generation: u64) -> Self {
        self.generation = generation;
        self
    }

    /// Adds a network; its id is the number of networks added before.
    pub fn network(mut self, name: &str, clients: &[IpNet], recursion: RecursionPolicy) -> Self {
        let id = NetworkId(self.networks.len() as u32);
        let name: Arc<str> = name.into();
        self.by_name.entry(name.clone()).or_insert(id);
        self.networks.push((name, recursion));
        self.prefixes.extend(clients.iter().map(|prefix| (*prefix, id)));
        self
    }

    /// Links a zone to networks. Networks must have been added before.
    pub fn hosted(mut self, hosted: Arc<Hosted>, networks: &NetworkLinks) -> Self {
        let mut ids: Vec<NetworkId> = match networks {
            NetworkLinks::All => (0..self.networks.len() as u32).map(NetworkId).collect(),
            NetworkLinks::These(names) => names.iter().filter_map(|name| self.by_name.get(name.as_str()).copied()).collect(),
        };
        ids.sort_unstable_by_key(|id| id.0);
        ids.dedup();
        let is_for_default = if networks.are_all() { ids.is_empty() } else { networks.include("default") };
        if is_for_default && !self.by_name.contains_key("default") {
            ids.push(NetworkId(u32::MAX)); // added when built
        }
        self.hosted.push(ZoneLink { hosted, networks: ids.into() });
        self
    }

    /// Links good data to the networks with these names, or to all of them if there are none.
    pub fn zone(self, zone: Zone, networks: &[&str], on_missing: OnMissing) -> Self {
        let hosted = Hosted::new(zone.apex().clone(), on_missing, ZoneState::Serving(Arc::new(zone)), ZoneOrigin::memory());
        let networks = NetworkLinks::of_list(networks.iter().map(|name| (*name).to_owned()).collect());
        self.hosted(Arc::new(hosted), &networks)
    }

    /// The snapshot. A network `default` is added unless there is one.
    pub fn build(mut self) -> Snapshot {
        let default = self.networks.iter().position(|(name, _)| **name == *"default").unwrap_or_else(|| {
            self.networks.push(("default".into(), RecursionPolicy::PrivateClients));
            self.networks.len() - 1
        });
        let mut linked: Vec<Vec<u32>> = vec![Vec::new(); self.networks.len()];
        let mut by_apex: HashMap<WireName, Vec<u32>, Hasher> = HashMap::default();
        for (place, link) in (0..).zip(&mut self.hosted) {
            link.networks = link.networks.iter().map(|id| NetworkId(id.0.min(default as u32))).collect();
            link.networks.iter().for_each(|id| linked[id.0 as usize].push(place));
            if link.hosted.overrides.is_none() {
                by_apex.entry(link.hosted.apex.clone()).or_default().push(place);
            }
        }
        let mut shared: HashMap<Vec<u32>, Arc<Index>> = HashMap::new();
        let networks = self.networks.into_iter().zip(linked).map(|((name, recursion), places)| {
            let index = || places.iter().map(|place| (*place, &self.hosted[*place as usize].hosted)).collect::<Index>();
            let zones = shared.entry(places.clone()).or_insert_with(|| Arc::new(index())).clone();
            Network { name, recursion, zones }
        });
        let networks = networks.collect();
        let clients = Arc::new(Clients::new(self.prefixes, NetworkId(default as u32)));
        Snapshot { generation: self.generation, networks, clients, hosted: self.hosted, by_apex: Arc::new(by_apex) }
    }
}

impl<'h> FromIterator<(u32, &'h Arc<Hosted>)> for Index {
    /// Of two zones with one apex the first counts; the configuration refuses them.
    fn from_iter<I: IntoIterator<Item = (u32, &'h Arc<Hosted>)>>(zones: I) -> Self {
        let mut index = Self::default();
        for (place, hosted) in zones {
            if hosted.overrides.is_some() {
                index.overrides.push((place, hosted.clone()));
                continue;
            }
            index.lengths |= 1 << hosted.apex.to_buf().labels();
            index.zones.entry(hosted.apex.clone()).or_insert_with(|| (place, hosted.clone()));
        }
        index
    }
}

impl Index {
    /// The same zones as they are in `links`; itself where none of them changed.
    fn renew(self: &Arc<Self>, links: &[ZoneLink]) -> Arc<Self> {
        let now = |place: u32| &links[place as usize].hosted;
        if self.zones.values().chain(&self.overrides).all(|(place, hosted)| Arc::ptr_eq(hosted, now(*place))) {
            return self.clone();
        }
        let zones = self.zones.iter().map(|(apex, (place, _))| (apex.clone(), (*place, now(*place).clone()))).collect();
        let overrides = self.overrides.iter().map(|(place, _)| (*place, now(*place).clone())).collect();
        Arc::new(Self { zones, lengths: self.lengths, overrides })
    }
}

impl Borrow<[u8]> for WireName {
    fn borrow(&self) -> &[u8] {
        self.as_wire()
    }
}

/// RFC 1918, loopback, link-local and unique local addresses, and shared address space (RFC 6598).
fn is_private(client: IpAddr) -> bool {
    match client.to_canonical() {
        IpAddr::V4(v4) => {
            v4.is_private() || v4.is_loopback() || v4.is_link_local() || (v4.octets()[0] == 100 && v4.octets()[1] & 0xc0 == 64)
        }
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zone::ZoneBuilder;

    fn zone(apex: &str, records: &[(&str, &str)]) -> Zone {
        let mut builder = ZoneBuilder::new(WireName::parse(apex).unwrap());
        records.iter().for_each(|(owner, address)| builder.add(owner, 10, "A", address).unwrap());
        builder.finish(1).unwrap().zone
    }

    fn name(text: &str) -> NameBuf {
        NameBuf::parse(text).unwrap()
    }

    fn two_sites() -> Snapshot {
        SnapshotBuilder::new()
            .network("hub", &["10.20.0.0/16".parse().unwrap()], RecursionPolicy::Yes)
            .network("spoke", &["10.30.0.0/16".parse().unwrap()], RecursionPolicy::No)
            .zone(zone("privatelink.contoso.test", &[("ws", "10.20.0.5")]), &["hub"], OnMissing::Public)
            .zone(zone("privatelink.contoso.test", &[("ws", "10.30.0.5"), ("only", "10.30.0.6")]), &["spoke"], OnMissing::Public)
            .zone(zone("dicom.privatelink.contoso.test", &[("ws", "10.9.0.1")]), &[], OnMissing::Nxdomain)
            .build()
    }

    #[test]
    fn each_network_sees_its_own_zone_of_one_name() {
        let snapshot = two_sites();
        for (client, address) in [("10.20.1.1", Some([10, 20, 0, 5])), ("10.30.1.1", Some([10, 30, 0, 5])), ("192.0.2.1", None)] {
            let network = snapshot.network(snapshot.network_of(client.parse().unwrap()));
            let name = name("ws.privatelink.contoso.test");
            let hosted = network.zone_of(&name, 0);
            let found = hosted.map(|hosted| hosted.zone().unwrap().at(&name).next().unwrap().rdata().next().unwrap().to_vec());
            assert_eq!(found, address.map(|address| address.to_vec()), "{client}");
        }
    }

    #[test]
    fn a_reference_means_the_zones_of_its_name_in_its_network() {
        let snapshot = two_sites();
        for (text, places) in [
            ("privatelink.contoso.test", &[0, 1][..]),
            ("privatelink.contoso.test@spoke", &[1]),
            ("dicom.privatelink.contoso.test@spoke", &[2]),
            ("dicom.privatelink.contoso.test@nowhere", &[]),
        ] {
            let zone = ZoneRef::parse(text);
            let found = snapshot.find(&zone).map(|link| Arc::as_ptr(&link.hosted));
            assert!(found.eq(places.iter().map(|place: &usize| Arc::as_ptr(&snapshot.hosted()[*place].hosted))), "{text}");
        }
    }

    #[test]
    fn the_longest_apex_wins_and_ds_looks_above_it() {
        let snapshot = two_sites();
        let hub = snapshot.network(snapshot.network_named("hub").unwrap());
        for (asked, from, apex) in [
            ("ws.dicom.privatelink.contoso.test", 0, Some("dicom.privatelink.contoso.test")),
            ("dicom.privatelink.contoso.test", 0, Some("dicom.privatelink.contoso.test")),
            ("dicom.privatelink.contoso.test", 1, Some("privatelink.contoso.test")),
            ("xdicom.privatelink.contoso.test", 0, Some("privatelink.contoso.test")),
            ("contoso.test", 0, None),
            (".", 0, None),
            (".", 1, None),
        ] {
            assert_eq!(hub.zone_of(&name(asked), from).map(|hosted| &*hosted.name), apex, "{asked} from {from}");
        }
    }

    #[test]
    fn says_where_else_a_name_has_data() {
        let snapshot = two_sites();
        let (hub, spoke) = (snapshot.network_named("hub").unwrap(), snapshot.network_named("spoke").unwrap());
        assert_eq!(snapshot.elsewhere(&name("only.privatelink.contoso.test"), hub).as_deref(), Some("spoke"));
        assert_eq!(snapshot.elsewhere(&name("only.privatelink.contoso.test"), spoke), None);
        assert_eq!(snapshot.elsewhere(&name("none.privatelink.contoso.test"), hub), None);
    }

    #[test]
    fn the_next_snapshot_has_the_same_networks_and_the_new_data() {
        let old = two_sites();
        let new = old.next(|place| match place {
            0 => Arc::new(Hosted::new(
                old.hosted()[0].hosted.apex.clone(),
                OnMissing::Public,
                ZoneState::Serving(Arc::new(zone("privatelink.contoso.test", &[("new", "10.20.0.9")]))),
                ZoneOrigin::memory(),
            )),
            _ => old.hosted()[place].hosted.clone(),
        });
        assert_eq!(new.generation, old.generation + 1);
        let asked = name("new.privatelink.contoso.test");
        for (client, holds) in [("10.20.1.1", [false, true]), ("10.30.1.1", [false, false])] {
            let held = [&old, &new].map(|snapshot| {
                let network = snapshot.network(snapshot.network_of(client.parse().unwrap()));
                network.zone_of(&asked, 0).is_some_and(|hosted| hosted.holds(&asked))
            });
            assert_eq!(held, holds, "{client}");
        }
        assert_eq!(new.elsewhere(&asked, new.network_named("spoke").unwrap()).as_deref(), Some("hub"));
        let shared = |snapshot: &Snapshot, network: &str| Arc::as_ptr(&snapshot.network(snapshot.network_named(network).unwrap()).zones);
        assert_eq!(shared(&old, "spoke"), shared(&new, "spoke"), "what did not change is shared");
    }

    #[test]
    fn ten_thousand_networks_are_told_apart() {
        let mut builder = SnapshotBuilder::new();
        for number in 0..10_000u32 {
            let prefix = ipnet::Ipv4Net::new((0x0a00_0000 + (number << 8)).into(), 24).unwrap();
            builder = builder.network(&format!("n{number}"), &[prefix.into()], RecursionPolicy::Yes);
        }
        let snapshot = builder
            .zone(zone("contoso.test", &[]), &["n7"], OnMissing::Public)
            .zone(zone("fabrikam.test", &[]), &[], OnMissing::Public)
            .build();
        for number in [0, 7, 8, 9_999u32] {
            let client = std::net::Ipv4Addr::from(0x0a00_0001 + (number << 8));
            let network = snapshot.network(snapshot.network_of(client.into()));
            assert_eq!(&*network.name, format!("n{number}"));
            assert_eq!(network.zone_of(&name("a.contoso.test"), 0).is_some(), number == 7);
            assert!(network.zone_of(&name("a.fabrikam.test"), 0).is_some());
        }
        assert_eq!(&*snapshot.network(snapshot.network_of("192.0.2.1".parse().unwrap())).name, "default");
    }

    #[test]
    fn a_zone_without_networks_is_everywhere_even_with_no_network_named() {
        let snapshot = SnapshotBuilder::new().zone(zone("contoso.test", &[]), &[], OnMissing::Public).build();
        let network = snapshot.network(snapshot.network_of("192.0.2.1".parse().unwrap()));
        assert!(network.zone_of(&name("a.contoso.test"), 0).is_some());
        assert!(network.may_recurse("10.0.0.1".parse().unwrap()) && !network.may_recurse("192.0.2.1".parse().unwrap()));
    }

    #[test]
    fn a_zone_whose_networks_are_all_gone_is_served_to_nobody() {
        let snapshot = SnapshotBuilder::new().zone(zone("contoso.test", &[]), &["hub"], OnMissing::Public).build();
        let network = snapshot.network(snapshot.network_of("192.0.2.1".parse().unwrap()));
        assert!(network.zone_of(&name("a.contoso.test"), 0).is_none());
    }

    #[test]
    fn a_zone_for_the_default_network_is_served_there_although_the_configuration_has_no_such_network() {
        let hub = || SnapshotBuilder::new().network("hub", &["10.20.0.0/16".parse().unwrap()], RecursionPolicy::Yes);
        for networks in [&["default"][..], &["default", "hub"], &["gone", "default"]] {
            let snapshot = hub().zone(zone("contoso.test", &[]), networks, OnMissing::Public).build();
            let network = snapshot.network(snapshot.network_of("192.0.2.1".parse().unwrap()));
            assert!(network.zone_of(&name("a.contoso.test"), 0).is_some(), "{networks:?}");
        }
    }
}
