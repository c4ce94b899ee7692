//! Takes pending jobs from the store, a few at a time, and sees each through to its end.
//!
//! ```text
//! submit ──► JobStore ◄──claim── claimer ──spawns──► attempt ──► Runner
//!               ▲ ▲                                     │
//!               │ └─────────────settle──────────────────┘
//!               └──heartbeat, recover── keeper ──stop──► attempt's token
//! ```
//! One task claims and one keeps the claims; each attempt is a task of its own and the only one that
//! settles its job. Every decision comes from the store, so a crash, a restart and a normal run are one
//! path: whatever was running is taken back at the next start, or by another process when the heartbeats
//! stop.

mod attempt;
mod claim;
mod claimer;
mod keeper;
mod logbook;
mod retry;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use self::attempt::{Running, Stop};
use super::seat::Seats;
use super::{CancelOutcome, Clock, Job, JobPage, JobQuery, JobStatus, JobStore, NewJob, Owner, Runner};
use crate::error::Result;
use crate::id::{JobId, ProviderName};
use crate::progress::Progress;

/// How long a runner may take to return after its token fired before its task is dropped.
const STOP_PATIENCE: Duration = Duration::from_secs(10);

/// How long a drain goes on trying to write what became of the jobs, beyond `STOP_PATIENCE`.
const SETTLE_PATIENCE: Duration = Duration::from_secs(5);

/// How the manager works.
#[derive(Debug, Clone)]
pub struct JobManagerConfig {
    /// Jobs that run at one time.
    pub max_concurrent: usize,
    /// Jobs that may wait beside them for their turn at a source (see [`JobContext::wait_aside`]).
    ///
    /// [`JobContext::wait_aside`]: super::JobContext::wait_aside
    pub max_waiting: usize,
    /// How often a job is tried again after failures that a retry can help.
    pub retry_attempts: u32,
    /// The wait before the first retry; doubled for each further one, up to five minutes, give or take a
    /// quarter.
    pub retry_delay: Duration,
    /// The longest an attempt may take.
    pub job_timeout: Option<Duration>,
    /// How often claims are renewed and progress is saved.
    pub heartbeat: Duration,
    /// After how long without a heartbeat a job is taken from its owner. Several times `heartbeat`.
    pub silence: Duration,
    /// The store is this process's alone: whatever runs in it at the start is taken back at once.
    pub exclusive: bool,
    /// How often to look for jobs that somebody else submitted.
    pub poll: Duration,
    /// Where the time comes from; the store's clock.
    pub clock: Clock,
    /// The providers that jobs run here may have; any if `None`.
    pub providers: Option<BTreeSet<ProviderName>>,
    /// The labels that jobs run here may want.
    pub labels: BTreeSet<String>,
    /// Start without claiming anything, until [`JobManager::set_paused`] says otherwise.
    pub paused: bool,
}

impl Default for JobManagerConfig {
    fn default() -> Self {
        JobManagerConfig {
            max_concurrent: 2,
            max_waiting: 256,
            retry_attempts: 3,
            retry_delay: Duration::from_secs(5),
            job_timeout: None,
            heartbeat: Duration::from_secs(5),
            silence: Duration::from_secs(30),
            exclusive: false,
            poll: Duration::from_secs(1),
            clock: Clock::system(),
            providers: None,
            labels: BTreeSet::new(),
            paused: false,
        }
    }
}

/// How often and how long jobs are tried that do not say so themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retries {
    /// Further attempts after failures that a retry can help.
    pub attempts: u32,
    /// The wait before the first of them.
    pub delay: Duration,
    /// The longest an attempt may take.
    pub job_timeout: Option<Duration>,
}

impl From<&JobManagerConfig> for Retries {
    fn from(config: &JobManagerConfig) -> Self {
        Retries {
            attempts: config.retry_attempts,
            delay: config.retry_delay,
            job_timeout: config.job_timeout,
        }
    }
}

/// What a drain left behind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DrainReport {
    /// Jobs that ended, well or not.
    pub ended: Vec<JobId>,
    /// Jobs that are pending again.
    pub requeued: Vec<JobId>,
    /// Jobs whose end could not be written; the next start takes them back.
    pub abandoned: Vec<JobId>,
}

/// Runs the jobs of a store. A cheap handle: clones are the same manager.
///
/// When the last handle is dropped nothing more is claimed, and what runs goes on to its end;
/// [`drain`](Self::drain) waits for that.
#[derive(Debug, Clone)]
pub struct JobManager {
    inner: Arc<Inner>,
    _last_handle: Arc<DropGuard>,
}

#[derive(Debug)]
struct Inner {
    store: Arc<dyn JobStore>,
    runner: Arc<dyn Runner>,
    config: JobManagerConfig,
    retries: Mutex<Retries>,
    owner: Owner,
    paused: AtomicBool,
    running: Mutex<HashMap<JobId, Arc<Running>>>,
    seats: Seats,
    drained: Mutex<Option<DrainReport>>,
    /// Held while jobs are claimed and entered into `running`, so that nobody sees one without the other.
    claiming: tokio::sync::Mutex<()>,
    /// There may be something to claim, or room for it.
    wake: Notify,
    /// Nothing more is claimed.
    stopping: CancellationToken,
    /// Ends that could not be written so far are given up.
    abandon: CancellationToken,
    /// The claimer and the attempts.
    work: TaskTracker,
    /// The keeper, which outlives them.
    keeping: TaskTracker,
}

impl JobManager {
    /// Takes back what earlier owners left running, then starts to claim.
    ///
    /// # Errors
    /// Whatever the store fails with; nothing was started then.
    pub async fn start(
        store: Arc<dyn JobStore>,
        runner: Arc<dyn Runner>,
        config: JobManagerConfig,
    ) -> Result<JobManager> {
        let paused = AtomicBool::new(config.paused);
        let seats = Seats::new(config.max_concurrent.max(1));
        let inner = Arc::new(Inner {
            seats,
            retries: Mutex::new(Retries::from(&config)),
            store,
            runner,
            config,
            owner: Owner::unique(),
            paused,
            running: Mutex::default(),
            drained: Mutex::default(),
            claiming: tokio::sync::Mutex::default(),
            wake: Notify::new(),
            stopping: CancellationToken::new(),
            abandon: CancellationToken::new(),
            work: TaskTracker::new(),
            keeping: TaskTracker::new(),
        });
        inner.recover(inner.config.exclusive).await?;
        let guard = Arc::new(inner.stopping.clone().drop_guard());
        inner.work.spawn(claimer::run(inner.clone()));
        inner.work.close();
        inner.keeping.spawn(keeper::run(inner.clone()));
        inner.keeping.close();
        Ok(JobManager { inner, _last_handle: guard })
    }

    /// Accepts jobs, all or none.
    ///
    /// # Errors
    /// `Conflict` for an identifier that exists already.
    pub async fn submit(&self, jobs: Vec<NewJob>) -> Result<Vec<Job>> {
        let accepted = self.inner.store.submit(jobs).await?;
        self.inner.wake.notify_one();
        Ok(accepted)
    }

    /// Asks for a job to stop. One that runs here learns of it at once, one that runs elsewhere by its
    /// owner's next heartbeat.
    ///
    /// # Errors
    /// `NotFound` for an unknown job.
    pub async fn cancel(&self, id: &JobId) -> Result<CancelOutcome> {
        let outcome = self.inner.store.cancel(id).await?;
        match outcome {
            CancelOutcome::Requested => {
                // A claim that was just made is not yet in the map.
                drop(self.inner.claiming.lock().await);
                if let Some(running) = self.inner.running().get(id) {
                    running.stop(Stop::User);
                }
            }
            CancelOutcome::Cancelled => attempt::discard(&self.inner, id.clone()),
            CancelOutcome::AlreadyEnded(_) => {}
        }
        Ok(outcome)
    }

    /// A job, with its progress of this moment if it runs here.
    ///
    /// # Errors
    /// Whatever the store fails with.
    pub async fn get(&self, id: &JobId) -> Result<Option<Job>> {
        let mut job = self.inner.store.get(id).await?;
        if let Some(job) = &mut job {
            self.inner.freshen(job);
        }
        Ok(job)
    }

    /// A page of jobs, with the progress of this moment of those that run here.
    ///
    /// # Errors
    /// `NotFound` if `query.before` names no job.
    pub async fn list(&self, query: &JobQuery) -> Result<JobPage> {
        let mut page = self.inner.store.list(query).await?;
        for job in &mut page.jobs {
            self.inner.freshen(job);
        }
        Ok(page)
    }

    /// Follows a job's progress, if it runs here. The channel closes when the attempt ends.
    pub fn watch_progress(&self, id: &JobId) -> Option<watch::Receiver<Progress>> {
        self.inner.running().get(id).map(|running| running.progress.subscribe())
    }

    /// How far the jobs that run here are.
    pub fn progress_of_running(&self) -> Vec<(JobId, Progress)> {
        self.inner.running().iter().map(|(id, running)| (id.clone(), running.progress.now())).collect()
    }

    /// The store behind it.
    pub fn store(&self) -> &Arc<dyn JobStore> {
        &self.inner.store
    }

    /// This start of this process, as the store knows it.
    pub fn owner(&self) -> &Owner {
        &self.inner.owner
    }

    /// Stops claiming, or begins again. What runs goes on.
    pub fn set_paused(&self, paused: bool) {
        self.inner.paused.store(paused, Ordering::SeqCst);
        self.inner.wake.notify_one();
    }

    /// True if nothing is claimed.
    pub fn is_paused(&self) -> bool {
        self.inner.paused.load(Ordering::SeqCst)
    }

    /// Changes how often and how long jobs are tried that do not say so themselves; attempts that are under way go on
    /// as they began.
    pub fn set_retries(&self, retries: Retries) {
        *self.inner.retries.lock().expect("no holder of this lock panics") = retries;
    }

    /// How it works, as it was started.
    pub fn config(&self) -> &JobManagerConfig {
        &self.inner.config
    }

    /// How many jobs run here.
    pub fn running(&self) -> usize {
        self.inner.running().len()
    }

    /// Stops claiming, gives running jobs `grace` to end, then interrupts the others, which are pending
    /// again afterwards, and waits for their runners (at most 16 seconds more).
    ///
    /// # Cancel safety
    /// Dropped half way, the manager goes on to stop; a further call waits for the rest.
    pub async fn drain(&self, grace: Duration) -> DrainReport {
        let inner = &self.inner;
        inner.drained.lock().expect("no holder of this lock panics").get_or_insert_default();
        inner.stopping.cancel();
        if timeout(grace, inner.work.wait()).await.is_err() {
            for running in inner.running().values() {
                running.stop(Stop::Drain);
            }
            if timeout(STOP_PATIENCE + SETTLE_PATIENCE, inner.work.wait()).await.is_err() {
                inner.abandon.cancel();
                // Only a runner that blocks its thread is still there after this.
                let _ = timeout(Duration::from_secs(1), inner.work.wait()).await;
            }
        }
        inner.keeping.wait().await;
        let mut report =
            inner.drained.lock().expect("no holder of this lock panics").clone().unwrap_or_default();
        report.abandoned.extend(inner.running().keys().cloned());
        report
    }
}

impl Inner {
    fn retries(&self) -> Retries {
        *self.retries.lock().expect("no holder of this lock panics")
    }

    fn running(&self) -> MutexGuard<'_, HashMap<JobId, Arc<Running>>> {
        self.running.lock().expect("no holder of this lock panics")
    }

    /// Takes back what its owners no longer run; with `everything`, whatever is not this owner's.
    async fn recover(self: &Arc<Self>, everything: bool) -> Result<()> {
        let silence = if everything { Duration::ZERO } else { self.config.silence };
        let taken_back = self.store.recover(&self.owner, silence).await?;
        for id in &taken_back {
            tracing::warn!(job = %id, "the process that ran this job is gone; the job was taken back");
            attempt::discard(self, id.clone());
        }
        if !taken_back.is_empty() {
            self.wake.notify_one();
        }
        Ok(())
    }

    fn freshen(&self, job: &mut Job) {
        if job.status != JobStatus::Running {
            return;
        }
        if let Some(running) = self.running().get(&job.id).filter(|running| running.attempt == job.attempt) {
            job.progress = running.progress.now();
        }
    }
}
