//! The documents for people: their samples are read, their commands run or exist, their links lead somewhere.
//!
//! The language of a fenced block decides how it is tested: `toml …` is checked as a configuration, `shell` is run against a server with the
//! page's `toml server`, commands of `postern` in `sh` and `console` must exist with their options, and `dns-zone` and `hosts` are read as data.

mod harness;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use harness::{PATIENT, PATIENT_FORWARD, Server, postern, run, write_files};
use hickory_proto::rr::RecordType::A;
use postern_lab::{LabScenario, LabServer};

/// Documents outside the folders of [`FOLDERS`].
const DOCUMENTS: [&str; 5] = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "bench/README.md"];
const FOLDERS: [&str; 2] = ["docs/src", "bench/results"];
/// The columns of a line of prose.
const WIDTH: usize = 100;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(document: &str) -> String {
    fs::read_to_string(root().join(document)).unwrap()
}

/// The paths of all documents, from the root.
fn documents() -> Vec<String> {
    let mut documents: Vec<String> = DOCUMENTS.map(str::to_owned).into();
    for folder in FOLDERS {
        let files = fs::read_dir(root().join(folder)).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        documents.extend(files.filter(|name| name.ends_with(".md")).map(|name| format!("{folder}/{name}")));
    }
    documents.sort();
    documents
}

/// The language and the lines of each fenced block, without the indentation of the fences.
fn fenced(text: &str) -> Vec<(&str, String)> {
    let mut blocks = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(language) = line.trim_start().strip_prefix("```") else { continue };
        let indentation = line.len() - line.trim_start().len();
        let inside = lines.by_ref().take_while(|line| line.trim() != "```");
        let block: String = inside.map(|line| format!("{}\n", line.get(indentation..).unwrap_or_default())).collect();
        blocks.push((language, block));
    }
    blocks
}

/// The fenced blocks of a document in one language.
fn blocks(text: &str, language: &str) -> Vec<String> {
    fenced(text).into_iter().filter(|(its, _)| *its == language).map(|(_, block)| block).collect()
}

/// The lines outside fenced blocks.
fn prose(text: &str) -> Vec<&str> {
    let mut fenced = false;
    let is_text = |line: &&str| {
        let is_fence = line.trim_start().starts_with("```");
        fenced ^= is_fence;
        !fenced && !is_fence
    };
    text.lines().filter(is_text).collect()
}

/// The code between backticks outside fenced blocks.
fn spans(text: &str) -> Vec<String> {
    prose(text).join(" ").split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The one block of a document in a language.
fn block_of(document: &str, language: &str) -> String {
    let blocks = blocks(&read(document), language);
    assert_eq!(blocks.len(), 1, "{document}: {language}");
    blocks[0].clone()
}

/// The one block of the README in a language.
fn block(language: &str) -> String {
    block_of("README.md", language)
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
    let public = LabServer::start(LabScenario::azure(), "127.0.0.1:0".parse().unwrap()).unwrap();
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
fn the_secondary_of_the_book_follows_its_primary() {
    let listening = "[server]\nlisten = ['127.0.0.1:0']\n";
    let sample = |language| format!("{listening}{}", block_of("docs/src/transfers.md", language));
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

/// The lines of shell code of a document, without the prompts of a session.
fn shell_lines(text: &str) -> Vec<String> {
    let is_shell = |language: &str| ["sh", "shell", "console"].contains(&language);
    let shell = fenced(text).into_iter().filter(|(language, _)| is_shell(language)).map(|(_, block)| block).collect::<String>();
    shell.lines().map(|line| line.trim_start_matches("$ ").to_owned()).collect()
}

#[test]
fn every_command_and_option_that_the_documents_name_exists() {
    let mut named = BTreeSet::new();
    for document in documents() {
        let text = read(&document);
        // `postern …` in code, and what follows `cargo run … --`.
        for line in shell_lines(&text).into_iter().chain(spans(&text)) {
            let words: Vec<&str> = line.split_whitespace().take_while(|word| *word != "#").collect();
            let arguments = match words.as_slice() {
                ["cargo", "run", rest @ ..] if !rest.contains(&"--example") => rest.split(|word| *word == "--").nth(1).unwrap_or_default(),
                [program, rest @ ..] if Path::new(program).file_name().is_some_and(|name| name == "postern") => rest,
                _ => continue,
            };
            let [command, options @ ..] = arguments else { continue };
            if !command.chars().all(|letter| letter.is_ascii_lowercase()) || !named.insert(arguments.join(" ")) {
                continue;
            }
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
    assert!(named.len() > 50, "{} commands found", named.len());
}

/// Runs `postern check` on a configuration beside the files that samples name. Returns its output.
fn check(config: &str, more: &[(&str, &str)], options: &[&str]) -> (bool, String) {
    let directory = tempfile::tempdir().unwrap();
    let key = String::from_utf8(run(&["key", "sample"]).stdout).unwrap();
    let key = key.lines().nth(1).expect("the line for the file");
    write_files(directory.path(), &[&[("postern.toml", config), ("api.key", key)], more].concat());
    let path = directory.path().join("postern.toml");
    fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap(); // it may have a secret
    if config.contains("server.crt") {
        let certify =
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost -keyout server.pem -out server.crt";
        let made = Command::new("openssl").args(certify.split(' ')).current_dir(directory.path()).output().unwrap();
        assert!(made.status.success(), "{made:?}");
    }
    let output = run(&[&["check", "--strict", "-c", path.to_str().unwrap()], options].concat());
    (output.status.success(), String::from_utf8(output.stdout).unwrap())
}

#[test]
fn every_configuration_of_the_documents_is_accepted_without_a_warning() {
    let mut checked = 0;
    for document in documents() {
        for (_, config) in fenced(&read(&document)).iter().filter(|(language, _)| language.starts_with("toml")) {
            if config.contains("server.crt") && !has("openssl", "version") {
                continue;
            }
            let (is_good, said) = check(config, &[], &["--config-only"]);
            assert!(is_good, "{document}:\n{config}\n{said}");
            checked += 1;
        }
    }
    assert!(checked > 10, "{checked} configurations found");
}

#[test]
fn every_sample_of_zone_data_is_read_without_a_warning() {
    let config = "[[zone]]\npreset = 'azure-health-data-services'\ndirectory = 'zones'\n";
    let mut read_samples = 0;
    for document in documents() {
        for (language, data) in fenced(&read(&document)) {
            let name = match language {
                "dns-zone" => "zones/privatelink.azurehealthcareapis.com.zone",
                "hosts" => "zones/portal.hosts",
                _ => continue,
            };
            let (is_good, said) = check(config, &[(name, &data)], &[]);
            assert!(is_good, "{document}:\n{data}\n{said}");
            read_samples += 1;
        }
    }
    assert!(read_samples > 2, "{read_samples} samples found");
}

/// A server with a page's `toml server`, and a way to run the page's recipes on it.
struct Page {
    server: Server,
    document: &'static str,
    _public: LabServer,
}

impl Page {
    fn serve(document: &'static str, more: &[(&str, &str)]) -> Self {
        let public = LabServer::start(LabScenario::azure(), "127.0.0.1:0".parse().unwrap()).unwrap();
        let config =
            replace_value(&block_of(document, "toml server"), "upstreams", &format!("['{}']\n{PATIENT_FORWARD}", public.address()));
        let config = config.replace("127.0.0.1:5300", "127.0.0.1:0").replace("127.0.0.1:8053", "127.0.0.1:0");
        let config = format!("{config}\n{PATIENT}");
        let files = [&[("postern.toml", config.as_str())], more].concat();
        Self { server: Server::with(&files), document, _public: public }
    }

    /// Runs the page's `shell` blocks as one script that ends at the first failure.
    fn run(&self, environment: &[(&str, &str)]) {
        let mut script = blocks(&read(self.document), "shell").concat();
        assert!(!script.is_empty(), "{} has no recipes", self.document);
        if script.contains("127.0.0.1:8053") {
            script = script.replace("127.0.0.1:8053", &self.server.api_address().to_string());
        }
        let program = PathBuf::from(postern(&[]).get_program());
        let path = format!("{}:{}", program.parent().unwrap().display(), std::env::var("PATH").unwrap_or_default());
        let mut shell = Command::new("sh");
        shell.args(["-ec", &script]).current_dir(self.server.path()).env("PATH", path).envs(environment.iter().copied());
        let output = shell.env_remove("POSTERN_LOG").output().unwrap();
        assert!(output.status.success(), "{}: {output:?}", self.document);
    }
}

/// Returns true if a program is installed; otherwise prints that the test is left out.
fn has(program: &str, option: &str) -> bool {
    let is_there = Command::new(program).arg(option).output().is_ok();
    if !is_there {
        eprintln!("left out: {program} is not installed");
    }
    is_there
}

const ENDPOINT: (&str, &str) = (
    "pe-contosows.json",
    r#"{"customDnsConfigs": [{"fqdn": "contosows-fhir1.fhir.azurehealthcareapis.com", "ipAddresses": ["10.20.1.5"]}]}"#,
);

#[test]
fn the_recipes_of_the_api_do_what_they_say() {
    if !has("curl", "--version") {
        return;
    }
    let page = Page::serve("docs/src/api.md", &[ENDPOINT]);
    page.run(&[]);
    let of = |name: &str| page.server.short(&format!("{name}.privatelink.azurehealthcareapis.com"), A);
    assert_eq!(of("contosows-fhir1.fhir"), ["10.20.1.5"]);
    assert_eq!(of("contosows-fhir2.fhir"), ["10.20.1.8"]);
    assert_eq!(of("contosows-dicom1.dicom"), ["10.20.1.7"]);
    let history = page.server.api(None).get("/v1/zones/privatelink.azurehealthcareapis.com/history").ok(200);
    assert_eq!(history["changes"].as_array().unwrap().len(), 5, "{history}");
}

#[test]
fn the_recipes_of_operation_do_what_they_say() {
    let page = Page::serve("docs/src/operation.md", &[]);
    page.run(&[]);
    assert_eq!(page.server.short("contosows-fhir3.fhir.privatelink.azurehealthcareapis.com", A), ["10.20.1.6"]);
}

#[test]
fn the_recipes_of_the_powerdns_api_do_what_they_say() {
    if !has("curl", "--version") {
        return;
    }
    let key = run(&["key", "sample", "--scope", "admin"]);
    let key = String::from_utf8(key.stdout).unwrap();
    let (secret, line) = key.trim_end().split_once('\n').expect("a key and its line");
    let page = Page::serve("docs/src/powerdns.md", &[("api.key", line)]);
    page.run(&[("KEY", secret)]);
    assert_eq!(page.server.short("app.corp.contoso.com", A), ["10.20.3.4"]);
}

#[test]
fn the_update_of_the_book_is_accepted() {
    if !has("nsupdate", "-V") {
        return;
    }
    let document = "docs/src/updates.md";
    let server = Server::with(&[("postern.toml", &block_of(document, "toml updates").replace("127.0.0.1:5300", "127.0.0.1:0"))]);
    let script = block_of(document, "nsupdate").replace("127.0.0.1 5300", &format!("127.0.0.1 {}", server.address.port()));
    server.write("update", &script);
    let output = Command::new("nsupdate").arg(server.file("update")).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(server.short("app.corp.contoso.com", A), ["10.20.3.4"]);
}

/// The text of every source file of the crates that log.
fn sources() -> String {
    fn collect(path: &Path, text: &mut String) {
        if path.is_dir() {
            fs::read_dir(path).unwrap().for_each(|entry| collect(&entry.unwrap().path(), text));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text.push_str(&fs::read_to_string(path).unwrap());
        }
    }
    let mut text = String::new();
    ["src", "config/src", "zones/src", "dns/src", "control/src"].iter().for_each(|folder| collect(&root().join(folder), &mut text));
    text
}

#[test]
fn every_log_line_and_error_of_troubleshooting_is_in_the_source() {
    let (text, sources) = (read("docs/src/troubleshooting.md"), sources());
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `")).map(|row| row.trim_start_matches(['`', ' ']));
    let mut found = 0;
    for row in rows {
        let line = row.split_once(" | ").expect("a row has cells").0.trim_end_matches('`').trim();
        for part in line.split('…').map(|part| part.trim_matches([' ', '`', ':'])).filter(|part| part.len() > 2) {
            assert!(sources.contains(part), "no source has {part:?}");
        }
        found += 1;
    }
    assert!(found > 60, "{found} lines found");
}

#[test]
fn the_two_commands_of_the_readme_are_the_first_and_the_second() {
    let blocks = blocks(&read("README.md"), "sh");
    assert_eq!(blocks[0].trim(), "cargo run --release -- serve --lab");
    assert_eq!(blocks[1].trim(), "tests/run");
}

/// The anchors of a document's headings, as mdBook and GitHub make them.
fn anchors(text: &str) -> Vec<String> {
    let headings = prose(text).into_iter().filter(|line| line.starts_with('#'));
    let kept = |letter: &char| letter.is_alphanumeric() || "-_ ".contains(*letter);
    headings
        .map(|line| line.trim_start_matches('#').trim().to_lowercase().chars().filter(kept).collect::<String>().replace(' ', "-"))
        .collect()
}

#[test]
fn every_file_that_the_documents_name_is_there() {
    let mut named = 0;
    for document in documents() {
        let text = read(&document);
        let links = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for link in links.filter(|link| !link.contains("://")) {
            named += 1;
            let (file, anchor) = link.split_once('#').map_or((link, None), |(file, anchor)| (file, Some(anchor)));
            let beside = root().join(&document).with_file_name("");
            let target = if file.is_empty() { root().join(&document) } else { beside.join(file) };
            assert!(target.exists(), "{document} links to {link}");
            let is_there = |anchor: &str| anchors(&fs::read_to_string(&target).unwrap()).iter().any(|its| its == anchor);
            assert!(anchor.is_none_or(is_there), "{document} links to {link}");
        }
        for span in spans(&text) {
            let first = span.split_whitespace().next().unwrap_or_default();
            let is_path = ["tests/", ".ci/", "config/", "zones/src", "dns/", "src/", "lab/", "bench/", "packaging/", "docs/"];
            if is_path.iter().any(|start| first.starts_with(start)) {
                named += 1;
                assert!(root().join(first).exists(), "{document} names {first}");
            }
        }
    }
    assert!(named > 20, "{named} files found");
}

#[test]
fn every_page_of_the_book_is_in_its_summary() {
    let summary = read("docs/src/SUMMARY.md");
    for document in documents() {
        if let Some(page) = document.strip_prefix("docs/src/").filter(|page| *page != "SUMMARY.md") {
            assert!(summary.contains(&format!("({page})")), "{page}");
        }
    }
}

/// A merge that keeps both sides of the changelog can leave an entry twice.
#[test]
fn no_entry_of_the_changelog_is_there_twice() {
    const ENOUGH: usize = 48;
    let text = read("CHANGELOG.md");
    let entries = text.split("\n* ").skip(1).map(|entry| entry.split_whitespace().collect::<Vec<_>>().join(" "));
    let starts: Vec<String> = entries.map(|entry| entry.chars().take(ENOUGH).collect()).collect();
    let mut seen = BTreeSet::new();
    let twice: Vec<&String> = starts.iter().filter(|start| !seen.insert(*start)).collect();
    assert!(starts.len() > 50 && twice.is_empty(), "{twice:#?}");
}

#[test]
fn prose_wraps_at_a_hundred_columns() {
    for document in documents() {
        let text = read(&document);
        let long = prose(&text).into_iter().filter(|line| line.chars().count() > WIDTH);
        // A table or a heading has no other place to break.
        let long: Vec<&str> = long.filter(|line| !line.trim_start().starts_with(['|', '#'])).collect();
        assert!(long.is_empty(), "{document}: {long:#?}");
    }
}
