//! `postern bench`: load for a DNS server, and measurements of its behavior.

mod answers;
mod questions;
mod screen;
mod servers;
mod words;

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use postern_bench::load::{self, ArrivalProcess, LoadModel, LoadOutcome, LoadPlan, LoadTransport, RunSecond};
use postern_bench::objective::RunConditions;
use postern_bench::report::{BenchReport, RunReport, progress_line, to_html, to_text};
use postern_bench::{compare, search};

use questions::{QuestionArgs, read_questions};
use screen::ProgressLine;
use words::{RateSteps, duration, rate, share, steps, target};

/// Load a DNS server and measure what it does.
///
/// Without --rate, the number of pending queries is constant (closed loop), which measures the
/// capacity of the server. With --rate, queries leave on schedule whatever the server answers (open
/// loop), which measures how long clients wait. Each report shows if this program, not the server,
/// was the bottleneck.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
#[command(after_help = "Examples:\n  postern bench 127.0.0.1")]
pub struct BenchArgs {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    load: LoadArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Echo queries with QR set, which is the least work that a server can do
    #[command(after_help = "Examples:\n  postern bench mirror --listen 127.0.0.1:5300 --cpus 0")]
    Mirror(servers::ResponderArgs),
    /// Answer every query with synthetic data, faster than a measured forwarder can send queries
    Upstream(servers::UpstreamArgs),
    /// Compare answers with those of another server or of a file
    Answers(Box<answers::AnswersArgs>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Over {
    Udp,
    Tcp,
}

impl From<Over> for LoadTransport {
    fn from(over: Over) -> Self {
        match over {
            Over::Udp => LoadTransport::Udp,
            Over::Tcp => LoadTransport::Tcp,
        }
    }
}

#[derive(Debug, Args)]
struct LoadArgs {
    /// Server to load: address or address:port (default port: 53)
    #[arg(required = true, value_parser = target)]
    target: Option<SocketAddr>,
    /// Transport of the queries
    #[arg(long, value_enum, default_value_t = Over::Udp, help_heading = "Load")]
    over: Over,
    /// Open loop: queries per second, such as 50k
    #[arg(long, value_parser = rate, conflicts_with_all = ["window", "steps", "objective"], help_heading = "Load")]
    rate: Option<f64>,
    /// Open loop: spread queries at random (Poisson) instead of evenly
    #[arg(long, help_heading = "Load", conflicts_with = "window")]
    poisson: bool,
    /// Closed loop: number of pending queries
    #[arg(long, help_heading = "Load", conflicts_with_all = ["steps", "objective"])]
    window: Option<usize>,
    /// Open loop at several rates in turn: 10k,20k,50k or 10k..100k/10k
    #[arg(long, value_parser = steps, help_heading = "Load", conflicts_with = "objective")]
    steps: Option<RateSteps>,
    /// Search the highest rate that meets an objective, such as 'p99<1ms,loss<0.01%'
    #[arg(long, help_heading = "Load")]
    objective: Option<RunConditions>,
    /// First rate of the search
    #[arg(long, value_parser = rate, default_value = "10k", requires = "objective", conflicts_with_all = ["rate", "window", "steps"], help_heading = "Load")]
    start: f64,
    /// Precision of the search
    #[arg(long, value_parser = share, default_value = "2%", requires = "objective", conflicts_with_all = ["rate", "window", "steps"], help_heading = "Load")]
    precision: f64,
    /// Duration of the measurement in each run
    #[arg(long, value_parser = duration, default_value = "10s", help_heading = "Load")]
    duration: Duration,
    /// End the measurement after this many queries
    #[arg(long, help_heading = "Load")]
    queries: Option<u64>,
    /// Warm-up before the measurement
    #[arg(long, value_parser = duration, default_value = "1s", help_heading = "Load")]
    warmup: Duration,
    /// Timeout of a query; later answers are counted as late
    #[arg(long, value_parser = duration, default_value = "2s", help_heading = "Load")]
    timeout: Duration,
    /// Allow a server that is not on this machine. This program floods it with queries
    #[arg(long, help_heading = "Load")]
    allow_remote: bool,

    #[command(flatten)]
    questions: QuestionArgs,

    /// Number of threads that generate load
    #[arg(long, default_value_t = 1, help_heading = "Generator")]
    threads: usize,
    /// Source ports, or connections
    #[arg(long, default_value_t = 16, help_heading = "Generator")]
    ports: usize,
    /// Maximum number of queries per system call
    #[arg(long, default_value_t = 32, help_heading = "Generator")]
    batch: usize,
    /// Cores to run on, such as 1,3
    #[arg(long, value_delimiter = ',', help_heading = "Generator")]
    cpus: Vec<usize>,

    /// Process ID of the server. The report includes the CPU time and memory of the process and its
    /// children
    #[arg(long, help_heading = "Servers")]
    pid: Option<u32>,
    /// Second server, loaded alternately with the first
    #[arg(long, value_parser = target, value_name = "TARGET", help_heading = "Servers", conflicts_with_all = ["steps", "objective"])]
    versus: Option<SocketAddr>,
    /// Process ID of the second server
    #[arg(long, requires = "versus", help_heading = "Servers")]
    versus_pid: Option<u32>,
    /// Number of rounds for each of the two servers
    #[arg(long, default_value_t = 5, requires = "versus", conflicts_with_all = ["steps", "objective"], help_heading = "Servers")]
    rounds: usize,

    /// Fail (exit code 1) when any of these is true, such as 'p99>2ms,servfail>0%'
    #[arg(long, help_heading = "Output")]
    fail: Option<RunConditions>,
    /// Write the report as JSON
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    json: Option<PathBuf>,
    /// Write the report as one HTML page
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    html: Option<PathBuf>,
    /// Print neither progress nor results
    #[arg(long, short, help_heading = "Output")]
    quiet: bool,
}

/// Runs the subcommand. Returns 0 on success, 1 if a condition of --fail holds or no rate meets the
/// objective, and 2 if the run failed.
pub fn run(args: BenchArgs) -> ExitCode {
    let result = match args.command {
        Some(Command::Mirror(mirror)) => servers::run_mirror(&mirror).map(|()| true),
        Some(Command::Upstream(upstream)) => servers::run_upstream(&upstream).map(|()| true),
        Some(Command::Answers(answers)) => answers::run(&answers),
        None => run_load(&args.load),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(problem) => {
            eprintln!("error: {problem}");
            ExitCode::from(2)
        }
    }
}

fn run_load(args: &LoadArgs) -> Result<bool, String> {
    let plan = plan(args)?;
    let questions = Arc::new(read_questions(&args.questions)?);
    let pids: Vec<u32> = args.pid.into_iter().chain(args.versus_pid).collect();
    let mut report = BenchReport::new(&questions, &pids);
    let screen = ProgressLine::new(args.quiet);
    let progress = |plan: &LoadPlan| {
        let plan = plan.clone();
        move |moment: &RunSecond| screen.show(&progress_line(&plan, moment))
    };
    let mut runs = Vec::new();
    let mut outcomes = Vec::new();
    let mut keep = |label: String, outcome: &LoadOutcome| {
        runs.push(RunReport::new(label, outcome));
        outcomes.push(outcome.clone());
    };
    let rate_label = |rate: f64| format!("{rate:.0} a second");
    let told = |error: load::RunError| error.to_string();
    let mut met = true;
    if let Some(other) = args.versus {
        let second = LoadPlan { target: other, pid: args.versus_pid, ..plan.clone() };
        let each = |round: usize, which: usize, outcome: &LoadOutcome| keep(format!("round {}, server {}", round + 1, which + 1), outcome);
        report.comparison = Some(compare::versus([&plan, &second], &questions, args.rounds, each, progress(&plan)).map_err(told)?);
    } else if let Some(objective) = &args.objective {
        let each = |outcome: &LoadOutcome, step: &search::SearchStep| {
            screen.line(&format!(
                "{:>10.0} a second: {}",
                step.rate,
                if step.met { "met".to_string() } else { format!("missed {}", step.missed.join(", ")) }
            ));
            keep(rate_label(step.rate), outcome);
        };
        let found = search::highest(&plan, &questions, args.start, args.precision, objective, each, progress(&plan)).map_err(told)?;
        met = found.highest.is_some();
        report.search = Some(found);
    } else if let Some(rates) = &args.steps {
        let each = |outcome: &LoadOutcome, step: &search::SearchStep| keep(rate_label(step.rate), outcome);
        report.search = Some(search::steps(&plan, &questions, &rates.0, None, each, progress(&plan)).map_err(told)?);
    } else {
        keep("run".to_string(), &load::run(&plan, &questions, progress(&plan)).map_err(told)?);
    }
    screen.clear();
    report.runs = runs;
    for outcome in &outcomes {
        for condition in args.fail.iter().flat_map(|conditions| conditions.held(outcome)) {
            report.failures.push(format!("{}: {}", outcome.plan.target, condition.explain(outcome)));
        }
    }
    write_reports(args, &report)?;
    let silent = outcomes.iter().all(|outcome| outcome.tally.answered == 0);
    if silent {
        return Err(format!("{} answered nothing: is a DNS server listening there?", plan.target));
    }
    Ok(report.failures.is_empty() && met)
}

fn write_reports(args: &LoadArgs, report: &BenchReport) -> Result<(), String> {
    if !args.quiet {
        print!("{}", to_text(report));
    }
    let write = |path: &PathBuf, text: String| fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()));
    if let Some(path) = &args.json {
        write(path, report.to_json().map_err(|error| error.to_string())?)?;
    }
    if let Some(path) = &args.html {
        write(path, to_html(report))?;
    }
    Ok(())
}

/// Rejects addresses other than loopback unless the operator allowed them.
fn refuse_strangers(mut targets: impl Iterator<Item = SocketAddr>, allowed: bool) -> Result<(), String> {
    match targets.find(|address| !allowed && !address.ip().is_loopback()) {
        Some(address) => Err(format!(
            "{address} is not on this machine, and this program floods\nhelp: if the server is yours to flood, add --allow-remote"
        )),
        None => Ok(()),
    }
}

fn plan(args: &LoadArgs) -> Result<LoadPlan, String> {
    let target = args.target.ok_or("which server? give its address")?;
    refuse_strangers([Some(target), args.versus].into_iter().flatten(), args.allow_remote)?;
    if args.poisson && args.rate.is_none() && args.steps.is_none() && args.objective.is_none() {
        return Err("--poisson spreads queries of an open loop\nhelp: add --rate, --steps or --objective".to_string());
    }
    let arrivals = if args.poisson { ArrivalProcess::Poisson } else { ArrivalProcess::Even };
    let load = match args.rate {
        Some(rate) => LoadModel::Open { rate, arrivals },
        // Searches and steps set their own rate and keep the arrivals.
        None if args.objective.is_some() || args.steps.is_some() => LoadModel::Open { rate: args.start, arrivals },
        None => LoadModel::Closed { window: args.window.unwrap_or(100) },
    };
    Ok(LoadPlan {
        target,
        transport: args.over.into(),
        load,
        duration: args.duration,
        warmup: args.warmup,
        timeout: args.timeout,
        queries: args.queries,
        threads: args.threads,
        ports: args.ports.max(args.threads),
        batch: args.batch,
        cpus: args.cpus.clone(),
        seed: args.questions.seed,
        pid: args.pid,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, clap::Parser)]
    struct Alone {
        #[command(flatten)]
        bench: BenchArgs,
    }

    fn read(line: &str) -> Result<BenchArgs, clap::Error> {
        clap::Parser::try_parse_from(line.split_whitespace()).map(|alone: Alone| alone.bench)
    }

    #[test]
    fn command_lines_are_taken_or_refused() {
        use clap::CommandFactory;
        Alone::command().debug_assert();
        for line in [
            "bench 127.0.0.1 --ask www.contoso.example/AAAA --rate 50k --poisson",
            "bench 127.0.0.1:5353 --names n.txt --nxdomain 10% --nodata 0.1 --steps 10k..50k/10k",
            "bench 127.0.0.1 --zone z --objective p99<1ms,loss<0.01% --fail p99>2ms",
            "bench 127.0.0.1 --query-file q --versus [::1]:54 --rounds 3",
            "bench mirror --listen 127.0.0.1:0 --cpus 0,1",
            "bench upstream --alias www.contoso.example=edge.fabrikam.example --ttl 60",
            "bench answers 127.0.0.1:5301 --against 127.0.0.1:5302 --query-file q --ignore ra,additional --ttl-slack 1",
        ] {
            assert!(read(line).is_ok(), "{line}: {}", read(line).unwrap_err());
        }
        for line in [
            "bench",
            "bench 127.0.0.1 --rate 1k --window 5",
            "bench 127.0.0.1 --fail p99>2",
            "bench 127.0.0.1 --rate fast",
            "bench answers 127.0.0.1 --ask a",
            "bench 127.0.0.1 --query-file q --nxdomain 10%",
            "bench 127.0.0.1 --query-file q --random-subdomain 90%",
            "bench 127.0.0.1 --query-file q --types AAAA",
            "bench 127.0.0.1 --pcap p --nodata 10%",
            "bench 127.0.0.1 --pcap p --no-edns",
            "bench 127.0.0.1 --ask a.example --hit-ratio 10%",
            "bench 127.0.0.1 --ask a.example --zipf 1",
            "bench 127.0.0.1 --ask a.example --public 10%",
            "bench 127.0.0.1 --names n --origin contoso.example",
            "bench 127.0.0.1 --names n --pcap-port 5353",
            "bench 127.0.0.1 --names n --window 5 --poisson",
            "bench 127.0.0.1 --names n --rate 1k --start 2k",
            "bench 127.0.0.1 --names n --rounds 2",
        ] {
            assert!(read(line).is_err(), "{line}");
        }
    }

    #[test]
    fn a_single_name_is_asked_for_each_of_the_types() {
        let asked = |line: &str| {
            let questions = read_questions(&read(line).unwrap().load.questions).unwrap();
            let mut picker = postern_bench::questions::QuestionPicker::new(0, 0, 1);
            (0..questions.len()).map(|_| questions.describe(picker.pick(&questions))).collect::<Vec<_>>()
        };
        assert_eq!(asked("bench 127.0.0.1 --ask a.example"), ["a.example. A"]);
        assert_eq!(
            asked("bench 127.0.0.1 --ask a.example --ask b.example/MX --types AAAA,TXT"),
            ["a.example. AAAA", "a.example. TXT", "b.example. MX"]
        );
    }

    #[test]
    fn poisson_arrivals_need_an_open_loop() {
        let closed = read("bench 127.0.0.1 --ask a.example --poisson").unwrap();
        assert!(plan(&closed.load).unwrap_err().contains("--rate"));
    }

    #[test]
    fn a_server_elsewhere_is_loaded_only_when_that_is_allowed() {
        let refused = read("bench 192.0.2.1 --ask a.example").unwrap();
        assert!(plan(&refused.load).unwrap_err().contains("--allow-remote"));
        let refused = read("bench 127.0.0.1 --ask a.example --versus 192.0.2.1").unwrap();
        assert!(plan(&refused.load).is_err());
        let allowed = read("bench 192.0.2.1 --ask a.example --allow-remote").unwrap();
        assert_eq!(plan(&allowed.load).unwrap().target, "192.0.2.1:53".parse().unwrap());
    }
}
