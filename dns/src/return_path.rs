//! The way back of an answer that another thread or task makes than the one that read the question.

use std::net::{IpAddr, UdpSocket};
use std::sync::Arc;

use tokio::sync::mpsc;

use crate::transport::ClientTransport;

/// The way back to a client.
#[derive(Debug, Clone)]
pub enum ReplyTo {
    /// From the listener's socket.
    Udp {
        /// The socket on which the question arrived.
        socket: Arc<UdpSocket>,
        /// The address to which the question was sent, because the answer must come from there. `None` if the socket is bound to one
        /// address.
        local: Option<IpAddr>,
    },
    /// To the task of the connection, which puts the length in front.
    Tcp(ReplySender),
}

/// The client closed its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the client went away")]
pub struct ClientGone;

/// Hands answers to the task of a connection.
#[derive(Debug, Clone)]
pub struct ReplySender {
    /// The only answer to a question, or a message without octets after the last of several. Has room for one message of each question
    /// that waits.
    ends: mpsc::Sender<Vec<u8>>,
    /// Answers of which more follow. Has little room, so that the sender waits for the client.
    parts: mpsc::Sender<Vec<u8>>,
}

/// Receives the answers of a [`ReplySender`] in the task of the connection.
#[derive(Debug)]
pub(crate) struct ReplyReceiver {
    /// Each message means that one question waits no more.
    pub ends: mpsc::Receiver<Vec<u8>>,
    /// Answers of which more follow.
    pub parts: mpsc::Receiver<Vec<u8>>,
}

/// Parts that may wait for a connection, of 64 KiB each at most.
const PARTS: usize = 2;

impl ReplyTo {
    /// Returns the transport over which the question arrived.
    pub fn transport(&self) -> ClientTransport {
        match self {
            Self::Udp { .. } => ClientTransport::Udp,
            Self::Tcp(_) => ClientTransport::Tcp,
        }
    }
}

impl ReplySender {
    /// Returns both sides for a connection on which `waiting` questions may wait.
    pub(crate) fn of_connection(waiting: usize) -> (Self, ReplyReceiver) {
        let (ends, ended) = mpsc::channel(waiting);
        let (parts, coming) = mpsc::channel(PARTS);
        (Self { ends, parts }, ReplyReceiver { ends: ended, parts: coming })
    }

    /// Returns a sender for a question of the server itself. The channel needs room for one answer to each question.
    pub fn alone(answers: mpsc::Sender<Vec<u8>>) -> Self {
        Self { ends: answers, parts: mpsc::channel(1).0 }
    }

    /// Hands over the only answer. It is dropped if the client went away: otherwise there is room.
    pub fn answer(&self, message: &[u8]) {
        let _ = self.ends.try_send(message.to_vec());
    }

    /// Hands over one of several answers, once the connection has room for it.
    pub(crate) async fn part(&self, message: Vec<u8>) -> Result<(), ClientGone> {
        self.parts.send(message).await.map_err(|_| ClientGone)
    }
}
