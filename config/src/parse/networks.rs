//! Conversion of `[[network]]` into the configuration.

use std::collections::HashMap;

use toml::de::DeTable;

use super::values;
use crate::key::AnyKey;
use crate::keys::network as key;
use crate::model::{NetworkConfig, RecursionPolicy};
use crate::places::{ConfigPlaces, NetworkPlaces};
use crate::problems::ConfigProblems;
use crate::reader::{self, TableReader};

/// Reads the networks in file order. `default` is last unless the file names it.
pub(super) fn networks(document: &DeTable<'_>, problems: &mut ConfigProblems<'_>, places: &mut ConfigPlaces) -> Vec<NetworkConfig> {
    let mut networks: Vec<NetworkConfig> = Vec::new();
    let mut by_name: HashMap<String, usize> = HashMap::new();
    for (at, table) in reader::tables(document, &key::SECTION, problems) {
        let mut read = TableReader::open(&key::SECTION, Some(table), at, problems);
        let name = read.required(&key::NAME);
        let clients = read.option(&key::CLIENTS);
        let recursion = read.option(&key::RECURSION);
        let virtual_networks = values(read.option(&key::VIRTUAL_NETWORKS).unwrap_or_default());
        let clients_at = read.place(&key::CLIENTS);
        let name_at = read.place(&key::NAME).unwrap_or(at);
        let problems = read.problems();
        let Some(name) = name else { continue };
        if let Some(other) = by_name.get(&name).copied() {
            let line = problems.line(places.networks[other].table);
            problems.error(
                name_at,
                format!("network `{name}` is already declared in line {line}"),
                "write all its prefixes in one `[[network]]`",
            );
        }
        match (name == NetworkConfig::DEFAULT, clients_at) {
            (true, Some(at)) => {
                problems.error(
                    at,
                    "`default` contains the clients of no other network, so it has no `clients`",
                    "rename the network, or remove `clients`",
                );
            }
            (false, None) if !problems.broken => {
                let help = format!("write, for example, `clients = {}`", key::CLIENTS.example());
                problems.error(at, format!("network `{name}` has no clients"), help);
            }
            _ => {}
        }
        let clients = clients.unwrap_or_default();
        by_name.entry(name.clone()).or_insert(networks.len());
        places.networks.push(NetworkPlaces { table: at, clients: clients.iter().map(|item| item.at).collect() });
        let recursion = recursion.unwrap_or(usual_recursion(&name));
        networks.push(NetworkConfig { recursion, name, clients: values(clients), virtual_networks });
    }
    if !networks.iter().any(|network| network.name == NetworkConfig::DEFAULT) {
        networks.push(NetworkConfig {
            name: NetworkConfig::DEFAULT.into(),
            clients: Vec::new(),
            recursion: usual_recursion(NetworkConfig::DEFAULT),
            virtual_networks: Vec::new(),
        });
    }
    networks
}

/// A public client address gets no recursion by default, so that the server never becomes an open
/// resolver by accident.
fn usual_recursion(network: &str) -> RecursionPolicy {
    if network == NetworkConfig::DEFAULT { RecursionPolicy::PrivateClients } else { RecursionPolicy::Yes }
}
