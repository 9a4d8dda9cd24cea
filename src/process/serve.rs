//! From a configuration to a running proxy, and the loop around the worker until it ends.

use std::io;
use std::os::unix::fs::chown;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH};
use signal_hook::flag;
use signal_hook::low_level::raise;
use signal_hook_mio::v1_0::Signals;

use super::access_logs::AccessLogs;
use super::daemon::{self, Readiness, Role};
use super::error::ProcessError;
use super::logger::{self, Sinks};
use super::pid::WrittenPid;
use super::program::VERSION;
use super::rehearsal::{Permitted, USER_IGNORED};
use super::reloads::Reloads;
use super::state::StateOnDisk;
use super::system;
use crate::address::Address;
use crate::config::model::{Config, Control, ErrorLog, LogSink, Process};
use crate::config::{ConfigError, Loaded, Source, load};
use crate::net::os::OsNet;
use crate::time::Time;
use crate::worker::Worker;

/// Serves until a signal ends the process.
///
/// # Errors
/// Anything that prevents a start, or a failure of the event loop.
pub(super) fn serve(source: Source) -> Result<(), ProcessError> {
    let starting = Arc::new(AtomicBool::new(true));
    let no_signals = |reason| ProcessError::System { what: "watching signals", reason };
    let mut signals = watch_signals(&starting).map_err(no_signals)?;
    if let LogSink::File(_) = &source.error_log {
        let log = ErrorLog { to: source.error_log.clone(), level: log::LevelFilter::Info };
        logger::install(logger::open(&[log])?);
    }
    let Loaded { config, notices, .. } = load(&source).map_err(ProcessError::Config)?;
    starting.store(false, Ordering::SeqCst);
    let config = Arc::new(config);
    logger::install(logger::open(&config.process.error_logs)?);
    logger::note_panics();
    let mut readiness = None;
    if config.process.daemon {
        let split = daemon::split(&mut signals);
        match split.map_err(|reason| ProcessError::System { what: "fork()", reason })? {
            Role::Foreground(child) => return child.wait(&mut signals),
            Role::Background(given, earlier) => {
                readiness = Some(given);
                let own = watch_signals(&starting).map_err(no_signals)?;
                let inherited = std::mem::replace(&mut signals, own).pending();
                let earlier: Vec<i32> = earlier.into_iter().chain(inherited).collect();
                // Raised again, now that signals are collected elsewhere.
                earlier.into_iter().try_for_each(raise).map_err(no_signals)?;
            }
        }
    }
    log::info!("{VERSION}");
    notices.iter().for_each(|notice| log::log!(notice.level, "{notice}"));
    let mut running = start(source, config, signals)?;
    let outcome = running.let_go(readiness).and_then(|()| running.until_the_end());
    running.worker.stop();
    running.write_logs(Lines::All);
    running.logs.finish();
    running.state.finish();
    running.remove_pid();
    logger::finish();
    outcome
}

/// Acquires everything that serving needs: logs, addresses, the pid file, the user.
fn start(
    source: Source,
    config: Arc<Config>,
    mut signals: Signals,
) -> Result<Running, ProcessError> {
    let logs = AccessLogs::open(&config.access_logs)?;
    let descriptors = system::open_descriptors();
    let sockets = raise_limits(&config.process, descriptors);
    let net = OsNet::new().map_err(|reason| ProcessError::System { what: "epoll", reason })?;
    let mut worker = Worker::new(net, Arc::clone(&config))?;
    worker.allow_sockets(sockets);
    let watched = worker.net().watch_outside(&mut signals);
    watched.map_err(|reason| ProcessError::System { what: "watching signals", reason })?;
    let pid = WrittenPid::write(&config.process.pid)?;
    let state = StateOnDisk::open(&config.process.state);
    worker.restore(state.kept());
    let mut running = Running {
        source,
        config,
        worker,
        signals,
        logs,
        reloads: pid.as_ref().and_then(create_reloads),
        pid,
        state,
        activity: Activity::Serving,
        descriptors,
        logs_wait: Time::ZERO,
    };
    if let Err(error) = become_user(&running.config) {
        running.remove_pid();
        return Err(error);
    }
    say_listening(&running.worker, &running.config.process.control);
    Ok(running)
}

/// The process while it serves.
struct Running {
    source: Source,
    config: Arc<Config>,
    worker: Worker<OsNet>,
    signals: Signals,
    logs: AccessLogs,
    pid: Option<WrittenPid>,
    state: StateOnDisk,
    /// For `-s reload`; `Some` only if there is a pid file.
    reloads: Option<Reloads>,
    activity: Activity,
    /// When to retry writing log lines that found no room.
    logs_wait: Time,
    /// Descriptors that were open before the first socket.
    descriptors: u64,
}

/// What the process does besides serving.
enum Activity {
    Serving,
    /// A thread loads the new configuration, because resolving names may take long.
    Loading(Loading),
    /// Like `Loading`, but the files may have changed since the load began.
    LoadingAgain(Loading),
    /// No new connections are accepted; open ones may continue until this moment.
    Draining(Time),
    /// The loop ends.
    Ended,
}

type Loading = JoinHandle<Result<Loaded, ConfigError>>;

/// Which access log lines are written.
#[derive(Clone, Copy)]
enum Lines {
    Due,
    All,
}

impl Running {
    /// In the background: releases the standard streams and the foreground process.
    fn let_go(&mut self, readiness: Option<Readiness>) -> Result<(), ProcessError> {
        if let Some(readiness) = readiness {
            logger::finish();
            readiness
                .give()
                .map_err(|reason| ProcessError::System { what: "/dev/null", reason })?;
            logger::leave_stderr();
            self.logs.leave_streams();
        }
        Ok(())
    }

    fn until_the_end(&mut self) -> Result<(), ProcessError> {
        loop {
            let until = self.wake_up_at();
            self.worker
                .turn(until)
                .map_err(|reason| ProcessError::System { what: "epoll_wait()", reason })?;
            if self.worker.net().outside() {
                self.take_signals();
            }
            self.advance();
            self.write_logs(Lines::Due);
            self.write_state();
            if let Activity::Ended = self.activity {
                return Ok(());
            }
        }
    }

    /// When to check what no event announces.
    fn wake_up_at(&self) -> Time {
        let now = self.worker.now();
        let activity = match self.activity {
            Activity::Serving | Activity::Ended => Time::NEVER,
            Activity::Loading(_) | Activity::LoadingAgain(_) => now + LOOK_AGAIN,
            Activity::Draining(deadline) => deadline.min(now + LOOK_AGAIN),
        };
        let state = if self.state.is_busy() { now + LOOK_AGAIN } else { Time::NEVER };
        activity.min(self.logs_wait).min(state)
    }

    fn take_signals(&mut self) {
        let pending: Vec<i32> = self.signals.pending().collect();
        for signal in pending {
            match signal {
                SIGTERM | SIGINT => self.end("stopping"),
                SIGQUIT => self.quit(),
                SIGHUP => self.begin_reload(),
                SIGUSR1 => self.reopen(),
                // nginx replaces its program on SIGUSR2 and stops its workers on SIGWINCH.
                _ => log::info!("signal {signal} is ignored"),
            }
        }
    }

    fn end(&mut self, message: &str) {
        log::info!("{message}");
        self.activity = Activity::Ended;
    }

    fn quit(&mut self) {
        match self.activity {
            Activity::Serving | Activity::Loading(_) | Activity::LoadingAgain(_) => {
                if !matches!(self.activity, Activity::Serving) {
                    self.end_reload(Err("the process is stopping".into()));
                }
                log::info!("finishing what is going on, then stopping");
                self.worker.drain();
                let limit = self.config.process.shutdown_timeout;
                let deadline = limit.map_or(Time::NEVER, |limit| self.worker.now() + limit);
                self.activity = Activity::Draining(deadline);
            }
            Activity::Draining(_) => self.end("stopping without waiting any longer"),
            Activity::Ended => {}
        }
    }

    fn reopen(&mut self) {
        log::info!("reopening logs");
        self.write_logs(Lines::All);
        self.logs.reopen();
        if let Err(error) = logger::reopen() {
            log::error!("{error}");
        }
    }

    fn begin_reload(&mut self) {
        self.activity = match std::mem::replace(&mut self.activity, Activity::Serving) {
            Activity::Serving => {
                log::info!("reloading");
                self.reloads.iter_mut().for_each(Reloads::begin);
                let source = self.source.clone();
                match std::thread::Builder::new().spawn(move || load(&source)) {
                    Ok(loading) => Activity::Loading(loading),
                    Err(reason) => {
                        self.end_reload(Err(format!("cannot start a thread for it: {reason}")));
                        Activity::Serving
                    }
                }
            }
            Activity::Loading(loading) | Activity::LoadingAgain(loading) => {
                Activity::LoadingAgain(loading)
            }
            activity @ (Activity::Draining(_) | Activity::Ended) => {
                self.reloads.iter_mut().for_each(Reloads::begin);
                self.end_reload(Err("the process is stopping".into()));
                activity
            }
        };
    }

    /// Proceeds if the activity has what it waits for.
    fn advance(&mut self) {
        match std::mem::replace(&mut self.activity, Activity::Serving) {
            Activity::Loading(loading) if loading.is_finished() => self.finish_reload(loading),
            Activity::LoadingAgain(loading) if loading.is_finished() => {
                self.finish_reload(loading);
                self.begin_reload();
            }
            Activity::Draining(_) if self.worker.drained() => self.end("all done, stopping"),
            Activity::Draining(deadline) if self.worker.now() >= deadline => {
                self.end("worker_shutdown_timeout is over, stopping");
            }
            activity @ (Activity::Serving
            | Activity::Loading(_)
            | Activity::LoadingAgain(_)
            | Activity::Draining(_)
            | Activity::Ended) => self.activity = activity,
        }
    }

    fn finish_reload(&mut self, loading: Loading) {
        let outcome = match loading.join() {
            Ok(Ok(loaded)) => self.apply(loaded).map_err(|error| error.to_string()),
            Ok(Err(error)) => Err(error.brief()),
            Err(_) => Err("loading panicked".into()),
        };
        self.end_reload(outcome);
    }

    fn end_reload(&mut self, outcome: Result<(), String>) {
        if let Err(why) = &outcome {
            log::error!("{why}; the old configuration stays");
        }
        if let Some(reloads) = &mut self.reloads {
            reloads.end(&outcome);
        }
    }

    /// Does everything that can fail first, so that a failure leaves the old configuration in
    /// place.
    fn apply(&mut self, loaded: Loaded) -> Result<(), ProcessError> {
        let config = Arc::new(loaded.config);
        let sinks: Sinks = logger::open(&config.process.error_logs)?;
        let logs = AccessLogs::open(&config.access_logs)?;
        self.write_logs(Lines::All);
        self.worker.reload(Arc::clone(&config))?;
        logger::install(sinks);
        self.logs.install(logs);
        loaded.notices.iter().for_each(|notice| log::log!(notice.level, "{notice}"));
        self.worker.allow_sockets(raise_limits(&config.process, self.descriptors));
        self.move_pid(&config.process);
        self.state.move_to(&config.process.state);
        self.config = config;
        log::info!("reloaded");
        say_listening(&self.worker, &self.config.process.control);
        Ok(())
    }

    fn move_pid(&mut self, process: &Process) {
        if self.pid.as_ref().is_some_and(|pid| pid.is(&process.pid)) {
            return;
        }
        match WrittenPid::write(&process.pid) {
            Ok(written) => {
                self.move_reloads(written.as_ref());
                if let Some(old) = std::mem::replace(&mut self.pid, written) {
                    old.remove();
                }
            }
            Err(error) => log::error!("{error}"),
        }
    }

    fn move_reloads(&mut self, to: Option<&WrittenPid>) {
        match (&mut self.reloads, to) {
            (None, None) => {}
            (None, Some(pid)) => self.reloads = create_reloads(pid),
            (Some(_), None) => self.reloads.take().into_iter().for_each(Reloads::remove),
            (Some(reloads), Some(pid)) => {
                if let Err(reason) = reloads.move_to(pid.path()) {
                    log::warn!("{NO_OUTCOMES}: {reason}");
                }
            }
        }
    }

    fn remove_pid(&mut self) {
        if let Some(reloads) = self.reloads.take() {
            reloads.remove();
        }
        if let Some(pid) = self.pid.take() {
            pid.remove();
        }
    }

    /// Promotions and drains are written after the turn that changed them, as log lines are.
    fn write_state(&mut self) {
        match self.worker.changed_deeds() {
            Some(deeds) => self.state.keep(deeds),
            None => self.state.advance(),
        }
    }

    fn write_logs(&mut self, lines: Lines) {
        let now = self.worker.now();
        let access_lines = self.worker.access_lines();
        let logs = &mut self.logs;
        match lines {
            Lines::Due => {
                access_lines.due(now).for_each(|(path, lines)| logs.write(path, lines, now))
            }
            Lines::All => access_lines.all().for_each(|(path, lines)| logs.write(path, lines, now)),
        }
        self.logs_wait = logs.flush(now).min(logger::flush(now));
    }
}

/// Collects signals for the loop. While `starting` is set, a terminating signal ends the process at
/// once: it has nothing to lose yet, and resolving names may take long.
fn watch_signals(starting: &Arc<AtomicBool>) -> io::Result<Signals> {
    for signal in [SIGTERM, SIGINT, SIGQUIT] {
        flag::register_conditional_shutdown(signal, 0, Arc::clone(starting))?;
    }
    Signals::new([SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2, SIGWINCH])
}

fn create_reloads(pid: &WrittenPid) -> Option<Reloads> {
    let created = Reloads::create(pid.path());
    created.inspect_err(|reason| log::warn!("{NO_OUTCOMES}: {reason}")).ok()
}

fn say_listening(worker: &Worker<OsNet>, control: &Control) {
    let is_control = |address: &Address| match (control, address) {
        (Control::Default(path) | Control::At(path), Address::Unix(it)) => path == it,
        (Control::Default(_) | Control::At(_), Address::Inet(_)) | (Control::Off, _) => false,
    };
    for listener in worker.listening() {
        match listener.address() {
            Ok(address) if is_control(&address) => log::info!("taking commands at {address}"),
            Ok(address) => log::info!("listening on {address}"),
            Err(reason) => log::warn!("listening on an address that cannot be shown: {reason}"),
        }
    }
}

/// Raises the descriptor limit for all connections, listeners, logs and the `open` descriptors.
/// Returns how many remain for sockets.
fn raise_limits(process: &Process, open: u64) -> usize {
    let need = u64::try_from(process.worker_connections).unwrap_or(u64::MAX);
    let need = need.saturating_add(SPARE_DESCRIPTORS);
    let want = process.rlimit_nofile.unwrap_or(need);
    let limit = match system::raise_descriptor_limit(want) {
        Ok(limit) => limit,
        Err(reason) => {
            log::warn!("cannot raise the limit of open files: {reason}");
            return usize::MAX;
        }
    };
    if limit < need {
        log::warn!(
            "{} worker_connections are more than the limit of {limit} open files allows",
            process.worker_connections
        );
    }
    let spare = SPARE_DESCRIPTORS.min(limit / 4).max(open + FILES_AT_ONCE).min(limit / 2);
    usize::try_from(limit - spare).unwrap_or(usize::MAX)
}

/// Gives up root privileges if `user` asks for it; log files are given to the new user.
fn become_user(config: &Config) -> Result<(), ProcessError> {
    let Some(user) = &config.process.user else { return Ok(()) };
    if !system::is_root() {
        log::warn!("{USER_IGNORED}");
        return Ok(());
    }
    let permitted = Permitted::of(user)?;
    permitted.warnings(config).iter().for_each(|warning| log::warn!("{warning}"));
    let ids = permitted.ids;
    let failed = |reason| ProcessError::User { name: user.name.clone(), reason };
    let error_logs = config.process.error_logs.iter().filter_map(|log| match &log.to {
        LogSink::File(path) => Some(path),
        LogSink::Stderr => None,
    });
    let access_logs = config.access_logs.iter().map(|log| &log.path);
    for path in error_logs.chain(access_logs).filter(|path| !path.starts_with("/dev")) {
        if let Err(reason) = chown(path, Some(ids.user), None) {
            log::warn!("cannot give \"{}\" to {}: {reason}", path.display(), user.name);
        }
    }
    system::become_user(&user.name, ids).map_err(failed)
}

/// The consequence of a file that cannot be created.
const NO_OUTCOMES: &str = "\"-s reload\" cannot report how reloads end";
/// How often to check whether a load or a graceful stop has finished, and the least time between
/// two checks of access logs.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// Descriptors that are not connections.
const SPARE_DESCRIPTORS: u64 = 64;
/// Descriptors for files that are open briefly, for example at a reload, and for a spare pipe.
const FILES_AT_ONCE: u64 = 8;
