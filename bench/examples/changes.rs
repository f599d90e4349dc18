//! Prints how soon a record that is set through the API is answered in a zone of a million, and what many changes a second do to queries.
//!
//! `cargo run --release -p postern-bench --example changes -- --postern target/release/postern`
//!
//! Unfair is that clients, server and questions share one machine, and that a change is counted from before its request is written to after
//! the first right answer is read: two round trips over loopback are in it. Each change is on the disk before it is acknowledged.

#![forbid(unsafe_code)]

extern crate postern_bench as bench;

mod server;

use std::fmt::Write as _;
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;
use hdrhistogram::Histogram;
use server::{Prober, Server};

/// Measure changes through the API in a large zone
#[derive(Debug, Parser)]
struct Arguments {
    /// The program
    #[arg(long, default_value = "target/release/postern")]
    postern: PathBuf,
    /// Records of the zone
    #[arg(long, default_value_t = 1_000_000)]
    records: u32,
    /// Records that are set one after the other
    #[arg(long, default_value_t = 2_000)]
    rounds: u32,
    /// Changes a second that are tried for; 0: none are
    #[arg(long, default_value_t = 10_000)]
    rate: u32,
    /// Connections that bring them, each waiting for its answer before it sends the next. The API's socket lets one user have 48
    #[arg(long, default_value_t = 48, value_parser = clap::value_parser!(u32).range(1..=48))]
    clients: u32,
    /// Seconds of questions before, and of questions and changes
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// Questions a second meanwhile
    #[arg(long, default_value_t = 2_000)]
    questions: u32,
    /// Directory for the journal, which decides what a sync costs. Default: a temporary one
    #[arg(long)]
    directory: Option<PathBuf>,
}

const CONFIG: &str = "[server]\nlisten = ['127.0.0.1:0']\nstate = 'state'\n\n[[zone]]\nname = 'contoso.test'\napi = true\non-missing = 'nxdomain'\n\n\
                      [api]\nsocket = 'api.sock'\n\n[[forward]]\nzone = '.'\nupstreams = ['127.0.0.1:1']\n";
/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(120);

fn main() -> io::Result<()> {
    let arguments = Arguments::parse();
    let temporary = tempfile::tempdir()?;
    let directory = arguments.directory.clone().unwrap_or_else(|| temporary.path().to_path_buf());
    fs::write(directory.join("postern.toml"), CONFIG)?;
    let server = Server::start(&arguments.postern, &directory)?;
    let socket = directory.join("api.sock");
    println!("{} records; sync of 4 KiB here: {}", arguments.records, told(&syncs(&directory)?));

    let start = Instant::now();
    let mut zone = String::new();
    for number in 0..arguments.records {
        let _ = writeln!(zone, "n{number} 10 IN A {}", address(number)); // a string takes everything
    }
    let mut api = Api::connect(&socket)?;
    api.send("POST", "/v1/zones/contoso.test/import", "text/plain", &zone)?;
    drop(zone);
    println!("import: {:.2} s", start.elapsed().as_secs_f64());

    let mut prober = Prober::new(server.address)?;
    one_by_one(&arguments, &mut api, &mut prober)?;
    drop(api); // its place is that of one of many
    if arguments.rate > 0 {
        many_at_once(&arguments, &socket, server.address)?;
    }
    Ok(())
}

/// Sets a record, and asks until the answer is right.
fn one_by_one(arguments: &Arguments, api: &mut Api, prober: &mut Prober) -> io::Result<()> {
    let (mut whole, mut acknowledged) = (histogram(), histogram());
    for round in 0..arguments.rounds {
        let number = round.wrapping_mul(7919) % arguments.records;
        let want = Ipv4Addr::from(0x0b00_0000 + round);
        let start = Instant::now();
        api.set(&format!("n{number}"), want)?;
        record(&mut acknowledged, start.elapsed());
        while prober.ask(&format!("n{number}.contoso.test"))? != Some(want) {}
        record(&mut whole, start.elapsed());
    }
    println!("one record set, to the acknowledgement: {}", told(&acknowledged));
    println!("one record set, to the first right answer: {}", told(&whole));
    Ok(())
}

/// Questions at a steady pace, first alone, then while clients change records as fast as the rate says.
fn many_at_once(arguments: &Arguments, socket: &Path, server: SocketAddr) -> io::Result<()> {
    let time = Duration::from_secs(arguments.seconds);
    println!("questions ({} a second) before: {}", arguments.questions, told(&question(server, arguments, time)?));
    let (is_over, made) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let mut clients = Vec::new();
    for client in 0..arguments.clients {
        let (is_over, made, mut api) = (is_over.clone(), made.clone(), Api::connect(socket)?);
        let (rate, step, records) = (f64::from(arguments.rate) / f64::from(arguments.clients), arguments.clients, arguments.records);
        clients.push(thread::spawn(move || -> io::Result<Histogram<u64>> {
            let mut times = histogram();
            let start = Instant::now();
            for count in 0_u32.. {
                let due = start + Duration::from_secs_f64(f64::from(count) / rate);
                thread::sleep(due.saturating_duration_since(Instant::now()));
                if is_over.load(Ordering::Relaxed) {
                    break;
                }
                let number = (count * step + client).wrapping_mul(7919) % records;
                let sent = Instant::now();
                api.set(&format!("n{number}"), Ipv4Addr::from(0x0c00_0000 + count * step + client))?;
                record(&mut times, sent.elapsed());
                made.fetch_add(1, Ordering::Relaxed);
            }
            Ok(times)
        }));
    }
    let start = Instant::now();
    let meanwhile = question(server, arguments, time);
    let (count, took) = (made.load(Ordering::Relaxed), start.elapsed());
    is_over.store(true, Ordering::Relaxed);
    let mut times = histogram();
    for client in clients {
        let of_client = client.join().map_err(|_| io::Error::other("a client panicked"))??;
        times.add(of_client).map_err(io::Error::other)?;
    }
    println!("questions meanwhile: {}", told(&meanwhile?));
    println!("changes: {:.0} a second of {} wanted; each {}", count as f64 / took.as_secs_f64(), arguments.rate, told(&times));
    Ok(())
}

/// Times of answers to questions that are sent at a steady pace, each from when it was due.
fn question(server: SocketAddr, arguments: &Arguments, time: Duration) -> io::Result<Histogram<u64>> {
    let mut prober = Prober::new(server)?;
    let mut times = histogram();
    let start = Instant::now();
    for count in 0_u32.. {
        let due = start + Duration::from_secs(1) * count / arguments.questions;
        if due.duration_since(start) > time {
            break;
        }
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let number = count.wrapping_mul(104_729) % arguments.records;
        if prober.ask(&format!("n{number}.contoso.test"))?.is_none() {
            return Err(io::Error::other("a question got no address"));
        }
        record(&mut times, due.elapsed());
    }
    Ok(times)
}

/// What a small write and its sync cost, without the server.
fn syncs(directory: &Path) -> io::Result<Histogram<u64>> {
    let path = directory.join("sync");
    let mut file = fs::File::create(&path)?;
    let mut times = histogram();
    for _ in 0..200 {
        let start = Instant::now();
        file.write_all(&[0; 4096])?;
        file.sync_data()?;
        record(&mut times, start.elapsed());
    }
    fs::remove_file(path)?;
    Ok(times)
}

fn address(number: u32) -> Ipv4Addr {
    Ipv4Addr::from(0x0a00_0000 + number)
}

fn histogram() -> Histogram<u64> {
    Histogram::new_with_max(3_600_000_000_000, 3).expect("an hour in nanoseconds, to three digits, is what it can hold")
}

fn record(times: &mut Histogram<u64>, time: Duration) {
    times.saturating_record(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
}

fn told(times: &Histogram<u64>) -> String {
    let at = |quantile: f64| format!("{:.3}", times.value_at_quantile(quantile) as f64 / 1e6);
    let quantiles = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999), ("max", 1.0)];
    let quantiles: Vec<String> = quantiles.iter().map(|(name, quantile)| format!("{name} {}", at(*quantile))).collect();
    format!("{} ms, {} times", quantiles.join("  "), times.len())
}

/// A connection to the API that stays open.
struct Api {
    stream: BufReader<UnixStream>,
}

impl Api {
    fn connect(socket: &Path) -> io::Result<Self> {
        let stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    fn set(&mut self, name: &str, address: Ipv4Addr) -> io::Result<()> {
        let body = format!("{{\"ttl\":10,\"records\":[\"{address}\"]}}");
        self.send("PUT", &format!("/v1/zones/contoso.test/rrsets/{name}/A"), "application/json", &body)
    }

    /// Sends a request; what is not answered with 200 is an error.
    fn send(&mut self, method: &str, path: &str, kind: &str, body: &str) -> io::Result<()> {
        let head = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n", body.len());
        self.stream.get_mut().write_all(format!("{head}{body}").as_bytes())?;
        let (mut status, mut length) = (String::new(), 0);
        self.stream.read_line(&mut status)?;
        loop {
            let mut line = String::new();
            self.stream.read_line(&mut line)?;
            match line.trim_end().split_once(": ") {
                Some(("content-length", value)) => length = value.parse().map_err(io::Error::other)?,
                Some(_) => {}
                None => break,
            }
        }
        let mut answer = vec![0; length];
        self.stream.read_exact(&mut answer)?;
        match status.contains(" 200 ") {
            true => Ok(()),
            false => Err(io::Error::other(format!("{} {}", status.trim_end(), String::from_utf8_lossy(&answer)))),
        }
    }
}
