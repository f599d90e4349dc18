//! What Azure's tools give, put beside the configuration as it is: each file loads, and the real program answers with its names and addresses.

mod harness;

use std::path::{Path, PathBuf};

use harness::{PATIENT, PATIENT_FORWARD, Server, run, short};
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType::{A, AAAA, SOA};
use postern_lab::{LabScenario, LabServer};

/// A service of the examples: the name that clients ask for, what the public DNS makes of it, and its private address.
#[derive(Debug, PartialEq)]
struct Service {
    public: &'static str,
    private: &'static str,
    address: &'static str,
}

const WORKSPACE: Service = Service {
    public: "contosows-workspace.azurehealthcareapis.com",
    private: "contosows-workspace.privatelink.azurehealthcareapis.com.",
    address: "10.20.1.4",
};
const FHIR: Service = Service {
    public: "contosows-fhir1.fhir.azurehealthcareapis.com",
    private: "contosows-fhir1.fhir.privatelink.azurehealthcareapis.com.",
    address: "10.20.1.5",
};
const DICOM: Service = Service {
    public: "contosows-dicom1.dicom.azurehealthcareapis.com",
    private: "contosows-dicom1.privatelink.dicom.azurehealthcareapis.com.",
    address: "10.20.1.6",
};

/// A file, the name it needs in a watched directory, and the services in it.
struct Example {
    file: &'static str,
    named: &'static str,
    services: &'static [Service],
}

/// Every file of `zones/tests/data/azure`.
const EXAMPLES: &[Example] = &[
    Example { file: "arm_private_endpoint.json", named: "arm.json", services: &[FHIR] },
    Example { file: "dns_zone_group_show.json", named: "group.json", services: &[WORKSPACE, FHIR, DICOM] },
    Example { file: "nic_show_fragment.json", named: "nic.json", services: &[FHIR] },
    Example { file: "pe_show_manual.json", named: "endpoint.json", services: &[WORKSPACE, FHIR, DICOM] },
    Example { file: "pe_show_static_ip_fragment.json", named: "static.json", services: &[] },
    Example { file: "portal_host_file.txt", named: "portal.hosts", services: &[WORKSPACE, FHIR] },
    Example { file: "private_dns_zone_export.txt", named: "privatelink.azurehealthcareapis.com.zone", services: &[WORKSPACE, FHIR] },
    Example { file: "record_set_a_list.json", named: "list-a.json", services: &[WORKSPACE] },
    Example { file: "record_set_list.json", named: "list.json", services: &[FHIR] },
    Example { file: "terraform_show_fragment.json", named: "terraform.json", services: &[FHIR] },
    Example { file: "vnet_link_show.json", named: "link.json", services: &[] },
];

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("zones/tests/data/azure")
}

fn text(example: &Example) -> String {
    std::fs::read_to_string(examples().join(example.file)).unwrap()
}

fn public() -> LabServer {
    LabServer::start(LabScenario::azure(), "127.0.0.1:0".parse().unwrap()).unwrap()
}

fn config(lab: &LabServer, zone: &str) -> String {
    let forward = format!("[[forward]]\nzone = '.'\nupstreams = ['{}']\n{PATIENT_FORWARD}", lab.address());
    format!("[server]\nlisten = ['127.0.0.1:0']\n\n[[zone]]\n{zone}\n\n{forward}{PATIENT}")
}

const DIRECTORY: &str = "preset = 'azure-health-data-services'\ndirectory = 'zones'";

/// Holds what the server says of all services against those that it should have.
fn holds(server: &Server, what: &str, services: &[Service]) {
    for service in [WORKSPACE, FHIR, DICOM] {
        let Service { public, private, address } = &service;
        let ask = |name: &str, rtype| [server.ask(name, rtype), server.ask_tcp(name, rtype)];
        if !services.contains(&service) {
            for answer in ask(public, A) {
                let got = short(&answer);
                assert!(got.len() > 2 && !got.iter().any(|data| data.starts_with("10.")), "{what}: {public} is public: {got:?}");
            }
            continue;
        }
        for answer in ask(public, A) {
            assert_eq!(short(&answer), [*private, *address], "{what}: {public}");
        }
        for answer in ask(private, A) {
            assert_eq!(short(&answer), [*address], "{what}: {private}");
            assert!(answer.metadata.authoritative && answer.answers[0].ttl == 10, "{what}: {private}");
        }
        for answer in ask(public, AAAA) {
            assert_eq!(short(&answer), [*private], "{what}: {public} AAAA");
            assert_eq!((answer.metadata.response_code, answer.authorities.len()), (ResponseCode::NoError, 1));
        }
    }
}

#[test]
fn every_example_there_is_is_in_the_table() {
    let mut files: Vec<String> =
        std::fs::read_dir(examples()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    files.sort();
    assert_eq!(files, EXAMPLES.iter().map(|example| example.file).collect::<Vec<_>>());
}

#[test]
fn each_example_in_the_watched_directory_of_the_preset_is_served() {
    let lab = public();
    for example in EXAMPLES {
        let file = format!("zones/{}", example.named);
        let server = Server::with(&[("postern.toml", &config(&lab, DIRECTORY)), (&file, &text(example))]);
        holds(&server, example.file, example.services);
        let errors: Vec<String> = server.log().into_iter().filter(|line| line.contains(" ERROR ")).collect();
        assert_eq!(errors, Vec::<String>::new(), "{}", example.file);
    }
}

/// The way of an operator: the next export is put beside the others, and served.
#[test]
fn examples_that_come_one_after_the_other_are_served_together() {
    let lab = public();
    let server = Server::with(&[("postern.toml", &config(&lab, DIRECTORY)), ("zones/empty.json", "[]")]);
    holds(&server, "none", &[]);
    for example in EXAMPLES {
        server.write(&format!("zones/{}", example.named), &text(example));
        for Service { private, address, .. } in example.services {
            server.becomes(private, A, &[address]);
        }
    }
    holds(&server, "all", &[WORKSPACE, FHIR, DICOM]);
}

#[test]
fn each_example_as_the_file_of_its_zone_is_served() {
    let lab = public();
    let zone = "privatelink.azurehealthcareapis.com";
    for example in EXAMPLES {
        let told = format!("name = '{zone}'\nfile = '{}'", example.file);
        let server = Server::with(&[("postern.toml", &config(&lab, &told)), (example.file, &text(example))]);
        let services: Vec<Service> = [WORKSPACE, FHIR].into_iter().filter(|service| example.services.contains(service)).collect();
        holds(&server, example.file, &services);
        let soa = short(&server.ask(zone, SOA));
        assert!(soa.len() == 1 && soa[0].starts_with("azureprivatedns.net. azureprivatedns-host.microsoft.com. "), "{soa:?}");
    }
}

#[test]
fn check_finds_no_error_in_any_example_and_says_what_one_lacks() {
    let directory = tempfile::tempdir().unwrap();
    let config_file = directory.path().join("postern.toml");
    std::fs::write(&config_file, config(&public(), DIRECTORY)).unwrap();
    std::fs::create_dir(directory.path().join("zones")).unwrap();
    for example in EXAMPLES {
        let file = directory.path().join("zones").join(example.named);
        std::fs::write(&file, text(example)).unwrap();
        let check = |more: &[&str]| run(&[&["check", "-c", config_file.to_str().unwrap()], more].concat());
        let output = check(&[]);
        let said = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(0), "{}: {said}", example.file);
        if example.named == "static.json" {
            let want = format!(
                "{}:3:5: warning: `ipConfigurations` has addresses but no names: no record comes of it help: a private endpoint lists there the \
                 addresses that were asked for, by member; `customDnsConfigs` has the names, and `az network nic show` of the endpoint's interface \
                 has names and addresses in any case\n",
                file.display()
            );
            assert!(said.contains(&want), "{said}");
            assert_eq!(check(&["--strict"]).status.code(), Some(2));
        }
        std::fs::remove_file(file).unwrap();
    }
}
