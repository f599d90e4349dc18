//! Questions over TCP (RFC 7766): a few connections to each upstream, kept open and used for many questions.
//!
//! One task for each upstream gives each question to a connection. A question goes to the connection with the fewest questions
//! outstanding; when each has [`SHARE`] of them, another connection is opened, up to [`CONNECTIONS`]. So a server that answers in order is
//! asked on several connections, while a fast one needs one.
//!
//! An upstream may close a connection at any time, and every question that it left unanswered is asked again (RFC 7766 section 6.2.4). For
//! as long as each connection brings an answer this goes on, for [`LONGEST`]. The first question that a close leaves unanswered may be what
//! the upstream closes for, so it is given up after [`MOST_LOSSES`] such closes. What a close shows is remembered for [`LEARNED`]:
//!
//! | a connection ends | from now on |
//! |---|---|
//! | within [`AT_ONCE`] of its only answer, with nothing outstanding | one question for each connection ([`Usage::OneEach`]) |
//! | the same with questions outstanding, the first of which was never lost before | the same after [`CONFIRMED`] such ends |
//! | without an answer, with several questions outstanding | one question at a time on each ([`Usage::OneAtATime`]) |
//! | without an answer, while others are open | no more connections than are open now |
//!
//! A connection that is silent for [`STALLED`] while questions are outstanding is given up, and they are reported lost. An idle one is
//! closed after [`IDLE`](connection::IDLE).

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use postern_config::model::UpstreamIdentity;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::Instant;

use self::connection::{ConnectionEnd, EndCause, UpstreamConnection};
use super::{AttemptError, AttemptId, UpstreamId, UpstreamMeter};

mod connection;

/// Connections to one upstream.
pub const CONNECTIONS: usize = 16;
/// Connections to all upstreams together. With more upstreams than that allows, some wait for others.
pub const MOST_CONNECTIONS: usize = 1024;
/// Questions outstanding on each connection before another one is opened.
pub const SHARE: usize = 4;
/// How long a connection may be silent while questions are outstanding.
pub const STALLED: Duration = Duration::from_secs(5);
/// How often one question may be the first that is left unanswered on a connection that ends.
pub const MOST_LOSSES: u8 = 5;
/// The same for connections that brought no answer at all.
const MOST_EMPTY: u8 = 2;
/// How long a question is asked again at all. The resolver's own time is over by then.
const LONGEST: Duration = Duration::from_secs(10);
/// How long it is remembered how an upstream closes connections.
const LEARNED: Duration = Duration::from_secs(300);
/// A server that serves one question a connection closes it this soon after the answer. Idle connections are closed much later.
const AT_ONCE: Duration = Duration::from_millis(500);
/// Connections that end with their only answer before that is taken for the server's habit. A question that makes the server close its
/// connection looks the same once, but it comes back.
const CONFIRMED: u8 = 2;
/// Questions that may wait for the task of one upstream, and then for a connection.
const WAITING: usize = 4096;
/// Questions on one connection.
const OUTSTANDING: usize = 4096;

/// Takes what upstreams said to another thread.
pub trait DeliverAnswer: Send + Sync + 'static {
    /// One answer, or why there is none.
    fn deliver(&self, attempt: AttemptId, said: Result<Vec<u8>, AttemptError>);
}

/// TCP to all upstreams.
pub struct TcpUpstreams<D> {
    handle: Handle,
    deliver: Arc<D>,
    places: Arc<Semaphore>,
    upstreams: HashMap<UpstreamId, Upstream>,
}

struct Upstream {
    identity: Arc<UpstreamIdentity>,
    meter: Arc<UpstreamMeter>,
    task: Option<mpsc::Sender<Question>>,
}

/// A question on its way.
#[derive(Debug)]
struct Question {
    attempt: AttemptId,
    octets: Vec<u8>,
    since: Instant,
    /// Connections that ended when it was the next to be answered, and only connections that ended without any answer.
    losses: u8,
    empty: u8,
}

/// How the connections of an upstream are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Usage {
    /// Many questions are outstanding on one connection.
    Pipelined,
    /// The next question waits for the answer to the one before.
    OneAtATime,
    /// A new connection for each question.
    OneEach,
}

/// The connections of one upstream, and the questions that wait for one.
struct Line<D> {
    identity: Arc<UpstreamIdentity>,
    meter: Arc<UpstreamMeter>,
    deliver: Arc<D>,
    places: Arc<Semaphore>,
    waiting: VecDeque<Question>,
    links: Vec<Link>,
    serial: u64,
    usage: Usage,
    most: usize,
    /// Connections in a row that ended with their only answer, while other questions were outstanding.
    only_answers: u8,
    /// When `usage` or `most` was last lowered.
    learned: Option<Instant>,
}

/// A connection as its upstream's task sees it.
struct Link {
    id: u64,
    questions: mpsc::UnboundedSender<Question>, // at most OUTSTANDING
    outstanding: usize,
    answered: usize,
}

/// News of a connection.
enum Event {
    /// So many questions were answered.
    Answered(u64, usize),
    /// It is over.
    Ended(u64, ConnectionEnd),
}

impl<D: DeliverAnswer> TcpUpstreams<D> {
    /// Connections run as tasks of `handle`; what comes is given to `deliver`.
    pub fn new(handle: Handle, deliver: Arc<D>) -> Self {
        Self { handle, deliver, places: Arc::new(Semaphore::new(MOST_CONNECTIONS)), upstreams: HashMap::new() }
    }

    /// Prepares to ask an upstream.
    pub fn open(&mut self, id: UpstreamId, identity: UpstreamIdentity, meter: &Arc<UpstreamMeter>) {
        self.upstreams.insert(id, Upstream { identity: Arc::new(identity), meter: meter.clone(), task: None });
    }

    /// Closes an upstream's connections.
    pub fn close(&mut self, id: UpstreamId) {
        self.upstreams.remove(&id); // the task ends with its channel
    }

    /// Sends a question, connecting if need be.
    pub fn send(&mut self, to: UpstreamId, attempt: AttemptId, message: &[u8]) -> Result<(), AttemptError> {
        let upstream = self.upstreams.get_mut(&to).ok_or(AttemptError::Exhausted)?;
        let task = upstream.task.get_or_insert_with(|| {
            let (sender, receiver) = mpsc::channel(WAITING);
            let line = Line::new(upstream.identity.clone(), upstream.meter.clone(), self.deliver.clone(), self.places.clone());
            self.handle.spawn(line.serve(receiver));
            sender
        });
        let question = Question { attempt, octets: message.to_vec(), since: Instant::now(), losses: 0, empty: 0 };
        task.try_send(question).map_err(|_| AttemptError::Exhausted)
    }
}

impl<D: DeliverAnswer> Line<D> {
    fn new(identity: Arc<UpstreamIdentity>, meter: Arc<UpstreamMeter>, deliver: Arc<D>, places: Arc<Semaphore>) -> Self {
        Self {
            identity,
            meter,
            deliver,
            places,
            waiting: VecDeque::new(),
            links: Vec::new(),
            serial: 0,
            usage: Usage::Pipelined,
            most: CONNECTIONS,
            only_answers: 0,
            learned: None,
        }
    }

    /// Asks the upstream until it is no longer in use. Its connections end with it.
    async fn serve(mut self, mut questions: mpsc::Receiver<Question>) {
        let (events, mut news) = mpsc::unbounded_channel();
        loop {
            tokio::select! {
                question = questions.recv(), if self.waiting.len() < WAITING => match question {
                    Some(question) => self.waiting.push_back(question),
                    None => return,
                },
                event = news.recv() => match event {
                    Some(Event::Answered(id, count)) => self.answered(id, count),
                    Some(Event::Ended(id, end)) => self.ended(id, end),
                    None => return, // never: a sender is here
                },
            }
            self.assign(&events);
        }
    }

    /// Gives waiting questions to connections for as long as there is room.
    fn assign(&mut self, events: &mpsc::UnboundedSender<Event>) {
        if self.learned.is_some_and(|learned| learned.elapsed() >= LEARNED) {
            (self.usage, self.most, self.learned) = (Usage::Pipelined, CONNECTIONS, None);
        }
        while let Some(question) = self.waiting.pop_front() {
            if question.since.elapsed() >= LONGEST {
                self.deliver.deliver(question.attempt, Err(AttemptError::Reset));
                continue;
            }
            let Some(place) = self.place(question.losses > 0, events) else {
                self.waiting.push_front(question);
                return;
            };
            let link = &mut self.links[place];
            link.outstanding += 1;
            // A connection that just ended gives back what it is sent, with its end.
            if let Err(back) = link.questions.send(question) {
                self.waiting.push_front(back.0);
                self.links.remove(place);
            }
        }
    }

    /// Returns the place of the connection for the next question, which is opened if need be. Returns `None` if the question must wait.
    ///
    /// A question that was `lost` goes to a connection without answers: one that answered much may be about to be closed as well.
    fn place(&mut self, lost: bool, events: &mpsc::UnboundedSender<Event>) -> Option<usize> {
        let may_open = self.links.len() < self.most;
        let limit = match self.usage {
            Usage::Pipelined if may_open => SHARE,
            Usage::Pipelined => OUTSTANDING,
            Usage::OneAtATime => 1,
            Usage::OneEach => 0,
        };
        let usable = |link: &Link| link.outstanding < limit && (!lost || !may_open || link.answered == 0);
        let rank = |link: &Link| (if lost { link.answered } else { 0 }, link.outstanding);
        let best = (0..self.links.len()).filter(|place| usable(&self.links[*place])).min_by_key(|place| rank(&self.links[*place]));
        best.or_else(|| may_open.then(|| self.open(events)))
    }

    fn open(&mut self, events: &mpsc::UnboundedSender<Event>) -> usize {
        let (questions, receiver) = mpsc::unbounded_channel();
        self.serial += 1;
        let id = self.serial;
        // Of events there are at most one for each outstanding question and one for each connection.
        let connection = UpstreamConnection::new(id, self.deliver.clone(), self.meter.clone(), events.clone());
        tokio::spawn(connection.serve(self.identity.clone(), self.places.clone(), receiver));
        self.links.push(Link { id, questions, outstanding: 0, answered: 0 });
        self.links.len() - 1
    }

    fn answered(&mut self, id: u64, count: usize) {
        let Some(place) = self.links.iter().position(|link| link.id == id) else { return };
        self.links[place].outstanding = self.links[place].outstanding.saturating_sub(count);
        self.links[place].answered += count;
        if self.usage == Usage::OneEach && self.links[place].outstanding == 0 {
            self.links.remove(place); // it closes with its channel
        }
    }

    /// A connection ended: what it left unanswered is asked again, or reported.
    fn ended(&mut self, id: u64, end: ConnectionEnd) {
        self.links.retain(|link| link.id != id);
        if end.ending == EndCause::Closed {
            self.learn(&end);
        }
        let others = self.links.len();
        for (place, mut question) in end.unanswered.into_iter().enumerate().rev() {
            let fault = match end.ending {
                EndCause::Closed => {
                    // The upstream was at the first one. The others only shared its connection.
                    question.losses += u8::from(place == 0);
                    question.empty += u8::from(end.answers == 0 && others == 0);
                    Some(AttemptError::Reset).filter(|_| question.losses >= MOST_LOSSES || question.empty >= MOST_EMPTY)
                }
                // A question that came while the connection ended was not sent, and a young one may be answered on another.
                EndCause::Finished => None,
                EndCause::Stalled => Some(AttemptError::Reset).filter(|_| question.since.elapsed() >= STALLED),
                EndCause::Unreachable => {
                    question.losses += 1;
                    Some(AttemptError::Unreachable).filter(|_| others == 0 || question.losses >= MOST_LOSSES)
                }
            };
            match fault {
                Some(fault) => self.deliver.deliver(question.attempt, Err(fault)),
                None => self.waiting.push_front(question),
            }
        }
        if end.ending == EndCause::Unreachable {
            match others {
                0 => self.waiting.drain(..).for_each(|question| self.deliver.deliver(question.attempt, Err(AttemptError::Unreachable))),
                others => self.lower(self.usage, others),
            }
        }
    }

    /// Draws conclusions from the way in which the upstream closed a connection.
    fn learn(&mut self, end: &ConnectionEnd) {
        match (end.answers, end.unanswered.len()) {
            (1, 0) if end.since_answer < AT_ONCE => self.lower(Usage::OneEach, self.most),
            (1, _) if end.since_answer < AT_ONCE => {
                self.only_answers += u8::from(end.unanswered[0].losses == 0);
                if self.only_answers >= CONFIRMED {
                    self.only_answers = 0;
                    self.lower(Usage::OneEach, self.most);
                }
            }
            (2.., _) => self.only_answers = 0,
            (0, 1) if !self.links.is_empty() => self.lower(self.usage, self.links.len()),
            (0, 2..) => self.lower(if self.usage == Usage::OneEach { Usage::OneEach } else { Usage::OneAtATime }, self.most),
            _ => {}
        }
    }

    fn lower(&mut self, usage: Usage, most: usize) {
        if usage != self.usage {
            tracing::debug!(upstream = %self.meter.name, ?usage, "upstream closes TCP connections early");
        }
        (self.usage, self.most, self.learned) = (usage, most.clamp(1, self.most), Some(Instant::now()));
    }
}
