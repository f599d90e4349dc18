//! Records of the files, and the zone that each belongs to.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use postern_config::azure::PrivateLinkTable;
use postern_config::model::SourceFormat;
use postern_zones::name::NameBuf;
use postern_zones::record::{RecordRef, RecordSink, Severity, SourceProblem, TextPosition};
use postern_zones::store::NamedFile;
use postern_zones::text;
use postern_zones::zone::DEFAULT_TTL;

/// Type code of SOA (RFC 1035 section 3.2.2).
pub const SOA: u16 = 6;

/// One record of a file.
#[derive(Debug, Clone)]
pub struct ImportedRecord {
    pub owner: NameBuf,
    pub rtype: u16,
    /// Seconds, the default of zones if the file gives none.
    pub ttl: u32,
    pub rdata: Vec<u8>,
    pub file: Arc<PathBuf>,
    /// Place of the written name. Records that are spellings of one public name share it.
    pub at: TextPosition,
}

/// Records of all files.
#[derive(Debug, Default)]
pub struct ImportedRecords {
    pub records: Vec<ImportedRecord>,
    pub problems: Vec<SourceProblem>,
    /// Zones that the files name: by file name, or by a SOA record. Lower case, without final dot.
    pub zones: BTreeSet<String>,
}

/// Where the records go.
#[derive(Debug, Default)]
pub struct ImportPlan {
    /// Records by the index of their zone.
    pub by_zone: BTreeMap<usize, Vec<ImportedRecord>>,
    /// One record for each written name that no zone takes.
    pub left_over: Vec<ImportedRecord>,
}

impl ImportedRecord {
    /// Returns the record in presentation format.
    pub fn line(&self) -> String {
        text::record_line(&self.owner, self.ttl, self.rtype, &self.rdata)
    }

    /// Returns `file:line` of the written name.
    pub fn place(&self) -> String {
        format!("{}:{}", self.file.display(), self.at.line)
    }
}

impl ImportedRecords {
    /// Reads a file. `zone` is the zone of relative names; `None`: the file name may give it.
    pub fn read(&mut self, path: &Path, bytes: &[u8], format: SourceFormat, zone: Option<&str>) {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let named = NamedFile::of(name).map(|file| file.zone).filter(|zone| zone == "." || zone.contains('.'));
        let format = if format == SourceFormat::Auto { text::detect(path, bytes) } else { format };
        let zone = zone.map(str::to_owned).or(named);
        let origin = zone.as_deref().and_then(|zone| NameBuf::parse(zone).ok()).unwrap_or_else(NameBuf::root);
        if let Some(zone) = zone.filter(|_| format == SourceFormat::Zone) {
            self.zones.insert(zone);
        }
        let file = Arc::new(path.to_owned());
        let mut sink = ImportSink { records: &mut self.records, file: file.clone() };
        let table = PrivateLinkTable::builtin();
        let includes = path.parent().map(|root| text::IncludeScope { root, most: postern_config::LARGEST });
        text::read(format, bytes, &file, &origin, includes, table, &mut sink, &mut self.problems);
        let apexes = self.records.iter().filter(|record| record.rtype == SOA);
        self.zones.extend(apexes.map(|record| record.owner.without_dot().to_string().to_ascii_lowercase()));
    }

    /// Returns true if a file has an error, so that nothing is imported.
    pub fn has_errors(&self) -> bool {
        self.problems.iter().any(|problem| problem.severity == Severity::Error)
    }

    /// Returns the private-link zones that the records need.
    pub fn private_zones(&self) -> BTreeSet<String> {
        let table = PrivateLinkTable::builtin();
        let names = self.records.iter().map(|record| record.owner.without_dot().to_string().to_ascii_lowercase());
        names.filter_map(|name| table.private_zone_of(&name).map(str::to_owned)).collect()
    }

    /// Sends each record to the zone with the longest matching name, which may exist several times.
    pub fn plan(self, zones: &[String]) -> ImportPlan {
        let apexes: Vec<Option<NameBuf>> = zones.iter().map(|zone| NameBuf::parse(zone).ok()).collect();
        let mut plan = ImportPlan::default();
        let mut taken = BTreeSet::new();
        let mut refused = Vec::new();
        for record in self.records {
            let under = |apex: &NameBuf| record.owner.is_under(apex.as_wire());
            let longest = apexes.iter().flatten().filter(|apex| under(apex)).map(NameBuf::len).max();
            let Some(longest) = longest else {
                refused.push(record);
                continue;
            };
            taken.insert((record.file.clone(), record.at));
            for (index, _) in
                apexes.iter().enumerate().filter(|(_, apex)| apex.as_ref().is_some_and(|apex| under(apex) && apex.len() == longest))
            {
                plan.by_zone.entry(index).or_default().push(record.clone());
            }
        }
        // A public name counts as used if one of its private-link names is.
        for record in refused {
            if taken.insert((record.file.clone(), record.at)) {
                plan.left_over.push(record);
            }
        }
        plan
    }
}

/// Takes the records of one file and of the files that it includes.
struct ImportSink<'s> {
    records: &'s mut Vec<ImportedRecord>,
    file: Arc<PathBuf>,
}

impl RecordSink for ImportSink<'_> {
    fn record(&mut self, record: RecordRef<'_>) {
        let RecordRef { owner, rtype, ttl, rdata, at } = record;
        let (owner, rdata, ttl) = (owner.clone(), rdata.to_vec(), ttl.unwrap_or(DEFAULT_TTL));
        self.records.push(ImportedRecord { owner, rtype, ttl, rdata, file: self.file.clone(), at });
    }

    fn file(&mut self, file: &Arc<PathBuf>) {
        self.file = file.clone();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gathered(files: &[(&str, &str)]) -> ImportedRecords {
        let mut gathered = ImportedRecords::default();
        for (name, text) in files {
            gathered.read(Path::new(name), text.as_bytes(), SourceFormat::Auto, None);
        }
        gathered
    }

    #[test]
    fn each_record_goes_to_the_longest_zone_and_the_rest_is_left_over() {
        let files = [
            ("a.hosts", "10.1.0.4 contosostore.blob.core.windows.net\n10.1.0.5 www.eu.contoso.test www.fabrikam.test\n"),
            ("contoso.test.zone", "app 60 IN A 10.0.0.1\n"),
        ];
        let gathered = gathered(&files);
        assert!(!gathered.has_errors());
        assert_eq!(gathered.private_zones().into_iter().collect::<Vec<_>>(), ["privatelink.blob.core.windows.net"]);
        let zones = ["contoso.test", "eu.contoso.test", "privatelink.blob.core.windows.net", "eu.contoso.test"].map(String::from);
        let plan = gathered.plan(&zones);
        let lines = |index: usize| plan.by_zone[&index].iter().map(ImportedRecord::line).collect::<Vec<_>>();
        assert_eq!(lines(0), ["app.contoso.test. 60 IN A 10.0.0.1"]);
        assert_eq!(lines(1), ["www.eu.contoso.test. 10 IN A 10.1.0.5"]);
        assert_eq!(lines(1), lines(3), "a zone of two networks gets it twice");
        assert_eq!(lines(2), ["contosostore.privatelink.blob.core.windows.net. 10 IN A 10.1.0.4"]);
        let left: Vec<String> = plan.left_over.iter().map(|record| format!("{} {}", record.place(), record.line())).collect();
        assert_eq!(left, ["a.hosts:2 www.fabrikam.test. 10 IN A 10.1.0.5"]);
    }

    #[test]
    fn a_zone_file_names_its_zone_by_its_name_or_its_soa() {
        let gathered = gathered(&[("db.contoso.test", "www 60 A 10.0.0.1\n"), ("x.txt", "fabrikam.test. 60 SOA ns. admin. 1 2 3 4 5\n")]);
        assert_eq!(gathered.zones.iter().collect::<Vec<_>>(), ["contoso.test", "fabrikam.test"]);
    }
}
