//! The simulator over HTTP/1.1.

use std::convert::Infallible;
use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Limited};
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::estate::{AzureScenario, EndpointEstate, EstateSettings, SimulatedEndpoint};
use super::faults::{AzureFaults, FaultDice, QueryFate};
use super::graph::{GraphQuery, QueryRefusal};
use super::tokens::TokenDesk;

/// Largest body of a request in bytes.
const LARGEST_BODY: usize = 16 << 20;

/// A running simulator, which stops when dropped.
#[derive(Debug)]
pub struct AzureLab {
    address: SocketAddr,
    shared: Arc<Mutex<Simulation>>,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

/// Requests that the simulator counted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct AzureCounters {
    /// Tokens that were issued.
    pub tokens: u64,
    /// Requests for a token that were refused.
    pub tokens_refused: u64,
    /// Queries, whatever their answer.
    pub queries: u64,
    /// Queries that came when the quota was used up.
    pub throttled: u64,
    /// Queries without a valid token.
    pub unauthorized: u64,
    /// Queries that name a subscription that may not be read.
    pub forbidden: u64,
    /// Queries that a fault struck.
    pub struck: u64,
    /// Rows in answers.
    pub rows: u64,
}

impl fmt::Display for AzureCounters {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tokens, tokens_refused, queries, throttled, unauthorized, forbidden, struck, rows } = self;
        writeln!(out, "tokens: {tokens} issued, {tokens_refused} refused")?;
        write!(out, "queries: {queries} with {rows} rows, {throttled} throttled, {unauthorized} unauthorized, ")?;
        writeln!(out, "{forbidden} forbidden, {struck} struck by a fault")
    }
}

#[derive(Debug)]
struct Simulation {
    settings: EstateSettings,
    estate: EndpointEstate,
    dice: FaultDice,
    tokens: TokenDesk,
    counters: AzureCounters,
    window: (Instant, u32),
}

/// Settings that can be changed while the simulator runs.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct ChangedSettings {
    token_seconds: Option<u64>,
    page: Option<usize>,
    quota: Option<u32>,
    window_ms: Option<u64>,
    lag_ms: Option<u64>,
}

impl AzureLab {
    /// Listens and answers from the scenario, on a thread of its own.
    pub fn start(scenario: AzureScenario, listen: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(listen)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Mutex::new(Simulation::new(scenario)));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, mut stopped) = watch::channel(false);
        let work = shared.clone();
        let thread = std::thread::Builder::new().name("azure-lab".to_owned()).spawn(move || {
            runtime.block_on(async {
                let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
                tokio::select! {
                    () = serve(listener, work) => {}
                    _ = stopped.changed() => {}
                }
            });
            // Dropping the runtime closes every connection.
        })?;
        Ok(Self { address, shared, stop, thread: Some(thread) })
    }

    /// Returns the address of the simulator.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the counters up to now.
    pub fn counters(&self) -> AzureCounters {
        lock(&self.shared).counters.clone()
    }

    /// Replaces the faults.
    pub fn set(&self, faults: AzureFaults) {
        lock(&self.shared).dice.faults = faults;
    }

    /// Changes the settings.
    pub fn adjust(&self, change: impl FnOnce(&mut EstateSettings)) {
        change(&mut lock(&self.shared).settings);
    }

    /// Creates or replaces an endpoint. Panics if it is invalid, because it is part of a test.
    pub fn put(&self, endpoint: SimulatedEndpoint) {
        lock(&self.shared).estate.put(endpoint).expect("a valid endpoint");
    }

    /// Changes an endpoint. Panics if there is none of that name, because it is part of a test.
    pub fn change(&self, name: &str, change: impl FnOnce(&mut SimulatedEndpoint)) {
        let mut shared = lock(&self.shared);
        let mut endpoint = shared.estate.latest().iter().find(|endpoint| endpoint.name == name).expect("an endpoint").clone();
        change(&mut endpoint);
        shared.estate.put(endpoint).expect("a valid endpoint");
    }

    /// Removes an endpoint. Returns false if there is none of that name.
    pub fn remove(&self, name: &str) -> bool {
        lock(&self.shared).estate.remove(name)
    }

    /// Closes all connections and returns the counters.
    pub fn stop(mut self) -> AzureCounters {
        self.end();
        self.counters()
    }

    fn end(&mut self) {
        let _ = self.stop.send(true);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for AzureLab {
    fn drop(&mut self) {
        self.end();
    }
}

fn lock(shared: &Mutex<Simulation>) -> MutexGuard<'_, Simulation> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn serve(listener: tokio::net::TcpListener, shared: Arc<Mutex<Simulation>>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(10)).await; // out of descriptors, for example
            continue;
        };
        let _ = stream.set_nodelay(true);
        let shared = shared.clone();
        tokio::spawn(async move {
            let service = hyper::service::service_fn(|request| respond(request, shared.clone()));
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn respond(request: Request<Incoming>, shared: Arc<Mutex<Simulation>>) -> Result<Response<LabBody>, Infallible> {
    let (head, body) = request.into_parts();
    let Ok(body) = Limited::new(body, LARGEST_BODY).collect().await else {
        return Ok(plain(413, &json!({"error": "the body is too large"})));
    };
    let answer = answer(&head, &body.to_bytes(), &mut lock(&shared));
    match answer {
        Some(answer) => Ok(answer),
        None => std::future::pending().await, // silent until the client gives up
    }
}

/// Answers a request. Returns `None` if a fault keeps the simulator silent.
fn answer(head: &Parts, body: &[u8], simulation: &mut Simulation) -> Option<Response<LabBody>> {
    let (path, query) = (head.uri.path(), head.uri.query().unwrap_or_default());
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    Some(match (&head.method, parts.as_slice()) {
        (&Method::GET, ["metadata", "identity", "oauth2", "token"]) => {
            let has_header = head.headers.get("metadata").is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"true"));
            simulation.token(|tokens, settings| tokens.of_machine(query, has_header, settings))
        }
        (&Method::POST, [tenant, "oauth2", "v2.0", "token"]) => {
            let body = String::from_utf8_lossy(body);
            simulation.token(|tokens, settings| tokens.of_application(tenant, &body, settings))
        }
        (&Method::POST, ["providers", provider, "resources"]) if provider.eq_ignore_ascii_case("Microsoft.ResourceGraph") => {
            return simulation.query(&head.headers, body);
        }
        (method, ["lab", rest @ ..]) => simulation.change(method, rest, body),
        _ => plain(404, &json!({"error": {"code": "NotFound", "message": format!("the simulator has no {path}")}})),
    })
}

impl Simulation {
    fn new(scenario: AzureScenario) -> Self {
        Self {
            estate: EndpointEstate::new(&scenario),
            dice: FaultDice::new(scenario.seed, scenario.faults),
            settings: scenario.settings,
            tokens: TokenDesk::default(),
            counters: AzureCounters::default(),
            window: (Instant::now(), 0),
        }
    }

    fn token(&mut self, issue: impl FnOnce(&mut TokenDesk, &EstateSettings) -> (u16, Value)) -> Response<LabBody> {
        let (status, answer) = match self.dice.faults.token_status {
            Some(status) => (status, json!({"error": "temporarily_unavailable", "error_description": "AADSTS90033: a transient error"})),
            None => issue(&mut self.tokens, &self.settings),
        };
        let counter = if status == 200 { &mut self.counters.tokens } else { &mut self.counters.tokens_refused };
        *counter += 1;
        plain(status, &answer)
    }

    /// Answers a query. Returns `None` if a fault keeps it silent.
    fn query(&mut self, headers: &HeaderMap, body: &[u8]) -> Option<Response<LabBody>> {
        self.counters.queries += 1;
        let token = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
        if self.dice.faults.revoke || !token.is_some_and(|token| self.tokens.accepts(token)) {
            self.counters.unauthorized += 1;
            return Some(error(401, "ExpiredAuthenticationToken", "The access token has expired or is not yet valid."));
        }
        let (remaining, left) = self.spend();
        if remaining.is_none() {
            self.counters.throttled += 1;
            return Some(throttled(left.as_secs() + 1, left));
        }
        let query: GraphQuery = match serde_json::from_slice(body) {
            Ok(query) => query,
            Err(wrong) => return Some(error(400, "BadRequest", &wrong.to_string())),
        };
        let page = query.start(self.settings.page).map_or(1, |(_, page)| page);
        let fate = self.dice.roll(page);
        self.counters.struck += u64::from(fate != QueryFate::Honest);
        let mut answer = match fate {
            QueryFate::Silent => return None,
            QueryFate::Status(status) => error(status, "ServerError", "a fault of the scenario"),
            QueryFate::Throttle(seconds) => return Some(throttled(seconds, Duration::from_secs(seconds))),
            QueryFate::Garbage => {
                let mut answer = Response::new(LabBody::whole("<html><body>Service Unavailable</body></html>".into()));
                answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html"));
                answer
            }
            QueryFate::Endless => Response::new(LabBody::Endless),
            QueryFate::Empty => plain(200, &json!({"totalRecords": 0, "count": 0, "data": [], "facets": [], "resultTruncated": "false"})),
            QueryFate::Honest | QueryFate::LosePages | QueryFate::Cut => self.honest(&query, fate),
        };
        let headers = answer.headers_mut();
        headers.insert("x-ms-user-quota-remaining", HeaderValue::from(remaining.unwrap_or(0)));
        headers.insert("x-ms-user-quota-resets-after", clock(left));
        Some(answer)
    }

    fn honest(&mut self, query: &GraphQuery, fate: QueryFate) -> Response<LabBody> {
        let endpoints = self.estate.visible(Duration::from_millis(self.settings.lag_ms));
        let loses_pages = fate == QueryFate::LosePages;
        match query.answer(&self.estate, &endpoints, &self.dice.faults, self.settings.page, loses_pages) {
            Ok(answer) => {
                self.counters.rows += answer["count"].as_u64().unwrap_or(0);
                let mut response = plain(200, &answer);
                if fate == QueryFate::Cut {
                    *response.body_mut() = LabBody::cut(answer.to_string());
                }
                response
            }
            Err(QueryRefusal::Bad(message)) => error(400, "BadRequest", &message),
            Err(QueryRefusal::Forbidden(id)) => {
                self.counters.forbidden += 1;
                let words = format!("The client does not have authorization to perform action over scope '/subscriptions/{id}'.");
                error(403, "AuthorizationFailed", &words)
            }
        }
    }

    /// Takes one query from the quota. Returns the number that is left, or `None` if it is used up, and the time until it is renewed.
    fn spend(&mut self) -> (Option<u32>, Duration) {
        let length = Duration::from_millis(self.settings.window_ms);
        if self.window.0.elapsed() >= length {
            self.window = (Instant::now(), 0);
        }
        let left = length.saturating_sub(self.window.0.elapsed());
        self.window.1 = self.window.1.saturating_add(1);
        (self.settings.quota.checked_sub(self.window.1), left)
    }

    /// Handles the paths under `/lab`.
    fn change(&mut self, method: &Method, path: &[&str], body: &[u8]) -> Response<LabBody> {
        let done = |result: Result<(), String>| match result {
            Ok(()) => plain(200, &json!({})),
            Err(message) => plain(400, &json!({"error": message})),
        };
        match (method, path) {
            (&Method::GET, ["counters"]) => plain(200, &json!(self.counters)),
            (&Method::GET, ["endpoints"]) => plain(200, &json!(**self.estate.latest())),
            (&Method::GET, ["faults"]) => plain(200, &json!(self.dice.faults)),
            (&Method::PUT, ["endpoints"]) => done(read::<SimulatedEndpoint>(body).and_then(|endpoint| self.estate.put(endpoint))),
            (&Method::DELETE, ["endpoints", name]) if self.estate.remove(name) => done(Ok(())),
            (&Method::PUT, ["faults"]) => done(read::<AzureFaults>(body).map(|faults| self.dice.faults = faults)),
            (&Method::DELETE, ["faults"]) => {
                self.dice.faults = AzureFaults::default();
                done(Ok(()))
            }
            (&Method::PATCH, ["settings"]) => done(read::<ChangedSettings>(body).map(|changed| changed.apply(&mut self.settings))),
            _ => plain(404, &json!({"error": format!("the simulator has no {method} /lab/{}", path.join("/"))})),
        }
    }
}

impl ChangedSettings {
    fn apply(self, settings: &mut EstateSettings) {
        settings.token_seconds = self.token_seconds.unwrap_or(settings.token_seconds);
        settings.page = self.page.unwrap_or(settings.page);
        settings.quota = self.quota.unwrap_or(settings.quota);
        settings.window_ms = self.window_ms.unwrap_or(settings.window_ms);
        settings.lag_ms = self.lag_ms.unwrap_or(settings.lag_ms);
    }
}

fn read<T: for<'d> Deserialize<'d>>(body: &[u8]) -> Result<T, String> {
    serde_json::from_slice(body).map_err(|error| error.to_string())
}

fn plain(status: u16, answer: &Value) -> Response<LabBody> {
    let mut response = Response::new(LabBody::whole(answer.to_string()));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    response
}

fn error(status: u16, code: &str, message: &str) -> Response<LabBody> {
    plain(status, &json!({"error": {"code": code, "message": message}}))
}

fn throttled(retry_after: u64, resets_after: Duration) -> Response<LabBody> {
    let mut response = error(429, "RateLimiting", "Client application has been throttled and should not attempt to repeat the request.");
    let headers = response.headers_mut();
    headers.insert(RETRY_AFTER, HeaderValue::from(retry_after));
    headers.insert("x-ms-user-quota-remaining", HeaderValue::from_static("0"));
    headers.insert("x-ms-user-quota-resets-after", clock(resets_after));
    response
}

/// Writes a time as `00:00:05`, rounded up.
fn clock(time: Duration) -> HeaderValue {
    let seconds = time.as_millis().div_ceil(1_000);
    let text = format!("{:02}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60);
    HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("00:00:00"))
}

/// Body of an answer, honest or not.
enum LabBody {
    /// The rest of the octets, and their number.
    Whole(Option<Bytes>, u64),
    /// Octets that end before the announced length. The connection closes after the pause, so that they are sent before.
    Cut(Option<Bytes>, u64, Pin<Box<tokio::time::Sleep>>),
    /// Octets without an end.
    Endless,
}

impl LabBody {
    fn whole(text: String) -> Self {
        let octets = Bytes::from(text);
        let length = octets.len() as u64;
        Self::Whole(Some(octets), length)
    }

    fn cut(text: String) -> Self {
        let octets = Bytes::from(text);
        Self::Cut(Some(octets.slice(..octets.len() / 2)), octets.len() as u64, Box::pin(tokio::time::sleep(Duration::from_millis(50))))
    }
}

impl Body for LabBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        Poll::Ready(match &mut *self {
            Self::Whole(octets, _) => octets.take().map(|octets| Ok(Frame::data(octets))),
            Self::Cut(octets, _, pause) => match octets.take() {
                Some(octets) => Some(Ok(Frame::data(octets))),
                None => {
                    std::task::ready!(pause.as_mut().poll(context));
                    Some(Err(io::Error::other("cut")))
                }
            },
            Self::Endless => Some(Ok(Frame::data(Bytes::from_static(&[b' '; 65_536])))),
        })
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(octets, length) => SizeHint::with_exact(octets.as_ref().map_or(0, |_| *length)),
            Self::Cut(_, length, _) => SizeHint::with_exact(*length),
            Self::Endless => SizeHint::default(),
        }
    }
}
