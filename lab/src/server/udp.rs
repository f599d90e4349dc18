//! Datagrams in and out, on one task.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio::time::Instant;

use super::hold::HeldAnswers;
use super::{MOST_HELD, Shared};
use crate::fault::{AnswerForgery, QuestionTransport};

/// Datagrams read before any is answered: emptying the socket first keeps bursts from being lost in its small buffer.
const BURST: usize = 1_024;

/// A datagram to send.
struct Datagram {
    bytes: Vec<u8>,
    to: SocketAddr,
    elsewhere: bool,
}

/// Answers datagrams until stopped; `elsewhere` is the socket with the wrong port.
pub(super) async fn serve(socket: &UdpSocket, elsewhere: &UdpSocket, shared: &Arc<Shared>, mut stopped: watch::Receiver<bool>) {
    let mut buffer = vec![0; 65_535];
    let mut burst: Vec<(Vec<u8>, SocketAddr)> = Vec::new();
    let mut hold: HeldAnswers<Datagram> = HeldAnswers::new();
    loop {
        tokio::select! {
            _ = stopped.changed() => return,
            _ = socket.readable() => {}
            () = hold.next() => {}
        }
        while burst.len() < BURST {
            match socket.try_recv_from(&mut buffer) {
                Ok((length, from)) => burst.push((buffer[..length].to_vec(), from)),
                // Connection refused stands for an earlier datagram that nobody took: the next read goes on.
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => {}
                Err(_) => break,
            }
        }
        for (question, from) in burst.drain(..) {
            take(&question, from, socket, elsewhere, shared, &mut hold);
        }
        while let Some(datagram) = hold.pop(Instant::now()) {
            shared.held.fetch_sub(1, Ordering::Relaxed);
            send(&datagram, socket, elsewhere, shared);
        }
        shared.tally().hold(shared.held.load(Ordering::Relaxed));
    }
}

fn take(question: &[u8], from: SocketAddr, socket: &UdpSocket, elsewhere: &UdpSocket, shared: &Shared, hold: &mut HeldAnswers<Datagram>) {
    let Some(verdict) = shared.judge(question, from, QuestionTransport::Udp) else { return };
    let forged = usize::from(!verdict.fate.forge.is_empty());
    let wrong_port = verdict.fate.forge.contains(&AnswerForgery::Source);
    for (nth, bytes) in verdict.messages.into_iter().enumerate() {
        // With `honest-too` the first message alone is the forged one.
        let elsewhere_bound = wrong_port && (nth < forged || !verdict.fate.honest_too);
        let datagram = Datagram { bytes, to: from, elsewhere: elsewhere_bound };
        if verdict.fate.delay.is_zero() {
            send(&datagram, socket, elsewhere, shared);
        } else if shared.hold_one(MOST_HELD) {
            hold.push(Instant::now() + verdict.fate.delay, datagram);
        }
    }
}

/// Sends what the socket takes at once. A full send buffer loses the datagram, as networks do.
fn send(datagram: &Datagram, socket: &UdpSocket, elsewhere: &UdpSocket, shared: &Shared) {
    let socket = if datagram.elsewhere { elsewhere } else { socket };
    if socket.try_send_to(&datagram.bytes, datagram.to).is_ok() {
        shared.tally().counters.sent += 1;
    }
}
