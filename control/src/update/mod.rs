//! Dynamic updates (RFC 2136): one message, one edit, whole or not at all.
//!
//! ```text
//! message ─ read ─ zone section: which zone, may this key change it? ─ Edit { make: prerequisites, permission, prescan, changes } ─ RCODE
//! ```
//! What a message depends on is looked at in the edit, with the zone as it is when its turn comes (section 3.7: updates of a zone are
//! one after the other). Where the RFC leaves a choice: a key that may not change the zone at all is told so before the prerequisites are
//! looked at, so that nobody reads a zone through them.

use std::net::IpAddr;
use std::sync::Arc;

use postern_config::model::KeyAction;
use postern_dns::ede::rcode;
use postern_dns::state::State;
use postern_dns::wire::message::Message;
use postern_dns::wire::rtype;
use postern_zones::edit::{Author, Refusal, Via, ZoneEdit, ZoneRef};
use postern_zones::snapshot::{Snapshot, ZoneLink};

use crate::Control;
use crate::tsig::TsigKey;

mod apply;
mod record;
#[cfg(test)]
mod tests;

use apply::changes;
use record::UpdateRecord;

/// Response to a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// RCODE.
    pub rcode: u16,
    /// Why, for people, and the number of RFC 8914.
    pub error: Option<(u16, String)>,
}

/// An update, read.
#[derive(Debug)]
pub struct Update {
    /// The zone, by its apex.
    pub zone: String,
    /// Prerequisites of the update.
    prerequisites: Vec<UpdateRecord>,
    /// Changes that the update makes.
    updates: Vec<UpdateRecord>,
}

/// Extended errors (RFC 8914) that an update can meet.
const OTHER: u16 = 0;
const NOT_READY: u16 = 14;
const PROHIBITED: u16 = 18;
const NOT_AUTHORITATIVE: u16 = 20;

/// Makes the change that `message` asks for; `keys`: those that the client has shown to be its own.
pub async fn answer(control: &Control, message: &[u8], keys: Vec<Arc<TsigKey>>, client: IpAddr) -> Told {
    let update = match Update::read(message) {
        Ok(update) => update,
        Err(told) => return told,
    };
    let (zone, keys) = match choose(&control.state.load(), &update.zone, &keys, client) {
        Ok(chosen) => chosen,
        Err(told) => return told,
    };
    let who = keys.first().map_or("nobody".into(), |key| key.policy.name.as_str().into());
    let author = Author { who, from: Some(client), via: Via::Update };
    let make = Box::new(move |zone: &postern_zones::zone::Zone| changes(zone, &update.prerequisites, &update.updates, &keys));
    match control.edit(ZoneEdit { zone, author, make, is_dry: false }).await {
        Ok(_) => Told { rcode: rcode::NOERROR, error: None },
        Err(refusal) => Told::refused(&refusal),
    }
}

impl Update {
    /// Reads a message whose opcode is UPDATE (section 2).
    pub fn read(message: &[u8]) -> Result<Self, Told> {
        let read = Message::read_update(message).map_err(|error| Told::new(rcode::FORMERR, OTHER, error.to_string()))?;
        if read.rtype != rtype::SOA {
            return Err(Told::new(rcode::FORMERR, OTHER, "the zone section names no zone")); // section 3.1.1
        }
        if read.class != record::IN {
            return Err(Told::new(rcode::NOTAUTH, NOT_AUTHORITATIVE, "only class IN is served")); // section 3.1.2
        }
        let mut update = Self { zone: plain(&read.name), prerequisites: Vec::new(), updates: Vec::new() };
        for found in &read.records {
            let record = UpdateRecord::read(&read, found);
            let section = if found.answer { &mut update.prerequisites } else { &mut update.updates };
            section.push(record);
        }
        Ok(update)
    }
}

/// The zone that is meant, and the keys that may change it. Of several zones with one name: the one that the key's policy names, else the
/// one of the client's network.
fn choose(state: &State, name: &str, keys: &[Arc<TsigKey>], client: IpAddr) -> Result<(ZoneRef, Vec<Arc<TsigKey>>), Told> {
    let snapshot = &state.snapshot;
    let hosted: Vec<&ZoneLink> = snapshot.hosted().iter().filter(|link| *link.hosted.name == *name).collect();
    if hosted.is_empty() {
        return Err(Told::new(rcode::NOTAUTH, NOT_AUTHORITATIVE, format!("no zone {name} is hosted")));
    }
    let may = |link: &ZoneLink| -> Vec<Arc<TsigKey>> {
        let networks = networks(snapshot, link);
        keys.iter().filter(|key| key.allows(KeyAction::Update) && key.covers(name, &networks)).cloned().collect()
    };
    let allowed: Vec<(&ZoneLink, Vec<Arc<TsigKey>>)> =
        hosted.iter().map(|link| (*link, may(link))).filter(|(_, keys)| !keys.is_empty()).collect();
    let own = snapshot.network_of(client);
    let chosen = match &allowed[..] {
        [] if keys.is_empty() => return Err(Told::new(rcode::REFUSED, PROHIBITED, "unsigned updates are not taken from here")),
        [] => return Err(Told::new(rcode::REFUSED, PROHIBITED, format!("this key may not change {name}"))),
        [one] => one,
        several => match several.iter().find(|(link, _)| link.networks.contains(&own)) {
            Some(chosen) => chosen,
            None => {
                let message =
                    format!("{name} is hosted for several networks, and the client is in none of them: name one in the key's zones");
                return Err(Told::new(rcode::REFUSED, PROHIBITED, message));
            }
        },
    };
    let (link, keys) = chosen;
    let network = (hosted.len() > 1).then(|| networks(snapshot, link).first().map(|network| network.to_string())).flatten();
    Ok((ZoneRef { name: name.into(), network }, keys.clone()))
}

fn networks<'s>(snapshot: &'s Snapshot, link: &ZoneLink) -> Vec<&'s str> {
    link.networks.iter().map(|id| &*snapshot.network(*id).name).collect()
}

fn plain(name: &postern_zones::name::NameBuf) -> String {
    match name.to_string() {
        root if root == "." => root,
        name => name.trim_end_matches('.').into(),
    }
}

impl Told {
    /// With the reason.
    pub fn new(rcode: u16, code: u16, text: impl Into<String>) -> Self {
        Self { rcode, error: Some((code, text.into())) }
    }

    /// Returns the response for an edit that was refused.
    fn refused(refusal: &Refusal) -> Self {
        let (rcode, code) = match refusal {
            Refusal::Precondition { rcode, .. } => (*rcode, if *rcode == rcode::REFUSED { PROHIBITED } else { OTHER }),
            Refusal::NoZone(_) => (rcode::NOTAUTH, NOT_AUTHORITATIVE),
            Refusal::ReadOnly { .. } | Refusal::Ambiguous { .. } => (rcode::REFUSED, PROHIBITED),
            Refusal::Invalid(_) | Refusal::Exists(_) | Refusal::Loss(_) => (rcode::REFUSED, OTHER),
            Refusal::Busy | Refusal::Stopped | Refusal::Unavailable { .. } => (rcode::SERVFAIL, NOT_READY),
            Refusal::Journal(_) | Refusal::Panicked => (rcode::SERVFAIL, OTHER),
        };
        Self::new(rcode, code, refusal.to_string())
    }
}
