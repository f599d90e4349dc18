//! Switches for single upstreams: `edns`, `udp-size`, `timeout`.

use hickory_proto::rr::RecordType::A;

use crate::harness::{PATIENT, PATIENT_FORWARD, Server, ask_udp, query};
use crate::script::{ScriptedUpstream, address};

#[test]
fn an_upstream_gets_no_edns_or_another_size_if_its_table_has_it() {
    let upstream = ScriptedUpstream::start(|question| Some(address(question, 60, "192.0.2.1")));
    let plain = ScriptedUpstream::start(|question| match question.edns {
        Some(_) => None, // as behind a device that drops EDNS
        None => Some(address(question, 60, "192.0.2.2")),
    });
    let (at, plain_at) = (upstream.address, plain.address);
    let config = format!(
        "[server]\nlisten = ['127.0.0.1:0']\n{PATIENT}\
         [[forward]]\nzone = '.'\nupstreams = [{{ address = '{at}', udp-size = 512 }}]\n{PATIENT_FORWARD}\
         [[forward]]\nzone = 'plain.contoso.test'\nupstreams = [{{ address = '{plain_at}', edns = false }}]\n{PATIENT_FORWARD}"
    );
    let server = Server::with(&[("postern.toml", &config)]);
    assert_eq!(server.short("www.contoso.test", A), ["192.0.2.1"]);
    let sizes: Vec<_> = upstream.seen("www.contoso.test").iter().map(|seen| seen.message.edns.as_ref().unwrap().max_payload()).collect();
    assert!(!sizes.is_empty() && sizes.iter().all(|size| *size == 512), "{sizes:?}");
    // A client with DNSSEC gets an answer as well, without signatures.
    let mut question = query("www.plain.contoso.test", A);
    question.edns.as_mut().unwrap().set_dnssec_ok(true);
    let answer = ask_udp(server.address, None, &question).expect("an answer");
    assert_eq!(answer.answers.len(), 1, "{answer:?}");
    assert!(plain.seen("www.plain.contoso.test").iter().all(|seen| seen.message.edns.is_none()));
}

#[test]
fn the_timeout_of_an_upstream_replaces_that_of_its_route() {
    let silent = ScriptedUpstream::start(|_| None);
    let upstream = ScriptedUpstream::start(|question| Some(address(question, 60, "192.0.2.1")));
    let config = format!(
        "[server]\nlisten = ['127.0.0.1:0']\n{PATIENT}\
         [[forward]]\nzone = '.'\ntimeout = '25s'\nupstreams = [{{ address = '{}', timeout = '50ms' }}, '{}']\n",
        silent.address, upstream.address
    );
    let server = Server::with(&[("postern.toml", &config)]);
    let start = std::time::Instant::now();
    assert_eq!(server.short("www.contoso.test", A), ["192.0.2.1"]);
    assert!(start.elapsed() < std::time::Duration::from_secs(20), "the timeout of the route counted");
    assert!(!silent.seen("www.contoso.test").is_empty());
}
