//! Decides which parts of an upstream's answer are trusted and cached.
//!
//! Only the chain that starts at the name asked is read; every other record is dropped. The upstream's say ends at the first name
//! that lies in a private zone of the client's network or in another route (S1), so neither is ever heard, nor cached, from it.
//!
//! The authority section is kept only as far as it proves what is believed: the SOA of a denial and, with DO, the NSEC and NSEC3 records
//! of a denial or of an answer made from a wildcard. A signature is kept only beside its RRset.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use postern_zones::compression::{CompactRecords, RecordCompressor, SharedSuffix, names_in};
use postern_zones::name::NameBuf;

use crate::cache::{AttachedRecords, CacheEntry, CacheKey, EntryKind};
use crate::chain::MAX_HOPS;
use crate::clock::Now;
use crate::cuts;
use crate::ede::Failure;
use crate::query::{UpstreamAnswers, UpstreamQuery, leads_home};
use crate::special;
use crate::state::{State, View};
use crate::wire::message::{BadMessage, Message, RecordSpan, flag};
use crate::wire::rtype;

/// NSEC and NSEC3 records of one message that are kept with an entry. A denial needs three at most, and one for each wildcard before it.
const MOST_PROOFS: usize = 16;
/// Signatures of one RRset that are kept: a zone that changes its keys has a few.
const MOST_SIGNATURES: usize = 8;

/// Use of an upstream's message.
#[derive(Debug)]
pub enum UpstreamVerdict {
    /// It says something about the name asked.
    Heard(UpstreamAnswers),
    /// TC: ask again over TCP.
    Truncated,
    /// The upstream does not know EDNS (FORMERR or NOTIMP without OPT, RFC 6891 section 7): ask again without.
    WithoutEdns,
    /// An RCODE that says nothing about the name; the next upstream may know. With the INFO-CODE of the extended error beside it (RFC 8914).
    Failed(u16, Option<u16>),
    /// Not an answer to what was asked.
    Nonsense(&'static str),
}

/// Reads an upstream's answer to `ask`, for a client with this view.
pub fn accept(ask: &UpstreamQuery, view: &View, upstream: &Arc<str>, bytes: &[u8]) -> UpstreamVerdict {
    let message = match Message::read(bytes) {
        Ok(message) => message,
        // Servers that do not know EDNS may send back the bare header (RFC 6891 section 7).
        Err(_) if bytes.len() >= 4 && matches!(bytes[3] & 0xf, 1 | 4) => return UpstreamVerdict::WithoutEdns,
        Err(_) => return UpstreamVerdict::Nonsense("malformed"),
    };
    if message.flags & (flag::QR | flag::OPCODE) != flag::QR || message.name != ask.name || message.rtype != ask.rtype || message.class != 1
    {
        return UpstreamVerdict::Nonsense("not an answer to this question");
    }
    if message.flags & flag::TC != 0 {
        return UpstreamVerdict::Truncated;
    }
    match message.rcode {
        0 | 3 => {}
        1 | 4 | 16 => return UpstreamVerdict::WithoutEdns,
        rcode => return UpstreamVerdict::Failed(rcode, extended_error(&message)),
    }
    let reader = Reader { ask, view, upstream, message: &message };
    match reader.chain() {
        Ok(Some(heard)) => UpstreamVerdict::Heard(heard),
        Ok(None) => UpstreamVerdict::Failed(message.rcode, extended_error(&message)),
        Err(_) => UpstreamVerdict::Nonsense("malformed RDATA"),
    }
}

/// Returns the INFO-CODE of the first extended error that says more than "other" (RFC 8914 section 4.1).
fn extended_error(message: &Message) -> Option<u16> {
    const EXTENDED_ERROR: u16 = 15;
    let errors = message.options().filter(|(code, _)| *code == EXTENDED_ERROR);
    errors.filter_map(|(_, data)| Some(u16::from_be_bytes(*data.first_chunk()?))).find(|code| *code != 0)
}

/// Keeps what was heard for as long as its TTL allows. An alias into a private zone of the client's network is kept even with a TTL of 0: it
/// is used once no upstream answers (S6).
pub fn remember(view: &View, ask: &UpstreamQuery, heard: &UpstreamAnswers) {
    let (cache, options) = (&view.state.cache, options(ask));
    for (index, (route, name, entry)) in heard.0.iter().enumerate() {
        // Behind an alias, servers (NSD 4.6) leave out a proof that the name alone needs: it is asked for by itself, then.
        let is_in_passing = index > 0 && ask.dnssec_ok && matches!(entry.what, EntryKind::NoData | EntryKind::NxDomain);
        if (entry.ttl > 0 || leads_home(view, entry)) && !is_in_passing {
            let key = CacheKey::new(*route, options, ask.rtype, name);
            cache.insert(&key, entry.clone());
            if entry.what.is_of_every_type() && ask.rtype != rtype::CNAME {
                cache.insert(&key.of_type(rtype::CNAME), entry.clone());
            }
        }
    }
}

/// Remembers that no upstream could say (RFC 9520); `stale` data there is then given at once for a while (RFC 8767).
pub fn remember_failure(state: &State, ask: &UpstreamQuery, failure: Failure, now: Now, upstream: &Arc<str>) {
    let (cache, settings) = (&state.cache, &state.settings.cache);
    let key = key_of(ask);
    for rtype in [ask.rtype, rtype::CNAME] {
        if let Some(entry) = cache.get(&key.of_type(rtype))
            && (rtype == ask.rtype || entry.what.is_of_every_type())
        {
            entry.refresh_failed(now.plus(settings.stale_recheck));
        }
    }
    if settings.failure_ttl > 0 {
        let entry = CacheEntry {
            what: EntryKind::Failure,
            wire: Box::default(),
            count: 0,
            shared: SharedSuffix::default(),
            compact: CompactRecords::default(),
            attached: None,
            born: now,
            ttl: settings.failure_ttl,
            authentic: false,
            known_public: false,
            error: failure.reported(),
            upstream: upstream.clone(),
            recheck: AtomicU64::new(0),
        };
        cache.insert_failure(key, Arc::new(entry));
    }
}

/// Bits of the cache key: answers differ with DO and CD.
fn options(ask: &UpstreamQuery) -> u8 {
    u8::from(ask.dnssec_ok) | u8::from(ask.checking_disabled) << 1
}

/// Returns the key under which the answer to a question is kept.
pub fn key_of(ask: &UpstreamQuery) -> CacheKey<'_> {
    CacheKey::new(ask.route, options(ask), ask.rtype, &ask.name)
}

struct Reader<'a> {
    ask: &'a UpstreamQuery,
    view: &'a View<'a>,
    upstream: &'a Arc<str>,
    message: &'a Message<'a>,
}

/// An alias at a name: a CNAME, a DNAME above it, or both.
struct FoundAlias<'r> {
    /// The target in wire form, its case kept.
    rdata: Vec<u8>,
    cname: Option<&'r RecordSpan>,
    dname: Option<&'r RecordSpan>,
}

impl Reader<'_> {
    /// Follows the chain from the name asked. `None`: the message says nothing about it (a referral, say).
    fn chain(&self) -> Result<Option<UpstreamAnswers>, BadMessage> {
        let mut heard = UpstreamAnswers(Vec::with_capacity(1)); // mostly it is the name asked alone
        let mut name = self.ask.name.clone();
        while heard.0.len() <= MAX_HOPS {
            if !heard.0.is_empty() && !self.may_speak_of(&name) {
                break; // S1: the rest is dropped
            }
            if let Some(alias) = self.alias(&name)? {
                let target = NameBuf::read(&alias.rdata)?;
                self.hear_alias(&mut heard, &name, &target, &alias)?;
                // A CNAME that was asked for serves every other type as an alias.
                if self.ask.rtype == rtype::CNAME {
                    break;
                }
                name = target;
                continue;
            }
            if self.answer(&name, self.ask.rtype).next().is_some() {
                self.hear_set(&mut heard, &name)?;
                break;
            }
            let denied = if self.message.rcode == 3 { EntryKind::NxDomain } else { EntryKind::NoData };
            let soa = self.soa(&name).is_some();
            let referral = self.message.records.iter().any(|record| !record.answer && record.rtype == rtype::NS);
            match heard.0.is_empty() {
                _ if soa || denied == EntryKind::NxDomain => self.hear_denial(&mut heard, &name, denied)?,
                true if referral => return Ok(None),
                true => self.hear_denial(&mut heard, &name, denied)?,
                false => {} // aliases alone: what they lead to is asked for next
            }
            break;
        }
        Ok(Some(heard))
    }

    /// The upstream may go on to a name of the chain: nobody else speaks for it.
    fn may_speak_of(&self, name: &NameBuf) -> bool {
        cuts::may_speak_of(self.view, self.ask.route, name, self.ask.rtype) && special::find(name, 0).is_none()
    }

    fn answer<'r>(&'r self, name: &'r NameBuf, rtype: u16) -> impl Iterator<Item = &'r RecordSpan> {
        self.message.records.iter().filter(move |record| record.answer && record.rtype == rtype && record.owner == *name)
    }

    /// Finds the alias at `name`. A DNAME alone is one as well: not every server makes the CNAME (RFC 6672 section 3.4).
    fn alias<'r>(&'r self, name: &'r NameBuf) -> Result<Option<FoundAlias<'r>>, BadMessage> {
        let cname = self.answer(name, rtype::CNAME).next();
        let mut rdata = Vec::new();
        let target = match cname {
            Some(record) => {
                self.message.append_rdata(record, &mut rdata)?;
                Some(NameBuf::read(&rdata)?)
            }
            None if self.answer(name, self.ask.rtype).next().is_some() => return Ok(None),
            None => None,
        };
        let mut dname = None;
        let records = self.message.records.iter().filter(|record| record.answer && record.rtype == rtype::DNAME);
        for record in records.filter(|record| name.len() > record.owner.len() && name.is_under(record.owner.as_wire())) {
            let mut redirected = name.as_wire()[..name.len() - record.owner.len()].to_vec();
            self.message.append_rdata(record, &mut redirected)?;
            let Ok(leads_to) = NameBuf::read(&redirected) else { continue }; // longer than a name may be
            // A DNAME of a private zone or of another route is not believed (S1), nor one that does not lead where the CNAME does.
            if target.as_ref().is_none_or(|target| *target == leads_to)
                && cuts::may_speak_of(self.view, self.ask.route, &record.owner, rtype::DNAME)
            {
                dname = Some(record);
                if cname.is_none() {
                    rdata = redirected;
                }
                break;
            }
        }
        Ok((cname.is_some() || dname.is_some()).then_some(FoundAlias { rdata, cname, dname }))
    }

    /// The signatures over an RRset, if DNSSEC was asked for.
    fn signatures<'r>(&'r self, owner: &'r NameBuf, covered: u16, answer: bool) -> impl Iterator<Item = &'r RecordSpan> {
        let signatures = self.message.records.iter().filter(move |record| {
            self.ask.dnssec_ok
                && record.rtype == rtype::RRSIG
                && covered != rtype::RRSIG
                && record.answer == answer
                && self.message.raw(record).starts_with(&covered.to_be_bytes())
                && record.owner == *owner
        });
        signatures.take(MOST_SIGNATURES)
    }

    /// The SOA that makes a denial of `name` cacheable: its owner must be at or above the name (RFC 2308 section 5).
    fn soa<'r>(&'r self, name: &NameBuf) -> Option<&'r RecordSpan> {
        let mut authority = self.message.records.iter().filter(|record| !record.answer && record.rtype == rtype::SOA);
        authority.find(|record| name.is_under(record.owner.as_wire()))
    }

    /// The NSEC and NSEC3 records at or below `zone`, with their signatures, if DNSSEC was asked for.
    fn proofs(&self, zone: &[u8]) -> Vec<&RecordSpan> {
        let is_proof = |record: &&RecordSpan| matches!(record.rtype, rtype::NSEC | rtype::NSEC3);
        let authority = self.message.records.iter().filter(|record| self.ask.dnssec_ok && !record.answer && record.owner.is_under(zone));
        let mut proofs: Vec<&RecordSpan> = Vec::new();
        for record in authority.filter(is_proof).take(MOST_PROOFS) {
            proofs.push(record);
            proofs.extend(self.signatures(&record.owner, record.rtype, false));
        }
        proofs
    }

    /// The proof that belongs to an answer with these signatures: that of the zone that made it from a wildcard.
    fn wildcard_proofs(&self, name: &NameBuf, answers: &[&RecordSpan]) -> Vec<&RecordSpan> {
        let zone = answers.iter().filter(|record| record.rtype == rtype::RRSIG && self.ask.rtype != rtype::RRSIG).find_map(|signature| {
            // Labels of the owner as it was signed, without `*`, in the fourth octet; the zone behind 18 (RFC 4034 section 3.1).
            let rdata = self.message.raw(signature);
            let signed = usize::from(*rdata.get(3)?) + usize::from(name.as_wire().starts_with(b"\x01*"));
            (signed < name.labels()).then(|| NameBuf::read(rdata.get(18..)?).ok()).flatten()
        });
        zone.map_or_else(Vec::new, |zone| self.proofs(zone.as_wire()))
    }

    /// Adds the RRset that was asked for.
    fn hear_set(&self, heard: &mut UpstreamAnswers, name: &NameBuf) -> Result<(), BadMessage> {
        let rtype = self.ask.rtype;
        let answers: Vec<&RecordSpan> = self.answer(name, rtype).chain(self.signatures(name, rtype, true)).collect();
        let proofs = self.wildcard_proofs(name, &answers);
        let mut entry = self.entry(name, EntryKind::Set, self.lifetime(answers.iter().chain(&proofs)));
        if names_in(rtype).is_some() {
            entry.compact = self.compress(name, &answers, &[], entry.ttl)?;
        } else {
            let mut wire = Vec::new();
            answers.iter().try_for_each(|record| self.append(record, entry.ttl, &mut wire))?;
            (entry.wire, entry.count) = (wire.into(), answers.len() as u16);
        }
        entry.attached = self.attach(name, None, &proofs, entry.ttl)?;
        heard.0.push((self.ask.route, name.clone(), Arc::new(entry)));
        Ok(())
    }

    /// Adds an alias. The TTL of one that was made from a DNAME is that of the DNAME: some servers give the CNAME a TTL of 0.
    fn hear_alias(&self, heard: &mut UpstreamAnswers, name: &NameBuf, target: &NameBuf, alias: &FoundAlias) -> Result<(), BadMessage> {
        let signatures: Vec<&RecordSpan> = match alias.cname {
            Some(_) => self.signatures(name, rtype::CNAME, true).collect(),
            None => Vec::new(),
        };
        let proofs = self.wildcard_proofs(name, &signatures);
        let first = alias.dname.or(alias.cname);
        let mut entry = self.entry(name, EntryKind::Alias, self.lifetime(first.iter().chain(&signatures).chain(&proofs)));
        let mut wire = Vec::with_capacity(12 + alias.rdata.len());
        append_record(rtype::CNAME, entry.ttl, &mut wire, |out| {
            out.extend_from_slice(&alias.rdata);
            Ok(())
        })?;
        signatures.iter().try_for_each(|record| self.append(record, entry.ttl, &mut wire))?;
        (entry.wire, entry.count) = (wire.into(), 1 + signatures.len() as u16);
        entry.shared = SharedSuffix::of(name, target);
        entry.attached = self.attach(name, alias.dname, &proofs, entry.ttl)?;
        heard.0.push((self.ask.route, name.clone(), Arc::new(entry)));
        Ok(())
    }

    /// Adds a denial, with its SOA and, if DNSSEC was asked for, its proofs.
    fn hear_denial(&self, heard: &mut UpstreamAnswers, name: &NameBuf, what: EntryKind) -> Result<(), BadMessage> {
        let most = self.view.state.settings.cache.max_negative_ttl;
        let soa = self.soa(name);
        // MINIMUM is the last of SOA's five numbers.
        let minimum = soa.and_then(|soa| self.message.raw(soa).last_chunk::<4>()).map_or(0, |octets| u32::from_be_bytes(*octets));
        let mut authorities: Vec<&RecordSpan> = soa.into_iter().collect();
        authorities.extend(soa.iter().flat_map(|soa| self.signatures(&soa.owner, rtype::SOA, false)));
        authorities.extend(self.proofs(NameBuf::root().as_wire()));
        let ttl = authorities.iter().map(|record| record.ttl).fold(minimum, u32::min).min(most);
        let mut entry = self.entry(name, what, ttl);
        entry.compact = self.compress(name, &[], &authorities, ttl)?;
        heard.0.push((self.ask.route, name.clone(), Arc::new(entry)));
        Ok(())
    }

    /// An entry without records.
    fn entry(&self, name: &NameBuf, what: EntryKind, ttl: u32) -> CacheEntry {
        CacheEntry {
            what,
            wire: Box::default(),
            count: 0,
            shared: SharedSuffix::default(),
            compact: CompactRecords::default(),
            attached: None,
            born: self.view.now,
            ttl,
            authentic: self.message.flags & flag::AD != 0,
            known_public: crate::private_link::is_known_public(&self.view.state.table, name),
            // About what the aliases lead to, which may be dropped (S1).
            error: if what == EntryKind::Alias { None } else { extended_error(self.message) },
            upstream: self.upstream.clone(),
            recheck: AtomicU64::new(0),
        }
    }

    /// The lowest TTL of records that are kept together, within the bounds of the settings.
    fn lifetime<'r>(&self, records: impl Iterator<Item = &'r &'r RecordSpan>) -> u32 {
        let settings = &self.view.state.settings.cache;
        let ttl = records.map(|record| record.ttl).min().unwrap_or(0);
        ttl.clamp(settings.min_ttl, settings.max_ttl.max(settings.min_ttl))
    }

    /// Keeps records of other names beside an entry. `None` if there are none.
    fn attach(
        &self,
        name: &NameBuf,
        dname: Option<&RecordSpan>,
        proofs: &[&RecordSpan],
        ttl: u32,
    ) -> Result<Option<Box<AttachedRecords>>, BadMessage> {
        if dname.is_none() && proofs.is_empty() {
            return Ok(None);
        }
        let mut attached = AttachedRecords::default();
        if let Some(dname) = dname {
            let mut wire = Vec::new();
            for record in std::iter::once(dname).chain(self.signatures(&dname.owner, rtype::DNAME, true)) {
                self.append(record, ttl, &mut wire)?;
                attached.dname_count += 1;
            }
            attached.dname = wire.into();
            attached.above_dname = (name.len() - dname.owner.len()) as u8; // a name has at most 255 octets
        }
        let mut wire = Vec::new();
        for record in proofs {
            let owner = wire.len();
            self.append(record, ttl, &mut wire)?;
            wire.splice(owner..owner + 2, record.owner.as_wire().iter().copied());
        }
        attached.proofs = wire.into();
        Ok(Some(Box::new(attached)))
    }

    /// Compresses records that are given in answers for `name`.
    fn compress(
        &self,
        name: &NameBuf,
        answers: &[&RecordSpan],
        authorities: &[&RecordSpan],
        ttl: u32,
    ) -> Result<CompactRecords, BadMessage> {
        if answers.is_empty() && authorities.is_empty() {
            return Ok(CompactRecords::default());
        }
        let mut compressor = RecordCompressor::new(name);
        let mut rdata = Vec::new();
        for (records, is_answer) in [(answers, true), (authorities, false)] {
            for record in records {
                rdata.clear();
                self.message.append_rdata(record, &mut rdata)?;
                match is_answer {
                    true => compressor.answer(&record.owner, record.rtype, ttl, &rdata),
                    false => compressor.authority(&record.owner, record.rtype, ttl, &rdata),
                }
            }
        }
        compressor.finish().ok_or(BadMessage::Data)
    }

    /// Appends a record with the owner placeholder. All of an answer have one TTL (RFC 2181 section 5.2).
    fn append(&self, record: &RecordSpan, ttl: u32, out: &mut Vec<u8>) -> Result<(), BadMessage> {
        append_record(record.rtype, ttl, out, |out| self.message.append_rdata(record, out))
    }
}

/// Appends a record with the owner placeholder, and the RDATA that `write` appends.
fn append_record(
    rtype: u16,
    ttl: u32,
    out: &mut Vec<u8>,
    write: impl FnOnce(&mut Vec<u8>) -> Result<(), BadMessage>,
) -> Result<(), BadMessage> {
    out.extend_from_slice(b"\xc0\x0c");
    out.extend_from_slice(&rtype.to_be_bytes());
    out.extend_from_slice(&1u16.to_be_bytes());
    out.extend_from_slice(&ttl.to_be_bytes());
    let length = out.len();
    out.extend_from_slice(&[0, 0]);
    write(out)?;
    let octets = u16::try_from(out.len() - length - 2).map_err(|_| BadMessage::Data)?;
    out[length..length + 2].copy_from_slice(&octets.to_be_bytes());
    Ok(())
}
