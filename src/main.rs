//! The commands of Postern, one file each.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

mod bench;
mod cache;
mod check;
mod cli;
mod client;
mod completion;
mod configuration;
mod explain;
mod fallbacks;
mod healthcheck;
mod key;
mod lab;
mod logging;
mod man;
mod print;
mod privileges;
mod records;
mod reload;
mod schema;
mod serve;
mod state;
mod status;
mod systemd;
mod version;

use cli::{Cli, Command};

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Serve(args) => serve::run(args),
        Command::Check(args) => check::run(args),
        Command::Records(args) => records::run(*args),
        Command::Explain(args) => explain::run(args),
        Command::Fallbacks(args) => fallbacks::run(args),
        Command::Status(args) => status::run(args),
        Command::State(args) => state::run(args),
        Command::Cache(args) => cache::run(args),
        Command::Config(args) => configuration::run(args),
        Command::Reload(args) => reload::run(args),
        Command::Key(args) => key::run(args),
        Command::Completion(args) => completion::run(args, Cli::command()),
        Command::Man(args) => man::run(args, Cli::command()),
        Command::Schema(args) => schema::run(args),
        Command::Lab(args) => lab::run(args),
        Command::Bench(args) => bench::run(*args),
        Command::Healthcheck(args) => healthcheck::run(args),
        Command::Version(args) => version::run(args),
    }
}
