//! Faults of Azure: none of them costs a record, and what was missed comes when the fault ends.

use postern_lab::azure::{AzureFaults, AzureLab, ConnectionState, EstateSettings};

use super::*;

const ALL: [(&str, &str); 3] = [(BLOB, "10.20.1.4"), (VAULT, "10.20.1.5"), (FHIR, "10.30.1.5")];

fn keeps_everything(server: &Server, fault: &str) {
    for (name, address) in ALL {
        assert_eq!(server.short(name, A), [address], "{fault}");
    }
}

/// Sets the faults, waits for the words in the log, checks that nothing is lost, and that an approval is served once the faults end.
fn survives(server: &Server, lab: &AzureLab, fault: AzureFaults, words: &str) {
    let from = server.log().len();
    let name = format!("{fault:?}");
    lab.change("pe-fabrikam-sql", |endpoint| endpoint.state = ConnectionState::Pending);
    server.becomes(SQL, A, &["NXDOMAIN"]);
    lab.change("pe-fabrikam-sql", |endpoint| endpoint.state = ConnectionState::Approved);
    lab.set(fault);
    server.logged_after(from, &["Azure was not read completely", words]);
    keeps_everything(server, &name);
    assert_eq!(server.api(None).get("/ready").status, 200, "{name}: the server stays in service");
    eventually("the strict page tells", || server.api(None).get("/ready?strict").body.contains(words).then_some(()));
    lab.set(AzureFaults::default());
    server.logged_after(from, &["Azure is read again"]);
    server.becomes(SQL, A, &["10.30.1.9"]);
    keeps_everything(server, &name);
}

/// A server whose database zone may be emptied, so that an approval can come and go.
fn serve_all(lab: &AzureLab) -> Server {
    let config = config(lab, "")
        .replace("name = 'privatelink.database.windows.net'\n", "name = 'privatelink.database.windows.net'\nallow-empty = true\n");
    let server = Server::with(&[("postern.toml", &config)]);
    ALL.iter().for_each(|(name, address)| server.becomes(name, A, &[address]));
    server
}

#[test]
fn answers_that_are_cut_or_wrong_lose_nothing() {
    let lab = start(scenario());
    let server = serve_all(&lab);
    let none = AzureFaults::default;
    survives(&server, &lab, AzureFaults { cut: true, ..none() }, "broke off");
    survives(&server, &lab, AzureFaults { garbage: true, ..none() }, "the answer cannot be read");
    survives(&server, &lab, AzureFaults { empty: true, ..none() }, "the identity may read no subscription");
    survives(&server, &lab, AzureFaults { endless: true, ..none() }, "is larger than");
}

#[test]
fn errors_of_the_service_lose_nothing() {
    let lab = start(scenario());
    let server = serve_all(&lab);
    let none = AzureFaults::default;
    survives(&server, &lab, AzureFaults { status: Some(503), ..none() }, "status 503");
    survives(&server, &lab, AzureFaults { status: Some(400), ..none() }, "status 400");
    survives(&server, &lab, AzureFaults { status: Some(403), ..none() }, "status 403");
    survives(&server, &lab, AzureFaults { revoke: true, ..none() }, "status 401");
    survives(&server, &lab, AzureFaults { revoke: true, token_status: Some(500), ..none() }, "no token was issued: status 500");
}

#[test]
fn a_missing_page_loses_nothing() {
    let mut scenario = scenario();
    scenario.settings.page = 2;
    let lab = start(scenario);
    let server = serve_all(&lab);
    let none = AzureFaults::default;
    survives(&server, &lab, AzureFaults { lose_pages: true, ..none() }, "the answer is incomplete: 2 of 4 rows");
    survives(&server, &lab, AzureFaults { cut: true, from_page: Some(2), ..none() }, "broke off");
}

#[test]
fn a_moment_of_trouble_is_not_even_logged() {
    let lab = start(scenario());
    let server = serve_all(&lab);
    for fault in [AzureFaults { cut: true, ..AzureFaults::default() }, AzureFaults { status: Some(500), ..AzureFaults::default() }] {
        let before = lab.counters().struck;
        lab.set(AzureFaults { count: Some(1), ..fault });
        eventually("the fault struck", || (lab.counters().struck > before).then_some(()));
        after_two_readings(&lab);
    }
    assert!(!server.log().iter().any(|line| line.contains("not read completely")));
}

#[test]
fn throttling_is_obeyed() {
    let mut scenario = scenario();
    scenario.settings = EstateSettings { quota: 4, window_ms: 1_000, ..scenario.settings };
    let lab = start(scenario);
    let server = serve_all(&lab);
    after_two_readings(&lab);
    assert_eq!(lab.counters().throttled, 0, "the quota headers are enough");
    lab.set(AzureFaults { throttle: Some(1), count: Some(2), ..AzureFaults::default() });
    eventually("both were struck", || (lab.counters().struck == 2).then_some(()));
    lab.change("pe-fabrikam-sql", |endpoint| endpoint.state = ConnectionState::Approved);
    server.becomes(SQL, A, &["10.30.1.9"]);
    keeps_everything(&server, "throttled");
}

#[test]
fn a_token_is_renewed_before_it_expires() {
    let mut scenario = scenario();
    scenario.settings.token_seconds = 8;
    let lab = start(scenario);
    let server = serve_all(&lab);
    eventually("more tokens", || (lab.counters().tokens >= 3).then_some(()));
    keeps_everything(&server, "short tokens");
    assert!(!server.log().iter().any(|line| line.contains("not read completely")));
}

#[test]
fn a_change_that_is_visible_late_costs_nothing() {
    let mut scenario = scenario();
    scenario.settings.lag_ms = 2_000;
    let lab = start(scenario);
    let server = serve_all(&lab);
    lab.change("pe-fabrikam-sql", |endpoint| endpoint.state = ConnectionState::Approved);
    server.becomes(SQL, A, &["10.30.1.9"]);
    keeps_everything(&server, "late");
}

#[test]
fn a_forbidden_subscription_keeps_its_records_and_holds_up_no_other() {
    let named = format!("subscriptions = ['{HUB}', '{HEALTH}']");
    for (scope, is_silent) in [(named.clone(), false), (named, true), ("management-groups = ['contoso']".into(), true)] {
        let lab = start(scenario());
        let mut server = Server::with(&[("postern.toml", &config(&lab, &scope))]);
        ALL.iter().for_each(|(name, address)| server.becomes(name, A, &[address]));
        lab.set(AzureFaults { forbidden: vec![HEALTH.into()], forbidden_silently: is_silent, ..AzureFaults::default() });
        server.logged(&["1 subscription may not be read, and its records are kept", HEALTH]);
        lab.put(endpoint("pe-new", HUB, "10.20.1.9 new.blob.core.windows.net"));
        server.becomes("new.privatelink.blob.core.windows.net", A, &["10.20.1.9"]);
        keeps_everything(&server, &scope);
        // The next run remembers whose records they are.
        let path = server.path().to_path_buf();
        server.kill();
        let again = Server::spawn(postern(&["serve", "-c", path.join("postern.toml").to_str().unwrap()]), path.clone(), None);
        again.logged(&["may not be read", HEALTH]);
        lab.put(endpoint("pe-newer", HUB, "10.20.1.10 newer.blob.core.windows.net"));
        again.becomes("newer.privatelink.blob.core.windows.net", A, &["10.20.1.10"]);
        keeps_everything(&again, &scope);
        // Only the operator knows that the subscription is gone for good.
        let accept = ["reload", "-c", path.join("postern.toml").to_str().unwrap(), "--accept", "privatelink.azurehealthcareapis.com"]
            .map(str::to_owned);
        let accepted = run(&accept.each_ref().map(String::as_str));
        assert!(accepted.status.success(), "{accepted:?}");
        again.becomes(FHIR, A, &["NXDOMAIN"]);
        after_two_readings(&lab);
        assert_eq!(again.short(DICOM, A), ["10.30.1.6"], "{scope}: another zone keeps its records");
    }
}

#[test]
fn a_server_that_has_seen_no_subscription_answers_no_name() {
    let lab = start(scenario());
    for scope in ["", "management-groups = ['contoso']", &format!("subscriptions = ['{HUB}']")] {
        lab.set(AzureFaults { forbidden: vec![HUB.into(), HEALTH.into()], forbidden_silently: true, ..AzureFaults::default() });
        let server = Server::with(&[("postern.toml", &config(&lab, scope))]);
        server.logged(&["Azure was not read completely: the identity may read no subscription"]);
        after_two_readings(&lab);
        assert_eq!(server.short(BLOB, A), ["SERVFAIL"], "{scope}: its names must not go public");
        lab.set(AzureFaults::default());
        server.becomes(BLOB, A, &["10.20.1.4"]);
    }
}

#[test]
fn an_endpoint_of_a_forbidden_subscription_counts_beside_one_with_the_same_name() {
    let lab = start(scenario());
    let server = serve_all(&lab);
    lab.put(endpoint("pe-twin", HEALTH, "10.30.1.20 contosodata.blob.core.windows.net"));
    let both = || {
        let mut addresses = server.short(BLOB, A);
        addresses.sort_unstable();
        (addresses == ["10.20.1.4", "10.30.1.20"]).then_some(())
    };
    eventually("both endpoints are served", both);
    lab.set(AzureFaults { forbidden: vec![HEALTH.into()], ..AzureFaults::default() });
    server.logged(&["1 subscription may not be read, and its records are kept", HEALTH]);
    after_two_readings(&lab);
    both().expect("the records are kept");
}

#[test]
fn a_loss_that_is_over_is_no_longer_shown() {
    let lab = start(scenario());
    let server = serve_all(&lab);
    let strict = || server.api(None).get("/ready?strict").body;
    lab.change("pe-contosodata", |endpoint| endpoint.state = ConnectionState::Rejected);
    eventually("the loss is held", || strict().contains("it would have no records").then_some(()));
    lab.set(AzureFaults { forbidden: vec![HEALTH.into()], ..AzureFaults::default() });
    lab.change("pe-contosodata", |endpoint| endpoint.state = ConnectionState::Approved);
    eventually("only the other trouble is shown", || {
        let body = strict();
        (body.contains("may not be read") && !body.contains("it would have no records")).then_some(())
    });
    keeps_everything(&server, "a loss that is over");
}

#[test]
fn a_restart_without_azure_serves_the_last_good_records() {
    let lab = start(scenario());
    let mut server = serve_all(&lab);
    server.kill();
    let path = server.path().to_path_buf();
    drop(lab);
    let again = Server::spawn(postern(&["serve", "-c", path.join("postern.toml").to_str().unwrap()]), path, None);
    again.logged(&["Azure was not read completely", "cannot connect"]);
    keeps_everything(&again, "no Azure");
}
