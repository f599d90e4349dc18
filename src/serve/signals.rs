//! Signals as messages.

use std::process;
use std::sync::mpsc::{Receiver, Sender, channel};

use tokio::signal::unix::{Signal as Stream, SignalKind, signal};

/// Action that a signal requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerSignal {
    /// SIGHUP: reload the configuration and all sources.
    Reload,
    /// SIGUSR1: reopen the fallback record.
    Reopen,
    /// The first SIGTERM or SIGINT. The second one ends the process at once.
    Stop,
}

/// Catches the signals from now on.
pub fn catch() -> Result<Receiver<ServerSignal>, String> {
    let failed = |error: std::io::Error| format!("error: cannot catch signals: {error}");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let streams = {
        let _inside = runtime.enter();
        let caught = |kind| signal(kind).map_err(failed);
        [
            caught(SignalKind::hangup())?,
            caught(SignalKind::user_defined1())?,
            caught(SignalKind::terminate())?,
            caught(SignalKind::interrupt())?,
        ]
    };
    let (sender, receiver) = channel();
    std::thread::Builder::new().name("signals".into()).spawn(move || runtime.block_on(forward(streams, sender))).map_err(failed)?;
    Ok(receiver)
}

async fn forward([mut hangup, mut user, mut terminate, mut interrupt]: [Stream; 4], to: Sender<ServerSignal>) {
    let mut stopping = false;
    loop {
        let (signal, number) = tokio::select! {
            _ = hangup.recv() => (ServerSignal::Reload, 1),
            _ = user.recv() => (ServerSignal::Reopen, 10),
            _ = terminate.recv() => (ServerSignal::Stop, 15),
            _ = interrupt.recv() => (ServerSignal::Stop, 2),
        };
        if signal == ServerSignal::Stop && std::mem::replace(&mut stopping, true) {
            process::exit(128 + number); // the exit status that a shell reports
        }
        let _ = to.send(signal); // the receiver is gone once the server has stopped
    }
}
