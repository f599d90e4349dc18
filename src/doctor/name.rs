//! The examination of one name, from the question to the reply of the service.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::SystemTime;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;
use hyper::StatusCode;
use postern_config::azure::PrivateLinkTable;
use serde_json::Value;
use tokio_rustls::rustls::RootCertStore;

use super::finding::DoctorReport;
use super::resolve::{ResolverAnswer, ask, ask_over_tcp, large_answer_arrives};
use super::service::{SeenCertificate, ServiceReply, visit};
use super::{DoctorVisit, is_within, listed};
use crate::print::text;

/// Clock difference at which Azure rejects tokens.
const REJECTED_SKEW: u64 = 300;
/// Clock difference that is worth a warning.
const DOUBTFUL_SKEW: u64 = 60;
/// Days before the end of a certificate at which a warning starts.
pub const CERTIFICATE_DAYS: u64 = 21;

/// Examines a name for the client of the visit.
pub fn examine(of: &DoctorVisit<'_>, name: &str, roots: Arc<RootCertStore>, report: &mut DoctorReport) -> Result<(), String> {
    for (line, content) in of.files.hosts_lines(name) {
        let mend = format!("remove line {line} of /etc/hosts: {content}");
        report.fail("hosts file", "/etc/hosts has the name, so programs on this machine do not ask DNS for it", mend);
    }
    let explained = of.explain(name, "A", true)?;
    let addresses = server_answer(&explained, name, report);
    other_types(of, name, &addresses, report)?;
    transport(of, name, report);
    let resolvers = if of.is_this_machine { of.resolvers(report) } else { Vec::new() };
    if !of.is_this_machine {
        report.note("system resolver", "left out: the resolvers of this machine do not serve that client");
    }
    for (resolver, file) in &resolvers {
        compare(of, name, (*resolver, file), &addresses, &explained, report);
    }
    upstreams(of, &explained, name, report);
    locate(of, &addresses, report)?;
    if !of.args.dns_only {
        service(of, name, &addresses, roots, report)?;
    }
    Ok(())
}

/// Judges the server's own answer, and returns its addresses.
fn server_answer(explained: &Value, name: &str, report: &mut DoctorReport) -> Vec<IpAddr> {
    const TOPIC: &str = "this server";
    if explained["admitted"] == false {
        report.fail(TOPIC, "the client may not query this server", "add its address to `server.allow`, or remove it from `server.deny`");
        return Vec::new();
    }
    let answer = &explained["answer"];
    if explained["recursion"] == false && answer["rcode"] == "REFUSED" {
        report.fail(
            TOPIC,
            "the client is in no network, so it gets private names only",
            "add its address to `clients` of a [[network]], or set `recursion`",
        );
        return Vec::new();
    }
    let records = || answer["answer"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let mut addresses: Vec<IpAddr> = records().filter_map(|record| record.split_whitespace().last()?.parse().ok()).collect();
    addresses.sort();
    let rcode = text(&answer["rcode"]);
    let missing = [&explained["fallback"], &explained["verdict"]].into_iter().find(|found| !found.is_null());
    if let Some(found) = missing {
        let mend = &found["mend"];
        let place = mend["file"].as_str().map_or(String::new(), |file| format!(" to {file}"));
        let remedy = match mend["record"].as_str() {
            Some(record) => format!("add `{record}`{place}, or run: postern fallbacks create {name} ADDRESS"),
            None => text(&mend["what"]),
        };
        let got = if addresses.is_empty() { rcode } else { listed(&addresses) };
        report.fail(
            TOPIC,
            format!("{} has no private answer ({}), and the client gets {got}", text(&found["private"]), text(&found["reason"])),
            remedy,
        );
        return addresses;
    }
    match rcode.as_str() {
        "NOERROR" if addresses.is_empty() => {
            report.fail(TOPIC, "the name exists, but has no IPv4 address", format!("postern explain {name}"))
        }
        "NOERROR" if addresses.iter().all(|address| is_private(*address)) => {
            report.good(TOPIC, format!("the answer is {}, private", listed(&addresses)))
        }
        "NOERROR" if PrivateLinkTable::builtin().private_names(name).is_empty() => {
            report.note(TOPIC, format!("the answer is {}: a public name without private link", listed(&addresses)));
        }
        "NOERROR" => report.warn(
            TOPIC,
            format!("the answer is {}, public: the public DNS has no private-link alias for this name", listed(&addresses)),
            "create a private endpoint for the service, or approve its connection",
        ),
        "-" => report.fail(TOPIC, "no upstream answered", "postern status"),
        _ => {
            let errors = answer["errors"].as_array().into_iter().flatten().map(text).collect::<Vec<_>>().join("; ");
            let why = if errors.is_empty() { String::new() } else { format!(" ({errors})") };
            report.fail(TOPIC, format!("the answer is {rcode}{why}"), format!("postern explain {name} --ask"));
        }
    }
    addresses
}

/// Looks for public data of other types, which would lead clients past a private address.
fn other_types(of: &DoctorVisit<'_>, name: &str, addresses: &[IpAddr], report: &mut DoctorReport) -> Result<(), String> {
    let is_private_name = !addresses.is_empty() && addresses.iter().all(|address| is_private(*address));
    if !is_private_name {
        return Ok(());
    }
    for (rtype, topic) in [("AAAA", "IPv6"), ("HTTPS", "HTTPS records")] {
        let explained = of.explain(name, rtype, true)?;
        let records = explained["answer"]["answer"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let of_type = |record: &&str| record.split_whitespace().nth(3) == Some(rtype);
        let public =
            |record: &str| record.split_whitespace().last().and_then(|last| last.parse().ok()).is_none_or(|address| !is_private(address));
        match records.filter(of_type).find(|record| public(record)) {
            Some(record) => report.fail(
                topic,
                format!("clients may prefer this public record: {record}"),
                format!("remove the {rtype} record from the private zone"),
            ),
            None => report.good(topic, "no public record leads past the private address"),
        }
    }
    Ok(())
}

/// Queries the server over UDP and TCP, as clients do.
fn transport(of: &DoctorVisit<'_>, name: &str, report: &mut DoctorReport) {
    const TOPIC: &str = "DNS transport";
    let Some(listen) = of.listen else { return report.note(TOPIC, "the address of the server is not known; name it with --server") };
    let udp = ask(listen, name, RecordType::A, of.patience);
    if let Err(why) = &udp {
        return report.fail(
            TOPIC,
            format!("no answer from {listen} over UDP: {why}"),
            "open UDP port 53 in firewalls and security groups, and check `server.listen`",
        );
    }
    if let Err(why) = ask_over_tcp(listen, name, RecordType::A, of.patience) {
        return report.fail(TOPIC, format!("no answer from {listen} over TCP: {why}"), "open TCP port 53 in firewalls and security groups");
    }
    match large_answer_arrives(listen, of.patience) {
        Ok(false) => report.warn(
            TOPIC,
            format!("small UDP answers of {listen} arrive, but a large one did not"),
            "lower `server.udp-size` to the path's MTU, or check the upstreams with: postern status",
        ),
        _ => report.good(TOPIC, format!("{listen} answers over UDP and TCP")),
    }
}

/// Compares a resolver's answer with the server's.
fn compare(
    of: &DoctorVisit<'_>,
    name: &str,
    (resolver, file): (SocketAddr, &str),
    addresses: &[IpAddr],
    explained: &Value,
    report: &mut DoctorReport,
) {
    const TOPIC: &str = "system resolver";
    let answer = match ask(resolver, name, RecordType::A, of.patience) {
        Ok(answer) => answer,
        Err(why) => {
            return report.fail(
                TOPIC,
                format!("{resolver} ({file}): {why}"),
                format!("remove {resolver} from the resolvers of this machine, or start it"),
            );
        }
    };
    let are_public = |addresses: &[IpAddr]| !addresses.is_empty() && !addresses.iter().any(|address| is_private(*address));
    // Public names may have other addresses at each resolver.
    if answer.addresses == addresses || (are_public(&answer.addresses) && are_public(addresses) && !goes_home(explained)) {
        return report.good(TOPIC, format!("{resolver} ({file}) agrees: {}", listed(&answer.addresses)));
    }
    let zones = PrivateLinkTable::builtin().private_zone_of(name).map_or_else(|| parent(name), str::to_owned);
    let text = format!("{resolver} ({file}) gives {}, this server {}; {}", shown(&answer), listed(addresses), parting(&answer, explained));
    report.fail(TOPIC, text, format!("point this machine to the server, or make {resolver} forward {zones} to it; then flush its cache"));
}

/// Returns true if the name has a private-link alias, so that its public addresses are wrong.
fn goes_home(explained: &Value) -> bool {
    !explained["fallback"].is_null() || !explained["verdict"].is_null()
}

/// Describes where the chain of another resolver leaves the server's.
fn parting(answer: &ResolverAnswer, explained: &Value) -> String {
    let hops: Vec<String> =
        explained["hops"].as_array().into_iter().flatten().filter_map(|hop| hop["leads_to"].as_str().map(str::to_owned)).collect();
    match answer.aliases.iter().zip(&hops).position(|(theirs, ours)| theirs != ours) {
        Some(at) => format!("they part at {} and {}", answer.aliases[at], hops[at]),
        None => match (answer.aliases.get(hops.len()), hops.get(answer.aliases.len())) {
            (Some(theirs), _) => format!("it goes on to {theirs}"),
            (_, Some(ours)) => format!("it does not know the alias {ours}"),
            _ => "the aliases are the same".into(),
        },
    }
}

fn shown(answer: &ResolverAnswer) -> String {
    match answer.rcode {
        ResponseCode::NoError => listed(&answer.addresses),
        rcode => rcode.to_string(),
    }
}

/// Queries the upstreams of the routes that the answer needs.
fn upstreams(of: &DoctorVisit<'_>, explained: &Value, name: &str, report: &mut DoctorReport) {
    const TOPIC: &str = "upstreams";
    let routes = explained["hops"].as_array().into_iter().flatten().map(|hop| &hop["route"]).filter(|route| !route.is_null());
    let Some(first) = explained["hops"].as_array().and_then(|hops| hops.first()) else { return };
    if first["route"].is_null() && first["zone"].is_null() {
        let zone = parent(name);
        return report.fail(TOPIC, "no forward rule covers the name", format!("add [[forward]] with zone = \"{zone}\" or \".\""));
    }
    if let Some(route) = routes.clone().find(|route| route["to_self"] == true) {
        let mend = format!("correct the upstreams of [[forward]] {}", text(&route["suffix"]));
        return report.fail(TOPIC, format!("the forward rule {} leads back to this server", text(&route["suffix"])), mend);
    }
    let mut named: Vec<String> = routes.flat_map(|route| route["upstreams"].as_array().into_iter().flatten().map(text)).collect();
    named.sort();
    named.dedup();
    let all = of.api.get("/v1/upstreams").unwrap_or_default();
    let (mut silent, mut good) = (Vec::new(), Vec::new());
    for upstream in &named {
        let known = all.as_array().into_iter().flatten().find(|known| text(&known["name"]) == *upstream);
        let Some(address) = known.and_then(|known| text(&known["address"]).parse().ok()) else {
            silent.push(format!("{upstream}: its address is not known"));
            continue;
        };
        let question = if known.is_some_and(|known| known["transport"] == "tcp") { ask_over_tcp } else { ask };
        match question(address, name, RecordType::A, of.patience) {
            Ok(answer) if matches!(answer.rcode, ResponseCode::ServFail | ResponseCode::Refused) => {
                silent.push(format!("{upstream}: {}", answer.rcode))
            }
            Ok(answer) => good.push(format!("{upstream} gives {}", shown(&answer))),
            Err(why) => silent.push(format!("{upstream}: {why}")),
        }
    }
    let mend = "check the upstream, and the network path to it; remove it from [[forward]] if it is gone";
    match (silent.is_empty(), good.is_empty()) {
        (true, true) => report.good(TOPIC, "none is needed"),
        (true, false) => report.good(TOPIC, good.join("; ")),
        (false, true) => report.fail(TOPIC, silent.join("; "), mend),
        (false, false) => report.warn(TOPIC, format!("{}; {}", silent.join("; "), good.join("; ")), mend),
    }
}

/// Says in which network each address lies.
fn locate(of: &DoctorVisit<'_>, addresses: &[IpAddr], report: &mut DoctorReport) -> Result<(), String> {
    let networks = of.api.get("/v1/networks")?;
    for address in addresses.iter().filter(|address| is_private(**address)) {
        let prefixes = networks.as_array().into_iter().flatten().flat_map(|network| {
            network["clients"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .map(|prefix| (prefix.to_owned(), text(&network["name"])))
        });
        let holding = prefixes.filter(|(prefix, _)| {
            prefix
                .split_once('/')
                .and_then(|(start, length)| Some((start.parse().ok()?, length.parse().ok()?)))
                .is_some_and(|(start, length)| is_within(*address, start, length))
        });
        match holding.max_by_key(|(prefix, _)| prefix.split('/').nth(1).and_then(|length| length.parse::<u32>().ok())) {
            Some((prefix, network)) => report.good("address", format!("{address} lies in {prefix} of network {network}")),
            None => report.note("address", format!("{address} is in no prefix of a network; the client needs a route to it")),
        }
    }
    Ok(())
}

/// Connects to the service, and judges what it replies.
fn service(
    of: &DoctorVisit<'_>,
    name: &str,
    addresses: &[IpAddr],
    roots: Arc<RootCertStore>,
    report: &mut DoctorReport,
) -> Result<(), String> {
    let found = of.args.connect_to.or_else(|| addresses.first().map(|address| SocketAddr::new(*address, 443)));
    let Some(address) = found else { return Ok(()) };
    let path = health_path(name);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| format!("error: {error}"))?;
    let reply = runtime.block_on(visit(address, name, path, roots, of.patience));
    let is_public = addresses.iter().any(|address| !is_private(*address));
    match &reply.connected {
        Some(Err(why)) => {
            let mend = "check the state of the private endpoint, and the routes, security groups and firewalls on the way to it";
            report.fail("connection", format!("no TCP connection to {address}: {why}"), mend);
            return Ok(());
        }
        _ => report.good("connection", format!("TCP to {address} works")),
    }
    certificate(&reply, name, report);
    status(&reply, path, is_public, report);
    clock(&reply, report);
    Ok(())
}

fn certificate(reply: &ServiceReply, name: &str, report: &mut DoctorReport) {
    const TOPIC: &str = "certificate";
    let Some(SeenCertificate { verdict, end }) = &reply.certificate else { return };
    if let Err(why) = verdict {
        let mend = format!("check that the address belongs to {name}, and that no proxy on the way replaces certificates");
        return report.fail(TOPIC, format!("clients reject the certificate: {why}"), mend);
    }
    let days = end.and_then(|end| end.duration_since(SystemTime::now()).ok()).map(|left| left.as_secs() / 86_400);
    match days {
        Some(days) if days < CERTIFICATE_DAYS => {
            report.warn(TOPIC, format!("valid for {name}, for {days} more days"), "renew the certificate of the service")
        }
        Some(days) => report.good(TOPIC, format!("valid for {name}, for {days} more days")),
        None => report.good(TOPIC, format!("valid for {name}")),
    }
}

fn status(reply: &ServiceReply, path: &str, is_public: bool, report: &mut DoctorReport) {
    const TOPIC: &str = "service";
    match &reply.status {
        None => {}
        Some(Err(why)) => {
            report.fail(TOPIC, format!("GET {path}: {why}"), "check that the address belongs to the service, and that port 443 leads to it")
        }
        Some(Ok(StatusCode::FORBIDDEN)) if is_public => {
            report.fail(
                TOPIC,
                format!("GET {path}: 403, because the client came to the public address"),
                "mend the answer of the server first, as described above",
            );
        }
        Some(Ok(StatusCode::FORBIDDEN)) => report.fail(
            TOPIC,
            format!("GET {path}: 403 over the private address"),
            "approve the private endpoint connection of this network, under Networking of the service",
        ),
        Some(Ok(StatusCode::UNAUTHORIZED)) => report.good(TOPIC, format!("GET {path}: 401; the service was reached, and wants a token")),
        Some(Ok(status)) if status.is_server_error() => {
            report.fail(
                TOPIC,
                format!("GET {path}: {}", status.as_u16()),
                "the network is right; check the health of the service in Azure",
            );
        }
        Some(Ok(status)) => report.good(TOPIC, format!("GET {path}: {}", status.as_u16())),
    }
}

fn clock(reply: &ServiceReply, report: &mut DoctorReport) {
    const TOPIC: &str = "clock";
    let Some(theirs) = reply.date else { return };
    let now = SystemTime::now();
    let skew = now.duration_since(theirs).or_else(|_| theirs.duration_since(now)).unwrap_or_default().as_secs();
    let mend = "timedatectl set-ntp true";
    match skew {
        REJECTED_SKEW.. => {
            report.fail(TOPIC, format!("the clocks of this machine and of the service differ by {skew} s, so tokens are rejected"), mend)
        }
        DOUBTFUL_SKEW.. => report.warn(TOPIC, format!("the clocks of this machine and of the service differ by {skew} s"), mend),
        _ => report.good(TOPIC, "the clocks of this machine and of the service agree"),
    }
}

/// Path that needs no token: the capability statement of FHIR, or the health check of DICOM.
fn health_path(name: &str) -> &'static str {
    let has = |label: &str| name.split('.').any(|other| other == label);
    match () {
        () if has("dicom") => "/health/check",
        () if has("azurehealthcareapis") => "/metadata",
        () => "/",
    }
}

fn parent(name: &str) -> String {
    name.split_once('.').map_or(name, |(_, parent)| parent).to_owned()
}

/// Returns true for addresses that are not reached over the Internet.
pub fn is_private(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            address.is_private()
                || address.is_loopback()
                || address.is_link_local()
                || (address.octets()[0] == 100 && address.octets()[1] & 0xc0 == 64)
        }
        IpAddr::V6(address) => address.is_unique_local() || address.is_loopback() || address.is_unicast_link_local(),
    }
}
