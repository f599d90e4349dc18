//! Serves one zone file with hickory-server as it comes: its in-memory zone, its catalog, its UDP and TCP listeners. The baseline of
//! `bench/compare`, for whoever would build on that library instead.
//!
//! `cargo run --release -p postern-bench --example hickory -- --listen 127.0.0.1:5300 --origin contoso.example contoso.example.zone`
//!
//! Unfair to it: one UDP socket, as the library's users register it; several with `SO_REUSEPORT` are faster. The library logs two lines an
//! answer; nothing listens to them here.

#![forbid(unsafe_code)]

use std::error::Error;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use hickory_proto::rr::{LowerName, Name};
use hickory_server::server::Server;
use hickory_server::store::file::{FileConfig, FileZoneHandler};
use hickory_server::zone_handler::{AxfrPolicy, Catalog, ZoneType};
use tokio::net::{TcpListener, UdpSocket};

/// How long a connection may be without a question: the default of the program `hickory-dns`.
const IDLE: Duration = Duration::from_secs(5);
/// Answers that may wait for a connection, as in that program.
const WAITING: usize = 32;

/// Serve a zone file with hickory-server
#[derive(Debug, Parser)]
struct Arguments {
    /// Address for UDP and TCP
    #[arg(long)]
    listen: SocketAddr,
    /// Apex of the zone
    #[arg(long)]
    origin: Name,
    /// Threads of the runtime
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// The zone file
    zone: PathBuf,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let mut origin = arguments.origin;
    origin.set_fqdn(true);
    let file = FileConfig { zone_path: arguments.zone };
    let zone = FileZoneHandler::try_from_config(origin.clone(), ZoneType::Primary, AxfrPolicy::Deny, None, &file)?;
    let mut catalog = Catalog::new();
    catalog.upsert(LowerName::from(origin), vec![Arc::new(zone)]);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(arguments.threads).enable_all().build()?;
    runtime.block_on(async {
        let mut server = Server::new(catalog);
        server.register_socket(UdpSocket::bind(arguments.listen).await?);
        server.register_listener(TcpListener::bind(arguments.listen).await?, IDLE, WAITING);
        server.block_until_done().await?;
        Ok(())
    })
}
