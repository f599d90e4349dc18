//! `postern bench mirror`: sends queries back with QR set. The unit of cost.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// How late a mirror sees that it shall stop.
const LOOK: Duration = Duration::from_millis(100);

/// A mirror that runs; it stops when dropped.
#[derive(Debug)]
pub struct Mirror {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<io::Result<u64>>>,
}

impl Mirror {
    /// Starts `threads` mirrors on one address, each with a socket of its own (`SO_REUSEPORT`); port 0 picks one.
    pub fn start(listen: SocketAddr, threads: usize, cpus: &[usize]) -> io::Result<Self> {
        let mut address = listen;
        let stop = Arc::new(AtomicBool::new(false));
        let mut mirror = Self { address, stop, threads: Vec::new() };
        for index in 0..threads.max(1) {
            let socket = bind(address)?;
            address = socket.local_addr()?;
            mirror.address = address;
            let (stop, cpus) = (Arc::clone(&mirror.stop), cpus.to_vec());
            let thread = std::thread::Builder::new().name(format!("mirror-{index}")).spawn(move || {
                if !cpus.is_empty() {
                    sockets::pin_thread(&cpus)?;
                }
                sockets::mirror(&socket, &stop)
            })?;
            mirror.threads.push(thread);
        }
        Ok(mirror)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops it; returns how many queries it sent back.
    pub fn stop(mut self) -> io::Result<u64> {
        self.stop.store(true, Ordering::Relaxed);
        let mut answered = 0;
        for thread in self.threads.drain(..) {
            answered += thread.join().map_err(|_| io::Error::other("a mirror died"))??;
        }
        Ok(answered)
    }

    /// Waits for the mirror to end by itself, which only an error makes it do.
    pub fn wait(mut self) -> io::Result<()> {
        for thread in self.threads.drain(..) {
            thread.join().map_err(|_| io::Error::other("a mirror died"))??;
        }
        Ok(())
    }
}

impl Drop for Mirror {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // An error of a mirror that is thrown away interests nobody.
            let _ = thread.join();
        }
    }
}

fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    use socket2::{Domain, Socket, Type};
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, None)?;
    socket.set_reuse_port(true)?;
    // As long a queue as the servers it is compared with ask for; a system that grants less is no error.
    let _ = socket.set_recv_buffer_size(1 << 20);
    socket.set_read_timeout(Some(LOOK))?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}
