//! Load generation: workers that send and receive, and their results.
//!
//! ```text
//! SendSchedule ─ due ─┐
//!                     ├─ LoadWorker ─ PendingQueries ─ QueryCarrier (UDP, TCP) ─▶ server
//! window ────── room ─┘     └─ LoadTally, TallySecond ─▶ run ─▶ LoadOutcome
//! ```
//! In an open loop, queries are sent on schedule, whatever the server returns. Latency is measured
//! from the scheduled time, so a stall of the server becomes visible. In a closed loop, a query is
//! sent when an earlier one is done. This shows the capacity of the server, but not how long its
//! clients wait.

mod flight;
mod schedule;
mod tally;
mod tcp;
mod udp;
mod worker;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::process::{self, ProcessTree, ResourceUsage};
use crate::questions::QuestionBank;
pub use flight::{PendingQueries, ResponseMatch, SentQuery};
pub use schedule::{ArrivalProcess, SendSchedule};
pub use tally::{LoadTally, TallySecond, add, fine};

/// Upper bound of the duration of a run.
pub const LONGEST_RUN: Duration = Duration::from_secs(24 * 3600);
/// Maximum number of source ports of a run.
pub const MOST_PORTS: usize = 16_384;
/// Delay between starting the workers and their common start of sending.
const HEAD_START: Duration = Duration::from_millis(20);

/// Transport of queries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LoadTransport {
    /// Connected UDP sockets.
    Udp,
    /// TCP connections with many pending queries each (RFC 7766, section 6.2.1.1).
    Tcp,
}

/// Trigger for sending a query.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "loop")]
pub enum LoadModel {
    /// Open loop: queries are sent on schedule.
    Open {
        /// Queries per second.
        rate: f64,
        /// Distribution of the queries over time.
        arrivals: ArrivalProcess,
    },
    /// Closed loop: a query is sent when an earlier one is done.
    Closed {
        /// Number of pending queries.
        window: usize,
    },
}

/// Parameters of a run.
#[derive(Debug, Clone, Serialize)]
pub struct LoadPlan {
    /// Address of the server.
    pub target: SocketAddr,
    /// Transport of queries.
    pub transport: LoadTransport,
    /// Trigger for sending queries.
    pub load: LoadModel,
    /// Duration of the measurement, in seconds in reports.
    #[serde(serialize_with = "seconds")]
    pub duration: Duration,
    /// Duration of the warm-up before the measurement.
    #[serde(serialize_with = "seconds")]
    pub warmup: Duration,
    /// Time after which a query counts as unanswered.
    #[serde(serialize_with = "seconds")]
    pub timeout: Duration,
    /// Number of queries after which the measurement ends early. `None` means no limit.
    pub queries: Option<u64>,
    /// Number of threads that generate load.
    pub threads: usize,
    /// Total number of source ports of all threads.
    pub ports: usize,
    /// Maximum number of queries per system call.
    pub batch: usize,
    /// Cores that the threads may run on. Empty means all.
    pub cpus: Vec<usize>,
    /// Seed that determines questions and arrivals.
    pub seed: u64,
    /// Process of the server, measured together with its children.
    pub pid: Option<u32>,
}

impl LoadPlan {
    /// Creates a plan with default values, which loads `target` for ten seconds.
    pub fn new(target: SocketAddr) -> Self {
        Self {
            target,
            transport: LoadTransport::Udp,
            load: LoadModel::Closed { window: 100 },
            duration: Duration::from_secs(10),
            warmup: Duration::from_secs(1),
            timeout: Duration::from_secs(2),
            queries: None,
            threads: 1,
            ports: 16,
            batch: 32,
            cpus: Vec::new(),
            seed: 1,
            pid: None,
        }
    }
}

fn seconds<S: serde::Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(duration.as_secs_f64())
}

/// Reasons why a run failed.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A parameter of the plan is out of bounds.
    #[error("{0}")]
    Plan(String),
    /// There are no questions.
    #[error("there are no questions to ask")]
    NoQuestions,
    /// A system call failed.
    #[error("{what}: {error}")]
    System {
        /// The attempted operation.
        what: String,
        /// The error of the system.
        error: io::Error,
    },
    /// The server's process does not exist.
    #[error("process {0} cannot be read: {1}")]
    Process(u32, io::Error),
    /// A worker panicked.
    #[error("a thread of the generator died")]
    Worker,
}

/// Resources that the generator itself used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct GeneratorEffort {
    /// CPU time divided by elapsed time, of the busiest thread.
    pub busiest: f64,
    /// CPU time divided by elapsed time, of all threads.
    pub cpu: f64,
    /// Time that the worst thread waited for a core, divided by elapsed time.
    pub waiting_for_cpu: f64,
}

/// Resources that the server used.
#[derive(Debug, Clone, Serialize)]
pub struct ServerUse {
    /// User and system CPU time during the measurement, in seconds.
    pub user: f64,
    /// CPU time in the kernel during the measurement, in seconds.
    pub system: f64,
    /// User and system CPU time per answered query, in microseconds.
    pub cpu_per_query: f64,
    /// Resident memory at the end, in octets.
    pub resident: u64,
    /// Peak resident memory, in octets.
    pub peak: u64,
    /// Proportional set size at the end in octets, in which shared pages are divided among their
    /// processes. 0 if the system does not provide it.
    pub proportional: u64,
    /// Number of threads at the end.
    pub threads: u64,
}

/// One second of the run, over all workers.
#[derive(Debug, Clone)]
pub struct RunSecond {
    /// Counts of the workers.
    pub second: TallySecond,
    /// CPU time of the server divided by elapsed time.
    pub server_cpu: Option<f64>,
    /// Resident memory of the server at the end of the second, in octets.
    pub server_memory: Option<u64>,
}

/// Result of a run.
#[derive(Debug, Clone)]
pub struct LoadOutcome {
    /// Parameters of the run.
    pub plan: LoadPlan,
    /// Duration of the measurement, without warm-up and stragglers.
    pub elapsed: Duration,
    /// Counts of the measurement.
    pub tally: LoadTally,
    /// Latency of all answers, measured from the schedule.
    pub latency: Histogram<u64>,
    /// Seconds from the beginning of the warm-up.
    pub series: Vec<RunSecond>,
    /// Resources that the generator used.
    pub effort: GeneratorEffort,
    /// Resources that the server used, if its process was named.
    pub server: Option<ServerUse>,
}

impl LoadOutcome {
    /// Returns the answers per second.
    pub fn rate(&self) -> f64 {
        self.tally.answered as f64 / self.elapsed.as_secs_f64().max(1e-9)
    }

    /// Returns the number of queries that should have been answered: those that were sent and those
    /// that were due but not sent.
    pub fn asked(&self) -> u64 {
        self.tally.sent + self.tally.unsent
    }

    /// Returns the share of those queries without an answer in time, from 0 to 1.
    pub fn loss(&self) -> f64 {
        let lost = self.tally.timed_out + self.tally.cut_off + self.tally.unsent;
        lost as f64 / self.asked().max(1) as f64
    }

    /// Returns warnings about a server that seems to limit its response rate instead of being slow.
    pub fn rate_limit(&self) -> Option<String> {
        // Rate limits by source (RRL) drop some answers and return others empty with TC, so that
        // real clients retry over TCP.
        let truncated = self.tally.truncated as f64 / self.tally.answered.max(1) as f64;
        (self.plan.transport == LoadTransport::Udp && truncated > 0.05 && self.loss() > 0.05).then(|| {
            format!(
                "{:.0} % of the queries were lost and {:.0} % of the answers truncated: this looks like a rate limit of the server (RRL), not like its speed",
                self.loss() * 100.0,
                truncated * 100.0
            )
        })
    }

    /// Returns warnings if the generator, not the server, may have been the limit.
    pub fn generator_limits(&self) -> Vec<String> {
        let mut limits = Vec::new();
        let percent = |part: f64| format!("{:.0} %", part * 100.0);
        if self.effort.busiest > 0.95 {
            limits.push(format!(
                "a thread of the generator was busy {} of the time: use more --threads, or more cores",
                percent(self.effort.busiest)
            ));
        }
        if self.effort.waiting_for_cpu > 0.05 {
            let waited = percent(self.effort.waiting_for_cpu);
            let help = if self.plan.cpus.is_empty() { "; --cpus gives it a core" } else { "" };
            limits.push(format!("a thread of the generator waited for a core {waited} of the time: something else runs there{help}"));
        }
        if let LoadModel::Open { .. } = self.plan.load {
            let lag = Duration::from_nanos(self.tally.lag.value_at_quantile(0.99));
            if lag > Duration::from_millis(1) {
                limits.push(format!("1 % of the queries left more than {lag:.1?} behind their schedule"));
            }
            if self.tally.unsent > 0 {
                limits.push(format!("{} queries were due and never left", self.tally.unsent));
            }
        }
        limits
    }
}

/// Runs the plan and calls `progress` each second.
pub fn run(plan: &LoadPlan, questions: &Arc<QuestionBank>, mut progress: impl FnMut(&RunSecond)) -> Result<LoadOutcome, RunError> {
    check(plan, questions)?;
    let mut processes = match plan.pid {
        Some(pid) => Some(ProcessTree::of(pid).map_err(|error| RunError::Process(pid, error))?),
        None => None,
    };
    let (sender, receiver) = mpsc::channel();
    let epoch = Instant::now() + HEAD_START;
    let workers = start_workers(plan, questions, epoch, sender)?;

    let mut collector = Collector { open: Vec::new(), series: Vec::new(), workers: plan.threads };
    let begin = epoch + plan.warmup;
    let mut first = None;
    let mut last = (Instant::now(), processes.as_mut().and_then(ProcessTree::read));
    let mut tick = epoch + Duration::from_secs(1);
    loop {
        let next = if first.is_none() { begin.min(tick) } else { tick };
        match receiver.recv_timeout(next.saturating_duration_since(Instant::now())) {
            Ok(second) => collector.take(second, &mut progress),
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                let now = Instant::now();
                let usage = processes.as_mut().and_then(ProcessTree::read);
                if first.is_none() && now >= begin {
                    first = Some(usage);
                }
                if now >= tick {
                    collector.note_server((tick - epoch).as_secs() as u32 - 1, last, (now, usage));
                    last = (now, usage);
                    tick += Duration::from_secs(1);
                }
            }
        }
    }
    let end = processes.as_mut().and_then(ProcessTree::read);
    let (tally, effort, sending_end) = join_workers(workers, begin)?;
    collector.finish(&mut progress);
    let server = match (first.flatten(), end) {
        (Some(before), Some(after)) => Some(server_use(before, after, &tally, processes.as_ref())),
        _ => None,
    };
    let latency = tally.latency();
    let elapsed = sending_end.saturating_duration_since(begin).min(plan.duration).max(Duration::from_micros(1));
    Ok(LoadOutcome { plan: plan.clone(), elapsed, tally, latency, series: collector.series, effort, server })
}

/// Starts the threads that send. Each reports its seconds through `sender`.
fn start_workers(
    plan: &LoadPlan,
    questions: &Arc<QuestionBank>,
    epoch: Instant,
    sender: mpsc::Sender<TallySecond>,
) -> Result<Vec<JoinHandle<io::Result<Done>>>, RunError> {
    let spawn = |index| {
        let (plan, questions, sender) = (plan.clone(), Arc::clone(questions), sender.clone());
        let spawned = thread::Builder::new().name(format!("bench-{index}")).spawn(move || work(&plan, &questions, index, epoch, sender));
        spawned.map_err(|error| RunError::System { what: "starting a thread".into(), error })
    };
    (0..plan.threads).map(spawn).collect()
}

/// Waits for the threads. Returns the sum of their counts, their effort, and the end of sending.
fn join_workers(workers: Vec<JoinHandle<io::Result<Done>>>, begin: Instant) -> Result<(LoadTally, GeneratorEffort, Instant), RunError> {
    let mut tally = LoadTally::default();
    let mut effort = GeneratorEffort::default();
    let mut sending_end = begin;
    for worker in workers {
        let done = worker.join().map_err(|_| RunError::Worker)?.map_err(|error| RunError::System { what: "making load".into(), error })?;
        tally.add(&done.tally);
        effort.cpu += done.busy;
        effort.busiest = effort.busiest.max(done.busy);
        effort.waiting_for_cpu = effort.waiting_for_cpu.max(done.waited);
        sending_end = sending_end.max(done.end);
    }
    Ok((tally, effort, sending_end))
}

fn check(plan: &LoadPlan, questions: &QuestionBank) -> Result<(), RunError> {
    let refuse = |what: &str| Err(RunError::Plan(what.to_string()));
    if questions.is_empty() {
        return Err(RunError::NoQuestions);
    }
    if plan.duration.is_zero() || plan.duration + plan.warmup > LONGEST_RUN {
        return refuse("the duration is more than nothing, and with the warm-up at most 24 hours");
    }
    if plan.timeout < Duration::from_millis(1) || plan.timeout > Duration::from_secs(60) {
        return refuse("the timeout is from 1 ms to 60 s");
    }
    if plan.threads == 0 || plan.threads > 256 || plan.ports < plan.threads || plan.ports > MOST_PORTS {
        return refuse("there are 1 to 256 threads, and from one source port a thread to 16384 in all");
    }
    if plan.batch == 0 || plan.batch > 1024 {
        return refuse("a batch is from 1 to 1024 queries");
    }
    match plan.load {
        LoadModel::Open { rate, .. } if !(0.1..=1e8).contains(&rate) => refuse("the rate is from 0.1 to 100,000,000 queries a second"),
        LoadModel::Closed { window } if window == 0 || window > plan.ports * 16_384 => {
            refuse("the window is from 1 to 16,384 queries a source port")
        }
        _ => Ok(()),
    }
}

struct Done {
    tally: LoadTally,
    busy: f64,
    waited: f64,
    end: Instant,
}

fn work(plan: &LoadPlan, questions: &QuestionBank, index: usize, epoch: Instant, seconds: mpsc::Sender<TallySecond>) -> io::Result<Done> {
    if !plan.cpus.is_empty() {
        postern_sockets::pin_thread(&plan.cpus)?;
    }
    postern_sockets::wake_on_time();
    let ports = plan.ports / plan.threads + usize::from(index < plan.ports % plan.threads);
    let start = (Instant::now(), process::thread_times());
    let (tally, end) = match plan.transport {
        LoadTransport::Udp => {
            let carrier = udp::UdpCarrier::open(plan.target, ports, plan.batch, questions.largest())?;
            worker::LoadWorker::new(carrier, plan, questions, index, epoch, seconds)?.run()?
        }
        LoadTransport::Tcp => {
            let carrier = tcp::TcpCarrier::open(plan.target, ports, plan.timeout)?;
            worker::LoadWorker::new(carrier, plan, questions, index, epoch, seconds)?.run()?
        }
    };
    let after = process::thread_times();
    // Waiting for stragglers involves no work, so it does not belong in the denominator.
    let elapsed = end.saturating_duration_since(start.0).as_secs_f64().max(1e-9);
    // Waiting may continue after the end of sending, but is bounded by the total time.
    let share = |after: Duration, before: Duration| (after.saturating_sub(before).as_secs_f64() / elapsed).min(1.0);
    Ok(Done { tally, busy: share(after.running, start.1.running), waited: share(after.waiting, start.1.waiting), end })
}

fn server_use(before: ResourceUsage, after: ResourceUsage, tally: &LoadTally, processes: Option<&ProcessTree>) -> ServerUse {
    let user = after.user.saturating_sub(before.user).as_secs_f64();
    let system = after.system.saturating_sub(before.system).as_secs_f64();
    ServerUse {
        user,
        system,
        cpu_per_query: (user + system) * 1e6 / tally.answered.max(1) as f64,
        resident: after.resident,
        peak: processes.map_or(0, ProcessTree::peak),
        proportional: processes.map_or(0, ProcessTree::proportional),
        threads: after.threads,
    }
}

/// Merges the seconds of all workers.
struct Collector {
    open: Vec<(RunSecond, usize)>,
    series: Vec<RunSecond>,
    workers: usize,
}

impl Collector {
    fn take(&mut self, second: TallySecond, progress: &mut impl FnMut(&RunSecond)) {
        let index = second.index;
        let entry = self.entry(index);
        entry.0.second.add(&second);
        entry.1 += 1;
        if entry.1 >= self.workers {
            self.close(|moment| moment.second.index <= index, progress);
        }
    }

    fn note_server(&mut self, index: u32, before: (Instant, Option<ResourceUsage>), after: (Instant, Option<ResourceUsage>)) {
        let (Some(old), Some(new)) = (before.1, after.1) else { return };
        let elapsed = after.0.saturating_duration_since(before.0).as_secs_f64().max(1e-9);
        let cpu = (new.user + new.system).saturating_sub(old.user + old.system).as_secs_f64() / elapsed;
        let closed = self.series.iter_mut().rev().find(|moment| moment.second.index == index);
        let moment = match closed {
            Some(moment) => moment,
            None => &mut self.entry(index).0,
        };
        moment.server_cpu = Some(cpu);
        moment.server_memory = Some(new.resident);
    }

    fn entry(&mut self, index: u32) -> &mut (RunSecond, usize) {
        let place = match self.open.iter().position(|(moment, _)| moment.second.index == index) {
            Some(place) => place,
            None => {
                self.open.push((RunSecond { second: TallySecond::new(index), server_cpu: None, server_memory: None }, 0));
                self.open.len() - 1
            }
        };
        &mut self.open[place]
    }

    fn close(&mut self, which: impl Fn(&RunSecond) -> bool, progress: &mut impl FnMut(&RunSecond)) {
        self.open.sort_by_key(|(moment, _)| moment.second.index);
        let (closed, open) = std::mem::take(&mut self.open).into_iter().partition(|(moment, _)| which(moment));
        self.open = open;
        let closed: Vec<(RunSecond, usize)> = closed;
        for (moment, _) in closed {
            progress(&moment);
            self.series.push(moment);
        }
    }

    fn finish(&mut self, progress: &mut impl FnMut(&RunSecond)) {
        self.close(|_| true, progress);
        self.series.sort_by_key(|moment| moment.second.index);
    }
}
