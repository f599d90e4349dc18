//! Records of an update, and what their form must be (RFC 2136 sections 2.4, 2.5, 3.2 and 3.4.1).

use postern_dns::wire::message::{self, Message};
use postern_zones::name::NameBuf;
use postern_zones::text::rdata::{BadRdata, is_meta, write_rdata};

pub const IN: u16 = 1;
pub const NONE: u16 = 254;
pub const ANY: u16 = 255;

/// A record of a prerequisite or an update.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpdateRecord {
    /// Owner.
    pub owner: NameBuf,
    /// TYPE.
    pub rtype: u16,
    /// CLASS: what is meant.
    pub class: u16,
    /// Seconds.
    pub ttl: u32,
    /// RDATA, names in it uncompressed; none: it is not what its type asks for. Empty: there is none.
    pub rdata: Option<Box<[u8]>>,
}

/// Meaning of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// The RRset exists, with this record among its data (section 2.4.2).
    HasData,
    /// The RRset exists (section 2.4.1).
    HasSet,
    /// It does not (section 2.4.3).
    LacksSet,
    /// The name has records (section 2.4.4).
    HasName,
    /// It has none (section 2.4.5).
    LacksName,
    /// Add the record (section 2.5.1).
    Add,
    /// Delete the RRset (section 2.5.2).
    DeleteSet,
    /// Delete all RRsets of the name (section 2.5.3).
    DeleteName,
    /// Delete the record (section 2.5.4).
    DeleteRecord,
}

impl UpdateRecord {
    /// From where it stands in a message.
    pub fn read(message: &Message<'_>, found: &message::RecordSpan) -> Self {
        let mut rdata = Vec::new();
        // What says nothing but its type has no data, whose form could be wrong.
        let good = message.raw(found).is_empty() || message.append_rdata(found, &mut rdata).is_ok();
        let rdata = good.then(|| rdata.into_boxed_slice());
        Self { owner: found.owner.clone(), rtype: found.rtype, class: found.class, ttl: found.ttl, rdata }
    }

    /// As a prerequisite; none: FORMERR (section 3.2).
    pub fn as_prerequisite(&self) -> Option<Meaning> {
        let meaning = match (self.class, self.rtype) {
            (ANY, ANY) if self.is_bare() => Meaning::HasName,
            (ANY, _) if self.is_bare() => Meaning::HasSet,
            (NONE, ANY) if self.is_bare() => Meaning::LacksName,
            (NONE, _) if self.is_bare() => Meaning::LacksSet,
            (IN, rtype) if rtype != ANY && self.is_whole() => Meaning::HasData,
            _ => return None,
        };
        (self.ttl == 0 && (self.rtype == ANY || !is_meta(self.rtype))).then_some(meaning)
    }

    /// As an update; none: FORMERR (section 3.4.1.2).
    pub fn as_update(&self) -> Option<Meaning> {
        match (self.class, self.rtype) {
            (ANY, ANY) if self.is_bare() && self.ttl == 0 => Some(Meaning::DeleteName),
            _ if is_meta(self.rtype) => None,
            (IN, _) if self.is_whole() => Some(Meaning::Add),
            (ANY, _) if self.is_bare() && self.ttl == 0 => Some(Meaning::DeleteSet),
            (NONE, _) if self.is_whole() && self.ttl == 0 => Some(Meaning::DeleteRecord),
            _ => None,
        }
    }

    /// Its data; empty where there is none.
    pub fn data(&self) -> &[u8] {
        self.rdata.as_deref().unwrap_or_default()
    }

    fn is_bare(&self) -> bool {
        self.rdata.as_deref().is_some_and(<[u8]>::is_empty)
    }

    /// Returns true if the data may be that of its type. Some data has no text form of its own.
    fn is_whole(&self) -> bool {
        self.rdata.as_deref().is_some_and(|rdata| write_rdata(self.rtype, rdata, &mut String::new()) != Err(BadRdata::Malformed))
    }
}
