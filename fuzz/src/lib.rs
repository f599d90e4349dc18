//! Fuzz targets: everything that reads octets which a stranger, an upstream or an operator wrote.
//!
//! Each target is a plain function that takes any octets and panics if a promise is broken. Two programs drive them: cargo-fuzz, by the
//! one-line files in `fuzz_targets/`, and `tests/fuzz_targets.rs` of the workspace, which runs every seed and its mutations on each
//! `cargo test`. See `README.md` in this folder.

mod client_message;
mod configuration;
mod journal;
mod source_file;
mod tsig_message;
mod upstream_message;
mod world;
mod zone_file;

/// A fuzz target: takes any octets, panics if a promise is broken. Returns true if the octets were accepted, so that a test can see that
/// the seeds reach behind the first check.
pub type FuzzTarget = fn(&[u8]) -> bool;

/// All targets by name. Each has a folder of that name in `seeds/` and a file of that name in `fuzz_targets/`.
pub const TARGETS: [(&str, FuzzTarget); 7] = [
    ("client_message", client_message::run),
    ("configuration", configuration::run),
    ("journal", journal::run),
    ("source_file", source_file::run),
    ("tsig_message", tsig_message::run),
    ("upstream_message", upstream_message::run),
    ("zone_file", zone_file::run),
];

/// Runs the target of this name.
pub fn run(name: &str, octets: &[u8]) -> bool {
    let (_, target) = TARGETS.iter().find(|(known, _)| *known == name).expect("a target of the list");
    target(octets)
}
