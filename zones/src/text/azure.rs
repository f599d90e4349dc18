//! JSON of Azure, and of Windows DNS and Route 53: private endpoints, their zone groups and network interfaces, record sets and network links.
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

mod containers;
mod endpoint;
mod others;
mod record_set;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tool_tests;
mod unused;

use std::path::PathBuf;
use std::sync::Arc;

use postern_config::azure::PrivateLinkTable;

use super::json::{self, JsonKind, JsonMember, JsonValue, Lines};
use super::names::read_absolute;
use super::report::{ProblemReport, TextError, TextResult, TextSpot, shown};
use super::{ReadSummary, decode};
use crate::name::NameBuf;
use crate::record::{RecordSink, SourceProblem};
use unused::UnusedObjects;

/// Hint for JSON without names.
const BETTER: &str = "`az network nic show` of the endpoint's interface has names and addresses in any case";

/// Reads JSON of Azure in any of its shapes. Owners are absolute; a public name of the table is given as it is written and as its private-link
/// names.
pub fn read_azure(
    text: &[u8],
    file: &Arc<PathBuf>,
    origin: &NameBuf,
    table: &PrivateLinkTable,
    sink: &mut dyn RecordSink,
    problems: &mut Vec<SourceProblem>,
) -> ReadSummary {
    let text = &*decode(text);
    let mut report = ProblemReport::new(problems);
    sink.file(file);
    if u32::try_from(text.len()).is_err() {
        report.error(file, Default::default(), *TextError::new(TextSpot::default(), "the file is larger than 4 GiB", ""));
        report.finish();
        return ReadSummary::default();
    }
    let lines = Lines::new(text);
    let mut walk = Walk {
        text,
        file,
        lines: &lines,
        origin,
        table,
        sink,
        report,
        read: ReadSummary::default(),
        known: 0,
        empty: false,
        nameless: Vec::new(),
        unused: UnusedObjects::default(),
    };
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
    /// The zone of names that are relative, which no tool of Azure writes without their zone.
    origin: &'w NameBuf,
    table: &'w PrivateLinkTable,
    sink: &'w mut dyn RecordSink,
    report: ProblemReport<'w>,
    read: ReadSummary,
    /// Objects that were understood.
    known: usize,
    /// A list or record set that is empty as it may well be.
    empty: bool,
    /// Objects that should have names and have none: errors when there is nothing else, so that the last good data is kept.
    nameless: Vec<TextError>,
    /// Objects that no record can be made of.
    unused: UnusedObjects,
}

/// An object, with the members of its `properties`.
#[derive(Clone, Copy)]
struct Object<'v> {
    at: u32,
    own: &'v [JsonMember<'v>],
    properties: &'v [JsonMember<'v>],
}

impl<'v> Object<'v> {
    fn of(value: &'v JsonValue<'v>) -> Option<Self> {
        let JsonKind::Object(own) = &value.kind else { return None };
        let mut object = Self { at: value.at, own, properties: &[] };
        if let Some(JsonValue { kind: JsonKind::Object(properties), .. }) = object.get("properties") {
            object.properties = properties;
        }
        Some(object)
    }

    /// The value of a member that is not null.
    fn get(&self, name: &str) -> Option<&'v JsonValue<'v>> {
        self.member(name).map(|member| &member.value)
    }

    /// A member that is not null, with its name as it is written.
    fn member(&self, name: &str) -> Option<&'v JsonMember<'v>> {
        let mut members = self.own.iter().chain(self.properties);
        members.find(|member| is_called(&member.name, name) && !member.value.is_null())
    }

    /// True where a member of that name is there, null or not.
    fn has(&self, name: &str) -> bool {
        self.own.iter().chain(self.properties).any(|member| is_called(&member.name, name))
    }

    fn text(&self, name: &str) -> Option<&'v str> {
        match &self.get(name)?.kind {
            JsonKind::String(text) => Some(text),
            _ => None,
        }
    }

    fn list(&self, name: &str) -> &'v [JsonValue<'v>] {
        match self.get(name) {
            Some(JsonValue { kind: JsonKind::Array(items), .. }) => items,
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
    fn all(&mut self, values: &[JsonValue<'_>]) {
        values.iter().for_each(|value| self.value(value));
        let nothing = self.read.records == 0 && self.read.links.is_empty() && !self.empty;
        let nameless = std::mem::take(&mut self.nameless);
        if nameless.is_empty() && nothing && self.known == 0 && self.report.errors() == 0 {
            let message = "no private endpoint, DNS zone group, network interface, record set or network link in it";
            let help = "what `az network private-endpoint show`, `… dns-zone-group list`, `az network nic show` and `az network private-dns record-set list` print is expected";
            self.error(*TextError::new(self.lines.spot(values.first().map_or(0, |value| value.at)), message, help));
        }
        if let Some(bad) = self.unused.warning(|at| self.lines.spot(at)) {
            self.warning(bad);
        }
        for bad in nameless {
            if nothing { self.error(bad) } else { self.warning(bad) }
        }
    }

    fn error(&mut self, bad: TextError) {
        self.report.error(self.file, bad.spot.position(self.text), bad);
    }

    fn warning(&mut self, bad: TextError) {
        self.report.warning(self.file, bad.spot.position(self.text), bad);
    }

    fn bad(&self, at: u32, message: impl Into<String>, help: impl Into<String>) -> Box<TextError> {
        TextError::new(self.lines.spot(at), message, help)
    }

    /// Anything that may hold what is looked for.
    fn value(&mut self, value: &JsonValue<'_>) {
        if let JsonKind::Array(items) = &value.kind {
            self.empty |= items.is_empty();
            for item in items {
                match Object::of(item) {
                    Some(object) => self.object(&object, true),
                    None => self.value(item),
                }
            }
        } else if let Some(object) = Object::of(value) {
            self.object(&object, false);
        }
    }

    /// An object of any kind. `is_item`: it stands in a list.
    fn object(&mut self, object: &Object<'_>, is_item: bool) {
        let kind = object.text("type").unwrap_or_default().to_ascii_lowercase();
        if object.has("urn") || object.has("mode") && (object.has("values") || object.has("instances")) || kind.starts_with("azurerm_") {
            return self.container(object, is_item);
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
        } else if object.has("fqdns") && object.has("privateIPAddress") {
            self.fqdns(object, object);
        } else if object.has("hostName") && object.has("recordData") {
            self.windows_record(object);
        } else if object.has("resourceRecords") || object.has("aliasTarget") {
            self.route53(object);
        } else {
            self.known -= 1;
            self.container(object, is_item);
        }
    }

    /// Records and problems so far: they tell whether an object had something to say.
    fn named(&self) -> (u64, usize, usize) {
        (self.read.records, self.report.errors(), self.nameless.len())
    }

    /// Goes through a list of objects; a missing one is an empty one.
    fn each(&mut self, object: &Object<'_>, name: &str, mut step: impl FnMut(&mut Self, &Object<'_>)) {
        let Some(JsonMember { name, value }) = object.member(name) else { return };
        let JsonKind::Array(items) = &value.kind else {
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
    fn name(&self, value: &JsonValue<'_>, what: &str) -> TextResult<(NameBuf, u32)> {
        let JsonKind::String(text) = &value.kind else {
            return Err(self.shape(value, what, "a name"));
        };
        let name = read_absolute(text.as_bytes());
        let name = name.map_err(|error| self.bad(value.at, format!("`{}` is not a name: {error}", shown(text.as_bytes())), ""))?;
        Ok((name, value.at))
    }

    /// A number; some tools write it as a string.
    fn number(&self, value: &JsonValue<'_>, what: &str, max: u32) -> TextResult<u32> {
        let text = match &value.kind {
            JsonKind::Number(text) => text,
            JsonKind::String(text) => &**text,
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

    fn shape(&self, value: &JsonValue<'_>, what: &str, wanted: &str) -> Box<TextError> {
        let help = match &value.kind {
            // Text that PowerShell's ConvertTo-Json writes for objects below its depth of two.
            JsonKind::String(text) if ["@{", "System.", "Microsoft.Azure.", "DnsServer"].iter().any(|start| text.starts_with(start)) => {
                "PowerShell cut it off: use `ConvertTo-Json -Depth 20`"
            }
            _ => "",
        };
        self.bad(value.at, format!("`{what}` is {} where {wanted} is expected", value.what()), help)
    }
}

/// Lines that a program wrote beside the JSON.
fn messages(spot: TextSpot, count: usize) -> Box<TextError> {
    let lines = if count == 1 { "a line of text is".into() } else { format!("{count} lines of text are") };
    let help = "`az` prints its warnings there with `2>&1`; `--only-show-errors` turns them off";
    TextError::new(spot, format!("{lines} not JSON and skipped"), help)
}

/// Returns the segment after `name` in a resource id: `…/privateDnsZones/<zone>/A/<record>`.
fn segment<'i>(id: &'i str, name: &str) -> Option<&'i str> {
    let mut parts = id.split('/');
    parts.find(|part| part.eq_ignore_ascii_case(name))?;
    parts.next().filter(|part| !part.is_empty())
}
