//! Ten thousand endpoints in fifty subscriptions: time, memory, and requests. `POSTERN_TEST_ENDPOINTS` sets another number.

use std::time::Instant;

use postern_lab::azure::{AzureScenario, EstateSettings, GeneratedEstate};

use super::*;

#[test]
fn many_endpoints_are_read_page_by_page_within_the_quota() {
    let wanted = std::env::var("POSTERN_TEST_ENDPOINTS").ok();
    let endpoints = wanted.map_or(2_500, |text| text.parse().expect("POSTERN_TEST_ENDPOINTS is a number"));
    let generate = Some(GeneratedEstate { endpoints, subscriptions: 50 });
    let lab = start(AzureScenario { generate, settings: EstateSettings::default(), ..AzureScenario::default() });
    let zone = |service: &str| format!("[[zone]]\nname = 'privatelink.{service}.core.windows.net'\nazure = 'contoso'\n");
    let zones = ["blob", "file", "queue", "table", "dfs"].map(zone).concat();
    let begin = Instant::now();
    let server = Server::with(&[("postern.toml", &format!("{}{zones}", base(&lab, "").replace("200ms", "1h")))]);
    let before = server.resident();
    let last = endpoints - 1;
    let [_, b, c, d] = last.to_be_bytes();
    let service = ["blob", "file", "queue", "table", "dfs"][last as usize % 5];
    server.becomes(&format!("contoso{last}.privatelink.{service}.core.windows.net"), A, &[&format!("10.{b}.{c}.{d}")]);
    let took = begin.elapsed();
    let counters = lab.counters();
    let pages = u64::from(endpoints.div_ceil(1_000));
    assert_eq!((counters.queries, counters.throttled, counters.tokens), (1 + 2 * pages, 0, 1));
    println!(
        "{endpoints} endpoints in 50 subscriptions: {} requests and 1 token, served after {took:.1?}, {} MiB before and {} MiB after",
        counters.queries,
        before >> 20,
        server.resident() >> 20
    );
}
