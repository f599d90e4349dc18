//! The server itself: what it is, how it is set, what it counts, and its cache.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use postern_dns::counters::CounterTotals;
use postern_dns::transport::{AddressFamily, ClientTransport, ListenerKind};
use serde_json::{Value, json};

use super::fault::PowerDnsError;
use super::{Asked, Parameters, SERVER, draft, must_see_all, read};
use crate::Control;

/// A version of PowerDNS whose API this one is like, and ours behind it: clients read the first three numbers (rule 10).
pub const VERSION: &str = concat!("4.9.0-postern-", env!("CARGO_PKG_VERSION"));

/// `GET /api`.
pub async fn versions(Asked(_): Asked) -> Response {
    super::json(StatusCode::OK, json!([{ "url": "/api/v1", "version": 1 }]).to_string())
}

/// `GET /api/v1`.
pub async fn features(Asked(_): Asked) -> Response {
    super::json(StatusCode::OK, json!([{ "api_features": [], "server_url": "/api/v1/servers{/server}" }]).to_string())
}

/// `GET /servers`: one.
pub async fn list(Asked(_): Asked) -> Response {
    super::json(StatusCode::OK, Value::from(vec![this()]).to_string())
}

/// `GET /servers/localhost`.
pub async fn get(Asked(_): Asked) -> Response {
    super::json(StatusCode::OK, this().to_string())
}

fn this() -> Value {
    json!({
        "config_url": format!("{SERVER}/config{{/config_setting}}"),
        "daemon_type": "authoritative",
        "id": "localhost",
        "type": "Server",
        "url": SERVER,
        "version": VERSION,
        "zones_url": format!("{SERVER}/zones{{/zone}}"),
    })
}

/// `GET /tsigkeys` and `GET /autoprimaries`: none. Keys and primaries are named in the configuration file.
pub async fn none(Asked(caller): Asked) -> Result<Response, PowerDnsError> {
    must_see_all(&caller)?;
    Ok(super::json(StatusCode::OK, "[]".into()))
}

/// `GET /config`: what clients look for to know what is served here. The configuration itself is at `/v1/configuration`.
pub async fn config(Asked(_): Asked) -> Response {
    let settings = [
        ("api", "yes"),
        ("api-key", "***"),
        ("default-ttl", "3600"),
        ("dname-processing", "yes"),
        ("enable-lua-records", "no"),
        ("expand-alias", "no"),
        ("launch", "postern"),
        ("version-string", VERSION),
        ("webserver", "yes"),
    ];
    let settings: Vec<Value> =
        settings.iter().map(|(name, value)| json!({ "name": name, "type": "ConfigSetting", "value": value })).collect();
    super::json(StatusCode::OK, Value::from(settings).to_string())
}

/// `GET /statistics[?statistic=][&includerings=]`: the numbers that have the same meaning here, under PowerDNS's names.
pub async fn statistics(
    Asked(caller): Asked,
    State(control): State<Arc<Control>>,
    Parameters(parameters): Parameters,
) -> Result<Response, PowerDnsError> {
    must_see_all(&caller)?;
    read::switch(parameters.get("includerings").map(String::as_str), "includerings", true)?; // there are no rings
    let mut numbers = numbers(&control);
    if let Some(wanted) = parameters.get("statistic").filter(|wanted| !wanted.is_empty()) {
        numbers.retain(|(name, _)| name == wanted);
        if numbers.is_empty() {
            return Err(PowerDnsError::invalid("Unknown statistic name"));
        }
    }
    let item = |(name, value): &(&str, u64)| json!({ "name": name, "type": "StatisticItem", "value": value.to_string() });
    let items: Vec<Value> = numbers.iter().map(item).collect();
    Ok(super::json(StatusCode::OK, Value::from(items).to_string()))
}

fn numbers(control: &Control) -> Vec<(&'static str, u64)> {
    let (state, gauges) = (control.state.load(), &control.gauges);
    let answers = |transport, family| -> u64 {
        let kind = ListenerKind { transport, family };
        [gauges.listeners(kind), gauges.resolved(kind)].iter().flat_map(CounterTotals::by_rcode).sum()
    };
    let [udp4, udp6] = AddressFamily::ALL.map(|family| answers(ClientTransport::Udp, family));
    let [tcp4, tcp6] = AddressFamily::ALL.map(|family| answers(ClientTransport::Tcp, family));
    let mut by_rcode = gauges.totals().by_rcode();
    for kind in ListenerKind::all() {
        by_rcode.iter_mut().zip(gauges.resolved(kind).by_rcode()).for_each(|(sum, count)| *sum += count);
    }
    let [noerror, _, servfail, nxdomain, ..] = by_rcode;
    let uptime = control.host.reloads().started.elapsed().unwrap_or_default();
    vec![
        ("fd-usage", std::fs::read_dir("/proc/self/fd").map_or(0, |entries| entries.count() as u64)),
        ("noerror-packets", noerror),
        ("nxdomain-packets", nxdomain),
        ("query-cache-size", state.cache.len() as u64),
        ("real-memory-usage", resident()),
        ("servfail-packets", servfail),
        ("tcp-answers", tcp4 + tcp6),
        ("tcp4-answers", tcp4),
        ("tcp6-answers", tcp6),
        ("udp-answers", udp4 + udp6),
        ("udp4-answers", udp4),
        ("udp6-answers", udp6),
        ("uptime", uptime.as_secs()),
        ("zone-cache-size", state.snapshot.hosted().len() as u64),
    ]
}

/// Octets of memory in use; 0 where the system does not say.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) << 10
}

/// `PUT /cache/flush?domain=name.`: forgets what upstreams said of the name and all below it.
pub async fn flush(
    Asked(caller): Asked,
    State(control): State<Arc<Control>>,
    Parameters(parameters): Parameters,
) -> Result<Response, PowerDnsError> {
    super::must_be_admin(&caller)?;
    let name = draft::read_absolute(parameters.get("domain").map(String::as_str).unwrap_or_default())?;
    let count = control.state.load().cache.forget_below(&name);
    Ok(super::json(StatusCode::OK, json!({ "count": count, "result": "Flushed cache." }).to_string()))
}
