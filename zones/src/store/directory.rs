//! The files of a zone directory: which zone a file belongs to by its name, and what a file that no zone reads is probably meant to be.
//!
//! | name | content |
//! |---|---|
//! | `NAME.zone`, `NAME.db`, `NAME.dns`, `db.NAME` | zone file of NAME |
//! | `NAME.txt` | zone file of NAME, or another format if its first bytes show one |
//! | `NAME.hosts` | hosts file of NAME; in the directory of a preset, names of any of its zones |
//! | `NAME.json` | Azure's JSON, likewise |
//!
//! Letter case does not matter. The root zone is called `root`.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use postern_config::model::SourceFormat;

/// Kind of a file. A zone reads one file of each kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FileKind {
    /// A zone file.
    Zone,
    /// A hosts file.
    Hosts,
    /// Azure's JSON.
    Azure,
}

/// A file that belongs to a zone by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedFile {
    /// The zone, lower case, no final dot; `.` is the root.
    pub zone: String,
    /// Kind of the file.
    pub kind: FileKind,
    /// Its content, as far as its name shows it.
    pub format: SourceFormat,
    /// Of several files of one kind for one zone the lowest is read.
    rank: usize,
}

/// The files of a directory by the zone that their names give, the one that is read first.
#[derive(Debug, Default)]
pub struct Listing {
    by_zone: HashMap<(String, FileKind), Vec<(usize, String)>>,
    /// Names of all files, sorted; hidden ones are left out.
    pub names: Vec<String>,
}

/// Endings of zone files, best first. `db.NAME` comes after them.
const ENDINGS: [(&str, FileKind, SourceFormat); 6] = [
    (".zone", FileKind::Zone, SourceFormat::Zone),
    (".db", FileKind::Zone, SourceFormat::Zone),
    (".dns", FileKind::Zone, SourceFormat::Zone),
    (".txt", FileKind::Zone, SourceFormat::Auto),
    (".hosts", FileKind::Hosts, SourceFormat::Hosts),
    (".json", FileKind::Azure, SourceFormat::Azure),
];
const BEFORE: &str = "db.";

/// Endings of what editors, package managers and copying programs leave behind, and of documents.
const PASSED_OVER: [&str; 29] = [
    "~",
    ".swp",
    ".swo",
    ".swx",
    ".tmp",
    ".temp",
    ".bak",
    ".backup",
    ".old",
    ".orig",
    ".rej",
    ".part",
    ".partial",
    ".filepart",
    ".lock",
    ".rpmnew",
    ".rpmsave",
    ".rpmorig",
    ".dpkg-new",
    ".dpkg-old",
    ".dpkg-dist",
    ".dpkg-tmp",
    ".ucf-new",
    ".ucf-old",
    ".ucf-dist",
    ".jnl",
    ".md",
    ".sh",
    ".gz",
];

impl NamedFile {
    /// The zone and the kind of a file, from its name. Returns `None` if the name has no known form.
    pub fn of(name: &str) -> Option<Self> {
        let lower = name.to_ascii_lowercase();
        let zone = |text: &str| if text == "root" { ".".into() } else { text.to_owned() };
        let ended = ENDINGS.iter().enumerate().find_map(|(rank, ending)| Some((rank, ending, lower.strip_suffix(ending.0)?)));
        if let Some((rank, (_, kind, format), stem)) = ended.filter(|(.., stem)| !stem.is_empty() && !stem.starts_with(BEFORE)) {
            return Some(Self { zone: zone(stem), kind: *kind, format: *format, rank });
        }
        let stem = lower.strip_prefix(BEFORE).filter(|stem| !stem.is_empty())?;
        Some(Self { zone: zone(stem), kind: FileKind::Zone, format: SourceFormat::Zone, rank: ENDINGS.len() })
    }
}

impl Listing {
    /// Sorts the names of a directory's files.
    pub fn new(mut names: Vec<String>) -> Self {
        names.retain(|name| !name.starts_with('.'));
        names.sort_unstable();
        let mut by_zone: HashMap<_, Vec<_>> = HashMap::new();
        for name in &names {
            if let Some(NamedFile { zone, kind, rank, .. }) = NamedFile::of(name) {
                by_zone.entry((zone, kind)).or_default().push((rank, name.clone()));
            }
        }
        // Of two spellings of one name the lower case is the one that every version reads.
        let order = |(rank, name): &(usize, String)| (*rank, name.chars().any(|c| c.is_ascii_uppercase()), name.clone());
        by_zone.values_mut().for_each(|files| files.sort_by_key(order));
        Self { by_zone, names }
    }

    /// The file of a zone that is read.
    pub fn of_zone(&self, zone: &str, kind: FileKind) -> Option<&str> {
        let files = self.by_zone.get(&(zone.to_owned(), kind))?;
        files.first().map(|(_, name)| name.as_str())
    }
}

/// True for files that stand in a zone directory without being meant for a zone.
pub fn is_passed_over(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    let is_word = |word: &str| lower == word || lower.strip_prefix(word).is_some_and(|rest| rest.starts_with('.'));
    let is_version = lower.rsplit_once(".~").is_some_and(|(_, rest)| rest.ends_with('~'));
    lower.starts_with('.')
        || lower == "4913" // Vim tries with it whether it may write
        || lower.starts_with('#') && lower.ends_with('#')
        || ["readme", "license", "makefile", "dockerfile", "lost+found", "kustomization"].into_iter().any(is_word)
        || PASSED_OVER.iter().any(|ending| lower.ends_with(ending))
        || is_version
}

/// Returns a sentence for the operator about a file that no zone reads: its probable purpose.
///
/// `zones` are those of the directory, `others` the hosted zones that read something else.
pub fn hint(path: &Path, zones: &[&str], others: &[&str], has_preset: bool, listing: &Listing) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let named = NamedFile::of(&name);
    if let Some(named) = named.as_ref().filter(|named| zones.contains(&named.zone.as_str())) {
        let read = listing.of_zone(&named.zone, named.kind).unwrap_or_default();
        return format!("zone {} is read from {read}; move the records of one into the other", shown(&named.zone));
    }
    let stem = named.as_ref().map_or_else(|| name.to_ascii_lowercase(), |named| named.zone.clone());
    if others.contains(&stem.as_str()) {
        return format!("zone {} is hosted, but has another source", shown(&stem));
    }
    let ending = match named.as_ref().map(|named| named.kind) {
        Some(FileKind::Hosts) => "hosts",
        Some(FileKind::Azure) => "json",
        _ => match start(path) {
            Some(start) if matches!(start.trim_ascii_start().first(), Some(b'{' | b'[')) => "json",
            Some(start) if crate::text::detect(Path::new("x"), &start) == SourceFormat::Hosts => "hosts",
            _ => "zone",
        },
    };
    if has_preset && ending != "zone" && named.is_none_or(|named| named.kind == FileKind::Zone) {
        let first = stem.split('.').next().unwrap_or_default();
        return format!("if it has records for these zones, rename it to {first}.{ending}");
    }
    match meant(path, &stem, zones) {
        Some(zone) => format!("if it is for zone {}, rename it to {}.{ending}", shown(zone), if zone == "." { "root" } else { zone }),
        None if zones.len() == 1 => format!("zone {} reads {}", shown(zones[0]), file_names(zones[0])),
        None => "its name must be that of a zone and `.zone`; or move it elsewhere".into(),
    }
}

/// The names of files that a zone reads.
pub fn file_names(zone: &str) -> String {
    let zone = if zone == "." { "root" } else { zone };
    format!("{zone}.zone (or .db, .dns, .txt, db.{zone}), {zone}.hosts and {zone}.json")
}

/// The zone that a file is probably meant for: its name contains that of the zone or is almost it, or its text names it.
fn meant<'z>(path: &Path, stem: &str, zones: &[&'z str]) -> Option<&'z str> {
    let contained = zones.iter().filter(|zone| **zone != "." && stem.contains(**zone)).max_by_key(|zone| zone.len());
    let near = || {
        let near = zones.iter().map(|zone| (strsim::damerau_levenshtein(stem, zone), zone));
        near.filter(|(distance, zone)| *distance <= 1 + zone.len() / 8).min().map(|(_, zone)| zone)
    };
    let inside = || {
        let origin = origin(&start(path)?)?;
        zones.iter().find(|zone| **zone == origin)
    };
    contained.or_else(near).or_else(inside).copied()
}

/// The name that `$ORIGIN` gives, or the absolute owner of a SOA, in the first lines of a zone file.
fn origin(start: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(start);
    let named = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let is_origin = words.first().is_some_and(|word| word.eq_ignore_ascii_case("$ORIGIN"));
        let is_soa = !line.starts_with([' ', '\t', ';', '$']) && words.iter().take(5).any(|word| word.eq_ignore_ascii_case("SOA"));
        let name = if is_origin { words.get(1) } else { words.first().filter(|_| is_soa) }?;
        name.strip_suffix('.').filter(|name| !name.is_empty()).map(str::to_ascii_lowercase)
    };
    text.lines().find_map(named)
}

/// The first bytes of a file.
fn start(path: &Path) -> Option<Vec<u8>> {
    const ENOUGH: u64 = 4096;
    let (file, _): (File, _) = postern_config::open(path).ok()?;
    let mut bytes = Vec::new();
    file.take(ENOUGH).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

fn shown(zone: &str) -> &str {
    if zone == "." { "`.`" } else { zone }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_gives_the_zone_and_the_kind_whatever_its_case() {
        let file = |name: &str| NamedFile::of(name).map(|file| (file.zone, file.kind, file.format));
        for (name, zone, kind, format) in [
            ("a.test.zone", "a.test", FileKind::Zone, SourceFormat::Zone),
            ("A.Test.ZONE", "a.test", FileKind::Zone, SourceFormat::Zone),
            ("a.test.txt", "a.test", FileKind::Zone, SourceFormat::Auto),
            ("a.test.dns", "a.test", FileKind::Zone, SourceFormat::Zone),
            ("a.test.db", "a.test", FileKind::Zone, SourceFormat::Zone),
            ("db.a.test", "a.test", FileKind::Zone, SourceFormat::Zone),
            ("DB.A.TEST", "a.test", FileKind::Zone, SourceFormat::Zone),
            ("a.test.Hosts", "a.test", FileKind::Hosts, SourceFormat::Hosts),
            ("a.test.json", "a.test", FileKind::Azure, SourceFormat::Azure),
            ("root.zone", ".", FileKind::Zone, SourceFormat::Zone),
            ("db.root", ".", FileKind::Zone, SourceFormat::Zone),
        ] {
            assert_eq!(file(name), Some((zone.into(), kind, format)), "{name}");
        }
        for name in ["a.test", ".zone", "db.", "a.test.zone.bak", "a.test.conf"] {
            assert_eq!(file(name), None, "{name}");
        }
    }

    #[test]
    fn of_several_files_of_a_zone_one_is_read() {
        let names = ["db.a.test", "a.test.TXT", "A.test.zone", "a.test.zone", "a.test.db", ".a.test.zone"].map(String::from);
        let mut listing = Listing::new(names.to_vec());
        assert_eq!(listing.names.len(), 5);
        for want in ["a.test.zone", "A.test.zone", "a.test.db", "a.test.TXT", "db.a.test"] {
            assert_eq!(listing.of_zone("a.test", FileKind::Zone), Some(want));
            listing = Listing::new(listing.names.into_iter().filter(|name| name != want).collect());
        }
        assert_eq!(listing.of_zone("a.test", FileKind::Zone), None);
    }

    #[test]
    fn what_editors_and_package_managers_leave_behind_is_passed_over() {
        for name in [
            "a.test.zone~",
            ".a.test.zone.swp",
            "a.zone.swp",
            "#a.test.zone#",
            ".#a.test.zone",
            "4913",
            "a.test.zone.rpmnew",
            "a.zone.bak",
            "README",
            "README.md",
            "readme.txt",
            "..data",
            "a.test.zone.dpkg-old",
            "a.zone.~1~",
            ".gitignore",
            "LICENSE",
            "a.zone.jnl",
        ] {
            assert!(is_passed_over(name), "{name}");
        }
        for name in ["a.test.txt", "hosts.txt", "pe.json.txt", "a.test", "readme-first.zone"] {
            assert!(!is_passed_over(name), "{name}");
        }
    }

    #[test]
    fn the_zone_that_a_file_is_probably_meant_for_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let zones = ["privatelink.blob.core.windows.net", "corp.contoso.com"];
        let said = |name: &str, text: &str, has_preset: bool| {
            let path = directory.path().join(name);
            std::fs::write(&path, text).unwrap();
            let listing = Listing::new(vec![name.into(), "corp.contoso.com.zone".into()]);
            hint(&path, &zones, &["other.test"], has_preset, &listing)
        };
        let record = "ws 10 IN A 10.20.1.5\n";
        for (name, text, has_preset, want) in [
            (
                "corp.contoso.com.txt",
                record,
                false,
                "zone corp.contoso.com is read from corp.contoso.com.zone; move the records of one into the other",
            ),
            ("other.test.zone", record, false, "zone other.test is hosted, but has another source"),
            ("corp.contosso.com.zone", record, false, "if it is for zone corp.contoso.com, rename it to corp.contoso.com.zone"),
            ("corp.contoso.com", record, false, "if it is for zone corp.contoso.com, rename it to corp.contoso.com.zone"),
            ("new-corp.contoso.com.conf", record, false, "if it is for zone corp.contoso.com, rename it to corp.contoso.com.zone"),
            (
                "blob.conf",
                "$TTL 10\n$ORIGIN privatelink.blob.core.windows.net.\n",
                false,
                "if it is for zone privatelink.blob.core.windows.net, rename it to privatelink.blob.core.windows.net.zone",
            ),
            (
                "corp",
                "corp.contoso.com. 300 IN SOA ns. admin. 1 2 3 4 5\n",
                false,
                "if it is for zone corp.contoso.com, rename it to corp.contoso.com.zone",
            ),
            ("hosts.txt", "10.20.1.5 ws1.example\n", true, "if it has records for these zones, rename it to hosts.hosts"),
            ("pe.json.txt", "[]\n", true, "if it has records for these zones, rename it to pe.json"),
            ("elsewhere.zone", record, false, "its name must be that of a zone and `.zone`; or move it elsewhere"),
        ] {
            assert_eq!(said(name, text, has_preset), want, "{name}");
        }
    }
}
