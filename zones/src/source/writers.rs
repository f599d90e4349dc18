//! Files that a process has open for writing, as the directory events report it.
//!
//! A program that writes a file in place leaves parts of it on the disk for as long as it takes. The kernel reports the first change, and
//! the close behind the last one (inotify(7), `IN_CLOSE_WRITE`). Network file systems report neither, so a file may be unknown here.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use notify::EventKind;
use notify::event::{AccessKind, AccessMode, CreateKind, ModifyKind, RenameMode};

use crate::stamp::Stamp;

/// Files to remember. Beyond that, those that are closed are forgotten, and then all.
const MOST: usize = 4096;

/// Files that were written lately: whether the writer still has them open. Keyed by device and inode, because several paths may lead to one.
#[derive(Debug, Default)]
pub struct OpenWriters(Mutex<HashMap<(u64, u64), bool>>);

impl OpenWriters {
    /// Takes note of an event.
    pub fn note(&self, event: &notify::Event) {
        let is_open = match event.kind {
            EventKind::Create(CreateKind::File) | EventKind::Modify(ModifyKind::Data(_)) => true,
            EventKind::Access(AccessKind::Close(AccessMode::Write)) => false,
            EventKind::Modify(ModifyKind::Name(RenameMode::To | RenameMode::Both)) => false,
            _ => return,
        };
        event.paths.last().into_iter().for_each(|path| self.set(path, is_open));
    }

    /// Returns true if a process is writing the file, false if it was closed or moved there whole, `None` if no event told.
    pub fn is_open(&self, stamp: &Stamp) -> Option<bool> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&stamp.identity()).copied()
    }

    fn set(&self, path: &Path, is_open: bool) {
        // Of a link, not of where it leads: that was not written.
        let Some(metadata) = fs::symlink_metadata(path).ok().filter(fs::Metadata::is_file) else { return };
        let mut files = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if files.len() >= MOST {
            files.retain(|_, is_open| *is_open);
        }
        if files.len() >= MOST {
            files.clear();
        }
        files.insert((metadata.dev(), metadata.ino()), is_open);
    }
}

#[cfg(test)]
mod tests {
    use notify::event::DataChange;

    use super::*;

    #[test]
    fn a_file_is_open_from_its_first_change_to_its_close() {
        let directory = tempfile::tempdir().unwrap();
        let [file, link] = ["file", "link"].map(|name| directory.path().join(name));
        fs::write(&file, "text").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        let (writers, stamp) = (OpenWriters::default(), Stamp::of(&file).unwrap());
        let note = |kind, path: &Path| {
            writers.note(&notify::Event::new(kind).add_path(path.to_path_buf()));
            writers.is_open(&stamp)
        };
        assert_eq!(note(EventKind::Access(AccessKind::Read), &file), None);
        assert_eq!(note(EventKind::Create(CreateKind::File), &link), None, "the link was made, the file was not written");
        assert_eq!(note(EventKind::Modify(ModifyKind::Data(DataChange::Any)), &file), Some(true));
        assert_eq!(note(EventKind::Access(AccessKind::Close(AccessMode::Write)), &file), Some(false));
        assert_eq!(note(EventKind::Create(CreateKind::File), &file), Some(true));
        assert_eq!(note(EventKind::Modify(ModifyKind::Name(RenameMode::To)), &file), Some(false));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (directory, writers) = (tempfile::tempdir().unwrap(), OpenWriters::default());
        for number in 0..MOST + 10 {
            let path = directory.path().join(number.to_string());
            fs::write(&path, "").unwrap();
            writers.set(&path, true);
        }
        assert!(writers.0.lock().unwrap().len() <= MOST);
    }
}
