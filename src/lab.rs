//! `postern lab`: the simulated public DNS as a separate process.

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use postern_lab::{LabScenario, LabServer};
use tokio::signal::unix::{SignalKind, signal};

/// Serve a simulated public Azure DNS with seeded faults, on UDP and TCP.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  postern lab")]
pub struct LabArgs {
    /// Scenario file. Default: the built-in scenario.
    #[arg(long, value_name = "FILE")]
    scenario: Option<PathBuf>,
    /// Address to listen on, over UDP and TCP. Port 0 means any free port.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:5353")]
    listen: SocketAddr,
    /// Random seed, instead of the scenario's.
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
    /// Print the built-in scenario, which explains the format, and exit.
    #[arg(long, conflicts_with_all = ["scenario", "seed"])]
    print: bool,
}

/// Runs until SIGINT or SIGTERM, then prints the counters.
pub fn run(args: LabArgs) -> ExitCode {
    if args.print {
        say(LabScenario::AZURE);
        return ExitCode::SUCCESS;
    }
    match serve(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

fn serve(args: LabArgs) -> Result<(), String> {
    let mut scenario = match &args.scenario {
        Some(path) => LabScenario::load(path).map_err(|error| error.to_string())?,
        None => LabScenario::azure(),
    };
    scenario.seed = args.seed.unwrap_or(scenario.seed);
    let seed = scenario.seed;
    let failed = |what: &str, error: std::io::Error| format!("error: {what}: {error}");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| failed("no runtime", error))?;
    let _inside = runtime.enter();
    // The signals are caught before the address is printed, because a reader of the address may
    // stop the process at once.
    let catch = |kind| signal(kind).map_err(|error| failed("signals cannot be caught", error));
    let (mut interrupt, mut terminate) = (catch(SignalKind::interrupt())?, catch(SignalKind::terminate())?);
    let lab = LabServer::start(scenario, args.listen).map_err(|error| failed(&format!("cannot listen on {}", args.listen), error))?;
    say(&format!("listening on {} udp and tcp, seed {seed}\n", lab.address()));
    runtime.block_on(async {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    });
    say(&lab.stop().to_string());
    Ok(())
}

/// Prints a text. A reader that closes the pipe early, such as `head`, is not a failure.
fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
