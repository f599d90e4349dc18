//! Files of keys and certificates.

use std::io;
use std::path::{Path, PathBuf};

use postern_config::WatchedFile;
use postern_config::model::ApiConfig;

/// Files of keys and certificates, each read once: what is used is what a change is told by.
pub(super) struct CredentialFiles(Vec<(PathBuf, io::Result<Vec<u8>>)>);

impl CredentialFiles {
    pub(super) fn read(api: &ApiConfig) -> Self {
        let mut files: Vec<(PathBuf, io::Result<Vec<u8>>)> = Vec::new();
        for path in api.files() {
            if files.iter().all(|(other, _)| other != path) {
                files.push((path.clone(), postern_config::read(path)));
            }
        }
        Self(files)
    }

    /// Returns the content of a file, or the error that reading it gave.
    pub(super) fn content(&self, path: &Path) -> &io::Result<Vec<u8>> {
        let (_, content) = self.0.iter().find(|(other, _)| other == path).expect("every path that `[api]` has was read");
        content
    }

    pub(super) fn as_read(&self) -> Vec<WatchedFile> {
        self.0.iter().map(|(path, content)| WatchedFile::of(path, content)).collect()
    }
}
