//! New journals, which are written beside the old one until they are whole.

use std::borrow::Borrow;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::JournalRecord;
use super::format::{self, HEAD, MARKS, Mark, PART, Salt};
use crate::state_directory::create_fresh;

/// A file beside a journal that holds an image. All of it is on the disk.
#[derive(Debug)]
pub(crate) struct FreshJournal {
    pub(super) file: File,
    pub(super) salt: Salt,
    pub(super) mark: Mark,
}

/// Path of a journal that is being written.
pub(super) fn fresh_path(path: &Path) -> PathBuf {
    path.with_extension("new")
}

/// Writes a file beside the journal with an image in it, and syncs it.
pub(crate) fn write_fresh<R: Borrow<JournalRecord>>(
    path: &Path,
    settings: &str,
    serial: u32,
    records: impl IntoIterator<Item = R>,
) -> io::Result<FreshJournal> {
    let mut out = BufWriter::with_capacity(PART, create_fresh(&fresh_path(path))?);
    let salt = Salt::default();
    let mut head = salt.head();
    head.resize(HEAD, 0);
    out.write_all(&head)?;
    let (length, sequence) = format::write_image(salt, settings, serial, records, &mut out)?;
    let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
    let mark = Mark { length: HEAD as u64 + length, sequence, serial };
    file.write_all_at(&salt.marks(mark), MARKS[0] as u64)?;
    file.sync_all()?;
    Ok(FreshJournal { file, salt, mark })
}
