//! Readers: one task for each `[[azure]]`, whose result all of its zones share.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::SystemTime;

use postern_config::model::AzureReaderConfig;
use postern_zones::state_directory::StateDirectory;
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;
use tokio::time::timeout;

use super::graph::{GraphClient, GraphCounters};
use super::reading::{PrivateEndpoint, read};
use super::view::AzureView;
use super::{AzureError, AzureReading};

/// Largest file with the last good endpoints in bytes: half a million endpoints.
const LARGEST: u64 = 512 << 20;

/// The readers that zones use.
#[derive(Default)]
pub struct AzureReaders(Mutex<Vec<Weak<AzureReader>>>);

/// A reader with its task, which ends when no zone uses it.
pub(super) struct AzureReader {
    shared: Arc<SharedReader>,
    task: AbortHandle,
}

struct SharedReader {
    config: Arc<AzureReaderConfig>,
    state_directory: Arc<StateDirectory>,
    outcome: watch::Sender<ReadOutcome>,
    wake: Notify,
    counters: Arc<GraphCounters>,
    status: Mutex<ReaderStatus>,
    /// Held while the view is written.
    writing: Mutex<()>,
}

/// Result of the last attempt.
#[derive(Debug, Clone, Default)]
pub(super) struct ReadOutcome {
    /// The endpoints as they count.
    pub view: Arc<AzureView>,
    /// Readings that succeeded since the start.
    pub readings: u64,
    /// Reason why the last reading failed or was not complete. `None` if it was good.
    pub error: Option<String>,
}

/// State of a reader, for people and metrics.
#[derive(Debug, Clone, Default)]
pub struct ReaderStatus {
    /// Name of the `[[azure]]`.
    pub name: String,
    /// When the last good reading ended. `None` if there was none since the start.
    pub last_success: Option<SystemTime>,
    /// Why the last reading failed or was not complete. `None` if it was good.
    pub error: Option<String>,
    /// Endpoints that are approved and have names.
    pub approved: usize,
    /// Endpoints in another state, or without names.
    pub others: usize,
    /// Endpoints that are kept although their subscription was not in the last reading.
    pub hidden: usize,
    /// Readings that succeeded.
    pub readings: u64,
    /// Readings that failed.
    pub failures: u64,
    /// Requests to Resource Graph.
    pub queries: u64,
    /// Requests for a token.
    pub tokens: u64,
    /// Answers that asked for a pause.
    pub throttled: u64,
}

impl AzureReaders {
    /// Returns the reader with these settings, and starts it if no zone uses it yet.
    pub(super) fn reader(&self, config: &Arc<AzureReaderConfig>, state_directory: &Arc<StateDirectory>) -> Arc<AzureReader> {
        let mut readers = self.lock();
        readers.retain(|reader| reader.strong_count() > 0);
        if let Some(reader) = readers.iter().filter_map(Weak::upgrade).find(|reader| reader.shared.config == *config) {
            return reader;
        }
        let reader = Arc::new(AzureReader::start(config.clone(), state_directory.clone()));
        readers.push(Arc::downgrade(&reader));
        reader
    }

    /// Returns the state of each reader that a zone uses, by name.
    pub fn status(&self) -> Vec<ReaderStatus> {
        let readers: Vec<Arc<AzureReader>> = self.lock().iter().filter_map(Weak::upgrade).collect();
        let mut status: Vec<ReaderStatus> = readers.iter().map(|reader| reader.shared.status()).collect();
        status.sort_by(|one, other| one.name.cmp(&other.name));
        status.dedup_by(|one, other| one.name == other.name);
        status
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Weak<AzureReader>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AzureReader {
    fn start(config: Arc<AzureReaderConfig>, state_directory: Arc<StateDirectory>) -> Self {
        let kept = kept_view(&config.name, &state_directory);
        let (outcome, _) = watch::channel(ReadOutcome { view: Arc::new(kept), ..ReadOutcome::default() });
        let status = Mutex::new(ReaderStatus { name: config.name.clone(), ..ReaderStatus::default() });
        let (wake, counters) = (Notify::new(), Arc::default());
        let shared = Arc::new(SharedReader { config, state_directory, outcome, wake, counters, status, writing: Mutex::default() });
        let task = tokio::spawn(shared.clone().run()).abort_handle();
        Self { shared, task }
    }

    /// Returns the results from now on, the present one included.
    pub fn subscribe(&self) -> watch::Receiver<ReadOutcome> {
        self.shared.outcome.subscribe()
    }

    /// Reads at once instead of at the end of the interval.
    pub fn wake(&self) {
        self.shared.wake.notify_one();
    }

    /// Lets a zone drop hidden endpoints, because its operator accepted it. Returns their number.
    pub fn drop_hidden(&self, zone: &str, is_meant: impl Fn(&PrivateEndpoint) -> bool) -> usize {
        let mut dropped = 0;
        self.shared.outcome.send_if_modified(|outcome| {
            dropped = Arc::make_mut(&mut outcome.view).drop_hidden(zone, is_meant);
            dropped > 0
        });
        if dropped > 0 {
            self.shared.keep();
        }
        dropped
    }
}

impl Drop for AzureReader {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl SharedReader {
    async fn run(self: Arc<Self>) {
        let mut graph = GraphClient::new(self.config.clone(), self.counters.clone());
        let mut forbidden = BTreeSet::new();
        loop {
            let read = read(&mut graph, &self.config.scope, &mut forbidden).await;
            self.take(read);
            // Servers that were started together should not ask together for ever.
            let wait = self.config.interval;
            let wait = wait - wait.mul_f64(rand::random_range(0.0..0.1));
            let _ = timeout(wait, self.wake.notified()).await;
        }
    }

    /// Shows the result of an attempt to the zones, and logs what is new about it.
    fn take(&self, read: Result<AzureReading, AzureError>) {
        let mut is_changed = false;
        // A zone may drop endpoints at the same time.
        self.outcome.send_modify(|outcome| {
            let (mut view, is_good) = ((*outcome.view).clone(), read.is_ok());
            let error = match read {
                Ok(reading) => {
                    let (forbidden, unusable) = (reading.forbidden.clone(), reading.unusable);
                    view.take(reading, &self.config.scope);
                    incomplete(&forbidden, unusable, &view)
                }
                Err(error) => Some(error.to_string()),
            };
            self.log(outcome.error.as_deref(), error.as_deref(), is_good && outcome.readings == 0, &view);
            is_changed = view != *outcome.view;
            if is_changed {
                outcome.view = Arc::new(view);
            }
            self.note(&outcome.view, error.clone(), is_good);
            outcome.readings += u64::from(is_good);
            outcome.error = error;
        });
        if is_changed {
            self.keep();
        }
    }

    fn log(&self, before: Option<&str>, now: Option<&str>, is_first: bool, view: &AzureView) {
        let reader = &*self.config.name;
        match (before, now) {
            (before, Some(now)) if before != Some(now) => tracing::warn!(reader, "Azure was not read completely: {now}"),
            (Some(_), None) => tracing::info!(reader, "Azure is read again"),
            (None, None) if is_first => tracing::info!(reader, endpoints = view.endpoints().count(), "Azure was read"),
            _ => {}
        }
    }

    fn note(&self, view: &AzureView, error: Option<String>, is_good: bool) {
        let mut status = self.status.lock().unwrap_or_else(PoisonError::into_inner);
        let serves = |endpoint: &PrivateEndpoint| endpoint.is_approved() && !endpoint.names.is_empty();
        status.approved = view.endpoints().filter(|kept| serves(&kept.endpoint)).count();
        status.others = view.endpoints().count() - status.approved;
        status.hidden = view.hidden().count();
        status.error = error;
        match is_good {
            true => (status.readings, status.last_success) = (status.readings + 1, Some(SystemTime::now())),
            false => status.failures += 1,
        }
    }

    fn status(&self) -> ReaderStatus {
        let status = self.status.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let counters = &self.counters;
        let (queries, tokens) = (counters.queries.load(Relaxed), counters.tokens.load(Relaxed));
        ReaderStatus { queries, tokens, throttled: counters.throttled.load(Relaxed), ..status }
    }

    /// Writes the view to the state directory, which reports a failure by itself.
    fn keep(&self) {
        // An older view must not replace a newer one.
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let view = self.outcome.borrow().view.clone();
        let octets = serde_json::to_vec(&*view).unwrap_or_default(); // text, numbers, and lists: always JSON
        let _ = self.state_directory.write_atomically(&file(&self.config.name), &octets);
    }
}

/// Returns why a reading that succeeded does not show everything.
fn incomplete(forbidden: &BTreeSet<String>, unusable: usize, view: &AzureView) -> Option<String> {
    let mut missing: BTreeSet<&str> = forbidden.iter().map(String::as_str).collect();
    missing.extend(view.hidden().map(|kept| kept.endpoint.subscription.as_str()));
    let first = missing.iter().take(3).copied().collect::<Vec<_>>().join(", ");
    match missing.len() {
        0 if unusable > 0 => Some(format!("{unusable} rows lack an ID, a subscription, a subnet, or a state, and were skipped")),
        0 => None,
        1 => Some(format!("1 subscription may not be read, and its records are kept: {first}")),
        count @ 2..=3 => Some(format!("{count} subscriptions may not be read, and their records are kept: {first}")),
        count => Some(format!("{count} subscriptions may not be read, and their records are kept: {first} and {} more", count - 3)),
    }
}

/// Returns the endpoints of an earlier run.
fn kept_view(reader: &str, state_directory: &StateDirectory) -> AzureView {
    match state_directory.read(&file(reader), LARGEST) {
        Ok(None) => AzureView::default(),
        Ok(Some(octets)) => serde_json::from_slice(&octets).unwrap_or_else(|error| {
            tracing::error!(reader, "the endpoints of the last run cannot be read, and are read anew: {error}");
            AzureView::default()
        }),
        Err(error) => {
            tracing::error!(reader, "the endpoints of the last run cannot be read, and are read anew: {error}");
            AzureView::default()
        }
    }
}

/// Returns the name of a reader's file in the state directory.
fn file(reader: &str) -> String {
    format!("azure/{reader}.json")
}
