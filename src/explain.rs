//! `postern explain`: the reasons for an answer.

use std::net::IpAddr;
use std::process::ExitCode;

use clap::Args;
use serde_json::Value;

use crate::client::{ApiClient, ClientArgs, OutputForm, part};
use crate::print::{json, prose, text};

/// Explain the answer that a client gets: every name on the way, its source, and how to fix a
/// missing record.
#[derive(Debug, Args)]
#[command(after_help = "\
    Examples:\n\
    \x20 postern explain ws-fhir.fhir.azurehealthcareapis.com\n\
    \x20 postern explain www.corp.contoso.com AAAA --client 10.20.0.4 --ask")]
pub struct ExplainArgs {
    /// Name to explain.
    name: String,
    /// Record type of the question.
    #[arg(default_value = "A")]
    rtype: String,
    /// Client address, which selects the network.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    client: IpAddr,
    /// Resolve the question for that client first, through upstreams if needed. It counts as a
    /// query of the client.
    #[arg(long)]
    ask: bool,
    #[command(flatten)]
    server: ClientArgs,
}

/// Prints the explanation.
pub fn run(args: ExplainArgs) -> ExitCode {
    crate::client::told(explain(&args))
}

fn explain(args: &ExplainArgs) -> Result<(), String> {
    let client = part(&args.client.to_string());
    let path = format!("/v1/explain?name={}&type={}&client={client}&ask={}", part(&args.name), part(&args.rtype), args.ask);
    let explained = ApiClient::new(&args.server)?.get(&path)?;
    match args.server.output {
        OutputForm::Json => json(&explained),
        OutputForm::Table => prose(&worded(&explained)),
    }
}

/// Formats one line per hop, then the answer, then the missing records.
fn worded(explained: &Value) -> String {
    let at = |key: &str| text(&explained[key]);
    let mut out = format!("{} {} for {} (network {})\n", at("name"), at("type"), at("client"), at("network"));
    for (key, words) in
        [("admitted", "the client may not query at all (`server.allow`, `server.deny`)"), ("recursion", "no recursion for the client")]
    {
        if explained[key] == false {
            out += &format!("  {words}\n");
        }
    }
    for (number, hop) in items(&explained["hops"]).enumerate() {
        out += &format!("{:3}  {}  {}{}\n", number + 1, text(&hop["name"]), text(&hop["said"]), surroundings(hop));
    }
    let ask = &explained["ask"];
    if !ask.is_null() {
        out += &format!("     to be asked: {} {} at {}", text(&ask["name"]), text(&ask["type"]), list(&ask["upstreams"]));
        out += if explained["asked"] == true { "; asked, and not kept\n" } else { " (--ask does it)\n" };
    }
    let answer = &explained["answer"];
    if !answer.is_null() {
        let flags = [("authoritative", ", ours"), ("stale", ", stale")].map(|(key, words)| if answer[key] == true { words } else { "" });
        out += &format!("answer: {}{}\n", text(&answer["rcode"]), flags.concat());
        for record in items(&answer["answer"]).chain(items(&answer["authority"])) {
            out += &format!("     {}\n", text(record));
        }
        for error in items(&answer["errors"]) {
            out += &format!("     extended error {}\n", text(error));
        }
    }
    let (verdict, fallback) = (&explained["verdict"], &explained["fallback"]);
    if let Some(found) = [fallback, verdict].into_iter().find(|found| !found.is_null()) {
        out += &reasoned(found);
    }
    out
}

/// Explains why there is no private answer, and how to get one.
fn reasoned(found: &Value) -> String {
    let kind = if found["recorded"] == false { "missing" } else { "fallback" };
    let doubt = if found["certain"] == false { ", if the public DNS leads there (--ask makes sure)" } else { "" };
    let (reason, action, private) = (text(&found["reason"]), text(&found["action"]), text(&found["private"]));
    let mend = &found["mend"];
    let mut out = format!("{kind}: {reason}, {action}: {private} has no private answer{doubt}\n     to mend it: {}\n", text(&mend["what"]));
    for key in ["record", "file"] {
        if let Some(value) = mend[key].as_str() {
            out += &format!("     {key}: {value}\n");
        }
    }
    out
}

/// Formats zone, route and cache of a hop in brackets.
fn surroundings(hop: &Value) -> String {
    let mut parts = Vec::new();
    let zone = &hop["zone"];
    if !zone.is_null() {
        let serial = zone["serial"].as_u64().map_or_else(|| "no data".into(), |serial| format!("serial {serial}"));
        let passed = if zone["passed_over"] == true { ", passed over for a longer route" } else { "" };
        let broken = zone["unavailable"].as_str().map_or(String::new(), |why| format!(", {why}"));
        let file = zone["file"].as_str().map_or(String::new(), |file| format!(", file {file}"));
        parts.push(format!("zone {}, {serial}, on-missing {}{passed}{broken}{file}", text(&zone["name"]), text(&zone["on_missing"])));
    }
    let overrides = &hop["overrides"];
    if !overrides.is_null() {
        let passed = if overrides["passed_over"] == true { ", left to the upstreams" } else { "" };
        let file = overrides["file"].as_str().map_or(String::new(), |file| format!(", file {file}"));
        parts.push(format!("overrides {}{passed}{file}", text(&overrides["name"])));
    }
    let cache = &hop["cache"];
    if !cache.is_null() {
        let age = if cache["stale"] == true { "stale".into() } else { format!("{} s left", text(&cache["ttl"])) };
        parts.push(format!("cached {} of {}, {age}", text(&cache["what"]), text(&cache["upstream"])));
    }
    let route = &hop["route"];
    if !route.is_null() && hop["decided_by"] != "zone" && hop["decided_by"] != "override" {
        let own = if route["to_self"] == true { ", which is this server" } else { "" };
        parts.push(format!("route {} to {}{own}", text(&route["suffix"]), list(&route["upstreams"])));
    }
    if parts.is_empty() { String::new() } else { format!("  [{}]", parts.join("; ")) }
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn list(value: &Value) -> String {
    items(value).map(text).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_verdict_stands_without_an_answer_and_says_how_sure_it_is() {
        let mend = json!({"what": "add the record to zone z.test", "record": "a 10 IN A <private address>", "file": null});
        let found = |certain: bool, recorded: bool| {
            let verdict = json!({"reason": "no-record", "action": "public", "private": "a.z.test", "certain": certain, "recorded": recorded, "mend": mend});
            reasoned(&verdict).lines().next().unwrap().to_owned()
        };
        assert_eq!(found(true, true), "fallback: no-record, public: a.z.test has no private answer");
        assert_eq!(found(true, false), "missing: no-record, public: a.z.test has no private answer");
        assert!(found(false, true).ends_with("no private answer, if the public DNS leads there (--ask makes sure)"));
    }

    #[test]
    fn a_hop_is_a_line_and_what_mends_the_fallback_is_the_last_one() {
        let zone = json!({"name": "privatelink.contoso.test", "serial": 7, "on_missing": "public", "file": null, "unavailable": null, "passed_over": false});
        let explained = json!({
            "name": "a.contoso.test", "type": "A", "client": "10.1.0.4", "network": "hub", "admitted": true, "recursion": true,
            "hops": [
                {"name": "a.contoso.test", "zone": null, "cache": {"what": "alias", "ttl": 30, "stale": false, "upstream": "10.0.0.53"},
                 "route": {"suffix": ".", "upstreams": ["10.0.0.53"], "to_self": false}, "decided_by": "upstream", "said": "alias that 10.0.0.53 gave"},
                {"name": "a.privatelink.contoso.test", "zone": zone, "cache": null, "route": null, "decided_by": "upstream", "said": "answer of 10.0.0.53"},
            ],
            "ask": null, "asked": false,
            "answer": {"rcode": "NOERROR", "authoritative": false, "stale": false, "answer": ["a.contoso.test. 30 IN A 192.0.2.1"], "authority": [], "errors": []},
            "fallback": {"reason": "no-record", "action": "public", "private": "a.privatelink.contoso.test",
                "mend": {"what": "add the record to zone privatelink.contoso.test", "record": "a 10 IN A <private address>", "file": null}},
        });
        assert_eq!(
            worded(&explained),
            "a.contoso.test A for 10.1.0.4 (network hub)\n\
             \x20 1  a.contoso.test  alias that 10.0.0.53 gave  [cached alias of 10.0.0.53, 30 s left; route . to 10.0.0.53]\n\
             \x20 2  a.privatelink.contoso.test  answer of 10.0.0.53  [zone privatelink.contoso.test, serial 7, on-missing public]\n\
             answer: NOERROR\n\
             \x20    a.contoso.test. 30 IN A 192.0.2.1\n\
             fallback: no-record, public: a.privatelink.contoso.test has no private answer\n\
             \x20    to mend it: add the record to zone privatelink.contoso.test\n\
             \x20    record: a 10 IN A <private address>\n"
        );
    }
}
