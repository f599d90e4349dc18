//! The command line, with one variant per command. Arguments and help are in the file of the
//! command.

use clap::{Parser, Subcommand};

/// The private way in: private zones behind Azure Private Link, spliced, watched, and with no
/// silent fallback.
#[derive(Debug, Parser)]
#[command(name = "postern", version, propagate_version = true, max_term_width = 80)]
pub struct CommandLine {
    /// Command to run.
    #[command(subcommand)]
    pub command: PosternCommand,
}

/// The commands, in the order of `--help`.
#[derive(Debug, Subcommand)]
pub enum PosternCommand {
    Serve(crate::serve::ServeArgs),
    Check(crate::check::CheckArgs),
    Records(Box<crate::records::RecordsArgs>),
    Import(Box<crate::import::ImportArgs>),
    Explain(crate::explain::ExplainArgs),
    Doctor(crate::doctor::DoctorArgs),
    Fallbacks(crate::fallbacks::FallbacksArgs),
    Status(crate::status::StatusArgs),
    State(crate::state::StateArgs),
    Cache(crate::cache::CacheArgs),
    Config(crate::configuration::ConfigArgs),
    Reload(crate::reload::ReloadArgs),
    Key(crate::key::KeyArgs),
    Completion(crate::completion::CompletionArgs),
    Man(crate::man::ManArgs),
    Schema(crate::schema::SchemaArgs),
    Azure(crate::azure::AzureArgs),
    Lab(crate::lab::LabArgs),
    Bench(Box<crate::bench::BenchArgs>),
    Healthcheck(crate::healthcheck::HealthcheckArgs),
    Version(crate::version::VersionArgs),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    /// Returns every command and subcommand with its full name.
    fn all(command: clap::Command, words: &str, into: &mut Vec<(String, clap::Command)>) {
        for below in command.get_subcommands().filter(|below| below.get_name() != "help") {
            all(below.clone(), &format!("{words} {}", below.get_name()), into);
        }
        into.push((words.to_owned(), command));
    }

    #[test]
    fn help_fits_a_terminal_and_every_command_has_examples_that_parse() {
        let mut commands = Vec::new();
        let mut whole = CommandLine::command();
        whole.build();
        all(whole, "postern", &mut commands);
        for (words, mut command) in commands {
            let help = command.render_long_help().to_string();
            // The usage of a command is one line, whatever it requires.
            for line in help.lines().filter(|line| !line.starts_with("Usage:")) {
                assert!(line.chars().count() <= 80, "{words}: {line}");
            }
            if words == "postern" {
                continue;
            }
            let examples: Vec<&str> = help.split_once("Examples:\n").unwrap_or_default().1.lines().collect();
            assert!(!examples.is_empty(), "{words} has no examples");
            for example in examples.iter().filter(|line| !line.is_empty()) {
                let words = example.split(" | ").next().unwrap_or_default().split(" > ").next().unwrap_or_default();
                let words: Vec<&str> = words.split_whitespace().map(|word| word.trim_matches('\'')).collect();
                assert!(CommandLine::try_parse_from(&words).is_ok(), "{example}");
            }
        }
    }

    #[test]
    fn the_command_line_is_sound_and_every_argument_is_explained() {
        CommandLine::command().debug_assert();
        for command in CommandLine::command().get_subcommands() {
            assert!(command.get_about().is_some(), "{}", command.get_name());
            for argument in command.get_arguments().filter(|argument| !["help", "version"].contains(&argument.get_id().as_str())) {
                assert!(argument.get_help().is_some(), "{} {}", command.get_name(), argument.get_id());
            }
        }
    }
}
