//! `postern bench` as a program of its own, for work on the generator alone: `cargo run --release -p postern-bench --example load -- --help`.

#![forbid(unsafe_code)]

extern crate postern_bench as bench;

use std::process::ExitCode;

use clap::Parser;

#[path = "../../src/bench/mod.rs"]
mod command;

#[derive(Debug, Parser)]
struct Arguments {
    #[command(flatten)]
    bench: command::BenchArgs,
}

fn main() -> ExitCode {
    command::run(Arguments::parse().bench)
}
