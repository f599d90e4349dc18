//! Conversion of `[[azure]]` into the configuration.

use toml::de::DeTable;

use super::values;
use crate::key::AnyKey;
use crate::keys::azure as key;
use crate::kind::IdentityChoice;
use crate::model::{AzureIdentity, AzureReaderConfig, AzureScope};
use crate::permissions;
use crate::problems::ConfigProblems;
use crate::reader::{self, TableReader};

/// Readers of a configuration.
pub(super) struct ReadersFound {
    pub(super) readers: Vec<AzureReaderConfig>,
    /// Set if a table could not be read, so that the reader that a zone names may be that one.
    pub(super) are_missing: bool,
}

/// Reads the readers in file order.
pub(super) fn readers(document: &DeTable<'_>, problems: &mut ConfigProblems<'_>) -> ReadersFound {
    let mut found = ReadersFound { readers: Vec::new(), are_missing: false };
    for (at, table) in reader::tables(document, &key::SECTION, problems) {
        let mut read = TableReader::open(&key::SECTION, Some(table), at, problems);
        match reader_table(&mut read, at, &found.readers) {
            Some(reader) => found.readers.push(reader),
            None => found.are_missing = true,
        }
    }
    found
}

fn reader_table(read: &mut TableReader<'_, '_>, at: usize, earlier: &[AzureReaderConfig]) -> Option<AzureReaderConfig> {
    let name = read.required(&key::NAME);
    let cloud = read.value(&key::CLOUD);
    let identity = identity(read, at);
    let endpoint = read.option(&key::ENDPOINT).unwrap_or_else(|| cloud.endpoint().into());
    let authority = read.option(&key::AUTHORITY);
    let (subscriptions, groups) = (read.option(&key::SUBSCRIPTIONS), read.option(&key::MANAGEMENT_GROUPS));
    let interval = read.value(&key::INTERVAL);
    if let Some(name) = &name
        && earlier.iter().any(|other| other.name == *name)
    {
        let at = read.place(&key::NAME).unwrap_or(at);
        read.problems().error(at, format!("`[[azure]]` `{name}` is already declared"), "give it another name");
    }
    let lower = |list: Vec<String>| list.into_iter().map(|id| id.to_ascii_lowercase()).collect();
    let scope = match (subscriptions, groups) {
        (Some(subscriptions), _) => AzureScope::Subscriptions(lower(values(subscriptions))),
        (None, Some(groups)) => AzureScope::ManagementGroups(values(groups)),
        (None, None) => AzureScope::Visible,
    };
    let identity = identity?;
    let usual = if identity.is_managed() { AzureIdentity::METADATA } else { cloud.authority() };
    let authority = authority.unwrap_or_else(|| usual.into());
    Some(AzureReaderConfig { name: name?, audience: cloud.endpoint(), endpoint, authority, identity, scope, interval })
}

/// Returns the identity. A problem was reported if keys of it are missing.
fn identity(read: &mut TableReader<'_, '_>, at: usize) -> Option<AzureIdentity> {
    let choice = read.value(&key::IDENTITY);
    let (tenant, client_id) = (read.option(&key::TENANT), read.option(&key::CLIENT_ID));
    let (secret_file, token_file) = (read.option(&key::CLIENT_SECRET_FILE), read.option(&key::TOKEN_FILE));
    let unused: &[&dyn AnyKey] = match choice {
        IdentityChoice::Managed => &[&key::TENANT, &key::CLIENT_SECRET_FILE, &key::TOKEN_FILE],
        IdentityChoice::Workload => &[&key::CLIENT_SECRET_FILE],
        IdentityChoice::Secret => &[&key::TOKEN_FILE],
    };
    for key in unused {
        if let Some(at) = read.place(*key) {
            let message = format!("`{}` has no effect with this `identity`", key.name());
            read.problems().warning(at, message, "remove it, or set another `identity`");
        }
    }
    match choice {
        IdentityChoice::Managed => Some(AzureIdentity::Managed { client_id }),
        IdentityChoice::Workload => Some(AzureIdentity::Workload { tenant, client_id, token_file }),
        IdentityChoice::Secret => {
            if let (Some(path), Some(at)) = (&secret_file, read.place(&key::CLIENT_SECRET_FILE)) {
                permissions::readable(path, at, read.problems());
            }
            let (Some(tenant), Some(client_id), Some(secret_file)) = (tenant, client_id, secret_file) else {
                let at = read.place(&key::IDENTITY).unwrap_or(at);
                let message = "`identity = \"secret\"` needs `tenant`, `client-id`, and `client-secret-file`";
                read.problems().error(at, message, "add the missing keys");
                return None;
            };
            Some(AzureIdentity::Secret { tenant, client_id, secret_file })
        }
    }
}
