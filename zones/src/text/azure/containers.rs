//! Where tools put the objects: lists, tables, deployments, states and outputs.
//!
//! | tool | place |
//! |---|---|
//! | REST, Resource Graph, Windows PowerShell | `value`, `data`; a table has `columns` and `rows` |
//! | Terraform | `resources[].values` or `resources[].instances[].attributes`; outputs have a `value` |
//! | Pulumi | `deployment.resources[].outputs` |
//! | ARM and Bicep deployments | `properties.outputs.NAME.value` |
//! | Route 53 | `ResourceRecordSets` |

use super::super::hosts::address;
use super::super::json::{JsonKind, JsonMember, JsonValue};
use super::{Object, Walk, record_set};

/// Members that describe a request or a program, and never what was made.
const NO_OBJECTS: [&str; 14] = [
    "parameters",
    "template",
    "templateLink",
    "configuration",
    "inputs",
    "variables",
    "providers",
    "resourceChanges",
    "resourceDrift",
    "priorState",
    "manifest",
    "secretsProviders",
    "metadata",
    "tags",
];

impl Walk<'_> {
    /// An object that is none of those with names itself. `is_item`: it stands in a list.
    pub(super) fn container(&mut self, object: &Object<'_>, is_item: bool) {
        self.note_next_page(object);
        let kind = object.text("type").unwrap_or_default();
        if object.has("urn") && kind.contains(':') {
            return self.pulumi(kind, object);
        }
        if kind.starts_with("azurerm_") || object.has("mode") && (object.has("values") || object.has("instances")) {
            return self.terraform(kind, object);
        }
        if let (Some(columns), Some(rows)) = (object.get("columns"), object.get("rows")) {
            return self.table(columns, rows);
        }
        if kind.eq_ignore_ascii_case("Microsoft.Resources/deployments") {
            object.get("outputs").into_iter().for_each(|outputs| self.value(outputs));
            return;
        }
        if kind.contains('/') {
            return self.unused.add(kind, object.at);
        }
        if is_address_map(object) {
            return self.address_map(object);
        }
        let mut inside = object.own.iter().filter(|member| !NO_OBJECTS.iter().any(|name| super::is_called(&member.name, name)));
        let is_leaf = !inside.any(|member| matches!(member.value.kind, JsonKind::Array(_) | JsonKind::Object(_)));
        if is_leaf && object.has("value") && object.has("type") {
            self.unused.add("output without a name and its addresses", object.at);
        } else if is_leaf && is_item {
            self.unused.add("object without a name and its addresses", object.at);
        }
        // A plan of Terraform has its resources several times. The planned ones are used if there are no real ones.
        let is_plan = object.has("plannedValues");
        for member in object.own {
            let is_skipped = NO_OBJECTS.iter().any(|name| super::is_called(&member.name, name));
            let is_doubled = is_plan && super::is_called(&member.name, "outputChanges");
            if !is_skipped && !is_doubled {
                self.value(&member.value);
            }
        }
    }

    fn note_next_page(&mut self, object: &Object<'_>) {
        for name in ["nextLink", "skipToken", "nextToken", "nextRecordName"] {
            if let Some(next) = object.get(name).filter(|next| !matches!(&next.kind, JsonKind::String(text) if text.is_empty())) {
                self.warning(*self.bad(
                    next.at,
                    "the list goes on: this is its first page alone",
                    "`az … list` and `az graph query --first 1000` give all of it",
                ));
            }
        }
    }

    /// A resource of `terraform show -json`, or of a state file (`instances[].attributes`).
    fn terraform(&mut self, kind: &str, object: &Object<'_>) {
        let mut insides: Vec<&JsonValue<'_>> = object.get("values").into_iter().collect();
        for instance in object.list("instances") {
            insides.extend(Object::of(instance).and_then(|instance| instance.get("attributes")));
        }
        let resource = kind.to_ascii_lowercase();
        let resource = resource.strip_prefix("azurerm_").unwrap_or_default();
        for inside in insides.into_iter().filter_map(Object::of) {
            self.resource(kind, resource, &inside);
        }
    }

    /// A resource of `pulumi stack export`, of either Azure provider.
    fn pulumi(&mut self, kind: &str, object: &Object<'_>) {
        if kind.starts_with("pulumi:") {
            // The stack and the providers. The outputs of the stack repeat those of its resources.
            return;
        }
        let Some(outputs) = object.get("outputs").and_then(Object::of) else { return };
        let last = kind.rsplit(':').next().unwrap_or_default();
        let resource = match last {
            "PrivateEndpoint" => "private_endpoint".to_owned(),
            "Endpoint" if kind.contains("privatelink") => "private_endpoint".to_owned(),
            "PrivateDnsZoneGroup" => "private_dns_zone_group".to_owned(),
            "NetworkInterface" => "network_interface".to_owned(),
            "VirtualNetworkLink" | "ZoneVirtualNetworkLink" => "private_dns_zone_virtual_network_link".to_owned(),
            "PrivateRecordSet" | "RecordSet" => "record_set".to_owned(),
            _ => last.strip_suffix("Record").map_or_else(String::new, |name| format!("dns_{}_record", name.to_ascii_lowercase())),
        };
        self.resource(kind, &resource, &outputs);
    }

    /// A resource with the name that the Terraform provider gives it.
    fn resource(&mut self, kind: &str, resource: &str, object: &Object<'_>) {
        self.known += 1;
        match resource {
            "private_endpoint" => self.endpoint(object),
            "private_dns_zone_group" => self.zone_group(object),
            "network_interface" if object.list("ipConfigurations").iter().any(has_names) => self.interface(object),
            "private_dns_zone_virtual_network_link" => self.link(object),
            "record_set" => {
                let full = object.text("type").unwrap_or_default().to_ascii_lowercase();
                match record_set::type_of(object, &full) {
                    Some(rtype) => self.record_set(object, rtype),
                    None => self.unused.add("record set without records", object.at),
                }
            }
            _ => match record_set::terraform_type(resource) {
                Some(rtype) => self.record_set(object, rtype),
                // Everything else that a configuration makes.
                None => {
                    self.known -= 1;
                    self.unused.add(kind, object.at);
                }
            },
        }
    }

    /// A table of REST: each row is an object whose members are called as the columns.
    fn table(&mut self, columns: &JsonValue<'_>, rows: &JsonValue<'_>) {
        let (JsonKind::Array(columns), JsonKind::Array(rows)) = (&columns.kind, &rows.kind) else {
            return self.error(*self.bad(rows.at, "`columns` and `rows` are lists in a table", ""));
        };
        let name = |column: &JsonValue<'_>| match &column.kind {
            JsonKind::String(name) => name.to_string(),
            _ => Object::of(column).and_then(|column| column.text("name")).unwrap_or_default().to_owned(),
        };
        let names: Vec<String> = columns.iter().map(name).collect();
        self.empty |= rows.is_empty();
        for row in rows {
            let JsonKind::Array(cells) = &row.kind else {
                return self.error(*self.shape(row, "rows[]", "a list"));
            };
            let members = names.iter().zip(cells).map(|(name, value)| JsonMember { name: name.as_str().into(), value: value.clone() });
            let object = JsonValue { at: row.at, kind: JsonKind::Object(members.collect()) };
            if let Some(object) = Object::of(&object) {
                self.object(&object, true);
            }
        }
    }

    /// Names with their addresses, as outputs of a deployment often are: `{"a.contoso.com": "10.0.0.1"}`.
    fn address_map(&mut self, object: &Object<'_>) {
        for JsonMember { name, value } in object.own {
            self.known += 1;
            let items = match &value.kind {
                JsonKind::Array(items) => items.iter().collect(),
                _ => vec![value],
            };
            let owner = JsonValue { at: value.at, kind: JsonKind::String(name.as_ref().into()) };
            let outcome = self.name(&owner, "name").and_then(|(name, at)| self.give(&name, at, &items, None));
            if let Err(bad) = outcome {
                self.error(*bad);
            }
        }
    }
}

fn has_names(value: &JsonValue<'_>) -> bool {
    Object::of(value).is_some_and(|item| item.has("privateLinkConnectionProperties"))
}

/// Returns true if every member is a name of several labels, with one or more addresses.
fn is_address_map(object: &Object<'_>) -> bool {
    let is_address = |value: &JsonValue<'_>| matches!(&value.kind, JsonKind::String(text) if address(text.as_bytes()).is_some());
    !object.own.is_empty()
        && object.own.iter().all(|member| {
            let has_addresses = match &member.value.kind {
                JsonKind::Array(items) => !items.is_empty() && items.iter().all(is_address),
                _ => is_address(&member.value),
            };
            has_addresses && member.name.contains('.') && address(member.name.as_bytes()).is_none()
        })
}
