//! The real program, from outside: started on free ports, asked over UDP and TCP, stopped by its process number.
#![allow(dead_code)] // each test program uses its part

pub mod http;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::opt::{EdnsCode, EdnsOption};
use hickory_proto::rr::{Name, RecordType};
use tempfile::TempDir;

/// How long anything may take on a busy machine before it counts as never.
pub const PATIENCE: Duration = Duration::from_secs(120);
/// How long a stub waits before it asks again: longer than any machine stands still, as what is asked twice is counted twice.
const AGAIN: Duration = Duration::from_secs(20);

/// What a configuration says where the upstreams of a test answer in any case, so that one that stands still for a while is waited for:
/// as part of the `[[forward]]`, and the rest.
pub const PATIENT_FORWARD: &str = "timeout = '5s'\n";
pub const PATIENT: &str = "[limits]\nquery-deadline = '30s'\n[cache]\nstale-after = '10s'\n";

/// A running server. Dropped, it is killed.
pub struct Server {
    /// Where it listens, UDP and TCP.
    pub address: SocketAddr,
    child: Child,
    log: Arc<Mutex<Vec<String>>>,
    /// Those who read what it prints, while it may print more.
    readers: Vec<JoinHandle<()>>,
    directory: Option<TempDir>,
    path: PathBuf,
}

/// The program with arguments, not yet run. `POSTERN` names another build of it: the slower suites drive the release build.
pub fn postern(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("POSTERN").unwrap_or_else(|| env!("CARGO_BIN_EXE_postern").into()));
    command.args(arguments).env_remove("POSTERN_LOG").env_remove("NOTIFY_SOCKET").env_remove("JOURNAL_STREAM");
    command
}

/// How much later than it is written a line of a log is seen: `POSTERN_TEST_LATE`, in milliseconds. A test that does not wait for the lines
/// that it looks at fails with it every time, not once in a thousand runs.
fn late() -> Duration {
    let wanted = std::env::var("POSTERN_TEST_LATE").ok();
    Duration::from_millis(wanted.map_or(0, |text| text.parse().expect("POSTERN_TEST_LATE is a number of milliseconds")))
}

/// Runs the program to its end.
pub fn run(arguments: &[&str]) -> Output {
    postern(arguments).output().expect("the program runs")
}

/// Writes files into a directory, with their directories. Each is there at once, as with an editor that renames: one that is emptied and
/// then written is empty for as long as this process is kept from writing, which is another matter (`tests/reload`).
pub fn write_files(directory: &Path, files: &[(&str, &str)]) {
    for (path, content) in files {
        let path = directory.join(path);
        std::fs::create_dir_all(path.parent().expect("a file is in a directory")).unwrap();
        let new = path.with_file_name(".new");
        std::fs::write(&new, content).unwrap();
        std::fs::rename(new, path).unwrap();
    }
}

/// The value of `key` in a line of the log.
pub fn field<'l>(line: &'l str, key: &str) -> Option<&'l str> {
    let (_, value) = line.split_once(&format!(" {key}="))?;
    value.trim_start_matches('"').split(['"', ' ']).next()
}

/// What systemd hears from a server whose environment names the socket.
pub struct Systemd {
    /// `NOTIFY_SOCKET`.
    pub socket: PathBuf,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Systemd {
    /// Listens in a directory; nothing that is told is lost.
    pub fn listen(directory: &Path) -> Self {
        let socket = directory.join("notify");
        let listener = UnixDatagram::bind(&socket).unwrap();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let to = heard.clone();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length) = listener.recv(&mut buffer) {
                to.lock().unwrap().push(String::from_utf8_lossy(&buffer[..length]).into_owned());
            }
        });
        Self { socket, heard }
    }

    /// How many messages came.
    pub fn count(&self) -> usize {
        self.heard.lock().unwrap().len()
    }

    /// Waits for a message with `words` among those from number `from` on; gives it and the number of the next.
    pub fn told(&self, from: usize, words: &str) -> (String, usize) {
        eventually(&format!("systemd is told {words}"), || {
            let heard = self.heard.lock().unwrap();
            let found = heard.iter().enumerate().skip(from).find(|(_, message)| message.contains(words));
            found.map(|(number, message)| (message.clone(), number + 1))
        })
    }

    /// The line that `systemctl status` shows now.
    pub fn status(&self) -> String {
        let heard = self.heard.lock().unwrap();
        heard.iter().rev().find_map(|message| Some(message.split_once("STATUS=")?.1.lines().next()?.to_owned())).unwrap_or_default()
    }
}

/// Polls until there is a value; panics with `what` when patience is over.
pub fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = look() {
            return value;
        }
        assert!(start.elapsed() < PATIENCE, "never happened: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

impl Server {
    /// `serve --lab` on a free port, with its sample files in a directory that goes with the server.
    pub fn lab() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().to_path_buf();
        let command = postern(&["serve", "--lab", "--listen", "127.0.0.1:0", "--directory", path.to_str().unwrap()]);
        Self::spawn(command, path, Some(directory))
    }

    /// `serve -c postern.toml` in a new directory with these files. `postern.toml` should listen on `127.0.0.1:0`.
    pub fn with(files: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        write_files(directory.path(), files);
        let path = directory.path().to_path_buf();
        let config = path.join("postern.toml");
        Self::spawn(postern(&["serve", "-c", config.to_str().unwrap()]), path, Some(directory))
    }

    /// Any command that serves; `directory` is where its files are.
    pub fn spawn(mut command: Command, path: PathBuf, directory: Option<TempDir>) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
        let log = Arc::new(Mutex::new(Vec::new()));
        let streams = [Box::new(child.stdout.take().unwrap()) as Box<dyn Read + Send>, Box::new(child.stderr.take().unwrap())];
        let late = late();
        let read = |stream| {
            let log = log.clone();
            let (lines, due) = std::sync::mpsc::channel();
            std::thread::spawn(move || {
                for line in BufReader::new(stream).lines().map_while(Result::ok) {
                    lines.send((Instant::now() + late, line)).unwrap();
                }
            });
            std::thread::spawn(move || {
                for (due, line) in due {
                    std::thread::sleep(due.saturating_duration_since(Instant::now()));
                    log.lock().unwrap().push(line);
                }
            })
        };
        let readers = streams.map(read).into();
        let mut server = Self { address: (Ipv4Addr::LOCALHOST, 0).into(), child, log, readers, directory, path };
        server.address = eventually("the server is ready", || {
            if let Some(status) = server.child.try_wait().unwrap() {
                server.hear_the_rest();
                panic!("the server ended at its start with {status}:\n{}", server.log().join("\n"));
            }
            let log = server.log();
            log.iter().any(|line| line.contains("postern: ready")).then_some(())?;
            let line = log.iter().find(|line| line.contains("postern: listening"))?;
            line.split("address=").nth(1)?.split_whitespace().next()?.parse().ok()
        });
        server
    }

    /// Process number.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its memory: VmRSS, octets.
    pub fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("the line that says so");
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10
    }

    /// The directory of its files.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes one of its files anew, at once.
    pub fn write(&self, name: &str, content: &str) {
        write_files(&self.path, &[(name, content)]);
    }

    /// One of its files.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Everything it printed so far, both streams.
    pub fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    /// Waits for a line that has all of `words`; gives it.
    pub fn logged(&self, words: &[&str]) -> String {
        self.logged_after(0, words)
    }

    /// The same among the lines from number `from` on.
    pub fn logged_after(&self, from: usize, words: &[&str]) -> String {
        let look = || self.log().into_iter().skip(from).find(|line| words.iter().all(|word| line.contains(word)));
        let start = Instant::now();
        loop {
            match look() {
                Some(line) => return line,
                None if start.elapsed() > PATIENCE => panic!("no line with {words:?} in:\n{}", self.log().join("\n")),
                None => std::thread::sleep(Duration::from_millis(10)),
            }
        }
    }

    /// Its API over TCP, with a key.
    pub fn api(&self, key: Option<&str>) -> http::Http {
        http::Http::tcp(self.api_address(), key)
    }

    /// Where its API listens on TCP.
    pub fn api_address(&self) -> SocketAddr {
        let line = self.logged(&["the API listens", "address="]);
        line.split("address=").nth(1).and_then(|rest| rest.split_whitespace().next()?.parse().ok()).expect("an address")
    }

    /// Its API over its socket.
    pub fn local_api(&self) -> http::Http {
        http::Http::socket(&self.file("state/postern.sock"))
    }

    /// Sends a signal: `HUP`, `USR1`, `TERM` …
    pub fn signal(&self, name: &str) {
        let done = Command::new("sh").args(["-c", &format!("kill -{name} {}", self.pid())]).status().unwrap();
        assert!(done.success());
    }

    /// SIGKILL, at this very moment, and waits for its end.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.wait();
    }

    /// Waits for its end, and until all that it printed was read.
    pub fn wait(&mut self) -> ExitStatus {
        let status = eventually("the server ends", || self.child.try_wait().unwrap());
        self.hear_the_rest();
        status
    }

    /// Its streams have ended with it.
    fn hear_the_rest(&mut self) {
        self.readers.drain(..).for_each(|reader| reader.join().unwrap());
    }

    /// SIGTERM, and waits for its end.
    pub fn stop(mut self) -> (ExitStatus, Vec<String>) {
        self.signal("TERM");
        let status = self.wait();
        (status, self.log())
    }

    /// An answer over UDP.
    pub fn ask(&self, name: &str, rtype: RecordType) -> Message {
        ask_udp(self.address, None, &query(name, rtype)).unwrap_or_else(|| panic!("no answer for {name}:\n{}", self.log().join("\n")))
    }

    /// An answer over UDP to another address of this machine.
    pub fn ask_from(&self, source: &str, name: &str, rtype: RecordType) -> Message {
        ask_udp(self.address, Some(source.parse().unwrap()), &query(name, rtype)).expect("an answer")
    }

    /// An answer over TCP.
    pub fn ask_tcp(&self, name: &str, rtype: RecordType) -> Message {
        ask_tcp(self.address, &query(name, rtype)).expect("an answer")
    }

    /// RDATA of the answer section, as `dig +short` prints it; RCODE alone where it is not NOERROR.
    pub fn short(&self, name: &str, rtype: RecordType) -> Vec<String> {
        short(&self.ask(name, rtype))
    }

    /// Asks until the answer is this.
    pub fn becomes(&self, name: &str, rtype: RecordType, want: &[&str]) {
        let start = Instant::now();
        loop {
            let got = self.short(name, rtype);
            if got == want {
                return;
            }
            assert!(start.elapsed() < PATIENCE, "{name} {rtype} is {got:?}, not {want:?}:\n{}", self.log().join("\n"));
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A question as a stub sends it: RD, EDNS.
pub fn query(name: &str, rtype: RecordType) -> Message {
    let mut message = Message::new(rand_id(), MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(Name::from_ascii(format!("{}.", name.trim_end_matches('.'))).unwrap(), rtype));
    let mut edns = Edns::new();
    edns.set_max_payload(1232);
    message.set_edns(edns);
    message
}

/// Sends a datagram and waits for its answer; asks again twice, as a stub does.
pub fn ask_udp(server: SocketAddr, source: Option<IpAddr>, query: &Message) -> Option<Message> {
    let any = if server.is_ipv4() { "0.0.0.0".parse().unwrap() } else { "::".parse().unwrap() };
    let socket = UdpSocket::bind((source.unwrap_or(any), 0)).unwrap();
    socket.connect(server).unwrap();
    socket.set_read_timeout(Some(AGAIN)).unwrap();
    let mut buffer = [0; 65_535];
    for _ in 0..3 {
        socket.send(&query.to_vec().unwrap()).ok()?;
        while let Ok((length, _)) = postern_sockets::receive(&socket, &mut buffer) {
            let message = Message::from_vec(&buffer[..length]).expect("a message that can be read");
            if message.metadata.id == query.metadata.id {
                return Some(message);
            }
        }
    }
    None
}

/// Sends one question over a new connection.
pub fn ask_tcp(server: SocketAddr, query: &Message) -> Option<Message> {
    let mut stream = TcpStream::connect_timeout(&server, PATIENCE).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let bytes = query.to_vec().unwrap();
    stream.write_all(&[&(bytes.len() as u16).to_be_bytes()[..], &bytes].concat()).ok()?;
    let mut length = [0; 2];
    stream.read_exact(&mut length).ok()?;
    let mut answer = vec![0; u16::from_be_bytes(length).into()];
    stream.read_exact(&mut answer).ok()?;
    Some(Message::from_vec(&answer).expect("a message that can be read"))
}

/// RDATA of the answer section, as `dig +short` prints it; RCODE alone where it is not NOERROR.
pub fn short(message: &Message) -> Vec<String> {
    match message.metadata.response_code {
        ResponseCode::NoError => message.answers.iter().map(|record| record.data.to_string()).collect(),
        ResponseCode::ServFail => vec!["SERVFAIL".into()],
        ResponseCode::NXDomain => vec!["NXDOMAIN".into()],
        ResponseCode::Refused => vec!["REFUSED".into()],
        other => vec![other.to_string()],
    }
}

/// INFO-CODE and EXTRA-TEXT of an extended error (RFC 8914).
pub fn extended_error(message: &Message) -> Option<(u16, String)> {
    match message.edns.as_ref()?.option(EdnsCode::Unknown(15))? {
        EdnsOption::Unknown(_, octets) => {
            let (code, text) = octets.split_first_chunk()?;
            Some((u16::from_be_bytes(*code), String::from_utf8_lossy(text).into_owned()))
        }
        _ => None,
    }
}

fn rand_id() -> u16 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(Instant::now()) as u16
}
