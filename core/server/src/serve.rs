//! A server from start to end.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;

use crate::artifacts::commits::Commits;
use crate::artifacts::sweep;
use crate::auth::hosts::AllowedHosts;
use crate::auth::{login, token};
use crate::blobs::multipart::Joins;
use crate::clock::{Clock, SystemClock};
use crate::config::ServerConfig;
use crate::error::{ServerError, StoreError};
use crate::filestream::Ingest;
use crate::graphql;
use crate::history::cache::HistoryCache;
use crate::history::compact;
use crate::instance::{
    Credentials, DataDirLock, Registration, RegistryEntry, create_data_dir, credentials_path,
    read_credentials, write_credentials,
};
use crate::limits::Limits;
use crate::listen;
use crate::live::LiveHub;
use crate::rate::RateLimiter;
use crate::routes::router;
use crate::run_table::RunTables;
use crate::signer::Signer;
use crate::state::{AppState, Inner};
use crate::store::accounts::{self, Account};
use crate::store::database::{Exclusive, exclude_others};
use crate::store::users::{self, NewUser};
use crate::store::{Objects, Store};
use crate::upkeep::Upkeep;

/// A server that is bound and ready to serve.
pub struct Server {
    listener: TcpListener,
    router: axum::Router,
    store: Store,
    tasks: Vec<JoinHandle<()>>,
    limits: Limits,
    draining: watch::Sender<bool>,
    closing: watch::Sender<bool>,
    grace: Duration,
    base_url: String,
    sign_in_url: String,
    credentials: Credentials,
    upkeep: Upkeep,
    clock: Arc<dyn Clock>,
    live: LiveHub,
    // Dropped last: the directory stays locked until everything is closed.
    _registry: Option<RegistryEntry>,
    _lock: DataDirLock,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Server")
            .field("base_url", &self.base_url)
            .finish_non_exhaustive()
    }
}

impl Server {
    /// Takes the data directory, opens (or creates) the store, binds the address and announces the server.
    ///
    /// # Errors
    /// Another server has the directory, the address is taken, or the store cannot be opened.
    pub async fn start(config: ServerConfig) -> Result<Self, ServerError> {
        Self::start_with_clock(config, Arc::new(SystemClock)).await
    }

    /// As [`Server::start`], with a clock of the caller's.
    pub async fn start_with_clock(
        config: ServerConfig,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, ServerError> {
        create_data_dir(&config.data_dir)?;
        let mut lock = DataDirLock::take(&config.data_dir)?;
        let address = SocketAddr::new(config.host, config.port);
        let unbound = |source| ServerError::Bind {
            address: address.to_string(),
            source,
        };
        let listener = TcpListener::bind(address).await.map_err(unbound)?;
        let bound = listener.local_addr().map_err(unbound)?;
        let base_url = public_url(&config, bound)?;
        let objects = Objects::open(&config.objects, &config.data_dir).await?;
        let database = config.database_url.as_ref();
        let store = Store::open(&config.data_dir, database, objects).await?;
        if store.leftover_age().is_zero() {
            // Nothing is served yet, so no upload is in progress.
            Upkeep::remove_leftovers(&store).await?;
        }
        let now = clock.now_micros();
        let (owner, credentials) = ensure_owner(&store, &config, now).await?;
        let secret = {
            let mut writer = store.writer().await?;
            let secret = accounts::server_secret(&mut writer, "signed-urls").await?;
            writer.commit().await.map_err(StoreError::from)?;
            secret
        };
        let link = login::new_link_token(&store, owner.user_id, now).await?;
        let live = LiveHub::new();
        let (ingest, ingest_task) = Ingest::start(&store, &clock, &live);
        let (draining, drains) = watch::channel(false);
        let (closing, closed) = watch::channel(false);
        let limits = config.limits.clone();
        let state = AppState::new(Inner {
            store: store.clone(),
            clock: Arc::clone(&clock),
            ingest,
            live: live.clone(),
            history: HistoryCache::new(config.column_cache_bytes),
            max_history_parts: config.max_history_parts,
            run_tables: RunTables::new(config.run_table_bytes),
            signer: Signer::new(secret),
            joins: Joins::default(),
            commits: Commits::default(),
            schema: graphql::schema(),
            hosts: AllowedHosts::new(
                config.host,
                &config.allowed_hosts,
                config.public_url.as_deref(),
            ),
            public_url: config.public_url.as_ref().map(|_| base_url.clone()),
            web_dir: config.web_dir.clone(),
            told: parking_lot::Mutex::default(),
            unknown: graphql::unknown::Unknown::default(),
            bodies: Arc::new(Semaphore::new(limits.bodies_bytes)),
            work: Arc::new(Semaphore::new(limits.work_bytes)),
            rate: RateLimiter::new(limits.requests_per_sec, limits.burst_secs),
            limits: limits.clone(),
            draining: drains,
            closing: closed,
        });
        lock.announce(&base_url)?;
        let registry = match &config.registry_path {
            None => None,
            Some(path) => Some(RegistryEntry::write(
                path,
                Registration {
                    base_url: base_url.clone(),
                    pid: std::process::id(),
                    data_dir: config.data_dir.clone(),
                    credentials: credentials_path(&config.data_dir),
                },
            )?),
        };
        Ok(Self {
            listener,
            router: router(state),
            limits,
            draining,
            closing,
            grace: config.shutdown_grace,
            sign_in_url: format!("{base_url}/login?token={link}"),
            base_url,
            credentials,
            upkeep: Upkeep {
                interval: config.sweep_interval,
                heartbeat_timeout: config.heartbeat_timeout,
                compact_lines: config.compact_lines,
                content_grace: config.unused_content_grace,
                started_at_micros: now,
            },
            tasks: vec![ingest_task],
            store,
            clock,
            live,
            _registry: registry,
            _lock: lock,
        })
    }

    /// Where the server answers, without a slash at the end.
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// The address that is bound.
    pub fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// A sign-in link for a browser, valid once, for ten minutes.
    pub fn sign_in_url(&self) -> &str {
        &self.sign_in_url
    }

    /// Name and key of the single user.
    pub fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// The HTTP surface, for embedding it and for tests that need no socket.
    pub fn router(&self) -> axum::Router {
        self.router.clone()
    }

    /// Does now what `serve` does from time to time: gives up silent runs and moves long tails of history into
    /// Parquet objects. How many runs were given up, how many objects written.
    pub async fn upkeep_now(&self) -> Result<(usize, usize), ServerError> {
        let now = self.clock.now_micros();
        let given_up = self
            .upkeep
            .give_up_silent(&self.store, now, &self.live)
            .await?;
        let written = compact::run_once(&self.store, self.upkeep.compact_lines).await?;
        Ok((given_up, written))
    }

    /// Does now what `serve` does once an hour: removes what no version of an artifact needs any more. How many contents, and how many
    /// objects in all.
    pub async fn collect_now(&self) -> Result<(usize, usize), ServerError> {
        let now = self.clock.now_micros();
        let collected = self.upkeep.collect(&self.store, now).await?;
        Ok((collected.blobs, collected.objects))
    }

    /// Does now what `serve` does now and then: deletes versions of artifacts whose time is over. How many.
    pub async fn sweep_now(&self) -> Result<usize, ServerError> {
        Ok(sweep::sweep(&self.store, self.clock.as_ref(), &self.live).await?)
    }

    /// Serves until `shutdown` resolves; then `/ready` says so, no connection is taken any more, event streams end, open requests
    /// finish within the grace period, and the store is closed.
    pub async fn serve(
        mut self,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(), ServerError> {
        self.tasks.push(tokio::spawn(self.upkeep.run(
            self.store.clone(),
            Arc::clone(&self.clock),
            self.live.clone(),
            self.closing.subscribe(),
        )));
        let linked = self
            .live
            .follow_others(self.store.clone(), self.closing.subscribe());
        self.tasks.push(tokio::spawn(linked));
        let (draining, closing) = (self.draining.clone(), self.closing.clone());
        let drain_time = self.limits.drain_time;
        let stopping = async move {
            shutdown.await;
            draining.send_replace(true);
            tokio::time::sleep(drain_time).await;
            closing.send_replace(true);
        };
        let (mut grace_begins, grace) = (self.closing.subscribe(), self.grace);
        let overdue = async move {
            // An error means that the sender is gone, which ends the wait just as well.
            drop(grace_begins.wait_for(|closing| *closing).await);
            tokio::time::sleep(grace).await;
        };
        let serving = listen::serve(
            self.listener,
            self.router,
            self.limits,
            self.draining.subscribe(),
            self.closing.subscribe(),
        );
        tokio::select! {
            ((), ()) = async { tokio::join!(serving, stopping) } => {}
            () = overdue => tracing::warn!(grace_secs = grace.as_secs(), "open requests were cut off"),
        }
        self.closing.send_replace(true);
        for task in self.tasks {
            if tokio::time::timeout(grace, task).await.is_err() {
                tracing::warn!("a background task did not end in time");
            }
        }
        // A request that was cut off may still hold a connection; the write-ahead log does not mind.
        if tokio::time::timeout(grace, self.store.close())
            .await
            .is_err()
        {
            tracing::warn!("the database was left with open connections");
        }
        Ok(())
    }
}

/// Starts a server and serves until `shutdown` resolves.
pub async fn serve(
    config: ServerConfig,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), ServerError> {
    Server::start(config).await?.serve(shutdown).await
}

fn public_url(config: &ServerConfig, bound: SocketAddr) -> Result<String, ServerError> {
    if let Some(url) = &config.public_url {
        let parsed = url::Url::parse(url)
            .map_err(|error| ServerError::Config(format!("public URL `{url}`: {error}")))?;
        if !matches!(parsed.scheme(), "http" | "https") {
            return Err(ServerError::Config(format!(
                "public URL `{url}` is not http or https"
            )));
        }
        return Ok(url.trim_end_matches('/').to_owned());
    }
    // An address that stands for all interfaces is no address to go to.
    let host = match bound.ip() {
        ip if ip.is_unspecified() => "localhost".to_owned(),
        std::net::IpAddr::V4(ip) => ip.to_string(),
        std::net::IpAddr::V6(ip) => format!("[{ip}]"),
    };
    Ok(format!("http://{host}:{}", bound.port()))
}

/// The first user and its key, made at first start. The key in the credentials file is valid, whatever the database
/// knew before: whoever can write that file owns the server.
async fn ensure_owner(
    store: &Store,
    config: &ServerConfig,
    now_micros: i64,
) -> Result<(Account, Credentials), ServerError> {
    let mut writer = store.writer().await?;
    exclude_others(&mut writer, Exclusive::FirstUser).await?;
    let found = accounts::owner(&mut writer).await?;
    let owner = if let Some(owner) = found {
        owner
    } else {
        runlane_model::limits::check_entity(&config.username)
            .map_err(|error| ServerError::Config(error.to_string()))?;
        let user = NewUser {
            username: &config.username,
            email: &format!("{}@localhost", config.username),
            admin: true,
        };
        users::create(&mut writer, &user, now_micros).await?;
        accounts::owner(&mut writer)
            .await?
            .ok_or_else(|| StoreError::Damaged("the owner is missing".into()))?
    };
    let credentials = if let Some(credentials) = read_credentials(&config.data_dir)? {
        credentials
    } else {
        let credentials = Credentials {
            username: owner.username.clone(),
            entity: owner.entity.clone(),
            api_key: token::new_api_key(),
        };
        write_credentials(&config.data_dir, &credentials)?;
        credentials
    };
    accounts::add_api_key(
        &mut writer,
        owner.user_id,
        &credentials.api_key,
        "local",
        now_micros,
    )
    .await?;
    writer.commit().await.map_err(StoreError::from)?;
    Ok((owner, credentials))
}
