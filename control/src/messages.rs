//! DNS messages that are not the path's: their signatures, and who answers them.
//!
//! ```text
//! listeners ─▶ Inbox (bounded) ─▶ TSIG ─┬─ UPDATE ─▶ update
//!                                       ├─ AXFR, IXFR, NOTIFY ─▶ transfer
//!                                       ├─ questions ─▶ the path, without fallback
//!                                       └─ answers are signed on their way back
//! ```

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use postern_config::PosternConfig;
use postern_config::model::KeyAction;
use postern_dns::counters::rcode_name;
use postern_dns::ede::rcode;
use postern_dns::listen::StreamService;
use postern_dns::listen::handler::{HandlerRequest, MessageHandler, MessageKind};
use postern_dns::listen::tcp::StreamOutcome;
use tokio::runtime::Runtime;
use tokio::sync::{Semaphore, mpsc};

use crate::Control;
use crate::reply::reply;
use crate::requester::Requester;
use crate::tsig::{self, Keyring, Signer};
use crate::{transfer, update};

/// Messages that may wait: one more is SERVFAIL. Of 64 KiB each at most, and few are.
const WAITING: usize = 512;
/// Messages that are answered at a time.
const AT_A_TIME: usize = 256;
/// Threads that answer them.
const THREADS: usize = 2;

/// Takes messages from the listeners.
#[derive(Debug)]
pub struct Inbox {
    queue: mpsc::Sender<Box<HandlerRequest>>,
    keyring: ArcSwap<Keyring>,
    has_keys: AtomicBool,
    can_sign: AtomicBool,
    has_primaries: AtomicBool,
    udp_size: AtomicU64,
}

/// The other side of an [`Inbox`].
#[derive(Debug)]
pub struct MessageReceiver(mpsc::Receiver<Box<HandlerRequest>>);

/// Answers messages, on threads of their own.
pub struct Messages {
    runtime: Runtime,
}

/// Everything that answering a message needs.
struct Desk {
    control: Arc<Control>,
    inbox: Arc<Inbox>,
    streams: Arc<StreamService>,
    /// Second in which a hint was logged last.
    hinted: AtomicU64,
}

impl Inbox {
    /// With the keys of a configuration.
    pub fn new(config: &PosternConfig) -> (Arc<Self>, MessageReceiver) {
        let (queue, waiting) = mpsc::channel(WAITING);
        let inbox = Self {
            queue,
            keyring: ArcSwap::default(),
            has_keys: AtomicBool::new(false),
            can_sign: AtomicBool::new(false),
            has_primaries: AtomicBool::new(false),
            udp_size: AtomicU64::new(0),
        };
        inbox.configure(config);
        (Arc::new(inbox), MessageReceiver(waiting))
    }

    /// Takes over the keys of another configuration.
    pub fn configure(&self, config: &PosternConfig) {
        let keyring = Keyring::new(config);
        self.has_keys.store(keyring.allows(KeyAction::Update), Relaxed);
        self.can_sign.store(keyring.can_sign(), Relaxed);
        let has_primaries = |zone: &postern_config::model::ZoneConfig| zone.source.feed().is_some_and(|feed| feed.primaries().is_some());
        self.has_primaries.store(config.zones.iter().any(has_primaries), Relaxed);
        self.udp_size.store(config.server.udp_size.into(), Relaxed);
        self.keyring.store(Arc::new(keyring));
    }

    /// The keys of the moment.
    pub fn keyring(&self) -> Arc<Keyring> {
        self.keyring.load_full()
    }

    fn udp_size(&self) -> u16 {
        self.udp_size.load(Relaxed) as u16
    }
}

impl MessageHandler for Inbox {
    fn wants(&self, kind: MessageKind) -> bool {
        match kind {
            MessageKind::Update => self.has_keys.load(Relaxed) || self.can_sign.load(Relaxed),
            MessageKind::Signed => self.can_sign.load(Relaxed),
            MessageKind::Notify => self.has_primaries.load(Relaxed) || self.can_sign.load(Relaxed),
            MessageKind::Transfer => true, // zones that an API made say for themselves who may have them
        }
    }

    fn take(&self, request: Box<HandlerRequest>) -> Result<(), Box<HandlerRequest>> {
        self.queue.try_send(request).map_err(|error| error.into_inner())
    }
}

impl Messages {
    /// Starts answering.
    pub fn start(control: Arc<Control>, inbox: Arc<Inbox>, waiting: MessageReceiver, streams: Arc<StreamService>) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(THREADS).thread_name("messages").enable_all().build()?;
        let desk = Arc::new(Desk { control: control.clone(), inbox, streams, hinted: AtomicU64::new(0) });
        let [feeds, transfers, messages] = ["feeds", "transfers", "messages"].map(|name| control.vitals.begin(name));
        let of_feeds = control.clone();
        runtime.spawn(async move {
            let _alive = feeds;
            of_feeds.feeds.clone().run(of_feeds).await;
        });
        runtime.spawn(async move {
            let _alive = transfers;
            control.transfers.clone().run(control).await;
        });
        runtime.spawn(async move {
            let _alive = messages;
            serve(desk, waiting.0).await;
        });
        Ok(Self { runtime })
    }

    /// Ends; what is under way is not answered.
    pub fn stop(self) {
        self.runtime.shutdown_timeout(Duration::from_millis(100));
    }
}

async fn serve(desk: Arc<Desk>, mut waiting: mpsc::Receiver<Box<HandlerRequest>>) {
    let places = Arc::new(Semaphore::new(AT_A_TIME));
    while let Some(request) = waiting.recv().await {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        let desk = desk.clone();
        tokio::spawn(async move {
            desk.answer(request).await;
            drop(place);
        });
    }
}

impl Desk {
    async fn answer(&self, mut request: Box<HandlerRequest>) {
        let (client, udp_size) = (request.client.ip(), self.inbox.udp_size());
        let keyring = self.inbox.keyring();
        let record = match tsig::find(&request.packet) {
            Ok(record) => record,
            Err(_) => {
                let answer = reply(&request.packet, rcode::FORMERR, None, udp_size);
                return request.answer(&answer);
            }
        };
        let Some(record) = record else {
            let keys = keyring.unsigned(client).cloned().collect();
            return self.dispatch(request, Requester { keys, signer: None }).await;
        };
        match keyring.verify(&request.packet, &record, client, now()) {
            Ok(verified) => {
                request.packet = verified.message;
                self.dispatch(request, Requester { keys: vec![verified.key], signer: Some(verified.signer) }).await
            }
            Err(rejected) => {
                if let Some(hint) = &rejected.hint {
                    self.hint(hint, client);
                }
                // A TSIG record that is none is FORMERR (RFC 8945 section 5.2.2.1), all else NOTAUTH (section 5.3.2).
                let code = rejected.error.map_or(rcode::FORMERR, |_| rcode::NOTAUTH);
                let mut answer = reply(&request.packet, code, None, udp_size);
                rejected.put_on(&mut answer);
                request.answer(&answer)
            }
        }
    }

    async fn dispatch(&self, request: Box<HandlerRequest>, requester: Requester) {
        match request.kind {
            MessageKind::Update => self.update(request, requester).await,
            MessageKind::Signed => self.question(request, requester).await,
            MessageKind::Transfer => transfer::serve::serve(request, requester, &self.control, self.inbox.udp_size()).await,
            MessageKind::Notify => self.notify(*request, requester),
        }
    }

    /// NOTIFY from a primary (RFC 1996 section 3.11): answered at once, the zone is asked for after.
    fn notify(&self, request: HandlerRequest, mut requester: Requester) {
        let named = postern_dns::wire::message::read_name(&request.packet, postern_dns::wire::HEADER);
        let is_heeded = named.is_ok_and(|(apex, _)| self.control.feeds.notified(apex.as_wire(), request.client.ip(), &requester.keys));
        let mut answer = match is_heeded {
            true => reply(&request.packet, rcode::NOERROR, None, self.inbox.udp_size()),
            false => reply(&request.packet, rcode::NOTAUTH, Some((20, "not a zone that is transferred from there")), self.inbox.udp_size()),
        };
        if let Some(signer) = &mut requester.signer {
            signer.sign(&mut answer, now());
        }
        request.answer(&answer);
    }

    async fn update(&self, request: Box<HandlerRequest>, mut requester: Requester) {
        let client = request.client.ip();
        let who = requester.keys.first().map(|key| key.policy.name.clone()).unwrap_or_default();
        let is_signed = requester.signer.is_some();
        let told = update::answer(&self.control, &request.packet, requester.keys, client).await;
        if let Some((_, why)) = &told.error {
            // Strangers must not fill the log.
            match is_signed {
                true => {
                    tracing::info!(target: "postern::update", %client, key = who, rcode = %rcode_name(told.rcode), "update refused: {why}")
                }
                false => tracing::debug!(target: "postern::update", %client, rcode = %rcode_name(told.rcode), "update refused: {why}"),
            }
        }
        let error = told.error.as_ref().map(|(code, text)| (*code, text.as_str()));
        let mut answer = reply(&request.packet, told.rcode, error, self.inbox.udp_size());
        if let Some(signer) = &mut requester.signer {
            signer.sign(&mut answer, now());
        }
        request.answer(&answer);
    }

    /// A question whose signature is right, answered by the path.
    async fn question(&self, request: Box<HandlerRequest>, mut requester: Requester) {
        const LARGEST: usize = 65_535;
        let (later, mut coming) = mpsc::channel(1);
        let length = request.packet.len();
        let mut buffer = vec![0; LARGEST];
        buffer[..length].copy_from_slice(&request.packet);
        let reserve = requester.signer.as_ref().map_or(0, Signer::reserve);
        let mut answer = match self.streams.attend_signed(&mut buffer, length, request.client, request.transport, reserve, later) {
            StreamOutcome::Now(length) => {
                buffer.truncate(length);
                buffer
            }
            StreamOutcome::Later => match coming.recv().await {
                Some(answer) => {
                    request.is_counted_already(); // by the resolver
                    answer
                }
                None => return,
            },
            StreamOutcome::Never => return,
        };
        if let Some(signer) = &mut requester.signer {
            signer.sign(&mut answer, now());
        }
        request.answer(&answer);
    }

    /// At most one hint a second.
    fn hint(&self, hint: &str, client: std::net::IpAddr) {
        let second = now();
        if self.hinted.swap(second, Relaxed) != second {
            tracing::warn!(target: "postern::tsig", %client, "{hint}");
        }
    }
}

/// Seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

impl std::fmt::Debug for Messages {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Messages").finish_non_exhaustive()
    }
}
