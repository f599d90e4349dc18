//! `postern reload`: the configuration and every source read again.

use std::process::ExitCode;

use clap::Args;
use hyper::Method;

use crate::client::{Client, ClientArgs, Output, told};
use crate::print::{json, text, write};

/// Have a running server read its configuration and every source again.
///
/// It watches them anyway; this says at once what came of it. A configuration that has errors changes nothing.
#[derive(Debug, Args)]
pub struct ReloadArgs {
    #[command(flatten)]
    server: ClientArgs,
}

/// Asks for it and prints what came of it.
pub fn run(args: ReloadArgs) -> ExitCode {
    told(reload(&args))
}

fn reload(args: &ReloadArgs) -> Result<(), String> {
    let reloaded = Client::new(&args.server)?.change(Method::POST, "/v1/reload", None)?;
    if args.server.output == Output::Json {
        return json(&reloaded);
    }
    for ailment in reloaded["ailments"].as_array().into_iter().flatten() {
        eprintln!("warning: {}", text(ailment));
    }
    write(format!("reloaded, generation {}\n", text(&reloaded["generation"])).as_bytes())
}
