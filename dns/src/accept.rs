//! What of an upstream's answer is believed, and kept.
//!
//! Only the chain that starts at the name asked is read; every other record is dropped. The upstream's say ends at the first name
//! that lies in a private zone of the client's network or in another route (S1), so neither is ever heard, nor cached, from it.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use postern_zones::compression::{CompactRecords, RecordCompressor, SharedSuffix, names_in};
use postern_zones::name::NameBuf;

use crate::cache::{Cache, Entry, Key, What};
use crate::chain::MAX_HOPS;
use crate::clock::Now;
use crate::query::{Ask, Heard};
use crate::state::View;
use crate::wire::message::{BadMessage, Message, Record, flag};
use crate::wire::rtype;

/// What an upstream's message is good for.
#[derive(Debug)]
pub enum Verdict {
    /// It says something about the name asked.
    Heard(Heard),
    /// TC: ask again over TCP.
    Truncated,
    /// The upstream does not know EDNS (FORMERR or NOTIMP without OPT, RFC 6891 section 7): ask again without.
    WithoutEdns,
    /// An RCODE that says nothing about the name; the next upstream may know.
    Failed(u16),
    /// Not an answer to what was asked.
    Nonsense(&'static str),
}

/// Reads an upstream's answer to `ask`, for a client with this view.
pub fn accept(ask: &Ask, view: &View, upstream: &Arc<str>, bytes: &[u8]) -> Verdict {
    let message = match Message::read(bytes) {
        Ok(message) => message,
        // Servers that do not know EDNS may send back the bare header (RFC 6891 section 7).
        Err(_) if bytes.len() >= 4 && matches!(bytes[3] & 0xf, 1 | 4) => return Verdict::WithoutEdns,
        Err(_) => return Verdict::Nonsense("malformed"),
    };
    if message.flags & (flag::QR | flag::OPCODE) != flag::QR || message.name != ask.name || message.rtype != ask.rtype || message.class != 1
    {
        return Verdict::Nonsense("not an answer to this question");
    }
    if message.flags & flag::TC != 0 {
        return Verdict::Truncated;
    }
    match message.rcode {
        0 | 3 => {}
        1 | 4 | 16 => return Verdict::WithoutEdns,
        rcode => return Verdict::Failed(rcode),
    }
    let reader = Reader { ask, view, upstream, message: &message };
    match reader.chain() {
        Ok(Some(heard)) => Verdict::Heard(heard),
        Ok(None) => Verdict::Failed(message.rcode),
        Err(_) => Verdict::Nonsense("malformed RDATA"),
    }
}

/// Keeps what was heard for as long as its TTL allows.
pub fn remember(cache: &Cache, ask: &Ask, heard: &Heard) {
    let options = options(ask);
    for (route, name, entry) in &heard.0 {
        if entry.ttl > 0 {
            let key = Key::new(*route, options, ask.rtype, name);
            cache.insert(&key, entry.clone());
            if entry.what == What::Alias && ask.rtype != rtype::CNAME {
                cache.insert(&key.of_type(rtype::CNAME), entry.clone());
            }
        }
    }
}

/// Remembers that no upstream could say (RFC 9520); `stale` data there is then given at once for a while (RFC 8767).
pub fn remember_failure(cache: &Cache, ask: &Ask, settings: &postern_config::model::Cache, now: Now, upstream: &Arc<str>) {
    let key = Key::new(ask.route, options(ask), ask.rtype, &ask.name);
    for rtype in [ask.rtype, rtype::CNAME] {
        if let Some(entry) = cache.get(&key.of_type(rtype))
            && (rtype == ask.rtype || entry.what == What::Alias)
        {
            entry.refresh_failed(now.plus(settings.stale_recheck));
        }
    }
    if settings.failure_ttl > 0 {
        let entry = Entry {
            what: What::Failure,
            wire: Box::default(),
            count: 0,
            shared: SharedSuffix::default(),
            compact: CompactRecords::default(),
            born: now,
            ttl: settings.failure_ttl,
            authentic: false,
            known_public: false,
            upstream: upstream.clone(),
            recheck: AtomicU64::new(0),
        };
        cache.insert_failure(key, Arc::new(entry));
    }
}

/// Bits of the cache key: answers differ with DO and CD.
fn options(ask: &Ask) -> u8 {
    u8::from(ask.dnssec_ok) | u8::from(ask.checking_disabled) << 1
}

struct Reader<'a> {
    ask: &'a Ask,
    view: &'a View<'a>,
    upstream: &'a Arc<str>,
    message: &'a Message<'a>,
}

impl Reader<'_> {
    /// Follows the chain from the name asked. `None`: the message says nothing about it (a referral, say).
    fn chain(&self) -> Result<Option<Heard>, BadMessage> {
        let mut heard = Heard(Vec::with_capacity(1)); // mostly it is the name asked alone
        let mut name = self.ask.name.clone();
        while heard.0.len() <= MAX_HOPS {
            if !heard.0.is_empty() && !self.may_speak_of(&name) {
                break; // S1: the rest is dropped
            }
            let alias = (self.ask.rtype != rtype::CNAME).then(|| self.answer(&name, rtype::CNAME).next().cloned()).flatten();
            if let Some(alias) = alias {
                let mut target = Vec::new();
                self.message.append_rdata(&alias, &mut target)?;
                let target = NameBuf::read(&target)?;
                self.hear(&mut heard, &name, What::Alias, rtype::CNAME)?;
                name = target;
                continue;
            }
            if self.answer(&name, self.ask.rtype).next().is_some() {
                // A CNAME that was asked for serves every other type as an alias.
                let what = if self.ask.rtype == rtype::CNAME { What::Alias } else { What::Set };
                self.hear(&mut heard, &name, what, self.ask.rtype)?;
                break;
            }
            let denied = if self.message.rcode == 3 { What::NxDomain } else { What::NoData };
            let soa = self.soa(&name).is_some();
            let referral = self.message.records.iter().any(|record| !record.answer && record.rtype == rtype::NS);
            match heard.0.is_empty() {
                _ if soa || denied == What::NxDomain => self.hear(&mut heard, &name, denied, rtype::SOA)?,
                true if referral => return Ok(None),
                true => self.hear(&mut heard, &name, denied, rtype::SOA)?,
                false => {} // aliases alone: what they lead to is asked for next
            }
            break;
        }
        Ok(Some(heard))
    }

    /// An upstream may speak of a name that no private zone of this network holds and that its own route covers.
    fn may_speak_of(&self, name: &NameBuf) -> bool {
        let route = self.view.state.routes.find(self.view.network_id, name);
        let zone = self.view.network.zone_of(name, 0).map_or(0, |hosted| hosted.apex.as_wire().len());
        route.is_some_and(|(route, suffix)| route.id == self.ask.route && suffix > zone)
    }

    fn answer<'r>(&'r self, name: &'r NameBuf, rtype: u16) -> impl Iterator<Item = &'r Record> {
        self.message.records.iter().filter(move |record| record.answer && record.rtype == rtype && record.owner == *name)
    }

    /// The SOA that makes a denial of `name` cacheable: its owner must be at or above the name (RFC 2308 section 5).
    fn soa<'r>(&'r self, name: &NameBuf) -> Option<&'r Record> {
        let mut authority = self.message.records.iter().filter(|record| !record.answer && record.rtype == rtype::SOA);
        authority.find(|record| name.is_under(record.owner.as_wire()))
    }

    /// Adds one entry. The authority section goes along with a denial, and with its proofs where DNSSEC was asked for.
    fn hear(&self, heard: &mut Heard, name: &NameBuf, what: What, rtype: u16) -> Result<(), BadMessage> {
        let settings = &self.view.state.settings.cache;
        let positive = matches!(what, What::Set | What::Alias);
        let (mut answers, mut authorities) = (Vec::new(), Vec::new());
        let mut ttl = 0;
        if positive {
            let signatures = self.answer(name, rtype::RRSIG).filter(|signature| {
                self.ask.dnssec_ok && rtype != rtype::RRSIG && self.message.raw(signature).starts_with(&rtype.to_be_bytes())
            });
            let limit = if what == What::Alias { 1 } else { usize::MAX };
            answers.extend(self.answer(name, rtype).take(limit).chain(signatures));
            ttl = answers.iter().map(|record| record.ttl).min().unwrap_or(0);
            ttl = ttl.clamp(settings.min_ttl, settings.max_ttl.max(settings.min_ttl));
        } else if let Some(soa) = self.soa(name) {
            // MINIMUM is the last of SOA's five numbers.
            let minimum = self.message.raw(soa).last_chunk::<4>().map_or(0, |octets| u32::from_be_bytes(*octets));
            ttl = soa.ttl.min(minimum).min(settings.max_negative_ttl);
            authorities.push(soa);
        }
        if self.ask.dnssec_ok {
            const PROOFS: [u16; 3] = [47, 50, rtype::RRSIG]; // NSEC, NSEC3 and the signatures over them and over SOA
            authorities.extend(self.message.records.iter().filter(|record| !record.answer && PROOFS.contains(&record.rtype)));
        }
        let mut wire = Vec::new();
        let mut shared = SharedSuffix::default();
        let names = what == What::Set && names_in(rtype).is_some();
        if !names {
            for record in &answers {
                self.append(record, ttl, &mut wire)?;
            }
        }
        if what == What::Alias {
            shared = SharedSuffix::of(name, &NameBuf::read(wire.get(12..).unwrap_or_default())?);
        }
        let count = if names { 0 } else { answers.len() as u16 };
        let compact = self.compress(name, if names { &answers } else { &[] }, &authorities, ttl)?;
        let entry = Entry {
            what,
            wire: wire.into(),
            count,
            shared,
            compact,
            born: self.view.now,
            ttl,
            authentic: self.message.flags & flag::AD != 0,
            known_public: crate::private_link::is_known_public(&self.view.state.table, name),
            upstream: self.upstream.clone(),
            recheck: AtomicU64::new(0),
        };
        heard.0.push((self.ask.route, name.clone(), Arc::new(entry)));
        Ok(())
    }

    /// Compresses records that are given in answers for `name`.
    fn compress(&self, name: &NameBuf, answers: &[&Record], authorities: &[&Record], ttl: u32) -> Result<CompactRecords, BadMessage> {
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
    fn append(&self, record: &Record, ttl: u32, out: &mut Vec<u8>) -> Result<(), BadMessage> {
        out.extend_from_slice(b"\xc0\x0c");
        out.extend_from_slice(&record.rtype.to_be_bytes());
        out.extend_from_slice(&1u16.to_be_bytes());
        out.extend_from_slice(&ttl.to_be_bytes());
        let length = out.len();
        out.extend_from_slice(&[0, 0]);
        self.message.append_rdata(record, out)?;
        let octets = u16::try_from(out.len() - length - 2).map_err(|_| BadMessage::Data)?;
        out[length..length + 2].copy_from_slice(&octets.to_be_bytes());
        Ok(())
    }
}
