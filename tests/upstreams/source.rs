//! `source`: the address or interface that queries leave from.

use hickory_proto::rr::RecordType::A;

use crate::harness::{PATIENT, PATIENT_FORWARD, Server, run, write_files};
use crate::script::{ScriptedUpstream, address};

fn configuration(routes: &str) -> String {
    format!("[server]\nlisten = ['127.0.0.1:0']\n{PATIENT}{routes}")
}

#[test]
fn queries_leave_from_the_source_of_the_route_or_of_the_upstream_over_udp_and_tcp() {
    let upstream = ScriptedUpstream::start(|question| Some(address(question, 60, "192.0.2.1")));
    let at = upstream.address;
    let routes = format!(
        "[[forward]]\nzone = '.'\nsource = '127.0.0.9'\nupstreams = ['{at}']\n{PATIENT_FORWARD}\
         [[forward]]\nzone = 'tcp.contoso.test'\nsource = '127.0.0.9'\nupstreams = ['tcp://{at}']\n{PATIENT_FORWARD}\
         [[forward]]\nzone = 'own.contoso.test'\nsource = '127.0.0.9'\nupstreams = [{{ address = '{at}', source = '127.0.0.10' }}]\n{PATIENT_FORWARD}\
         [[forward]]\nzone = 'lo.contoso.test'\nupstreams = [{{ address = '{at}', source = 'lo' }}]\n{PATIENT_FORWARD}"
    );
    let server = Server::with(&[("postern.toml", &configuration(&routes))]);
    for (name, source, over_tcp) in [
        ("www.contoso.test", "127.0.0.9", false),
        ("www.tcp.contoso.test", "127.0.0.9", true),
        ("www.own.contoso.test", "127.0.0.10", false),
        ("www.lo.contoso.test", "127.0.0.1", false),
    ] {
        assert_eq!(server.short(name, A), ["192.0.2.1"], "{name}");
        let seen = upstream.seen(name);
        let found: Vec<_> = seen.iter().map(|seen| (seen.from.ip().to_string(), seen.over_tcp)).collect();
        assert!(found.iter().all(|found| *found == (source.to_owned(), over_tcp)), "{name}: {found:?}");
    }
}

#[test]
fn a_source_that_is_not_there_is_an_error_of_check_and_a_line_of_the_log_and_everything_else_is_served() {
    let upstream = ScriptedUpstream::start(|question| Some(address(question, 60, "192.0.2.1")));
    let at = upstream.address;
    let routes = format!(
        "[[forward]]\nzone = '.'\nupstreams = ['{at}']\n{PATIENT_FORWARD}\
         [[forward]]\nzone = 'away.contoso.test'\nsource = '192.0.2.77'\nupstreams = ['{at}', {{ address = '{at}', source = 'no-such-link' }}]\n{PATIENT_FORWARD}"
    );
    let config = configuration(&routes);
    let server = Server::with(&[("postern.toml", &config)]);
    assert_eq!(server.short("www.away.contoso.test", A), ["SERVFAIL"]);
    server.logged(&["cannot send queries from the source of the upstream", ",source=192.0.2.77", "source=192.0.2.77"]);
    server.logged(&["cannot send queries from the source of the upstream", "source=no-such-link"]);
    assert_eq!(server.short("www.contoso.test", A), ["192.0.2.1"]);

    let directory = tempfile::tempdir().unwrap();
    write_files(directory.path(), &[("postern.toml", &config)]);
    let checked = run(&["check", "-c", directory.path().join("postern.toml").to_str().unwrap()]);
    let text = String::from_utf8_lossy(&checked.stdout).into_owned();
    assert_eq!(checked.status.code(), Some(1), "{text}");
    assert!(text.contains("error: the route for `away.contoso.test` cannot send queries: `source` 192.0.2.77: "), "{text}");
    assert!(text.contains("this machine has no network interface `no-such-link`"), "{text}");
}
