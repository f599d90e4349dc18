//! Prints how long a change of a watched file takes until it is answered, from the moment its last byte is written.
//!
//! `cargo run -p postern-bench --example watched_file -- --postern target/release/postern`
//!
//! Unfair is that the changes come one by one, a moment apart, on a machine that does little else. The server has its default settings;
//! most of the time it waits for the file to stand still (`server.settle`, 20 ms).

#![forbid(unsafe_code)]

extern crate postern_bench as bench;

mod server;

use std::io;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use std::{fs, thread};

use clap::Parser;
use hdrhistogram::Histogram;
use server::{Prober, Server};

/// Measure how soon a change of a watched file of a hundred records is answered
#[derive(Debug, Parser)]
struct Arguments {
    /// The program
    #[arg(long, default_value = "target/release/postern")]
    postern: PathBuf,
    /// Changes of each kind
    #[arg(long, default_value_t = 200)]
    rounds: u16,
    /// Records of the file
    #[arg(long, default_value_t = 100)]
    records: usize,
}

/// How a file is changed: all of its addresses, or all of them and how many there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    InPlace,
    RenamedOver,
    Halved,
}

const CHANGES: [(Change, &str); 3] = [
    (Change::InPlace, "every record changed, written in place"),
    (Change::RenamedOver, "every record changed, renamed over"),
    (Change::Halved, "half of the records gone, or back: a file that loses names is waited for, up to 10 s"),
];
/// Changes of [`Change::Halved`]: every other one takes ten seconds.
const MOST_HALVED: u16 = 6;

const CONFIG: &str = "[server]\nlisten = ['127.0.0.1:0']\n\n[[zone]]\nname = 'contoso.test'\nfile = 'contoso.zone'\n\n\
                      [[forward]]\nzone = '.'\nupstreams = ['127.0.0.1:1']\n";

/// Longer than a change takes on any machine.
const PATIENCE: Duration = Duration::from_secs(120);

fn main() -> io::Result<()> {
    let arguments = Arguments::parse();
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("contoso.zone");
    fs::write(directory.path().join("postern.toml"), CONFIG)?;
    fs::write(&file, zone(0, arguments.records))?;
    let server = Server::start(&arguments.postern, directory.path())?;
    let mut prober = Prober::new(server.address)?;
    let mut version = 0;
    for (change, words) in CHANGES {
        let mut times = Histogram::<u64>::new(3).map_err(io::Error::other)?;
        let rounds = if change == Change::Halved { arguments.rounds.min(MOST_HALVED) } else { arguments.rounds };
        for round in 0..rounds {
            version += 1;
            let records = if change == Change::Halved && round % 2 == 0 { arguments.records / 2 } else { arguments.records };
            thread::sleep(Duration::from_millis(50)); // changes are events of their own
            let text = zone(version, records);
            if change == Change::RenamedOver {
                let beside = directory.path().join("next");
                fs::write(&beside, text)?;
                fs::rename(beside, &file)?;
            } else {
                fs::write(&file, text)?;
            }
            let written = Instant::now();
            wait(&mut prober, version)?;
            times.record(written.elapsed().as_micros() as u64).map_err(io::Error::other)?;
        }
        let at = |share: f64| times.value_at_quantile(share) as f64 / 1000.0;
        println!(
            "{} records, {words}, {} times: p50 {:.1} ms, p90 {:.1} ms, p99 {:.1} ms, most {:.1} ms",
            arguments.records,
            rounds,
            at(0.5),
            at(0.9),
            at(0.99),
            at(1.0)
        );
    }
    Ok(())
}

/// A zone in which every address names the version.
fn zone(version: u16, records: usize) -> String {
    let [high, low] = version.to_be_bytes();
    (0..records).map(|number| format!("host-{number} 0 IN A 10.{high}.{low}.{}\n", number % 250)).collect()
}

/// Asks for the first record until it is of this version. The zone is swapped whole, so one record speaks for all of them.
fn wait(prober: &mut Prober, version: u16) -> io::Result<()> {
    let [high, low] = version.to_be_bytes();
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        if prober.ask("host-0.contoso.test")? == Some(Ipv4Addr::new(10, high, low, 0)) {
            return Ok(());
        }
        thread::sleep(Duration::from_micros(100)); // the clock of this measurement
    }
    Err(io::Error::other(format!("version {version} was not served within {PATIENCE:?}")))
}
