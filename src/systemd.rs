//! Notifications to systemd, and the sockets that it passes. Without its variables in the
//! environment, the functions do nothing.

use std::net::SocketAddr;
use std::time::Duration;

use postern_sockets::{InheritedSocket, InheritedSocketError, UdpOptions};
use sd_notify::NotifyState;

/// Reports that the server answers queries.
pub fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// Reports the start of a reload, which `ready` ends. `Type=notify-reload` needs the timestamp, and
/// older versions ignore it.
pub fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(_) => tell(&[NotifyState::Reloading]),
    }
}

/// Sets the line of `systemctl status`.
pub fn status(status: &str) {
    tell(&[NotifyState::Status(status)]);
}

/// Reports that the server accepts no more queries.
pub fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// Reports to the watchdog that the server works.
pub fn alive() {
    tell(&[NotifyState::Watchdog]);
}

/// Returns the interval for calling [`alive`], half of systemd's timeout. Returns `None` if the
/// watchdog is disabled.
pub fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|limit| limit / 2)
}

/// Takes the sockets of a socket unit. Each must be one of `listen`: queries to any other would wait
/// in its queue for ever.
pub fn sockets(listen: &[SocketAddr]) -> Result<Vec<InheritedSocket>, String> {
    let passed = InheritedSocket::take_all(&UdpOptions::default()).map_err(|error| {
        let help = match error {
            InheritedSocketError::BothFamilies(_) => ". help: set `BindIPv6Only=ipv6-only` in the socket unit",
            _ => "",
        };
        format!("error: cannot use the sockets that systemd passed: {error}{help}")
    })?;
    match passed.iter().find(|socket| !listen.contains(&socket.address())) {
        None => Ok(passed),
        Some(socket) => Err(format!(
            "error: systemd passed a socket for {0}, which `server.listen` does not list. \
             help: add \"{0}\" to `server.listen`, or remove it from the socket unit",
            socket.address()
        )),
    }
}

fn tell(states: &[NotifyState]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "systemd does not listen");
    }
}
