//! Questions over TCP (RFC 7766): one connection to each upstream, kept open, with many questions under way on it.
//!
//! A task for each upstream; it connects when there is something to ask and closes after [`IDLE`] without a question. Answers may come in
//! any order and are matched by ID and question. A connection on which nothing came for [`STALLED`] although something was asked is given
//! up. What was asked on a connection that the upstream closed is asked once more on a new one (section 6.2.4 there), then reported lost.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};

use super::{AttemptId, Fault, Meter, UpstreamId, message};

/// How long a connection is kept without questions.
pub const IDLE: Duration = Duration::from_secs(10);
/// How long a connection may be silent while questions are out.
pub const STALLED: Duration = Duration::from_secs(5);
/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(3);
/// Questions that may wait for the task of one upstream.
const WAITING: usize = 4096;
/// Questions on one connection.
const OUTSTANDING: usize = 4096;

/// Takes what upstreams said to another thread.
pub trait Deliver: Send + Sync + 'static {
    /// One answer, or why there is none.
    fn deliver(&self, attempt: AttemptId, said: Result<Vec<u8>, Fault>);
}

/// TCP to all upstreams.
pub struct Tcp<D> {
    handle: Handle,
    deliver: Arc<D>,
    upstreams: HashMap<UpstreamId, Upstream>,
}

struct Upstream {
    address: SocketAddr,
    meter: Arc<Meter>,
    task: Option<mpsc::Sender<Question>>,
}

/// A question on its way.
struct Question {
    attempt: AttemptId,
    octets: Vec<u8>,
    /// It was on a connection that was lost.
    again: bool,
}

/// A connection and what is under way on it.
struct Connection<D> {
    deliver: Arc<D>,
    meter: Arc<Meter>,
    out: HashMap<u16, (u64, Question)>,
    keys: Keys,
}

#[derive(Clone)]
struct Keys(u64, u64);

impl<D: Deliver> Tcp<D> {
    /// Connections run as tasks of `handle`; what comes is given to `deliver`.
    pub fn new(handle: Handle, deliver: Arc<D>) -> Self {
        Self { handle, deliver, upstreams: HashMap::new() }
    }

    /// Prepares to ask an upstream.
    pub fn open(&mut self, id: UpstreamId, address: SocketAddr, meter: &Arc<Meter>) {
        self.upstreams.insert(id, Upstream { address, meter: meter.clone(), task: None });
    }

    /// Closes an upstream's connection.
    pub fn close(&mut self, id: UpstreamId) {
        self.upstreams.remove(&id); // the task ends with its channel
    }

    /// Sends a question, connecting if need be.
    pub fn send(&mut self, to: UpstreamId, attempt: AttemptId, message: &[u8]) -> Result<(), Fault> {
        let upstream = self.upstreams.get_mut(&to).ok_or(Fault::Exhausted)?;
        let task = upstream.task.get_or_insert_with(|| {
            let (sender, receiver) = mpsc::channel(WAITING);
            self.handle.spawn(serve(upstream.address, upstream.meter.clone(), self.deliver.clone(), receiver));
            sender
        });
        task.try_send(Question { attempt, octets: message.to_vec(), again: false }).map_err(|_| Fault::Exhausted)
    }
}

/// Asks one upstream for as long as there is somebody to ask it.
async fn serve<D: Deliver>(address: SocketAddr, meter: Arc<Meter>, deliver: Arc<D>, mut questions: mpsc::Receiver<Question>) {
    let mut again: Vec<Question> = Vec::new();
    loop {
        let first = match again.pop() {
            Some(question) => question,
            None => match questions.recv().await {
                Some(question) => question,
                None => return,
            },
        };
        again.push(first);
        let stream = match timeout(CONNECT, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => stream,
            _ => {
                again.extend(std::iter::from_fn(|| questions.try_recv().ok()));
                again.drain(..).for_each(|question| deliver.deliver(question.attempt, Err(Fault::Unreachable)));
                continue;
            }
        };
        let _ = stream.set_nodelay(true);
        let keys = Keys(rand::random(), rand::random());
        let mut connection = Connection { deliver: deliver.clone(), meter: meter.clone(), out: HashMap::new(), keys };
        let lost = connection.run(stream, &mut questions, std::mem::take(&mut again)).await;
        for question in lost {
            match question.again {
                false => again.push(Question { again: true, ..question }),
                true => deliver.deliver(question.attempt, Err(Fault::Reset)),
            }
        }
    }
}

impl<D: Deliver> Connection<D> {
    /// Asks on one connection until it is lost or no longer needed; gives back what was not answered.
    async fn run(&mut self, mut stream: TcpStream, questions: &mut mpsc::Receiver<Question>, first: Vec<Question>) -> Vec<Question> {
        let (mut reading, mut writing) = stream.split();
        let mut to_write: Vec<u8> = Vec::new();
        let mut received: Vec<u8> = Vec::with_capacity(4096);
        for question in first {
            self.queue(question, &mut to_write);
        }
        let mut heard = Instant::now();
        let mut closed = false;
        loop {
            let until = heard + if self.out.is_empty() { IDLE } else { STALLED };
            tokio::select! {
                question = questions.recv(), if !closed && self.out.len() < OUTSTANDING => match question {
                    Some(question) => {
                        if self.out.is_empty() {
                            heard = Instant::now();
                        }
                        self.queue(question, &mut to_write);
                    }
                    None => closed = true,
                },
                written = writing.write(&to_write), if !to_write.is_empty() => match written {
                    Ok(written) if written > 0 => drop(to_write.drain(..written)),
                    _ => break,
                },
                read = reading.read_buf(&mut received) => match read {
                    Ok(read) if read > 0 => {
                        heard = Instant::now();
                        if self.take(&mut received).is_err() {
                            break;
                        }
                    }
                    _ => break,
                },
                () = sleep_until(until) => {
                    // A silent connection is not tried again on a new one: the resolver has given up long ago.
                    self.out.values_mut().for_each(|(_, question)| question.again = true);
                    break;
                }
            }
            if closed && self.out.is_empty() {
                break;
            }
        }
        self.out.drain().map(|(_, (_, question))| question).collect()
    }

    /// Gives a question an ID and puts it behind what is to be written.
    fn queue(&mut self, mut question: Question, to_write: &mut Vec<u8>) {
        let id = std::iter::repeat_with(rand::random::<u16>).find(|id| !self.out.contains_key(id)).unwrap_or_default(); // never ends without one
        let Some(hash) = message::question(&self.keys, &question.octets) else {
            return self.deliver.deliver(question.attempt, Err(Fault::Exhausted));
        };
        question.octets[..2].copy_from_slice(&id.to_be_bytes());
        to_write.extend_from_slice(&(question.octets.len() as u16).to_be_bytes());
        to_write.extend_from_slice(&question.octets);
        self.out.insert(id, (hash, question));
    }

    /// Delivers each whole message at the start of `received`. A length that is no message's ends the connection.
    fn take(&mut self, received: &mut Vec<u8>) -> io::Result<()> {
        let mut at = 0;
        while let Some(length) = received.get(at..at + 2) {
            let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
            if length < crate::wire::HEADER {
                return Err(io::ErrorKind::InvalidData.into());
            }
            let Some(octets) = received.get(at + 2..at + 2 + length) else { break };
            let id = message::id(octets).unwrap_or_default();
            let question = message::question(&self.keys, octets);
            let ours = self.out.get(&id).is_some_and(|(hash, _)| message::is_bare_error(octets) || question == Some(*hash));
            match if ours { self.out.remove(&id) } else { None } {
                Some((_, question)) => self.deliver.deliver(question.attempt, Ok(octets.to_vec())),
                None => drop(self.meter.stray.fetch_add(1, Relaxed)),
            }
            at += 2 + length;
        }
        received.drain(..at);
        Ok(())
    }
}

impl std::hash::BuildHasher for Keys {
    type Hasher = siphasher::sip::SipHasher13;

    fn build_hasher(&self) -> Self::Hasher {
        siphasher::sip::SipHasher13::new_with_keys(self.0, self.1)
    }
}
