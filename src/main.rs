//! Postern, the private way in: the commands, one file each.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser;

mod bench;
mod check;
mod cli;
mod client;
mod healthcheck;
mod key;
mod lab;
mod logging;
mod privileges;
mod records;
mod schema;
mod serve;
mod systemd;
mod version;

use cli::{Cli, Command};

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Serve(args) => serve::run(args),
        Command::Check(args) => check::run(args),
        Command::Records(args) => records::run(args),
        Command::Key(args) => key::run(args),
        Command::Schema(args) => schema::run(args),
        Command::Lab(args) => lab::run(args),
        Command::Bench(args) => bench::run(*args),
        Command::Healthcheck(args) => healthcheck::run(args),
        Command::Version(args) => version::run(args),
    }
}
