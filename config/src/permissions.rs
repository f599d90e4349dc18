//! Files that other users of the machine can change, and secrets that they can read.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::problems::ConfigProblems;

/// The mode bits of other users (S_IWOTH, S_IROTH).
pub(crate) const WRITE: u32 = 0o002;
pub(crate) const READ: u32 = 0o004;

/// Warns if other users can change a file that the configuration names.
pub(crate) fn changeable(path: &Path, at: usize, problems: &mut ConfigProblems<'_>) {
    if everybody_may(WRITE, path) {
        let (message, help) = changed(path);
        problems.warning(at, message, help);
    }
}

/// Warns if other users can read a file with a secret.
pub(crate) fn readable(path: &Path, at: usize, problems: &mut ConfigProblems<'_>) {
    if everybody_may(READ, path) {
        let shown = path.display();
        problems.warning(at, format!("every user of this machine can read {shown}"), format!("chmod o= {shown}"));
    }
}

pub(crate) fn changed(path: &Path) -> (String, String) {
    let shown = path.display();
    (format!("every user of this machine can change {shown}"), format!("chmod o-w {shown}"))
}

/// Returns true if the mode of a file or directory grants the access to users other than its owner
/// and group.
pub(crate) fn everybody_may(mode: u32, path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| (found.is_file() || found.is_dir()) && found.mode() & mode != 0)
}
