use std::path::Path;
use std::sync::Arc;

use postern_config::azure::PrivateLinkTable;

use super::super::tests::Kept;
use super::super::{AzureLink, ReadSummary};
use super::read_azure;
use crate::name::NameBuf;
use crate::record::TextPosition;

pub(super) fn azure(text: impl AsRef<[u8]>) -> (Vec<String>, Vec<String>, ReadSummary) {
    let mut kept = Kept::default();
    let mut problems = Vec::new();
    let file = Arc::new(Path::new("x.json").to_owned());
    let read = read_azure(
        text.as_ref(),
        &file,
        &NameBuf::parse("corp.contoso.test").unwrap(),
        PrivateLinkTable::builtin(),
        &mut kept,
        &mut problems,
    );
    assert_eq!(read.records as usize, kept.lines.len());
    (kept.lines, problems.iter().map(ToString::to_string).collect(), read)
}

/// Records in private-link zones alone: what the zones of the health preset keep.
fn private(text: impl AsRef<[u8]>) -> Vec<String> {
    let (lines, problems, _) = azure(text);
    assert_eq!(problems, Vec::<String>::new());
    lines.into_iter().filter(|line| line.contains(".privatelink.") || line.starts_with("privatelink.")).collect()
}

const WORKSPACE: &str = "contosows-workspace.privatelink.azurehealthcareapis.com. 10 A 10.20.1.4";
const WORKSPACE_OLD: &str = "contosows.privatelink.workspace.azurehealthcareapis.com. 10 A 10.20.1.4";
const FHIR: &str = "contosows-fhir1.fhir.privatelink.azurehealthcareapis.com. 10 A 10.20.1.5";
const FHIR_OLD: &str = "contosows-fhir1.privatelink.fhir.azurehealthcareapis.com. 10 A 10.20.1.5";
const DICOM: &str = "contosows-dicom1.privatelink.dicom.azurehealthcareapis.com. 10 A 10.20.1.6";
const DICOM_OTHER: &str = "contosows-dicom1.dicom.privatelink.azurehealthcareapis.com. 10 A 10.20.1.6";

#[test]
fn every_example_gives_its_names_and_addresses() {
    let cases: [(&[u8], &[&str]); 7] = [
        (include_bytes!("../../../tests/data/azure/pe_show_manual.json"), &[WORKSPACE, WORKSPACE_OLD, FHIR, FHIR_OLD, DICOM, DICOM_OTHER]),
        (include_bytes!("../../../tests/data/azure/arm_private_endpoint.json"), &[FHIR, FHIR_OLD]),
        (include_bytes!("../../../tests/data/azure/nic_show_fragment.json"), &[FHIR, FHIR_OLD]),
        (include_bytes!("../../../tests/data/azure/dns_zone_group_show.json"), &[WORKSPACE, FHIR, DICOM]),
        (include_bytes!("../../../tests/data/azure/terraform_show_fragment.json"), &[FHIR]),
        (include_bytes!("../../../tests/data/azure/record_set_a_list.json"), &[WORKSPACE]),
        (
            include_bytes!("../../../tests/data/azure/record_set_list.json"),
            &[
                "privatelink.azurehealthcareapis.com. 3600 SOA azureprivatedns.net. azureprivatedns-host.microsoft.com. 1 3600 300 2419200 10",
                FHIR,
            ],
        ),
    ];
    for (text, want) in cases {
        assert_eq!(private(text), want, "{}", String::from_utf8_lossy(text));
    }
}

#[test]
fn the_static_address_example_says_why_it_has_no_names() {
    let (lines, problems, _) = azure(include_bytes!("../../../tests/data/azure/pe_show_static_ip_fragment.json"));
    assert_eq!(lines, Vec::<String>::new());
    assert_eq!(
        problems,
        [
            "x.json:3:5: warning: `ipConfigurations` has addresses but no names: no record comes of it help: a private endpoint lists there the addresses that were asked for, \
          by member; `customDnsConfigs` has the names, and `az network nic show` of the endpoint's interface has names and addresses in any case"
        ]
    );
}

#[test]
fn the_network_link_example_tells_its_policy() {
    let (lines, problems, read) = azure(include_bytes!("../../../tests/data/azure/vnet_link_show.json"));
    assert_eq!((lines.len(), problems.len()), (0, 0));
    assert_eq!(
        read.links,
        [AzureLink {
            zone: "privatelink.azurehealthcareapis.com".into(),
            name: "hub".into(),
            network: "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/rg-net/providers/Microsoft.Network/virtualNetworks/vnet-hub"
                .into(),
            resolution_policy: Some("NxDomainRedirect".into()),
            at: TextPosition { line: 1, column: 1 },
        }]
    );
}

#[test]
fn one_object_in_any_dress_gives_the_same() {
    let config = r#"{"fqdn": "contosostore.blob.core.windows.net", "ipAddresses": ["10.1.0.4"]}"#;
    let want = ["contosostore.blob.core.windows.net. 10 A 10.1.0.4", "contosostore.privatelink.blob.core.windows.net. 10 A 10.1.0.4"];
    let texts = [
        format!(r#"{{"customDnsConfigs": [{config}]}}"#),
        format!(r#"[{{"customDnsConfigs": [{config}]}}]"#),
        format!(r#"{{"properties": {{"customDnsConfigs": [{config}]}}}}"#),
        format!(r#"{{"value": [{{"properties": {{"customDnsConfigs": [{config}]}}}}], "nextLink": null}}"#),
        format!(r#"{{"data": [{{"type": "microsoft.network/privateendpoints", "properties": {{"customDnsConfigs": [{config}]}}}}], "skip_token": null}}"#),
        format!(r#"{{"customDnsConfigs": null, "properties": {{"customDnsConfigs": [{config}], "ipConfigurations": null}}}}"#),
        r#"{"CustomDnsConfigs": [{"Fqdn": "contosostore.blob.core.windows.net", "IpAddresses": ["10.1.0.4"]}]}"#.to_owned(),
        r#"{"customdnsconfigs": [{"FQDN": "ContosoStore.blob.core.windows.net.", "ipaddresses": ["10.1.0.4"]}]}"#.to_owned(),
        format!("[{config}]"),
        config.to_owned(),
        format!("\u{feff}{config}\r\n"),
        r#"{"ipConfigurations": [{"privateIpAddress": "10.1.0.4", "privateLinkConnectionProperties": {"fqdns": ["contosostore.blob.core.windows.net"]}}]}"#.to_owned(),
        r#"{"properties": {"ipConfigurations": [{"name": "x", "properties": {"privateIPAddress": "10.1.0.4", "privateLinkConnectionProperties": {"fqdns": ["contosostore.blob.core.windows.net"]}}}]}}"#.to_owned(),
        r#"[{"privateIPAddress": "10.1.0.4", "privateLinkConnectionProperties": {"fqdns": ["contosostore.blob.core.windows.net"]}}]"#.to_owned(),
        r#"{"values": {"root_module": {"child_modules": [{"resources": [{"type": "azurerm_private_endpoint", "values": {"custom_dns_configs": [{"fqdn": "contosostore.blob.core.windows.net", "ip_addresses": ["10.1.0.4"]}]}}]}]}}}"#.to_owned(),
        r#"{"version": 4, "resources": [{"type": "azurerm_private_endpoint", "instances": [{"attributes": {"custom_dns_configs": [{"fqdn": "contosostore.blob.core.windows.net", "ip_addresses": ["10.1.0.4"]}]}}]}]}"#.to_owned(),
    ];
    for text in texts {
        let (lines, problems, _) = azure(&text);
        assert_eq!((lines.iter().map(String::as_str).collect::<Vec<_>>(), problems), (want.to_vec(), vec![]), "{text}");
    }
    let wide: Vec<u8> = std::iter::once(0xfeff).chain(config.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    assert_eq!(azure(wide).0, want, "UTF-16, as Windows PowerShell writes it");
}

#[test]
fn record_sets_of_every_type_become_records() {
    let zone = "/subscriptions/0/resourceGroups/rg/providers/Microsoft.Network/privateDnsZones/contoso.test";
    let cases = [
        (
            r#""type": "Microsoft.Network/privateDnsZones/A", "aRecords": [{"ipv4Address": "10.0.0.1"}, {"ipv4Address": "10.0.0.2"}]"#,
            vec!["A 10.0.0.1", "A 10.0.0.2"],
        ),
        (r#""arecords": [{"ipv4Address": "10.0.0.1"}], "aaaaRecords": null"#, vec!["A 10.0.0.1"]),
        (r#""aaaaRecords": [{"ipv6Address": "2001:db8::1"}]"#, vec!["AAAA 2001:db8::1"]),
        (r#""cnameRecord": {"cname": "Other.Contoso.Test"}"#, vec!["CNAME Other.Contoso.Test."]),
        (r#""mxRecords": [{"exchange": "mail.contoso.test.", "preference": 10}]"#, vec!["MX 10 mail.contoso.test."]),
        (r#""ptrRecords": [{"ptrdname": "a.contoso.test"}]"#, vec!["PTR a.contoso.test."]),
        (r#""srvRecords": [{"priority": 1, "weight": 2, "port": 443, "target": "a.contoso.test"}]"#, vec!["SRV 1 2 443 a.contoso.test."]),
        (
            r#""txtRecords": [{"value": ["v=spf1 -all", "caf\u00e9"]}, {"value": [""]}]"#,
            vec![r#"TXT "v=spf1 -all" "caf\195\169""#, r#"TXT """#],
        ),
        (
            r#""properties": {"caaRecords": [{"flags": 0, "tag": "issue", "value": "ca.contoso.test"}]}"#,
            vec![r#"CAA 0 issue "ca.contoso.test""#],
        ),
        (r#""nsRecords": [{"nsdname": "ns.contoso.test"}]"#, vec!["NS ns.contoso.test."]),
        (
            r#""soaRecord": {"email": "host@contoso.test", "expireTime": 4, "host": "ns.contoso.test", "minimumTtl": 5, "refreshTime": 2, "retryTime": 3, "serialNumber": 1}"#,
            vec!["SOA ns.contoso.test. host.contoso.test. 1 2 3 4 5"],
        ),
        (r#""aRecords": []"#, vec![]),
        (r#""type": "Microsoft.Network/privateDnsZones/TXT""#, vec![]),
    ];
    for (members, want) in cases {
        for (name, owner) in [("web.eu", "web.eu.contoso.test."), ("@", "contoso.test.")] {
            let want: Vec<String> = want.iter().map(|record| format!("{owner} 3600 {record}")).collect();
            let by_id = format!(r#"[{{"id": "{zone}/A/{name}", "name": "{name}", "ttl": 3600, {members}}}]"#);
            let by_fqdn = format!(r#"{{"value": [{{"fqdn": "{owner}", "name": "{name}", "TTL": 3600, {members}}}]}}"#);
            for text in [by_id, by_fqdn] {
                let (lines, problems, _) = azure(&text);
                assert_eq!((&lines, problems), (&want, vec![]), "{text}");
            }
        }
    }
}

#[test]
fn terraform_records_become_records() {
    let cases = [
        (r#""a", "values": {"records": ["10.0.0.1", "10.0.0.2"]"#, vec!["A 10.0.0.1", "A 10.0.0.2"]),
        (r#""aaaa", "values": {"records": ["2001:db8::1"]"#, vec!["AAAA 2001:db8::1"]),
        (r#""cname", "values": {"record": "other.contoso.test""#, vec!["CNAME other.contoso.test."]),
        (r#""mx", "values": {"record": [{"exchange": "mail.contoso.test", "preference": "10"}]"#, vec!["MX 10 mail.contoso.test."]),
        (r#""srv", "values": {"record": [{"port": 1, "priority": 2, "target": "a.test", "weight": 3}]"#, vec!["SRV 2 3 1 a.test."]),
        (r#""txt", "values": {"record": [{"value": "some text"}]"#, vec![r#"TXT "some text""#]),
        (r#""ptr", "values": {"records": ["a.contoso.test"]"#, vec!["PTR a.contoso.test."]),
    ];
    for (record, want) in cases {
        let (rtype, values) = record.split_once(',').unwrap();
        let rtype = rtype.trim_matches('"');
        let text = format!(
            r#"{{"planned_values": {{"root_module": {{"resources": [{{"type": "azurerm_private_dns_{rtype}_record", {values}, "name": "web", "zone_name": "contoso.test", "ttl": 300}}}}]}}}}}}"#
        );
        let want: Vec<String> = want.iter().map(|record| format!("web.contoso.test. 300 {record}")).collect();
        let (lines, problems, _) = azure(&text);
        assert_eq!((lines, problems), (want, vec![]), "{text}");
    }
    let (_, problems, read) = azure(
        r#"{"resources": [{"type": "azurerm_private_dns_zone_virtual_network_link", "values": {"name": "hub", "private_dns_zone_name": "Contoso.test", "virtual_network_id": "/vnet", "resolution_policy": "Default"}}]}"#,
    );
    assert_eq!(problems, Vec::<String>::new());
    let link = &read.links[0];
    assert_eq!((link.zone.as_str(), link.network.as_str(), link.resolution_policy.as_deref()), ("contoso.test", "/vnet", Some("Default")));
}

#[test]
fn a_zone_group_names_records_in_its_zone() {
    let config = |set: &str| {
        format!(
            r#"{{"privateDnsZoneConfigs": [{{"privateDnsZoneId": "/x/privateDnsZones/privatelink.blob.core.windows.net", "recordSets": [{set}]}}]}}"#
        )
    };
    for set in [
        r#"{"recordSetName": "store", "fqdn": "store.privatelink.blob.core.windows.net", "ttl": 20, "ipAddresses": ["10.0.0.1"]}"#,
        r#"{"recordSetName": "store", "fqdn": "store.blob.core.windows.net", "ttl": 20, "ipAddresses": ["10.0.0.1"]}"#,
        r#"{"recordSetName": "store", "ttl": 20, "ipAddresses": ["10.0.0.1"]}"#,
        r#"{"name": "store", "type": "A", "ttl": 20, "ip_addresses": ["10.0.0.1"]}"#,
    ] {
        let (lines, problems, _) = azure(config(set));
        assert_eq!((lines, problems), (vec!["store.privatelink.blob.core.windows.net. 20 A 10.0.0.1".to_owned()], vec![]), "{set}");
    }
}

#[test]
fn each_bad_shape_is_told_with_its_place() {
    const UNKNOWN: &str = "no private endpoint, DNS zone group, network interface, record set or network link in it help: \
        what `az network private-endpoint show`, `… dns-zone-group list`, `az network nic show` and `az network private-dns record-set list` print is expected";
    let cases: Vec<(&str, Vec<String>)> = vec![
        ("", vec!["x.json:1:1: error: the file ends where a value is expected help: it was written in part only".into()]),
        ("null", vec![format!("x.json:1:1: error: {UNKNOWN}")]),
        (" {\"a\": 1}", vec![format!("x.json:1:2: error: {UNKNOWN}")]),
        ("[]", vec![]),
        ("{\"a\": 1,}", vec!["x.json:1:9: error: `}` where a name between `\"` is expected help: a comma before `}` is one too many".into()]),
        ("[1,\n ]", vec!["x.json:2:2: error: `]` where a value is expected help: a comma before it is one too many".into()]),
        ("[1\n 2]", vec!["x.json:2:2: error: `2` where `,` or `]` is expected".into()]),
        ("{\"a\" 1}", vec!["x.json:1:6: error: `1` where `:` is expected".into()]),
        ("{a: 1}", vec!["x.json:1:2: error: `a` where a name between `\"` is expected".into()]),
        ("[\"a", vec!["x.json:1:2: error: the string that opens here is not closed help: the file was written in part only".into()]),
        ("[\"a\n\"]", vec!["x.json:1:2: error: the string that opens here is not closed on its line".into()]),
        (r#"["\x"]"#, vec!["x.json:1:3: error: bad escape in a string help: a backslash is written `\\\\`".into()]),
        ("[01]", vec!["x.json:1:2: error: `01` is not a number".into()]),
        ("[tru]", vec!["x.json:1:2: error: `tru` where a value is expected".into()]),
        ("{} x", vec!["x.json:1:4: error: `x` where a value is expected".into()]),
        ("WARNING: soon\n{\"customDnsConfigs\": [\n  {\"fqdn\": \"x.blob.core.windows.net\", \"ipAddresses\": [\"10.0.0\"]}]}", vec![
            "x.json:1:1: warning: a line of text is not JSON and skipped help: `az` prints its warnings there with `2>&1`; `--only-show-errors` turns them off".into(),
            "x.json:3:55: error: `10.0.0` is not an IP address".into()]),
        ("{\"customDnsConfigs\": [\n  {\"fqdn\": \"x.blob.core.windows.net\", \"ipAddresses\": [\"10.0.0\"]}]}",
            vec!["x.json:2:55: error: `10.0.0` is not an IP address".into()]),
        ("{\"customDnsConfigs\": [\n  {\"fqdn\": \"é..b\", \"ipAddresses\": [\"10.0.0.1\"]},\n {\"fqdn\": 7, \"ipAddresses\": [\"10.0.0.1\"]}, 8]}", vec![
            "x.json:2:12: error: `é..b` is not a name: empty label".into(),
            "x.json:3:11: error: `fqdn` is a number where a name is expected".into(),
            "x.json:3:44: error: `customDnsConfigs[]` is a number where an object is expected".into(),
        ]),
        ("{\"customDnsConfigs\": [{\"fqdn\": \"x.blob.core.windows.net\", \"ipAddresses\": 10}]}",
            vec!["x.json:1:74: error: `ipAddresses` is a number where a list of addresses is expected".into()]),
        ("{\"CustomDnsConfigs\": [\"@{Fqdn=x; IpAddresses=System.Object[]}\"]}",
            vec!["x.json:1:23: error: `CustomDnsConfigs[]` is a string where an object is expected help: PowerShell cut it off: use `ConvertTo-Json -Depth 20`".into()]),
        ("{\"customDnsConfigs\": [{\"fqdn\": \"x.blob.core.windows.net\", \"ipAddresses\": []}]}",
            vec!["x.json:1:32: error: `x.blob.core.windows.net` has no address".into()]),
        ("{\"customDnsConfigs\": []}", vec!["x.json:1:22: error: the private endpoint lists no names: `customDnsConfigs` is empty help: \
            with a DNS zone group the names are in `az network private-endpoint dns-zone-group list`; `az network nic show` of the endpoint's \
            interface has names and addresses in any case".into()]),
        ("{\"customDnsConfigs\": [{\"fqdn\": \"x.contoso.test\", \"ipAddresses\": [\"10.0.0.1\"]}]}", vec![
            "x.json:1:32: warning: no private-link zone is known for `x.contoso.test` help: it is served by a zone that holds the name itself; \
             a row of the zone table (server.zone-table) tells its private-link zone".into()]),
        ("{\"privateDnsZoneConfigs\": [{\"name\": \"z\", \"recordSets\": null}]}", vec![
            "x.json:1:28: error: the DNS zone group lists no records of `z` help: `az network nic show` of the endpoint's interface has names and \
             addresses in any case".into()]),
        ("{\"ipConfigurations\": [{\"privateIPAddress\": \"10.0.0.1\"}]}", vec![
            "x.json:1:22: error: the network interface has no names of a private endpoint help: the interface of a private endpoint has \
             `privateLinkConnectionProperties.fqdns`".into()]),
        ("[{\"name\": \"a\", \"aRecords\": [{\"ipv4Address\": \"10.0.0.1\"}]}]", vec![
            "x.json:1:11: error: the zone of `a` is not told help: `fqdn`, `id` or `zone_name` tells the zone of a record set".into()]),
        ("[{\"fqdn\": \"a.test\", \"ttl\": -1, \"aRecords\": []}]", vec![
            "x.json:1:28: error: `-1` cannot be `ttl` help: a whole number from 0 to 2147483647 is expected".into()]),
        ("[{\"fqdn\": \"a.test\", \"aRecords\": [{\"ipv4Address\": \"2001:db8::1\"}, {}]}]", vec![
            "x.json:1:50: error: `2001:db8::1` is not an IPv4 address".into(),
            "x.json:1:66: error: `ipv4Address` is missing".into()]),
        ("[{\"type\": \"Microsoft.Network/privateDnsZones/A\", \"name\": \"[concat('a', 'b')]\", \"aRecords\": []}]", vec![
            "x.json:1:58: error: the name is an expression of a template help: give what was deployed: `az network private-dns record-set list`".into()]),
        ("{\"value\": [], \"nextLink\": \"https://x\"}", vec![
            "x.json:1:27: warning: the list goes on: this is its first page alone help: `az … list` and `az graph query --first 1000` give all of it".into()]),
        ("{\"privateLinkServiceConnections\": [{\"privateLinkServiceConnectionState\": {\"status\": \"Rejected\"}}], \"customDnsConfigs\": [{\"fqdn\": \
            \"x.blob.core.windows.net\", \"ipAddresses\": [\"10.0.0.1\"]}]}", vec![
            "x.json:1:85: warning: the private endpoint's connection is Rejected help: its addresses are served, but nothing answers there until it is approved".into()]),
    ];
    let mut wrong = Vec::new();
    for (text, want) in cases {
        let got = azure(text).1;
        if got != want {
            wrong.push(format!("{text}\n got {got:#?}\nwant {want:#?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// It may be what a good file was replaced by: the last good records must go on serving.
#[test]
fn a_whole_endpoint_with_addresses_and_no_names_is_an_error() {
    let text = r#"{"customDnsConfigs": [], "ipConfigurations": [{"memberName": "blob", "privateIPAddress": "10.0.0.1"}]}"#;
    let (lines, problems, _) = azure(text);
    assert_eq!((lines.len(), problems.len()), (0, 1));
    assert!(problems[0].starts_with("x.json:1:47: error: `ipConfigurations` has addresses but no names"), "{problems:?}");
}

#[test]
fn an_endpoint_without_names_is_a_warning_beside_others() {
    let text = r#"[{"customDnsConfigs": []}, {"customDnsConfigs": [{"fqdn": "x.blob.core.windows.net", "ipAddresses": ["10.0.0.1"]}]}]"#;
    let (lines, problems, _) = azure(text);
    assert_eq!(lines.len(), 2);
    assert_eq!(problems.len(), 1);
    assert!(problems[0].starts_with("x.json:1:23: warning: the private endpoint lists no names"), "{problems:?}");
}

#[test]
fn values_nested_without_end_are_refused() {
    let deep = "[".repeat(200_000);
    assert_eq!(azure(&deep).1, ["x.json:1:102: error: values inside one another more than 100 deep"]);
}

#[test]
fn documents_of_one_file_give_the_records_of_all() {
    let one = |n: u8| {
        format!(r#"{{"customDnsConfigs": [{{"fqdn": "contosows-fhir{n}.fhir.azurehealthcareapis.com", "ipAddresses": ["10.20.1.{n}"]}}]}}"#)
    };
    for text in [
        [one(4), one(5), one(6)].concat(),
        [one(4), one(5), one(6)].join("\n"),
        format!("[{},{}]\r\n\r\n{}\r\n", one(4), one(5), one(6)),
        format!("\u{feff}{}\n[]\n[{}, {}]", one(4), one(5), one(6)),
    ] {
        let (lines, problems, _) = azure(&text);
        assert_eq!(problems, Vec::<String>::new(), "{text}");
        let addresses: std::collections::BTreeSet<&str> = lines.iter().map(|line| line.rsplit(' ').next().unwrap()).collect();
        assert_eq!(addresses.into_iter().collect::<Vec<_>>(), ["10.20.1.4", "10.20.1.5", "10.20.1.6"], "{text}");
    }
}
