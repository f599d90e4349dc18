//! The last accepted configuration, stored in the state directory for the next start.
//!
//! A reload rejects a file that drops most zones, networks or routes. A file that is truncated
//! while the server is down gets no reload, and its private names would be forwarded to the public
//! DNS. Startup therefore compares the file with the last accepted configuration. If the file drops
//! too much, the server uses the accepted configuration. The file counts as a rejected reload until
//! it is fixed or accepted.
//!
//! Sockets, the user and all other settings that need a restart follow the file. The stored
//! configuration belongs to the unprivileged user, and must not decide anything while the server is
//! root.

use std::path::Path;

use postern_config::{PosternConfig, WatchedFile, fingerprint};
use postern_zones::state_directory::StateDirectory;

use super::accept::AcceptedLoss;
use super::restart::keep_what_needs_a_restart;

/// Name of the file in the state directory.
const NAME: &str = "configuration";
/// Largest size that is read: the largest configuration and the last line.
const LARGEST: u64 = 5 << 20;
/// Prefix of the last line, which names the configuration file. Another file of the same directory
/// is a different configuration.
const LAST_LINE: &str = "# Last accepted content of ";

/// Stores the text of an applied configuration. If the file changed since it was read, the
/// following reload stores it.
pub fn keep(config: &PosternConfig, state: &StateDirectory) {
    let Some(path) = &config.path else { return };
    let read = config.files.iter().find(|file| file.path == *path).and_then(|file| file.fingerprint);
    let Ok(bytes) = postern_config::read(path) else { return };
    if read != Some(fingerprint(&bytes)) {
        return;
    }
    let kept = [bytes.as_slice(), last_line(path).as_bytes()].concat();
    if matches!(state.read(NAME, LARGEST), Ok(Some(before)) if before == kept) {
        return;
    }
    if let Err(error) = state.write_atomically(NAME, &kept) {
        tracing::warn!(target: "postern", "cannot store the accepted configuration; a truncated file would not be detected at the next start: {error}");
    }
}

/// Returns the last accepted configuration and the loss, if `config` would drop most of its zones,
/// networks or routes.
pub fn restore(config: &PosternConfig, state: &StateDirectory) -> Option<(PosternConfig, String)> {
    let path = config.path.as_deref()?;
    let bytes = state.read(NAME, LARGEST).unwrap_or_else(|error| {
        tracing::warn!(target: "postern", "cannot read the last accepted configuration; a loss would not be detected: {error}");
        None
    })?;
    let bytes = bytes.strip_suffix(last_line(path).as_bytes())?;
    let text = std::str::from_utf8(bytes).ok()?;
    let kept = match postern_config::parse(text, path) {
        Ok(loaded) => loaded.config,
        Err(problems) => {
            let why = problems.first().map(ToString::to_string).unwrap_or_default();
            tracing::warn!(target: "postern", "the last accepted configuration is no longer valid, so a loss is not noticed: {why}");
            return None;
        }
    };
    let loss = AcceptedLoss::default().check(&kept, config).err()?;
    let (mut kept, _) = keep_what_needs_a_restart(config, kept);
    kept.files = all_files(&config.files, &kept.files);
    Some((kept, loss))
}

fn last_line(path: &Path) -> String {
    format!("\n{LAST_LINE}{}\n", path.display())
}

/// Returns the files that the configuration file names now, and those that only the stored
/// configuration names.
fn all_files(now: &[WatchedFile], kept: &[WatchedFile]) -> Vec<WatchedFile> {
    let is_new = |file: &&WatchedFile| now.iter().all(|other| other.path != file.path);
    now.iter().chain(kept.iter().filter(is_new)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const FOUR: &str = "[server]\nlisten = ['127.0.0.1:0']\n[[zone]]\nname = 'a.test'\nfile = 'z'\n[[zone]]\nname = 'b.test'\nfile = 'z'\n\
                        [[zone]]\nname = 'c.test'\nfile = 'z'\n[[zone]]\nname = 'd.test'\nfile = 'z'\n";
    const ONE: &str = "[server]\nlisten = ['127.0.0.1:1']\n[[zone]]\nname = 'a.test'\nfile = 'z'\n";

    fn load(path: &Path, text: &str) -> PosternConfig {
        fs::write(path, text).unwrap();
        postern_config::load(path).unwrap().config
    }

    #[test]
    fn a_file_that_lost_most_zones_is_replaced_by_the_kept_one_without_what_needs_a_restart() {
        let directory = tempfile::tempdir().unwrap();
        let state = StateDirectory::claim(&directory.path().join("state"), None).unwrap();
        let (path, other) = (directory.path().join("postern.toml"), directory.path().join("other.toml"));
        let accepted = load(&path, FOUR);
        assert_eq!(restore(&accepted, &state), None, "nothing is kept yet");
        keep(&accepted, &state);
        assert_eq!(restore(&accepted, &state), None, "nothing is lost");
        assert_eq!(restore(&load(&other, ONE), &state), None, "another file is another configuration");
        for text in [ONE, "", "# nothing\n"] {
            let cut = load(&path, text);
            let (kept, loss) = restore(&cut, &state).expect("three zones and more are lost");
            assert!(loss.contains("zones: ") && loss.contains("postern reload --accept configuration"), "{loss}");
            assert_eq!((kept.zones.len(), &kept.server.listen), (4, &cut.server.listen), "{text}");
            assert_eq!(kept.files[0], cut.files[0], "the watch must compare with the content that was read");
        }
        keep(&load(&path, ONE), &state);
        assert_eq!(restore(&load(&path, ONE), &state), None, "it was accepted");
    }

    #[test]
    fn a_file_that_changed_since_it_was_read_is_not_kept() {
        let directory = tempfile::tempdir().unwrap();
        let state = StateDirectory::claim(&directory.path().join("state"), None).unwrap();
        let path = directory.path().join("postern.toml");
        let accepted = load(&path, FOUR);
        fs::write(&path, "[[zone]]\n").unwrap();
        keep(&accepted, &state);
        assert_eq!(state.read(NAME, LARGEST).unwrap(), None);
    }

    #[test]
    fn a_kept_configuration_that_is_no_longer_valid_changes_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let state = StateDirectory::claim(&directory.path().join("state"), None).unwrap();
        let path = directory.path().join("postern.toml");
        let cut = load(&path, ONE);
        for text in [format!("nonsense{}", last_line(&path)), FOUR.to_owned(), "\u{0}".to_owned()] {
            state.write_atomically(NAME, text.as_bytes()).unwrap();
            assert_eq!(restore(&cut, &state), None, "{text}");
        }
    }
}
