//! Directories that are synced after a change in them.

use std::fs::File;
use std::io;
use std::path::Path;

/// A directory that is open, to sync it after a rename or removal in it.
///
/// Both reach the disk only with the directory. It is opened before the change, because opening needs a descriptor and may fail.
#[derive(Debug)]
pub struct OpenDirectory(File);

impl OpenDirectory {
    /// Opens the directory in which `path` stands.
    pub fn of(path: &Path) -> io::Result<Self> {
        Self::open(path.parent().unwrap_or(Path::new("")))
    }

    /// Opens a directory. The empty path stands for the working directory.
    pub fn open(path: &Path) -> io::Result<Self> {
        #[cfg(test)]
        faults::check(faults::Fault::Open)?;
        File::open(if path.as_os_str().is_empty() { Path::new(".") } else { path }).map(Self)
    }

    /// Waits until the changes are on the disk.
    pub fn sync(&self) -> io::Result<()> {
        #[cfg(test)]
        faults::check(faults::Fault::Sync)?;
        self.0.sync_all()
    }
}

#[cfg(test)]
pub mod faults {
    //! Errors that a test has the next calls on a directory return, on its own thread.

    use std::cell::Cell;
    use std::io;

    /// A call that can fail.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Fault {
        /// A directory is opened.
        Open,
        /// A directory is synced.
        Sync,
    }

    thread_local!(static FAILING: Cell<Option<Fault>> = const { Cell::new(None) });

    /// Makes every such call fail while `work` runs.
    pub fn during<T>(fault: Fault, work: impl FnOnce() -> T) -> T {
        FAILING.set(Some(fault));
        let done = work();
        FAILING.set(None);
        done
    }

    pub(super) fn check(fault: Fault) -> io::Result<()> {
        if FAILING.get() == Some(fault) { Err(io::Error::other(format!("injected: {fault:?}"))) } else { Ok(()) }
    }
}
