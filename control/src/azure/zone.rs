//! Zones whose records are the private endpoints of Azure.

use std::any::Any;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{SystemTime, UNIX_EPOCH};

use postern_config::PosternConfig;
use postern_config::azure::{PrivateLinkTable, is_private_link};
use postern_config::model::{self, AZURE, AzureReaderConfig, FeedKind, NetworkLinks};
use postern_zones::edit::{ACCEPTED_LOSS, Author, FETCHED, Refusal, StoreTask, Via, ZoneRef, ZoneSettings};
use postern_zones::name::{NameBuf, WireName};
use postern_zones::zone::{DEFAULT_TTL, RrSetChange, Zone, rtype};
use tokio::sync::Notify;

use super::reader::{AzureReader, ReadOutcome};
use super::reading::PrivateEndpoint;
use super::view::AzureView;
use crate::Control;
use crate::feed::ZoneFeed;

/// A zone of the configuration with `azure`.
pub struct AzureZone {
    zone: ZoneRef,
    config: Arc<AzureReaderConfig>,
    scope: ZoneScope,
}

/// Endpoints and names that belong to a zone.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ZoneScope {
    /// Name of the zone, with a network if several zones may have it.
    title: String,
    apex: WireName,
    networks: NetworkLinks,
    /// Resource IDs of virtual networks and subnets, each with a network that reaches it.
    reached: Arc<[(String, String)]>,
    table: Arc<PrivateLinkTable>,
}

/// Addresses that a zone should have, by owner in lower case without the final dot, each with the ID of its endpoint.
pub(super) type WantedRecords = BTreeMap<String, BTreeMap<IpAddr, String>>;

impl ZoneScope {
    /// Returns the scope of a zone. Returns `None` if its name cannot be served.
    pub fn new(zone: &model::ZoneConfig, config: &PosternConfig) -> Option<Self> {
        let of = |network: &model::NetworkConfig| {
            let name = network.name.clone();
            network.virtual_networks.iter().map(move |id| (id.clone(), name.clone())).collect::<Vec<_>>()
        };
        let reached = config.networks.iter().flat_map(of).collect();
        let apex = WireName::parse(&zone.name).ok()?;
        let title = zone.networks.names().first().map_or_else(|| zone.name.clone(), |network| format!("{}@{network}", zone.name));
        Some(Self { title, apex, networks: zone.networks.clone(), reached, table: config.azure.clone() })
    }

    /// Returns true if a network of the zone reaches the endpoint.
    pub fn reaches(&self, endpoint: &PrivateEndpoint) -> bool {
        if self.networks.are_all() || !self.reached.iter().any(|(_, network)| self.networks.include(network)) {
            return true;
        }
        let contains = |id: &str| endpoint.subnet.strip_prefix(id).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        let longest = self.reached.iter().filter(|(id, _)| contains(id)).map(|(id, _)| id.len()).max();
        let mut nearest = self.reached.iter().filter(|(id, _)| Some(id.len()) == longest && contains(id));
        nearest.any(|(_, network)| self.networks.include(network))
    }

    /// Returns the names in the zone that a public name stands for.
    pub fn owners(&self, public: &str) -> Vec<String> {
        let mut owners = candidates(public, &self.table);
        owners.retain(|name| NameBuf::parse(name).is_ok_and(|name| name.is_under(self.apex.as_wire())));
        owners
    }

    /// Returns the records of the zone. A name that the last reading lacked does not count beside the same name of an endpoint that it
    /// had. An endpoint of a subscription that is not visible counts as before, unless the zone drops it.
    pub fn wanted(&self, view: &AzureView) -> WantedRecords {
        let (mut confirmed, mut kept) = (WantedRecords::new(), WantedRecords::new());
        let serves = view.endpoints().filter(|kept| kept.endpoint.is_approved() && !kept.is_dropped_by(&self.title));
        for found in serves.filter(|found| self.reaches(&found.endpoint)) {
            for (name, address) in &found.endpoint.names {
                let records = if found.is_late(name) { &mut kept } else { &mut confirmed };
                for owner in self.owners(name) {
                    records.entry(owner).or_default().insert(*address, found.endpoint.id.clone());
                }
            }
        }
        for (owner, addresses) in kept {
            confirmed.entry(owner).or_insert(addresses);
        }
        confirmed
    }

    /// Returns the name of the zone, with a network if several zones may have it.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// Returns true if the zone has a record of the endpoint.
    fn has(&self, endpoint: &PrivateEndpoint) -> bool {
        self.reaches(endpoint) && endpoint.names.iter().any(|(name, _)| !self.owners(name).is_empty())
    }
}

/// Returns the names that records of a public name may have: the name itself, and its private-link names.
pub(super) fn candidates(public: &str, table: &PrivateLinkTable) -> Vec<String> {
    let mut names = vec![public.to_owned()];
    if !is_private_link(public) {
        names.extend(table.private_names(public));
    }
    names
}

/// Returns the changes that give the zone the wanted addresses. The SOA and NS records of the apex stay.
pub(super) fn changes(zone: &Zone, wanted: &WantedRecords) -> Vec<RrSetChange> {
    let mut left: BTreeMap<(String, u16), Vec<Box<[u8]>>> = BTreeMap::new();
    for (owner, addresses) in wanted {
        for address in addresses.keys() {
            let (rtype, rdata): (u16, Box<[u8]>) = match address {
                IpAddr::V4(address) => (rtype::A, address.octets().into()),
                IpAddr::V6(address) => (rtype::AAAA, address.octets().into()),
            };
            left.entry((owner.clone(), rtype)).or_default().push(rdata);
        }
    }
    let ttl = |rdata: &[Box<[u8]>]| if rdata.is_empty() { 0 } else { DEFAULT_TTL };
    let mut changes = Vec::new();
    for (owner, set) in zone.records() {
        let is_apex = owner.as_wire() == zone.apex().as_wire();
        if is_apex && matches!(set.rtype, rtype::SOA | rtype::NS) {
            continue;
        }
        let mut new = left.remove(&(owner.without_dot().to_ascii_lowercase(), set.rtype)).unwrap_or_default();
        let mut old: Vec<Box<[u8]>> = set.rdata().map(Into::into).collect();
        old.sort_unstable();
        new.sort_unstable();
        if old != new {
            changes.push(RrSetChange { owner: owner.to_wire_name(), rtype: set.rtype, ttl: ttl(&new), rdata: new });
        }
    }
    for ((owner, rtype), rdata) in left {
        if let Ok(owner) = WireName::parse(&owner) {
            changes.push(RrSetChange { owner, rtype, ttl: ttl(&rdata), rdata });
        }
    }
    changes
}

impl AzureZone {
    /// Returns the feed of a zone with `azure`. Returns `None` for other zones.
    pub fn feed(zone: &model::ZoneConfig, config: &PosternConfig) -> Option<Arc<dyn ZoneFeed>> {
        let reader = zone.source.feed()?.azure_reader()?;
        let reader = config.azure_readers.iter().find(|known| known.name == reader)?;
        let named = ZoneRef { name: zone.name.clone(), network: zone.networks.names().first().cloned() };
        Some(Arc::new(Self { zone: named, config: Arc::new(reader.clone()), scope: ZoneScope::new(zone, config)? }))
    }

    async fn keep(&self, control: &Control, wake: &Notify) {
        let reader = control.azure.reader(&self.config, &control.state_directory);
        let mut outcomes = reader.subscribe();
        let mut logged = None;
        loop {
            let outcome = outcomes.borrow_and_update().clone();
            if outcome.readings > 0 || outcome.error.is_some() {
                let error = self.apply(&outcome, &reader, control).await;
                if let Some(error) = error.as_ref().filter(|_| error != logged) {
                    tracing::error!(zone = %self.zone, "the records from Azure were not taken: {error}");
                }
                logged = error;
            }
            tokio::select! {
                changed = outcomes.changed() => if changed.is_err() { return },
                () = wake.notified() => reader.wake(),
            }
        }
    }

    /// Makes the zone what a reading says, and notes how the reader is doing. Returns the reason if the records were not taken, unless the
    /// store has logged it.
    async fn apply(&self, outcome: &ReadOutcome, reader: &AzureReader, control: &Control) -> Option<String> {
        if outcome.readings > 0 {
            match self.amend(outcome, reader, control).await {
                Ok(()) => {}
                Err(Refusal::Loss(_) | Refusal::Stopped) => return None,
                Err(refusal) => {
                    let why = refusal.to_string();
                    let _ = control.ask(|answer| StoreTask::Observe(self.zone.clone(), Some(why.clone()), answer)).await;
                    return Some(why);
                }
            }
        }
        let error = outcome.error.as_ref().map(|why| format!("Azure was not read completely: {why}"));
        let _ = control.ask(|answer| StoreTask::Observe(self.zone.clone(), error, answer)).await;
        None
    }

    async fn amend(&self, outcome: &ReadOutcome, reader: &AzureReader, control: &Control) -> Result<(), Refusal> {
        let author = Author { who: self.config.name.as_str().into(), from: None, via: Via::Feed(&AZURE) };
        let (scope, mut view) = (self.scope.clone(), outcome.view.clone());
        let accepted = Arc::new(AtomicBool::new(false));
        let is_accepted = accepted.clone();
        let amend = move |zone: &Zone, settings: &mut ZoneSettings| {
            if settings.extra.remove(ACCEPTED_LOSS).is_some() {
                is_accepted.store(true, Relaxed);
                Arc::make_mut(&mut view).drop_hidden(&scope.title, |endpoint| scope.has(endpoint));
            }
            let changes = changes(zone, &scope.wanted(&view));
            if !changes.is_empty() || !settings.extra.contains_key(FETCHED) {
                let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
                settings.extra.insert(FETCHED.into(), now.into());
            }
            Ok(changes)
        };
        control.ask(|answer| StoreTask::Amend(self.zone.clone(), author, Box::new(amend), answer)).await?;
        if accepted.load(Relaxed) {
            let dropped = reader.drop_hidden(&self.scope.title, |endpoint| self.scope.has(endpoint));
            if dropped > 0 {
                tracing::warn!(zone = %self.zone, endpoints = dropped, "dropped endpoints of subscriptions that may not be read, as accepted");
            }
        }
        Ok(())
    }
}

impl ZoneFeed for AzureZone {
    fn kind(&self) -> &'static FeedKind {
        &AZURE
    }

    fn zone(&self) -> &ZoneRef {
        &self.zone
    }

    fn is_same(&self, other: &dyn ZoneFeed) -> bool {
        let Some(other) = (other as &dyn Any).downcast_ref::<Self>() else { return false };
        (&self.zone, &self.config, &self.scope) == (&other.zone, &other.config, &other.scope)
    }

    fn run(self: Arc<Self>, control: Arc<Control>, wake: Arc<Notify>) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async move { self.keep(&control, &wake).await })
    }
}
