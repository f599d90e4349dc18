//! The HTTP API of the real program: `/v1`, keys and scopes, TLS, the socket, and the commands that use it.

mod commands;
#[path = "../harness/mod.rs"]
mod harness;
mod import;
mod keys;
mod listener;
mod mistakes;
mod records;
mod zones;

use harness::{Server, run};
use serde_json::{Value, json};

const CONFIG: &str = "[server]\nlisten = ['127.0.0.1:0']\n[[network]]\nname = 'hub'\nclients = ['127.0.0.0/8']\n\
                      [[zone]]\nname = 'contoso.test'\napi = true\non-missing = 'nxdomain'\n\
                      [[zone]]\nname = 'filed.test'\nfile = 'filed.zone'\n";
const FILED: (&str, &str) = ("filed.zone", "www 10 IN A 10.9.9.9\n");

/// A server with a zone that the API writes and one that a file does.
fn server(api: &str) -> Server {
    Server::with(&[("postern.toml", &format!("{CONFIG}[api]\n{api}")), FILED])
}

/// Keys of every scope: their secrets and the file.
fn keys() -> ([String; 4], String) {
    let scopes = ["read", "records=contoso.test", "records=other.test", "admin"];
    let mut file = String::from("# keys\n");
    let secrets = scopes.map(|scope| {
        let name = format!("key-{}", scope.replace('=', "-"));
        let output = run(&["key", &name, "--scope", scope]);
        assert!(output.status.success(), "{output:?}");
        let printed = String::from_utf8(output.stdout).unwrap();
        let (secret, line) = printed.trim_end().split_once('\n').unwrap();
        file += &format!("{line}\n");
        secret.to_owned()
    });
    (secrets, file)
}

fn rrset(records: &[&str]) -> Value {
    json!({"ttl": 60, "records": records})
}
