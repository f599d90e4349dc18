//! The shapes that tools print, with invented names.

use super::tests::azure;

const STORE: [&str; 2] =
    ["contosostore.blob.core.windows.net. 10 A 10.1.0.4", "contosostore.privatelink.blob.core.windows.net. 10 A 10.1.0.4"];

/// Reads `text`, which has the two records of [`STORE`], and returns the problems.
fn store(text: &str) -> Vec<String> {
    let (lines, problems, _) = azure(text);
    assert_eq!(lines, STORE, "{text} {problems:?}");
    problems
}

#[test]
fn lists_and_tables_of_rest_and_powershell_are_read() {
    let none = Vec::<String>::new();
    let names = r#"["contosostore.blob.core.windows.net"]"#;
    for text in [
        // `az rest` of Resource Graph with resultFormat=table.
        format!(r#"{{"totalRecords": 1, "data": {{"columns": [{{"name": "fqdns", "type": "object"}}, {{"name": "privateIPAddress", "type": "string"}}], "rows": [[{names}, "10.1.0.4"]]}}, "facets": []}}"#),
        r#"{"data": {"columns": [{"name": "type", "type": "string"}, {"name": "properties", "type": "object"}], "rows": [["microsoft.network/privateendpoints", {"customDnsConfigs": [{"fqdn": "contosostore.blob.core.windows.net", "ipAddresses": ["10.1.0.4"]}]}]]}}"#.to_owned(),
        // `Get-AzPrivateEndpoint | ConvertTo-Json` in Windows PowerShell, cut at its depth of two.
        r#"{"value": [{"Name": "pe", "NetworkInterfaces": [{"Id": "x"}], "CustomDnsConfigs": [{"Fqdn": "contosostore.blob.core.windows.net", "IpAddresses": "10.1.0.4"}], "CustomDnsConfigsText": "[]"}], "Count": 1}"#.to_owned(),
        r#"{"Name": "nic", "IpConfigurations": [{"PrivateIpAddress": "10.1.0.4", "PrivateLinkConnectionProperties": {"GroupId": "blob", "Fqdns": ["contosostore.blob.core.windows.net"]}}]}"#.to_owned(),
    ] {
        assert_eq!(store(&text), none, "{text}");
    }
}

#[test]
fn record_sets_of_powershell_are_read_by_their_records() {
    let set = |kind: &str, records: &str| {
        format!(
            r#"{{"Id": "/x", "Name": "web", "ZoneName": "corp.contoso.test", "Ttl": 300, "RecordType": {kind}, "Records": [{records}], "Metadata": null}}"#
        )
    };
    for (kind, records, want) in [
        ("0", r#"{"Ipv4Address": "10.0.0.1"}, {"Ipv4Address": "10.0.0.2"}"#, vec!["A 10.0.0.1", "A 10.0.0.2"]),
        ("\"AAAA\"", r#"{"Ipv6Address": "2001:db8::1"}"#, vec!["AAAA 2001:db8::1"]),
        ("2", r#"{"Cname": "app.corp.contoso.test"}"#, vec!["CNAME app.corp.contoso.test."]),
        ("3", r#"{"Preference": 10, "Exchange": "mail.contoso.test"}"#, vec!["MX 10 mail.contoso.test."]),
        ("4", r#"{"Ptrdname": "a.contoso.test"}"#, vec!["PTR a.contoso.test."]),
        ("6", r#"{"Priority": 1, "Weight": 2, "Port": 443, "Target": "a.contoso.test"}"#, vec!["SRV 1 2 443 a.contoso.test."]),
        ("7", r#"{"Value": "some text"}"#, vec![r#"TXT "some text""#]),
        ("0", "", vec![]),
    ] {
        let (lines, problems, _) = azure(set(kind, records));
        let want: Vec<String> = want.iter().map(|record| format!("web.corp.contoso.test. 300 {record}")).collect();
        assert_eq!((lines, problems), (want, vec![]), "{kind}");
    }
}

#[test]
fn outputs_of_deployments_and_stacks_are_searched_for_names() {
    let config = r#"{"fqdn": "contosostore.blob.core.windows.net", "ipAddresses": ["10.1.0.4"]}"#;
    let none = Vec::<String>::new();
    for text in [
        format!(
            r#"{{"type": "Microsoft.Resources/deployments", "properties": {{"parameters": {{"a": {{"type": "String", "value": "x"}}}}, "outputs": {{"dns": {{"type": "Array", "value": [{config}]}}}}}}}}"#
        ),
        format!(
            r#"{{"DeploymentName": "pe", "Parameters": {{"a": {{"Type": "String", "Value": "x"}}}}, "Outputs": {{"dns": {{"Type": "Array", "Value": [{config}]}}}}}}"#
        ),
        format!(r#"{{"dns": {{"sensitive": false, "type": ["list", "string"], "value": [{config}]}}}}"#),
        r#"{"dns": {"sensitive": false, "type": ["map", "string"], "value": {"contosostore.blob.core.windows.net": "10.1.0.4"}}}"#
            .to_owned(),
        r#"{"contosostore.blob.core.windows.net": ["10.1.0.4"]}"#.to_owned(),
        format!(
            r#"{{"version": 3, "deployment": {{"manifest": {{"magic": "x"}}, "secrets_providers": {{"type": "passphrase"}}, "resources": [
            {{"urn": "urn:pulumi:a::b::pulumi:pulumi:Stack::c", "type": "pulumi:pulumi:Stack", "outputs": {{"dns": [{config}]}}}},
            {{"urn": "urn:pulumi:a::b::c::pe", "type": "azure-native:network:PrivateEndpoint", "inputs": {{"customDnsConfigs": [{config}]}}, "outputs": {{"customDnsConfigs": [{config}]}}}}]}}}}"#
        ),
    ] {
        assert_eq!(store(&text), none, "{text}");
    }
    let (lines, problems, _) = azure(
        r#"{"deployment": {"resources": [
            {"urn": "u", "type": "azure-native:privatedns:PrivateRecordSet", "outputs": {"name": "web", "fqdn": "web.corp.contoso.test.", "ttl": 60, "type": "Microsoft.Network/privateDnsZones/A", "aRecords": [{"ipv4Address": "10.0.0.1"}]}},
            {"urn": "u", "type": "azure:privatedns/aRecord:ARecord", "outputs": {"name": "app", "zoneName": "corp.contoso.test", "ttl": 60, "records": ["10.0.0.2"]}}]}}"#,
    );
    assert_eq!(
        (lines, problems),
        (vec!["web.corp.contoso.test. 60 A 10.0.0.1".into(), "app.corp.contoso.test. 60 A 10.0.0.2".into()], vec![])
    );
}

#[test]
fn what_is_not_used_is_counted_in_one_warning() {
    let text = r#"{"format_version": "1.0", "values": {"outputs": {"rg": {"sensitive": false, "type": "string", "value": "rg"}}, "root_module": {"resources": [
        {"mode": "managed", "type": "azurerm_private_endpoint", "values": {"custom_dns_configs": [{"fqdn": "contosostore.blob.core.windows.net", "ip_addresses": ["10.1.0.4"]}]}},
        {"mode": "managed", "type": "azurerm_subnet", "values": {}}, {"mode": "managed", "type": "azurerm_subnet", "values": {}},
        {"mode": "managed", "type": "random_id", "values": {"dec": "1"}}]}}}"#;
    assert_eq!(
        store(text),
        ["x.json:1:56: warning: 4 objects are not used: 1 × output without a name and its addresses, 2 × azurerm_subnet, 1 × random_id"]
    );
    let list = r#"[{"customDnsConfigs": [{"fqdn": "contosostore.blob.core.windows.net", "ipAddresses": ["10.1.0.4"]}]},
        {"type": "Microsoft.Network/virtualNetworks", "properties": {"subnets": []}},
        {"type": "Microsoft.Network/dnszones/TLSA", "name": "a", "fqdn": "a.contoso.test"},
        {"type": "Microsoft.Network/dnszones/A", "name": "b", "fqdn": "b.contoso.test", "targetResource": {"id": "/x"}}, {"a": 1}]"#;
    assert_eq!(
        store(list),
        [
            "x.json:2:9: warning: 4 objects are not used: 1 × Microsoft.Network/virtualNetworks, 1 × record set of type TLSA, 1 × alias record set, \
          1 × object without a name and its addresses"
        ]
    );
}

#[test]
fn records_of_windows_dns_are_read() {
    let row = |host: &str, dn: &str, kind: &str, data: &str| {
        format!(
            r#"{{"DistinguishedName": {dn}, "HostName": "{host}", "RecordClass": "IN", "RecordData": {data}, "RecordType": "{kind}", "TimeToLive": {{"Ticks": 36000000000, "TotalSeconds": 3600}}}}"#
        )
    };
    for (kind, data, want) in [
        ("A", r#"{"CimClass": {"a": 1}, "IPv4Address": {"Address": 16777226, "IPAddressToString": "10.0.0.1"}}"#, "A 10.0.0.1"),
        ("A", r#"{"IPv4Address": "10.0.0.1"}"#, "A 10.0.0.1"),
        ("A", r#"{"CimInstanceProperties": ["IPv4Address = \"10.0.0.1\""]}"#, "A 10.0.0.1"),
        ("AAAA", r#"{"CimInstanceProperties": [{"Name": "IPv6Address", "Value": "2001:db8::1"}]}"#, "AAAA 2001:db8::1"),
        ("CNAME", r#"{"HostNameAlias": "app.corp.contoso.test."}"#, "CNAME app.corp.contoso.test."),
        ("MX", r#"{"MailExchange": "mail.contoso.test.", "Preference": 10}"#, "MX 10 mail.contoso.test."),
        ("NS", r#"{"NameServer": "dc1.contoso.test."}"#, "NS dc1.contoso.test."),
        ("PTR", r#"{"PtrDomainName": "a.contoso.test."}"#, "PTR a.contoso.test."),
        ("SRV", r#"{"DomainName": "dc1.contoso.test.", "Port": 389, "Priority": 0, "Weight": 100}"#, "SRV 0 100 389 dc1.contoso.test."),
        ("TXT", r#"{"DescriptiveText": "v=spf1 -all"}"#, r#"TXT "v=spf1 -all""#),
        ("TXT", r#"{"DescriptiveText": "10:20:30"}"#, r#"TXT "10:20:30""#),
        ("AAAA", r#"{"IPv6Address": "2001:10:20:30:40:50:60:70"}"#, "AAAA 2001:10:20:30:40:50:60:70"),
        (
            "SOA",
            r#"{"PrimaryServer": "dc1.contoso.test.", "ResponsiblePerson": "hostmaster.contoso.test.", "SerialNumber": 21, "RefreshInterval": {"TotalSeconds": 900.0}, "RetryDelay": "00:10:00", "ExpireLimit": "1.00:00:00", "MinimumTimeToLive": {"TotalSeconds": 3600}}"#,
            "SOA dc1.contoso.test. hostmaster.contoso.test. 21 900 600 86400 3600",
        ),
    ] {
        for dn in ["null", r#""DC=www,DC=corp.contoso.test,cn=MicrosoftDNS,DC=DomainDnsZones,DC=corp,DC=contoso,DC=test""#] {
            let (lines, problems, _) = azure(format!("[{}]", row("www", dn, kind, data)));
            assert_eq!((lines, problems), (vec![format!("www.corp.contoso.test. 3600 {want}")], vec![]), "{kind} {dn}");
        }
    }
    let rows = [row("@", "null", "A", r#"{"IPv4Address": "10.0.0.1"}"#), row("@", "null", "WINS", "{}")].join(", ");
    let (lines, problems, _) = azure(format!("[{rows}]"));
    assert_eq!(lines, ["corp.contoso.test. 3600 A 10.0.0.1"]);
    assert_eq!(problems.len(), 1);
    assert!(problems[0].ends_with("warning: 1 object is not used: 1 × Windows record of type WINS"), "{problems:?}");
    let (_, problems, _) = azure(format!("[{}]", row("www", "null", "A", r#""DnsServerResourceRecordA""#)));
    assert!(problems[0].ends_with("help: PowerShell cut it off: use `ConvertTo-Json -Depth 20`"), "{problems:?}");
}

#[test]
fn record_sets_of_route_53_are_read() {
    let (lines, problems, _) = azure(
        r#"{"ResourceRecordSets": [
            {"Name": "\\052.corp.contoso.test.", "Type": "A", "TTL": 300, "ResourceRecords": [{"Value": "10.0.0.1"}, {"Value": "10.0.0.2"}]},
            {"Name": "mail.corp.contoso.test.", "Type": "MX", "TTL": 60, "ResourceRecords": [{"Value": "10 mx.contoso.test"}]},
            {"Name": "t.corp.contoso.test.", "Type": "TXT", "TTL": 60, "ResourceRecords": [{"Value": "\"a b\" \"c\""}]},
            {"Name": "a\\100b.corp.contoso.test.", "Type": "CNAME", "TTL": 60, "ResourceRecords": [{"Value": "x.contoso.test."}]},
            {"Name": "corp.contoso.test.", "Type": "A", "AliasTarget": {"HostedZoneId": "Z1", "DNSName": "x.example.", "EvaluateTargetHealth": false}},
            {"Name": "w.corp.contoso.test.", "Type": "A", "SetIdentifier": "one", "Weight": 1, "TTL": 60, "ResourceRecords": [{"Value": "10.0.0.9"}]}]}"#,
    );
    assert_eq!(
        lines,
        [
            "*.corp.contoso.test. 300 A 10.0.0.1",
            "*.corp.contoso.test. 300 A 10.0.0.2",
            "mail.corp.contoso.test. 60 MX 10 mx.contoso.test.",
            r#"t.corp.contoso.test. 60 TXT "a b" "c""#,
            r"a\@b.corp.contoso.test. 60 CNAME x.contoso.test.",
        ]
    );
    assert_eq!(
        problems,
        ["x.json:6:13: warning: 2 objects are not used: 1 × Route 53 alias record set, 1 × Route 53 record set with a routing policy"]
    );
}
