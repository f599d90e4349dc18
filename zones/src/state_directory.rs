//! The directory in which the server keeps its own data (`server.state`).
//!
//! ```text
//! lock             held (flock) for as long as the server runs; it names the process
//! zones/*.journal  zones whose writer is an API or a transfer: crate::journal
//! postern.sock     the API's socket, unless it is elsewhere
//! …                small files that StateDirectory::write_atomically wrote
//! ```
//! One server writes to a directory. A second one that is given the same directory refuses to start, because each would overwrite what the
//! other acknowledged. A directory that cannot be written is no reason not to start: what it holds is read and served. `postern check`
//! only looks ([`StateDirectory::inspect`]): it takes no lock and writes nothing.
//!
//! A small file is replaced as a whole: written beside, synced, renamed, and the directory synced. After a crash it has its old content or
//! its new one.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, chown, lchown};
use std::path::{Component, Path, PathBuf};

/// Name of the file that is locked.
const LOCK: &str = "lock";
/// The group may pass through to the socket, whose own mode (0660) says that it may use it. Nobody else gets in, and nobody lists names.
const DIRECTORY_MODE: u32 = 0o710;
/// Zones and names of clients stand in these files.
const FILE_MODE: u32 = 0o600;
/// Something to create and remove, to learn whether files can be created.
const PROBE: &str = ".writable";

/// A state directory, held by this server until this is dropped.
#[derive(Debug)]
pub struct StateDirectory {
    path: PathBuf,
    /// Locked; none: the directory is only inspected, or holds no lock and cannot be written.
    lock: Option<File>,
    /// Why nothing is written to it; none: it can be written.
    read_only: Option<String>,
    is_inspected: bool,
}

/// Why a server must not start on a state directory.
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
        let mut state = Self { path: path.to_owned(), lock: None, read_only: None, is_inspected: false };
        if let Err(error) = create_directory(path, owner) {
            state.read_only = Some(format!("{}: {error}", path.display()));
            return Ok(state);
        }
        if let Some(owner) = owner {
            hand_over(path, owner);
        }
        state.lock(owner)?;
        Ok(state)
    }

    /// The directory as it is, for a command that only looks.
    pub fn inspect(path: &Path) -> Self {
        let read_only = Some(format!("{}: only inspected", path.display()));
        Self { path: path.to_owned(), lock: None, read_only, is_inspected: true }
    }

    /// Finds out whether this user can create files, and logs it if not.
    pub fn probe(&mut self) {
        if self.read_only.is_none() {
            let probe = self.path.join(PROBE);
            let written = OpenOptions::new().write(true).create(true).truncate(true).open(&probe).and_then(|_| fs::remove_file(&probe));
            self.read_only = written.err().map(|error| format!("{}: {error}", self.path.display()));
        }
        if let Some(why) = &self.read_only {
            tracing::warn!("the state directory cannot be written; what it holds is served, changes of its zones are rejected: {why}");
        }
    }

    /// Returns true if a command only looks at what is there: it waits for nothing and keeps nothing.
    pub fn is_inspected(&self) -> bool {
        self.is_inspected
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Why nothing is written to the directory. Returns `None` if it can be written.
    pub fn read_only(&self) -> Option<&str> {
        self.read_only.as_deref()
    }

    /// Replaces a file by `octets`, or creates it. `name` is relative and may have directories, which are created. After a crash the file
    /// has its old content or the new one. A file has one writer at a time.
    pub fn write_atomically(&self, name: &str, octets: &[u8]) -> Result<(), StateFileError> {
        self.write_atomically_with(name, |file| file.write_all(octets))
    }

    /// As [`StateDirectory::write_atomically`], for content that is written piece by piece.
    pub fn write_atomically_with(&self, name: &str, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), StateFileError> {
        let path = self.path.join(name);
        let written = self.may_write(name).and_then(|()| {
            let parent = path.parent().unwrap_or(&self.path);
            if !parent.is_dir() {
                create_directory(parent, None)?;
                sync_directory(parent.parent().unwrap_or(parent))?;
            }
            let fresh = fresh(&path);
            let mut options = OpenOptions::new();
            let mut file = io::BufWriter::new(options.write(true).create(true).truncate(true).mode(FILE_MODE).open(&fresh)?);
            write(&mut file)?;
            file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
            fs::rename(&fresh, &path)?;
            sync_directory(parent)
        });
        written.map_err(|error| {
            let _ = fs::remove_file(fresh(&path)); // a full disk gets back what half a file took
            StateFileError { path, error }
        })
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
        let removed = self.may_write(name).and_then(|()| match fs::remove_file(&path) {
            Ok(()) => sync_directory(path.parent().unwrap_or(&self.path)),
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

    fn may_write(&self, name: &str) -> io::Result<()> {
        must_be_plain(name)?;
        self.read_only.as_ref().map_or(Ok(()), |_| Err(ErrorKind::ReadOnlyFilesystem.into()))
    }

    fn lock(&mut self, owner: Option<(u32, u32)>) -> Result<(), StateDirectoryError> {
        let path = self.path.join(LOCK);
        let open = |is_written| OpenOptions::new().read(true).write(is_written).create(is_written).mode(FILE_MODE).open(&path);
        // Without the right to write, a lock that is there can be taken all the same.
        let opened = open(true).or_else(|error| {
            self.read_only = Some(format!("{}: {error}", path.display()));
            open(false)
        });
        let Ok(mut file) = opened else { return Ok(()) }; // nothing is written, so nothing is lost
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                let _ = file.take(20).read_to_string(&mut text); // without a number the message is as true
                return Err(StateDirectoryError::InUse { path: self.path.clone(), process: text.trim().parse().ok() });
            }
            Err(TryLockError::Error(error)) => {
                tracing::warn!("{}: this file system cannot lock files, so nothing keeps a second server away: {error}", path.display());
            }
        }
        if self.read_only.is_none() {
            let named = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
            if let Err(error) = named.and_then(|()| owner.map_or(Ok(()), |(user, group)| chown(&path, Some(user), Some(group)))) {
                tracing::warn!("{}: {error}", path.display()); // it is locked, which counts
            }
        }
        self.lock = Some(file);
        Ok(())
    }
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
    fs::set_permissions(path, Permissions::from_mode(DIRECTORY_MODE))?; // whatever the umask takes away
    owner.map_or(Ok(()), |(user, group)| chown(path, Some(user), Some(group)))
}

/// Gives a directory that root made in an earlier run, and the files in it, to the user that the server becomes. A directory that belongs
/// to somebody else is left alone: its owner may have put links there.
fn hand_over(path: &Path, (user, group): (u32, u32)) {
    let is_roots = |path: &Path| fs::symlink_metadata(path).is_ok_and(|found| found.uid() == 0 && found.mode() & 0o022 == 0);
    let is_ours = || {
        let entries = fs::read_dir(path).into_iter().flatten().filter_map(Result::ok);
        path.join("zones").is_dir()
            || path.join("sources").is_dir()
            || entries.map(|entry| entry.file_name()).all(|name| name == LOCK || name == "postern.sock")
    };
    // A mistaken `state = "/etc"` must not give it away.
    if user == 0 || !is_roots(path) || !is_ours() {
        return;
    }
    let give = |path: &Path| {
        if let Err(error) = lchown(path, Some(user), Some(group)) {
            tracing::warn!("{}: cannot be given to user {user}: {error}", path.display());
        }
    };
    let files_in = |path: &Path| {
        let entries = fs::read_dir(path).into_iter().flatten().filter_map(Result::ok);
        entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file())).map(|entry| entry.path()).collect::<Vec<_>>()
    };
    for directory in ["zones", "sources"].map(|name| path.join(name)).iter().filter(|directory| is_roots(directory)) {
        files_in(directory).iter().for_each(|file| give(file));
        give(directory);
    }
    files_in(path).iter().for_each(|file| give(file));
    give(path);
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

/// A rename or removal is on the disk only once its directory is.
pub(crate) fn sync_directory(path: &Path) -> io::Result<()> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    File::open(path)?.sync_all()
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
    fn a_file_is_replaced_as_a_whole_and_read_within_its_bound() {
        let directory = tempfile::tempdir().unwrap();
        let mut state = StateDirectory::claim(directory.path(), None).unwrap();
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
            let mut state = StateDirectory::claim(&directory.path().join(path), None).unwrap();
            state.probe();
            assert!(state.read_only().is_some_and(|why| why.contains(path)), "{path}");
            assert_eq!(state.write_atomically("muted", b"one").unwrap_err().error.kind(), ErrorKind::ReadOnlyFilesystem);
        }
    }
}
