//! From what the parts of the server count to the page.

use postern_dns::counters::{AnswerSource, CounterTotals, RCODE_NAMES, RCODES, TYPE_NAMES, WorkerEvent};
use postern_dns::transport::{ClientTransport, ListenerKind};
use postern_dns::upstream::{UpstreamCondition, UpstreamStatus};
use postern_zones::snapshot::{Snapshot, ZoneLink};
use postern_zones::state_directory::StateProblem;

use super::page::{Metric, MetricsPage};
use super::table::*;
use super::{process, seconds};
use crate::Control;
use crate::azure::ReaderStatus;

/// NOERROR to REFUSED: there from the start, so that the first of them is a rise; the others once there are any.
const USUAL: usize = 6;

/// The page as of this moment. It waits for nobody.
pub fn page(control: &Control) -> String {
    let mut page = MetricsPage::default();
    let state = control.state.load();
    add_server(&mut page, control, &state.snapshot);
    add_dns(&mut page, control);
    add_fallbacks(&mut page, control);
    add_cache(&mut page, &state.cache);
    add_resolver(&mut page, control);
    add_upstreams(&mut page, &control.gauges.resolver().upstreams());
    add_zones(&mut page, &state.snapshot);
    add_azure(&mut page, &control.azure.status());
    add_reloads(&mut page, control);
    add_edits(&mut page, control);
    page.add(&LOG_DROPPED, [], control.host.log_lines_dropped());
    process::add(&mut page, control.host.reloads().started);
    page.into_text()
}

fn add_server(page: &mut MetricsPage, control: &Control, snapshot: &Snapshot) {
    let health = control.health();
    page.add(&BUILD_INFO, [env!("CARGO_PKG_VERSION")], 1u64);
    page.add(&READY, [], health.failing.is_empty());
    page.add(&DEGRADED, [], health.degraded.len());
    page.add(&THREADS_ENDED, [], health.ended);
    page.add(&GENERATION, [], snapshot.generation);
}

/// Sums of one transport, by family: questions that its listeners answered from memory, and those that the resolver answered.
struct TransportSums {
    proto: &'static str,
    families: Vec<(&'static str, CounterTotals, CounterTotals)>,
}

fn add_dns(page: &mut MetricsPage, control: &Control) {
    let gauges = &control.gauges;
    let transports = ClientTransport::ALL.map(|transport| {
        let kinds = ListenerKind::all().filter(|kind| kind.transport == transport && gauges.listens(*kind));
        let sums = |kind: ListenerKind| (kind.family.as_str(), gauges.listeners(kind), gauges.resolved(kind));
        TransportSums { proto: transport.as_str(), families: kinds.map(sums).collect() }
    });
    let families = || transports.iter().flat_map(|of| of.families.iter().map(|(family, own, resolved)| (of.proto, *family, own, resolved)));
    for (proto, family, own, _) in families() {
        for (rtype, count) in TYPE_NAMES.iter().zip(own.questions_by_type()) {
            page.add(&REQUESTS, [proto, family, rtype], count);
        }
    }
    for (proto, family, own, resolved) in families() {
        let (own, resolved) = (own.by_rcode(), resolved.by_rcode());
        for rcode in (0..RCODES).filter(|rcode| *rcode < USUAL || own[*rcode] + resolved[*rcode] > 0) {
            page.add(&RESPONSES, [proto, family, RCODE_NAMES[rcode]], own[rcode] + resolved[rcode]);
        }
    }
    for of in &transports {
        for (place, source) in AnswerSource::ALL.into_iter().enumerate() {
            let count: u64 = of.families.iter().map(|(_, own, resolved)| own.by_source()[place] + resolved.by_source()[place]).sum();
            page.add(&ANSWERS, [of.proto, source.as_str()], count);
        }
    }
    for of in &transports {
        let (mut memory, mut upstream) = (CounterTotals::default(), CounterTotals::default());
        for (_, own, resolved) in &of.families {
            memory.durations.add(&own.durations);
            upstream.durations.add(&resolved.durations);
        }
        page.histogram(&DURATION, [of.proto, "memory"], &memory.durations);
        page.histogram(&DURATION, [of.proto, "upstream"], &upstream.durations);
    }
    let sum =
        |of: &TransportSums, event| of.families.iter().map(|(_, own, resolved)| own.count(event) + resolved.count(event)).sum::<u64>();
    for event in WorkerEvent::ALL {
        match event_metric(event) {
            EventMetric::ByTransport(metric) => transports.iter().for_each(|of| page.add(metric, [of.proto], sum(of, event))),
            EventMetric::InAll(metric) => page.add(metric, [], transports.iter().map(|of| sum(of, event)).sum::<u64>()),
            EventMetric::OfResolver => {}
        }
    }
    let connections = gauges.connections();
    page.add(&TCP_CONNECTIONS, [], connections.open());
    page.add(&TCP_CONNECTIONS_LIMIT, [], connections.limit());
    page.add(&TCP_REFUSED, [], connections.refused());
    page.add(&TCP_DISPLACED, [], connections.displaced());
    let at_once = |source: AnswerSource| families().map(|(_, _, own, _)| own.by_source()[source as usize]).sum::<u64>();
    page.add(&CACHE_HITS, [], at_once(AnswerSource::Cache) + at_once(AnswerSource::Spliced) + at_once(AnswerSource::Stale));
    page.add(&CACHE_MISSES, [], families().map(|(_, _, own, _)| own.handed_on.iter().sum::<u64>()).sum::<u64>());
}

/// The metric that shows an event.
enum EventMetric {
    ByTransport(&'static Metric<1>),
    InAll(&'static Metric<0>),
    /// The resolver's own metrics show it.
    OfResolver,
}

fn event_metric(event: WorkerEvent) -> EventMetric {
    match event {
        WorkerEvent::Busy => EventMetric::OfResolver,
        WorkerEvent::HandedOver => EventMetric::InAll(&HANDED_OVER),
        WorkerEvent::HandlerBusy => EventMetric::InAll(&HANDLER_BUSY),
        WorkerEvent::Denied => EventMetric::ByTransport(&DENIED),
        WorkerEvent::Ignored => EventMetric::ByTransport(&IGNORED),
        WorkerEvent::Truncated => EventMetric::ByTransport(&TRUNCATED),
        WorkerEvent::Lost => EventMetric::ByTransport(&LOST),
        WorkerEvent::Oversized => EventMetric::ByTransport(&OVERSIZED),
        WorkerEvent::Limited => EventMetric::ByTransport(&LIMITED),
        WorkerEvent::Panic => EventMetric::InAll(&PANICS),
    }
}

fn add_fallbacks(page: &mut MetricsPage, control: &Control) {
    let counts = control.recorder.counts();
    for counted in &counts {
        page.add(&FALLBACKS, [&counted.zone, &counted.network, counted.reason.as_str(), counted.action.as_str()], counted.count);
    }
    // Sorted by zone and network: those of one stand together.
    for same in counts.chunk_by(|one, other| (&one.zone, &one.network) == (&other.zone, &other.network)) {
        let last = same.iter().map(|counted| counted.last_seen).max();
        last.into_iter().for_each(|last| page.add(&FALLBACK_LAST, [&same[0].zone, &same[0].network], seconds(last)));
    }
    page.add(&FALLBACK_DROPPED, [], control.recorder.dropped());
    page.add(&FALLBACK_QUEUE, [], control.recorder.waiting());
    page.add(&FALLBACK_QUEUE_LIMIT, [], control.recorder.room());
}

fn add_cache(page: &mut MetricsPage, cache: &postern_dns::cache::UpstreamCache) {
    page.add(&CACHE_ENTRIES, [], cache.len());
    page.add(&CACHE_BYTES, [], cache.weight());
    page.add(&CACHE_LIMIT, [], cache.size());
    page.add(&CACHE_EVICTIONS, [], cache.evicted());
}

fn add_resolver(page: &mut MetricsPage, control: &Control) {
    let resolver = control.gauges.resolver();
    let counts = resolver.counts();
    let (waiting, room) = resolver.waiting();
    page.add(&RESOLVER_PENDING, [], counts.pending);
    page.add(&RESOLVER_PENDING_LIMIT, [], control.host.config().limits.pending);
    page.add(&RESOLVER_EXCHANGES, [], counts.exchanges);
    page.add(&RESOLVER_QUEUE, [], waiting);
    page.add(&RESOLVER_QUEUE_LIMIT, [], room);
    page.add(&RESOLVER_JOINED, [], counts.joined);
    page.add(&RESOLVER_REFUSED, [], counts.busy);
    page.add(&RESOLVER_FAILED, [], counts.failed);
    page.add(&RESOLVER_LOOPS, [], counts.loops);
}

fn add_upstreams(page: &mut MetricsPage, upstreams: &[UpstreamStatus]) {
    for upstream in upstreams {
        page.add(&UPSTREAM_UP, [&upstream.name], upstream.condition == UpstreamCondition::Up);
    }
    for upstream in upstreams {
        for condition in [UpstreamCondition::Up, UpstreamCondition::Poor, UpstreamCondition::Down, UpstreamCondition::Loop] {
            page.add(&UPSTREAM_CONDITION, [&upstream.name, &condition.to_string()], upstream.condition == condition);
        }
    }
    for upstream in upstreams {
        let micros = upstream.round_trip.into_iter();
        micros.for_each(|micros| page.add(&UPSTREAM_ROUND_TRIP, [&upstream.name], f64::from(micros) / 1e6));
    }
    for upstream in upstreams {
        page.histogram(&UPSTREAM_DURATION, [&upstream.name], &upstream.round_trips);
    }
    for (metric, what) in [
        (&UPSTREAM_IN_FLIGHT, (|of| of.in_flight.into()) as fn(&UpstreamStatus) -> u64),
        (&UPSTREAM_QUEUED, |of| of.queued.into()),
        (&UPSTREAM_DELAYED, |of| of.delayed),
        (&UPSTREAM_REQUESTS, |of| of.asked),
        (&UPSTREAM_FAILURES, |of| of.failed),
        (&UPSTREAM_TIMEOUTS, |of| of.lost),
        (&UPSTREAM_UNREACHABLE, |of| of.unreachable),
        (&UPSTREAM_TRUNCATED, |of| of.truncated),
        (&UPSTREAM_STRAY, |of| of.stray),
    ] {
        upstreams.iter().for_each(|upstream| page.add(metric, [&upstream.name], what(upstream)));
    }
    for upstream in upstreams {
        for rcode in (0..RCODES).filter(|rcode| *rcode < USUAL || upstream.rcodes[*rcode] > 0) {
            page.add(&UPSTREAM_RESPONSES, [&upstream.name, RCODE_NAMES[rcode]], upstream.rcodes[rcode]);
        }
    }
}

fn add_zones(page: &mut MetricsPage, snapshot: &Snapshot) {
    let networks: Vec<String> = snapshot.hosted().iter().map(|link| networks(snapshot, link)).collect();
    let zones = || snapshot.hosted().iter().map(|link| &link.hosted).zip(networks.iter().map(String::as_str));
    for (hosted, network) in zones() {
        page.add(&ZONE_INFO, [&hosted.name, network, hosted.origin.label(), hosted.on_missing.word()], 1u64);
    }
    for (hosted, network) in zones() {
        hosted.serial().into_iter().for_each(|serial| page.add(&ZONE_SERIAL, [&hosted.name, network], serial));
    }
    zones().for_each(|(hosted, network)| page.add(&ZONE_RECORDS, [&hosted.name, network], hosted.records()));
    zones().for_each(|(hosted, network)| page.add(&ZONE_HAS_DATA, [&hosted.name, network], hosted.zone().is_some()));
    let states: Vec<_> = zones().map(|(hosted, network)| (&hosted.name, network, hosted.source.state(), hosted.source.journal())).collect();
    states.iter().for_each(|(name, network, state, _)| page.add(&ZONE_SOURCE_GOOD, [name, network], state.is_good()));
    states.iter().for_each(|(name, network, state, _)| page.add(&ZONE_LOSS_HELD, [name, network], state.is_held));
    states.iter().for_each(|(name, network, state, _)| page.add(&ZONE_DATA_KEPT, [name, network], state.is_kept));
    for (name, network, state, _) in &states {
        state.last_success.into_iter().for_each(|time| page.add(&ZONE_SOURCE_SUCCESS, [name, network], seconds(time)));
    }
    for (name, network, state, _) in &states {
        state.changed.into_iter().for_each(|time| page.add(&ZONE_SOURCE_CHANGED, [name, network], seconds(time)));
    }
    for (name, network, _, journal) in states.iter().filter(|(.., journal)| *journal > 0) {
        page.add(&ZONE_JOURNAL, [name, network], *journal);
    }
}

fn add_azure(page: &mut MetricsPage, readers: &[ReaderStatus]) {
    readers.iter().for_each(|reader| page.add(&AZURE_GOOD, [&reader.name], reader.error.is_none() && reader.readings > 0));
    for reader in readers {
        reader.last_success.into_iter().for_each(|time| page.add(&AZURE_SUCCESS, [&reader.name], seconds(time)));
    }
    for reader in readers {
        page.add(&AZURE_ENDPOINTS, [&reader.name, "approved"], reader.approved);
        page.add(&AZURE_ENDPOINTS, [&reader.name, "other"], reader.others);
    }
    readers.iter().for_each(|reader| page.add(&AZURE_HIDDEN, [&reader.name], reader.hidden));
    for reader in readers {
        page.add(&AZURE_READINGS, [&reader.name, "good"], reader.readings);
        page.add(&AZURE_READINGS, [&reader.name, "failed"], reader.failures);
    }
    for reader in readers {
        page.add(&AZURE_REQUESTS, [&reader.name, "query"], reader.queries);
        page.add(&AZURE_REQUESTS, [&reader.name, "token"], reader.tokens);
    }
    readers.iter().for_each(|reader| page.add(&AZURE_THROTTLED, [&reader.name], reader.throttled));
}

/// The networks of a zone as a label: their names, or `all`.
fn networks(snapshot: &Snapshot, link: &ZoneLink) -> String {
    if link.networks.len() == snapshot.networks().count() {
        return "all".into();
    }
    link.networks.iter().map(|id| &*snapshot.network(*id).name).collect::<Vec<_>>().join(",")
}

fn add_reloads(page: &mut MetricsPage, control: &Control) {
    let reloads = control.host.reloads();
    page.add(&RELOADS, ["applied"], reloads.applied);
    page.add(&RELOADS, ["refused"], reloads.refused);
    page.add(&RELOAD_SUCCESSFUL, [], reloads.refusal.is_none());
    page.add(&RELOAD_SUCCESS, [], seconds(reloads.last_applied));
    page.add(&RELOAD_DURATION, [], reloads.took.as_secs_f64());
}

fn add_edits(page: &mut MetricsPage, control: &Control) {
    use std::sync::atomic::Ordering::Relaxed;
    let meter = control.editor.meter();
    page.add(&EDITS, [], meter.edits.load(Relaxed));
    page.add(&EDIT_FAILURES, [], meter.failures.load(Relaxed));
    page.add(&STATE_WRITABLE, [], !control.state_directory.troubles().iter().any(|trouble| trouble.problem != StateProblem::Unserved));
    page.add(&EDIT_QUEUE, [], control.editor.waiting());
    page.add(&EDIT_QUEUE_LIMIT, [], postern_zones::edit::MOST_WAITING);
    page.histogram(&JOURNAL_COMMIT, [], &meter.commits.read());
}
