//! The directory in which the server keeps its own data (`server.state`).
//!
//! ```text
//! lock             held (flock) for as long as the server runs; it names the process
//! zones/*.journal  zones whose writer is an API or a transfer: crate::journal
//! postern.sock     the API's socket, unless it is elsewhere
//! configuration    the last accepted configuration, with its secrets
//! azure/*.json     the last good private endpoints of each reader
//! …                small files that StateDirectory::write_atomically wrote
//! ```
//! One server writes to a directory. A second one that is given the same directory refuses to start, because each would overwrite what the
//! other acknowledged. A directory that cannot be written is no reason not to start: what it holds is read and served. `postern check`
//! only looks ([`StateDirectory::inspect`]): it takes no lock and writes nothing.
//!
//! A small file is replaced as a whole: written beside, synced, renamed, and the directory synced. After a crash it has its old content or
//! its new one.

mod ownership;
mod sync;
mod trouble;

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Component, Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use nix::fcntl::OFlag;

use ownership::hand_over;
pub(crate) use sync::OpenDirectory;
#[cfg(test)]
pub(crate) use sync::faults;
pub use trouble::{StateProblem, StateTrouble};

/// Name of the file that is locked.
const LOCK: &str = "lock";
/// The group may pass through to the socket, whose own mode (0660) says that it may use it. Nobody else gets in, and nobody lists names.
const DIRECTORY_MODE: u32 = 0o710;
/// Zones and names of clients stand in these files.
pub(crate) const FILE_MODE: u32 = 0o600;
/// Something to create and remove, to learn whether files can be created.
const PROBE: &str = ".writable";
/// How often a lock that is taken is tried again, and after what time.
const LOCK_TRIES: u32 = 5;
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// A state directory, held by this server until this is dropped. Safe to share between threads.
#[derive(Debug)]
pub struct StateDirectory {
    path: PathBuf,
    /// None: the directory is only inspected.
    held: Option<Mutex<HeldDirectory>>,
    /// The present problems, by path.
    troubles: Mutex<BTreeMap<PathBuf, StateTrouble>>,
}

/// State of a directory that this server holds.
#[derive(Debug, Default)]
struct HeldDirectory {
    /// None: there is no lock that could be taken, and nothing is written.
    lock: Option<File>,
    /// Device and inode of the directory and of the lock, when they were last seen.
    places: (Option<Place>, Option<Place>),
    /// Why nothing is written to it; none: it can be written.
    read_only: Option<String>,
}

/// Device and inode.
type Place = (u64, u64);

/// Why a state directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateDirectoryError {
    /// Another server runs on it.
    #[error(
        "state directory {path} is in use by another server{}. help: stop that server first, or give this one a directory of its own \
         (`server.state`)", process.as_ref().map_or(String::new(), |process| format!(" (process {process})"))
    )]
    InUse {
        /// The directory.
        path: PathBuf,
        /// Number of the process that holds it, as the lock file names it.
        process: Option<u32>,
    },
    /// It cannot be written.
    #[error("the state directory cannot be written: {0}")]
    ReadOnly(String),
}

/// A file of the state directory that could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {error}")]
pub struct StateFileError {
    /// The file.
    pub path: PathBuf,
    /// Why.
    pub error: io::Error,
}

impl StateDirectory {
    /// Creates the directory if it is missing, gives it to `owner` (user and group) if one is named, and locks it. Call this before
    /// privileges are given up, and [`StateDirectory::probe`] after.
    pub fn claim(path: &Path, owner: Option<(u32, u32)>) -> Result<Self, StateDirectoryError> {
        if let Some(owner) = owner {
            hand_over(path, owner);
        }
        let mut held = HeldDirectory::default();
        held.renew(path, owner)?;
        Ok(Self { path: path.to_owned(), held: Some(Mutex::new(held)), troubles: Mutex::default() })
    }

    /// The directory as it is, for a command that only looks.
    pub fn inspect(path: &Path) -> Self {
        Self { path: path.to_owned(), held: None, troubles: Mutex::default() }
    }

    /// Number of the process that holds a directory. Returns `None` if no server does, or its lock cannot be read.
    pub fn holder(path: &Path) -> Option<u32> {
        let mut file = File::open(path.join(LOCK)).ok()?;
        let is_held = matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock));
        let mut text = String::new();
        let _ = (&mut file).take(20).read_to_string(&mut text);
        text.trim().parse().ok().filter(|_| is_held)
    }

    /// Finds out whether this user can create files, and logs it if not.
    pub fn probe(&self) {
        let Some(mut held) = self.held() else { return };
        held.read_only = held.read_only.take().or_else(|| probe(&self.path, 0).err());
        if let Some(why) = &held.read_only {
            tracing::warn!("cannot write to the state directory; serving its zones and rejecting changes: {why}");
        }
    }

    /// Returns true if a command only looks at what is there: it waits for nothing and keeps nothing.
    pub fn is_inspected(&self) -> bool {
        self.held.is_none()
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Why nothing is written to the directory. Returns `None` if it can be written.
    pub fn read_only(&self) -> Option<String> {
        match self.held() {
            Some(held) => held.read_only.clone(),
            None => Some("it is only inspected".into()),
        }
    }

    /// Makes sure that the directory is there, is the one that this server holds, and can be written. One that was removed or replaced is
    /// made and locked anew. Call this before anything is acknowledged; it costs two calls of stat(2).
    pub fn verify(&self) -> Result<(), StateDirectoryError> {
        let Some(mut held) = self.held() else { return Err(StateDirectoryError::ReadOnly("it is only inspected".into())) };
        let is_ours = held.places == (place_of(&self.path), place_of(&self.path.join(LOCK)));
        if is_ours && held.read_only.is_none() {
            return Ok(());
        }
        held.renew(&self.path, None)?;
        if !is_ours {
            tracing::warn!("{}: the state directory was removed or replaced; locked it again", self.path.display());
        }
        held.read_only = held.read_only.take().or_else(|| probe(&self.path, 0).err());
        held.read_only.clone().map_or(Ok(()), |why| Err(StateDirectoryError::ReadOnly(why)))
    }

    /// As [`StateDirectory::verify`]. It also finds out when a file system has become read-only since, and shows the result among
    /// [`StateDirectory::troubles`].
    pub fn check(&self) -> Result<(), StateDirectoryError> {
        if let Some(mut held) = self.held().filter(|held| held.read_only.is_none()) {
            let opened = OpenOptions::new().write(true).open(self.path.join(LOCK));
            held.read_only = opened.err().filter(|error| error.kind() == ErrorKind::ReadOnlyFilesystem).map(|error| error.to_string());
        }
        let checked = self.verify();
        self.note(&self.path, checked.as_ref().err());
        checked
    }

    /// Returns true if a file of 64 KiB can be written.
    pub fn has_room(&self) -> bool {
        self.verify().is_ok() && probe(&self.path, 64 << 10).is_ok()
    }

    /// Notes the result of writing a file. [`StateDirectory::troubles`] shows an error until the file is written again. New errors are
    /// logged.
    pub fn note(&self, path: &Path, error: Option<&impl ToString>) {
        self.note_problem(path, StateProblem::Unwritable, error);
    }

    /// As [`StateDirectory::note`], for a problem of any kind.
    pub fn note_problem(&self, path: &Path, problem: StateProblem, error: Option<&impl ToString>) {
        let mut troubles = self.lock_troubles();
        let Some(why) = error.map(ToString::to_string) else {
            if let Some(StateTrouble { problem, .. }) = troubles.remove(path) {
                tracing::info!("{}: {}", path.display(), problem.end());
            }
            return;
        };
        match troubles.get_mut(path) {
            Some(trouble) if trouble.problem == problem => trouble.why = why,
            _ => {
                tracing::error!("{}: {problem}: {why}", path.display());
                let path = path.to_owned();
                troubles.insert(path.clone(), StateTrouble { path, since: SystemTime::now(), problem, why });
            }
        }
    }

    /// Ends the problems of this kind, except those of some files.
    pub fn end_problems(&self, problem: StateProblem, except: &[PathBuf]) {
        self.lock_troubles().retain(|path, trouble| trouble.problem != problem || except.contains(path));
    }

    /// The present problems, sorted by name. The directory itself comes first.
    pub fn troubles(&self) -> Vec<StateTrouble> {
        self.lock_troubles().values().cloned().collect()
    }

    /// The present problem of a file. Returns `None` if it has none.
    pub fn trouble(&self, path: &Path) -> Option<StateTrouble> {
        self.lock_troubles().get(path).cloned()
    }

    /// Returns true if the last attempt to write this file failed.
    pub fn is_troubled(&self, path: &Path) -> bool {
        self.lock_troubles().contains_key(path)
    }

    fn lock_troubles(&self) -> MutexGuard<'_, BTreeMap<PathBuf, StateTrouble>> {
        self.troubles.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn held(&self) -> Option<MutexGuard<'_, HeldDirectory>> {
        self.held.as_ref().map(|held| held.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Replaces a file by `octets`, or creates it. `name` is relative and may have directories, which are created. After a crash the file
    /// has its old content or the new one. A file has one writer at a time.
    pub fn write_atomically(&self, name: &str, octets: &[u8]) -> Result<(), StateFileError> {
        self.write_atomically_with(name, |file| file.write_all(octets))
    }

    /// As [`StateDirectory::write_atomically`], for content that is written piece by piece.
    pub fn write_atomically_with(&self, name: &str, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), StateFileError> {
        let path = self.path.join(name);
        must_be_plain(name).map_err(|error| StateFileError { path: path.clone(), error })?;
        let written = self.may_write().and_then(|()| {
            let parent = path.parent().unwrap_or(&self.path);
            if !parent.is_dir() {
                create_directory(parent, None)?;
                OpenDirectory::of(parent)?.sync()?;
            }
            let fresh = fresh(&path);
            let mut file = io::BufWriter::new(create_fresh(&fresh)?);
            write(&mut file)?;
            file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
            let directory = OpenDirectory::open(parent)?;
            fs::rename(&fresh, &path)?;
            directory.sync()
        });
        if written.is_err() {
            let _ = fs::remove_file(fresh(&path)); // a full disk gets back what half a file took
        }
        self.note(&path, written.as_ref().err());
        written.map_err(|error| StateFileError { path, error })
    }

    /// The content of a file. Returns `None` if it does not exist. A file of more than `most` octets is an error.
    pub fn read(&self, name: &str, most: u64) -> Result<Option<Vec<u8>>, StateFileError> {
        let path = self.path.join(name);
        let mut octets = Vec::new();
        let read = must_be_plain(name).and_then(|()| File::open(&path)?.take(most.saturating_add(1)).read_to_end(&mut octets));
        match read {
            Ok(length) if length as u64 > most => {
                let error = io::Error::new(ErrorKind::FileTooLarge, format!("longer than {most} octets"));
                Err(StateFileError { path, error })
            }
            Ok(_) => Ok(Some(octets)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(StateFileError { path, error }),
        }
    }

    /// Removes a file. One that does not exist is no error.
    pub fn remove(&self, name: &str) -> Result<(), StateFileError> {
        let path = self.path.join(name);
        let removed = must_be_plain(name).and_then(|()| self.may_write()).and_then(|()| match fs::remove_file(&path) {
            Ok(()) => OpenDirectory::of(&path)?.sync(),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        });
        removed.map_err(|error| StateFileError { path, error })
    }

    /// Names of the files in a directory that [`StateDirectory::write_atomically`] created, sorted; none if it does not exist.
    pub fn names(&self, directory: &str) -> Result<Vec<String>, StateFileError> {
        let path = self.path.join(directory);
        let listed = must_be_plain(directory).and_then(|()| fs::read_dir(&path)?.collect::<io::Result<Vec<_>>>());
        let entries = match listed {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(StateFileError { path, error }),
        };
        let is_file = |entry: &fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_file());
        let names = entries.iter().filter(|entry| is_file(entry)).filter_map(|entry| entry.file_name().into_string().ok());
        let mut names: Vec<String> = names.filter(|name| !name.starts_with('.')).collect();
        names.sort();
        Ok(names)
    }

    fn may_write(&self) -> io::Result<()> {
        self.verify().map_err(|error| match error {
            StateDirectoryError::ReadOnly(why) => io::Error::new(ErrorKind::ReadOnlyFilesystem, why),
            in_use => io::Error::new(ErrorKind::ResourceBusy, in_use.to_string()),
        })
    }
}

impl HeldDirectory {
    /// Creates the directory and takes its lock, unless it is held already. A directory without a lock that could be taken is read-only.
    fn renew(&mut self, path: &Path, owner: Option<(u32, u32)>) -> Result<(), StateDirectoryError> {
        let lock = path.join(LOCK);
        let renewed = create_directory(path, owner).map_err(|error| format!("{}: {error}", path.display())).and_then(|()| {
            let is_held = self.lock.is_some() && self.places.1.is_some() && self.places.1 == place_of(&lock);
            Ok(if is_held { None } else { Some(take_lock(&lock, owner).map_err(|error| format!("{}: {error}", lock.display()))?) })
        });
        match renewed {
            Ok(None) => self.read_only = None,
            Ok(Some(Ok(file))) => (self.lock, self.read_only) = (Some(file), None),
            Ok(Some(Err(process))) => return Err(StateDirectoryError::InUse { path: path.to_owned(), process }),
            Err(why) => (self.lock, self.read_only) = (None, Some(why)),
        }
        self.places = (place_of(path), place_of(&lock));
        Ok(())
    }
}

/// Takes a lock. Returns the number of the process that holds it, as far as it is known, if another one does.
fn take_lock(path: &Path, owner: Option<(u32, u32)>) -> io::Result<Result<File, Option<u32>>> {
    // Root does this in a directory of another user, who may have put a link or a pipe there.
    let flags = (OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits();
    let open =
        |is_written| OpenOptions::new().read(true).write(is_written).create(is_written).mode(FILE_MODE).custom_flags(flags).open(path);
    let no_file =
        || io::Error::other("a link or no regular file, so it is not used as the lock. help: remove it, and start the server again");
    if fs::symlink_metadata(path).is_ok_and(|found| !found.is_file()) {
        return Err(no_file());
    }
    // Without the right to write, a lock that is there can be taken all the same.
    let (mut file, is_written) = match open(true) {
        Ok(file) => (file, true),
        Err(error) => (open(false).map_err(|_| error)?, false),
    };
    let found = file.metadata()?;
    if !found.is_file() || found.nlink() > 1 {
        return Err(no_file());
    }
    // A command that looks who holds the lock has it for a moment.
    let tries = (0..LOCK_TRIES).map(|number| {
        std::thread::sleep(if number == 0 { Duration::ZERO } else { LOCK_PAUSE });
        file.try_lock()
    });
    let is_decided = |tried: &Result<(), TryLockError>| !matches!(tried, Err(TryLockError::WouldBlock));
    match tries.into_iter().find(is_decided).unwrap_or(Err(TryLockError::WouldBlock)) {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut text = String::new();
            let _ = file.take(20).read_to_string(&mut text); // without a number the message is as true
            return Ok(Err(text.trim().parse().ok()));
        }
        Err(TryLockError::Error(error)) => {
            tracing::warn!(
                "{}: the file system does not support locks, so a second server could use the directory: {error}",
                path.display()
            );
        }
    }
    if is_written {
        let named = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
        if let Err(error) = named.and_then(|()| owner.map_or(Ok(()), |(user, group)| fchown(&file, Some(user), Some(group)))) {
            tracing::warn!("{}: {error}", path.display()); // it is locked, which counts
        }
    }
    Ok(Ok(file))
}

/// Creates a file of this length, syncs it, and removes it.
fn probe(path: &Path, octets: usize) -> Result<(), String> {
    let probe = path.join(PROBE);
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).custom_flags(OFlag::O_NOFOLLOW.bits());
    let written = options.open(&probe).and_then(|mut file| {
        file.write_all(&vec![0; octets])?;
        if octets > 0 { file.sync_all() } else { Ok(()) }
    });
    let removed = if probe.exists() { fs::remove_file(&probe) } else { Ok(()) };
    written.and(removed).map_err(|error| format!("{}: {error}", path.display()))
}

fn place_of(path: &Path) -> Option<Place> {
    fs::metadata(path).ok().map(|found| (found.dev(), found.ino()))
}

/// Creates a directory and those that lead to it. The last one belongs to `owner`.
fn create_directory(path: &Path, owner: Option<(u32, u32)>) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    DirBuilder::new().mode(DIRECTORY_MODE).create(path)?;
    let made = OpenOptions::new().read(true).custom_flags((OFlag::O_NOFOLLOW | OFlag::O_DIRECTORY).bits()).open(path)?;
    made.set_permissions(Permissions::from_mode(DIRECTORY_MODE))?; // whatever the umask takes away
    owner.map_or(Ok(()), |(user, group)| fchown(&made, Some(user), Some(group)))
}

/// Creates a file that nobody else has open. A file or a link of that name is removed, never written to.
pub(crate) fn create_fresh(path: &Path) -> io::Result<File> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => OpenOptions::new().read(true).write(true).create_new(true).mode(FILE_MODE).open(path),
    }
}

/// Where new content is written until it is whole: a name with a dot in front, which no file of the server has.
fn fresh(path: &Path) -> PathBuf {
    let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    path.with_file_name(format!(".{name}.new"))
}

fn must_be_plain(name: &str) -> io::Result<()> {
    let is_plain = !name.is_empty() && Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
    let invalid = || io::Error::new(ErrorKind::InvalidInput, format!("`{name}` is no name in the state directory"));
    if is_plain { Ok(()) } else { Err(invalid()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_server_on_one_directory_is_refused_with_the_number_of_the_first() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("new/state");
        let first = StateDirectory::claim(&path, None).unwrap();
        let refused = StateDirectory::claim(&path, None).unwrap_err().to_string();
        let ours = std::process::id();
        assert!(refused.contains(&format!("{} is in use by another server (process {ours})", path.display())), "{refused}");
        assert_eq!(StateDirectory::inspect(&path).read("none", 9).unwrap(), None, "who only looks needs no lock");
        drop(first);
        StateDirectory::claim(&path, None).expect("it is free again");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, DIRECTORY_MODE);
    }

    #[test]
    fn a_lock_that_is_a_link_is_not_followed() {
        let parent = tempfile::tempdir().unwrap();
        let (state, other) = (parent.path().join("state"), parent.path().join("other"));
        fs::create_dir(&state).unwrap();
        for is_there in [true, false] {
            let _ = fs::remove_file(&other);
            if is_there {
                fs::write(&other, "kept").unwrap();
            }
            std::os::unix::fs::symlink(&other, state.join(LOCK)).unwrap();
            let claimed = StateDirectory::claim(&state, None).unwrap();
            assert!(claimed.read_only().is_some_and(|why| why.contains("lock: a link or no regular file")), "{claimed:?}");
            assert_eq!(fs::read_to_string(&other).ok().as_deref(), is_there.then_some("kept"));
            fs::remove_file(state.join(LOCK)).unwrap();
        }
        fs::write(&other, "kept").unwrap();
        fs::hard_link(&other, state.join(LOCK)).unwrap();
        assert!(StateDirectory::claim(&state, None).unwrap().read_only().is_some());
        assert_eq!(fs::read_to_string(&other).unwrap(), "kept");
    }

    #[test]
    fn what_stands_in_the_place_of_new_content_is_not_written_to() {
        let directory = tempfile::tempdir().unwrap();
        let state = StateDirectory::claim(&directory.path().join("state"), None).unwrap();
        let other = directory.path().join("other");
        fs::write(&other, "kept").unwrap();
        std::os::unix::fs::symlink(&other, state.path().join(".muted.new")).unwrap();
        state.write_atomically("muted", b"one").unwrap();
        assert_eq!((fs::read_to_string(&other).unwrap().as_str(), state.read("muted", 9).unwrap().unwrap()), ("kept", b"one".to_vec()));
        assert!(fs::symlink_metadata(state.path().join("muted")).unwrap().is_file());
    }

    #[test]
    fn a_file_is_replaced_as_a_whole_and_read_within_its_bound() {
        let directory = tempfile::tempdir().unwrap();
        let state = StateDirectory::claim(directory.path(), None).unwrap();
        state.probe();
        assert_eq!(state.read_only(), None);
        assert_eq!(state.read("muted", 100).unwrap(), None);
        state.write_atomically("muted", b"one").unwrap();
        state.write_atomically("muted", b"two").unwrap();
        state.write_atomically("last/contoso.test", b"zone").unwrap();
        state.write_atomically("last/fabrikam.test", b"zone").unwrap();
        assert_eq!(state.read("muted", 3).unwrap().unwrap(), b"two");
        assert!(state.read("muted", 2).unwrap_err().to_string().contains("longer than 2 octets"));
        assert_eq!(state.names("last").unwrap(), ["contoso.test", "fabrikam.test"]);
        state.remove("last/contoso.test").unwrap();
        state.remove("last/contoso.test").expect("what is gone is removed");
        assert_eq!(state.names("last").unwrap(), ["fabrikam.test"]);
        assert_eq!(state.names("none").unwrap(), Vec::<String>::new());
        let failed = state.write_atomically_with("muted", |_| Err(io::Error::other("no space"))).unwrap_err().to_string();
        assert!(failed.contains("muted: no space"), "{failed}");
        assert_eq!(state.read("muted", 3).unwrap().unwrap(), b"two", "the old content stays");
        assert_eq!(
            state.names("last").unwrap().len() + fs::read_dir(directory.path()).unwrap().count(),
            1 + 3,
            "nothing half written stays"
        );
        for name in ["", "../muted", "/etc/passwd", "a/../b"] {
            assert!(state.write_atomically(name, b"").is_err() && state.read(name, 9).is_err(), "{name}");
        }
    }

    #[test]
    fn a_directory_that_cannot_be_made_is_read_only_and_a_file_in_its_place_too() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("file"), "").unwrap();
        for path in ["file", "file/state"] {
            let state = StateDirectory::claim(&directory.path().join(path), None).unwrap();
            state.probe();
            assert!(state.read_only().is_some_and(|why| why.contains(path)), "{path}");
            assert_eq!(state.write_atomically("muted", b"one").unwrap_err().error.kind(), ErrorKind::ReadOnlyFilesystem);
        }
    }
}
