//! `postern config`: the configuration as a running server applies it.

use std::process::ExitCode;

use clap::Args;
use serde_json::Value;

use crate::client::{ApiClient, ClientArgs, OutputForm, told};
use crate::print::{json, table, text};

/// Show the configuration that a running server applies, and the source of each value.
///
/// Settings that need a restart show the value in use. Secrets are hidden.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  postern config\n  postern config cache --set")]
pub struct ConfigArgs {
    /// Show only this section, for example `server`, `zone` or `api`.
    section: Option<String>,
    /// Show only values from the file, not the defaults.
    #[arg(long)]
    set: bool,
    #[command(flatten)]
    server: ClientArgs,
}

/// Runs the subcommand.
pub fn run(args: ConfigArgs) -> ExitCode {
    told(show(&args))
}

fn show(args: &ConfigArgs) -> Result<(), String> {
    let mut configuration = ApiClient::new(&args.server)?.get("/v1/configuration")?;
    let is_meant = |setting: &Value| {
        args.section.as_ref().is_none_or(|section| setting["section"] == **section) && !(args.set && setting["line"].is_null())
    };
    if let Some(settings) = configuration["settings"].as_array_mut() {
        if let Some(section) = args.section.as_ref().filter(|section| !settings.iter().any(|setting| setting["section"] == ***section)) {
            return Err(format!("error: the configuration has no section `{section}`"));
        }
        settings.retain(is_meant);
    }
    match args.server.output {
        OutputForm::Json => json(&configuration),
        OutputForm::Table => table(&rows(&configuration)),
    }
}

fn rows(configuration: &Value) -> Vec<Vec<String>> {
    let file = configuration["file"].as_str().unwrap_or_default();
    let mut rows = vec![["KEY", "FROM", "VALUE"].map(String::from).to_vec()];
    for setting in configuration["settings"].as_array().into_iter().flatten() {
        let table = setting["table"].as_str().map_or(String::new(), |table| format!("[{table}]"));
        let from = setting["line"].as_u64().map_or_else(|| "default".into(), |line| format!("{file}:{line}"));
        let value = match (setting["value"].as_str(), setting["absent"].as_str()) {
            (Some(value), _) => value.to_owned(),
            (None, Some(absent)) => format!("({absent})"),
            (None, None) => "-".into(),
        };
        rows.push(vec![format!("{}{table}.{}", text(&setting["section"]), text(&setting["key"])), from, value]);
    }
    rows
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_value_stands_beside_the_line_that_says_so() {
        let setting = |section: &str, table: Option<&str>, key: &str, value: Option<&str>, absent: Option<&str>, line: Option<u32>| json!({"section": section, "table": table, "key": key, "value": value, "absent": absent, "line": line});
        let configuration = json!({"file": "postern.toml", "settings": [
            setting("server", None, "workers", Some("2"), None, None),
            setting("zone", Some("contoso.test"), "api", Some("true"), None, Some(7)),
            setting("api", None, "listen", None, Some("the socket alone"), None),
        ]});
        let want = [
            ["KEY", "FROM", "VALUE"],
            ["server.workers", "default", "2"],
            ["zone[contoso.test].api", "postern.toml:7", "true"],
            ["api.listen", "default", "(the socket alone)"],
        ];
        assert_eq!(rows(&configuration), want.map(|row| row.map(String::from).to_vec()));
    }
}
