//! The state directory of the real program: whose it is, and what becomes of its content when something happens to it.

mod harness;

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use harness::{Server, eventually, postern, run, write_files};
use hickory_proto::rr::RecordType;
use serde_json::json;

const ZONE: &str = "[[zone]]\nname = 'contoso.test'\napi = true\non-missing = 'nxdomain'\n";

fn config(server: &str) -> String {
    format!("[server]\nlisten = ['127.0.0.1:0']\n{server}{ZONE}")
}

/// Sets an address through the API; gives the status.
fn set(server: &Server, name: &str, address: &str) -> u16 {
    let body = json!({"ttl": 10, "records": [address]}).to_string();
    let path = format!("/v1/zones/contoso.test/rrsets/{name}/A");
    server.local_api().raw("PUT", &path, &[("Content-Type", "application/json")], &body).expect("an answer").status
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

#[test]
fn a_second_server_on_a_state_directory_refuses_to_start_and_names_the_first() {
    let mut server = Server::with(&[("postern.toml", &config(""))]);
    assert_eq!(set(&server, "a", "10.1.2.3"), 200);
    write_files(server.path(), &[("second.toml", &config(""))]);
    let second = server.file("second.toml");
    let refused = run(&["serve", "-c", second.to_str().unwrap()]);
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success());
    let want = format!("error: state directory {} is in use by another server (process {})", server.file("state").display(), server.pid());
    assert!(told.contains(&want) && told.contains("help: "), "{told}");
    let checked = run(&["check", "-c", second.to_str().unwrap()]);
    assert!(checked.status.success(), "{checked:?}");
    assert_eq!(set(&server, "b", "10.1.2.4"), 200, "the first one serves on");
    // Whatever way it ends, nothing is left to clear away.
    server.kill();
    let again = Server::spawn(postern(&["serve", "-c", second.to_str().unwrap()]), server.path().to_path_buf(), None);
    assert_eq!([again.short("a.contoso.test", RecordType::A), again.short("b.contoso.test", RecordType::A)], [["10.1.2.3"], ["10.1.2.4"]]);
}

/// Starts as root with `user`, changes the zone, and starts again.
fn serves_as(directory: &Path, user: u32) {
    for address in ["10.1.2.3", "10.1.2.4"] {
        let config = directory.join("postern.toml");
        let mut server = Server::spawn(postern(&["serve", "-c", config.to_str().unwrap()]), directory.to_path_buf(), None);
        assert_eq!(set(&server, "a", address), 200);
        assert_eq!(server.short("a.contoso.test", RecordType::A), [address]);
        server.kill();
    }
    for name in ["state", "state/lock", "state/zones", "state/zones/contoso.test.journal"] {
        assert_eq!(fs::metadata(directory.join(name)).unwrap().uid(), user, "{name}");
    }
}

#[test]
fn the_state_directory_belongs_to_the_user_that_the_server_becomes() {
    if !is_root() {
        return eprintln!("left out: only root becomes another user");
    }
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).unwrap();
    write_files(directory.path(), &[("postern.toml", &config("user = '65534'\n"))]);
    serves_as(directory.path(), 65534);
    assert_eq!(fs::metadata(directory.path().join("state")).unwrap().mode() & 0o777, 0o710);
    // One that a server made which ran as root is handed over.
    fs::remove_dir_all(directory.path().join("state")).unwrap();
    write_files(directory.path(), &[("postern.toml", &config(""))]);
    serves_as(directory.path(), 0);
    write_files(directory.path(), &[("postern.toml", &config("user = '65534'\n"))]);
    serves_as(directory.path(), 65534);
    // A directory that is not ours is left alone, and the log says what to do.
    fs::remove_dir_all(directory.path().join("state")).unwrap();
    write_files(directory.path(), &[("state/passwd", "")]);
    fs::set_permissions(directory.path().join("state"), Permissions::from_mode(0o755)).unwrap();
    let path = directory.path().join("postern.toml");
    let server = Server::spawn(postern(&["serve", "-c", path.to_str().unwrap()]), directory.path().to_path_buf(), None);
    server.logged(&["the state directory cannot be written", "state: Permission denied"]);
    assert_eq!(fs::metadata(directory.path().join("state/passwd")).unwrap().uid(), 0);
    assert_eq!(server.short("contoso.test", RecordType::SOA), ["SERVFAIL"]);
    let mut stopped = server;
    stopped.signal("TERM");
    eventually("it stops", || Some(stopped.wait()));
}
