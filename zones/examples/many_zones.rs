//! Opens a directory of many zones, looks at it, changes one file, and prints what each took.
//!
//! `cargo run --release -p postern-zones --example many_zones [zones] [records] [networks]`

use std::fmt::Write;
use std::time::Instant;

use postern_zones as zones;
use zones::store::{Look, Store};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let argument = |place, other| std::env::args().nth(place).and_then(|count| count.parse::<u32>().ok()).unwrap_or(other);
    let (zones, records, networks) = (argument(1, 1000), argument(2, 1000), argument(3, 10_000));
    let directory = std::env::temp_dir().join(format!("postern-many-zones-{}", std::process::id()));
    std::fs::create_dir_all(directory.join("zones"))?;
    let mut text = String::new();
    for network in 0..networks {
        let [_, _, a, b] = network.to_be_bytes();
        writeln!(text, "[[network]]\nname = 'n{network}'\nclients = ['10.{a}.{b}.0/24']")?;
    }
    for zone in 0..zones {
        writeln!(text, "[[zone]]\nname = 'z{zone}.test'\ndirectory = 'zones'")?;
        std::fs::write(directory.join(format!("zones/z{zone}.test.zone")), file(records, 1))?;
    }
    let config = config::parse(&text, &directory.join("postern.toml")).map_err(|problems| problems[0].to_string())?.config;
    std::thread::sleep(std::time::Duration::from_secs(3)); // files that are seconds old need not be read again to be sure

    let start = Instant::now();
    let (mut store, _, report) = Store::open(&config, config.azure.clone());
    println!(
        "{zones} zones of {records} records, {networks} networks opened in {:.1?}, {} problems",
        start.elapsed(),
        report.problems.len()
    );
    let start = Instant::now();
    let (_, report) = store.look_again(start, Look::Settled);
    println!("a look without news {:.1?}, new {}", start.elapsed(), report.is_new);
    std::fs::write(directory.join("zones/z0.test.zone"), file(records, 2))?;
    let start = Instant::now();
    let (_, report) = store.look_again(start, Look::Now);
    println!("one file changed {:.1?}, new {}, {}", start.elapsed(), report.is_new, report.zones.len());
    std::fs::remove_dir_all(directory)?;
    Ok(())
}

fn file(records: u32, last: u8) -> String {
    (0..records).map(|number| format!("h{number} 60 IN A 10.0.0.{last}\n")).collect()
}
