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

/// Returns the tour with its headings. The steps build on one another, and need the words that
/// [`tour_words`] defines.
pub fn steps() -> Vec<(&'static str, Vec<TourStep>)> {
    vec![
        ("Private: an alias into the private zone, then your record. The public end of\n# the chain is cut off.", private_steps()),
        ("Public: the first five write a fallback line with this reason, and with the\n# record that would mend it.", public_steps()),
        ("Reload without a restart: the next answer has the change.", reload_steps()),
        ("Look into the running server.", insight_steps()),
    ]
}

/// Returns the lines that define the words of the tour's commands for `sh`: `q` sends a question,
/// `$zone` is a file in the directory of the sample, and `postern` is the running program.
pub fn tour_words(listen: SocketAddr, directory: &Path, program: Option<&Path>) -> Vec<String> {
    let mut words = vec![format!("cd {}", shell(directory))];
    words.extend(program.and_then(Path::parent).map(|place| format!("PATH=\"$PATH:\"{}", shell(place))));
    words.push(format!("q() {{ dig @{} -p {} +short \"$@\"; }}", listen.ip(), listen.port()));
    words.push(format!("zone={HEALTH_ZONE}"));
    words
}

/// Creates the step of a question from its arguments for `dig`, the lines printed, and the
/// expected result in words.
fn ask(question: &str, prints: &[&str], expect: &str) -> TourStep {
    TourStep {
        expect: expect.to_owned(),
        command: format!("q {question}"),
        prints: prints.iter().map(|line| (*line).to_owned()).collect(),
        fallback: None,
    }
}

fn private_steps() -> Vec<TourStep> {
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
        ask("contosows-fhir1.fhir.azurehealthcareapis.com AAAA", &[FHIR1_ALIAS], "no public data leaks"),
        ask("contosows-fhir1.fhir.azurehealthcareapis.com HTTPS", &[FHIR1_ALIAS], "nor here"),
        ask(
            "contosolab-fhir1.fhir.azurehealthcareapis.com",
            &["contosolab-fhir1.fhir.privatelink.azurehealthcareapis.com.", "10.20.5.5"],
            "10.20.5.5, hosts file",
        ),
        ask(
            "contosostorea.blob.core.windows.net",
            &["contosostorea.privatelink.blob.core.windows.net.", "10.20.3.4"],
            "10.20.3.4, Azure JSON",
        ),
        ask("contoso-kv2.vault.azure.net", &["contoso-kv2.privatelink.vaultcore.azure.net.", "10.20.4.9"], "10.20.4.9, a wildcard"),
    ]
}

fn public_steps() -> Vec<TourStep> {
    let falls_back =
        |reason: &'static str, question: &str, prints: &[&str]| TourStep { fallback: Some(reason), ..ask(question, prints, reason) };
    let public_fhir = |first: &'static str| [&[first][..], &PUBLIC_FHIR[..]].concat();
    vec![
        falls_back("no-record", FHIR3, &public_fhir(FHIR3_ALIAS)),
        falls_back(
            "no-record",
            "fabrikamws-fhir.fhir.azurehealthcareapis.com",
            &[
                "fabrikamws-fhir.fhir.privatelink.azurehealthcareapis.com.",
                "ahds-fhir-neu.trafficmanager.net.",
                "ahds-fhir-neu-001.cloudapp.contoso.test.",
                "198.51.100.20",
            ],
        ),
        falls_back("no-private-cname", "contosows-fhir4.fhir.azurehealthcareapis.com", &PUBLIC_FHIR),
        falls_back(
            "no-zone",
            "contoso-orders.documents.azure.com",
            &["contoso-orders.privatelink.documents.azure.com.", "cdb-ms-prod-weu1.cloudapp.contoso.test.", "203.0.113.70"],
        ),
        falls_back("other-network", "-b 127.0.0.3 contosows-fhir1.fhir.azurehealthcareapis.com", &public_fhir(FHIR1_ALIAS)),
        ask(
            "fabrikampub-workspace.azurehealthcareapis.com",
            &["ahds-ws-weu.trafficmanager.net.", "ahds-ws-weu-001.cloudapp.contoso.test.", "203.0.113.10"],
            "no private link",
        ),
        ask("www.contoso.test", &["203.0.113.80"], "an ordinary name"),
    ]
}

fn command(command: &str, expect: &str) -> TourStep {
    TourStep { expect: expect.to_owned(), command: command.to_owned(), prints: Vec::new(), fallback: None }
}

fn reload_steps() -> Vec<TourStep> {
    vec![
        command("echo 'contosows-fhir3.fhir 10 IN A 10.20.1.11' >> $zone", "the missing record"),
        ask(FHIR3, &[FHIR3_ALIAS, "10.20.1.11"], "10.20.1.11 now"),
        command("echo 'oops' >> $zone", "see the log"),
        ask(FHIR3, &[FHIR3_ALIAS, "10.20.1.11"], "still right"),
        command("sed -i '/oops/d' $zone", "mended"),
    ]
}

fn insight_steps() -> Vec<TourStep> {
    vec![
        command("postern explain contosows-fhir1.fhir.azurehealthcareapis.com", "each hop"),
        command("postern fallbacks", "what went public"),
        command("postern status", "zones, upstreams"),
        command("postern records list privatelink.azurehealthcareapis.com", "your data"),
    ]
}

/// Formats the tour as it is printed at startup, one line per step. Lines have at most 80 columns
/// unless a path is longer.
pub fn tour(listen: SocketAddr, directory: &Path, program: Option<&Path>) -> String {
    let mut text = tour_words(listen, directory, program).join("\n") + "\n";
    for (heading, steps) in steps() {
        let wide = steps.iter().map(|step| step.command.chars().count()).max().unwrap_or(0);
        // Writing to a string cannot fail.
        let _ = writeln!(text, "\n# {heading}");
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
        let tour = tour(listen, Path::new("/run/postern-lab"), Some(Path::new("/usr/bin/postern")));
        assert!(tour.lines().count() <= 45, "{tour}");
        for line in tour.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            assert!(["q", "echo ", "sed ", "postern ", "cd ", "PATH=", "zone="].iter().any(|command| line.starts_with(command)), "{line}");
            assert!(line.chars().count() <= 80, "{line}");
        }
    }
}
