//! Answers one kind of question a thousand times, for `bench/instructions` to count what the processor does for it.
//!
//! `instructions KIND`; without a kind it lists them. valgrind counts what happens inside of `measured`, and nothing else.

#[path = "../tests/world/mod.rs"]
mod world;

use std::cell::RefCell;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use postern_config::model::{OnMissing, RepeatPolicy};
use postern_dns::clock::Clock;
use postern_dns::counters::WorkerCounters;
use postern_dns::fallback::{FallbackRecorder, FallbackWriter};
use postern_dns::listen::packet_cache::{PacketCache, ReusableAnswer};
use postern_dns::listen::tcp::StreamOutcome;
use postern_dns::listen::{AnswerScratch, QueryService};
use postern_dns::resolver::Resolver;
use postern_dns::return_path::ReplyTo;
use postern_dns::transport::{ClientTransport, PerListener};
use postern_zones::name::NameBuf;
use world::{HUB, World};

const TIMES: usize = 1000;

/// What one kind of question needs.
struct Ready<'s> {
    service: &'s QueryService,
    state: &'s postern_dns::state::State,
    counters: &'s WorkerCounters,
    question: Vec<u8>,
    recent: RefCell<PacketCache>,
}

impl Ready<'_> {
    /// The path, from the octets of a question to those of its answer. Returns what the last answer gave to the packet cache.
    fn attend(&self) -> Option<ReusableAnswer> {
        let mut desk = AnswerScratch::new();
        let now = self.service.clock.now();
        let client = SocketAddr::new(HUB.parse().expect("an address"), 5353);
        let mut packet = [0; 2048];
        for _ in 0..TIMES {
            packet[..self.question.len()].copy_from_slice(&self.question);
            let way_back = || -> ReplyTo { panic!("everything is at hand") };
            let length = self.question.len();
            let answered =
                self.service.attend(self.state, &mut desk, now, &mut packet, length, client, ClientTransport::Udp, self.counters, way_back);
            assert!(matches!(answered, StreamOutcome::Now(length) if length > self.question.len()));
        }
        desk.reusable
    }

    /// The same from the packet cache.
    fn again(&self) {
        let mut recent = self.recent.borrow_mut();
        let mut desk = AnswerScratch::new();
        let now = self.service.clock.now();
        let client = SocketAddr::new(HUB.parse().expect("an address"), 5353);
        let mut packet = [0; 2048];
        for time in 0..TIMES {
            let length = self.question.len();
            packet[..length].copy_from_slice(&self.question);
            recent.look(0, &packet[..length], self.service.sees(self.state, client));
            if recent.answer(0, &mut packet, now, |sighting| self.service.recorder.note_again(sighting)).is_some() {
                continue;
            }
            assert_eq!(time, 0, "it is known from the first time");
            let way_back = || -> ReplyTo { panic!("everything is at hand") };
            let answered =
                self.service.attend(self.state, &mut desk, now, &mut packet, length, client, ClientTransport::Udp, self.counters, way_back);
            if let (StreamOutcome::Now(length), Some(reusable)) = (answered, desk.reusable) {
                recent.keep(0, &packet[..length], reusable);
            }
        }
    }
}

type Kind = (&'static str, fn(&Ready), &'static str, u16);

const KINDS: [Kind; 9] = [
    ("hit", |ready| _ = ready.attend(), "n77.privatelink.contoso.test", 1),
    ("hit-cookie", |ready| _ = ready.attend(), "n77.privatelink.contoso.test", 1),
    ("nodata", |ready| _ = ready.attend(), "n77.privatelink.contoso.test", 28),
    ("nxdomain", |ready| _ = ready.attend(), "x77.privatelink.contoso.test", 1),
    ("cached", |ready| _ = ready.attend(), "www.contoso.test", 1),
    ("cached-alias", |ready| _ = ready.attend(), "alias.contoso.test", 1),
    ("spliced", |ready| _ = ready.attend(), "ws-fhir.fhir.azurehealthcareapis.com", 1),
    ("again", |ready| ready.again(), "ws-fhir.fhir.azurehealthcareapis.com", 1),
    ("again-nxdomain", |ready| ready.again(), "x77.privatelink.contoso.test", 1),
];

/// What valgrind looks for.
#[inline(never)]
fn measured(run: fn(&Ready), ready: &Ready) {
    run(ready);
}

fn main() {
    let Some(kind) = std::env::args().nth(1) else { return KINDS.iter().for_each(|(kind, ..)| println!("{kind}")) };
    let (_, run, name, rtype) = KINDS.iter().find(|(known, ..)| *known == kind).expect("a kind of the list");
    let mut world = World::new();
    let addresses: Vec<String> = (0..10_000).map(|number| format!("n{number}")).collect();
    let records: Vec<_> = addresses.iter().map(|name| (name.as_str(), "A", "10.20.1.5")).collect();
    world.host("privatelink.contoso.test", &["hub"], OnMissing::Nxdomain, &records);
    world.private_zone(OnMissing::Public);
    world.ask(HUB, name, (*rtype).into());
    let state = Arc::new(ArcSwap::from_pointee(world.state()));
    let clock = Clock::start();
    let settings =
        postern_config::model::FallbackConfig { repeat: RepeatPolicy::First, file: Some("/dev/null".into()), ..world::fallback(16) };
    let recorder = FallbackRecorder::new(&settings);
    let _writer = FallbackWriter::start(recorder.clone(), &settings, || {}).expect("a thread");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let resolver = Resolver::start(state.clone(), clock, 10, runtime.handle().clone(), None).expect("a thread");
    let service = QueryService {
        state: state.clone(),
        clock,
        resolver: resolver.submitter(),
        recorder,
        handler: None,
        handled: PerListener::new(WorkerCounters::shared),
        rates: Default::default(),
    };
    let (state, counters) = (state.load_full(), WorkerCounters::own());
    let mut question = b"\x12\x34\x01\x00\0\x01\0\0\0\0\0\x01".to_vec();
    question.extend_from_slice(NameBuf::parse(name).expect("a name").as_wire());
    question.extend_from_slice(&rtype.to_be_bytes());
    question.extend_from_slice(b"\0\x01\0\0\x29\x04\xd0\0\0\0\0"); // class IN, OPT with 1232 octets
    match kind.ends_with("-cookie") {
        true => question.extend_from_slice(b"\0\x0c\0\x0a\0\x08COOKIE!!"),
        false => question.extend_from_slice(b"\0\0"),
    }
    // Made before: whether its memory is fresh or has to be cleared is the allocator's matter, and happens once.
    let recent = RefCell::new(PacketCache::new(1));
    let ready = Ready { service: &service, state: &state, counters: &counters, question, recent };
    // A fallback is taken down once, and counted from then on. The counting is measured, so the writer must have opened a counter.
    while !ready.attend().is_none_or(|reusable| service.recorder.note_again(reusable.sighting)) {
        std::thread::sleep(Duration::from_millis(1));
    }
    measured(*run, &ready);
}
