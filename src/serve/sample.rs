//! `serve --lab`: sample zones and the public DNS that they need, on this machine.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use postern_config::PosternConfig;
use postern_dns::server::{BoundSockets, Server};
use postern_lab::{LabScenario, LabServer};

/// The lab: files and the simulated public DNS. Dropping it removes both, unless the operator named
/// the directory.
pub struct ServedSample {
    sample: postern_lab::LabSample,
    public: LabServer,
    temporary: Option<PathBuf>,
}

/// First port to try, and the number of ports after it. 5353 is left to multicast DNS.
const FIRST_PORT: u16 = 5354;
const PORTS: u16 = 50;

impl ServedSample {
    /// Starts the simulated DNS, binds the server's sockets, and writes matching files.
    pub fn start(listen: Option<SocketAddr>, directory: Option<&Path>) -> Result<(Self, BoundSockets), String> {
        let public = LabServer::start(LabScenario::azure(), (Ipv4Addr::LOCALHOST, 0).into())
            .map_err(|error| format!("error: cannot start the simulated public DNS on loopback: {error}"))?;
        let bound = bind(listen)?;
        let listen = bound.addresses()[0]; // bound to one address
        let (directory, temporary) = match directory {
            Some(directory) => (directory.to_path_buf(), None),
            None => {
                let directory = new_directory()?;
                (directory.clone(), Some(directory))
            }
        };
        let sample = postern_lab::sample(&directory, listen, public.address())
            .map_err(|error| format!("error: cannot write the sample files to {}: {error}", directory.display()))?;
        Ok((Self { sample, public, temporary }, bound))
    }

    /// Returns the configuration for `serve`.
    pub fn config(&self) -> &PosternConfig {
        &self.sample.config
    }

    /// Prints the running servers and the tour.
    pub fn print(&self, listening: Option<SocketAddr>) {
        let Some(listening) = listening else { return };
        let directory = self.sample.directory.display();
        let program = std::env::current_exe().ok().filter(|_| !is_in_path());
        println!("Postern listens on {listening}, a simulated public Azure DNS on\n{}.", self.public.address());
        println!("Its files are watched: {directory}");
        println!("Try these lines in another terminal, and watch this one. Ctrl-C stops it.\n");
        println!("{}", postern_lab::tour(listening, &self.sample.directory, program.as_deref()));
    }
}

impl Drop for ServedSample {
    fn drop(&mut self) {
        if let Some(directory) = &self.temporary {
            // In the system's temporary directory, which the system cleans.
            let _ = std::fs::remove_dir_all(directory);
        }
    }
}

/// Returns true if a shell finds a program of this name.
fn is_in_path() -> bool {
    std::env::var_os("PATH").is_some_and(|path| std::env::split_paths(&path).any(|place| place.join("postern").is_file()))
}

fn bind(listen: Option<SocketAddr>) -> Result<BoundSockets, String> {
    let tries = match listen {
        Some(address) => vec![address],
        None => (FIRST_PORT..FIRST_PORT + PORTS).map(|port| (Ipv4Addr::LOCALHOST, port).into()).collect(),
    };
    let mut tries = tries.into_iter().peekable();
    while let Some(address) = tries.next() {
        match Server::bind(&[address], 1) {
            Ok(bound) => return Ok(bound),
            Err(error) if error.error.kind() == ErrorKind::AddrInUse && tries.peek().is_some() => {}
            Err(error) => return Err(format!("error: {error}")),
        }
    }
    Err("error: no free port".into())
}

/// Creates a directory that did not exist, so that links of other users are not followed.
fn new_directory() -> Result<PathBuf, String> {
    let parent = std::env::temp_dir();
    for number in 0.. {
        let directory = parent.join(format!("postern-lab-{}-{number}", std::process::id()));
        match std::fs::create_dir(&directory) {
            Ok(()) => return Ok(directory),
            Err(error) if error.kind() == ErrorKind::AlreadyExists && number < 100 => {}
            Err(error) => return Err(format!("error: cannot create {}: {error}", directory.display())),
        }
    }
    unreachable!("the loop returns")
}
