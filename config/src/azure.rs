//! The private-link table: the private-link names and zones of each public name.
//!
//! The table is data (`data/privatelink-zones.json`, one row per service). It ships in the binary,
//! and a file of the same shape can extend it. A row lists its zones and the public zones to
//! forward for them. If removing the label `privatelink` from a zone does not give the public name,
//! the row also lists pairs of names. A hole in braces matches one label.
//!
//! ```
//! let table = postern_config::azure::PrivateLinkTable::builtin();
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

use crate::diagnostic::{FileDiagnostic, LineIndex};
use pattern::{HoleContents, NamePatternWithHoles};

mod pattern;

/// The labels that Azure inserts into the public chain of a resource with a private endpoint.
pub const PRIVATE_LINK_LABELS: [&str; 2] = ["privatelink", "privatelink-global"];

/// Largest edit distance, in characters, at which a name counts as misspelled.
const MOST_APART: usize = 3;

/// All known private-link zones, with the public names that lead to them.
#[derive(Debug, Clone)]
pub struct PrivateLinkTable {
    rows: Vec<PrivateLinkRow>,
    regions: BTreeMap<String, String>,
    /// Rules from public name to private-link name. For one public name, the most likely comes
    /// first.
    rules: Vec<Rule>,
    /// Indices of rules by the fixed end of their public name.
    by_end: HashMap<String, Vec<usize>>,
    /// The same ends in wire form, with the number of labels that a public name has before them.
    public_ends: HashMap<Box<[u8]>, Heads, foldhash::fast::RandomState>,
    zones: Vec<NamePatternWithHoles>,
}

/// One service, or one layout of its zones.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrivateLinkRow {
    /// `commercial`, `usgovernment`, `china`, or a name of the operator's choice.
    #[serde(default = "own_cloud")]
    pub cloud: String,
    /// Name of the service in Azure's documentation.
    pub service: String,
    /// Resource type in Azure Resource Manager.
    #[serde(default, rename = "type")]
    pub resource_type: String,
    /// Group IDs of the private endpoints.
    #[serde(default)]
    pub subresources: Vec<String>,
    /// Private-link zones of the service.
    pub zones: Vec<String>,
    /// Public zones to forward for the service.
    #[serde(default)]
    pub forward: Vec<String>,
    /// Whether Azure creates these names today.
    #[serde(default)]
    pub status: RowStatus,
    /// Pairs of public name and private-link name that cannot be derived from the zones.
    #[serde(default)]
    pub names: Vec<(String, String)>,
    /// Remarks for the operator.
    #[serde(default)]
    pub note: String,
}

/// Whether Azure creates the names of a row today. The order is the order of likelihood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RowStatus {
    /// Azure creates these names today.
    #[default]
    Current,
    /// The names belong to an older product.
    Legacy,
    /// The names were observed, but are not documented.
    Alternate,
    /// The names were documented once.
    Superseded,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    public: NamePatternWithHoles,
    private: NamePatternWithHoles,
    status: RowStatus,
    /// Position of the rule in the order of the rows. A row lists the most common names first.
    order: usize,
}

/// Number of labels that a public name may have before a fixed end.
#[derive(Debug, Clone, Copy)]
struct Heads {
    least: usize,
    most: usize,
}

static BUILTIN: LazyLock<Arc<PrivateLinkTable>> = LazyLock::new(|| {
    let rows = serde_json::from_str(include_str!("../data/privatelink-zones.json")).expect("a test reads the rows that ship");
    let regions = serde_json::from_str(include_str!("../data/region-codes.json")).expect("a test reads the regions that ship");
    Arc::new(PrivateLinkTable::new(rows, regions).expect("a test reads the table that ships"))
});

impl PrivateLinkTable {
    /// Returns the table that ships in the binary.
    pub fn builtin() -> &'static Self {
        &BUILTIN
    }

    /// Returns the built-in table as a shared pointer.
    pub fn shared() -> Arc<Self> {
        Arc::clone(&BUILTIN)
    }

    /// Returns this table with the rows of a file, a JSON list in the shape of the built-in one. A
    /// row replaces all rows of the same cloud and service. A row without zones removes them.
    pub fn extended(&self, text: &str, file: &Path) -> Result<Self, Vec<FileDiagnostic>> {
        let lines = LineIndex::new(file, text);
        let raw: Vec<&RawValue> = serde_json::from_str(text).map_err(|error| {
            let offset = lines.offset(error.line(), error.column());
            vec![lines.error(
                offset,
                format!("not a JSON list of rows: {}", without_position(&error)),
                "the shape is that of the built-in table",
            )]
        })?;
        let mut added: Vec<PrivateLinkRow> = Vec::new();
        let mut problems = Vec::new();
        for value in raw {
            let offset = value.get().as_ptr() as usize - text.as_ptr() as usize;
            match serde_json::from_str::<PrivateLinkRow>(value.get()) {
                Ok(row) => match row.rules() {
                    Ok(_) => added.push(row),
                    Err(message) => problems.push(lines.error(
                        offset,
                        message,
                        "labels are lower-case letters, digits, `-` and `_`; a hole is `{word}`",
                    )),
                },
                Err(error) => {
                    let inside = LineIndex::new(file, value.get()).offset(error.line(), error.column());
                    problems.push(lines.error(offset + inside, format!("bad row: {}", without_position(&error)), ""));
                }
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let replaced = |old: &PrivateLinkRow| added.iter().any(|new| new.cloud == old.cloud && new.service == old.service);
        let mut rows: Vec<PrivateLinkRow> = self.rows.iter().filter(|old| !replaced(old)).cloned().collect();
        rows.extend(added.iter().filter(|row| !row.zones.is_empty()).cloned());
        Self::new(rows, self.regions.clone()).map_err(|message| vec![crate::diagnostic::whole_file(file, message, "")])
    }

    /// Returns the private-link names that a public name may stand for, most likely first. Empty if
    /// the table does not contain the name.
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

    /// Returns the public names that a private-link name may stand for, most likely first.
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

    /// Returns the zone in which Azure keeps a private-link name. It starts at the label
    /// `privatelink`, or is the longest matching zone of the table.
    pub fn private_zone_of<'n>(&self, private: &'n str) -> Option<&'n str> {
        let private = private.strip_suffix('.').unwrap_or(private);
        suffixes(private)
            .find(|suffix| suffix.split('.').next().is_some_and(is_private_link_label))
            .or_else(|| suffixes(private).find(|suffix| self.zones.iter().any(|zone| zone.fits(&plain(suffix)).is_some())))
    }

    /// Returns true if `zone` has one of the [`PRIVATE_LINK_LABELS`] or is a zone of the table.
    pub fn is_private_link_zone(&self, zone: &str) -> bool {
        is_private_link(zone) || self.knows_zone(zone)
    }

    /// Returns true if `zone` is a private-link zone of the table.
    pub fn knows_zone(&self, zone: &str) -> bool {
        let zone = plain(zone);
        self.zones.iter().any(|pattern| pattern.fits(&zone).is_some())
    }

    /// Returns the public zones to forward for `zone`, the most used first. Empty if the table does
    /// not contain the zone.
    pub fn public_forwarders(&self, zone: &str) -> Vec<String> {
        let zone = plain(zone);
        let mut rules: Vec<&Rule> = self.rules.iter().collect();
        rules.sort_by_key(|rule| (rule.status, rule.order));
        let mut found: Vec<String> = Vec::new();
        for rule in rules {
            let public = if let Some(bound) = rule.private_zone().fits(&zone) {
                rule.public.known_end(&bound)
            } else if let Some(bound) = rule.private.fits(&zone) {
                // The zone is for a single name.
                rule.public.fill(&bound).unwrap_or_else(|| rule.public.known_end(&bound))
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

    /// Returns true if `name` is a public zone that leads to a private-link zone, and is not a name
    /// inside such a public zone.
    pub fn is_public_zone(&self, name: &str) -> bool {
        let name = plain(name);
        self.rules
            .iter()
            .any(|rule| NamePatternWithHoles { star: false, ..rule.public.clone() }.fits(&name).is_some_and(|_| rule.public.star))
    }

    /// Returns true if [`PrivateLinkTable::private_names`] is not empty for `public`.
    pub fn knows_public(&self, public: &str) -> bool {
        !self.private_names(public).is_empty()
    }

    /// Does the same for names in wire form, at low cost. `suffixes` are the lower-case wire forms
    /// of the name, of the name without its first label, and so on.
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

    /// Returns the zone that was probably meant if `zone` is a misspelled zone of the table.
    /// Returns `None` if it is a zone of the table, lies in one, or is too different from all of
    /// them.
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
            // Privatelink.vault.azure.net: the private zone is vaultcore.
            return private.strip_prefix("name.").map(str::to_string);
        }
        let length = zone.chars().count();
        let mut labels: Vec<&str> = zone.split('.').collect();
        labels.sort_unstable();
        let candidates = self.zones.iter().filter_map(|pattern| pattern.with_holes_of(&zone));
        candidates
            // The edit distance is at least the difference in length, which is cheap to compare.
            // There may be a thousand zones.
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

    /// Returns the rows, the built-in ones first.
    pub fn rows(&self) -> &[PrivateLinkRow] {
        &self.rows
    }

    /// Map from region name to region code.
    pub fn regions(&self) -> &BTreeMap<String, String> {
        &self.regions
    }

    fn new(rows: Vec<PrivateLinkRow>, regions: BTreeMap<String, String>) -> Result<Self, String> {
        let mut rules: Vec<Rule> = Vec::new();
        let mut zones: Vec<NamePatternWithHoles> = Vec::new();
        for row in &rows {
            for rule in row.rules()? {
                match rules.iter_mut().find(|known| known.public == rule.public && known.private == rule.private) {
                    Some(known) => known.status = known.status.min(rule.status),
                    None => rules.push(Rule { order: rules.len(), ..rule }),
                }
            }
            for zone in &row.zones {
                let zone = NamePatternWithHoles::parse(zone)?;
                if !zones.contains(&zone) {
                    zones.push(zone);
                }
            }
        }
        // The sort is stable, so rules of equal likelihood and length keep the order of the file.
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

    /// Returns the rules whose fixed end `public` has, most likely first.
    fn rules_for(&self, public: &str) -> impl Iterator<Item = &Rule> {
        let mut found: Vec<usize> = suffixes(public).filter_map(|suffix| self.by_end.get(suffix)).flatten().copied().collect();
        found.sort_unstable();
        found.into_iter().map(|index| &self.rules[index])
    }

    /// Returns the zone with the region that was probably meant. Returns `None` if the region is
    /// valid, or may be newer than the table.
    fn mend_region(&self, pattern: &NamePatternWithHoles, mut bound: HoleContents) -> Option<String> {
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
        // `eastus4` is not a misspelled `eastus3`, but a region that is newer than the table.
        let stem = |name: &str| name.trim_end_matches(|c: char| c.is_ascii_digit()).to_string();
        let near = crate::diagnostic::did_you_mean(written, self.regions.keys().map(String::as_str))?;
        (stem(near) != stem(written)).then(|| near.to_string())
    }
}

impl PartialEq for PrivateLinkTable {
    fn eq(&self, other: &Self) -> bool {
        self.rows == other.rows && self.regions == other.regions
    }
}

/// Returns true if the name has one of the [`PRIVATE_LINK_LABELS`].
pub fn is_private_link(name: &str) -> bool {
    name.split('.').any(is_private_link_label)
}

fn is_private_link_label(label: &str) -> bool {
    PRIVATE_LINK_LABELS.iter().any(|known| label.eq_ignore_ascii_case(known))
}

impl PrivateLinkRow {
    /// Returns pairs of public and private names: the listed ones, or each zone without its
    /// `privatelink` if a public zone of the row is close to it.
    fn rules(&self) -> Result<Vec<Rule>, String> {
        let zones = self.zones.iter().map(|zone| NamePatternWithHoles::parse(zone)).collect::<Result<Vec<_>, _>>()?;
        let forward = self.forward.iter().map(|zone| NamePatternWithHoles::parse(zone)).collect::<Result<Vec<_>, _>>()?;
        let mut rules = Vec::new();
        for (public, private) in &self.names {
            let rule = Rule {
                public: NamePatternWithHoles::parse(public)?,
                private: NamePatternWithHoles::parse(private)?,
                status: self.status,
                order: 0,
            };
            if !rule.fills() {
                return Err(format!("`{private}` has a `*` or a hole that `{public}` lacks"));
            }
            rules.push(rule);
        }
        if !rules.is_empty() {
            return Ok(rules);
        }
        for zone in zones {
            // Labels before `privatelink` (`scm.privatelink.azurewebsites.net`) are records of the
            // zone after them, according to Azure.
            if zone.private_link_label() != Some(0) {
                continue;
            }
            let public = NamePatternWithHoles { star: true, labels: zone.labels[1..].to_vec() };
            if forward.iter().any(|forward| forward.is_related_to(&public)) {
                rules.push(Rule { public, private: zone.below(), status: self.status, order: 0 });
            }
        }
        Ok(rules)
    }
}

impl Rule {
    /// Returns the zone that contains the private name.
    fn private_zone(&self) -> NamePatternWithHoles {
        let labels = &self.private.labels;
        let apex = if self.private.star { 0 } else { self.private.private_link_label().unwrap_or(1) };
        NamePatternWithHoles { star: false, labels: labels.get(apex..).unwrap_or_default().to_vec() }
    }

    /// Returns true if every hole of the private name is also a hole of the public name.
    fn fills(&self) -> bool {
        let holes = |pattern: &NamePatternWithHoles| -> Vec<String> {
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

/// Converts a name to lower case and removes its final dot.
fn plain(name: &str) -> Cow<'_, str> {
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.bytes().any(|octet| octet.is_ascii_uppercase()) { name.to_ascii_lowercase().into() } else { name.into() }
}

/// Iterates over the name, the name without its first label, and so on, but not the root.
fn suffixes(name: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(name), |name| name.split_once('.').map(|(_, rest)| rest))
}

/// Returns the wire form of a name without escapes.
fn wire(name: &str) -> Box<[u8]> {
    let mut wire = Vec::with_capacity(name.len() + 2);
    for label in name.split('.').filter(|label| !label.is_empty()) {
        wire.push(label.len() as u8); // at most 63, as Label::parse guarantees
        wire.extend_from_slice(label.as_bytes());
    }
    wire.push(0);
    wire.into()
}

/// Returns serde_json's message without its own ` at line 1 column 2`.
fn without_position(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.rsplit_once(" at line ").map_or(text.clone(), |(message, _)| message.to_string())
}

#[cfg(test)]
mod tests;
