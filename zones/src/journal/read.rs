//! Reading a journal: whole, or not at all. And what can be read of a damaged one.

use super::format::{FRAME, FRAME_1, HEAD, LONGEST, MAGIC, MAGIC_1, MARKS, Mark, Payload, Salt, read_payload, whole_frame_1};
use super::{JournalChange, JournalImage, JournalReplay};

/// Content of a journal, and the position at which writing continues.
#[derive(Debug)]
pub struct Reading {
    /// Image and changes.
    pub replay: JournalReplay,
    /// None: the file has the old format.
    pub salt: Option<Salt>,
    /// Number of the next frame.
    pub sequence: u32,
    /// Octets of the file up to the end of its last whole frame.
    pub length: u64,
    /// Octets of them that are changes.
    pub changes: u64,
    /// Copies of the commit mark that are damaged. One alone loses nothing.
    pub bad_marks: usize,
}

/// Damage of a journal, with its offset.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// It has no head that this version knows.
    #[error("octet 0: it does not begin as a zone journal of this version does")]
    Head,
    /// Both copies of the commit mark are wrong.
    #[error("octet {}: both commit marks are damaged", MARKS[0])]
    Marks,
    /// A frame that was committed is wrong, or one that was not has others behind it.
    #[error("octet {0}: a committed change is damaged")]
    Frame(u64),
    /// Octets that were committed are missing at the end.
    #[error("octet {at}: the file ends here, and {missing} octets that were committed are missing")]
    Short {
        /// Its length.
        at: u64,
        /// Octets missing.
        missing: u64,
    },
    /// The image at the beginning is not whole.
    #[error("octet {0}: the file ends within its image of the zone")]
    Image(u64),
}

/// The readable part of a journal, damaged or not.
#[derive(Debug, Default)]
pub struct Salvage {
    /// Image parts put together; records of lost parts are missing.
    pub image: JournalImage,
    /// No image part that carries the settings was lost, or changes carry them.
    pub has_settings: bool,
    /// Changes that can be read, oldest first.
    pub changes: Vec<JournalChange>,
    /// Octets that cannot be read: where they begin, and how many.
    pub lost: Vec<Lost>,
    /// The highest serial that is known to have been committed.
    pub serial: u32,
}

/// Octets of a journal that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lost {
    /// Where they begin.
    pub at: u64,
    /// How many. 0: an unknown number is missing at the end.
    pub octets: u64,
    /// Serial of the zone before them. 0: not known.
    pub after: u32,
}

impl Damage {
    /// Where it begins.
    pub fn at(&self) -> u64 {
        match self {
            Self::Head => 0,
            Self::Marks => MARKS[0] as u64,
            Self::Frame(at) | Self::Image(at) | Self::Short { at, .. } => *at,
        }
    }
}

/// Reads a journal. What a crash left half written behind the last committed frame is counted in [`JournalReplay::cut`]; anything else that is
/// wrong is damage.
pub fn read(octets: &[u8]) -> Result<Reading, Damage> {
    if octets.starts_with(MAGIC_1) {
        return read_1(octets);
    }
    let salt = Salt::read(octets).ok_or(Damage::Head)?;
    if octets.len() < HEAD {
        return Err(Damage::Image(octets.len() as u64));
    }
    let marks = salt.read_marks(octets);
    let mark = marks.iter().flatten().max_by_key(|mark| mark.length).copied().ok_or(Damage::Marks)?;
    let length = octets.len() as u64;
    let mut assembly = Assembly::default();
    let (mut at, mut sequence) = (HEAD, 0);
    loop {
        if at as u64 == mark.length && sequence != mark.sequence {
            return Err(Damage::Frame(at as u64));
        }
        let frame = octets.get(at..).and_then(|rest| salt.whole_frame(rest)).filter(|(number, _)| *number == sequence);
        let Some((_, payload)) = frame else { break };
        let end = at + FRAME + payload.len();
        let passes_the_mark = (at as u64) < mark.length && end as u64 > mark.length;
        if passes_the_mark || !read_payload(payload).is_some_and(|read| assembly.take(read, FRAME + payload.len())) {
            return Err(Damage::Frame(at as u64));
        }
        (at, sequence) = (end, sequence.wrapping_add(1));
    }
    if length < mark.length {
        return Err(Damage::Short { at: length, missing: mark.length - length });
    }
    // What was not committed is one frame at most, and torn: with others behind it, it was whole once.
    if (at as u64) < mark.length || next_frame(salt, octets, at).is_some() {
        return Err(Damage::Frame(at as u64));
    }
    let bad_marks = marks.iter().filter(|mark| mark.is_none()).count();
    assembly.finish(octets, at, Some(salt), sequence, bad_marks)
}

/// The old format has neither marks nor numbers: the last frame may be torn, or damaged, and nobody can tell.
fn read_1(octets: &[u8]) -> Result<Reading, Damage> {
    let mut assembly = Assembly::default();
    let mut at = MAGIC_1.len();
    while let Some(payload) = whole_frame_1(&octets[at..]) {
        if !read_payload(payload).is_some_and(|read| assembly.take(read, FRAME_1 + payload.len())) {
            return Err(Damage::Frame(at as u64));
        }
        at += FRAME_1 + payload.len();
    }
    if next_frame_1(octets, at).is_some() {
        return Err(Damage::Frame(at as u64));
    }
    assembly.finish(octets, at, None, 0, 0)
}

/// Reads what can be read, and passes over what cannot.
pub fn salvage(octets: &[u8]) -> Salvage {
    let mut salvage = Salvage::default();
    let salt = Salt::read(octets);
    let is_old = octets.starts_with(MAGIC_1) || !octets.starts_with(MAGIC) && next_frame_1(octets, MAGIC_1.len()).is_some();
    let mark = salt.and_then(|salt| salt.read_marks(octets).into_iter().flatten().max_by_key(|mark: &Mark| mark.length));
    let frame = |at: usize| match (is_old, salt) {
        (true, _) => whole_frame_1(octets.get(at..)?).map(|payload| (FRAME_1, payload)),
        (false, Some(salt)) => salt.whole_frame(octets.get(at..)?).map(|(_, payload)| (FRAME, payload)),
        (false, None) => unsalted_frame(octets.get(at..)?).map(|payload| (FRAME, payload)),
    };
    let mut at = if is_old { MAGIC_1.len() } else { HEAD.min(octets.len()) };
    let mut serial = 0;
    while at < octets.len() {
        if let Some((head, payload)) = frame(at)
            && let Some(read) = read_payload(payload)
        {
            match read {
                Payload::Image { image, .. } => {
                    salvage.has_settings |= !image.settings.is_empty();
                    salvage.image.settings.push_str(&image.settings);
                    salvage.image.records.extend(image.records);
                    (salvage.image.serial, serial) = (image.serial, image.serial);
                }
                Payload::Entries(changes, settings) => {
                    serial = changes.last().map_or(serial, |change| change.to);
                    salvage.changes.extend(changes);
                    salvage.has_settings |= settings.is_some();
                    salvage.image.settings = settings.unwrap_or(std::mem::take(&mut salvage.image.settings));
                }
            }
            at += head + payload.len();
            continue;
        }
        let next = (at + 1..octets.len()).find(|at| frame(*at).is_some()).unwrap_or(octets.len());
        salvage.lost.push(Lost { at: at as u64, octets: (next - at) as u64, after: serial });
        at = next;
    }
    salvage.serial = mark.map_or(serial, |mark| if crate::zone::serial_rose(serial, mark.serial) { mark.serial } else { serial });
    if let Some(mark) = mark.filter(|mark| mark.length > octets.len() as u64) {
        salvage.lost.push(Lost { at: octets.len() as u64, octets: mark.length - octets.len() as u64, after: serial });
    }
    salvage
}

/// Where the next whole frame is that begins behind `at`.
fn next_frame(salt: Salt, octets: &[u8], at: usize) -> Option<usize> {
    (at + 1..octets.len().saturating_sub(FRAME)).find(|at| salt.whole_frame(&octets[*at..]).is_some())
}

fn next_frame_1(octets: &[u8], at: usize) -> Option<usize> {
    let is_frame = |at: &usize| whole_frame_1(&octets[*at..]).is_some_and(|payload| read_payload(payload).is_some());
    (at + 1..octets.len().saturating_sub(FRAME_1)).find(is_frame)
}

/// A frame of a file whose salt is lost: its payload alone is checked.
fn unsalted_frame(octets: &[u8]) -> Option<&[u8]> {
    let (head, rest) = octets.split_first_chunk::<FRAME>()?;
    let number = |at: usize| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    let payload = rest.get(..(number(0) as usize).min(LONGEST + 1))?;
    let is_right = !payload.is_empty() && payload.len() == number(0) as usize && crc32fast::hash(payload) == number(8);
    is_right.then_some(payload).filter(|payload| read_payload(payload).is_some())
}

/// Result of the frames so far.
#[derive(Default)]
struct Assembly {
    replay: JournalReplay,
    is_image_whole: bool,
    changes: u64,
}

impl Assembly {
    /// Takes the payload of a frame of this length. Returns false if it must not stand here.
    fn take(&mut self, payload: Payload, octets: usize) -> bool {
        match payload {
            Payload::Image { image, last } if !self.is_image_whole => {
                self.replay.image.settings.push_str(&image.settings);
                self.replay.image.serial = image.serial;
                self.replay.image.records.extend(image.records);
                self.is_image_whole = last;
                true
            }
            Payload::Entries(changes, settings) if self.is_image_whole => {
                self.replay.changes.extend(changes);
                self.replay.image.settings = settings.unwrap_or(std::mem::take(&mut self.replay.image.settings));
                self.changes += octets as u64;
                true
            }
            _ => false,
        }
    }

    fn finish(mut self, octets: &[u8], end: usize, salt: Option<Salt>, sequence: u32, bad_marks: usize) -> Result<Reading, Damage> {
        if !self.is_image_whole {
            return Err(Damage::Image(end as u64)); // it is written before the file takes its name
        }
        self.replay.cut = (octets.len() - end) as u64;
        Ok(Reading { replay: self.replay, salt, sequence, length: end as u64, changes: self.changes, bad_marks })
    }
}
