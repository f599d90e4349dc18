//! Keeps a zone in a journal: an image, a change, a crash in the middle of a write, and what a restart finds.
//!
//! ```sh
//! cargo run -p postern-zones --example journal
//! ```

use std::error::Error;
use std::fs::OpenOptions;
use std::io::Write;

use postern_zones::journal::{Journal, JournalChange, JournalImage, JournalRecord};
use postern_zones::name::WireName;

fn main() -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("corp.contoso.com.journal");
    let record = |address: [u8; 4]| -> Result<JournalRecord, Box<dyn Error>> {
        Ok(JournalRecord { owner: WireName::parse("www.corp.contoso.com")?, rtype: 1, ttl: 60, rdata: Box::from(address) })
    };

    // The image is on the disk when `create` returns.
    let image = JournalImage { settings: String::new(), serial: 1, records: vec![record([10, 20, 1, 5])?] };
    let mut journal = Journal::create(&path, &image)?;

    // Changes are collected with `append`, and are on the disk when `commit` returns.
    journal.append(&JournalChange {
        from: 1,
        to: 2,
        at: 1_790_000_000_000,
        by: "example".into(),
        removed: vec![record([10, 20, 1, 5])?],
        added: vec![record([10, 20, 1, 6])?],
    });
    journal.commit()?;
    drop(journal);

    // A crash leaves a frame half written. It was never acknowledged, so it is cut off.
    OpenOptions::new().append(true).open(&path)?.write_all(b"half a frame")?;
    let (_, replay) = Journal::open(&path)?;
    println!("serial {}, {} change, {} octets cut off", replay.image.serial, replay.changes.len(), replay.cut);
    assert_eq!((replay.image, replay.changes.len(), replay.cut), (image, 1, 12));
    assert_eq!(replay.changes[0].added, [record([10, 20, 1, 6])?]);
    Ok(())
}

#[test]
fn the_example_runs() -> Result<(), Box<dyn Error>> {
    main()
}
