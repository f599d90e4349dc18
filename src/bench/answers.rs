//! `postern bench answers`: comparison of a server's answers with those of another server or of a
//! file.

use std::fs::File;
use std::io::{BufReader, BufWriter, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgGroup, Args};
use postern_bench::answers::{self, AnswerField, AnswerOracle, AnswerTolerance, ComparisonPlan, ComparisonResult, DifferenceGroup};

use super::questions::{QuestionArgs, read_questions};
use super::screen::ProgressLine;
use super::words::{duration, target};
use super::{Over, refuse_strangers};

/// Compare answers field by field: RCODE, flags, each section as a set, TTLs
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  postern bench answers 127.0.0.1 --against 192.0.2.53 --ask www.contoso.example")]
#[command(group = ArgGroup::new("oracle").args(["against", "expect", "save"]).required(true))]
pub struct AnswersArgs {
    /// Server to test: address or address:port (default port: 53)
    #[arg(value_parser = target)]
    target: SocketAddr,
    /// Reference server, queried at the same time
    #[arg(long, value_parser = target, value_name = "TARGET")]
    against: Option<SocketAddr>,
    /// File with the expected answers, one JSON object per line, as --save writes it. Fields that a
    /// line omits may have any value
    #[arg(long, value_name = "FILE")]
    expect: Option<PathBuf>,
    /// Write the answers to a file, for --expect
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
    /// Number of questions. Default: all
    #[arg(long)]
    count: Option<u64>,
    /// Transport of the queries
    #[arg(long, value_enum, default_value_t = Over::Udp)]
    over: Over,
    /// Number of threads, each with one pending query
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=256))]
    threads: u16,
    /// Timeout of each of three attempts
    #[arg(long, value_parser = duration, default_value = "2s")]
    timeout: Duration,
    /// Fields that may differ, such as ra,additional
    #[arg(long, value_delimiter = ',')]
    ignore: Vec<AnswerField>,
    /// Allowed difference of TTLs in seconds, for caches that were filled at different times
    #[arg(long, default_value_t = 0)]
    ttl_slack: u32,
    /// Allow servers that are not on this machine
    #[arg(long)]
    allow_remote: bool,
    #[command(flatten)]
    questions: QuestionArgs,
    /// Write the differences as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Print neither progress nor results
    #[arg(long, short)]
    quiet: bool,
}

/// Runs the comparison. Returns true if there are no differences.
pub fn run(args: &AnswersArgs) -> Result<bool, String> {
    refuse_strangers([Some(args.target), args.against].into_iter().flatten(), args.allow_remote)?;
    let questions = read_questions(&args.questions)?;
    if questions.is_empty() {
        return Err("there are no questions to ask".into());
    }
    let inquiry = ComparisonPlan {
        target: args.target,
        transport: args.over.into(),
        count: args.count.unwrap_or(questions.len() as u64),
        threads: usize::from(args.threads),
        timeout: args.timeout.max(Duration::from_millis(1)),
        seed: args.questions.seed,
        tolerance: AnswerTolerance { ignored: args.ignore.iter().copied().collect(), ttl: args.ttl_slack },
    };
    let screen = ProgressLine::new(args.quiet);
    let progress = |done: u64| screen.show(&format!("{done} of {} asked", inquiry.count));
    let named = |path: &PathBuf, error: String| format!("{}: {error}", path.display());
    if let Some(path) = &args.save {
        let mut out = BufWriter::new(File::create(path).map_err(|error| named(path, error.to_string()))?);
        let lines = answers::write_down(&inquiry, &questions, &mut out, progress).map_err(|error| error.to_string())?;
        out.flush().map_err(|error| named(path, error.to_string()))?;
        screen.clear();
        if !args.quiet {
            println!("{lines} answers of {} written to {}", args.target, path.display());
        }
        return Ok(true);
    }
    let oracle = match (&args.against, &args.expect) {
        (Some(address), _) => AnswerOracle::Server(*address),
        (None, Some(path)) => {
            let file = File::open(path).map_err(|error| named(path, error.to_string()))?;
            AnswerOracle::Written(answers::read_down(BufReader::new(file)).map_err(|error| format!("{}:{error}", path.display()))?)
        }
        (None, None) => return Err("compare with what? give --against or --expect".into()),
    };
    let verdict = answers::compare(&inquiry, &questions, &oracle, progress).map_err(|error| error.to_string())?;
    screen.clear();
    if !args.quiet {
        print!("{}", text(&verdict));
    }
    if let Some(path) = &args.json {
        let json = verdict.to_json().map_err(|error| error.to_string())?;
        std::fs::write(path, json).map_err(|error| named(path, error.to_string()))?;
    }
    if verdict.unknown == verdict.asked {
        return Err("the file knows none of the questions".into());
    }
    Ok(verdict.groups.is_empty())
}

fn text(verdict: &ComparisonResult) -> String {
    let mut out = format!("{} questions, {} answers equal", verdict.asked, verdict.equal);
    if verdict.unknown > 0 {
        out += &format!(", {} questions that the file does not know", verdict.unknown);
    }
    out.push('\n');
    for DifferenceGroup { field, ours, theirs, count, examples } in &verdict.groups {
        out += &format!("\n{count} × {field}: {ours} against {theirs}\n");
        for example in examples {
            out += &format!("    {}\n        {}\n        {}\n", example.question, example.ours, example.theirs);
        }
    }
    out
}
