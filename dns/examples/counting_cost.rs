//! Prints what it costs the thread that answers to count an answer, nanoseconds an answer: beside it the walk, which finds the answer.
mod cost;
#[path = "../tests/world/mod.rs"]
mod world;

use std::hint::black_box;

use cost::{best, question};
use hickory_proto::rr::RecordType;
use postern_config::model::OnMissing;
use postern_dns::counters::{AnswerClass, AnswerSource, WorkerCounters};
use postern_dns::query::{Answer, DataPolicy, UpstreamAnswers, walk_into};
use postern_dns::state::View;
use world::{HUB, World};

const ROUNDS: u32 = 200_000;

fn main() {
    let mut world = World::new();
    world.private_zone(OnMissing::Public);
    for (what, name) in [
        ("private", "ws-fhir.fhir.privatelink.azurehealthcareapis.com"),
        ("cached", "www.contoso.test"),
        ("spliced", "ws-fhir.fhir.azurehealthcareapis.com"),
    ] {
        world.ask(HUB, name, RecordType::A);
        let state = world.state();
        let client = HUB.parse().unwrap();
        let network_id = state.snapshot.network_of(client);
        let view = View { state: &state, network: state.snapshot.network(network_id), network_id, recursion: true, now: world.now };
        let question = question(name, RecordType::A);
        let mut answer = Answer::new();
        let walk = best(ROUNDS, || {
            let ask = walk_into(&mut answer, black_box(&question), &view, &UpstreamAnswers::default(), DataPolicy::Fresh);
            assert!(ask.is_none());
        });
        let (counters, message) = (WorkerCounters::own(), [0, 0, 0x81, 0x80]);
        let counting = best(ROUNDS, || {
            let kind = AnswerClass::new(black_box(&question).rtype, AnswerSource::of(black_box(&answer), false));
            counters.answer(kind, black_box(&message));
        });
        println!("{what:10} walk {walk:6.1} ns   counting {counting:4.1} ns");
    }
}
