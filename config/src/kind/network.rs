//! Addresses, prefixes, names, paths and log filters.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use ipnet::IpNet;
use serde_json::{Value, json};
use toml::Spanned;
use toml::de::DeValue;

use super::{string, which_word, wrong_type};
use crate::domain_name::domain;
use crate::key::{KeyUse, ValueKind};
use crate::model;
use crate::override_line::{OverrideLine, OverrideLineError};
use crate::problems::ConfigProblems;

/// An address to listen on, with or without a port.
pub(crate) struct ListenAddress {
    /// Port if the value has none.
    pub(crate) port: u16,
}

/// Address of another server, with or without a port.
pub(crate) struct ServerAddress;

/// Client prefix: `10.20.0.0/16`, or a single address.
pub(crate) struct ClientPrefix;

/// Clients that may transfer a zone: a prefix, or `key:NAME`.
pub(crate) struct PeerText;

/// Name of a zone or route in lower case, without the final dot.
pub(crate) struct DomainName;

/// Name of a network.
pub(crate) struct NetworkName;

/// A line of overrides. `None` if it is empty or a comment.
pub(crate) struct OverrideText;

/// A path, relative to the directory of the configuration file.
pub(crate) struct PathText;

/// A path, or `false`.
pub(crate) struct PathOrNot;

/// A log filter.
pub(crate) struct LogFilter;

pub(super) const DNS_PORT: u16 = 53;

/// Parses text with `parse`, and reports the error.
pub(super) fn read_text<T>(
    kind: &impl ValueKind,
    value: &Spanned<DeValue<'_>>,
    field: KeyUse<'_>,
    problems: &mut ConfigProblems<'_>,
    parse: impl FnOnce(&str) -> Result<T, (String, String)>,
) -> Option<T> {
    let text = string(&kind.shape(), value, field, problems)?;
    match parse(text) {
        Ok(read) => Some(read),
        Err((message, help)) => {
            let help = if help.is_empty() { field.help() } else { help };
            problems.error(value.span().start, message, help);
            None
        }
    }
}

impl ValueKind for ListenAddress {
    type Out = SocketAddr;

    fn read(&self, value: &Spanned<DeValue<'_>>, field: KeyUse<'_>, problems: &mut ConfigProblems<'_>) -> Option<SocketAddr> {
        read_text(self, value, field, problems, |text| {
            socket_address(text, self.port).ok_or_else(|| (format!("`{text}` is not an address to listen on"), String::new()))
        })
    }

    fn shape(&self) -> String {
        "an address with or without a port".into()
    }

    fn schema(&self) -> Value {
        json!({"type": "string"})
    }
}

impl ValueKind for ServerAddress {
    type Out = SocketAddr;

    fn read(&self, value: &Spanned<DeValue<'_>>, field: KeyUse<'_>, problems: &mut ConfigProblems<'_>) -> Option<SocketAddr> {
        read_text(self, value, field, problems, |text| {
            let address = socket_address(text, DNS_PORT).filter(|address| !address.ip().is_unspecified() && address.port() != 0);
            address.ok_or_else(|| (format!("`{text}` is not the address of a server"), String::new()))
        })
    }

    fn shape(&self) -> String {
        "an address with or without a port (53)".into()
    }

    fn schema(&self) -> Value {
        json!({"type": "string"})
    }
}

impl ValueKind for PeerText {
    type Out = model::TransferPeer;

    fn read(&self, value: &Spanned<DeValue<'_>>, field: KeyUse<'_>, problems: &mut ConfigProblems<'_>) -> Option<model::TransferPeer> {
        match value.get_ref().as_str().and_then(|text| text.strip_prefix("key:")) {
            Some(name) => match domain(name) {
                Ok(name) => Some(model::TransferPeer::Key(name)),
                Err((message, help)) => {
                    problems.error(value.span().start, message, help);
                    None
                }
            },
            None => ClientPrefix.read(value, field, problems).map(model::TransferPeer::Prefix),
        }
    }

    fn shape(&self) -> String {
        "a prefix such as `10.20.0.0/16`, one address, or `key:` and the name of a key".into()
    }

    fn schema(&self) -> Value {
        json!({"type": "string"})
    }
}

impl ValueKind for ClientPrefix {
    type Out = IpNet;

    fn read(&self, value: &Spanned<DeValue<'_>>, field: KeyUse<'_>, problems: &mut ConfigProblems<'_>) -> Option<IpNet> {
        read_text(self, value, field, problems, |text| {
            let net = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
            let net = net.map_err(|_| (format!("`{text}` is not a client prefix"), "write, for example, `10.20.0.0/16`".into()))?;
            if net.trunc() != net {
                let help = format!("write `{}` for the prefix, or `{}` for the one address", net.trunc(), net.addr());
                return Err((format!("`{text}` has bits set behind its prefix length"), help));
            }
            match net.network() {
                IpAddr::V6(address) if address.to_ipv4_mapped().is_some() && net.prefix_len() >= 96 => {
                    let help = "clients that come over IPv4 are matched as IPv4: write it so".into();
                    Err((format!("`{text}` is an IPv4-mapped prefix"), help))
                }
                _ => Ok(net),
            }
        })
    }

    fn shape(&self) -> String {
        "a prefix such as `10.20.0.0/16`, or one address".into()
    }

    fn schema(&self) -> Value {
        json!({"type": "string"})
    }
}

impl ValueKind for DomainName {
    type Out = String;

    fn read(&self, value: &Spanned<DeValue<'_>>, field: KeyUse<'_>, problems: &mut ConfigProblems<'_>) -> Option<String> {
        read_text(self, value, field, problems, domain)
    }

    fn shape(&self) -> String {
        "a domain name".into()
    }

    fn schema(&self) -> Value {
        json!({"type": "string", "minLength": 1, "maxLength": 254})
    }
}

impl ValueKind for OverrideText {
    type Out = Option<OverrideLine>;

    fn read(&self, value: &Spanned<DeValue<'_>>, field: KeyUse<'_>, problems: &mut ConfigProblems<'_>) -> Option<Self::Out> {
        let text = string(&self.shape(), value, field, problems)?;
        match OverrideLine::parse(text) {
            Ok(line) => Some(line),
            Err(OverrideLineError { offset, message, help }) => {
                let help = if help.is_empty() { field.help() } else { help };
                problems.error(value.span().start + 1 + offset, message, help);
                None
            }
        }
    }

    fn shape(&self) -> String {
        "an answer and the names that get it".into()
    }

    fn schema(&self) -> Value {
        json!({"type": "string"})
    }
}

impl ValueKind for NetworkName {
    type Out = String;

    fn read(&self, value: &Spanned<DeValue<'_>>, field: KeyUse<'_>, problems: &mut ConfigProblems<'_>) -> Option<String> {
        read_text(self, value, field, problems, |text| {
            let good = |text: &str| text.bytes().all(|octet| matches!(octet, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.'));
            if !text.is_empty() && text.len() <= 63 && good(text) {
                return Ok(text.to_string());
            }
            let lower = text.to_lowercase();
            let help = if good(&lower) && !lower.is_empty() { format!("write `{lower}`") } else { String::new() };
            Err((format!("`{text}` is not a network name: it must be 1 to 63 of a-z, 0-9, `-`, `_` and `.`"), help))
        })
    }

    fn shape(&self) -> String {
        "a network name, 1 to 63 of a-z, 0-9, `-`, `_` and `.`".into()
    }

    fn schema(&self) -> Value {
        json!({"type": "string", "pattern": "^[a-z0-9._-]{1,63}$"})
    }
}

impl ValueKind for PathText {
    type Out = PathBuf;

    fn read(&self, value: &Spanned<DeValue<'_>>, field: KeyUse<'_>, problems: &mut ConfigProblems<'_>) -> Option<PathBuf> {
        let directory = problems.directory().to_path_buf();
        read_text(self, value, field, problems, |text| match text {
            "" => Err((format!("`{}` is empty", field.name), String::new())),
            _ if text.contains('\0') => Err((format!("`{}` has a NUL character", field.name), String::new())),
            _ if text.starts_with("~/") => Err((
                format!("`{text}`: `~` is for shells, not for files"),
                "write the whole path, or one from the directory of this file".into(),
            )),
            _ => Ok(directory.join(text)),
        })
    }

    fn shape(&self) -> String {
        "a path, relative to the directory of this file".into()
    }

    fn schema(&self) -> Value {
        json!({"type": "string", "minLength": 1})
    }
}

impl ValueKind for PathOrNot {
    type Out = Option<PathBuf>;

    fn read(&self, value: &Spanned<DeValue<'_>>, field: KeyUse<'_>, problems: &mut ConfigProblems<'_>) -> Option<Option<PathBuf>> {
        match value.get_ref() {
            DeValue::Boolean(false) => Some(None),
            DeValue::String(_) => PathText.read(value, field, problems).map(Some),
            _ => {
                wrong_type(&self.shape(), value, field, problems);
                None
            }
        }
    }

    fn shape(&self) -> String {
        "a path, relative to the directory of this file, or `false`".into()
    }

    fn schema(&self) -> Value {
        json!({"anyOf": [PathText.schema(), {"const": false}]})
    }
}

impl ValueKind for LogFilter {
    type Out = String;

    fn read(&self, value: &Spanned<DeValue<'_>>, field: KeyUse<'_>, problems: &mut ConfigProblems<'_>) -> Option<String> {
        const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
        read_text(self, value, field, problems, |text| {
            for part in text.split(',').map(str::trim) {
                let (target, level) = part.split_once('=').unwrap_or(("", part));
                if !LEVELS.contains(&level) {
                    return Err((format!("`{level}` is not a log level"), which_word(level, LEVELS.into_iter())));
                }
                let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | ':');
                if part.contains('=') && (target.is_empty() || !target.chars().all(good)) {
                    return Err((format!("`{target}` is not a module"), "write, for example, `level = \"info,postern_dns=debug\"`".into()));
                }
            }
            Ok(text.to_string())
        })
    }

    fn shape(&self) -> String {
        "a level, or levels by module".into()
    }

    fn schema(&self) -> Value {
        json!({"type": "string", "minLength": 1})
    }
}

/// Parses `10.0.0.4`, `10.0.0.4:53`, `2001:db8::1`, `[2001:db8::1]` or `[2001:db8::1]:53`.
pub(super) fn socket_address(text: &str, port: u16) -> Option<SocketAddr> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    let address = text.parse::<IpAddr>().ok().or_else(|| bare?.parse::<IpAddr>().ok().filter(IpAddr::is_ipv6));
    address.map(|address| SocketAddr::new(address, port)).or_else(|| text.parse().ok())
}
