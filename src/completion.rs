//! `postern completion`: completion scripts for shells.

use std::process::ExitCode;

use clap::{Args, Command, ValueEnum};

use crate::client::told;
use crate::print::write;

/// Print a shell completion script: `postern completion bash > /etc/bash_completion.d/postern`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  postern completion bash > /etc/bash_completion.d/postern")]
pub struct CompletionArgs {
    /// Shell to print the script for.
    #[arg(value_enum)]
    shell: Shell,
}

/// Shells with a completion script.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Shell {
    /// Bash: into /etc/bash_completion.d/postern.
    Bash,
    /// Zsh: into a directory of `$fpath`, as `_postern`.
    Zsh,
    /// Fish: into ~/.config/fish/completions/postern.fish.
    Fish,
}

/// Prints the script for `command` to standard output.
pub fn run(args: CompletionArgs, mut command: Command) -> ExitCode {
    let shell = match args.shell {
        Shell::Bash => clap_complete::Shell::Bash,
        Shell::Zsh => clap_complete::Shell::Zsh,
        Shell::Fish => clap_complete::Shell::Fish,
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, "postern", &mut script);
    told(write(&script))
}
