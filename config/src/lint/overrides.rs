//! Overrides: their names.

use super::Lint;
use crate::problems::ConfigProblems;

/// Reports overrides whose name another `[[override]]` or a zone has. The name is all that commands and metrics tell them apart by.
pub(super) fn named_twice(lint: &Lint<'_>, problems: &mut ConfigProblems<'_>) {
    let overrides = &lint.config.overrides;
    for (index, (own, (at, _))) in overrides.iter().zip(&lint.places.overrides).enumerate() {
        if let Some(other) = overrides[..index].iter().find(|other| other.name == own.name) {
            let message = format!("the overrides in line {} have the name `{}` already", other.line, own.name);
            problems.error(*at, message, "give each `[[override]]` its own `name`");
        } else if let Some(zone) = lint.config.zones.iter().find(|zone| zone.name == own.name) {
            let message = format!("the zone in line {} has the name `{}` already", zone.line, own.name);
            problems.error(*at, message, "give the overrides another `name`");
        }
    }
}
