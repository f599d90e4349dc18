//! The guard against files that take away a zone's records without the operator's consent.
//!
//! A failed export, a full disk and a slip of the keyboard leave files that are right in every line and lack what was there. Such a file is
//! bad ([`Loss`]): the last good data serves until the file is mended, or until the operator accepts what it holds by then.
//!
//! A program that writes a file slowly leaves parts of it meanwhile. What loses names is therefore believed only once it stands still
//! ([`patience`]).

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use postern_config::model::{self, SourceFormat};

use super::context::Context;
use super::judged::{JudgedInput, MadeZone};
use super::zone_slot::ZoneSlot;
use crate::authority::ZoneAuthority;
use crate::diff::Difference;
use crate::record::{Severity, SourceProblem, TextPosition};
use crate::source::{LookMode, SourceFile};
use crate::zone::{Zone, rtype};

/// Zones with fewer names are guarded against losing all of them only.
const FEWEST_NAMES: usize = 20;
/// What looks like a file that is not wholly written yet must stand still this many settle times before it is believed.
pub const PATIENCE: u32 = 10;
/// How long a file that ends inside a line must not be written before that line is believed to be whole.
pub const UNFINISHED: Duration = Duration::from_secs(10);
/// The same while the zone has no other data: its names are SERVFAIL for so long.
pub const UNFINISHED_UNSERVED: Duration = Duration::from_secs(2);
/// How long a writer that keeps its file open is waited for.
pub const LONGEST_WRITE: Duration = Duration::from_secs(60);

/// New content that is not taken now although every line of it is right.
pub struct DoubtfulContent {
    /// Which of the judged inputs.
    pub judged: usize,
    /// Decision about the content.
    pub verdict: DoubtVerdict,
}

/// Decision about doubtful content.
pub enum DoubtVerdict {
    /// It may be a part of what is being written: look again in this time.
    Later(Duration),
    /// It loses too much: it is bad until the operator accepts it, with the command that the problem names.
    Held(SourceProblem),
}

struct Loss {
    judged: usize,
    problem: SourceProblem,
}

/// Returns the reasons to doubt new content. `made` are the zones that it would make. Returns `None` if it is to be taken.
pub fn doubts(
    judged: &[JudgedInput],
    made: &[MadeZone],
    inputs: &[SourceFile],
    slots: &[ZoneSlot],
    context: &Context,
    how: LookMode,
) -> Option<Vec<DoubtfulContent>> {
    let left = |place: usize, patience: Duration| {
        let left = patience.saturating_sub(judged[place].content.still);
        (how == LookMode::Settled && !left.is_zero()).then_some(left)
    };
    let mut doubts = Vec::new();
    for Loss { judged: place, problem } in losses(judged, made, inputs, slots) {
        let is_open = context.writers.is_open(&judged[place].content.stamp) == Some(true);
        let patience = if is_open { LONGEST_WRITE } else { context.settle * PATIENCE };
        let verdict = left(place, patience).map_or(DoubtVerdict::Held(problem), DoubtVerdict::Later);
        doubts.push(DoubtfulContent { judged: place, verdict });
    }
    if doubts.is_empty() {
        for place in 0..judged.len() {
            let is_at_fault = |made: &MadeZone| at_fault(judged, inputs, made.slot).contains(&place);
            let patience = patience(&judged[place], made.iter().filter(|made| is_at_fault(made)), inputs, slots, context);
            doubts.extend(left(place, patience).map(|left| DoubtfulContent { judged: place, verdict: DoubtVerdict::Later(left) }));
        }
    }
    (!doubts.is_empty()).then_some(doubts)
}

/// Why an edit of a feed is probably not meant: it would take away all names of the zone, or more than `max-loss` allows. Returns `None` if
/// it is to be made.
pub fn feed_loss(slot: &ZoneSlot, old: &Zone, new: &Zone) -> Option<String> {
    let (lost, before) = (Difference::names_lost(old, new), names(old, &slot.config));
    let loss = match of_zone_data(&slot.config, old, new, lost, before)? {
        Reason::ManyNames { lost, before } => {
            format!("it would lose {lost} of {before} names, more than max-loss ({}%)", slot.config.max_loss)
        }
        _ => format!("it would have no records, {before} before"),
    };
    Some(format!("{loss}. help: to accept what its source has now: postern reload --accept {}", slot.title()))
}

/// A zone whose loss the operator accepts: its name, and one of its networks if several zones have that name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcceptedZone {
    /// Apex, lower case, no final dot.
    pub name: String,
    /// A network that it is linked to; none: every zone of the name is meant.
    pub network: Option<String>,
}

impl AcceptedZone {
    /// From `ZONE` or `ZONE@NETWORK`.
    pub fn parse(text: &str) -> Self {
        let (name, network) = text.split_once('@').map_or((text, None), |(name, network)| (name, Some(network.to_owned())));
        let name = if name == "." { name } else { name.strip_suffix('.').unwrap_or(name) };
        Self { name: name.to_ascii_lowercase(), network }
    }

    /// Returns true if this zone is meant.
    pub fn is(&self, zone: &model::ZoneConfig) -> bool {
        let is_linked = |network: &String| zone.networks.include(network);
        zone.name == self.name && self.network.as_ref().is_none_or(is_linked)
    }
}

impl fmt::Display for AcceptedZone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        self.network.as_ref().map_or(Ok(()), |network| write!(f, "@{network}"))
    }
}

/// Why it is believed that records are lost by accident.
#[derive(Clone)]
enum Reason {
    /// A file has none, and had this many.
    Emptied { file: Arc<PathBuf>, before: usize },
    /// All names of a zone are gone, of this many.
    AllNames { before: usize },
    /// More names are gone than `max-loss` allows.
    ManyNames { lost: usize, before: usize },
    /// The file ends inside a line, and names are gone.
    Unfinished { lost: usize },
}

/// Finds what new content would take away by accident. `made` are the zones that it would make.
fn losses(judged: &[JudgedInput], made: &[MadeZone], inputs: &[SourceFile], slots: &[ZoneSlot]) -> Vec<Loss> {
    let mut losses: Vec<Loss> = Vec::new();
    for (made, new, difference, old) in made.iter().filter_map(|made| change_of(made, slots)) {
        let slot = &slots[made.slot];
        if difference.removed == 0 || slot.accepts_loss {
            continue;
        }
        let of_zone = || (0..judged.len()).filter(|place| judged[*place].is_good() && inputs[judged[*place].input].is_of(made.slot));
        let (lost, before) = (Difference::names_lost(old, new), names(old, &slot.config));
        for place in of_zone() {
            let (found, input) = (&judged[place], &inputs[judged[place].input]);
            if let Some(reason) = of_file(found, input, lost).filter(|reason| !slot.config.allow_empty || !reason.is_emptiness()) {
                add(&mut losses, place, found, input, slot, reason);
            }
        }
        let Some(reason) = of_zone_data(&slot.config, old, new, lost, before) else { continue };
        if of_zone().any(|place| losses.iter().any(|loss| loss.judged == place)) {
            continue; // without that file it may not be so
        }
        for place in at_fault(judged, inputs, made.slot) {
            add(&mut losses, place, &judged[place], &inputs[judged[place].input], slot, reason.clone());
        }
    }
    losses
}

/// How long new content must have stood still before it is believed. Longer if names are lost, because a part of a file looks like that.
fn patience<'m>(
    found: &JudgedInput,
    made: impl Iterator<Item = &'m MadeZone>,
    inputs: &[SourceFile],
    slots: &'m [ZoneSlot],
    context: &Context,
) -> Duration {
    let input = &inputs[found.input];
    let mut longest = Duration::ZERO;
    for (made, new, difference, old) in made.filter_map(|made| change_of(made, slots)) {
        if difference.removed == 0 {
            continue;
        }
        let is_much = difference.removed > 1 && difference.removed * 10 > old.counts().sets || is_bare(new, &slots[made.slot].config);
        let in_place = input.is_in_place(&found.content);
        let wanted = match context.writers.is_open(&found.content.stamp) {
            Some(true) => LONGEST_WRITE,
            // It lost too much a moment ago: now it is being written again, piece by piece.
            _ if input.is_held => UNFINISHED,
            None if in_place => UNFINISHED,
            Some(false) if in_place && is_much => UNFINISHED,
            _ if is_much => context.settle * PATIENCE,
            _ => Duration::ZERO,
        };
        longest = longest.max(wanted);
    }
    longest
}

/// Places of the new content that can be why a zone loses names: what has fewer records than before, or all of it if nothing has.
fn at_fault(judged: &[JudgedInput], inputs: &[SourceFile], slot: usize) -> Vec<usize> {
    let of_zone = || (0..judged.len()).filter(|place| judged[*place].is_good() && inputs[judged[*place].input].is_of(slot));
    let has_less = |place: &usize| judged[*place].counts.total() < inputs[judged[*place].input].counts.total();
    let fewer: Vec<usize> = of_zone().filter(has_less).collect();
    if fewer.is_empty() { of_zone().collect() } else { fewer }
}

/// A zone that is served and would be another.
fn change_of<'m>(made: &'m MadeZone, slots: &'m [ZoneSlot]) -> Option<(&'m MadeZone, &'m Zone, &'m Difference, &'m Zone)> {
    let (built, difference) = made.result.as_ref().ok()?;
    Some((made, &built.zone, difference.as_ref()?, slots[made.slot].zone.as_deref()?))
}

fn of_file(found: &JudgedInput, input: &SourceFile, lost: usize) -> Option<Reason> {
    let is_there = |path: &Arc<PathBuf>| *path == input.path || found.included.iter().any(|file| file.path == **path);
    let emptied = input.counts.iter().find(|(path, _)| is_there(path) && found.counts.of(path) == 0);
    match emptied {
        Some((file, before)) => Some(Reason::Emptied { file: file.clone(), before }),
        None if lost > 0 && found.format != SourceFormat::Azure && !found.content.ends_a_line() && !input.is_published() => {
            Some(Reason::Unfinished { lost })
        }
        None => None,
    }
}

fn of_zone_data(config: &model::ZoneConfig, old: &Zone, new: &Zone, lost: usize, before: usize) -> Option<Reason> {
    if is_bare(new, config) {
        return (!is_bare(old, config) && !config.allow_empty).then_some(Reason::AllNames { before });
    }
    let is_much = before >= FEWEST_NAMES && lost * 100 > before * usize::from(config.max_loss);
    is_much.then_some(Reason::ManyNames { lost, before })
}

/// Names that have records: the apex does not count for its SOA, nor for the NS records that the configuration gives it.
fn names(zone: &Zone, config: &model::ZoneConfig) -> usize {
    let apex_has_more = zone.at(&zone.apex().to_buf()).count() > made_sets(zone, config);
    zone.counts().names - usize::from(!apex_has_more)
}

/// Returns true if a zone has no RRset that its source must have given it.
fn is_bare(zone: &Zone, config: &model::ZoneConfig) -> bool {
    zone.counts().sets == made_sets(zone, config)
}

/// RRsets that a zone has without a source: the SOA, and the NS records that the configuration gives it.
fn made_sets(zone: &Zone, config: &model::ZoneConfig) -> usize {
    let apex = zone.apex().to_buf();
    let authority = match config.source.is_journaled() {
        true => Some(ZoneAuthority::of_api(&config.zone_names, &apex)),
        false => ZoneAuthority::configured(&config.zone_names, &apex),
    };
    let Some(authority) = authority else { return 1 };
    let is_server = |rdata: &[u8]| authority.servers.iter().any(|server| server.as_wire() == rdata);
    let has_servers = zone.at(&apex).any(|set| set.rtype == rtype::NS && set.rdata().all(is_server));
    1 + usize::from(has_servers)
}

fn add(losses: &mut Vec<Loss>, judged: usize, found: &JudgedInput, input: &SourceFile, slot: &ZoneSlot, reason: Reason) {
    if losses.iter().any(|loss| loss.judged == judged) {
        return; // said of another zone
    }
    let zone = slot.config.name.as_str();
    let count = |count: usize, what: &str| if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") };
    let mut at = TextPosition::default();
    let (file, message) = match reason {
        Reason::Emptied { file, before } => {
            let message = format!("no records, {before} before");
            (file, message)
        }
        Reason::AllNames { before } => {
            (input.path.clone(), format!("zone {zone} would have no records: {} before, none now", count(before, "name")))
        }
        Reason::ManyNames { lost, before } => {
            let share = slot.config.max_loss;
            (input.path.clone(), format!("zone {zone} would lose {lost} of {before} names, more than max-loss ({share}%)"))
        }
        Reason::Unfinished { lost } => {
            let line = found.content.bytes.iter().filter(|octet| **octet == b'\n').count() + 1;
            at = TextPosition { line: line as u32, column: 1 };
            (input.path.clone(), format!("the file ends inside this line, and zone {zone} would lose {}", count(lost, "name")))
        }
    };
    let help = format!("to accept what the file holds now: postern reload --accept {}", slot.title());
    losses.push(Loss { judged, problem: SourceProblem { file, at, severity: Severity::Error, message, help } });
}

impl Reason {
    /// Returns true if `allow-empty` allows it.
    fn is_emptiness(&self) -> bool {
        matches!(self, Self::Emptied { .. } | Self::AllNames { .. })
    }
}

impl ZoneSlot {
    /// The zone as commands take it: with a network if several zones have its name.
    pub(super) fn title(&self) -> String {
        match self.networks.names().first() {
            Some(network) if self.has_namesake => format!("{}@{network}", self.config.name),
            _ => self.config.name.clone(),
        }
    }
}
