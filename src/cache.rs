//! `postern cache`: the cache of upstream data in a running server.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use hyper::Method;
use serde_json::Value;

use crate::client::{ApiClient, ClientArgs, OutputForm, part, told};
use crate::print::{canonical, json, table, text, write};

/// Show or flush the cache of a running server.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  postern cache show azurehealthcareapis.com\n  postern cache flush www.contoso.com")]
pub struct CacheArgs {
    #[command(flatten)]
    server: ClientArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show the entries at and below a name.
    #[command(after_help = "Examples:\n  postern cache show azurehealthcareapis.com")]
    Show {
        /// Name to show. Default: everything.
        name: Option<String>,
        /// Maximum number of entries to show.
        #[arg(long, default_value = "1000")]
        limit: usize,
    },
    /// Remove the entries at and below a name.
    #[command(after_help = "Examples:\n  postern cache flush www.contoso.com")]
    Flush {
        /// Name to remove. Use --all for everything.
        name: Option<String>,
        /// Remove all entries of the cache.
        #[arg(long, conflicts_with = "name")]
        all: bool,
    },
}

/// Runs the subcommand.
pub fn run(args: CacheArgs) -> ExitCode {
    told(ApiClient::new(&args.server).and_then(|client| do_it(&client, args.server.output, args.command)))
}

fn do_it(client: &ApiClient, output: OutputForm, command: Command) -> Result<(), String> {
    let named = |name: Option<String>| name.map_or(String::new(), |name| format!("name={}", part(&name)));
    match command {
        Command::Show { name, limit } => {
            let cache = client.get(&format!("/v1/cache?limit={limit}&{}", named(name)))?;
            if output == OutputForm::Json { json(&cache) } else { print(&cache) }
        }
        Command::Flush { name: None, all: false } => Err("error: `cache flush` needs a name. help: --all removes all entries".into()),
        Command::Flush { name, all: _ } => {
            let flushed = client.change(Method::DELETE, &format!("/v1/cache?{}", named(name)), None)?;
            match output {
                OutputForm::Json => json(&flushed),
                OutputForm::Table => write(format!("{} entries forgotten\n", text(&flushed["forgotten"])).as_bytes()),
            }
        }
    }
}

fn print(cache: &Value) -> Result<(), String> {
    let mut rows = vec![["NAME", "TYPE", "WHAT", "RECORDS", "TTL", "UPSTREAM"].map(String::from).to_vec()];
    let mut entries: Vec<&Value> = cache["held"].as_array().into_iter().flatten().collect();
    entries.sort_by_cached_key(|held| (canonical(&text(&held["name"])), text(&held["type"])));
    for held in entries {
        let ttl = if held["stale"] == true { "stale".into() } else { text(&held["ttl"]) };
        rows.push(vec![
            text(&held["name"]),
            text(&held["type"]),
            text(&held["what"]),
            text(&held["records"]),
            ttl,
            text(&held["upstream"]),
        ]);
    }
    table(&rows)?;
    let more = if cache["more"] == true { "; there are more than are shown" } else { "" };
    eprintln!("{} entries in all, {} of {} bytes{more}", text(&cache["entries"]), text(&cache["bytes"]), text(&cache["limit"]));
    Ok(())
}
