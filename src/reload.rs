//! `postern reload`: reading the configuration and all sources again.

use std::process::ExitCode;

use clap::Args;
use hyper::Method;

use crate::client::{ApiClient, ClientArgs, OutputForm, part, told};
use crate::print::{json, text, write};

/// Reload the configuration and all sources of a running server.
///
/// The server watches them anyway, but this command prints the result at once. A configuration with
/// errors changes nothing. A file that loses all or most of a zone's records, or a configuration
/// that drops most zones, is rejected until it is accepted by name.
#[derive(Debug, Args)]
#[command(after_help = "\
    Examples:\n\
    \x20 postern reload\n\
    \x20 postern reload --accept corp.contoso.com\n\
    \x20 postern reload --accept configuration")]
pub struct ReloadArgs {
    /// Accept what the files of ZONE hold now, whatever records are lost: `ZONE` or `ZONE@NETWORK`.
    /// `configuration` accepts a configuration that drops most zones. May be given several times.
    #[arg(long, value_name = "ZONE")]
    accept: Vec<String>,
    #[command(flatten)]
    server: ClientArgs,
}

/// Requests a reload and prints its result.
pub fn run(args: ReloadArgs) -> ExitCode {
    told(reload(&args))
}

fn reload(args: &ReloadArgs) -> Result<(), String> {
    let accepted = part(&args.accept.join(","));
    let path = if accepted.is_empty() { "/v1/reload".into() } else { format!("/v1/reload?accept={accepted}") };
    let reloaded = ApiClient::new(&args.server)?.change(Method::POST, &path, None)?;
    if args.server.output == OutputForm::Json {
        return json(&reloaded);
    }
    for ailment in reloaded["ailments"].as_array().into_iter().flatten() {
        eprintln!("warning: {}", text(ailment));
    }
    write(format!("reloaded, generation {}\n", text(&reloaded["generation"])).as_bytes())
}
