//! Everything that Azure gives, put into the directory of the health preset as it is, is served under the right names.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use postern_zones::lookup::Lookup;
use postern_zones::name::NameBuf;
use postern_zones::record::Severity;
use postern_zones::snapshot::Snapshot;
use postern_zones::state_directory::StateDirectory;
use postern_zones::store::{LookReport, Store};

/// A name and its address.
type Served = (&'static str, &'static str);

const WORKSPACE: Served = ("contosows-workspace.privatelink.azurehealthcareapis.com", "10.20.1.4");
const FHIR: Served = ("contosows-fhir1.fhir.privatelink.azurehealthcareapis.com", "10.20.1.5");
const DICOM: Served = ("contosows-dicom1.privatelink.dicom.azurehealthcareapis.com", "10.20.1.6");
const DICOM_TOO: Served = ("contosows-dicom1.dicom.privatelink.azurehealthcareapis.com", "10.20.1.6");

/// Each file, the name it gets, and what is served of it.
const FILES: &[(&str, &str, &[Served])] = &[
    ("arm_private_endpoint.json", "arm.json", &[FHIR]),
    ("dns_zone_group_show.json", "group.json", &[WORKSPACE, FHIR, DICOM]),
    ("nic_show_fragment.json", "nic.json", &[FHIR]),
    ("pe_show_static_ip_fragment.json", "static.json", &[]), // addresses without names: a warning says so
    ("pe_show_manual.json", "endpoint.json", &[WORKSPACE, FHIR, DICOM, DICOM_TOO]),
    ("portal_host_file.txt", "portal.hosts", &[WORKSPACE, FHIR]),
    ("private_dns_zone_export.txt", "privatelink.azurehealthcareapis.com.zone", &[WORKSPACE, FHIR]),
    ("record_set_a_list.json", "a.json", &[WORKSPACE]),
    ("record_set_list.json", "all.json", &[FHIR]),
    ("terraform_show_fragment.json", "terraform.json", &[FHIR]),
    ("vnet_link_show.json", "link.json", &[]),
];

fn serve(files: &[(&str, &str)]) -> (Arc<Snapshot>, LookReport) {
    let directory = tempfile::tempdir().unwrap();
    let zones = directory.path().join("zones");
    fs::create_dir(&zones).unwrap();
    for (from, to) in files {
        fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/azure").join(from), zones.join(to)).unwrap();
    }
    let text = "[[zone]]\npreset = 'azure-health-data-services'\ndirectory = 'zones'\n";
    let config = postern_config::parse(text, &directory.path().join("postern.toml")).unwrap().config;
    let (_, snapshot, report) = Store::open(&config, Arc::new(StateDirectory::inspect(&config.server.state)));
    (snapshot, report)
}

fn ask(snapshot: &Snapshot, name: &str) -> Option<String> {
    let name = NameBuf::parse(name).unwrap();
    let network = snapshot.network(snapshot.network_of("10.20.0.1".parse().unwrap()));
    match network.zone_of(&name, 0)?.zone()?.lookup(&name, 1) {
        Lookup::Found { set, .. } => {
            Some(set.rdata().map(|data| data.iter().map(u8::to_string).collect::<Vec<_>>().join(".")).collect::<Vec<_>>().join(" "))
        }
        _ => None,
    }
}

#[test]
fn each_file_alone_gives_its_names() {
    for (file, name, served) in FILES {
        let (snapshot, report) = serve(&[(*file, *name)]);
        assert!(
            report.problems.iter().all(|problem| problem.severity == Severity::Warning) && !report.has_errors(),
            "{file}: {:?}",
            report.problems
        );
        for (name, address) in *served {
            assert_eq!(ask(&snapshot, name).as_deref(), Some(*address), "{file}: {name}");
        }
        let records: usize = snapshot.hosted().iter().map(|link| link.hosted.records() - 1).sum();
        assert!(records >= served.len(), "{file}");
    }
}

#[test]
fn all_files_together_agree() {
    let files: Vec<(&str, &str)> = FILES.iter().map(|(file, name, _)| (*file, *name)).collect();
    let (snapshot, report) = serve(&files);
    assert!(!report.has_errors(), "{:?}", report.problems);
    for (name, address) in [WORKSPACE, FHIR, DICOM, DICOM_TOO] {
        assert_eq!(ask(&snapshot, name).as_deref(), Some(address), "{name}");
    }
    assert!(!report.problems.iter().any(|problem| problem.message.contains("differs from")), "{:?}", report.problems);
}
