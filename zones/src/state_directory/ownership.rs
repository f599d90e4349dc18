//! The state directory of an earlier run as root, which the user of the server takes over.

use std::fs;
use std::os::unix::fs::{MetadataExt, lchown};
use std::path::Path;

use super::LOCK;

/// Gives a directory that root made in an earlier run, and the files in it, to the user that the server becomes. A directory that belongs
/// to somebody else is left alone: its owner may have put links there.
pub(super) fn hand_over(path: &Path, (user, group): (u32, u32)) {
    let is_roots = |path: &Path| fs::symlink_metadata(path).is_ok_and(|found| found.uid() == 0 && found.mode() & 0o022 == 0);
    // A mistaken `state = "/etc"` must not give it away.
    if user == 0 || !is_roots(path) || !is_state(path) {
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

/// Small files that only a server writes beside its lock: the last accepted configuration, and the muted names.
const BESIDE_LOCK: [&str; 2] = ["configuration", "fallback-muted.json"];

/// Returns true if a directory holds journals or kept sources, or nothing but what every state directory has. A directory `zones` alone does
/// not count: the configuration may be there with its zone files.
fn is_state(path: &Path) -> bool {
    let entries = |path: &Path| fs::read_dir(path).into_iter().flatten().filter_map(Result::ok).collect::<Vec<_>>();
    let is_journal = |entry: &fs::DirEntry| Path::new(&entry.file_name()).extension().is_some_and(|extension| extension == "journal");
    let is_common = |entry: &fs::DirEntry| match entry.file_name().to_str() {
        Some(LOCK | "postern.sock") => true,
        Some(name) if BESIDE_LOCK.contains(&name) => path.join(LOCK).is_file(),
        Some("zones" | "sources") => entries(&entry.path()).is_empty(),
        _ => false,
    };
    entries(&path.join("zones")).iter().any(is_journal) || path.join("sources/index").is_file() || entries(path).iter().all(is_common)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_of_a_configuration_is_not_taken_for_a_state_directory() {
        for (files, is_ours) in [
            (&[][..], true),
            (&["lock", "postern.sock"], true),
            (&["lock", "zones/"], true),
            (&["lock", "configuration"], true),
            (&["lock", "configuration", "fallback-muted.json", "sources/"], true),
            (&["configuration"], false),
            (&["lock", "configuration", "postern.toml"], false),
            (&["zones/contoso.test.journal", "fallback-muted.json"], true),
            (&["sources/index", "sources/1"], true),
            (&["postern.toml", "zones/"], false),
            (&["zones/contoso.test.zone"], false),
            (&["sources/contoso.test.json"], false),
            (&["passwd"], false),
        ] {
            let directory = tempfile::tempdir().unwrap();
            for file in files {
                let path = directory.path().join(file);
                fs::create_dir_all(if file.ends_with('/') { &path } else { path.parent().unwrap() }).unwrap();
                if !file.ends_with('/') {
                    fs::write(path, "").unwrap();
                }
            }
            assert_eq!(is_state(directory.path()), is_ours, "{files:?}");
        }
    }
}
