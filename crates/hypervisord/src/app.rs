//! The daemon put together: [`App::build`] wires and binds, [`App::run`] serves until a signal,
//! [`App::run_until`] until another program says so.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use axum::Router;
use futures::FutureExt;
use futures::future::BoxFuture;
use hypersdk_core::{JobManager, JobManagerConfig, ProviderRegistry, Seq};
use hypersdk_export::{ExportConfig, ExportRunner};
use hypersdk_sched::{Scheduler, SchedulerConfig};
use hypersdk_store::{Database, DatabaseLocation};
use hypersdk_webhook::{Deliverer, DelivererConfig, Vault};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::api::{self, Access, ApiState};
use crate::auth::Auth;
use crate::config::{Config, HistoryConfig};
use crate::export_root::ExportRoot;
use crate::history;
use crate::metrics::{self, Metrics};
use crate::nodes::{Identity, Nodes};
use crate::orphans::Orphans;
use crate::readiness::{Readiness, Stage};
use crate::reload::{self, Reload};
use crate::retention::{Keeper, Remover};
use crate::scheduling::JobLauncher;
use crate::server::{self, Limits, Tls};
use crate::shutdown;
use crate::signals::{Request, Signals};
use crate::submission::{OutputDir, Submission};
use crate::systemd;

/// How many heartbeats, which also save progress, fit in the time after which a daemon is taken for dead.
const HEARTBEATS: u32 = 6;
/// How many jobs may wait for their turn at a source beside those that run.
const MAX_WAITING: usize = 256;
/// How often to look for pending jobs without being told.
const POLL: Duration = Duration::from_secs(2);

/// Requests an address may send in a minute, unless the daemon is for this machine alone.
const REQUESTS_PER_MINUTE: u32 = 6000;

/// The daemon, wired and bound, not serving yet.
pub struct App {
    pub(crate) listener: TcpListener,
    pub(crate) addr: SocketAddr,
    pub(crate) router: Router,
    pub(crate) tls: Option<Tls>,
    pub(crate) limits: Limits,
    /// What exports may take.
    pub(crate) politeness: hypersdk_export::Limits,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) parts: Parts,
    /// Removes what exports left behind, now and then.
    pub(crate) sweep: BoxFuture<'static, ()>,
}

/// What a stop takes down, in its order.
pub(crate) struct Parts {
    pub(crate) readiness: Readiness,
    pub(crate) stopping: CancellationToken,
    pub(crate) scheduler: Scheduler,
    pub(crate) keeper: Keeper,
    pub(crate) manager: JobManager,
    pub(crate) webhooks: Deliverer,
    pub(crate) providers: Arc<ProviderRegistry>,
    pub(crate) database: Database,
    pub(crate) drain_grace: Duration,
    pub(crate) nodes: Nodes,
    pub(crate) history: HistoryConfig,
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App").field("addr", &self.addr).finish_non_exhaustive()
    }
}

impl App {
    /// Binds the address, opens the database, connects what is configured (lazily), and takes back jobs
    /// that an earlier process left running.
    ///
    /// # Errors
    /// The address is taken, the database cannot be opened or is another daemon's, or a provider refuses
    /// its configuration.
    pub async fn build(config: Config) -> anyhow::Result<App> {
        for warning in &config.warnings {
            tracing::warn!("{warning}");
        }
        let listener = server::bind(&config.daemon_addr)
            .await
            .with_context(|| format!("listen on {}", config.daemon_addr))?;
        let addr = listener.local_addr()?;
        let access = Arc::new(open_access(&config)?);
        let tls = config.tls.clone().map(Tls::open).transpose()?;
        let limits = Limits {
            connections: server::make_room(config.server.max_connections as usize),
            head: config.server.header_timeout,
            ..Limits::default()
        };
        let database = open_database(&config.database).await?;
        let providers = Arc::new(open_providers(&config)?);
        let politeness = hypersdk_export::Limits::new(config.caps, config.bandwidth.clone());
        let export =
            ExportConfig { download_workers: config.download_workers as usize, ..ExportConfig::default() };
        let runner = Arc::new(ExportRunner::with_limits(Arc::clone(&providers), export, politeness.clone()));
        // Before anything is taken back: what follows from here on is told.
        let told_from = *database.jobs().latest().borrow();
        let manager = JobManager::start(database.jobs(), runner, manager_config(&config, &database))
            .await
            .context("start the job manager")?;
        let webhooks = start_webhooks(&config, &database, &manager, told_from).await?;
        let metrics = Arc::new(Metrics::new());
        let identity = Identity {
            name: config.node_name.clone().unwrap_or_else(|| node_name(addr)),
            address: addr.to_string(),
            providers: providers.instances().map(|instance| instance.name.clone()).collect(),
            labels: config.labels.clone(),
            started_at: chrono::Utc::now(),
        };
        let nodes = Nodes::new(database.nodes(), manager.clone(), identity);
        // Before the first job is claimed: a pause outlives a restart.
        nodes.report().await.context("report this daemon to the others")?;
        let readiness = Readiness::starting();
        let stopping = CancellationToken::new();
        let export_root = ExportRoot::new(config.export_root);
        let checks: Vec<Arc<dyn crate::submission::Check>> =
            vec![Arc::new(OutputDir::new(export_root.clone()))];
        let submission = Submission::new(manager.clone(), Arc::clone(&providers), checks);
        let launcher = JobLauncher::new(submission.clone(), manager.clone(), api::read_template);
        let scheduler = Scheduler::start(
            database.schedules(),
            database.events(),
            launcher,
            SchedulerConfig {
                clock: database.clock(),
                silence: config.claim_timeout,
                exclusive: !database.is_shared(),
                ..SchedulerConfig::default()
            },
        )
        .await
        .context("start the scheduler")?;
        let orphans = Orphans::new(Arc::clone(&providers), Arc::clone(manager.store()));
        let remover = Remover::new(
            database.packages(),
            export_root.clone(),
            nodes.name().to_owned(),
            !database.is_shared(),
        );
        let keeper = Keeper::new(remover, database.schedules(), database.audit());
        let router = api::router(ApiState {
            limits: politeness.clone(),
            orphans: orphans.clone(),
            submission,
            manager: manager.clone(),
            scheduler: scheduler.clone(),
            keeper: keeper.clone(),
            providers: Arc::clone(&providers),
            export_root,
            nodes: nodes.clone(),
            dashboard: config.dashboard,
            readiness: readiness.clone(),
            started: Instant::now(),
            access,
            audit: database.audit(),
            replays: database.replays(),
            metrics: Arc::clone(&metrics),
            database: Some(database.clone()),
            webhooks: webhooks.clone(),
            webhook_allow_private: config.webhooks.allow_private,
            stopping: stopping.clone(),
        });
        let drain_grace = config.drain_grace;
        let sweep = orphans.sweep(config.orphan_sweep_interval, stopping.clone()).boxed();
        let parts = Parts {
            readiness,
            stopping,
            scheduler,
            keeper,
            manager,
            webhooks,
            providers,
            database,
            drain_grace,
            nodes,
            history: config.history,
        };
        Ok(App { listener, addr, router, tls, limits, politeness, metrics, parts, sweep })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.addr
    }

    /// Serves until SIGTERM or SIGINT, then takes everything down in order.
    ///
    /// # Errors
    /// A second signal came before that was done.
    pub async fn run(self, mut signals: Signals, reload: Reload) -> anyhow::Result<()> {
        let addr = self.addr;
        let (mut serving, reloaded) = self.serve();
        let mut reload = reload.and(reloaded);
        let closing = serving.closing.clone();
        serving.tasks.spawn(systemd::feed_watchdog(closing.clone()));
        systemd::ready(addr);
        while signals.next().await == Request::Reload {
            reload.run().await;
        }
        serving.parts.drain_grace = reload.drain_grace();
        // Its handles are let go of before everything is taken down.
        drop(reload);
        systemd::stopping();
        let stopped = tokio::select! {
            () = serving.stop() => Ok(()),
            () = signals.stop() => Err(anyhow::anyhow!("stopped at once by a second signal")),
        };
        closing.cancel();
        stopped
    }

    /// Serves until `stop` is ready, then takes everything down in order: for a daemon inside another program, whose
    /// own affair signals, logs and systemd are. Nothing is reloaded.
    ///
    /// # Cancel safety
    /// Not to be dropped before it ends: what serves would go on, and running jobs would not be put back.
    pub async fn run_until(self, stop: impl Future<Output = ()>) {
        let (serving, reloaded) = self.serve();
        stop.await;
        drop(reloaded);
        serving.stop().await;
    }

    /// Begins to serve.
    fn serve(self) -> (Serving, reload::Parts) {
        let App { listener, addr, router, tls, limits, politeness, metrics, parts, sweep } = self;
        let (history, kept) = watch::channel(parts.history.clone());
        let reloaded = reload::Parts {
            tls: tls.clone(),
            limits: politeness,
            manager: parts.manager.clone(),
            webhooks: parts.webhooks.clone(),
            history,
        };
        let scheme = if tls.is_some() { "https" } else { "http" };
        let closing = CancellationToken::new();
        let tasks = TaskTracker::new();
        let server = tasks.spawn(server::serve(listener, router, tls, limits, parts.stopping.clone()));
        let store = Arc::clone(parts.manager.store());
        tasks.spawn(metrics::follow(metrics, store, parts.stopping.clone()));
        tasks.spawn(sweep);
        tasks.spawn(parts.nodes.clone().keep_reporting(closing.clone()));
        tasks.spawn(history::run(parts.database.clone(), kept, parts.stopping.clone()));
        tasks.spawn(parts.keeper.clone().run(parts.database.events(), parts.stopping.clone()));
        tasks.close();
        parts.readiness.set(Stage::Ready);
        tracing::info!(%addr, "listening on {scheme}://{addr}");
        (Serving { parts, server, tasks, closing }, reloaded)
    }
}

/// A daemon that serves.
struct Serving {
    parts: Parts,
    server: JoinHandle<()>,
    tasks: TaskTracker,
    /// Ends what goes on until everything else has.
    closing: CancellationToken,
}

impl Serving {
    /// Takes everything down in order.
    async fn stop(self) {
        shutdown::stop(self.parts, self.server).await;
        self.closing.cancel();
        self.tasks.wait().await;
    }
}

/// A name that is the same after a restart and another for every daemon of a machine.
fn node_name(addr: SocketAddr) -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = host.trim();
    format!("{}:{}", if host.is_empty() { "localhost" } else { host }, addr.port())
}

async fn open_database(location: &DatabaseLocation) -> anyhow::Result<Database> {
    Database::open(location).await.map_err(|error| {
        let advice = error.advice().map(|advice| format!("; {advice}")).unwrap_or_default();
        anyhow::anyhow!("open database {location}: {}{advice}", error.chain())
    })
}

fn open_access(config: &Config) -> anyhow::Result<Access> {
    let auth = config.auth.as_ref().map(Auth::open).transpose()?;
    let is_local = config.daemon_addr.is_loopback();
    // Where nobody has to prove who they are, only pages of this machine's own names may ask.
    let hosts = (auth.is_none() && is_local).then(|| config.server.allowed_hosts.clone());
    let per_minute =
        config.server.requests_per_minute.unwrap_or(if is_local { 0 } else { REQUESTS_PER_MINUTE });
    Ok(Access { auth, hosts, rate: Access::per_minute(per_minute) })
}

async fn start_webhooks(
    config: &Config,
    database: &Database,
    manager: &JobManager,
    told_from: Seq,
) -> anyhow::Result<Deliverer> {
    let vault = config.webhooks.secret_key_file.as_deref().map(Vault::open).transpose()?;
    let parts = hypersdk_webhook::Parts {
        store: database.deliveries(),
        log: database.jobs(),
        configured: config.webhooks.endpoints.clone(),
        vault,
        progress: Some(Arc::new(api::JobProgress(manager.clone()))),
        shape: Arc::new(api::shaped_data),
    };
    let settings = DelivererConfig {
        // A SQLite store locks its file.
        exclusive: !database.is_shared(),
        clock: database.clock(),
        progress_interval: config.webhooks.progress_interval,
        ..DelivererConfig::default()
    };
    let webhooks = Deliverer::start(parts, settings, told_from).await.context("start webhooks")?;
    tracing::info!(webhooks = webhooks.endpoints().len(), "loaded {} webhooks", webhooks.endpoints().len());
    Ok(webhooks)
}

fn open_providers(config: &Config) -> anyhow::Result<ProviderRegistry> {
    let mut registry = ProviderRegistry::new();
    registry.register("vsphere", hypersdk_vsphere::factory);
    for provider in &config.providers {
        registry.open(provider.name.clone(), &provider.provider_type, &provider.to_value())?;
    }
    if config.providers.is_empty() {
        tracing::warn!("no vCenter is configured: set vcenter_url, username and password");
    }
    Ok(registry)
}

fn manager_config(config: &Config, database: &Database) -> JobManagerConfig {
    JobManagerConfig {
        max_concurrent: config.max_concurrent_jobs as usize,
        max_waiting: MAX_WAITING,
        retry_attempts: config.retry_attempts,
        retry_delay: config.retry_delay,
        job_timeout: config.timeout,
        heartbeat: config.claim_timeout / HEARTBEATS,
        silence: config.claim_timeout,
        exclusive: !database.is_shared(),
        poll: POLL,
        clock: database.clock(),
        providers: Some(config.providers.iter().map(|provider| provider.name.clone()).collect()),
        labels: config.labels.clone(),
        // Until the store has said whether this daemon is paused.
        paused: true,
    }
}
