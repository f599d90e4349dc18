//! The process as the system sees it (proc(5)).

use std::fs;
use std::time::SystemTime;

use super::page::MetricsPage;
use super::table;

/// Clock ticks a second that the kernel counts in for every program (`USER_HZ`, time(7)).
const TICKS: f64 = 100.0;

/// Adds what `/proc/self` says; nothing where it does not.
pub fn add(page: &mut MetricsPage, started: SystemTime) {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The second field is the program's name, which may have any character in it: count from behind it.
    let fields: Vec<&str> = stat.rsplit_once(')').map_or_else(Vec::new, |(_, rest)| rest.split_whitespace().collect());
    let ticks = |place: usize| fields.get(place - 3).and_then(|field| field.parse::<f64>().ok());
    if let (Some(user), Some(system)) = (ticks(14), ticks(15)) {
        page.add(&table::PROCESS_CPU, [], (user + system) / TICKS);
    }
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.and_then(|value| value.split_whitespace().next()?.parse::<u64>().ok())
    };
    field("VmRSS").into_iter().for_each(|kib| page.add(&table::PROCESS_RESIDENT, [], kib << 10));
    field("VmSize").into_iter().for_each(|kib| page.add(&table::PROCESS_VIRTUAL, [], kib << 10));
    field("Threads").into_iter().for_each(|threads| page.add(&table::PROCESS_THREADS, [], threads));
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        page.add(&table::PROCESS_FDS, [], open.count().saturating_sub(1)); // one is the directory itself
    }
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let most = limits.lines().find_map(|line| line.strip_prefix("Max open files")?.split_whitespace().next()?.parse::<u64>().ok());
    most.into_iter().for_each(|most| page.add(&table::PROCESS_MAX_FDS, [], most)); // "unlimited" is no number
    page.add(&table::PROCESS_START, [], super::seconds(started));
}
