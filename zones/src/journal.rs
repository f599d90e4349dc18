//! The journal of a zone whose writer is the API: an image of the zone, and every change since.
//!
//! ```text
//! "PSTNJ1\n\0"  frame frame frame …      frame = length u32 · CRC-32 u32 · payload
//! ```
//! Numbers are big-endian. What is committed at once is one frame, and a frame is either whole and right, or the journal ends before it:
//! what a crash left half written at the end was never acknowledged, and is cut off when the journal is opened. A frame that is wrong
//! with right ones behind it is damage, not a crash, and refused. [`Journal::commit`] gives back only after the data is on the disk.
//!
//! A new image of a large zone takes a second to write. [`Journal::compact_aside`] has it written on a thread of its own, while changes go
//! on to the old file; [`Journal::settle`] then puts those behind the new image and the new file in place of the old one.

use std::borrow::Borrow;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use crate::name::{NameBuf, WireName};

const MAGIC: &[u8; 8] = b"PSTNJ1\n\0";
/// Octets before a payload.
const FRAME: usize = 8;
/// No payload is longer: an image is written in parts.
const LONGEST: usize = 16 << 20;
/// Octets of records in one part of an image, about.
const PART: usize = 1 << 20;

/// A record that is kept.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Record {
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
pub struct Change {
    /// Serial before.
    pub from: u32,
    /// Serial after.
    pub to: u32,
    /// When, milliseconds since the UNIX epoch.
    pub at: u64,
    /// Who, as the audit shows it.
    pub by: String,
    /// Records taken out; their TTLs are those they had.
    pub removed: Vec<Record>,
    /// Records put in.
    pub added: Vec<Record>,
}

/// A zone as of one serial.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Image {
    /// What the writer wants to keep beside the records: text it understands.
    pub settings: String,
    /// Serial of the zone.
    pub serial: u32,
    /// All records, the SOA among them.
    pub records: Vec<Record>,
}

/// What a journal held when it was opened.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Replay {
    /// The image it starts with; its settings are the latest.
    pub image: Image,
    /// The changes since, oldest first.
    pub changes: Vec<Change>,
    /// Octets cut off because a crash left them half written.
    pub cut: u64,
}

/// An open journal, ready for more changes.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    /// Octets known to be on the disk.
    length: u64,
    /// Octets of them that are changes.
    changes: u64,
    pending: Vec<u8>,
    /// A new image on its way.
    aside: Option<Aside>,
}

/// A new image that is being written.
#[derive(Debug)]
struct Aside {
    /// Octets of the journal that are in the image; what follows them is to be put behind it.
    since: u64,
    /// Gives the file, which ends behind the image, and its length.
    thread: JoinHandle<io::Result<(File, u64)>>,
}

/// Why a journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The file system said no.
    #[error("{path}: {error}")]
    Io {
        /// The journal.
        path: PathBuf,
        /// What it said.
        error: io::Error,
    },
    /// Not a journal, or not of this version.
    #[error("{path}: not a zone journal of this version")]
    Magic {
        /// The file.
        path: PathBuf,
    },
    /// A frame is wrong, and right frames follow: the file was damaged after it was written.
    #[error("{path}: damaged at octet {at}; restore it from a copy, or move it away to start the zone empty")]
    Damaged {
        /// The journal.
        path: PathBuf,
        /// Where the wrong frame starts.
        at: u64,
    },
}

impl Journal {
    /// Starts a journal with `image`, in place of a file that may be there; it is on the disk when this gives back.
    pub fn create(path: &Path, image: &Image) -> Result<Self, JournalError> {
        let failed = |error| JournalError::Io { path: path.to_owned(), error };
        let (file, length) = write_fresh(path, &image.settings, image.serial, &image.records).map_err(failed)?;
        fs::rename(fresh(path), path).map_err(failed)?;
        sync_directory(path).map_err(failed)?;
        Ok(Self { path: path.to_owned(), file, length, changes: 0, pending: Vec::new(), aside: None })
    }

    /// Opens a journal and reads all it holds; what a crash left half written is cut off.
    pub fn open(path: &Path) -> Result<(Self, Replay), JournalError> {
        let failed = |error| JournalError::Io { path: path.to_owned(), error };
        let mut file = OpenOptions::new().read(true).write(true).open(path).map_err(failed)?;
        let mut octets = Vec::new();
        file.read_to_end(&mut octets).map_err(failed)?;
        if !octets.starts_with(MAGIC) {
            return Err(JournalError::Magic { path: path.to_owned() });
        }
        let damaged = |at: usize| JournalError::Damaged { path: path.to_owned(), at: at as u64 };
        let mut replay = Replay::default();
        let mut at = MAGIC.len();
        let mut changes = 0;
        let mut image_done = false;
        while at < octets.len() {
            let Some(payload) = whole_frame(&octets[at..]) else {
                if any_frame_behind(&octets[at..]) || !image_done {
                    return Err(damaged(at));
                }
                break;
            };
            match read_payload(payload).ok_or_else(|| damaged(at))? {
                Payload::Image { image, last } => {
                    if image_done {
                        return Err(damaged(at));
                    }
                    replay.image.settings.push_str(&image.settings);
                    replay.image.serial = image.serial;
                    replay.image.records.extend(image.records);
                    image_done = last;
                }
                Payload::Entries(more, settings) if image_done => {
                    replay.changes.extend(more);
                    replay.image.settings = settings.unwrap_or(replay.image.settings);
                    changes += (FRAME + payload.len()) as u64;
                }
                Payload::Entries(..) => return Err(damaged(at)),
            }
            at += FRAME + payload.len();
        }
        if !image_done {
            return Err(damaged(at));
        }
        replay.cut = (octets.len() - at) as u64;
        if replay.cut > 0 {
            file.set_len(at as u64).and_then(|()| file.sync_all()).map_err(failed)?;
        }
        file.seek(SeekFrom::Start(at as u64)).map_err(failed)?;
        Ok((Self { path: path.to_owned(), file, length: at as u64, changes, pending: Vec::new(), aside: None }, replay))
    }

    /// Adds a change to the next [`Journal::commit`].
    pub fn append(&mut self, change: &Change) {
        write_change(change, &mut self.pending);
    }

    /// Adds other settings to the next [`Journal::commit`].
    pub fn append_settings(&mut self, settings: &str) {
        self.pending.push(SETTINGS);
        write_text(settings, &mut self.pending);
    }

    /// Forgets what was appended since the last commit.
    pub fn discard(&mut self) {
        self.pending.clear();
    }

    /// Puts everything appended since the last commit on the disk, with one write and one sync. After an error none of them is kept.
    pub fn commit(&mut self) -> Result<(), JournalError> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let mut frame = Vec::with_capacity(FRAME + self.pending.len());
        write_frame(&mut frame, |out| out.append(&mut self.pending));
        let written = self.file.write_all(&frame).and_then(|()| self.file.sync_data());
        let octets = frame.len() as u64;
        if let Err(error) = written {
            // What reached the file was not acknowledged; the next frame must not stand behind it.
            let _ = self.file.set_len(self.length);
            let _ = self.file.seek(SeekFrom::Start(self.length));
            return Err(JournalError::Io { path: self.path.clone(), error });
        }
        self.length += octets;
        self.changes += octets;
        Ok(())
    }

    /// True where what was appended is too much for one frame: only a new image ([`Journal::compact`]) can hold it.
    pub fn is_overlong(&self) -> bool {
        self.pending.len() > LONGEST
    }

    /// True where the changes outweigh the image, so that writing a new image pays.
    pub fn wants_compaction(&self) -> bool {
        const LEAST: u64 = 4 << 20;
        self.aside.is_none() && self.changes > LEAST && self.changes > self.length - self.changes
    }

    /// Begins to write a new image on a thread of its own: `write` does it, by [`write_fresh`], and writes all that is committed by now.
    pub(crate) fn compact_aside(
        &mut self,
        write: impl FnOnce(&Path) -> io::Result<(File, u64)> + Send + 'static,
    ) -> Result<(), JournalError> {
        self.abandon();
        let path = self.path.clone();
        let thread = std::thread::Builder::new().name("postern-journal".into()).spawn(move || write(&path));
        let thread = thread.map_err(|error| JournalError::Io { path: self.path.clone(), error })?;
        self.aside = Some(Aside { since: self.length, thread });
        Ok(())
    }

    /// Goes on behind the new image, where one is ready; on an error the old journal goes on.
    pub fn settle(&mut self) -> Result<(), JournalError> {
        let Some(aside) = self.aside.take_if(|aside| aside.thread.is_finished()) else { return Ok(()) };
        let failed = |error| JournalError::Io { path: self.path.clone(), error };
        let written = aside.thread.join().unwrap_or_else(|_| Err(io::Error::other("writing the new image panicked")));
        let (mut file, image) = written.map_err(failed)?;
        let mut later = vec![0; (self.length - aside.since) as usize];
        self.file.read_exact_at(&mut later, aside.since).map_err(failed)?;
        file.write_all(&later).and_then(|()| file.sync_data()).map_err(failed)?;
        fs::rename(fresh(&self.path), &self.path).map_err(failed)?;
        self.file = file;
        (self.length, self.changes) = (image + later.len() as u64, later.len() as u64);
        sync_directory(&self.path).map_err(failed)
    }

    /// Waits for an image that is being written, and forgets it: two must never be written to one file.
    fn abandon(&mut self) {
        if let Some(aside) = self.aside.take() {
            let _ = aside.thread.join(); // what it wrote is written over
        }
    }

    /// Replaces image and changes by one new image, atomically; on an error the old journal goes on.
    pub fn compact(&mut self, image: &Image) -> Result<(), JournalError> {
        self.abandon();
        *self = Self::create(&self.path, image)?;
        Ok(())
    }

    /// Removes the journal, and an image that is being written aside. It is gone from the disk when this gives back without an error; after
    /// one the file may be there still, or be gone and come back with a loss of power.
    pub fn remove(&mut self) -> Result<(), JournalError> {
        self.abandon();
        self.pending.clear();
        let gone =
            |removed: io::Result<()>| removed.or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) });
        let removed = gone(fs::remove_file(fresh(&self.path))).and_then(|()| gone(fs::remove_file(&self.path)));
        let removed = removed.and_then(|()| sync_directory(&self.path));
        removed.map_err(|error| JournalError::Io { path: self.path.clone(), error })
    }

    /// Octets on the disk.
    pub fn length(&self) -> u64 {
        self.length
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.abandon();
    }
}

/// Where a new journal is written until it is whole.
fn fresh(path: &Path) -> PathBuf {
    path.with_extension("new")
}

/// A file beside the journal with an image in it, on the disk; and its length.
pub(crate) fn write_fresh<R: Borrow<Record>>(
    path: &Path,
    settings: &str,
    serial: u32,
    records: impl IntoIterator<Item = R>,
) -> io::Result<(File, u64)> {
    // Read, too: what follows the image is read back when the next one is settled.
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(fresh(path))?;
    let mut out = BufWriter::with_capacity(PART, file);
    out.write_all(MAGIC)?;
    let length = MAGIC.len() as u64 + write_image(settings, serial, records, &mut out)?;
    let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.sync_all()?;
    Ok((file, length))
}

enum Payload {
    Image {
        image: Image,
        last: bool,
    },
    /// Changes, and the last settings among them.
    Entries(Vec<Change>, Option<String>),
}

const IMAGE: u8 = 1;
const IMAGE_END: u8 = 2;
const CHANGE: u8 = 3;
const SETTINGS: u8 = 4;

fn write_frame(out: &mut Vec<u8>, payload: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; FRAME]);
    payload(out);
    let length = (out.len() - start - FRAME) as u32;
    let sum = crc32fast::hash(&out[start + FRAME..]);
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
    out[start + 4..start + 8].copy_from_slice(&sum.to_be_bytes());
}

/// An image as parts of about a mebibyte, so that no frame needs more memory than that to be written or checked. Gives its octets.
fn write_image<R: Borrow<Record>>(
    mut settings: &str,
    serial: u32,
    records: impl IntoIterator<Item = R>,
    out: &mut impl Write,
) -> io::Result<u64> {
    let mut records = records.into_iter().peekable();
    let mut part = Vec::with_capacity(PART + (PART >> 2));
    let mut length = 0;
    loop {
        part.clear();
        write_frame(&mut part, |out| {
            let kind = out.len();
            out.push(IMAGE_END);
            out.extend_from_slice(&serial.to_be_bytes());
            write_text(std::mem::take(&mut settings), out);
            let count = out.len();
            out.extend_from_slice(&[0; 4]);
            let mut written = 0u32;
            while out.len() - count < PART {
                let Some(record) = records.next() else { break };
                write_record(record.borrow(), out);
                written += 1;
            }
            out[count..count + 4].copy_from_slice(&written.to_be_bytes());
            if records.peek().is_some() {
                out[kind] = IMAGE;
            }
        });
        out.write_all(&part)?;
        length += part.len() as u64;
        if records.peek().is_none() {
            return Ok(length);
        }
    }
}

fn write_change(change: &Change, out: &mut Vec<u8>) {
    out.push(CHANGE);
    out.extend_from_slice(&change.from.to_be_bytes());
    out.extend_from_slice(&change.to.to_be_bytes());
    out.extend_from_slice(&change.at.to_be_bytes());
    write_text(&change.by, out);
    for records in [&change.removed, &change.added] {
        out.extend_from_slice(&(records.len() as u32).to_be_bytes());
        records.iter().for_each(|record| write_record(record, out));
    }
}

fn write_text(text: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(&(text.len() as u32).to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

fn write_record(record: &Record, out: &mut Vec<u8>) {
    out.extend_from_slice(record.owner.as_wire());
    out.extend_from_slice(&record.rtype.to_be_bytes());
    out.extend_from_slice(&record.ttl.to_be_bytes());
    out.extend_from_slice(&(record.rdata.len() as u16).to_be_bytes());
    out.extend_from_slice(&record.rdata);
}

/// The payload of the frame at the start of `octets`, if it is whole and right.
fn whole_frame(octets: &[u8]) -> Option<&[u8]> {
    let length = u32::from_be_bytes(*octets.first_chunk::<4>()?) as usize;
    let sum = u32::from_be_bytes(octets.get(4..8)?.try_into().ok()?);
    let payload = octets.get(FRAME..FRAME + length.min(LONGEST + 1))?;
    (length > 0 && payload.len() == length && crc32fast::hash(payload) == sum).then_some(payload)
}

/// True where a right frame follows the wrong one at the start of `octets`, so that this is no torn end. Followed by its length where
/// that is believable; a torn end has nothing behind it.
fn any_frame_behind(octets: &[u8]) -> bool {
    let Some(length) = octets.first_chunk::<4>().map(|length| u32::from_be_bytes(*length) as usize) else { return false };
    octets.get(FRAME + length..).is_some_and(|behind| whole_frame(behind).is_some())
}

fn read_payload(payload: &[u8]) -> Option<Payload> {
    let mut octets = Octets(payload);
    let kind = octets.number::<1>()? as u8;
    let payload = match kind {
        IMAGE | IMAGE_END => {
            let serial = octets.number::<4>()? as u32;
            let settings = octets.text()?;
            let records = octets.records()?;
            Payload::Image { image: Image { settings, serial, records }, last: kind == IMAGE_END }
        }
        _ => {
            let (mut changes, mut settings) = (Vec::new(), None);
            let mut next = Some(kind);
            while let Some(kind) = next {
                match kind {
                    CHANGE => changes.push(octets.change()?),
                    SETTINGS => settings = Some(octets.text()?),
                    _ => return None,
                }
                next = octets.number::<1>().map(|kind| kind as u8);
            }
            Payload::Entries(changes, settings)
        }
    };
    octets.0.is_empty().then_some(payload)
}

/// What is left of a payload.
struct Octets<'o>(&'o [u8]);

impl<'o> Octets<'o> {
    fn take(&mut self, length: usize) -> Option<&'o [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn number<const N: usize>(&mut self) -> Option<u64> {
        Some(self.take(N)?.iter().fold(0, |number, octet| number << 8 | u64::from(*octet)))
    }

    fn text(&mut self) -> Option<String> {
        let length = self.number::<4>()? as usize;
        String::from_utf8(self.take(length)?.to_vec()).ok()
    }

    fn change(&mut self) -> Option<Change> {
        Some(Change {
            from: self.number::<4>()? as u32,
            to: self.number::<4>()? as u32,
            at: self.number::<8>()?,
            by: self.text()?,
            removed: self.records()?,
            added: self.records()?,
        })
    }

    fn records(&mut self) -> Option<Vec<Record>> {
        let count = self.number::<4>()? as usize;
        // A count that lies must not make room for what is not there: a record takes at least 9 octets.
        let mut records = Vec::with_capacity(count.min(self.0.len() / 9));
        for _ in 0..count {
            let owner = NameBuf::read(self.0).ok()?;
            self.take(owner.len())?;
            let rtype = self.number::<2>()? as u16;
            let ttl = self.number::<4>()? as u32;
            let length = self.number::<2>()? as usize;
            records.push(Record { owner: owner.to_wire_name(), rtype, ttl, rdata: self.take(length)?.into() });
        }
        Some(records)
    }
}

/// A rename or removal is on the disk only once its directory is.
fn sync_directory(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(parent)?.sync_all()
}

#[cfg(test)]
mod tests;
