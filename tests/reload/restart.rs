//! A restart while a source is bad: the last good data is there as soon as the server is.

use std::fs;
use std::path::Path;
use std::time::Instant;

use hickory_proto::rr::RecordType::A;

use crate::harness::{Server, postern, write_files};
use crate::writers::{CONFIG, FILE, new, old};

/// A file that is spoilt, and what is reported.
type Spoil = (&'static str, fn(&Path), &'static str);

const SPOILS: [Spoil; 9] = [
    ("as it was", |_| (), ""),
    ("no octets", |file| fs::write(file, "").unwrap(), "no records, 400 before"),
    ("a comment", |file| fs::write(file, "; later\n").unwrap(), "no records, 400 before"),
    ("[]", |file| fs::write(file, "[]\n").unwrap(), "no records, 400 before"),
    (
        "a third of it",
        |file| fs::write(file, old().lines().take(133).collect::<Vec<_>>().join("\n") + "\n").unwrap(),
        "would lose 267 of 400",
    ),
    ("a bad line", |file| fs::write(file, old() + "www 60 IN A 10.0.0.300\n").unwrap(), "zones/contoso.test.zone:401:"),
    ("deleted", |file| fs::remove_file(file).unwrap(), "no such file"),
    ("its directory is gone", |file| fs::remove_dir_all(file.parent().unwrap()).unwrap(), "no such file"),
    ("a directory in its place", |file| fs::remove_file(file).and_then(|()| fs::create_dir(file)).unwrap(), "not a file"),
];

#[test]
fn a_restart_with_a_bad_source_answers_as_before() {
    let mut table = vec![format!("{:<26} {:>22}  reported", "source at the start", "first answer after, ms")];
    for (name, spoil, told) in SPOILS {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().to_path_buf();
        write_files(&path, &[("postern.toml", CONFIG), (FILE, &old())]);
        let command = || postern(&["serve", "-c", path.join("postern.toml").to_str().unwrap()]);
        let (status, log) = Server::spawn(command(), path.clone(), None).stop();
        assert!(status.success(), "{}", log.join("\n"));
        spoil(&path.join(FILE));
        let start = Instant::now();
        let server = Server::spawn(command(), path.clone(), Some(directory));
        let answers = [0, 399].map(|number| server.short(&format!("h{number}.contoso.test"), A));
        let took = start.elapsed();
        assert_eq!(answers, [["10.0.0.1"], ["10.0.0.1"]], "{name}: {}", server.log().join("\n"));
        if !told.is_empty() {
            server.logged(&["WARN", "serving the data stored by the last run", "contoso.test"]);
            server.logged(&["ERROR", "keeping the last good data", told]);
        }
        table.push(format!("{name:<26} {:>22}  {told}", took.as_millis()));
        // Mended: it is read as ever.
        fs::remove_dir(server.file(FILE)).ok();
        write_files(server.path(), &[(FILE, &new())]);
        server.becomes("h0.contoso.test", A, &["10.0.0.2"]);
    }
    println!("{}", table.join("\n"));
}
