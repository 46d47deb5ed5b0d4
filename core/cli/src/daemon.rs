//! `runlane-core daemon`: lock, socket, detach, serve.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use runlane_daemon::socket::listener::{self, BindError};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::allocator;
use crate::log_file::LogFile;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Private directory of the user for the socket, the start lock and the log.
    #[arg(long)]
    runtime_dir: PathBuf,
    /// Seconds without a connection or anything to upload after which the daemon ends.
    #[arg(long, default_value_t = 60.0)]
    idle_timeout_secs: f64,
    /// Inherited descriptor that gets one byte when the daemon listens.
    #[arg(long)]
    ready_fd: Option<RawFd>,
}

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let directory = arguments.runtime_dir.as_path();
    listener::prepare_directory(directory)?;
    let idle_timeout = Duration::try_from_secs_f64(arguments.idle_timeout_secs)
        .context("invalid value for `--idle-timeout-secs`")?;
    let ready = arguments.ready_fd.map(inherited).transpose()?;
    detach(directory)?;
    crate::log_file::start_tracing(LogFile::open(&directory.join("daemon.log"))?);
    rustls_provider();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .thread_name("runlane-daemon")
        .worker_threads(WORKER_THREADS)
        .enable_all()
        .build()
        .context("cannot start the daemon's threads")?;
    let outcome = runtime.block_on(serve(directory, idle_timeout, ready));
    // Every run is written out. A sampler may hang in a file system or a driver for ever.
    runtime.shutdown_timeout(LAST_THREADS_TIMEOUT);
    outcome
}

async fn serve(
    directory: &Path,
    idle_timeout: Duration,
    ready: Option<OwnedFd>,
) -> anyhow::Result<ExitCode> {
    let listener = match listener::bind(directory) {
        Ok(listener) => listener,
        Err(BindError::Running(path)) => {
            tracing::info!(path = %path.display(), "another daemon is listening already");
            announce(ready)?;
            return Ok(ExitCode::SUCCESS);
        }
        Err(error) => {
            tracing::error!(%error, "the daemon cannot listen");
            return Err(error.into());
        }
    };
    tracing::info!(
        version = runlane_daemon::VERSION,
        pid = std::process::id(),
        "the daemon listens"
    );
    announce(ready)?;
    let (stop_sender, stop) = watch::channel(false);
    let mut terminate = signal(SignalKind::terminate()).context("cannot watch for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot watch for SIGINT")?;
    let signals = tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        // An error means that the daemon has ended by itself.
        stop_sender.send(true).ok();
    });
    let options = runlane_daemon::Options {
        runtime_dir: directory.to_owned(),
        idle_timeout,
        give_back_memory: allocator::give_back,
    };
    runlane_daemon::serve(options, listener, stop).await;
    signals.abort();
    Ok(ExitCode::SUCCESS)
}

/// One thread waits for everybody: a second one would be woken for each small batch, which costs more than the batch.
/// What takes long goes through `block_in_place`, which hands the waiting over to another thread meanwhile.
const WORKER_THREADS: usize = 1;
/// How long threads that block are waited for at the end.
const LAST_THREADS_TIMEOUT: Duration = Duration::from_secs(2);

/// reqwest is built without a TLS provider of its own.
pub(crate) fn rustls_provider() {
    if rustls::crypto::ring::default_provider()
        .install_default()
        .is_err()
    {
        tracing::debug!("a TLS provider was installed already");
    }
}

/// Takes over the descriptor that the parent left open for us.
pub(crate) fn inherited(descriptor: RawFd) -> anyhow::Result<OwnedFd> {
    anyhow::ensure!(
        descriptor > 2,
        "invalid value for `--ready-fd`: {descriptor}"
    );
    anyhow::ensure!(
        std::fs::metadata(format!("/dev/fd/{descriptor}")).is_ok(),
        "descriptor {descriptor} of `--ready-fd` is not open"
    );
    // SAFETY: checked to be open above; the parent left it for this process alone, and nothing else here knows its
    // number, so that there is no second owner.
    #[expect(unsafe_code, reason = "a descriptor arrives as a number")]
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

fn announce(ready: Option<OwnedFd>) -> anyhow::Result<()> {
    let Some(ready) = ready else { return Ok(()) };
    match File::from(ready).write_all(b"1") {
        // The starter did not wait for us; that is its own affair.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        result => result.context("cannot write to the descriptor of `--ready-fd`"),
    }
}

/// Leaves the starter's session and terminal: neither its Ctrl-C nor its end reaches the daemon.
fn detach(directory: &Path) -> anyhow::Result<()> {
    // A process that leads a group already keeps its session.
    rustix::process::setsid().ok();
    let null = File::open("/dev/null").context("cannot open `/dev/null`")?;
    rustix::stdio::dup2_stdin(&null).context("cannot detach standard input")?;
    let log = OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(directory.join("daemon.log"))
        .context("cannot open the daemon's log")?;
    rustix::stdio::dup2_stdout(&log).context("cannot detach standard output")?;
    rustix::stdio::dup2_stderr(&log).context("cannot detach standard error")?;
    // No file system is kept from being unmounted.
    std::env::set_current_dir("/").context("cannot leave the working directory")?;
    Ok(())
}
