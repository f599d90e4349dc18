//! `postern import`: brings the records of files to the zones that they belong to.

mod gather;

use std::fmt::Write as _;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use hyper::Method;
use postern_config::model::SourceFormat;
use postern_zones::name::NameBuf;
use postern_zones::text::ZoneFileWriter;
use serde_json::{Value, json};

use crate::client::{ApiClient, ClientArgs, OutputForm, part};
use crate::print;
use crate::records::FileFormat;
use gather::{ImportPlan, ImportedRecord, ImportedRecords, SOA};

/// Bring the records of files to the zones that they belong to.
///
/// Reads zone files, hosts files, and JSON. Each record goes to the zone with the longest matching
/// name among the API zones of a running server, or with --directory into zone files. The command
/// lists where each record goes and which names no zone takes. Nothing is imported if a file has an
/// error. The exit status is 1 if a name found no zone, and after an error.
#[derive(Debug, Args)]
#[command(after_help = "\
    Examples:\n\
    \x20 postern import pe-*.json hosts.txt --dry-run\n\
    \x20 postern import corp.zone --zone corp.contoso.com\n\
    \x20 postern import pe-*.json --directory zones")]
pub struct ImportArgs {
    /// Files to read.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Zone of the records. Names without final dot in zone files are relative to it. With
    /// --directory it can be repeated. Default: the zones of the server, or the zones that the files
    /// name.
    #[arg(long = "zone", value_name = "ZONE")]
    zones: Vec<String>,
    /// Write a zone file for each zone into this directory, and do not connect to a server.
    #[arg(long, value_name = "DIR")]
    directory: Option<PathBuf>,
    /// Format of the files.
    #[arg(long, value_enum, default_value = "auto")]
    format: FileFormat,
    /// Print what would be imported without importing it.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    client: ClientArgs,
}

/// A zone that takes records.
struct TargetZone {
    name: String,
    /// ID of the zone in the API, or the path of its file.
    place: String,
}

/// Runs the command.
pub fn run(args: ImportArgs) -> ExitCode {
    match import(&args) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

/// Returns the number of names that found no zone.
fn import(args: &ImportArgs) -> Result<usize, String> {
    let records = read(args)?;
    let (targets, client) = match &args.directory {
        Some(directory) => (of_files(args, directory, &records), None),
        None => {
            let client = ApiClient::new(&args.client)?;
            (of_server(args, &client)?, Some(client))
        }
    };
    let names: Vec<String> = targets.iter().map(|target| target.name.clone()).collect();
    let plan = records.plan(&names);
    let mut applied = Vec::new();
    for (index, records) in &plan.by_zone {
        let target = &targets[*index];
        applied.push(match &client {
            Some(client) => send(client, target, records, args.dry_run)?,
            None => write(target, records, args.dry_run)?,
        });
    }
    print(args, &plan, &targets, &applied)?;
    Ok(plan.left_over.len())
}

/// Reads all files. Prints warnings. An error names every error of every file.
fn read(args: &ImportArgs) -> Result<ImportedRecords, String> {
    let zone = if let [zone] = &args.zones[..] { Some(zone.as_str()) } else { None };
    let mut records = ImportedRecords::default();
    for file in &args.files {
        let bytes = postern_config::read(file).map_err(|error| format!("error: {}: {error}", file.display()))?;
        records.read(file, &bytes, args.format.source(), zone);
    }
    let lines: Vec<String> = records.problems.iter().map(ToString::to_string).collect();
    if records.has_errors() {
        return Err(format!("{}\nerror: nothing was imported", lines.join("\n")));
    }
    lines.iter().for_each(|line| eprintln!("{line}"));
    Ok(records)
}

/// The API zones of the server.
fn of_server(args: &ImportArgs, client: &ApiClient) -> Result<Vec<TargetZone>, String> {
    let zones = client.pages("/v1/zones", "", "zones", usize::MAX)?;
    let is_asked = |name: &str, id: &str| args.zones.is_empty() || args.zones.iter().any(|zone| is_same(zone, name) || zone == id);
    let mut targets = Vec::new();
    for zone in zones.iter().filter(|zone| zone["writer"]["kind"] == "api") {
        let (id, name) = (print::text(&zone["id"]), print::text(&zone["name"]));
        if is_asked(&name, &id) {
            targets.push(TargetZone { name, place: id });
        }
    }
    if targets.is_empty() {
        return Err("error: no zone is written by the API. help: create one with POST /v1/zones, declare it with `api = true`, or write \
                    files with --directory"
            .into());
    }
    Ok(targets)
}

fn is_same(one: &str, other: &str) -> bool {
    one.trim_end_matches('.').eq_ignore_ascii_case(other.trim_end_matches('.'))
}

/// Zone files for the given zones, or for the zones that the files and the private-link table name.
fn of_files(args: &ImportArgs, directory: &Path, records: &ImportedRecords) -> Vec<TargetZone> {
    let mut names: Vec<String> = args.zones.iter().map(|zone| zone.trim_end_matches('.').to_ascii_lowercase()).collect();
    if names.is_empty() {
        names = records.private_zones().union(&records.zones).cloned().collect();
    }
    // A label may have slashes (RFC 2317). In a path they would lead out of the directory.
    let file = |name: &str| {
        directory.join(format!("{}.zone", if name == "." { "root".into() } else { name.replace('/', "_") })).display().to_string()
    };
    names.into_iter().map(|name| TargetZone { place: file(&name), name }).collect()
}

/// Merges records into a zone of the server. Its SOA stays.
fn send(client: &ApiClient, target: &TargetZone, records: &[ImportedRecord], dry_run: bool) -> Result<Value, String> {
    let text = zone_text(target, records.iter().filter(|record| record.rtype != SOA))?;
    let path = format!("/v1/zones/{}/import?mode=merge&format=zone&dry_run={dry_run}", part(&target.place));
    let answer = client.send(Method::POST, &path, Some(("text/plain", text.into_bytes())))?;
    serde_json::from_slice(&answer.body).map_err(|error| format!("error: the server's answer is not JSON: {error}"))
}

/// Writes a zone file, which must not exist.
fn write(target: &TargetZone, records: &[ImportedRecord], dry_run: bool) -> Result<Value, String> {
    let path = Path::new(&target.place);
    let failed = |error: std::io::Error| format!("error: {}: {error}", target.place);
    let exists = || format!("error: {} exists. help: name another --directory, or move the file away", target.place);
    if path.exists() {
        return Err(exists());
    }
    if !dry_run {
        if let Some(directory) = path.parent() {
            std::fs::create_dir_all(directory).map_err(failed)?;
        }
        let text = zone_text(target, records.iter())?;
        let file = std::fs::File::create_new(path)
            .map_err(|error| if error.kind() == ErrorKind::AlreadyExists { exists() } else { failed(error) });
        file?.write_all(text.as_bytes()).map_err(failed)?;
    }
    Ok(json!({"zone": target.name, "file": target.place, "added": records.len(), "changed": 0, "removed": 0, "dry_run": dry_run}))
}

/// The zone file of some records. Repeated records are written once.
fn zone_text<'r>(target: &TargetZone, records: impl Iterator<Item = &'r ImportedRecord>) -> Result<String, String> {
    let origin = NameBuf::parse(&target.name).map_err(|error| format!("error: {}: {error}", target.name))?;
    let mut text = String::new();
    let failed = |_| "error: the zone file cannot be written".to_owned();
    let mut sorted: Vec<&ImportedRecord> = records.collect();
    sorted.sort_by_cached_key(|record| {
        (record.rtype != SOA, print::canonical(&record.owner.to_string()), record.rtype, record.rdata.clone())
    });
    sorted.dedup_by(|one, other| one.owner == other.owner && one.rtype == other.rtype && one.rdata == other.rdata);
    let mut writer = ZoneFileWriter::new(&mut text, &origin).map_err(failed)?;
    for record in sorted {
        writer.record(&record.owner, record.ttl, record.rtype, &record.rdata).map_err(failed)?;
    }
    Ok(text)
}

fn print(args: &ImportArgs, plan: &ImportPlan, targets: &[TargetZone], applied: &[Value]) -> Result<(), String> {
    let as_json =
        |record: &ImportedRecord| json!({"record": record.line(), "file": record.file.display().to_string(), "line": record.at.line});
    if args.client.output == OutputForm::Json {
        let zones = plan.by_zone.iter().zip(applied).map(|((index, records), applied)| {
            let mut zone = json!({"zone": targets[*index].place, "records": records.iter().map(as_json).collect::<Vec<_>>()});
            for key in ["added", "changed", "removed", "warnings"] {
                zone[key] = applied[key].clone();
            }
            zone
        });
        let left_over: Vec<Value> = plan.left_over.iter().map(as_json).collect();
        return print::json(&json!({"dry_run": args.dry_run, "zones": zones.collect::<Vec<_>>(), "left_over": left_over}));
    }
    let mut rows = vec![["ZONE", "RECORD", "FROM"].map(String::from).to_vec()];
    for (index, records) in &plan.by_zone {
        rows.extend(records.iter().map(|record| vec![targets[*index].place.clone(), record.line(), record.place()]));
    }
    rows.extend(plan.left_over.iter().map(|record| vec!["no zone".into(), record.line(), record.place()]));
    print::table(&rows)?;
    let mut summary = String::new();
    let would = if args.dry_run { "would be " } else { "" };
    for ((index, _), applied) in plan.by_zone.iter().zip(applied) {
        let [added, changed, removed] = ["added", "changed", "removed"].map(|key| applied[key].as_u64().unwrap_or_default());
        let _ = writeln!(summary, "{}: {added} {would}added, {changed} {would}changed, {removed} {would}removed", targets[*index].place);
        for warning in applied["warnings"].as_array().into_iter().flatten() {
            eprintln!("warning: {}: {}", targets[*index].place, print::text(warning));
        }
    }
    if !plan.left_over.is_empty() {
        let _ = writeln!(summary, "{} names found no zone", plan.left_over.len());
    }
    print::write(summary.as_bytes())
}

impl FileFormat {
    fn source(self) -> SourceFormat {
        match self {
            Self::Auto => SourceFormat::Auto,
            Self::Zone => SourceFormat::Zone,
            Self::Hosts => SourceFormat::Hosts,
            Self::Azure => SourceFormat::Azure,
        }
    }
}
