//! Loads, asks and changes a zone of a million A records, and prints what each took.
//!
//! `cargo run --release -p postern-zones --example million [records]`

use std::fmt::Write;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use postern_config::azure::PrivateLinkTable;
use postern_config::model::SourceFormat;
use postern_zones::diff::Difference;
use postern_zones::lookup::Lookup;
use postern_zones::name::NameBuf;
use postern_zones::zone::{RrSetChange, Zone, ZoneBuilder};

fn main() {
    let count: u32 = std::env::args().nth(1).and_then(|count| count.parse().ok()).unwrap_or(1_000_000);
    let mut text = String::from("$TTL 60\n");
    for number in 0..count {
        let [_, a, b, c] = number.to_be_bytes();
        let _ = writeln!(text, "host-{number:07} IN A 10.{a}.{b}.{c}");
    }
    println!("file            {:>10} octets, process {}", text.len(), resident());

    let start = Instant::now();
    let mut builder = ZoneBuilder::new(postern_zones::name::WireName::parse("contoso.test").expect("a name"));
    read(&text, &mut builder);
    let parsed = start.elapsed();
    println!("parsed          {parsed:>10.1?}, process {}", resident());
    let zone = finish(builder);
    println!("built           {:>10.1?} ({:.1?} in all), process {}", start.elapsed() - parsed, start.elapsed(), resident());
    println!("zone            {:>10} octets, {:.1} a record", zone.memory(), zone.memory() as f64 / f64::from(count));

    let names: Vec<NameBuf> =
        (0..1_000_000u32).map(|number| name((number.wrapping_mul(2_654_435_761) >> 8) % (count + count / 10))).collect();
    let start = Instant::now();
    let hits = names.iter().filter(|name| matches!(zone.lookup(name, 1), Lookup::Found { .. })).count();
    println!("lookup          {:>10.1?} each, {hits} of {} found", start.elapsed() / names.len() as u32, names.len());

    let mut times: Vec<_> = (0..1000u32)
        .map(|number| {
            let change = RrSetChange::set(&name(number * 7), 1, 60, [Box::from(number.to_be_bytes())]);
            let start = Instant::now();
            let changed = zone.apply(&[change]).expect("an address can change");
            let took = start.elapsed();
            drop(changed);
            took
        })
        .collect();
    times.sort();
    println!("one change      {:>10.1?} median, {:.1?} p99", times[500], times[990]);

    let start = Instant::now();
    let mut builder = ZoneBuilder::new(zone.apex().clone());
    read(&text.replacen("10.0.0.7", "10.9.9.9", 1), &mut builder);
    let mut again = finish(builder);
    println!("built again     {:>10.1?}, process {}", start.elapsed(), resident());
    let start = Instant::now();
    again.share_with(&zone);
    let difference = Difference::between(&zone, &again);
    println!("compared        {:>10.1?}: {difference}, process {}", start.elapsed(), resident());
}

fn read(text: &str, builder: &mut ZoneBuilder) {
    let (origin, mut problems) = (NameBuf::parse("contoso.test").expect("a name"), Vec::new());
    postern_zones::text::read(
        SourceFormat::Zone,
        text.as_bytes(),
        &Arc::new(PathBuf::from("zone")),
        &origin,
        None,
        PrivateLinkTable::builtin(),
        builder,
        &mut problems,
    );
    assert!(problems.is_empty(), "{problems:?}");
}

fn finish(builder: ZoneBuilder) -> Zone {
    builder.finish(1).unwrap_or_else(|problems| panic!("{problems:?}")).zone
}

fn name(number: u32) -> NameBuf {
    NameBuf::parse(&format!("host-{number:07}.contoso.test")).expect("a name")
}

/// Memory of this process, now and at most.
fn resident() -> String {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = |key: &str| {
        status.lines().find(|line| line.starts_with(key)).and_then(|line| line.split_whitespace().nth(1)).unwrap_or("?").to_string()
    };
    format!("{} kB (most {} kB)", line("VmRSS"), line("VmHWM"))
}
