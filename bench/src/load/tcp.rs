//! TCP: connections with many pending queries, and many frames per write.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use super::worker::QueryCarrier;
use crate::message::MAX_QUERY;

/// Read buffer in octets: enough for many small frames, or for one frame of the largest size.
const READ: usize = 2 + 65_535 + 65_536;

struct Connection {
    stream: TcpStream,
    incoming: Box<[u8]>,
    filled: usize,
    outgoing: Vec<u8>,
    written: usize,
}

/// Connections of one thread.
pub(super) struct TcpCarrier {
    target: SocketAddr,
    timeout: Duration,
    connections: Vec<Connection>,
}

impl TcpCarrier {
    /// Opens `ports` connections to `target`.
    pub(super) fn open(target: SocketAddr, ports: usize, timeout: Duration) -> io::Result<Self> {
        let connections = (0..ports)
            .map(|_| {
                let stream = connect(target, timeout)?;
                Ok(Connection { stream, incoming: vec![0; READ].into(), filled: 0, outgoing: Vec::new(), written: 0 })
            })
            .collect::<io::Result<_>>()?;
        Ok(Self { target, timeout, connections })
    }
}

fn connect(target: SocketAddr, timeout: Duration) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&target, timeout)?;
    stream.set_nodelay(true)?;
    stream.set_nonblocking(true)?;
    Ok(stream)
}

impl QueryCarrier for TcpCarrier {
    const BREAKS: bool = true;

    fn lines(&self) -> usize {
        self.connections.len()
    }

    fn descriptor(&self, line: usize) -> BorrowedFd<'_> {
        self.connections[line].stream.as_fd()
    }

    fn fill(&mut self, line: usize, _index: usize, write: impl FnOnce(&mut [u8]) -> usize) {
        let outgoing = &mut self.connections[line].outgoing;
        let start = outgoing.len();
        outgoing.resize(start + 2 + MAX_QUERY + 512, 0);
        let length = write(&mut outgoing[start + 2..]);
        outgoing[start..start + 2].copy_from_slice(&(length as u16).to_be_bytes());
        outgoing.truncate(start + 2 + length);
    }

    /// Accepts the whole batch. Data that the socket has no room for is stored, and no batch is
    /// filled until it is sent.
    fn flush(&mut self, line: usize, count: usize) -> io::Result<usize> {
        let connection = &mut self.connections[line];
        while connection.written < connection.outgoing.len() {
            match connection.stream.write(&connection.outgoing[connection.written..]) {
                Ok(0) => return Err(io::ErrorKind::BrokenPipe.into()),
                Ok(written) => connection.written += written,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(count),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        connection.outgoing.clear();
        connection.written = 0;
        Ok(count)
    }

    fn receive(&mut self, line: usize, mut each: impl FnMut(&[u8])) -> io::Result<bool> {
        let connection = &mut self.connections[line];
        let read = match connection.stream.read(&mut connection.incoming[connection.filled..]) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => read,
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => return Ok(false),
            Err(error) => return Err(error),
        };
        connection.filled += read;
        let used = each_frame(&connection.incoming[..connection.filled], &mut each);
        connection.incoming.copy_within(used..connection.filled, 0);
        connection.filled -= used;
        Ok(false)
    }

    fn wants_write(&self, line: usize) -> bool {
        !self.connections[line].outgoing.is_empty()
    }

    fn reopen(&mut self, line: usize) -> io::Result<()> {
        let connection = &mut self.connections[line];
        connection.stream = connect(self.target, self.timeout)?;
        connection.outgoing.clear();
        connection.written = 0;
        connection.filled = 0;
        Ok(())
    }
}

/// Passes on each whole frame (RFC 1035, section 4.2.2). Returns the number of octets consumed.
fn each_frame(octets: &[u8], each: &mut impl FnMut(&[u8])) -> usize {
    let mut at = 0;
    while let Some(prefix) = octets.get(at..at + 2) {
        let length = usize::from(u16::from_be_bytes([prefix[0], prefix[1]]));
        let Some(frame) = octets.get(at + 2..at + 2 + length) else { break };
        each(frame);
        at += 2 + length;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::each_frame;

    #[test]
    fn frames_are_cut_where_they_end_and_a_piece_is_left() {
        let octets = [0, 2, 7, 8, 0, 0, 0, 1, 9, 0, 5, 1, 2];
        let mut frames: Vec<Vec<u8>> = Vec::new();
        let used = each_frame(&octets, &mut |frame| frames.push(frame.to_vec()));
        assert_eq!(used, 9);
        assert_eq!(frames, [vec![7, 8], vec![], vec![9]]);
    }
}
