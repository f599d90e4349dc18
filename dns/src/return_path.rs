//! The way back of an answer that is made elsewhere than where its question was read.

use std::net::{IpAddr, UdpSocket};
use std::sync::Arc;

use tokio::sync::mpsc;

use crate::transport::ClientTransport;

/// The way back to a client.
#[derive(Debug, Clone)]
pub enum ReplyTo {
    /// From the listener's socket.
    Udp {
        /// The socket the question came in on.
        socket: Arc<UdpSocket>,
        /// The address it was sent to: the answer must come from there. None where the socket is bound to one address.
        local: Option<IpAddr>,
    },
    /// To the connection's task, which puts the length in front.
    Tcp(Later),
}

/// The client takes no answers any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the client went away")]
pub struct Gone;

/// Where a connection takes answers that come later.
#[derive(Debug, Clone)]
pub struct Later {
    /// The one answer, or the end of several: a message without octets. There is room for one of each question that waits.
    ends: mpsc::Sender<Vec<u8>>,
    /// Answers of which more follow. Little room: whoever sends them waits for the client.
    parts: mpsc::Sender<Vec<u8>>,
}

/// The other side of [`Later`].
#[derive(Debug)]
pub(crate) struct Coming {
    /// Each means that one question waits no more.
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

impl Later {
    /// For a connection on which so many questions may wait.
    pub(crate) fn of_connection(waiting: usize) -> (Self, Coming) {
        let (ends, ended) = mpsc::channel(waiting);
        let (parts, coming) = mpsc::channel(PARTS);
        (Self { ends, parts }, Coming { ends: ended, parts: coming })
    }

    /// For somebody who asks for himself: as many answers as asked for fit into the channel.
    pub fn alone(answers: mpsc::Sender<Vec<u8>>) -> Self {
        Self { ends: answers, parts: mpsc::channel(1).0 }
    }

    /// Hands an answer over. One that finds no room means that the client went away.
    pub fn answer(&self, message: &[u8]) {
        let _ = self.ends.try_send(message.to_vec());
    }

    /// Hands over one of several answers, once the connection has room for it.
    pub(crate) async fn part(&self, message: Vec<u8>) -> Result<(), Gone> {
        self.parts.send(message).await.map_err(|_| Gone)
    }
}
