//! Threads that answer on one address, for as long as somebody wants to be answered.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use postern_sockets::{UdpOptions, bind_udp};

/// How late a responder sees that it shall stop.
const LOOK: Duration = Duration::from_millis(100);
/// As long a queue as the servers that are measured ask for; a system that grants less is no error.
const RECEIVE_BUFFER: usize = 1 << 20;

/// A responder that runs; it stops when dropped.
#[derive(Debug)]
pub struct Responder {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<io::Result<u64>>>,
}

impl Responder {
    /// Starts `threads` that each run `serve` on a socket of its own (`SO_REUSEPORT` if they are several) until the flag is set; port 0 picks one.
    ///
    /// `serve` gives how many datagrams it answered. The sockets block for at most a tenth of a second.
    pub fn start<S>(listen: SocketAddr, threads: usize, cpus: &[usize], serve: S) -> io::Result<Self>
    where
        S: Fn(&UdpSocket, &AtomicBool) -> io::Result<u64> + Send + Clone + 'static,
    {
        let mut responder = Self { address: listen, stop: Arc::default(), threads: Vec::new() };
        // Shared only among our own threads: the system may give one free port to two programs that both share theirs.
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

    /// The unit of cost: sends queries back with QR set.
    pub fn mirror(listen: SocketAddr, threads: usize, cpus: &[usize]) -> io::Result<Self> {
        Self::start(listen, threads, cpus, postern_sockets::mirror)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops it; returns how many queries it answered.
    pub fn stop(mut self) -> io::Result<u64> {
        self.stop.store(true, Ordering::Relaxed);
        self.join()
    }

    /// Waits for it to end by itself, which only an error makes it do.
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

impl Drop for Responder {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // An error of a responder that is thrown away interests nobody.
        let _ = self.join();
    }
}
