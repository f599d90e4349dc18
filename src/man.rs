//! `postern man`: manual pages generated from the command line.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Command};
use clap_mangen::Man;

use crate::client::told;
use crate::print::write;

/// Date in the footer of the pages. It is the release date, so that every build of a release writes
/// identical pages.
const DATE: &str = "2026-11-30";

/// Print the manual page, or write one page per command.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  postern man --output /usr/local/share/man/man1\n  postern man | man -l -")]
pub struct ManArgs {
    /// Directory for one page per command. Without it, the page of `postern` is printed.
    #[arg(long, value_name = "DIRECTORY")]
    output: Option<PathBuf>,
}

/// Writes the pages of `command` and its subcommands to the directory, or prints the page of
/// `command` to standard output.
pub fn run(args: ManArgs, command: Command) -> ExitCode {
    told(match args.output {
        Some(directory) => write_pages(command, &directory),
        None => page(command).and_then(|text| write(&text)),
    })
}

fn write_pages(mut command: Command, directory: &Path) -> Result<(), String> {
    std::fs::create_dir_all(directory).map_err(|error| format!("cannot create {}: {error}", directory.display()))?;
    command.build();
    write_page_and_below(&command, directory)
}

/// Writes the page of a command and those of its subcommands.
fn write_page_and_below(command: &Command, directory: &Path) -> Result<(), String> {
    let name = command.get_display_name().unwrap_or_else(|| command.get_name());
    let path = directory.join(format!("{name}.1"));
    std::fs::write(&path, page(command.clone())?).map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    let shown = command.get_subcommands().filter(|below| below.get_name() != "help" && !below.is_hide_set());
    shown.into_iter().try_for_each(|below| write_page_and_below(below, directory))
}

fn page(command: Command) -> Result<Vec<u8>, String> {
    let mut text = Vec::new();
    let man = Man::new(command).date(DATE).source(concat!("postern ", env!("CARGO_PKG_VERSION"))).manual("Postern");
    man.render(&mut text).map_err(|error| error.to_string())?;
    // mandoc warns about the empty line between two breaks before a list of values.
    let text = String::from_utf8(text).map_err(|error| error.to_string())?;
    Ok(text.replace("\n.br\n\n.br\n", "\n.sp\n").into_bytes())
}
