//! Answers of a zone about a name.

/// One RRset of a zone, as wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RrSet<'z> {
    /// TYPE.
    pub rtype: u16,
    /// Records in it.
    pub count: u16,
    /// Seconds, the same for all of them (RFC 2181 section 5.2); of signatures that of the first (see [`RrSet::records`]).
    pub ttl: u32,
    /// The records: each the owner placeholder `C0 0C`, TYPE, CLASS IN, TTL, RDLENGTH, RDATA.
    pub wire: &'z [u8],
}

/// The answer of one zone to (name, type), RFC 1034 section 4.3.2 as clarified by RFC 4592 and RFC 6672.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lookup<'z> {
    /// The RRset asked for; a CNAME too when CNAME was asked.
    Found {
        /// The data.
        set: RrSet<'z>,
        /// It was made from a wildcard.
        wildcard: bool,
    },
    /// The name is an alias: a CNAME RRset of one record, and another type was asked.
    Alias {
        /// The CNAME.
        set: RrSet<'z>,
        /// It was made from a wildcard.
        wildcard: bool,
    },
    /// A DNAME above the name (never at it, unless asked for by type).
    Redirect {
        /// The DNAME RRset of one record.
        set: RrSet<'z>,
        /// Label of the question name at which the DNAME's owner starts (1 or more).
        owner: usize,
    },
    /// The name is at or below a zone cut.
    Referral {
        /// The cut's NS RRset.
        set: RrSet<'z>,
        /// Label of the question name at which the cut's owner starts (0: the name itself).
        owner: usize,
    },
    /// The name exists (or a wildcard makes it, or names below it do), the type does not.
    NoData,
    /// No such name.
    Missing,
}

impl<'z> RrSet<'z> {
    /// True where both have the same TTL and the same records in whatever order; of SOA records the serial does not count.
    pub fn same_data(&self, other: &RrSet<'_>) -> bool {
        if (self.rtype, self.count, self.ttl, self.wire.len()) != (other.rtype, other.count, other.ttl, other.wire.len()) {
            return false;
        }
        if self.rtype == crate::zone::rtype::SOA {
            let at = self.wire.len().saturating_sub(20); // SERIAL and what follows
            return self.wire[..at] == other.wire[..at] && self.wire[at + 4..] == other.wire[at + 4..];
        }
        self.wire == other.wire || self.sorted() == other.sorted()
    }

    fn sorted(&self) -> Vec<(u32, &'z [u8])> {
        let mut records: Vec<_> = self.records().collect();
        records.sort_unstable();
        records
    }

    /// RDATA of each record, in stored order.
    pub fn rdata(&self) -> impl Iterator<Item = &'z [u8]> + use<'z> {
        self.records().map(|(_, rdata)| rdata)
    }

    /// TTL and RDATA of each record, in stored order. Signatures have the TTLs of what they cover (RFC 4034 section 3).
    pub fn records(&self) -> impl Iterator<Item = (u32, &'z [u8])> + use<'z> {
        let mut rest = self.wire;
        std::iter::from_fn(move || {
            let ttl = u32::from_be_bytes(rest.get(6..10)?.try_into().ok()?);
            let length = u16::from_be_bytes(rest.get(10..12)?.try_into().ok()?) as usize;
            let data = rest.get(12..12 + length)?;
            rest = &rest[12 + length..];
            Some((ttl, data))
        })
    }
}
