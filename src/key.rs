//! `postern key`: a key for the API.

use std::process::ExitCode;

use clap::Args;
use postern_control::http::NewKey;

/// Generate a key for the API.
///
/// Add the line to the file of `api.key-file`, which the server reads again when it changes. The
/// key itself is shown only once and stored nowhere. Clients send it as `Authorization: Bearer …`
/// or `X-API-Key: …`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  postern key automation --scope records=corp.contoso.com")]
pub struct KeyArgs {
    /// Name of the key in the audit log.
    name: String,
    /// How far it reaches: read, admin, or records=ZONE,… with `ZONE@network` for one of several of
    /// a name, `*` for all and `*@network` for all of a network.
    #[arg(long, default_value = "read")]
    scope: String,
}

/// Prints a key and its line for the key file.
pub fn run(args: KeyArgs) -> ExitCode {
    match NewKey::make(&args.name, &args.scope) {
        Ok(key) => {
            eprintln!("# The key, shown this once; below it the line for `api.key-file`.");
            println!("{}\n{}", key.secret, key.line);
            ExitCode::SUCCESS
        }
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}
