//! Notifications to systemd. Without a notify socket in the environment, the functions do nothing.

use std::time::Duration;

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

fn tell(states: &[NotifyState]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "systemd does not listen");
    }
}
