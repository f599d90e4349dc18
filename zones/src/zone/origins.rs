//! Files that the RRsets of a zone come from.
//!
//! A zone of one file needs no more than its path. In a zone of several files each RRset has the number of its file, two octets, in the
//! order of the nodes of its shard. The numbers lie beside the shards, so no query reads them, and equal records stay equal shards.

use std::path::PathBuf;
use std::sync::Arc;

use super::{NameBuf, Zone, rtype, shard};

/// Files of a zone and the RRsets that come from them.
#[derive(Debug, PartialEq, Eq)]
pub struct RecordOrigins {
    /// The first one stands for records without a file.
    files: Box<[Arc<PathBuf>]>,
    /// Number of the file of the SOA.
    soa: u16,
    /// The server added the NS records of the apex.
    has_own_servers: bool,
    /// File numbers of the RRsets of each shard. Empty if the zone has one file.
    numbers: Box<[Box<[u16]>]>,
}

impl RecordOrigins {
    /// Returns `None` if no record comes from a file.
    pub fn new(files: &[Arc<PathBuf>], soa: u16, has_own_servers: bool, numbers: Vec<Box<[u16]>>) -> Option<Arc<Self>> {
        let numbers = if files.len() > ONE_FILE { numbers.into() } else { Box::default() };
        (files.len() >= ONE_FILE).then(|| Arc::new(Self { files: files.into(), soa, has_own_servers, numbers }))
    }

    /// Memory of the file numbers, octets.
    pub fn memory(&self) -> usize {
        self.numbers.iter().map(|numbers| size_of_val(numbers) + size_of_val(&**numbers)).sum()
    }

    fn file(&self, number: u16) -> Option<&Arc<PathBuf>> {
        self.files.get(usize::from(number)).filter(|_| number > 0)
    }
}

/// Files of a zone that has one, with the first that stands for none.
pub const ONE_FILE: usize = 2;

impl Zone {
    /// The file that the RRset of a name and type comes from. If several files have records of it, it is the first that was read. Returns
    /// `None` if there is no such RRset, or if it comes from no file.
    pub fn file_of(&self, name: &NameBuf, rtype: u16) -> Option<&Arc<PathBuf>> {
        let owner = name.is_under(self.apex.as_wire()).then(|| self.relative(name, 0))?;
        self.file_at(owner, rtype)
    }

    /// As [`Zone::file_of`] for an answer to a question: the RRset may be an alias, or stand at a wildcard.
    pub fn file_of_answer(&self, name: &NameBuf, rtype: u16) -> Option<&Arc<PathBuf>> {
        let owner = name.is_under(self.apex.as_wire()).then(|| self.relative(name, 0))?;
        let of_either = |owner: &[u8]| self.file_at(owner, rtype).or_else(|| self.file_at(owner, rtype::CNAME));
        if self.find(owner).is_some() {
            return of_either(owner);
        }
        // The wildcard at the closest encloser (RFC 4592 section 3.3.1).
        let labels = name.labels() - self.apex_labels;
        let encloser = (1..=labels).map(|label| self.relative(name, label)).find(|owner| self.find(owner).is_some())?;
        of_either(&[b"\x01*", encloser].concat())
    }

    /// The files that RRsets of the zone come from, in the order in which they were read.
    pub fn files(&self) -> Vec<&Arc<PathBuf>> {
        let Some(origins) = &self.origins else { return Vec::new() };
        let mut is_used = vec![origins.numbers.is_empty(); origins.files.len()];
        is_used[usize::from(origins.soa)] = true;
        origins.numbers.iter().flatten().for_each(|number| is_used[usize::from(*number)] = true);
        origins.files.iter().zip(is_used).skip(1).filter(|(_, is_used)| *is_used).map(|(file, _)| file).collect()
    }

    /// Returns true if every RRset comes from the same file in both zones, as far as their records are equal.
    pub(crate) fn has_origins_of(&self, other: &Self) -> bool {
        self.origins == other.origins
    }

    fn file_at(&self, owner: &[u8], rtype: u16) -> Option<&Arc<PathBuf>> {
        let origins = self.origins.as_ref()?;
        if owner.is_empty() && rtype == rtype::SOA {
            return origins.file(origins.soa);
        }
        let place = self.find(owner)?.sets().position(|set| set.rtype == rtype)?;
        if owner.is_empty() && rtype == rtype::NS && origins.has_own_servers {
            return None;
        }
        if origins.numbers.is_empty() {
            return origins.file(1);
        }
        let number = shard::shard_of(shard::hash(owner), self.shards.len());
        let nodes = self.shards.at(number).nodes().take_while(|(_, node)| node.owner() != owner);
        let before: usize = nodes.map(|(_, node)| node.set_count()).sum();
        origins.file(*origins.numbers.get(number)?.get(before + place)?)
    }
}

#[cfg(test)]
mod tests {
    use super::super::ZoneBuilder;
    use super::*;
    use crate::record::{RecordRef, RecordSink, TextPosition};

    fn name(text: &str) -> NameBuf {
        NameBuf::parse(text).unwrap()
    }

    /// A zone of so many names, whose records come from the files in turn.
    fn zone(names: usize, files: usize) -> Zone {
        let mut builder = ZoneBuilder::new(name("a.test").to_wire_name());
        let files: Vec<_> = (0..files).map(|number| Arc::new(PathBuf::from(format!("{number}.zone")))).collect();
        for number in 0..names {
            if !files.is_empty() {
                builder.file(&files[number % files.len()]);
            }
            let owner = name(&format!("n{number}.a.test"));
            for rtype in [rtype::A, rtype::TXT] {
                let rdata: &[u8] = if rtype == rtype::A { &[10, 0, 0, 1] } else { b"\x01t" };
                builder.record(RecordRef { owner: &owner, rtype, ttl: None, rdata, at: TextPosition::default() });
            }
        }
        builder.finish(1).unwrap().zone
    }

    #[test]
    fn every_rrset_names_its_file() {
        let path = |number: usize| Some(PathBuf::from(format!("{number}.zone")));
        for (names, files) in [(5, 1), (5, 3), (3000, 7)] {
            let zone = zone(names, files);
            for number in 0..names {
                for rtype in [rtype::A, rtype::TXT] {
                    let found = zone.file_of(&name(&format!("n{number}.a.test")), rtype);
                    assert_eq!(found.map(|path| path.to_path_buf()), path(number % files), "{number}");
                }
            }
            assert_eq!(zone.files().len(), files);
            assert_eq!(zone.file_of(&name("n0.a.test"), rtype::AAAA), None);
            assert_eq!(zone.file_of(&name("a.test"), rtype::SOA), None, "the server made it");
            assert_eq!(zone.file_of(&name("b.test"), rtype::A), None);
        }
        assert!(zone(5, 0).files().is_empty());
    }

    #[test]
    fn an_answer_from_an_alias_or_a_wildcard_names_the_file_of_that_record() {
        let mut builder = ZoneBuilder::new(name("a.test").to_wire_name());
        for (file, owner, rtype, data) in
            [("one", "www", "CNAME", "n.b.test."), ("two", "*.w", "A", "10.0.0.1"), ("three", "x.w", "TXT", "x"), ("one", "@", "TXT", "x")]
        {
            builder.file(&Arc::new(file.into()));
            builder.add(owner, 60, rtype, data).unwrap();
        }
        let zone = builder.finish(1).unwrap().zone;
        for (owner, rtype, file) in [
            ("www.a.test", rtype::A, Some("one")),
            ("deep.below.w.a.test", rtype::A, Some("two")),
            ("x.w.a.test", rtype::A, None),
            ("x.w.a.test", rtype::TXT, Some("three")),
            ("a.test", rtype::TXT, Some("one")),
            ("missing.a.test", rtype::A, None),
        ] {
            assert_eq!(zone.file_of_answer(&name(owner), rtype).map(|path| path.display().to_string()).as_deref(), file, "{owner}");
        }
    }

    #[test]
    fn a_zone_of_one_file_costs_nothing_and_one_of_several_two_octets_an_rrset() {
        let names = 20_000;
        let memory = |files| zone(names, files).memory() as f64 / (2 * names) as f64;
        let (none, one, two) = (memory(0), memory(1), memory(2));
        assert!(one - none < 0.01, "{none} {one}");
        assert!(two - one < 2.1, "{one} {two}");
    }
}
