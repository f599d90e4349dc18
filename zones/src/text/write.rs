//! Records as a zone file that [`read_zone_file`](super::read_zone_file) and other servers read back.

use std::fmt::{self, Write};

use super::rdata::{type_name, write_generic, write_rdata};
use crate::name::{NameBuf, write_name};

/// Writes one record a line, with TTL and class, owners relative to the origin and names in RDATA absolute.
///
/// ```
/// use postern_zones::{name::NameBuf, text::ZoneFileWriter};
///
/// let mut out = String::new();
/// let mut writer = ZoneFileWriter::new(&mut out, &NameBuf::parse("privatelink.azurehealthcareapis.com")?)?;
/// writer.record(&NameBuf::parse("contosows-fhir1.fhir.privatelink.azurehealthcareapis.com")?, 10, 1, &[10, 20, 1, 5])?;
/// assert_eq!(out, "$ORIGIN privatelink.azurehealthcareapis.com.\ncontosows-fhir1.fhir 10 IN A 10.20.1.5\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct ZoneFileWriter<'o, W: Write> {
    out: &'o mut W,
    origin: NameBuf,
    /// The owner written last and its text: the next record often has the same.
    owner: NameBuf,
    owner_text: String,
    data: String,
}

impl<'o, W: Write> ZoneFileWriter<'o, W> {
    /// Begins a zone file with its `$ORIGIN`.
    pub fn new(out: &'o mut W, origin: &NameBuf) -> Result<Self, fmt::Error> {
        writeln!(out, "$ORIGIN {origin}")?;
        let owner_text = owner_text(origin, origin);
        Ok(Self { out, origin: origin.clone(), owner: origin.clone(), owner_text, data: String::new() })
    }

    /// A line for people; line ends in it make further lines.
    pub fn comment(&mut self, text: &str) -> fmt::Result {
        text.lines().try_for_each(|line| writeln!(self.out, "; {}", line.replace(char::is_control, " ").trim_end()))
    }

    /// One record. RDATA that is not of its type is written octet by octet (RFC 3597).
    pub fn record(&mut self, owner: &NameBuf, ttl: u32, rtype: u16, rdata: &[u8]) -> fmt::Result {
        if *owner != self.owner {
            self.owner_text = owner_text(owner, &self.origin);
            self.owner = owner.clone();
        }
        self.data.clear();
        if write_rdata(rtype, rdata, &mut self.data).is_err() {
            self.data.clear();
            write_generic(rdata, &mut self.data).map_err(|_| fmt::Error)?;
        }
        writeln!(self.out, "{} {ttl} IN {} {}", self.owner_text, type_name(rtype), self.data)
    }
}

/// RDATA in presentation format, names in it absolute; octet by octet (RFC 3597) where it is not of its type.
pub fn data_text(rtype: u16, rdata: &[u8]) -> String {
    let mut data = String::new();
    if write_rdata(rtype, rdata, &mut data).is_err() {
        data.clear();
        let _ = write_generic(rdata, &mut data); // a string takes everything
    }
    data
}

/// One record as a line of its own, its owner absolute, without line end: for messages and interfaces.
pub fn record_line(owner: &NameBuf, ttl: u32, rtype: u16, rdata: &[u8]) -> String {
    format!("{owner} {ttl} IN {} {}", type_name(rtype), data_text(rtype, rdata))
}

/// `@`, a name relative to `origin`, or an absolute one.
fn owner_text(owner: &NameBuf, origin: &NameBuf) -> String {
    let mut text = String::new();
    if owner == origin {
        text.push('@');
    } else if origin.labels() > 0 && owner.is_under(origin.as_wire()) {
        let mut relative = owner.as_wire()[..owner.len() - origin.len()].to_vec();
        relative.push(0);
        let _ = write_name(&relative, &mut text); // a string takes everything
        text.pop(); // the final dot
    } else {
        let _ = write_name(owner.as_wire(), &mut text);
    }
    text
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    use super::super::rdata::{read_rdata, type_code};
    use super::super::tests::zone_in;
    use super::*;

    #[test]
    fn what_was_read_is_written_and_read_again() {
        let text = "$TTL 60\n@ SOA ns Host 1 2 3 4 5\n@ NS ns.other.test.\n\\@ A 10.0.0.1\n*.a\\.b 5 TXT \"x \\\" y\" \\200\n\
                    www.other.test. CNAME Www\nx HTTPS 1 . alpn=h2\nx TYPE65400 \\# 2 ABCD\n";
        let (kept, problems, _) = zone_in(text, Path::new("x.zone"), None);
        assert_eq!(problems, Vec::<String>::new());
        let mut out = String::new();
        let origin = NameBuf::parse("contoso.test").unwrap();
        let mut writer = ZoneFileWriter::new(&mut out, &origin).unwrap();
        writer.comment("two\nlines\r").unwrap();
        for line in &kept.lines {
            let mut parts = line.splitn(4, ' ');
            let (owner, ttl) = (NameBuf::parse(parts.next().unwrap()).unwrap(), parts.next().unwrap().parse().unwrap());
            let rtype = type_code(parts.next().unwrap()).unwrap();
            writer.record(&owner, ttl, rtype, &read_rdata(rtype, parts.next().unwrap(), &origin).unwrap()).unwrap();
        }
        assert_eq!(
            out,
            "$ORIGIN contoso.test.\n; two\n; lines\n@ 60 IN SOA ns.contoso.test. Host.contoso.test. 1 2 3 4 5\n@ 60 IN NS ns.other.test.\n\
             \\@ 60 IN A 10.0.0.1\n*.a\\.b 5 IN TXT \"x \\\" y\" \"\\200\"\nwww.other.test. 60 IN CNAME Www.contoso.test.\n\
             x 60 IN HTTPS 1 . alpn=\"h2\"\nx 60 IN TYPE65400 \\# 2 ABCD\n"
        );
        assert_eq!(zone_in(&out, Path::new("x.zone"), None).0.lines, kept.lines);
    }

    #[test]
    fn a_line_stands_on_its_own() {
        let owner = NameBuf::parse("a.contoso.test").unwrap();
        assert_eq!(record_line(&owner, 10, 1, &[10, 0, 0, 1]), "a.contoso.test. 10 IN A 10.0.0.1");
        assert_eq!(record_line(&owner, 10, 1, &[10, 0]), "a.contoso.test. 10 IN A \\# 2 0A00");
    }

    proptest! {
        /// Any owner, whatever its octets, is read back.
        #[test]
        fn owners_survive_a_round_trip(labels in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..12), 0..6), inside in any::<bool>(), root in any::<bool>()) {
            let origin = if root { NameBuf::root() } else { NameBuf::parse("contoso.test").unwrap() };
            let mut wire: Vec<u8> = labels.iter().flat_map(|label| std::iter::once(label.len() as u8).chain(label.iter().copied())).collect();
            wire.extend_from_slice(if inside { origin.as_wire() } else { &[0] });
            let owner = NameBuf::read(&wire).unwrap();
            let mut out = String::new();
            ZoneFileWriter::new(&mut out, &origin).unwrap().record(&owner, 7, 1, &[10, 0, 0, 1]).unwrap();
            let (kept, _, _) = zone_in(&out, Path::new("x.zone"), None);
            prop_assert_eq!(kept.lines, [format!("{owner} 7 A 10.0.0.1")]);
        }
    }
}
