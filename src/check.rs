//! `postern check`: validation of a configuration and all files that it names.

mod counts;
mod sources;
mod transfers;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use self::counts::ZoneCount;
use clap::{Args, ValueEnum};
use postern_config::model::{self, FeedSource};
use postern_config::{DiagnosticSeverity, FileDiagnostic, PosternConfig};
use postern_zones::record::{self, SourceProblem};
use postern_zones::state_directory::StateDirectory;
use postern_zones::store::Store;
use serde_json::json;

use crate::print;

/// Check the configuration and every file it names, and report all problems.
///
/// Exit status: 0 if there are no problems, 1 for errors, 2 for warnings with --strict.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  postern check -c /etc/postern/postern.toml\n  postern check --strict --format json")]
pub struct CheckArgs {
    /// Configuration file to check.
    #[arg(short, long, value_name = "FILE", default_value = "postern.toml")]
    config: PathBuf,
    /// Check only the configuration and key files, not the records. This finds exactly the problems
    /// that prevent a start.
    #[arg(long)]
    config_only: bool,
    /// Treat warnings as failures, with exit status 2.
    #[arg(long)]
    strict: bool,
    /// Print only problems, without the table of zones.
    #[arg(short, long)]
    quiet: bool,
    /// How problems are printed.
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
}

/// How problems are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// One line a problem: `file:line:column: error: … help: …`. Notes need nothing done.
    Human,
    /// One JSON object: `{"file", "errors", "warnings", "problems": [{"file", "line", "column",
    /// "severity", "message", "help"}], "zones": [{"name", "networks", "records", "files"}]}`.
    Json,
}

/// Checks the configuration and prints all problems to standard output.
pub fn run(args: CheckArgs) -> ExitCode {
    let mut out = std::io::stdout().lock();
    ExitCode::from(check(&args, print::terminal_room(), &mut out))
}

/// Checks the configuration and prints lines of at most `room` columns. Returns the exit status,
/// even if the reader of the output closed it.
fn check(args: &CheckArgs, room: Option<usize>, out: &mut impl Write) -> u8 {
    let Checked { config, problems, counts } = checked(args);
    let count = |severity| problems.iter().filter(|problem| problem.severity == severity).count();
    let (errors, warnings) = (count(DiagnosticSeverity::Error), count(DiagnosticSeverity::Warning));
    match args.format {
        Format::Human => {
            if !args.quiet {
                counts::print(&counts, room, out).ok();
            }
            for problem in &problems {
                write!(out, "{}", print::fitted(&format!("{problem}\n"), room)).ok();
            }
            writeln!(out, "{}: {}", args.config.display(), summary(config.as_ref(), errors, warnings)).ok();
        }
        Format::Json => {
            let zones: Vec<_> = counts.iter().map(ZoneCount::json).collect();
            let told = json!({"file": args.config, "errors": errors, "warnings": warnings, "problems": problems, "zones": zones});
            writeln!(out, "{told:#}").ok();
        }
    }
    match (errors, warnings) {
        (1.., _) => 1,
        (0, 1..) if args.strict => 2,
        _ => 0,
    }
}

/// A configuration with its zones, as a server would load them at startup.
struct Checked {
    /// `None` if the configuration cannot be served.
    config: Option<PosternConfig>,
    problems: Vec<FileDiagnostic>,
    counts: Vec<ZoneCount>,
}

/// Reads the configuration and all files that it names.
fn checked(args: &CheckArgs) -> Checked {
    match postern_config::load(&args.config) {
        Ok(loaded) => {
            let mut problems = loaded.warnings;
            let mut counts = Vec::new();
            if !args.config_only {
                let in_zones = in_zones(&loaded.config);
                problems.extend(in_zones.0);
                counts = in_zones.1;
                problems.extend(sources::problems(&loaded.config));
            }
            problems.extend(loaded.config.api.key_file.as_deref().and_then(in_keys));
            Checked { config: Some(loaded.config), problems, counts }
        }
        Err(refused) => Checked { config: None, problems: refused.problems, counts: Vec::new() },
    }
}

/// Returns problems of the zone sources and the resulting zones. The sources are read as at
/// startup, and nothing is kept.
fn in_zones(config: &PosternConfig) -> (Vec<FileDiagnostic>, Vec<ZoneCount>) {
    let (store, snapshot, report) = Store::open(config, Arc::new(StateDirectory::inspect(&config.server.state)));
    let mut problems: Vec<FileDiagnostic> = report.problems.into_iter().map(of_record).collect();
    problems.extend(transfers::problems(config, &snapshot));
    // A source that cannot be opened has no line of its own, so the problem is reported at its
    // `[[zone]]`.
    let mut without_data: Vec<(&model::ZoneConfig, &str, Vec<&str>)> = Vec::new();
    let severity = |zone: &model::ZoneConfig, why: &str| match zone.source.feed().map(FeedSource::kind) {
        Some(feed) if feed.never_fetched == why => DiagnosticSeverity::Note, // every new copy starts this way
        Some(feed) if feed.expired == Some(why) => DiagnosticSeverity::Warning, // only the next transfer fixes it, not a file
        _ => DiagnosticSeverity::Error,
    };
    for (zone, status) in config.zones.iter().zip(store.zones()) {
        let Some((_, why)) = status.state.error.as_ref().filter(|_| status.zone.is_none()) else { continue };
        if problems.iter().any(|problem| problem.severity == DiagnosticSeverity::Error && why.contains(&problem.message)) {
            continue;
        }
        match without_data.iter_mut().find(|(first, other, _)| (first.line, *other) == (zone.line, why.as_str())) {
            Some((_, _, zones)) => zones.push(&zone.name),
            None => without_data.push((zone, why, vec![&zone.name])),
        }
    }
    problems.extend(without_data.into_iter().map(|(zone, why, zones)| FileDiagnostic {
        file: config.path.clone().unwrap_or_default(),
        line: zone.line,
        column: 1,
        severity: severity(zone, why),
        message: format!("{} would have no data: {why}", zones.join(", ")),
        help: String::new(),
    }));
    problems.extend(counts::empty_zones(config, &store));
    (problems, ZoneCount::all(config, &store))
}

/// Returns problems of the API key file.
fn in_keys(path: &Path) -> Option<FileDiagnostic> {
    let wrong = postern_control::http::check_keys(path).err()?;
    let (line, column) = wrong.place.unwrap_or_default();
    let (line, column) = (u32::try_from(line).unwrap_or(u32::MAX), u32::try_from(column).unwrap_or(u32::MAX));
    Some(FileDiagnostic {
        file: path.into(),
        line,
        column,
        severity: DiagnosticSeverity::Error,
        message: wrong.message,
        help: String::new(),
    })
}

/// Converts a problem of records to a problem of a file.
fn of_record(problem: SourceProblem) -> FileDiagnostic {
    let severity = match problem.severity {
        record::Severity::Error => DiagnosticSeverity::Error,
        record::Severity::Warning => DiagnosticSeverity::Warning,
    };
    let (file, message, help) = (problem.file.to_path_buf(), problem.message, problem.help);
    FileDiagnostic { file, line: problem.at.line, column: problem.at.column, severity, message, help }
}

fn summary(config: Option<&PosternConfig>, errors: usize, warnings: usize) -> String {
    let counted = |count: usize, word: &str| if count == 1 { format!("1 {word}") } else { format!("{count} {word}s") };
    let mut text = match (errors, warnings) {
        (0, 0) => "fine".to_string(),
        (0, _) => counted(warnings, "warning"),
        (_, 0) => counted(errors, "error"),
        _ => format!("{}, {}", counted(errors, "error"), counted(warnings, "warning")),
    };
    match config {
        Some(config) => {
            let (networks, zones, routes) = (config.networks.len(), config.zones.len(), config.forwards.len());
            text += &format!(" ({}, {}, {})", counted(networks, "network"), counted(zones, "zone"), counted(routes, "route"));
        }
        None => text += " (zones were not read)",
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_text(text: &str, strict: bool, format: Format) -> (u8, String) {
        let directory = tempfile::tempdir().unwrap();
        let config = directory.path().join("postern.toml");
        std::fs::write(&config, text).unwrap();
        let mut out = Vec::new();
        let status = check(&CheckArgs { config, config_only: false, quiet: false, strict, format }, None, &mut out);
        (status, String::from_utf8(out).unwrap().replace(&format!("{}/", directory.path().display()), ""))
    }

    const WARNS: &str = "[[forward]]\nzone = '.'\nupstreams = ['192.0.2.53', '192.0.2.53']\n";

    #[test]
    fn the_exit_status_tells_errors_from_warnings() {
        for (text, strict, status, last) in [
            ("", false, 0, "postern.toml: fine (1 network, 0 zones, 1 route)"),
            ("", true, 0, "postern.toml: fine (1 network, 0 zones, 1 route)"),
            (WARNS, false, 0, "postern.toml: 1 warning (1 network, 0 zones, 1 route)"),
            (WARNS, true, 2, "postern.toml: 1 warning (1 network, 0 zones, 1 route)"),
            ("[server]\nlisten = []\nworker = 0\n", false, 1, "postern.toml: 2 errors (zones were not read)"),
            ("[server]\nlisten = []\nworker = 0\n", true, 1, "postern.toml: 2 errors (zones were not read)"),
        ] {
            let (got, said) = check_text(text, strict, Format::Human);
            assert_eq!((got, said.lines().last()), (status, Some(last)), "{text} {strict}: {said}");
        }
    }

    #[test]
    fn a_missing_file_is_an_error() {
        let args = CheckArgs { config: "none/postern.toml".into(), config_only: false, quiet: true, strict: false, format: Format::Human };
        let mut out = Vec::new();
        assert_eq!(check(&args, None, &mut out), 1);
        assert!(String::from_utf8(out).unwrap().starts_with("none/postern.toml: error: cannot read the configuration"));
    }

    #[test]
    fn json_says_the_same_as_the_lines() {
        let (status, said) = check_text(WARNS, false, Format::Json);
        let said: serde_json::Value = serde_json::from_str(&said).unwrap();
        let problem = json!({
            "file": "postern.toml", "line": 3, "column": 28, "severity": "warning",
            "message": "the upstream 192.0.2.53:53 is listed twice", "help": "remove one",
        });
        assert_eq!((status, said), (0, json!({"file": "postern.toml", "errors": 0, "warnings": 1, "problems": [problem], "zones": []})));
    }

    #[test]
    fn the_records_of_the_zones_are_checked_too() {
        let directory = tempfile::tempdir().unwrap();
        let zones = directory.path().join("zones");
        std::fs::create_dir(&zones).unwrap();
        std::fs::write(zones.join("privatelink.azurehealthcareapis.com.zone"), "contosows-fhir1.fhir 10 IN A 10.20.1.5\n").unwrap();
        std::fs::write(zones.join("privatelink.dicom.azurehealthcareapis.com.zone"), "contosows-dicom1 10 IN A 10.20.1.300\n").unwrap();
        let config = directory.path().join("postern.toml");
        let text = "[[zone]]\npreset = \"azure-health-data-services\"\ndirectory = \"zones\"\n\n[[zone]]\nname = \"a.test\"\nfile = \"none.zone\"\n\n\
                    [[zone]]\nname = \"b.test\"\ndirectory = \"none\"\n";
        std::fs::write(&config, text).unwrap();
        let mut out = Vec::new();
        assert_eq!(
            check(
                &CheckArgs { config: config.clone(), config_only: false, quiet: true, strict: false, format: Format::Human },
                None,
                &mut out
            ),
            1
        );
        let said = String::from_utf8(out).unwrap().replace(&format!("{}/", directory.path().display()), "");
        let lines: Vec<&str> = said.lines().collect();
        assert!(lines[0].starts_with("zones/privatelink.dicom.azurehealthcareapis.com.zone:1:26: error: "), "{said}");
        assert!(said.contains("none.zone"), "{said}");
        assert!(said.contains("postern.toml:9:1: error: b.test would have no data: "), "{said}");
        assert_eq!(lines.last().copied(), Some("postern.toml: 3 errors (1 network, 6 zones, 1 route)"), "{said}");
    }

    #[test]
    fn a_zone_that_a_secondary_would_reject_is_a_warning() {
        let text = "[[zone]]\nname = 'filed.test'\nfile = 'filed.zone'\ntransfer-to = ['192.0.2.1']\n\n\
                    [[zone]]\nname = 'named.test'\nfile = 'filed.zone'\nnotify = ['192.0.2.1']\ntransfer-to = ['192.0.2.1']\nname-servers = ['ns.test']\n\n\
                    [[zone]]\nname = 'made.test'\napi = true\ntransfer-to = ['192.0.2.1']\n\n\
                    [[zone]]\nname = 'kept.test'\nfile = 'filed.zone'\n";
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("filed.zone"), "www 10 IN A 10.0.0.1\n").unwrap();
        let config = directory.path().join("postern.toml");
        std::fs::write(&config, text).unwrap();
        let mut out = Vec::new();
        assert_eq!(check(&CheckArgs { config, config_only: false, quiet: false, strict: true, format: Format::Human }, None, &mut out), 2);
        let said = String::from_utf8(out).unwrap();
        let warnings: Vec<&str> = said.lines().filter(|line| line.contains("warning:")).collect();
        assert_eq!(warnings.len(), 1, "{said}");
        assert!(warnings[0].contains("postern.toml:1:1: warning: secondaries will reject filed.test: it has no NS records"), "{said}");
    }

    #[test]
    fn a_secondary_that_was_never_transferred_is_a_note_and_records_are_left_out_where_asked() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("bad.zone"), "www IN A 10.1.1\n").unwrap();
        let config = directory.path().join("postern.toml");
        let secondary = "[[zone]]\nname = \"corp.contoso.com\"\nprimaries = [\"192.0.2.10\"]\n";
        let bad = "[[zone]]\nname = \"a.test\"\nfile = \"bad.zone\"\n";
        for (text, config_only, status, told) in [
            (secondary.to_string(), false, 0, "note: corp.contoso.com would have no data: it was not transferred from its primary yet"),
            (format!("{secondary}{bad}"), false, 1, "bad.zone:1:10: error: "),
            (format!("{secondary}{bad}"), true, 0, "postern.toml: fine (1 network, 2 zones, 1 route)"),
            (format!("{secondary}{bad}colour = 1\n"), true, 1, "error: unknown key `colour`"),
        ] {
            std::fs::write(&config, text).unwrap();
            let mut out = Vec::new();
            let got =
                check(&CheckArgs { config: config.clone(), config_only, quiet: true, strict: true, format: Format::Human }, None, &mut out);
            let said = String::from_utf8(out).unwrap();
            assert_eq!(got, status, "{said}");
            assert!(said.contains(told), "{told}: {said}");
        }
    }

    #[test]
    fn the_sample_is_clean() {
        let args =
            CheckArgs { config: "config/postern.toml".into(), config_only: false, quiet: false, strict: true, format: Format::Human };
        let mut out = Vec::new();
        let status = check(&args, None, &mut out);
        assert_eq!(status, 0, "{}", String::from_utf8(out).unwrap());
    }
}
