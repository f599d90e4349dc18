//! Access to the API.

use super::Lint;
use crate::problems::ConfigProblems;

/// Checks that public addresses of the API have keys, and should have TLS.
pub(super) fn keys_and_certificates(lint: &Lint<'_>, problems: &mut ConfigProblems<'_>) {
    let (api, places) = (&lint.config.api, &lint.places.api);
    for (index, (address, &at)) in api.listen.iter().zip(&places.listen).enumerate() {
        if address.port() != 0 && api.listen[..index].contains(address) {
            problems.error(at, format!("{address} is already in the list"), "remove it");
        } else if !address.ip().is_loopback() && places.key_file.is_none() {
            let message = format!("{address} is not a loopback address: anyone who reaches it could change records");
            problems.error(at, message, "add `key-file = \"api.key\"`, with lines that `postern key` prints");
        } else if !address.ip().is_loopback() && places.certificate.is_none() {
            let message = format!("keys and records cross the network to {address} in the clear");
            problems.warning(at, message, "add `certificate` and `private-key`, or listen on a loopback address behind a proxy with TLS");
        }
    }
    if api.listen.is_empty() && places.listen.is_empty() {
        for (key, at) in [("key-file", places.key_file), ("certificate", places.certificate)] {
            if let Some(at) = at {
                problems.warning(at, format!("`{key}` has no effect: there is no `listen`"), "add `listen = \"127.0.0.1:8053\"`");
            }
        }
    }
}
