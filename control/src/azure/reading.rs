//! One reading: every private endpoint that the identity may see.
//!
//! The names come from the network interfaces. `customDnsConfigs` of the endpoints is empty while a DNS zone group is attached.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use postern_config::model::{AzureReaderConfig, AzureScope};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::AzureError;
use super::graph::{GraphClient, GraphCounters, QueryScope};

const ENDPOINTS: &str = "resources | where type =~ 'microsoft.network/privateendpoints' \
    | project id, subscriptionId, subnet = properties.subnet.id, connections = properties.privateLinkServiceConnections, \
    manual = properties.manualPrivateLinkServiceConnections | order by id asc";
const INTERFACES: &str = "resources | where type =~ 'microsoft.network/networkinterfaces' \
    | where isnotempty(tostring(properties.privateEndpoint.id)) \
    | project id, endpoint = properties.privateEndpoint.id, configurations = properties.ipConfigurations | order by id asc";
const SUBSCRIPTIONS: &str = "resourcecontainers | where type =~ 'microsoft.resources/subscriptions' \
    | project id, subscriptionId | order by id asc";
/// State of a connection that carries traffic.
const APPROVED: &str = "Approved";

/// A private endpoint with the names that lead to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrivateEndpoint {
    /// Resource ID as Azure writes it.
    pub id: String,
    /// Subscription ID in lower case.
    pub subscription: String,
    /// Resource ID of its subnet in lower case.
    pub subnet: String,
    /// State of its connection: `Approved`, `Pending`, `Rejected`, `Disconnected`.
    pub state: String,
    /// Public names in lower case, each with its address.
    pub names: BTreeSet<(String, IpAddr)>,
}

/// Result of one reading.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AzureReading {
    /// Endpoints by resource ID in lower case.
    pub endpoints: BTreeMap<String, PrivateEndpoint>,
    /// IDs of the subscriptions that were read completely.
    pub answered: BTreeSet<String>,
    /// IDs of the subscriptions that the configuration names and the identity may not read.
    pub forbidden: BTreeSet<String>,
    /// Number of rows that were skipped because a member is missing.
    pub unusable: usize,
}

/// Reads everything once, for a command.
pub async fn read_once(config: &AzureReaderConfig) -> Result<AzureReading, AzureError> {
    let mut graph = GraphClient::new(Arc::new(config.clone()), Arc::new(GraphCounters::default()));
    read(&mut graph, &config.scope, &mut BTreeSet::new()).await
}

/// Reads all subscriptions of a scope. A named subscription that was `forbidden` in the last reading is asked for alone, so that it costs
/// the others nothing. A reading without a subscription is an error, because it says nothing about any endpoint.
pub(super) async fn read(
    graph: &mut GraphClient,
    scope: &AzureScope,
    forbidden: &mut BTreeSet<String>,
) -> Result<AzureReading, AzureError> {
    let mut reading = AzureReading::default();
    match scope {
        AzureScope::Visible => read_scope(graph, QueryScope::Visible, &mut reading).await?,
        AzureScope::ManagementGroups(names) => {
            read_scope(graph, QueryScope::ManagementGroups(names.clone()), &mut reading).await?;
        }
        AzureScope::Subscriptions(named) => {
            read_named(graph, named, forbidden, &mut reading).await?;
            // Resource Graph leaves most of them out without a word.
            reading.forbidden = named.iter().filter(|id| !reading.answered.contains(*id)).cloned().collect();
            forbidden.clone_from(&reading.forbidden);
        }
    }
    match reading.answered.is_empty() {
        true => Err(AzureError::NothingVisible),
        false => Ok(reading),
    }
}

async fn read_named(
    graph: &mut GraphClient,
    named: &[String],
    forbidden: &BTreeSet<String>,
    reading: &mut AzureReading,
) -> Result<(), AzureError> {
    let (mut alone, together): (Vec<String>, Vec<String>) = named.iter().cloned().partition(|id| forbidden.contains(id));
    if !together.is_empty() {
        match read_scope(graph, QueryScope::Subscriptions(together.clone()), reading).await {
            Err(error) if error.is_forbidden() => alone.extend(together.into_iter().filter(|_| named.len() > 1)),
            other => other?,
        }
    }
    for id in alone {
        match read_scope(graph, QueryScope::Subscriptions(vec![id]), reading).await {
            Err(error) if error.is_forbidden() => {}
            other => other?,
        }
    }
    Ok(())
}

async fn read_scope(graph: &mut GraphClient, scope: QueryScope, reading: &mut AzureReading) -> Result<(), AzureError> {
    let subscriptions = graph.rows(SUBSCRIPTIONS, &scope, |row| lower(&row["subscriptionId"])).await?;
    if subscriptions.is_empty() {
        return Ok(()); // nothing of this scope is visible
    }
    let endpoints = graph.rows(ENDPOINTS, &scope, endpoint).await?;
    let interfaces = graph.rows(INTERFACES, &scope, |row| Some((lower(&row["endpoint"])?, names(row)))).await?;
    reading.unusable += endpoints.iter().filter(|row| row.is_none()).count() + interfaces.iter().filter(|row| row.is_none()).count();
    reading.answered.extend(subscriptions.into_iter().flatten());
    for endpoint in endpoints.into_iter().flatten() {
        reading.endpoints.insert(endpoint.id.to_ascii_lowercase(), endpoint);
    }
    for (id, names) in interfaces.into_iter().flatten() {
        // An interface whose endpoint is not visible yet waits for the next reading.
        if let Some(endpoint) = reading.endpoints.get_mut(&id) {
            endpoint.names.extend(names);
        }
    }
    Ok(())
}

/// Returns the endpoint of a row. Returns `None` if a member is missing without which nothing is certain about the endpoint.
fn endpoint(row: &Value) -> Option<PrivateEndpoint> {
    let connections = ["connections", "manual"].into_iter().filter_map(|key| row[key].as_array()).flatten();
    let state = |row: &Value| text(&row["properties"]["privateLinkServiceConnectionState"]["status"]);
    let states: Vec<String> = connections.filter_map(state).collect();
    let is_approved = |state: &&String| state.eq_ignore_ascii_case(APPROVED);
    Some(PrivateEndpoint {
        id: text(&row["id"])?,
        subscription: lower(&row["subscriptionId"])?,
        subnet: lower(&row["subnet"])?,
        state: states.iter().find(is_approved).or(states.first()).cloned()?,
        names: BTreeSet::new(),
    })
}

/// Returns the names of a network interface, each with its address.
fn names(row: &Value) -> Vec<(String, IpAddr)> {
    let mut found = Vec::new();
    for configuration in row["configurations"].as_array().into_iter().flatten() {
        let properties = &configuration["properties"];
        let address = text(&properties["privateIPAddress"]).or_else(|| text(&properties["privateIpAddress"]));
        let Some(address) = address.and_then(|text| text.parse().ok()) else { continue };
        let names = properties["privateLinkConnectionProperties"]["fqdns"].as_array().into_iter().flatten().filter_map(lower);
        found.extend(names.map(|name| (name.trim_end_matches('.').to_owned(), address)));
    }
    found
}

/// Returns a member that is a text and not empty.
fn text(member: &Value) -> Option<String> {
    member.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

fn lower(member: &Value) -> Option<String> {
    text(member).map(|text| text.to_ascii_lowercase())
}

impl PrivateEndpoint {
    /// Returns true if its connection is approved, so that traffic may flow.
    pub fn is_approved(&self) -> bool {
        self.state.eq_ignore_ascii_case(APPROVED)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn row(state: &Value, subnet: &Value) -> Value {
        let connection = json!({"properties": {"privateLinkServiceConnectionState": {"status": state}}});
        json!({"id": "/A", "subscriptionId": "S", "subnet": subnet, "connections": [connection], "manual": null})
    }

    #[test]
    fn a_row_without_a_state_or_a_subnet_says_nothing_about_its_endpoint() {
        let read = endpoint(&row(&json!("Approved"), &json!("/Subnet"))).unwrap();
        assert_eq!((read.id.as_str(), read.subscription.as_str(), read.subnet.as_str()), ("/A", "s", "/subnet"));
        assert_eq!(endpoint(&row(&json!("Rejected"), &json!("/subnet"))).unwrap().state, "Rejected");
        for odd in [
            row(&Value::Null, &json!("/subnet")),
            row(&json!(""), &json!("/subnet")),
            row(&json!("Approved"), &Value::Null),
            json!({"id": "/A", "subscriptionId": "S", "subnet": "/subnet", "connections": [{"properties": null}, null]}),
            json!([1, 2]),
            Value::Null,
        ] {
            assert_eq!(endpoint(&odd), None, "{odd}");
        }
    }

    #[test]
    fn an_odd_configuration_of_an_interface_costs_no_other_its_name() {
        let good = json!({"properties": {"privateIPAddress": "10.20.1.4", "privateIpAddress": "10.20.1.4",
            "privateLinkConnectionProperties": {"fqdns": ["A.contoso.test.", null, 7]}}});
        let odd = [json!(null), json!({"properties": null}), json!({"properties": {"privateIPAddress": "soon"}})];
        let row = json!({"configurations": odd.into_iter().chain([good]).collect::<Vec<_>>()});
        assert_eq!(names(&row), [("a.contoso.test".to_owned(), "10.20.1.4".parse().unwrap())]);
        assert!(names(&json!({"configurations": null})).is_empty());
    }
}
