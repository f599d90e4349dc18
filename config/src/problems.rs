//! The problems of a file and the files that it names, collected while it is read.

use std::path::Path;

use crate::diagnostic::{DiagnosticSeverity, FileDiagnostic, LineIndex};
use crate::file::{self, WatchedFile};

/// Problems found in a file so far.
pub(crate) struct ConfigProblems<'a> {
    lines: LineIndex<'a>,
    directory: &'a Path,
    list: Vec<(usize, FileDiagnostic)>,
    /// The file and those that it names, in the order of reading.
    files: Vec<WatchedFile>,
    /// Set if the file is not valid TOML. A key may then only appear to be missing.
    pub(crate) broken: bool,
}

impl<'a> ConfigProblems<'a> {
    pub(crate) fn new(file: &'a Path, text: &'a str) -> Self {
        let directory = file.parent().unwrap_or(Path::new(""));
        Self { lines: LineIndex::new(file, text), directory, list: Vec::new(), files: Vec::new(), broken: false }
    }

    /// Reads a file that the configuration names, and adds it to the watched files.
    pub(crate) fn read(&mut self, path: &Path) -> std::io::Result<String> {
        let bytes = file::read(path);
        self.has_file(WatchedFile::of(path, &bytes));
        String::from_utf8(bytes?).map_err(|_| std::io::Error::other("not UTF-8 text"))
    }

    /// Adds a file to the watched files. For a file that is added twice, the first content counts,
    /// so that a change in between is detected.
    pub(crate) fn has_file(&mut self, file: WatchedFile) {
        if !self.files.iter().any(|other| other.path == file.path) {
            self.files.push(file);
        }
    }

    /// Returns the files that were read or that must be watched, in that order.
    pub(crate) fn take_files(&mut self) -> Vec<WatchedFile> {
        std::mem::take(&mut self.files)
    }

    /// Returns the directory that relative paths are resolved from.
    pub(crate) fn directory(&self) -> &Path {
        self.directory
    }

    pub(crate) fn error(&mut self, at: usize, message: impl Into<String>, help: impl Into<String>) {
        self.list.push((at, self.lines.error(at, message, help)));
    }

    /// Reports a warning, unless there is an error at the same position, which must be fixed first.
    pub(crate) fn warning(&mut self, at: usize, message: impl Into<String>, help: impl Into<String>) {
        if self.list.iter().any(|(other, problem)| *other == at && problem.severity == DiagnosticSeverity::Error) {
            return;
        }
        let problem = self.lines.error(at, message, help);
        self.list.push((at, FileDiagnostic { severity: DiagnosticSeverity::Warning, ..problem }));
    }

    /// Adds the problems of another file.
    pub(crate) fn append(&mut self, at: usize, problems: Vec<FileDiagnostic>) {
        self.list.extend(problems.into_iter().map(|problem| (at, problem)));
    }

    /// Returns the 1-based line of a byte offset.
    pub(crate) fn line(&self, at: usize) -> u32 {
        self.place(at).0
    }

    /// Returns the 1-based line and column of a byte offset.
    pub(crate) fn place(&self, at: usize) -> (u32, u32) {
        self.lines.position(at)
    }

    /// Returns the file that is read.
    pub(crate) fn file(&self) -> &Path {
        self.lines.file()
    }

    pub(crate) fn has_errors(&self) -> bool {
        self.list.iter().any(|(_, problem)| problem.severity == DiagnosticSeverity::Error)
    }

    /// Returns all problems in the order of the file.
    pub(crate) fn into_list(mut self) -> Vec<FileDiagnostic> {
        self.list.sort_by_key(|(at, _)| *at);
        self.list.into_iter().map(|(_, problem)| problem).collect()
    }
}
