//! Conversion of `[[forward]]` into the configuration.

use std::time::Duration;

use toml::de::DeTable;

use super::values;
use crate::keys::forward as key;
use crate::kind::{UpstreamItem, ValueAt, WrittenUpstream};
use crate::model::{ForwardConfig, NetworkLinks, QuerySource, UpstreamConfig, UpstreamOrder, UpstreamSet};
use crate::places::{ConfigPlaces, ForwardPlaces};
use crate::problems::ConfigProblems;
use crate::reader::{self, TableReader};

/// Reads the routes in file order. Without any, the resolvers of the system get every question.
pub(super) fn forwards(document: &DeTable<'_>, problems: &mut ConfigProblems<'_>, places: &mut ConfigPlaces) -> Vec<ForwardConfig> {
    let mut forwards = Vec::new();
    let tables = reader::tables(document, &key::SECTION, problems);
    let none = tables.is_empty();
    for (at, table) in tables {
        let mut read = TableReader::open(&key::SECTION, Some(table), at, problems);
        let zone = read.required(&key::ZONE);
        let networks = read.option(&key::NETWORK).unwrap_or_default();
        let upstreams = read.required(&key::UPSTREAMS);
        let select = read.value(&key::SELECT);
        let timeout = read.option(&key::TIMEOUT);
        let (retransmit_min, retransmit_max) = (read.value(&key::RETRANSMIT_MIN), read.value(&key::RETRANSMIT_MAX));
        let hedge = read.option(&key::HEDGE);
        let (next_on, source) = (read.option(&key::NEXT_ON).map(values).unwrap_or_default(), read.option(&key::SOURCE));
        let (Some(zone), Some(upstreams)) = (zone, upstreams) else {
            places.routes_missing = true;
            continue;
        };
        places.forwards.push(ForwardPlaces {
            zone: read.place(&key::ZONE).unwrap_or(at),
            networks: networks.iter().map(|item| item.at).collect(),
            upstreams: upstreams.iter().map(|item| item.at).collect(),
            select: read.place(&key::SELECT),
            timeout: read.place(&key::TIMEOUT).unwrap_or(at),
            retransmit_max: read.place(&key::RETRANSMIT_MAX),
        });
        let upstreams = upstream_set(upstreams, timeout, &source);
        let line = read.problems().line(at);
        forwards.push(ForwardConfig {
            zone,
            networks: NetworkLinks::of_list(values(networks)),
            upstreams,
            select,
            timeout,
            retransmit_min,
            retransmit_max,
            hedge,
            next_on,
            source,
            line,
        });
    }
    if none && !problems.broken {
        forwards.push(ForwardConfig {
            zone: ".".into(),
            networks: NetworkLinks::All,
            upstreams: UpstreamSet::System,
            select: UpstreamOrder::Order,
            timeout: None,
            retransmit_min: TableReader::open(&key::SECTION, None, 0, problems).value(&key::RETRANSMIT_MIN),
            retransmit_max: TableReader::open(&key::SECTION, None, 0, problems).value(&key::RETRANSMIT_MAX),
            hedge: None,
            next_on: Vec::new(),
            source: None,
            line: 0,
        });
    }
    places.routes_missing |= none && problems.broken;
    forwards
}

/// Returns the upstreams with the keys of the route that their tables do not replace.
fn upstream_set(items: Vec<ValueAt<UpstreamItem>>, timeout: Option<Duration>, source: &Option<QuerySource>) -> UpstreamSet {
    let servers = items.into_iter().map(|item| match item.value {
        UpstreamItem::System => None,
        UpstreamItem::Server(WrittenUpstream { config, timeout: own_timeout, source: own_source }) => {
            let timeout = own_timeout.or(timeout).unwrap_or(config.timeout);
            Some(UpstreamConfig { timeout, source: own_source.or_else(|| source.clone()), ..config })
        }
    });
    servers.collect::<Option<Vec<_>>>().map_or(UpstreamSet::System, UpstreamSet::List)
}
