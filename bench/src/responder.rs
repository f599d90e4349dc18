//! Threads that answer queries on one address until they are stopped.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use postern_sockets::{UdpOptions, bind_udp};

/// Maximum delay until a responder notices that it should stop.
const LOOK: Duration = Duration::from_millis(100);
/// Receive buffer to request, the same as for the measured servers. It is not an error if the
/// system grants less.
const RECEIVE_BUFFER: usize = 1 << 20;

/// A running responder, which stops when dropped.
#[derive(Debug)]
pub struct EmptyResponder {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<io::Result<u64>>>,
}

impl EmptyResponder {
    /// Starts `threads` threads that run `serve` until the flag is set. Each has its own socket
    /// (`SO_REUSEPORT` if there are several). Port 0 selects a free port.
    ///
    /// `serve` returns the number of datagrams that it answered. The sockets block for at most a
    /// tenth of a second.
    pub fn start<S>(listen: SocketAddr, threads: usize, cpus: &[usize], serve: S) -> io::Result<Self>
    where
        S: Fn(&UdpSocket, &AtomicBool) -> io::Result<u64> + Send + Clone + 'static,
    {
        let mut responder = Self { address: listen, stop: Arc::default(), threads: Vec::new() };
        // A single thread does not set SO_REUSEPORT. Otherwise the system could give one free port
        // to two programs that both share theirs.
        let reuse_port = threads > 1;
        let options = UdpOptions { reuse_port, receive_buffer: RECEIVE_BUFFER, read_timeout: Some(LOOK), ..UdpOptions::default() };
        for index in 0..threads.max(1) {
            let socket = bind_udp(responder.address, &options)?;
            responder.address = socket.local_addr()?;
            let (stop, cpus, serve) = (Arc::clone(&responder.stop), cpus.to_vec(), serve.clone());
            let thread = std::thread::Builder::new().name(format!("responder-{index}")).spawn(move || {
                if !cpus.is_empty() {
                    postern_sockets::pin_thread(&cpus)?;
                }
                serve(&socket, &stop)
            })?;
            responder.threads.push(thread);
        }
        Ok(responder)
    }

    /// Starts the mirror, the unit of cost: it sends queries back with QR set.
    pub fn mirror(listen: SocketAddr, threads: usize, cpus: &[usize]) -> io::Result<Self> {
        Self::start(listen, threads, cpus, postern_sockets::mirror)
    }

    /// Returns the address of the responder.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops the responder and returns the number of queries that it answered.
    pub fn stop(mut self) -> io::Result<u64> {
        self.stop.store(true, Ordering::Relaxed);
        self.join()
    }

    /// Waits until the responder ends by itself, which happens only after an error.
    pub fn wait(mut self) -> io::Result<()> {
        self.join().map(|_| ())
    }

    fn join(&mut self) -> io::Result<u64> {
        let mut answered = 0;
        for thread in self.threads.drain(..) {
            answered += thread.join().map_err(|_| io::Error::other("a responder died"))??;
        }
        Ok(answered)
    }
}

impl Drop for EmptyResponder {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // The error of a dropped responder has no receiver.
        let _ = self.join();
    }
}
