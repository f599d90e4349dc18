//! The private-link table: which public names stand for which private-link names, and in which zone.
//!
//! The table is data (`data/privatelink-zones.json`, one row a service) that ships in the binary and that a file of the same shape can
//! extend. A row names its zones, the public zones one forwards for them, and, where taking the label `privatelink` out of
//! the zone does not give the public name, pairs of names. Holes in braces stand for one label.
//!
//! ```
//! let table = postern_config::azure::Table::builtin();
//! assert_eq!(
//!     table.private_names("contosows-fhir1.fhir.azurehealthcareapis.com"),
//!     [
//!         "contosows-fhir1.fhir.privatelink.azurehealthcareapis.com", // what the portal makes
//!         "contosows-fhir1.privatelink.fhir.azurehealthcareapis.com", // what the documents said until 2025
//!     ]
//! );
//! assert_eq!(table.private_names("contoso-kv.vault.azure.net"), ["contoso-kv.privatelink.vaultcore.azure.net"]);
//! ```

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::{Arc, LazyLock};

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::diagnostic::{Diagnostic, Lines};
use pattern::{Bound, Pattern};

mod pattern;

/// The labels that Azure puts into the public chain of a resource with a private endpoint.
pub const PRIVATE_LINK_LABELS: [&str; 2] = ["privatelink", "privatelink-global"];

/// Changes of one character that make a name another one that was not meant.
const MOST_APART: usize = 3;

/// Every private-link zone known, with the public names that lead there.
#[derive(Debug, Clone)]
pub struct Table {
    rows: Vec<Row>,
    regions: BTreeMap<String, String>,
    /// Public name to private-link name, most likely first for one public name.
    rules: Vec<Rule>,
    /// Rules by the fixed end of their public name.
    by_end: HashMap<String, Vec<usize>>,
    /// The same ends in wire form, with the number of labels a public name has in front.
    public_ends: HashMap<Box<[u8]>, Heads, foldhash::fast::RandomState>,
    zones: Vec<Pattern>,
}

/// One service, or one way to lay out its zones.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// `commercial`, `usgovernment`, `china`, or a word of one's own.
    #[serde(default = "own_cloud")]
    pub cloud: String,
    /// The service as the documents call it.
    pub service: String,
    /// ARM resource type.
    #[serde(default, rename = "type")]
    pub resource_type: String,
    /// Group identifiers of its private endpoints.
    #[serde(default)]
    pub subresources: Vec<String>,
    /// Private-link zones.
    pub zones: Vec<String>,
    /// Public zones that one forwards.
    #[serde(default)]
    pub forward: Vec<String>,
    /// Whether this is what Azure makes today.
    #[serde(default)]
    pub status: Status,
    /// Public name and private-link name, where they are not told from the zones.
    #[serde(default)]
    pub names: Vec<(String, String)>,
    /// What to know about it.
    #[serde(default)]
    pub note: String,
}

/// Whether a row is what Azure makes today. The order is the order of likelihood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It is.
    #[default]
    Current,
    /// For an older product.
    Legacy,
    /// Seen, but not in the documents.
    Alternate,
    /// The documents said so once.
    Superseded,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    public: Pattern,
    private: Pattern,
    status: Status,
    /// Its number in the order of the rows, where a row names first what people use first.
    order: usize,
}

/// Labels that a public name may have in front of a fixed end.
#[derive(Debug, Clone, Copy)]
struct Heads {
    least: usize,
    most: usize,
}

static BUILTIN: LazyLock<Arc<Table>> = LazyLock::new(|| {
    let rows = serde_json::from_str(include_str!("../data/privatelink-zones.json")).expect("a test reads the rows that ship");
    let regions = serde_json::from_str(include_str!("../data/region-codes.json")).expect("a test reads the regions that ship");
    Arc::new(Table::new(rows, regions).expect("a test reads the table that ships"))
});

impl Table {
    /// The table that ships in the binary.
    pub fn builtin() -> &'static Self {
        &BUILTIN
    }

    /// The same, to be kept.
    pub fn shared() -> Arc<Self> {
        Arc::clone(&BUILTIN)
    }

    /// This table with the rows of a file: a JSON list in the shape of the built-in one. A row replaces all rows of the same cloud
    /// and service; one without zones removes them.
    pub fn extended(&self, text: &str, file: &Path) -> Result<Self, Vec<Diagnostic>> {
        let lines = Lines::new(file, text);
        let raw: Vec<&RawValue> = serde_json::from_str(text).map_err(|error| {
            let offset = lines.offset(error.line(), error.column());
            vec![lines.error(
                offset,
                format!("not a JSON list of rows: {}", without_position(&error)),
                "the shape is that of the built-in table",
            )]
        })?;
        let mut added: Vec<Row> = Vec::new();
        let mut problems = Vec::new();
        for value in raw {
            let offset = value.get().as_ptr() as usize - text.as_ptr() as usize;
            match serde_json::from_str::<Row>(value.get()) {
                Ok(row) => match row.rules() {
                    Ok(_) => added.push(row),
                    Err(message) => problems.push(lines.error(
                        offset,
                        message,
                        "labels are lower-case letters, digits, `-` and `_`; a hole is `{word}`",
                    )),
                },
                Err(error) => {
                    let inside = Lines::new(file, value.get()).offset(error.line(), error.column());
                    problems.push(lines.error(offset + inside, format!("bad row: {}", without_position(&error)), ""));
                }
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let replaced = |old: &Row| added.iter().any(|new| new.cloud == old.cloud && new.service == old.service);
        let mut rows: Vec<Row> = self.rows.iter().filter(|old| !replaced(old)).cloned().collect();
        rows.extend(added.iter().filter(|row| !row.zones.is_empty()).cloned());
        Self::new(rows, self.regions.clone()).map_err(|message| vec![crate::diagnostic::whole_file(file, message, "")])
    }

    /// The private-link names that a public name may stand for, most likely first; empty where the table does not know it.
    pub fn private_names(&self, public: &str) -> Vec<String> {
        let public = plain(public);
        if is_private_link(&public) {
            return Vec::new();
        }
        let mut names = Vec::new();
        for rule in self.rules_for(&public) {
            if let Some(name) = rule.public.fits(&public).and_then(|bound| rule.private.fill(&bound))
                && !names.contains(&name)
            {
                names.push(name);
            }
        }
        names
    }

    /// The public names that a private-link name may stand for, most likely first.
    pub fn public_names(&self, private: &str) -> Vec<String> {
        let private = plain(private);
        let mut names = Vec::new();
        for rule in &self.rules {
            if let Some(name) = rule.private.fits(&private).and_then(|bound| rule.public.fill(&bound))
                && !names.contains(&name)
            {
                names.push(name);
            }
        }
        names
    }

    /// The zone in which Azure keeps a private-link name: from the label `privatelink` on, else the longest zone of the table.
    pub fn private_zone_of<'n>(&self, private: &'n str) -> Option<&'n str> {
        let private = private.strip_suffix('.').unwrap_or(private);
        suffixes(private)
            .find(|suffix| suffix.split('.').next().is_some_and(is_private_link_label))
            .or_else(|| suffixes(private).find(|suffix| self.zones.iter().any(|zone| zone.fits(&plain(suffix)).is_some())))
    }

    /// True for a private-link zone: it has one of the [`PRIVATE_LINK_LABELS`], or is a zone of the table.
    pub fn is_private_link_zone(&self, zone: &str) -> bool {
        is_private_link(zone) || self.knows_zone(zone)
    }

    /// True where `zone` is a private-link zone of the table.
    pub fn knows_zone(&self, zone: &str) -> bool {
        let zone = plain(zone);
        self.zones.iter().any(|pattern| pattern.fits(&zone).is_some())
    }

    /// The public zones whose names lead into `zone`: what one forwards for it, the most used first. Empty where the table does not know the zone.
    pub fn public_forwarders(&self, zone: &str) -> Vec<String> {
        let zone = plain(zone);
        let mut rules: Vec<&Rule> = self.rules.iter().collect();
        rules.sort_by_key(|rule| (rule.status, rule.order));
        let mut found: Vec<String> = Vec::new();
        for rule in rules {
            let public = if let Some(bound) = rule.private_zone().fits(&zone) {
                rule.public.known_end(&bound)
            } else if let Some(bound) = rule.private.fits(&zone) {
                rule.public.fill(&bound).unwrap_or_else(|| rule.public.known_end(&bound)) // a zone for a single name
            } else {
                continue;
            };
            if !found.contains(&public) {
                found.push(public);
            }
        }
        let all = found.clone();
        found.retain(|zone| !all.iter().any(|other| other != zone && suffixes(zone).any(|suffix| suffix == other)));
        found
    }

    /// True where `name` is a public zone that leads to a private-link zone, and not a name in one.
    pub fn is_public_zone(&self, name: &str) -> bool {
        let name = plain(name);
        self.rules.iter().any(|rule| Pattern { star: false, ..rule.public.clone() }.fits(&name).is_some_and(|_| rule.public.star))
    }

    /// True where [`Table::private_names`] has something for `public`.
    pub fn knows_public(&self, public: &str) -> bool {
        !self.private_names(public).is_empty()
    }

    /// The same for wire bytes, cheaply: `suffixes` are the lower-case wire forms of the name, of the name without its first label, and so on.
    pub fn knows_public_wire<'n>(&self, suffixes: impl IntoIterator<Item = &'n [u8]>) -> bool {
        let mut known = false;
        for (front, suffix) in suffixes.into_iter().enumerate() {
            if suffix.starts_with(b"\x0bprivatelink") || suffix.starts_with(b"\x12privatelink-global") {
                return false;
            }
            known = known || self.public_ends.get(suffix).is_some_and(|heads| (heads.least..=heads.most).contains(&front));
        }
        known
    }

    /// The zone that was meant, where `zone` is almost one of the table; none where it is one, lies in one, or is far from all.
    pub fn nearest(&self, zone: &str) -> Option<String> {
        let zone = plain(zone);
        if let Some(apex) = suffixes(&zone).find(|suffix| self.knows_zone(suffix)) {
            let mended = self.zones.iter().filter_map(|pattern| Some((pattern, pattern.fits(apex)?)));
            let mended: Option<Vec<_>> = mended.map(|(pattern, bound)| self.mend_region(pattern, bound)).collect();
            return mended?.into_iter().next().map(|right| format!("{}{right}", &zone[..zone.len() - apex.len()]));
        }
        let rest = suffixes(&zone)
            .find_map(|suffix| suffix.split_once('.').filter(|(label, _)| is_private_link_label(label)).map(|(_, rest)| rest));
        if let Some(rest) = rest
            && let Some(private) = self.private_names(&format!("name.{rest}")).into_iter().next()
        {
            return private.strip_prefix("name.").map(str::to_string); // privatelink.vault.azure.net: the private zone is vaultcore
        }
        let length = zone.chars().count();
        let mut labels: Vec<&str> = zone.split('.').collect();
        labels.sort_unstable();
        let candidates = self.zones.iter().filter_map(|pattern| pattern.with_holes_of(&zone));
        candidates
            // Two names are at least as far apart as their lengths, which cost nothing to compare: there may be a thousand zones.
            .filter(|candidate| candidate.chars().count().abs_diff(length) <= MOST_APART)
            .filter_map(|candidate| {
                let mut same: Vec<&str> = candidate.split('.').collect();
                same.sort_unstable();
                let distance = if same == labels { 1 } else { strsim::osa_distance(&zone, &candidate) };
                (distance <= MOST_APART).then_some((distance, candidate))
            })
            .min_by_key(|(distance, _)| *distance)
            .map(|(_, candidate)| candidate)
    }

    /// The rows, built-in ones first.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// Region name to region code.
    pub fn regions(&self) -> &BTreeMap<String, String> {
        &self.regions
    }

    fn new(rows: Vec<Row>, regions: BTreeMap<String, String>) -> Result<Self, String> {
        let mut rules: Vec<Rule> = Vec::new();
        let mut zones: Vec<Pattern> = Vec::new();
        for row in &rows {
            for rule in row.rules()? {
                match rules.iter_mut().find(|known| known.public == rule.public && known.private == rule.private) {
                    Some(known) => known.status = known.status.min(rule.status),
                    None => rules.push(Rule { order: rules.len(), ..rule }),
                }
            }
            for zone in &row.zones {
                let zone = Pattern::parse(zone)?;
                if !zones.contains(&zone) {
                    zones.push(zone);
                }
            }
        }
        // Stable: rows in file order where likelihood and length are the same.
        rules.sort_by_key(|rule| (rule.status, std::cmp::Reverse(rule.public.tail().0.len())));
        let mut by_end: HashMap<String, Vec<usize>> = HashMap::new();
        let mut public_ends: HashMap<Box<[u8]>, Heads, foldhash::fast::RandomState> = HashMap::default();
        for (index, rule) in rules.iter().enumerate() {
            let (end, least, most) = rule.public.tail();
            let heads = public_ends.entry(wire(&end)).or_insert(Heads { least, most });
            (heads.least, heads.most) = (heads.least.min(least), heads.most.max(most));
            by_end.entry(end).or_default().push(index);
        }
        Ok(Self { rows, regions, rules, by_end, public_ends, zones })
    }

    /// Rules whose fixed end `public` has, most likely first.
    fn rules_for(&self, public: &str) -> impl Iterator<Item = &Rule> {
        let mut found: Vec<usize> = suffixes(public).filter_map(|suffix| self.by_end.get(suffix)).flatten().copied().collect();
        found.sort_unstable();
        found.into_iter().map(|index| &self.rules[index])
    }

    /// The zone with the region that was meant; none where its region is one, or is so new that the table does not know it.
    fn mend_region(&self, pattern: &Pattern, mut bound: Bound) -> Option<String> {
        let mut mended = false;
        for (hole, value) in bound.holes_mut() {
            let meant = match hole {
                "regionCode" if self.regions.values().any(|code| code == value) => None,
                "regionCode" => self.regions.get(value.as_str()).cloned(),
                "regionName" | "region" if self.regions.contains_key(value.as_str()) => None,
                "regionName" | "region" => self.region_meant(value),
                _ => None,
            };
            if let Some(meant) = meant {
                *value = meant;
                mended = true;
            }
        }
        if mended { pattern.fill(&bound) } else { None }
    }

    fn region_meant(&self, written: &str) -> Option<String> {
        if let Some((name, _)) = self.regions.iter().find(|(_, code)| *code == written) {
            return Some(name.clone());
        }
        // `eastus4` is not `eastus3` misspelt but a region that came after the table.
        let stem = |name: &str| name.trim_end_matches(|c: char| c.is_ascii_digit()).to_string();
        let near = crate::diagnostic::did_you_mean(written, self.regions.keys().map(String::as_str))?;
        (stem(near) != stem(written)).then(|| near.to_string())
    }
}

impl PartialEq for Table {
    fn eq(&self, other: &Self) -> bool {
        self.rows == other.rows && self.regions == other.regions
    }
}

/// True for a name that has one of the [`PRIVATE_LINK_LABELS`].
pub fn is_private_link(name: &str) -> bool {
    name.split('.').any(is_private_link_label)
}

fn is_private_link_label(label: &str) -> bool {
    PRIVATE_LINK_LABELS.iter().any(|known| label.eq_ignore_ascii_case(known))
}

impl Row {
    /// Public to private names: as given, else each zone without its `privatelink` where a public zone of the row is near it.
    fn rules(&self) -> Result<Vec<Rule>, String> {
        let zones = self.zones.iter().map(|zone| Pattern::parse(zone)).collect::<Result<Vec<_>, _>>()?;
        let forward = self.forward.iter().map(|zone| Pattern::parse(zone)).collect::<Result<Vec<_>, _>>()?;
        let mut rules = Vec::new();
        for (public, private) in &self.names {
            let rule = Rule { public: Pattern::parse(public)?, private: Pattern::parse(private)?, status: self.status, order: 0 };
            if !rule.fills() {
                return Err(format!("`{private}` has a `*` or a hole that `{public}` lacks"));
            }
            rules.push(rule);
        }
        if !rules.is_empty() {
            return Ok(rules);
        }
        for zone in zones {
            // Labels in front of `privatelink` (`scm.privatelink.azurewebsites.net`) are records of the zone behind it, says Azure.
            if zone.private_link_label() != Some(0) {
                continue;
            }
            let public = Pattern { star: true, labels: zone.labels[1..].to_vec() };
            if forward.iter().any(|forward| forward.is_related_to(&public)) {
                rules.push(Rule { public, private: zone.below(), status: self.status, order: 0 });
            }
        }
        Ok(rules)
    }
}

impl Rule {
    /// The zone that the private name lies in.
    fn private_zone(&self) -> Pattern {
        let labels = &self.private.labels;
        let apex = if self.private.star { 0 } else { self.private.private_link_label().unwrap_or(1) };
        Pattern { star: false, labels: labels.get(apex..).unwrap_or_default().to_vec() }
    }

    /// True where every hole of the private name is one of the public name.
    fn fills(&self) -> bool {
        let holes = |pattern: &Pattern| -> Vec<String> {
            pattern
                .labels
                .iter()
                .filter_map(|label| if let pattern::Label::Hole { name, .. } = label { Some(name.clone()) } else { None })
                .collect()
        };
        let public = holes(&self.public);
        self.private.star <= self.public.star && holes(&self.private).iter().all(|hole| public.contains(hole))
    }
}

fn own_cloud() -> String {
    "own".into()
}

/// Lower case, no final dot.
fn plain(name: &str) -> Cow<'_, str> {
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.bytes().any(|octet| octet.is_ascii_uppercase()) { name.to_ascii_lowercase().into() } else { name.into() }
}

/// The name, the name without its first label, and so on; not the root.
fn suffixes(name: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(name), |name| name.split_once('.').map(|(_, rest)| rest))
}

/// Wire form of a name that has no escapes.
fn wire(name: &str) -> Box<[u8]> {
    let mut wire = Vec::with_capacity(name.len() + 2);
    for label in name.split('.').filter(|label| !label.is_empty()) {
        wire.push(label.len() as u8); // at most 63: Label::parse
        wire.extend_from_slice(label.as_bytes());
    }
    wire.push(0);
    wire.into()
}

/// serde_json's message without its own ` at line 1 column 2`.
fn without_position(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.rsplit_once(" at line ").map_or(text.clone(), |(message, _)| message.to_string())
}

#[cfg(test)]
mod tests;
