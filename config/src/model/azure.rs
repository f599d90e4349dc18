//! Readers of private endpoints, from `[[azure]]`.

use std::path::PathBuf;
use std::time::Duration;

/// Scope, identity, and interval of a reader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AzureReaderConfig {
    /// Name by which zones refer to the reader.
    pub name: String,
    /// Base URL of Azure Resource Manager, without a final slash.
    pub endpoint: String,
    /// Resource that tokens are requested for.
    pub audience: &'static str,
    /// Base URL that issues tokens, without a final slash.
    pub authority: String,
    /// Identity of the reader.
    pub identity: AzureIdentity,
    /// Subscriptions that are read.
    pub scope: AzureScope,
    /// Time between two readings.
    pub interval: Duration,
}

/// Identity that a reader proves to Azure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AzureIdentity {
    /// The managed identity of the machine.
    Managed {
        /// Which of several user-assigned identities. `None` means the only one.
        client_id: Option<String>,
    },
    /// A federated token in a file, as Kubernetes issues it. `None` means the environment variable of
    /// the Azure SDKs.
    Workload {
        /// Directory (tenant) ID.
        tenant: Option<String>,
        /// Application (client) ID.
        client_id: Option<String>,
        /// File with the token, which is read for each request.
        token_file: Option<PathBuf>,
    },
    /// A client secret in a file.
    Secret {
        /// Directory (tenant) ID.
        tenant: String,
        /// Application (client) ID.
        client_id: String,
        /// File with the secret, which is read for each request.
        secret_file: PathBuf,
    },
}

/// Subscriptions that a reader reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AzureScope {
    /// All that the identity may read.
    Visible,
    /// The subscriptions with these IDs, in lower case.
    Subscriptions(Vec<String>),
    /// The subscriptions of these management groups.
    ManagementGroups(Vec<String>),
}

/// A cloud of Azure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AzureCloud {
    /// The worldwide cloud.
    Public,
    /// The cloud of the US Government.
    Government,
    /// China, operated by 21Vianet.
    China,
}

impl AzureCloud {
    /// Returns the base URL of Azure Resource Manager.
    pub(crate) fn endpoint(self) -> &'static str {
        match self {
            Self::Public => "https://management.azure.com",
            Self::Government => "https://management.usgovcloudapi.net",
            Self::China => "https://management.chinacloudapi.cn",
        }
    }

    /// Returns the base URL of Entra ID.
    pub(crate) fn authority(self) -> &'static str {
        match self {
            Self::Public => "https://login.microsoftonline.com",
            Self::Government => "https://login.microsoftonline.us",
            Self::China => "https://login.chinacloudapi.cn",
        }
    }
}

impl AzureIdentity {
    /// Base URL of the metadata service of a virtual machine (IMDS).
    pub(crate) const METADATA: &str = "http://169.254.169.254";

    /// Returns true for the managed identity of the machine.
    pub fn is_managed(&self) -> bool {
        matches!(self, Self::Managed { .. })
    }
}
