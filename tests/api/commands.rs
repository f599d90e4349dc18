//! The commands that ask the API.

use hickory_proto::rr::RecordType::A;
use serde_json::{Value, json};

use crate::harness::{Server, run, write_files};
use crate::{CONFIG, FILED, keys};

#[test]
fn the_commands_do_what_the_api_does() {
    let (secrets, keys) = keys();
    let config = format!("{CONFIG}[api]\nlisten = '127.0.0.1:0'\nkey-file = 'api.key'\n");
    let server = Server::with(&[("postern.toml", &config), FILED, ("api.key", &keys), ("secret", &secrets[3])]);
    let path = |name: &str| server.file(name).display().to_string();
    let config = path("postern.toml");
    let records = |arguments: &[&str]| -> (bool, String, String) {
        let output = run(&[&["records", "-c", &config], arguments].concat());
        let text = |octets| String::from_utf8(octets).unwrap();
        (output.status.success(), text(output.stdout), text(output.stderr))
    };
    let (good, _, said) = records(&["set", "contoso.test", "www", "A", "10.0.0.1", "10.0.0.2", "--ttl", "60"]);
    assert!(good && said.contains("1 added, 0 changed, 0 removed"), "{said}");
    assert_eq!(server.short("www.contoso.test", A), ["10.0.0.1", "10.0.0.2"]);
    let (_, shown, _) = records(&["get", "contoso.test", "www"]);
    assert_eq!(
        shown,
        "NAME               TTL  TYPE  RDATA\nwww.contoso.test.  60   A     10.0.0.1\nwww.contoso.test.  60   A     10.0.0.2\n"
    );
    let (_, shown, _) = records(&["list"]);
    assert!(shown.lines().nth(1).is_some_and(|line| line.starts_with("contoso.test ") && line.contains(" api ")), "{shown}");
    let (_, shown, _) = records(&["list", "contoso.test", "--type", "A", "-o", "json"]);
    assert_eq!(serde_json::from_str::<Value>(&shown).unwrap()[0]["records"], json!(["10.0.0.1", "10.0.0.2"]));
    write_files(server.path(), &[("new.zone", "www 60 IN A 10.0.0.1\napp 60 IN A 10.0.0.3\n")]);
    let (good, shown, said) = records(&["diff", &path("new.zone"), "contoso.test"]);
    assert!(good && said.contains("1 would be added, 1 would be changed"), "{said}");
    assert!(shown.contains("- www.contoso.test.  60  A  10.0.0.2") && shown.contains("+ app.contoso.test.  60  A  10.0.0.3"), "{shown}");
    let (good, ..) = records(&["import", &path("new.zone"), "contoso.test", "--replace"]);
    assert!(good);
    assert_eq!(server.short("app.contoso.test", A), ["10.0.0.3"]);
    let (_, exported, _) = records(&["export", "contoso.test"]);
    assert!(exported.starts_with("$ORIGIN contoso.test.\n@ ") && exported.ends_with("www 60 IN A 10.0.0.1\n"), "{exported}");
    let (good, _, said) = records(&["delete", "contoso.test", "app"]);
    assert!(good && said.contains("0 added, 0 changed, 1 removed"), "{said}");
    let (good, _, said) = records(&["set", "filed.test", "www", "A", "10.0.0.1"]);
    assert!(!good && said.contains("filed.zone"), "{said}");
    write_files(server.path(), &[("bad.zone", "www 60 IN A 10.0.0.1\napp 60 IN A 10.0.0\n")]);
    let (good, _, said) = records(&["import", &path("bad.zone"), "contoso.test"]);
    assert!(!good && said.contains("bad.zone:2:13: error"), "{said}");
    // Over TCP, with a key.
    let url = format!("http://{}", server.api_address());
    let (good, _, said) = records(&["list", "--url", &url]);
    assert!(!good && said.contains("no key"), "{said}");
    let (good, shown, _) = records(&["list", "--url", &url, "--key-file", &path("secret")]);
    assert!(good && shown.contains("contoso.test"));
    let nobody = run(&["records", "list", "--socket", &path("nothing.sock")]);
    assert!(String::from_utf8(nobody.stderr).unwrap().contains("help: name its socket"));
}
