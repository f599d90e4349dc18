//! What the operator sees of a source or a configuration that lost too much, and how it is accepted.

use std::fs;

use hickory_proto::rr::RecordType::A;

use crate::harness::{Server, eventually, postern, run, write_files};

const CONFIG: &str = "\
[server]
listen = ['127.0.0.1:0']
poll   = '1h'

[api]
listen = '127.0.0.1:0'

[[forward]]
zone      = '.'
upstreams = ['127.0.0.1:1'] # never asked

[[zone]]
name = 'contoso.test'
file = 'contoso.zone'

[[zone]]
name = 'fabrikam.test'
file = 'fabrikam.zone'

[[zone]]
name = 'tailspin.test'
file = 'fabrikam.zone'
";

struct Operator(Server);

impl Operator {
    fn new() -> Self {
        Self(Server::with(&[
            ("postern.toml", CONFIG),
            ("contoso.zone", "www 60 IN A 10.0.0.1\n"),
            ("fabrikam.zone", "www 60 IN A 10.0.0.2\n"),
        ]))
    }

    /// Runs a command against the server; gives whether it succeeded, and all that it printed.
    fn run(&self, words: &[&str]) -> (bool, String) {
        let (socket, (command, rest)) = (self.0.file("state/postern.sock"), words.split_first().unwrap());
        let done = run(&[&[*command, "--socket", socket.to_str().unwrap()], rest].concat());
        (done.status.success(), String::from_utf8([done.stdout, done.stderr].concat()).unwrap())
    }

    fn page(&self, path: &str) -> (u16, String) {
        let answer = self.0.api(None).send("GET", path, None);
        (answer.status, answer.body)
    }

    fn address(&self, name: &str) -> Vec<String> {
        self.0.short(name, A)
    }
}

#[test]
fn a_loss_is_shown_until_it_is_accepted() {
    let operator = Operator::new();
    let held = "postern_zone_loss_held{zone=\"contoso.test\",network=\"all\"}";
    fs::write(operator.0.file("contoso.zone"), "; nothing\n").unwrap();
    operator.0.logged(&["ERROR", "contoso.zone: error: no records, 1 before", "postern reload --accept contoso.test"]);
    eventually("it is counted", || operator.page("/metrics").1.contains(&format!("{held} 1")).then_some(()));
    let (status, page) = operator.page("/ready?strict");
    assert!(status == 503 && page.contains("postern reload --accept contoso.test"), "{status} {page}");
    assert_eq!(operator.page("/ready").0, 200);
    let (is_good, told) = operator.run(&["status"]);
    assert!(is_good && told.contains("contoso.zone: no records, 1 before"), "{told}");
    // A reload alone accepts nothing, nor does one for another zone.
    for words in [&["reload"][..], &["reload", "--accept", "fabrikam.test"]] {
        let (is_good, told) = operator.run(words);
        assert!(is_good && told.contains("warning: zone contoso.test: last good data ("), "{told}");
        assert_eq!(operator.address("www.contoso.test"), ["10.0.0.1"]);
    }
    let (is_good, told) = operator.run(&["reload", "--accept", "nowhere.test"]);
    assert!(!is_good && told.contains("the configuration has no zone nowhere.test whose loss could be accepted"), "{told}");
    assert!(!operator.page("/ready?strict").1.contains("nowhere.test"), "a slip of the operator is no refused reload");
    let (is_good, told) = operator.run(&["reload", "--accept", "Contoso.test."]);
    assert!(is_good && told.starts_with("reloaded, generation ") && told.lines().count() == 1, "{told}");
    assert_ne!(operator.address("www.contoso.test"), ["10.0.0.1"]);
    assert!(operator.page("/metrics").1.contains(&format!("{held} 0")) && operator.page("/ready?strict").0 == 200);
}

#[test]
fn a_configuration_that_loses_most_zones_is_shown_until_it_is_accepted() {
    let operator = Operator::new();
    let cut = CONFIG.split("[[zone]]").take(2).collect::<Vec<_>>().join("[[zone]]");
    for (text, lost) in [
        (cut.as_str(), "2 of 3 zones: fabrikam.test, tailspin.test"),
        ("", "sets nothing and would drop 3 of 3 zones: contoso.test, fabrikam.test, tailspin.test; 1 of 1 routes: ."),
    ] {
        let seen = operator.0.log().len();
        operator.0.write("postern.toml", text);
        let told = operator.0.logged_after(seen, &["ERROR", "reload rejected", lost]);
        assert!(told.ends_with("postern reload --accept configuration"), "{told}");
        let seen = operator.0.log().len();
        operator.0.signal("HUP");
        operator.0.logged_after(seen, &["ERROR", "reload rejected", lost]);
        assert_eq!(operator.page("/ready?strict").0, 503);
        let (is_good, told) = operator.run(&["reload"]);
        assert!(!is_good && told.contains(lost), "{told}");
        assert_eq!(["contoso.test", "tailspin.test"].map(|zone| operator.address(&format!("www.{zone}"))), [["10.0.0.1"], ["10.0.0.2"]]);
    }
    // Mended, and cut again with the operator's word.
    operator.0.write("postern.toml", CONFIG);
    eventually("it is good again", || (operator.page("/ready?strict").0 == 200).then_some(()));
    operator.0.write("postern.toml", &cut);
    let (is_good, told) = operator.run(&["reload", "--accept", "configuration"]);
    assert!(is_good, "{told}");
    assert_eq!(operator.address("www.contoso.test"), ["10.0.0.1"]);
    assert_ne!(operator.address("www.tailspin.test"), ["10.0.0.2"]);
}

#[test]
fn a_configuration_that_is_written_over_in_pieces_is_applied_whole() {
    let operator = Operator::new();
    let path = operator.0.file("postern.toml");
    let added = format!("{CONFIG}\n[[zone]]\nname = 'wingtip.test'\nfile = 'fabrikam.zone'\n");
    for is_kept_open in [true, false] {
        let text = if is_kept_open { added.as_str() } else { CONFIG };
        let open = |is_first: bool| fs::OpenOptions::new().write(true).append(!is_first).truncate(is_first).open(&path).unwrap();
        let mut file = open(true);
        for (number, part) in text.split_inclusive("\n\n").enumerate() {
            if !is_kept_open {
                file = open(number == 0);
            }
            std::io::Write::write_all(&mut file, part.as_bytes()).unwrap();
            if !is_kept_open {
                file = fs::File::open("/dev/null").unwrap(); // closes it
            }
            let end = std::time::Instant::now() + std::time::Duration::from_millis(200);
            while std::time::Instant::now() < end {
                let all = ["contoso.test", "fabrikam.test", "tailspin.test"].map(|zone| operator.address(&format!("www.{zone}")));
                assert_eq!(all, [["10.0.0.1"], ["10.0.0.2"], ["10.0.0.2"]], "{}", operator.0.log().join("\n"));
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
        }
        drop(file);
        eventually("it is applied", || ((operator.address("www.wingtip.test") == ["10.0.0.2"]) == is_kept_open).then_some(()));
    }
    let log = operator.0.log();
    assert!(!log.iter().any(|line| line.contains("reload rejected")), "{}", log.join("\n"));
}

#[test]
fn a_configuration_that_is_cut_while_the_server_is_down_serves_only_once_it_is_accepted() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let zones = [("contoso.zone", "www 60 IN A 10.0.0.1\n"), ("fabrikam.zone", "www 60 IN A 10.0.0.2\n")];
    write_files(path, &[&[("postern.toml", CONFIG)], &zones[..]].concat());
    let config = path.join("postern.toml");
    let start = |more: &[&str]| {
        let words = [&["serve", "-c", config.to_str().unwrap()], more].concat();
        Operator(Server::spawn(postern(&words), path.to_owned(), None))
    };
    start(&[]).0.stop();
    let sections: Vec<&str> = CONFIG.split("[[zone]]").collect();
    let (no_zone, one_zone) = (sections[0].to_owned(), sections[..2].join("[[zone]]"));
    for cut in [&no_zone, &one_zone] {
        write_files(path, &[("postern.toml", cut)]);
        let operator = start(&[]);
        operator.0.logged(&["ERROR", "truncated while the server was down", "zones: ", "postern reload --accept configuration"]);
        for (name, address) in [("www.contoso.test", "10.0.0.1"), ("www.fabrikam.test", "10.0.0.2"), ("www.tailspin.test", "10.0.0.2")] {
            assert_eq!(operator.address(name), [address], "{cut}");
        }
        let (status, page) = operator.page("/ready?strict");
        assert!(status == 503 && page.contains("would drop") && page.contains("fabrikam.test"), "{status} {page}");
        assert!(operator.page("/metrics").1.contains("postern_reload_last_successful 0"));
        let (is_good, told) = operator.run(&["status"]);
        assert!(is_good && told.contains("postern reload --accept configuration"), "{told}");
        let (is_good, told) = operator.run(&["reload"]);
        assert!(!is_good && told.contains("would drop"), "a reload alone accepts nothing: {told}");
        assert_eq!(operator.address("www.tailspin.test"), ["10.0.0.2"]);
        operator.0.stop();
    }
    let operator = start(&[]);
    let (is_good, told) = operator.run(&["reload", "--accept", "configuration"]);
    assert!(is_good, "{told}");
    assert_eq!(operator.address("www.fabrikam.test"), ["SERVFAIL"]);
    operator.0.stop();
    let operator = start(&[]);
    assert_eq!(operator.address("www.fabrikam.test"), ["SERVFAIL"], "what was accepted is not asked for again");
    assert!(!operator.0.log().iter().any(|line| line.contains("ERROR")), "{:?}", operator.0.log());
    // The file is mended while the server runs, and the next loss is accepted at the start.
    write_files(path, &[("postern.toml", CONFIG)]);
    operator.0.signal("HUP");
    operator.0.logged(&["postern: reloaded"]);
    operator.0.stop();
    write_files(path, &[("postern.toml", &no_zone)]);
    assert_eq!(start(&["--accept-configuration"]).address("www.contoso.test"), ["SERVFAIL"]);
}
