//! Upstreams of a route, as addresses and as tables.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use serde_json::{Value, json};
use toml::Spanned;
use toml::de::DeValue;

use super::network::{DNS_PORT, read_text, socket_address};
use super::{BoundedDuration, BoundedNumber, TrueOrFalse, ValueAt, which_word, wrong_type};
use crate::domain_name::domain;
use crate::key::{DefaultKey, KeySection, KeyUse, OptionalKey, RequiredKey, ValueKind, table_schema};
use crate::model::{ProbeQuestion, QuerySource, UpstreamConfig, UpstreamTransport};
use crate::problems::ConfigProblems;
use crate::reader::TableReader;
use crate::rtype;

/// Upstreams in any of their forms.
pub(crate) struct UpstreamList {
    /// Section of an upstream that is written as a table, and its keys.
    pub(crate) section: &'static KeySection,
    pub(crate) address: &'static RequiredKey<UpstreamAddress>,
    pub(crate) in_flight: &'static OptionalKey<BoundedNumber<u32>>,
    pub(crate) rate: &'static OptionalKey<BoundedNumber<u32>>,
    pub(crate) probe: &'static DefaultKey<ProbeText>,
    pub(crate) random_case: &'static DefaultKey<TrueOrFalse>,
    pub(crate) cookies: &'static DefaultKey<TrueOrFalse>,
    pub(crate) edns: &'static DefaultKey<TrueOrFalse>,
    pub(crate) udp_size: &'static DefaultKey<BoundedNumber<u16>>,
    pub(crate) timeout: &'static OptionalKey<BoundedDuration>,
    pub(crate) source: &'static OptionalKey<QuerySourceText>,
}

/// One upstream, written `[scheme://]address[:port]`.
pub(crate) struct UpstreamAddress;

/// A query, written `NAME TYPE`.
pub(crate) struct ProbeText;

/// Address or network interface that queries leave from.
pub(crate) struct QuerySourceText;

/// One item of a list of upstreams.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum UpstreamItem {
    /// `"system"`: the name servers of the operating system.
    System,
    /// An upstream server.
    Server(WrittenUpstream),
}

/// An upstream with the keys of its table that replace keys of its route.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct WrittenUpstream {
    pub(crate) config: UpstreamConfig,
    pub(crate) timeout: Option<Duration>,
    pub(crate) source: Option<QuerySource>,
}

impl ValueKind for UpstreamList {
    type Out = Vec<ValueAt<UpstreamItem>>;

    fn read(&self, value: &Spanned<DeValue<'_>>, field: KeyUse<'_>, problems: &mut ConfigProblems<'_>) -> Option<Self::Out> {
        let Some(items) = value.get_ref().as_array() else {
            wrong_type(&self.shape(), value, field, problems);
            return None;
        };
        let list: Vec<ValueAt<UpstreamItem>> = items
            .iter()
            .filter_map(|item| {
                let upstream = match item.get_ref() {
                    DeValue::String(text) if text == "system" => UpstreamItem::System,
                    DeValue::Table(table) => {
                        let mut reader = TableReader::open(self.section, Some(table), item.span().start, problems);
                        let at = reader.required(self.address);
                        let in_flight = reader.option(self.in_flight);
                        let rate = reader.option(self.rate);
                        let probe = reader.value(self.probe);
                        let (random_case, cookies) = (reader.value(self.random_case), reader.value(self.cookies));
                        let (edns, udp_size) = (reader.value(self.edns), reader.value(self.udp_size));
                        let (timeout, source) = (reader.option(self.timeout), reader.option(self.source));
                        let mut config = at?;
                        config.in_flight = in_flight.unwrap_or(config.in_flight);
                        config.rate = rate.unwrap_or(config.rate);
                        config.probe = probe;
                        (config.random_case, config.cookies) = (random_case, cookies);
                        (config.edns, config.udp_size) = (edns, udp_size);
                        UpstreamItem::Server(WrittenUpstream { config, timeout, source })
                    }
                    _ => {
                        let config = UpstreamAddress.read(item, field, problems)?;
                        UpstreamItem::Server(WrittenUpstream { config, timeout: None, source: None })
                    }
                };
                Some(ValueAt { value: upstream, at: item.span().start })
            })
            .collect();
        if items.is_empty() {
            problems.error(value.span().start, format!("`{}` must not be empty", field.name), field.help());
        }
        match list.iter().find(|item| item.value == UpstreamItem::System) {
            Some(system) if items.len() > 1 => {
                problems.error(
                    system.at,
                    "`system` stands alone: it is all resolvers of `/etc/resolv.conf`",
                    "write the addresses, or `[\"system\"]`",
                );
                None
            }
            _ => Some(list),
        }
    }

    fn shape(&self) -> String {
        "a list of servers".into()
    }

    fn schema(&self) -> Value {
        json!({"type": "array", "minItems": 1, "items": {"anyOf": [{"type": "string"}, table_schema(self.section)]}})
    }
}

impl ValueKind for ProbeText {
    type Out = ProbeQuestion;

    fn read(&self, value: &Spanned<DeValue<'_>>, field: KeyUse<'_>, problems: &mut ConfigProblems<'_>) -> Option<ProbeQuestion> {
        read_text(self, value, field, problems, |text| {
            let Some((name, rtype)) = text.trim().split_once(char::is_whitespace) else {
                return Err((format!("`{text}` is not a name and a type"), String::new()));
            };
            let code = rtype::type_code(rtype.trim()).ok_or_else(|| (format!("`{}` is not a record type", rtype.trim()), String::new()))?;
            match rtype::is_meta(code) {
                true => Err((format!("`{}` is a type for queries only; no zone has records of it", rtype.trim()), String::new())),
                false => Ok(ProbeQuestion { name: domain(name)?, rtype: code }),
            }
        })
    }

    fn shape(&self) -> String {
        "a name and a type".into()
    }

    fn schema(&self) -> Value {
        json!({"type": "string", "pattern": "^\\s*\\S+\\s+\\S+\\s*$"})
    }
}

impl ValueKind for QuerySourceText {
    type Out = QuerySource;

    fn read(&self, value: &Spanned<DeValue<'_>>, field: KeyUse<'_>, problems: &mut ConfigProblems<'_>) -> Option<QuerySource> {
        read_text(self, value, field, problems, |text| {
            if let Ok(address) = text.parse::<IpAddr>() {
                return match address.is_unspecified() || address.is_multicast() {
                    true => Err((format!("`{text}` is not an address that queries can leave from"), String::new())),
                    false => Ok(QuerySource::Address(address)),
                };
            }
            // As the kernel has it: dev_valid_name() of Linux.
            let is_name = (1..=15).contains(&text.len()) && text.chars().all(|c| c.is_ascii_graphic() && !"/:".contains(c));
            match is_name && text.contains(|c: char| c.is_ascii_alphabetic()) {
                true => Ok(QuerySource::Interface(text.into())),
                false => Err((format!("`{text}` is neither an address nor the name of a network interface"), String::new())),
            }
        })
    }

    fn shape(&self) -> String {
        "an address or the name of a network interface".into()
    }

    fn schema(&self) -> Value {
        json!({"type": "string", "minLength": 1})
    }
}

impl ValueKind for UpstreamAddress {
    type Out = UpstreamConfig;

    fn read(&self, value: &Spanned<DeValue<'_>>, field: KeyUse<'_>, problems: &mut ConfigProblems<'_>) -> Option<UpstreamConfig> {
        read_text(self, value, field, problems, upstream)
    }

    fn shape(&self) -> String {
        "the address of a server".into()
    }

    fn schema(&self) -> Value {
        json!({"type": "string"})
    }
}

/// Parses an upstream from one word, with the known limits of its address. The error is the message
/// and the help.
fn upstream(text: &str) -> Result<UpstreamConfig, (String, String)> {
    let (transport, place) = match text.split_once("://") {
        None => (UpstreamTransport::Udp, text),
        Some(("udp", place)) => (UpstreamTransport::Udp, place),
        Some(("tcp", place)) => (UpstreamTransport::Tcp, place),
        Some((scheme @ ("tls" | "https" | "quic"), place)) => {
            let name = match scheme {
                "tls" => "TLS",
                "https" => "HTTPS",
                _ => "QUIC",
            };
            let place = place.split('/').next().unwrap_or(place);
            let plain = socket_address(place, DNS_PORT).map_or("168.63.129.16".into(), |address| address.ip().to_string());
            return Err((
                format!("`{text}`: this version does not speak DNS over {name} to upstreams yet"),
                format!("write `udp://` or `tcp://`, such as `tcp://{plain}`"),
            ));
        }
        Some((scheme, _)) => {
            return Err((
                format!("`{text}`: `{scheme}://` is no way to reach an upstream"),
                which_word(scheme, ["udp", "tcp"].into_iter()),
            ));
        }
    };
    let unscoped = scope(place).map_err(|name| {
        (format!("`{text}`: this machine has no network interface `{name}`"), "write a name that `ip link` shows, or its number".into())
    })?;
    let (place, scope) = unscoped.as_ref().map_or((place, 0), |(place, scope)| (place.as_str(), *scope));
    let Some(mut address) = socket_address(place, DNS_PORT) else {
        let help = if scope != 0 {
            "write `fe80::1%eth0` or `[fe80::1%eth0]:53`".into()
        } else if place.contains(|c: char| c.is_ascii_alphabetic()) && !place.contains("::") {
            "write its address: a name would have to be resolved by the server that is being set up".into()
        } else if place.matches(':').count() > 1 && !place.starts_with('[') {
            "write an IPv6 address with a port as `[2001:db8::1]:53`".into()
        } else {
            String::new()
        };
        return Err((format!("`{text}` is not the address of an upstream"), help));
    };
    let ip = address.ip();
    if address.port() == 0 {
        return Err((format!("`{text}`: no server listens on port 0"), String::new()));
    }
    if ip.is_unspecified() || ip.is_multicast() || ip == IpAddr::from([255, 255, 255, 255]) {
        return Err((format!("`{text}` is not the address of one server"), String::new()));
    }
    if let SocketAddr::V6(address) = &mut address {
        if !address.ip().is_unicast_link_local() && scope != 0 {
            return Err((format!("`{text}`: only link-local addresses (fe80::/10) have a scope"), format!("write `{}`", address.ip())));
        }
        if address.ip().is_unicast_link_local() && scope == 0 {
            let message = format!("`{text}` is a link-local address, which needs the name of the interface");
            return Err((message, format!("write, for example, `{}%eth0` or `[{}%eth0]:53`", address.ip(), address.ip())));
        }
        address.set_scope_id(scope);
    }
    Ok(UpstreamConfig::new(address, transport))
}

/// Parses the address of a server. A link-local one must have the name of an interface of this machine: `fe80::1%eth0`.
pub fn scoped_address(text: &str, port: u16) -> Option<SocketAddr> {
    let unscoped = scope(text).ok()?;
    let (text, scope) = unscoped.as_ref().map_or((text, 0), |(text, scope)| (text.as_str(), *scope));
    let mut address = socket_address(text, port)?;
    if let SocketAddr::V6(address) = &mut address {
        if address.ip().is_unicast_link_local() && scope == 0 {
            return None;
        }
        address.set_scope_id(scope);
    }
    Some(address)
}

/// Takes the scope out of `fe80::1%eth0` and `[fe80::1%eth0]:53`. Returns `None` if there is none. The error is the name of an
/// interface that does not exist.
fn scope(text: &str) -> Result<Option<(String, u32)>, String> {
    let Some((before, behind)) = text.split_once('%') else { return Ok(None) };
    let (name, rest) = behind.find(']').map_or((behind, ""), |end| behind.split_at(end));
    let scope = name.parse().ok().or_else(|| interface(name)).filter(|scope| *scope != 0).ok_or_else(|| name.to_owned())?;
    Ok(Some((format!("{before}{rest}"), scope)))
}

/// Returns the number of a network interface.
fn interface(name: &str) -> Option<u32> {
    if name.contains('/') || name.trim_matches('.').is_empty() {
        return None; // part of a path, not a name
    }
    std::fs::read_to_string(format!("/sys/class/net/{name}/ifindex")).ok()?.trim().parse().ok()
}
