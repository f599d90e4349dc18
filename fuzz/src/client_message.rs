//! A message that a client sent, over UDP and over TCP, answered as a listener answers it.

use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use postern_dns::clock::Clock;
use postern_dns::counters::WorkerCounters;
use postern_dns::fallback::FallbackRecorder;
use postern_dns::listen::packet_cache::PacketCache;
use postern_dns::listen::tcp::StreamOutcome;
use postern_dns::listen::{AnswerScratch, QueryService};
use postern_dns::resolver::Resolver;
use postern_dns::return_path::{ReplySender, ReplyTo};
use postern_dns::transport::{ClientTransport, PerListener};
use postern_dns::wire::message::Message;

use super::world;

/// Octets of a buffer for a datagram: what the workers use.
const DATAGRAM: usize = 4096;

/// Answers the message and checks what must be true of every answer.
pub fn run(octets: &[u8]) -> bool {
    if octets.len() < postern_dns::wire::HEADER || octets.len() > DATAGRAM {
        return false; // the listeners drop what is shorter, and hand only the beginning of what is longer to `attend_cut`
    }
    answer(octets, ClientTransport::Udp, 1232);
    answer_overlong(octets);
    answer_twice(octets);
    answer(octets, ClientTransport::Tcp, 65_535).is_some()
}

fn service() -> &'static QueryService {
    static SERVICE: OnceLock<QueryService> = OnceLock::new();
    SERVICE.get_or_init(|| {
        let state = Arc::new(ArcSwap::new(world::state().clone()));
        let (clock, config) = (Clock::start(), world::configuration());
        let runtime = Box::leak(Box::new(tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")));
        let resolver = Resolver::start(state.clone(), clock, 10, runtime.handle().clone(), None).expect("a thread");
        let service = QueryService {
            state,
            clock,
            resolver: resolver.submitter(),
            recorder: FallbackRecorder::new(&config.fallback),
            handler: None,
            handled: PerListener::new(WorkerCounters::shared),
            rates: Default::default(),
        };
        std::mem::forget(resolver); // it runs as long as the program
        service
    })
}

fn way_back() -> ReplyTo {
    ReplyTo::Tcp(ReplySender::alone(tokio::sync::mpsc::channel(1).0))
}

fn answer(octets: &[u8], transport: ClientTransport, limit: usize) -> Option<Vec<u8>> {
    let service = service();
    let mut packet = octets.to_vec();
    packet.resize(if transport == ClientTransport::Tcp { limit } else { DATAGRAM }, 0);
    let counters = WorkerCounters::own();
    let (now, state) = (service.clock.now(), world::state());
    let answered =
        service.attend(state, &mut AnswerScratch::new(), now, &mut packet, octets.len(), world::client(), transport, &counters, way_back);
    let StreamOutcome::Now(length) = answered else { return None };
    assert!(length <= limit.max(512), "an answer of {length} octets");
    check(octets, &packet[..length]);
    Some(packet[..length].to_vec())
}

/// An answer can be read, carries the ID of its question, and is marked as a response.
fn check(question: &[u8], answer: &[u8]) {
    assert_eq!(answer[..2], question[..2], "the ID");
    assert_ne!(answer[2] & 0x80, 0, "QR");
    if answer[4..6] == [0, 1] {
        Message::read(answer).expect("an answer that can be read");
    }
}

/// The message as the beginning of a longer one.
fn answer_overlong(octets: &[u8]) {
    let mut packet = octets.to_vec();
    packet.resize(DATAGRAM, 0);
    if let StreamOutcome::Now(length) = service().attend_cut(world::state(), &mut packet, world::client(), &WorkerCounters::own()) {
        check(octets, &packet[..length]);
    }
}

/// An answer from the packet cache is the answer that was stored, except for its TTLs.
fn answer_twice(octets: &[u8]) {
    let service = service();
    let mut cache = PacketCache::new(1);
    let key = service.sees(world::state(), world::client());
    cache.look(0, octets, key);
    let mut packet = octets.to_vec();
    packet.resize(DATAGRAM, 0);
    let mut desk = AnswerScratch::new();
    let (now, counters) = (service.clock.now(), WorkerCounters::own());
    let (length, client) = (octets.len(), world::client());
    let answered = service.attend(world::state(), &mut desk, now, &mut packet, length, client, ClientTransport::Udp, &counters, way_back);
    let (StreamOutcome::Now(length), Some(reusable)) = (answered, desk.reusable) else { return };
    cache.keep(0, &packet[..length], reusable);
    let mut again = octets.to_vec();
    again[0] ^= 0xff; // another client's ID
    cache.look(0, &again, key);
    again.resize(DATAGRAM, 0);
    if let Some((length_again, _)) = cache.answer(0, &mut again, now, |_| true) {
        assert_eq!(length_again, length);
        assert_eq!(again[2..length], packet[2..length]);
        assert_eq!(again[..2], [octets[0] ^ 0xff, octets[1]]);
    }
}
