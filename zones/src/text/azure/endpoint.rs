//! Private endpoints, their DNS zone groups and network interfaces, and links of zones to networks.

use super::super::hosts::{address, unmapped, write_address};
use super::super::json::{JsonKind, JsonValue};
use super::super::report::{TextError, TextResult, TextSpot, shown};
use super::super::{AZURE_TTL, AzureLink, spellings};
use super::{BETTER, Object, Walk, record_set, segment};
use crate::name::{NameBuf, is_private_link};
use crate::record::RecordRef;

impl Walk<'_> {
    pub(super) fn endpoint(&mut self, object: &Object<'_>) {
        for name in ["privateLinkServiceConnections", "manualPrivateLinkServiceConnections"] {
            for connection in object.list(name).iter().filter_map(Object::of) {
                let state = connection.get("privateLinkServiceConnectionState").and_then(Object::of);
                let Some(JsonValue { at, kind: JsonKind::String(status) }) = state.as_ref().and_then(|state| state.get("status")) else {
                    continue;
                };
                if !status.eq_ignore_ascii_case("Approved") {
                    let help = "its addresses are served, but nothing answers there until it is approved";
                    self.warning(*self.bad(*at, format!("the private endpoint's connection is {}", shown(status.as_bytes())), help));
                }
            }
        }
        let before = self.named();
        self.each(object, "customDnsConfigs", |walk, item| walk.addresses(item, None));
        if object.has("privateDnsZoneConfigs") {
            self.zone_group(object);
        }
        self.each(object, "privateDnsZoneGroups", Self::zone_group);
        if self.named() != before {
            return;
        }
        let static_address = object.list("ipConfigurations").first().map(|item| item.at);
        let bad = match (static_address, object.get("customDnsConfigs")) {
            (Some(at), _) => no_names(self.lines.spot(at)),
            (None, list) => {
                let at = list.map_or(object.at, |list| list.at);
                let help = format!("with a DNS zone group the names are in `az network private-endpoint dns-zone-group list`; {BETTER}");
                self.bad(at, "the private endpoint lists no names: `customDnsConfigs` is empty", help)
            }
        };
        self.nameless.push(*bad);
    }

    pub(super) fn zone_group(&mut self, object: &Object<'_>) {
        self.each(object, "privateDnsZoneConfigs", Self::zone_config);
    }

    pub(super) fn zone_config(&mut self, object: &Object<'_>) {
        let zone = object.text("privateDnsZoneId").and_then(|id| segment(id, "privateDnsZones"));
        let before = self.named();
        self.each(object, "recordSets", |walk, item| walk.addresses(item, zone));
        if self.named() == before {
            let zone = zone.or(object.text("name")).unwrap_or_default();
            let message = format!("the DNS zone group lists no records of `{}`", shown(zone.as_bytes()));
            let bad = self.bad(object.at, message, BETTER);
            self.nameless.push(*bad);
        }
    }

    pub(super) fn interface(&mut self, object: &Object<'_>) {
        let before = self.named();
        let mut asked = None;
        self.each(object, "ipConfigurations", |walk, item| {
            if item.has("memberName") {
                asked.get_or_insert(item.at);
            }
            if item.has("privateLinkConnectionProperties") {
                walk.interface_address(item);
            }
        });
        if self.named() != before {
            return;
        }
        if let Some(at) = asked {
            // Part of an endpoint, cut out by `--query`: it never had names to lose. A whole one that has none is an error.
            return self.warning(*no_names(self.lines.spot(at)));
        }
        let at = object.get("ipConfigurations").map_or(object.at, |list| list.at);
        let help = "the interface of a private endpoint has `privateLinkConnectionProperties.fqdns`";
        let bad = self.bad(at, "the network interface has no names of a private endpoint", help);
        self.nameless.push(*bad);
    }

    /// One address of an endpoint's interface, with the public names that lead to it.
    pub(super) fn interface_address(&mut self, object: &Object<'_>) {
        if let Some(properties) = object.get("privateLinkConnectionProperties").and_then(Object::of) {
            self.fqdns(object, &properties);
        }
    }

    /// The names in `fqdns` of `properties`, with the address of `object`.
    pub(super) fn fqdns(&mut self, object: &Object<'_>, properties: &Object<'_>) {
        let names = match properties.get("fqdns") {
            None => return,
            Some(JsonValue { kind: JsonKind::Array(names), .. }) => names,
            Some(other) => return self.error(*self.shape(other, "fqdns", "a list of names")),
        };
        if names.is_empty() {
            return;
        }
        let Some(address) = object.get("privateIPAddress") else {
            return self.error(*self.bad(object.at, "an address configuration with names lacks `privateIPAddress`", ""));
        };
        for name in names {
            let outcome = self.name(name, "fqdns").and_then(|(name, written)| self.give(&name, written, &[address], None));
            if let Err(bad) = outcome {
                self.error(*bad);
            }
        }
    }

    /// `fqdn` or a name in `zone`, with `ipAddresses`.
    pub(super) fn addresses(&mut self, object: &Object<'_>, zone: Option<&str>) {
        if let Err(bad) = self.try_addresses(object, zone) {
            self.error(*bad);
        }
    }

    fn try_addresses(&mut self, object: &Object<'_>, zone: Option<&str>) -> TextResult<()> {
        let zone_name = zone.and_then(|zone| NameBuf::parse(zone).ok());
        let fqdn = object.get("fqdn").map(|value| self.name(value, "fqdn")).transpose()?;
        let relative = object.get("recordSetName").or(object.get("name"));
        let (name, written) = match (fqdn, relative, zone) {
            (Some((name, at)), None, _) | (Some((name, at)), _, None) => (name, at),
            // A record set belongs to its zone even where `fqdn` should be the public name.
            (Some((name, at)), Some(_), Some(_))
                if is_private_link(&name) || zone_name.as_ref().is_some_and(|zone| name.is_under(zone.as_wire())) =>
            {
                (name, at)
            }
            (_, Some(relative), Some(zone)) => (record_set::name_in(self, relative, zone)?, relative.at),
            (None, ..) => return Err(self.bad(object.at, "`fqdn` is missing", "")),
        };
        let ttl = object.get("ttl").map(|value| self.number(value, "ttl", i32::MAX as u32)).transpose()?;
        let words: Vec<JsonValue<'_>>;
        let addresses: Vec<&JsonValue<'_>> = match object.get("ipAddresses") {
            None => Vec::new(),
            // PowerShell writes a list below its depth as one string.
            Some(JsonValue { at, kind: JsonKind::String(text) }) => {
                words = text.split_whitespace().map(|word| JsonValue { at: *at, kind: JsonKind::String(word.into()) }).collect();
                words.iter().collect()
            }
            Some(JsonValue { kind: JsonKind::Array(addresses), .. }) => addresses.iter().collect(),
            Some(other) => return Err(self.shape(other, "ipAddresses", "a list of addresses")),
        };
        if addresses.is_empty() {
            let bad = self.bad(written, format!("`{}` has no address", name.without_dot()), "");
            self.nameless.push(*bad);
            return Ok(());
        }
        self.give(&name, written, &addresses, ttl)
    }

    /// Gives the sink a written name's addresses, under each of the names that it may stand for.
    pub(super) fn give(&mut self, name: &NameBuf, written: u32, addresses: &[&JsonValue<'_>], ttl: Option<u32>) -> TextResult<()> {
        let owners = spellings(name, self.table);
        if owners.len() == 1 && !is_private_link(name) {
            let spot = self.lines.spot(written);
            self.warning(unmapped(spot, name.without_dot().as_bytes()));
        }
        let at = self.lines.spot(written).position(self.text);
        for value in addresses {
            let JsonKind::String(text) = &value.kind else {
                return Err(self.shape(value, "an address", "a string"));
            };
            let Some(address) = address(text.trim().as_bytes()) else {
                return Err(self.bad(value.at, format!("`{}` is not an IP address", shown(text.as_bytes())), ""));
            };
            let mut octets = Vec::with_capacity(16);
            let rtype = write_address(address, &mut octets);
            for owner in &owners {
                self.sink.record(RecordRef { owner, rtype, ttl: ttl.or(Some(AZURE_TTL)), rdata: &octets, at });
                self.read.records += 1;
            }
        }
        Ok(())
    }

    pub(super) fn link(&mut self, object: &Object<'_>) {
        let id = object.text("id").unwrap_or_default();
        let zone = segment(id, "privateDnsZones").or(object.text("privateDnsZoneName")).or(object.text("zoneName")).unwrap_or_default();
        let network = object.get("virtualNetwork").and_then(Object::of);
        let network = network.and_then(|network| network.text("id")).or(object.text("virtualNetworkId")).unwrap_or_default();
        self.read.links.push(AzureLink {
            zone: zone.trim_end_matches('.').to_ascii_lowercase(),
            name: object.text("name").unwrap_or_default().to_owned(),
            network: network.to_owned(),
            resolution_policy: object.text("resolutionPolicy").map(str::to_owned),
            at: self.lines.spot(object.at).position(self.text),
        });
    }
}

fn no_names(spot: TextSpot) -> Box<TextError> {
    TextError::new(
        spot,
        "`ipConfigurations` has addresses but no names: no record comes of it",
        format!(
            "a private endpoint lists there the addresses that were asked for, by member; `customDnsConfigs` has the names, and {BETTER}"
        ),
    )
}
