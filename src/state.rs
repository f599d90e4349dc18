//! `postern state`: the server's own data on disk, without a running server.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use postern_zones::name::NameBuf;
use postern_zones::state_directory::StateDirectory;
use postern_zones::store::upkeep::{JournalRepair, JournalSurvey, RepairedFile, find_journal, repair, survey};
use postern_zones::text::rdata::type_name;
use serde_json::json;

use crate::print::{self, table, write};

/// Check the journals of the state directory, and save what can be read of damaged ones.
///
/// Neither command needs a running server or changes an existing file. The state directory is
/// `server.state` of the configuration.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  postern state check\n  postern state repair corp.contoso.com")]
pub struct StateArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check every journal and report damage.
    ///
    /// The exit status is 0 if all journals are intact, and 1 if one is damaged or unreadable. The
    /// server may be running.
    #[command(after_help = "Examples:\n  postern state check --output json")]
    Check {
        /// State directory. Default: that of the configuration.
        directory: Option<PathBuf>,
        /// Configuration file that names the directory.
        #[arg(short, long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// Format of the report.
        #[arg(short, long, value_enum, default_value_t = Format::Table)]
        output: Format,
    },
    /// Write what can be read of a damaged journal into a new file beside it.
    ///
    /// The damaged file stays as it is. Afterwards the command prints what was lost, and how to use
    /// the new file.
    #[command(after_help = "Examples:\n  postern state repair corp.contoso.com")]
    Repair {
        /// Journal, or the name of its zone.
        journal: String,
        /// State directory, to find the zone in. Default: that of the configuration.
        #[arg(short, long)]
        directory: Option<PathBuf>,
        /// Configuration file that names the directory.
        #[arg(short, long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
}

/// Format of the report about journals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A table for human readers.
    Table,
    /// One JSON document.
    Json,
}

/// State directory of the packaged unit (`StateDirectory=`).
const USUAL: &str = "/var/lib/postern";
/// Maximum number of RRsets and gaps that are listed individually.
const MOST: usize = 20;

/// Runs the subcommand.
pub fn run(args: StateArgs) -> ExitCode {
    let done = match args.command {
        Command::Check { directory, config, output } => state_directory(directory, config.as_deref()).and_then(|path| check(&path, output)),
        Command::Repair { journal, directory, config } => {
            let directory = match Path::new(&journal).is_file() {
                true => Ok(PathBuf::new()),
                false => state_directory(directory, config.as_deref()),
            };
            directory.and_then(|directory| run_repair(&directory, &journal)).map(|()| true)
        }
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

/// Returns the named directory, or that of the configuration.
fn state_directory(named: Option<PathBuf>, config: Option<&Path>) -> Result<PathBuf, String> {
    if let Some(directory) = named {
        return Ok(directory);
    }
    let path = match crate::serve::configuration_file(config) {
        Ok(path) => path,
        Err(_) if Path::new(USUAL).is_dir() => return Ok(USUAL.into()),
        Err(error) => return Err(format!("{error}\nhelp: or name the state directory")),
    };
    let loaded = postern_config::load(&path).map_err(|refused| {
        let first = refused.problems.first().map(ToString::to_string).unwrap_or_default();
        format!("{first}\nerror: the configuration cannot be read. help: name the state directory")
    })?;
    let state = loaded.config.server.state;
    // Without a setting in the configuration, systemd passes the directory to the server only.
    Ok(if !state.is_dir() && Path::new(USUAL).is_dir() { USUAL.into() } else { state })
}

/// Returns false if a journal is damaged.
fn check(directory: &Path, output: Format) -> Result<bool, String> {
    let surveys = survey(directory).map_err(|error| format!("error: {}: {error}", directory.display()))?;
    let holder = StateDirectory::holder(directory);
    let damaged = surveys.iter().filter(|survey| survey.damage.is_some()).count();
    if output == Format::Json {
        let journals: Vec<_> = surveys.iter().map(as_json).collect();
        print::json(&json!({"directory": directory, "process": holder, "damaged": damaged, "journals": journals}))?;
        return Ok(damaged == 0);
    }
    let used = holder.map_or("not in use".into(), |process| format!("in use by process {process}"));
    write(format!("{}: {used}\n", directory.display()).as_bytes())?;
    let mut rows = vec![["ZONE", "STATE", "RECORDS", "CHANGES", "SERIAL", "OCTETS"].map(String::from).to_vec()];
    let mut notes = String::new();
    for survey in &surveys {
        let state = if survey.damage.is_some() { "damaged" } else { "ok" };
        let numbers = [survey.records.to_string(), survey.changes.to_string(), survey.serial.to_string(), survey.length.to_string()];
        rows.push([vec![survey.zone.clone(), state.into()], numbers.to_vec()].concat());
        let path = survey.path.display();
        if let Some(damage) = &survey.damage {
            let _ = write!(notes, "\n{path}:\n  {damage}\n  save what can be read: postern state repair {path}\n");
        }
        if survey.torn > 0 {
            let _ =
                write!(notes, "\n{path}:\n  {} octets of an interrupted write at the end; nothing acknowledged is in them\n", survey.torn);
        }
    }
    table(&rows)?;
    write(notes.as_bytes())?;
    Ok(damaged == 0)
}

fn as_json(survey: &JournalSurvey) -> serde_json::Value {
    json!({
        "zone": survey.zone, "file": survey.path, "octets": survey.length, "records": survey.records, "changes": survey.changes,
        "serial": survey.serial, "torn": survey.torn, "damage": survey.damage, "damaged_at": survey.damaged_at,
    })
}

fn run_repair(directory: &Path, journal: &str) -> Result<(), String> {
    let path = find_journal(directory, journal).map_err(|error| format!("error: {error}"))?;
    let repaired = repair(&path).map_err(|error| format!("error: {error}"))?;
    write(worded(&path, &repaired).as_bytes())
}

fn worded(path: &Path, JournalRepair { survey, lost, uncertain, written, serial }: &JournalRepair) -> String {
    let mut out = format!("{}:\n  {}\n", path.display(), survey.damage.as_deref().unwrap_or_default());
    let _ = writeln!(out, "kept:  {} records, {} changes, up to serial {}", survey.records, survey.changes, survey.serial);
    for gap in lost.iter().take(MOST) {
        let _ = writeln!(out, "lost:  {} octets from octet {}, after serial {}", gap.octets, gap.at, gap.after);
    }
    if lost.len() > MOST {
        let _ = writeln!(out, "lost:  {} more places", lost.len() - MOST);
    }
    if !uncertain.is_empty() {
        out += "check: a lost change may have touched these RRsets\n";
        for (owner, rtype) in uncertain.iter().take(MOST) {
            let _ = writeln!(out, "       {} {}", owner.to_buf() as NameBuf, type_name(*rtype));
        }
        if uncertain.len() > MOST {
            let _ = writeln!(out, "       and {} more", uncertain.len() - MOST);
        }
    }
    match written {
        RepairedFile::Journal(new) => {
            let (old, new) = (path.display(), new.display());
            let _ = write!(
                out,
                "wrote: {new}, serial {serial}\n\nTo use it, stop the server, then\n  mv {old} {old}.damaged\n  mv {new} {old}\n"
            );
            out += "and start the server. Then compare the zone, and set what is missing:\n";
            let _ = writeln!(out, "  postern records list {}", survey.zone);
        }
        RepairedFile::ZoneFile(new) => {
            let _ = writeln!(out, "wrote: {}\n", new.display());
            out += "The settings of the zone, its networks among them, are lost, so this is a zone\nfile. To use it, stop the server, move the damaged journal away, \
                    start the server,\nmake the zone, and import the file.\n";
        }
    }
    out
}
