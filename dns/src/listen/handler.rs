//! Messages that are not the path's: UPDATE, NOTIFY, transfers, and whatever is signed with TSIG. They go to a [`MessageHandler`] off the hot
//! path, whole, with the way back of their answers.
//!
//! The path loses nothing by it: only branches that ordinary questions never take look for a handler.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use postern_sockets::DatagramOutbox;

use super::QueryService;
use crate::clock::Now;
use crate::counters::{AnswerClass, AnswerSource, WorkerCounters, WorkerEvent};
use crate::return_path::{ClientGone, ReplyTo};
use crate::transport::{ClientTransport, ListenerKind, PerListener};
use crate::wire::message::read_name;
use crate::wire::question::Question;
use crate::wire::{HEADER, rtype};

/// Takes messages that are not the path's.
pub trait MessageHandler: Send + Sync + fmt::Debug {
    /// True where it takes messages of this kind; else they are answered as by a server that has no such thing. Asked by workers: it must
    /// not wait.
    fn wants(&self, kind: MessageKind) -> bool;

    /// Takes one, without waiting; gives it back where too many wait already.
    fn take(&self, request: Box<HandlerRequest>) -> Result<(), Box<HandlerRequest>>;
}

/// Kind of a message, decided by its form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MessageKind {
    /// Opcode UPDATE (RFC 2136), signed or not.
    Update,
    /// Opcode NOTIFY (RFC 1996), signed or not.
    Notify,
    /// A question for AXFR (RFC 5936) or IXFR (RFC 1995), signed or not.
    Transfer,
    /// Any other question with a TSIG record (RFC 8945).
    Signed,
}

/// A message with the way back of its answers. Dropped without one, nothing is answered and nobody waits.
pub struct HandlerRequest {
    /// Kind of the message.
    pub kind: MessageKind,
    /// The message.
    pub packet: Vec<u8>,
    /// Who sent it: its port is not 0, and it may query.
    pub client: SocketAddr,
    /// Transport that it arrived over.
    pub transport: ClientTransport,
    /// When it came.
    pub received: Now,
    /// None: answered.
    reply: Option<ReplyTo>,
    counters: Arc<WorkerCounters>,
    /// Its answer, or the first message of it, was counted.
    is_counted: AtomicBool,
}

impl HandlerRequest {
    /// A message as it came in.
    pub fn new(
        kind: MessageKind,
        packet: &[u8],
        client: SocketAddr,
        transport: ClientTransport,
        received: Now,
        reply: ReplyTo,
        handled: &PerListener<Arc<WorkerCounters>>,
    ) -> Box<Self> {
        let counters = handled[ListenerKind::new(transport, client.ip())].clone();
        let (packet, reply, is_counted) = (packet.to_vec(), Some(reply), AtomicBool::new(false));
        Box::new(Self { kind, packet, client, transport, received, reply, counters, is_counted })
    }

    /// Its answer is one that the path or the resolver made, and counted.
    pub fn is_counted_already(&self) {
        self.is_counted.store(true, Relaxed);
    }

    /// Counts an answer, or the first message of one that has several.
    fn count(&self, message: &[u8]) {
        if message.len() < HEADER || self.is_counted.swap(true, Relaxed) {
            return;
        }
        // The type of an UPDATE or a NOTIFY is that of its zone: no question for records.
        let qtype = || {
            let at = read_name(&self.packet, HEADER).ok()?.1;
            Some(u16::from_be_bytes([*self.packet.get(at)?, *self.packet.get(at + 1)?]))
        };
        let rtype = if matches!(self.kind, MessageKind::Transfer | MessageKind::Signed) { qtype().unwrap_or(0) } else { 0 };
        self.counters.answer(AnswerClass::new(rtype, AnswerSource::Server), message);
    }

    /// Sends the one answer there is.
    pub fn answer(mut self, message: &[u8]) {
        self.count(message);
        match self.reply.take() {
            Some(ReplyTo::Tcp(connection)) => connection.answer(message),
            Some(ReplyTo::Udp { socket, local }) => {
                let mut outbox = DatagramOutbox::new(1);
                outbox.push(message, self.client, local);
                outbox.send(&socket); // lost: as any datagram may be
            }
            None => {}
        }
    }

    /// Sends one of several answers, once the connection has room for it. The last one was the last when the request is dropped.
    ///
    /// For streams: over UDP there is only one answer.
    pub async fn send(&self, message: Vec<u8>) -> Result<(), ClientGone> {
        self.count(&message);
        match &self.reply {
            Some(ReplyTo::Tcp(connection)) => connection.part(message).await,
            _ => Err(ClientGone),
        }
    }
}

impl Drop for HandlerRequest {
    fn drop(&mut self) {
        if let Some(ReplyTo::Tcp(connection)) = self.reply.take() {
            connection.answer(&[]);
        }
    }
}

impl fmt::Debug for HandlerRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let octets = self.packet.len();
        f.debug_struct("Request").field("kind", &self.kind).field("octets", &octets).field("client", &self.client).finish_non_exhaustive()
    }
}

impl QueryService {
    /// Who takes messages of this kind, if somebody does.
    #[cold]
    pub(super) fn taker(&self, kind: Option<MessageKind>) -> Option<(&dyn MessageHandler, MessageKind)> {
        let kind = kind?;
        self.handler.as_deref().filter(|handler| handler.wants(kind)).map(|handler| (handler, kind))
    }
}

/// Hands a message over; false: too many wait already.
#[cold]
pub(super) fn hand_over(handler: &dyn MessageHandler, request: Box<HandlerRequest>, counters: &WorkerCounters) -> bool {
    let taken = handler.take(request);
    counters.event(if taken.is_ok() { WorkerEvent::HandedOver } else { WorkerEvent::HandlerBusy });
    match taken {
        Ok(()) => true,
        Err(mut request) => {
            request.reply = None; // whoever asked answers
            false
        }
    }
}

/// Returns the kind of a message whose opcode is not QUERY, by its header.
pub(super) fn kind_of_opcode(packet: &[u8]) -> Option<MessageKind> {
    match packet.get(2)? >> 3 & 0xf {
        4 => Some(MessageKind::Notify),
        5 => Some(MessageKind::Update),
        _ => None,
    }
}

/// What an unusual question is. SIG(0) alone makes none ours: nobody has its key, and the path knows what it must not do with one.
pub(super) fn kind_of_question(question: &Question, has_tsig: impl FnOnce() -> bool) -> Option<MessageKind> {
    match question.rtype {
        rtype::AXFR | rtype::IXFR => Some(MessageKind::Transfer),
        _ if question.signed && has_tsig() => Some(MessageKind::Signed),
        _ => None,
    }
}
