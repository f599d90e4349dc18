//! `postern fallbacks`: names that were answered publicly, and the actions on them.

use std::net::IpAddr;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use hyper::Method;
use serde_json::{Value, json};

use crate::client::{ApiClient, ClientArgs, OutputForm, part, told};
use crate::print::{self, print_changed, table, text};

/// List names that were answered publicly but should be private. Create their records or mute them.
///
/// Without a command, list the fallbacks that still lack a record, the most recent first.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
#[command(after_help = "\
    Examples:\n\
    \x20 postern fallbacks --since 1h\n\
    \x20 postern fallbacks create ws-fhir.fhir.azurehealthcareapis.com 10.0.0.4\n\
    \x20 postern fallbacks mute *.login.azurehealthcareapis.com")]
pub struct FallbacksArgs {
    #[command(flatten)]
    server: ClientArgs,
    #[command(flatten)]
    list: ListArgs,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Args)]
struct ListArgs {
    /// Show fallbacks as they happen, until interrupted.
    #[arg(short, long, conflicts_with_all = ["since", "all", "muted", "limit"])]
    follow: bool,
    /// Only clients of this network.
    #[arg(long)]
    network: Option<String>,
    /// Only names in this private zone.
    #[arg(long)]
    zone: Option<String>,
    /// Only this reason: no-record, no-zone, zone-unavailable, other-network or no-private-cname.
    #[arg(long)]
    reason: Option<String>,
    /// Only this answer to the client: public, nxdomain, servfail or stale.
    #[arg(long)]
    action: Option<String>,
    /// Only names that contain this text.
    #[arg(long)]
    name: Option<String>,
    /// Only fallbacks since a time (RFC 3339) or within a duration: 15m, 2h, 1d.
    #[arg(long)]
    since: Option<String>,
    /// Include fallbacks whose record exists by now.
    #[arg(long)]
    all: bool,
    /// Show only muted fallbacks.
    #[arg(long)]
    muted: bool,
    /// Maximum number of fallbacks to list.
    #[arg(long, default_value = "1000")]
    limit: usize,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Create the missing record of a name, in a zone that the API writes.
    #[command(after_help = "Examples:\n  postern fallbacks create ws-fhir.fhir.azurehealthcareapis.com 10.0.0.4")]
    Create {
        /// Name of the question, or its private-link name.
        name: String,
        /// Private addresses of the record.
        #[arg(required = true)]
        addresses: Vec<IpAddr>,
        /// Network of the clients, if it is ambiguous.
        #[arg(long)]
        network: Option<String>,
        /// TTL in seconds. Default: 10.
        #[arg(long)]
        ttl: Option<u32>,
        /// Print the change without applying it.
        #[arg(long)]
        dry_run: bool,
    },
    /// Mute a name or a pattern. Its fallbacks are counted, but not listed, written or shown as
    /// they happen.
    #[command(after_help = "Examples:\n  postern fallbacks mute *.login.azurehealthcareapis.com")]
    Mute(MutedArgs),
    /// Remove a mute.
    #[command(after_help = "Examples:\n  postern fallbacks unmute *.login.azurehealthcareapis.com")]
    Unmute(MutedArgs),
    /// List the mutes, and how many names of the record each covers.
    #[command(after_help = "Examples:\n  postern fallbacks muted")]
    Muted,
}

#[derive(Debug, Args)]
struct MutedArgs {
    /// Name of the question, or a pattern such as '*.azurehealthcareapis.com'.
    name: String,
    /// Mute only for this network.
    #[arg(long)]
    network: Option<String>,
}

/// Runs the subcommand.
pub fn run(args: FallbacksArgs) -> ExitCode {
    told(ApiClient::new(&args.server).and_then(|client| do_it(&client, args.server.output, args.list, args.command)))
}

fn do_it(client: &ApiClient, output: OutputForm, list: ListArgs, command: Option<Command>) -> Result<(), String> {
    match command {
        None if list.follow => client.follow(&format!("/v1/fallbacks/stream?{}", list.filter()), |kind, data| follow(output, kind, data)),
        None => {
            let open = if list.all { "" } else { "&mended=false" };
            let filter = format!("{}{open}&muted={}&limit={}", list.filter(), list.muted, list.limit.clamp(1, 1_000));
            print_fallbacks(output, &client.pages("/v1/fallbacks", &filter, "fallbacks", list.limit)?)
        }
        Some(Command::Create { name, addresses, network, ttl, dry_run }) => {
            let body = json!({"name": name, "addresses": addresses, "network": network, "ttl": ttl});
            print_changed(output, &[client.change(Method::POST, &format!("/v1/fallbacks/create?dry_run={dry_run}"), Some(&body))?])
        }
        Some(Command::Mute(muted)) => {
            let body = json!({"name": muted.name, "network": muted.network});
            print_mute_change(output, "muted", &client.change(Method::POST, "/v1/fallbacks/muted", Some(&body))?)
        }
        Some(Command::Unmute(muted)) => {
            let network = muted.network.map_or(String::new(), |network| format!("&network={}", part(&network)));
            let path = format!("/v1/fallbacks/muted?name={}{network}", part(&muted.name));
            print_mute_change(output, "no longer muted", &client.change(Method::DELETE, &path, None)?)
        }
        Some(Command::Muted) => print_muted(output, &client.get("/v1/fallbacks/muted")?),
    }
}

impl ListArgs {
    fn filter(&self) -> String {
        let parameters = [
            ("network", &self.network),
            ("zone", &self.zone),
            ("reason", &self.reason),
            ("action", &self.action),
            ("name", &self.name),
            ("since", &self.since),
        ];
        let given = parameters.into_iter().filter_map(|(key, value)| Some(format!("{key}={}", part(value.as_ref()?))));
        given.collect::<Vec<_>>().join("&")
    }
}

fn print_fallbacks(output: OutputForm, fallbacks: &[Value]) -> Result<(), String> {
    if output == OutputForm::Json {
        return print::json(&Value::from(fallbacks));
    }
    let mut rows = vec![["LAST SEEN", "NETWORK", "NAME", "COUNT", "REASON", "ACTION", "ZONE", "RECORD"].map(String::from).to_vec()];
    for fallback in fallbacks {
        let seen = text(&fallback["last_seen"]).split('.').next().unwrap_or_default().trim_end_matches('Z').to_owned();
        let mend = match (fallback["mended"] == true, fallback["mend"]["record"].as_str()) {
            (true, _) => "(is there by now)".into(),
            (false, Some(record)) => record.to_owned(),
            (false, None) => text(&fallback["mend"]["what"]),
        };
        let mut row = vec![format!("{seen}Z")];
        row.extend(["network", "name", "count", "reason", "action", "zone"].map(|key| text(&fallback[key])));
        row.push(mend);
        rows.push(row);
    }
    table(&rows)
}

/// Prints the change and the complete list of mutes.
fn print_mute_change(output: OutputForm, done: &str, change: &Value) -> Result<(), String> {
    if output == OutputForm::Json {
        return print::json(change);
    }
    let network = change["network"].as_str().map_or("all networks".into(), |network| format!("network {network}"));
    let done = if change["changed"] == true { done.into() } else { format!("{done} already") };
    let line =
        format!("{} is {done} for {network}. It covers {} of the names in the record.\n", text(&change["name"]), text(&change["names"]));
    print::write(line.as_bytes())?;
    match change["muted"].as_array().is_some_and(|muted| !muted.is_empty()) {
        true => print_muted(output, &change["muted"]),
        false => print::write(b"Nothing is muted now.\n"),
    }
}

fn print_muted(output: OutputForm, muted: &Value) -> Result<(), String> {
    if output == OutputForm::Json {
        return print::json(muted);
    }
    let mut rows = vec![["MUTED", "NETWORK", "NAMES"].map(String::from).to_vec()];
    for entry in muted.as_array().into_iter().flatten() {
        let network = entry["network"].as_str().unwrap_or("(all)").to_owned();
        rows.push(vec![text(&entry["name"]), network, text(&entry["names"])]);
    }
    table(&rows)
}

/// Prints one event per line.
fn follow(output: OutputForm, kind: &str, data: &str) -> Result<(), String> {
    let event: Value = serde_json::from_str(data).map_err(|error| format!("error: the server's answer is not JSON: {error}"))?;
    let line = match (kind, output) {
        ("lost", _) => {
            eprintln!("warning: {} fallbacks came too fast to be shown", text(&event["count"]));
            return Ok(());
        }
        (_, OutputForm::Json) => data.to_owned(),
        (_, OutputForm::Table) => {
            let mend = event["mend"]["record"].as_str().map_or_else(|| text(&event["mend"]["what"]), str::to_owned);
            let words = ["time", "network", "client", "name", "type", "reason", "action"].map(|key| text(&event[key]));
            format!("{}  {mend}", words.join("  "))
        }
    };
    print::write(format!("{line}\n").as_bytes())
}
