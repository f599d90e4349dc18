use super::*;

fn wire_suffixes(name: &str) -> Vec<Box<[u8]>> {
    suffixes(name).map(wire).collect()
}

#[test]
fn public_names_lead_to_private_link_names() {
    let table = PrivateLinkTable::builtin();
    for (public, private) in [
        (
            "contosows-fhir1.fhir.azurehealthcareapis.com",
            vec!["contosows-fhir1.fhir.privatelink.azurehealthcareapis.com", "contosows-fhir1.privatelink.fhir.azurehealthcareapis.com"],
        ),
        (
            "contosows-dicom1.dicom.azurehealthcareapis.com",
            vec![
                "contosows-dicom1.privatelink.dicom.azurehealthcareapis.com",
                "contosows-dicom1.dicom.privatelink.azurehealthcareapis.com",
            ],
        ),
        (
            "contosows-workspace.azurehealthcareapis.com",
            vec!["contosows-workspace.privatelink.azurehealthcareapis.com", "contosows.privatelink.workspace.azurehealthcareapis.com"],
        ),
        (
            "contosows.workspace.azurehealthcareapis.com",
            vec![
                "contosows-workspace.privatelink.azurehealthcareapis.com",
                "contosows.workspace.privatelink.azurehealthcareapis.com",
                "contosows.privatelink.workspace.azurehealthcareapis.com",
            ],
        ),
        ("contosofhir.azurehealthcareapis.com", vec!["contosofhir.privatelink.azurehealthcareapis.com"]), // Azure API for FHIR
        (
            "contosows-fhir1.fhir.azurehealthcareapis.us",
            vec!["contosows-fhir1.privatelink.fhir.azurehealthcareapis.us", "contosows-fhir1.fhir.privatelink.azurehealthcareapis.us"],
        ),
        ("contosostore.blob.core.windows.net", vec!["contosostore.privatelink.blob.core.windows.net"]),
        ("contosostore-secondary.blob.core.windows.net", vec!["contosostore-secondary.privatelink.blob.core.windows.net"]),
        ("contosostore.z20.blob.storage.azure.net", vec!["contosostore.privatelink.blob.core.windows.net"]),
        ("contosostore.z6.web.core.windows.net", vec!["contosostore.z6.privatelink.web.core.windows.net"]),
        ("contoso-kv.vault.azure.net", vec!["contoso-kv.privatelink.vaultcore.azure.net"]),
        ("contoso-kv.vaultcore.azure.net", vec!["contoso-kv.privatelink.vaultcore.azure.net"]),
        ("contosoreg.azurecr.io", vec!["contosoreg.privatelink.azurecr.io"]),
        ("contosoreg.westeurope.data.azurecr.io", vec!["contosoreg.westeurope.data.privatelink.azurecr.io"]),
        ("contosoadx.westeurope.kusto.windows.net", vec!["contosoadx.privatelink.westeurope.kusto.windows.net"]),
        ("contosodb.database.windows.net", vec!["contosodb.privatelink.database.windows.net"]),
        (
            "contosomi.0a1b2c3d4e5f.database.windows.net",
            vec!["contosomi.0a1b2c3d4e5f.privatelink.database.windows.net", "contosomi.privatelink.0a1b2c3d4e5f.database.windows.net"],
        ),
        ("contosobatch.westeurope.batch.azure.com", vec!["contosobatch.westeurope.privatelink.batch.azure.com"]),
        ("contosoapp.scm.azurewebsites.net", vec!["contosoapp.scm.privatelink.azurewebsites.net"]),
        ("management.azure.com", vec!["management.privatelink.azure.com"]),
        // A name below azure.com, but not of the Resource Manager.
        ("contosovm.westeurope.cloudapp.azure.com", vec![]),
        ("ContosoStore.Blob.Core.Windows.Net.", vec!["contosostore.privatelink.blob.core.windows.net"]),
        ("blob.core.windows.net", vec![]),
        ("westeurope.kusto.windows.net", vec![]),
        ("contosostore.privatelink.blob.core.windows.net", vec![]),
        ("www.contoso.com", vec![]),
        ("azure.com", vec![]),
        ("", vec![]),
    ] {
        let mut got = table.private_names(public);
        let mut want = private.clone();
        if public.contains("database.windows.net") {
            got.sort();
            want.sort();
        }
        assert_eq!(got, want, "{public}");
        let lower = plain(public);
        let wires = wire_suffixes(&lower);
        assert_eq!(table.knows_public_wire(wires.iter().map(|suffix| &**suffix)), !private.is_empty(), "{public} on the wire");
        for name in private {
            assert!(table.public_names(name).contains(&lower.to_string()) || public.contains(".z20."), "{name} back to {public}");
        }
    }
}

#[test]
fn finds_the_zone_of_a_private_link_name() {
    for (name, zone) in [
        ("contosows-fhir1.fhir.privatelink.azurehealthcareapis.com", Some("privatelink.azurehealthcareapis.com")),
        ("contosows-fhir1.privatelink.fhir.azurehealthcareapis.com.", Some("privatelink.fhir.azurehealthcareapis.com")),
        ("contosoreg.westeurope.data.privatelink.azurecr.io", Some("privatelink.azurecr.io")),
        ("x.privatelink-global.wvd.microsoft.com", Some("privatelink-global.wvd.microsoft.com")),
        ("x.PrivateLink.example.com", Some("PrivateLink.example.com")),
        ("www.contoso.com", None),
    ] {
        assert_eq!(PrivateLinkTable::builtin().private_zone_of(name), zone, "{name}");
    }
}

#[test]
fn says_what_to_forward_for_a_zone() {
    for (zone, forward) in [
        ("privatelink.azurehealthcareapis.com", vec!["azurehealthcareapis.com"]),
        ("privatelink.fhir.azurehealthcareapis.com", vec!["fhir.azurehealthcareapis.com"]),
        ("privatelink.vaultcore.azure.net", vec!["vault.azure.net", "vaultcore.azure.net"]),
        ("privatelink.blob.core.windows.net", vec!["blob.core.windows.net", "blob.storage.azure.net"]),
        ("privatelink.westeurope.kusto.windows.net", vec!["westeurope.kusto.windows.net"]),
        ("contosostore.privatelink.blob.core.windows.net", vec!["contosostore.blob.core.windows.net", "blob.storage.azure.net"]),
        ("privatelink.contoso.com", vec![]),
    ] {
        assert_eq!(PrivateLinkTable::builtin().public_forwarders(zone), forward, "{zone}");
    }
}

#[test]
fn suggests_the_zone_that_was_meant() {
    for (written, meant) in [
        ("privatelink.azurehealthcareapi.com", Some("privatelink.azurehealthcareapis.com")),
        ("privatlink.blob.core.windows.net", Some("privatelink.blob.core.windows.net")),
        ("privatelink-blob.core.windows.net", Some("privatelink.blob.core.windows.net")),
        ("blob.privatelink.core.windows.net", Some("privatelink.blob.core.windows.net")),
        ("privatelink.vault.azure.net", Some("privatelink.vaultcore.azure.net")),
        ("privatelink.azurewebsites.com", Some("privatelink.azurewebsites.net")),
        ("privatelink.mysql.database.azure.net", Some("privatelink.mysql.database.azure.com")),
        ("privatelink.westeurop.kusto.windows.net", Some("privatelink.westeurope.kusto.windows.net")),
        ("privatelink.westeurope.kusto.window.net", Some("privatelink.westeurope.kusto.windows.net")),
        ("privatelink.westeurope.backup.windowsazure.com", Some("privatelink.we.backup.windowsazure.com")),
        ("privatelink.eastus9.kusto.windows.net", None), // a region that is newer than the table
        ("privatelink.blob.core.windows.net", None),
        ("contosostore.privatelink.blob.core.windows.net", None),
        ("privatelink.we.backup.windowsazure.com", None),
        ("privatelink.contoso.com", None),
        ("corp.contoso.com", None),
    ] {
        assert_eq!(PrivateLinkTable::builtin().nearest(written).as_deref(), meant, "{written}");
    }
}

#[test]
fn every_zone_that_ships_is_known_and_has_public_names() {
    let table = PrivateLinkTable::builtin();
    assert!(table.rows().len() > 150 && table.regions().len() > 75);
    for row in table.rows() {
        for zone in &row.zones {
            let name = ["{regionName}", "{region}"].iter().fold(zone.clone(), |zone, hole| zone.replace(hole, "westeurope"));
            let name = name.replace("{regionCode}", "we").replace(['{', '}'], "");
            let name = plain(&name).into_owned();
            assert!(table.knows_zone(&name), "{zone}");
            assert_eq!(table.nearest(&name), None, "{zone}");
            let canonical = table.private_zone_of(&name).unwrap();
            assert!(!table.public_forwarders(canonical).is_empty(), "{zone} has no public names");
        }
    }
}

#[test]
fn a_file_adds_and_replaces_rows() {
    let text = r#"[
        {"service": "Contoso Widgets", "zones": ["privatelink.widgets.contoso.com"], "forward": ["widgets.contoso.com"]},
        {"cloud": "commercial", "service": "Azure Key Vault", "zones": ["privatelink.kv.azure.net"], "names": [["*.vault.azure.net", "*.privatelink.kv.azure.net"]]},
        {"cloud": "commercial", "service": "SignalR", "zones": []}
    ]"#;
    let table = PrivateLinkTable::builtin().extended(text, Path::new("table.json")).unwrap();
    assert_eq!(table.private_names("a.widgets.contoso.com"), ["a.privatelink.widgets.contoso.com"]);
    assert_eq!(table.private_names("a.vault.azure.net"), ["a.privatelink.kv.azure.net"]);
    assert!(!table.knows_zone("privatelink.service.signalr.net"));
    assert!(table.knows_zone("privatelink.blob.core.windows.net") && table != *PrivateLinkTable::builtin());
}

#[test]
fn a_bad_table_file_is_refused_with_all_its_lines() {
    for (text, want) in [
        ("{}", vec!["table.json:1:1: error: not a JSON list of rows: invalid type: map, expected a sequence"]),
        (
            "[\n {\"service\": \"A\", \"zones\": [\"a..b\"]},\n {\"service\": \"B\", \"zone\": [\"b\"]},\n {\"service\": \"C\", \"zones\": [\"c\"], \"names\": [[\"a.b\", \"*.c\"]]}\n]",
            vec![
                "table.json:2:2: error: `a..b` is not a name: bad label ``",
                "table.json:3:24: error: bad row: unknown field `zone`",
                "table.json:4:2: error: `*.c` has a `*` or a hole that `a.b` lacks",
            ],
        ),
    ] {
        let problems = PrivateLinkTable::builtin().extended(text, Path::new("table.json")).unwrap_err();
        assert_eq!(problems.len(), want.len(), "{problems:?}");
        for (problem, want) in problems.iter().zip(want) {
            assert!(problem.to_string().starts_with(want), "{problem}");
        }
    }
}
