//! `postern healthcheck`: a probe for container images.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;

/// Check that a running server is healthy: exits with 0 if it is, and 1 otherwise.
///
/// This is for container images without another client. It sends a query over UDP that needs no
/// upstream, and accepts any answer. With --ready it also requests the page /ready, which lists
/// problems.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  postern healthcheck")]
pub struct HealthcheckArgs {
    /// Configuration file with the address of the server. Default: as for `serve`.
    #[arg(short, long, value_name = "FILE", conflicts_with = "server")]
    config: Option<PathBuf>,
    /// Address of the server, instead of the one in the configuration.
    #[arg(long, value_name = "ADDRESS[:PORT]", value_parser = address)]
    server: Option<SocketAddr>,
    /// Also check readiness, at the address of `metrics.listen`.
    #[arg(long, conflicts_with = "server")]
    ready: bool,
    /// Timeout in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=60))]
    timeout: u64,
}

/// Sends the probes and returns the result.
pub fn run(args: HealthcheckArgs) -> ExitCode {
    match check(&args) {
        Ok(well) => {
            println!("{well}");
            ExitCode::SUCCESS
        }
        Err(ill) => {
            eprintln!("{ill}");
            ExitCode::FAILURE
        }
    }
}

fn check(args: &HealthcheckArgs) -> Result<String, String> {
    let patience = Duration::from_secs(args.timeout);
    let (server, page) = match args.server {
        Some(server) => (server, None),
        None => {
            let path = crate::serve::configuration_file(args.config.as_deref())?;
            let (server, page) = addresses(&path)?;
            let page =
                args.ready.then(|| page.ok_or_else(|| "error: `metrics.listen` is not set, so there is no readiness page".to_string()));
            (server, page.transpose()?)
        }
    };
    let well = ask_dns(reachable(server), patience)?;
    match page {
        Some(page) => ask_page(reachable(page), patience),
        None => Ok(well),
    }
}

/// Returns the addresses of a configured server for queries and for probes.
fn addresses(path: &Path) -> Result<(SocketAddr, Option<SocketAddr>), String> {
    let loaded = postern_config::load(path).map_err(|refused| refused.problems.first().map(ToString::to_string).unwrap_or_default())?;
    let server = loaded.config.server.listen.first().copied();
    Ok((server.ok_or("error: the configuration has no `server.listen`")?, loaded.config.metrics.listen))
}

/// Parses an address with or without a port. The default port is 53.
fn address(text: &str) -> Result<SocketAddr, String> {
    let without_port = || text.trim_matches(['[', ']']).parse().map(|ip: IpAddr| SocketAddr::new(ip, 53));
    text.parse().or_else(|_| without_port()).map_err(|_| format!("`{text}` is not an address, with or without a port"))
}

/// Replaces an unspecified address by the loopback address.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// Builds a query for `id.server` CH TXT. The server always answers it at once, for every client,
/// with data or REFUSED (RFC 4892).
fn ask_dns(server: SocketAddr, patience: Duration) -> Result<String, String> {
    let ill = |what: &str| format!("{server}: {what}");
    let failed = |error: std::io::Error| ill(&error.to_string());
    let own: SocketAddr = if server.is_ipv4() { (Ipv4Addr::UNSPECIFIED, 0).into() } else { (Ipv6Addr::UNSPECIFIED, 0).into() };
    let socket = UdpSocket::bind(own).map_err(failed)?;
    socket.connect(server).map_err(failed)?;
    let id = std::process::id().to_be_bytes();
    let mut question = vec![id[2], id[3], 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    question.extend_from_slice(b"\x02id\x06server\0\0\x10\0\x03");
    let end = Instant::now() + patience;
    let mut answer = [0; 512];
    // The query is repeated halfway, because a datagram may be lost.
    for part in [patience / 2, patience] {
        socket.send(&question).map_err(failed)?;
        let until = end.min(Instant::now() + part);
        while let Some(left) = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            socket.set_read_timeout(Some(left)).map_err(failed)?;
            match postern_sockets::receive(&socket, &mut answer) {
                Ok((length, _)) if length >= 12 && answer[..2] == question[..2] && answer[2] & 0x80 != 0 => {
                    return Ok(format!("{server} answers"));
                }
                Ok(_) => {}
                Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => break,
                Err(error) => return Err(failed(error)),
            }
        }
    }
    Err(ill(&format!("no answer within {patience:?}")))
}

fn ask_page(page: SocketAddr, patience: Duration) -> Result<String, String> {
    const LONGEST: u64 = 64 << 10; // more lines than any operator would read
    let failed = |error: std::io::Error| format!("http://{page}/ready: {error}");
    let mut stream = TcpStream::connect_timeout(&page, patience).map_err(failed)?;
    stream.set_read_timeout(Some(patience)).map_err(failed)?;
    stream.set_write_timeout(Some(patience)).map_err(failed)?;
    stream.write_all(format!("GET /ready HTTP/1.1\r\nHost: {page}\r\nConnection: close\r\n\r\n").as_bytes()).map_err(failed)?;
    let mut text = String::new();
    stream.take(LONGEST).read_to_string(&mut text).map_err(failed)?;
    let (head, body) = text.split_once("\r\n\r\n").ok_or_else(|| format!("http://{page}/ready: no answer of HTTP"))?;
    let body = body.trim_end().to_string();
    match head.split(' ').nth(1) {
        Some("200") => Ok(body),
        _ => Err(body),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_without_a_port_means_port_53() {
        for (text, want) in [
            ("127.0.0.1", "127.0.0.1:53"),
            ("127.0.0.1:5300", "127.0.0.1:5300"),
            ("::1", "[::1]:53"),
            ("[::1]:5300", "[::1]:5300"),
            ("[::1]", "[::1]:53"),
        ] {
            assert_eq!(address(text), Ok(want.parse().unwrap()), "{text}");
        }
        assert!(address("localhost").is_err());
    }
}
