//! `runlane-core server`: start, stop, status, env, link.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::net::IpAddr;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use runlane_server::{
    DatabaseUrl, Environment, Limits, ObjectsPlace, Server, ServerConfig, Status,
};
use serde::Deserialize;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// A server that has not answered by then has failed to start.
const START_TIMEOUT: Duration = Duration::from_secs(30);
/// Open requests get ten seconds; the rest is for the store.
const STOP_TIMEOUT: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(20);
const DATABASE_VARIABLE: &str = "RUNLANE_DATABASE_URL";
/// Exit status of `status` when no server runs, as init scripts have it.
const NOT_RUNNING: u8 = 3;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Serve until interrupted, or in the background with `--detach`.
    Start(Box<Start>),
    /// End the server of a data directory.
    Stop(DataDir),
    /// Say whether a server runs on a data directory; exit status 3 if not.
    Status(DataDir),
    /// Print `export` lines for a shell that wants to use the server, with runlane or with wandb.
    Env(DataDir),
    /// Print a sign-in link, valid once, for ten minutes.
    Link(DataDir),
}

#[derive(Debug, clap::Args)]
struct DataDir {
    /// Directory of the database, the objects and the credentials.
    #[arg(long)]
    data_dir: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
struct Start {
    #[command(flatten)]
    data_dir: DataDir,
    /// Address to bind.
    #[arg(long, default_value = "127.0.0.1")]
    host: IpAddr,
    /// Port to bind; 0 picks a free one.
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// Directory of the built web app; by default the one beside the binary.
    #[arg(long)]
    web_dir: Option<PathBuf>,
    /// File in which to announce the running server to this user's clients.
    #[arg(long)]
    registry: Option<PathBuf>,
    /// Host name, beside the bound address and loopback, under which the server may be addressed; may be repeated.
    #[arg(long = "allowed-host", value_name = "HOST")]
    allowed_hosts: Vec<String>,
    /// URL under which clients reach the server, if it is not that of the bound address.
    #[arg(long)]
    public_url: Option<String>,
    /// Name of the user and the default entity of a new data directory; by default the login name.
    #[arg(long)]
    username: Option<String>,
    /// Where run files and Parquet history are kept: a directory, or `s3://BUCKET/PREFIX` with the credentials of
    /// `RUNLANE_S3_ACCESS_KEY_ID` and `RUNLANE_S3_SECRET_ACCESS_KEY` (or the usual `AWS_…` variables) and, where it is not
    /// Amazon's, `RUNLANE_S3_ENDPOINT`; by default `objects` in the data directory.
    #[arg(long, value_name = "PLACE", env = "RUNLANE_OBJECTS")]
    objects: Option<ObjectsPlace>,
    /// Requests a second that one API key may make, with ten seconds' worth saved up; 0 means any number.
    #[arg(long, value_name = "N", default_value_t = Limits::default().requests_per_sec)]
    rate_limit: u32,
    /// Open connections at the same time.
    #[arg(long, value_name = "N", default_value_t = Limits::default().connections)]
    max_connections: usize,
    /// Seconds for the head of a request, from its first byte.
    #[arg(long, value_name = "SECS", default_value_t = Limits::default().head_time.as_secs(), value_parser = clap::value_parser!(u64).range(1..))]
    head_timeout_secs: u64,
    /// Seconds for which a client may pause within a body, or take nothing of an answer.
    #[arg(long, value_name = "SECS", default_value_t = Limits::default().body_idle.as_secs(), value_parser = clap::value_parser!(u64).range(1..))]
    stall_timeout_secs: u64,
    /// Seconds for which a connection may stay open between requests.
    #[arg(long, value_name = "SECS", default_value_t = Limits::default().idle_time.as_secs(), value_parser = clap::value_parser!(u64).range(1..))]
    idle_timeout_secs: u64,
    /// Seconds for which `/ready` says 503 before a stopping server closes its door, for load balancers.
    #[arg(long, value_name = "SECS", default_value_t = 0, value_parser = clap::value_parser!(u64).range(..=15))]
    drain_secs: u64,
    /// PostgreSQL database to use in place of the embedded one: `postgres://USER:PASSWORD@HOST:PORT/DATABASE`. A password
    /// on the command line can be seen by other users of the machine: put the URL into `RUNLANE_DATABASE_URL`.
    #[arg(
        long,
        value_name = "URL",
        env = "RUNLANE_DATABASE_URL",
        hide_env_values = true
    )]
    database: Option<String>,
    /// Seconds without a heartbeat after which a running run counts as crashed.
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..))]
    heartbeat_timeout_secs: u64,
    /// Return when the server answers, and leave it running.
    #[arg(long)]
    detach: bool,
}

pub(crate) fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    match arguments.action {
        Action::Start(start) if start.detach => start_detached(&start),
        Action::Start(start) => start_here(*start),
        Action::Stop(place) => stop(&place.resolve()?),
        Action::Status(place) => status(&place.resolve()?),
        Action::Env(place) => print_environment(&place.resolve()?),
        Action::Link(place) => {
            let link = runtime()?.block_on(sign_in_link(&runlane_server::environment(
                &place.resolve()?,
            )?))?;
            say(&link);
            Ok(ExitCode::SUCCESS)
        }
    }
}

impl DataDir {
    /// The directory given, else `~/.local/share/runlane/server`; absolute.
    fn resolve(&self) -> anyhow::Result<PathBuf> {
        let path = match &self.data_dir {
            Some(path) => path.clone(),
            None => std::env::home_dir()
                .context("cannot tell the home directory: give `--data-dir`")?
                .join(".local/share/runlane/server"),
        };
        std::path::absolute(&path)
            .with_context(|| format!("invalid data directory `{}`", path.display()))
    }
}

impl Start {
    fn config(&self) -> anyhow::Result<ServerConfig> {
        let username = self.username.clone().unwrap_or_else(login_name);
        let defaults = ServerConfig::new(self.data_dir.resolve()?, username);
        // Not by clap, whose error would repeat the text.
        let database: Option<DatabaseUrl> = self.database.as_deref().map(str::parse).transpose()?;
        Ok(ServerConfig {
            host: self.host,
            port: self.port,
            web_dir: self.web_dir.clone().or_else(web_dir_beside_binary),
            allowed_hosts: self.allowed_hosts.clone(),
            public_url: self.public_url.clone(),
            registry_path: self.registry.clone(),
            database_url: database,
            heartbeat_timeout: Duration::from_secs(self.heartbeat_timeout_secs),
            // Who wants to know soon is told soon.
            sweep_interval: defaults
                .sweep_interval
                .min(Duration::from_secs(self.heartbeat_timeout_secs) / 2),
            objects: self.objects.clone().unwrap_or_default(),
            limits: Limits {
                requests_per_sec: self.rate_limit,
                connections: self.max_connections,
                head_time: Duration::from_secs(self.head_timeout_secs),
                body_idle: Duration::from_secs(self.stall_timeout_secs),
                write_idle: Duration::from_secs(self.stall_timeout_secs),
                idle_time: Duration::from_secs(self.idle_timeout_secs),
                drain_time: Duration::from_secs(self.drain_secs),
                ..Limits::default()
            },
            ..defaults
        })
    }
}

/// The login name, or a neutral one where it is no valid entity name.
fn login_name() -> String {
    ["USER", "LOGNAME"]
        .into_iter()
        .filter_map(|variable| std::env::var(variable).ok())
        .find(|name| runlane_model::limits::check_entity(name).is_ok())
        .unwrap_or_else(|| "me".to_owned())
}

/// The wheel puts `_web` beside `_bin`.
fn web_dir_beside_binary() -> Option<PathBuf> {
    let binary = std::env::current_exe().ok()?;
    let web = binary.parent()?.parent()?.join("_web");
    web.join("index.html").is_file().then_some(web)
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .thread_name("runlane-server")
        .enable_all()
        .build()
        .context("cannot start the server's threads")
}

fn start_here(start: Start) -> anyhow::Result<ExitCode> {
    let filter = EnvFilter::try_from_env("RUNLANE_LOG")
        .unwrap_or_else(|_unset| EnvFilter::new("info,sqlx=warn"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .init();
    if !start.host.is_loopback() {
        tracing::warn!(host = %start.host, "the server can be reached from other machines, without TLS: put a TLS proxy before it");
    }
    crate::allocator::bound_arenas();
    runtime()?.block_on(async move {
        // Before anything is announced: a signal from now on ends the server in order.
        let mut terminate = signal(SignalKind::terminate()).context("cannot watch for SIGTERM")?;
        let mut interrupt = signal(SignalKind::interrupt()).context("cannot watch for SIGINT")?;
        let server = Server::start(start.config()?).await?;
        say(&format!("runlane server at {}", server.base_url()));
        say(&format!("sign in: {}", server.sign_in_url()));
        server
            .serve(async move {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
            })
            .await?;
        Ok(ExitCode::SUCCESS)
    })
}

/// Runs this program again without `--detach`, in a session of its own, and waits until it answers.
fn start_detached(start: &Start) -> anyhow::Result<ExitCode> {
    let data_dir = start.data_dir.resolve()?;
    if let Status::Running { base_url, .. } = runlane_server::status(&data_dir)? {
        bail!(
            "a server runs on `{}` already, at {base_url}",
            data_dir.display()
        );
    }
    let mut child = spawn_detached(start, &data_dir)?;
    let environment = wait_until_running(&mut child, &data_dir)?;
    let link = runtime()?.block_on(async {
        wait_until_ready(&environment).await?;
        sign_in_link(&environment).await
    })?;
    say(&format!("runlane server at {}", environment.base_url));
    say(&format!("sign in: {link}"));
    Ok(ExitCode::SUCCESS)
}

fn spawn_detached(start: &Start, data_dir: &Path) -> anyhow::Result<Child> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(data_dir)
        .with_context(|| format!("cannot create data directory `{}`", data_dir.display()))?;
    let log_path = data_dir.join("server.log");
    let log = OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(&log_path)
        .with_context(|| format!("cannot open `{}`", log_path.display()))?;
    let binary = std::env::current_exe().context("cannot tell the path of this program")?;
    let words = std::env::args_os()
        .skip(1)
        .filter(|word| word != "--detach");
    let words = without_database(words);
    // A process group of its own: neither Ctrl-C nor the end of the terminal reaches it.
    Command::new(binary)
        .args(words)
        .envs(start.database.iter().map(|url| (DATABASE_VARIABLE, url)))
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(
            log.try_clone()
                .context("cannot share the log's descriptor")?,
        )
        .stderr(log)
        .spawn()
        .context("cannot start the server")
}

/// Arguments without the database's URL, which goes through the environment: it may have a password in it.
fn without_database(words: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut kept = Vec::new();
    let mut skips_value = false;
    for word in words {
        if std::mem::take(&mut skips_value) {
            continue;
        }
        skips_value = word == "--database";
        if !skips_value && !word.to_string_lossy().starts_with("--database=") {
            kept.push(word);
        }
    }
    kept
}

fn wait_until_running(child: &mut Child, data_dir: &Path) -> anyhow::Result<Environment> {
    let began = Instant::now();
    loop {
        if let Some(ended) = child.try_wait().context("cannot watch the server")? {
            let log = data_dir.join("server.log");
            let last = std::fs::read_to_string(&log).unwrap_or_default();
            let reason = last
                .lines()
                .rev()
                .find(|line| !line.trim().is_empty())
                .unwrap_or_default()
                .to_owned();
            bail!(
                "the server ended at once ({ended}): {reason}\nhint: see `{}`",
                log.display()
            );
        }
        if let Status::Running { base_url, .. } = runlane_server::status(data_dir)?
            && !base_url.is_empty()
        {
            return Ok(runlane_server::environment(data_dir)?);
        }
        if began.elapsed() > START_TIMEOUT {
            bail!(
                "the server did not start within {} s",
                START_TIMEOUT.as_secs()
            );
        }
        std::thread::sleep(POLL);
    }
}

async fn wait_until_ready(environment: &Environment) -> anyhow::Result<()> {
    let client = http_client()?;
    let began = Instant::now();
    loop {
        let answer = client
            .get(format!("{}/ready", environment.base_url))
            .send()
            .await;
        if answer.is_ok_and(|answer| answer.status().is_success()) {
            return Ok(());
        }
        if began.elapsed() > START_TIMEOUT {
            bail!(
                "the server at {} is not ready after {} s",
                environment.base_url,
                START_TIMEOUT.as_secs()
            );
        }
        tokio::time::sleep(POLL).await;
    }
}

/// A fresh one-time link from the running server.
async fn sign_in_link(environment: &Environment) -> anyhow::Result<String> {
    #[derive(Deserialize)]
    struct Link {
        url: String,
    }
    let answer = http_client()?
        .post(format!("{}/api/login-links", environment.base_url))
        .basic_auth("api", Some(&environment.api_key))
        .send()
        .await
        .with_context(|| format!("cannot reach the server at {}", environment.base_url))?
        .error_for_status()
        .context("the server gives no sign-in link")?;
    let link: Link =
        serde_json::from_slice(&answer.bytes().await?).context("the sign-in link is malformed")?;
    Ok(link.url)
}

/// Our own server on this machine: no proxy, and no patience beyond a few seconds.
fn http_client() -> anyhow::Result<reqwest::Client> {
    crate::daemon::rustls_provider();
    reqwest::Client::builder()
        .no_proxy()
        .timeout(Duration::from_secs(10))
        .build()
        .context("cannot set up HTTP")
}

fn stop(data_dir: &Path) -> anyhow::Result<ExitCode> {
    let pid = runlane_server::stop(data_dir, STOP_TIMEOUT)?;
    say(&format!("runlane server (process {pid}) has ended"));
    Ok(ExitCode::SUCCESS)
}

fn status(data_dir: &Path) -> anyhow::Result<ExitCode> {
    match runlane_server::status(data_dir)? {
        Status::Running { pid, base_url } => {
            say(&format!(
                "runlane server runs at {base_url} (process {pid}, data in `{}`)",
                data_dir.display()
            ));
            Ok(ExitCode::SUCCESS)
        }
        Status::Stopped => {
            say(&format!(
                "no runlane server runs on `{}`",
                data_dir.display()
            ));
            Ok(ExitCode::from(NOT_RUNNING))
        }
    }
}

fn print_environment(data_dir: &Path) -> anyhow::Result<ExitCode> {
    let Environment { base_url, api_key } = runlane_server::environment(data_dir)?;
    say(&format!("export WANDB_BASE_URL={base_url}"));
    say(&format!("export WANDB_API_KEY={api_key}"));
    Ok(ExitCode::SUCCESS)
}

#[expect(clippy::print_stdout, reason = "the command's own output")]
fn say(line: &str) {
    println!("{line}");
}
