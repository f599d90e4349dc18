//! Zones from server to server: AXFR and IXFR (RFC 5936, RFC 1995), NOTIFY (RFC 1996).
//!
//! ```text
//! secondary ── AXFR, IXFR ──▶ serve ─ outgoing ── zone, history
//! primary ◀── SOA, IXFR, AXFR ── secondary ─ incoming ─▶ postern_zones::edit (as any other change)
//!         ──── NOTIFY ────▶ crate::feed      notify ──── NOTIFY ────▶ secondaries of ours
//! ```
//! [`outgoing`] and [`incoming`] do no I/O. [`secondary`] is the feed of a zone with primaries. [`Transfers`] has one task that looks for
//! changed serials.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use postern_config::PosternConfig;
use postern_config::model;
use postern_zones::edit::ZoneRef;
use postern_zones::network::NetworkId;
use postern_zones::snapshot::Hosted;

use crate::Control;
use crate::tsig::Keyring;

pub mod incoming;
mod notify;
pub mod outgoing;
pub mod secondary;
pub mod serve;

use notify::NotifyTask;

/// A hosted zone and the networks it is linked to.
type Linked = (Arc<str>, Arc<[NetworkId]>);

/// How often it is looked whether something changed: a burst of changes is told as one.
const LOOK: Duration = Duration::from_millis(100);

/// The servers that receive a NOTIFY when a zone changes.
pub struct Transfers {
    /// Zones whose secondaries are to be told although nothing changed.
    tell: Mutex<Vec<ZoneRef>>,
}

impl Transfers {
    /// Nothing yet.
    pub fn new() -> Arc<Self> {
        Arc::new(Self { tell: Mutex::default() })
    }

    /// Tells secondaries until it is dropped.
    pub async fn run(self: Arc<Self>, control: Arc<Control>) {
        let mut config: Option<Arc<PosternConfig>> = None;
        let mut generation = None;
        let mut serials: HashMap<Linked, u32> = HashMap::new();
        let mut telling: HashMap<(Linked, SocketAddr), NotifyTask> = HashMap::new();
        let mut tick = tokio::time::interval(LOOK);
        loop {
            tick.tick().await;
            let now = control.host.config();
            let is_anew = !config.as_ref().is_some_and(|before| Arc::ptr_eq(before, &now));
            config = Some(now.clone());
            let asked = std::mem::take(&mut *self.tell.lock().unwrap_or_else(PoisonError::into_inner));
            let state = control.state.load_full();
            if asked.is_empty() && !is_anew && generation == Some(state.snapshot.generation) {
                continue;
            }
            generation = Some(state.snapshot.generation);
            let keyring = Keyring::new(&now);
            let (before, mut told) = (std::mem::take(&mut serials), std::mem::take(&mut telling));
            for link in state.snapshot.hosted() {
                let hosted = &link.hosted;
                let Some(zone) = hosted.zone() else { continue };
                let linked = (hosted.name.clone(), link.networks.clone());
                let is_asked = asked.iter().any(|asked| state.snapshot.is_meant(link, asked));
                let is_due = is_asked || before.get(&linked) != Some(&zone.serial());
                serials.insert(linked.clone(), zone.serial());
                let policy = Policy::of(hosted);
                let key = policy.key.as_ref().and_then(|name| keyring.key(name));
                if policy.key.is_some() && key.is_none() {
                    continue; // A reload is under way. The next tick has the keys of this snapshot; a NOTIFY without one would be rejected.
                }
                for target in policy.notify {
                    let place = (linked.clone(), target);
                    // Those who are told no longer are left in `told`, and end with it.
                    let known = told.remove(&place).filter(|telling| telling.is_by(key.as_deref()));
                    let is_due = is_due || known.is_none();
                    let telling = telling.entry(place).or_insert(known.unwrap_or_else(|| NotifyTask::start(target, key.clone())));
                    if is_due {
                        telling.tell(zone.clone());
                    }
                }
            }
        }
    }

    /// Tells the secondaries of a zone, although nothing changed.
    pub fn tell(&self, zone: ZoneRef) {
        let mut tell = self.tell.lock().unwrap_or_else(PoisonError::into_inner);
        if !tell.contains(&zone) {
            tell.push(zone); // as many as there are zones, however often it is asked for
        }
    }
}

/// Who may have a zone, and who is told.
#[derive(Debug, Default)]
pub struct Policy {
    /// Who may have it transferred.
    pub transfer_to: Vec<model::TransferPeer>,
    /// Who is told when it changes.
    pub notify: Vec<SocketAddr>,
    /// Name of the key that signs what we send.
    pub key: Option<String>,
}

impl Policy {
    /// What the configuration says of a zone; of one that was made through the API, what was kept with it: the metadata that PowerDNS has
    /// for this.
    pub fn of(hosted: &Hosted) -> Self {
        let mut policy = hosted.declared.as_ref().map_or_else(Self::default, |zone| Self {
            transfer_to: zone.transfer_to.clone(),
            notify: zone.notify.clone(),
            key: zone.transfer_key.clone(),
        });
        let metadata = hosted.kept.as_ref().and_then(|kept| kept.settings.extra.get("powerdns")?.get("metadata").cloned());
        let words = |kind: &str| -> Vec<String> {
            let words = metadata.as_ref().and_then(|metadata| metadata.get(kind)?.as_array().cloned()).unwrap_or_default();
            words.iter().filter_map(|word| word.as_str().map(str::to_owned)).collect()
        };
        let prefix = |text: String| text.parse().or_else(|_| text.parse::<IpAddr>().map(Into::into)).ok();
        policy.transfer_to.extend(words("ALLOW-AXFR-FROM").into_iter().filter_map(prefix).map(model::TransferPeer::Prefix));
        let address = |text: String| text.parse().or_else(|_| text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 53))).ok();
        policy.notify.extend(words("ALSO-NOTIFY").into_iter().filter_map(address));
        policy
    }
}

/// The zone that an edit would mean, as it is hosted now.
pub(crate) fn hosted(control: &Control, zone: &ZoneRef) -> Option<Arc<Hosted>> {
    let state = control.state.load();
    state.snapshot.find(zone).next().map(|link| link.hosted.clone())
}
