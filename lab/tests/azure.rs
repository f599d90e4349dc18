//! The built-in scenario, compared with the chains of public Azure DNS.

mod client;

use client::{answers, ask, ask_tcp};
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType::{self, A, AAAA, CNAME, HTTPS, MX, TXT};
use postern_lab::{LabScenario, LabServer};

fn start() -> LabServer {
    LabServer::start(LabScenario::azure(), "127.0.0.1:0".parse().unwrap()).unwrap()
}

#[test]
fn chains_run_to_their_public_ends() {
    let lab = start();
    // Question, type, owners of the chain after the first, data at the end.
    let cases: &[(&str, RecordType, &[&str], &[&str])] = &[
        (
            "contosows-fhir1.fhir.azurehealthcareapis.com.",
            A,
            &[
                "contosows-fhir1.fhir.privatelink.azurehealthcareapis.com.",
                "ahds-fhir-weu.trafficmanager.net.",
                "ahds-fhir-weu-001.cloudapp.contoso.test.",
            ],
            &["203.0.113.20", "203.0.113.21"],
        ),
        (
            "contosows-dicom1.dicom.azurehealthcareapis.com.",
            AAAA,
            &[
                "contosows-dicom1.privatelink.dicom.azurehealthcareapis.com.",
                "ahds-dicom-weu.trafficmanager.net.",
                "ahds-dicom-weu-001.cloudapp.contoso.test.",
            ],
            &["2001:db8:113::30"],
        ),
        (
            "contosows-workspace.azurehealthcareapis.com.",
            HTTPS,
            &[
                "contosows-workspace.privatelink.azurehealthcareapis.com.",
                "ahds-ws-weu.trafficmanager.net.",
                "ahds-ws-weu-001.cloudapp.contoso.test.",
            ],
            &["1 . alpn=h2, ipv4hint=203.0.113.10,"], // the format is hickory's
        ),
        (
            "contosoold-fhir1.fhir.azurehealthcareapis.com.",
            A,
            &[
                "contosoold-fhir1.privatelink.fhir.azurehealthcareapis.com.",
                "ahds-fhir-neu.trafficmanager.net.",
                "ahds-fhir-neu-001.cloudapp.contoso.test.",
            ],
            &["198.51.100.20"],
        ),
        (
            "fabrikampub-fhir.fhir.azurehealthcareapis.com.",
            A,
            &["ahds-fhir-neu.trafficmanager.net.", "ahds-fhir-neu-001.cloudapp.contoso.test."],
            &["198.51.100.20"],
        ),
        (
            "anything-new.fhir.azurehealthcareapis.com.",
            A,
            &[
                "anything-new.fhir.privatelink.azurehealthcareapis.com.",
                "ahds-fhir-weu.trafficmanager.net.",
                "ahds-fhir-weu-001.cloudapp.contoso.test.",
            ],
            &["203.0.113.20", "203.0.113.21"],
        ),
        (
            "contosoz.z20.blob.storage.azure.net.",
            A,
            &["contosoz.privatelink.blob.core.windows.net.", "blob.dub09prdstr01a.store.core.windows.net."],
            &["198.51.100.40"],
        ),
        ("www.contoso.test.", A, &[], &["203.0.113.80"]),
        ("text.contoso.test.", TXT, &[], &["only text lives here"]),
        ("deep.er.load.contoso.test.", A, &[], &["203.0.113.90"]),
        ("contosows-fhir1.fhir.azurehealthcareapis.com.", CNAME, &[], &["contosows-fhir1.fhir.privatelink.azurehealthcareapis.com."]),
    ];
    for (name, kind, hops, ends) in cases {
        for message in [ask(&lab, name, *kind), ask_tcp(&lab, name, *kind).unwrap()] {
            let mut expected = Vec::new();
            let mut owner = *name;
            for hop in *hops {
                expected.push(format!("{owner} CNAME {hop}"));
                owner = hop;
            }
            expected.extend(ends.iter().map(|end| format!("{owner} {kind} {end}")));
            assert_eq!(answers(&message), expected, "{name} {kind}");
            assert_eq!(message.metadata.response_code, ResponseCode::NoError);
            assert!(message.metadata.recursion_available && message.metadata.recursion_desired && !message.metadata.authoritative);
        }
    }
}

#[test]
fn negative_answers_carry_the_soa_of_the_last_zone() {
    let lab = start();
    for (name, kind, rcode, zone) in [
        ("nosuch.azurehealthcareapis.com.", A, ResponseCode::NXDomain, "azurehealthcareapis.com."),
        ("nosuch.blob.core.windows.net.", A, ResponseCode::NXDomain, "core.windows.net."),
        ("nosuch.invalid.", A, ResponseCode::NXDomain, "."),
        ("www.contoso.test.", MX, ResponseCode::NoError, "contoso.test."),
        ("text.contoso.test.", A, ResponseCode::NoError, "contoso.test."),
        ("load.contoso.test.", A, ResponseCode::NoError, "contoso.test."),
        ("dangling.contoso.test.", A, ResponseCode::NXDomain, "contoso.test."),
        ("contoso-kv.vault.azure.net.", HTTPS, ResponseCode::NoError, "trafficmanager.net."),
    ] {
        let message = ask(&lab, name, kind);
        assert_eq!(message.metadata.response_code, rcode, "{name} {kind}");
        assert_eq!(message.authorities.len(), 1, "{name} {kind}");
        assert_eq!(message.authorities[0].name.to_ascii(), zone, "{name} {kind}");
        assert_eq!(message.authorities[0].record_type(), RecordType::SOA);
    }
}

#[test]
fn odd_chains_end() {
    let lab = start();
    assert_eq!(answers(&ask(&lab, "loop.contoso.test.", A)).len(), 2);
    assert_eq!(answers(&ask(&lab, "self.contoso.test.", A)).len(), 1);
    assert_eq!(answers(&ask(&lab, "chain01.contoso.test.", A)).len(), 21);
}

#[test]
fn what_does_not_fit_a_datagram_is_truncated_and_whole_over_tcp() {
    let lab = start();
    let message = ask(&lab, "big.contoso.test.", TXT);
    assert!(message.metadata.truncation && message.answers.is_empty() && message.edns.is_some());
    let message = ask_tcp(&lab, "big.contoso.test.", TXT).unwrap();
    assert!(!message.metadata.truncation);
    assert_eq!(message.answers.len(), 1);
}

#[test]
fn the_question_keeps_its_case() {
    let lab = start();
    let message = ask(&lab, "cOnToSoStOrEa.BLOB.core.windows.net.", A);
    assert_eq!(message.queries[0].name().to_ascii(), "cOnToSoStOrEa.BLOB.core.windows.net.");
    assert_eq!(message.answers.len(), 3);
    assert_eq!(lab.counters().mixed_case, 1);
}
