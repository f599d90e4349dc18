//! Postern, the private way in: the commands, one file each.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser;

mod check;
mod cli;
mod schema;
mod version;

use cli::{Cli, Command};

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Check(args) => check::run(args),
        Command::Schema(args) => schema::run(args),
        Command::Version(args) => version::run(args),
    }
}
