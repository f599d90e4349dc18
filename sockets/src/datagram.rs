//! Single datagrams, for occasional queries.

use std::io;
use std::net::{SocketAddr, UdpSocket};

/// Receives a datagram. Returns its length and its sender. Errors are those of `recv`, except
/// interruption. A socket with a timeout is interrupted when its process was stopped and continues,
/// or its container was thawed (signal(7)). The timeout then starts again.
pub fn receive(socket: &UdpSocket, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
    loop {
        match socket.recv_from(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            received => return received,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::thread::JoinHandleExt;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    use super::*;

    extern "C" fn nothing(_: libc::c_int) {}

    #[test]
    fn an_interrupted_wait_goes_on() {
        // SAFETY: the handler touches nothing. SIGURG is ignored unless a process handles it.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = nothing as extern "C" fn(libc::c_int) as usize;
            assert_eq!(libc::sigaction(libc::SIGURG, &raw const action, std::ptr::null_mut()), 0);
        }
        static IS_OVER: AtomicBool = AtomicBool::new(false);
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let (address, sender) = (socket.local_addr().unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
        let waiting = std::thread::spawn(move || {
            let mut buffer = [0; 8];
            let received = receive(&socket, &mut buffer).map(|(length, from)| (buffer[..length].to_vec(), from));
            while !IS_OVER.load(Ordering::Acquire) {
                std::thread::yield_now(); // a thread that has ended cannot be interrupted
            }
            received
        });
        for _ in 0..20 {
            std::thread::sleep(Duration::from_millis(5));
            // SAFETY: the thread has not ended.
            assert_eq!(unsafe { libc::pthread_kill(waiting.as_pthread_t(), libc::SIGURG) }, 0);
        }
        sender.send_to(b"still", address).unwrap();
        IS_OVER.store(true, Ordering::Release);
        assert_eq!(waiting.join().unwrap().unwrap(), (b"still".to_vec(), sender.local_addr().unwrap()));
    }
}
