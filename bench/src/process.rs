//! CPU time and memory of processes, from `/proc`.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::time::Duration;

/// CPU times in `/proc` are in hundredths of a second on every Linux, independent of the kernel's
/// own tick (proc(5), `sysconf(_SC_CLK_TCK)`).
const TICKS: u64 = 100;

/// Resources that a process and its children have used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ResourceUsage {
    /// CPU time outside the kernel.
    pub user: Duration,
    /// CPU time in the kernel.
    pub system: Duration,
    /// Resident memory in octets. Pages that several processes share count for each of them.
    pub resident: u64,
    /// Number of threads of all these processes.
    pub threads: u64,
}

/// A process with the children that it had when this value was created.
#[derive(Debug)]
pub struct ProcessTree {
    pids: Vec<u32>,
}

impl ProcessTree {
    /// Finds the process and all processes that it has started so far.
    pub fn of(pid: u32) -> io::Result<Self> {
        read_stat(pid)?;
        let mut parents = Vec::new();
        for entry in fs::read_dir("/proc")?.flatten() {
            if let Some(child) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok())
                && let Ok(stat) = read_stat(child)
            {
                parents.push((child, stat.parent));
            }
        }
        let mut found = BTreeSet::from([pid]);
        loop {
            let before = found.len();
            found.extend(parents.iter().filter(|(_, parent)| found.contains(parent)).map(|(child, _)| *child).collect::<Vec<_>>());
            if found.len() == before {
                return Ok(Self { pids: found.into_iter().collect() });
            }
        }
    }

    /// Returns the resources used so far. Returns `None` once the main process is gone.
    pub fn read(&mut self) -> Option<ResourceUsage> {
        let mut sum = ResourceUsage::default();
        let mut any = false;
        for &pid in &self.pids {
            if let Ok(stat) = read_stat(pid) {
                any = true;
                sum.user += stat.user;
                sum.system += stat.system;
                sum.threads += stat.threads;
                sum.resident += status_field(pid, "VmRSS:").unwrap_or(0);
            }
        }
        any.then_some(sum)
    }

    /// Returns the peak resident memory in octets.
    pub fn peak(&self) -> u64 {
        self.pids.iter().filter_map(|&pid| status_field(pid, "VmHWM:")).sum()
    }

    /// Returns the proportional set size in octets.
    pub fn proportional(&self) -> u64 {
        self.pids.iter().filter_map(|&pid| field(&fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?, "Pss:")).sum()
    }
}

struct Stat {
    parent: u32,
    user: Duration,
    system: Duration,
    threads: u64,
}

fn read_stat(pid: u32) -> io::Result<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    parse_stat(&text).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "unreadable /proc/PID/stat"))
}

/// Parses the fields after the command. The command is in parentheses and may contain parentheses
/// itself, so fields count from the last one.
fn parse_stat(text: &str) -> Option<Stat> {
    let fields: Vec<&str> = text.get(text.rfind(')')? + 1..)?.split_ascii_whitespace().collect();
    let ticks = |index: usize| fields.get(index)?.parse::<u64>().ok().map(|ticks| Duration::from_millis(ticks * 1000 / TICKS));
    Some(Stat { parent: fields.get(1)?.parse().ok()?, user: ticks(11)?, system: ticks(12)?, threads: fields.get(17)?.parse().ok()? })
}

fn status_field(pid: u32, name: &str) -> Option<u64> {
    field(&fs::read_to_string(format!("/proc/{pid}/status")).ok()?, name)
}

/// Parses a line `Name:   123 kB` and returns octets.
fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    line[name.len()..].split_ascii_whitespace().next()?.parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}

/// Scheduler times of a thread.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ThreadTimes {
    /// Time running on a core.
    pub running: Duration,
    /// Time ready to run without a core.
    pub waiting: Duration,
}

/// Returns the times of the calling thread, or zero if the kernel does not provide them.
pub fn thread_times() -> ThreadTimes {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let mut numbers = text.split_ascii_whitespace().map(|word| Duration::from_nanos(word.parse().unwrap_or(0)));
    ThreadTimes { running: numbers.next().unwrap_or_default(), waiting: numbers.next().unwrap_or_default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn a_command_with_spaces_and_parentheses_does_not_shift_the_fields() {
        let text = "4242 (a) b (c)) S 17 4242 4242 0 -1 4194304 100 0 0 0 250 125 0 0 20 0 3 0 1 1000 50 18446744073709551615";
        let stat = parse_stat(text).unwrap();
        assert_eq!((stat.parent, stat.threads), (17, 3));
        assert_eq!((stat.user, stat.system), (Duration::from_millis(2500), Duration::from_millis(1250)));
        assert!(parse_stat("4242 (short) S").is_none());
    }

    #[test]
    fn our_own_use_grows_with_work() {
        let mut own = ProcessTree::of(std::process::id()).unwrap();
        let before = own.read().unwrap();
        let start = Instant::now();
        let mut sum = 0u64;
        while start.elapsed() < Duration::from_secs(30) {
            sum = std::hint::black_box(sum.wrapping_add(1));
            let now = own.read().unwrap();
            if now.user + now.system > before.user + before.system {
                assert!(now.resident > 0 && now.threads > 0);
                assert!(own.peak() >= 1);
                return;
            }
        }
        panic!("half a minute of work was not seen");
    }

    #[test]
    fn a_process_that_is_not_there_is_an_error() {
        assert!(ProcessTree::of(u32::MAX).is_err());
    }
}
