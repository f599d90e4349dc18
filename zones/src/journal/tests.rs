use super::*;

fn record(owner: &str, last: u8) -> Record {
    Record { owner: WireName::parse(owner).unwrap(), rtype: 1, ttl: 10, rdata: Box::new([10, 20, 1, last]) }
}

fn change(from: u32) -> Change {
    Change {
        from,
        to: from + 1,
        at: 1_700_000_000_000,
        by: "key:contoso".into(),
        removed: vec![record("a.privatelink.test", from as u8)],
        added: vec![record("a.privatelink.test", from as u8 + 1), record("b.privatelink.test", 9)],
    }
}

fn image(records: usize) -> Image {
    let records = (0..records).map(|index| record(&format!("n{index}.privatelink.test"), index as u8)).collect();
    Image { settings: r#"{"networks":["hub"]}"#.into(), serial: 7, records }
}

fn with_changes(path: &Path, changes: u32) -> Vec<u8> {
    let mut journal = Journal::create(path, &image(3)).unwrap();
    for serial in 0..changes {
        journal.append(&change(7 + serial));
        journal.commit().unwrap();
    }
    fs::read(path).unwrap()
}

#[test]
fn gives_back_what_was_committed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("zone.journal");
    with_changes(&path, 2);
    let (mut journal, replay) = Journal::open(&path).unwrap();
    assert_eq!(replay, Replay { image: image(3), changes: vec![change(7), change(8)], cut: 0 });
    journal.append(&change(9));
    journal.commit().unwrap();
    journal.append(&change(10));
    journal.append(&change(11));
    journal.commit().unwrap();
    assert_eq!(Journal::open(&path).unwrap().1.changes, [7, 8, 9, 10, 11].map(change));
}

#[test]
fn changes_go_on_while_a_new_image_is_written() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("zone.journal");
    with_changes(&path, 2);
    let (mut journal, _) = Journal::open(&path).unwrap();
    let (go, gone) = std::sync::mpsc::channel();
    let begin = move |journal: &mut Journal, image: Image| {
        let write = move |path: &Path| {
            gone.recv().map_err(io::Error::other)?;
            write_fresh(path, &image.settings, image.serial, &image.records)
        };
        journal.compact_aside(write).unwrap();
    };
    begin(&mut journal, Image { serial: 9, ..image(5_000) });
    journal.append(&change(9));
    journal.commit().unwrap();
    journal.settle().unwrap();
    assert_eq!(Journal::open(&path).unwrap().1.image, image(3), "it is not ready");
    go.send(()).unwrap();
    while !journal.aside.as_ref().unwrap().thread.is_finished() {
        std::thread::yield_now();
    }
    journal.append(&change(10));
    journal.commit().unwrap();
    journal.settle().unwrap();
    journal.append(&change(11));
    journal.commit().unwrap();
    let (reopened, replay) = Journal::open(&path).unwrap();
    assert_eq!(replay, Replay { image: Image { serial: 9, ..image(5_000) }, changes: [9, 10, 11].map(change).into(), cut: 0 });
    assert_eq!((reopened.length, reopened.changes), (journal.length, journal.changes));
    // One that cannot be written leaves the journal as it is.
    journal.compact_aside(|_| Err(io::Error::other("no space"))).unwrap();
    while !journal.aside.as_ref().unwrap().thread.is_finished() {
        std::thread::yield_now();
    }
    assert!(journal.settle().unwrap_err().to_string().contains("no space"));
    journal.append(&change(12));
    journal.commit().unwrap();
    assert_eq!(Journal::open(&path).unwrap().1.changes.len(), 4);
}

#[test]
fn a_journal_is_removed_with_the_image_that_is_being_written() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("zone.journal");
    with_changes(&path, 2);
    let (mut journal, _) = Journal::open(&path).unwrap();
    let (go, gone) = std::sync::mpsc::channel();
    let write = move |path: &Path| {
        gone.recv().map_err(io::Error::other)?;
        write_fresh(path, "", 9, &image(5_000).records)
    };
    journal.compact_aside(write).unwrap();
    let removing = std::thread::spawn(move || {
        journal.remove().unwrap();
        journal
    });
    go.send(()).unwrap();
    let mut journal = removing.join().unwrap();
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0, "neither it nor what stood beside it");
    journal.remove().expect("what is gone is removed");
    drop(directory);
    assert!(journal.remove().unwrap_err().to_string().contains("zone.journal"), "a directory that cannot be synced is no removal");
}

#[test]
fn the_last_settings_count_and_what_was_discarded_does_not() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("zone.journal");
    with_changes(&path, 1);
    let (mut journal, _) = Journal::open(&path).unwrap();
    journal.append(&change(8));
    journal.append_settings("one");
    journal.append_settings("two");
    journal.commit().unwrap();
    journal.append_settings("three");
    journal.discard();
    journal.commit().unwrap();
    let (_, replay) = Journal::open(&path).unwrap();
    assert_eq!((replay.image.settings.as_str(), replay.changes.len(), replay.cut), ("two", 2, 0));
}

#[test]
fn an_image_of_many_parts_comes_back_whole() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("zone.journal");
    Journal::create(&path, &image(60_000)).unwrap();
    assert!(fs::metadata(&path).unwrap().len() > 2 * PART as u64);
    assert_eq!(Journal::open(&path).unwrap().1.image, image(60_000));
}

#[test]
fn cut_at_any_octet_no_acknowledged_change_is_lost_and_none_is_half_applied() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("zone.journal");
    let none = with_changes(&path, 0).len();
    let one = with_changes(&path, 1).len();
    let two = with_changes(&path, 2);
    for length in none..=two.len() {
        fs::write(&path, &two[..length]).unwrap();
        let (mut journal, replay) = Journal::open(&path).unwrap();
        let whole = if length == two.len() { 2 } else { usize::from(length >= one) };
        assert_eq!(replay.changes.len(), whole, "{length}");
        journal.append(&change(20));
        journal.commit().unwrap();
        assert_eq!(Journal::open(&path).unwrap().1.changes.last(), Some(&change(20)), "{length}");
    }
    for length in 0..none {
        fs::write(&path, &two[..length]).unwrap();
        assert!(Journal::open(&path).is_err(), "an image is written before it takes its name: {length}");
    }
}

#[test]
fn a_flipped_octet_before_the_last_frame_is_damage() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("zone.journal");
    let one = with_changes(&path, 1).len();
    let two = with_changes(&path, 2);
    for at in [0, 9, 12, 40, one - 1] {
        let mut octets = two.clone();
        octets[at] ^= 0x40;
        fs::write(&path, &octets).unwrap();
        assert!(Journal::open(&path).is_err() || at == 9, "{at}");
    }
    let mut torn = two.clone();
    torn[one + 20] ^= 1;
    fs::write(&path, &torn).unwrap();
    assert_eq!(Journal::open(&path).unwrap().1.changes.len(), 1, "the last frame may be torn anywhere");
}

#[test]
fn compaction_keeps_the_data_and_drops_the_changes() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("zone.journal");
    with_changes(&path, 2);
    let (mut journal, _) = Journal::open(&path).unwrap();
    let whole = Image { serial: 9, ..image(5) };
    journal.compact(&whole).unwrap();
    journal.append(&change(9));
    journal.commit().unwrap();
    let (_, replay) = Journal::open(&path).unwrap();
    assert_eq!((replay.image, replay.changes), (whole, vec![change(9)]));
}
