//! One reading: every private endpoint that the identity may see.
//!
//! The names come from the network interfaces. `customDnsConfigs` of the endpoints is empty while a DNS zone group is attached.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use postern_config::model::{AzureReaderConfig, AzureScope};
use serde::{Deserialize, Serialize};

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
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SubscriptionRow {
    subscription_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct EndpointRow {
    id: String,
    subscription_id: String,
    subnet: Option<String>,
    connections: Option<Vec<ConnectionRow>>,
    manual: Option<Vec<ConnectionRow>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ConnectionRow {
    properties: ConnectionProperties,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ConnectionProperties {
    private_link_service_connection_state: ConnectionStatus,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ConnectionStatus {
    status: String,
}

#[derive(Deserialize)]
struct InterfaceRow {
    endpoint: String,
    configurations: Option<Vec<ConfigurationRow>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ConfigurationRow {
    properties: ConfigurationProperties,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ConfigurationProperties {
    #[serde(rename = "privateIPAddress", alias = "privateIpAddress")]
    address: Option<String>,
    #[serde(rename = "privateLinkConnectionProperties")]
    link: Option<LinkProperties>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct LinkProperties {
    fqdns: Option<Vec<String>>,
}

/// Reads everything once, for a command.
pub async fn read_once(config: &AzureReaderConfig) -> Result<AzureReading, AzureError> {
    let mut graph = GraphClient::new(Arc::new(config.clone()), Arc::new(GraphCounters::default()));
    read(&mut graph, &config.scope, &mut BTreeSet::new()).await
}

/// Reads all subscriptions of a scope. A named subscription that was `forbidden` in the last reading is asked for alone, so that it costs
/// the others nothing.
pub(super) async fn read(
    graph: &mut GraphClient,
    scope: &AzureScope,
    forbidden: &mut BTreeSet<String>,
) -> Result<AzureReading, AzureError> {
    let mut reading = AzureReading::default();
    let named = match scope {
        AzureScope::Visible => return read_scope(graph, QueryScope::Visible, &mut reading).await.map(|()| reading),
        AzureScope::ManagementGroups(names) => {
            let scope = QueryScope::ManagementGroups(names.clone());
            return read_scope(graph, scope, &mut reading).await.map(|()| reading);
        }
        AzureScope::Subscriptions(named) => named,
    };
    let (mut alone, together): (Vec<String>, Vec<String>) = named.iter().cloned().partition(|id| forbidden.contains(id));
    if !together.is_empty() {
        match read_scope(graph, QueryScope::Subscriptions(together.clone()), &mut reading).await {
            Err(error) if error.is_forbidden() && together.len() > 1 => alone.extend(together),
            Err(error) if error.is_forbidden() => reading.forbidden.extend(together),
            other => other?,
        }
    }
    for id in alone {
        match read_scope(graph, QueryScope::Subscriptions(vec![id.clone()]), &mut reading).await {
            Err(error) if error.is_forbidden() => {
                reading.forbidden.insert(id);
            }
            other => other?,
        }
    }
    forbidden.clone_from(&reading.forbidden);
    Ok(reading)
}

async fn read_scope(graph: &mut GraphClient, scope: QueryScope, reading: &mut AzureReading) -> Result<(), AzureError> {
    let subscriptions: Vec<SubscriptionRow> = graph.rows(SUBSCRIPTIONS, &scope).await?;
    let endpoints: Vec<EndpointRow> = graph.rows(ENDPOINTS, &scope).await?;
    let interfaces: Vec<InterfaceRow> = graph.rows(INTERFACES, &scope).await?;
    reading.answered.extend(subscriptions.into_iter().map(|row| row.subscription_id.to_ascii_lowercase()));
    for row in endpoints {
        let endpoint = row.endpoint();
        reading.endpoints.insert(endpoint.id.to_ascii_lowercase(), endpoint);
    }
    for row in interfaces {
        // An interface whose endpoint is not visible yet waits for the next reading.
        let Some(endpoint) = reading.endpoints.get_mut(&row.endpoint.to_ascii_lowercase()) else { continue };
        for ConfigurationProperties { address, link } in row.configurations.unwrap_or_default().into_iter().map(|row| row.properties) {
            let Some(address) = address.and_then(|text| text.parse::<IpAddr>().ok()) else { continue };
            let names = link.and_then(|link| link.fqdns).unwrap_or_default();
            endpoint.names.extend(names.into_iter().map(|name| (name.trim_end_matches('.').to_ascii_lowercase(), address)));
        }
    }
    Ok(())
}

impl EndpointRow {
    fn endpoint(self) -> PrivateEndpoint {
        let connections = self.connections.into_iter().chain(self.manual).flatten();
        let states: Vec<String> = connections.map(|row| row.properties.private_link_service_connection_state.status).collect();
        let is_approved = |state: &&String| state.eq_ignore_ascii_case(APPROVED);
        let state = states.iter().find(is_approved).or(states.first()).cloned().unwrap_or_else(|| "Unknown".into());
        PrivateEndpoint {
            id: self.id,
            subscription: self.subscription_id.to_ascii_lowercase(),
            subnet: self.subnet.unwrap_or_default().to_ascii_lowercase(),
            state,
            names: BTreeSet::new(),
        }
    }
}

impl PrivateEndpoint {
    /// Returns true if its connection is approved, so that traffic may flow.
    pub fn is_approved(&self) -> bool {
        self.state.eq_ignore_ascii_case(APPROVED)
    }
}
