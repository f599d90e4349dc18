//! What each stage of the path costs alone, everything it needs being near: `cargo bench -p postern-dns`.
//!
//! These are for looking at one change of one stage. What memory costs when ten thousand names are asked in turn is not in them, nor what the
//! kernel does: `bench/cost` measures those.

#[path = "../tests/world/mod.rs"]
mod world;

use std::net::IpAddr;
use std::sync::Arc;

use divan::{Bencher, black_box};
use ipnet::IpNet;
use postern_config::model::{OnMissing, RecursionPolicy};
use postern_dns::cache::CacheKey;
use postern_dns::clock::Now;
use postern_dns::counters::{AnswerClass, AnswerSource};
use postern_dns::fallback::FallbackVerdict;
use postern_dns::listen::packet_cache::{PacketCache, ReusableAnswer};
use postern_dns::query::{Answer, DataPolicy, UpstreamAnswers, walk_into};
use postern_dns::respond::respond;
use postern_dns::route::RouteId;
use postern_dns::state::State;
use postern_dns::wire::question::{Question, understand};
use postern_zones::name::NameBuf;
use postern_zones::snapshot::{Snapshot, SnapshotBuilder};
use world::{HUB, World};

const HIT: &str = "n77.privatelink.contoso.test";
const MISSING: &str = "x77.privatelink.contoso.test";
const CACHED: &str = "www.contoso.test";
const SPLICED: &str = "ws-fhir.fhir.azurehealthcareapis.com";

fn main() {
    divan::main();
}

/// A zone of so many names, a cache with what the questions need.
fn state(names: usize) -> Arc<State> {
    let mut world = World::new();
    let owners: Vec<String> = (0..names).map(|number| format!("n{number}")).collect();
    let records: Vec<_> = owners.iter().map(|name| (name.as_str(), "A", "10.20.1.5")).collect();
    world.host("privatelink.contoso.test", &["hub"], OnMissing::Nxdomain, &records);
    world.private_zone(OnMissing::Public);
    for name in [CACHED, SPLICED] {
        world.ask(HUB, name, hickory_proto::rr::RecordType::A);
    }
    Arc::new(world.state())
}

/// The octets of a question with OPT.
fn packet(name: &str, rtype: u16) -> Vec<u8> {
    let name = NameBuf::parse(name).expect("a name");
    let head = b"\x12\x34\x01\x00\0\x01\0\0\0\0\0\x01";
    [&head[..], name.as_wire(), &rtype.to_be_bytes(), b"\0\x01\0\0\x29\x04\xd0\0\0\0\0\0\0"].concat()
}

fn question(name: &str, rtype: u16) -> Question {
    understand(&packet(name, rtype)).expect("a question")
}

#[divan::bench(args = [HIT, SPLICED])]
fn parse(bencher: Bencher, name: &str) {
    let packet = packet(name, 1);
    bencher.bench_local(|| understand(black_box(&packet)).is_ok());
}

/// Networks of one prefix each.
fn networks(count: u32) -> Snapshot {
    let prefix = |number: u32| -> IpNet { ipnet::Ipv4Net::new((0x0a00_0000 | number << 8).into(), 24).expect("a length").into() };
    let builder = (0..count)
        .fold(SnapshotBuilder::new(), |builder, number| builder.network(&format!("n{number}"), &[prefix(number)], RecursionPolicy::Yes));
    builder.build()
}

#[divan::bench(args = [1, 100, 10_000])]
fn network_match(bencher: Bencher, count: u32) {
    let snapshot = networks(count);
    let address = |number: u32| IpAddr::from((0x0a00_0000 | (number.wrapping_mul(7919) % (count * 256))).to_be_bytes());
    let clients: Vec<IpAddr> = (0..1000).map(address).collect();
    let mut clients = clients.iter().cycle();
    bencher.bench_local(|| snapshot.network_of(*black_box(clients.next().expect("a cycle"))));
}

#[divan::bench(args = [("found", HIT, 1), ("no data", HIT, 28), ("missing", MISSING, 1)])]
fn zone_lookup(bencher: Bencher, (_, name, rtype): (&str, &str, u16)) {
    let state = state(100_000);
    let name = NameBuf::parse(name).expect("a name");
    let network = state.snapshot.network(state.snapshot.network_of(HUB.parse().expect("an address")));
    let zone = network.zone_of(&name, 0).and_then(|hosted| hosted.zone()).expect("a zone");
    bencher.bench_local(|| std::mem::discriminant(&zone.lookup(black_box(&name), rtype)));
}

#[divan::bench(args = [("found", CACHED), ("not there", MISSING)])]
fn cache_lookup(bencher: Bencher, (_, name): (&str, &str)) {
    let state = state(1);
    let name = NameBuf::parse(name).expect("a name");
    bencher.bench_local(|| state.cache.get(&CacheKey::new(RouteId(0), 0, 1, black_box(&name))).is_some());
}

/// The walk alone: from a question that is understood to an answer that is not yet written.
#[divan::bench(args = [("hit", HIT, 1), ("no data", HIT, 28), ("no such name", MISSING, 1), ("cached", CACHED, 1), ("spliced", SPLICED, 1)])]
fn walk(bencher: Bencher, (_, name, rtype): (&str, &str, u16)) {
    let state = state(10_000);
    let view = state.view_of(HUB.parse().expect("an address"), Now(1_000_000));
    let (question, heard) = (question(name, rtype), UpstreamAnswers::default());
    let mut answer = Answer::new();
    bencher.bench_local(|| walk_into(&mut answer, black_box(&question), &view, &heard, DataPolicy::Fresh).is_none());
}

/// Writing the answer that was found.
#[divan::bench(args = [("hit", HIT, 1), ("no data", HIT, 28), ("cached", CACHED, 1), ("spliced", SPLICED, 1)])]
fn encode(bencher: Bencher, (_, name, rtype): (&str, &str, u16)) {
    let state = state(10_000);
    let view = state.view_of(HUB.parse().expect("an address"), Now(1_000_000));
    let (question, heard, mut packet) = (question(name, rtype), UpstreamAnswers::default(), packet(name, rtype));
    packet.resize(2048, 0);
    let mut answer = Answer::new();
    assert!(walk_into(&mut answer, &question, &view, &heard, DataPolicy::Fresh).is_none());
    bencher.bench_local(|| respond(&question, black_box(&answer), &FallbackVerdict::default(), &view, &mut packet, 1232));
}

/// An answer that was given a moment ago.
#[divan::bench(args = [HIT, SPLICED])]
fn packet_cache(bencher: Bencher, name: &str) {
    let question = packet(name, 1);
    let mut buffer = question.clone();
    buffer.resize(2048, 0);
    let mut recent = PacketCache::new(1);
    recent.look(0, &question, 1);
    recent.keep(
        0,
        &[&question[..], &[7; 60]].concat(),
        ReusableAnswer { until: Now(u64::MAX), sighting: 0, kind: AnswerClass::new(1, AnswerSource::Private) },
    );
    bencher.bench_local(|| {
        recent.look(0, black_box(&question), 1);
        recent.answer(0, &mut buffer, Now(0), |_| true)
    });
}
