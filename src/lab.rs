//! `postern lab`: the simulated public DNS, Azure, and health services, each as a separate process.

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use ipnet::IpNet;
use postern_lab::azure::{AzureLab, AzureScenario};
use postern_lab::{HealthService, HealthServiceSettings, LabScenario, LabServer};
use tokio::signal::unix::{SignalKind, signal};

/// Serve a simulated public Azure DNS with seeded faults, on UDP and TCP.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, after_help = "Examples:\n  postern lab\n  postern lab azure")]
pub struct LabArgs {
    #[command(subcommand)]
    other: Option<OtherLab>,
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

/// Simulations other than the public DNS.
#[derive(Debug, Subcommand)]
enum OtherLab {
    Azure(AzureLabArgs),
    Service(ServiceLabArgs),
}

/// Serve a simulated Azure over HTTP: tokens, Resource Graph with private endpoints, and faults.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  postern lab azure\n  postern lab azure --print > estate.toml\n  postern lab azure --scenario estate.toml"
)]
struct AzureLabArgs {
    /// Scenario file. Default: the built-in scenario.
    #[arg(long, value_name = "FILE")]
    scenario: Option<PathBuf>,
    /// Address to listen on, over TCP. Port 0 means any free port.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8054")]
    listen: SocketAddr,
    /// Random seed, instead of the scenario's.
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
    /// Print the built-in scenario, which explains the format, and exit.
    #[arg(long, conflicts_with_all = ["scenario", "seed"])]
    print: bool,
}

/// Serve a simulated FHIR and DICOM service over HTTPS, which refuses public clients with 403.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  postern lab service --certificate service.crt --private-key service.pem")]
struct ServiceLabArgs {
    /// Address to listen on, over TCP. Port 0 means any free port.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8443")]
    listen: SocketAddr,
    /// PEM file with the certificate chain.
    #[arg(long, value_name = "FILE")]
    certificate: PathBuf,
    /// PEM file with the private key.
    #[arg(long, value_name = "FILE")]
    private_key: PathBuf,
    /// Clients that come through the private endpoint. All others are public.
    #[arg(long, value_name = "PREFIX", default_values = ["127.0.0.0/8", "::1/128"])]
    private_clients: Vec<IpNet>,
    /// Seconds by which the clock of the service is ahead.
    #[arg(long, value_name = "SECONDS", default_value_t = 0, allow_negative_numbers = true)]
    clock_ahead: i64,
}

/// Runs until SIGINT or SIGTERM, then prints the counters.
pub fn run(args: LabArgs) -> ExitCode {
    let printed = match &args.other {
        Some(OtherLab::Azure(azure)) => azure.print.then_some(AzureScenario::CONTOSO),
        Some(OtherLab::Service(_)) => None,
        None => args.print.then_some(LabScenario::AZURE),
    };
    if let Some(scenario) = printed {
        say(scenario);
        return ExitCode::SUCCESS;
    }
    let served = match args.other {
        Some(OtherLab::Azure(azure)) => serve_azure(azure),
        Some(OtherLab::Service(service)) => serve_service(service),
        None => serve(args),
    };
    match served {
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
    let listen = args.listen;
    until_signal(|| {
        let lab = LabServer::start(scenario, listen).map_err(|error| failed(&format!("cannot listen on {listen}"), error))?;
        say(&format!("listening on {} udp and tcp, seed {seed}\n", lab.address()));
        Ok(move || lab.stop().to_string())
    })
}

fn serve_azure(args: AzureLabArgs) -> Result<(), String> {
    let mut scenario = match &args.scenario {
        Some(path) => AzureScenario::load(path).map_err(|error| error.to_string())?,
        None => AzureScenario::contoso(),
    };
    scenario.seed = args.seed.unwrap_or(scenario.seed);
    let (seed, listen) = (scenario.seed, args.listen);
    until_signal(|| {
        let lab = AzureLab::start(scenario, listen).map_err(|error| failed(&format!("cannot listen on {listen}"), error))?;
        say(&format!("listening on http://{}, seed {seed}\n", lab.address()));
        Ok(move || lab.stop().to_string())
    })
}

fn serve_service(args: ServiceLabArgs) -> Result<(), String> {
    let ServiceLabArgs { listen, certificate, private_key, private_clients, clock_ahead } = args;
    let settings = HealthServiceSettings { certificate, private_key, private_clients, clock_ahead };
    until_signal(|| {
        let service = HealthService::start(settings, listen).map_err(|error| failed("cannot start the service", error))?;
        say(&format!("listening on https://{}\n", service.address()));
        Ok(move || format!("requests: {}\n", service.requests()))
    })
}

/// Starts a lab, stops it on SIGINT or SIGTERM, and prints its counters. The signals are caught before
/// the address is printed, because a reader of the address may stop the process at once.
fn until_signal<S: FnOnce() -> String>(start: impl FnOnce() -> Result<S, String>) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| failed("no runtime", error))?;
    let _inside = runtime.enter();
    let catch = |kind| signal(kind).map_err(|error| failed("signals cannot be caught", error));
    let (mut interrupt, mut terminate) = (catch(SignalKind::interrupt())?, catch(SignalKind::terminate())?);
    let stop = start()?;
    runtime.block_on(async {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    });
    say(&stop());
    Ok(())
}

fn failed(what: &str, error: std::io::Error) -> String {
    format!("error: {what}: {error}")
}

/// Prints a text. A reader that closes the pipe early, such as `head`, is not a failure.
fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
