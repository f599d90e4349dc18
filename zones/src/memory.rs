//! Memory that the process may still take.
//!
//! A failed allocation of a small object ends the process, and a control group that is full is worse. So the store asks here before it reads
//! a large source. The zone then keeps its last good data, and all others go on.

use std::fmt;
use std::fs;
use std::path::Path;

use nix::sys::resource::{Resource, getrlimit};

/// Advice to the operator about a source that does not fit into memory.
pub const HELP: &str = "make the file smaller or raise the limit, then `postern reload`";
/// Smallest need that is checked, in octets. A server with less memory left has other problems than its zones.
const SMALL: u64 = 8 << 20;
/// Where control groups of version 2 are mounted.
const GROUPS: &str = "/sys/fs/cgroup";

/// A limit that leaves too little memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryShortage {
    /// Octets that are needed.
    needed: u64,
    /// Octets that are left.
    left: u64,
    /// The limit, in words.
    limit: String,
}

/// Returns an error if the process may not take so many octets more.
pub fn check_room(needed: u64) -> Result<(), MemoryShortage> {
    if needed < SMALL {
        return Ok(());
    }
    let group = fs::read_to_string("/proc/self/cgroup").ok().and_then(|text| group_room(Path::new(GROUPS), &text));
    let tightest = [address_space_room(), group].into_iter().flatten().min_by_key(|(left, _)| *left);
    match tightest {
        Some((left, limit)) if left < needed => Err(MemoryShortage { needed, left, limit }),
        _ => Ok(()),
    }
}

/// Octets left of the address space, and its limit. `None` without a limit.
fn address_space_room() -> Option<(u64, String)> {
    let (soft, _) = getrlimit(Resource::RLIMIT_AS).ok()?;
    let status = fs::read_to_string("/proc/self/status").ok().filter(|_| soft != u64::MAX)?;
    Some((soft.saturating_sub(taken(&status)?), format!("the address space (`ulimit -v`, {})", mebibytes(soft))))
}

/// Octets of address space by `/proc/self/status`.
fn taken(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmSize:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// Octets left in the tightest control group (version 2) above a process, and its limit. `processes` is `/proc/self/cgroup`.
fn group_room(root: &Path, processes: &str) -> Option<(u64, String)> {
    let path = processes.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let own = root.join(path);
    let groups = own.ancestors().take_while(|group| group.starts_with(root));
    groups.filter_map(room_of_group).min_by_key(|(left, _)| *left)
}

fn room_of_group(group: &Path) -> Option<(u64, String)> {
    let number = |name: &str| fs::read_to_string(group.join(name)).ok()?.trim().parse::<u64>().ok();
    let (most, current) = (number("memory.max")?, number("memory.current")?);
    // Pages of files that nobody uses are given up before anything fails.
    let stat = fs::read_to_string(group.join("memory.stat")).unwrap_or_default();
    let spare = stat.lines().find_map(|line| line.strip_prefix("inactive_file ")?.trim().parse::<u64>().ok()).unwrap_or(0);
    let left = most.saturating_sub(current.saturating_sub(spare));
    Some((left, format!("the control group (`MemoryMax=`, {})", mebibytes(most))))
}

fn mebibytes(octets: u64) -> String {
    format!("{} MiB", octets >> 20)
}

impl fmt::Display for MemoryShortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "about {} of memory are needed, and the limit of {} leaves {}", mebibytes(self.needed), self.limit, mebibytes(self.left))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tightest_group_counts_and_unused_pages_of_files_do_not() {
        let root = tempfile::tempdir().unwrap();
        let group = |path: &str, most: &str, current: u64, spare: u64| {
            let path = root.path().join(path);
            fs::create_dir_all(&path).unwrap();
            fs::write(path.join("memory.max"), format!("{most}\n")).unwrap();
            fs::write(path.join("memory.current"), format!("{current}\n")).unwrap();
            fs::write(path.join("memory.stat"), format!("anon 5\ninactive_file {spare}\n")).unwrap();
        };
        group("system.slice/postern.service", "max", 70 << 20, 0);
        assert_eq!(group_room(root.path(), "0::/system.slice/postern.service\n"), None, "no limit");
        group("system.slice", "104857600", 90 << 20, 30 << 20);
        let (left, limit) = group_room(root.path(), "1:name=x:/y\n0::/system.slice/postern.service\n").unwrap();
        assert_eq!((left, limit.contains("100 MiB")), (40 << 20, true), "{limit}");
        group("system.slice/postern.service", "83886080", 70 << 20, 0);
        assert_eq!(group_room(root.path(), "0::/system.slice/postern.service\n").unwrap().0, 10 << 20);
        assert_eq!(group_room(root.path(), "12:memory:/docker/x\n"), None);
    }

    #[test]
    fn the_address_space_is_read_from_the_status() {
        assert_eq!(taken("Name:\tpostern\nVmPeak:\t  9 kB\nVmSize:\t    2048 kB\n"), Some(2 << 20));
        assert_eq!(taken("Name:\tpostern\n"), None);
    }

    #[test]
    fn a_shortage_names_the_need_and_the_limit() {
        let shortage = MemoryShortage { needed: 480 << 20, left: 200 << 20, limit: "the address space (`ulimit -v`, 600 MiB)".into() };
        let told = "about 480 MiB of memory are needed, and the limit of the address space (`ulimit -v`, 600 MiB) leaves 200 MiB";
        assert_eq!(shortage.to_string(), told);
        assert_eq!(check_room(SMALL - 1), Ok(()));
    }
}
