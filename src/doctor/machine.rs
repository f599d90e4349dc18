//! The examination of this machine and of the server: resolvers, forward rules, upstreams, other
//! servers, certificates.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use hickory_proto::rr::RecordType;
use postern_config::azure::PrivateLinkTable;
use postern_config::model::PosternConfig;
use serde_json::Value;

use super::finding::DoctorReport;
use super::name::CERTIFICATE_DAYS;
use super::resolve::{ask, ask_over_tcp};
use super::service::end_of_file;
use super::{DoctorVisit, listed};
use crate::client::part;
use crate::print::text;

/// Name that Firefox asks for: without an address, it stays with the system's resolvers.
const CANARY: &str = "use-application-dns.net";
/// Names of each zone that are compared with another server.
const SAMPLE: usize = 20;

/// A zone of the client's network, with some of its names.
struct SampledZone {
    name: String,
    serial: u32,
    /// Names with their IPv4 addresses, sorted.
    addresses: Vec<(String, Vec<IpAddr>)>,
}

/// Examines this machine.
pub fn examine(of: &DoctorVisit<'_>, report: &mut DoctorReport) -> Result<(), String> {
    server(of, report)?;
    let zones = sampled_zones(of)?;
    if let Some(line) = of.files.order_without_dns() {
        report.fail(
            "name order",
            format!("programs on this machine never ask DNS: {line}"),
            "add `dns` to the `hosts` line of /etc/nsswitch.conf",
        );
    }
    let resolvers = of.resolvers(report);
    resolvers_lead_here(of, &resolvers, &zones, report);
    browsers(of, &resolvers, report);
    forward_rules(of, &zones, report)?;
    upstreams(of, report)?;
    for peer in &of.args.peer {
        compare_zones(of, *peer, &zones, report, "peer", |zone| {
            format!("load the same files there, or make it a secondary of {zone} (`primaries`)")
        });
    }
    for remote in &of.args.on_premises {
        compare_zones(of, *remote, &zones, report, "on-premises", |zone| {
            let public = PrivateLinkTable::builtin().public_forwarders(zone);
            let forwarded = if public.is_empty() { zone.to_owned() } else { public.join(" and ") };
            format!("add a conditional forwarder for {forwarded} there, to the address of this server")
        });
    }
    certificates(of, report);
    Ok(())
}

fn server(of: &DoctorVisit<'_>, report: &mut DoctorReport) -> Result<(), String> {
    let status = of.api.get("/v1/status")?;
    let ailments: Vec<String> = status["ailments"].as_array().into_iter().flatten().map(text).collect();
    match (status["ready"] == true, ailments.is_empty()) {
        (true, true) => {
            report.good("server", format!("ready, with {} zones and {} records", text(&status["zones"]), text(&status["records"])))
        }
        (false, true) => report.fail("server", "not ready", "postern status"),
        (is_ready, false) => {
            for ailment in ailments {
                match is_ready {
                    true => report.warn("server", ailment, "postern check"),
                    false => report.fail("server", ailment, "postern check"),
                }
            }
        }
    }
    Ok(())
}

/// Returns the zones of the network that have data, with some of their names.
fn sampled_zones(of: &DoctorVisit<'_>) -> Result<Vec<SampledZone>, String> {
    let in_network = |zone: &Value| {
        zone["networks"].as_array().is_some_and(|networks| networks.is_empty() || networks.iter().any(|name| name == of.network.as_str()))
    };
    let mut sampled = Vec::new();
    for zone in of.api.pages("/v1/zones", "", "zones", usize::MAX)?.iter().filter(|zone| in_network(zone)) {
        let Some(serial) = zone["serial"].as_u64() else { continue };
        let sets =
            of.api.pages(&format!("/v1/zones/{}/rrsets", part(&text(&zone["id"]))), &format!("type=A&limit={SAMPLE}"), "rrsets", SAMPLE)?;
        let names = sets.iter().filter(|set| !text(&set["name"]).starts_with('*')).map(|set| {
            let mut addresses: Vec<IpAddr> =
                set["records"].as_array().into_iter().flatten().filter_map(|record| record.as_str()?.parse().ok()).collect();
            addresses.sort();
            (text(&set["name"]).trim_end_matches('.').to_owned(), addresses)
        });
        let mut addresses: Vec<_> = names.collect();
        addresses.sort();
        sampled.push(SampledZone { name: text(&zone["name"]).trim_end_matches('.').to_owned(), serial: serial as u32, addresses });
    }
    Ok(sampled)
}

/// Checks that each resolver of this machine answers from this server's zones.
fn resolvers_lead_here(of: &DoctorVisit<'_>, resolvers: &[(SocketAddr, String)], zones: &[SampledZone], report: &mut DoctorReport) {
    const TOPIC: &str = "system resolver";
    let Some(zone) = zones.first() else { return report.note(TOPIC, format!("network {} has no zone to compare", of.network)) };
    let here = of.listen.map_or_else(|| "this server".to_owned(), |listen| listen.to_string());
    for (resolver, file) in resolvers {
        let mend = match file.starts_with("/run/systemd") {
            true => format!("resolvectl dns INTERFACE {here}, or set DNS= in /etc/systemd/resolved.conf"),
            false => format!("replace `nameserver {}` in {file} by {here}, or in the DNS servers of the virtual network", resolver.ip()),
        };
        match ask(*resolver, &zone.name, RecordType::SOA, of.patience) {
            Ok(answer) if answer.serial == Some(zone.serial) => report.good(TOPIC, format!("{resolver} ({file}) leads to this server")),
            Ok(answer) if answer.serial.is_some() => {
                let text = format!(
                    "{resolver} ({file}) has zone {} with another serial: {} instead of {}",
                    zone.name,
                    answer.serial.unwrap_or_default(),
                    zone.serial
                );
                report.warn(TOPIC, text, mend);
            }
            Ok(_) => report.fail(
                TOPIC,
                format!("{resolver} ({file}) does not know zone {}, so its clients get public addresses", zone.name),
                mend,
            ),
            Err(why) => report.fail(TOPIC, format!("{resolver} ({file}): {why}"), mend),
        }
    }
}

/// Looks for browsers that ask resolvers of their own.
fn browsers(of: &DoctorVisit<'_>, resolvers: &[(SocketAddr, String)], report: &mut DoctorReport) {
    const TOPIC: &str = "browsers";
    let policies = of.files.browsers_with_own_resolver();
    for path in &policies {
        let mend = format!("turn DNS over HTTPS off in {}", path.display());
        report.fail(TOPIC, "a policy makes the browser ask its own resolver over HTTPS, which knows no private zone", mend);
    }
    let leaves = resolvers
        .iter()
        .find(|(resolver, _)| ask(*resolver, CANARY, RecordType::A, of.patience).is_ok_and(|answer| !answer.addresses.is_empty()));
    match leaves {
        Some((resolver, _)) => report.note(
            TOPIC,
            format!(
                "{resolver} answers {CANARY}, so Firefox may use DNS over HTTPS; a [[zone]] of that name without addresses prevents it"
            ),
        ),
        None if policies.is_empty() => report.good(TOPIC, "nothing makes them pass the system's resolvers by"),
        None => {}
    }
}

/// Checks that the public names of each zone are forwarded, and not to this server.
fn forward_rules(of: &DoctorVisit<'_>, zones: &[SampledZone], report: &mut DoctorReport) -> Result<(), String> {
    const TOPIC: &str = "forward rules";
    let mut bad = 0;
    for zone in zones {
        for public in PrivateLinkTable::builtin().public_forwarders(&zone.name).iter().filter(|public| !public.contains(['{', '*'])) {
            let explained = of.explain(&format!("postern-doctor.{public}"), "A", false)?;
            let hop = &explained["hops"][0];
            let mend = format!("add [[forward]] with zone = \"{public}\" or \".\"");
            if hop["route"].is_null() && hop["zone"].is_null() {
                bad += 1;
                report.fail(TOPIC, format!("no rule covers {public}, whose names lead to zone {}", zone.name), mend);
            } else if hop["route"]["to_self"] == true {
                bad += 1;
                report.fail(TOPIC, format!("the rule for {public} leads back to this server"), "name other upstreams in that [[forward]]");
            }
        }
    }
    if bad == 0 {
        report.good(TOPIC, "the public names of all zones are forwarded");
    }
    Ok(())
}

fn upstreams(of: &DoctorVisit<'_>, report: &mut DoctorReport) -> Result<(), String> {
    const TOPIC: &str = "upstreams";
    let upstreams = of.api.get("/v1/upstreams")?;
    let (mut good, mut silent) = (Vec::new(), Vec::new());
    for upstream in upstreams.as_array().into_iter().flatten() {
        let Ok(address) = text(&upstream["address"]).parse::<SocketAddr>() else { continue };
        let question = if upstream["transport"] == "tcp" { ask_over_tcp } else { ask };
        match question(address, ".", RecordType::NS, of.patience) {
            Ok(_) => good.push(address.to_string()),
            Err(why) => silent.push((address, why)),
        }
    }
    if !good.is_empty() {
        report.good(TOPIC, format!("{} answered", good.join(", ")));
    }
    for (address, why) in silent {
        let mend = match address.ip() == PosternConfig::AZURE_DNS {
            true => "only virtual machines in Azure reach this address; allow the service tag AzurePlatformDNS in the security group",
            false => "check the upstream and the network path to it, or remove it from [[forward]]",
        };
        match good.is_empty() {
            true => report.fail(TOPIC, format!("{address}: {why}"), mend),
            false => report.warn(TOPIC, format!("{address}: {why}"), mend),
        }
    }
    Ok(())
}

/// Compares names of each zone with the answers of another server.
fn compare_zones(
    of: &DoctorVisit<'_>,
    other: SocketAddr,
    zones: &[SampledZone],
    report: &mut DoctorReport,
    topic: &'static str,
    mend: impl Fn(&str) -> String,
) {
    let (mut same, mut differ) = (0, 0);
    for zone in zones {
        for (name, addresses) in &zone.addresses {
            match ask(other, name, RecordType::A, of.patience) {
                Err(why) => {
                    return report.fail(topic, format!("{other}: {why}"), format!("start {other}, or check the network path to it"));
                }
                Ok(answer) if answer.addresses == *addresses => same += 1,
                Ok(answer) => {
                    differ += 1;
                    report.fail(
                        topic,
                        format!("{other} gives {} for {name}, this server {}", listed(&answer.addresses), listed(addresses)),
                        mend(&zone.name),
                    );
                    break; // one name of a zone is enough
                }
            }
        }
    }
    if differ == 0 {
        report.good(topic, format!("{other} gives the same addresses for {same} names"));
    }
}

/// Checks the ends of the server's own certificates.
fn certificates(of: &DoctorVisit<'_>, report: &mut DoctorReport) {
    const TOPIC: &str = "certificates";
    let Some(named) = of.setting("api", "certificate") else { return };
    let directory =
        of.configuration["file"].as_str().map(PathBuf::from).and_then(|file| file.parent().map(Path::to_path_buf)).unwrap_or_default();
    let path = directory.join(named);
    let mend = format!("renew {}; the server reads it again by itself", path.display());
    match end_of_file(&path).map(|end| end.duration_since(SystemTime::now()).map(|left| left.as_secs() / 86_400)) {
        Err(why) => report.note(TOPIC, format!("the certificate of the API cannot be examined from here: {why}")),
        Ok(Err(_)) => report.fail(TOPIC, format!("the certificate of the API has expired: {}", path.display()), mend),
        Ok(Ok(days)) if days < CERTIFICATE_DAYS => report.warn(TOPIC, format!("the certificate of the API ends in {days} days"), mend),
        Ok(Ok(days)) => report.good(TOPIC, format!("the certificate of the API is valid for {days} more days")),
    }
}
