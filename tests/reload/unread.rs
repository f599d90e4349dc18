//! Files of a zone directory that no zone reads, and the file that a zone's records are shown to come from.

use std::fs;

use crate::harness::{Server, eventually, run};

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
name      = 'contoso.test'
directory = 'zones'
";

#[test]
fn a_file_that_no_zone_reads_is_in_the_log_and_makes_strict_readiness_fail_until_it_is_gone() {
    let server = Server::with(&[("postern.toml", CONFIG), ("zones/Contoso.Test.DNS", "www 60 IN A 10.0.0.1\n")]);
    let page = |path: &str| {
        let answer = server.api(None).send("GET", path, None);
        (answer.status, answer.body)
    };
    assert_eq!(page("/ready?strict").0, 200);
    let stray = server.file("zones/contosso.test.zone");
    fs::write(&stray, "mail 60 IN A 10.0.0.2\n").unwrap();
    server.logged(&["WARN", "contosso.test.zone: warning: no zone reads this file", "rename it to contoso.test.zone"]);
    let (status, body) = eventually("strict readiness fails", || Some(page("/ready?strict")).filter(|(status, _)| *status == 503));
    assert!(body.contains(&format!("{}: no zone reads this file", stray.display())), "{status} {body}");
    assert_eq!(page("/ready").0, 200, "it serves all the same");
    fs::remove_file(&stray).unwrap();
    eventually("it is ready again", || (page("/ready?strict").0 == 200).then_some(()));
    let said = server.log().iter().filter(|line| line.contains("no zone reads this file")).count();
    assert_eq!(said, 1, "{}", server.log().join("\n"));
}

#[test]
fn the_writer_of_a_zone_is_the_file_that_has_its_records() {
    let server = Server::with(&[("postern.toml", CONFIG), ("zones/Contoso.Test.DNS", "www 60 IN A 10.0.0.1\n")]);
    let socket = server.file("state/postern.sock");
    let list = run(&["records", "--socket", socket.to_str().unwrap(), "list"]);
    let text = String::from_utf8([list.stdout, list.stderr].concat()).unwrap();
    assert!(text.contains(&format!("file {}", server.file("zones/Contoso.Test.DNS").display())), "{text}");
}
