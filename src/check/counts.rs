//! Number of records in each zone, and the files that they come from.

use std::io::{self, Write};
use std::path::Path;

use postern_config::model::{FileSource, NetworkLinks, PosternConfig, ZoneSource};
use postern_config::{DiagnosticSeverity, FileDiagnostic};
use postern_zones::store::{Store, ZoneStatus, file_names};
use serde_json::{Value, json};

use crate::print::laid_out;

/// Default width of a terminal.
const WIDTH: usize = 80;
/// Number of files of a zone that are named. Further files are only counted.
const MOST_FILES: usize = 5;

/// A zone with its number of records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZoneCount {
    zone: String,
    /// Empty means all networks.
    networks: NetworkLinks,
    /// `None` if the zone has no data.
    records: Option<usize>,
    /// Files of the zone. Those below the directory of the configuration are relative to it.
    files: Vec<String>,
    /// Name of the writer if it is not files.
    writer: Option<&'static str>,
}

impl ZoneCount {
    /// Counts the records of each zone of a configuration after its sources are loaded.
    pub fn all(config: &PosternConfig, store: &Store) -> Vec<Self> {
        let root = config.path.as_deref().and_then(Path::parent).unwrap_or(Path::new(""));
        store.zones().zip(config.zones.iter().chain(&config.overrides)).map(|(status, _)| Self::of(&status, root)).collect()
    }

    fn of(status: &ZoneStatus<'_>, root: &Path) -> Self {
        let shown = |path: &Path| path.strip_prefix(root).unwrap_or(path).display().to_string();
        let writer = match status.source {
            ZoneSource::Api => Some("the API"),
            ZoneSource::Feed(feed) => Some(feed.kind().origin),
            ZoneSource::Files(_) => None,
        };
        let mut files: Vec<&Path> = status.zone.map_or_else(Vec::new, |zone| zone.files().into_iter().map(|path| path.as_path()).collect());
        if files.is_empty() {
            files = status.files.iter().filter(|file| file.records > 0).map(|file| file.path.as_path()).collect();
        }
        Self {
            zone: status.name.to_string(),
            networks: status.networks.clone(),
            // SOA and NS records that the server generates belong to no file.
            records: status.zone.map(|zone| zone.counts().records.min(if writer.is_some() { usize::MAX } else { given(status) })),
            files: files.into_iter().map(shown).collect(),
            writer,
        }
    }

    /// Returns this zone as part of the JSON object.
    pub fn json(&self) -> Value {
        json!({"name": self.zone, "networks": self.networks.names(), "records": self.records, "files": self.files})
    }

    fn from(&self) -> String {
        let more = self.files.len().saturating_sub(MOST_FILES);
        let mut from = self.files.iter().take(MOST_FILES).cloned().collect::<Vec<_>>().join(", ");
        if more > 0 {
            from += &format!(" and {more} more");
        }
        self.writer.map(String::from).unwrap_or(from)
    }
}

/// Prints a table. Files that do not fit beside their zone continue on the next line. If the
/// terminal is too narrow for that, all cells are wrapped.
pub fn print(counts: &[ZoneCount], room: Option<usize>, out: &mut impl Write) -> io::Result<()> {
    if counts.is_empty() {
        return Ok(());
    }
    let rows: Vec<[String; 4]> = counts
        .iter()
        .map(|count| {
            let records = count.records.map_or("-".into(), |records| records.to_string());
            [count.zone.clone(), count.networks.to_string(), records, count.from()]
        })
        .collect();
    let is_wide = |row: &[String; 4], room| {
        row[..3].iter().map(|cell| cell.chars().count() + 2).sum::<usize>().max(9 + row[3].chars().count()) > room
    };
    if room.is_some_and(|room| rows.iter().any(|row| is_wide(row, room))) {
        let titles = ["ZONE", "NETWORKS", "RECORDS", "FROM"].map(String::from);
        let all: Vec<Vec<String>> = std::iter::once(titles).chain(rows).map(Vec::from).collect();
        return out.write_all(laid_out(&all, room).as_bytes());
    }
    let width = |column: usize, title: &str| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0).max(title.len());
    let [zone, network, records] = [width(0, "ZONE"), width(1, "NETWORKS"), width(2, "RECORDS")];
    writeln!(out, "{:zone$}  {:network$}  {:>records$}  FROM", "ZONE", "NETWORKS", "RECORDS")?;
    for [name, networks, count, from] in &rows {
        let line = format!("{name:zone$}  {networks:network$}  {count:>records$}");
        match line.chars().count() + 2 + from.chars().count() {
            _ if from.is_empty() => writeln!(out, "{line}")?,
            ..=WIDTH => writeln!(out, "{line}  {from}")?,
            _ => writeln!(out, "{line}\n    from {from}")?,
        }
    }
    Ok(())
}

/// Returns the number of records in the files of a zone.
fn given(status: &ZoneStatus<'_>) -> usize {
    status.files.iter().map(|file| file.records as usize).sum()
}

/// Returns warnings for zones without records. A preset gets a warning only if all of its zones are
/// empty, because few operators use every service.
pub fn empty_zones(config: &PosternConfig, store: &Store) -> Vec<FileDiagnostic> {
    let statuses: Vec<ZoneStatus<'_>> = store.zones().collect();
    let is_empty = |status: &ZoneStatus<'_>| status.zone.is_some() && given(status) == 0;
    let mut warnings = Vec::new();
    for (index, (zone, status)) in config.zones.iter().zip(&statuses).enumerate() {
        let is_first = config.zones[..index].last().is_none_or(|before| before.line != zone.line);
        let of_table = || config.zones.iter().zip(&statuses).filter(|(other, _)| other.line == zone.line);
        if zone.allow_empty || !is_first || !of_table().all(|(_, status)| is_empty(status)) {
            continue;
        }
        let Some(files) = status.source.files() else { continue };
        let (message, help) = match files {
            FileSource::Directory { path } if zone.preset => (
                format!("no zone of this preset gets a record: {} has none for them", path.display()),
                format!("each zone reads a file of its name, such as {}.zone, and all of them *.json and *.hosts", zone.name),
            ),
            FileSource::Directory { path } => (
                format!("zone `{}` gets no records: {} has no file for it, or only empty ones", zone.name, path.display()),
                format!("it reads {}", file_names(&zone.name)),
            ),
            FileSource::File { path, .. } | FileSource::Lines { path, .. } => {
                (format!("zone `{}` gets no records from {}", zone.name, path.display()), String::new())
            }
        };
        let file = config.path.clone().unwrap_or_default();
        warnings.push(FileDiagnostic { file, line: zone.line, column: 1, severity: DiagnosticSeverity::Warning, message, help });
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_stand_beside_their_zone_where_they_fit() {
        let count = |zone: &str, networks: &[&str], records, files: &[&str], writer| ZoneCount {
            zone: zone.into(),
            networks: NetworkLinks::of_list(networks.iter().map(|name| name.to_string()).collect()),
            records,
            files: files.iter().map(|name| name.to_string()).collect(),
            writer,
        };
        let long = "privatelink.azurehealthcareapis.com";
        let file = format!("zones/{long}.zone");
        let many = ["a.json", "b.json", "c.json", "d.json", "e.json", "f.json", "g.json"];
        let counts = [
            count(long, &["hub"], Some(2), &[&file], None),
            count("corp.contoso.com", &[], Some(1200), &["corp.zone"], None),
            count("lab.contoso.com", &["hub", "spoke"], Some(0), &[], None),
            count("bad.contoso.com", &["hub"], None, &[], None),
            count("api.contoso.com", &["hub"], Some(3), &[], Some("the API")),
            count("all.contoso.com", &["hub"], Some(7), &many, None),
        ];
        let mut out = Vec::new();
        print(&counts, None, &mut out).unwrap();
        let want = "\
ZONE                                 NETWORKS   RECORDS  FROM
privatelink.azurehealthcareapis.com  hub              2
    from zones/privatelink.azurehealthcareapis.com.zone
corp.contoso.com                     all           1200  corp.zone
lab.contoso.com                      hub,spoke        0
bad.contoso.com                      hub              -
api.contoso.com                      hub              3  the API
all.contoso.com                      hub              7
    from a.json, b.json, c.json, d.json, e.json and 2 more
";
        assert_eq!(String::from_utf8(out).unwrap(), want);
    }
}
