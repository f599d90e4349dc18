//! The real program killed at random instants under changes: what was acknowledged is there afterwards, and nothing is half there.

mod harness;

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use harness::http::Http;
use harness::{Server, eventually, postern, write_files};
use serde_json::{Value, json};

const CONFIG: &str = "[server]\nlisten = ['127.0.0.1:0']\n[[zone]]\nname = 'contoso.test'\napi = true\non-missing = 'nxdomain'\n";
/// Clients, each with a connection and names of its own: what they ask at once is committed together.
const CLIENTS: usize = 16;
/// Changes a second that each asks for: 800 in all, so that 500 are left where the machine is slow.
const RATE: u32 = 50;
/// Pairs of each client, written again and again.
const NAMES: usize = 20;
/// One change in so many is of a whole block of names: what takes longer to write is torn more often.
const BLOCK_EVERY: u32 = 20;
/// Names of a client's block: of the first few, and of the rest. Half a megabyte of journal is long enough to be hit now and then.
const BLOCKS: [usize; 4] = [4000, 400, 200, 100];
/// Octets of journal that only the largest blocks take.
const LONG_WRITE: u64 = 64 << 10;

/// What a client knows of a name: the last value that was acknowledged, and one that was sent and may have been made; none: deleted.
#[derive(Debug, Clone, Default, PartialEq)]
struct Known {
    acknowledged: Option<u32>,
    under_way: Option<Option<u32>>,
}

type Knowledge = Arc<Mutex<HashMap<String, Known>>>;

fn start(directory: &Path) -> Server {
    let config = directory.join("postern.toml");
    Server::spawn(postern(&["serve", "-c", config.to_str().unwrap()]), directory.to_path_buf(), None)
}

/// The names that are always changed together: two, or a block of them.
fn parts(name: &str) -> impl Iterator<Item = String> + use<'_> {
    let block = name.strip_prefix("block").map(|number| BLOCKS[number.parse::<usize>().unwrap().min(BLOCKS.len() - 1)]);
    (0..block.unwrap_or(2)).map(move |part| format!("p{part}.{name}"))
}

fn set(name: String, value: Option<u32>) -> Value {
    let records: Vec<String> = value.map(|value| std::net::Ipv4Addr::from(0x0a00_0000 + value).to_string()).into_iter().collect();
    json!({"name": name, "type": "A", "ttl": 10, "records": records})
}

/// Changes names at a steady pace until the connection breaks; each change gives all parts of one the same value.
fn client(number: usize, mut http: Http, first: u32, known: &Knowledge, made: &AtomicU32) -> u32 {
    let start = Instant::now();
    let mut count = 0;
    loop {
        let due = start + Duration::from_secs(1) * count / RATE;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        let turn = first + count;
        let name = match (turn + number as u32).is_multiple_of(BLOCK_EVERY) {
            true => format!("block{number}"),
            false => format!("c{number}-n{}", turn as usize % NAMES),
        };
        let value = Some(turn * CLIENTS as u32 + number as u32).filter(|_| !turn.is_multiple_of(7)); // now and then all of it goes
        known.lock().unwrap().entry(name.clone()).or_default().under_way = Some(value);
        let sets: Vec<Value> = parts(&name).map(|part| set(part, value)).collect();
        let body = json!({ "rrsets": sets }).to_string();
        let headers = [("Content-Type", "application/json")];
        let Some(reply) = http.raw("PATCH", "/v1/zones/contoso.test/rrsets", &headers, &body) else { return count };
        assert_eq!(reply.status, 200, "{reply:?}");
        known.lock().unwrap().insert(name, Known { acknowledged: value, under_way: None });
        made.fetch_add(1, Ordering::Relaxed);
        count += 1;
    }
}

/// Waits until the journal grows by more than a small change needs, or a moment has passed: a write that long is cut by a signal more often
/// than by chance.
fn wait_for_a_long_write(server: &Server) {
    let journal = server.file("state/zones/contoso.test.journal");
    let length = || std::fs::metadata(&journal).map_or(0, |metadata| metadata.len());
    let (start, mut last) = (Instant::now(), length());
    while start.elapsed() < Duration::from_millis(500) {
        let now = length();
        if now > last + LONG_WRITE {
            return;
        }
        last = now;
    }
}

/// What a server holds: the value of each name.
fn held(server: &Server) -> HashMap<String, u32> {
    let mut all = HashMap::new();
    let mut http = server.local_api();
    let mut cursor = String::new();
    loop {
        let page = http.get(&format!("/v1/zones/contoso.test/rrsets?type=A&limit=1000{cursor}")).ok(200);
        for set in page["rrsets"].as_array().unwrap() {
            let name = set["name"].as_str().unwrap().trim_end_matches(".contoso.test.").to_owned();
            let address: std::net::Ipv4Addr = set["records"][0].as_str().unwrap().parse().unwrap();
            assert_eq!(set["records"].as_array().unwrap().len(), 1, "{set}");
            all.insert(name, u32::from(address) - 0x0a00_0000);
        }
        let Some(next) = page["next"].as_str() else { return all };
        cursor = format!("&cursor={next}");
    }
}

#[test]
fn a_server_that_is_killed_under_changes_loses_none_that_was_acknowledged_and_keeps_none_by_half() {
    let rounds: u32 = std::env::var("POSTERN_CRASHES").map_or(10, |count| count.parse().expect("a number"));
    let directory = tempfile::tempdir().unwrap();
    write_files(directory.path(), &[("postern.toml", CONFIG)]);
    let known = Knowledge::default();
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64 ^ u64::from(std::process::id());
    let (mut changes, mut first, mut cut, mut up) = (0, 0, 0, Duration::ZERO);
    let (mut lost, mut half) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        let mut server = start(directory.path());
        let now = held(&server);
        cut += server.log().iter().filter(|line| line.contains("was cut off")).count();
        for (name, knows) in known.lock().unwrap().iter_mut() {
            let mut values: Vec<Option<u32>> = parts(name).map(|part| now.get(&part).copied()).collect();
            values.dedup();
            let [value] = values[..] else {
                half.push(format!("round {round}: {name} is half there: {values:?}; {knows:?}"));
                continue;
            };
            if value != knows.acknowledged && Some(value) != knows.under_way {
                lost.push(format!("round {round}: {name} is {value:?}, known is {knows:?}"));
            }
            *knows = Known { acknowledged: value, under_way: None };
        }
        // Every answer over DNS is of the same data.
        if let Some((name, knows)) = known.lock().unwrap().iter().find(|(_, knows)| knows.acknowledged.is_some()) {
            let want = std::net::Ipv4Addr::from(0x0a00_0000 + knows.acknowledged.unwrap()).to_string();
            assert_eq!(server.short(&format!("p0.{name}.contoso.test"), hickory_proto::rr::RecordType::A), [want]);
        }
        let made = Arc::new(AtomicU32::new(0));
        let begin = Instant::now();
        let clients: Vec<_> = (0..CLIENTS)
            .map(|number| {
                let (http, known, made) = (server.local_api(), known.clone(), made.clone());
                std::thread::spawn(move || client(number, http, first, &known, &made))
            })
            .collect();
        // Most are killed in the midst of changes, however slow the machine is; the others perhaps before the first one.
        if round % 4 != 0 {
            eventually("changes are acknowledged", || (made.load(Ordering::Relaxed) >= CLIENTS as u32).then_some(()));
        }
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        std::thread::sleep(Duration::from_millis(20 + (seed >> 33) % 600));
        if round % 4 == 3 {
            wait_for_a_long_write(&server);
        }
        server.kill();
        up += begin.elapsed();
        let counts: Vec<u32> = clients.into_iter().map(|client| client.join().unwrap()).collect();
        changes += counts.iter().sum::<u32>();
        first += counts.iter().max().unwrap() + 1;
    }
    // How many a second is the machine's matter, and fails nothing.
    println!(
        "{rounds} kills: {changes} changes acknowledged in {:.1} s that the server was up and asked, {:.0} a second; {cut} torn tails cut \
         off; {} lost, {} half applied",
        up.as_secs_f64(),
        f64::from(changes) / up.as_secs_f64(),
        lost.len(),
        half.len()
    );
    assert!(lost.is_empty() && half.is_empty(), "{}", [lost, half].concat().join("\n"));
    assert!(changes > rounds, "{changes}");
}
