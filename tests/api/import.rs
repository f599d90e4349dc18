//! `postern import`: records of files on their way to the zones that they belong to.

use std::path::Path;

use hickory_proto::rr::RecordType::A;
use serde_json::{Value, json};

use crate::harness::{Server, run, write_files};
use crate::{CONFIG, FILED};

const ENDPOINT: &str = r#"{"customDnsConfigs": [{"fqdn": "contosostore.blob.core.windows.net", "ipAddresses": ["10.1.0.4"]}]}"#;

/// Runs the command in the directory of the server and returns its status, output, and messages.
fn import(server: &Server, arguments: &[&str]) -> (Option<i32>, String, String) {
    let config = server.file("postern.toml").display().to_string();
    let output = run(&[&["import", "-c", &config], arguments].concat());
    let text = |octets| String::from_utf8(octets).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn records_of_files_reach_their_zones_and_the_rest_is_listed() {
    let blob = "[[zone]]\nname = 'privatelink.blob.core.windows.net'\napi = true\n";
    let server = Server::with(&[("postern.toml", &format!("{CONFIG}{blob}[api]\n")), FILED]);
    let hosts = "10.0.0.9 www.contoso.test\n10.0.0.8 www.fabrikam.test\n10.0.0.7 www.filed.test\n";
    write_files(server.path(), &[("pe.json", ENDPOINT), ("all.hosts", hosts)]);
    let [pe, all] = ["pe.json", "all.hosts"].map(|name| server.file(name).display().to_string());

    let (status, shown, said) = import(&server, &[&pe, "--dry-run"]);
    assert_eq!(status, Some(0), "{shown} {said}");
    assert!(shown.contains("1 would be added"), "{shown}");
    assert_eq!(server.short("contosostore.privatelink.blob.core.windows.net", A), ["NXDOMAIN"], "a dry run changes nothing");

    let (status, shown, _) = import(&server, &[&pe, &all]);
    assert_eq!(status, Some(1), "two names found no zone: {shown}");
    for words in [
        "contosostore.privatelink.blob.core.windows.net. 10 IN A 10.1.0.4",
        "www.contoso.test. 10 IN A 10.0.0.9",
        "no zone",
        "all.hosts:2",
        "2 names found no zone",
    ] {
        assert!(shown.contains(words), "{words}: {shown}");
    }
    assert_eq!(server.short("contosostore.privatelink.blob.core.windows.net", A), ["10.1.0.4"]);
    assert_eq!(server.short("www.contoso.test", A), ["10.0.0.9"]);

    let (status, shown, _) = import(&server, &[&pe, "-o", "json"]);
    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert_eq!((status, &shown["left_over"], &shown["zones"][0]["added"]), (Some(0), &json!([]), &json!(0)), "{shown}");
    assert_eq!(shown["zones"][0]["records"][0]["record"], "contosostore.privatelink.blob.core.windows.net. 10 IN A 10.1.0.4");
}

#[test]
fn an_error_in_one_file_imports_nothing() {
    let server = Server::with(&[("postern.toml", &format!("{CONFIG}[api]\n")), FILED]);
    write_files(server.path(), &[("good.hosts", "10.0.0.9 www.contoso.test\n"), ("bad.json", "[1,\n ]")]);
    let [good, bad] = ["good.hosts", "bad.json"].map(|name| server.file(name).display().to_string());
    let (status, shown, said) = import(&server, &[&good, &bad]);
    assert_eq!((status, shown.as_str()), (Some(1), ""));
    assert!(said.contains("bad.json:2:2: error: `]` where a value is expected") && said.contains("nothing was imported"), "{said}");
    assert_eq!(server.short("www.contoso.test", A), ["NXDOMAIN"]);
}

#[test]
fn zone_files_are_written_without_a_server() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name).display().to_string();
    let zone = "@ 60 IN SOA ns admin 1 2 3 4 5\n@ 60 NS ns\nns 60 A 10.0.0.2\n";
    write_files(directory.path(), &[("pe.json", ENDPOINT), ("contoso.test.zone", zone), ("other.hosts", "10.0.0.8 www.fabrikam.test\n")]);
    let output = run(&["import", &at("pe.json"), &at("contoso.test.zone"), &at("other.hosts"), "--directory", &at("out")]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let written = |name: &str| std::fs::read_to_string(directory.path().join("out").join(name)).unwrap();
    assert_eq!(
        written("privatelink.blob.core.windows.net.zone"),
        "$ORIGIN privatelink.blob.core.windows.net.\ncontosostore 10 IN A 10.1.0.4\n"
    );
    assert_eq!(
        written("contoso.test.zone"),
        "$ORIGIN contoso.test.\n@ 60 IN SOA ns.contoso.test. admin.contoso.test. 1 2 3 4 5\n@ 60 IN NS ns.contoso.test.\nns 60 IN A 10.0.0.2\n"
    );
    let again = run(&["import", &at("pe.json"), "--directory", &at("out")]);
    assert!(String::from_utf8(again.stderr).unwrap().contains("exists. help: name another --directory"));
}

#[test]
fn no_name_leads_out_of_the_directory() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name).display().to_string();
    let outside = at("outside");
    write_files(directory.path(), &[("x.zone", &format!("{outside}. 60 IN SOA ns.contoso.test. admin.contoso.test. 1 2 3 4 5\n"))]);
    let output = run(&["import", &at("x.zone"), "--directory", &at("out")]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(!Path::new(&format!("{outside}.zone")).exists());
    let written = std::fs::read_dir(directory.path().join("out")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_eq!(written.collect::<Vec<_>>(), [format!("{}.zone", outside.to_lowercase().replace('/', "_"))]);
}
