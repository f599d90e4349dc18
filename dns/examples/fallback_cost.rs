//! Prints what the fallback record costs the thread that answers, nanoseconds an answer.
mod cost;
#[path = "../tests/world/mod.rs"]
mod world;

use std::hint::black_box;
use std::time::Instant;

use cost::{best, question};
use hickory_proto::rr::RecordType;
use postern_config::model::OnMissing;
use postern_dns::fallback::{FallbackRecorder, FallbackWriter};
use postern_dns::query::{Answer, DataPolicy, UpstreamAnswers, walk_into};
use postern_dns::state::View;
use world::{HUB, World};

fn main() {
    let mut world = World::new();
    world.private_zone(OnMissing::Public);
    world.publish("open.fhir.azurehealthcareapis.com", "CNAME 30 gw.trafficmanager.test");
    for (what, name, with_writer) in [
        ("private, nothing to note", "ws-fhir.fhir.privatelink.azurehealthcareapis.com", false),
        ("spliced, nothing to note", "ws-fhir.fhir.azurehealthcareapis.com", false),
        ("public, nothing to note", "www.contoso.test", false),
        ("public name of a service, no record of ours", "open.fhir.azurehealthcareapis.com", false),
        ("fallback, queue full", "ws-other.fhir.azurehealthcareapis.com", false),
        ("fallback, writer at work", "ws-other.fhir.azurehealthcareapis.com", true),
    ] {
        world.ask(HUB, name, RecordType::A);
        let state = world.state();
        let client = HUB.parse().unwrap();
        let network_id = state.snapshot.network_of(client);
        let view = View { state: &state, network: state.snapshot.network(network_id), network_id, recursion: true, now: world.now };
        let question = question(name, RecordType::A);
        let mut answer = Answer::new();
        assert!(walk_into(&mut answer, &question, &view, &UpstreamAnswers::default(), DataPolicy::Fresh).is_none());
        let settings = postern_config::model::FallbackConfig {
            file: Some("/dev/null".into()),
            ..world::fallback(if with_writer { 1 << 20 } else { 16 })
        };
        let recorder = FallbackRecorder::new(&settings);
        let writer = with_writer.then(|| FallbackWriter::start(recorder.clone(), &settings, || {}).unwrap());
        let noting = best(100_000, || {
            let verdict = recorder.judge(black_box(&question), black_box(&answer), &view);
            recorder.note(&question, client, &answer, &verdict, &view);
        });
        let start = Instant::now();
        let written = recorder.waiting();
        drop(writer);
        let writing = start.elapsed().as_nanos() as f64 / written.max(1) as f64;
        println!(
            "{what:45} {noting:6.1} ns{}",
            if with_writer { format!("   writer: {writing:.0} ns an event, {} dropped", recorder.dropped()) } else { String::new() }
        );
    }
}
