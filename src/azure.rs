//! `postern azure`: private endpoints of Azure as a source of records.

use std::fmt::Write;
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Subcommand};
use postern_config::PosternConfig;
use postern_config::model::AzureReaderConfig;
use postern_control::azure::{AzurePlan, PlannedRecord, plan, read_once};
use postern_zones::state_directory::StateDirectory;
use postern_zones::store::Store;
use serde_json::json;

use crate::client::{OutputForm, told};
use crate::print;

/// Show what the private endpoints of Azure would change.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  postern azure plan")]
pub struct AzureArgs {
    #[command(subcommand)]
    command: AzureCommand,
}

#[derive(Debug, Subcommand)]
enum AzureCommand {
    Plan(PlanArgs),
}

/// Read Azure once and print the changes of each zone, without making them.
///
/// The zones are read from the state directory of the configuration. Exit
/// status: 0 if Azure was read, 1 otherwise.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  postern azure plan\n  postern azure plan -c postern.toml --reader contoso -o json")]
struct PlanArgs {
    /// Configuration file. Default: ./postern.toml, or /etc/postern/postern.toml.
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Name of the `[[azure]]` to plan. Default: all.
    #[arg(long, value_name = "NAME")]
    reader: Option<String>,
    /// Form of the results.
    #[arg(short, long, value_enum, default_value = "table")]
    output: OutputForm,
}

/// Runs the subcommand.
pub fn run(args: AzureArgs) -> ExitCode {
    match args.command {
        AzureCommand::Plan(args) => told(print_plans(&args)),
    }
}

fn print_plans(args: &PlanArgs) -> Result<(), String> {
    let path = crate::serve::configuration_file(args.config.as_deref())?;
    let lines = |problems: &[postern_config::FileDiagnostic]| problems.iter().map(|problem| format!("{problem}\n")).collect::<String>();
    let config = postern_config::load(&path).map_err(|refused| lines(&refused.problems).trim_end().to_owned())?.config;
    let is_meant = |reader: &&AzureReaderConfig| args.reader.as_ref().is_none_or(|name| *name == reader.name);
    let readers: Vec<&AzureReaderConfig> = config.azure_readers.iter().filter(is_meant).collect();
    if readers.is_empty() {
        let name = args.reader.as_ref().map_or(String::new(), |name| format!(" `{name}`"));
        return Err(format!("error: {}: there is no `[[azure]]`{name}", path.display()));
    }
    let (store, _, _) = Store::open(&config, Arc::new(StateDirectory::inspect(&config.server.state)));
    let plans = readers.into_iter().map(|reader| plan_of(reader, &config, &store)).collect::<Result<Vec<_>, _>>()?;
    match args.output {
        OutputForm::Json => print::json(&json!(plans)),
        OutputForm::Table => print::write(plans.iter().map(worded).collect::<String>().as_bytes()),
    }
}

fn plan_of(reader: &AzureReaderConfig, config: &PosternConfig, store: &Store) -> Result<AzurePlan, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| format!("error: {error}"))?;
    let reading = runtime.block_on(read_once(reader)).map_err(|error| format!("error: Azure was not read: {error}"))?;
    let data = |zone: &postern_config::model::ZoneConfig| {
        let mut statuses = store.zones();
        statuses.find(|status| **status.name == *zone.name && *status.networks == zone.networks)?.zone.cloned()
    };
    Ok(plan(config, reader, reading, data))
}

fn worded(plan: &AzurePlan) -> String {
    let mut out = format!("reader {}\n", plan.reader);
    let (mut added, mut changed, mut removed) = (0, 0, 0);
    for zone in &plan.zones {
        let _ = writeln!(out, "  zone {}, {} unchanged", zone.zone, zone.unchanged); // a string takes everything
        for record in &zone.changes {
            match (record.before.is_empty(), record.after.is_empty()) {
                (true, _) => added += 1,
                (_, true) => removed += 1,
                _ => changed += 1,
            }
            let _ = writeln!(out, "    {}", line(record));
        }
    }
    for skipped in &plan.skipped {
        let name = skipped.name.as_ref().map_or(String::new(), |name| format!("{name} of "));
        let _ = writeln!(out, "  skipped {name}{}: {}", skipped.endpoint, skipped.reason);
    }
    for subscription in &plan.forbidden {
        let _ = writeln!(out, "  subscription {subscription} may not be read; its records would be kept");
    }
    let _ = writeln!(out, "{added} to add, {changed} to change, {removed} to remove, {} skipped", plan.skipped.len());
    out
}

fn line(record: &PlannedRecord) -> String {
    let list = |addresses: &[IpAddr]| addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    let PlannedRecord { name, before, after, endpoints } = record;
    match (before.is_empty(), after.is_empty()) {
        (true, _) => format!("+ {name} {}  {}", list(after), endpoints.join(" ")),
        (_, true) => format!("- {name} {}", list(before)),
        _ => format!("~ {name} {} -> {}  {}", list(before), list(after), endpoints.join(" ")),
    }
}
