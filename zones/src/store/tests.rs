//! What files say, what goes wrong with them, and what is served meanwhile.

use std::fs;
use std::path::PathBuf;

use super::*;
use crate::lookup::Lookup;
use crate::snapshot::ZoneState;

/// A directory with a configuration and sources, and a store of it. Time is told, not waited for, and so far ahead that the clock does not
/// catch up with it.
pub(super) struct Site {
    /// Before the directory: what it keeps is written when it is dropped.
    pub(super) store: Store,
    pub(super) directory: tempfile::TempDir,
    pub(super) report: LookReport,
    pub(super) now: Instant,
    pub(super) settle: Duration,
}

pub(super) const ONE_ZONE: &str = "[[zone]]\nname = 'contoso.test'\ndirectory = 'zones'\n";

impl Site {
    pub(super) fn new(config: &str, files: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("zones")).unwrap();
        for (name, text) in files {
            fs::write(directory.path().join(name), text).unwrap();
        }
        Self::open(config, directory)
    }

    pub(super) fn open(config: &str, directory: tempfile::TempDir) -> Self {
        let config = parse(config, directory.path());
        let (store, _, report) = Store::open(&config, Arc::new(StateDirectory::claim(&config.server.state, None).unwrap()));
        Self { directory, store, report, now: Instant::now() + Duration::from_secs(3600), settle: config.server.settle }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(super) fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    /// Looks, and again when the settle time is over.
    pub(super) fn look(&mut self) -> LookReport {
        let mut report = self.store.look_again(self.now, LookMode::Settled).1;
        self.pass(1);
        report.merge(self.store.look_again(self.now, LookMode::Settled).1);
        report
    }

    pub(super) fn pass(&mut self, settles: u32) {
        self.now += self.settle * settles;
    }

    pub(super) fn reconfigure(&mut self, config: &str) -> LookReport {
        self.accept(config, &[])
    }

    /// A reload that accepts what the sources of these zones lose.
    pub(super) fn accept(&mut self, config: &str, zones: &[&str]) -> LookReport {
        let zones: Vec<AcceptedZone> = zones.iter().map(|zone| AcceptedZone::parse(zone)).collect();
        self.store.reconfigure_accepting(&parse(config, self.directory.path()), &zones).1
    }

    /// The answer for an A question of a client: addresses, or a word.
    pub(super) fn ask(&self, client: &str, name: &str) -> String {
        let snapshot = self.store.current();
        let name = NameBuf::parse(name).unwrap();
        let network = snapshot.network(snapshot.network_of(client.parse().unwrap()));
        let Some(hosted) = network.zone_of(&name, 0) else { return "not ours".into() };
        match &hosted.state {
            ZoneState::Unavailable(why) => format!("unavailable: {why}"),
            ZoneState::Serving(zone) => match zone.lookup(&name, 1) {
                Lookup::Found { set, .. } => {
                    let addresses: Vec<String> =
                        set.rdata().filter_map(|data| lint::address(1, data)).map(|address| address.to_string()).collect();
                    addresses.join(" ")
                }
                Lookup::NoData => "nodata".into(),
                Lookup::Missing => "missing".into(),
                other => format!("{other:?}"),
            },
        }
    }

    pub(super) fn a(&self, name: &str) -> String {
        self.ask("10.0.0.1", name)
    }
}

fn parse(config: &str, directory: &Path) -> PosternConfig {
    let loaded = postern_config::parse(config, &directory.join("postern.toml"));
    loaded.unwrap_or_else(|problems| panic!("{}", problems.iter().map(|problem| problem.to_string()).collect::<String>())).config
}

pub(super) fn problems(report: &LookReport, site: &Site) -> Vec<String> {
    let shown = |problem: &SourceProblem| problem.to_string().replace(&format!("{}/", site.directory.path().display()), "");
    report.problems.iter().map(shown).collect()
}

/// `zone outcome` of each zone in a report.
pub(super) fn outcomes(report: &LookReport) -> Vec<String> {
    let word = |outcome: &ZoneOutcome| match outcome {
        ZoneOutcome::Loaded => "loaded".into(),
        ZoneOutcome::Changed(difference) => difference.to_string(),
        ZoneOutcome::Failed(_) => "failed".into(),
        ZoneOutcome::Recovered => "recovered".into(),
        ZoneOutcome::Kept(_) => "kept".into(),
        ZoneOutcome::Removed => "removed".into(),
    };
    report.zones.iter().map(|zone| format!("{} {}", zone.name, word(&zone.outcome))).collect()
}

#[test]
fn a_zone_file_is_served_and_a_change_of_it() {
    let mut site = Site::new(ONE_ZONE, &[("zones/contoso.test.zone", "www 60 IN A 10.0.0.1\n")]);
    assert_eq!((outcomes(&site.report), site.report.generation), (vec!["contoso.test loaded".into()], 1));
    assert_eq!(site.a("www.contoso.test"), "10.0.0.1");
    let serial = site.store.current().hosted()[0].hosted.serial().unwrap();

    site.write("zones/contoso.test.zone", "www 60 IN A 10.0.0.2\nnew 60 IN A 10.0.0.3\n");
    let report = site.look();
    assert_eq!(outcomes(&report), ["contoso.test 1 added, 1 changed, 0 removed: ~ www.contoso.test. A, + new.contoso.test. A"]);
    assert_eq!((report.generation, report.is_new, report.zones[0].records), (2, true, 3));
    assert_eq!((site.a("www.contoso.test"), site.a("new.contoso.test")), ("10.0.0.2".into(), "10.0.0.3".into()));
    assert!(crate::zone::serial_rose(serial, site.store.current().hosted()[0].hosted.serial().unwrap()));

    let report = site.look();
    assert!(report.is_empty() && report.generation == 2, "{report:?}");
}

#[test]
fn a_change_that_changes_nothing_makes_no_generation() {
    let mut site = Site::new(ONE_ZONE, &[("zones/contoso.test.zone", "www 60 IN A 10.0.0.1\n")]);
    site.write("zones/contoso.test.zone", "; a comment\nwww 60 IN A 10.0.0.1\n");
    assert!(site.look().is_empty());
}

#[test]
fn bad_data_changes_nothing_and_says_where() {
    let mut site = Site::new(ONE_ZONE, &[("zones/contoso.test.zone", "www 60 IN A 10.0.0.1\n")]);
    site.write("zones/contoso.test.zone", "www 60 IN A 10.0.0.2\nnew 60 IN A 10.0.0.300\n");
    assert!(site.look().is_empty(), "it could be half written");
    site.pass(10);
    let report = site.look();
    assert_eq!((outcomes(&report), report.is_new), (vec!["contoso.test failed".to_string()], false));
    assert!(problems(&report, &site)[0].starts_with("zones/contoso.test.zone:2:13: error: "), "{:?}", problems(&report, &site));
    assert_eq!(site.a("www.contoso.test"), "10.0.0.1");
    let status = site.store.zones().next().unwrap();
    assert!(!status.state.is_good() && status.state.last_success.is_some() && status.zone.is_some());
    assert!(site.look().is_empty(), "said once");

    site.write("zones/contoso.test.zone", "www 60 IN A 10.0.0.1\n");
    assert_eq!(outcomes(&site.look()), ["contoso.test recovered"]);
    assert!(site.store.zones().next().unwrap().state.is_good());
}

#[test]
fn records_that_do_not_make_a_zone_change_nothing() {
    let mut site = Site::new(ONE_ZONE, &[("zones/contoso.test.zone", "www 60 IN A 10.0.0.1\n")]);
    site.write("zones/contoso.test.zone", "www 60 IN A 10.0.0.1\nwww 60 IN CNAME other\n");
    let report = site.look();
    assert_eq!(outcomes(&report), ["contoso.test failed"]);
    assert_eq!(site.a("www.contoso.test"), "10.0.0.1");
    site.write("zones/contoso.test.zone", "www 60 IN A 10.0.0.2\n");
    assert_eq!(outcomes(&site.look()).len(), 2, "changed and recovered");
    assert_eq!(site.a("www.contoso.test"), "10.0.0.2");
}

#[test]
fn a_zone_that_is_broken_at_start_says_so_and_the_others_serve() {
    let config = "[[zone]]\nname = 'contoso.test'\ndirectory = 'zones'\n[[zone]]\nname = 'fabrikam.test'\ndirectory = 'zones'\n";
    let mut site =
        Site::new(config, &[("zones/contoso.test.zone", "www 60 IN A nonsense\n"), ("zones/fabrikam.test.zone", "www 60 IN A 10.0.0.1\n")]);
    assert!(site.report.has_errors());
    assert!(site.a("www.contoso.test").starts_with("unavailable: "), "{}", site.a("www.contoso.test"));
    assert_eq!(site.a("www.fabrikam.test"), "10.0.0.1");
    site.write("zones/contoso.test.zone", "www 60 IN A 10.0.0.2\n");
    assert_eq!(outcomes(&site.look()), ["contoso.test loaded", "contoso.test recovered"]);
    assert_eq!(site.a("www.contoso.test"), "10.0.0.2");
}

#[test]
fn a_deleted_file_leaves_its_last_good_records() {
    let mut site = Site::new(ONE_ZONE, &[("zones/contoso.test.zone", "www 60 IN A 10.0.0.1\n")]);
    fs::remove_file(site.path("zones/contoso.test.zone")).unwrap();
    let report = site.look();
    assert_eq!((outcomes(&report), site.a("www.contoso.test")), (vec!["contoso.test failed".into()], "10.0.0.1".into()));
    assert!(site.look().is_empty());
    let report = site.reconfigure(ONE_ZONE);
    assert_eq!((report.zones.len(), site.a("www.contoso.test")), (0, "10.0.0.1".into()), "nor does a reload lose them");
    site.write("zones/contoso.test.zone", "www 60 IN A 10.0.0.1\n");
    assert_eq!(outcomes(&site.look()), ["contoso.test recovered"]);
}

#[test]
fn a_file_without_a_source_file_is_a_zone_without_data_and_a_directory_without_files_an_empty_one() {
    let site =
        Site::new("[[zone]]\nname = 'contoso.test'\nfile = 'contoso.zone'\n[[zone]]\nname = 'fabrikam.test'\ndirectory = 'zones'\n", &[]);
    assert!(site.a("www.contoso.test").ends_with("contoso.zone: no such file"), "{}", site.a("www.contoso.test"));
    assert_eq!(site.a("www.fabrikam.test"), "missing");
    let site = Site::new("[[zone]]\nname = 'contoso.test'\ndirectory = 'nowhere'\n", &[]);
    assert!(site.a("www.contoso.test").ends_with("nowhere: no such file or directory"), "{}", site.a("www.contoso.test"));
}

#[test]
fn a_directory_that_goes_and_comes_back_loses_nothing() {
    let mut site = Site::new(ONE_ZONE, &[("zones/contoso.test.zone", "www 60 IN A 10.0.0.1\n")]);
    fs::rename(site.path("zones"), site.path("away")).unwrap();
    assert_eq!(outcomes(&site.look()), ["contoso.test failed"]);
    assert_eq!(site.a("www.contoso.test"), "10.0.0.1");
    fs::rename(site.path("away"), site.path("zones")).unwrap();
    assert_eq!(outcomes(&site.look()), ["contoso.test recovered"]);
}

#[test]
fn a_file_written_in_pieces_is_believed_when_it_is_whole() {
    let whole: String = (0..100).map(|number| format!("h{number} 60 IN A 10.0.0.1\n")).collect();
    let mut site = Site::new(ONE_ZONE, &[("zones/contoso.test.zone", &whole)]);
    let new = whole.replace("10.0.0.1", "10.0.0.2");
    for part in [0, new.len() / 4, new.len() / 2, 3 * new.len() / 4] {
        let cut = new[..part].rfind('\n').map_or(0, |end| end + 1); // a line's end: what is there parses
        site.write("zones/contoso.test.zone", &new[..cut]);
        assert!(site.look().is_empty(), "after {part} of {} octets", new.len());
        assert_eq!(site.a("h99.contoso.test"), "10.0.0.1");
    }
    site.write("zones/contoso.test.zone", &new);
    assert_eq!(outcomes(&site.look()).len(), 1);
    assert_eq!(site.a("h99.contoso.test"), "10.0.0.2");
}

#[test]
fn who_asks_to_look_now_does_not_wait() {
    let mut site = Site::new(ONE_ZONE, &[("zones/contoso.test.zone", "www 60 IN A 10.0.0.1\nold 60 IN A 10.0.0.1\n")]);
    site.write("zones/contoso.test.zone", "www 60 IN A 10.0.0.2\n");
    let (_, report) = site.store.look_again(site.now, LookMode::Now);
    assert_eq!((outcomes(&report).len(), site.a("www.contoso.test")), (1, "10.0.0.2".into()));
}

#[test]
fn a_config_map_swap_is_one_generation() {
    let config = "[[zone]]\nname = 'contoso.test'\ndirectory = 'zones'\n[[zone]]\nname = 'fabrikam.test'\ndirectory = 'zones'\n";
    let mut site = Site::new(config, &[]);
    let version = |name: &str, address: &str| {
        fs::create_dir(site.path("zones").join(name)).unwrap();
        for zone in ["contoso.test", "fabrikam.test"] {
            site.write(&format!("zones/{name}/{zone}.zone"), &format!("www 60 IN A {address}\n"));
        }
    };
    version("..one", "10.0.0.1");
    version("..two", "10.0.0.2");
    let link = |target: &str| {
        let _ = fs::remove_file(site.path("zones/..tmp"));
        std::os::unix::fs::symlink(target, site.path("zones/..tmp")).unwrap();
        fs::rename(site.path("zones/..tmp"), site.path("zones/..data")).unwrap();
    };
    link("..one");
    for zone in ["contoso.test", "fabrikam.test"] {
        std::os::unix::fs::symlink(format!("..data/{zone}.zone"), site.path(&format!("zones/{zone}.zone"))).unwrap();
    }
    let report = site.look();
    assert_eq!((report.generation, report.zones.len(), site.a("www.contoso.test")), (2, 2, "10.0.0.1".into()));
    let swap = |target: &str| {
        std::os::unix::fs::symlink(target, site.path("zones/..tmp")).unwrap();
        fs::rename(site.path("zones/..tmp"), site.path("zones/..data")).unwrap();
    };
    swap("..two");
    let report = site.look();
    assert_eq!((report.generation, report.zones.len()), (3, 2));
    assert_eq!((site.a("www.contoso.test"), site.a("www.fabrikam.test")), ("10.0.0.2".into(), "10.0.0.2".into()));
}

#[test]
fn what_moves_while_others_are_read_is_waited_for_once() {
    let config = "[[zone]]\nname = 'contoso.test'\nfile = 'one'\n[[zone]]\nname = 'fabrikam.test'\nfile = 'two'\n";
    let record = |last: u8| format!("www 60 IN A 10.0.0.{last}\n");
    let mut site = Site::new(config, &[("one", &record(1)), ("two", &record(1))]);
    let both = |site: &Site| [site.a("www.contoso.test"), site.a("www.fabrikam.test")];
    let next = |site: &mut Site| {
        site.pass(1);
        site.store.look_again(site.now, LookMode::Settled).1
    };
    // The first is read, as of before the swap that the second is found in.
    site.write("one", &record(2));
    assert!(site.store.look_again(site.now, LookMode::Settled).1.is_empty());
    site.write("two", &record(2));
    let report = next(&mut site);
    assert_eq!((report.is_empty(), report.generation, both(&site)), (true, 1, ["10.0.0.1".into(), "10.0.0.1".into()]));
    let report = next(&mut site);
    assert_eq!((report.zones.len(), report.generation, both(&site)), (2, 2, ["10.0.0.2".into(), "10.0.0.2".into()]));
    // What moves on and on is not waited for again.
    site.write("one", &record(3));
    site.store.look_again(site.now, LookMode::Settled);
    site.write("two", &record(30));
    assert!(next(&mut site).is_empty());
    site.write("two", &record(31));
    let report = next(&mut site);
    assert_eq!((report.generation, both(&site)), (3, ["10.0.0.3".into(), "10.0.0.2".into()]));
}

#[test]
fn an_included_file_that_changes_changes_the_zone() {
    let mut site =
        Site::new(ONE_ZONE, &[("zones/contoso.test.zone", "$INCLUDE hosts.inc\n"), ("zones/hosts.inc", "www 60 IN A 10.0.0.1\n")]);
    assert_eq!(site.a("www.contoso.test"), "10.0.0.1");
    site.write("zones/hosts.inc", "www 60 IN A 10.0.0.2\n");
    site.look();
    assert_eq!(site.a("www.contoso.test"), "10.0.0.2");
    site.write("zones/hosts.inc", "www 60 IN A bad\n");
    site.look();
    site.pass(10);
    let report = site.look();
    assert!(problems(&report, &site)[0].starts_with("zones/hosts.inc:1:13: error: "), "{:?}", problems(&report, &site));
    fs::remove_file(site.path("zones/hosts.inc")).unwrap();
    site.look();
    site.pass(10);
    assert_eq!((outcomes(&site.look()).len(), site.a("www.contoso.test")), (1, "10.0.0.2".into()));
}

const HEALTH: &str = "[[zone]]\npreset = 'azure-health-data-services'\ndirectory = 'zones'\n";

#[test]
fn shared_files_go_to_the_zones_that_own_their_names() {
    let hosts = "10.20.1.4 contosows-workspace.privatelink.azurehealthcareapis.com\n\
                 10.20.1.5 contosows-fhir1.fhir.azurehealthcareapis.com\n\
                 10.20.1.6 contosows-dicom1.dicom.azurehealthcareapis.com\n\
                 10.20.1.7 contosokv.vault.azure.net www.contoso.test\n";
    let mut site = Site::new(HEALTH, &[("zones/endpoint.hosts", hosts)]);
    assert_eq!(site.report.zones.len(), 4, "{:?}", site.report);
    for (name, address) in [
        ("contosows-workspace.privatelink.azurehealthcareapis.com", "10.20.1.4"),
        ("contosows-fhir1.fhir.privatelink.azurehealthcareapis.com", "10.20.1.5"),
        ("contosows-dicom1.privatelink.dicom.azurehealthcareapis.com", "10.20.1.6"),
        ("contosows-dicom1.dicom.privatelink.azurehealthcareapis.com", "10.20.1.6"),
    ] {
        assert_eq!(site.a(name), address, "{name}");
    }
    assert_eq!(
        problems(&site.report, &site),
        ["zones/endpoint.hosts:4:11: warning: names that lie in no zone of this source: contosokv.vault.azure.net. (line 4), \
          www.contoso.test. (line 4) help: add a [[zone]] for them, or leave them out"]
    );
    // A zone's own file beside it; a bad shared file leaves its last good records and holds nothing up.
    site.write("zones/privatelink.azurehealthcareapis.com.zone", "own 60 IN A 10.20.1.9\n");
    site.look();
    let both = |site: &Site| {
        (site.a("own.privatelink.azurehealthcareapis.com"), site.a("contosows-fhir1.fhir.privatelink.azurehealthcareapis.com"))
    };
    assert_eq!(both(&site), ("10.20.1.9".into(), "10.20.1.5".into()));
    site.write("zones/endpoint.hosts", "10.20.1.400 contosows-fhir1.fhir.azurehealthcareapis.com\n");
    site.write("zones/privatelink.azurehealthcareapis.com.zone", "own 60 IN A 10.20.1.10\n");
    site.look();
    site.pass(10);
    let report = site.look();
    assert_eq!(report.zones.iter().filter(|zone| matches!(zone.outcome, ZoneOutcome::Failed(_))).count(), 4, "{report:?}");
    assert_eq!(both(&site), ("10.20.1.10".into(), "10.20.1.5".into()));
    fs::remove_file(site.path("zones/privatelink.azurehealthcareapis.com.zone")).unwrap();
    site.write("zones/endpoint.hosts", &hosts.replace("10.20.1.5 ", "10.20.1.50 "));
    site.look();
    assert_eq!(both(&site), ("10.20.1.10".into(), "10.20.1.50".into()), "the deleted file's records stay");
}

#[test]
fn a_shared_file_that_is_bad_at_start_makes_no_zone_say_that_its_names_are_missing() {
    let mut site =
        Site::new(HEALTH, &[("zones/endpoint.json", "{"), ("zones/privatelink.azurehealthcareapis.com.zone", "own 60 IN A 10.20.1.9\n")]);
    assert!(site.a("own.privatelink.azurehealthcareapis.com").starts_with("unavailable: "));
    fs::remove_file(site.path("zones/endpoint.json")).unwrap();
    site.look();
    assert_eq!(site.a("own.privatelink.azurehealthcareapis.com"), "10.20.1.9");
    // Later a bad new file takes nothing away.
    site.write("zones/endpoint.json", "{");
    site.look();
    site.pass(10);
    assert!(site.look().has_errors());
    assert_eq!(site.a("own.privatelink.azurehealthcareapis.com"), "10.20.1.9");
}

#[test]
fn rows_of_another_zone_cost_themselves_alone() {
    for more in [None, Some("10.0.0.4 c.contoso.test\n")] {
        let shared = more.map(|text| ("zones/shared.hosts", text));
        let files = [
            ("zones/contoso.test.zone", "a A 10.0.0.1\n$INCLUDE parts.inc\n"),
            ("zones/parts.inc", "; leftovers\nns.fabrikam.test. A 10.0.0.2\nb A 10.0.0.3\n"),
        ];
        let mut site = Site::new(ONE_ZONE, &files.into_iter().chain(shared).collect::<Vec<_>>());
        assert_eq!((site.a("a.contoso.test").as_str(), site.a("b.contoso.test").as_str()), ("10.0.0.1", "10.0.0.3"));
        let warning = "zones/parts.inc:2:1: warning: 1 record lies outside the zone contoso.test and is not served: ns.fabrikam.test (line 2) \
                       help: a name without a final dot is relative to the origin";
        assert!(problems(&site.report, &site).contains(&warning.to_owned()), "{:?}", site.report.problems);
        // A file that is all of another zone changes nothing.
        site.write("zones/contoso.test.zone", "$ORIGIN fabrikam.test.\na A 10.0.0.9\n");
        let report = site.look();
        assert!(
            problems(&report, &site)[0].contains("error: no record of this file lies in the zone contoso.test"),
            "{:?}",
            report.problems
        );
        assert_eq!((site.a("a.contoso.test").as_str(), site.a("b.contoso.test").as_str()), ("10.0.0.1", "10.0.0.3"));
    }
}

#[test]
fn files_that_disagree_are_told_apart() {
    let one = "10.20.1.5 contosows-fhir1.fhir.privatelink.azurehealthcareapis.com\n";
    let two = "10.30.1.5 contosows-fhir1.fhir.privatelink.azurehealthcareapis.com\n";
    let config = format!(
        "[[network]]\nname = 'hub'\nclients = ['10.20.0.0/16']\n[[network]]\nname = 'spoke'\nclients = ['10.30.0.0/16']\n{HEALTH}network = ['hub']\n"
    );
    let site = Site::new(&config, &[("zones/a.hosts", one), ("zones/b.hosts", two)]);
    let found = problems(&site.report, &site);
    assert!(
        found.iter().any(|problem| problem
            .starts_with("zones/b.hosts:1:11: warning: contosows-fhir1.fhir.privatelink.azurehealthcareapis.com A differs from ")),
        "{found:?}"
    );
    assert!(found.iter().any(|problem| problem.contains("has addresses of two networks, 10.20.1.5 and 10.30.1.5")), "{found:?}");
    assert_eq!(site.ask("10.20.0.1", "contosows-fhir1.fhir.privatelink.azurehealthcareapis.com"), "10.20.1.5 10.30.1.5");
}

#[test]
fn spellings_that_disagree_are_warned_of_once() {
    let site = Site::new(
        HEALTH,
        &[
            ("zones/privatelink.azurehealthcareapis.com.zone", "contosows-dicom1.dicom 60 IN A 10.20.1.6\n"),
            ("zones/privatelink.dicom.azurehealthcareapis.com.zone", "contosows-dicom1 60 IN A 10.20.1.7\n"),
        ],
    );
    let found = problems(&site.report, &site);
    assert_eq!(found.iter().filter(|problem| problem.contains("have different addresses")).count(), 1, "{found:?}");
}

#[test]
fn a_public_address_is_warned_of_where_it_stands() {
    let site = Site::new(ONE_ZONE, &[("zones/contoso.test.zone", "a 60 IN A 10.0.0.1\nwww 60 IN A 203.0.113.9\n")]);
    assert!(
        problems(&site.report, &site)[0]
            .starts_with("zones/contoso.test.zone:2:1: warning: www.contoso.test has the public address 203.0.113.9")
    );
}

#[test]
fn one_zone_name_has_other_records_in_each_network() {
    let config = "[[network]]\nname = 'hub'\nclients = ['10.20.0.0/16']\n[[network]]\nname = 'spoke'\nclients = ['10.30.0.0/16']\n\
                  [[zone]]\nname = 'contoso.test'\nnetwork = ['hub']\nfile = 'hub.zone'\n\
                  [[zone]]\nname = 'contoso.test'\nnetwork = ['spoke']\nfile = 'spoke.zone'\n";
    let mut site = Site::new(config, &[("hub.zone", "www 60 IN A 10.20.0.1\n"), ("spoke.zone", "www 60 IN A 10.30.0.1\n")]);
    let answers = |site: &Site| ["10.20.9.9", "10.30.9.9", "10.40.9.9"].map(|client| site.ask(client, "www.contoso.test"));
    assert_eq!(answers(&site), ["10.20.0.1", "10.30.0.1", "not ours"]);
    site.write("hub.zone", "www 60 IN A 10.20.0.2\n");
    let report = site.look();
    assert_eq!((report.zones.len(), report.zones[0].networks.to_string()), (1, "hub".into()));
    assert_eq!(answers(&site), ["10.20.0.2", "10.30.0.1", "not ours"]);
}

#[test]
fn a_new_configuration_keeps_what_stays() {
    let both = format!("{ONE_ZONE}[[zone]]\nname = 'fabrikam.test'\ndirectory = 'zones'\n");
    let mut site =
        Site::new(&both, &[("zones/contoso.test.zone", "www 60 IN A 10.0.0.1\n"), ("zones/fabrikam.test.zone", "www 60 IN A 10.0.0.2\n")]);
    let zone = |site: &Site| site.store.current().hosted()[0].hosted.zone().unwrap().clone();
    let before = zone(&site);
    let report = site.reconfigure(ONE_ZONE);
    assert_eq!((outcomes(&report), report.is_new), (vec!["fabrikam.test removed".to_string()], true));
    assert!(Arc::ptr_eq(&before, &zone(&site)));
    assert_eq!((site.a("www.contoso.test"), site.a("www.fabrikam.test")), ("10.0.0.1".into(), "not ours".into()));
    let report = site.reconfigure(&both);
    assert_eq!(outcomes(&report), ["fabrikam.test loaded"]);
    // Another policy is there at once; other TTL bounds as well.
    let report = site.reconfigure("[[zone]]\nname = 'contoso.test'\ndirectory = 'zones'\non-missing = 'nxdomain'\nmin-ttl = 100\n");
    assert_eq!(outcomes(&report), ["fabrikam.test removed", "contoso.test 0 added, 1 changed, 0 removed: ~ www.contoso.test. A"]);
    assert_eq!(site.store.current().hosted()[0].hosted.on_missing, model::OnMissing::Nxdomain);
}

#[test]
fn a_zone_that_moves_to_a_bad_source_keeps_its_data() {
    let mut site = Site::new(ONE_ZONE, &[("zones/contoso.test.zone", "www 60 IN A 10.0.0.1\n"), ("other.zone", "www 60 IN A bad\n")]);
    for file in ["other.zone", "absent.zone"] {
        let report = site.reconfigure(&format!("[[zone]]\nname = 'contoso.test'\nfile = '{file}'\n"));
        assert_eq!((outcomes(&report), site.a("www.contoso.test")), (vec!["contoso.test failed".into()], "10.0.0.1".into()));
    }
}

#[test]
fn the_serial_of_the_file_is_served_and_one_that_stays_is_warned_of() {
    let soa =
        |serial: u32, address: &str| format!("@ 60 IN SOA ns.contoso.test. host.contoso.test. {serial} 1 1 1 1\nwww 60 IN A {address}\n");
    let mut site = Site::new(ONE_ZONE, &[("zones/contoso.test.zone", &soa(7, "10.0.0.1"))]);
    let serial = |site: &Site| site.store.current().hosted()[0].hosted.serial();
    assert_eq!(serial(&site), Some(7));
    site.write("zones/contoso.test.zone", &soa(7, "10.0.0.2"));
    let report = site.look();
    assert!(
        problems(&report, &site)[0]
            .starts_with("zones/contoso.test.zone:1:1: warning: records changed and the serial did not rise: 7 after 7")
    );
    assert_eq!((serial(&site), site.a("www.contoso.test")), (Some(7), "10.0.0.2".into()));
    site.write("zones/contoso.test.zone", &soa(8, "10.0.0.2"));
    let report = site.look();
    assert_eq!((serial(&site), report.is_new, report.problems.len()), (Some(8), true, 0));
}

#[test]
fn old_snapshots_are_given_up_here() {
    let mut site = Site::new(ONE_ZONE, &[("zones/contoso.test.zone", "www 60 IN A 10.0.0.1\n")]);
    let held = site.store.current().clone();
    site.write("zones/contoso.test.zone", "www 60 IN A 10.0.0.2\n");
    site.look();
    assert_eq!(site.store.drop_old(), 1);
    drop(held);
    assert_eq!(site.store.drop_old(), 0);
}

#[test]
fn an_export_of_a_zone_is_served_as_it_is() {
    let export = "\n; Exported zone file from Azure DNS\n$TTL 10\n$ORIGIN contoso.test.\n    \n@ 3600 IN SOA azureprivatedns.net. azureprivatedns-host.microsoft.com. (\n \
                  1 ; serial\n 3600 ; refresh\n 300 ; retry\n 2419200 ; expire\n 10 ; minimum\n )\n\nws 10 IN A 10.20.1.4\n";
    let mut site = Site::new(ONE_ZONE, &[("zones/contoso.test.zone", export)]);
    assert_eq!((site.a("ws.contoso.test"), problems(&site.report, &site)), ("10.20.1.4".into(), Vec::new()));
    site.write("zones/contoso.test.zone", &export.replace("10.20.1.4", "10.20.1.5"));
    let report = site.look();
    assert_eq!((report.problems.len(), site.a("ws.contoso.test")), (0, "10.20.1.5".into()), "its serial never moves: no warning");
}

#[test]
fn a_zone_table_that_a_reload_names_tells_what_a_source_means() {
    let zone = "[[zone]]\nname = 'privatelink.widgets.contoso.com'\nfile = 'endpoint.json'\n";
    let endpoint = r#"{"customDnsConfigs": [{"fqdn": "a.widgets.contoso.com", "ipAddresses": ["10.0.0.1"]}]}"#;
    let table = r#"[{"service": "Widgets", "zones": ["privatelink.widgets.contoso.com"], "forward": ["widgets.contoso.com"]}]"#;
    let mut site = Site::new(zone, &[("endpoint.json", endpoint), ("table.json", table)]);
    assert_ne!(site.a("a.privatelink.widgets.contoso.com"), "10.0.0.1");
    site.reconfigure(&format!("[server]\nzone-table = 'table.json'\n{zone}"));
    assert_eq!(site.a("a.privatelink.widgets.contoso.com"), "10.0.0.1");
}

#[test]
fn a_new_namesake_above_a_zone_of_files_does_not_take_its_last_good_data() {
    let networks = "[[network]]\nname = 'hub'\nclients = ['10.20.0.0/16']\n[[network]]\nname = 'lab'\nclients = ['10.30.0.0/16']\n";
    let zone = |network: &str, file: &str| format!("[[zone]]\nname = 'contoso.test'\nnetwork = ['{network}']\nfile = '{file}'\n");
    let record = "www 60 IN A 10.20.0.1\n";
    let mut site = Site::new(&format!("{networks}{}", zone("hub", "a.zone")), &[("a.zone", record), ("b.zone", "www 60 IN A bad\n")]);
    site.reconfigure(&format!("{networks}{}{}", zone("lab", "a.zone"), zone("hub", "b.zone")));
    assert_eq!(["10.20.9.9", "10.30.9.9"].map(|client| site.ask(client, "www.contoso.test")), ["10.20.0.1", "10.20.0.1"]);
}
