//! `postern bench mirror` and `postern bench upstream`: servers to measure against and to forward
//! to.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use clap::Args;
use postern_bench::responder::EmptyResponder;
use postern_bench::upstream::UpstreamRules;

use super::words::duration;

/// How a responder runs.
#[derive(Debug, Args)]
pub struct ResponderArgs {
    /// Address and port to listen on
    #[arg(long, default_value = "127.0.0.1:5300")]
    listen: SocketAddr,
    /// Number of threads, each with its own socket
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Cores to run on, such as 0,2
    #[arg(long, value_delimiter = ',')]
    cpus: Vec<usize>,
    /// Stop after this long
    #[arg(long, value_parser = duration)]
    duration: Option<Duration>,
}

/// An upstream with its rules.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  postern bench upstream --alias www.contoso.example=edge.fabrikam.example")]
pub struct UpstreamArgs {
    #[command(flatten)]
    responder: ResponderArgs,
    /// Make names below one suffix aliases of the same labels below another suffix, such as
    /// www.contoso.example=edge.fabrikam.example (repeatable)
    #[arg(long, value_name = "FROM=TO")]
    alias: Vec<String>,
    /// TTL of every record in seconds
    #[arg(long, default_value_t = 3600)]
    ttl: u32,
}

/// Sends queries back until the process is stopped.
pub fn run_mirror(args: &ResponderArgs) -> Result<(), String> {
    run("mirror", args, EmptyResponder::mirror(args.listen, args.threads, &args.cpus))
}

/// Answers queries until the process is stopped.
pub fn run_upstream(args: &UpstreamArgs) -> Result<(), String> {
    let mut rules = UpstreamRules::new(args.ttl);
    for alias in &args.alias {
        let (from, to) = alias.split_once('=').ok_or_else(|| format!("`{alias}`: write an alias as FROM=TO"))?;
        rules.alias(from, to).map_err(|error| error.to_string())?;
    }
    let responder = &args.responder;
    let serve = move |socket: &_, stop: &_| rules.serve(socket, stop);
    run("upstream", responder, EmptyResponder::start(responder.listen, responder.threads, &responder.cpus, serve))
}

fn run(what: &str, args: &ResponderArgs, started: io::Result<EmptyResponder>) -> Result<(), String> {
    let responder = started.map_err(|error| format!("{}: {error}", args.listen))?;
    println!("{what} on {}, process {}", responder.address(), std::process::id());
    let Some(duration) = args.duration else { return responder.wait().map_err(|error| error.to_string()) };
    std::thread::sleep(duration);
    let answered = responder.stop().map_err(|error| error.to_string())?;
    println!("{answered} queries answered");
    Ok(())
}
