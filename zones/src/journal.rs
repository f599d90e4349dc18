//! The journal of a zone whose writer is the API or a transfer: an image of the zone, and every change since.
//!
//! ```text
//! octet 0      head    "PSTNJ2\n\0" · salt u64 · CRC-32
//! octet 512    mark    "MARK" · length u64 · sequence u32 · serial u32 · CRC-32      and once more at octet 1024
//! octet 4096   frames  length u32 · sequence u32 · CRC-32 of payload · CRC-32 · payload
//! ```
//! Numbers are big-endian. Checksums of head, mark and frame include the salt, a random number of the file.
//!
//! **What is committed at once is one frame.** [`Journal::commit`] writes the frame behind the others, syncs the file, and then writes the
//! mark, which says how long the file is by now. So the mark never covers what is not on the disk, and each commit costs one sync: the mark
//! gets there with the next one, or within the half minute in which the kernel writes back. The caller acknowledges after that.
//!
//! **Damage is told from a torn end by the mark.** Up to the mark everything was acknowledged: a frame there that is wrong, a number out of
//! order or a file that ends earlier is damage, wherever it is, and the journal is refused as it stands ([`read::Damage`]). Behind the mark
//! is at most the one frame that was being written when the server or the machine stopped. If it is whole it counts; if not, it was
//! never acknowledged, and is cut off. One sector with one mark may be lost: the other copy counts. Left open is one case: the power fails
//! within that half minute after the last change, takes the mark's last update with it, *and* the disk loses the synced last frame.
//! The disk is taken to write a sector of 512 octets whole or not at all, as SQLite and others do.
//!
//! **A new image of a large zone** takes a second to write. [`Journal::compact_aside`] has it written on a thread of its own, while changes
//! go on to the old file; [`Journal::settle`] then puts those behind the new image and the new file in place of the old one.
//!
//! **The file may go away** while the server runs, or be cut, or the disk may fail. [`Journal::condition`] finds that out before each
//! commit, and the owner, who has the whole zone in memory, writes the journal anew. A file that somebody put in its place is left alone.
//!
//! Journals of the first format ("PSTNJ1", no marks) are read and written anew in this one.

pub(crate) mod format;
mod fresh;
pub mod read;

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use crate::name::WireName;
use crate::state_directory::{OpenDirectory, StateDirectoryError};
use format::{FRAME, LONGEST, MARKS, Mark, Salt};
use fresh::fresh_path;
pub(crate) use fresh::{FreshJournal, write_fresh};
use read::{Damage, Reading};

/// A record that is kept.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JournalRecord {
    /// Owner, absolute.
    pub owner: WireName,
    /// TYPE.
    pub rtype: u16,
    /// Seconds.
    pub ttl: u32,
    /// RDATA, uncompressed wire form.
    pub rdata: Box<[u8]>,
}

/// One change of a zone, applied whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalChange {
    /// Serial before.
    pub from: u32,
    /// Serial after.
    pub to: u32,
    /// When, milliseconds since the UNIX epoch.
    pub at: u64,
    /// Who, as the audit shows it.
    pub by: String,
    /// Records taken out; their TTLs are those they had.
    pub removed: Vec<JournalRecord>,
    /// Records put in.
    pub added: Vec<JournalRecord>,
}

/// A zone as of one serial.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct JournalImage {
    /// Text that the writer keeps beside the records.
    pub settings: String,
    /// Serial of the zone.
    pub serial: u32,
    /// All records, the SOA among them.
    pub records: Vec<JournalRecord>,
}

/// Content of a journal when it was opened.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct JournalReplay {
    /// The image it starts with; its settings are the latest.
    pub image: JournalImage,
    /// The changes since, oldest first.
    pub changes: Vec<JournalChange>,
    /// Octets cut off because a crash left them half written.
    pub cut: u64,
}

/// An open journal, ready for more changes.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    salt: Salt,
    /// Octets known to be on the disk.
    length: u64,
    /// Octets of them that are changes.
    changes: u64,
    /// Number of the next frame.
    sequence: u32,
    /// Serial of the zone as committed, and with what is pending.
    serial: (u32, u32),
    pending: Vec<u8>,
    /// A new image on its way.
    aside: Option<JournalAside>,
    /// Why nothing more can be added to this file: a new one must take its place first.
    spent: Option<String>,
}

/// A new image that is being written.
#[derive(Debug)]
struct JournalAside {
    /// Octets of the journal that are in the image; what follows them is to be put behind it.
    since: u64,
    thread: JoinHandle<io::Result<FreshJournal>>,
}

/// Whether a journal can be added to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JournalCondition {
    /// It can.
    Sound,
    /// It must be written anew first, for this reason. Nothing is lost by that.
    Spent(String),
}

/// Why a journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// An error of the file system.
    #[error("{path}: {error}")]
    Io {
        /// The journal.
        path: PathBuf,
        /// Its error.
        error: io::Error,
    },
    /// The file has its name, and that may not be on the disk.
    #[error("{path}: its directory cannot be synced, so a loss of power may undo what was written: {error}")]
    Unsynced {
        /// The new file of the journal.
        path: PathBuf,
        /// The error of the sync.
        error: io::Error,
    },
    /// The file was damaged after it was written.
    #[error("{path}: damaged at {damage}. Nothing of it was changed. help: `postern state repair {path}` saves what can be read")]
    Damaged {
        /// The journal.
        path: PathBuf,
        /// Description of the problem.
        damage: Damage,
    },
    /// The state directory is not there, in use by another server, or read-only.
    #[error(transparent)]
    Directory(#[from] StateDirectoryError),
    /// Somebody put another file in its place, or writes to it.
    #[error(
        "{path}: {what} while the server runs, so changes are rejected. help: restart the server to serve what the file holds now, or move \
         the file away to keep what is served"
    )]
    Foreign {
        /// The journal.
        path: PathBuf,
        /// Error of the file system.
        what: &'static str,
    },
}

impl Journal {
    /// Starts a journal with `image`, in place of a file that may be there. It is on the disk when this returns. After an error there is no
    /// file that a later start would read.
    pub fn create(path: &Path, image: &JournalImage) -> Result<Self, JournalError> {
        let (mut journal, synced) = Self::create_with(path, image, &[])?;
        if let Err(error) = synced {
            let _ = journal.remove(); // the directory cannot be synced, which the error tells
            return Err(error);
        }
        Ok(journal)
    }

    /// Starts a journal with `changes` behind the image. The second result tells whether its name is on the disk. If not, the journal is
    /// in its place and spent.
    fn create_with(path: &Path, image: &JournalImage, changes: &[JournalChange]) -> Result<(Self, Result<(), JournalError>), JournalError> {
        let failed = |error| JournalError::Io { path: path.to_owned(), error };
        let fresh = write_fresh(path, &image.settings, image.serial, &image.records).map_err(failed)?;
        let mut journal = Self::over(path, fresh);
        if !changes.is_empty() {
            let mut frames = Vec::new();
            for change in changes {
                journal.salt.write_frame(journal.sequence, &mut frames, |out| format::write_change(change, out));
                (journal.sequence, journal.serial) = (journal.sequence.wrapping_add(1), (change.to, change.to));
            }
            journal.file.write_all_at(&frames, journal.length).map_err(failed)?;
            (journal.length, journal.changes) = (journal.length + frames.len() as u64, frames.len() as u64);
            journal.write_marks().and_then(|()| journal.file.sync_data()).map_err(failed)?;
        }
        let synced = journal.move_into_place().map_err(failed)?;
        Ok((journal, synced))
    }

    /// Gives a fresh file the name of the journal. After an outer error the old file is still there. After an inner one the new file has
    /// the name, but a loss of power may bring the old file back: the journal is spent, so that nothing is acknowledged in it.
    fn move_into_place(&mut self) -> io::Result<Result<(), JournalError>> {
        let directory = OpenDirectory::of(&self.path)?;
        fs::rename(fresh_path(&self.path), &self.path)?;
        Ok(directory.sync().map_err(|error| {
            self.spent = Some(format!("its directory could not be synced: {error}"));
            JournalError::Unsynced { path: self.path.clone(), error }
        }))
    }

    fn over(path: &Path, FreshJournal { file, salt, mark }: FreshJournal) -> Self {
        let Mark { length, sequence, serial } = mark;
        let (changes, serial) = (0, (serial, serial));
        Self { path: path.to_owned(), file, salt, length, changes, sequence, serial, pending: Vec::new(), aside: None, spent: None }
    }

    /// Opens a journal and reads all it holds. What a crash left half written is cut off, and one of the old format is written anew. A file
    /// that cannot be written to is read all the same; its [`Journal::condition`] says why.
    pub fn open(path: &Path) -> Result<(Self, JournalReplay), JournalError> {
        let failed = |error| JournalError::Io { path: path.to_owned(), error };
        match OpenOptions::new().read(true).write(true).open(path) {
            Ok(file) => Self::open_file(path, file, None),
            Err(error) if matches!(error.kind(), ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied) => {
                Self::open_file(path, File::open(path).map_err(failed)?, Some(error.to_string()))
            }
            Err(error) => Err(failed(error)),
        }
    }

    /// As [`Journal::open`], but nothing is written: for a directory that is only looked at.
    pub fn open_read_only(path: &Path, why: &str) -> Result<(Self, JournalReplay), JournalError> {
        let file = File::open(path).map_err(|error| JournalError::Io { path: path.to_owned(), error })?;
        Self::open_file(path, file, Some(why.to_owned()))
    }

    fn open_file(path: &Path, mut file: File, read_only: Option<String>) -> Result<(Self, JournalReplay), JournalError> {
        let failed = |error| JournalError::Io { path: path.to_owned(), error };
        let mut octets = Vec::new();
        file.read_to_end(&mut octets).map_err(failed)?;
        let reading = read::read(&octets).map_err(|damage| JournalError::Damaged { path: path.to_owned(), damage })?;
        let Reading { replay, salt, sequence, length, changes, bad_marks } = reading;
        drop(octets);
        if salt.is_none() && read_only.is_none() {
            if replay.cut > 0 {
                keep_old(path);
            }
            let (journal, synced) = Self::create_with(path, &replay.image, &replay.changes)?;
            if let Err(error) = synced {
                tracing::warn!("{error}; the next change writes the journal anew"); // all that was acknowledged is in either file
            }
            return Ok((journal, replay));
        }
        let serial = replay.changes.last().map_or(replay.image.serial, |change| change.to);
        let journal = Self {
            path: path.to_owned(),
            file,
            salt: salt.unwrap_or_default(),
            length,
            changes,
            sequence,
            serial: (serial, serial),
            pending: Vec::new(),
            aside: None,
            spent: read_only,
        };
        if journal.spent.is_none() {
            if replay.cut > 0 {
                journal.file.set_len(length).and_then(|()| journal.file.sync_all()).map_err(failed)?;
            }
            if bad_marks > 0 {
                tracing::warn!("{}: one of two commit marks is damaged; no data is lost, but the disk may be failing", path.display());
            }
            journal.write_marks().map_err(failed)?;
        }
        Ok((journal, replay))
    }

    /// Adds a change to the next [`Journal::commit`].
    pub fn append(&mut self, change: &JournalChange) {
        format::write_change(change, &mut self.pending);
        self.serial.1 = change.to;
    }

    /// Adds other settings to the next [`Journal::commit`].
    pub fn append_settings(&mut self, settings: &str) {
        format::write_settings(settings, &mut self.pending);
    }

    /// Forgets what was appended since the last commit.
    pub fn discard(&mut self) {
        self.pending.clear();
        self.serial.1 = self.serial.0;
    }

    /// Gives up what was appended since the last commit, and the file with it: the next commit needs a new one.
    pub fn spend(&mut self, why: String) {
        self.discard();
        self.spent.get_or_insert(why);
    }

    /// Puts everything appended since the last commit on the disk, with one sync. After an error none of it is kept.
    pub fn commit(&mut self) -> Result<(), JournalError> {
        if self.pending.is_empty() {
            return Ok(());
        }
        if let JournalCondition::Spent(why) = self.condition()? {
            return Err(self.failed(io::Error::other(why)));
        }
        let mut frame = Vec::with_capacity(FRAME + self.pending.len());
        self.salt.write_frame(self.sequence, &mut frame, |out| out.append(&mut self.pending));
        let written = self.file.write_all_at(&frame, self.length);
        if let Err(error) = written.and_then(|()| {
            // After a sync that failed nobody knows what is on the disk, and the next sync may not tell (fsync(2), EIO).
            self.file.sync_data().inspect_err(|error| self.spent = Some(format!("its last sync failed: {error}")))
        }) {
            // The bytes that reached the file were not acknowledged. The next frame must not follow them.
            if let Err(error) = self.file.set_len(self.length) {
                self.spent = Some(format!("a change that failed cannot be taken out of it: {error}"));
            }
            return Err(self.failed(error));
        }
        self.length += frame.len() as u64;
        self.changes += frame.len() as u64;
        self.sequence = self.sequence.wrapping_add(1);
        self.serial.0 = self.serial.1;
        if let Err(error) = self.write_marks() {
            // The change itself is on the disk.
            self.spent = Some(format!("its commit mark cannot be written: {error}"));
        }
        Ok(())
    }

    /// Finds out whether the file is still the one that was opened, and as long as it was left. Costs two calls of stat(2).
    pub fn condition(&self) -> Result<JournalCondition, JournalError> {
        let foreign = |what| Err(JournalError::Foreign { path: self.path.clone(), what });
        let spent = |why: &str| Ok(JournalCondition::Spent(why.to_owned()));
        let ours = self.file.metadata().map_err(|error| self.failed(error))?;
        match fs::metadata(&self.path) {
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                return spent("the file was removed while the server runs");
            }
            Err(error) => return Err(self.failed(error)),
            Ok(found) if (found.dev(), found.ino()) != (ours.dev(), ours.ino()) => return foreign("another file took its place"),
            Ok(_) => {}
        }
        match &self.spent {
            Some(why) => spent(why),
            None if ours.len() < self.length => spent("the file was cut while the server runs"),
            None if ours.len() > self.length => foreign("something else wrote to it"),
            None => Ok(JournalCondition::Sound),
        }
    }

    /// True where what was appended is too much for one frame: only a new image ([`Journal::compact`]) can hold it.
    pub fn is_overlong(&self) -> bool {
        self.pending.len() > LONGEST
    }

    /// True where the changes outweigh the image, so that writing a new image pays.
    pub fn wants_compaction(&self) -> bool {
        const LEAST: u64 = 4 << 20;
        self.aside.is_none() && self.spent.is_none() && self.changes > LEAST && self.changes > self.length - self.changes
    }

    /// Begins to write a new image on a thread of its own: `write` does it, by [`write_fresh`], and writes all that is committed by now.
    pub(crate) fn compact_aside(
        &mut self,
        write: impl FnOnce(&Path) -> io::Result<FreshJournal> + Send + 'static,
    ) -> Result<(), JournalError> {
        self.abandon();
        let path = self.path.clone();
        let thread = std::thread::Builder::new().name("postern-journal".into()).spawn(move || write(&path));
        let thread = thread.map_err(|error| self.failed(error))?;
        self.aside = Some(JournalAside { since: self.length, thread });
        Ok(())
    }

    /// Goes on behind the new image, where one is ready; on an error the old journal goes on.
    pub fn settle(&mut self) -> Result<(), JournalError> {
        let Some(aside) = self.aside.take_if(|aside| aside.thread.is_finished()) else { return Ok(()) };
        let failed = |error| JournalError::Io { path: self.path.clone(), error };
        let written = aside.thread.join().unwrap_or_else(|_| Err(io::Error::other("writing the new image panicked")));
        let mut next = Self::over(&self.path, written.map_err(failed)?);
        if self.condition()? != JournalCondition::Sound {
            return Ok(()); // the next commit sees to it
        }
        let mut later = vec![0; (self.length - aside.since) as usize];
        self.file.read_exact_at(&mut later, aside.since).map_err(failed)?;
        let (mut frames, mut rest) = (Vec::with_capacity(later.len()), &later[..]);
        while !rest.is_empty() {
            let damaged = || io::Error::new(ErrorKind::InvalidData, "what was written last cannot be read back");
            let (_, payload) = self.salt.whole_frame(rest).ok_or_else(damaged).map_err(failed)?;
            next.salt.write_frame(next.sequence, &mut frames, |out| out.extend_from_slice(payload));
            next.sequence = next.sequence.wrapping_add(1);
            rest = &rest[FRAME + payload.len()..];
        }
        next.file.write_all_at(&frames, next.length).map_err(failed)?;
        (next.length, next.changes) = (next.length + frames.len() as u64, frames.len() as u64);
        (next.serial, next.pending) = (self.serial, std::mem::take(&mut self.pending));
        let moved = next.write_marks().and_then(|()| next.file.sync_data()).and_then(|()| next.move_into_place());
        match moved {
            Ok(synced) => {
                *self = next;
                synced
            }
            Err(error) => {
                self.pending = std::mem::take(&mut next.pending);
                Err(failed(error))
            }
        }
    }

    /// Waits for an image that is being written, and forgets it: two must never be written to one file.
    fn abandon(&mut self) {
        if let Some(aside) = self.aside.take() {
            let _ = aside.thread.join(); // what it wrote is written over
        }
    }

    /// Replaces image and changes by one new image, atomically. After an error the old journal continues, or the new one is in its place
    /// and spent: the next commit writes it anew.
    pub fn compact(&mut self, image: &JournalImage) -> Result<(), JournalError> {
        self.abandon();
        self.condition()?; // a file that is not ours is not written over
        let (journal, synced) = Self::create_with(&self.path, image, &[])?;
        *self = journal;
        synced
    }

    /// Removes the journal, and an image that is being written aside. It is gone from the disk when this returns without an error; after
    /// one the file may be there still, or be gone and come back with a loss of power.
    pub fn remove(&mut self) -> Result<(), JournalError> {
        self.abandon();
        self.discard();
        self.condition()?;
        let gone = |removed: io::Result<()>| removed.or_else(|error| if error.kind() == ErrorKind::NotFound { Ok(()) } else { Err(error) });
        let directory = OpenDirectory::of(&self.path).map_err(|error| self.failed(error))?;
        let removed = gone(fs::remove_file(fresh_path(&self.path))).and_then(|()| gone(fs::remove_file(&self.path)));
        removed.and_then(|()| directory.sync()).map_err(|error| self.failed(error))
    }

    /// The file.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Octets on the disk.
    pub fn length(&self) -> u64 {
        self.length
    }

    fn write_marks(&self) -> io::Result<()> {
        let mark = Mark { length: self.length, sequence: self.sequence, serial: self.serial.0 };
        self.file.write_all_at(&self.salt.marks(mark), MARKS[0] as u64)
    }

    fn failed(&self, error: io::Error) -> JournalError {
        JournalError::Io { path: self.path.clone(), error }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.abandon();
    }
}

/// Keeps a journal of the old format whose end is cut off: whether that end was acknowledged, nobody can tell.
fn keep_old(path: &Path) {
    let kept = path.with_extension("journal-1");
    match fs::hard_link(path, &kept) {
        Ok(()) => tracing::warn!("{}: the end of the journal is incomplete; the original was saved as {}", path.display(), kept.display()),
        Err(error) => tracing::warn!("{}: the end is not whole, and no copy can be kept: {error}", path.display()),
    }
}

#[cfg(test)]
mod tests;
