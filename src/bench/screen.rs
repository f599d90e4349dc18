//! The progress that a terminal shows.

use std::io::{IsTerminal, Write, stderr};

/// The line that is overwritten while a run goes on.
#[derive(Clone, Copy)]
pub struct Screen {
    shown: bool,
}

impl Screen {
    /// Shows nothing where that was asked for, or where nobody watches.
    pub fn new(quiet: bool) -> Self {
        Self { shown: !quiet && stderr().is_terminal() }
    }

    /// Overwrites the line.
    pub fn show(self, text: &str) {
        if self.shown {
            eprint!("\r\x1b[K{text}");
            // A terminal that cannot be written to shows no progress; the run does not need it.
            let _ = stderr().flush();
        }
    }

    /// Overwrites the line and leaves it standing.
    pub fn line(self, text: &str) {
        if self.shown {
            self.show(text);
            eprintln!();
        }
    }

    /// Takes the line away.
    pub fn clear(self) {
        self.show("");
    }
}
