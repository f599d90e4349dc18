//! A mix of generated questions for existing names, missing names, and names that no cache
//! contains.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use rand::rngs::Xoshiro256PlusPlus;
use rand::{Rng, SeedableRng};

use super::{Group, Order, QuestionBank, QuestionKind, WeightTable};
use postern_config::rtype;

use crate::message::{self, QueryForm, QuestionTextError};

/// Candidate types for NODATA questions. The first one that a name lacks is used.
const NODATA_TYPES: [u16; 5] = [rtype::TXT, rtype::AAAA, rtype::MX, rtype::A, rtype::SRV];

/// Existing names with their types.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExistingNames {
    /// Owner in wire form with its types. Empty types mean that only the name is known.
    pub owners: BTreeMap<Vec<u8>, BTreeSet<u16>>,
    /// Apex of the zone file that the names come from. `None` for a list of names.
    pub apex: Option<Vec<u8>>,
}

/// Composition of a mix. Shares are from 0 to 1.
#[derive(Debug, Clone, PartialEq)]
pub struct QuestionMix {
    /// Types for questions about names without known types.
    pub types: Vec<u16>,
    /// Exponent of the Zipf distribution of names. 0 gives all names the same frequency.
    pub zipf: f64,
    /// Share of the questions for existing names that use the names themselves. The others use
    /// fresh names below them, which requires wildcards.
    pub hit_ratio: f64,
    /// Share of questions for missing names.
    pub nxdomain: f64,
    /// Share of questions for types that the name lacks.
    pub nodata: f64,
    /// Share of questions for fresh missing names (the random-subdomain attack).
    pub random_subdomain: f64,
    /// Share of questions for names of the public list.
    pub public: f64,
}

impl Default for QuestionMix {
    fn default() -> Self {
        Self { types: vec![1], zipf: 0.0, hit_ratio: 1.0, nxdomain: 0.0, nodata: 0.0, random_subdomain: 0.0, public: 0.0 }
    }
}

/// Reasons why a mix cannot be generated.
#[derive(Debug, thiserror::Error)]
pub enum BadMix {
    /// A file cannot be read.
    #[error("{path}: {error}")]
    Read {
        /// Path of the file.
        path: String,
        /// The error of the system.
        error: std::io::Error,
    },
    /// A line of a file cannot be parsed.
    #[error("{path}:{line}: error: {problem}")]
    Line {
        /// Path of the file.
        path: String,
        /// Line number, starting at 1.
        line: usize,
        /// Description of the problem.
        problem: QuestionTextError,
    },
    /// There are no names.
    #[error("{0}: no names to ask in it")]
    Empty(String),
    /// A share is invalid, or the sum of all shares exceeds 1.
    #[error("the shares {0} do not leave a part from 0 to 1 for questions that exist")]
    Shares(String),
    /// The names do not allow a requested kind of question.
    #[error("no question of kind `{0}` can be made from these names")]
    Impossible(&'static str),
}

/// Reads names from a list: one name per line, optionally followed by its type (`name A`).
pub fn read_names(path: &Path) -> Result<ExistingNames, BadMix> {
    let (text, name) = read_text(path)?;
    let mut names = ExistingNames::default();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with([';', '#']) {
            continue;
        }
        let bad = |problem| BadMix::Line { path: name.clone(), line: index + 1, problem };
        let mut words = line.split_whitespace();
        let owner = message::name_to_wire(words.next().unwrap_or(".")).map_err(bad)?;
        let types = names.owners.entry(owner).or_default();
        if let Some(rtype) = words.next() {
            types.insert(message::type_to_number(rtype).map_err(bad)?);
        }
    }
    if names.owners.is_empty() { Err(BadMix::Empty(name)) } else { Ok(names) }
}

/// Reads owners and types from a zone file. Relative names end in `origin` until the first
/// `$ORIGIN`.
pub fn read_zone(path: &Path, origin: Option<&str>) -> Result<ExistingNames, BadMix> {
    let (text, name) = read_text(path)?;
    let names = parse_zone(&text, origin).map_err(|(line, problem)| BadMix::Line { path: name.clone(), line, problem })?;
    if names.owners.is_empty() { Err(BadMix::Empty(name)) } else { Ok(names) }
}

fn read_text(path: &Path) -> Result<(String, String), BadMix> {
    let name = path.display().to_string();
    match std::fs::read(path) {
        Ok(bytes) => Ok((String::from_utf8_lossy(&bytes).into_owned(), name)),
        Err(error) => Err(BadMix::Read { path: name, error }),
    }
}

/// Parses only owners and types. Wildcards, delegations below the apex and DNSSEC records are
/// skipped.
fn parse_zone(text: &str, origin: Option<&str>) -> Result<ExistingNames, (usize, QuestionTextError)> {
    let mut names = ExistingNames::default();
    let mut origin = origin.unwrap_or(".").trim_end_matches('.').to_string();
    let mut owner: Option<Vec<u8>> = None;
    let mut cuts = BTreeSet::new();
    let mut open = 0usize;
    for (index, line) in text.lines().enumerate() {
        let bad = |problem| (index + 1, problem);
        let (line, depth) = strip_comment(line, open);
        let continues = open > 0;
        open = depth;
        if continues || line.trim().is_empty() {
            continue;
        }
        let mut words = line.split_whitespace().peekable();
        if line.starts_with('$') {
            let directive = words.next().unwrap_or_default();
            if let (true, Some(to)) = (directive.eq_ignore_ascii_case("$ORIGIN"), words.next()) {
                origin = absolute(to, &origin).trim_end_matches('.').to_string();
            }
            continue;
        }
        if !line.starts_with([' ', '\t']) {
            let text = words.next().unwrap_or_default();
            owner = Some(message::name_to_wire(&absolute(text, &origin)).map_err(bad)?);
        }
        // TTL and class may precede the type in any order (RFC 1035, section 5.1).
        while words.peek().is_some_and(|word| is_ttl(word) || matches!(word.to_ascii_uppercase().as_str(), "IN" | "CH" | "HS")) {
            words.next();
        }
        let (Some(rtype), Some(owner)) = (words.next(), owner.as_ref()) else { continue };
        let rtype = message::type_to_number(rtype).map_err(bad)?;
        match rtype {
            6 => names.apex = Some(owner.clone()),
            2 if names.apex.as_ref() != Some(owner) => {
                cuts.insert(owner.clone());
            }
            _ => {}
        }
        if !owner.starts_with(b"\x01*") && !matches!(rtype, 6 | 46 | 47 | 50 | 51) {
            names.owners.entry(owner.clone()).or_default().insert(rtype);
        }
    }
    names.owners.retain(|name, _| !ancestors(name).any(|ancestor| cuts.contains(ancestor)));
    if names.apex.is_none() && !origin.is_empty() {
        names.apex = message::name_to_wire(&origin).ok();
    }
    Ok(names)
}

/// Removes the comment. Also returns the number of parentheses that are open after the line.
fn strip_comment(line: &str, mut open: usize) -> (&str, usize) {
    let mut quoted = false;
    let mut escaped = false;
    for (at, octet) in line.bytes().enumerate() {
        match octet {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => quoted = !quoted,
            b'(' if !quoted => open += 1,
            b')' if !quoted => open = open.saturating_sub(1),
            b';' if !quoted => return (&line[..at], open),
            _ => {}
        }
    }
    (line, open)
}

fn is_ttl(word: &str) -> bool {
    let mut octets = word.bytes();
    octets.next().is_some_and(|first| first.is_ascii_digit())
        && octets.all(|octet| octet.is_ascii_digit() || matches!(octet.to_ascii_lowercase(), b's' | b'm' | b'h' | b'd' | b'w'))
}

fn absolute(name: &str, origin: &str) -> String {
    match name {
        "@" => format!("{origin}."),
        _ if name.ends_with('.') && !name.ends_with("\\.") => name.to_string(),
        _ if origin.is_empty() => name.to_string(),
        _ => format!("{name}.{origin}."),
    }
}

/// Iterates over the name itself and every name above it.
fn ancestors(name: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(name);
    std::iter::from_fn(move || {
        let this = rest?;
        let length = usize::from(*this.first()?);
        rest = if length == 0 { None } else { this.get(1 + length..) };
        Some(this)
    })
}

/// Builds the questions of a mix. `public` contains the names of the public share.
pub fn mix(
    names: &ExistingNames,
    public: Option<&ExistingNames>,
    mix: &QuestionMix,
    form: QueryForm,
    seed: u64,
    source: &str,
) -> Result<QuestionBank, BadMix> {
    let shares = [mix.hit_ratio, mix.nxdomain, mix.nodata, mix.random_subdomain, mix.public];
    let existing = 1.0 - (mix.nxdomain + mix.nodata + mix.random_subdomain + mix.public);
    if shares.iter().any(|share| !(0.0..=1.0).contains(share)) || existing < -1e-9 {
        return Err(BadMix::Shares(format!("{shares:?}")));
    }
    let existing = existing.max(0.0);
    let owners = shuffled(names, seed);
    let public = public.map(|names| shuffled(names, seed)).unwrap_or_default();
    let first_type = mix.types.first().copied().unwrap_or(1);
    let mut groups = MixGroups { mix, questions: QuestionBank::in_turn(source), groups: Vec::new(), shares: Vec::new() };
    groups.add(existing * mix.hit_ratio, QuestionKind::Hit, |questions| push_existing(questions, &owners, mix, form, QuestionKind::Hit))?;
    groups.add(existing * (1.0 - mix.hit_ratio), QuestionKind::Miss, |questions| {
        for (owner, _) in &owners {
            questions.push_fresh(owner, first_type, form, QuestionKind::Miss);
        }
    })?;
    groups.add(mix.nodata, QuestionKind::NoData, |questions| push_nodata(questions, &owners, mix, form))?;
    groups.add(mix.nxdomain, QuestionKind::NxDomain, |questions| push_nonexistent(questions, names, &owners, first_type, form))?;
    groups.add(mix.random_subdomain, QuestionKind::RandomSubdomain, |questions| {
        let parents: BTreeSet<&[u8]> = match &names.apex {
            Some(apex) => [apex.as_slice()].into(),
            None => owners.iter().map(|(owner, _)| parent(owner)).collect(),
        };
        for name in parents {
            questions.push_fresh(name, first_type, form, QuestionKind::RandomSubdomain);
        }
    })?;
    groups.add(mix.public, QuestionKind::Public, |questions| push_existing(questions, &public, mix, form, QuestionKind::Public))?;
    let MixGroups { mut questions, groups, shares, .. } = groups;
    questions.order = Order::Mixed { shares: WeightTable::new(&shares), groups };
    Ok(questions)
}

/// The groups of a mix while they are built, each with its share of the queries.
struct MixGroups<'m> {
    mix: &'m QuestionMix,
    questions: QuestionBank,
    groups: Vec<Group>,
    shares: Vec<f64>,
}

impl MixGroups<'_> {
    /// Adds the questions that `fill` pushes. A share of zero adds nothing.
    fn add(&mut self, share: f64, kind: QuestionKind, fill: impl FnOnce(&mut QuestionBank)) -> Result<(), BadMix> {
        if share <= 0.0 {
            return Ok(());
        }
        let first = self.questions.len() as u32;
        fill(&mut self.questions);
        let count = self.questions.len() as u32 - first;
        if count == 0 {
            return Err(BadMix::Impossible(kind.text()));
        }
        // Random subdomains are all equally popular.
        let is_ranked = kind != QuestionKind::RandomSubdomain && self.mix.zipf > 0.0;
        let weights = is_ranked.then(|| WeightTable::zipf(count as usize, self.mix.zipf));
        self.groups.push(Group { first, count, weights });
        self.shares.push(share);
        Ok(())
    }
}

/// Pushes one question for each owner without a CNAME, of a type that the owner lacks.
fn push_nodata(questions: &mut QuestionBank, owners: &[(Vec<u8>, BTreeSet<u16>)], mix: &QuestionMix, form: QueryForm) {
    for (owner, types) in owners.iter().filter(|(_, types)| !types.contains(&rtype::CNAME)) {
        let lacks = |rtype: &u16| if types.is_empty() { !mix.types.contains(rtype) } else { !types.contains(rtype) };
        if let Some(rtype) = NODATA_TYPES.into_iter().find(lacks) {
            questions.push(owner, rtype, form, QuestionKind::NoData);
        }
    }
}

/// Pushes one question for each owner, for a name beside it that does not exist.
fn push_nonexistent(questions: &mut QuestionBank, names: &ExistingNames, owners: &[(Vec<u8>, BTreeSet<u16>)], rtype: u16, form: QueryForm) {
    for (index, (owner, _)) in owners.iter().enumerate() {
        let parent = if names.apex.as_ref() == Some(owner) { owner } else { parent(owner) };
        let mut name = format!("\0nx-{index}").into_bytes();
        name[0] = name.len() as u8 - 1;
        name.extend_from_slice(parent);
        if name.len() <= 255 && !names.owners.contains_key(&name) {
            questions.push(&name, rtype, form, QuestionKind::NxDomain);
        }
    }
}

fn push_existing(
    questions: &mut QuestionBank,
    owners: &[(Vec<u8>, BTreeSet<u16>)],
    mix: &QuestionMix,
    form: QueryForm,
    kind: QuestionKind,
) {
    for (owner, types) in owners {
        let asked: Vec<u16> = if types.is_empty() { mix.types.clone() } else { types.iter().copied().collect() };
        for rtype in asked {
            questions.push(owner, rtype, form, kind);
        }
    }
}

/// Derives the popularity rank of a name from the seed, so that popular names are not adjacent in
/// the zone.
fn shuffled(names: &ExistingNames, seed: u64) -> Vec<(Vec<u8>, BTreeSet<u16>)> {
    let mut owners: Vec<_> = names.owners.iter().map(|(owner, types)| (owner.clone(), types.clone())).collect();
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    for index in (1..owners.len()).rev() {
        let other = ((u128::from(random.next_u64()) * (index as u128 + 1)) >> 64) as usize;
        owners.swap(index, other);
    }
    owners
}

fn parent(name: &[u8]) -> &[u8] {
    name.get(1 + usize::from(name[0])..).filter(|rest| !rest.is_empty()).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::super::QuestionPicker;
    use super::*;
    use std::collections::HashMap;

    const ZONE: &str = "$ORIGIN privatelink.contoso.example.
$TTL 300
@ 3600 IN SOA ns admin ( 1 ; serial
    3600 300
    2419200 10 )
@  IN NS ns.other.example.
ws-fhir IN A 10.0.0.4 ; the workspace
        IN AAAA 2001:db8::4
ws-dicom 60 A 10.0.0.5
text TXT \"a ; b ( c\"
alias CNAME ws-fhir
*.wild A 10.0.0.6
sub NS ns.sub
host.sub A 10.0.0.7
absolute.privatelink.contoso.example. A 10.0.0.8
";

    fn wire(name: &str) -> Vec<u8> {
        message::name_to_wire(name).unwrap()
    }

    #[test]
    fn a_zone_file_gives_its_names_and_types_without_wildcards_and_cut_off_names() {
        let names = parse_zone(ZONE, None).unwrap();
        let found: Vec<(String, Vec<u16>)> = names
            .owners
            .iter()
            .map(|(owner, types)| {
                (String::from_utf8_lossy(&owner[1..=usize::from(owner[0])]).into_owned(), types.iter().copied().collect())
            })
            .collect();
        let expected: [(&str, &[u16]); 6] =
            [("text", &[16]), ("alias", &[5]), ("ws-fhir", &[1, 28]), ("absolute", &[1]), ("ws-dicom", &[1]), ("privatelink", &[2])];
        let mut found: Vec<(&str, &[u16])> = found.iter().map(|(name, types)| (name.as_str(), types.as_slice())).collect();
        let mut expected = expected.to_vec();
        found.sort();
        expected.sort();
        assert_eq!(found, expected);
        assert_eq!(names.apex, Some(wire("privatelink.contoso.example")));
    }

    #[test]
    fn a_bad_owner_is_named_with_its_line() {
        assert_eq!(parse_zone("a A 10.0.0.1\nb..c A 10.0.0.2\n", Some("x.example")).unwrap_err().0, 2);
    }

    #[test]
    fn a_mix_keeps_its_shares_and_its_promises() {
        let names = parse_zone(ZONE, None).unwrap();
        let public = ExistingNames { owners: [(wire("www.public.example"), BTreeSet::new())].into(), apex: None };
        let shares =
            QuestionMix { hit_ratio: 0.75, nxdomain: 0.1, nodata: 0.1, random_subdomain: 0.1, public: 0.3, ..QuestionMix::default() };
        let questions = mix(&names, Some(&public), &shares, QueryForm::default(), 1, "test").unwrap();
        let mut picker = QuestionPicker::new(1, 0, 1);
        let mut counts: HashMap<QuestionKind, usize> = HashMap::new();
        for _ in 0..100_000 {
            let question = picker.pick(&questions);
            *counts.entry(questions.kind(question)).or_default() += 1;
        }
        for (kind, share) in [
            (QuestionKind::Hit, 0.3),
            (QuestionKind::Miss, 0.1),
            (QuestionKind::NoData, 0.1),
            (QuestionKind::NxDomain, 0.1),
            (QuestionKind::RandomSubdomain, 0.1),
            (QuestionKind::Public, 0.3),
        ] {
            let found = counts[&kind] as f64 / 1e5;
            assert!((found - share).abs() < 0.01, "{kind:?}: {found} instead of {share}");
        }
        let nodata: Vec<String> = (0..questions.len() as u32)
            .map(|item| super::super::DrawnQuestion { item, serial: 0 })
            .filter(|question| questions.kind(*question) == QuestionKind::NoData)
            .map(|question| questions.describe(question))
            .collect();
        assert!(nodata.contains(&"text.privatelink.contoso.example. AAAA".to_string()), "{nodata:?}");
        assert!(nodata.contains(&"ws-fhir.privatelink.contoso.example. TXT".to_string()), "{nodata:?}");
        assert!(!nodata.iter().any(|question| question.starts_with("alias")), "an alias has an answer for every type");
    }

    #[test]
    fn the_same_seed_asks_the_same() {
        let names = parse_zone(ZONE, None).unwrap();
        let shares = QuestionMix { random_subdomain: 0.5, zipf: 1.0, ..QuestionMix::default() };
        let asked = |seed| {
            let questions = mix(&names, None, &shares, QueryForm::default(), seed, "test").unwrap();
            let mut picker = QuestionPicker::new(seed, 0, 1);
            (0..50).map(|_| questions.describe(picker.pick(&questions))).collect::<Vec<_>>()
        };
        assert_eq!(asked(9), asked(9));
        assert_ne!(asked(9), asked(10));
    }

    #[test]
    fn shares_beyond_everything_and_kinds_without_names_are_refused() {
        let names = parse_zone(ZONE, None).unwrap();
        let too_much = QuestionMix { nxdomain: 0.6, nodata: 0.6, ..QuestionMix::default() };
        assert!(matches!(mix(&names, None, &too_much, QueryForm::default(), 1, "test"), Err(BadMix::Shares(_))));
        let no_public = QuestionMix { public: 0.5, ..QuestionMix::default() };
        assert!(matches!(mix(&names, None, &no_public, QueryForm::default(), 1, "test"), Err(BadMix::Impossible("public"))));
    }
}
