//! The program as a server, and somebody who asks it: what examples that change its data have in common.

use std::io::{self, BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use postern_bench::message::{QueryForm, name_to_wire, write_query};

/// The program, killed when dropped.
pub struct Server {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Server {
    /// Starts it with `postern.toml` of that directory, and waits until it is ready.
    pub fn start(program: &Path, directory: &Path) -> io::Result<Self> {
        let mut command = Command::new(program);
        command
            .args(["serve", "-c"])
            .arg(directory.join("postern.toml"))
            .env_remove("POSTERN_LOG")
            .stderr(Stdio::piped())
            .stdout(Stdio::null());
        let mut child = command.spawn()?;
        let log = child.stderr.take().ok_or_else(|| io::Error::other("no log"))?;
        let (mut lines, mut address) = (BufReader::new(log).lines(), None);
        for line in lines.by_ref() {
            let line = line?;
            if line.contains("postern: listening") {
                address = line.split("address=").nth(1).and_then(|rest| rest.split_whitespace().next()?.parse().ok());
            }
            if line.contains("postern: ready") {
                break;
            }
        }
        thread::spawn(move || lines.for_each(drop)); // it must not be kept from writing: each change is a line of the audit
        let address = address.ok_or_else(|| io::Error::other("the server did not start"))?;
        Ok(Self { child, address })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill(); // it has ended
        let _ = self.child.wait();
    }
}

/// Asks one question after the other.
pub struct Prober {
    socket: UdpSocket,
    id: u16,
}

impl Prober {
    /// A socket of its own.
    pub fn new(server: SocketAddr) -> io::Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.connect(server)?;
        socket.set_read_timeout(Some(Duration::from_secs(60)))?;
        Ok(Self { socket, id: 0 })
    }

    /// The address in the answer; none: there is none.
    pub fn ask(&mut self, name: &str) -> io::Result<Option<Ipv4Addr>> {
        self.id = self.id.wrapping_add(1);
        let name = name_to_wire(name).map_err(io::Error::other)?;
        let mut query = Vec::new();
        write_query(&mut query, &name, 1, QueryForm::default());
        query[..2].copy_from_slice(&self.id.to_be_bytes());
        self.socket.send(&query)?;
        let mut answer = [0; 512];
        loop {
            let length = postern_sockets::receive(&self.socket, &mut answer)?.0;
            if answer[..2] != self.id.to_be_bytes() {
                continue;
            }
            // Header, question, and then an owner that points back, TYPE, CLASS, TTL and RDLENGTH before the address.
            let at = 12 + name.len() + 4 + 12;
            let octets = answer[..length].get(at..at + 4).filter(|_| answer[7] > 0);
            return Ok(octets.and_then(|octets| <[u8; 4]>::try_from(octets).ok()).map(Ipv4Addr::from));
        }
    }
}
