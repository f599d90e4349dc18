//! The fuzz targets without a fuzzer: every seed, and mutations of each, on any toolchain.
//!
//! `POSTERN_MUTATIONS` sets how many mutations each seed gets, and `POSTERN_SEED` where the pseudorandom numbers start.

#[path = "../fuzz/src/lib.rs"]
#[allow(dead_code)] // the fuzzer runs one target by its name
mod fuzz;
mod mutation;

use std::collections::BTreeSet;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

use mutation::{Numbers, mutate};

fn seeds(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target);
    let mut files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.into_iter().map(|path| (path.clone(), std::fs::read(path).unwrap())).collect()
}

/// Returns true if the octets were accepted.
fn run(target: &str, seed: &Path, octets: &[u8]) -> bool {
    catch_unwind(|| fuzz::run(target, octets))
        .unwrap_or_else(|_| panic!("{target} fails for a mutation of {}: b\"{}\"", seed.display(), octets.escape_ascii()))
}

#[test]
fn every_target_keeps_its_promises_for_its_seeds_and_their_mutations() {
    let mutations = std::env::var("POSTERN_MUTATIONS").map_or(50, |count| count.parse().unwrap());
    let mut numbers = Numbers::new();
    for (target, _) in fuzz::TARGETS {
        let seeds = seeds(target);
        let accepted = seeds.iter().filter(|(path, seed)| run(target, path, seed)).count();
        assert!(accepted >= 2, "only {accepted} seeds of {target} are accepted, so most of it is not reached");
        for (path, seed) in &seeds {
            for _ in 0..mutations {
                let mut octets = seed.clone();
                mutate(&mut octets, &mut numbers);
                run(target, path, &octets);
            }
        }
    }
}

#[test]
fn every_target_has_seeds_and_a_program_for_the_fuzzer() {
    let names = |folder: &str| -> BTreeSet<String> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(folder);
        let stem = |entry: std::io::Result<std::fs::DirEntry>| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned();
        std::fs::read_dir(folder).unwrap().map(stem).collect()
    };
    let targets: BTreeSet<String> = fuzz::TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names("seeds"), targets);
    assert_eq!(names("fuzz_targets"), targets);
    let manifest = include_str!("../fuzz/Cargo.toml");
    for target in targets {
        assert!(manifest.contains(&format!("name = \"{target}\"")), "{target} is missing in fuzz/Cargo.toml");
        let program = std::fs::read_to_string(format!("{}/fuzz/fuzz_targets/{target}.rs", env!("CARGO_MANIFEST_DIR"))).unwrap();
        assert!(program.contains(&format!("run(\"{target}\",")), "fuzz_targets/{target}.rs runs another target");
    }
}
