//! Zones of ours that other servers write: asked for by SOA timers and on NOTIFY, kept, expired (RFC 1035 section 3.3.13, RFC 1996).
//!
//! One task a zone. What a transfer brings is an edit like any other: checked, journalled, served, audited.

use std::any::Any;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use postern_config::PosternConfig;
use postern_config::model::{self, FeedKind, KeyAction, TRANSFER};
use postern_dns::wire::rtype as wire;
use postern_zones::edit::{Author, FETCHED, Refusal, StoreTask, Via, ZoneRef};
use postern_zones::name::WireName;
use postern_zones::zone::{Zone, rtype, serial_rose};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::timeout;

use super::incoming::{BadTransfer, Incoming, TransferredZone};
use crate::Control;
use crate::feed::ZoneFeed;
use crate::tsig::{BadAnswer, Keyring, Signer, TsigKey};

/// A zone that is transferred, as the configuration has it.
#[derive(Debug, Clone)]
pub struct SecondaryZone {
    /// How edits name it.
    pub zone: ZoneRef,
    /// Apex.
    pub apex: WireName,
    /// Asked in this order.
    pub primaries: Vec<SocketAddr>,
    /// Signs what is asked.
    pub key: Option<Arc<TsigKey>>,
    /// Octets of records that a transfer may bring.
    pub most: u64,
}

/// How long a primary may take to take a connection, and for each message.
const PATIENCE: Duration = Duration::from_secs(10);
/// Timers of an SOA below this make no sense, and would ask without pause.
const LEAST: Duration = Duration::from_secs(1);
/// Between two tries, whoever tells us to: the source of a NOTIFY can be forged.
const BETWEEN: Duration = Duration::from_millis(50);
/// A zone that was never transferred is asked for after this, twice that, and so on up to the other.
const FIRST: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(300));
/// A zone whose transfer was too large is asked for after this, twice that, and so on up to the other. No NOTIFY shortens it, because each
/// try takes all the memory that a transfer may take.
const TOO_LARGE: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(300));

/// Why a zone was not refreshed.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("it did not answer in time")]
    Silent,
    #[error("{0}")]
    Transfer(#[from] BadTransfer),
    #[error("{0}")]
    Signature(#[from] BadAnswer),
    #[error("not an answer to what was asked")]
    Stray,
    #[error("{0}")]
    Refused(#[from] Refusal),
}

/// Keeps one zone as its primaries have it, until the task is dropped.
async fn keep(wanted: Arc<SecondaryZone>, control: Arc<Control>, told: Arc<Notify>) {
    let (mut first, mut too_large) = (FIRST.0, TOO_LARGE.0);
    loop {
        let refreshed = refresh(&wanted, &control).await;
        match refreshed {
            Refreshed::TooLarge => {
                tokio::time::sleep(too_large).await;
                too_large = (too_large * 2).min(TOO_LARGE.1);
            }
            _ => too_large = TOO_LARGE.0,
        }
        let refreshed = refreshed == Refreshed::Yes;
        let wait = match known(&wanted, &control) {
            None => {
                let wait = first;
                first = (first * 2).min(FIRST.1);
                wait
            }
            Some((zone, heard)) => {
                first = FIRST.0;
                let (refresh, retry) = zone.refresh_and_retry();
                let left = expire_if_due(&wanted, &control, &zone, heard).await;
                let wait = Duration::from_secs(u64::from(if refreshed { refresh } else { retry }));
                left.map_or(wait, |left| wait.min(left)).max(LEAST)
            }
        };
        // Servers that were started together should not ask together for ever.
        let wait = wait - wait.mul_f64(rand::random_range(0.0..0.1));
        let _ = timeout(wait, told.notified()).await;
        tokio::time::sleep(BETWEEN).await;
    }
}

/// The zone as committed and when its primary was last heard, seconds since 1970; none: it was never transferred.
fn known(wanted: &SecondaryZone, control: &Control) -> Option<(Arc<Zone>, u64)> {
    let kept = super::hosted(control, &wanted.zone)?.kept.clone()?;
    let heard = kept.settings.extra.get(FETCHED)?.as_u64()?;
    Some((kept.latest, heard))
}

/// Result of one round of queries to the primaries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refreshed {
    /// One of them answered, and the zone is as it has it.
    Yes,
    /// None did.
    No,
    /// One of them sent more than a transfer may bring.
    TooLarge,
}

/// Asks the primaries in turn.
async fn refresh(wanted: &SecondaryZone, control: &Control) -> Refreshed {
    let mut refreshed = Refreshed::No;
    for primary in &wanted.primaries {
        match refresh_from(*primary, wanted, control).await {
            Ok(()) => return Refreshed::Yes,
            Err(failure) => {
                tracing::warn!(zone = %wanted.zone, %primary, "not refreshed: {failure}");
                if matches!(failure, Failure::Transfer(BadTransfer::TooMuch(_))) {
                    refreshed = Refreshed::TooLarge;
                }
            }
        }
    }
    refreshed
}

async fn refresh_from(primary: SocketAddr, wanted: &SecondaryZone, control: &Control) -> Result<(), Failure> {
    let known = known(wanted, control).map(|(zone, _)| zone);
    let mut connection = Connection::open(primary, wanted.key.clone()).await?;
    let theirs = connection.serial(&wanted.apex).await?;
    let is_newer = known.as_ref().is_none_or(|zone| serial_rose(zone.serial(), theirs));
    if !is_newer {
        return take(TransferredZone::UpToDate, primary, wanted, control).await.map_err(Into::into);
    }
    if let Some(zone) = &known {
        let brought = connection.transfer(wanted, Some(zone)).await;
        match brought.map(|brought| (brought.serial(), brought)) {
            // The primary says newer and gives nothing newer: ask for the whole.
            Ok((None, _)) => {}
            Ok((Some(_), brought)) => match take(brought, primary, wanted, control).await {
                Err(Refusal::Precondition { message, .. }) => {
                    tracing::info!(zone = %wanted.zone, %primary, "requesting the whole zone: {message}")
                }
                done => return done.map_err(Into::into),
            },
            Err(failure) => tracing::info!(zone = %wanted.zone, %primary, "requesting the whole zone: {failure}"),
        }
        connection = Connection::open(primary, wanted.key.clone()).await?;
    }
    let brought = connection.transfer(wanted, None).await?;
    take(brought, primary, wanted, control).await.map_err(Into::into)
}

/// Makes the zone what was brought, and notes that its primary was heard.
async fn take(brought: TransferredZone, primary: SocketAddr, wanted: &SecondaryZone, control: &Control) -> Result<(), Refusal> {
    let author = Author { who: primary.to_string().into(), from: Some(primary.ip()), via: Via::Feed(&TRANSFER) };
    let zone = wanted.zone.clone();
    let how = match &brought {
        TransferredZone::UpToDate => None,
        TransferredZone::Whole(..) => Some("whole"),
        TransferredZone::Changes(..) => Some("changes"),
    };
    let made = control.ask(|answer| {
        let amend = move |zone: &Zone, settings: &mut postern_zones::edit::ZoneSettings| {
            settings.extra.insert(FETCHED.into(), unix_seconds().into());
            brought.changes(zone)
        };
        StoreTask::Amend(zone, author, Box::new(amend), answer)
    });
    let done = made.await?;
    if let Some(how) = how {
        let serial = done.after.serial();
        tracing::info!(target: "postern::transfer", zone = %wanted.zone, %primary, serial, how, "transferred");
    }
    Ok(())
}

/// Lets the zone go that no primary was heard of for too long; else gives the time that is left until then.
async fn expire_if_due(wanted: &SecondaryZone, control: &Control, zone: &Zone, heard: u64) -> Option<Duration> {
    let silent = unix_seconds().saturating_sub(heard);
    if silent <= u64::from(zone.expire()) {
        return Some(Duration::from_secs(u64::from(zone.expire()) - silent + 1));
    }
    let is_serving = super::hosted(control, &wanted.zone).is_some_and(|hosted| hosted.zone().is_some());
    if !is_serving {
        return None;
    }
    let reason = format!("expired: no primary was heard for {silent} s, and its SOA allows {} s", zone.expire());
    let expired = control.ask(|answer| StoreTask::Expire(wanted.zone.clone(), reason.clone(), answer)).await;
    match expired {
        Ok(()) => tracing::error!(zone = %wanted.zone, "zone has no data: {reason}"),
        Err(refusal) => tracing::error!(zone = %wanted.zone, "cannot expire: {refusal}"),
    }
    None
}

/// A connection to a primary.
struct Connection {
    stream: TcpStream,
    key: Option<Arc<TsigKey>>,
}

impl Connection {
    async fn open(primary: SocketAddr, key: Option<Arc<TsigKey>>) -> Result<Self, Failure> {
        let stream = timeout(PATIENCE, TcpStream::connect(primary)).await.map_err(|_| Failure::Silent)??;
        stream.set_nodelay(true)?;
        Ok(Self { stream, key })
    }

    /// The serial that the primary has.
    async fn serial(&mut self, apex: &WireName) -> Result<u32, Failure> {
        let mut asked = self.send(question(apex, rtype::SOA, None)).await?;
        let answer = self.receive(&mut asked, true).await?;
        let message = postern_dns::wire::message::Message::read(&answer).map_err(BadTransfer::from)?;
        if message.rcode != 0 {
            return Err(BadTransfer::Rcode(super::incoming::rcode_name(message.rcode)).into());
        }
        let soa =
            message.records.iter().find(|record| record.answer && record.rtype == rtype::SOA && record.owner.as_wire() == apex.as_wire());
        let Some(soa) = soa else { return Err(BadTransfer::Order("the primary has no SOA of the zone").into()) };
        const AA: u16 = 0x0400;
        if message.flags & AA == 0 {
            // A resolver that was named by mistake, or a secondary whose own copy has expired.
            return Err(BadTransfer::Order("the primary is not authoritative for the zone").into());
        }
        let mut rdata = Vec::new();
        message.append_rdata(soa, &mut rdata).map_err(BadTransfer::from)?;
        let serial = rdata.len().checked_sub(20).and_then(|at| rdata[at..].first_chunk());
        serial.map(|serial| u32::from_be_bytes(*serial)).ok_or(Failure::Stray)
    }

    /// AXFR, or IXFR from the serial of `since`.
    async fn transfer(&mut self, wanted: &SecondaryZone, since: Option<&Zone>) -> Result<TransferredZone, Failure> {
        let rtype = if since.is_some() { wire::IXFR } else { wire::AXFR };
        let mut asked = self.send(question(&wanted.apex, rtype, since)).await?;
        let mut incoming = Incoming::new(wanted.apex.clone(), since.map(Zone::serial), wanted.most);
        loop {
            let answer = self.receive(&mut asked, false).await?;
            if let Some(brought) = incoming.take(&answer)? {
                if asked.is_unproven {
                    return Err(BadAnswer::Unsigned.into()); // the last message must be signed
                }
                return Ok(brought);
            }
        }
    }

    async fn send(&mut self, mut message: Vec<u8>) -> Result<Asked, Failure> {
        let id = [message[0], message[1]];
        let signer = self.key.clone().map(|key| Signer::begin(key, &mut message, unix_seconds()));
        let mut frame = (message.len() as u16).to_be_bytes().to_vec();
        frame.append(&mut message);
        timeout(PATIENCE, self.stream.write_all(&frame)).await.map_err(|_| Failure::Silent)??;
        Ok(Asked { id, signer, is_unproven: false })
    }

    /// The next message, its signature checked and taken off.
    async fn receive(&mut self, asked: &mut Asked, is_last: bool) -> Result<Vec<u8>, Failure> {
        let read = async {
            let length = self.stream.read_u16().await?;
            let mut message = vec![0; length.into()];
            self.stream.read_exact(&mut message).await.map(|_| message)
        };
        let message = timeout(PATIENCE, read).await.map_err(|_| Failure::Silent)??;
        if message.len() < 12 || message[..2] != asked.id || message[2] & 0x80 == 0 {
            return Err(Failure::Stray);
        }
        match &mut asked.signer {
            Some(signer) => {
                let checked = signer.check(&message, is_last, unix_seconds())?;
                asked.is_unproven = checked.len() == message.len();
                Ok(checked)
            }
            None => Ok(message),
        }
    }
}

/// A question under way.
struct Asked {
    id: [u8; 2],
    signer: Option<Signer>,
    /// The last message that came was not signed.
    is_unproven: bool,
}

/// A question for the zone at `apex`; for IXFR with the SOA that we have (RFC 1995 section 3).
fn question(apex: &WireName, rtype: u16, since: Option<&Zone>) -> Vec<u8> {
    let mut message = rand::random::<[u8; 2]>().to_vec();
    message.extend_from_slice(&[0, 0, 0, 1, 0, 0, 0, u8::from(since.is_some()), 0, 0]);
    message.extend_from_slice(apex.as_wire());
    message.extend_from_slice(&rtype.to_be_bytes());
    message.extend_from_slice(&[0, 1]);
    if let Some(zone) = since {
        message.extend_from_slice(zone.soa().wire); // its owner points at the question
    }
    message
}

/// Seconds since 1970.
pub(super) fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

impl SecondaryZone {
    /// Returns the feed of a zone that has primaries. Returns `None` for other zones.
    pub fn feed(zone: &model::ZoneConfig, config: &PosternConfig) -> Option<Arc<dyn ZoneFeed>> {
        let primaries = zone.source.feed()?.primaries()?.to_vec();
        let named = ZoneRef { name: zone.name.clone(), network: zone.networks.names().first().cloned() };
        let key = zone.transfer_key.as_ref().and_then(|name| Keyring::new(config).key(name));
        let (apex, most) = (WireName::parse(&zone.name).ok()?, config.limits.transfer_size);
        Some(Arc::new(Self { zone: named, apex, primaries, key, most }))
    }
}

impl ZoneFeed for SecondaryZone {
    fn kind(&self) -> &'static FeedKind {
        &TRANSFER
    }

    fn zone(&self) -> &ZoneRef {
        &self.zone
    }

    fn is_same(&self, other: &dyn ZoneFeed) -> bool {
        let Some(other) = (other as &dyn Any).downcast_ref::<Self>() else { return false };
        let key = |zone: &Self| zone.key.as_ref().map(|key| key.policy.clone());
        (&self.zone, &self.primaries, self.most) == (&other.zone, &other.primaries, other.most) && key(self) == key(other)
    }

    fn run(self: Arc<Self>, control: Arc<Control>, wake: Arc<Notify>) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(keep(self, control, wake))
    }

    /// RFC 1996 section 3.10: a NOTIFY comes from a primary, or is signed by a key that may notify.
    fn heeds(&self, apex: &[u8], client: IpAddr, keys: &[Arc<TsigKey>]) -> bool {
        let networks: Vec<&str> = self.zone.network.iter().map(String::as_str).collect();
        self.apex.as_wire() == apex
            && (self.primaries.iter().any(|primary| primary.ip() == client.to_canonical())
                || keys.iter().any(|key| key.allows(KeyAction::Notify) && key.covers(&self.zone.name, &networks)))
    }
}
