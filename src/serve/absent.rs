//! Listen addresses that no interface has yet: at boot, on a standby machine, or during IPv6
//! address detection.

use std::net::SocketAddr;
use std::time::Duration;

/// Interval at which absent addresses are checked.
const LOOK: Duration = Duration::from_secs(1);

/// Logs the addresses that no interface has yet, and the moment at which they appear. Their sockets
/// are already bound and serve from then on.
pub fn watch(addresses: Vec<SocketAddr>) {
    let mut absent: Vec<SocketAddr> = addresses.into_iter().filter(|address| !postern_sockets::is_present(*address)).collect();
    if absent.is_empty() {
        return;
    }
    for address in &absent {
        tracing::warn!(target: "postern", %address, "no interface has this address yet; it is served as soon as one has");
    }
    let look = move || {
        while !absent.is_empty() {
            std::thread::sleep(LOOK);
            absent.retain(|address| {
                let is_there = postern_sockets::is_present(*address);
                if is_there {
                    tracing::info!(target: "postern", %address, "an interface has this address now");
                }
                !is_there
            });
        }
    };
    // Without the thread, only the second log line is missing.
    let _ = std::thread::Builder::new().name("addresses".into()).spawn(look);
}
