//! Takes events from the log to whoever wants them.
//!
//! ```text
//! EventLog ──read_after── enqueuer ──advance──► DeliveryStore ◄──report── settler ◄── 1024 ──┐
//!                            │                    ▲                                          │
//!                            └── wake ──► dispatcher ── claim                                │
//!                                             │ a task an attempt, some at once              │
//!                                             └──────────────► attempt ── HTTP ──────────────┘
//! ```
//! The enqueuer moves a saved cursor over the log and adds deliveries in the same write. The dispatcher
//! claims what is due and keeps to each endpoint's pace. The settler writes what came of attempts, many at
//! once. A keeper prolongs claims and takes back those of daemons that died. Everything is decided from the
//! store, so a crash, a restart and a normal run are one path.

mod attempt;
mod dispatcher;
mod enqueuer;
mod keeper;
mod settler;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use hypersdk_core::{Clock, Error, ErrorKind, Event, EventLog, JobId, Owner, Result, Seq};
use serde_json::{Value, json};
use tokio::sync::{Notify, mpsc};
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::client::Client;
use crate::delivery::{Answer, DeliveryId};
use crate::directory::Directory;
use crate::endpoint::{Endpoint, EndpointId, EndpointSpec, Origin};
use crate::filter::TEST;
use crate::payload::Message;
use crate::stats::{Counters, WebhookStats};
use crate::store::DeliveryStore;
use crate::vault::Vault;

/// How long a secret that was replaced signs beside the new one.
const ROTATION: Duration = Duration::from_secs(24 * 3600);
/// Reports that may wait for the settler.
const REPORTS: usize = 1024;

/// How the deliverer works.
#[derive(Debug, Clone)]
pub struct DelivererConfig {
    /// Attempts to one endpoint at once.
    pub per_endpoint: usize,
    /// Attempts at once beside the first of each endpoint, which always has its place.
    pub shared: usize,
    /// Deliveries of one endpoint that are claimed ahead.
    pub ahead: usize,
    /// How long a claim holds without being prolonged.
    pub lease: Duration,
    /// The store is this process's alone: whatever is claimed at the start is taken back at once.
    pub exclusive: bool,
    /// How often to look for what others have added.
    pub poll: Duration,
    /// How often a running job's progress is told to whoever wants it.
    pub progress_interval: Duration,
    /// How long delivered deliveries are kept.
    pub keep_delivered: Duration,
    /// How long dead ones are.
    pub keep_dead: Duration,
    /// Where the time comes from; the store's clock.
    pub clock: Clock,
}

impl Default for DelivererConfig {
    fn default() -> Self {
        DelivererConfig {
            per_endpoint: 32,
            shared: 96,
            ahead: 256,
            lease: Duration::from_secs(30),
            exclusive: false,
            poll: Duration::from_secs(1),
            progress_interval: Duration::from_secs(5),
            keep_delivered: Duration::from_secs(7 * 24 * 3600),
            keep_dead: Duration::from_secs(30 * 24 * 3600),
            clock: Clock::system(),
        }
    }
}

/// A job's progress of this moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The job.
    pub job: JobId,
    /// What is told: the job's data with its progress.
    pub data: Value,
}

/// Knows the progress of running jobs.
#[async_trait]
pub trait ProgressSource: fmt::Debug + Send + Sync + 'static {
    /// The progress of every job that runs in this process and that the store says is running.
    async fn sample(&self) -> Result<Vec<Sample>>;
}

/// What the deliverer is put together from.
pub struct Parts {
    /// Keeps endpoints and deliveries.
    pub store: Arc<dyn DeliveryStore>,
    /// The log of events.
    pub log: Arc<dyn EventLog>,
    /// The endpoints of the configuration.
    pub configured: Vec<Endpoint>,
    /// What secrets of the API's endpoints are sealed with.
    pub vault: Option<Vault>,
    /// Where progress is from.
    pub progress: Option<Arc<dyn ProgressSource>>,
    /// Puts an event's data into the words of the API.
    pub shape: Arc<dyn Fn(&Event) -> Value + Send + Sync>,
}

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts").field("store", &self.store).finish_non_exhaustive()
    }
}

/// Delivers. A cheap handle: clones are the same deliverer, which stops claiming when the last one is dropped.
#[derive(Debug, Clone)]
pub struct Deliverer {
    inner: Arc<Inner>,
    _last_handle: Arc<DropGuard>,
}

struct Inner {
    config: DelivererConfig,
    store: Arc<dyn DeliveryStore>,
    log: Arc<dyn EventLog>,
    progress: Option<Arc<dyn ProgressSource>>,
    shape: Arc<dyn Fn(&Event) -> Value + Send + Sync>,
    directory: Directory,
    client: Client,
    owner: Owner,
    counters: Counters,
    /// There may be something to claim, or endpoints have changed.
    wake: Notify,
    /// Nothing more is claimed or begun.
    stopping: CancellationToken,
    /// Attempts are given up.
    abandon: CancellationToken,
    /// Everything but the settler and the keeper.
    work: TaskTracker,
    /// Those two, which outlive it.
    writing: TaskTracker,
    /// The keeper ends.
    done: CancellationToken,
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inner").field("owner", &self.owner).finish_non_exhaustive()
    }
}

impl Deliverer {
    /// Reads the endpoints, takes back what an earlier process had claimed, and begins to deliver. If there
    /// is no cursor yet it begins at `start`, before whatever is to be delivered first.
    ///
    /// # Errors
    /// Whatever the store fails with, or TLS cannot be set up; nothing was started then.
    pub async fn start(parts: Parts, config: DelivererConfig, start: Seq) -> Result<Deliverer> {
        let Parts { store, log, configured, vault, progress, shape } = parts;
        let owner = Owner::unique();
        let cursor = store.cursor(start).await?;
        store.take_back(&owner, config.exclusive).await?;
        let directory = Directory::open(store.clone(), vault, configured).await?;
        if config.exclusive {
            give_up_others(&*store, &directory).await?;
        }
        let client = Client::new(config.per_endpoint)?;
        let inner = Arc::new(Inner {
            config,
            store,
            log,
            progress,
            shape,
            directory,
            client,
            owner,
            counters: Counters::default(),
            wake: Notify::new(),
            stopping: CancellationToken::new(),
            abandon: CancellationToken::new(),
            work: TaskTracker::new(),
            writing: TaskTracker::new(),
            done: CancellationToken::new(),
        });
        let (reports, received) = mpsc::channel(REPORTS);
        let guard = Arc::new(inner.stopping.clone().drop_guard());
        inner.work.spawn(enqueuer::run(inner.clone(), cursor));
        inner.work.spawn(dispatcher::run(inner.clone(), reports));
        inner.work.close();
        inner.writing.spawn(settler::run(inner.clone(), received));
        inner.writing.spawn(keeper::run(inner.clone()));
        inner.writing.close();
        Ok(Deliverer { inner, _last_handle: guard })
    }

    /// Every endpoint, those of the configuration first.
    pub fn endpoints(&self) -> Vec<Arc<Endpoint>> {
        self.inner.directory.current().endpoints.clone()
    }

    /// An endpoint.
    pub fn endpoint(&self, id: &str) -> Option<Arc<Endpoint>> {
        self.inner.directory.current().find(id).cloned()
    }

    /// The store behind it.
    pub fn store(&self) -> &Arc<dyn DeliveryStore> {
        &self.inner.store
    }

    /// What was done since the start.
    pub fn stats(&self) -> WebhookStats {
        self.inner.counters.read()
    }

    /// Keeps a new endpoint. It gets events from now on.
    ///
    /// # Errors
    /// `Conflict` if there is one of this name, `Invalid` if it has secrets and there is no key for them.
    pub async fn create(&self, id: Option<EndpointId>, spec: EndpointSpec) -> Result<Arc<Endpoint>> {
        let id = id.unwrap_or_else(EndpointId::generate);
        if self.endpoint(id.as_str()).is_some() {
            let message = format!("there is a webhook {id} already");
            return Err(Error::new(ErrorKind::Conflict, "create webhook", message));
        }
        let now = self.inner.config.clock.now();
        let endpoint = Endpoint {
            id,
            origin: Origin::Api,
            spec,
            created_at: now,
            updated_at: now,
            version: 1,
            halt: None,
        };
        self.keep(endpoint).await
    }

    /// Puts `spec` in the place of what the endpoint was, with `version` only if it is still at that one, and ends
    /// its halt. A secret that changes goes on to sign beside the new one for a day.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` for one of the configuration, or if it has been changed meanwhile; `Invalid`
    /// as [`create`](Self::create).
    pub async fn replace(
        &self,
        id: &str,
        mut spec: EndpointSpec,
        version: Option<i64>,
    ) -> Result<Arc<Endpoint>> {
        let current = self.own(id, "change webhook")?;
        still_at(&current, version, "change webhook")?;
        let now = self.inner.config.clock.now();
        if spec.previous.is_none() && spec.secret.is_some() {
            spec.previous = if spec.secret == current.spec.secret {
                current.spec.previous.clone()
            } else {
                current.spec.secret.clone().map(|secret| (secret, Some(now + ROTATION)))
            };
        }
        let (created_at, version) = (current.created_at, current.version + 1);
        let id = current.id.clone();
        self.keep(Endpoint {
            id,
            origin: Origin::Api,
            spec,
            created_at,
            updated_at: now,
            version,
            halt: None,
        })
        .await
    }

    async fn keep(&self, endpoint: Endpoint) -> Result<Arc<Endpoint>> {
        let row = self.inner.directory.sealed(&endpoint)?;
        self.inner.store.put_endpoint(row).await?;
        self.changed().await?;
        Ok(Arc::new(endpoint))
    }

    /// Removes an endpoint and every delivery to it, with `version` only if it is still at that one.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` for one of the configuration, or if it has been changed meanwhile.
    pub async fn remove(&self, id: &str, version: Option<i64>) -> Result<()> {
        let current = self.own(id, "remove webhook")?;
        if version.is_some() {
            still_at(&current, version, "remove webhook")?;
            // The store compares versions when it keeps an endpoint, so another daemon's change is found out here.
            let mut spec = current.spec.clone();
            spec.enabled = false;
            self.keep(Endpoint { spec, version: current.version + 1, ..Endpoint::clone(&current) }).await?;
        }
        self.inner.store.remove_endpoint(&current.id).await?;
        self.changed().await
    }

    /// Ends the halt of an endpoint that had answered 410.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn resume(&self, id: &str) -> Result<Arc<Endpoint>> {
        let current = self.find(id, "resume webhook")?;
        self.inner.store.halt(&current.id, None).await?;
        self.changed().await?;
        self.find(id, "resume webhook")
    }

    /// Makes one attempt with an event of its own, now, whatever state the endpoint is in.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn test(&self, id: &str) -> Result<(DeliveryId, DateTime<Utc>, Value, Answer)> {
        let endpoint = self.find(id, "test webhook")?;
        let now = self.inner.config.clock.now();
        let data = json!({ "webhook_id": endpoint.id, "message": "a test delivery, asked for by hand" });
        let delivery = DeliveryId::generate();
        let message = Message { id: delivery.as_str(), event: TEST, time: now, data: &data };
        let answer = self.inner.client.send(&endpoint.spec, &message, now).await;
        if let Some(error) = &answer.error {
            tracing::warn!(webhook = %endpoint.id, target = %endpoint.spec.shown_origin(), event = TEST,
                "webhook delivery failed: {error}");
        }
        Ok((delivery, now, data, answer))
    }

    /// Has the store looked at again: deliveries were added, or are to be sent again.
    pub fn wake(&self) {
        self.inner.wake.notify_one();
    }

    /// Begins nothing more and gives attempts `grace` to end; then they are given up and made again after the
    /// next start. Everything is written when this returns.
    pub async fn drain(&self, grace: Duration) -> WebhookStats {
        let inner = &self.inner;
        inner.stopping.cancel();
        if timeout(grace, inner.work.wait()).await.is_err() {
            inner.abandon.cancel();
            inner.work.wait().await;
        }
        inner.done.cancel();
        inner.writing.wait().await;
        self.stats()
    }

    /// Puts these in the place of the endpoints of the configuration. New ones get events from now on; deliveries to
    /// those that are gone are given up, if the store is this process's alone.
    ///
    /// # Errors
    /// Whatever the store fails with; called again, it goes on from there.
    pub async fn configure(&self, configured: Vec<Endpoint>) -> Result<()> {
        self.inner.directory.configure(configured);
        self.changed().await?;
        if self.inner.config.exclusive {
            give_up_others(&*self.inner.store, &self.inner.directory).await?;
        }
        Ok(())
    }

    async fn changed(&self) -> Result<()> {
        self.inner.directory.reload().await?;
        self.inner.wake.notify_one();
        Ok(())
    }

    fn find(&self, id: &str, operation: &'static str) -> Result<Arc<Endpoint>> {
        self.endpoint(id).ok_or_else(|| {
            Error::new(
                ErrorKind::NotFound,
                operation,
                format!("there is no webhook {id:?}; GET /webhooks lists them"),
            )
        })
    }

    /// An endpoint of the API.
    fn own(&self, id: &str, operation: &'static str) -> Result<Arc<Endpoint>> {
        let endpoint = self.find(id, operation)?;
        if endpoint.origin == Origin::Config {
            let message = format!("webhook {id} stands in the configuration");
            return Err(Error::new(ErrorKind::Conflict, operation, message).with_advice("change it there"));
        }
        Ok(endpoint)
    }
}

/// Gives up deliveries to endpoints that are neither configured nor in the store.
async fn give_up_others(store: &dyn DeliveryStore, directory: &Directory) -> Result<()> {
    let cause = "its webhook has been removed from the configuration";
    let given_up = store.give_up_others(&directory.current().ids(), cause).await?;
    if given_up > 0 {
        tracing::warn!(given_up, "deliveries to webhooks that are no longer configured were given up");
    }
    Ok(())
}

fn still_at(endpoint: &Endpoint, version: Option<i64>, operation: &'static str) -> Result<()> {
    if version.is_none_or(|version| version == endpoint.version) {
        return Ok(());
    }
    let message = format!("the webhook {} was changed meanwhile", endpoint.id);
    Err(Error::new(ErrorKind::Conflict, operation, message)
        .with_advice("look at it again before you change it"))
}
