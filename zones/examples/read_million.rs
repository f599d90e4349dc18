//! Prints how long a million A records take to read, on one core, best of five. Run it with `--release`.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use postern_zones::name::NameBuf;
use postern_zones::record::{RecordRef, RecordSink};
use postern_zones::text::read_zone_file;

/// Looks at each record, so that none is optimised away.
struct Sum(u64);

impl RecordSink for Sum {
    fn record(&mut self, record: RecordRef<'_>) {
        self.0 = self.0.wrapping_add(u64::from(record.owner.as_wire()[1]) + u64::from(record.rdata[0]));
    }
}

/// What the lines are, and the line of a number.
type Case = (&'static str, fn(u32) -> String);

fn main() {
    let lines = |line: fn(u32) -> String| (0..1_000_000).map(line).collect::<String>();
    let head = "$ORIGIN privatelink.blob.core.windows.net.\n@ 3600 IN SOA azureprivatedns.net. azureprivatedns-host.microsoft.com. 1 3600 300 2419200 10\n";
    let cases: [Case; 4] = [
        ("relative owner, TTL, IN, A", |n| format!("contosostore{n} 10 IN A {}\n", Ipv4Addr::from(0x0a00_0000 | n))),
        ("absolute owner, A", |n| format!("contosostore{n}.privatelink.blob.core.windows.net. A {}\n", Ipv4Addr::from(0x0a00_0000 | n))),
        ("AAAA", |n| format!("contosostore{n} 10 IN AAAA 2001:db8::{:x}:{:x}\n", n >> 16, n & 0xffff)),
        ("CNAME", |n| format!("contosostore{n} 10 IN CNAME store{n}.contoso.test.\n")),
    ];
    let file = Arc::new(PathBuf::from("million.zone"));
    let origin = NameBuf::parse("privatelink.blob.core.windows.net").expect("a name");
    for (what, line) in cases {
        let text = format!("{head}{}", lines(line));
        let mut best = f64::MAX;
        for _ in 0..5 {
            let mut problems = Vec::new();
            let start = Instant::now();
            let read = read_zone_file(text.as_bytes(), &file, &origin, None, &mut Sum(0), &mut problems);
            best = best.min(start.elapsed().as_secs_f64());
            assert_eq!((read.records, problems.len()), (1_000_001, 0), "{problems:?}");
        }
        println!("{what}: {:.0} MB, {:.0} ms, {:.0} ns a record", text.len() as f64 / 1e6, best * 1e3, best * 1e3);
    }
}
