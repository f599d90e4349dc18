//! `postern schema`: documentation of the configuration and of the metrics.

use std::io::Write;
use std::process::ExitCode;

use clap::{Args, ValueEnum};

/// Print the format of the configuration file as a JSON Schema, a commented sample or a reference,
/// or the table of metrics.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  postern schema > postern.schema.json\n  postern schema --format toml > postern.toml")]
pub struct SchemaArgs {
    /// Document to print.
    #[arg(long, value_enum, default_value_t = Format::Json)]
    format: Format,
}

/// Document to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// JSON Schema, draft 7.
    Json,
    /// A commented sample with every key and its default.
    Toml,
    /// A reference with one table a section.
    Markdown,
    /// Every metric: name, kind, labels, meaning.
    Metrics,
}

/// Prints the requested document to standard output.
pub fn run(args: SchemaArgs) -> ExitCode {
    let text = match args.format {
        Format::Json => format!("{:#}\n", postern_config::json_schema()),
        Format::Toml => postern_config::sample(),
        Format::Markdown => postern_config::reference(),
        Format::Metrics => postern_control::metrics::table::markdown(),
    };
    match std::io::stdout().lock().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
