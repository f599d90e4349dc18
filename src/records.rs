//! `postern records`: zones and records of a running server, through its API.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use hyper::Method;
use serde_json::{Value, json};

use crate::client::{ApiClient, ClientArgs, OutputForm, part, told};
use crate::print::{self, print_changed, print_sets, print_zones};

/// Show and change records of a running server.
///
/// Connects to the UNIX socket of the server, or over TCP with --url and --key-file. Write a zone
/// as its name, or as name@network if several zones share the name. Names of records may be
/// relative to the zone, and `@` is the zone itself.
#[derive(Debug, Args)]
#[command(after_help = "\
    Examples:\n\
    \x20 postern records list\n\
    \x20 postern records list corp.contoso.com --type A\n\
    \x20 postern records set corp.contoso.com www A 10.0.0.4 --ttl 60\n\
    \x20 postern records delete corp.contoso.com www --dry-run\n\
    \x20 postern records import corp.zone corp.contoso.com --replace")]
pub struct RecordsArgs {
    #[command(flatten)]
    client: ClientArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the zones, or the records of a zone.
    #[command(after_help = "Examples:\n  postern records list corp.contoso.com --type A")]
    List {
        /// Zone to list. Default: list the zones.
        zone: Option<String>,
        /// Only this record type.
        #[arg(long = "type", value_name = "TYPE")]
        rtype: Option<String>,
    },
    /// Show the records of a name.
    #[command(after_help = "Examples:\n  postern records get corp.contoso.com www")]
    Get {
        /// Zone of the records.
        zone: String,
        /// Owner name of the records.
        name: String,
        /// Record type. Default: all types.
        rtype: Option<String>,
    },
    /// Replace an RRset.
    #[command(after_help = "Examples:\n  postern records set corp.contoso.com www A 10.0.0.4 --ttl 60")]
    Set {
        /// Zone of the records.
        zone: String,
        /// Owner name of the records.
        name: String,
        /// Type of the records.
        rtype: String,
        /// RDATA of the records, one argument each.
        #[arg(required = true, value_name = "RDATA")]
        records: Vec<String>,
        /// TTL in seconds. Default: the present TTL, or 10 for a new RRset.
        #[arg(long)]
        ttl: Option<u32>,
        /// Print the change without applying it.
        #[arg(long)]
        dry_run: bool,
    },
    /// Delete an RRset, or all records of a name.
    #[command(after_help = "Examples:\n  postern records delete corp.contoso.com www --dry-run")]
    Delete {
        /// Zone of the records.
        zone: String,
        /// Owner name of the records.
        name: String,
        /// Record type. Default: all types.
        rtype: Option<String>,
        /// Print the change without applying it.
        #[arg(long)]
        dry_run: bool,
    },
    /// Show the differences between a zone and a file.
    #[command(after_help = "Examples:\n  postern records diff corp.zone corp.contoso.com")]
    Diff {
        #[command(flatten)]
        file: FileArgs,
        /// Ignore records that only the zone has.
        #[arg(long)]
        merge: bool,
    },
    /// Import the records of a file into a zone: a zone file, a hosts file, or JSON of Azure.
    #[command(after_help = "Examples:\n  postern records import corp.zone corp.contoso.com --replace")]
    Import {
        #[command(flatten)]
        file: FileArgs,
        /// Delete records that only the zone has.
        #[arg(long)]
        replace: bool,
        /// Accept that --replace removes more than half of the names of a zone.
        #[arg(long, requires = "replace")]
        allow_loss: bool,
        /// Print the change without applying it.
        #[arg(long)]
        dry_run: bool,
    },
    /// Export a zone as a zone file.
    #[command(after_help = "Examples:\n  postern records export corp.contoso.com corp.zone")]
    Export {
        /// Zone of the records.
        zone: String,
        /// File to write. Default: standard output.
        file: Option<PathBuf>,
    },
}

#[derive(Debug, Args)]
struct FileArgs {
    /// File to read. `-` is standard input.
    file: PathBuf,
    /// Zone to use. Default: every zone that the API writes, each with the records inside it.
    zone: Option<String>,
    /// Format of the file.
    #[arg(long, value_enum, default_value = "auto")]
    format: FileFormat,
    /// Accept a file without records, which empties a zone that is replaced.
    #[arg(long)]
    allow_empty: bool,
}

/// Format of an imported file.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum FileFormat {
    /// Detected from the first bytes.
    Auto,
    /// A zone file.
    Zone,
    /// A hosts file.
    Hosts,
    /// JSON of Azure, Windows DNS, or Route 53.
    Azure,
}

/// Runs the subcommand.
pub fn run(args: RecordsArgs) -> ExitCode {
    told(ApiClient::new(&args.client).and_then(|client| do_it(&client, args.client.output, args.command)))
}

fn do_it(client: &ApiClient, output: OutputForm, command: Command) -> Result<(), String> {
    match command {
        Command::List { zone: None, .. } => print_zones(output, &zones(client)?),
        Command::List { zone: Some(zone), rtype } => {
            let filter = rtype.map_or(String::new(), |rtype| format!("type={}", part(&rtype)));
            print_sets(output, &client.pages(&format!("/v1/zones/{}/rrsets", part(&zone)), &filter, "rrsets", usize::MAX)?)
        }
        Command::Get { zone, name, rtype: None } => {
            let sets =
                client.pages(&format!("/v1/zones/{}/rrsets", part(&zone)), &format!("name={}", part(&name)), "rrsets", usize::MAX)?;
            if sets.is_empty() {
                return Err(format!("error: {name} has no records in {zone}"));
            }
            print_sets(output, &sets)
        }
        Command::Get { zone, name, rtype: Some(rtype) } => print_sets(output, &[client.get(&rrset(&zone, &name, &rtype))?]),
        Command::Set { zone, name, rtype, records, ttl, dry_run } => {
            let body = json!({"ttl": ttl, "records": records});
            let path = format!("{}?dry_run={dry_run}", rrset(&zone, &name, &rtype));
            print_changed(output, &[client.change(Method::PUT, &path, Some(&body))?])
        }
        Command::Delete { zone, name, rtype: Some(rtype), dry_run } => {
            let path = format!("{}?dry_run={dry_run}", rrset(&zone, &name, &rtype));
            print_changed(output, &[client.change(Method::DELETE, &path, None)?])
        }
        Command::Delete { zone, name, rtype: None, dry_run } => {
            let path = format!("/v1/zones/{}/rrsets", part(&zone));
            let sets = client.pages(&path, &format!("name={}", part(&name)), "rrsets", usize::MAX)?;
            let sets: Vec<Value> = sets
                .iter()
                .filter(|set| set["type"] != "SOA")
                .map(|set| json!({"name": set["name"], "type": set["type"], "records": []}))
                .collect();
            if sets.is_empty() {
                return Err(format!("error: {name} has no records in {zone}"));
            }
            let path = format!("{path}?dry_run={dry_run}");
            print_changed(output, &[client.change(Method::PATCH, &path, Some(&json!({"rrsets": sets})))?])
        }
        Command::Diff { file, merge } => {
            print_changed(output, &import(client, &file, How { replace: !merge, allow_loss: false, dry_run: true })?)
        }
        Command::Import { file, replace, allow_loss, dry_run } => {
            print_changed(output, &import(client, &file, How { replace, allow_loss, dry_run })?)
        }
        Command::Export { zone, file } => {
            let answer = client.send(Method::GET, &format!("/v1/zones/{}/export", part(&zone)), None)?;
            match file {
                Some(file) => std::fs::write(&file, &answer.body).map_err(|error| format!("error: {}: {error}", file.display())),
                None => print::write(&answer.body),
            }
        }
    }
}

fn rrset(zone: &str, name: &str, rtype: &str) -> String {
    format!("/v1/zones/{}/rrsets/{}/{}", part(zone), part(name), part(rtype))
}

fn zones(client: &ApiClient) -> Result<Vec<Value>, String> {
    client.pages("/v1/zones", "", "zones", usize::MAX)
}

/// How a file is applied to a zone.
struct How {
    replace: bool,
    allow_loss: bool,
    dry_run: bool,
}

/// Imports a file into the named zone, or into every zone that the API writes.
fn import(client: &ApiClient, args: &FileArgs, how: How) -> Result<Vec<Value>, String> {
    let How { replace, allow_loss, dry_run } = how;
    let content = match args.file.to_str() {
        Some("-") => print::read_input()?,
        _ => std::fs::read(&args.file).map_err(|error| format!("error: {}: {error}", args.file.display()))?,
    };
    let place = if args.file.to_str() == Some("-") { "standard input".into() } else { args.file.display().to_string() };
    if content.iter().all(u8::is_ascii_whitespace) && !args.allow_empty {
        let cause = "a command that failed writes nothing";
        return Err(format!("{place}: error: the file is empty ({cause}). help: --allow-empty accepts an empty file"));
    }
    let zones = match &args.zone {
        Some(zone) => vec![zone.clone()],
        None => {
            if replace {
                return Err("error: --replace needs a zone".into());
            }
            let zones = zones(client)?.into_iter().filter(|zone| zone["writer"]["kind"] == "api");
            zones.filter_map(|zone| zone["id"].as_str().map(Into::into)).collect()
        }
    };
    if zones.is_empty() {
        return Err("error: no zone is written by the API. help: create one with POST /v1/zones, or declare it with `api = true`".into());
    }
    let mode = if replace { "replace" } else { "merge" };
    let format = match args.format {
        FileFormat::Auto => "auto",
        FileFormat::Zone => "zone",
        FileFormat::Hosts => "hosts",
        FileFormat::Azure => "azure",
    };
    let allowed = format!("&allow_empty={}&allow_loss={allow_loss}", args.allow_empty);
    let as_option = |line: &str| line.replace("`allow_empty=true`", "--allow-empty").replace("`allow_loss=true`", "--allow-loss");
    let placed = |line: &str| match line.starts_with("error") {
        true => format!("{place}: {}", as_option(line)),
        false => format!("{place}:{line}"),
    };
    let send = |zone: &String| {
        let path = format!("/v1/zones/{}/import?mode={mode}&format={format}&dry_run={dry_run}{allowed}", part(zone));
        let answer = client.send(Method::POST, &path, Some(("text/plain", content.clone())));
        let answer = answer.map_err(|message| message.lines().map(placed).collect::<Vec<_>>().join("\n"))?;
        serde_json::from_slice(&answer.body).map_err(|error| format!("error: the server's answer is not JSON: {error}"))
    };
    zones.iter().map(send).collect()
}
