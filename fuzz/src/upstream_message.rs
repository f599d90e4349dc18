//! An upstream's answer, accepted, cached, and turned into the answer of a client.

use std::sync::Arc;

use postern_dns::accept::{UpstreamVerdict, accept, remember};
use postern_dns::clock::Now;
use postern_dns::ede::Failure;
use postern_dns::fallback::FallbackVerdict;
use postern_dns::query::{DataPolicy, UpstreamAnswers, UpstreamQuery, WalkStep, walk};
use postern_dns::respond::respond;
use postern_dns::route::RouteId;
use postern_dns::state::State;
use postern_dns::wire::message::Message;
use postern_dns::wire::question::{Question, understand};
use postern_zones::name::NameBuf;

use super::world;

/// A walk asks upstreams at most once an alias, and follows 16 of them.
const MOST_QUESTIONS: usize = 20;

/// Takes the octets as the answer to the very question that they carry.
pub fn run(octets: &[u8]) -> bool {
    let Ok(message) = Message::read(octets) else { return false };
    let state = world::state();
    let view = state.view_of(world::client().ip(), Now(1_000_000));
    let upstream: Arc<str> = "192.0.2.53".into();
    let dnssec_ok = octets[1] & 1 == 1;
    let ask = UpstreamQuery { route: RouteId(0), name: message.name.clone(), rtype: message.rtype, dnssec_ok, checking_disabled: false };
    if world::is_private(&ask.name) {
        return false; // no walk asks an upstream about a private name
    }
    let UpstreamVerdict::Heard(heard) = accept(&ask, &view, &upstream, octets) else { return false };
    for (_, name, entry) in &heard.0 {
        assert!(!world::is_private(name), "{name} is private, so an upstream must not be believed about it");
        if let Some(attached) = entry.dname() {
            let owner = NameBuf::read(&name.as_wire()[usize::from(attached.above_dname)..]).expect("a suffix of a name");
            assert!(owner != *name && !world::is_private(&owner), "the DNAME at {owner} must not be believed for {name}");
        }
    }
    remember(&view, &ask, &heard);
    let question = question_of(&ask);
    if let Some(packet) = &question {
        answer(state, packet, heard);
    }
    question.is_some()
}

/// The client's question with EDNS.
fn question_of(ask: &UpstreamQuery) -> Option<Vec<u8>> {
    let mut packet = vec![0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1];
    packet.extend_from_slice(ask.name.as_wire());
    packet.extend_from_slice(&ask.rtype.to_be_bytes());
    packet.extend_from_slice(&[0, 1, 0, 0, 41, 4, 208, 0, 0, if ask.dnssec_ok { 0x80 } else { 0 }, 0, 0, 0]);
    understand(&packet).is_ok().then_some(packet)
}

fn answer(state: &State, packet: &[u8], heard: UpstreamAnswers) {
    let question: Question = understand(packet).expect("a question that was understood before");
    let view = state.view_of(world::client().ip(), Now(1_000_000));
    let mut policy = DataPolicy::Fresh;
    for _ in 0..MOST_QUESTIONS {
        match walk(&question, &view, &heard, policy) {
            WalkStep::Answer(answer) => {
                for limit in [512, 1232, 65_535] {
                    let mut buffer = packet.to_vec();
                    buffer.resize(65_535, 0);
                    let verdict = FallbackVerdict::of(&question, &answer, &view);
                    let length = respond(&question, &answer, &verdict, &view, &mut buffer, limit);
                    assert!(length <= limit, "{length} octets where {limit} are allowed");
                    Message::read(&buffer[..length]).expect("an answer that can be read");
                }
                return;
            }
            WalkStep::Ask(_) => policy = DataPolicy::Outage(Failure::NoUpstream),
        }
    }
    panic!("the walk does not end");
}
