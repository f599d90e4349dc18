//! `postern version`: the version of the program.

use std::process::ExitCode;

use clap::Args;

/// Print the version.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  postern version")]
pub struct VersionArgs {}

/// Prints the version.
pub fn run(_args: VersionArgs) -> ExitCode {
    println!("postern {}", env!("CARGO_PKG_VERSION"));
    ExitCode::SUCCESS
}
