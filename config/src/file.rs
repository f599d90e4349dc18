//! The files of a configuration and fingerprints of their contents.

use std::fs::{self, Metadata};
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use nix::fcntl::OFlag;

/// Largest file that is read, in bytes: enough for a hundred thousand keys.
pub const LARGEST: u64 = 16 << 20;

/// The configuration file or a file that it names, except sources of zones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchedFile {
    /// Path of the file.
    pub path: PathBuf,
    /// [`fingerprint`] of the content that was read last. For files that are read later (key files,
    /// certificates), it is the content when the configuration was read. Later content therefore
    /// counts as a change, however soon it appears. `None` if the file could not be read.
    pub fingerprint: Option<u64>,
}

impl WatchedFile {
    /// Creates an entry with the current content of a file.
    pub fn now(path: &Path) -> Self {
        Self::of(path, &read(path))
    }

    /// Creates an entry for content that was already read.
    pub fn of(path: &Path, bytes: &io::Result<Vec<u8>>) -> Self {
        Self { path: path.to_owned(), fingerprint: bytes.as_ref().ok().map(|bytes| fingerprint(bytes)) }
    }
}

/// Reads the bytes of a file that a configuration names.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let (mut file, metadata) = open(path)?;
    read_whole(&mut file, metadata.len(), LARGEST)
}

/// Opens a file for reading. A FIFO, a device or a directory is an error at once, because reading
/// it might never end.
pub fn open(path: &Path) -> io::Result<(fs::File, Metadata)> {
    require_file(&fs::metadata(path)?)?; // opening a device may have side effects
    // A FIFO may have replaced the file since the check, and opening it would block.
    let file = fs::File::options().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path)?;
    let metadata = file.metadata()?;
    require_file(&metadata)?;
    Ok((file, metadata))
}

/// Reads a file of `size` bytes to its end. Returns an error if it has more than `most` bytes, or
/// more than fit into memory.
pub fn read_whole(file: &mut fs::File, size: u64, most: u64) -> io::Result<Vec<u8>> {
    let too_large = |size: u64| io::Error::new(io::ErrorKind::FileTooLarge, format!("it has {size} bytes, and at most {most} are read"));
    if size > most {
        return Err(too_large(size));
    }
    let mut bytes = Vec::new();
    // One more byte, so that the end is found without growing.
    let room = usize::try_from(size).unwrap_or(usize::MAX).saturating_add(1);
    bytes.try_reserve_exact(room).map_err(|_| io::Error::new(io::ErrorKind::OutOfMemory, format!("no memory for its {size} bytes")))?;
    file.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most { Err(too_large(bytes.len() as u64)) } else { Ok(bytes) }
}

fn require_file(metadata: &Metadata) -> io::Result<()> {
    if metadata.is_file() { Ok(()) } else { Err(io::Error::other("not a file")) }
}

/// Returns a hash of the bytes. Hashes are comparable only within one run of the program.
pub fn fingerprint(bytes: &[u8]) -> u64 {
    use std::hash::BuildHasher;
    static SEED: OnceLock<foldhash::quality::RandomState> = OnceLock::new();
    SEED.get_or_init(Default::default).hash_one(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_follows_the_bytes() {
        assert_eq!(fingerprint(b"a"), fingerprint(b"a"));
        assert_ne!(fingerprint(b"a"), fingerprint(b"b"));
        assert_ne!(fingerprint(b""), fingerprint(b"\0"));
    }

    #[test]
    fn only_files_are_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("api.key");
        assert_eq!(WatchedFile::now(&path), WatchedFile { path: path.clone(), fingerprint: None });
        fs::write(&path, "a").unwrap();
        assert_eq!(WatchedFile::now(&path).fingerprint, Some(fingerprint(b"a")));
        let file = fs::File::options().write(true).open(&path).unwrap();
        file.set_len(LARGEST + 1).unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("at most 16777216 are read"));
        for path in [Path::new("/dev/zero"), directory.path()] {
            assert_eq!(read(path).unwrap_err().to_string(), "not a file");
            assert_eq!(WatchedFile::now(path).fingerprint, None);
        }
    }
}
