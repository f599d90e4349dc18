//! The command line: one variant a command, whose arguments and doc stand in the command's own file.

use clap::{Parser, Subcommand};

/// The private way in: private zones behind Azure Private Link, spliced, watched, and with no silent fallback.
#[derive(Debug, Parser)]
#[command(name = "postern", version, propagate_version = true, max_term_width = 110)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands, in the order of `--help`.
#[derive(Debug, Subcommand)]
pub enum Command {
    Serve(crate::serve::ServeArgs),
    Check(crate::check::CheckArgs),
    Records(Box<crate::records::RecordsArgs>),
    Explain(crate::explain::ExplainArgs),
    Fallbacks(crate::fallbacks::FallbacksArgs),
    Status(crate::status::StatusArgs),
    State(crate::state::StateArgs),
    Cache(crate::cache::CacheArgs),
    Config(crate::configuration::ConfigArgs),
    Reload(crate::reload::ReloadArgs),
    Key(crate::key::KeyArgs),
    Completion(crate::completion::CompletionArgs),
    Schema(crate::schema::SchemaArgs),
    Lab(crate::lab::LabArgs),
    Bench(Box<crate::bench::BenchArgs>),
    Healthcheck(crate::healthcheck::HealthcheckArgs),
    Version(crate::version::VersionArgs),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound_and_every_argument_is_explained() {
        Cli::command().debug_assert();
        for command in Cli::command().get_subcommands() {
            assert!(command.get_about().is_some(), "{}", command.get_name());
            for argument in command.get_arguments().filter(|argument| !["help", "version"].contains(&argument.get_id().as_str())) {
                assert!(argument.get_help().is_some(), "{} {}", command.get_name(), argument.get_id());
            }
        }
    }
}
