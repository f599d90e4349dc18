//! Prints what the path costs a question, nanoseconds, without sockets.
#[path = "../tests/world/mod.rs"]
mod world;

use std::time::Instant;

use config::model::OnMissing;
use hickory_proto::rr::RecordType;
use postern_dns::query::{Answer, Heard, Patience, walk_into};
use postern_dns::respond::respond;
use postern_dns::state::View;
use postern_dns::wire::question::{Edns, Question};
use world::{HUB, World};
use zones::name::NameBuf;

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
        let name = NameBuf::parse(name).unwrap();
        let mut packet = vec![0u8; 2048];
        let question = Question {
            end: 12 + name.len() + 4,
            name,
            rtype: rtype.into(),
            class: 1,
            recursion_desired: true,
            checking_disabled: false,
            authentic_data: false,
            edns: Some(Edns { udp_size: 1232, dnssec_ok: false, nsid: false }),
            signed: false,
        };
        let heard = Heard::default();
        let rounds = 1_000_000;
        let mut best = f64::MAX;
        for _ in 0..5 {
            let start = Instant::now();
            let mut total = 0;
            let mut answer = Answer::new();
            for _ in 0..rounds / 5 {
                let ask = walk_into(&mut answer, std::hint::black_box(&question), &view, &heard, Patience::Fresh);
                assert!(ask.is_none(), "{ask:?}");
                total += respond(&question, &answer, &view, &mut packet, 1232);
            }
            std::hint::black_box(total);
            best = best.min(start.elapsed().as_nanos() as f64 / (rounds / 5) as f64);
        }
        println!("{what:18} {best:6.0} ns");
    }
}
