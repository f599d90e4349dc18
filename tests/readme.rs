//! What the documents for people say: their samples are read, their commands and options exist, their links lead somewhere.

mod harness;

use std::fs;
use std::path::{Path, PathBuf};

use harness::{PATIENT, PATIENT_FORWARD, Server, postern, run, write_files};
use hickory_proto::rr::RecordType::A;
use postern_lab::{Lab, Scenario};

const DOCUMENTS: [&str; 6] = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "bench/README.md", "packaging/backup.md"];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(document: &str) -> String {
    fs::read_to_string(root().join(document)).unwrap()
}

/// The fenced blocks of a document in one language, without the indentation of their fences.
fn blocks(text: &str, language: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(rest) = line.trim_start().strip_prefix("```") else { continue };
        let indentation = line.len() - line.trim_start().len();
        let inside = lines.by_ref().take_while(|line| line.trim() != "```");
        let block: String = inside.map(|line| format!("{}\n", line.get(indentation..).unwrap_or_default())).collect();
        if rest == language {
            blocks.push(block);
        }
    }
    blocks
}

/// What stands between backticks outside fenced blocks.
fn spans(text: &str) -> Vec<String> {
    let mut fenced = false;
    let is_text = |line: &&str| {
        let is_fence = line.trim_start().starts_with("```");
        fenced ^= is_fence;
        !fenced && !is_fence
    };
    let text: Vec<&str> = text.lines().filter(is_text).collect();
    text.join(" ").split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The one block of the README in a language.
fn block(language: &str) -> String {
    let blocks = blocks(&read("README.md"), language);
    assert_eq!(blocks.len(), 1, "{language}");
    blocks[0].clone()
}

/// The value of the only line of a TOML text that sets `key`, as it is written.
fn replace_value(text: &str, key: &str, value: &str) -> String {
    let is_it = |line: &&str| line.split('=').next().is_some_and(|left| left.trim() == key);
    let line = text.lines().find(is_it).unwrap_or_else(|| panic!("no {key}"));
    text.replacen(line, &format!("{key} = {value}"), 1)
}

#[test]
fn the_readmes_configuration_with_its_zone_file_is_read_without_a_word() {
    let directory = tempfile::tempdir().unwrap();
    let zone = "zones/privatelink.azurehealthcareapis.com.zone";
    assert!(read("README.md").contains(&format!("write `{zone}` by hand")));
    write_files(directory.path(), &[("postern.toml", &block("toml")), (zone, &block("dns-zone"))]);
    let path = directory.path().join("postern.toml");
    let output = run(&["check", "--strict", "-c", path.to_str().unwrap()]);
    let told = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{told}");
    assert_eq!(told.lines().last(), Some(&*format!("{}: fine (2 networks, 4 zones, 1 route)", path.display())), "{told}");
    assert!(!told.contains("warning"), "{told}");
}

#[test]
fn the_readmes_five_minutes_give_a_spliced_answer() {
    let public = Lab::start(Scenario::azure(), "127.0.0.1:0".parse().unwrap()).unwrap();
    let config = replace_value(&block("toml"), "listen", "['127.0.0.1:0']");
    let config = replace_value(&config, "upstreams", &format!("['{}']\n{PATIENT_FORWARD}", public.address()));
    let config = format!("{config}\n{PATIENT}");
    let server = Server::with(&[("postern.toml", &config), ("zones/privatelink.azurehealthcareapis.com.zone", &block("dns-zone"))]);
    let asked = blocks(&read("README.md"), "sh").concat();
    let question = asked.lines().find(|line| line.trim_start().starts_with("dig ")).expect("a line with dig");
    let name = question.split_whitespace().find(|word| word.ends_with("azurehealthcareapis.com")).expect("a name");
    let address = block("dns-zone").lines().last().unwrap().split_whitespace().last().unwrap().to_owned();
    assert_eq!(server.short(name, A).last(), Some(&address));
    assert!(block("text").contains(&format!("\"{name}")), "the picture is of the same name");
    assert!(block("text").contains(&address));
}

#[test]
fn the_readmes_secondary_follows_its_primary() {
    let listening = "[server]\nlisten = ['127.0.0.1:0']\n";
    let sample = |language| format!("{listening}{}", block(language));
    let api = "[api]\nlisten = '127.0.0.1:0'\n";
    let primary = Server::with(&[("postern.toml", &format!("{}{api}", sample("toml primary")))]);
    let config = replace_value(&sample("toml secondary"), "primaries", &format!("['{}']", primary.address));
    let secondary = Server::with(&[("postern.toml", &config)]);
    let config = replace_value(&sample("toml primary"), "notify", &format!("['{}']", secondary.address));
    write_files(primary.path(), &[("postern.toml", &format!("{config}{api}"))]);
    let record = serde_json::json!({"ttl": 60, "records": ["10.20.1.9"]});
    primary.api(None).send("PUT", "/v1/zones/corp.contoso.com/rrsets/www/A", Some(&record)).ok(200);
    secondary.becomes("www.corp.contoso.com", A, &["10.20.1.9"]);
}

#[test]
fn every_command_and_option_that_the_documents_name_exists() {
    let mut named = 0;
    for document in DOCUMENTS {
        let text = read(document);
        // `postern …` in code, and what follows `cargo run … --`.
        let shell: Vec<String> =
            blocks(&text, "sh").iter().flat_map(|block| block.lines().map(str::to_owned).collect::<Vec<_>>()).collect();
        for line in shell.into_iter().chain(spans(&text)) {
            let words: Vec<&str> = line.split_whitespace().collect();
            let arguments = match words.as_slice() {
                ["cargo", "run", rest @ ..] => rest.split(|word| *word == "--").nth(1).unwrap_or_default(),
                [program, rest @ ..] if Path::new(program).file_name().is_some_and(|name| name == "postern") => rest,
                _ => continue,
            };
            let [command, options @ ..] = arguments else { continue };
            if !command.chars().all(|letter| letter.is_ascii_lowercase()) {
                continue;
            }
            named += 1;
            // `postern bench answers …`: a word behind the command may be a command of its own.
            let inner = options.first().filter(|word| word.chars().all(|letter| letter.is_ascii_lowercase()));
            let words: Vec<&str> = [Some(command), inner, Some(&"--help")].into_iter().flatten().copied().collect();
            let help = postern(&words).output().unwrap();
            assert!(help.status.success(), "{document}: `{line}`");
            let help = String::from_utf8(help.stdout).unwrap();
            for option in options.iter().filter(|option| option.starts_with('-')) {
                assert!(help.split([' ', ',', '\n']).any(|word| word == *option), "{document}: `{line}`: {option}");
            }
        }
    }
    assert!(named > 5, "{named} commands found");
}

#[test]
fn the_two_commands_of_the_readme_are_the_first_and_the_second() {
    let blocks = blocks(&read("README.md"), "sh");
    assert_eq!(blocks[0].trim(), "cargo run --release -- serve --lab");
    assert_eq!(blocks[1].trim(), "tests/run");
}

#[test]
fn every_file_that_the_documents_name_is_there() {
    let mut named = 0;
    for document in DOCUMENTS {
        let text = read(document);
        let links = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for link in links.filter(|link| !link.contains("://")) {
            named += 1;
            let beside = root().join(document).with_file_name("");
            assert!(beside.join(link.split('#').next().unwrap()).exists(), "{document} links to {link}");
        }
        for span in spans(&text) {
            let first = span.split_whitespace().next().unwrap_or_default();
            let is_path = ["tests/", ".ci/", "config/", "zones/src", "dns/", "src/", "lab/", "bench/", "packaging/"];
            if is_path.iter().any(|start| first.starts_with(start)) {
                named += 1;
                assert!(root().join(first).exists(), "{document} names {first}");
            }
        }
    }
    assert!(named > 20, "{named} files found");
}
