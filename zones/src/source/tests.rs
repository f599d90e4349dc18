use super::*;
use crate::name::{NameBuf, WireName};
use crate::record::{RecordRef, RecordSink, TextPosition};
use std::fs::{self, File};
use std::io::Write;

const SETTLE: Duration = Duration::from_millis(20);

/// Time is told: so far ahead that the clock does not catch up with it.
fn told() -> Instant {
    Instant::now() + Duration::from_secs(3600)
}

fn changed(seen: FileLook) -> SettledContent {
    match seen {
        FileLook::Changed(content) => content,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_file_is_read_when_it_stands_still() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.zone");
    let mut input = SourceFile::new(path.clone(), SourceFormat::Zone, None);
    let start = told();
    assert!(matches!(input.look(start, LookMode::Settled, SETTLE), FileLook::Gone));
    fs::write(&path, "one").unwrap();
    assert!(matches!(input.look(start, LookMode::Settled, SETTLE), FileLook::Waiting(SETTLE)));
    fs::write(&path, "one more").unwrap();
    let later = start + SETTLE;
    assert!(matches!(input.look(later, LookMode::Settled, SETTLE), FileLook::Waiting(SETTLE)), "it changed meanwhile");
    let content = changed(input.look(later + SETTLE, LookMode::Settled, SETTLE));
    assert_eq!((&content.bytes[..], content.still), (&b"one more"[..], SETTLE));
    input.judged(&content, &[]);
    assert!(matches!(input.look(later + SETTLE, LookMode::Settled, SETTLE), FileLook::Same));
}

#[test]
fn a_file_has_stood_still_since_it_was_seen_and_not_since_the_look_began() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.zone");
    let mut input = SourceFile::new(path.clone(), SourceFormat::Zone, None);
    let began = Instant::now();
    std::thread::sleep(SETTLE * 2); // others are read
    fs::write(&path, "half of it").unwrap();
    assert!(matches!(input.look(began, LookMode::Settled, SETTLE), FileLook::Waiting(wait) if wait > SETTLE));
    assert!(matches!(input.look(began + SETTLE, LookMode::Settled, SETTLE), FileLook::Waiting(_)));
    changed(input.look(told(), LookMode::Settled, SETTLE));
}

#[test]
fn a_file_that_is_put_back_was_never_gone() {
    let directory = tempfile::tempdir().unwrap();
    let (path, backup) = (directory.path().join("a.zone"), directory.path().join("a.zone~"));
    fs::write(&path, "one").unwrap();
    let mut input = SourceFile::new(path.clone(), SourceFormat::Zone, None);
    let start = told();
    let content = changed(input.look(start, LookMode::Now, SETTLE));
    input.judged(&content, &[]);
    input.was_good = true;
    fs::rename(&path, &backup).unwrap();
    assert!(matches!(input.look(start, LookMode::Settled, SETTLE), FileLook::Waiting(SETTLE)));
    fs::write(&path, "two").unwrap();
    assert!(matches!(input.look(start + SETTLE, LookMode::Settled, SETTLE), FileLook::Waiting(SETTLE)), "it is another file");
    changed(input.look(start + SETTLE * 2, LookMode::Settled, SETTLE));
    fs::remove_file(&path).unwrap();
    assert!(matches!(input.look(start + SETTLE * 2, LookMode::Settled, SETTLE), FileLook::Waiting(SETTLE)));
    assert!(matches!(input.look(start + SETTLE * 3, LookMode::Settled, SETTLE), FileLook::Gone));
    assert!(matches!(input.look(start + SETTLE * 4, LookMode::Settled, SETTLE), FileLook::Gone));
    assert!(matches!(input.look(start, LookMode::Now, SETTLE), FileLook::Gone));
}

#[test]
fn a_file_settles_once_it_has_stood_still() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.zone");
    let mut input = SourceFile::new(path.clone(), SourceFormat::Zone, None);
    let start = told();
    assert_eq!(input.settles_in(start, SETTLE), None, "there is none");
    fs::write(&path, "one").unwrap();
    assert_eq!(input.settles_in(start, SETTLE), Some(SETTLE));
    assert_eq!(input.settles_in(start + SETTLE / 2, SETTLE), Some(SETTLE / 2));
    assert_eq!(input.settles_in(start + SETTLE, SETTLE), None);
    let content = changed(input.look(start + SETTLE, LookMode::Settled, SETTLE));
    input.judged(&content, &[]);
    assert_eq!(input.settles_in(start + SETTLE, SETTLE), None, "it is known");
    assert!(!input.has_moved());
    fs::write(&path, "others").unwrap();
    assert!(input.has_moved());
    fs::remove_file(&path).unwrap();
    assert!(!input.has_moved(), "there is nothing else to read");
}

#[test]
fn less_than_before_and_half_a_line_are_told() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("postern.toml");
    let mut input = SourceFile::new(path.clone(), SourceFormat::Auto, None);
    for (text, has_shrunk, ends_a_line) in [
        ("", false, true),
        ("a = 1\n", false, true),
        ("a = 1\nb = 2\n", false, true),
        ("a = 1\n", true, true),
        ("a = 1\nb", false, false),
        ("a = 1\n \t", false, true),
        ("", true, true),
        ("\u{feff}a", false, false),
    ] {
        fs::write(&path, text).unwrap();
        let content = changed(input.look(Instant::now(), LookMode::Now, SETTLE));
        assert_eq!((input.has_shrunk(&content), content.ends_a_line()), (has_shrunk, ends_a_line), "{text:?}");
        input.judged(&content, &[]);
    }
    let other = directory.path().join("other.toml");
    fs::write(&other, "\n").unwrap();
    fs::rename(&other, &path).unwrap();
    let content = changed(input.look(Instant::now(), LookMode::Now, SETTLE));
    assert!(!input.has_shrunk(&content) && !input.is_in_place(&content), "another file");
    // What PowerShell's `>` writes is UTF-16.
    for (text, ends_a_line) in [(&b"\xff\xfea\0\n\0"[..], true), (b"\xff\xfea\0", false), (b"\xfe\xff\0a\0\n", true)] {
        fs::write(&path, text).unwrap();
        assert_eq!(changed(input.look(Instant::now(), LookMode::Now, SETTLE)).ends_a_line(), ends_a_line, "{text:?}");
    }
    fs::write(&path, "\n").unwrap();
    // Written over by the time it is looked at: how much of it there was is not known.
    let input = &mut SourceFile::held(&postern_config::WatchedFile { path, fingerprint: Some(fingerprint(b"a = 1\nb = 2\n")) });
    let content = changed(input.look(Instant::now(), LookMode::Now, SETTLE));
    assert!(input.has_shrunk(&content));
}

#[test]
fn what_was_read_elsewhere_and_is_still_there_is_not_waited_for() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("postern.toml");
    fs::write(&path, "a = 1\n").unwrap();
    let held = |text: &[u8]| SourceFile::held(&postern_config::WatchedFile { path: path.clone(), fingerprint: Some(fingerprint(text)) });
    assert_eq!(held(b"a = 1\n").settles_in(Instant::now(), SETTLE), None);
    assert!(matches!(held(b"a = 1\n").look(Instant::now(), LookMode::Settled, SETTLE), FileLook::Same));
    assert!(held(b"a = 2\n").settles_in(Instant::now(), SETTLE).is_some());
}

#[test]
fn a_touched_file_is_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.zone");
    fs::write(&path, "same").unwrap();
    let mut input = SourceFile::new(path.clone(), SourceFormat::Zone, None);
    let content = changed(input.look(Instant::now(), LookMode::Now, SETTLE));
    input.judged(&content, &[]);
    fs::write(&path, "same").unwrap();
    assert!(matches!(input.look(Instant::now(), LookMode::Now, SETTLE), FileLook::Same));
}

#[test]
fn a_change_within_the_grain_of_the_clock_is_seen() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.zone");
    let mut input = SourceFile::new(path.clone(), SourceFormat::Zone, None);
    for number in 0..50 {
        fs::write(&path, format!("{number:04}")).unwrap();
        let content = changed(input.look(Instant::now(), LookMode::Now, SETTLE));
        assert_eq!(content.bytes, format!("{number:04}").as_bytes());
        input.judged(&content, &[]);
    }
}

#[test]
fn an_included_file_is_part_of_it() {
    let directory = tempfile::tempdir().unwrap();
    let (path, inner) = (directory.path().join("a.zone"), directory.path().join("inner"));
    fs::write(&path, "same").unwrap();
    fs::write(&inner, "one").unwrap();
    let mut input = SourceFile::new(path, SourceFormat::Zone, None);
    let content = changed(input.look(Instant::now(), LookMode::Now, SETTLE));
    let stamp = Stamp::of(&inner).ok();
    input.judged(&content, &[crate::text::IncludedFile { path: inner.clone(), stamp, fingerprint: Some(fingerprint(b"one")) }]);
    assert!(matches!(input.look(Instant::now(), LookMode::Now, SETTLE), FileLook::Same));
    fs::write(&inner, "two").unwrap();
    changed(input.look(Instant::now(), LookMode::Now, SETTLE));
    fs::remove_file(&inner).unwrap();
    changed(input.look(Instant::now(), LookMode::Now, SETTLE));
}

/// Reads a zone file as a source does; `meanwhile` happens between that and the note of what was read.
fn judge(input: &mut SourceFile, meanwhile: impl FnOnce()) -> usize {
    let content = changed(input.look(Instant::now(), LookMode::Now, SETTLE));
    let (origin, mut log, mut problems) = (NameBuf::parse("contoso.test").unwrap(), RecordLog::default(), Vec::new());
    let table = postern_config::azure::PrivateLinkTable::shared();
    let includes = input.path.parent().map(|root| crate::text::IncludeScope { root, most: 1000 });
    let read = crate::text::read(SourceFormat::Zone, &content.bytes, &input.path, &origin, includes, &table, &mut log, &mut problems);
    meanwhile();
    input.judged(&content, &read.included);
    problems.len()
}

/// Written an hour ago, so that its stamp alone tells what is in it.
fn write_long_ago(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    File::options().write(true).open(path).unwrap().set_modified(SystemTime::now() - Duration::from_secs(3600)).unwrap();
}

#[test]
fn a_link_to_an_included_file_that_turns_while_it_is_read_is_seen() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let turn = |to: &str| {
        std::os::unix::fs::symlink(to, at("next")).unwrap();
        fs::rename(at("next"), at("inner")).unwrap();
    };
    for (name, text) in [("a.zone", "$INCLUDE inner\n"), ("one", "www A 10.0.0.1\n"), ("two", "www A 10.0.0.2\n")] {
        write_long_ago(&at(name), text);
    }
    turn("one");
    let mut input = SourceFile::new(at("a.zone"), SourceFormat::Zone, None);
    assert_eq!(judge(&mut input, || turn("two")), 0);
    assert_eq!(judge(&mut input, || fs::remove_file(at("two")).unwrap()), 0);
    // One that is not there when it is read, and is when that is noted.
    assert_eq!(judge(&mut input, || turn("one")), 1);
    assert_eq!(judge(&mut input, || ()), 0);
    assert!(matches!(input.look(Instant::now(), LookMode::Now, SETTLE), FileLook::Same));
}

#[test]
fn an_included_file_that_is_refused_is_mended_where_it_stands() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    fs::create_dir(at("zones")).unwrap();
    for (name, text) in [("zones/a.zone", "$INCLUDE inner\n"), ("outside", "www A 10.0.0.1\n"), ("zones/inside", "www A 10.0.0.2\n")] {
        write_long_ago(&at(name), text);
    }
    std::os::unix::fs::symlink("../outside", at("zones/inner")).unwrap();
    let mut input = SourceFile::new(at("zones/a.zone"), SourceFormat::Zone, None);
    assert_eq!(judge(&mut input, || ()), 1);
    assert!(matches!(input.look(Instant::now(), LookMode::Now, SETTLE), FileLook::Same), "it is told once");
    assert!(input.paths().any(|path| path == at("zones/inner")), "it is watched");
    fs::remove_file(at("zones/inner")).unwrap();
    std::os::unix::fs::symlink("inside", at("zones/inner")).unwrap();
    assert_eq!(judge(&mut input, || ()), 0);
}

#[test]
fn a_fifo_in_place_of_an_included_file_is_not_waited_for() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    write_long_ago(&at("a.zone"), "$INCLUDE inner\n");
    write_long_ago(&at("inner"), "www A 10.0.0.1\n");
    let mut input = SourceFile::new(at("a.zone"), SourceFormat::Zone, None);
    assert_eq!(judge(&mut input, || ()), 0);
    fs::remove_file(at("inner")).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(at("inner")).status().unwrap().success());
    let (sender, judged) = std::sync::mpsc::channel();
    std::thread::spawn(move || sender.send(judge(&mut input, || ())));
    assert_eq!(judged.recv_timeout(Duration::from_secs(120)), Ok(1));
}

#[test]
fn what_is_no_file_cannot_be_read() {
    let directory = tempfile::tempdir().unwrap();
    let mut input = SourceFile::new(directory.path().into(), SourceFormat::Zone, None);
    assert!(matches!(input.look(Instant::now(), LookMode::Now, SETTLE), FileLook::Unreadable(why) if why == "not a file"));
}

#[test]
fn a_file_that_is_too_large_is_not_read() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.zone");
    File::create(&path).unwrap().set_len(40 << 30).unwrap(); // sparse: it takes no room
    let mut input = SourceFile::new(path.clone(), SourceFormat::Zone, None);
    input.most = 1 << 20;
    assert!(matches!(input.look(Instant::now(), LookMode::Now, SETTLE), FileLook::TooLarge(size) if size == 40 << 30));
    fs::write(&path, "www A 10.0.0.1\n").unwrap();
    changed(input.look(Instant::now(), LookMode::Now, SETTLE));
}

#[test]
fn what_a_zone_file_includes_counts_towards_its_size() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    write_long_ago(&at("a.zone"), "$INCLUDE inner\n$INCLUDE inner\n");
    write_long_ago(&at("inner"), &"; a comment\n".repeat(35)); // 420 bytes: twice they fit into 1000
    let mut input = SourceFile::new(at("a.zone"), SourceFormat::Zone, None);
    assert_eq!(judge(&mut input, || ()), 0);
    write_long_ago(&at("inner"), &"; a comment\n".repeat(60)); // 720 bytes: twice they do not
    assert_eq!(judge(&mut input, || ()), 1);
    File::options().write(true).open(at("inner")).unwrap().set_len(40 << 30).unwrap();
    assert_eq!(judge(&mut input, || ()), 2);
}

#[test]
fn a_file_that_grows_all_the_time_is_waited_for() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.zone");
    let mut file = File::create(&path).unwrap();
    let mut input = SourceFile::new(path, SourceFormat::Zone, None);
    let start = told();
    for step in 0..20 {
        writeln!(file, "line").unwrap();
        assert!(matches!(input.look(start + SETTLE * step, LookMode::Settled, SETTLE), FileLook::Waiting(_)));
    }
}

#[derive(Default)]
struct Lines(Vec<String>);

impl RecordSink for Lines {
    fn record(&mut self, record: RecordRef<'_>) {
        self.0.push(format!("{} {:?} {} {:?} {}", record.owner, record.ttl, record.rtype, record.rdata, record.at.line));
    }

    fn file(&mut self, file: &Arc<PathBuf>) {
        self.0.push(file.display().to_string());
    }
}

#[test]
fn a_log_gives_back_what_it_took() {
    let (name, file) = (NameBuf::parse("a.test").unwrap(), Arc::new(PathBuf::from("f")));
    let (mut log, mut straight, mut replayed) = (RecordLog::default(), Lines::default(), Lines::default());
    for sink in [&mut log as &mut dyn RecordSink, &mut straight] {
        sink.file(&file);
        for (ttl, line) in [(None, 1), (Some(0), 2), (Some(u32::MAX), 3)] {
            sink.record(RecordRef { owner: &name, rtype: 1, ttl, rdata: &[1, 2, 3, 4], at: TextPosition { line, column: 1 } });
        }
    }
    log.replay(&mut replayed);
    assert_eq!((replayed.0, log.len()), (straight.0, 3));
}

#[test]
fn records_go_to_the_longest_apex_and_strays_are_noted_once() {
    let apexes = ["contoso.test", "sub.contoso.test", "contoso.test"].map(|apex| WireName::parse(apex).unwrap());
    let mut sinks = [const { Lines(Vec::new()) }; 3];
    let mut sorter = Sorter { sinks: apexes.iter().zip(&mut sinks).collect(), strays: Strays::default() };
    let file = Arc::new(PathBuf::from("f"));
    sorter.file(&file);
    let names =
        [("www.fabrikam.test", 1), ("www.contoso.test", 1), ("a.sub.contoso.test", 2), ("www.fabrikam.test", 3), ("x.fabrikam.test", 3)];
    for (name, line) in names {
        let owner = NameBuf::parse(name).unwrap();
        sorter.record(RecordRef { owner: &owner, rtype: 1, ttl: None, rdata: &[0; 4], at: TextPosition { line, column: 1 } });
    }
    let mut strays = std::mem::take(&mut sorter.strays);
    strays.close();
    let first: Vec<String> = strays.first.iter().map(|(_, at, name)| format!("{} {name}", at.line)).collect();
    assert_eq!((strays.count, first), (1, vec!["3 www.fabrikam.test.".to_string()]));
    assert_eq!(sinks.map(|lines| lines.0.len()), [2, 2, 2]);
}

#[test]
fn a_file_that_was_read_and_cannot_be_any_more_is_told_once_for_each_reason() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("api.key");
    let mut time = Instant::now();
    let mut look = |input: &mut SourceFile| {
        time += Duration::from_secs(60); // whatever there is stands still from one look to the next
        let seen = input.look(time, LookMode::Settled, SETTLE);
        input.lost(&seen)
    };
    let mut never = SourceFile::held(&postern_config::WatchedFile::now(&path));
    assert_eq!((look(&mut never), look(&mut never)), (None, None), "nothing was read from it");
    fs::write(&path, "one\n").unwrap();
    let mut input = SourceFile::held(&postern_config::WatchedFile::now(&path));
    assert_eq!(look(&mut input), None);
    for round in 0..2 {
        fs::remove_file(&path).unwrap();
        assert_eq!(look(&mut input), None, "{round}: an editor may be about to put it back");
        assert_eq!((look(&mut input).as_deref(), look(&mut input)), (Some("is gone"), None), "{round}");
        fs::create_dir(&path).unwrap();
        assert_eq!((look(&mut input).as_deref(), look(&mut input)), (Some("cannot be read: not a file"), None), "{round}");
        fs::remove_dir(&path).unwrap();
        fs::write(&path, "one\n").unwrap();
        look(&mut input);
        assert_eq!((look(&mut input), &input.missing), (None, &None), "{round}");
    }
}
