//! The environment of a run, which readers need before they compare numbers.

use std::fs;

use serde::Serialize;

/// The machine and the program.
#[derive(Debug, Clone, Serialize)]
pub struct MachineInfo {
    /// The command line, one item per word.
    pub command: Vec<String>,
    /// Start of the run in seconds since 1970.
    pub started: u64,
    /// Version of this program.
    pub version: String,
    /// Model of the processor.
    pub cpu: String,
    /// Number of cores that are online.
    pub cores: usize,
    /// Cores that this program may use.
    pub allowed_cores: Vec<usize>,
    /// Frequency governor of the first core. `None` if there is none.
    pub governor: Option<String>,
    /// Kernel release and build.
    pub kernel: String,
    /// Name and version of the Linux distribution.
    pub system: String,
    /// Memory of the machine in octets.
    pub memory: u64,
    /// Load averages at the start, which reveal other work on the machine.
    pub load_average: String,
    /// Socket limits of the kernel that decide how many datagrams are lost.
    pub sysctl: Vec<(String, String)>,
    /// PID and command of each measured process.
    pub servers: Vec<(u32, String)>,
}

impl MachineInfo {
    /// Reads the current environment.
    pub fn capture(pids: &[u32]) -> Self {
        let cpuinfo = read("/proc/cpuinfo");
        let models = cpuinfo.lines().filter_map(|line| line.strip_prefix("model name").and_then(|rest| rest.split(':').nth(1)));
        let os_release = read("/etc/os-release");
        let system =
            os_release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME=")).unwrap_or("unknown").trim_matches('"').to_string();
        let meminfo = read("/proc/meminfo");
        let memory = meminfo
            .lines()
            .find_map(|line| line.strip_prefix("MemTotal:"))
            .and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
        let sysctl = [
            "net/core/rmem_default",
            "net/core/rmem_max",
            "net/core/wmem_max",
            "net/core/netdev_max_backlog",
            "net/ipv4/ip_local_port_range",
        ];
        let started = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        Self {
            command: std::env::args().collect(),
            started: started.map_or(0, |since| since.as_secs()),
            version: env!("CARGO_PKG_VERSION").to_string(),
            cpu: models.clone().next().unwrap_or("unknown").trim().to_string(),
            cores: models.count().max(1),
            allowed_cores: postern_sockets::allowed_cpus().unwrap_or_default(),
            governor: Some(read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")).filter(|text| !text.is_empty()),
            kernel: format!("{} {}", read("/proc/sys/kernel/osrelease"), read("/proc/sys/kernel/version")),
            system,
            memory: memory.unwrap_or(0) * 1024,
            load_average: read("/proc/loadavg"),
            sysctl: sysctl
                .iter()
                .map(|name| (name.replace('/', "."), read(&format!("/proc/sys/{name}"))))
                .filter(|(_, value)| !value.is_empty())
                .collect(),
            servers: pids.iter().map(|&pid| (pid, read(&format!("/proc/{pid}/cmdline")).replace('\0', " ").trim().to_string())).collect(),
        }
    }
}

fn read(path: &str) -> String {
    fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).trim().replace('\t', " ")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_is_described() {
        let environment = MachineInfo::capture(&[std::process::id()]);
        assert!(environment.cores >= 1 && !environment.allowed_cores.is_empty());
        assert!(!environment.kernel.trim().is_empty() && environment.memory > 0);
        assert_eq!(environment.servers.len(), 1);
        assert!(!environment.servers[0].1.is_empty());
    }
}
