//! Addresses that are listened on before an interface has them: at boot, on a stand-by machine, during IPv6 address detection.

use std::net::SocketAddr;
use std::time::Duration;

/// How often an absent address is looked for.
const LOOK: Duration = Duration::from_secs(1);

/// Logs which addresses no interface has yet, and when they appear. Their sockets are bound already and serve from that moment on.
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
    // Without the thread nothing is missing but the second line.
    let _ = std::thread::Builder::new().name("addresses".into()).spawn(look);
}
