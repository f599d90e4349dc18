//! One file of a source: when to read it, and what it held.
//!
//! A file is looked at by its stamp (size, times, inode); only another stamp makes it read, and only other bytes make it judged. While it
//! is still being written it is left alone: its stamp must have stood still for the settle time, and must be the same before and after
//! reading.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use postern_config::fingerprint;
use postern_config::model::SourceFormat;

use crate::stamp::Stamp;

mod log;
mod writers;

pub use log::{Census, FileCounts, RecordLog, Sorter, Strays};
pub use writers::OpenWriters;

/// Change times are coarse: within this time after one, bytes may change and the stamp not. The file is then read to be sure.
const COARSE: Duration = Duration::from_secs(2);
/// Tries to read a file that changes meanwhile, when it must be read now.
const TRIES: u32 = 40;
const BETWEEN_TRIES: Duration = Duration::from_millis(5);

/// The link that Kubernetes turns when a volume has new content.
const PUBLISHED: &str = "..data";

/// Whether what is still changing is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LookMode {
    /// A changed file is taken once it stands still.
    Settled,
    /// As it is: at start, and when somebody asks.
    Now,
}

/// A file of a source.
#[derive(Debug)]
pub struct SourceFile {
    /// Where it is.
    pub path: Arc<PathBuf>,
    /// SourceFormat that the configuration or the file name gives.
    pub format: SourceFormat,
    /// Index of the zone whose own file it is; none: its names may lie in any zone of the source.
    pub own: Option<usize>,
    /// Indices of the zones that share it. None if all zones of the source do.
    pub sharing: Option<Arc<[usize]>>,
    /// Records of its last good content, where they are kept.
    pub log: Option<Arc<RecordLog>>,
    /// How many records its last good content had, by file.
    pub counts: FileCounts,
    /// It was good once.
    pub was_good: bool,
    /// SourceFormat of its last good content.
    pub holds: SourceFormat,
    /// Problem of its content.
    pub error: Option<String>,
    /// True if nothing is wrong but how much is lost: the operator can accept the content as it is.
    pub is_held: bool,
    /// [`fingerprint`] of unfinished content that was logged already.
    pub logged_unfinished: Option<u64>,
    /// Why there is no content to judge.
    pub missing: Option<String>,
    /// Zones that have records of it, by index, while the file is gone. `None` while it is there.
    pub gone_from: Option<Vec<usize>>,
    /// When its last judged content changed.
    pub changed: Option<SystemTime>,
    /// Largest that it is read, bytes.
    pub most: u64,
    known: Option<Known>,
    candidate: Option<(Vec<Option<Stamp>>, Instant)>,
}

/// Result of a look at a file.
#[derive(Debug)]
pub enum FileLook {
    /// Nothing new.
    Same,
    /// It is being written: look again in this time.
    Waiting(Duration),
    /// New bytes.
    Changed(SettledContent),
    /// There is no such file.
    Gone,
    /// It is there and cannot be read.
    Unreadable(String),
    /// It has that many bytes, more than are read.
    TooLarge(u64),
}

/// Bytes of a file that stood still.
#[derive(Debug)]
pub struct SettledContent {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// How long the stamp has been seen to stand still.
    pub still: Duration,
    /// The stamp that the file had before and after it was read.
    pub stamp: Stamp,
}

/// The content that was judged last.
#[derive(Debug)]
struct Known {
    /// The file and what it includes.
    files: Vec<(PathBuf, Option<Stamp>, Option<u64>)>,
    /// Read so soon after a change that another one may have the same stamp.
    racy: bool,
}

impl SourceFile {
    /// A file that was not looked at yet.
    pub fn new(path: PathBuf, format: SourceFormat, own: Option<usize>) -> Self {
        Self {
            path: Arc::new(path),
            format,
            own,
            sharing: None,
            log: None,
            counts: FileCounts::default(),
            was_good: false,
            holds: format,
            error: None,
            is_held: false,
            logged_unfinished: None,
            missing: None,
            gone_from: None,
            changed: None,
            most: u64::MAX,
            known: None,
            candidate: None,
        }
    }

    /// A file whose content was read elsewhere. What is in it by now counts as read only where it is still that.
    pub fn held(file: &postern_config::WatchedFile) -> Self {
        let mut files = vec![(file.path.clone(), None, file.fingerprint)];
        if Stamp::of(&file.path).is_ok_and(|stamp| stamp.size <= postern_config::LARGEST)
            && let Ok(Some((bytes, stamp))) = read_still(&file.path, postern_config::LARGEST)
            && file.fingerprint == Some(fingerprint(&bytes))
        {
            files[0].1 = Some(stamp); // other content is found by the next look, once it stands still
        }
        let racy = is_racy(&files);
        // What is too large to be read there is no other content here.
        let (most, was_good) = (postern_config::LARGEST, file.fingerprint.is_some());
        Self { most, was_good, known: Some(Known { files, racy }), ..Self::new(file.path.clone(), SourceFormat::Auto, None) }
    }

    /// [`fingerprint`] of the content that was read last.
    pub fn fingerprint(&self) -> Option<u64> {
        self.known.as_ref()?.files[0].2
    }

    /// Why what was read from it cannot be read any more, where a look found that out; once for each reason.
    pub fn lost(&mut self, seen: &FileLook) -> Option<String> {
        let why = match seen {
            FileLook::Gone => "is gone".to_owned(),
            FileLook::Unreadable(why) => format!("cannot be read: {why}"),
            FileLook::TooLarge(size) => format!("cannot be read: it has {size} bytes, and at most {} are read", self.most),
            FileLook::Waiting(_) => return None,
            FileLook::Same | FileLook::Changed(_) => {
                self.missing = None;
                return None;
            }
        };
        let is_told = self.fingerprint().is_none() || self.missing.as_ref() == Some(&why);
        self.missing = Some(why.clone());
        (!is_told).then_some(why)
    }

    /// Returns the present problem of the file.
    pub fn problem(&self) -> Option<String> {
        self.missing.as_ref().or(self.error.as_ref()).cloned()
    }

    /// Returns true if the zone may have records from it: its own file, or one that is shared.
    pub fn is_of(&self, slot: usize) -> bool {
        match (self.own, &self.sharing) {
            (Some(own), _) => own == slot,
            (None, Some(zones)) => zones.contains(&slot),
            (None, None) => true,
        }
    }

    /// Makes the next look read it whatever its stamp says; its last good records stay.
    pub fn forget(&mut self) {
        (self.known, self.candidate, self.gone_from) = (None, None, None);
    }

    /// Paths to watch: the file and what it includes.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        let included = self.known.iter().flat_map(|known| &known.files).map(|(path, ..)| path.as_path());
        std::iter::once(self.path.as_path()).chain(included)
    }

    /// Looks whether there are new bytes. `now` is monotonic; the wall clock only tells how coarse a stamp is.
    pub fn look(&mut self, now: Instant, how: LookMode, settle: Duration) -> FileLook {
        let stamp = match Stamp::of(&self.path) {
            Ok(stamp) => stamp,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return self.gone(now, how, settle),
            Err(error) => return FileLook::Unreadable(plain(&error)),
        };
        if stamp.size > self.most {
            return FileLook::TooLarge(stamp.size);
        }
        let stamps = self.stamps(stamp);
        if let Some(known) = self.known.as_ref().filter(|known| known.has(&stamps))
            && (!known.racy || self.same_bytes(&stamps))
        {
            self.candidate = None;
            return FileLook::Same;
        }
        let since = self.seen_since(now, &stamps);
        if let Some(wait) = waits(now, since, settle).filter(|_| how == LookMode::Settled) {
            return FileLook::Waiting(wait);
        }
        let still = now.saturating_duration_since(since);
        let tries = if how == LookMode::Now { TRIES } else { 1 };
        for attempt in 0..tries {
            if attempt > 0 {
                std::thread::sleep(BETWEEN_TRIES);
            }
            match read_still(&self.path, self.most) {
                Ok(Some((bytes, stamp))) => {
                    if self.known.as_ref().is_some_and(|known| known.files[0].2 == Some(fingerprint(&bytes))) && self.same_bytes(&stamps) {
                        self.candidate = None;
                        return FileLook::Same;
                    }
                    return FileLook::Changed(SettledContent { bytes, still, stamp });
                }
                Ok(None) => {}
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {} // a link turned, and where it led went away
                Err(error) => return FileLook::Unreadable(plain(&error)),
            }
        }
        self.candidate = None;
        FileLook::Waiting(settle)
    }

    /// How long it takes until it will have stood still, while it is being written.
    pub fn settles_in(&mut self, now: Instant, settle: Duration) -> Option<Duration> {
        let stamps = self.stamps(Stamp::of(&self.path).ok()?);
        let is_known = self.known.as_ref().is_some_and(|known| known.has(&stamps));
        if is_known { None } else { waits(now, self.seen_since(now, &stamps), settle) }
    }

    /// It was changed since it was read.
    pub fn has_moved(&self) -> bool {
        let is_other = |known: &Known| Stamp::of(&self.path).is_ok_and(|stamp| !known.has(&self.stamps(stamp)));
        self.known.as_ref().is_some_and(is_other)
    }

    /// There is no such file. An editor may be about to put it back (rename to a backup, write anew), so that is a change like another.
    fn gone(&mut self, now: Instant, how: LookMode, settle: Duration) -> FileLook {
        let wait = waits(now, self.seen_since(now, &[None]), settle);
        wait.filter(|_| how == LookMode::Settled && self.was_good).map_or(FileLook::Gone, FileLook::Waiting)
    }

    /// Stamps of the file, which is given, and of what it includes.
    fn stamps(&self, own: Stamp) -> Vec<Option<Stamp>> {
        let included = self.known.iter().flat_map(|known| &known.files[1..]);
        std::iter::once(Some(own)).chain(included.map(|(path, ..)| Stamp::of(path).ok())).collect()
    }

    /// Since when it has been seen with these stamps. Not since the look at all sources began: much may have been read meanwhile, or the
    /// machine have stood still, and a file that is being written must not pass for one that nobody touches.
    fn seen_since(&mut self, now: Instant, stamps: &[Option<Stamp>]) -> Instant {
        match &self.candidate {
            Some((candidate, since)) if candidate == stamps => *since,
            _ => {
                let since = now.max(Instant::now());
                self.candidate = Some((stamps.to_vec(), since));
                since
            }
        }
    }

    /// Returns true if the file was written over with less than it had. Another file in its place (a rename, a link that turns) is whole,
    /// however small.
    pub fn has_shrunk(&self, content: &SettledContent) -> bool {
        match self.known.as_ref().map(|known| &known.files[0]) {
            Some((_, Some(before), _)) => self.is_in_place(content) && content.stamp.size < before.size,
            Some((_, None, print)) => print.is_some(), // other content by the time it was looked at: nothing to compare with
            None => false,
        }
    }

    /// Returns true if this is the file that was judged before, with other content.
    pub fn is_in_place(&self, content: &SettledContent) -> bool {
        let before = self.known.as_ref().and_then(|known| known.files[0].1);
        before.is_some_and(|before| before.identity() == content.stamp.identity())
    }

    /// Returns true if the file is reached through a link that is turned once everything behind it is written, as Kubernetes does with
    /// volumes (`..data`).
    pub fn is_published(&self) -> bool {
        let beside = |path: &Path| path.parent().is_some_and(|directory| directory.join(PUBLISHED).is_symlink());
        self.path.is_symlink() && beside(&self.path)
    }

    /// Takes note of judged content and the files that it included.
    pub fn judged(&mut self, content: &SettledContent, included: &[crate::text::IncludedFile]) {
        let mut files = vec![(self.path.to_path_buf(), Some(content.stamp), Some(fingerprint(&content.bytes)))];
        files.extend(included.iter().map(|file| (file.path.clone(), file.stamp, file.fingerprint)));
        self.changed = files.iter().filter_map(|(_, stamp, _)| stamp.as_ref()?.modified()).max();
        let racy = is_racy(&files);
        self.known = Some(Known { files, racy });
        self.candidate = None;
    }

    /// Reads everything that is known again and compares; where it is the same, the new stamps count. What could not be read is told by its
    /// stamp alone. A stamp says that it is a file: a FIFO or a device would never end.
    fn same_bytes(&mut self, stamps: &[Option<Stamp>]) -> bool {
        let most = self.most;
        let Some(known) = &mut self.known else { return false };
        let read = |path: &Path| {
            postern_config::open(path).and_then(|(mut file, metadata)| postern_config::read_whole(&mut file, metadata.len(), most))
        };
        let same = known.files.iter().zip(stamps).all(|((path, old, print), new)| match print {
            Some(print) => new.is_some() && read(path).is_ok_and(|bytes| fingerprint(&bytes) == *print),
            None => old == new,
        });
        if same {
            known.files.iter_mut().zip(stamps).for_each(|((_, old, _), new)| *old = *new);
            known.racy = is_racy(&known.files);
        }
        same
    }
}

impl Known {
    fn has(&self, stamps: &[Option<Stamp>]) -> bool {
        self.files.iter().map(|(_, stamp, _)| stamp).eq(stamps)
    }
}

impl SettledContent {
    /// When the file was last written.
    pub fn modified(&self) -> Option<SystemTime> {
        self.stamp.modified()
    }

    /// Returns true if it ends behind a line, or has none. Blanks behind the last line count for nothing.
    pub fn ends_a_line(&self) -> bool {
        let is_utf16 = self.bytes.starts_with(&[0xff, 0xfe]);
        let end = if is_utf16 { self.bytes.strip_suffix(&[0]).unwrap_or(&self.bytes) } else { &self.bytes };
        end.iter().rev().find(|octet| !matches!(octet, b' ' | b'\t')).is_none_or(|last| *last == b'\n')
    }

    /// For how long the file was not written, by what was seen of it or by its own time, whichever is longer.
    pub fn unwritten(&self) -> Duration {
        let age = self.modified().and_then(|modified| SystemTime::now().duration_since(modified).ok());
        self.still.max(age.unwrap_or_default())
    }
}

/// How long it takes until something that has been seen since then will have stood still.
fn waits(now: Instant, since: Instant, settle: Duration) -> Option<Duration> {
    (since + settle).checked_duration_since(now).filter(|wait| !wait.is_zero())
}

/// The bytes of a file that was the same before and after reading, by its handle and by its path. More than `most` is an error.
fn read_still(path: &Path, most: u64) -> std::io::Result<Option<(Vec<u8>, Stamp)>> {
    let (mut file, metadata) = postern_config::open(path)?;
    let before = Stamp::from(&metadata);
    let bytes = postern_config::read_whole(&mut file, before.size, most)?;
    let after = Stamp::from(&file.metadata()?);
    let named = Stamp::of(path)?;
    let still = before == after && after == named && bytes.len() as u64 == after.size;
    Ok(still.then_some((bytes, after)))
}

fn is_racy(files: &[(PathBuf, Option<Stamp>, Option<u64>)]) -> bool {
    let now = SystemTime::now();
    let modified = files.iter().filter_map(|(_, stamp, _)| stamp.as_ref()?.modified());
    modified
        .into_iter()
        .any(|modified| now.duration_since(modified).is_ok_and(|age| age < COARSE) || modified > now && modified < now + COARSE)
}

/// An error of the system without its number.
pub fn plain(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "no such file or directory".into(),
        std::io::ErrorKind::PermissionDenied => "permission denied".into(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests;
