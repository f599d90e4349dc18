//! Reading a configuration file, with all of its problems.

use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use crate::diagnostic::{FileDiagnostic, LineIndex, whole_file};
use toml::Spanned;
use toml::de::DeTable;

use crate::file::{self, WatchedFile, fingerprint};
use crate::model::PosternConfig;
use crate::pipe::{self, PipeTimeouts};
use crate::problems::ConfigProblems;
use crate::{effective, lint, parse as parser, sections, syntax};

/// A configuration that can be served, with warnings for the operator.
#[derive(Debug, Clone, PartialEq)]
pub struct LoadedConfig {
    /// The checked configuration.
    pub config: PosternConfig,
    /// Warnings in the order of the file.
    pub warnings: Vec<FileDiagnostic>,
}

/// A configuration that cannot be served.
#[derive(Debug, Clone, PartialEq)]
pub struct RejectedConfig {
    /// All problems, including warnings, in the order of the file.
    pub problems: Vec<FileDiagnostic>,
    /// The file and those that it names, as far as they could be read. A change of any of them may
    /// fix the problems.
    pub files: Vec<WatchedFile>,
}

/// Largest configuration file that is read, far above any handwritten one.
const LARGEST_FILE: usize = 4 << 20;

/// Reads and checks a configuration file. All problems, including warnings, are reported together.
pub fn load(path: &Path) -> Result<LoadedConfig, RejectedConfig> {
    let bytes = read_bytes(path);
    let file = WatchedFile::of(path, &bytes);
    match text(path, bytes) {
        Ok(text) => check(&text, path),
        Err(problem) => Err(RejectedConfig { problems: vec![*problem], files: vec![file] }),
    }
}

/// Checks a configuration that was read from `path`. Its relative paths are resolved from the
/// directory of `path`.
pub fn parse(text: &str, path: &Path) -> Result<LoadedConfig, Vec<FileDiagnostic>> {
    check(text, path).map_err(|refused| refused.problems)
}

/// Checks a configuration that was read from `path`, and collects the files that it names.
fn check(text: &str, path: &Path) -> Result<LoadedConfig, RejectedConfig> {
    let mut problems = ConfigProblems::new(path, text);
    let readable = syntax::readable(text, &mut problems);
    // Invalid TOML was reported and removed.
    let document = DeTable::parse(&readable).map(Spanned::into_inner).unwrap_or_default();
    problems.has_file(WatchedFile { path: path.into(), fingerprint: Some(fingerprint(text.as_bytes())) });
    sections::check(&document, &mut problems);
    let (config, places) = parser::lower(&document, &mut problems);
    let config = PosternConfig { path: Some(path.into()), files: problems.take_files(), ..config };
    lint::check(&config, &places, &mut problems);
    let failed = problems.has_errors();
    let settings = if failed { Vec::new() } else { effective::settings(&document, &readable, &config.azure, &problems) };
    let config = PosternConfig { settings, ..config };
    let list = problems.into_list();
    if failed { Err(RejectedConfig { problems: list, files: config.files }) } else { Ok(LoadedConfig { config, warnings: list }) }
}

impl Default for PosternConfig {
    /// Returns the configuration of an empty file.
    fn default() -> Self {
        let loaded = parse("", Path::new("postern.toml")).expect("a test reads the empty file");
        Self { path: None, files: Vec::new(), ..loaded.config }
    }
}

/// Pipes are also supported: `postern check -c /dev/stdin`.
fn read_bytes(path: &Path) -> io::Result<Vec<u8>> {
    if !std::fs::metadata(path)?.file_type().is_fifo() {
        return file::read(path);
    }
    pipe::read(path, LARGEST_FILE + 1, PipeTimeouts::USUAL)
}

fn text(path: &Path, bytes: io::Result<Vec<u8>>) -> Result<String, Box<FileDiagnostic>> {
    let bytes = bytes.map_err(|error| {
        let help = if error.kind() == io::ErrorKind::NotFound { "`postern schema --format toml` prints a file to begin with" } else { "" };
        Box::new(whole_file(path, format!("cannot read the configuration: {error}"), help))
    })?;
    if bytes.len() > LARGEST_FILE {
        let size = bytes.len();
        return Err(Box::new(whole_file(path, format!("the file has {size} bytes; a configuration has at most {LARGEST_FILE}"), "")));
    }
    String::from_utf8(bytes).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        let text = String::from_utf8_lossy(&error.as_bytes()[..good]).into_owned();
        Box::new(LineIndex::new(path, &text).error(good, "not UTF-8 text", "save the file as UTF-8"))
    })
}
