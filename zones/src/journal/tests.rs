use std::io::Write;

use super::format::{HEAD, PART};
use super::read::{Lost, Salvage};
use super::*;
use crate::state_directory::faults::{self, Fault};

fn record(owner: &str, last: u8) -> JournalRecord {
    JournalRecord { owner: WireName::parse(owner).unwrap(), rtype: 1, ttl: 10, rdata: Box::new([10, 20, 1, last]) }
}

fn change(from: u32) -> JournalChange {
    JournalChange {
        from,
        to: from + 1,
        at: 1_700_000_000_000,
        by: "key:contoso".into(),
        removed: vec![record("a.privatelink.test", from as u8)],
        added: vec![record("a.privatelink.test", from as u8 + 1), record("b.privatelink.test", 9)],
    }
}

fn image(records: usize) -> JournalImage {
    let records = (0..records).map(|index| record(&format!("n{index}.privatelink.test"), index as u8)).collect();
    JournalImage { settings: r#"{"networks":["hub"]}"#.into(), serial: 7, records }
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
    assert_eq!(replay, JournalReplay { image: image(3), changes: vec![change(7), change(8)], cut: 0 });
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
    let begin = move |journal: &mut Journal, image: JournalImage| {
        let write = move |path: &Path| {
            gone.recv().map_err(io::Error::other)?;
            write_fresh(path, &image.settings, image.serial, &image.records)
        };
        journal.compact_aside(write).unwrap();
    };
    begin(&mut journal, JournalImage { serial: 9, ..image(5_000) });
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
    assert_eq!(
        replay,
        JournalReplay { image: JournalImage { serial: 9, ..image(5_000) }, changes: [9, 10, 11].map(change).into(), cut: 0 }
    );
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
fn a_directory_that_cannot_be_synced_behind_a_compaction_makes_the_new_journal_spent_and_not_foreign() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("zone.journal");
    let compact = |journal: &mut Journal| journal.compact(&JournalImage { serial: 9, ..image(5) });
    let settle = |journal: &mut Journal| {
        journal.compact_aside(|path| write_fresh(path, "", 9, &image(5).records)).unwrap();
        while !journal.aside.as_ref().unwrap().thread.is_finished() {
            std::thread::yield_now();
        }
        journal.settle()
    };
    type Way = dyn Fn(&mut Journal) -> Result<(), JournalError>;
    let ways: [&Way; 2] = [&compact, &settle];
    for (number, way) in ways.into_iter().enumerate() {
        with_changes(&path, 2);
        let (mut journal, _) = Journal::open(&path).unwrap();
        let old = fs::read(&path).unwrap();
        // Without a descriptor for the directory nothing is renamed, and the old journal continues.
        faults::during(Fault::Open, || way(&mut journal)).unwrap_err();
        assert_eq!((fs::read(&path).unwrap(), journal.condition().unwrap()), (old, JournalCondition::Sound), "{number}");
        journal.append(&change(9));
        journal.commit().unwrap();
        let error = faults::during(Fault::Sync, || way(&mut journal)).unwrap_err();
        assert!(matches!(&error, JournalError::Unsynced { .. }), "{number}: {error}");
        let condition = journal.condition().expect("the file is its own");
        assert!(matches!(condition, JournalCondition::Spent(why) if why.contains("its directory could not be synced")), "{number}");
        journal.append(&change(10));
        assert!(journal.commit().is_err(), "{number}: a loss of power could undo it");
        journal.compact(&image(4)).unwrap();
        journal.append(&change(10));
        journal.commit().unwrap();
        assert_eq!(Journal::open(&path).unwrap().1, JournalReplay { image: image(4), changes: vec![change(10)], cut: 0 }, "{number}");
    }
}

#[test]
fn a_journal_whose_name_may_not_be_on_the_disk_is_not_created_and_one_that_is_converted_serves() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("zone.journal");
    for fault in [Fault::Open, Fault::Sync] {
        assert!(faults::during(fault, || Journal::create(&path, &image(3))).is_err());
        assert!(!path.exists(), "{fault:?}: the next start would serve it");
    }
    fs::write(&path, old_format(3).0).unwrap();
    let (journal, replay) = faults::during(Fault::Sync, || Journal::open(&path)).unwrap();
    assert_eq!(replay.changes, [7, 8, 9].map(change));
    assert!(matches!(journal.condition(), Ok(JournalCondition::Spent(_))));
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

/// As the server or the machine may leave a journal when it stops while a frame is written: any part of it, or any of its sectors.
fn torn(before: &[u8], after: &[u8]) -> Vec<Vec<u8>> {
    let mut left: Vec<Vec<u8>> = (before.len()..after.len()).map(|length| [before, &after[before.len()..length]].concat()).collect();
    let sectors: Vec<usize> = (before.len()..after.len()).step_by(64).collect(); // smaller than they are: more of them
    for kept in 0..1_u32 << sectors.len().min(8) {
        let mut octets = [before, &vec![0; after.len() - before.len()]].concat();
        for (bit, start) in sectors.iter().enumerate().filter(|(bit, _)| kept >> bit & 1 == 1) {
            let end = sectors.get(bit + 1).copied().unwrap_or(after.len());
            octets[*start..end].copy_from_slice(&after[*start..end]);
        }
        if octets[before.len()..] != after[before.len()..] {
            left.push(octets);
        }
    }
    left
}

#[test]
fn a_frame_that_was_being_written_is_cut_off_however_it_was_torn_and_the_journal_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("zone.journal");
    let mut journal = Journal::create(&path, &image(3)).unwrap();
    journal.append(&change(7));
    journal.commit().unwrap();
    let one = fs::read(&path).unwrap();
    journal.append(&change(8));
    journal.append(&change(9));
    journal.commit().unwrap();
    let two = fs::read(&path).unwrap();
    let torn = torn(&one, &two);
    assert!(torn.len() > 300, "{}", torn.len());
    for octets in torn {
        fs::write(&path, &octets).unwrap();
        let (mut journal, replay) = Journal::open(&path).unwrap();
        assert_eq!((replay.changes.len(), replay.cut), (1, (octets.len() - one.len()) as u64));
        journal.append(&change(20));
        journal.commit().unwrap();
        assert_eq!(Journal::open(&path).unwrap().1.changes, [7, 20].map(change));
    }
    // Whole, and the power failed before its mark was on the disk.
    fs::write(&path, [&one, &two[one.len()..]].concat()).unwrap();
    assert_eq!(Journal::open(&path).unwrap().1.changes, [7, 8, 9].map(change));
    assert_eq!(fs::read(&path).unwrap(), two, "its mark is made up for");
}

/// What came of opening damaged copies of a journal.
#[derive(Default)]
struct Outcomes {
    tried: usize,
    /// Refused, and the file is as it was.
    refused: usize,
    /// Opened with all that was committed.
    whole: usize,
    lost: usize,
    invented: usize,
    /// Changes that can be saved of the refused ones, the fewest and all together.
    saved: (usize, usize),
}

impl Outcomes {
    fn open(&mut self, path: &Path, octets: &[u8], committed: &[JournalChange]) {
        self.tried += 1;
        let read = read::read(octets);
        if self.tried.is_multiple_of(37) {
            // The same as a file: a disk is slow, and there are thousands.
            fs::write(path, octets).unwrap();
            let opened = Journal::open(path).map(|(_, replay)| replay);
            let is_same = match (&read, &opened) {
                (Ok(reading), Ok(replay)) => reading.replay == *replay,
                (Err(damage), Err(JournalError::Damaged { damage: told, .. })) => damage == told && fs::read(path).unwrap() == octets,
                _ => false,
            };
            assert!(is_same, "{opened:?}; a damaged file is left as it is");
        }
        match read.map(|reading| reading.replay) {
            Err(damage) => {
                assert!(damage.at() <= octets.len() as u64, "{damage}");
                let saved = read::salvage(octets);
                // In their order, and none that never was.
                let mut rest = committed.iter();
                let is_one = |change: &JournalChange| rest.any(|committed| committed == change);
                self.invented += usize::from(!saved.changes.iter().all(is_one));
                self.invented += usize::from(!saved.image.records.iter().all(|record| image(3).records.contains(record)));
                let fewest = if self.refused == 0 { usize::MAX } else { self.saved.0 };
                self.saved = (fewest.min(saved.changes.len()), self.saved.1 + saved.changes.len());
                self.refused += 1;
            }
            Ok(replay) if replay.image == image(3) && replay.changes == committed => self.whole += 1,
            Ok(replay) if replay.changes.len() < committed.len() => self.lost += 1,
            Ok(_) => self.invented += 1,
        }
    }

    fn row(&self, what: &str) -> String {
        let Self { tried, refused, whole, lost, invented, saved } = self;
        let average = saved.1 as f64 / (*refused).max(1) as f64;
        format!("{what:<44} {tried:>6} {refused:>8} {whole:>6} {lost:>5} {invented:>9} {:>7} {average:>8.1}", saved.0)
    }
}

#[test]
fn no_damage_loses_a_committed_change_silently_or_invents_one() {
    const CHANGES: u32 = 40;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("zone.journal");
    let good = with_changes(&path, CHANGES);
    let committed: Vec<JournalChange> = (7..7 + CHANGES).map(change).collect();
    let frames = with_changes(&path, CHANGES - 3).len()..good.len();
    let flipped = |bits: &mut dyn Iterator<Item = (usize, u8)>| {
        let mut outcomes = Outcomes::default();
        for (at, mask) in bits {
            let mut octets = good.clone();
            octets[at] ^= mask;
            outcomes.open(&path, &octets, &committed);
        }
        outcomes
    };
    let zeroed = |size: usize| {
        let mut outcomes = Outcomes::default();
        for start in (0..good.len()).step_by(size) {
            let mut octets = good.clone();
            octets[start..(start + size).min(good.len())].fill(0);
            if octets != good {
                outcomes.open(&path, &octets, &committed);
            }
        }
        outcomes
    };
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize % below
    };
    let elsewhere: Vec<(usize, u8)> = (0..1_000).map(|_| (random(frames.start), 1 << random(8))).collect();
    let head: Vec<(usize, u8)> = (0..HEAD).map(|at| (at, 1 << random(8))).collect();
    let mut truncated = Outcomes::default();
    (0..good.len()).for_each(|length| truncated.open(&path, &good[..length], &committed));
    let table = [
        ("every bit of the last 3 frames", flipped(&mut frames.clone().flat_map(|at| (0..8).map(move |bit| (at, 1 << bit))))),
        ("every octet of the last 3 frames, inverted", flipped(&mut frames.clone().map(|at| (at, 0xff)))),
        ("1,000 random bits before them", flipped(&mut elsewhere.into_iter())),
        ("a bit of every octet of the head", flipped(&mut head.into_iter())),
        ("each sector of 512 octets zeroed", zeroed(512)),
        ("each page of 4,096 octets zeroed", zeroed(4_096)),
        ("truncated at every length", truncated),
    ];
    println!("{} octets, {CHANGES} committed changes of 3 records; the last 3 frames have {} octets", good.len(), frames.len());
    println!(
        "{:<44} {:>6} {:>8} {:>6} {:>5} {:>9} {:>7} {:>8}",
        "damage", "tried", "refused", "whole", "lost", "invented", "saved ≥", "average"
    );
    table.iter().for_each(|(what, outcomes)| println!("{}", outcomes.row(what)));
    for (what, outcomes) in &table {
        assert_eq!((outcomes.lost, outcomes.invented), (0, 0), "{what}");
        assert_eq!(outcomes.refused + outcomes.whole, outcomes.tried, "{what}");
        // Nothing committed is in the unused part of the head, and the commit mark is there twice.
        let may_be_whole = what.contains("head") || what.contains("random") || what.contains("512");
        assert!(outcomes.whole == 0 || may_be_whole, "{what}: {}", outcomes.whole);
    }
    assert!(table.iter().map(|(_, outcomes)| outcomes.tried).sum::<usize>() > 15_000);
}

#[test]
fn of_a_damaged_journal_everything_else_is_saved() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("zone.journal");
    let (nine, ten) = (with_changes(&path, 9).len(), with_changes(&path, 10).len());
    let good = with_changes(&path, 20);
    let saved = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut octets = good.clone();
        change(&mut octets);
        read::salvage(&octets)
    };
    let serials = |salvage: &Salvage| salvage.changes.iter().map(|change| change.from).collect::<Vec<_>>();
    let all_but_one: Vec<u32> = (7..27).filter(|from| *from != 16).collect();
    let lost = Lost { at: nine as u64, octets: (ten - nine) as u64, after: 16 };
    for at in [nine, nine + 4, nine + 9, nine + 15, nine + 40, ten - 1] {
        let salvage = saved(&|octets| octets[at] ^= 1);
        assert_eq!((serials(&salvage), &salvage.lost[..]), (all_but_one.clone(), &[lost][..]), "{at}");
        assert_eq!((salvage.image, salvage.has_settings, salvage.serial), (image(3), true, 27));
    }
    let salvage = saved(&|octets| octets.truncate(ten + 1));
    assert_eq!((serials(&salvage).len(), salvage.lost.len(), salvage.serial), (10, 2, 27), "the mark knows the last serial");
    let salvage = saved(&|octets| octets[..HEAD].fill(0));
    assert_eq!((serials(&salvage).len(), salvage.image), (20, image(3)), "without its head");
    let salvage = saved(&|octets| octets[HEAD + FRAME + 3] ^= 1);
    assert_eq!((serials(&salvage).len(), salvage.has_settings, salvage.image.records.len()), (20, false, 0), "without its image");
    assert_eq!(saved(&|octets| octets.clear()).changes, []);
}

/// A journal of the first format.
fn old_format(changes: u32) -> (Vec<u8>, Vec<usize>) {
    let mut octets = format::MAGIC_1.to_vec();
    let mut ends = Vec::new();
    let mut frame = |payload: &[u8]| {
        octets.extend_from_slice(&(payload.len() as u32).to_be_bytes());
        octets.extend_from_slice(&crc32fast::hash(payload).to_be_bytes());
        octets.extend_from_slice(payload);
        ends.push(octets.len());
    };
    let mut whole = Vec::new();
    let image = image(3);
    format::write_image(Salt::default(), &image.settings, image.serial, &image.records, &mut whole).unwrap();
    frame(&whole[FRAME..]);
    for serial in 0..changes {
        let mut payload = Vec::new();
        format::write_change(&change(7 + serial), &mut payload);
        frame(&payload);
    }
    (octets, ends)
}

#[test]
fn a_journal_of_the_first_format_is_read_and_written_anew_with_its_history() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("zone.journal");
    let (old, ends) = old_format(3);
    fs::write(&path, &old).unwrap();
    let (mut journal, replay) = Journal::open(&path).unwrap();
    assert_eq!(replay, JournalReplay { image: image(3), changes: [7, 8, 9].map(change).into(), cut: 0 });
    journal.append(&change(10));
    journal.commit().unwrap();
    assert!(fs::read(&path).unwrap().starts_with(format::MAGIC));
    assert_eq!(Journal::open(&path).unwrap().1.changes, [7, 8, 9, 10].map(change));
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    // Damage in the midst is damage, in whatever octet of a frame.
    for at in ends[0]..ends[2] {
        let mut octets = old.clone();
        octets[at] ^= 1;
        fs::write(&path, &octets).unwrap();
        assert!(matches!(Journal::open(&path), Err(JournalError::Damaged { .. })), "{at}");
        assert!(fs::read(&path).unwrap() == octets, "{at}");
        assert_eq!(read::salvage(&octets).changes.len(), 2, "{at}");
    }
    // A last frame that is not whole is cut off as before: nobody can tell. The old file is kept.
    fs::write(&path, &old[..old.len() - 1]).unwrap();
    assert_eq!(Journal::open(&path).unwrap().1.changes, [7, 8].map(change));
    assert_eq!(fs::read(path.with_extension("journal-1")).unwrap(), old[..old.len() - 1]);
}

#[test]
fn a_journal_that_was_removed_or_cut_is_spent_and_one_that_was_replaced_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("zone.journal");
    let open = || {
        with_changes(&path, 2);
        let (mut journal, _) = Journal::open(&path).unwrap();
        journal.append(&change(9));
        journal
    };
    let mut journal = open();
    assert_eq!(journal.condition().unwrap(), JournalCondition::Sound);
    fs::remove_file(&path).unwrap();
    assert_eq!(journal.condition().unwrap(), JournalCondition::Spent("the file was removed while the server runs".into()));
    assert!(journal.commit().is_err(), "nothing is written to a file without a name");
    journal.compact(&JournalImage { serial: 10, ..image(4) }).unwrap();
    journal.append(&change(10));
    journal.commit().unwrap();
    assert_eq!(
        Journal::open(&path).unwrap().1,
        JournalReplay { image: JournalImage { serial: 10, ..image(4) }, changes: vec![change(10)], cut: 0 }
    );

    let mut journal = open();
    OpenOptions::new().write(true).open(&path).unwrap().set_len(HEAD as u64 + 10).unwrap();
    assert!(matches!(journal.condition(), Ok(JournalCondition::Spent(why)) if why.contains("cut")));
    assert!(journal.commit().is_err());

    for replace in [
        |path: &Path| {
            fs::copy(path, path.with_extension("copy")).unwrap();
            fs::rename(path.with_extension("copy"), path).unwrap();
        },
        |path: &Path| OpenOptions::new().append(true).open(path).unwrap().write_all(b"more").unwrap(),
    ] {
        let mut journal = open();
        replace(&path);
        let octets = fs::read(&path).unwrap();
        let error = journal.commit().unwrap_err().to_string();
        assert!(error.contains("while the server runs, so changes are rejected. help: "), "{error}");
        assert!(journal.compact(&image(1)).is_err() && journal.remove().is_err());
        assert_eq!(fs::read(&path).unwrap(), octets, "whoever put it there decides");
    }
    // The directory as a whole.
    let mut journal = open();
    fs::remove_dir_all(directory.path()).unwrap();
    assert!(matches!(journal.condition(), Ok(JournalCondition::Spent(_))));
    assert!(journal.commit().is_err());
}

#[test]
fn a_file_that_cannot_be_written_is_read_all_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("zone.journal");
    let octets = [&with_changes(&path, 2)[..], b"torn"].concat();
    fs::write(&path, &octets).unwrap();
    let (mut journal, replay) = Journal::open_read_only(&path, "read-only file system").unwrap();
    assert_eq!((replay.changes.len(), replay.cut), (2, 4));
    assert_eq!(journal.condition().unwrap(), JournalCondition::Spent("read-only file system".into()));
    journal.append(&change(9));
    assert!(journal.commit().unwrap_err().to_string().contains("read-only file system"));
    drop(journal);
    assert_eq!(fs::read(&path).unwrap(), octets, "nothing is cut off, nothing is marked");
}

#[test]
fn compaction_keeps_the_data_and_drops_the_changes() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("zone.journal");
    with_changes(&path, 2);
    let (mut journal, _) = Journal::open(&path).unwrap();
    let whole = JournalImage { serial: 9, ..image(5) };
    journal.compact(&whole).unwrap();
    journal.append(&change(9));
    journal.commit().unwrap();
    let (_, replay) = Journal::open(&path).unwrap();
    assert_eq!((replay.image, replay.changes), (whole, vec![change(9)]));
}
