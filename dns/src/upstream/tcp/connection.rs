//! One TCP connection to an upstream, and the questions outstanding on it.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use postern_config::model::{QuerySource, UpstreamIdentity};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{Instant, sleep_until, timeout};

use super::{AttemptError, DeliverAnswer, Event, Question, STALLED};
use crate::upstream::UpstreamMeter;
use crate::upstream::message::{self, QuestionKeys};
use crate::upstream::udp::sender;

/// How long a connection is kept without questions.
pub(super) const IDLE: Duration = Duration::from_secs(10);
/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(3);
/// Age of a question that is no longer waited for. The resolver's deadline is over by then.
const FORGOTTEN: Duration = Duration::from_secs(10);

/// A connection and what is outstanding on it.
pub(super) struct UpstreamConnection<D> {
    id: u64,
    deliver: Arc<D>,
    meter: Arc<UpstreamMeter>,
    events: mpsc::UnboundedSender<Event>,
    outstanding: HashMap<u16, (u64, Question)>,
    keys: QuestionKeys,
    answers: usize,
    last_answer: Option<Instant>,
    swept: Instant,
}

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EndCause {
    /// The upstream closed or reset it.
    Closed,
    /// It was idle, or it is no longer needed.
    Finished,
    /// The upstream was silent for too long.
    Stalled,
    /// It could not be opened.
    Unreachable,
}

/// State in which a connection leaves its questions.
#[derive(Debug)]
pub(super) struct ConnectionEnd {
    pub(super) ending: EndCause,
    /// Answers to questions of ours that it brought.
    pub(super) answers: usize,
    /// Time between the last answer and the end.
    pub(super) since_answer: Duration,
    /// Questions that were not answered.
    pub(super) unanswered: Vec<Question>,
}

impl<D: DeliverAnswer> UpstreamConnection<D> {
    pub(super) fn new(id: u64, deliver: Arc<D>, meter: Arc<UpstreamMeter>, events: mpsc::UnboundedSender<Event>) -> Self {
        let keys = QuestionKeys::random();
        Self { id, deliver, meter, events, outstanding: HashMap::new(), keys, answers: 0, last_answer: None, swept: Instant::now() }
    }

    /// Connects, and asks what comes until the connection is lost or no longer needed.
    pub(super) async fn serve(
        mut self,
        to: Arc<UpstreamIdentity>,
        places: Arc<Semaphore>,
        mut questions: mpsc::UnboundedReceiver<Question>,
    ) {
        let connecting = async {
            let place = places.acquire().await.map_err(io::Error::other)?;
            connect(&to).await.map(|stream| (stream, place))
        };
        let ending = match timeout(CONNECT, connecting).await {
            Ok(Ok((stream, _place))) => self.run(stream, &mut questions).await,
            _ => EndCause::Unreachable,
        };
        // Questions that were never written come last.
        questions.close();
        let mut unanswered: Vec<Question> = self.outstanding.drain().map(|(_, (_, question))| question).collect();
        unanswered.sort_by_key(|question| question.since);
        unanswered.extend(std::iter::from_fn(|| questions.try_recv().ok()));
        let since_answer = self.last_answer.map_or(Duration::MAX, |at| at.elapsed());
        let end = ConnectionEnd { ending, answers: self.answers, since_answer, unanswered };
        let _ = self.events.send(Event::Ended(self.id, end)); // the upstream may be gone
    }

    async fn run(&mut self, mut stream: TcpStream, questions: &mut mpsc::UnboundedReceiver<Question>) -> EndCause {
        let _ = stream.set_nodelay(true);
        let (mut reading, mut writing) = stream.split();
        let mut to_write: Vec<u8> = Vec::new();
        let mut received: Vec<u8> = Vec::with_capacity(4096);
        let mut heard = Instant::now();
        let mut closing = false;
        loop {
            if closing && self.outstanding.is_empty() {
                return EndCause::Finished;
            }
            let until = heard + if self.outstanding.is_empty() { IDLE } else { STALLED };
            tokio::select! {
                question = questions.recv(), if !closing => match question {
                    Some(question) => {
                        if self.outstanding.is_empty() {
                            heard = Instant::now();
                        }
                        self.queue(question, &mut to_write);
                    }
                    None => closing = true,
                },
                written = writing.write(&to_write), if !to_write.is_empty() => match written {
                    Ok(written) if written > 0 => drop(to_write.drain(..written)),
                    _ => return EndCause::Closed,
                },
                read = reading.read_buf(&mut received) => match read {
                    Ok(read) if read > 0 => {
                        heard = Instant::now();
                        if self.take(&mut received).is_err() {
                            return EndCause::Closed;
                        }
                    }
                    _ => return EndCause::Closed,
                },
                () = sleep_until(until) => return if self.outstanding.is_empty() { EndCause::Finished } else { EndCause::Stalled },
            }
        }
    }

    /// Gives up questions that the upstream leaves unanswered while it answers others.
    fn sweep(&mut self) {
        if self.swept.elapsed() < FORGOTTEN {
            return;
        }
        self.swept = Instant::now();
        let old = |question: &Question| question.since.elapsed() >= FORGOTTEN;
        let gone: Vec<u16> = self.outstanding.iter().filter(|(_, (_, question))| old(question)).map(|(id, _)| *id).collect();
        for question in gone.iter().filter_map(|id| self.outstanding.remove(id)) {
            self.deliver.deliver(question.1.attempt, Err(AttemptError::Reset));
        }
        let _ = self.events.send(Event::Answered(self.id, gone.len())); // the upstream may be gone
    }

    /// Gives a question an ID and puts it behind what is to be written.
    fn queue(&mut self, mut question: Question, to_write: &mut Vec<u8>) {
        self.sweep();
        // A free ID is found at once: fewer than one in ten is in use.
        let id = std::iter::repeat_with(rand::random::<u16>).find(|id| !self.outstanding.contains_key(id)).unwrap_or_default();
        let Some(hash) = message::question(&self.keys, &question.octets) else {
            return self.deliver.deliver(question.attempt, Err(AttemptError::Exhausted));
        };
        question.octets[..2].copy_from_slice(&id.to_be_bytes());
        to_write.extend_from_slice(&(question.octets.len() as u16).to_be_bytes());
        to_write.extend_from_slice(&question.octets);
        self.outstanding.insert(id, (hash, question));
    }

    /// Delivers each whole message at the start of `received`. A length that is no message's ends the connection.
    fn take(&mut self, received: &mut Vec<u8>) -> io::Result<()> {
        let (mut at, mut answered) = (0, 0);
        let mut result = Ok(());
        while let Some(length) = received.get(at..at + 2) {
            let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
            if length < crate::wire::HEADER {
                result = Err(io::ErrorKind::InvalidData.into());
                break;
            }
            let Some(octets) = received.get(at + 2..at + 2 + length) else { break };
            let id = message::id(octets).unwrap_or_default();
            let question = message::question(&self.keys, octets);
            let ours = self.outstanding.get(&id).is_some_and(|(hash, _)| message::is_bare_error(octets) || question == Some(*hash));
            match if ours { self.outstanding.remove(&id) } else { None } {
                Some((_, question)) => {
                    self.deliver.deliver(question.attempt, Ok(octets.to_vec()));
                    answered += 1;
                }
                None => drop(self.meter.stray.fetch_add(1, Relaxed)),
            }
            at += 2 + length;
        }
        received.drain(..at);
        if answered > 0 {
            self.answers += answered;
            self.last_answer = Some(Instant::now());
            let _ = self.events.send(Event::Answered(self.id, answered)); // the upstream may be gone
        }
        result
    }
}

/// Connects to an upstream, from its source if it has one.
async fn connect(to: &UpstreamIdentity) -> io::Result<TcpStream> {
    let socket = if to.address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    match &to.source {
        Some(QuerySource::Interface(name)) => socket.bind_device(Some(name.as_bytes()))?,
        Some(QuerySource::Address(_)) => socket.bind(sender(to.address, to.source.as_ref()))?,
        None => {}
    }
    socket.connect(to.address).await
}
