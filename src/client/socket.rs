//! Location of a running server's UNIX socket, and errors of opening it.

use std::fs;
use std::io::{Error, ErrorKind};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use nix::unistd::{Gid, Group, Uid, User};

/// Directory that the packaged unit creates with `RuntimeDirectory=`.
const USUAL: &str = "/run/postern/postern.sock";
/// Name of the socket in the state directory.
const NAME: &str = "postern.sock";

/// Returns the socket that the configuration names, or the default location of the unit.
pub fn find(config: Option<&Path>) -> Result<PathBuf, String> {
    let found = crate::serve::PLACES.iter().map(PathBuf::from).find(|path| path.exists());
    let usual = PathBuf::from(USUAL);
    let Some(path) = config.map(Path::to_path_buf).or(found) else { return Ok(usual) };
    let loaded = match postern_config::load(&path) {
        Ok(loaded) => loaded,
        Err(refused) => return of_broken(&path, refused.problems.first().map(ToString::to_string).unwrap_or_default()),
    };
    let api = loaded.config.api;
    // systemd passes the unit's directory to the server only.
    match api.socket {
        Some(socket) if api.socket_is_named || socket.exists() || !usual.exists() => Ok(socket),
        Some(_) => Ok(usual),
        None => Err(format!("error: {} has no socket for the API (`api.socket = false`). help: name its URL with --url", path.display())),
    }
}

/// Returns the socket of a server whose configuration file became invalid while it runs: the
/// location that the file still names, or the default.
fn of_broken(path: &Path, problem: String) -> Result<PathBuf, String> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let directory = path.parent().unwrap_or(Path::new(""));
    let named = |section, key| value(&text, section, key).map(|value| directory.join(value));
    let state = named("server", "state").unwrap_or_else(|| directory.join("state"));
    let places = [named("api", "socket"), Some(state.join(NAME)), Some(PathBuf::from(USUAL))];
    let is_socket = |place: &PathBuf| fs::metadata(place).is_ok_and(|metadata| metadata.file_type().is_socket());
    match places.into_iter().flatten().find(is_socket) {
        Some(socket) => {
            eprintln!("warning: the configuration is broken: {problem}\nwarning: asking the server at {}", socket.display());
            Ok(socket)
        }
        None => {
            Err(format!("{problem}\nerror: the configuration is broken, and no socket is where it may be. help: name it with --socket"))
        }
    }
}

/// Returns the string of a key in a section. The file need not be valid TOML as a whole.
fn value(text: &str, section: &str, key: &str) -> Option<String> {
    let mut current = "";
    for line in text.lines().map(str::trim) {
        if let Some(header) = line.strip_prefix('[') {
            current = header.split(']').next().unwrap_or_default().trim();
        }
        let Some((name, value)) = line.split_once('=').filter(|_| current == section) else { continue };
        let value = value.trim();
        let quote = value.chars().next().filter(|quote| name.trim() == key && matches!(quote, '"' | '\''));
        if let Some(end) = quote.and_then(|quote| value[1..].find(quote)) {
            return Some(value[1..=end].to_owned());
        }
    }
    None
}

/// Describes why the socket cannot be opened, with advice.
pub fn failed(socket: &Path, error: &Error) -> String {
    let path = socket.display();
    match error.kind() {
        ErrorKind::PermissionDenied => {
            let may =
                fs::metadata(socket).map(|metadata| who_may(&metadata)).unwrap_or_else(|_| "those who may enter its directory".into());
            format!(
                "error: you may not open the server's socket {path}: {may} may. help: run the command as one of them, or use --url with a key"
            )
        }
        ErrorKind::ConnectionRefused => format!(
            "error: no server runs at {path}: its socket was left behind. help: start the server, or name another socket with --socket"
        ),
        _ => format!(
            "error: no server at {path}: {error}. help: name its socket with --socket, its configuration with -c, or its URL with --url"
        ),
    }
}

/// Describes the users that the mode of a socket admits.
fn who_may(metadata: &fs::Metadata) -> String {
    let (uid, gid) = (metadata.uid(), metadata.gid());
    let user = User::from_uid(Uid::from_raw(uid)).ok().flatten().map_or_else(|| uid.to_string(), |user| user.name);
    let group = Group::from_gid(Gid::from_raw(gid)).ok().flatten().map_or_else(|| gid.to_string(), |group| group.name);
    match metadata.mode() & 0o020 {
        0 => format!("user `{user}` (mode {:o})", metadata.mode() & 0o777),
        _ => format!("user `{user}` and members of group `{group}` (mode {:o})", metadata.mode() & 0o777),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_of_the_socket_is_read_from_a_file_that_is_no_toml() {
        let text =
            "[server]\nlisten = [\nstate = \"kept\" # here\n[[zone]]\nstate = 'not this'\n[api]\n socket = 'a.sock'\nlisten = nonsense\n";
        assert_eq!(value(text, "server", "state").as_deref(), Some("kept"));
        assert_eq!(value(text, "api", "socket").as_deref(), Some("a.sock"));
        assert_eq!(value(text, "api", "state"), None);
        assert_eq!(value("[api]\nsocket = false\n[server]\nstate = \"open", "server", "state"), None);
    }

    #[test]
    fn a_socket_that_may_not_be_opened_is_told_from_one_that_nobody_serves() {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join(NAME);
        drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
        let me = User::from_uid(Uid::current()).unwrap().unwrap().name;
        let denied = failed(&socket, &ErrorKind::PermissionDenied.into());
        assert!(denied.contains("you may not open") && denied.contains(&format!("user `{me}`")), "{denied}");
        assert!(failed(&socket, &ErrorKind::ConnectionRefused.into()).contains("left behind"));
        assert!(failed(&socket, &ErrorKind::NotFound.into()).contains("help: name its socket"));
    }

    #[test]
    fn a_broken_configuration_does_not_hide_the_running_server() {
        let directory = tempfile::tempdir().unwrap();
        let config = directory.path().join("postern.toml");
        fs::write(&config, "[server]\nstate = 'kept'\nlisten = [\n").unwrap();
        assert!(find(Some(&config)).unwrap_err().contains("the configuration is broken"));
        fs::create_dir(directory.path().join("kept")).unwrap();
        let socket = directory.path().join("kept").join(NAME);
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        assert_eq!(find(Some(&config)), Ok(socket));
    }
}
