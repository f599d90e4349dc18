//! The simulated subscriptions and private endpoints, and the scenario file that describes them.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::faults::AzureFaults;
use crate::scenario::{ScenarioError, ScenarioProblem};

/// Everything that the simulator answers from.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct AzureScenario {
    /// Seed of all random choices.
    pub seed: u64,
    /// Sizes, times, and identities.
    pub settings: EstateSettings,
    /// Management groups, each with the IDs of its subscriptions.
    pub management_groups: BTreeMap<String, Vec<String>>,
    /// Subscriptions that the identity may read.
    #[serde(rename = "subscription")]
    pub subscriptions: Vec<SimulatedSubscription>,
    /// Private endpoints that the file lists.
    #[serde(rename = "endpoint")]
    pub endpoints: Vec<SimulatedEndpoint>,
    /// Further endpoints, made up by number.
    pub generate: Option<GeneratedEstate>,
    /// Faults from the start.
    pub faults: AzureFaults,
}

/// Sizes, times, and identities of the simulator.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct EstateSettings {
    /// Tenant that Entra ID accepts.
    pub tenant: String,
    /// Application or managed identity that is accepted.
    pub client_id: String,
    /// Client secret that the application is accepted with.
    pub client_secret: String,
    /// Lifetime of a token in seconds.
    pub token_seconds: u64,
    /// Most rows in one page.
    pub page: usize,
    /// Queries in one window.
    pub quota: u32,
    /// Length of a window in milliseconds.
    pub window_ms: u64,
    /// How long a change stays invisible to queries, in milliseconds.
    pub lag_ms: u64,
}

impl Default for EstateSettings {
    fn default() -> Self {
        Self {
            tenant: "00000000-0000-0000-0000-00000000c011".into(),
            client_id: "00000000-0000-0000-0000-00000000c1d0".into(),
            client_secret: "not-a-secret".into(),
            token_seconds: 3_600,
            page: 1_000,
            // The documented quota of Resource Graph: 15 queries in 5 seconds.
            quota: 15,
            window_ms: 5_000,
            lag_ms: 0,
        }
    }
}

/// A subscription of the simulated company.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct SimulatedSubscription {
    /// Its ID, a GUID.
    pub id: String,
    /// Display name of the subscription.
    pub name: String,
}

/// A private endpoint with its network interface.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SimulatedEndpoint {
    /// Name, unique in the simulator.
    pub name: String,
    /// ID of its subscription.
    pub subscription: String,
    /// Name of its resource group.
    #[serde(default = "usual_group")]
    pub group: String,
    /// Name of its virtual network.
    #[serde(default = "usual_network")]
    pub network: String,
    /// Name of its subnet.
    #[serde(default = "usual_subnet")]
    pub subnet: String,
    /// State of its connection.
    #[serde(default)]
    pub state: ConnectionState,
    /// Whether the connection was requested from the owner of the resource.
    #[serde(default)]
    pub manual: bool,
    /// Whether a DNS zone group is attached, which empties `customDnsConfigs`.
    #[serde(default)]
    pub zone_group: bool,
    /// Lines of an address and its public names: `10.20.1.4 contosodata.blob.core.windows.net`.
    #[serde(default)]
    pub addresses: Vec<String>,
}

/// State of a private endpoint's connection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
pub enum ConnectionState {
    /// The owner has not decided yet.
    Pending,
    /// Traffic may flow.
    #[default]
    Approved,
    /// The owner refused it.
    Rejected,
    /// The owner took the approval back, or the resource is gone.
    Disconnected,
}

/// Endpoints that are made up by number: storage accounts, spread evenly over new subscriptions.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GeneratedEstate {
    /// Number of endpoints.
    pub endpoints: u32,
    /// Number of subscriptions.
    pub subscriptions: u32,
}

fn usual_group() -> String {
    "rg-network".into()
}

fn usual_network() -> String {
    "vnet-hub".into()
}

fn usual_subnet() -> String {
    "snet-endpoints".into()
}

impl AzureScenario {
    /// TOML text of the built-in scenario, which explains the format.
    pub const CONTOSO: &str = include_str!("../../scenarios/estate.toml");

    /// Returns the built-in scenario.
    pub fn contoso() -> Self {
        // The text is part of the crate and covered by a test, so it parses.
        Self::parse(Self::CONTOSO, "estate.toml").expect("the built-in scenario is well-formed")
    }

    /// Parses a scenario from TOML. `file` is used only in messages.
    pub fn parse(text: &str, file: &str) -> Result<Self, ScenarioError> {
        let failed = |line, column, message: String| ScenarioError {
            problems: vec![ScenarioProblem { file: file.to_owned(), line, column, message }],
        };
        let scenario: Self = toml::from_str(text).map_err(|error| {
            let start = error.span().map_or(0, |span| span.start.min(text.len()));
            let before = &text[..start];
            let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
            failed(before.matches('\n').count() + 1, column, error.message().to_owned())
        })?;
        let wrong = scenario.endpoints.iter().find_map(|endpoint| scenario.check(endpoint).err());
        wrong.map_or(Ok(scenario), |message| Err(failed(0, 0, message)))
    }

    /// Reads a scenario from a file.
    pub fn load(path: &Path) -> Result<Self, ScenarioError> {
        let file = path.display().to_string();
        match std::fs::read_to_string(path) {
            Ok(text) => Self::parse(&text, &file),
            Err(error) => {
                let message = error.to_string();
                Err(ScenarioError { problems: vec![ScenarioProblem { file, line: 0, column: 0, message }] })
            }
        }
    }

    fn check(&self, endpoint: &SimulatedEndpoint) -> Result<(), String> {
        check_endpoint(endpoint, &self.subscriptions)
    }
}

/// Returns an error if the endpoint is in no subscription, or has a line without an address.
pub(super) fn check_endpoint(endpoint: &SimulatedEndpoint, subscriptions: &[SimulatedSubscription]) -> Result<(), String> {
    let name = &endpoint.name;
    if !subscriptions.iter().any(|subscription| subscription.id == endpoint.subscription) {
        return Err(format!("endpoint `{name}`: there is no subscription `{}`", endpoint.subscription));
    }
    let is_bad = |line: &&String| line.split_whitespace().next().is_none_or(|address| address.parse::<IpAddr>().is_err());
    match endpoint.addresses.iter().find(is_bad) {
        Some(line) => Err(format!("endpoint `{name}`: expected an address and names, found `{line}`")),
        None => Ok(()),
    }
}

/// The endpoints at one moment, sorted by ID.
pub(super) type EndpointVersion = Arc<Vec<SimulatedEndpoint>>;

/// The subscriptions and endpoints, with earlier versions that queries may still see.
#[derive(Debug)]
pub(super) struct EndpointEstate {
    pub subscriptions: Vec<SimulatedSubscription>,
    pub management_groups: BTreeMap<String, Vec<String>>,
    versions: VecDeque<(Instant, EndpointVersion)>,
}

/// Earlier versions that are kept for late readers.
const MOST_VERSIONS: usize = 64;

impl EndpointEstate {
    pub fn new(scenario: &AzureScenario) -> Self {
        let mut subscriptions = scenario.subscriptions.clone();
        let mut endpoints = scenario.endpoints.clone();
        if let Some(generate) = scenario.generate {
            generate.add(&mut subscriptions, &mut endpoints);
        }
        subscriptions.sort_by(|one, other| one.id.cmp(&other.id));
        endpoints.sort_by_cached_key(SimulatedEndpoint::id);
        let versions = VecDeque::from([(Instant::now(), Arc::new(endpoints))]);
        Self { subscriptions, management_groups: scenario.management_groups.clone(), versions }
    }

    /// Returns the endpoints as they are.
    pub fn latest(&self) -> &EndpointVersion {
        &self.versions.back().expect("there is always a version").1
    }

    /// Returns the endpoints as queries see them: as they were `lag` ago.
    pub fn visible(&self, lag: Duration) -> EndpointVersion {
        let is_old = |(since, _): &&(Instant, EndpointVersion)| since.elapsed() >= lag;
        let version = self.versions.iter().rev().find(is_old).or(self.versions.front());
        version.expect("there is always a version").1.clone()
    }

    /// Creates or replaces an endpoint.
    pub fn put(&mut self, endpoint: SimulatedEndpoint) -> Result<(), String> {
        check_endpoint(&endpoint, &self.subscriptions)?;
        let mut endpoints = (**self.latest()).clone();
        endpoints.retain(|other| other.name != endpoint.name);
        endpoints.push(endpoint);
        endpoints.sort_by_cached_key(SimulatedEndpoint::id);
        self.add_version(endpoints);
        Ok(())
    }

    /// Removes an endpoint. Returns false if there is none of that name.
    pub fn remove(&mut self, name: &str) -> bool {
        let mut endpoints = (**self.latest()).clone();
        let before = endpoints.len();
        endpoints.retain(|other| other.name != name);
        let is_removed = endpoints.len() < before;
        if is_removed {
            self.add_version(endpoints);
        }
        is_removed
    }

    fn add_version(&mut self, endpoints: Vec<SimulatedEndpoint>) {
        self.versions.push_back((Instant::now(), Arc::new(endpoints)));
        while self.versions.len() > MOST_VERSIONS {
            self.versions.pop_front();
        }
    }
}

impl GeneratedEstate {
    fn add(self, subscriptions: &mut Vec<SimulatedSubscription>, endpoints: &mut Vec<SimulatedEndpoint>) {
        let id = |number: u32| format!("00000000-0000-0000-0001-{number:012x}");
        for number in 0..self.subscriptions {
            subscriptions.push(SimulatedSubscription { id: id(number), name: format!("contoso-{number}") });
        }
        for number in 0..self.endpoints {
            let [_, b, c, d] = number.to_be_bytes();
            let service = ["blob", "file", "queue", "table", "dfs"][number as usize % 5];
            endpoints.push(SimulatedEndpoint {
                name: format!("pe-contoso{number}"),
                subscription: id(number % self.subscriptions.max(1)),
                group: usual_group(),
                network: usual_network(),
                subnet: usual_subnet(),
                state: ConnectionState::Approved,
                manual: number % 7 == 0,
                zone_group: number % 2 == 0,
                addresses: vec![format!("10.{b}.{c}.{d} contoso{number}.{service}.core.windows.net")],
            });
        }
    }
}

impl SimulatedEndpoint {
    /// Returns the resource ID.
    pub(super) fn id(&self) -> String {
        self.resource("privateEndpoints", &self.name)
    }

    fn resource(&self, kind: &str, name: &str) -> String {
        format!("/subscriptions/{}/resourceGroups/{}/providers/Microsoft.Network/{kind}/{name}", self.subscription, self.group)
    }

    fn subnet_id(&self) -> String {
        format!("{}/subnets/{}", self.resource("virtualNetworks", &self.network), self.subnet)
    }

    fn interface_id(&self) -> String {
        self.resource("networkInterfaces", &format!("{}.nic", self.name))
    }

    /// Returns each address with its names.
    fn named_addresses(&self) -> impl Iterator<Item = (&str, Vec<&str>)> {
        self.addresses.iter().filter_map(|line| {
            let mut words = line.split_whitespace();
            Some((words.next()?, words.collect()))
        })
    }

    /// Returns the endpoint as Resource Graph has it.
    pub(super) fn endpoint_row(&self) -> Value {
        let connection = json!([{
            "name": self.name,
            "properties": {
                "groupIds": ["service"],
                "privateLinkServiceConnectionState": {"status": self.state, "description": "", "actionsRequired": "None"},
                "provisioningState": "Succeeded",
            },
        }]);
        let (automatic, manual) = if self.manual { (json!([]), connection) } else { (connection, json!([])) };
        let names = self.named_addresses().flat_map(|(address, names)| names.into_iter().map(move |name| (address, name)));
        let custom: Vec<Value> = match self.zone_group {
            true => Vec::new(),
            false => names.map(|(address, name)| json!({"fqdn": name, "ipAddresses": [address]})).collect(),
        };
        self.row(
            &self.id(),
            "microsoft.network/privateendpoints",
            json!({
                "subnet": {"id": self.subnet_id()},
                "networkInterfaces": [{"id": self.interface_id()}],
                "privateLinkServiceConnections": automatic,
                "manualPrivateLinkServiceConnections": manual,
                "customDnsConfigs": custom,
                "provisioningState": "Succeeded",
            }),
        )
    }

    /// Returns the network interface as Resource Graph has it.
    pub(super) fn interface_row(&self) -> Value {
        let configuration = |(number, (address, names)): (usize, (&str, Vec<&str>))| {
            let version = if address.contains(':') { "IPv6" } else { "IPv4" };
            json!({
                "name": format!("privateEndpointIpConfig.{number}"),
                "type": "Microsoft.Network/networkInterfaces/ipConfigurations",
                "properties": {
                    "primary": number == 0,
                    "privateIPAddress": address,
                    "privateIPAddressVersion": version,
                    "privateIPAllocationMethod": "Dynamic",
                    "subnet": {"id": self.subnet_id()},
                    "privateLinkConnectionProperties": {"groupId": "service", "requiredMemberName": "service", "fqdns": names},
                },
            })
        };
        let configurations: Vec<Value> = self.named_addresses().enumerate().map(configuration).collect();
        self.row(
            &self.interface_id(),
            "microsoft.network/networkinterfaces",
            json!({"privateEndpoint": {"id": self.id()}, "ipConfigurations": configurations, "provisioningState": "Succeeded"}),
        )
    }

    fn row(&self, id: &str, kind: &str, properties: Value) -> Value {
        let name = id.rsplit('/').next().unwrap_or_default();
        json!({
            "id": id, "name": name, "type": kind, "location": "westeurope", "resourceGroup": self.group,
            "subscriptionId": self.subscription, "properties": properties,
        })
    }
}

impl SimulatedSubscription {
    /// Returns the subscription as Resource Graph has it.
    pub(super) fn row(&self) -> Value {
        json!({
            "id": format!("/subscriptions/{}", self.id), "name": self.name, "type": "microsoft.resources/subscriptions",
            "subscriptionId": self.id, "properties": {"state": "Enabled"},
        })
    }
}
