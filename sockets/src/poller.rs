//! Waiting for many sockets with a timeout.

use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Sockets that one thread waits for. The poller is level-triggered: unread data is reported again.
pub struct SocketPoller {
    epoll: OwnedFd,
    events: Box<[libc::epoll_event]>,
}

/// A ready socket and its readiness.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SocketReady {
    /// The token that the socket was added with.
    pub token: u64,
    /// Set if data can be read, or if the peer has closed.
    pub read: bool,
    /// Set if there is room to write.
    pub write: bool,
}

/// Set once the kernel has reported that it lacks epoll_pwait2 (before 5.11).
static NO_NANOSECONDS: AtomicBool = AtomicBool::new(false);

impl SocketPoller {
    /// Creates a poller that reports at most `most` sockets per wait.
    pub fn new(most: usize) -> io::Result<Self> {
        // SAFETY: no memory is passed, and the result is checked.
        let descriptor = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        if descriptor < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor was just opened, is valid, and has no other owner.
        let epoll = unsafe { OwnedFd::from_raw_fd(descriptor) };
        Ok(Self { epoll, events: vec![libc::epoll_event { events: 0, u64: 0 }; most.clamp(1, 4096)].into_boxed_slice() })
    }

    /// Adds a socket. Closing the socket removes it.
    pub fn add(&self, socket: &impl AsFd, token: u64, write: bool) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_ADD, socket, token, write)
    }

    /// Sets whether the poller also waits for room to write.
    pub fn change(&self, socket: &impl AsFd, token: u64, write: bool) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_MOD, socket, token, write)
    }

    fn control(&self, operation: libc::c_int, socket: &impl AsFd, token: u64, write: bool) -> io::Result<()> {
        let events = libc::EPOLLIN | if write { libc::EPOLLOUT } else { 0 };
        let mut event = libc::epoll_event { events: events as u32, u64: token };
        // SAFETY: both descriptors are open (one is owned, one is borrowed), and `event` outlives
        // the call.
        let result = unsafe { libc::epoll_ctl(self.epoll.as_raw_fd(), operation, socket.as_fd().as_raw_fd(), &mut event) };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    /// Waits until a socket is ready or the timeout ends. `None` waits forever. Returns the number
    /// of ready sockets for [`SocketPoller::ready`].
    pub fn wait(&mut self, timeout: Option<Duration>) -> io::Result<usize> {
        let count = self.events.len() as libc::c_int;
        let epoll = self.epoll.as_raw_fd();
        if !NO_NANOSECONDS.load(Ordering::Relaxed) {
            let time = timeout.map(|timeout| libc::timespec { tv_sec: timeout.as_secs() as _, tv_nsec: timeout.subsec_nanos().into() });
            let time = time.as_ref().map_or(ptr::null(), ptr::from_ref);
            // SAFETY: `events` has room for `count` events. `time` is null or points at a timespec
            // that outlives the call. No signal mask is passed.
            let ready = unsafe {
                libc::syscall(libc::SYS_epoll_pwait2, epoll, self.events.as_mut_ptr(), count, time, ptr::null::<libc::sigset_t>(), 0usize)
            };
            if ready >= 0 {
                return Ok(ready as usize);
            }
            let error = io::Error::last_os_error();
            match error.raw_os_error() {
                Some(libc::EINTR) => return Ok(0),
                Some(libc::ENOSYS) => NO_NANOSECONDS.store(true, Ordering::Relaxed),
                _ => return Err(error),
            }
        }
        // Rounded down: an early wakeup costs one more turn, a late one costs accuracy.
        let milliseconds = timeout.map_or(-1, |timeout| timeout.as_millis().min(i32::MAX as u128) as libc::c_int);
        // SAFETY: `events` has room for `count` events.
        let ready = unsafe { libc::epoll_wait(epoll, self.events.as_mut_ptr(), count, milliseconds) };
        if ready >= 0 {
            return Ok(ready as usize);
        }
        let error = io::Error::last_os_error();
        if error.kind() == io::ErrorKind::Interrupted { Ok(0) } else { Err(error) }
    }

    /// Returns ready socket `index` of the last wait.
    pub fn ready(&self, index: usize) -> SocketReady {
        let event = self.events[index];
        let gone = (libc::EPOLLERR | libc::EPOLLHUP | libc::EPOLLRDHUP) as u32;
        SocketReady {
            token: event.u64,
            read: event.events & (libc::EPOLLIN as u32 | gone) != 0,
            write: event.events & libc::EPOLLOUT as u32 != 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;
    use std::time::Instant;

    #[test]
    fn the_poller_names_the_socket_that_has_something_to_read() {
        let sockets: Vec<UdpSocket> = (0..3).map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
        let mut poller = SocketPoller::new(8).unwrap();
        for (token, socket) in sockets.iter().enumerate() {
            poller.add(socket, token as u64, false).unwrap();
        }
        assert_eq!(poller.wait(Some(Duration::ZERO)).unwrap(), 0);
        sockets[0].send_to(b"x", sockets[2].local_addr().unwrap()).unwrap();
        assert_eq!(poller.wait(Some(Duration::from_secs(10))).unwrap(), 1);
        assert_eq!(poller.ready(0), SocketReady { token: 2, read: true, write: false });
        poller.change(&sockets[2], 7, true).unwrap();
        assert_eq!(poller.wait(Some(Duration::from_secs(10))).unwrap(), 1);
        assert_eq!(poller.ready(0), SocketReady { token: 7, read: true, write: true });
    }

    #[test]
    fn a_wait_is_not_shorter_than_it_was_asked_for_by_more_than_its_rounding() {
        let mut poller = SocketPoller::new(1).unwrap();
        let start = Instant::now();
        assert_eq!(poller.wait(Some(Duration::from_millis(20))).unwrap(), 0);
        assert!(start.elapsed() >= Duration::from_millis(18));
    }
}
