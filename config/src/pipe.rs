//! Reading a configuration from a pipe: `postern check -c /dev/stdin`, `-c <(command)`, or a FIFO.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// Time limits for reading a pipe.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PipeTimeouts {
    /// Limit until some process has opened the pipe for writing.
    pub(crate) writer: Duration,
    /// Limit until the last byte, while a process has the pipe open.
    pub(crate) end: Duration,
}

impl PipeTimeouts {
    /// A shell opens both ends at once. A command that fetches secrets may need some time before it
    /// writes.
    pub(crate) const USUAL: Self = Self { writer: Duration::from_secs(3), end: Duration::from_secs(60) };
}

/// Interval at which a silent pipe is checked for a writer.
const STEP: Duration = Duration::from_millis(100);

/// Reads a pipe to its end, at most `most` bytes. Returns an error after a bounded time if the pipe
/// has no writer, or a silent one.
pub(crate) fn read(path: &Path, most: usize, patience: PipeTimeouts) -> io::Result<Vec<u8>> {
    // Without this flag, opening a FIFO without a writer blocks.
    let mut pipe = File::options().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path)?;
    let start = Instant::now();
    let mut has_writer = false;
    let mut bytes = Vec::new();
    let mut buffer = [0; 16 << 10];
    while bytes.len() < most {
        let is_ready = is_ready(&pipe)?;
        let room = buffer.len().min(most - bytes.len());
        match pipe.read(&mut buffer[..room]) {
            Ok(0) if is_ready => return Ok(bytes), // the last writer is gone
            Ok(0) => has_writer = false,           // no process has opened it for writing yet
            Ok(length) => bytes.extend_from_slice(&buffer[..length]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => has_writer = true,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        let waited = start.elapsed();
        if !is_ready && !has_writer && bytes.is_empty() && waited >= patience.writer {
            return Err(timed_out(format!("no process writes to this pipe (waited {} s)", patience.writer.as_secs())));
        }
        if waited >= patience.end {
            return Err(timed_out(format!("the pipe did not end within {} s", patience.end.as_secs())));
        }
    }
    Ok(bytes)
}

/// Waits one step. Returns true if there is data to read, or if the last writer has closed the
/// pipe.
fn is_ready(pipe: &File) -> io::Result<bool> {
    let mut watched = [PollFd::new(pipe.as_fd(), PollFlags::POLLIN)];
    match poll(&mut watched, PollTimeout::try_from(STEP).unwrap_or(PollTimeout::ZERO)) {
        Ok(ready) => Ok(ready > 0),
        Err(nix::errno::Errno::EINTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn timed_out(message: String) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, message)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    const SHORT: PipeTimeouts = PipeTimeouts { writer: Duration::from_millis(300), end: Duration::from_secs(120) };

    fn fifo() -> (tempfile::TempDir, std::path::PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("fifo");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        (directory, path)
    }

    #[test]
    fn a_fifo_without_a_writer_is_an_error_in_bounded_time() {
        let (_directory, path) = fifo();
        let error = read(&path, 100, SHORT).unwrap_err();
        assert!(error.to_string().starts_with("no process writes to this pipe"), "{error}");
    }

    #[test]
    fn a_writer_that_stays_silent_is_an_error_in_bounded_time() {
        let (_directory, path) = fifo();
        // This opens at once, because the file is its own reader.
        let both = File::options().read(true).write(true).open(&path).unwrap();
        let error = read(&path, 100, PipeTimeouts { end: Duration::from_millis(300), ..SHORT }).unwrap_err();
        assert!(error.to_string().starts_with("the pipe did not end"), "{error}");
        drop(both);
    }

    #[test]
    fn a_writer_may_pause_and_what_it_wrote_is_read_to_its_end() {
        let (_directory, path) = fifo();
        let at = path.clone();
        let writer = std::thread::spawn(move || {
            // Opening blocks until the reader opens the pipe.
            let mut pipe = File::options().write(true).open(at).unwrap();
            pipe.write_all(b"[server]\n").unwrap();
            std::thread::sleep(2 * SHORT.writer); // longer than the limit for a missing writer
            pipe.write_all(b"listen = []\n").unwrap();
        });
        let patience = PipeTimeouts { writer: Duration::from_secs(120), ..SHORT };
        assert_eq!(read(&path, 100, patience).unwrap(), b"[server]\nlisten = []\n");
        writer.join().unwrap();
    }

    #[test]
    fn no_more_is_read_than_is_wanted() {
        let (_directory, path) = fifo();
        let at = path.clone();
        let writer = std::thread::spawn(move || drop(std::fs::write(at, vec![b'#'; 1 << 20])));
        assert_eq!(read(&path, 50_000, SHORT).unwrap().len(), 50_000);
        writer.join().unwrap();
    }
}
