//! A stream whose other side must read: one that takes nothing for too long, or too little, is cut off, for it keeps a connection from
//! others.
//!
//! What is bounded is the time that writes wait: it is used up by waiting and given back by what is taken. So a download may take as long as
//! its line needs, and a stream whose events come once an hour waits for nobody; a reader that drips is out soon after one that stands still.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// Octets a second that a reader takes at least, where there is more for it: 9.6 kbit/s with what TCP adds, the slowest line that anybody
/// runs a server over.
const LEAST_RATE: u32 = 1024;

/// A stream with a bound on how long writes may wait.
#[derive(Debug)]
pub(crate) struct Patient<S> {
    stream: S,
    patience: Patience,
    /// While a write waits: since when, and until when it may.
    waiting: Option<(Instant, Pin<Box<Sleep>>)>,
}

/// How long a reader may have us wait.
#[derive(Debug)]
struct Patience {
    most: Duration,
    left: Duration,
}

impl Patience {
    fn new(most: Duration) -> Self {
        Self { most, left: most }
    }

    /// It had us wait, and then took so many octets: each gives back the time that it may take.
    fn settle(&mut self, waited: Duration, octets: usize) {
        let earned = Duration::from_secs(octets as u64) / LEAST_RATE;
        self.left = (self.left.saturating_sub(waited) + earned).min(self.most);
    }
}

impl<S> Patient<S> {
    /// A stream that waits so long for a reader that takes nothing.
    pub fn new(stream: S, patience: Duration) -> Self {
        Self { stream, patience: Patience::new(patience), waiting: None }
    }

    /// What a write of so many octets came to: where it waits, not for ever.
    fn bound<T>(
        &mut self,
        written: Poll<io::Result<T>>,
        octets: impl FnOnce(&T) -> usize,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if let Poll::Ready(written) = written {
            let waited = self.waiting.take().map_or(Duration::ZERO, |(since, _)| since.elapsed());
            self.patience.settle(waited, written.as_ref().map_or(0, octets));
            return Poll::Ready(written);
        }
        let left = self.patience.left;
        let (_, waiting) = self.waiting.get_or_insert_with(|| (Instant::now(), Box::pin(sleep(left))));
        ready!(waiting.as_mut().poll(context));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client does not read, or hardly")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, octets);
        self.bound(written, |octets| *octets, context)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, context: &mut Context<'_>, parts: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, parts);
        self.bound(written, |octets| *octets, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.bound(flushed, |()| 0, context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let ended = Pin::new(&mut self.stream).poll_shutdown(context);
        self.bound(ended, |()| 0, context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn a_client_that_does_not_read_is_cut_off_and_one_that_does_is_not() {
        let (mut client, server) = tokio::io::duplex(16);
        let mut server = Patient::new(server, Duration::from_millis(20));
        server.write_all(&[1; 16]).await.unwrap(); // it has room
        let cut_off = server.write_all(&[2; 16]).await.unwrap_err();
        assert_eq!(cut_off.kind(), io::ErrorKind::TimedOut);
        let (mut client, server) = (client.read_exact(&mut [0; 16]).await.map(|_| client).unwrap(), server.stream);
        let mut server = Patient::new(server, Duration::from_secs(600));
        let reading = tokio::spawn(async move { client.read_exact(&mut [0; 1000]).await.map(|_| client) });
        server.write_all(&[3; 1000]).await.unwrap();
        reading.await.unwrap().unwrap();
        assert!(server.waiting.is_none());
    }

    #[tokio::test]
    async fn a_client_that_drips_is_cut_off() {
        let (mut client, server) = tokio::io::duplex(16);
        let mut server = Patient::new(server, Duration::from_millis(100));
        let dripping = tokio::spawn(async move {
            while client.read_u8().await.is_ok() {
                sleep(Duration::from_millis(10)).await;
            }
        });
        let cut_off = server.write_all(&[1; 1000]).await.unwrap_err();
        assert_eq!(cut_off.kind(), io::ErrorKind::TimedOut);
        drop(server);
        dripping.await.unwrap();
    }

    /// How long a reader lasts that takes so many octets whenever it had us wait so long; none: for a day and more.
    fn lasts(octets: usize, wait: Duration) -> Option<Duration> {
        let mut patience = Patience::new(Duration::from_secs(60));
        let mut waited = Duration::ZERO;
        while waited < Duration::from_secs(86_400) {
            if wait > patience.left {
                return Some(waited + patience.left);
            }
            patience.settle(wait, octets);
            waited += wait;
        }
        None
    }

    #[test]
    fn a_slow_line_lasts_and_a_drip_does_not() {
        let seconds = Duration::from_secs;
        for (octets, wait, lasts_at_most) in [
            (0, seconds(61), Some(seconds(60))),
            (1, seconds(1), Some(seconds(61))),
            (1, seconds(59), Some(seconds(61))),
            (512, seconds(1), Some(seconds(120))),
            (16 << 10, seconds(50), Some(seconds(100))),
            (1024, seconds(1), None),
            (64 << 10, seconds(59), None), // what a kernel takes, it takes in lumps
            (1 << 20, seconds(59), None),
            (1 << 10, Duration::from_millis(10), None),
        ] {
            let lasted = lasts(octets, wait);
            assert_eq!(lasted.is_some(), lasts_at_most.is_some(), "{octets} octets each {wait:?}: {lasted:?}");
            assert!(lasted <= lasts_at_most, "{octets} octets each {wait:?}: {lasted:?}");
        }
    }
}
