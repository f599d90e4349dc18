//! Problems with the files of a state directory, as the log, `status` and `/ready?strict` report them.

use std::fmt;
use std::path::PathBuf;
use std::time::SystemTime;

/// A problem with a file of the state directory, or with the directory itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateTrouble {
    /// The file, or the directory.
    pub path: PathBuf,
    /// Time at which the problem was found.
    pub since: SystemTime,
    /// Kind of the problem.
    pub problem: StateProblem,
    /// Cause, as the system or the server words it.
    pub why: String,
}

/// Kind of a [`StateTrouble`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StateProblem {
    /// It cannot be written.
    Unwritable,
    /// The files in it cannot be listed.
    Unlistable,
    /// It is the journal of a zone that other zones leave no network to.
    Unserved,
}

impl StateProblem {
    /// Log message for the end of a problem.
    pub(super) fn end(self) -> &'static str {
        match self {
            Self::Unwritable => "can be written again",
            Self::Unlistable => "can be listed again",
            Self::Unserved => "its zone has a network again",
        }
    }
}

impl fmt::Display for StateProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unwritable => "cannot be written",
            Self::Unlistable => "cannot be listed",
            Self::Unserved => "its zone is not served",
        })
    }
}
