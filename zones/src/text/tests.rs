//! What the readers have in common: a sink that keeps everything as text.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::rdata::{type_name, write_rdata};
use super::{Read, read_zone_file};
use crate::name::NameBuf;
use crate::record::{Problem, RecordRef, RecordSink};

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

pub fn zone_in(text: impl AsRef<[u8]>, file: &Path, root: Option<&Path>) -> (Kept, Vec<String>, Read) {
    let mut kept = Kept::default();
    let mut problems = Vec::new();
    let origin = NameBuf::parse("contoso.test").unwrap();
    let read = read_zone_file(text.as_ref(), &Arc::new(file.to_owned()), &origin, root, &mut kept, &mut problems);
    assert_eq!(read.records as usize, kept.lines.len());
    (kept, problems.iter().map(Problem::to_string).collect(), read)
}

#[test]
fn reads_a_small_zone() {
    let (lines, problems) = zone(
        "$TTL 1h\n@ IN SOA ns hostmaster (1 2 3\n 4 5) ; five\nwww A 10.0.0.1\n  AAAA 2001:db8::1\nmail 10 IN MX 10 Mail.Contoso.Test.\n",
    );
    assert_eq!(problems, Vec::<String>::new());
    assert_eq!(
        lines,
        [
            "contoso.test. 3600 SOA ns.contoso.test. hostmaster.contoso.test. 1 2 3 4 5",
            "www.contoso.test. 3600 A 10.0.0.1",
            "www.contoso.test. 3600 AAAA 2001:db8::1",
            "mail.contoso.test. 10 MX 10 Mail.Contoso.Test.",
        ]
    );
}
