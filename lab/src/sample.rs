//! `postern serve --lab`: a sample configuration with its zones, and a tour of it.

use std::fmt::Write as _;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use postern_config::model::PosternConfig;

/// The files of the sample: path relative to the directory, and content.
pub const FILES: &[(&str, &str)] = &[
    ("postern.toml", include_str!("../zones/postern.toml")),
    (HEALTH_ZONE, include_str!("../zones/zones/privatelink.azurehealthcareapis.com.zone")),
    ("zones/privatelink.dicom.azurehealthcareapis.com.zone", include_str!("../zones/zones/privatelink.dicom.azurehealthcareapis.com.zone")),
    ("zones/privatelink.fhir.azurehealthcareapis.com.zone", include_str!("../zones/zones/privatelink.fhir.azurehealthcareapis.com.zone")),
    (
        "zones/privatelink.workspace.azurehealthcareapis.com.zone",
        include_str!("../zones/zones/privatelink.workspace.azurehealthcareapis.com.zone"),
    ),
    ("zones/portal.hosts", include_str!("../zones/zones/portal.hosts")),
    ("exports/blob.json", include_str!("../zones/exports/blob.json")),
    ("exports/privatelink.vaultcore.azure.net.zone", include_str!("../zones/exports/privatelink.vaultcore.azure.net.zone")),
];

/// The file that the tour edits.
const HEALTH_ZONE: &str = "zones/privatelink.azurehealthcareapis.com.zone";

/// A sample that was written to disk.
#[derive(Debug, Clone)]
pub struct LabSample {
    /// Directory of the files.
    pub directory: PathBuf,
    /// Configuration of the sample, read back from its `postern.toml`. `postern serve -c` on that
    /// file serves the same.
    pub config: PosternConfig,
}

/// Writes the sample files into a directory, overwriting existing ones, and reads the
/// configuration. It listens on `listen` and forwards everything to `public`, the address of a
/// [`Lab`](crate::LabServer).
pub fn sample(directory: &Path, listen: SocketAddr, public: SocketAddr) -> io::Result<LabSample> {
    for (path, content) in FILES {
        let path = directory.join(path);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::write(path, content.replace("LISTEN", &listen.to_string()).replace("PUBLIC", &public.to_string()))?;
    }
    let loaded = postern_config::load(&directory.join("postern.toml")).map_err(|refused| {
        let problems: Vec<String> = refused.problems.iter().map(ToString::to_string).collect();
        io::Error::other(problems.join("\n"))
    })?;
    Ok(LabSample { directory: directory.to_owned(), config: loaded.config })
}

/// One step of the tour: a command and its expected result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TourStep {
    /// Description of the expected result.
    pub expect: String,
    /// Command line for `sh`.
    pub command: String,
    /// Lines that the command prints. Empty for edits, NXDOMAIN and NODATA without a CNAME.
    pub prints: Vec<String>,
    /// Reason of the fallback event that the command causes.
    pub fallback: Option<&'static str>,
}

const FHIR1: &str = "contosows-fhir1.fhir.azurehealthcareapis.com";
const FHIR1_ALIAS: &str = "contosows-fhir1.fhir.privatelink.azurehealthcareapis.com.";
const FHIR3: &str = "contosows-fhir3.fhir.azurehealthcareapis.com";
const FHIR3_ALIAS: &str = "contosows-fhir3.fhir.privatelink.azurehealthcareapis.com.";
/// The public end of the chain of a FHIR service.
const PUBLIC_FHIR: [&str; 4] =
    ["ahds-fhir-weu.trafficmanager.net.", "ahds-fhir-weu-001.cloudapp.contoso.test.", "203.0.113.20", "203.0.113.21"];

/// Returns the tour with its headings, for a server on `listen` with sample files in `directory`.
/// The steps build on one another.
pub fn steps(listen: SocketAddr, directory: &Path) -> Vec<(&'static str, Vec<TourStep>)> {
    let ask = |question: &str, prints: &[&str], expect: &str| TourStep {
        expect: expect.to_owned(),
        command: format!("dig @{} -p {} +short {question}", listen.ip(), listen.port()),
        prints: prints.iter().map(|line| (*line).to_owned()).collect(),
        fallback: None,
    };
    vec![
        ("Private: a CNAME into the private zone, then your record. The public end of the chain is cut off.", private_steps(&ask)),
        ("Public: each but the last two writes a fallback line with its reason, and the record that would mend it.", public_steps(&ask)),
        ("Reload: no restart, the next answer has it.", reload_steps(&ask, &shell(&directory.join(HEALTH_ZONE)))),
    ]
}

/// Creates the step of a question from its arguments for `dig`, the lines printed, and the
/// expected result in words.
type AskStep<'a> = &'a dyn Fn(&str, &[&str], &str) -> TourStep;

fn private_steps(ask: AskStep<'_>) -> Vec<TourStep> {
    vec![
        ask(
            "contosows-workspace.azurehealthcareapis.com",
            &["contosows-workspace.privatelink.azurehealthcareapis.com.", "10.20.1.4"],
            "10.20.1.4, the workspace",
        ),
        ask(FHIR1, &[FHIR1_ALIAS, "10.20.1.5"], "10.20.1.5, FHIR"),
        ask(
            "contosows-dicom1.dicom.azurehealthcareapis.com",
            &["contosows-dicom1.privatelink.dicom.azurehealthcareapis.com.", "10.20.1.7"],
            "10.20.1.7, DICOM",
        ),
        ask("contosows-fhir1.fhir.azurehealthcareapis.com AAAA", &[FHIR1_ALIAS], "CNAME alone: NODATA, nothing public leaks"),
        ask("contosows-fhir1.fhir.azurehealthcareapis.com HTTPS", &[FHIR1_ALIAS], "the same"),
        ask(
            "contosolab-fhir1.fhir.azurehealthcareapis.com",
            &["contosolab-fhir1.fhir.privatelink.azurehealthcareapis.com.", "10.20.5.5"],
            "10.20.5.5, from a hosts file",
        ),
        ask(
            "contosostorea.blob.core.windows.net",
            &["contosostorea.privatelink.blob.core.windows.net.", "10.20.3.4"],
            "10.20.3.4, from Azure JSON",
        ),
        ask("contoso-kv2.vault.azure.net", &["contoso-kv2.privatelink.vaultcore.azure.net.", "10.20.4.9"], "10.20.4.9, from a wildcard"),
    ]
}

fn public_steps(ask: AskStep<'_>) -> Vec<TourStep> {
    let falls_back =
        |reason, step: TourStep| TourStep { fallback: Some(reason), expect: format!("{} · fallback: {reason}", step.expect), ..step };
    let public_fhir = |first: &'static str| [&[first][..], &PUBLIC_FHIR[..]].concat();
    vec![
        falls_back("no-record", ask(FHIR3, &public_fhir(FHIR3_ALIAS), "public, a record is missing")),
        falls_back(
            "no-record",
            ask(
                "fabrikamws-fhir.fhir.azurehealthcareapis.com",
                &[
                    "fabrikamws-fhir.fhir.privatelink.azurehealthcareapis.com.",
                    "ahds-fhir-neu.trafficmanager.net.",
                    "ahds-fhir-neu-001.cloudapp.contoso.test.",
                    "198.51.100.20",
                ],
                "public, another tenant's",
            ),
        ),
        falls_back(
            "no-private-cname",
            ask("contosows-fhir4.fhir.azurehealthcareapis.com", &PUBLIC_FHIR, "public, it has no private endpoint"),
        ),
        falls_back(
            "no-zone",
            ask(
                "contoso-orders.documents.azure.com",
                &["contoso-orders.privatelink.documents.azure.com.", "cdb-ms-prod-weu1.cloudapp.contoso.test.", "203.0.113.70"],
                "public, no such zone here",
            ),
        ),
        falls_back(
            "other-network",
            ask(
                "-b 127.0.0.3 contosows-fhir1.fhir.azurehealthcareapis.com",
                &public_fhir(FHIR1_ALIAS),
                "public, asked from another network",
            ),
        ),
        ask(
            "fabrikampub-workspace.azurehealthcareapis.com",
            &["ahds-ws-weu.trafficmanager.net.", "ahds-ws-weu-001.cloudapp.contoso.test.", "203.0.113.10"],
            "public, rightly: no private link",
        ),
        ask("www.contoso.test", &["203.0.113.80"], "an ordinary name"),
    ]
}

fn reload_steps(ask: AskStep<'_>, zone: &str) -> Vec<TourStep> {
    let edit = |command: String, expect: &str| TourStep { expect: expect.to_owned(), command, prints: Vec::new(), fallback: None };
    vec![
        edit(format!("echo 'contosows-fhir3.fhir 10 IN A 10.20.1.11' >> {zone}"), "add the missing record"),
        ask(FHIR3, &[FHIR3_ALIAS, "10.20.1.11"], "10.20.1.11 now"),
        edit(format!("echo 'oops' >> {zone}"), "break the file: its line and column in the log"),
        ask(FHIR3, &[FHIR3_ALIAS, "10.20.1.11"], "the last good data serves on"),
        edit(format!("sed -i '/oops/d' {zone}"), "mend it"),
    ]
}

/// Formats the tour as it is printed at startup, one line per step.
pub fn tour(listen: SocketAddr, directory: &Path) -> String {
    let mut text = String::new();
    for (heading, steps) in steps(listen, directory) {
        let wide = steps.iter().map(|step| step.command.chars().count()).max().unwrap_or(0);
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{}# {heading}", if text.is_empty() { "" } else { "\n" });
        for step in steps {
            let _ = writeln!(text, "{:wide$}  # {}", step.command, step.expect);
        }
    }
    text
}

/// Quotes a path as one word for `sh`.
fn shell(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = text.chars().all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c));
    if plain { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use postern_config::model::{FileSource, OnMissing};

    use super::*;

    fn addresses() -> (SocketAddr, SocketAddr) {
        ("127.0.0.1:5300".parse().unwrap(), "127.0.0.1:5353".parse().unwrap())
    }

    #[test]
    fn the_sample_configuration_is_read_without_a_word() {
        let directory = tempfile::tempdir().unwrap();
        let (listen, public) = addresses();
        let sample = sample(directory.path(), listen, public).unwrap();
        let names: Vec<&str> = sample.config.zones.iter().map(|zone| zone.name.as_str()).collect();
        assert_eq!(names.len(), 6);
        assert!(names.contains(&"privatelink.dicom.azurehealthcareapis.com"), "{names:?}");
        assert_eq!(sample.config.server.listen, [listen]);
        let blob = sample.config.zones.iter().find(|zone| zone.name.contains("blob")).unwrap();
        assert_eq!(blob.on_missing, OnMissing::Nxdomain);
        let Some(FileSource::File { path, .. }) = blob.source.files() else { panic!("a file") };
        assert!(path.is_file(), "{}", path.display());
        let warnings = postern_config::load(&directory.path().join("postern.toml")).unwrap().warnings;
        assert!(warnings.is_empty(), "{warnings:?}");
    }

    #[test]
    fn paths_are_words_for_the_shell() {
        for (path, word) in [("/srv/lab-1", "/srv/lab-1"), ("/srv/a b", "'/srv/a b'"), ("/it's", r"'/it'\''s'")] {
            assert_eq!(shell(Path::new(path)), word);
        }
    }

    #[test]
    fn the_tour_is_short_and_every_line_is_a_command() {
        let (listen, _) = addresses();
        let tour = tour(listen, Path::new("/run/postern-lab"));
        assert!(tour.lines().count() <= 35, "{tour}");
        for line in tour.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            assert!(["dig ", "echo ", "sed "].iter().any(|command| line.starts_with(command)), "{line}");
        }
    }
}
