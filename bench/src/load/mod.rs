//! Making load: workers that send and receive, and what they found.
//!
//! ```text
//! Schedule ─ due ─┐
//!                 ├─ Worker ─ Flight ─ Carrier (Udp, Tcp) ─▶ server
//! window ── room ─┘     └─ Tally, Second ─▶ run ─▶ Outcome
//! ```
//! In an open loop queries leave when they are due, whatever comes back, and latency counts from when they were due: a server that stalls is seen to
//! stall. In a closed loop a query leaves when an earlier one is done: good for finding what a server can do, not for how long its clients wait.

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
use std::thread;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::process::{self, Processes, Usage};
use crate::questions::Questions;
pub use flight::{Arrival, Flight, Sent};
pub use schedule::{Arrivals, Schedule};
pub use tally::{Second, Tally, add, fine};

/// Longest run.
pub const LONGEST_RUN: Duration = Duration::from_secs(24 * 3600);
/// Most source ports of a run.
pub const MOST_PORTS: usize = 16_384;
/// Workers start together this long after they are told to.
const HEAD_START: Duration = Duration::from_millis(20);

/// How queries travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Transport {
    /// Connected UDP sockets.
    Udp,
    /// TCP connections, many queries under way on each (RFC 7766 section 6.2.1.1).
    Tcp,
}

/// What makes a query leave.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "loop")]
pub enum Load {
    /// The clock.
    Open {
        /// Queries a second.
        rate: f64,
        /// How they are spread.
        arrivals: Arrivals,
    },
    /// An earlier query that is done.
    Closed {
        /// How many are under way at once.
        window: usize,
    },
}

/// A run.
#[derive(Debug, Clone, Serialize)]
pub struct Plan {
    /// The server.
    pub target: SocketAddr,
    /// How queries travel.
    pub transport: Transport,
    /// What makes them leave.
    pub load: Load,
    /// How long is measured, seconds in reports.
    #[serde(serialize_with = "seconds")]
    pub duration: Duration,
    /// How long load is made before that.
    #[serde(serialize_with = "seconds")]
    pub warmup: Duration,
    /// When a query is given up.
    #[serde(serialize_with = "seconds")]
    pub timeout: Duration,
    /// Measuring ends after as many queries, if the time is not over before.
    pub queries: Option<u64>,
    /// Threads that make load.
    pub threads: usize,
    /// Source ports of all threads together.
    pub ports: usize,
    /// Most queries a system call.
    pub batch: usize,
    /// Cores that the threads may run on; none: any.
    pub cpus: Vec<usize>,
    /// Questions and arrivals follow from it.
    pub seed: u64,
    /// The server's process; its children are counted in.
    pub pid: Option<u32>,
}

impl Plan {
    /// A plan with everything at its default, which loads `target` for ten seconds.
    pub fn new(target: SocketAddr) -> Self {
        Self {
            target,
            transport: Transport::Udp,
            load: Load::Closed { window: 100 },
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

/// Why a run did not happen.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A number of the plan is out of its bounds.
    #[error("{0}")]
    Plan(String),
    /// There is nothing to ask.
    #[error("there are no questions to ask")]
    NoQuestions,
    /// The system refused something.
    #[error("{what}: {error}")]
    System {
        /// What was tried.
        what: String,
        /// What the system said.
        error: io::Error,
    },
    /// The server's process is not there.
    #[error("process {0} cannot be read: {1}")]
    Process(u32, io::Error),
    /// A worker died.
    #[error("a thread of the generator died")]
    Worker,
}

/// What the generator itself needed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Effort {
    /// CPU time over elapsed time of the busiest thread.
    pub busiest: f64,
    /// CPU time over elapsed time of all threads.
    pub cpu: f64,
    /// Time in which a thread could have run and had no core, over elapsed time; the worst thread.
    pub waiting_for_cpu: f64,
}

/// What the server needed.
#[derive(Debug, Clone, Serialize)]
pub struct ServerUse {
    /// CPU time, user and system, while measuring, seconds.
    pub user: f64,
    /// See `user`.
    pub system: f64,
    /// Microseconds of both an answered query.
    pub cpu_per_query: f64,
    /// Resident memory at the end, octets.
    pub resident: u64,
    /// Most resident memory ever, octets.
    pub peak: u64,
    /// Proportional share of memory at the end (shared pages divided among those who share), octets; 0 where the system does not tell.
    pub proportional: u64,
    /// Threads at the end.
    pub threads: u64,
}

/// A second of the run, all workers together.
#[derive(Debug, Clone)]
pub struct Moment {
    /// What the workers saw.
    pub second: Second,
    /// CPU time over elapsed time of the server in it.
    pub server_cpu: Option<f64>,
    /// Resident memory of the server at its end, octets.
    pub server_memory: Option<u64>,
}

/// What a run found.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The plan that was run.
    pub plan: Plan,
    /// How long was measured, without warm-up and stragglers.
    pub elapsed: Duration,
    /// What was counted.
    pub tally: Tally,
    /// Latency from the schedule, all answers.
    pub latency: Histogram<u64>,
    /// The seconds from the beginning of the warm-up on.
    pub series: Vec<Moment>,
    /// What the generator needed.
    pub effort: Effort,
    /// What the server needed.
    pub server: Option<ServerUse>,
}

impl Outcome {
    /// Answers a second.
    pub fn rate(&self) -> f64 {
        self.tally.answered as f64 / self.elapsed.as_secs_f64().max(1e-9)
    }

    /// Queries that should have been answered: those sent and those that had to stay.
    pub fn asked(&self) -> u64 {
        self.tally.sent + self.tally.unsent
    }

    /// The part of them that was not answered in time, from 0 to 1.
    pub fn loss(&self) -> f64 {
        let lost = self.tally.timed_out + self.tally.cut_off + self.tally.unsent;
        lost as f64 / self.asked().max(1) as f64
    }

    /// Says where the server, rather than being slow, seems to have limited how often it answers.
    pub fn rate_limit(&self) -> Option<String> {
        // Rate limits by source (RRL) drop some answers and send others empty with TC, so that real clients come again over TCP.
        let truncated = self.tally.truncated as f64 / self.tally.answered.max(1) as f64;
        (self.plan.transport == Transport::Udp && truncated > 0.05 && self.loss() > 0.05).then(|| {
            format!(
                "{:.0} % of the queries were lost and {:.0} % of the answers truncated: this looks like a rate limit of the server (RRL), not like its speed",
                self.loss() * 100.0,
                truncated * 100.0
            )
        })
    }

    /// Says where the generator, not the server, may have been the limit.
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
        if let Load::Open { .. } = self.plan.load {
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

/// Runs the plan; `progress` is told each second.
pub fn run(plan: &Plan, questions: &Arc<Questions>, mut progress: impl FnMut(&Moment)) -> Result<Outcome, RunError> {
    check(plan, questions)?;
    let mut processes = match plan.pid {
        Some(pid) => Some(Processes::of(pid).map_err(|error| RunError::Process(pid, error))?),
        None => None,
    };
    let (sender, receiver) = mpsc::channel();
    let epoch = Instant::now() + HEAD_START;
    let mut workers = Vec::new();
    for index in 0..plan.threads {
        let (plan, questions, sender) = (plan.clone(), Arc::clone(questions), sender.clone());
        let spawned = thread::Builder::new().name(format!("bench-{index}")).spawn(move || work(&plan, &questions, index, epoch, sender));
        workers.push(spawned.map_err(|error| RunError::System { what: "starting a thread".into(), error })?);
    }
    drop(sender);

    let mut collector = Collector { open: Vec::new(), series: Vec::new(), workers: plan.threads };
    let begin = epoch + plan.warmup;
    let mut first = None;
    let mut last = (Instant::now(), processes.as_mut().and_then(Processes::read));
    let mut tick = epoch + Duration::from_secs(1);
    loop {
        let next = if first.is_none() { begin.min(tick) } else { tick };
        match receiver.recv_timeout(next.saturating_duration_since(Instant::now())) {
            Ok(second) => collector.take(second, &mut progress),
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                let now = Instant::now();
                let usage = processes.as_mut().and_then(Processes::read);
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
    let end = processes.as_mut().and_then(Processes::read);
    let mut tally = Tally::default();
    let mut effort = Effort::default();
    let mut sending_end = begin;
    for worker in workers {
        let done = worker.join().map_err(|_| RunError::Worker)?.map_err(|error| RunError::System { what: "making load".into(), error })?;
        tally.add(&done.tally);
        effort.cpu += done.busy;
        effort.busiest = effort.busiest.max(done.busy);
        effort.waiting_for_cpu = effort.waiting_for_cpu.max(done.waited);
        sending_end = sending_end.max(done.end);
    }
    collector.finish(&mut progress);
    let server = match (first.flatten(), end) {
        (Some(before), Some(after)) => Some(server_use(before, after, &tally, processes.as_ref())),
        _ => None,
    };
    let latency = tally.latency();
    let elapsed = sending_end.saturating_duration_since(begin).min(plan.duration).max(Duration::from_micros(1));
    Ok(Outcome { plan: plan.clone(), elapsed, tally, latency, series: collector.series, effort, server })
}

fn check(plan: &Plan, questions: &Questions) -> Result<(), RunError> {
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
        Load::Open { rate, .. } if !(0.1..=1e8).contains(&rate) => refuse("the rate is from 0.1 to 100,000,000 queries a second"),
        Load::Closed { window } if window == 0 || window > plan.ports * 16_384 => {
            refuse("the window is from 1 to 16,384 queries a source port")
        }
        _ => Ok(()),
    }
}

struct Done {
    tally: Tally,
    busy: f64,
    waited: f64,
    end: Instant,
}

fn work(plan: &Plan, questions: &Questions, index: usize, epoch: Instant, seconds: mpsc::Sender<Second>) -> io::Result<Done> {
    if !plan.cpus.is_empty() {
        postern_sockets::pin_thread(&plan.cpus)?;
    }
    postern_sockets::wake_on_time();
    let ports = plan.ports / plan.threads + usize::from(index < plan.ports % plan.threads);
    let start = (Instant::now(), process::thread_times());
    let (tally, end) = match plan.transport {
        Transport::Udp => {
            let carrier = udp::Udp::open(plan.target, ports, plan.batch, questions.largest())?;
            worker::Worker::new(carrier, plan, questions, index, epoch, seconds)?.run()?
        }
        Transport::Tcp => {
            let carrier = tcp::Tcp::open(plan.target, ports, plan.timeout)?;
            worker::Worker::new(carrier, plan, questions, index, epoch, seconds)?.run()?
        }
    };
    let after = process::thread_times();
    // Stragglers are waited for without work: they do not belong into the denominator.
    let elapsed = end.saturating_duration_since(start.0).as_secs_f64().max(1e-9);
    // Waiting may go on behind the end of sending, and is no more than all of the time.
    let share = |after: Duration, before: Duration| (after.saturating_sub(before).as_secs_f64() / elapsed).min(1.0);
    Ok(Done { tally, busy: share(after.running, start.1.running), waited: share(after.waiting, start.1.waiting), end })
}

fn server_use(before: Usage, after: Usage, tally: &Tally, processes: Option<&Processes>) -> ServerUse {
    let user = after.user.saturating_sub(before.user).as_secs_f64();
    let system = after.system.saturating_sub(before.system).as_secs_f64();
    ServerUse {
        user,
        system,
        cpu_per_query: (user + system) * 1e6 / tally.answered.max(1) as f64,
        resident: after.resident,
        peak: processes.map_or(0, Processes::peak),
        proportional: processes.map_or(0, Processes::proportional),
        threads: after.threads,
    }
}

/// Joins the seconds of the workers.
struct Collector {
    open: Vec<(Moment, usize)>,
    series: Vec<Moment>,
    workers: usize,
}

impl Collector {
    fn take(&mut self, second: Second, progress: &mut impl FnMut(&Moment)) {
        let index = second.index;
        let entry = self.entry(index);
        entry.0.second.add(&second);
        entry.1 += 1;
        if entry.1 >= self.workers {
            self.close(|moment| moment.second.index <= index, progress);
        }
    }

    fn note_server(&mut self, index: u32, before: (Instant, Option<Usage>), after: (Instant, Option<Usage>)) {
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

    fn entry(&mut self, index: u32) -> &mut (Moment, usize) {
        let place = match self.open.iter().position(|(moment, _)| moment.second.index == index) {
            Some(place) => place,
            None => {
                self.open.push((Moment { second: Second::new(index), server_cpu: None, server_memory: None }, 0));
                self.open.len() - 1
            }
        };
        &mut self.open[place]
    }

    fn close(&mut self, which: impl Fn(&Moment) -> bool, progress: &mut impl FnMut(&Moment)) {
        self.open.sort_by_key(|(moment, _)| moment.second.index);
        let (closed, open) = std::mem::take(&mut self.open).into_iter().partition(|(moment, _)| which(moment));
        self.open = open;
        let closed: Vec<(Moment, usize)> = closed;
        for (moment, _) in closed {
            progress(&moment);
            self.series.push(moment);
        }
    }

    fn finish(&mut self, progress: &mut impl FnMut(&Moment)) {
        self.close(|_| true, progress);
        self.series.sort_by_key(|moment| moment.second.index);
    }
}
