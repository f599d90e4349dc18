//! The progress line in a terminal.

use std::io::{IsTerminal, Write, stderr};

/// A line that is overwritten during a run.
#[derive(Clone, Copy)]
pub struct ProgressLine {
    shown: bool,
}

impl ProgressLine {
    /// Creates the line. It is not shown if `quiet` is set or standard error is not a terminal.
    pub fn new(quiet: bool) -> Self {
        Self { shown: !quiet && stderr().is_terminal() }
    }

    /// Overwrites the line.
    pub fn show(self, text: &str) {
        if self.shown {
            eprint!("\r\x1b[K{text}");
            // A failed write only loses the progress line, which the run does not need.
            let _ = stderr().flush();
        }
    }

    /// Overwrites the line and keeps it in the scrollback.
    pub fn line(self, text: &str) {
        if self.shown {
            self.show(text);
            eprintln!();
        }
    }

    /// Erases the line.
    pub fn clear(self) {
        self.show("");
    }
}
