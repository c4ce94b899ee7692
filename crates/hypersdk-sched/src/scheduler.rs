//! Fires schedules when their time comes, and sees each firing through to its end.
//!
//! ```text
//! clock ──► due ──account──► ScheduleStore ──pending──► launch ──► Launcher
//!                               ▲                         │
//!                               └──start, miss, end───────┘◄── ends of jobs (event log)
//! ```
//! One task owns what is in memory and never waits for the store or the launcher: that is done by tasks of
//! their own, whose results come back to it. It sleeps until the next time is due, and never longer than a
//! second, since a clock that is set or a machine that was asleep tells nobody.
//!
//! Every decision is made by the store in one write. What is in memory is only a hint of when to ask, so any
//! number of schedulers may share a store, and one that was killed is continued by whoever looks next.

mod fire;
mod run;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use hypersdk_core::{Clock, Error, ErrorKind, EventLog, Owner, Result, ScheduleId};
use tokio::sync::{Mutex, Semaphore, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::firing::Firing;
use crate::launcher::Launcher;
use crate::schedule::{NewSchedule, Schedule, ScheduleSpec};
use crate::store::ScheduleStore;

/// Commands that may wait for the scheduler before callers wait.
const COMMANDS: usize = 256;

/// How long somebody who triggers a schedule waits for its jobs to be accepted.
const TRIGGER_PATIENCE: Duration = Duration::from_secs(20);

/// How the scheduler works.
#[derive(Debug, Clone)]
pub struct SchedulerConfig {
    /// Where the time comes from; the store's clock.
    pub clock: Clock,
    /// A time that is noticed later than this has gone by unused, which `catch_up` is for.
    pub grace: Duration,
    /// How often to look what others have done to the store.
    pub look: Duration,
    /// After how long without a word a firing is taken from whoever was starting it.
    pub silence: Duration,
    /// How long it is tried to start a firing whose failures a retry can help.
    pub patience: Duration,
    /// The longest one try may take.
    pub try_timeout: Duration,
    /// The store is this process's alone: what is being started in it at the start is taken over at once.
    pub exclusive: bool,
    /// Firings that are started at one time.
    pub concurrent: usize,
}

impl Default for SchedulerConfig {
    fn default() -> Self {
        SchedulerConfig {
            clock: Clock::system(),
            grace: Duration::from_secs(60),
            look: Duration::from_secs(5),
            silence: Duration::from_secs(30),
            patience: Duration::from_secs(15 * 60),
            try_timeout: Duration::from_secs(120),
            exclusive: false,
            concurrent: 16,
        }
    }
}

/// Fires the schedules of a store. A cheap handle: clones are the same scheduler.
#[derive(Debug, Clone)]
pub struct Scheduler {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    store: Arc<dyn ScheduleStore>,
    jobs: Arc<dyn EventLog>,
    launcher: Arc<dyn Launcher>,
    config: SchedulerConfig,
    owner: Owner,
    commands: mpsc::Sender<Command>,
    /// Writes that account for times, at one time.
    accounts: Semaphore,
    launches: Semaphore,
    stopping: CancellationToken,
    task: Mutex<Option<JoinHandle<()>>>,
}

/// What others tell the task.
#[derive(Debug)]
enum Command {
    /// The schedule was added, changed or removed.
    Reload(ScheduleId),
    /// A firing was added; what became of it is to be told.
    Track(Firing, oneshot::Sender<Firing>),
}

impl Scheduler {
    /// Loads the schedules and begins to fire them. `jobs` is the log in which the ends of jobs are written.
    ///
    /// # Errors
    /// Whatever the store fails with; nothing was started then.
    pub async fn start(
        store: Arc<dyn ScheduleStore>,
        jobs: Arc<dyn EventLog>,
        launcher: Arc<dyn Launcher>,
        config: SchedulerConfig,
    ) -> Result<Scheduler> {
        let (commands, received) = mpsc::channel(COMMANDS);
        let inner = Arc::new(Inner {
            store,
            jobs,
            launcher,
            owner: Owner::unique(),
            commands,
            accounts: Semaphore::new(64),
            launches: Semaphore::new(config.concurrent.max(1)),
            stopping: CancellationToken::new(),
            task: Mutex::default(),
            config,
        });
        let run = run::Run::load(Arc::clone(&inner)).await?;
        tracing::info!("loaded {} schedules", run.len());
        *inner.task.lock().await = Some(tokio::spawn(run.run(received)));
        Ok(Scheduler { inner })
    }

    /// The store behind it.
    pub fn store(&self) -> &Arc<dyn ScheduleStore> {
        &self.inner.store
    }

    /// The clock it goes by.
    pub fn clock(&self) -> &Clock {
        &self.inner.config.clock
    }

    /// Adds a schedule.
    ///
    /// # Errors
    /// `Conflict` if the identifier exists.
    pub async fn create(&self, new: NewSchedule) -> Result<Schedule> {
        let schedule = self.inner.store.create_schedule(new).await?;
        self.tell(Command::Reload(schedule.id.clone())).await;
        Ok(schedule)
    }

    /// Changes a schedule: see [`ScheduleStore::change_schedule`].
    ///
    /// # Errors
    /// `NotFound` for an unknown schedule, `Conflict` if it is at another revision.
    pub async fn change(
        &self,
        id: &ScheduleId,
        spec: Option<ScheduleSpec>,
        enabled: Option<bool>,
        revision: Option<i64>,
    ) -> Result<Schedule> {
        let schedule = self.inner.store.change_schedule(id, spec, enabled, revision).await?;
        self.tell(Command::Reload(id.clone())).await;
        Ok(schedule)
    }

    /// Removes a schedule: see [`ScheduleStore::remove_schedule`]. Jobs that it started go on.
    ///
    /// # Errors
    /// `NotFound` for an unknown schedule, `Conflict` if it is at another revision.
    pub async fn remove(&self, id: &ScheduleId, revision: Option<i64>) -> Result<()> {
        self.inner.store.remove_schedule(id, revision).await?;
        self.tell(Command::Reload(id.clone())).await;
        Ok(())
    }

    /// Fires a schedule now, whatever its times say, and waits a while for its jobs to be accepted.
    ///
    /// # Errors
    /// `NotFound` for an unknown schedule, `Conflict` if its last run goes on and it allows no other.
    pub async fn trigger(&self, id: &ScheduleId) -> Result<Firing> {
        if self.inner.stopping.is_cancelled() {
            return Err(Error::new(ErrorKind::Unavailable, "trigger schedule", "the scheduler is stopping"));
        }
        let firing = self.inner.store.trigger(&self.inner.owner, id).await?;
        let (reply, answer) = oneshot::channel();
        self.tell(Command::Track(firing.clone(), reply)).await;
        Ok(match tokio::time::timeout(TRIGGER_PATIENCE, answer).await {
            Ok(Ok(firing)) => firing,
            // It goes on; whoever asked can look again.
            _ => firing,
        })
    }

    /// Stops firing and waits a few seconds for what is just being started.
    pub async fn stop(&self) {
        self.inner.stopping.cancel();
        if let Some(task) = self.inner.task.lock().await.take()
            && let Err(error) = task.await
        {
            tracing::error!(%error, "the scheduler died");
        }
    }

    async fn tell(&self, command: Command) {
        // A scheduler that has stopped needs to know nothing more.
        let _ = self.inner.commands.send(command).await;
    }
}
