//! `next-on`: the next upstream after a denial.

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType::{A, TXT};

use crate::harness::{PATIENT, PATIENT_FORWARD, Server};
use crate::script::{ScriptedUpstream, address, denial, empty, is_for};

/// Knows one name and denies all others.
fn knows(name: &'static str, its_address: &'static str) -> ScriptedUpstream {
    ScriptedUpstream::start(move |question| {
        Some(if is_for(question, name) { address(question, 60, its_address) } else { denial(question, ResponseCode::NXDomain) })
    })
}

fn server(routes: &str) -> Server {
    let zone = "[[zone]]\nname = 'private.contoso.test'\nfile = 'private.zone'\non-missing = 'nxdomain'\n";
    let config = format!("[server]\nlisten = ['127.0.0.1:0']\n{PATIENT}{zone}{routes}");
    Server::with(&[("postern.toml", &config), ("private.zone", "www 60 IN A 10.20.0.4\n")])
}

#[test]
fn after_nxdomain_the_next_upstream_is_asked_and_the_answer_of_the_last_one_counts_and_is_cached() {
    let (first, second) = (knows("hub.contoso.test", "192.0.2.1"), knows("site.contoso.test", "192.0.2.2"));
    let upstreams = format!("upstreams = ['{}', '{}']\n{PATIENT_FORWARD}", first.address, second.address);
    let server = server(&format!(
        "[[forward]]\nzone = '.'\nnext-on = ['nxdomain']\n{upstreams}[[forward]]\nzone = 'strict.contoso.test'\n{upstreams}"
    ));
    assert_eq!(server.short("hub.contoso.test", A), ["192.0.2.1"]);
    assert_eq!(server.short("site.contoso.test", A), ["192.0.2.2"]);
    assert!(second.seen("hub.contoso.test").is_empty());
    for _ in 0..2 {
        assert_eq!(server.short("nowhere.contoso.test", A), ["NXDOMAIN"]);
    }
    assert_eq!([first.seen("nowhere.contoso.test").len(), second.seen("nowhere.contoso.test").len()], [1, 1]);
    // A private denial is final, and so is the first denial of a route without the key.
    assert_eq!(server.short("missing.private.contoso.test", A), ["NXDOMAIN"]);
    assert_eq!(server.short("a.strict.contoso.test", A), ["NXDOMAIN"]);
    assert!(first.seen("missing.private.contoso.test").is_empty() && second.seen("missing.private.contoso.test").is_empty());
    assert!(second.seen("a.strict.contoso.test").is_empty());
}

#[test]
fn a_denial_is_given_if_the_next_upstream_fails_and_is_asked_for_again() {
    let first = knows("hub.contoso.test", "192.0.2.1");
    let second = ScriptedUpstream::start(|question| Some(empty(question, ResponseCode::ServFail)));
    let upstreams = format!("upstreams = ['{}', '{}']\n{PATIENT_FORWARD}", first.address, second.address);
    let server = server(&format!("[[forward]]\nzone = '.'\nnext-on = ['nxdomain']\n{upstreams}"));
    for _ in 0..2 {
        assert_eq!(server.short("site.contoso.test", A), ["NXDOMAIN"]);
    }
    assert_eq!(first.seen("site.contoso.test").len(), 2, "the next upstream may know it once it is well");
}

#[test]
fn a_denial_is_not_cached_either_if_the_upstream_before_failed() {
    let first = ScriptedUpstream::start(|question| Some(empty(question, ResponseCode::ServFail)));
    let second = knows("hub.contoso.test", "192.0.2.1");
    let upstreams = format!("upstreams = ['{}', '{}']\n{PATIENT_FORWARD}", first.address, second.address);
    let server = server(&format!("[[forward]]\nzone = '.'\nnext-on = ['nxdomain']\n{upstreams}"));
    for _ in 0..2 {
        assert_eq!(server.short("site.contoso.test", A), ["NXDOMAIN"]);
    }
    assert_eq!(second.seen("site.contoso.test").len(), 2, "the first upstream may know it once it is well");
}

#[test]
fn nodata_leads_to_the_next_upstream_if_it_is_in_the_list() {
    let first = ScriptedUpstream::start(|question| Some(denial(question, ResponseCode::NoError)));
    let second = knows("www.contoso.test", "192.0.2.2");
    let upstreams = format!("upstreams = ['{}', '{}']\n{PATIENT_FORWARD}", first.address, second.address);
    let server = server(&format!("[[forward]]\nzone = '.'\nnext-on = ['nxdomain', 'nodata']\n{upstreams}"));
    assert_eq!(server.short("www.contoso.test", A), ["192.0.2.2"]);
    assert!(server.short("www.contoso.test", TXT).is_empty());
}
