//! Every metric, in the order of the page: name, kind, labels and meaning stand here alone.

use super::page::{Metric, MetricKind};

/// A metric of whatever labels, for those who list them.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// Its name.
    pub name: &'static str,
    /// Its kind.
    pub kind: MetricKind,
    /// Names of its labels.
    pub labels: &'static [&'static str],
    /// Help text of the metric.
    pub help: &'static str,
}

/// The table as Markdown: `packaging/metrics.md`.
pub fn markdown() -> String {
    let mut text = String::from(
        "# Metrics\n\n\
         `[metrics] listen` serves them at `/metrics` for Prometheus, without keys, beside `/health` and `/ready`; the API's listener has the\n\
         same pages. This page is what `postern schema --format metrics` prints. All times are seconds, all sizes bytes. Histograms have bounds\n\
         from 10 µs to 10 s. No name that was asked and no client is ever a label: those are in the fallback record.\n\n\
         | metric | kind | labels | meaning |\n|---|---|---|---|\n",
    );
    for Row { name, kind, labels, help } in ALL {
        let labels = labels.iter().map(|label| format!("`{label}`")).collect::<Vec<_>>().join(", ");
        text += &format!("| `{name}` | {} | {labels} | {} |\n", kind.word(), help.replace('|', "\\|"));
    }
    text
}

macro_rules! metrics {
    ($( $item:ident = $kind:ident $name:literal [$($label:literal),*] $help:literal; )*) => {
        $(
            #[doc = $help]
            pub(super) static $item: Metric<{
                const LABELS: &[&str] = &[$($label),*];
                LABELS.len()
            }> =
                Metric { name: $name, kind: MetricKind::$kind, labels: [$($label),*], help: $help };
        )*
        /// All of them.
        pub static ALL: &[Row] = &[$( Row { name: $name, kind: MetricKind::$kind, labels: &[$($label),*], help: $help } ),*];
    };
}

metrics! {
    BUILD_INFO = Gauge "postern_build_info" ["version"] "The program that runs.";
    READY = Gauge "postern_ready" [] "1 while /ready says yes.";
    DEGRADED = Gauge "postern_degraded" [] "Things that are not as they should be while all data is served: the lines of /ready.";
    THREADS_ENDED = Gauge "postern_threads_ended" [] "Threads that ended and should not have.";
    GENERATION = Gauge "postern_generation" [] "Generation of the zones that are served: rises with each change.";

    REQUESTS = Counter "postern_dns_requests_total" ["proto", "family", "type"] "Questions taken, by type.";
    RESPONSES = Counter "postern_dns_responses_total" ["proto", "family", "rcode"] "Answers given, by RCODE.";
    ANSWERS = Counter "postern_dns_answers_total" ["proto", "source"] "Answers given, by where they came from: private zones, the cache, both (spliced), an upstream that was asked, stale data, the server itself; or refused, or failed.";
    DURATION = Histogram "postern_dns_request_duration_seconds" ["proto", "path"] "From a question's coming in to its answer's leaving. Answers from memory over UDP are sampled: one batch in 16 is timed and counts 16 times.";
    TRUNCATED = Counter "postern_dns_truncated_total" ["proto"] "Answers that did not fit and say so.";
    DENIED = Counter "postern_dns_denied_total" ["proto"] "Questions of clients that may not query.";
    IGNORED = Counter "postern_dns_ignored_total" ["proto"] "Messages that are not answered: responses, and what is too short for a header.";
    LOST = Counter "postern_dns_lost_total" ["proto"] "Answers that the system would not send.";
    LIMITED = Counter "postern_dns_rate_limited_total" ["proto"] "Questions beyond limits.responses-per-second: answered with TC or BADCOOKIE, or not at all.";
    OVERSIZED = Counter "postern_dns_oversized_total" ["proto"] "Datagrams longer than any question can be, answered FORMERR by their header alone.";
    HANDED_OVER = Counter "postern_dns_handed_over_total" [] "Messages that are no questions for the path and went to their handler: UPDATE, NOTIFY, transfers, signed ones.";
    HANDLER_BUSY = Counter "postern_dns_handler_refused_total" [] "Messages that the handler had no room for.";
    PANICS = Counter "postern_panics_total" [] "Panics caught while answering.";
    TCP_CONNECTIONS = Gauge "postern_tcp_connections" [] "TCP connections of clients that are open.";
    TCP_CONNECTIONS_LIMIT = Gauge "postern_tcp_connections_limit" [] "TCP connections that may be open.";
    TCP_REFUSED = Counter "postern_tcp_connections_refused_total" [] "TCP connections refused because there were too many, in all or of one client, and none was idle.";
    TCP_DISPLACED = Counter "postern_tcp_connections_displaced_total" [] "Idle TCP connections closed to make room for new ones.";

    FALLBACKS = Counter "postern_fallback_total" ["zone", "network", "reason", "action"] "Answers with public data at private-link names, and those that `on-missing` refused: why, and what the client got. A zone that nobody hosts may be left empty.";
    FALLBACK_LAST = Gauge "postern_fallback_last_timestamp_seconds" ["zone", "network"] "When the last one was.";
    FALLBACK_DROPPED = Counter "postern_fallback_dropped_total" [] "Fallbacks that came faster than they could be written: counted nowhere else.";
    FALLBACK_QUEUE = Gauge "postern_fallback_queue_length" [] "Fallbacks that wait to be written.";
    FALLBACK_QUEUE_LIMIT = Gauge "postern_fallback_queue_limit" [] "Fallbacks that may wait.";

    CACHE_HITS = Counter "postern_cache_hits_total" [] "Questions that were answered from the cache at once, spliced and stale answers among them.";
    CACHE_MISSES = Counter "postern_cache_misses_total" [] "Questions that needed an upstream.";
    CACHE_ENTRIES = Gauge "postern_cache_entries" [] "Entries of the cache, stale ones among them.";
    CACHE_BYTES = Gauge "postern_cache_size_bytes" [] "Memory that they take.";
    CACHE_LIMIT = Gauge "postern_cache_limit_bytes" [] "Memory that they may take.";
    CACHE_EVICTIONS = Counter "postern_cache_evictions_total" [] "Entries that made room for others.";

    RESOLVER_PENDING = Gauge "postern_resolver_pending" [] "Questions of clients that wait for upstreams.";
    RESOLVER_PENDING_LIMIT = Gauge "postern_resolver_pending_limit" [] "Questions that may wait.";
    RESOLVER_EXCHANGES = Gauge "postern_resolver_exchanges" [] "Different questions that are being asked upstream.";
    RESOLVER_QUEUE = Gauge "postern_resolver_queue_length" [] "Questions that wait for the resolver's thread.";
    RESOLVER_QUEUE_LIMIT = Gauge "postern_resolver_queue_limit" [] "Questions that may wait for it.";
    RESOLVER_JOINED = Counter "postern_resolver_joined_total" [] "Questions that joined one that was being asked already.";
    RESOLVER_REFUSED = Counter "postern_resolver_refused_total" [] "Questions answered SERVFAIL because too many waited.";
    RESOLVER_FAILED = Counter "postern_resolver_failed_total" [] "Questions that failed otherwise.";
    RESOLVER_LOOPS = Counter "postern_resolver_loops_total" [] "Questions of ours that came back to us.";

    UPSTREAM_UP = Gauge "postern_upstream_up" ["upstream"] "1 while it answers usefully.";
    UPSTREAM_CONDITION = Gauge "postern_upstream_condition" ["upstream", "condition"] "1 at the condition it is in: up, poor (answers, but nothing useful), down, loop (leads back to us).";
    UPSTREAM_ROUND_TRIP = Gauge "postern_upstream_round_trip_seconds" ["upstream"] "Smoothed round-trip time, by which `select = \"latency\"` goes.";
    UPSTREAM_DURATION = Histogram "postern_upstream_request_duration_seconds" ["upstream"] "Round-trip times, measured in whole milliseconds.";
    UPSTREAM_IN_FLIGHT = Gauge "postern_upstream_in_flight" ["upstream"] "Questions outstanding.";
    UPSTREAM_QUEUED = Gauge "postern_upstream_queue_length" ["upstream"] "Questions that wait because its limits (`in-flight`, `rate`) are reached.";
    UPSTREAM_DELAYED = Counter "postern_upstream_delayed_total" ["upstream"] "Questions that had to wait for that reason.";
    UPSTREAM_REQUESTS = Counter "postern_upstream_requests_total" ["upstream"] "Questions sent, retries and probes among them.";
    UPSTREAM_RESPONSES = Counter "postern_upstream_responses_total" ["upstream", "rcode"] "Messages that answered one, by RCODE.";
    UPSTREAM_FAILURES = Counter "postern_upstream_failures_total" ["upstream"] "Answers that were of no use: SERVFAIL, REFUSED and the like, and nonsense.";
    UPSTREAM_TIMEOUTS = Counter "postern_upstream_timeouts_total" ["upstream"] "Questions that ran out of time or could not be delivered.";
    UPSTREAM_UNREACHABLE = Counter "postern_upstream_unreachable_total" ["upstream"] "Times it could not be reached, or refused: ICMP errors, refused connections, a missing network.";
    UPSTREAM_TRUNCATED = Counter "postern_upstream_truncated_total" ["upstream"] "Answers that were truncated and asked for again over TCP.";
    UPSTREAM_STRAY = Counter "postern_upstream_stray_total" ["upstream"] "Datagrams that answered none of our questions.";

    ZONE_INFO = Gauge "postern_zone_info" ["zone", "network", "source", "on_missing"] "A hosted zone: the networks it is linked to, what writes it, its policy.";
    ZONE_SERIAL = Gauge "postern_zone_serial" ["zone", "network"] "SOA serial.";
    ZONE_RECORDS = Gauge "postern_zone_records" ["zone", "network"] "Records served.";
    ZONE_HAS_DATA = Gauge "postern_zone_has_data" ["zone", "network"] "0 where there never was good data: its names are answered SERVFAIL.";
    ZONE_SOURCE_GOOD = Gauge "postern_zone_source_good" ["zone", "network"] "0 while its source is bad, and the last good data is served.";
    ZONE_LOSS_HELD = Gauge "postern_zone_loss_held" ["zone", "network"] "1 while its source lost so many records that it waits to be mended or accepted.";
    ZONE_DATA_KEPT = Gauge "postern_zone_data_kept" ["zone", "network"] "1 while it serves what an earlier run kept, because its source is bad since the start.";
    ZONE_SOURCE_SUCCESS = Gauge "postern_zone_source_last_success_timestamp_seconds" ["zone", "network"] "When its source was last found to be good.";
    ZONE_SOURCE_CHANGED = Gauge "postern_zone_source_changed_timestamp_seconds" ["zone", "network"] "When what it serves was last changed in the source.";
    ZONE_JOURNAL = Gauge "postern_zone_journal_bytes" ["zone", "network"] "Length of its journal, where it has one.";

    AZURE_GOOD = Gauge "postern_azure_good" ["reader"] "0 while the private endpoints of Azure are not read, or not completely.";
    AZURE_SUCCESS = Gauge "postern_azure_last_success_timestamp_seconds" ["reader"] "When the private endpoints were last read.";
    AZURE_ENDPOINTS = Gauge "postern_azure_endpoints" ["reader", "state"] "Private endpoints: approved, other (in another state, or without names).";
    AZURE_HIDDEN = Gauge "postern_azure_hidden_endpoints" ["reader"] "Private endpoints that are kept although their subscription may not be read.";
    AZURE_READINGS = Counter "postern_azure_readings_total" ["reader", "result"] "Readings, by what came of them: good or failed.";
    AZURE_REQUESTS = Counter "postern_azure_requests_total" ["reader", "kind"] "Requests to Azure: query or token.";
    AZURE_THROTTLED = Counter "postern_azure_throttled_total" ["reader"] "Answers of Azure that asked for a pause (429).";

    RELOADS = Counter "postern_reload_total" ["result"] "Reloads of the configuration, by what came of them: applied or refused.";
    RELOAD_SUCCESSFUL = Gauge "postern_reload_last_successful" [] "0 while the last reload was rejected; 1 before the first.";
    RELOAD_SUCCESS = Gauge "postern_reload_last_success_timestamp_seconds" [] "When a configuration was last applied: at the start, at first.";
    RELOAD_DURATION = Gauge "postern_reload_duration_seconds" [] "How long the last reload took; at first 0.";

    EDITS = Counter "postern_edits_total" [] "Changes made through an API and on the disk.";
    EDIT_FAILURES = Counter "postern_edit_failures_total" [] "Writes of a journal that failed.";
    STATE_WRITABLE = Gauge "postern_state_writable" [] "0 while something in `server.state` cannot be written: changes are rejected, served data stays.";
    EDIT_QUEUE = Gauge "postern_edit_queue_length" [] "Changes that wait for the store.";
    EDIT_QUEUE_LIMIT = Gauge "postern_edit_queue_limit" [] "Changes that may wait.";
    JOURNAL_COMMIT = Histogram "postern_journal_commit_duration_seconds" [] "Time to write a journal and sync it to the disk.";

    LOG_DROPPED = Counter "postern_log_lines_dropped_total" [] "Log lines that were dropped because standard error was not read.";

    PROCESS_CPU = Counter "process_cpu_seconds_total" [] "Processor time used, user and system.";
    PROCESS_RESIDENT = Gauge "process_resident_memory_bytes" [] "Resident memory.";
    PROCESS_VIRTUAL = Gauge "process_virtual_memory_bytes" [] "Virtual memory.";
    PROCESS_THREADS = Gauge "process_threads" [] "Threads of the process.";
    PROCESS_FDS = Gauge "process_open_fds" [] "Open file descriptors.";
    PROCESS_MAX_FDS = Gauge "process_max_fds" [] "File descriptors that may be open.";
    PROCESS_START = Gauge "process_start_time_seconds" [] "When the process started.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_labels_are_as_prometheus_wants_them() {
        for (place, row) in ALL.iter().enumerate() {
            let good = |word: &str| word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
            assert!(good(row.name) && row.labels.iter().all(|label| good(label)), "{}", row.name);
            assert_eq!(row.kind == MetricKind::Counter, row.name.ends_with("_total"), "{}", row.name);
            assert!(row.name.starts_with("postern_") || row.name.starts_with("process_"), "{}", row.name);
            assert!(!ALL[..place].iter().any(|other| other.name == row.name), "{} twice", row.name);
            assert!(row.help.ends_with('.') && !row.help.contains('\n'), "{}", row.name);
        }
    }

    #[test]
    fn the_page_of_the_repository_is_this_table() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../packaging/metrics.md");
        let there = std::fs::read_to_string(path).unwrap();
        assert!(there == markdown(), "run: postern schema --format metrics > packaging/metrics.md");
    }
}
