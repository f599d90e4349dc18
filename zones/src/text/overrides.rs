//! Lines of overrides as records below the root.
//!
//! An answer that is no record is a CNAME to a name that nobody can own, as response policy zones have it: `.` for a name that does not
//! exist, `*.` for one without data, and `rpz-passthru.` for an exception.

use std::collections::HashSet;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use postern_config::{OverrideAnswer, OverrideLine};

use super::hosts::write_address;
use super::report::{ProblemReport, TextError, TextSpot};
use super::{BOM, ReadSummary, decode};
use crate::name::NameBuf;
use crate::record::{RecordRef, RecordSink, SourceProblem, TextPosition};
use crate::zone::rtype;

/// RDATA of the CNAME at a name that does not exist.
pub const NO_NAME: &[u8] = b"\0";
/// RDATA of the CNAME at a name without data.
pub const NO_DATA: &[u8] = b"\x01*\0";
/// RDATA of the CNAME at an exception.
pub const PASS_THROUGH: &[u8] = b"\x0crpz-passthru\0";

/// Gives the records of lines to a sink. The first name of an address gets its PTR record.
#[derive(Debug, Default)]
pub struct OverrideWriter {
    named: HashSet<IpAddr>,
    records: u64,
}

impl OverrideWriter {
    /// Writes the records of one line.
    pub fn write(&mut self, line: &OverrideLine, sink: &mut dyn RecordSink) {
        let mut rdata = Vec::with_capacity(16);
        let rtype = match &line.answer {
            OverrideAnswer::Address(address) => write_address(*address, &mut rdata),
            answer => {
                match answer {
                    // The configuration checked the name.
                    OverrideAnswer::Alias(target) => NameBuf::parse(target).iter().for_each(|name| rdata.extend(name.as_wire())),
                    OverrideAnswer::NoName => rdata.extend(NO_NAME),
                    OverrideAnswer::NoData => rdata.extend(NO_DATA),
                    OverrideAnswer::Public | OverrideAnswer::Address(_) => rdata.extend(PASS_THROUGH),
                }
                rtype::CNAME
            }
        };
        for (offset, text) in &line.names {
            let Ok(owner) = NameBuf::parse(text) else { continue }; // as above
            let (line_number, column) = line.place_of(*offset);
            let at = TextPosition { line: line_number, column };
            sink.record(RecordRef { owner: &owner, rtype, ttl: None, rdata: &rdata, at });
            self.records += 1;
            let OverrideAnswer::Address(address) = &line.answer else { continue };
            let is_host = !text.starts_with("*.") && !address.is_unspecified();
            if is_host && self.named.insert(*address) {
                let reverse = reverse_name(*address);
                sink.record(RecordRef { owner: &reverse, rtype: rtype::PTR, ttl: None, rdata: owner.as_wire(), at });
                self.records += 1;
            }
        }
    }
}

/// Reads a file of overrides. A wrong line is an error: a name that is skipped would get its public answer.
pub fn read_overrides(text: &[u8], file: &Arc<PathBuf>, sink: &mut dyn RecordSink, problems: &mut Vec<SourceProblem>) -> ReadSummary {
    let text = &*decode(text);
    let text = text.strip_prefix(BOM).unwrap_or(text);
    let mut report = ProblemReport::new(problems);
    let mut writer = OverrideWriter::default();
    sink.file(file);
    for (number, octets) in (1..).zip(text.split(|octet| *octet == b'\n')) {
        let line = String::from_utf8_lossy(octets);
        match OverrideLine::parse(&line) {
            Ok(Some(read)) => writer.write(&OverrideLine { place: (number, 1), ..read }, sink),
            Ok(None) => {}
            Err(error) => {
                let at = TextPosition { line: number, column: 1 + error.offset as u32 };
                report.error(file, at, *TextError::new(TextSpot::default(), error.message, error.help));
            }
        }
    }
    report.finish();
    ReadSummary { records: writer.records, ..ReadSummary::default() }
}

/// The name that has the PTR record of an address (RFC 1035 section 3.5, RFC 3596 section 2.5).
fn reverse_name(address: IpAddr) -> NameBuf {
    let text = match address {
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        IpAddr::V6(address) => {
            let nibbles = address.octets().into_iter().rev().flat_map(|octet| [octet & 0xf, octet >> 4]);
            nibbles.map(|nibble| format!("{nibble:x}.")).collect::<String>() + "ip6.arpa"
        }
    };
    NameBuf::parse(&text).unwrap_or(NameBuf::root()) // digits and dots always are a name
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::WireName;
    use crate::zone::ZoneBuilder;

    fn records(text: &str) -> (Vec<String>, Vec<String>) {
        let mut problems = Vec::new();
        let mut builder = ZoneBuilder::new(WireName::parse(".").unwrap()).ttl_bounds(60, 60);
        read_overrides(text.as_bytes(), &Arc::new("o.hosts".into()), &mut builder, &mut problems);
        let built = builder.finish(1).unwrap();
        let zone = built.zone;
        let mut lines: Vec<String> = zone
            .records()
            .filter(|(_, set)| set.rtype != rtype::SOA)
            .flat_map(|(owner, set)| {
                set.rdata().map(|rdata| crate::text::record_line(&owner, set.ttl, set.rtype, rdata)).collect::<Vec<_>>()
            })
            .collect();
        lines.sort();
        let said = problems.iter().chain(&built.warnings).map(|problem| problem.to_string()).collect();
        (lines, said)
    }

    #[test]
    fn lines_become_records_with_the_ptr_record_of_the_first_name() {
        let (lines, said) = records(
            "# office\n10.30.1.10 printer.contoso.com scan.contoso.com\n2001:db8::a printer.contoso.com\n\
             10.30.1.11 *.lab.contoso.com\nnxdomain ads.example.net\npublic vpn.lab.contoso.com\napp.contoso.com www.contoso.com\r\n",
        );
        assert_eq!(said, [""; 0]);
        let want = [
            "*.lab.contoso.com. 60 IN A 10.30.1.11",
            "10.1.30.10.in-addr.arpa. 60 IN PTR printer.contoso.com.",
            "a.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa. 60 IN PTR printer.contoso.com.",
            "ads.example.net. 60 IN CNAME .",
            "printer.contoso.com. 60 IN A 10.30.1.10",
            "printer.contoso.com. 60 IN AAAA 2001:db8::a",
            "scan.contoso.com. 60 IN A 10.30.1.10",
            "vpn.lab.contoso.com. 60 IN CNAME rpz-passthru.",
            "www.contoso.com. 60 IN CNAME app.contoso.com.",
        ];
        assert_eq!(lines.iter().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect::<Vec<_>>(), want);
    }

    #[test]
    fn a_wrong_line_is_an_error_with_its_place() {
        let (_, said) = records("10.30.1.10 a.test\n10.30.1 b.test\n");
        assert_eq!(said.len(), 1);
        assert!(said[0].starts_with("o.hosts:2:1: error: `10.30.1` is not an address"), "{said:?}");
    }
}
