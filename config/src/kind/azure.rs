//! Values of `[[azure]]`, and the resource IDs of networks.

use std::net::IpAddr;

use serde_json::{Value, json};
use toml::Spanned;
use toml::de::DeValue;

use super::network::read_text;
use super::word::{ChoiceWord, word};
use crate::key::{KeyUse, ValueKind};
use crate::model::AzureCloud;
use crate::problems::ConfigProblems;

/// How a reader proves its identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IdentityChoice {
    Managed,
    Workload,
    Secret,
}

/// Base URL of a service. Plain HTTP is accepted on loopback only, because tokens are sent to it.
pub(crate) struct ServiceUrl;

/// Resource ID of a virtual network or a subnet, in lower case.
pub(crate) struct AzureNetworkId;

impl AzureCloud {
    pub(crate) const WORDS: [ChoiceWord<Self>; 3] = [
        word("public", Self::Public, "the worldwide cloud"),
        word("government", Self::Government, "US Government"),
        word("china", Self::China, "China, operated by 21Vianet"),
    ];
}

impl IdentityChoice {
    pub(crate) const WORDS: [ChoiceWord<Self>; 3] = [
        word("managed", Self::Managed, "the managed identity of the machine"),
        word("workload", Self::Workload, "a federated token, as Kubernetes issues it"),
        word("secret", Self::Secret, "an application with a client secret"),
    ];
}

impl ValueKind for ServiceUrl {
    type Out = String;

    fn read(&self, value: &Spanned<DeValue<'_>>, field: KeyUse<'_>, problems: &mut ConfigProblems<'_>) -> Option<String> {
        read_text(self, value, field, problems, |text| {
            let plain = text.strip_prefix("http://");
            let rest = plain.or(text.strip_prefix("https://"));
            let rest = rest.ok_or_else(|| (format!("`{text}` does not begin with `https://`"), String::new()))?;
            let host_and_port = rest.trim_end_matches('/');
            if host_and_port.is_empty() || host_and_port.contains(['/', '?', '#', '@']) || !host_and_port.is_ascii() {
                return Err((format!("`{text}` must be a host with or without a port, and no path"), String::new()));
            }
            if plain.is_some() && !is_loopback(host_and_port) {
                let help = format!("write `https://{host_and_port}`: tokens must not be readable on the way");
                return Err((format!("`{text}` is not encrypted, and not on this machine"), help));
            }
            Ok(text.trim_end_matches('/').to_string())
        })
    }

    fn shape(&self) -> String {
        "a URL with `https://`, or with `http://` on a loopback address".into()
    }

    fn schema(&self) -> Value {
        json!({"type": "string", "pattern": "^https?://"})
    }
}

fn is_loopback(host_and_port: &str) -> bool {
    let host = match host_and_port.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, _)) => host,
        None => host_and_port.split(':').next().unwrap_or_default(),
    };
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

impl ValueKind for AzureNetworkId {
    type Out = String;

    fn read(&self, value: &Spanned<DeValue<'_>>, field: KeyUse<'_>, problems: &mut ConfigProblems<'_>) -> Option<String> {
        read_text(self, value, field, problems, |text| {
            let id = text.trim_end_matches('/').to_ascii_lowercase();
            let is_network = id.starts_with("/subscriptions/") && id.contains("/providers/microsoft.network/virtualnetworks/");
            is_network
                .then_some(id)
                .ok_or_else(|| (format!("`{text}` is not the resource ID of a virtual network or subnet"), String::new()))
        })
    }

    fn shape(&self) -> String {
        "the resource ID of a virtual network or subnet".into()
    }

    fn schema(&self) -> Value {
        json!({"type": "string", "pattern": "^/[Ss]ubscriptions/"})
    }
}
