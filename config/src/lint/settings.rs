//! Settings that have no effect because of another setting.

use super::Lint;
use crate::problems::ConfigProblems;

/// Warns about keys that have no effect.
pub(super) fn without_effect(lint: &Lint<'_>, problems: &mut ConfigProblems<'_>) {
    let config = lint.config;
    if let (Some(at), None) = (lint.places.group, &config.server.user) {
        problems.warning(at, "`group` has no effect without `user`", "say which user to become");
    }
    for &(section, key, at) in &lint.places.changed {
        let because = match (section, key) {
            ("cache", "size") => continue,
            ("cache", _) if config.cache.size == 0 => "there is no cache: its `size` is 0",
            ("cache", "stale-ttl" | "stale-after" | "stale-recheck") if config.cache.stale.is_zero() => {
                "no stale answer is given: `stale` is 0"
            }
            ("cache", "stale-after") if config.cache.stale_after >= config.limits.query_deadline => {
                "`limits.query-deadline` ends before it"
            }
            ("limits", "tcp-per-client") if config.limits.tcp_per_client > config.limits.tcp_connections => {
                "`tcp-connections` is smaller, and bounds all clients together"
            }
            ("fallback", "rotate" | "keep") if config.fallback.file.is_none() => "the events go to the log: there is no `file` to rotate",
            ("fallback", "client-rate") if (1..config.fallback.client_rate).contains(&config.fallback.rate) => {
                "`rate` is smaller, and bounds all clients together"
            }
            ("fallback", "keep") if config.fallback.rotate == 0 => "the file is never rotated: `rotate` is 0",
            _ => continue,
        };
        problems.warning(at, format!("`{key}` has no effect: {because}"), "remove it, or mend the other key");
    }
}
