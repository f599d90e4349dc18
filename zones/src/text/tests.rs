//! What the readers have in common: a sink that keeps everything as text.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use postern_config::azure::PrivateLinkTable;
use postern_config::model::SourceFormat;

use super::rdata::{type_name, write_rdata};
use super::{IncludeScope, ReadSummary, read, read_zone_file};
use crate::name::NameBuf;
use crate::record::{RecordRef, RecordSink, SourceProblem};

/// Records as lines `owner ttl type rdata`.
#[derive(Default)]
pub struct Kept {
    pub lines: Vec<String>,
    pub places: Vec<(u32, u32)>,
    pub files: Vec<String>,
}

impl RecordSink for Kept {
    fn record(&mut self, record: RecordRef<'_>) {
        let mut data = String::new();
        if write_rdata(record.rtype, record.rdata, &mut data).is_err() {
            data = format!("BAD {:?}", record.rdata);
        }
        let ttl = record.ttl.map_or("-".to_owned(), |ttl| ttl.to_string());
        self.lines.push(format!("{} {ttl} {} {data}", record.owner, type_name(record.rtype)));
        self.places.push((record.at.line, record.at.column));
    }

    fn file(&mut self, file: &Arc<PathBuf>) {
        self.files.push(file.display().to_string());
    }
}

/// Records and problems of a zone file in the zone `contoso.test`.
pub fn zone(text: impl AsRef<[u8]>) -> (Vec<String>, Vec<String>) {
    let (kept, problems, _) = zone_in(text, Path::new("x.zone"), None);
    (kept.lines, problems)
}

pub fn zone_in(text: impl AsRef<[u8]>, file: &Path, root: Option<&Path>) -> (Kept, Vec<String>, ReadSummary) {
    let mut kept = Kept::default();
    let mut problems = Vec::new();
    let origin = NameBuf::parse("contoso.test").unwrap();
    let includes = root.map(|root| IncludeScope { root, most: 1 << 20 });
    let read = read_zone_file(text.as_ref(), &Arc::new(file.to_owned()), &origin, includes, &mut kept, &mut problems);
    assert_eq!(read.records as usize, kept.lines.len());
    (kept, problems.iter().map(SourceProblem::to_string).collect(), read)
}

#[test]
fn the_format_is_told_from_content_and_name() {
    use postern_config::model::SourceFormat::{Azure, Hosts, Zone};
    let cases: [(&str, &[u8], SourceFormat); 18] = [
        ("x.json", b"", Azure),
        ("x.zone", b"", Zone),
        ("x", b"", Zone),
        ("x.HOSTS", b"", Hosts),
        ("x.txt", include_bytes!("../../tests/data/azure/portal_host_file.txt"), Hosts),
        ("x.txt", include_bytes!("../../tests/data/azure/private_dns_zone_export.txt"), Zone),
        ("x.txt", include_bytes!("../../tests/data/azure/pe_show_manual.json"), Azure),
        ("x.zone", b"\xef\xbb\xbf\r\n [", Azure),
        ("x", b"\xff\xfe{\0", Azure),
        ("x", b"\xfe\xff\0#\0 ", Hosts),
        ("x", b"; a zone\n10 IN PTR a.test.", Zone),
        ("x", b"\n10.0.0.1\ta.test", Hosts),
        ("x", b"2001:db8::1 a.test", Hosts),
        ("x", b"10.0.0.1.in-addr.arpa. PTR a.test.", Zone),
        ("x.zone", b"10.0.0.1 a.test", Zone),
        ("hosts", b"127.0.0.1 localhost", Hosts),
        ("x.txt", b"\nWARNING: in preview\n[]", Azure),
        ("x.txt", b"WARNING: in preview\nwww A 10.0.0.1", Zone),
    ];
    for (path, text, want) in cases {
        assert_eq!(super::detect(Path::new(path), text), want, "{path} {text:?}");
    }
}

#[test]
fn lines_of_json_keep_the_place_of_their_errors() {
    let line = r#"{"fqdn": "a.blob.core.windows.net", "ipAddresses": ["10.1.0.400"], "x": 1}"#;
    let file = Arc::new(PathBuf::from("pe.json"));
    let origin = NameBuf::parse("privatelink.blob.core.windows.net").unwrap();
    let (mut kept, mut problems) = (Kept::default(), Vec::new());
    let text = format!("{line}\n{line}\n");
    read(SourceFormat::Auto, text.as_bytes(), &file, &origin, None, PrivateLinkTable::builtin(), &mut kept, &mut problems);
    let first = problems.iter().map(ToString::to_string).next().unwrap_or_default();
    assert!(first.contains("pe.json:1:") && first.contains("10.1.0.400") && !first.contains("looks like"), "{problems:?}");
}
