//! Transfers: missing keys, and settings without effect.

use super::{Lint, listed};
use crate::diagnostic::did_you_mean;
use crate::model::{KeyAction, KeyConfig, KeyProof, TransferPeer, ZoneConfig, ZoneSource};
use crate::places::ZonePlaces;
use crate::problems::ConfigProblems;

/// Checks the keys that a zone names. Each must be a `[[key]]` that can sign.
pub(super) fn keys(lint: &Lint<'_>, problems: &mut ConfigProblems<'_>) {
    for (zone, places) in first_of_each(lint) {
        if let (Some(name), Some(at)) = (&zone.transfer_key, places.transfer_key) {
            must_sign(lint, name, at, problems);
        }
        for (peer, &at) in zone.transfer_to.iter().zip(&places.transfer_to) {
            if let TransferPeer::Key(name) = peer {
                must_sign(lint, name, at, problems);
            }
        }
    }
}

/// Warns about settings that have no effect because of another setting.
pub(super) fn without_effect(lint: &Lint<'_>, problems: &mut ConfigProblems<'_>) {
    for (zone, places) in first_of_each(lint) {
        let may_transfer = |key: &KeyConfig| {
            key.allow.contains(&KeyAction::Transfer) && (key.zones.is_empty() || key.zones.iter().any(|known| known.name == zone.name))
        };
        let is_told = !zone.notify.is_empty();
        if let Some(at) = places.notify.filter(|_| is_told && zone.transfer_to.is_empty())
            && !lint.config.keys.iter().any(may_transfer)
        {
            let message = format!("the servers in `notify` may not transfer `{}`", zone.name);
            problems.warning(at, message, "add them to `transfer-to`, or a `[[key]]` with `allow = [\"transfer\"]`");
        }
        if let Some(at) = places.transfer_key.filter(|_| !is_told && zone.source.feed().is_none()) {
            let message = "`transfer-key` has no effect: there are neither `primaries` nor `notify`";
            problems.warning(at, message, "remove it; `transfer-to` lists the keys that may transfer the zone");
        }
        if zone.source.feed().is_some_and(|feed| !feed.kind().is_guarded) {
            for (key, at) in places.guard.into_iter().filter_map(|(key, at)| Some((key, at?))) {
                let message = format!("`{key}` has no effect: it applies to files and imports, which do not write this zone");
                problems.warning(at, message, "remove it");
            }
        }
        if let Some(at) = places.hold_deleted.filter(|_| !zone.hold_deleted.is_zero() && zone.source != ZoneSource::Api) {
            let message = format!("`hold-deleted` has no effect: {}, not the API", zone.source.writes_the_zone());
            problems.warning(at, message, "remove it");
        }
    }
}

fn must_sign(lint: &Lint<'_>, name: &str, at: usize, problems: &mut ConfigProblems<'_>) {
    let can_sign = |key: &&KeyConfig| matches!(key.proof, KeyProof::Tsig { .. });
    match lint.config.keys.iter().find(|key| key.name == name) {
        Some(key) if can_sign(&key) => {}
        Some(_) => {
            let message = format!("key `{name}` has no secret to sign with: it is `unsigned`");
            problems.error(at, message, "name a key with `secret` or `secret-file`, or use an address instead");
        }
        None if lint.places.keys_missing => {} // the key may be one that could not be read
        None => {
            let known = || lint.config.keys.iter().filter(can_sign).map(|key| key.name.as_str());
            let help = match did_you_mean(name, known()) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None if known().next().is_none() => format!("add a `[[key]]` with `name = \"{name}\"`"),
                None => format!("the keys are {}", listed(known())),
            };
            problems.error(at, format!("there is no key `{name}`"), help);
        }
    }
}

/// Returns the zones with their positions. A preset counts as one zone, so that a problem is
/// reported once.
fn first_of_each<'l>(lint: &'l Lint<'_>) -> impl Iterator<Item = (&'l ZoneConfig, &'l ZonePlaces)> {
    let mut last = None;
    let all = lint.config.zones.iter().zip(&lint.places.zones);
    all.filter(move |(_, places)| last.replace(places.name) != Some(places.name))
}
