//! HTTP/1.1 as plainly as can be, over TCP or a UNIX socket: so that the tests see what a client sees.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::PATIENCE;

/// A connection that is used again and again, unless it was not for so long that the server may have closed it.
pub struct Http {
    to: To,
    used: Instant,
    stream: BufReader<Box<dyn Stream>>,
    key: Option<String>,
}

/// The server closes after 10 s.
const IDLE: Duration = Duration::from_secs(5);

#[derive(Debug)]
enum To {
    Address(SocketAddr),
    Socket(PathBuf),
}

/// What came back.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// What is no text in it is replaced.
    pub body: String,
}

pub trait Stream: Read + Write + Send {}
impl<T: Read + Write + Send> Stream for T {}

impl Http {
    pub fn tcp(address: SocketAddr, key: Option<&str>) -> Self {
        Self::to(To::Address(address), key)
    }

    pub fn socket(path: &Path) -> Self {
        Self::to(To::Socket(path.into()), None)
    }

    fn to(to: To, key: Option<&str>) -> Self {
        let stream = to.connect().expect("a connection");
        Self { to, used: Instant::now(), stream, key: key.map(Into::into) }
    }

    /// Sends JSON, where there is some.
    pub fn send(&mut self, method: &str, path: &str, body: Option<&Value>) -> Reply {
        let text = body.map(ToString::to_string);
        let kind: &[(&str, &str)] = if body.is_some() { &[("Content-Type", "application/json")] } else { &[] };
        self.raw(method, path, kind, text.as_deref().unwrap_or_default()).expect("an answer")
    }

    pub fn get(&mut self, path: &str) -> Reply {
        self.send("GET", path, None)
    }

    /// Asks as often as this without waiting for an answer in between, so that how fast this client is does not matter.
    pub fn flood(&mut self, count: usize, path: &str, headers: &[(&str, &str)]) -> Vec<Reply> {
        (0..count).for_each(|_| self.begin("GET", path, headers, "").expect("it is sent"));
        (0..count).map(|_| self.reply().expect("an answer")).collect()
    }

    /// Sends anything; none: the connection broke.
    pub fn raw(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Option<Reply> {
        self.begin(method, path, headers, body)?;
        self.reply()
    }

    /// Sends a request, whose answer is not read.
    fn begin(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Option<()> {
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {}\r\n", body.len());
        if let Some(key) = &self.key {
            head += &format!("Authorization: Bearer {key}\r\n");
        }
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        if self.used.elapsed() > IDLE {
            self.stream = self.to.connect().ok()?;
        }
        self.used = Instant::now();
        self.stream.get_mut().write_all(format!("{head}\r\n{body}").as_bytes()).ok()
    }

    /// The next answer.
    fn reply(&mut self) -> Option<Reply> {
        let (status, headers) = self.head()?;
        self.body(status, headers)
    }

    /// Asks for what goes on; gives the answer's status and headers, once they are there: the server is at it.
    pub fn open(&mut self, path: &str) -> Option<(u16, Vec<(String, String)>)> {
        self.begin("GET", path, &[], "")?;
        self.head()
    }

    fn head(&mut self) -> Option<(u16, Vec<(String, String)>)> {
        let status = self.line()?.split(' ').nth(1)?.parse().ok()?;
        let mut headers = Vec::new();
        loop {
            let line = self.line()?;
            match line.split_once(':') {
                Some((name, value)) => headers.push((name.to_ascii_lowercase(), value.trim().to_owned())),
                None => return Some((status, headers)),
            }
        }
    }

    /// The rest of an answer; none: the connection broke.
    pub fn body(&mut self, status: u16, headers: Vec<(String, String)>) -> Option<Reply> {
        let header = |name: &str| headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
        let body = match header("transfer-encoding") {
            Some(_) => self.chunks()?,
            None => self.octets(header("content-length").map_or(0, |length| length.parse().unwrap()))?,
        };
        self.used = Instant::now();
        Some(Reply { status, headers, body: String::from_utf8_lossy(&body).into_owned() })
    }

    fn octets(&mut self, length: usize) -> Option<Vec<u8>> {
        let mut octets = vec![0; length];
        self.stream.read_exact(&mut octets).ok()?;
        Some(octets)
    }

    /// A body whose length was not known when it began.
    fn chunks(&mut self) -> Option<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let length = usize::from_str_radix(&self.line()?, 16).ok()?;
            body.extend(self.octets(length)?);
            self.line()?;
            if length == 0 {
                return Some(body);
            }
        }
    }

    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let read = self.stream.read_line(&mut line).ok()?;
        (read > 0).then(|| line.trim_end().to_owned())
    }
}

impl To {
    fn connect(&self) -> io::Result<BufReader<Box<dyn Stream>>> {
        Ok(BufReader::new(match self {
            Self::Address(address) => {
                let stream = TcpStream::connect_timeout(address, PATIENCE)?;
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(PATIENCE))?;
                Box::new(stream)
            }
            Self::Socket(path) => {
                let stream = UnixStream::connect(path)?;
                stream.set_read_timeout(Some(PATIENCE))?;
                Box::new(stream)
            }
        }))
    }
}

impl Reply {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    /// The JSON, of an answer with this status.
    pub fn ok(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        if self.body.is_empty() { Value::Null } else { self.json() }
    }
}
