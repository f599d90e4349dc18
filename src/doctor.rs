//! `postern doctor`: what a client of a network would experience, step by step, with the way to mend
//! what fails.

mod finding;
mod machine;
mod name;
mod resolve;
mod service;
mod system;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use serde_json::Value;
use tokio_rustls::rustls::RootCertStore;

use crate::client::{ApiClient, ClientArgs, authorities};
use crate::print::text;
use finding::DoctorReport;
use system::{SystemFiles, server_address};

/// Exit code if the examination itself was not possible, as monitoring plugins use it.
const UNKNOWN: u8 = 3;

/// Examine a name, or this machine: what fails, and how to mend it.
///
/// With a name, it follows a client of the network: the answer here, at the system's resolvers and
/// at the upstreams; the address; the connection to it; its certificate; the reply of the service.
/// Without a name, it examines the machine: its resolvers, forward rules, upstreams, other servers,
/// and certificates.
///
/// Exits with 0 if nothing is to mend, 1 for warnings, 2 if something fails, and 3 if the server
/// cannot be examined.
#[derive(Debug, Args)]
#[command(after_help = "\
    Examples:\n\
    \x20 postern doctor contosows-fhir1.fhir.azurehealthcareapis.com\n\
    \x20 postern doctor contosows-fhir1.fhir.azurehealthcareapis.com --network hub\n\
    \x20 postern doctor --peer 10.20.0.11 --on-premises 192.168.1.53 -o json")]
pub struct DoctorArgs {
    /// Name to examine. Without it, this machine is examined.
    name: Option<String>,
    /// Client address, which selects the network. Default: this machine.
    #[arg(long, value_name = "ADDRESS", conflicts_with = "network")]
    client: Option<IpAddr>,
    /// Network of the client.
    #[arg(long, value_name = "NAME")]
    network: Option<String>,
    /// Address where clients send DNS queries to the server. Default: the first one in its
    /// configuration.
    #[arg(long, value_name = "ADDRESS[:PORT]", value_parser = server)]
    server: Option<SocketAddr>,
    /// Resolver to compare with. Default: those of this machine.
    #[arg(long, value_name = "ADDRESS[:PORT]", value_parser = server)]
    resolver: Vec<SocketAddr>,
    /// Another server that must have the same zones.
    #[arg(long, value_name = "ADDRESS[:PORT]", value_parser = server, conflicts_with = "name")]
    peer: Vec<SocketAddr>,
    /// On-premises DNS server that must forward the public zones to this server.
    #[arg(long, value_name = "ADDRESS[:PORT]", value_parser = server, conflicts_with = "name")]
    on_premises: Vec<SocketAddr>,
    /// Connect to this address instead of the answer, for example through a tunnel.
    #[arg(long, value_name = "ADDRESS:PORT", requires = "name")]
    connect_to: Option<SocketAddr>,
    /// Only examine DNS; do not connect to the service.
    #[arg(long, requires = "name", conflicts_with = "connect_to")]
    dns_only: bool,
    /// PEM file with the certificate authorities to trust for the service. Default: those of the
    /// system.
    #[arg(long, value_name = "FILE", requires = "name")]
    service_ca: Option<PathBuf>,
    /// Read /etc and /run below this directory, for example that of a container.
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,
    /// Timeout of each question and connection, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..=60))]
    timeout: u64,
    #[command(flatten)]
    connection: ClientArgs,
}

fn server(text: &str) -> Result<SocketAddr, String> {
    server_address(text).ok_or_else(|| format!("`{text}` is not an address, with or without a port"))
}

/// Server, machine, and client of an examination.
struct DoctorVisit<'a> {
    args: &'a DoctorArgs,
    api: ApiClient,
    files: SystemFiles,
    patience: Duration,
    /// Where clients send DNS queries. `None` if neither the options nor the configuration say so.
    listen: Option<SocketAddr>,
    /// The configuration that the server applies, as `/v1/configuration` returns it.
    configuration: Value,
    client: IpAddr,
    network: String,
    /// False if another client was named, whose resolvers are not those of this machine.
    is_this_machine: bool,
}

/// Examines, prints the report, and returns its exit code.
pub fn run(args: DoctorArgs) -> ExitCode {
    let examined = examine(&args).and_then(|report| report.print(args.connection.output).map(|()| report.exit_code()));
    examined.unwrap_or_else(|message| {
        eprintln!("{message}");
        ExitCode::from(UNKNOWN)
    })
}

fn examine(args: &DoctorArgs) -> Result<DoctorReport, String> {
    let visit = DoctorVisit::new(args)?;
    let mut report = DoctorReport::default();
    match &args.name {
        Some(name) => {
            let name = name.trim_end_matches('.').to_ascii_lowercase();
            report.title = format!("{name} for {} (network {})", visit.client, visit.network);
            let roots = if args.dns_only { RootCertStore::empty() } else { authorities(args.service_ca.as_deref())? };
            name::examine(&visit, &name, Arc::new(roots), &mut report)?;
        }
        None => {
            report.title = format!("this machine, {} (network {})", visit.client, visit.network);
            machine::examine(&visit, &mut report)?;
        }
    }
    Ok(report)
}

impl<'a> DoctorVisit<'a> {
    fn new(args: &'a DoctorArgs) -> Result<Self, String> {
        let api = ApiClient::new(&args.connection)?;
        let configuration = api.get("/v1/configuration")?;
        let patience = Duration::from_secs(args.timeout);
        let listen = args.server.or_else(|| listen_address(&configuration));
        let networks = api.get("/v1/networks")?;
        let (client, network) = client(args, &networks, listen)?;
        let is_this_machine = (args.client.is_none() && args.network.is_none()) || !args.resolver.is_empty();
        Ok(Self { args, api, files: SystemFiles::below(&args.root), patience, listen, configuration, client, network, is_this_machine })
    }

    /// Returns the value of a configuration key as text, without quotes.
    fn setting(&self, section: &str, key: &str) -> Option<String> {
        setting(&self.configuration, section, key)
    }

    /// Returns the explanation of an answer. With `ask`, upstreams are queried if need be.
    fn explain(&self, name: &str, rtype: &str, ask: bool) -> Result<Value, String> {
        let name = crate::client::part(name);
        self.api.get(&format!("/v1/explain?name={name}&type={rtype}&client={}&ask={ask}", crate::client::part(&self.client.to_string())))
    }

    /// Returns the resolvers to compare with, with a name for the report.
    fn resolvers(&self, report: &mut DoctorReport) -> Vec<(SocketAddr, String)> {
        if !self.args.resolver.is_empty() {
            return self.args.resolver.iter().map(|address| (*address, "--resolver".into())).collect();
        }
        match self.files.resolvers() {
            Ok(found) if found.is_empty() => {
                report.warn("resolvers", "this machine names no resolver", "write `nameserver` lines into /etc/resolv.conf");
                Vec::new()
            }
            Ok(found) => found.into_iter().map(|resolver| (resolver.address, resolver.file.display().to_string())).collect(),
            Err(why) => {
                report.warn("resolvers", format!("the resolvers of this machine cannot be read: {why}"), "name one with --resolver");
                Vec::new()
            }
        }
    }
}

fn setting(configuration: &Value, section: &str, key: &str) -> Option<String> {
    let settings = configuration["settings"].as_array()?;
    let found = settings.iter().find(|setting| setting["section"] == section && setting["key"] == key)?;
    Some(found["value"].as_str()?.trim_matches(['"', '\'']).to_owned())
}

/// Returns the first address of `server.listen`, with loopback in place of all addresses.
fn listen_address(configuration: &Value) -> Option<SocketAddr> {
    let listen = setting(configuration, "server", "listen")?;
    let first = listen.split(['"', '\'']).find_map(|part| part.parse::<SocketAddr>().ok())?;
    let ip = match first.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    (first.port() != 0).then(|| SocketAddr::new(ip, first.port()))
}

/// Returns the client address to examine for, and its network.
fn client(args: &DoctorArgs, networks: &Value, listen: Option<SocketAddr>) -> Result<(IpAddr, String), String> {
    let all = networks.as_array().map(Vec::as_slice).unwrap_or_default();
    if let Some(name) = &args.network {
        let names = || all.iter().map(|network| text(&network["name"])).collect::<Vec<_>>().join(", ");
        let network = all.iter().find(|network| network["name"] == name.as_str());
        let network = network.ok_or_else(|| format!("error: there is no network `{name}`. help: the networks are {}", names()))?;
        let prefix = network["clients"][0].as_str().and_then(|prefix| prefix.split('/').next()?.parse().ok());
        let client = prefix.ok_or_else(|| format!("error: network `{name}` has no client prefix. help: use --client"))?;
        return Ok((client, name.clone()));
    }
    let client = args.client.unwrap_or_else(|| listen.and_then(own_address).unwrap_or(Ipv4Addr::LOCALHOST.into()));
    Ok((client, network_of(all, client)))
}

/// Returns the network with the longest prefix that contains the client.
fn network_of(networks: &[Value], client: IpAddr) -> String {
    let length = |prefix: &Value| {
        let (address, length) = prefix.as_str()?.split_once('/')?;
        let (address, length): (IpAddr, u32) = (address.parse().ok()?, length.parse().ok()?);
        is_within(client, address, length).then_some(length)
    };
    let longest = |network: &Value| network["clients"].as_array().into_iter().flatten().filter_map(length).max();
    let found = networks.iter().filter_map(|network| Some((longest(network)?, text(&network["name"])))).max();
    found.map_or_else(|| "default".into(), |(_, name)| name)
}

fn is_within(client: IpAddr, prefix: IpAddr, length: u32) -> bool {
    let bits = |address: IpAddr| match address {
        IpAddr::V4(address) => (u128::from(address.to_bits()) << 96, 32),
        IpAddr::V6(address) => (address.to_bits(), 128),
    };
    let ((client, width), (prefix, other)) = (bits(client), bits(prefix));
    width == other && length <= width && (length == 0 || (client ^ prefix) >> (128 - length) == 0)
}

/// Returns the address from which this machine sends to `server`.
fn own_address(server: SocketAddr) -> Option<IpAddr> {
    let any: IpAddr = if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect(server).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

/// Formats addresses as a list, or says that there is none.
fn listed(addresses: &[IpAddr]) -> String {
    match addresses {
        [] => "no address".into(),
        addresses => addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_network_of_a_client_is_that_of_the_longest_prefix() {
        let networks = json!([
            {"name": "hub", "clients": ["10.0.0.0/8", "2001:db8::/32"]},
            {"name": "branch", "clients": ["10.20.0.0/16"]},
            {"name": "default", "clients": []},
        ]);
        let networks = networks.as_array().unwrap();
        for (client, want) in
            [("10.20.0.4", "branch"), ("10.21.0.4", "hub"), ("2001:db8::1", "hub"), ("192.0.2.1", "default"), ("::1", "default")]
        {
            assert_eq!(network_of(networks, client.parse().unwrap()), want, "{client}");
        }
    }

    #[test]
    fn clients_of_a_server_on_all_addresses_reach_it_on_loopback() {
        let configuration = |listen: &str| json!({"settings": [{"section": "server", "key": "listen", "value": listen}]});
        assert_eq!(listen_address(&configuration(r#"["0.0.0.0:53", "[::]:53"]"#)), Some("127.0.0.1:53".parse().unwrap()));
        assert_eq!(listen_address(&configuration(r#"["10.20.0.10:53"]"#)), Some("10.20.0.10:53".parse().unwrap()));
        assert_eq!(listen_address(&configuration(r#"["[::]:53"]"#)), Some("[::1]:53".parse().unwrap()));
        assert_eq!(listen_address(&configuration(r#"["127.0.0.1:0"]"#)), None);
    }
}
