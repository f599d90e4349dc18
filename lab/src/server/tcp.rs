//! Connections: pipelined questions, answers as they come due.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;

use super::hold::HeldAnswers;
use super::{MOST_HELD, Shared};
use crate::fault::{QuestionTransport, TcpFault};

/// Connections at once.
const MOST_CONNECTIONS: usize = 4_096;
/// A connection that says nothing and waits for nothing so long is closed.
const IDLE: Duration = Duration::from_secs(60);
/// Pause behind each byte of a slow answer.
const SLOW: Duration = Duration::from_millis(10);

/// Next action of a connection.
struct Step {
    frame: Vec<u8>,
    fault: Option<TcpFault>,
    /// It counts as held back.
    held: bool,
}

/// Accepts connections until stopped.
pub(super) async fn listen(listener: TcpListener, shared: Arc<Shared>, mut stopped: watch::Receiver<bool>) {
    let room = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    loop {
        let accepted = tokio::select! {
            _ = stopped.changed() => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, from)) = accepted else {
            // Out of descriptors, say: the next try is not at once.
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        let Ok(seat) = Arc::clone(&room).try_acquire_owned() else { continue };
        shared.tally().counters.tcp_connections += 1;
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            let mut connection = Connection { stream, from, shared, hold: HeldAnswers::new() };
            let _ = connection.serve().await; // the client went away: its own affair
            connection.release();
            drop(seat);
        });
    }
}

struct Connection {
    stream: TcpStream,
    from: SocketAddr,
    shared: Arc<Shared>,
    hold: HeldAnswers<Step>,
}

impl Connection {
    async fn serve(&mut self) -> io::Result<()> {
        let _ = self.stream.set_nodelay(true);
        let mut received = Vec::with_capacity(4_096);
        let mut ended = false;
        loop {
            tokio::select! {
                read = self.stream.read_buf(&mut received), if !ended => ended = read? == 0,
                () = self.hold.next() => {}
                () = tokio::time::sleep(IDLE), if self.hold.is_empty() => return Ok(()),
            }
            while let Some(question) = frame(&mut received) {
                if !self.take(&question) {
                    return Ok(());
                }
            }
            while let Some(step) = self.hold.pop(Instant::now()) {
                self.shared.held.fetch_sub(usize::from(step.held), Ordering::Relaxed);
                if !self.perform(step).await? {
                    return Ok(());
                }
            }
            if ended && self.hold.is_empty() {
                return Ok(());
            }
        }
    }

    /// Holds the answers of a question back, be it for no time at all; false: too many.
    fn take(&mut self, question: &[u8]) -> bool {
        let Some(verdict) = self.shared.judge(question, self.from, QuestionTransport::Tcp) else { return true };
        let due = Instant::now() + verdict.fate.delay;
        let held = !verdict.fate.delay.is_zero();
        for message in verdict.messages {
            // Answers never exceed what the encoder allows, 65,535 bytes.
            let mut frame = (message.len() as u16).to_be_bytes().to_vec();
            frame.extend_from_slice(&message);
            if held && !self.shared.hold_one(MOST_HELD) {
                return false;
            }
            self.hold.push(due, Step { frame, fault: verdict.fate.tcp, held });
        }
        true
    }

    /// Sends an answer, or what the fault makes of it; false: the connection is over.
    async fn perform(&mut self, Step { frame, fault, .. }: Step) -> io::Result<bool> {
        match fault {
            None => self.stream.write_all(&frame).await?,
            Some(TcpFault::Reset) => {
                // Closing with linger zero sends RST instead of FIN.
                self.stream.set_zero_linger()?;
                return Ok(false);
            }
            Some(TcpFault::Close) => return Ok(false),
            Some(TcpFault::Half) => {
                self.stream.write_all(&frame[..frame.len() / 2]).await?;
                return Ok(false);
            }
            Some(TcpFault::Slow) => {
                for byte in frame.chunks(1) {
                    self.stream.write_all(byte).await?;
                    tokio::time::sleep(SLOW).await;
                }
            }
        }
        self.shared.tally().counters.sent += 1;
        Ok(true)
    }

    /// Gives back the room of answers that nobody waits for any more.
    fn release(&self) {
        let held = self.hold.iter().filter(|step| step.held).count();
        self.shared.held.fetch_sub(held, Ordering::Relaxed);
    }
}

/// Takes one whole frame off the front.
fn frame(received: &mut Vec<u8>) -> Option<Vec<u8>> {
    let length = usize::from(u16::from_be_bytes([*received.first()?, *received.get(1)?]));
    let question = received.get(2..2 + length)?.to_vec();
    received.drain(..2 + length);
    Some(question)
}
