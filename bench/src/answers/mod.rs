//! What servers answer: one against another, or against what was written down, field by field.
//!
//! ```text
//! Questions ─▶ ask ─▶ Answer ─┐
//! Questions ─▶ ask ─▶ Answer ─┴─ fields::differences ─▶ Verdict: groups of differences of one shape
//! ```
//! A field is what a client could tell apart: RCODE, each flag, each section as a set of records, its TTLs. Differences of the same shape ("authority: SOA
//! against NS") are counted together and shown with a few examples, so that ten thousand of them are read as one.

mod fields;

use std::collections::BTreeMap;
use std::io::{self, BufRead, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::environment::Environment;
use crate::load::Transport;
use crate::questions::{Picker, Questions, describe_query};
pub use fields::{Answer, Difference, Expected, Field, Tolerance, differences};

/// How often a question is put before it counts as unanswered.
const TRIES: u32 = 3;
/// Version of the JSON of a [`Verdict`].
pub const VERSION: u32 = 1;
/// Examples that are kept of each shape of difference.
const EXAMPLES: usize = 3;

/// Whom to ask, and how.
#[derive(Debug, Clone)]
pub struct Inquiry {
    /// The server whose answers are judged.
    pub target: SocketAddr,
    /// How questions travel.
    pub transport: Transport,
    /// How many are asked.
    pub count: u64,
    /// Threads that ask; each has one question under way with each server.
    pub threads: usize,
    /// How long an answer is waited for, each try.
    pub timeout: Duration,
    /// Questions follow from it.
    pub seed: u64,
    /// What is not told apart.
    pub tolerance: Tolerance,
}

/// What is right.
#[derive(Debug)]
pub enum Oracle {
    /// What another server says, asked at the same moment.
    Server(SocketAddr),
    /// What was written down, by question.
    Written(BTreeMap<String, Expected>),
}

/// What the comparison found.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Verdict {
    /// Questions that were put.
    pub asked: u64,
    /// Answers without any difference.
    pub equal: u64,
    /// Questions that what was written down knows nothing of.
    pub unknown: u64,
    /// Differences by shape, the most frequent first.
    pub groups: Vec<Group>,
}

impl Verdict {
    /// The verdict as JSON, with its version and where it was found.
    pub fn to_json(&self) -> serde_json::Result<String> {
        #[derive(Serialize)]
        struct Document<'v> {
            version: u32,
            environment: Environment,
            #[serde(flatten)]
            verdict: &'v Verdict,
        }
        serde_json::to_string_pretty(&Document { version: VERSION, environment: Environment::capture(&[]), verdict: self })
    }
}

/// Differences of one shape.
#[derive(Debug, Clone, Serialize)]
pub struct Group {
    /// What differs.
    pub field: Field,
    /// Its shape with the server that is judged.
    pub ours: String,
    /// Its shape with what is right.
    pub theirs: String,
    /// How often.
    pub count: u64,
    /// A few of them.
    pub examples: Vec<Example>,
}

/// One difference.
#[derive(Debug, Clone, Serialize)]
pub struct Example {
    /// Name and type.
    pub question: String,
    /// What the server that is judged said.
    pub ours: String,
    /// What is right.
    pub theirs: String,
}

/// Puts every question to the server and to the oracle; `progress` is told how many are done, a few times a second.
pub fn compare(inquiry: &Inquiry, questions: &Questions, oracle: &Oracle, progress: impl FnMut(u64)) -> io::Result<Verdict> {
    let mut verdict = Verdict::default();
    let mut groups: BTreeMap<(Field, String, String), Group> = BTreeMap::new();
    let parts = in_parallel(inquiry, progress, |index, done| {
        let mut part = Vec::new();
        let mut asker = Asker::new(inquiry, inquiry.target);
        let mut other = match oracle {
            Oracle::Server(address) => Some(Asker::new(inquiry, *address)),
            Oracle::Written(_) => None,
        };
        each_question(inquiry, questions, index, |query| {
            let text = describe_query(query);
            let expected = match (&mut other, oracle) {
                (Some(other), _) => {
                    // Both are under way at once, so that what they cache has the same age.
                    asker.begin(query)?;
                    Some(Expected::all_of(other.ask(query)?))
                }
                (None, Oracle::Written(written)) => {
                    asker.begin(query)?;
                    written.get(&text).cloned()
                }
                (None, Oracle::Server(_)) => None,
            };
            let ours = asker.end(query)?;
            part.push(match expected {
                Some(expected) => (Some(differences(&ours, &expected, &inquiry.tolerance)), text),
                None => (None, text),
            });
            done.fetch_add(1, Ordering::Relaxed);
            Ok(())
        })?;
        Ok(part)
    })?;
    for (found, question) in parts.into_iter().flatten() {
        verdict.asked += 1;
        let Some(found) = found else {
            verdict.unknown += 1;
            continue;
        };
        verdict.equal += u64::from(found.is_empty());
        for Difference { field, shape, values } in found {
            let (ours, theirs) = shape;
            let group = groups.entry((field, ours.clone(), theirs.clone())).or_insert_with(|| Group {
                field,
                ours,
                theirs,
                count: 0,
                examples: Vec::new(),
            });
            group.count += 1;
            if group.examples.len() < EXAMPLES {
                group.examples.push(Example { question: question.clone(), ours: values.0, theirs: values.1 });
            }
        }
    }
    verdict.groups = groups.into_values().collect();
    verdict.groups.sort_by_key(|group| std::cmp::Reverse(group.count));
    Ok(verdict)
}

/// Puts every question to the server and writes each answer down, a line of JSON each, in the order of questions.
pub fn write_down(inquiry: &Inquiry, questions: &Questions, out: &mut impl Write, progress: impl FnMut(u64)) -> io::Result<u64> {
    let parts = in_parallel(inquiry, progress, |index, done| {
        let mut lines = BTreeMap::new();
        let mut asker = Asker::new(inquiry, inquiry.target);
        each_question(inquiry, questions, index, |query| {
            let answer = asker.ask(query)?;
            let text = describe_query(query);
            let mut expected = Expected::all_of(answer);
            expected.question = Some(text.clone());
            lines.insert(text, serde_json::to_string(&expected).map_err(io::Error::other)?);
            done.fetch_add(1, Ordering::Relaxed);
            Ok(())
        })?;
        Ok(lines)
    })?;
    let lines: BTreeMap<String, String> = parts.into_iter().flatten().collect();
    for line in lines.values() {
        writeln!(out, "{line}")?;
    }
    Ok(lines.len() as u64)
}

/// Reads what was written down: a line of JSON each; fields that a line leaves out may be anything.
pub fn read_down(reader: impl BufRead) -> Result<BTreeMap<String, Expected>, String> {
    let mut written = BTreeMap::new();
    for (index, line) in reader.lines().enumerate() {
        let bad = |problem: String| format!("{}: error: {problem}", index + 1);
        let line = line.map_err(|error| bad(error.to_string()))?;
        if line.trim().is_empty() {
            continue;
        }
        let expected: Expected = serde_json::from_str(&line).map_err(|error| bad(error.to_string()))?;
        let question = expected.question.clone().ok_or_else(|| bad("there is no `question`, such as \"www.contoso.example. A\"".into()))?;
        written.insert(question, expected);
    }
    Ok(written)
}

/// Runs `work` on each thread and tells `progress` while they run.
fn in_parallel<T: Send>(
    inquiry: &Inquiry,
    mut progress: impl FnMut(u64),
    work: impl Fn(usize, &AtomicU64) -> io::Result<T> + Sync,
) -> io::Result<Vec<T>> {
    let done = AtomicU64::new(0);
    std::thread::scope(|scope| {
        let (done, work) = (&done, &work);
        let threads: Vec<_> = (0..inquiry.threads.max(1)).map(|index| scope.spawn(move || work(index, done))).collect();
        while threads.iter().any(|thread| !thread.is_finished()) {
            std::thread::sleep(Duration::from_millis(100));
            progress(done.load(Ordering::Relaxed));
        }
        threads.into_iter().map(|thread| thread.join().map_err(|_| io::Error::other("a thread died"))?).collect()
    })
}

/// Draws the share of one thread and hands over each query, its ID being zero.
fn each_question(inquiry: &Inquiry, questions: &Questions, index: usize, mut ask: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
    let threads = inquiry.threads.max(1);
    let share = inquiry.count / threads as u64 + u64::from((index as u64) < inquiry.count % threads as u64);
    let mut picker = Picker::new(inquiry.seed, index, threads);
    let mut query = vec![0; questions.largest()];
    for _ in 0..share {
        let length = questions.write(picker.pick(questions), 0, &mut query);
        ask(&query[..length])?;
    }
    Ok(())
}

/// One question under way with one server at a time.
struct Asker {
    target: SocketAddr,
    transport: Transport,
    timeout: Duration,
    id: u16,
    line: Option<Line>,
    reply: Vec<u8>,
}

enum Line {
    Udp(UdpSocket),
    Tcp(TcpStream),
}

impl Asker {
    fn new(inquiry: &Inquiry, target: SocketAddr) -> Self {
        Self { target, transport: inquiry.transport, timeout: inquiry.timeout, id: 0, line: None, reply: vec![0; 65_535] }
    }

    fn ask(&mut self, query: &[u8]) -> io::Result<Answer> {
        self.begin(query)?;
        self.end(query)
    }

    /// Sends it; an error of the line shows when the answer is waited for.
    fn begin(&mut self, query: &[u8]) -> io::Result<()> {
        self.id = self.id.wrapping_add(1);
        if self.line.is_none() {
            self.line = self.open().ok();
        }
        let mut message = query.to_vec();
        message[..2].copy_from_slice(&self.id.to_be_bytes());
        let sent = match &mut self.line {
            Some(Line::Udp(socket)) => socket.send(&message).map(|_| ()),
            Some(Line::Tcp(stream)) => {
                let mut frame = (message.len() as u16).to_be_bytes().to_vec();
                frame.extend_from_slice(&message);
                stream.write_all(&frame)
            }
            None => Ok(()),
        };
        if sent.is_err() {
            self.line = None;
        }
        Ok(())
    }

    /// Waits for the answer and asks again where none comes; a server that says nothing is an answer too.
    fn end(&mut self, query: &[u8]) -> io::Result<Answer> {
        for attempt in 1..=TRIES {
            if let Ok(length) = self.receive() {
                return Ok(Answer::read(&self.reply[..length]));
            }
            if attempt < TRIES {
                // What answers too late must not be taken for the answer to the next question: a new line.
                self.line = None;
                self.begin(query)?;
            }
        }
        self.line = None;
        Ok(Answer::none())
    }

    fn open(&self) -> io::Result<Line> {
        match self.transport {
            Transport::Udp => {
                let any: SocketAddr = if self.target.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0u16; 8], 0).into() };
                let socket = UdpSocket::bind(any)?;
                socket.connect(self.target)?;
                Ok(Line::Udp(socket))
            }
            Transport::Tcp => {
                let stream = TcpStream::connect_timeout(&self.target, self.timeout)?;
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(self.timeout))?;
                stream.set_write_timeout(Some(self.timeout))?;
                Ok(Line::Tcp(stream))
            }
        }
    }

    fn receive(&mut self) -> io::Result<usize> {
        let until = Instant::now() + self.timeout;
        loop {
            let length = match &mut self.line {
                Some(Line::Udp(socket)) => {
                    let left = until.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
                    socket.set_read_timeout(Some(left))?;
                    postern_sockets::receive(socket, &mut self.reply)?.0
                }
                Some(Line::Tcp(stream)) => {
                    let mut prefix = [0; 2];
                    stream.read_exact(&mut prefix)?;
                    let length = usize::from(u16::from_be_bytes(prefix));
                    stream.read_exact(&mut self.reply[..length])?;
                    length
                }
                None => return Err(io::ErrorKind::NotConnected.into()),
            };
            if length >= 2 && self.reply[..2] == self.id.to_be_bytes() {
                return Ok(length);
            }
            if Instant::now() >= until {
                return Err(io::ErrorKind::TimedOut.into());
            }
        }
    }
}

#[cfg(test)]
mod tests;
