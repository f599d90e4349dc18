//! A client's question on its way to the resolver, and the way back of its answer.

use std::net::SocketAddr;
use std::time::Instant;

use arrayvec::ArrayVec;
use postern_zones::name::MAX_NAME;

use crate::clock::Now;
use crate::return_path::ReplyTo;
use crate::wire::HEADER;
use crate::wire::question::Question;

/// Octets of a header and one question at most.
pub const MAX_QUESTION: usize = HEADER + MAX_NAME + 4;

/// A question that needs an upstream. Boxed by whoever makes it: one allocation a question, moved as a pointer from then on.
#[derive(Debug)]
pub struct ResolverJob {
    /// Header and question as the client sent them: the answer is written behind.
    pub packet: ArrayVec<u8, MAX_QUESTION>,
    /// The same, understood.
    pub question: Question,
    /// Who asks. The network is decided anew from it with the snapshot of each walk.
    pub client: SocketAddr,
    /// Where the answer goes.
    pub reply: ReplyTo,
    /// Most octets the client takes over this transport.
    pub limit: usize,
    /// When the question came in: its deadline counts from here.
    pub received: Now,
    /// When it was handed over, for the measure of how long it took; none: nobody measures.
    pub handed_over: Option<Instant>,
}

impl ResolverJob {
    /// A job from a message of which the first `question.end` octets are header and question; none if they cannot be.
    pub fn new(message: &[u8], question: Question, client: SocketAddr, reply: ReplyTo, limit: usize, received: Now) -> Option<Box<Self>> {
        let packet = ArrayVec::try_from(message.get(..question.end)?).ok()?;
        Some(Box::new(Self { packet, question, client, reply, limit, received, handed_over: None }))
    }
}
