//! Stamps of files, which show a change without reading the file.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// Identity, size and times of a file. They differ after every change, except for one within the resolution of the times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    device: u64,
    inode: u64,
    pub(crate) size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    /// That of the file at a path.
    pub fn of(path: &Path) -> std::io::Result<Self> {
        let metadata = fs::metadata(path)?;
        // A FIFO or a device would never end.
        if metadata.is_file() { Ok(Self::from(&metadata)) } else { Err(std::io::Error::other("not a file")) }
    }

    /// Device and inode, which stay when a file is written in place.
    pub(crate) fn identity(&self) -> (u64, u64) {
        (self.device, self.inode)
    }

    /// Octets, and when they were changed: seconds and nanoseconds.
    pub fn size_and_time(&self) -> (u64, i64, i64) {
        (self.size, self.modified.0, self.modified.1)
    }

    pub(crate) fn modified(&self) -> Option<SystemTime> {
        let since = Duration::new(u64::try_from(self.modified.0).ok()?, u32::try_from(self.modified.1).ok()?);
        SystemTime::UNIX_EPOCH.checked_add(since)
    }
}

impl From<&fs::Metadata> for Stamp {
    fn from(metadata: &fs::Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}
