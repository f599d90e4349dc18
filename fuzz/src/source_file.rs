//! A source whose format Postern detects: a hosts file, Azure's JSON, or a zone file.

use std::path::PathBuf;
use std::sync::Arc;

use postern_config::azure::PrivateLinkTable;
use postern_config::model::SourceFormat;
use postern_zones::name::NameBuf;
use postern_zones::record::{RecordRef, RecordSink};
use postern_zones::text::rdata::write_rdata;
use postern_zones::text::{read, read_azure, read_hosts};

use super::zone_file::check_problems;

/// Checks that every record is RDATA of its type.
#[derive(Default)]
struct RecordCheck(u64);

impl RecordSink for RecordCheck {
    fn record(&mut self, record: RecordRef<'_>) {
        let mut text = String::new();
        assert!(write_rdata(record.rtype, record.rdata, &mut text).is_ok(), "TYPE{} {:?}", record.rtype, record.rdata);
        assert!(record.ttl.is_none_or(|ttl| ttl <= i32::MAX as u32));
        self.0 += 1;
    }
}

/// Reads the octets as a hosts file, as JSON, and as the format that they look like.
pub fn run(octets: &[u8]) -> bool {
    let file = Arc::new(PathBuf::from("fuzz"));
    let table = PrivateLinkTable::builtin();
    let origin = NameBuf::parse("contoso.test").expect("a name");
    let (mut records, mut problems) = (RecordCheck::default(), Vec::new());
    let outcome = read_hosts(octets, &file, table, &mut records, &mut problems);
    assert_eq!(outcome.records, records.0);
    check_problems(octets, &problems);
    let (mut records, mut problems) = (RecordCheck::default(), Vec::new());
    let outcome = read_azure(octets, &file, &origin, table, &mut records, &mut problems);
    assert_eq!(outcome.records, records.0);
    check_problems(octets, &problems);
    let (mut records, mut problems) = (RecordCheck::default(), Vec::new());
    read(SourceFormat::Auto, octets, &file, &origin, None, table, &mut records, &mut problems);
    check_problems(octets, &problems);
    records.0 > 0
}
