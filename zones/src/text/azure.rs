//! Azure's JSON: private endpoints, their zone groups and network interfaces, record sets and network links.
//!
//! One walk for all tools, because they give the same objects in different dress. The command line puts `properties` into the object around it,
//! REST and Resource Graph do not, Terraform writes `custom_dns_configs`, PowerShell `CustomDnsConfigs`, older command lines
//! `privateIpAddress` and `null` for what is absent. So: names are compared without case and `_`, null is absent, and members of `properties` are
//! members of the object.
//!
//! | object | names in it |
//! |---|---|
//! | private endpoint, `customDnsConfigs` | public; empty once a DNS zone group is attached |
//! | network interface of one, `privateLinkConnectionProperties.fqdns` | public |
//! | DNS zone group, `recordSets` | private-link |
//! | record set of a private zone | in the zone |

mod record_set;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;

use postern_config::azure::PrivateLinkTable;

use super::hosts::{address, unmapped, write_address};
use super::json::{self, Kind, Lines, Member, Value};
use super::names::read_absolute;
use super::report::{Bad, Outcome, Report, Spot, shown};
use super::{AZURE_TTL, Link, Read, decode, spellings};
use crate::name::{NameBuf, is_private_link};
use crate::record::{Problem, RecordRef, RecordSink};

/// Hint for JSON without names.
const BETTER: &str = "`az network nic show` of the endpoint's interface has names and addresses in any case";

/// Reads JSON of Azure in any of its shapes. Owners are absolute; a public name of the table is given as it is written and as its private-link
/// names.
pub fn read_azure(
    text: &[u8],
    file: &Arc<PathBuf>,
    table: &PrivateLinkTable,
    sink: &mut dyn RecordSink,
    problems: &mut Vec<Problem>,
) -> Read {
    let text = &*decode(text);
    let mut report = Report::new(problems);
    sink.file(file);
    if u32::try_from(text.len()).is_err() {
        report.error(file, Default::default(), *Bad::new(Spot::default(), "the file is larger than 4 GiB", ""));
        report.finish();
        return Read::default();
    }
    let lines = Lines::new(text);
    let mut walk =
        Walk { text, file, lines: &lines, table, sink, report, read: Read::default(), known: 0, empty: false, nameless: Vec::new() };
    let documents = json::read_documents(text, &lines);
    if let Some((at, count)) = documents.messages {
        walk.warning(*messages(lines.spot(at), count));
    }
    match documents.error {
        None => walk.all(&documents.values),
        Some(bad) => walk.error(*bad),
    }
    let Walk { report, read, .. } = walk;
    report.finish();
    read
}

/// One run over a file.
struct Walk<'w> {
    text: &'w [u8],
    file: &'w Arc<PathBuf>,
    lines: &'w Lines,
    table: &'w PrivateLinkTable,
    sink: &'w mut dyn RecordSink,
    report: Report<'w>,
    read: Read,
    /// Objects that were understood.
    known: usize,
    /// A list or record set that is empty as it may well be.
    empty: bool,
    /// Objects that should have names and have none: errors when there is nothing else, so that the last good data is kept.
    nameless: Vec<Bad>,
}

/// An object, with the members of its `properties`.
#[derive(Clone, Copy)]
struct Object<'v> {
    at: u32,
    own: &'v [Member<'v>],
    properties: &'v [Member<'v>],
}

impl<'v> Object<'v> {
    fn of(value: &'v Value<'v>) -> Option<Self> {
        let Kind::Object(own) = &value.kind else { return None };
        let mut object = Self { at: value.at, own, properties: &[] };
        if let Some(Value { kind: Kind::Object(properties), .. }) = object.get("properties") {
            object.properties = properties;
        }
        Some(object)
    }

    /// The value of a member that is not null.
    fn get(&self, name: &str) -> Option<&'v Value<'v>> {
        self.member(name).map(|member| &member.value)
    }

    /// A member that is not null, with its name as it is written.
    fn member(&self, name: &str) -> Option<&'v Member<'v>> {
        let mut members = self.own.iter().chain(self.properties);
        members.find(|member| is_called(&member.name, name) && !member.value.is_null())
    }

    /// True where a member of that name is there, null or not.
    fn has(&self, name: &str) -> bool {
        self.own.iter().chain(self.properties).any(|member| is_called(&member.name, name))
    }

    fn text(&self, name: &str) -> Option<&'v str> {
        match &self.get(name)?.kind {
            Kind::String(text) => Some(text),
            _ => None,
        }
    }

    fn list(&self, name: &str) -> &'v [Value<'v>] {
        match self.get(name) {
            Some(Value { kind: Kind::Array(items), .. }) => items,
            _ => &[],
        }
    }
}

/// True where a member's name is `name` but for case and `_`.
fn is_called(member: &str, name: &str) -> bool {
    let mut wanted = name.bytes();
    for byte in member.bytes().filter(|byte| *byte != b'_') {
        if !wanted.next().is_some_and(|wanted| wanted.eq_ignore_ascii_case(&byte)) {
            return false;
        }
    }
    wanted.next().is_none()
}

impl Walk<'_> {
    fn all(&mut self, values: &[Value<'_>]) {
        values.iter().for_each(|value| self.value(value));
        let nothing = self.read.records == 0 && self.read.links.is_empty() && !self.empty;
        let nameless = std::mem::take(&mut self.nameless);
        if nameless.is_empty() && nothing && self.known == 0 && self.report.errors() == 0 {
            let message = "no private endpoint, DNS zone group, network interface, record set or network link in it";
            let help = "what `az network private-endpoint show`, `… dns-zone-group list`, `az network nic show` and `az network private-dns record-set list` print is expected";
            self.error(*Bad::new(self.lines.spot(values.first().map_or(0, |value| value.at)), message, help));
        }
        for bad in nameless {
            if nothing { self.error(bad) } else { self.warning(bad) }
        }
    }

    fn error(&mut self, bad: Bad) {
        self.report.error(self.file, bad.spot.position(self.text), bad);
    }

    fn warning(&mut self, bad: Bad) {
        self.report.warning(self.file, bad.spot.position(self.text), bad);
    }

    fn bad(&self, at: u32, message: impl Into<String>, help: impl Into<String>) -> Box<Bad> {
        Bad::new(self.lines.spot(at), message, help)
    }

    /// Anything that may hold what is looked for.
    fn value(&mut self, value: &Value<'_>) {
        if let Kind::Array(items) = &value.kind {
            self.empty |= items.is_empty();
            items.iter().for_each(|item| self.value(item));
        } else if let Some(object) = Object::of(value) {
            self.object(&object);
        }
    }

    fn object(&mut self, object: &Object<'_>) {
        let kind = object.text("type").unwrap_or_default().to_ascii_lowercase();
        if let Some(resource) = kind.strip_prefix("azurerm_") {
            return self.terraform(resource, object);
        }
        self.known += 1;
        if kind.ends_with("/virtualnetworklinks") || object.has("resolutionPolicy") || object.has("virtualNetworkLinkState") {
            self.link(object);
        } else if let Some(rtype) = record_set::type_of(object, &kind) {
            self.record_set(object, rtype);
        } else if kind.ends_with("/privateendpoints") || object.has("customDnsConfigs") || object.has("privateLinkServiceConnections") {
            self.endpoint(object);
        } else if object.has("privateDnsZoneConfigs") {
            self.zone_group(object);
        } else if object.has("ipConfigurations") {
            self.interface(object);
        } else if object.has("privateLinkConnectionProperties") {
            self.interface_address(object);
        } else if object.has("recordSets") {
            self.zone_config(object);
        } else if object.has("fqdn") && object.has("ipAddresses") {
            self.addresses(object, None);
        } else {
            self.known -= 1;
            self.container(object);
        }
    }

    /// Lists in the dress of a tool.
    fn container(&mut self, object: &Object<'_>) {
        const LISTS: [&str; 8] = ["value", "data", "values", "plannedValues", "rootModule", "childModules", "resources", "attributes"];
        for name in LISTS {
            if let Some(inside) = object.get(name) {
                self.value(inside);
            }
        }
        for name in ["nextLink", "skipToken"] {
            if let Some(next) = object.get(name).filter(|next| !matches!(&next.kind, Kind::String(text) if text.is_empty())) {
                self.warning(*self.bad(
                    next.at,
                    "the list goes on: this is its first page alone",
                    "`az … list` and `az graph query --first 1000` give all of it",
                ));
            }
        }
    }

    /// A resource of `terraform show -json`, or of a state file (`instances[].attributes`).
    fn terraform(&mut self, resource: &str, object: &Object<'_>) {
        let mut insides: Vec<&Value<'_>> = object.get("values").into_iter().collect();
        for instance in object.list("instances") {
            insides.extend(Object::of(instance).and_then(|instance| instance.get("attributes")));
        }
        for inside in insides.into_iter().filter_map(Object::of) {
            self.known += 1;
            match resource {
                "private_endpoint" => self.endpoint(&inside),
                "private_dns_zone_virtual_network_link" => self.link(&inside),
                _ => match record_set::terraform_type(resource) {
                    Some(rtype) => self.record_set(&inside, rtype),
                    // Everything else that a configuration makes.
                    None => self.known -= 1,
                },
            }
        }
    }

    fn endpoint(&mut self, object: &Object<'_>) {
        for name in ["privateLinkServiceConnections", "manualPrivateLinkServiceConnections"] {
            for connection in object.list(name).iter().filter_map(Object::of) {
                let state = connection.get("privateLinkServiceConnectionState").and_then(Object::of);
                let Some(Value { at, kind: Kind::String(status) }) = state.as_ref().and_then(|state| state.get("status")) else { continue };
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

    fn zone_group(&mut self, object: &Object<'_>) {
        self.each(object, "privateDnsZoneConfigs", Self::zone_config);
    }

    fn zone_config(&mut self, object: &Object<'_>) {
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

    fn interface(&mut self, object: &Object<'_>) {
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
    fn interface_address(&mut self, object: &Object<'_>) {
        let Some(properties) = object.get("privateLinkConnectionProperties").and_then(Object::of) else { return };
        let names = match properties.get("fqdns") {
            None => return,
            Some(Value { kind: Kind::Array(names), .. }) => names,
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
    fn addresses(&mut self, object: &Object<'_>, zone: Option<&str>) {
        if let Err(bad) = self.try_addresses(object, zone) {
            self.error(*bad);
        }
    }

    fn try_addresses(&mut self, object: &Object<'_>, zone: Option<&str>) -> Outcome<()> {
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
        let addresses: Vec<&Value<'_>> = match object.get("ipAddresses") {
            None => Vec::new(),
            Some(Value { kind: Kind::Array(addresses), .. }) => addresses.iter().collect(),
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
    fn give(&mut self, name: &NameBuf, written: u32, addresses: &[&Value<'_>], ttl: Option<u32>) -> Outcome<()> {
        let owners = spellings(name, self.table);
        if owners.len() == 1 && !is_private_link(name) {
            let spot = self.lines.spot(written);
            self.warning(unmapped(spot, name.without_dot().as_bytes()));
        }
        let at = self.lines.spot(written).position(self.text);
        for value in addresses {
            let Kind::String(text) = &value.kind else {
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

    fn link(&mut self, object: &Object<'_>) {
        let id = object.text("id").unwrap_or_default();
        let zone = segment(id, "privateDnsZones").or(object.text("privateDnsZoneName")).unwrap_or_default();
        let network = object.get("virtualNetwork").and_then(Object::of);
        let network = network.and_then(|network| network.text("id")).or(object.text("virtualNetworkId")).unwrap_or_default();
        self.read.links.push(Link {
            zone: zone.trim_end_matches('.').to_ascii_lowercase(),
            name: object.text("name").unwrap_or_default().to_owned(),
            network: network.to_owned(),
            resolution_policy: object.text("resolutionPolicy").map(str::to_owned),
            at: self.lines.spot(object.at).position(self.text),
        });
    }

    /// Records and problems so far: they tell whether an object had something to say.
    fn named(&self) -> (u64, usize, usize) {
        (self.read.records, self.report.errors(), self.nameless.len())
    }

    /// Goes through a list of objects; a missing one is an empty one.
    fn each(&mut self, object: &Object<'_>, name: &str, mut step: impl FnMut(&mut Self, &Object<'_>)) {
        let Some(Member { name, value }) = object.member(name) else { return };
        let Kind::Array(items) = &value.kind else {
            return self.error(*self.shape(value, name, "a list"));
        };
        for item in items.iter().filter(|item| !item.is_null()) {
            match Object::of(item) {
                Some(item) => step(self, &item),
                None => self.error(*self.shape(item, &format!("{name}[]"), "an object")),
            }
        }
    }

    /// A name that is absolute, with or without its final dot, and where it stands.
    fn name(&self, value: &Value<'_>, what: &str) -> Outcome<(NameBuf, u32)> {
        let Kind::String(text) = &value.kind else {
            return Err(self.shape(value, what, "a name"));
        };
        let name = read_absolute(text.as_bytes());
        let name = name.map_err(|error| self.bad(value.at, format!("`{}` is not a name: {error}", shown(text.as_bytes())), ""))?;
        Ok((name, value.at))
    }

    /// A number; some tools write it as a string.
    fn number(&self, value: &Value<'_>, what: &str, max: u32) -> Outcome<u32> {
        let text = match &value.kind {
            Kind::Number(text) => text,
            Kind::String(text) => &**text,
            _ => return Err(self.shape(value, what, "a number")),
        };
        let number = super::rdata::decimal(text.as_bytes()).filter(|number| *number <= max);
        number.ok_or_else(|| {
            self.bad(
                value.at,
                format!("`{}` cannot be `{what}`", shown(text.as_bytes())),
                format!("a whole number from 0 to {max} is expected"),
            )
        })
    }

    fn shape(&self, value: &Value<'_>, what: &str, wanted: &str) -> Box<Bad> {
        let help = match &value.kind {
            // What PowerShell's ConvertTo-Json leaves of objects below its depth of two.
            Kind::String(text) if text.starts_with("@{") || text.starts_with("System.") => {
                "PowerShell cut it off: use `ConvertTo-Json -Depth 20`"
            }
            _ => "",
        };
        self.bad(value.at, format!("`{what}` is {} where {wanted} is expected", value.what()), help)
    }
}

/// Lines that a program wrote beside the JSON.
fn messages(spot: Spot, count: usize) -> Box<Bad> {
    let lines = if count == 1 { "a line of text is".into() } else { format!("{count} lines of text are") };
    let help = "`az` prints its warnings there with `2>&1`; `--only-show-errors` turns them off";
    Bad::new(spot, format!("{lines} not JSON and skipped"), help)
}

fn no_names(spot: Spot) -> Box<Bad> {
    Bad::new(
        spot,
        "`ipConfigurations` has addresses but no names: no record comes of it",
        format!(
            "a private endpoint lists there the addresses that were asked for, by member; `customDnsConfigs` has the names, and {BETTER}"
        ),
    )
}

/// What stands behind `name` in a resource id: `…/privateDnsZones/<zone>/A/<record>`.
fn segment<'i>(id: &'i str, name: &str) -> Option<&'i str> {
    let mut parts = id.split('/');
    parts.find(|part| part.eq_ignore_ascii_case(name))?;
    parts.next().filter(|part| !part.is_empty())
}
