//! Giving zones to those who may have them: AXFR over streams, IXFR over both.

use std::ops::ControlFlow;
use std::sync::Arc;

use postern_config::model::{KeyAction, TransferPeer};
use postern_dns::listen::handler::HandlerRequest;
use postern_dns::wire::message::Message;
use postern_dns::wire::rtype as wire;
use postern_zones::snapshot::Hosted;
use postern_zones::zone::{Zone, rtype};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use super::Policy;
use super::outgoing::{self, Increment, TransferRequest};
use super::secondary::unix_seconds;
use crate::Control;
use crate::reply::reply;
use crate::requester::Requester;
use crate::tsig::{Signer, TsigKey};

/// Transfers that run at once: each holds a thread while its client reads.
const MOST: usize = 32;
/// Octets of an IXFR over UDP that fit every path (RFC 9715); where it is more, the SOA alone says "ask over TCP" (RFC 1995 section 4).
const DATAGRAM: usize = 1232;

static RUNNING: Semaphore = Semaphore::const_new(MOST);

/// Why a zone is not given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TransferRefusal {
    /// RCODE.
    pub rcode: u16,
    /// For the log.
    pub why: &'static str,
}

/// The extended error that goes with an RCODE (RFC 8914 sections 4.15, 4.19 and 4.21).
fn extended_error(rcode: u16) -> u16 {
    use postern_dns::ede::rcode::{NOTAUTH, REFUSED, SERVFAIL};
    match rcode {
        REFUSED => 18,  // Prohibited
        NOTAUTH => 20,  // Not Authoritative
        SERVFAIL => 14, // Not Ready
        _ => 0,         // Other
    }
}

/// Answers a question for a transfer; the request bears no TSIG record any more.
pub async fn serve(request: Box<HandlerRequest>, requester: Requester, control: &Control, udp_size: u16) {
    let Requester { keys, signer } = requester;
    match find(&request, &keys, control) {
        Ok((asked, zone, hosted, since)) => give(request, asked, zone, hosted, since, signer).await,
        Err(refused) => {
            // Strangers must not fill the log.
            match signer.is_some() {
                true => tracing::info!(target: "postern::transfer", client = %request.client, "transfer refused: {}", refused.why),
                false => tracing::debug!(target: "postern::transfer", client = %request.client, "transfer refused: {}", refused.why),
            }
            let mut answer = reply(&request.packet, refused.rcode, Some((extended_error(refused.rcode), refused.why)), udp_size);
            if let Some(mut signer) = signer {
                signer.sign(&mut answer, unix_seconds());
            }
            request.answer(&answer);
        }
    }
}

type Found = (TransferRequest, Arc<Zone>, Arc<Hosted>, Option<u32>);

fn find(request: &HandlerRequest, keys: &[Arc<TsigKey>], control: &Control) -> Result<Found, TransferRefusal> {
    use postern_dns::ede::rcode::{FORMERR, NOTAUTH, REFUSED, SERVFAIL};
    let message = &request.packet[..];
    let refuse = |rcode, why| TransferRefusal { rcode, why };
    let read = Message::read(message).map_err(|_| refuse(FORMERR, "the message makes no sense"))?;
    let asked = TransferRequest { id: [message[0], message[1]], apex: message[12..12 + read.name.len()].into(), rtype: read.rtype };
    let state = control.state.load();
    let client = request.client.ip().to_canonical();
    let network = state.snapshot.network(state.snapshot.network_of(client));
    let hosted = network.zone_of(&read.name, 0).filter(|hosted| hosted.apex.as_wire() == read.name.as_wire());
    let hosted = hosted.ok_or(refuse(NOTAUTH, "not a zone of this server for this client"))?;
    let policy = Policy::of(hosted);
    let is_peer = policy.transfer_to.iter().any(|peer| match peer {
        TransferPeer::Prefix(prefix) => prefix.contains(&client),
        TransferPeer::Key(name) => keys.iter().any(|key| key.policy.name == *name),
    });
    if !is_peer && !keys.iter().any(|key| key.allows(KeyAction::Transfer) && key.covers(&hosted.name, &[&network.name])) {
        return Err(refuse(REFUSED, "this client may not have the zone: see `transfer-to`"));
    }
    // The committed data. A name that is held a moment longer is not part of it.
    let zone = hosted.kept.as_ref().map(|kept| &kept.latest).filter(|_| hosted.zone().is_some()).or(hosted.zone());
    let zone = zone.ok_or(refuse(SERVFAIL, "the zone has no data"))?;
    if request.transport.is_datagram() && asked.rtype != wire::IXFR {
        return Err(refuse(FORMERR, "AXFR over UDP is not defined"));
    }
    let since = match asked.rtype == wire::IXFR {
        true => Some(serial_of(&read).ok_or(refuse(FORMERR, "IXFR without the serial that the client has"))?),
        false => None,
    };
    Ok((asked, zone.clone(), hosted.clone(), since))
}

/// The serial in the authority section of an IXFR.
fn serial_of(message: &Message<'_>) -> Option<u32> {
    let soa = message.records.iter().find(|record| !record.answer && record.rtype == rtype::SOA)?;
    let mut rdata = Vec::new();
    message.append_rdata(soa, &mut rdata).ok()?;
    let at = rdata.len().checked_sub(20)?;
    rdata[at..].first_chunk().map(|serial| u32::from_be_bytes(*serial))
}

async fn give(
    request: Box<HandlerRequest>,
    asked: TransferRequest,
    zone: Arc<Zone>,
    hosted: Arc<Hosted>,
    since: Option<u32>,
    mut signer: Option<Signer>,
) {
    let history = hosted.kept.as_ref().map(|kept| kept.history.clone());
    let increment = since.map_or(Increment::Whole, |serial| outgoing::increment(&zone, serial, history.as_deref()));
    let client = request.client;
    let how = match &increment {
        Increment::UpToDate => "nothing newer",
        Increment::Changes(_) => "changes",
        Increment::Whole => "whole",
    };
    tracing::info!(target: "postern::transfer", zone = &*hosted.name, %client, serial = zone.serial(), since, how, "transfer");
    if request.transport.is_datagram() || increment == Increment::UpToDate {
        let mut message = one_datagram(&zone, &asked, &increment);
        if let Some(signer) = &mut signer {
            signer.sign(&mut message, unix_seconds());
        }
        return request.answer(&message);
    }
    let Ok(_place) = RUNNING.acquire().await else { return }; // it is never closed
    let runtime = Handle::current();
    // Making messages takes time, and sending them waits for the client: a thread of its own.
    let sending = tokio::task::spawn_blocking(move || {
        let send = |mut message: Vec<u8>| {
            if let Some(signer) = &mut signer {
                signer.sign(&mut message, unix_seconds());
            }
            match runtime.block_on(request.send(message)) {
                Ok(()) => ControlFlow::Continue(()),
                Err(_) => ControlFlow::Break(()),
            }
        };
        match &increment {
            Increment::Changes(changes) => outgoing::changes(&zone, changes, &asked, send),
            Increment::Whole | Increment::UpToDate => outgoing::whole(&zone, &asked, send),
        }
    });
    if let Ok(ControlFlow::Break(())) = sending.await {
        tracing::info!(target: "postern::transfer", zone = &*hosted.name, %client, "the client closed the connection during a transfer");
    }
}

/// Returns the answer that fits into one datagram.
fn one_datagram(zone: &Zone, asked: &TransferRequest, increment: &Increment) -> Vec<u8> {
    let mut messages = Vec::new();
    let collect = |message: Vec<u8>| {
        messages.push(message);
        if messages.len() > 1 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let _ = match increment {
        Increment::Changes(changes) => outgoing::changes(zone, changes, asked, collect),
        Increment::Whole | Increment::UpToDate => ControlFlow::Break(()),
    };
    match messages.len() == 1 && messages[0].len() <= DATAGRAM {
        true => messages.remove(0),
        false => outgoing::soa_alone(zone, asked),
    }
}
