//! A zone file: read, made into a zone, written out, and read again.

use std::path::PathBuf;
use std::sync::Arc;

use postern_zones::name::{NameBuf, WireName};
use postern_zones::record::{Severity, SourceProblem};
use postern_zones::text::{MAX_SHOWN, ZoneFileWriter, read_zone_file};
use postern_zones::zone::{Zone, ZoneBuilder};

const ORIGIN: &str = "contoso.test";

/// Reads the octets as a zone file. A zone that can be made from them comes back the same from the zone file that Postern writes.
pub fn run(octets: &[u8]) -> bool {
    let Some(zone) = zone_of(octets) else { return false };
    let text = text_of(&zone);
    let again = zone_of(text.as_bytes()).unwrap_or_else(|| panic!("a zone file that was written cannot be read:\n{text}"));
    assert_eq!(text, text_of(&again));
    true
}

fn zone_of(octets: &[u8]) -> Option<Zone> {
    let file = Arc::new(PathBuf::from("fuzz.zone"));
    let origin = NameBuf::parse(ORIGIN).expect("a name");
    let mut builder = ZoneBuilder::new(WireName::parse(ORIGIN).expect("a name"));
    let mut problems = Vec::new();
    read_zone_file(octets, &file, &origin, None, &mut builder, &mut problems);
    check_problems(octets, &problems);
    if problems.iter().any(|problem| problem.severity == Severity::Error) {
        return None;
    }
    builder.finish(1).ok().map(|built| built.zone)
}

/// Problems name a line of the file, and are few enough to be read.
pub fn check_problems(octets: &[u8], problems: &[SourceProblem]) {
    let lines = octets.iter().filter(|octet| **octet == b'\n').count() as u32 + 1;
    assert!(problems.len() <= 2 * MAX_SHOWN + 2);
    for problem in problems {
        assert!((1..=lines).contains(&problem.at.line) && problem.at.column >= 1, "{problem}");
        assert!(!problem.message.contains('\n') && !problem.help.contains('\n'), "{problem}");
    }
}

fn text_of(zone: &Zone) -> String {
    let mut text = String::new();
    let mut writer = ZoneFileWriter::new(&mut text, &zone.apex().to_buf()).expect("a string takes everything");
    for (owner, set) in zone.records() {
        for (ttl, data) in set.records() {
            writer.record(&owner, ttl, set.rtype, data).expect("a string takes everything");
        }
    }
    text
}
