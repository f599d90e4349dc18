//! Random interleavings of questions, record changes, passing time and upstream outages, against a plain model of what the answer must
//! be. The model restates the rules S1 to S7 with hash maps and strings; it shares no code with the path.

mod world;

use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;
use std::time::Duration;

use hickory_proto::rr::RecordType;
use postern_config::model::OnMissing;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use world::{HUB, SPOKE, World, render};

const STEPS: usize = 10_000;
const OUTSIDER: &str = "172.16.0.9";
const ZONES: [(&str, OnMissing); 2] =
    [("privatelink.azurehealthcareapis.com", OnMissing::Public), ("privatelink.dicom.azurehealthcareapis.com", OnMissing::Nxdomain)];
const TYPES: [RecordType; 4] = [RecordType::A, RecordType::AAAA, RecordType::HTTPS, RecordType::CNAME];
/// Public names, their alias, its TTL.
const PUBLIC: [(&str, &str, u64); 12] = [
    ("a.fhir.azurehealthcareapis.com", "a.fhir.privatelink.azurehealthcareapis.com", 30),
    ("b.fhir.azurehealthcareapis.com", "b.fhir.privatelink.azurehealthcareapis.com", 30),
    ("c.dicom.azurehealthcareapis.com", "c.privatelink.dicom.azurehealthcareapis.com", 15),
    ("d.dicom.azurehealthcareapis.com", "d.privatelink.dicom.azurehealthcareapis.com", 15),
    ("e.contoso.test", "a.fhir.azurehealthcareapis.com", 50),
    ("f.contoso.test", "c.dicom.azurehealthcareapis.com", 5),
    ("a.fhir.privatelink.azurehealthcareapis.com", "gw.trafficmanager.test", 60),
    ("b.fhir.privatelink.azurehealthcareapis.com", "gw.trafficmanager.test", 60),
    ("c.privatelink.dicom.azurehealthcareapis.com", "gw.trafficmanager.test", 60),
    ("d.privatelink.dicom.azurehealthcareapis.com", "gw.trafficmanager.test", 60),
    ("g.contoso.test", "www.contoso.test", 9),
    ("h.contoso.test", "nothing.contoso.test", 9),
];
/// Private names that come and go.
const PRIVATE: [(&str, usize); 4] = [
    ("a.fhir.privatelink.azurehealthcareapis.com", 0),
    ("b.fhir.privatelink.azurehealthcareapis.com", 0),
    ("c.privatelink.dicom.azurehealthcareapis.com", 1),
    ("d.privatelink.dicom.azurehealthcareapis.com", 1),
];
const FAILURE_TTL: u64 = 5_000;
const STALE: u64 = 86_400_000;
const RECHECK: u64 = 30_000;

/// Private records: (network, name) to (type, data).
type Records = BTreeMap<(&'static str, &'static str), (RecordType, String)>;

/// What the model remembers of an upstream's word about a (name, type).
#[derive(Clone)]
struct Fact {
    said: Said,
    at: u64,
    ttl: u64,
    /// Shared by all types under which one exchange's word is remembered.
    recheck: Rc<Cell<u64>>,
}

#[derive(Clone, PartialEq)]
enum Said {
    Alias(&'static str),
    Data(String),
    NoData,
    NxDomain,
}

impl Said {
    /// RFC 2308 section 5: that there is no such name holds for all types, as an alias does.
    fn is_of_every_type(&self) -> bool {
        matches!(self, Self::Alias(_) | Self::NxDomain)
    }
}

type Heard = Option<HashMap<String, Said>>;

#[derive(Default)]
struct Model {
    records: Records,
    facts: HashMap<(String, RecordType), Fact>,
    failures: HashMap<(String, RecordType), u64>,
    up: bool,
    now: u64,
}

impl Model {
    /// What the public DNS says, always the same.
    fn public(name: &str, rtype: RecordType) -> (Said, u64) {
        if let Some((_, target, ttl)) = PUBLIC.iter().find(|(owner, ..)| *owner == name) {
            return (Said::Alias(target), *ttl * 1000);
        }
        let data = match (name, rtype) {
            ("gw.trafficmanager.test", RecordType::A) => ("203.0.113.9", 20),
            ("gw.trafficmanager.test", RecordType::AAAA) => ("2001:db8::9", 20),
            ("gw.trafficmanager.test", RecordType::HTTPS) => ("1 . alpn=h2,", 20), // as hickory-proto writes it
            ("www.contoso.test", RecordType::A) => ("198.51.100.1", 100),
            ("gw.trafficmanager.test" | "www.contoso.test", _) => return (Said::NoData, 15_000),
            _ => return (Said::NxDomain, 15_000),
        };
        (Said::Data(data.0.into()), data.1 * 1000)
    }

    fn zone(network: &str, name: &str) -> Option<usize> {
        if network == "default" {
            return None;
        }
        (0..ZONES.len()).find(|zone| name == ZONES[*zone].0 || name.ends_with(&format!(".{}", ZONES[*zone].0)))
    }

    fn exists(&self, network: &str, name: &str) -> bool {
        self.records.keys().any(|(on, owner)| *on == network && (*owner == name || owner.ends_with(&format!(".{name}"))))
            || ZONES.iter().any(|(apex, _)| *apex == name)
    }

    /// The answer as a client sees it, TTLs left out.
    fn answer(&mut self, network: &'static str, question: &str, rtype: RecordType) -> String {
        let (mut name, mut said, mut ours) = (question.to_owned(), String::new(), true);
        let mut fresh_ask = None; // S1: what one exchange said about the names behind, until a private zone
        let mut outage = false; // one exchange failed: nothing more is asked for this question
        for _ in 0..17 {
            if let Some(zone) = Self::zone(network, &name) {
                let own = self.records.iter().find(|((on, owner), _)| *on == network && *owner == name).map(|(_, data)| data);
                match own {
                    Some((kind, data)) if *kind == rtype => {
                        return format!("NOERROR{}{said}; {name}. {kind} {data}", if ours { " aa" } else { "" });
                    }
                    Some(_) => return format!("NOERROR{}{said}; +{}. SOA", if ours { " aa" } else { "" }, ZONES[zone].0),
                    None if self.exists(network, &name) => {
                        return format!("NOERROR{}{said}; +{}. SOA", if ours { " aa" } else { "" }, ZONES[zone].0);
                    }
                    None if ZONES[zone].1 == OnMissing::Nxdomain => {
                        return format!("NXDOMAIN{}{said}; +{}. SOA", if ours { " aa" } else { "" }, ZONES[zone].0);
                    }
                    None => {}
                }
            }
            ours = false;
            let Some(next) = self.upstream(network, &name, rtype, &mut fresh_ask, &mut outage) else {
                match self.derived(network, &name, rtype) {
                    Some(target) => {
                        said += &format!("; {name}. CNAME {target}.");
                        name = target;
                        continue;
                    }
                    None => return format!("SERVFAIL{said}"),
                }
            };
            match next {
                Said::Alias(target) if rtype == RecordType::CNAME => return format!("NOERROR{said}; {name}. CNAME {target}."),
                Said::Alias(target) => {
                    said += &format!("; {name}. CNAME {target}.");
                    name = target.to_owned();
                }
                Said::Data(data) => return format!("NOERROR{said}; {name}. {rtype} {data}"),
                Said::NoData => return format!("NOERROR{said}; +{}. SOA", name.rsplit('.').next().unwrap()),
                Said::NxDomain => return format!("NXDOMAIN{said}; +{}. SOA", name.rsplit('.').next().unwrap()),
            }
        }
        "SERVFAIL".into()
    }

    /// What is known of (name, type): fresh, or asked for now, or stale because nobody answers.
    fn upstream(&mut self, network: &str, name: &str, rtype: RecordType, heard: &mut Heard, outage: &mut bool) -> Option<Said> {
        if let Some(said) = heard.as_ref().and_then(|heard| heard.get(name)) {
            return Some(said.clone());
        }
        let age = |fact: &Fact| self.now - fact.at;
        let own = self.facts.get(&(name.to_owned(), rtype));
        let general = self.facts.get(&(name.to_owned(), RecordType::CNAME)).filter(|fact| fact.said.is_of_every_type());
        if let Some(fact) = own.filter(|fact| age(fact) < fact.ttl).or(general.filter(|fact| age(fact) < fact.ttl)) {
            return Some(fact.said.clone());
        }
        let old = own.into_iter().chain(general).max_by_key(|fact| (fact.at, own.is_some_and(|own| std::ptr::eq(own, *fact)))).cloned();
        let may_be_stale = |fact: &Fact| {
            self.now - fact.at <= fact.ttl + STALE
                || matches!(fact.said, Said::Alias(target) if Self::zone(network, target).is_some() && self.exists(network, target))
        };
        if let Some(fact) = old.as_ref().filter(|fact| self.now < fact.recheck.get() && may_be_stale(fact)) {
            return Some(fact.said.clone());
        }
        if *outage {
            return old.filter(may_be_stale).map(|fact| fact.said);
        }
        let failed = self.failures.get(&(name.to_owned(), rtype)).is_some_and(|at| self.now - at < FAILURE_TTL);
        if failed {
            return old.filter(may_be_stale).map(|fact| fact.said);
        }
        if !self.up {
            *outage = true;
            let usable = old.filter(may_be_stale).map(|fact| fact.said);
            for kind in [rtype, RecordType::CNAME] {
                if let Some(fact) = self.facts.get_mut(&(name.to_owned(), kind))
                    && (kind == rtype || fact.said.is_of_every_type())
                {
                    fact.recheck.set(self.now + RECHECK);
                }
            }
            self.failures.insert((name.to_owned(), rtype), self.now);
            return usable;
        }
        // One exchange tells the chain up to the first name of a private zone of this network (S1).
        let heard = heard.get_or_insert_default();
        let mut at = name.to_owned();
        loop {
            let (said, ttl) = Self::public(&at, rtype);
            let fact = Fact { said: said.clone(), at: self.now, ttl, recheck: Rc::default() };
            heard.insert(at.clone(), said.clone());
            if said.is_of_every_type() {
                self.facts.insert((at.clone(), RecordType::CNAME), fact.clone());
            }
            self.facts.insert((at.clone(), rtype), fact);
            match said {
                Said::Alias(target) if rtype != RecordType::CNAME && Self::zone(network, target).is_none() => at = target.to_owned(),
                _ => break,
            }
        }
        heard.get(name).cloned()
    }

    /// S6: where the zone table says a public name leads, if we have data there.
    fn derived(&self, network: &'static str, name: &str, rtype: RecordType) -> Option<String> {
        let (rest, suffix) = name.split_once('.')?;
        let candidates = match suffix {
            "fhir.azurehealthcareapis.com" => {
                vec![format!("{rest}.fhir.privatelink.azurehealthcareapis.com"), format!("{rest}.privatelink.fhir.azurehealthcareapis.com")]
            }
            "dicom.azurehealthcareapis.com" => {
                vec![
                    format!("{rest}.privatelink.dicom.azurehealthcareapis.com"),
                    format!("{rest}.dicom.privatelink.azurehealthcareapis.com"),
                ]
            }
            _ => return None,
        };
        let found = candidates.into_iter().find(|name| Self::zone(network, name).is_some() && self.exists(network, name));
        found.filter(|_| rtype != RecordType::CNAME)
    }
}

/// TTLs out, names in full.
fn without_ttls(text: &str) -> String {
    let text = text
        .replace("PL.", "privatelink.azurehealthcareapis.com.")
        .replace("AHDS.", "azurehealthcareapis.com.")
        .replace("TM.", "trafficmanager.test.");
    text.split("; ")
        .map(|part| {
            let mut words: Vec<_> = part.split(' ').collect();
            if words.len() > 2 && words[1].parse::<u32>().is_ok() {
                words.remove(1);
            }
            words.join(" ")
        })
        .collect::<Vec<_>>()
        .join("; ")
}

fn run(seed: u64) {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut world = World::new();
    world.public.clear();
    for (name, target, ttl) in PUBLIC {
        world.publish(name, &format!("CNAME {ttl} {target}"));
    }
    world.publish("gw.trafficmanager.test", "A 20 203.0.113.9|AAAA 20 2001:db8::9|HTTPS 20 1 . alpn=h2");
    world.publish("www.contoso.test", "A 100 198.51.100.1");
    let mut model = Model { up: true, now: world.now.0, ..Model::default() };
    host(&mut world, &model.records);
    let mut seen: HashMap<String, usize> = HashMap::new();
    for step in 0..STEPS {
        match rng.random_range(0..100) {
            0..8 => {
                let (name, _) = PRIVATE[rng.random_range(0..PRIVATE.len())];
                let network = ["hub", "spoke"][rng.random_range(0..2)];
                match rng.random_range(0..3) {
                    0 => drop(model.records.remove(&(network, name))),
                    kind => {
                        let number = rng.random_range(1..255);
                        let data = if kind == 1 {
                            (RecordType::A, format!("10.20.1.{number}"))
                        } else {
                            (RecordType::AAAA, format!("2001:db8:1::{number:x}"))
                        };
                        model.records.insert((network, name), data);
                    }
                }
                host(&mut world, &model.records);
            }
            8..10 => {
                model.up = !model.up;
                world.up = model.up;
            }
            10 => {
                // The cache may forget whatever it likes, whenever it likes.
                world.cache.clear();
                model.facts.clear();
                model.failures.clear();
            }
            11..22 => {
                let pause = [1, 400, 4_000, 11_000, 31_000, 400_000][rng.random_range(0..6)];
                let pause = if rng.random_range(0..400) == 0 { 100_000_000 } else { pause };
                world.now = world.now.plus(Duration::from_millis(pause));
                model.now += pause;
            }
            _ => {
                let name = match rng.random_range(0..20) {
                    0 => "fhir.privatelink.azurehealthcareapis.com",
                    1 => "www.contoso.test",
                    2 => "nothing.contoso.test",
                    3 => "privatelink.azurehealthcareapis.com",
                    _ => PUBLIC[rng.random_range(0..PUBLIC.len())].0,
                };
                let rtype = TYPES[rng.random_range(0..TYPES.len())];
                let (client, network) = [(HUB, "hub"), (SPOKE, "spoke"), (OUTSIDER, "default")][rng.random_range(0..3)];
                let want = model.answer(network, name, rtype);
                let got = without_ttls(&render(&world.message(client, name, rtype, |_| {})));
                assert_eq!(
                    got,
                    want,
                    "seed {seed} step {step}: {network} asks {name} {rtype}, upstream {}",
                    if model.up { "up" } else { "down" }
                );
                *seen.entry(got.split([';', ' ']).next().unwrap().to_owned()).or_default() += 1;
            }
        }
    }
    // The run is worth something only if it saw all kinds of answers.
    for kind in ["NOERROR", "NXDOMAIN", "SERVFAIL"] {
        assert!(seen.get(kind).copied().unwrap_or(0) > 20, "seed {seed}: {seen:?}");
    }
}

fn host(world: &mut World, records: &Records) {
    for network in ["hub", "spoke"] {
        for (zone, (apex, on_missing)) in ZONES.iter().enumerate() {
            let data: Vec<(String, &str, &str)> = PRIVATE
                .iter()
                .filter(|(_, of)| *of == zone)
                .filter_map(|(name, _)| {
                    let (rtype, data) = records.get(&(network, *name))?;
                    Some((format!("{name}."), if *rtype == RecordType::A { "A" } else { "AAAA" }, data.as_str()))
                })
                .collect();
            let borrowed: Vec<_> = data.iter().map(|(owner, rtype, data)| (owner.as_str(), *rtype, *data)).collect();
            world.host(apex, if network == "hub" { &["hub"] } else { &["spoke"] }, *on_missing, &borrowed);
        }
    }
}

#[test]
fn ten_thousand_random_steps_give_what_the_model_says() {
    for seed in 0..4 {
        run(seed);
    }
}
