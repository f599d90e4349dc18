//! Runtimes of listeners.

use std::io;
use std::time::Duration;

use nix::errno::Errno;
use tokio::runtime::{Builder, Runtime};

/// How long a start waits for file descriptors: clients may hold all of them for a moment.
const TRIES: u32 = 100;
const PAUSE: Duration = Duration::from_millis(100);

/// Makes a runtime with `threads` threads of this name.
pub(crate) fn build_runtime(threads: usize, name: &str) -> io::Result<Runtime> {
    retry(|| Builder::new_multi_thread().worker_threads(threads).thread_name(name).enable_all().build(), PAUSE)
}

fn retry<T>(mut make: impl FnMut() -> io::Result<T>, pause: Duration) -> io::Result<T> {
    for _ in 1..TRIES {
        match make() {
            Err(error) if lacks_descriptors(&error) => std::thread::sleep(pause),
            made => return made,
        }
    }
    make()
}

fn lacks_descriptors(error: &io::Error) -> bool {
    [Errno::EMFILE, Errno::ENFILE].iter().any(|errno| error.raw_os_error() == Some(*errno as i32))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_without_descriptors_is_tried_again_and_other_errors_are_not() {
        let fails = |errno: Errno, times: u32| {
            let mut tries = 0;
            let made = retry(
                || {
                    tries += 1;
                    if tries <= times { Err(io::Error::from_raw_os_error(errno as i32)) } else { Ok(()) }
                },
                Duration::ZERO,
            );
            (made.is_ok(), tries)
        };
        assert_eq!(fails(Errno::EMFILE, 3), (true, 4));
        assert_eq!(fails(Errno::ENFILE, TRIES), (false, TRIES));
        assert_eq!(fails(Errno::EACCES, 1), (false, 1));
    }
}
