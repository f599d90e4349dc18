//! What the machine around the server may do to it: systemd, a log that nobody reads, few file descriptors, addresses that come later,
//! and connections without end.

mod harness;

use std::io::{BufRead, BufReader, Read, Write, pipe};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use harness::http::Http;
use harness::{PATIENCE, Server, Systemd, ask_tcp, ask_udp, eventually, postern, query, write_files};
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType::{A, TXT};
use serde_json::json;
use socket2::{Domain, SockAddr, Socket, Type};

const UNIT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/systemd/postern.service");

/// Two zones, and nobody upstream.
const CONFIG: &str = "
[server]
listen = ['127.0.0.1:0']
[[network]]
name = 'default'
recursion = false
[[zone]]
name = 'corp.test'
file = 'corp.zone'
on-missing = 'nxdomain'
[[zone]]
name = 'api.test'
api = true
[metrics]
listen = '127.0.0.1:0'
";
const ZONE: &str = "www 60 IN A 10.0.0.1\n";

fn server(more: &str) -> Server {
    Server::with(&[("postern.toml", &format!("{CONFIG}{more}")), ("corp.zone", ZONE)])
}

fn metrics_address(server: &Server) -> SocketAddr {
    let line = server.logged(&["postern: metrics", "address="]);
    line.split("address=").nth(1).unwrap().trim().parse().unwrap()
}

/// The value of a metric without labels.
fn metric(server: &Server, name: &str) -> u64 {
    let page = Http::tcp(metrics_address(server), None).get("/metrics").body;
    let line = page.lines().find_map(|line| line.strip_prefix(&format!("{name} "))).expect("the metric");
    line.parse().unwrap()
}

/// A connection from an address of this machine, with so many octets of a question.
fn half_open(server: SocketAddr, source: &str, octets: &[u8]) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SockAddr::from(SocketAddr::new(source.parse().unwrap(), 0))).unwrap();
    socket.connect_timeout(&server.into(), PATIENCE).unwrap();
    let mut stream = TcpStream::from(socket);
    stream.write_all(octets).unwrap();
    stream
}

fn was_closed(mut stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    !matches!(stream.read(&mut [0; 64]), Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
}

// ---- systemd

/// The values of a key of the unit, in order.
fn values(unit: &str, key: &str) -> Vec<String> {
    unit.lines().filter_map(|line| line.strip_prefix(&format!("{key}="))).map(Into::into).collect()
}

/// A line of the unit as it would run, with our program and our directory. No shell: systemd has none either.
fn exec(line: &str, directory: &Path) -> Command {
    let config = directory.join("postern.toml");
    let line = line.replace("/etc/postern/postern.toml", config.to_str().unwrap());
    let mut words = line.split(' ');
    assert_eq!(words.next(), Some("/usr/bin/postern"), "{line}");
    let mut command = postern(&words.collect::<Vec<_>>());
    command.current_dir(directory);
    command
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

#[test]
fn systemd_likes_the_unit_and_finds_it_as_safe_as_ever() {
    if Command::new("systemd-analyze").arg("--version").output().is_err() {
        eprintln!("left out: systemd_likes_the_unit_and_finds_it_as_safe_as_ever: there is no systemd-analyze");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let unit = directory.path().join("postern.service");
    // The program is not installed here.
    let program = postern(&[]).get_program().to_str().unwrap().to_owned();
    std::fs::write(&unit, std::fs::read_to_string(UNIT).unwrap().replace("/usr/bin/postern", &program)).unwrap();
    let verified = Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&unit).output().unwrap();
    let told = text(&verified);
    let own: Vec<&str> = told.lines().filter(|line| line.contains("postern.service")).collect();
    assert!(verified.status.success() && own.is_empty(), "{told}");
    let security = Command::new("systemd-analyze").args(["security", "--offline=true", "--no-pager"]).arg(&unit).output().unwrap();
    let told = text(&security);
    let score = told.split("Overall exposure level for postern.service: ").nth(1).and_then(|rest| rest.split(' ').next());
    let score: f64 = score.and_then(|score| score.parse().ok()).unwrap_or_else(|| panic!("no score: {told}"));
    assert!(score <= 1.6, "{score}: {told}");
}

#[test]
fn systemd_likes_the_socket_unit_which_listens_where_the_server_does_by_default() {
    let unit = std::fs::read_to_string(UNIT.replace(".service", ".socket")).unwrap();
    for key in ["ListenDatagram", "ListenStream"] {
        let listed: Vec<SocketAddr> = values(&unit, key).iter().map(|address| address.parse().unwrap()).collect();
        assert_eq!(listed, postern_config::PosternConfig::default().server.listen, "{key}");
    }
    if Command::new("systemd-analyze").arg("--version").output().is_err() {
        eprintln!("left out: systemd_likes_the_socket_unit_which_listens_where_the_server_does_by_default: there is no systemd-analyze");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let program = postern(&[]).get_program().to_str().unwrap().to_owned();
    let service = std::fs::read_to_string(UNIT).unwrap().replace("/usr/bin/postern", &program);
    write_files(directory.path(), &[("postern.service", &service), ("postern.socket", &unit)]);
    let verified =
        Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(directory.path().join("postern.socket")).output().unwrap();
    let told = text(&verified);
    assert!(verified.status.success() && !told.contains("postern."), "{told}");
}

#[test]
fn a_passed_descriptor_that_is_no_socket_is_an_error_and_one_of_another_process_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    write_files(directory.path(), &[("postern.toml", CONFIG), ("corp.zone", ZONE)]);
    let program = postern(&[]).get_program().to_owned();
    let start = |listen_pid: &str| {
        let script = format!("LISTEN_PID={listen_pid} LISTEN_FDS=1 exec \"$0\" serve -c postern.toml 3</dev/null");
        let mut command = Command::new("sh");
        command.arg("-c").arg(script).arg(&program).current_dir(directory.path()).env_remove("POSTERN_LOG");
        command
    };
    let refused = start("$$").output().unwrap();
    assert!(!refused.status.success());
    let told = "error: cannot use the sockets that systemd passed: descriptor 3 is neither a UDP socket nor a TCP listener";
    assert!(text(&refused).contains(told), "{}", text(&refused));
    let server = Server::spawn(start("1"), directory.path().into(), None);
    assert_eq!(server.short("www.corp.test", A), ["10.0.0.1"]);
}

#[test]
fn the_unit_starts_the_server_with_a_bad_zone_and_a_fresh_secondary_and_reports_reloads() {
    let unit = std::fs::read_to_string(UNIT).unwrap();
    assert_eq!(values(&unit, "StartLimitIntervalSec"), ["0"], "restarts are never given up");
    let directory = tempfile::tempdir().unwrap();
    let systemd = Systemd::listen(directory.path());
    // Nobody answers there: the secondary stays as it is.
    let primary = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let config =
        format!("{CONFIG}[[zone]]\nname = 'bad.test'\nfile = 'bad.zone'\n[[zone]]\nname = 'secondary.test'\nprimaries = ['{primary}']\n");
    write_files(directory.path(), &[("postern.toml", &config), ("corp.zone", ZONE), ("bad.zone", "www IN A 10.1.1\n")]);
    for line in values(&unit, "ExecStartPre") {
        let output = exec(&line, directory.path()).output().unwrap();
        assert!(output.status.success(), "{line}: {}", text(&output));
    }
    let starts = values(&unit, "ExecStart");
    let mut command = exec(&starts[0], directory.path());
    command.env("NOTIFY_SOCKET", &systemd.socket);
    let server = Server::spawn(command, directory.path().into(), None);
    let (_, next) = systemd.told(0, "READY=1");
    assert_eq!(server.short("www.corp.test", A), ["10.0.0.1"]);
    assert_eq!(server.short("www.bad.test", A), ["SERVFAIL"]);
    assert_eq!(server.short("www.secondary.test", A), ["SERVFAIL"]);
    let reload = || {
        let run = |line: &String| exec(line, directory.path()).output().unwrap();
        values(&unit, "ExecReload").iter().map(run).find(|output| !output.status.success())
    };
    assert!(reload().is_none(), "a bad zone and a secondary without data fail no reload");
    systemd.told(next, "RELOADING=1");
    server.write("postern.toml", &format!("{config}[server.none]\n"));
    let failed = reload().expect("a rejected configuration fails the reload");
    assert!(text(&failed).contains("postern.toml:"), "{}", text(&failed));
    assert_eq!(server.short("www.corp.test", A), ["10.0.0.1"]);
}

// ---- the log

/// A server whose standard error is a pipe that is full from the moment on at which it is ready.
struct Unread {
    child: Child,
    address: SocketAddr,
    metrics: SocketAddr,
    directory: tempfile::TempDir,
    /// Keeps the pipe open.
    _reader: BufReader<std::io::PipeReader>,
}

impl Unread {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        write_files(directory.path(), &[("postern.toml", CONFIG), ("corp.zone", ZONE)]);
        let (reading, mut writing) = pipe().unwrap();
        let mut command = postern(&["serve", "-c", directory.path().join("postern.toml").to_str().unwrap()]);
        let child = command.stdout(Stdio::null()).stderr(writing.try_clone().unwrap()).spawn().unwrap();
        drop(command);
        let mut reader = BufReader::new(reading);
        let mut lines = Vec::new();
        while !lines.last().is_some_and(|line: &String| line.contains("postern: ready")) {
            let mut line = String::new();
            assert!(reader.read_line(&mut line).unwrap() > 0);
            lines.push(line);
        }
        let of = |words: &str| {
            let line = lines.iter().find(|line| line.contains(words)).expect("a line with the address");
            line.split("address=").nth(1).unwrap().trim().parse().unwrap()
        };
        let (address, metrics) = (of("postern: listening"), of("postern: metrics"));
        // Whatever the server writes from now on finds no room: this thread waits for it as well, until the test ends.
        std::thread::spawn(move || while writing.write_all(&[b'\n'; 4096]).is_ok() {});
        Self { child, address, metrics, directory, _reader: reader }
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_log_that_nobody_reads_delays_no_change_no_reload_no_probe_and_no_stop() {
    let mut server = Unread::start();
    let mut api = Http::socket(&server.directory.path().join("state/postern.sock"));
    for number in 0..200 {
        // Each is a line of the log, and together they are more than a pipe takes.
        let body = json!({"ttl": 5, "records": ["10.1.1.1"]});
        assert_eq!(api.send("PUT", &format!("/v1/zones/api.test/rrsets/n{number}/A"), Some(&body)).status, 200);
    }
    assert_eq!(api.send("POST", "/v1/reload", None).status, 200);
    write_files(server.directory.path(), &[("corp.zone", "www 60 IN A 10.0.0.1\nnew 60 IN A 10.0.0.2\n")]);
    eventually("the changed file is served", || {
        let answer = ask_udp(server.address, None, &query("new.corp.test", A)).unwrap();
        (answer.metadata.response_code == ResponseCode::NoError).then_some(())
    });
    assert_eq!(Http::tcp(server.metrics, None).get("/ready").status, 200);
    let status = Command::new("sh").args(["-c", &format!("kill -TERM {}", server.child.id())]).status().unwrap();
    assert!(status.success());
    let ended = eventually("the server ends", || server.child.try_wait().unwrap());
    assert_eq!(ended.code(), Some(0));
}

// ---- descriptors

/// A server behind `ulimit` with these options.
fn limited(options: &str, files: &[(&str, &str)]) -> Server {
    let directory = tempfile::tempdir().unwrap();
    write_files(directory.path(), files);
    let path = directory.path().to_path_buf();
    let mut command = Command::new("sh");
    let line = format!("ulimit {options} && exec \"$0\" serve -c \"$1\"");
    command.args(["-c", &line]).arg(postern(&[]).get_program()).arg(path.join("postern.toml"));
    command.env_remove("POSTERN_LOG").env_remove("NOTIFY_SOCKET").env_remove("JOURNAL_STREAM");
    Server::spawn(command, path, Some(directory))
}

/// The soft limit on open files of a process.
fn open_files(server: &Server) -> u64 {
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", server.pid())).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    line.split_whitespace().nth(3).unwrap().parse().unwrap()
}

#[test]
fn the_open_file_limit_is_raised_to_what_the_configuration_needs() {
    let files = [("postern.toml", CONFIG), ("corp.zone", ZONE)];
    let server = limited("-S -n 256", &files);
    let raised = open_files(&server);
    assert!(raised >= 1500, "1,000 connections of DNS and 500 of the API: {raised}");
    assert!(!server.log().iter().any(|line| line.contains("open-file limit")), "{:?}", server.log());
}

#[test]
fn where_the_limit_cannot_be_raised_connections_are_fewer_and_nothing_else_runs_out() {
    let server = limited("-n 256", &[("postern.toml", CONFIG), ("corp.zone", ZONE)]);
    if open_files(&server) > 256 {
        assert!(open_files(&server) >= 1500, "a process with CAP_SYS_RESOURCE raises the hard limit too");
        return;
    }
    server.logged(&["the open-file limit is 256", "LimitNOFILE="]);
    let held: Vec<TcpStream> = (0..400).map(|number| half_open(server.address, &format!("127.0.1.{}", number % 20 + 1), b"\0")).collect();
    assert_eq!(server.short("www.corp.test", A), ["10.0.0.1"]);
    assert_eq!(ask_tcp(server.address, &query("www.corp.test", A)).unwrap().metadata.response_code, ResponseCode::NoError);
    assert_eq!(server.local_api().send("POST", "/v1/reload", None).status, 200);
    assert_eq!(Http::tcp(metrics_address(&server), None).get("/ready").status, 200);
    assert!(!server.log().iter().any(|line| line.contains("Too many open files")), "{:?}", server.log());
    drop(held);
}

/// The configuration with room for so many connections, and with more zones.
fn roomy(tcp: usize, api: usize, zones: usize) -> String {
    let zones: String = (0..zones).map(|number| format!("[[zone]]\nname = 'z{number}.test'\nfile = 'corp.zone'\n")).collect();
    let api = format!("[api]\nlisten = ['127.0.0.1:0']\nconnections = {api}\n");
    format!("{CONFIG}[limits]\ntcp-connections = {tcp}\n{api}{zones}")
}

#[test]
fn the_open_file_limit_is_raised_for_a_reload_and_for_zones_that_an_api_makes() {
    let server = limited("-S -n 256", &[("postern.toml", &roomy(8, 8, 0)), ("corp.zone", ZONE)]);
    let before = open_files(&server);
    let mut api = server.local_api();
    for number in 0..60 {
        let made = api.send("POST", "/v1/zones", Some(&json!({"name": format!("made{number}.test")})));
        assert_eq!(made.status, 201, "{}", made.body);
    }
    let raised = eventually("the limit is raised for the journals", || Some(open_files(&server)).filter(|limit| *limit > before + 100));
    let seen = server.log().len();
    server.write("postern.toml", &roomy(700, 8, 0));
    server.logged_after(seen, &["postern: reloaded"]);
    assert!(open_files(&server) >= raised + 600, "for the connections: {} after {raised}", open_files(&server));
    assert!(!server.log().iter().any(|line| line.contains("open-file limit")), "{:?}", server.log());
}

#[test]
fn a_reload_that_cannot_raise_the_open_file_limit_lowers_the_bounds_and_asks_for_no_restart_of_keys() {
    let server = limited("-n 1024", &[("postern.toml", &roomy(8, 8, 0)), ("corp.zone", ZONE)]);
    if open_files(&server) > 1024 {
        return; // a process with CAP_SYS_RESOURCE raises the hard limit too
    }
    assert!(!server.log().iter().any(|line| line.contains("open-file limit")), "{:?}", server.log());
    let seen = server.log().len();
    server.write("postern.toml", &roomy(600, 600, 20));
    server.logged_after(seen, &["the open-file limit is 1024", "of the API", "LimitNOFILE="]);
    server.logged_after(seen, &["postern: reloaded"]);
    assert!(metric(&server, "postern_tcp_connections_limit") < 600);
    assert!(!server.log().iter().any(|line| line.contains("api.connections")), "{:?}", server.log());
}

#[test]
fn a_lower_bound_on_connections_of_the_api_holds_after_a_reload() {
    let server = Server::with(&[("postern.toml", &roomy(50, 50, 0)), ("corp.zone", ZONE)]);
    let held: Vec<TcpStream> = (0..20).map(|number| half_open(server.api_address(), &format!("127.0.2.{}", number + 1), b"")).collect();
    // Every one of them is accepted once a later one is answered.
    assert_eq!(server.api(None).get("/v1/zones").status, 200);
    let seen = server.log().len();
    server.write("postern.toml", &roomy(50, 4, 0));
    server.logged_after(seen, &["postern: reloaded"]);
    assert!(!server.log().iter().any(|line| line.contains("restart")), "{:?}", server.log());
    let mut api = server.api(None);
    assert_eq!(api.get("/v1/zones").status, 200);
    eventually("the connections beyond the bound are closed", || {
        (held.iter().filter(|stream| was_closed(stream)).count() >= 16).then_some(())
    });
}

// ---- addresses

#[test]
fn an_address_that_is_not_there_yet_is_served_once_it_is() {
    let files = [("postern.toml", CONFIG.replace("['127.0.0.1:0']", "['127.0.0.1:0', '192.0.2.77:21699']")), ("corp.zone", ZONE.into())];
    let directory = tempfile::tempdir().unwrap();
    files.iter().for_each(|(name, content)| write_files(directory.path(), &[(name, content)]));
    let config = directory.path().join("postern.toml");
    let serve = postern(&["serve", "-c", config.to_str().unwrap()]);
    // In a network of its own, where addresses can be added.
    let mut command = Command::new("unshare");
    command.args(["-n", "sh", "-c", "ip link set lo up && exec \"$0\" serve -c \"$1\""]).arg(serve.get_program()).arg(&config);
    let can = Command::new("unshare").args(["-n", "ip", "link", "set", "lo", "up"]).output();
    if !can.is_ok_and(|output| output.status.success()) {
        eprintln!("partly left out: an_address_that_is_not_there_yet_is_served_once_it_is: no network namespace can be made here");
        let server = Server::spawn(serve, directory.path().into(), None);
        server.logged(&["WARN", "192.0.2.77:21699", "no interface has this address yet"]);
        assert_eq!(server.short("www.corp.test", A), ["10.0.0.1"]);
        return;
    }
    let server = Server::spawn(command, directory.path().into(), None);
    server.logged(&["WARN", "192.0.2.77:21699", "no interface has this address yet"]);
    let inside = |arguments: &[&str]| {
        let pid = server.pid().to_string();
        Command::new("nsenter").args(["-n", "-t", &pid]).args(arguments).output().unwrap()
    };
    assert!(inside(&["ip", "address", "add", "192.0.2.77/32", "dev", "lo"]).status.success());
    server.logged(&["192.0.2.77:21699", "an interface has this address now"]);
    for transport in ["+notcp", "+tcp"] {
        let answer = inside(&["dig", "+short", "+time=20", transport, "-p", "21699", "@192.0.2.77", "www.corp.test", "A"]);
        assert_eq!(text(&answer).trim(), "10.0.0.1");
    }
}

// ---- connections

#[test]
fn a_client_that_uses_all_of_its_connections_loses_its_longest_idle_one_and_is_served() {
    let server = server("[limits]\ntcp-per-client = 5\ntcp-idle = '10m'\n");
    let held: Vec<TcpStream> = (0..5).map(|_| half_open(server.address, "127.0.0.1", b"\0")).collect();
    eventually("all are open", || (metric(&server, "postern_tcp_connections") == 5).then_some(()));
    assert_eq!(server.ask_tcp("www.corp.test", A).metadata.response_code, ResponseCode::NoError);
    eventually("one was closed", || (held.iter().filter(|stream| was_closed(stream)).count() == 1).then_some(()));
    assert_eq!(metric(&server, "postern_tcp_connections_displaced_total"), 1);
    assert_eq!(metric(&server, "postern_tcp_connections_refused_total"), 0);
}

#[test]
fn clients_that_hold_all_places_keep_nobody_else_out() {
    let server = server("[limits]\ntcp-connections = 40\ntcp-per-client = 10\ntcp-idle = '10m'\n");
    let question = query("www.corp.test", A).to_vec().unwrap();
    let frame = [&(question.len() as u16).to_be_bytes()[..], &question].concat();
    let mut held = Vec::new();
    for round in 0..20 {
        // They ask now and then, and come again when they were closed.
        for source in 0..4 {
            held.push(half_open(server.address, &format!("127.0.2.{}", source + 1), &frame));
        }
        for mut stream in held.iter().rev().take(40) {
            let _ = stream.write_all(&frame);
        }
        let other = half_open(server.address, "127.0.0.9", &frame);
        other.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut length = [0; 2];
        (&other).read_exact(&mut length).unwrap_or_else(|error| panic!("round {round}: {error}"));
    }
    assert_eq!(metric(&server, "postern_tcp_connections_refused_total"), 0);
    assert!(metric(&server, "postern_tcp_connections") <= 40);
}

#[test]
fn silent_connections_keep_no_administrator_and_no_probe_waiting() {
    let server = server("[api]\nlisten = '127.0.0.1:0'\nconnections = 20\nper-client = 10\n");
    for (address, path, count) in [(server.api_address(), "/v1/zones", 200), (metrics_address(&server), "/ready", 600)] {
        let held: Vec<TcpStream> = (0..count).map(|number| half_open(address, &format!("127.0.3.{}", number % 3 + 1), b"")).collect();
        let start = Instant::now();
        for source in ["127.0.3.1", "127.0.0.1"] {
            let mut stream = half_open(address, source, format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes());
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            let mut status = [0; 12];
            stream.read_exact(&mut status).unwrap();
            assert_eq!(&status, b"HTTP/1.1 200", "{path} for {source}");
        }
        // Waiting for them, 10 s for each batch of as many as have room, took a minute and a half.
        assert!(start.elapsed() < Duration::from_secs(60), "{path}");
        let closed = || held.iter().filter(|stream| was_closed(stream)).count();
        eventually("most of them are closed", || (closed() >= count - 130).then_some(()));
    }
}

#[test]
fn a_request_names_one_host() {
    let server = server("[api]\nlisten = '127.0.0.1:0'\n");
    for address in [server.api_address(), metrics_address(&server)] {
        for (hosts, status) in [("Host: one.test\r\n", "200"), ("Host: one.test\r\nHost: two.test\r\n", "400"), ("", "400")] {
            let mut stream = half_open(address, "127.0.0.1", format!("GET /health HTTP/1.1\r\n{hosts}\r\n").as_bytes());
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            let mut head = [0; 12];
            stream.read_exact(&mut head).unwrap();
            assert_eq!(&head[9..], status.as_bytes(), "{hosts:?}");
        }
    }
}

// ---- answers

#[test]
fn a_udp_size_above_2048_is_used_after_a_reload_too() {
    let strings: String = (0..9).map(|number| format!("\"{}\" ", number.to_string().repeat(250))).collect();
    let zone = format!("{ZONE}long 60 IN TXT {strings}\n");
    let large = CONFIG.replace("[server]\n", "[server]\nudp-size = 4096\n");
    let server = Server::with(&[("postern.toml", CONFIG), ("corp.zone", &zone)]);
    let mut long = query("long.corp.test", TXT);
    long.edns.as_mut().unwrap().set_max_payload(4096);
    let answer = |server: &Server| ask_udp(server.address, None, &long).unwrap();
    assert!(answer(&server).metadata.truncation, "1232 is the default");
    server.write("postern.toml", &large);
    // Each worker takes other buffers once it has seen the reload.
    eventually("the whole answer comes from all workers", || (0..20).all(|_| answer(&server).answers.len() == 1).then_some(()));
    let server = Server::with(&[("postern.toml", &large), ("corp.zone", &zone)]);
    assert_eq!(answer(&server).answers.len(), 1, "from the start on");
    // A datagram that is longer than the buffers is no question.
    let mut too_long = query("www.corp.test", A).to_vec().unwrap();
    too_long.resize(5000, 0);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(server.address).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.send(&too_long).unwrap();
    let mut reply = [0; 512];
    let (length, _) = postern_sockets::receive(&socket, &mut reply).unwrap();
    assert!(length >= 12);
    assert_eq!(reply[3] & 0x0f, 1, "FORMERR");
}

#[test]
fn a_transfer_that_is_too_large_changes_nothing_and_names_the_key() {
    let lines: String = (0..15_000).map(|number| format!("n{number} 60 IN A 10.1.{}.{}\n", number / 250, number % 250)).collect();
    let primary = Server::with(&[
        ("postern.toml", &CONFIG.replace("on-missing", "transfer-to = ['127.0.0.1']\non-missing")),
        ("corp.zone", &format!("{ZONE}{lines}")),
    ]);
    let config = |size: &str| {
        format!(
            "[server]\nlisten = ['127.0.0.1:0']\n[[network]]\nname = 'default'\nrecursion = false\n[limits]\ntransfer-size = '{size}'\n\
             [[zone]]\nname = 'corp.test'\nprimaries = ['{}']\n",
            primary.address
        )
    };
    let secondary = Server::with(&[("postern.toml", &config("1MiB"))]);
    secondary.logged(&["corp.test", "more than 1048576 bytes of records", "limits.transfer-size"]);
    assert_eq!(secondary.short("www.corp.test", A), ["SERVFAIL"]);
    secondary.write("postern.toml", &config("64MiB"));
    secondary.becomes("www.corp.test", A, &["10.0.0.1"]);
}
