//! Transaction signatures (RFC 8945): who sent a message, and that nobody changed it.
//!
//! ```text
//! server  Keyring::verify(request) ─▶ Verified { message, key, Signer } ─▶ Signer::sign(answer) … one or many
//! client  Signer::begin(key, request) ─▶ Signer::check(answer) … one or many, unsigned ones between signed ones
//! ```
//! Time is handed in: seconds since 1970.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use postern_config::PosternConfig;
use postern_config::model::{self, KeyAction, KeyProof, TsigAlgorithm};
use postern_zones::name::{NameBuf, WireName};

mod hash;
mod record;
#[cfg(test)]
mod tests;

pub use record::{TsigFormatError, TsigRecord, find};

/// Extended RCODEs of TSIG (RFC 8945 section 3).
pub mod error {
    #![allow(missing_docs)] // the names are the documentation
    pub const BADSIG: u16 = 16;
    pub const BADKEY: u16 = 17;
    pub const BADTIME: u16 = 18;
    pub const BADTRUNC: u16 = 22;
}

/// Seconds that clocks may differ, in what we sign (RFC 8945 section 10 recommends it).
pub const FUDGE: u16 = 300;

/// The keys of a configuration.
#[derive(Debug, Default)]
pub struct Keyring {
    signed: HashMap<WireName, Arc<TsigKey>>,
    unsigned: Vec<Arc<TsigKey>>,
}

/// A key and what it is good for.
#[derive(Debug)]
pub struct TsigKey {
    /// Lower case.
    pub name: WireName,
    /// As it was configured.
    pub policy: model::KeyConfig,
}

/// A request whose signature is right.
#[derive(Debug)]
pub struct VerifiedMessage {
    /// The message without its TSIG record, as it was signed.
    pub message: Vec<u8>,
    /// Who signed it.
    pub key: Arc<TsigKey>,
    /// Signs the answer.
    pub signer: Signer,
}

/// A request whose signature is not right. The answer says so in a TSIG record of its own.
#[derive(Debug)]
pub struct TsigRejection {
    /// [`error`]'s number; none: FORMERR, and no TSIG record in the answer.
    pub error: Option<u16>,
    /// Message for the log, if the operator can fix the problem.
    pub hint: Option<String>,
    /// The answer's record; signed with the key where there is one.
    record: Option<TsigRecord>,
    signer: Option<Signer>,
}

/// Signs answers to one request, or checks them.
#[derive(Debug, Clone)]
pub struct Signer {
    key: Arc<TsigKey>,
    algorithm: TsigAlgorithm,
    /// MAC of the request, then of the last message.
    last: Vec<u8>,
    is_first: bool,
    /// Messages that came without a signature since the last one.
    between: Vec<u8>,
}

/// Why an answer cannot be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadAnswer {
    /// Not to be read.
    #[error("the answer is malformed")]
    Malformed,
    /// No TSIG record where one must be.
    #[error("the answer is not signed")]
    Unsigned,
    /// By another key or hash, or the MAC is wrong.
    #[error("the signature of the answer is wrong")]
    Signature,
    /// Signed too long ago, or in the future.
    #[error("the answer was signed at another time: the clocks differ")]
    Time,
    /// The other side did not like our signature.
    #[error("the other side refuses our signature: TSIG error {0}")]
    Refused(u16),
}

impl Keyring {
    /// The keys of a configuration.
    pub fn new(config: &PosternConfig) -> Self {
        let mut keyring = Self::default();
        for policy in &config.keys {
            let Ok(name) = WireName::parse(&policy.name) else { continue }; // the configuration was checked
            let key = Arc::new(TsigKey { name: name.clone(), policy: policy.clone() });
            match policy.proof {
                KeyProof::Tsig { .. } => drop(keyring.signed.insert(name, key)),
                KeyProof::Address => keyring.unsigned.push(key),
            }
        }
        keyring
    }

    /// True where some key may do this.
    pub fn allows(&self, action: KeyAction) -> bool {
        self.signed.values().chain(&self.unsigned).any(|key| key.policy.allow.contains(&action))
    }

    /// True where there is no key at all.
    pub fn is_empty(&self) -> bool {
        self.signed.is_empty() && self.unsigned.is_empty()
    }

    /// True where messages can be signed.
    pub fn can_sign(&self) -> bool {
        !self.signed.is_empty()
    }

    /// The key of a name: to sign with.
    pub fn key(&self, name: &str) -> Option<Arc<TsigKey>> {
        self.signed.get(&WireName::parse(name).ok()?).cloned()
    }

    /// The keys that a client may use without a signature.
    pub fn unsigned(&self, client: IpAddr) -> impl Iterator<Item = &Arc<TsigKey>> {
        self.unsigned.iter().filter(move |key| key.is_for(client))
    }

    /// Checks a signed request. The order of the checks is that of RFC 8945 section 5.2: key, MAC, time, length of the MAC.
    pub fn verify(&self, request: &[u8], record: &TsigRecord, client: IpAddr, now: u64) -> Result<VerifiedMessage, Box<TsigRejection>> {
        let reject = |error, hint, signer: Option<Signer>| {
            let other = if error == error::BADTIME { now.to_be_bytes()[2..].to_vec() } else { Vec::new() };
            let record = TsigRecord { mac: Vec::new(), error, other, ..record.clone() };
            Box::new(TsigRejection { error: Some(error), hint, record: Some(record), signer })
        };
        let algorithm = hash::of_wire_name(record.algorithm.as_wire());
        let key = self.signed.get(&record.key.to_wire_name()).filter(|key| key.is_for(client));
        let Some(key) = key else { return Err(reject(error::BADKEY, None, None)) };
        let Some((algorithm, secret)) = algorithm.and_then(|algorithm| Some((algorithm, key.secret_for(algorithm)?))) else {
            return Err(reject(error::BADKEY, key.hint(record, algorithm), None));
        };
        // Shorter than 10 octets or half of the hash means nothing, longer cannot be (RFC 8945 section 5.2.2.1).
        let length = hash::length(algorithm);
        if record.mac.len() > length || record.mac.len() < 10.max(length / 2) {
            return Err(Box::new(TsigRejection { error: None, hint: None, record: None, signer: None }));
        }
        let message = record.take_off(request);
        let variables = record.variables();
        if !hash::verify(algorithm, secret, &[&message, &variables], &record.mac) {
            return Err(reject(error::BADSIG, None, None));
        }
        let signer = Signer { key: key.clone(), algorithm, last: record.mac.clone(), is_first: true, between: Vec::new() };
        if now.abs_diff(record.time) > u64::from(record.fudge) {
            let hint =
                format!("a message by {} was signed {} s away from now: the clocks differ", key.policy.name, now.abs_diff(record.time));
            return Err(reject(error::BADTIME, Some(hint), Some(signer)));
        }
        // Where nothing else is said, the whole MAC is asked for, as BIND does.
        if record.mac.len() < key.least_octets(length) {
            let hint = format!("a MAC of {} by {} was cut to {} octets", algorithm.word(), key.policy.name, record.mac.len());
            return Err(reject(error::BADTRUNC, Some(hint), Some(signer)));
        }
        let mut message = message;
        message[..2].copy_from_slice(&request[..2]); // the answer bears the ID that came
        Ok(VerifiedMessage { message, key: key.clone(), signer })
    }
}

impl TsigKey {
    /// True where a client may use it.
    pub fn is_for(&self, client: IpAddr) -> bool {
        self.policy.clients.is_empty() || self.policy.clients.iter().any(|prefix| prefix.contains(&client.to_canonical()))
    }

    /// True where it may do this.
    pub fn allows(&self, action: KeyAction) -> bool {
        self.policy.allow.contains(&action)
    }

    /// True where it is good for a zone: its name, and the networks that the zone is linked to (by name; empty: all).
    pub fn covers(&self, zone: &str, networks: &[&str]) -> bool {
        let linked = |network: &Option<String>| network.as_deref().is_none_or(|network| networks.is_empty() || networks.contains(&network));
        self.policy.zones.is_empty() || self.policy.zones.iter().any(|known| known.name == zone && linked(&known.network))
    }

    /// True where it may change records of this type at this name.
    pub fn may_change(&self, owner: &NameBuf, rtype: u16) -> bool {
        (self.policy.types.is_empty() || self.policy.types.contains(&rtype)) && self.may_change_name(owner)
    }

    /// True where it may change some records at this name.
    pub fn may_change_name(&self, owner: &NameBuf) -> bool {
        let labels: Vec<&[u8]> =
            (0..owner.labels()).map(|index| &owner.as_wire()[owner.start(index) + 1..owner.start(index + 1)]).collect();
        self.policy.names.is_empty() || self.policy.names.iter().any(|pattern| pattern.matches(&labels))
    }

    /// The secret, where the key may be used with this hash.
    fn secret_for(&self, wanted: TsigAlgorithm) -> Option<&[u8]> {
        match &self.policy.proof {
            KeyProof::Tsig { algorithm, allow_md5, secret, .. } if *algorithm == wanted || (*allow_md5 && wanted == TsigAlgorithm::Md5) => {
                Some(secret.as_octets())
            }
            _ => None,
        }
    }

    /// Octets of a MAC that are asked for, of as many as the hash has.
    fn least_octets(&self, whole: usize) -> usize {
        match &self.policy.proof {
            KeyProof::Tsig { mac_bits: Some(bits), .. } => usize::from(bits.div_ceil(8)).min(whole),
            _ => whole,
        }
    }

    /// Returns a hint for a client that signs with another hash.
    fn hint(&self, record: &TsigRecord, algorithm: Option<TsigAlgorithm>) -> Option<String> {
        let KeyProof::Tsig { algorithm: own, .. } = &self.policy.proof else { return None };
        let (name, own) = (&self.policy.name, own.word());
        Some(match algorithm {
            Some(TsigAlgorithm::Md5) => {
                format!(
                    "a client signs with hmac-md5 by key {name}, which is {own}: tell it {own}, or write `allow-md5 = true` for the key"
                )
            }
            _ => format!("a client signs with {} by key {name}, which is {own}: tell it {own}", record.algorithm),
        })
    }
}

impl TsigRejection {
    /// Puts on the answer what is wrong with the request's signature; signed where the key is known to be the client's.
    pub fn put_on(self, answer: &mut Vec<u8>) {
        let Some(mut record) = self.record else { return };
        record.original_id = u16::from_be_bytes([answer[0], answer[1]]);
        if let Some(signer) = self.signer {
            // At the time of the request, so that the client, whose clock differs, can check it (RFC 8945 section 5.2.3).
            record.mac = signer.mac(answer, &record.variables());
        }
        record.put_on(answer);
    }

    /// Octets that it puts on at most.
    pub fn reserve(&self) -> usize {
        self.record.as_ref().map_or(0, |record| record.key.len() + record.algorithm.len() + 26 + hash::LONGEST + 6)
    }
}

impl Signer {
    /// Signs a request of ours; checks or takes part in what comes of it.
    pub fn begin(key: Arc<TsigKey>, request: &mut Vec<u8>, now: u64) -> Self {
        let algorithm = match &key.policy.proof {
            KeyProof::Tsig { algorithm, .. } => *algorithm,
            KeyProof::Address => TsigAlgorithm::Sha256, // never: such keys are not found by name
        };
        let mut signer = Self { key, algorithm, last: Vec::new(), is_first: true, between: Vec::new() };
        signer.sign(request, now);
        signer.is_first = true;
        signer
    }

    /// Octets that it puts on a message.
    pub fn reserve(&self) -> usize {
        self.key.name.as_wire().len() + hash::wire_name(self.algorithm).len() + 26 + hash::length(self.algorithm)
    }

    /// Signs an answer, or the next message of one that has several (RFC 8945 section 5.3.1: the first with everything, each other with the
    /// last MAC and the time).
    pub fn sign(&mut self, message: &mut Vec<u8>, now: u64) {
        let name = |wire| NameBuf::read(wire).unwrap_or(NameBuf::root()); // names that were read before
        let mut record = TsigRecord {
            key: name(self.key.name.as_wire()),
            algorithm: name(hash::wire_name(self.algorithm)),
            time: now,
            fudge: FUDGE,
            mac: Vec::new(),
            original_id: u16::from_be_bytes([message[0], message[1]]),
            error: 0,
            other: Vec::new(),
            start: message.len(),
        };
        record.mac = match self.is_first {
            true => self.mac(message, &record.variables()),
            false => self.mac(message, &record.timers()),
        };
        record.put_on(message);
        self.last = record.mac;
        self.is_first = false;
    }

    /// Checks an answer, or the next message of one that has several: gives it without its TSIG record. Of several, the first must be
    /// signed; unsigned ones are believed with the next that is, up to 99 in a row: `is_last` asks for a signature.
    pub fn check(&mut self, answer: &[u8], is_last: bool, now: u64) -> Result<Vec<u8>, BadAnswer> {
        const MOST_BETWEEN: usize = 99 * 65_535;
        let Some(record) = find(answer).map_err(|_| BadAnswer::Malformed)? else {
            if self.is_first || is_last || self.between.len() > MOST_BETWEEN {
                return Err(BadAnswer::Unsigned);
            }
            self.between.extend_from_slice(answer);
            return Ok(answer.to_vec());
        };
        let is_ours = record.key.as_wire() == self.key.name.as_wire() && record.algorithm.as_wire() == hash::wire_name(self.algorithm);
        if matches!(record.error, error::BADSIG | error::BADKEY) && record.mac.is_empty() {
            return Err(BadAnswer::Refused(record.error)); // not signed, so that anybody may have said it: no answer all the same
        }
        let Some(secret) = self.key.secret_for(self.algorithm).filter(|_| is_ours && record.mac.len() == hash::length(self.algorithm))
        else {
            return Err(BadAnswer::Signature);
        };
        let message = record.take_off(answer);
        let tail = if self.is_first { record.variables() } else { record.timers().to_vec() };
        let length = (self.last.len() as u16).to_be_bytes();
        if !hash::verify(self.algorithm, secret, &[&length, &self.last, &self.between, &message, &tail], &record.mac) {
            return Err(BadAnswer::Signature);
        }
        if record.error != 0 {
            return Err(BadAnswer::Refused(record.error));
        }
        if now.abs_diff(record.time) > u64::from(record.fudge) {
            return Err(BadAnswer::Time);
        }
        self.last = record.mac;
        self.is_first = false;
        self.between.clear();
        Ok(message)
    }

    /// Over the MAC before, the message, and what belongs to the record. A request has no MAC before it.
    fn mac(&self, message: &[u8], tail: &[u8]) -> Vec<u8> {
        let secret = self.key.secret_for(self.algorithm).unwrap_or_default(); // it has one: it was verified with, or signs
        let length = (self.last.len() as u16).to_be_bytes();
        let before: &[u8] = if self.last.is_empty() { &[] } else { &length };
        hash::sign(self.algorithm, secret, &[before, &self.last, message, tail])
    }
}
