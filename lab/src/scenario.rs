//! Records of the simulated public DNS, and the answer to a question.

mod read;

use std::collections::HashMap;
use std::path::Path;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::rdata::CNAME;
use hickory_proto::rr::{Name, RData, Record, RecordType};

use crate::fault::LabFault;
use crate::record_text::read_record;
pub use read::{ScenarioError, ScenarioProblem};

/// CNAMEs followed in one answer. The number is above the sixteen that Postern follows, so that
/// tests can reach Postern's own limit.
const MOST_HOPS: usize = 32;

/// Records, faults and a seed: everything that a lab answers from.
#[derive(Debug, Clone, Default)]
pub struct LabScenario {
    /// Seed of all random choices. The same seed and the same questions give the same outcome.
    pub seed: u64,
    /// Faults in the order in which they apply.
    pub faults: Vec<LabFault>,
    /// Owners, including wildcards and every empty non-terminal above them.
    nodes: HashMap<Name, Node>,
}

/// Honest answer of a scenario to a question.
#[derive(Debug)]
pub(crate) struct HonestAnswer {
    pub rcode: ResponseCode,
    pub answers: Vec<Record>,
    /// SOA for negative answers.
    pub soa: Option<Record>,
}

#[derive(Debug, Clone, Default)]
struct Node {
    records: Vec<Entry>,
}

#[derive(Debug, Clone)]
struct Entry {
    ttl: u32,
    data: Data,
}

#[derive(Debug, Clone)]
enum Data {
    Fixed(RData),
    /// `CNAME {}.suffix` at a wildcard: the labels that the star matched, below the suffix.
    Expand(Name),
}

impl LabScenario {
    /// TOML text of the built-in scenario: public Azure DNS as seen from outside, and some faulty
    /// names.
    pub const AZURE: &str = include_str!("../scenarios/azure.toml");

    /// Returns the built-in scenario.
    pub fn azure() -> LabScenario {
        // The text is part of the crate and covered by a test, so it parses.
        LabScenario::parse(LabScenario::AZURE, "azure.toml").expect("the built-in scenario is well-formed")
    }

    /// Returns a scenario without names: NXDOMAIN for everything until records are added.
    pub fn empty() -> LabScenario {
        LabScenario::default()
    }

    /// Parses a scenario from TOML. `file` is used only in messages.
    pub fn parse(text: &str, file: &str) -> Result<LabScenario, ScenarioError> {
        read::scenario(text, file)
    }

    /// Reads a scenario from a file.
    pub fn load(path: &Path) -> Result<LabScenario, ScenarioError> {
        let file = path.display().to_string();
        match std::fs::read_to_string(path) {
            Ok(text) => read::scenario(&text, &file),
            Err(error) => Err(ScenarioError { problems: vec![ScenarioProblem::of_file(&file, error.to_string())] }),
        }
    }

    /// Returns the scenario with another seed.
    pub fn seed(self, seed: u64) -> LabScenario {
        LabScenario { seed, ..self }
    }

    /// Returns the scenario with an additional fault.
    pub fn fault(mut self, fault: LabFault) -> LabScenario {
        self.faults.push(fault);
        self
    }

    /// Returns the scenario with an additional record, written `owner [TTL] TYPE data`. Panics if
    /// the record is invalid, because it is part of a test.
    pub fn record(mut self, line: &str) -> LabScenario {
        read::add_record(&mut self, line).expect("a record");
        self
    }

    fn add(&mut self, owner: Name, ttl: u32, data: Data) {
        let mut above = owner.clone();
        while !above.is_root() {
            above = above.base_name();
            self.nodes.entry(above.clone()).or_default();
        }
        self.nodes.entry(owner).or_default().records.push(Entry { ttl, data });
    }

    /// Resolves a question completely: exact names, wildcards (RFC 4592), and CNAMEs through all
    /// zones.
    pub(crate) fn resolve(&self, question: &Name, kind: RecordType, first_hop: bool) -> HonestAnswer {
        let mut outcome = HonestAnswer { rcode: ResponseCode::NoError, answers: Vec::new(), soa: None };
        let mut owner = question.clone();
        loop {
            let Some((node, star)) = self.find(&owner) else {
                outcome.rcode = ResponseCode::NXDomain;
                outcome.soa = Some(self.soa(&owner));
                return outcome;
            };
            let found = node.of(kind, &owner, star.as_ref());
            if !found.is_empty() {
                outcome.answers.extend(found);
                return outcome;
            }
            let Some(alias) = node.of(RecordType::CNAME, &owner, star.as_ref()).into_iter().next() else {
                outcome.soa = Some(self.soa(&owner));
                return outcome;
            };
            let RData::CNAME(CNAME(target)) = &alias.data else { return outcome };
            owner = target.clone();
            let looped = outcome.answers.iter().chain([&alias]).any(|seen| seen.name == owner);
            outcome.answers.push(alias);
            if first_hop || looped || outcome.answers.len() == MOST_HOPS {
                return outcome;
            }
        }
    }

    /// Returns the node of a name and, for a wildcard, the labels that the star matched.
    fn find(&self, name: &Name) -> Option<(&Node, Option<Name>)> {
        if let Some(node) = self.nodes.get(name) {
            return Some((node, None));
        }
        let mut encloser = name.clone();
        while !encloser.is_root() {
            encloser = encloser.base_name();
            if self.nodes.contains_key(&encloser) {
                break;
            }
        }
        let node = self.nodes.get(&encloser.prepend_label("*").ok()?)?;
        let labels = usize::from(name.num_labels() - encloser.num_labels());
        let star = Name::from_labels(name.iter().take(labels)).ok()?;
        Some((node, Some(star)))
    }

    /// Returns the SOA of the closest enclosing zone, or one for the root if the scenario has none.
    pub(crate) fn soa(&self, name: &Name) -> Record {
        let mut zone = name.clone();
        loop {
            if let Some(soa) = self.nodes.get(&zone).and_then(|node| node.of(RecordType::SOA, &zone, None).into_iter().next()) {
                return soa;
            }
            if zone.is_root() {
                // A well-formed constant, covered by tests.
                return read_record(". 86400 SOA a.root-servers.net. nstld.verisign-grs.com. 1 1800 900 604800 86400").expect("a record");
            }
            zone = zone.base_name();
        }
    }
}

impl Node {
    /// Returns the RRset of a type at an owner, or all records for ANY. A target made from the query name is in lower case, as names that Azure
    /// gives its services are.
    fn of(&self, kind: RecordType, owner: &Name, star: Option<&Name>) -> Vec<Record> {
        let mut records = Vec::new();
        for Entry { ttl, data } in &self.records {
            let data = match (data, star) {
                (Data::Fixed(data), _) if kind == data.record_type() || kind == RecordType::ANY => data.clone(),
                (Data::Expand(suffix), Some(star)) if matches!(kind, RecordType::CNAME | RecordType::ANY) => {
                    match star.to_lowercase().append_domain(suffix) {
                        Ok(target) => RData::CNAME(CNAME(target)),
                        Err(_) => continue, // the name would be too long
                    }
                }
                _ => continue,
            };
            records.push(Record::from_rdata(owner.clone(), *ttl, data));
        }
        records
    }
}
