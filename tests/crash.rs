//! The real program killed at random instants under changes: what was acknowledged is there afterwards, and nothing is half there.

mod harness;

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use harness::http::Http;
use harness::{Server, postern, write_files};
use serde_json::{Value, json};

const CONFIG: &str = "[server]\nlisten = ['127.0.0.1:0']\n[[zone]]\nname = 'contoso.test'\napi = true\non-missing = 'nxdomain'\n";
/// Clients, each with names of its own.
const CLIENTS: usize = 5;
/// Changes a second of each.
const RATE: u32 = 100;
/// Names of each client, written again and again.
const NAMES: usize = 20;

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

fn set(name: &str, half: &str, value: Option<u32>) -> Value {
    let records: Vec<String> = value.map(|value| std::net::Ipv4Addr::from(0x0a00_0000 + value).to_string()).into_iter().collect();
    json!({"name": format!("{half}.{name}"), "type": "A", "ttl": 10, "records": records})
}

/// Changes pairs of names at a steady pace until the connection breaks; each change makes both halves of a pair the same.
fn client(number: usize, socket: &Path, first: u32, known: &Knowledge, is_over: &AtomicBool) -> u32 {
    let mut http = Http::socket(socket);
    let start = Instant::now();
    let mut count = 0;
    while !is_over.load(Ordering::Relaxed) {
        let due = start + Duration::from_secs(1) * count / RATE;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        let value = (first + count) * CLIENTS as u32 + number as u32;
        let name = format!("c{number}-n{}", (first + count) as usize % NAMES);
        let value = Some(value).filter(|_| !(first + count).is_multiple_of(7)); // now and then a pair goes
        known.lock().unwrap().entry(name.clone()).or_default().under_way = Some(value);
        let body = json!({"rrsets": [set(&name, "left", value), set(&name, "right", value)]}).to_string();
        let headers = [("Content-Type", "application/json")];
        let Some(reply) = http.raw("PATCH", "/v1/zones/contoso.test/rrsets", &headers, &body) else { break };
        assert_eq!(reply.status, 200, "{reply:?}");
        known.lock().unwrap().insert(name, Known { acknowledged: value, under_way: None });
        count += 1;
    }
    count
}

/// What a server holds: the value of each half.
fn held(server: &Server) -> HashMap<String, u32> {
    let mut all = HashMap::new();
    let mut http = server.local_api();
    let sets = http.get("/v1/zones/contoso.test/rrsets?type=A&limit=10000").ok(200);
    for set in sets["rrsets"].as_array().unwrap() {
        let name = set["name"].as_str().unwrap().trim_end_matches(".contoso.test.").to_owned();
        let address: std::net::Ipv4Addr = set["records"][0].as_str().unwrap().parse().unwrap();
        assert_eq!(set["records"].as_array().unwrap().len(), 1, "{set}");
        all.insert(name, u32::from(address) - 0x0a00_0000);
    }
    all
}

#[test]
fn a_server_that_is_killed_under_changes_loses_none_that_was_acknowledged_and_keeps_none_by_half() {
    let rounds: u32 = std::env::var("POSTERN_CRASHES").map_or(10, |count| count.parse().expect("a number"));
    let directory = tempfile::tempdir().unwrap();
    write_files(directory.path(), &[("postern.toml", CONFIG)]);
    let known = Knowledge::default();
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64 ^ u64::from(std::process::id());
    let (mut changes, mut first, mut cut) = (0, 0, 0);
    for round in 0..rounds {
        let mut server = start(directory.path());
        cut += server.log().iter().filter(|line| line.contains("was cut off")).count();
        let now = held(&server);
        for (name, knows) in known.lock().unwrap().iter_mut() {
            let [left, right] = ["left", "right"].map(|half| now.get(&format!("{half}.{name}")).copied());
            assert_eq!(left, right, "round {round}: {name} is half there; {knows:?}");
            let is_known = left == knows.acknowledged || Some(left) == knows.under_way;
            assert!(is_known, "round {round}: {name} is {left:?}, known is {knows:?}");
            *knows = Known { acknowledged: left, under_way: None };
        }
        // Every answer over DNS is of the same data.
        if let Some((name, knows)) = known.lock().unwrap().iter().find(|(_, knows)| knows.acknowledged.is_some()) {
            let want = std::net::Ipv4Addr::from(0x0a00_0000 + knows.acknowledged.unwrap()).to_string();
            assert_eq!(server.short(&format!("left.{name}.contoso.test"), hickory_proto::rr::RecordType::A), [want]);
        }
        let socket = server.file("state/postern.sock");
        let is_over = Arc::new(AtomicBool::new(false));
        let clients: Vec<_> = (0..CLIENTS)
            .map(|number| {
                let (socket, known, is_over) = (socket.clone(), known.clone(), is_over.clone());
                std::thread::spawn(move || client(number, &socket, first, &known, &is_over))
            })
            .collect();
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        std::thread::sleep(Duration::from_millis(20 + (seed >> 33) % 600));
        server.signal("KILL");
        server.wait();
        is_over.store(true, Ordering::Relaxed);
        let counts: Vec<u32> = clients.into_iter().map(|client| client.join().unwrap()).collect();
        changes += counts.iter().sum::<u32>();
        first += counts.iter().max().unwrap() + 1;
    }
    println!("{rounds} kills, {changes} changes acknowledged, {cut} torn tails cut off");
    assert!(changes > rounds, "{changes}");
}
