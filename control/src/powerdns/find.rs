//! Zones as this interface shows them: which one an id means, and what is read of it.

use std::collections::HashMap;
use std::sync::Arc;

use postern_config::model::NetworkLinks;
use postern_zones::edit::{FETCHED, ZoneRef};
use postern_zones::name::NameBuf;
use postern_zones::snapshot::{Hosted, Snapshot, ZoneLink, ZoneState};
use postern_zones::zone::Zone;

use super::fault::PowerDnsError;
use super::id;
use super::settings::PowerDnsSettings;
use crate::Control;
use crate::http::Caller;

/// A hosted zone.
#[derive(Debug, Clone)]
pub struct FoundZone {
    pub hosted: Arc<Hosted>,
    /// Networks that it is for.
    pub networks: NetworkLinks,
    /// Where it is transferred from.
    pub primaries: Vec<String>,
    /// The network that distinguishes it from other zones of its name: one that sees it. `None` if the name is enough.
    network: Option<String>,
}

/// Every zone that the caller may see.
pub fn all(control: &Control, caller: &Caller) -> Vec<FoundZone> {
    let snapshot = &control.state.load().snapshot;
    let mut count: HashMap<&str, usize> = HashMap::new();
    snapshot.hosted().iter().for_each(|link| *count.entry(&link.hosted.name).or_default() += 1);
    let zones = snapshot.hosted().iter().filter(|link| link.hosted.overrides.is_none());
    let found = zones.map(|link| FoundZone::new(snapshot, link, count[&*link.hosted.name] > 1));
    found.filter(|found| found.may_be_seen(caller)).collect()
}

/// The zone that an id means; one that the caller may not see is not there.
pub fn find(control: &Control, id: &str, caller: &Caller) -> Result<FoundZone, PowerDnsError> {
    let snapshot = &control.state.load().snapshot;
    let wanted = id::read(id)?;
    let is_one_of_several = snapshot.hosted().iter().filter(|link| *link.hosted.name == wanted.name).count() > 1;
    let found =
        snapshot.find(&wanted).filter(|link| link.hosted.overrides.is_none()).map(|link| FoundZone::new(snapshot, link, is_one_of_several));
    let mut found: Vec<FoundZone> = found.filter(|found| found.may_be_seen(caller)).collect();
    match (found.pop(), found.is_empty()) {
        (None, _) => Err(PowerDnsError::no_zone(&wanted.to_string())),
        (Some(one), true) => Ok(one),
        (Some(last), false) => {
            let ids: Vec<String> = found.iter().chain([&last]).map(FoundZone::id).collect();
            Err(PowerDnsError::invalid(format!("Several zones are called '{}.': say which by its id, {}", wanted.name, ids.join(" or "))))
        }
    }
}

impl FoundZone {
    fn new(snapshot: &Snapshot, link: &ZoneLink, is_one_of_several: bool) -> Self {
        let networks = snapshot.meant_for(link);
        let primaries = primaries(&link.hosted);
        // A zone that an API created may be meant for a network in which the configuration has another zone of its name.
        let sees = |name: &&String| snapshot.network_named(name).is_some_and(|id| link.networks.contains(&id));
        let seen = networks.names().iter().find(sees).cloned();
        let seen = seen.or_else(|| link.networks.first().map(|id| snapshot.network(*id).name.to_string()));
        Self { hosted: link.hosted.clone(), networks, primaries, network: seen.filter(|_| is_one_of_several) }
    }

    /// Its id: the name alone where that is enough.
    pub fn id(&self) -> String {
        id::write(&self.hosted.name, self.network.as_deref())
    }

    /// Its name with the final dot.
    pub fn name(&self) -> String {
        self.hosted.apex.to_string()
    }

    /// Its apex.
    pub fn apex(&self) -> NameBuf {
        self.hosted.apex.to_buf()
    }

    /// As an edit names it.
    pub fn as_ref(&self) -> ZoneRef {
        ZoneRef { name: self.hosted.name.to_string(), network: self.network.clone() }
    }

    /// The records as they were committed last; none: there is no good data.
    pub fn zone(&self) -> Option<Arc<Zone>> {
        let served = self.hosted.zone()?;
        Some(self.hosted.kept.as_ref().map_or(served, |kept| &kept.latest).clone())
    }

    /// The records, or why there are none: an empty list would have clients fill it again.
    pub fn data(&self) -> Result<Arc<Zone>, PowerDnsError> {
        self.zone().ok_or_else(|| {
            let reason = match &self.hosted.state {
                ZoneState::Unavailable(reason) => reason,
                ZoneState::Serving(_) => "no data",
            };
            let status = axum::http::StatusCode::SERVICE_UNAVAILABLE;
            PowerDnsError { status, message: format!("Zone '{}' has no data: {reason}", self.name()) }
        })
    }

    /// Returns the settings that are kept beside the records.
    pub fn settings(&self) -> PowerDnsSettings {
        self.hosted.kept.as_ref().map_or_else(PowerDnsSettings::default, |kept| PowerDnsSettings::of(&kept.settings))
    }

    /// True where another server writes it.
    pub fn is_secondary(&self) -> bool {
        self.hosted.origin.feed().is_some()
    }

    /// When a secondary zone was last as its primary has it, seconds since 1970; 0: never, or it is none.
    pub fn last_check(&self) -> u64 {
        let at = self.hosted.kept.as_ref().and_then(|kept| kept.settings.extra.get(FETCHED)?.as_u64());
        at.unwrap_or(0)
    }

    fn may_be_seen(&self, caller: &Caller) -> bool {
        caller.may_see(&self.hosted.name, &self.networks)
    }

    /// Refuses whoever may not change its records.
    pub fn must_be_changeable(&self, caller: &Caller) -> Result<(), PowerDnsError> {
        match caller.may_change(&self.hosted.name, &self.networks) {
            true => Ok(()),
            false => Err(PowerDnsError::forbidden(format!("the key `{}` may not change zone '{}'", caller.who, self.name()))),
        }
    }
}

/// Servers that the configuration has a zone transferred from.
fn primaries(hosted: &Hosted) -> Vec<String> {
    let feed = hosted.declared.as_ref().and_then(|zone| zone.source.feed());
    feed.and_then(|feed| feed.primaries()).unwrap_or_default().iter().map(ToString::to_string).collect()
}
