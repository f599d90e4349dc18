//! `postern serve`: the order of startup and shutdown.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use clap::Args;
use postern_config::PosternConfig;
use postern_control::messages::{Inbox, Messages};
use postern_control::metrics::{self, Metrics};
use postern_control::transfer::Transfers;
use postern_control::{Control, http};
use postern_dns::fallback;
use postern_dns::server::{BoundSockets, Server};
use postern_zones::state_directory::StateDirectory;
use postern_zones::store::Store;
use postern_zones::watch::Watch;

use crate::logging::{LineQueue, ProcessLog};
use crate::{privileges, systemd};

mod absent;
mod accept;
mod descriptors;
mod host;
mod kept;
mod live;
mod reload_status;
mod restart;
mod sample;
mod signals;

use host::ServerHost;
use live::RunningServer;
use reload_status::ReloadStatus;
use sample::ServedSample;
use signals::ServerSignal;

/// Run the DNS server.
///
/// Without -c, the configuration is ./postern.toml, otherwise /etc/postern/postern.toml. The server
/// watches it and all zone files. A valid change is served at once. An invalid one is rejected.
///
/// Signals: HUP reloads everything. USR1 reopens the file of the fallback record. TERM and INT stop
/// the server after it has answered pending queries. A second one stops it at once.
///
/// POSTERN_LOG replaces `log.level`: error, warn, info, debug, trace, or a filter such as
/// info,postern_dns=debug.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  postern serve -c /etc/postern/postern.toml\n  postern serve --lab")]
pub struct ServeArgs {
    /// Configuration file to serve.
    #[arg(short, long, value_name = "FILE", conflicts_with = "lab")]
    config: Option<PathBuf>,
    /// Refuse to start if the source of a zone has errors, as `server.strict` does.
    #[arg(long)]
    strict: bool,
    /// Accept the configuration even if it drops most zones, networks, or routes of the last
    /// accepted one.
    #[arg(long)]
    accept_configuration: bool,
    /// Serve sample zones in front of a simulated public Azure DNS: no configuration, no Internet,
    /// no root.
    #[arg(long)]
    lab: bool,
    /// Where the lab's server listens; port 0 takes a free one. Default: 127.0.0.1:5354, or the
    /// next free port.
    #[arg(long, value_name = "ADDRESS:PORT", requires = "lab")]
    listen: Option<SocketAddr>,
    /// Directory that the lab's files are written to, over what is there. Default: a new one that
    /// goes when the server stops.
    #[arg(long, value_name = "DIRECTORY", requires = "lab")]
    directory: Option<PathBuf>,
}

/// Default configuration files, in the order in which they are tried.
pub const PLACES: [&str; 2] = ["postern.toml", "/etc/postern/postern.toml"];

/// How long a stopping process waits until its last log lines are written.
const LAST_LINES: Duration = Duration::from_secs(2);

/// Serves until a signal stops the process.
pub fn run(args: ServeArgs) -> ExitCode {
    let lines = match LineQueue::start() {
        Ok(lines) => lines,
        Err(error) => {
            eprintln!("error: cannot start the log: {error}");
            return ExitCode::FAILURE;
        }
    };
    let served = serve(&args, &lines);
    if let Err(message) = &served {
        lines.print(&format!("{message}\n"));
    }
    lines.flush(LAST_LINES);
    if served.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn serve(args: &ServeArgs, lines: &LineQueue) -> Result<(), String> {
    let happened = signals::catch()?; // before any other process can observe this one
    let (mut config, bound, metrics, sample, warning) = match args.lab {
        true => {
            let (sample, bound) = ServedSample::start(args.listen, args.directory.as_deref())?;
            let mut config = sample.config().clone();
            let warning = descriptors::fit(&mut config, 0);
            (config, bound, None, Some(sample), warning)
        }
        false => {
            let path = configuration_file(args.config.as_deref())?;
            let mut config = load(&path, lines)?;
            let journals = descriptors::journals(&config);
            let warning = descriptors::fit(&mut config, journals);
            let (bound, metrics) = bind(&config)?;
            (config, bound, metrics, None, warning)
        }
    };
    let mut logging = ProcessLog::start(&config.log, lines.clone())?;
    if let Some(warning) = warning {
        tracing::warn!(target: "postern", "{warning}");
    }
    let owner = privileges::owner(&config.server)?;
    let state = StateDirectory::claim(&config.server.state, owner).map_err(|error| format!("error: {error}"))?;
    let api = http::bind(&config.api, owner).map_err(|error| format!("error: {error} (`api`)"))?;
    if let Some(user) = privileges::give_up(&config.server)? {
        tracing::info!(target: "postern", "sockets are bound; now {user}");
    }
    state.probe(); // as the user that will write
    let lost = if args.accept_configuration { None } else { kept::restore(&config, &state) };
    let mut loss = None;
    if let Some((mut kept, why)) = lost {
        let journals = descriptors::journals(&kept);
        if let Some(warning) = descriptors::fit(&mut kept, journals) {
            tracing::warn!(target: "postern", "{warning}");
        }
        logging.reconfigure(&kept.log)?;
        (config, loss) = (kept, Some(why));
    }
    let up = Up::start(&config, loss, Arc::new(state), args.strict || config.server.strict, bound, Listeners { api, metrics }, logging)?;
    if let Some(sample) = &sample {
        sample.print(up.listening());
    }
    up.wait(&happened);
    Ok(())
}

/// A running server.
struct Up {
    live: Arc<Mutex<RunningServer>>,
    watch: Arc<Watch>,
    control: Arc<Control>,
    messages: Messages,
    standing: Arc<ReloadStatus>,
    /// Serves metrics and probes until the process ends.
    metrics: Option<Metrics>,
}

/// Bound listeners, other than those for DNS, that do not serve yet.
struct Listeners {
    api: http::HttpSockets,
    metrics: Option<metrics::MetricsSockets>,
}

impl Up {
    fn start(
        config: &PosternConfig,
        loss: Option<String>,
        state_directory: Arc<StateDirectory>,
        strict: bool,
        bound: BoundSockets,
        listeners: Listeners,
        logging: ProcessLog,
    ) -> Result<Self, String> {
        let recorder = fallback::FallbackRecorder::new(&config.fallback);
        recorder.keep_muted_in(state_directory.clone());
        let writer = fallback_writer(config, &recorder, &logging)?;
        let (store, snapshot, report) = Store::open(config, state_directory.clone());
        report.log();
        if strict && report.has_errors() {
            return Err("error: not started: the source of a zone is bad, and strict mode is on".into());
        }
        if loss.is_none() {
            store.forget_unconfigured();
        }
        let (inbox, waiting) = Inbox::new(config);
        let server = Server::start(config, bound, snapshot, recorder.clone(), Some(inbox.clone()))
            .map_err(|error| format!("error: cannot start: {error}"))?;
        for address in server.addresses() {
            tracing::info!(target: "postern", %address, "listening");
        }
        let (state, gauges, streams) = (server.states(), server.gauges().clone(), server.streams());
        let mut live = RunningServer::new(config.clone(), server, writer, logging, inbox.clone(), state_directory.clone());
        loss.into_iter().for_each(|loss| live.refuse(loss));
        let standing = live.standing();
        let live = Arc::new(Mutex::new(live));
        let on_event = live.clone();
        let watch = Watch::start(store, Box::new(move |store, event| live::lock(&on_event).on_event(store, event)))
            .map_err(|error| format!("error: cannot watch for changes: {error}"))?;
        let watch = Arc::new(watch);
        let control = Arc::new(Control {
            editor: watch.editor(),
            state_directory,
            state,
            recorder,
            gauges,
            streams: streams.clone(),
            azure: Default::default(),
            feeds: postern_control::feeds(),
            transfers: Transfers::new(),
            vitals: Default::default(),
            host: Arc::new(ServerHost::new(&live, &watch, standing.clone())),
        });
        let metrics = start_listeners(&live, listeners, &control)?;
        let messages = Messages::start(control.clone(), inbox, waiting, streams)
            .map_err(|error| format!("error: cannot answer updates and signed messages: {error}"))?;
        let now_ready = live.clone();
        // An error means that the watch has ended, which was logged.
        let _ = watch.with_store(move |store| live::lock(&now_ready).ready(store));
        Ok(Self { live, watch, control, messages, standing, metrics })
    }

    fn listening(&self) -> Option<SocketAddr> {
        live::lock(&self.live).server().addresses().first().copied()
    }

    /// Runs until a signal stops the server.
    fn wait(self, happened: &Receiver<ServerSignal>) {
        loop {
            let next = match systemd::watchdog() {
                Some(period) => happened.recv_timeout(period),
                None => happened.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match next {
                Ok(ServerSignal::Reload) => {
                    // The log contains the reason of a failure.
                    let _ = self.control.host.reload(&[]);
                }
                Ok(ServerSignal::Reopen) => live::lock(&self.live).reopen(),
                Ok(ServerSignal::Stop) | Err(RecvTimeoutError::Disconnected) => return self.stop(),
                Err(RecvTimeoutError::Timeout) => {}
            }
            if live::lock(&self.live).server().is_well() {
                systemd::alive();
            }
        }
    }

    fn stop(self) {
        systemd::stopping();
        self.standing.stopping();
        let lame_duck = self.control.host.config().server.lame_duck;
        if !lame_duck.is_zero() {
            tracing::info!(target: "postern", "reporting not ready; still answering for {lame_duck:?}");
            std::thread::sleep(lame_duck);
        }
        tracing::info!(target: "postern", "stopping");
        let start = Instant::now();
        let api = live::lock(&self.live).take_api();
        if let Some((api, drain)) = api {
            api.stop(drain); // the API stops first, because its pending requests need the store
        }
        self.messages.stop();
        drop(self.control);
        drop(self.watch);
        // The watch, which held the other reference, has ended.
        let Ok(live) = Arc::try_unwrap(self.live) else { return };
        live.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner).stop();
        drop(self.metrics);
        tracing::info!(target: "postern", took = ?start.elapsed(), "stopped");
    }
}

fn fallback_writer(
    config: &PosternConfig,
    recorder: &Arc<fallback::FallbackRecorder>,
    logging: &ProcessLog,
) -> Result<fallback::FallbackWriter, String> {
    let lines = logging.lines();
    fallback::FallbackWriter::start(recorder.clone(), &config.fallback, move || lines.release()).map_err(|error| {
        let file = config.fallback.file.as_deref().unwrap_or(Path::new("")).display();
        format!("error: cannot write the fallback record to {file}: {error}")
    })
}

/// Starts the API, and metrics and probes on a listener of their own. Watches for addresses that
/// disappear.
fn start_listeners(live: &Arc<Mutex<RunningServer>>, listeners: Listeners, control: &Arc<Control>) -> Result<Option<Metrics>, String> {
    let mut held = live::lock(live);
    let http = held.start_api(listeners.api, control.clone()).map_err(|error| format!("error: {error}"))?;
    for address in http.addresses() {
        tracing::info!(target: "postern", %address, "the API listens");
    }
    if let Some(socket) = http.socket() {
        tracing::info!(target: "postern", socket = %socket.display(), "the API listens");
    }
    drop(held);
    let metrics = listeners.metrics.map(|bound| metrics::start(bound, control.clone())).transpose();
    let metrics = metrics.map_err(|error| format!("error: cannot start the listener of metrics: {error}"))?;
    if let Some(metrics) = &metrics {
        tracing::info!(target: "postern", address = %metrics.address(), "metrics");
    }
    let of_dns = live::lock(live).server().addresses().to_vec();
    let of_api = live::lock(live).api_addresses();
    absent::watch([of_dns, of_api, metrics.iter().map(Metrics::address).collect()].concat());
    Ok(metrics)
}

/// Returns the named file, or the first default file that exists.
pub fn configuration_file(named: Option<&Path>) -> Result<PathBuf, String> {
    if let Some(path) = named {
        return Ok(path.into());
    }
    PLACES.iter().map(PathBuf::from).find(|path| path.exists()).ok_or_else(|| {
        format!(
            "error: no configuration: {} and {} do not exist. help: name one with -c, or try `postern serve --lab`, which needs none",
            PLACES[0], PLACES[1]
        )
    })
}

/// Prints all errors and warnings.
fn load(path: &Path, lines: &LineQueue) -> Result<PosternConfig, String> {
    let told = |problems: &[postern_config::FileDiagnostic]| problems.iter().map(|problem| format!("{problem}\n")).collect::<String>();
    let loaded = postern_config::load(path).map_err(|refused| format!("{}error: not started", told(&refused.problems)))?;
    lines.print(&told(&loaded.warnings));
    Ok(loaded.config)
}

fn bind(config: &PosternConfig) -> Result<(BoundSockets, Option<metrics::MetricsSockets>), String> {
    let passed = systemd::sockets(&config.server.listen)?;
    let bound = Server::bind_inherited(&config.server.listen, config.server.workers, passed).map_err(|error| {
        let hint = privileges::hint(error.address, &error.error);
        format!("error: {error}{}{hint}", if hint.is_empty() { "" } else { " help: " })
    })?;
    let metrics = |address| metrics::bind(address).map_err(|error| format!("error: cannot listen on {address} for metrics: {error}"));
    Ok((bound, config.metrics.listen.map(metrics).transpose()?))
}
