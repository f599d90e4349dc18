//! The configuration file and what it names: changed, refused, gone, from a pipe, swapped together with the zones.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use hickory_proto::rr::RecordType::A;

use crate::harness::{Server, eventually, postern, write_files};
use crate::{CONFIG, CONTOSO, Site, number, plain, zone};

#[test]
fn a_configuration_and_its_zones_swapped_together_are_one_change() {
    let version = |directory: &Path, last: u8, more: &str| {
        let (data, config) = (format!("..{last}"), CONFIG.replace("'zones'", "'.'").replace("exports/", ""));
        let files = ["postern.toml", "contoso.test.zone", "fabrikam.zone"].map(|name| format!("{data}/{name}"));
        let contents = [format!("{config}{more}"), zone(last), zone(last)];
        files.iter().zip(&contents).for_each(|(path, content)| write_files(directory, &[(path, content)]));
        data
    };
    let mut site = Site::new(|directory| {
        symlink(version(directory, 1, ""), directory.join("..data")).unwrap();
        for name in ["postern.toml", "contoso.test.zone", "fabrikam.zone"] {
            symlink(format!("..data/{name}"), directory.join(name)).unwrap();
        }
    });
    let root = site.server.path().to_path_buf();
    for last in 2..6 {
        let serial = site.serial("contoso.test");
        let more = if last % 2 == 0 { "[[zone]]\nname = 'tailspin.test'\nfile = 'fabrikam.zone'\n" } else { "" };
        symlink(version(&root, last, more), root.join("..data_tmp")).unwrap();
        fs::rename(root.join("..data_tmp"), root.join("..data")).unwrap();
        site.says(&["postern: reloaded"]);
        site.becomes("www.contoso.test", last, serial);
        assert_eq!(site.address("www.fabrikam.test"), format!("10.0.0.{last}"));
        let tailspin = site.address("www.tailspin.test");
        assert_eq!(tailspin == format!("10.0.0.{last}"), last % 2 == 0, "{tailspin}");
    }
    site.ends();
}

#[test]
fn a_file_that_a_refused_configuration_names_is_waited_for() {
    let mut site = Site::new(plain);
    site.before();
    site.replace("postern.toml", &format!("{CONFIG}[[key]]\nname = 'acme'\nsecret-file = 'keys/acme'\nallow = ['query']\n"));
    site.says(&["reload rejected", "cannot read the secret from", "keys/acme"]);
    fs::create_dir(site.server.file("keys")).unwrap();
    site.write("next", "c2VjcmV0\n");
    site.rename("next", "keys/acme");
    site.generation += 1;
    assert_eq!(number(&site.says(&["postern: reloaded"]), "generation"), site.generation);
    site.ends();
}

#[test]
fn a_configuration_from_a_pipe_is_kept_when_it_is_to_be_read_again() {
    let directory = tempfile::tempdir().unwrap();
    plain(directory.path());
    let (path, pipe) = (directory.path().to_path_buf(), directory.path().join("pipe"));
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let text = CONFIG.to_string();
    let command = postern(&["serve", "-c", pipe.to_str().unwrap()]);
    let writer = std::thread::spawn(move || fs::write(pipe, text).unwrap());
    let server = Server::spawn(command, path, Some(directory));
    writer.join().unwrap();
    server.signal("HUP");
    server.logged(&["reload rejected", "pipe: not a file, so it cannot be read again"]);
    server.becomes("www.contoso.test", A, &["10.0.0.1"]);
    fs::write(server.file(CONTOSO), zone(2)).unwrap();
    server.becomes("www.contoso.test", A, &["10.0.0.2"]);
}

#[test]
fn the_configuration_file_is_watched_and_what_a_bad_one_says_changes_nothing() {
    let mut site = Site::new(plain);
    // A zone more, one less: one change each.
    let tailspin = "[[zone]]\nname = 'tailspin.test'\nfile = 'exports/fabrikam.zone'\n";
    let more = format!("{CONFIG}{tailspin}");
    for (text, want, line) in
        [(more.as_str(), "10.0.0.1", "zone loaded"), (CONFIG, "SERVFAIL", "zone removed"), (more.as_str(), "10.0.0.1", "zone loaded")]
    {
        site.before();
        site.replace("postern.toml", text);
        site.generation += 1;
        assert_eq!(number(&site.says(&["postern: reloaded"]), "generation"), site.generation);
        site.says(&[line, "tailspin.test"]);
        assert_eq!(site.address("www.tailspin.test"), want);
    }
    // A bad one: every problem with its place, the flag, and everything as before.
    site.before();
    site.replace("postern.toml", &more.replace("directory", "dierctory").replace("'127.0.0.1:1'", "'127.0.0.1:port'"));
    for words in ["postern.toml:8:1: error: unknown key `dierctory`", "postern.toml:16:14: error: ", "reload rejected"] {
        site.says(&["ERROR", words]);
    }
    eventually("the health flag", || site.systemd.status().contains("reload rejected: ").then_some(()));
    assert_eq!(site.address("www.tailspin.test"), "10.0.0.1");
    // Zones are watched all the same.
    let serial = site.serial("contoso.test");
    site.write(CONTOSO, &zone(2));
    site.becomes("www.contoso.test", 2, serial);
    assert!(site.systemd.status().contains("reload rejected: "), "{}", site.systemd.status());
    // Gone: as before, which is told, and told by SIGHUP.
    fs::remove_file(site.server.file("postern.toml")).unwrap();
    site.says(&["WARN", "postern.toml is gone; keeping its previous content"]);
    site.server.signal("HUP");
    site.says(&["reload rejected", "postern.toml"]);
    assert_eq!(site.address("www.tailspin.test"), "10.0.0.1");
    // Back, and mended; what needs a restart is said.
    site.before();
    site.replace("postern.toml", &more.replace("listen", "workers = 7\nlisten"));
    site.says(&["WARN", "`server.workers` changed", "restart"]);
    site.generation += 1;
    assert_eq!(number(&site.says(&["postern: reloaded"]), "generation"), site.generation);
    eventually("the health flag goes", || (!site.systemd.status().contains("reload rejected")).then_some(()));
    site.ends();
}
