//! `postern bench`: load for a DNS server, and what came of it.

use std::fs;
use std::io::{IsTerminal, Write, stderr};
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use bench::load::{self, Arrivals, Load, Moment, Outcome, Plan, Transport};
use bench::message::{self, QueryForm};
use bench::mirror::Mirror;
use bench::objective::Conditions;
use bench::questions::{Questions, generate, pcap, queryfile};
use bench::report::{Report, Run, progress_line, to_html, to_text};
use bench::{compare, search};
use clap::{Args, Subcommand, ValueEnum};

/// Load a DNS server and measure what it does.
///
/// Without --rate a window of queries is kept under way (closed loop): what can the server do? With --rate queries leave on time whatever comes back (open
/// loop): how long do clients wait? Each report says when this program, not the server, was the limit.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct BenchArgs {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    load: LoadArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Send queries back with QR set: the least a server can do, the unit of cost
    Mirror(MirrorArgs),
}

#[derive(Debug, Args)]
struct MirrorArgs {
    /// Address and port to listen on
    #[arg(long, default_value = "127.0.0.1:5300")]
    listen: SocketAddr,
    /// Threads, each with a socket of its own
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Cores to run on, such as 0,2
    #[arg(long, value_delimiter = ',')]
    cpus: Vec<usize>,
    /// Stop after this long
    #[arg(long, value_parser = duration)]
    duration: Option<Duration>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Over {
    Udp,
    Tcp,
}

#[derive(Debug, Args)]
struct LoadArgs {
    /// The server: address, or address:port (port 53 if none)
    #[arg(required = true, value_parser = target)]
    target: Option<SocketAddr>,
    /// Transport
    #[arg(long, value_enum, default_value_t = Over::Udp, help_heading = "Load")]
    over: Over,
    /// Open loop: so many queries a second, such as 50k
    #[arg(long, value_parser = rate, conflicts_with_all = ["window", "steps", "objective"], help_heading = "Load")]
    rate: Option<f64>,
    /// Open loop: spread queries at random (Poisson) instead of evenly
    #[arg(long, help_heading = "Load")]
    poisson: bool,
    /// Closed loop: so many queries under way
    #[arg(long, help_heading = "Load", conflicts_with_all = ["steps", "objective"])]
    window: Option<usize>,
    /// Open loop at several rates in turn: 10k,20k,50k or 10k..100k/10k
    #[arg(long, value_parser = steps, help_heading = "Load", conflicts_with = "objective")]
    steps: Option<Steps>,
    /// Search the highest rate that meets an objective, such as 'p99<1ms,loss<0.01%'
    #[arg(long, help_heading = "Load")]
    objective: Option<Conditions>,
    /// Where the search begins
    #[arg(long, value_parser = rate, default_value = "10k", help_heading = "Load")]
    start: f64,
    /// How close the search comes to the highest rate
    #[arg(long, value_parser = share, default_value = "2%", help_heading = "Load")]
    precision: f64,
    /// How long is measured, each run
    #[arg(long, value_parser = duration, default_value = "10s", help_heading = "Load")]
    duration: Duration,
    /// Measuring ends after so many queries
    #[arg(long, help_heading = "Load")]
    queries: Option<u64>,
    /// Load before measuring
    #[arg(long, value_parser = duration, default_value = "1s", help_heading = "Load")]
    warmup: Duration,
    /// When a query is given up; what comes later is counted as late
    #[arg(long, value_parser = duration, default_value = "2s", help_heading = "Load")]
    timeout: Duration,
    /// Allow a server that is not on this machine: this program floods
    #[arg(long, help_heading = "Load")]
    allow_remote: bool,

    /// Questions from a dnsperf query file
    #[arg(long, value_name = "FILE", help_heading = "Questions", conflicts_with_all = ["pcap", "names", "zone"])]
    query_file: Option<PathBuf>,
    /// Questions from a capture (pcap, pcapng)
    #[arg(long, value_name = "FILE", help_heading = "Questions", conflicts_with_all = ["names", "zone"])]
    pcap: Option<PathBuf>,
    /// Destination port of queries in the capture
    #[arg(long, default_value_t = 53, help_heading = "Questions")]
    pcap_port: u16,
    /// Questions made from a list of names, one a line, each optionally with its type
    #[arg(long, value_name = "FILE", help_heading = "Questions", conflicts_with = "zone")]
    names: Option<PathBuf>,
    /// Questions made from the names and types of a zone file
    #[arg(long, value_name = "FILE", help_heading = "Questions")]
    zone: Option<PathBuf>,
    /// What relative names of the zone file end in
    #[arg(long, help_heading = "Questions")]
    origin: Option<String>,
    /// A single question, such as www.contoso.example or www.contoso.example/AAAA (may be given again)
    #[arg(long, value_name = "NAME", help_heading = "Questions", conflicts_with_all = ["query_file", "pcap", "names", "zone"])]
    ask: Vec<String>,
    /// Types to ask of names whose types are not known
    #[arg(long, value_delimiter = ',', default_value = "A", help_heading = "Questions")]
    types: Vec<String>,
    /// Popularity of names: Zipf's exponent, 0 for each alike
    #[arg(long, default_value_t = 0.0, help_heading = "Questions")]
    zipf: f64,
    /// Of the questions that exist: how many ask known names; the rest ask fresh names below them, which no cache has
    #[arg(long, value_parser = share, default_value = "100%", help_heading = "Questions")]
    hit_ratio: f64,
    /// Share of questions for names that do not exist
    #[arg(long, value_parser = share, default_value = "0%", help_heading = "Questions")]
    nxdomain: f64,
    /// Share of questions for types that the name lacks
    #[arg(long, value_parser = share, default_value = "0%", help_heading = "Questions")]
    nodata: f64,
    /// Share of questions for fresh names that do not exist
    #[arg(long, value_parser = share, default_value = "0%", help_heading = "Questions")]
    random_subdomain: f64,
    /// Names of the public share, one a line
    #[arg(long, value_name = "FILE", requires = "public", help_heading = "Questions")]
    public_names: Option<PathBuf>,
    /// Share of questions for public names
    #[arg(long, value_parser = share, default_value = "0%", help_heading = "Questions")]
    public: f64,
    /// Questions and arrivals follow from it
    #[arg(long, default_value_t = 1, help_heading = "Questions")]
    seed: u64,
    /// Send queries without EDNS
    #[arg(long, help_heading = "Questions")]
    no_edns: bool,
    /// Ask for DNSSEC records (DO)
    #[arg(long, help_heading = "Questions", conflicts_with = "no_edns")]
    dnssec: bool,
    /// Send queries with RD clear
    #[arg(long, help_heading = "Questions")]
    no_recursion: bool,

    /// Threads that make load
    #[arg(long, default_value_t = 1, help_heading = "Generator")]
    threads: usize,
    /// Source ports, or connections
    #[arg(long, default_value_t = 16, help_heading = "Generator")]
    ports: usize,
    /// Most queries a system call
    #[arg(long, default_value_t = 32, help_heading = "Generator")]
    batch: usize,
    /// Cores to run on, such as 1,3
    #[arg(long, value_delimiter = ',', help_heading = "Generator")]
    cpus: Vec<usize>,

    /// Process of the server: its CPU time and memory, with its children's, go into the report
    #[arg(long, help_heading = "Servers")]
    pid: Option<u32>,
    /// A second server, loaded in turn with the first
    #[arg(long, value_parser = target, value_name = "TARGET", help_heading = "Servers", conflicts_with_all = ["steps", "objective"])]
    versus: Option<SocketAddr>,
    /// Process of the second server
    #[arg(long, requires = "versus", help_heading = "Servers")]
    versus_pid: Option<u32>,
    /// How often each of two servers is loaded
    #[arg(long, default_value_t = 5, help_heading = "Servers")]
    rounds: usize,

    /// Fail (exit code 1) when any of these is true, such as 'p99>2ms,servfail>0%'
    #[arg(long, help_heading = "Output")]
    fail: Option<Conditions>,
    /// Write the report as JSON
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    json: Option<PathBuf>,
    /// Write the report as one HTML page
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    html: Option<PathBuf>,
    /// No progress, no text
    #[arg(long, short, help_heading = "Output")]
    quiet: bool,
}

/// Runs the subcommand: 0 when all went well, 1 when a condition of --fail holds or no rate meets the objective, 2 when the run could not be made.
pub fn run(args: BenchArgs) -> ExitCode {
    let result = match args.command {
        Some(Command::Mirror(mirror)) => run_mirror(&mirror).map(|()| true),
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

fn run_mirror(args: &MirrorArgs) -> Result<(), String> {
    let mirror = Mirror::start(args.listen, args.threads, &args.cpus).map_err(|error| format!("{}: {error}", args.listen))?;
    println!("mirror on {}, process {}", mirror.address(), std::process::id());
    let Some(duration) = args.duration else { return mirror.wait().map_err(|error| error.to_string()) };
    std::thread::sleep(duration);
    let answered = mirror.stop().map_err(|error| error.to_string())?;
    println!("{answered} queries sent back");
    Ok(())
}

fn run_load(args: &LoadArgs) -> Result<bool, String> {
    let plan = plan(args)?;
    let questions = Arc::new(read_questions(args)?);
    let pids: Vec<u32> = args.pid.into_iter().chain(args.versus_pid).collect();
    let mut report = Report::new(&questions, &pids);
    let screen = Screen { shown: !args.quiet && stderr().is_terminal() };
    let progress = |plan: &Plan| {
        let plan = plan.clone();
        move |moment: &Moment| screen.show(&progress_line(&plan, moment))
    };
    let mut runs = Vec::new();
    let mut outcomes = Vec::new();
    let mut keep = |label: String, outcome: &Outcome| {
        runs.push(Run::new(label, outcome));
        outcomes.push(outcome.clone());
    };
    let rate_label = |rate: f64| format!("{rate:.0} a second");
    let told = |error: load::RunError| error.to_string();
    let mut met = true;
    if let Some(other) = args.versus {
        let second = Plan { target: other, pid: args.versus_pid, ..plan.clone() };
        let each = |round: usize, which: usize, outcome: &Outcome| keep(format!("round {}, server {}", round + 1, which + 1), outcome);
        report.comparison = Some(compare::versus([&plan, &second], &questions, args.rounds, each, progress(&plan)).map_err(told)?);
    } else if let Some(objective) = &args.objective {
        let each = |outcome: &Outcome, step: &search::Step| {
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
        let each = |outcome: &Outcome, step: &search::Step| keep(rate_label(step.rate), outcome);
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

fn write_reports(args: &LoadArgs, report: &Report) -> Result<(), String> {
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

fn plan(args: &LoadArgs) -> Result<Plan, String> {
    let target = args.target.ok_or("which server? give its address")?;
    for address in [Some(target), args.versus].into_iter().flatten() {
        if !address.ip().is_loopback() && !args.allow_remote {
            return Err(format!(
                "{address} is not on this machine, and this program floods\nhelp: if the server is yours to flood, add --allow-remote"
            ));
        }
    }
    let arrivals = if args.poisson { Arrivals::Poisson } else { Arrivals::Even };
    let load = match args.rate {
        Some(rate) => Load::Open { rate, arrivals },
        // Searches and steps put their own rate in and keep the arrivals.
        None if args.objective.is_some() || args.steps.is_some() => Load::Open { rate: args.start, arrivals },
        None => Load::Closed { window: args.window.unwrap_or(100) },
    };
    let transport = match args.over {
        Over::Udp => Transport::Udp,
        Over::Tcp => Transport::Tcp,
    };
    Ok(Plan {
        target,
        transport,
        load,
        duration: args.duration,
        warmup: args.warmup,
        timeout: args.timeout,
        queries: args.queries,
        threads: args.threads,
        ports: args.ports.max(args.threads),
        batch: args.batch,
        cpus: args.cpus.clone(),
        seed: args.seed,
        pid: args.pid,
    })
}

fn read_questions(args: &LoadArgs) -> Result<Questions, String> {
    let form = QueryForm { recursion: !args.no_recursion, edns: !args.no_edns, dnssec: args.dnssec };
    if let Some(path) = &args.query_file {
        return queryfile::read(path, form).map_err(|error| error.to_string());
    }
    if let Some(path) = &args.pcap {
        return pcap::read(path, args.pcap_port).map_err(|error| error.to_string());
    }
    let types: Vec<u16> =
        args.types.iter().map(|text| message::type_to_number(text).map_err(|error| error.to_string())).collect::<Result<_, _>>()?;
    if !args.ask.is_empty() {
        let text: String = args.ask.iter().map(|ask| ask.replacen('/', " ", 1) + if ask.contains('/') { "\n" } else { " A\n" }).collect();
        return queryfile::parse(&text, "--ask", form).map_err(|error| error.to_string());
    }
    let (names, source) = match (&args.names, &args.zone) {
        (Some(path), _) => (generate::read_names(path), format!("names of {}", path.display())),
        (None, Some(path)) => (generate::read_zone(path, args.origin.as_deref()), format!("zone file {}", path.display())),
        (None, None) => return Err("what shall be asked? give --ask, --query-file, --pcap, --names or --zone".to_string()),
    };
    let names = names.map_err(|error| error.to_string())?;
    let public = args.public_names.as_ref().map(|path| generate::read_names(path)).transpose().map_err(|error| error.to_string())?;
    let mix = generate::Mix {
        types,
        zipf: args.zipf,
        hit_ratio: args.hit_ratio,
        nxdomain: args.nxdomain,
        nodata: args.nodata,
        random_subdomain: args.random_subdomain,
        public: args.public,
    };
    generate::mix(&names, public.as_ref(), &mix, form, args.seed, &source).map_err(|error| error.to_string())
}

/// Rates to try in turn.
#[derive(Debug, Clone, PartialEq)]
struct Steps(Vec<f64>);

/// The line that is overwritten while a run goes on.
#[derive(Clone, Copy)]
struct Screen {
    shown: bool,
}

impl Screen {
    fn show(self, text: &str) {
        if self.shown {
            eprint!("\r\x1b[K{text}");
            // A terminal that cannot be written to shows no progress; the run does not need it.
            let _ = stderr().flush();
        }
    }

    fn line(self, text: &str) {
        if self.shown {
            self.show(text);
            eprintln!();
        }
    }

    fn clear(self) {
        self.show("");
    }
}

fn target(text: &str) -> Result<SocketAddr, String> {
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Ok(address);
    }
    if let Ok(address) = text.trim_matches(['[', ']']).parse::<IpAddr>() {
        return Ok((address, 53).into());
    }
    let with_port = if text.contains(':') { text.to_string() } else { format!("{text}:53") };
    let found = with_port.to_socket_addrs().map_err(|error| error.to_string())?.next();
    found.ok_or_else(|| "the name has no address".to_string())
}

fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.find(|letter: char| !(letter.is_ascii_digit() || letter == '.')).unwrap_or(text.len());
    let number: f64 = text[..digits].parse().map_err(|_| "write a time such as 10s, 500ms or 2m".to_string())?;
    let factor = match &text[digits..] {
        "us" => 1e-6,
        "ms" => 1e-3,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        unit => return Err(format!("`{unit}` is not a unit of time; those are us, ms, s, m, h")),
    };
    Duration::try_from_secs_f64(number * factor).map_err(|error| error.to_string())
}

fn rate(text: &str) -> Result<f64, String> {
    let (digits, factor) = match text.as_bytes().last() {
        Some(b'k' | b'K') => (&text[..text.len() - 1], 1e3),
        Some(b'M') => (&text[..text.len() - 1], 1e6),
        _ => (text, 1.0),
    };
    match digits.parse::<f64>() {
        Ok(number) if number.is_finite() && number > 0.0 => Ok(number * factor),
        _ => Err("write a rate such as 20000, 50k or 1.5M".to_string()),
    }
}

fn share(text: &str) -> Result<f64, String> {
    let (digits, factor) = text.strip_suffix('%').map_or((text, 1.0), |digits| (digits, 0.01));
    match digits.parse::<f64>() {
        Ok(number) if (0.0..=1.0).contains(&(number * factor)) => Ok(number * factor),
        _ => Err("write a share such as 10% or 0.1".to_string()),
    }
}

/// `10k,20k` or `10k..100k/10k`; at most a hundred rates, each takes a run.
fn steps(text: &str) -> Result<Steps, String> {
    let rates = match text.split_once("..") {
        Some((from, rest)) => {
            let (to, step) = rest.split_once('/').ok_or("write steps such as 10k..100k/10k")?;
            let (from, to, step) = (rate(from)?, rate(to)?, rate(step)?);
            (0..=100).map(|count| from + f64::from(count) * step).take_while(|rate| *rate <= to * 1.000_001).collect()
        }
        None => text.split(',').map(rate).collect::<Result<Vec<f64>, _>>()?,
    };
    if rates.is_empty() || rates.len() > 100 { Err("write 1 to 100 rates".to_string()) } else { Ok(Steps(rates)) }
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
        ] {
            assert!(read(line).is_ok(), "{line}: {}", read(line).unwrap_err());
        }
        for line in ["bench", "bench 127.0.0.1 --rate 1k --window 5", "bench 127.0.0.1 --fail p99>2", "bench 127.0.0.1 --rate fast"] {
            assert!(read(line).is_err(), "{line}");
        }
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

    #[test]
    fn words_of_the_command_line_are_read() {
        assert_eq!(target("127.0.0.1").unwrap(), "127.0.0.1:53".parse().unwrap());
        assert_eq!(target("::1").unwrap(), "[::1]:53".parse().unwrap());
        assert_eq!(target("[::1]:5353").unwrap(), "[::1]:5353".parse().unwrap());
        assert_eq!(duration("500ms").unwrap(), Duration::from_millis(500));
        assert_eq!(duration("2m").unwrap(), Duration::from_secs(120));
        assert!(duration("10 parsecs").is_err());
        assert_eq!(rate("1.5k").unwrap(), 1500.0);
        assert!(rate("-1").is_err());
        assert!((share("12.5%").unwrap() - 0.125).abs() < 1e-12);
        assert!(share("120%").is_err());
        assert_eq!(steps("10k..30k/10k").unwrap().0, [10_000.0, 20_000.0, 30_000.0]);
        assert_eq!(steps("1k,5k").unwrap().0, [1000.0, 5000.0]);
        assert!(steps("10k..30k").is_err());
    }
}
