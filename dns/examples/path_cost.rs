//! Prints what the path costs a question, nanoseconds, without sockets.
mod cost;
#[path = "../tests/world/mod.rs"]
mod world;

use std::hint::black_box;

use cost::{best, question};
use hickory_proto::rr::RecordType;
use postern_config::model::OnMissing;
use postern_dns::fallback::FallbackVerdict;
use postern_dns::query::{Answer, DataPolicy, UpstreamAnswers, walk_into};
use postern_dns::respond::respond;
use postern_dns::state::View;
use postern_dns::wire::question::{Edns, Question};
use world::{HUB, World};

fn main() {
    let mut world = World::new();
    let addresses: Vec<String> = (0..10_000).map(|n| format!("n{n}")).collect();
    let records: Vec<_> = addresses.iter().map(|name| (name.as_str(), "A", "10.20.1.5")).collect();
    world.host("privatelink.contoso.test", &["hub"], OnMissing::Nxdomain, &records);
    world.private_zone(OnMissing::Public);
    for (what, name, rtype) in [
        ("private hit", "n77.privatelink.contoso.test", RecordType::A),
        ("private nodata", "n77.privatelink.contoso.test", RecordType::AAAA),
        ("private nxdomain", "x77.privatelink.contoso.test", RecordType::A),
        ("cached", "www.contoso.test", RecordType::A),
        ("cached alias", "plain.azurehealthcareapis.com", RecordType::A),
        ("spliced", "ws-fhir.fhir.azurehealthcareapis.com", RecordType::A),
    ] {
        world.ask(HUB, name, rtype);
        let state = world.state();
        let network_id = state.snapshot.network_of(HUB.parse().unwrap());
        let view = View { state: &state, network: state.snapshot.network(network_id), network_id, recursion: true, now: world.now };
        let mut packet = vec![0u8; 2048];
        let edns = Some(Edns { udp_size: 1232, dnssec_ok: false, nsid: false });
        let question = Question { edns, ..question(name, rtype) };
        let heard = UpstreamAnswers::default();
        let mut answer = Answer::new();
        let path = best(200_000, || {
            let ask = walk_into(&mut answer, black_box(&question), &view, &heard, DataPolicy::Fresh);
            assert!(ask.is_none(), "{ask:?}");
            black_box(respond(&question, &answer, &FallbackVerdict::default(), &view, &mut packet, 1232));
        });
        println!("{what:18} {path:6.0} ns");
    }
}
