//! The open-file limit, and the number of descriptors that the configuration needs.

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use postern_config::PosternConfig;
use postern_zones::store::upkeep;

/// Descriptors for event loops, transfers and other uses that are not counted individually.
const RESERVE: usize = 96;
/// Descriptors per zone: its journal, and the new image that is written beside it.
const OF_ZONE: usize = 2;
/// Number of TCP connections that are allowed even under a low limit.
const LEAST: usize = 4;

/// Raises the open-file limit to the need of the configuration and `journals`. If the hard limit is
/// lower, it lowers the bounds on connections and returns a warning. Clients may then be rejected,
/// but the server never runs out of descriptors.
pub fn fit(config: &mut PosternConfig, journals: usize) -> Option<String> {
    let fixed = fixed_need(config, journals);
    let listeners = postern_control::descriptors();
    let wanted = fixed + listeners + config.limits.tcp_connections + config.api.connections;
    let limit = raise_to(wanted);
    if limit >= wanted {
        return None;
    }
    lower(config, fixed, listeners, limit);
    Some(format!(
        "the open-file limit is {limit} and this configuration needs {wanted}: at most {} TCP connections and {} of the API are accepted \
         help: raise `LimitNOFILE=` of the unit, `--ulimit nofile=` of the container or `ulimit -n`, and restart the server",
        config.limits.tcp_connections, config.api.connections
    ))
}

/// Returns the number of journals in the state directory of a configuration. The server keeps each
/// of them open.
pub fn journals(config: &PosternConfig) -> usize {
    upkeep::count_journals(&config.server.state)
}

/// Returns the number of descriptors needed in addition to connections of listeners.
fn fixed_need(config: &PosternConfig, journals: usize) -> usize {
    let addresses = config.api.listen.len() + usize::from(config.metrics.listen.is_some());
    postern_dns::server::descriptors(config) + addresses + OF_ZONE * (config.zones.len() + journals) + RESERVE
}

/// Divides the remaining descriptors among the connections in proportion to their bounds.
fn lower(config: &mut PosternConfig, fixed: usize, listeners: usize, limit: usize) {
    let left = limit.saturating_sub(fixed);
    let wanted = listeners + config.limits.tcp_connections + config.api.connections;
    for bound in [&mut config.limits.tcp_connections, &mut config.api.connections] {
        *bound = (*bound * left / wanted).max(LEAST.min(*bound));
    }
}

/// Raises the soft limit, and also the hard limit if the process may. Returns the resulting limit.
fn raise_to(wanted: usize) -> usize {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return usize::MAX };
    let wanted = wanted as u64;
    if soft >= wanted {
        return usize::try_from(soft).unwrap_or(usize::MAX);
    }
    for (soft, hard) in [(wanted, hard.max(wanted)), (wanted.min(hard), hard)] {
        if setrlimit(Resource::RLIMIT_NOFILE, soft, hard).is_ok() {
            return usize::try_from(soft).unwrap_or(usize::MAX);
        }
    }
    usize::try_from(soft).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_low_limit_lowers_the_bounds_on_connections_in_proportion_and_leaves_the_rest_alone() {
        for (limit, tcp, api) in [(256, 88, 44), (1024, 587, 293), (0, 4, 4)] {
            let mut config = PosternConfig::default();
            (config.limits.tcp_connections, config.api.connections) = (1000, 500);
            lower(&mut config, 120, 40, limit);
            assert_eq!((config.limits.tcp_connections, config.api.connections), (tcp, api), "{limit}");
            assert!(limit < 120 || tcp + api + 120 <= limit);
        }
    }

    #[test]
    fn a_limit_that_suffices_changes_nothing() {
        let mut config = PosternConfig::default();
        (config.limits.tcp_connections, config.api.connections) = (10, 5);
        let before = config.clone();
        assert_eq!(fit(&mut config, 0), None);
        assert_eq!(config, before);
    }

    #[test]
    fn every_journal_needs_descriptors() {
        let config = PosternConfig::default();
        assert_eq!(fixed_need(&config, 300) - fixed_need(&config, 0), 600);
    }
}
