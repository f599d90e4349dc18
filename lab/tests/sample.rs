//! The sample zones, read as the server reads them and compared with the tour.

mod client;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use client::{answers, ask};
use hickory_proto::rr::RecordType::A;
use postern_config::azure::PrivateLinkTable;
use postern_config::model::SourceFormat;
use postern_lab::sample::{FILES, steps};
use postern_lab::{LabScenario, LabServer};
use postern_zones::name::NameBuf;
use postern_zones::record::{RecordRef, RecordSink};

/// Addresses by owner.
#[derive(Default)]
struct Addresses(HashMap<String, Vec<String>>);

impl RecordSink for Addresses {
    fn record(&mut self, record: RecordRef<'_>) {
        // A hosts file also names the public name, which is in no zone here.
        let kept = postern_zones::name::is_private_link(record.owner);
        if let (true, 1, [a, b, c, d]) = (kept, record.rtype, record.rdata) {
            self.0.entry(record.owner.to_string().trim_end_matches('.').to_owned()).or_default().push(format!("{a}.{b}.{c}.{d}"));
        }
    }
}

/// Returns all records of the sample, and one message for every problem in a source.
fn private_records() -> Addresses {
    let mut found = Addresses::default();
    for (path, text) in FILES.iter().filter(|(path, _)| *path != "postern.toml") {
        let stem = Path::new(path).file_stem().unwrap().to_str().unwrap();
        let origin = NameBuf::parse(stem).unwrap();
        let mut problems = Vec::new();
        let read = postern_zones::text::read(
            SourceFormat::Auto,
            text.as_bytes(),
            &Arc::new(path.into()),
            &origin,
            None,
            PrivateLinkTable::builtin(),
            &mut found,
            &mut problems,
        );
        assert!(problems.is_empty(), "{problems:?}");
        assert!(read.records > 0, "{path}");
    }
    found
}

#[test]
fn every_source_is_read_without_a_problem_and_private_addresses_alone_are_in_it() {
    for (owner, addresses) in private_records().0 {
        assert!(addresses.iter().all(|address| address.starts_with("10.20.")), "{owner}: {addresses:?}");
    }
}

#[test]
fn what_the_tour_promises_follows_from_the_zones_and_the_public_chains() {
    // A manual splice: the public chain up to the first name with a private record.
    let lab = LabServer::start(LabScenario::azure(), "127.0.0.1:0".parse().unwrap()).unwrap();
    let mut records = private_records().0;
    let mut asked = 0;
    for step in steps().into_iter().flat_map(|(_, steps)| steps) {
        if step.command.starts_with("echo 'contosows") {
            records.insert("contosows-fhir3.fhir.privatelink.azurehealthcareapis.com".into(), vec!["10.20.1.11".into()]);
        }
        let Some(question) = step.command.strip_prefix("q ") else { continue };
        let mut words = question.split(' ').peekable();
        let elsewhere = words.next_if_eq(&"-b").is_some();
        if elsewhere {
            words.next();
        }
        let (name, kind) = (words.next().unwrap(), words.next().unwrap_or("A"));
        let mut printed = Vec::new();
        for line in answers(&ask(&lab, &format!("{name}."), A)) {
            let [owner, kind_here, data] = line.splitn(3, ' ').collect::<Vec<_>>().try_into().unwrap();
            let owner = owner.trim_end_matches('.');
            let wildcard = owner.split_once('.').map_or(String::new(), |(_, parent)| format!("*.{parent}"));
            let ours = records.get(owner).or_else(|| records.get(&wildcard)).filter(|_| !elsewhere);
            if let Some(ours) = ours {
                if kind == "A" {
                    printed.extend(ours.iter().cloned());
                }
                break;
            }
            assert!(kind_here == "CNAME" || kind == "A", "{}: a public end for another type", step.command);
            printed.push(data.to_owned());
        }
        assert_eq!(printed, step.prints, "{}", step.command);
        asked += 1;
    }
    assert!(asked >= 15, "{asked}");
}
