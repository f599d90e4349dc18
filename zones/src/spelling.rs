//! Names with two spellings, which should have the same addresses.
//!
//! A DICOM service of Azure has a private-link name in two zones, because the documents of Azure disagree about it.

use postern_config::azure::PrivateLinkTable;

use crate::lookup::{Lookup, RrSet};
use crate::name::{NameBuf, is_private_link};
use crate::zone::{Zone, rtype};

/// A zone with more RRsets is not searched for names that have another spelling: it is no zone that somebody keeps by hand.
const MOST_SPELLED: usize = 10_000;

/// Returns true if [`spelled_twice`] searches a zone.
pub fn is_searched(zone: &Zone) -> bool {
    zone.counts().sets <= MOST_SPELLED && is_private_link(&zone.apex().to_buf())
}

/// Returns names of `zone` whose other spelling has different addresses in one of `others`: pairs of names, the first few.
pub fn spelled_twice(zone: &Zone, others: &[&Zone], table: &PrivateLinkTable) -> Vec<(NameBuf, NameBuf)> {
    let mut found = Vec::new();
    if !is_searched(zone) {
        return found;
    }
    for (name, set) in zone.records().filter(|(_, set)| set.rtype == rtype::A) {
        let publics = table.public_names(&name.to_string());
        let spellings = publics.iter().flat_map(|public| table.private_names(public));
        for spelling in spellings.filter_map(|spelling| NameBuf::parse(&spelling).ok()).filter(|spelling| *spelling != name) {
            let holds = others.iter().filter(|other| spelling.is_under(other.apex().as_wire()));
            let differs = holds.map(|other| other.lookup(&spelling, rtype::A)).any(|answer| match answer {
                Lookup::Found { set: other, .. } => !set.same_data(&other) && !same_addresses(&set, &other),
                _ => false,
            });
            if differs && !found.contains(&(spelling.clone(), name.clone())) {
                found.push((name.clone(), spelling));
            }
        }
        if found.len() >= 20 {
            break;
        }
    }
    found
}

/// TTLs may differ.
fn same_addresses(a: &RrSet<'_>, b: &RrSet<'_>) -> bool {
    a.count == b.count && a.rdata().all(|data| b.rdata().any(|other| other == data))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::WireName;
    use crate::zone::ZoneBuilder;

    fn name(text: &str) -> NameBuf {
        NameBuf::parse(text).unwrap()
    }

    #[test]
    fn both_spellings_of_a_dicom_name_should_agree() {
        let zone = |apex: &str, owner: &str, address: &str| {
            let mut builder = ZoneBuilder::new(WireName::parse(apex).unwrap());
            builder.add(owner, 10, "A", address).unwrap();
            builder.finish(1).unwrap().zone
        };
        let portal = zone("privatelink.dicom.azurehealthcareapis.com", "contosows-dicom1", "10.20.1.6");
        let spelled = |address| zone("privatelink.azurehealthcareapis.com", "contosows-dicom1.dicom", address);
        let found = |address| spelled_twice(&spelled(address), &[&portal], PrivateLinkTable::builtin());
        assert_eq!(found("10.20.1.6"), []);
        let pair = (
            name("contosows-dicom1.dicom.privatelink.azurehealthcareapis.com"),
            name("contosows-dicom1.privatelink.dicom.azurehealthcareapis.com"),
        );
        assert_eq!(found("10.20.1.7"), [pair]);
    }
}
