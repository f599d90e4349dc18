//! Reads a zone file, links the zone to one of two networks, and looks names up for clients of both.
//!
//! ```sh
//! cargo run -p postern-zones --example lookup
//! ```

use std::error::Error;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use postern_config::model::{OnMissing, RecursionPolicy};
use postern_zones::lookup::Lookup;
use postern_zones::name::{NameBuf, WireName};
use postern_zones::snapshot::{Snapshot, SnapshotBuilder};
use postern_zones::text::{data_text, read_zone_file};
use postern_zones::zone::{Zone, ZoneBuilder};

const APEX: &str = "privatelink.blob.core.windows.net";

/// A wildcard, an alias, and a record that is wrong on purpose.
const ZONE_FILE: &str = "\
$TTL 60
contosostore     IN A      10.20.1.5
*.dev            IN A      10.20.9.9
alias            IN CNAME  contosostore
broken           IN A      10.20.1.555
";

fn main() -> Result<(), Box<dyn Error>> {
    let zone = read_zone()?;
    let snapshot = SnapshotBuilder::new()
        .network("hub", &["10.20.0.0/16".parse()?], RecursionPolicy::Yes)
        .network("spoke", &["10.30.0.0/16".parse()?], RecursionPolicy::Yes)
        .zone(zone, &["hub"], OnMissing::Nxdomain)
        .build();
    let (hub, spoke) = ("10.20.0.7".parse()?, "10.30.0.7".parse()?);
    for (client, name, expected) in [
        (hub, "contosostore", "10.20.1.5"),
        (hub, "x.dev", "10.20.9.9"),
        (hub, "alias", "an alias of contosostore.privatelink.blob.core.windows.net."),
        (hub, "missing", "no such name"),
        // The zone is linked to the hub alone, so clients of the spoke do not see it.
        (spoke, "contosostore", "no private zone"),
    ] {
        let answer = answer(&snapshot, client, &NameBuf::parse(&format!("{name}.{APEX}"))?);
        println!("{client} asks for {name}: {answer}");
        assert_eq!(answer, expected);
    }
    Ok(())
}

/// Reads the zone file. Errors do not end the reading: every problem is reported with its line, and the caller decides.
fn read_zone() -> Result<Zone, Box<dyn Error>> {
    let mut builder = ZoneBuilder::new(WireName::parse(APEX)?);
    let mut problems = Vec::new();
    let file = Arc::new(PathBuf::from("example.zone"));
    let read = read_zone_file(ZONE_FILE.as_bytes(), &file, &NameBuf::parse(APEX)?, None, &mut builder, &mut problems);
    println!("{} records were read", read.records);
    for problem in &problems {
        println!("{problem}");
    }
    assert_eq!((read.records, problems.len()), (3, 1));
    // A server rejects such a file and keeps its last good data. Here the other records are enough.
    let built = builder.finish(1).map_err(|problems| problems[0].to_string())?;
    Ok(built.zone)
}

/// Looks up A records, as the path of a query does.
fn answer(snapshot: &Snapshot, client: IpAddr, name: &NameBuf) -> String {
    const A: u16 = 1;
    let network = snapshot.network(snapshot.network_of(client));
    let Some(zone) = network.zone_of(name, 0).and_then(|hosted| hosted.zone()) else { return "no private zone".into() };
    match zone.lookup(name, A) {
        Lookup::Found { set, .. } => set.rdata().map(|data| data_text(A, data)).collect::<Vec<_>>().join(", "),
        Lookup::Alias { set, .. } => set.rdata().map(|data| format!("an alias of {}", data_text(set.rtype, data))).collect(),
        Lookup::NoData => "the name has no address".into(),
        Lookup::Missing => "no such name".into(),
        Lookup::Redirect { .. } | Lookup::Referral { .. } => "another zone".into(),
    }
}

#[test]
fn the_example_runs() -> Result<(), Box<dyn Error>> {
    main()
}
