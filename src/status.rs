//! `postern status`: the state of a running server.

use std::process::ExitCode;

use clap::Args;
use serde_json::Value;

use crate::client::{ApiClient, ClientArgs, OutputForm, told};
use crate::print::{json, prose, table, text};

/// Show the status of a running server: problems, zones, cache, queues, upstreams.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  postern status\n  postern status --url https://dns.contoso.com:8053 --key-file key")]
pub struct StatusArgs {
    #[command(flatten)]
    server: ClientArgs,
}

/// Runs the subcommand.
pub fn run(args: StatusArgs) -> ExitCode {
    told(status(&args))
}

fn status(args: &StatusArgs) -> Result<(), String> {
    let status = ApiClient::new(&args.server)?.get("/v1/status")?;
    if args.server.output == OutputForm::Json {
        return json(&status);
    }
    prose(&worded(&status))?;
    let mut rows =
        vec![["UPSTREAM", "CONDITION", "ROUND TRIP", "IN FLIGHT", "ASKED", "ANSWERED", "FAILED", "LOST"].map(String::from).to_vec()];
    for upstream in status["upstreams"].as_array().into_iter().flatten() {
        let round_trip = upstream["round_trip"].as_f64().map_or_else(|| "-".into(), |seconds| format!("{:.1} ms", seconds * 1e3));
        let mut row = vec![text(&upstream["name"]), text(&upstream["condition"]), round_trip];
        row.extend(["in_flight", "asked", "answered", "failed", "lost"].map(|key| text(&upstream[key])));
        rows.push(row);
    }
    table(&rows)
}

fn worded(status: &Value) -> String {
    let at = |key: &str| text(&status[key]);
    let ready = if status["ready"] == true { "ready" } else { "not ready" };
    let mut out = format!("postern {}, {ready}, up for {}\n", at("version"), duration(status["uptime"].as_u64().unwrap_or_default()));
    for ailment in status["ailments"].as_array().into_iter().flatten() {
        out += &format!("  ! {}\n", text(ailment));
    }
    out += &format!("zones:      {} with {} records, generation {}\n", at("zones"), at("records"), at("generation"));
    if status["overrides"].as_u64().is_some_and(|overrides| overrides > 0) {
        out += &format!("overrides:  {}\n", at("overrides"));
    }
    out += &format!("reloads:    {} applied, {} refused\n", at("reloads_applied"), at("reloads_refused"));
    out += &format!("fallbacks:  {}, {} dropped\n", at("fallbacks"), at("fallbacks_dropped"));
    let cache = &status["cache"];
    out += &format!(
        "cache:      {} entries, {} of {} bytes, {} evicted\n",
        text(&cache["entries"]),
        text(&cache["bytes"]),
        text(&cache["limit"]),
        text(&cache["evicted"])
    );
    for reader in status["azure"].as_array().into_iter().flatten() {
        let age = reader["age"].as_u64().map_or_else(|| "not read yet".into(), |age| format!("read {} ago", duration(age)));
        let counts = ["approved", "others", "hidden"].map(|key| text(&reader[key]));
        let [approved, others, hidden] = counts;
        out += &format!("azure:      {}, {age}, {approved} endpoints approved, {others} others, {hidden} kept\n", text(&reader["name"]));
        if let Some(error) = reader["error"].as_str() {
            out += &format!("            {error}\n");
        }
    }
    let queues = status["queues"].as_object().into_iter().flatten();
    let queues = queues.map(|(name, queue)| format!("{name} {}/{}", text(&queue["length"]), text(&queue["limit"])));
    out + &format!("queues:     {}\n", queues.collect::<Vec<_>>().join(", "))
}

/// Formats seconds in their two largest units.
fn duration(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, ..) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_two_units() {
        assert_eq!([5, 65, 3_700, 90_000].map(duration), ["5 s", "1 min 5 s", "1 h 1 min", "1 d 1 h"]);
    }
}
