//! Files that a configuration consists of, and what was in them.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Largest file that is read, bytes: a hundred thousand keys.
pub const LARGEST: u64 = 16 << 20;

/// A file that a configuration is written in or names, sources of zones apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Where it is.
    pub path: PathBuf,
    /// [`fingerprint`] of what was read from it last; of a file that is read later (a key file, certificates), of what was in it when the
    /// configuration was read. So what comes after that is other content, however soon it comes. None: it could not be read.
    pub fingerprint: Option<u64>,
}

impl File {
    /// A file as it is now.
    pub fn now(path: &Path) -> Self {
        Self::of(path, &read(path))
    }

    /// A file of which this was read.
    pub fn of(path: &Path, bytes: &io::Result<Vec<u8>>) -> Self {
        Self { path: path.to_owned(), fingerprint: bytes.as_ref().ok().map(|bytes| fingerprint(bytes)) }
    }
}

/// The bytes of a file that a configuration names. A FIFO or a device would never end, and who reads it again would wait for ever.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let metadata = std::fs::metadata(path)?;
    if !metadata.is_file() {
        return Err(io::Error::other("not a file"));
    }
    if metadata.len() > LARGEST {
        return Err(io::Error::other(format!("it has {} bytes, and at most {LARGEST} are read", metadata.len())));
    }
    std::fs::read(path)
}

/// A number that changes when the bytes do; the same for the same bytes only within one run of the program.
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
        assert_eq!(File::now(&path), File { path: path.clone(), fingerprint: None });
        std::fs::write(&path, "a").unwrap();
        assert_eq!(File::now(&path).fingerprint, Some(fingerprint(b"a")));
        let file = std::fs::File::options().write(true).open(&path).unwrap();
        file.set_len(LARGEST + 1).unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("at most 16777216 are read"));
        for path in [Path::new("/dev/zero"), directory.path()] {
            assert_eq!(read(path).unwrap_err().to_string(), "not a file");
            assert_eq!(File::now(path).fingerprint, None);
        }
    }
}
