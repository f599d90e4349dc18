//! A connection is busy while a request is under way: until its answer is sent, not only made. So no other connection takes its place.
//!
//! A body counts as sent when it has ended and nothing of it waits to be written any more.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};
use std::time::Instant;

use axum::body::Body;
use axum::response::Response;
use hyper::body::{Bytes, Frame, SizeHint};
use postern_dns::listen::places::{ClientKey, ConnectionPlace};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The place of a connection that is busy until its answers are sent.
#[derive(Debug)]
pub(crate) struct BusyPlace<K: ClientKey>(Arc<Occupied<K>>);

#[derive(Debug)]
struct Occupied<K: ClientKey> {
    place: ConnectionPlace<K>,
    /// The body of the last answer has ended, and may wait to be written.
    has_ended: AtomicBool,
}

/// The body of an answer, which keeps its connection busy.
#[derive(Debug)]
pub(crate) struct BusyBody<K: ClientKey> {
    body: Body,
    place: BusyPlace<K>,
}

/// A stream that ends the busy time of its connection when an answer is written.
#[derive(Debug)]
pub(crate) struct BusyStream<S, K: ClientKey> {
    stream: S,
    place: BusyPlace<K>,
}

impl<K: ClientKey> BusyPlace<K> {
    /// A connection without a request.
    pub fn new(place: ConnectionPlace<K>) -> Self {
        Self(Arc::new(Occupied { place, has_ended: AtomicBool::new(false) }))
    }

    /// The place itself.
    pub fn place(&self) -> &ConnectionPlace<K> {
        &self.0.place
    }

    /// The stream that the answers are written to.
    pub fn stream<S>(&self, stream: S) -> BusyStream<S, K> {
        BusyStream { stream, place: self.clone() }
    }

    /// Keeps the place busy from now on until the answer is sent.
    pub async fn answer(self, answer: impl Future<Output = Result<Response, Infallible>>) -> Result<Response<BusyBody<K>>, Infallible> {
        self.0.has_ended.store(false, Relaxed);
        self.0.place.touch(Instant::now());
        self.0.place.set_busy(true);
        let answer = answer.await?;
        Ok(answer.map(|body| BusyBody { body, place: self }))
    }
}

impl<K: ClientKey> Clone for BusyPlace<K> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<K: ClientKey> Drop for BusyBody<K> {
    fn drop(&mut self) {
        self.place.0.has_ended.store(true, Relaxed);
    }
}

impl<K: ClientKey> hyper::body::Body for BusyBody<K> {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<S: AsyncRead + Unpin, K: ClientKey> AsyncRead for BusyStream<S, K> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin, K: ClientKey> AsyncWrite for BusyStream<S, K> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, octets)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, context: &mut Context<'_>, parts: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// The HTTP connection flushes once it has written all that it has.
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        if flushed.is_ready() && self.place.0.has_ended.swap(false, Relaxed) {
            self.place.0.place.touch(Instant::now());
            self.place.0.place.set_busy(false);
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use hyper::service::service_fn;
    use hyper_util::rt::TokioIo;
    use postern_dns::listen::places::{BusyRule, ConnectionPlaces, PlaceBounds};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn a_connection_is_busy_until_its_answer_is_written() {
        let places = ConnectionPlaces::new(PlaceBounds { all: 1, per_client: 1, idle: None }, BusyRule::Stays);
        let busy = BusyPlace::new(places.take(1, Instant::now()).unwrap());
        let (mut client, server) = tokio::io::duplex(64);
        let (stream, requests) = (TokioIo::new(busy.stream(server)), busy.clone());
        let service = service_fn(move |_| requests.clone().answer(async { Ok(Response::new(Body::from("x".repeat(10_000)))) }));
        let serving = tokio::spawn(async move { hyper::server::conn::http1::Builder::new().serve_connection(stream, service).await });
        for _ in 0..2 {
            client.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
            let mut seen = Vec::new();
            while seen.iter().filter(|octet| **octet == b'x').count() < 10_000 {
                assert!(seen.len() < 1_000 || seen.len() > 9_000 || busy.place().is_busy(), "{} octets were read", seen.len());
                client.read_buf(&mut seen).await.unwrap();
            }
            while busy.place().is_busy() {
                tokio::task::yield_now().await;
            }
        }
        drop(client);
        serving.await.unwrap().unwrap();
    }
}
