//! Sources of queries to upstreams that this machine does not have.

use std::net::{IpAddr, UdpSocket};
use std::path::Path;

use postern_config::model::{QuerySource, UpstreamConfig, UpstreamSet};
use postern_config::{DiagnosticSeverity, FileDiagnostic, PosternConfig};

/// Returns an error for each source of a route that does not exist here and now. A server starts all the same: the address or
/// interface may appear later.
pub(super) fn problems(config: &PosternConfig) -> Vec<FileDiagnostic> {
    let mut problems = Vec::new();
    for forward in &config.forwards {
        let own = match &forward.upstreams {
            UpstreamSet::List(list) => list.as_slice(),
            UpstreamSet::System => &[],
        };
        let mut seen: Vec<&QuerySource> = Vec::new();
        for source in own.iter().filter_map(source_of).chain(&forward.source) {
            if seen.contains(&source) {
                continue;
            }
            seen.push(source);
            let Some((message, help)) = problem(source) else { continue };
            problems.push(FileDiagnostic {
                file: config.path.clone().unwrap_or_default(),
                line: forward.line,
                column: 1,
                severity: DiagnosticSeverity::Error,
                message: format!("the route for `{}` cannot send queries: {message}", forward.zone),
                help: help.into(),
            });
        }
    }
    problems
}

fn source_of(upstream: &UpstreamConfig) -> Option<&QuerySource> {
    upstream.source.as_ref()
}

fn problem(source: &QuerySource) -> Option<(String, &'static str)> {
    match source {
        QuerySource::Address(IpAddr::V6(address)) if address.is_unicast_link_local() => None, // it depends on the link of the upstream
        QuerySource::Address(address) => {
            let error = UdpSocket::bind((*address, 0)).err()?;
            Some((format!("`source` {address}: {error}"), "write an address that `ip address` shows"))
        }
        QuerySource::Interface(name) => {
            let is_there = Path::new("/sys/class/net").join(name).exists();
            (!is_there).then(|| (format!("this machine has no network interface `{name}`"), "write a name that `ip link` shows"))
        }
    }
}
