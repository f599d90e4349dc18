//! Comparison of a server's answers, field by field, with those of another server or of a file.
//!
//! ```text
//! QuestionBank ─▶ ask ─▶ ServerAnswer ─┐
//! QuestionBank ─▶ ask ─▶ ServerAnswer ─┴─ fields::differences ─▶ ComparisonResult: groups of differences of one shape
//! ```
//! A field is a property that a client can observe: RCODE, each flag, each section as a set of
//! records, and its TTLs. Differences of the same shape ("authority: SOA against NS") are counted
//! together and shown with a few examples. Ten thousand of them therefore read as one.

mod fields;

use std::collections::BTreeMap;
use std::io::{self, BufRead, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::environment::MachineInfo;
use crate::load::LoadTransport;
use crate::questions::{QuestionBank, QuestionPicker, describe_query};
pub use fields::{AnswerField, AnswerTolerance, ExpectedAnswer, FieldDifference, ServerAnswer, differences};

/// How often a query is sent before it counts as unanswered.
const TRIES: u32 = 3;
/// Version of the JSON of a [`ComparisonResult`].
pub const VERSION: u32 = 1;
/// Examples to keep of each shape of difference.
const EXAMPLES: usize = 3;

/// Server, transport and bounds of a comparison.
#[derive(Debug, Clone)]
pub struct ComparisonPlan {
    /// The server whose answers are checked.
    pub target: SocketAddr,
    /// Transport of the queries.
    pub transport: LoadTransport,
    /// Number of questions.
    pub count: u64,
    /// Number of threads. Each has one pending query per server.
    pub threads: usize,
    /// Timeout of each attempt.
    pub timeout: Duration,
    /// Seed that selects the questions.
    pub seed: u64,
    /// Differences to ignore.
    pub tolerance: AnswerTolerance,
}

/// Source of the expected answers.
#[derive(Debug)]
pub enum AnswerOracle {
    /// Another server, queried at the same moment.
    Server(SocketAddr),
    /// Recorded answers by question.
    Written(BTreeMap<String, ExpectedAnswer>),
}

/// Result of a comparison.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ComparisonResult {
    /// Number of questions that were sent.
    pub asked: u64,
    /// Number of answers without any difference.
    pub equal: u64,
    /// Number of questions without a recorded answer.
    pub unknown: u64,
    /// Differences by shape, the most frequent first.
    pub groups: Vec<DifferenceGroup>,
}

impl ComparisonResult {
    /// Returns the result as JSON, with its version and the environment of the run.
    pub fn to_json(&self) -> serde_json::Result<String> {
        #[derive(Serialize)]
        struct Document<'v> {
            version: u32,
            environment: MachineInfo,
            #[serde(flatten)]
            verdict: &'v ComparisonResult,
        }
        serde_json::to_string_pretty(&Document { version: VERSION, environment: MachineInfo::capture(&[]), verdict: self })
    }
}

/// Differences of one shape.
#[derive(Debug, Clone, Serialize)]
pub struct DifferenceGroup {
    /// The field that differs.
    pub field: AnswerField,
    /// Shape at the server under test.
    pub ours: String,
    /// Shape of the expected answer.
    pub theirs: String,
    /// Number of differences of this shape.
    pub count: u64,
    /// A few examples.
    pub examples: Vec<DifferenceExample>,
}

/// One example of a difference.
#[derive(Debug, Clone, Serialize)]
pub struct DifferenceExample {
    /// Name and type of the question.
    pub question: String,
    /// Value at the server under test.
    pub ours: String,
    /// Value of the expected answer.
    pub theirs: String,
}

/// Sends every question to the server and to the oracle. A few times a second, `progress` receives
/// the number of questions done.
pub fn compare(
    inquiry: &ComparisonPlan,
    questions: &QuestionBank,
    oracle: &AnswerOracle,
    progress: impl FnMut(u64),
) -> io::Result<ComparisonResult> {
    let parts = in_parallel(inquiry, progress, |index, done| {
        let mut part = Vec::new();
        let mut asker = Asker::new(inquiry, inquiry.target);
        let mut other = match oracle {
            AnswerOracle::Server(address) => Some(Asker::new(inquiry, *address)),
            AnswerOracle::Written(_) => None,
        };
        each_question(inquiry, questions, index, |query| {
            let text = describe_query(query);
            let expected = match (&mut other, oracle) {
                (Some(other), _) => {
                    // Both queries are sent at once, so that cached records have the same age.
                    asker.begin(query)?;
                    Some(ExpectedAnswer::all_of(other.ask(query)?))
                }
                (None, AnswerOracle::Written(written)) => {
                    asker.begin(query)?;
                    written.get(&text).cloned()
                }
                (None, AnswerOracle::Server(_)) => None,
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
    Ok(result_of(parts.into_iter().flatten()))
}

/// Sums up the differences of each question. `None` means that no answer was expected.
fn result_of(compared: impl Iterator<Item = (Option<Vec<FieldDifference>>, String)>) -> ComparisonResult {
    let mut verdict = ComparisonResult::default();
    let mut groups: BTreeMap<(AnswerField, String, String), DifferenceGroup> = BTreeMap::new();
    for (found, question) in compared {
        verdict.asked += 1;
        let Some(found) = found else {
            verdict.unknown += 1;
            continue;
        };
        verdict.equal += u64::from(found.is_empty());
        for FieldDifference { field, shape, values } in found {
            let (ours, theirs) = shape;
            let group = groups.entry((field, ours.clone(), theirs.clone())).or_insert_with(|| DifferenceGroup {
                field,
                ours,
                theirs,
                count: 0,
                examples: Vec::new(),
            });
            group.count += 1;
            if group.examples.len() < EXAMPLES {
                group.examples.push(DifferenceExample { question: question.clone(), ours: values.0, theirs: values.1 });
            }
        }
    }
    verdict.groups = groups.into_values().collect();
    verdict.groups.sort_by_key(|group| std::cmp::Reverse(group.count));
    verdict
}

/// Sends every question to the server and writes each answer as a line of JSON, in the order of the
/// questions.
pub fn write_down(inquiry: &ComparisonPlan, questions: &QuestionBank, out: &mut impl Write, progress: impl FnMut(u64)) -> io::Result<u64> {
    let parts = in_parallel(inquiry, progress, |index, done| {
        let mut lines = BTreeMap::new();
        let mut asker = Asker::new(inquiry, inquiry.target);
        each_question(inquiry, questions, index, |query| {
            let answer = asker.ask(query)?;
            let text = describe_query(query);
            let mut expected = ExpectedAnswer::all_of(answer);
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

/// Reads recorded answers, one line of JSON each. Fields that a line omits may have any value.
pub fn read_down(reader: impl BufRead) -> Result<BTreeMap<String, ExpectedAnswer>, String> {
    let mut written = BTreeMap::new();
    for (index, line) in reader.lines().enumerate() {
        let bad = |problem: String| format!("{}: error: {problem}", index + 1);
        let line = line.map_err(|error| bad(error.to_string()))?;
        if line.trim().is_empty() {
            continue;
        }
        let expected: ExpectedAnswer = serde_json::from_str(&line).map_err(|error| bad(error.to_string()))?;
        let question = expected.question.clone().ok_or_else(|| bad("there is no `question`, such as \"www.contoso.example. A\"".into()))?;
        written.insert(question, expected);
    }
    Ok(written)
}

/// Runs `work` on each thread and reports to `progress` meanwhile.
fn in_parallel<T: Send>(
    inquiry: &ComparisonPlan,
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

/// Draws the share of one thread and passes on each query with ID zero.
fn each_question(
    inquiry: &ComparisonPlan,
    questions: &QuestionBank,
    index: usize,
    mut ask: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let threads = inquiry.threads.max(1);
    let share = inquiry.count / threads as u64 + u64::from((index as u64) < inquiry.count % threads as u64);
    let mut picker = QuestionPicker::new(inquiry.seed, index, threads);
    let mut query = vec![0; questions.largest()];
    for _ in 0..share {
        let length = questions.write(picker.pick(questions), 0, &mut query);
        ask(&query[..length])?;
    }
    Ok(())
}

/// A connection to one server with one pending query at a time.
struct Asker {
    target: SocketAddr,
    transport: LoadTransport,
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
    fn new(inquiry: &ComparisonPlan, target: SocketAddr) -> Self {
        Self { target, transport: inquiry.transport, timeout: inquiry.timeout, id: 0, line: None, reply: vec![0; 65_535] }
    }

    fn ask(&mut self, query: &[u8]) -> io::Result<ServerAnswer> {
        self.begin(query)?;
        self.end(query)
    }

    /// Sends the query. Socket errors are reported when the answer is received.
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

    /// Waits for the answer and retries after each timeout. The absence of an answer is also a
    /// result.
    fn end(&mut self, query: &[u8]) -> io::Result<ServerAnswer> {
        for attempt in 1..=TRIES {
            if let Ok(length) = self.receive() {
                return Ok(ServerAnswer::read(&self.reply[..length]));
            }
            if attempt < TRIES {
                // A late answer must not be mistaken for the answer to the next question, so the
                // connection is replaced.
                self.line = None;
                self.begin(query)?;
            }
        }
        self.line = None;
        Ok(ServerAnswer::none())
    }

    fn open(&self) -> io::Result<Line> {
        match self.transport {
            LoadTransport::Udp => {
                let any: SocketAddr = if self.target.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0u16; 8], 0).into() };
                let socket = UdpSocket::bind(any)?;
                socket.connect(self.target)?;
                Ok(Line::Udp(socket))
            }
            LoadTransport::Tcp => {
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
