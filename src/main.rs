//! The commands of Postern, one file each.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::{CommandFactory, Parser};

mod azure;
mod bench;
mod cache;
mod check;
mod cli;
mod client;
mod completion;
mod configuration;
mod doctor;
mod explain;
mod fallbacks;
mod healthcheck;
mod import;
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

use cli::{CommandLine, PosternCommand};

fn main() -> ExitCode {
    match CommandLine::parse().command {
        PosternCommand::Serve(args) => serve::run(args),
        PosternCommand::Check(args) => check::run(args),
        PosternCommand::Records(args) => records::run(*args),
        PosternCommand::Import(args) => import::run(*args),
        PosternCommand::Explain(args) => explain::run(args),
        PosternCommand::Doctor(args) => doctor::run(args),
        PosternCommand::Fallbacks(args) => fallbacks::run(args),
        PosternCommand::Status(args) => status::run(args),
        PosternCommand::State(args) => state::run(args),
        PosternCommand::Cache(args) => cache::run(args),
        PosternCommand::Config(args) => configuration::run(args),
        PosternCommand::Reload(args) => reload::run(args),
        PosternCommand::Key(args) => key::run(args),
        PosternCommand::Completion(args) => completion::run(args, CommandLine::command()),
        PosternCommand::Man(args) => man::run(args, CommandLine::command()),
        PosternCommand::Schema(args) => schema::run(args),
        PosternCommand::Azure(args) => azure::run(args),
        PosternCommand::Lab(args) => lab::run(args),
        PosternCommand::Bench(args) => bench::run(*args),
        PosternCommand::Healthcheck(args) => healthcheck::run(args),
        PosternCommand::Version(args) => version::run(args),
    }
}
