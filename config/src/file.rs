//! Files that a configuration consists of, and what was in them.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// A file that a configuration is written in or names, sources of zones apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Where it is.
    pub path: PathBuf,
    /// [`fingerprint`] of what was read from it; of a file that is read later (a key file, certificates), of what was in it when the
    /// configuration was read. So what comes after that is other content, however soon it comes. None: it could not be read.
    pub fingerprint: Option<u64>,
}

impl File {
    /// A file as it is now.
    pub fn now(path: &Path) -> Self {
        // A FIFO or a device would never end.
        let is_file = std::fs::metadata(path).is_ok_and(|metadata| metadata.is_file());
        let bytes = is_file.then(|| std::fs::read(path).ok()).flatten();
        Self { path: path.to_owned(), fingerprint: bytes.map(|bytes| fingerprint(&bytes)) }
    }
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
        assert_eq!(File::now(Path::new("/dev/zero")).fingerprint, None);
        assert_eq!(File::now(directory.path()).fingerprint, None);
    }
}
