//! Connections: rate and room, slow readers, the socket, TLS.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::harness::{Server, eventually, postern, run, write_files};
use crate::{CONFIG, FILED, keys, rrset, server};

#[test]
fn one_address_asks_no_more_often_than_the_rate_says() {
    let server = server("listen = '127.0.0.1:0'\nrate = 5");
    let mut api = server.api(None);
    let replies = api.flood(100, "/v1/zones", &[]);
    let refused = replies.iter().find(|reply| reply.status == 429).expect("one is refused");
    assert_eq!((refused.header("retry-after"), refused.header("content-type")), ("1", "application/problem+json"));
    assert!(replies.iter().take(5).all(|reply| reply.status == 200));
    let mut local = server.local_api();
    assert!((0..100).all(|_| local.get("/v1/zones").status == 200), "the socket has no bound");
}

#[test]
fn strangers_who_take_all_connections_leave_the_socket_free() {
    let server = server("listen = '127.0.0.1:0'\nconnections = 1");
    let hangs = TcpStream::connect(server.api_address()).unwrap();
    let mut stranger = TcpStream::connect(server.api_address()).unwrap();
    assert_eq!(server.local_api().get("/v1/zones").status, 200);
    drop(hangs);
    stranger.write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut answer = [0; 12];
    stranger.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
}

#[test]
fn what_a_slow_reader_has_not_taken_does_not_pile_up_in_the_kernel() {
    let text = "x".repeat(250);
    let zone: String = (0..20_000).map(|number| format!("n{number} 10 IN TXT {text}\n")).collect();
    let config = format!("{CONFIG}[api]\nlisten = '127.0.0.1:0'\n");
    let server = Server::with(&[("postern.toml", &config), ("filed.zone", &zone)]);
    let mut reader = TcpStream::connect(server.api_address()).unwrap();
    reader.write_all(b"GET /v1/zones/filed.test/export HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut head = [0; 12];
    reader.read_exact(&mut head).unwrap();
    assert_eq!(&head, b"HTTP/1.1 200");
    // The line of the server's end: its address and ours, then octets that wait to be sent or acknowledged.
    let [from, to] = [server.api_address(), reader.local_addr().unwrap()].map(|end| format!("0100007F:{:04X}", end.port()));
    let queued = || {
        let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
        let line = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>()).find(|words| words[1..3] == [&from[..], &to]);
        let (sending, _) = line.expect("it is connected")[4].split_once(':').unwrap();
        usize::from_str_radix(sending, 16).unwrap()
    };
    let mut before = 0;
    let settled = eventually("nothing more goes in", || {
        std::thread::sleep(Duration::from_millis(200));
        (std::mem::replace(&mut before, queued()) == before && before > 0).then_some(before)
    });
    assert!(settled < 1 << 20, "{settled} of five million octets");
}

#[test]
fn silent_connections_do_not_break_off_an_answer_that_is_being_sent() {
    let text = "x".repeat(250);
    let zone: String = (0..20_000).map(|number| format!("n{number} 10 IN TXT {text}\n")).collect();
    let config = format!("{CONFIG}[api]\nlisten = '127.0.0.1:0'\nconnections = 4\n");
    let server = Server::with(&[("postern.toml", &config), ("filed.zone", &zone)]);
    let ask = |path: &str| {
        let mut stream = TcpStream::connect(server.api_address()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").as_bytes()).unwrap();
        let mut head = [0; 12];
        stream.read_exact(&mut head).unwrap();
        assert_eq!(&head, b"HTTP/1.1 200", "{path}");
        stream
    };
    let (events, mut export) = (ask("/v1/fallbacks/stream"), ask("/v1/zones/filed.test/export"));
    let is_open = |mut stream: &TcpStream| {
        stream.set_nonblocking(true).unwrap();
        loop {
            match stream.read(&mut [0; 1024]) {
                Ok(1..) => {}
                ended => return ended.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock),
            }
        }
    };
    // Two places are left, so each silent connection from the third on takes the place of another one.
    let silent: Vec<TcpStream> = (0..8).map(|_| TcpStream::connect(server.api_address()).unwrap()).collect();
    eventually("all but two silent connections gave way", || (silent.iter().filter(|silent| is_open(silent)).count() <= 2).then_some(()));
    assert!(is_open(&events), "the stream goes on");
    let mut rest = Vec::new();
    export.read_to_end(&mut rest).unwrap();
    assert!(rest.len() > 5_000_000, "the export is whole");
}

#[test]
fn the_socket_is_for_its_owner_and_group_and_goes_with_the_server() {
    use std::os::unix::fs::PermissionsExt;
    let server = server("");
    let path = server.file("state/postern.sock");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
    let mut api = server.local_api();
    api.send("PUT", "/v1/zones/contoso.test/rrsets/www/A", Some(&rrset(&["10.0.0.1"]))).ok(200);
    let by = api.get("/v1/zones/contoso.test/history").ok(200)["changes"][0]["by"].as_str().unwrap().to_owned();
    let me = String::from_utf8(Command::new("id").arg("-un").output().unwrap().stdout).unwrap();
    assert_eq!(by, format!("api:{}", me.trim()));
    // Another server does not take it away: it reports that, and runs without one.
    let config = server.file("second.toml");
    std::fs::write(&config, CONFIG.replace("[server]\n", "[server]\nstate = 'second'\n")).unwrap();
    let mut second = postern(&["serve", "-c", config.to_str().unwrap()]);
    second.env("RUNTIME_DIRECTORY", server.file("state"));
    let second = Server::spawn(second, server.path().to_path_buf(), None);
    second.logged(&["WARN", "cannot create the API socket", "another server has it"]);
    drop(second);
    assert_eq!(api.get("/v1/zones").status, 200);
    server.stop();
    assert!(!path.exists());
}

/// An authority, a server's certificate for loopback, a client's, and a stranger's: by openssl, as people make them.
fn certificates(directory: &Path) -> bool {
    let script = "set -e
        new() { openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj \"/CN=$1\" -keyout $1.pem -out $1.csr; }
        sign() { openssl x509 -req -in $1.csr -CA ca.crt -CAkey ca.pem -CAcreateserial -days 30 -out $1.crt -extfile ext; }
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj /CN=authority -keyout ca.pem -out ca.crt
        echo subjectAltName=IP:127.0.0.1,DNS:localhost > ext
        new server; sign server; new client; sign client
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj /CN=stranger -keyout stranger.pem -out stranger.crt";
    Command::new("sh").args(["-c", script]).current_dir(directory).output().is_ok_and(|output| output.status.success())
}

#[test]
fn tls_and_client_certificates_are_asked_for_where_the_configuration_says() {
    let directory = tempfile::tempdir().unwrap();
    let has =
        |program: &str| Command::new(program).arg("--version").output().is_ok() || Command::new(program).arg("version").output().is_ok();
    if !has("openssl") || !has("curl") {
        eprintln!("left out: openssl or curl is not installed");
        return;
    }
    assert!(certificates(directory.path()));
    let (secrets, keys) = keys();
    let api = "[api]\nlisten = '127.0.0.1:0'\nkey-file = 'api.key'\ncertificate = 'server.crt'\nprivate-key = 'server.pem'\nclient-ca = 'ca.crt'\n";
    write_files(directory.path(), &[("postern.toml", &format!("{CONFIG}{api}")), FILED, ("api.key", &keys), ("secret", &secrets[0])]);
    let config = directory.path().join("postern.toml");
    let server = Server::spawn(postern(&["serve", "-c", config.to_str().unwrap()]), directory.path().to_path_buf(), None);
    let url = format!("https://{}/v1/zones", server.api_address());
    let curl = |arguments: &[&str]| {
        let key = format!("X-API-Key: {}", secrets[0]);
        let usual = ["-s", "-o", "/dev/null", "-w", "%{http_code}", "--max-time", "30", "--cacert", "ca.crt", "-H", &key, &url];
        let output = Command::new("curl").args(usual).args(arguments).current_dir(directory.path()).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(curl(&["--cert", "client.crt", "--key", "client.pem"]), "200");
    assert_eq!(curl(&[]), "000", "no certificate");
    assert_eq!(curl(&["--cert", "stranger.crt", "--key", "stranger.pem"]), "000", "one of nobody's");
    // Without client-ca the key alone is asked for; the reload takes it from the file.
    let seen = server.log().len();
    let text = format!("{CONFIG}{}", api.replace("client-ca = 'ca.crt'\n", ""));
    write_files(directory.path(), &[("postern.toml", &text)]);
    server.logged_after(seen, &["reloaded"]);
    assert_eq!(curl(&[]), "200");
    let path = |name: &str| directory.path().join(name).display().to_string();
    let base = url.trim_end_matches("/v1/zones").to_owned();
    let output = run(&["records", "list", "--url", &base, "--ca", &path("ca.crt"), "--key-file", &path("secret")]);
    assert!(output.status.success() && String::from_utf8_lossy(&output.stdout).contains("contoso.test"), "{output:?}");
    let output = run(&["records", "list", "--url", &base, "--key-file", &path("secret")]);
    assert!(!output.status.success(), "an authority that nobody trusts");
}
