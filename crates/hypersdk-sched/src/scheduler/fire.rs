//! What takes time: writing down which times have come, starting jobs, writing down how they ended.

use std::sync::Arc;
use std::time::Duration;

use hypersdk_core::{Error, ErrorKind, Result, ScheduleId};

use super::Inner;
use crate::firing::{Firing, FiringKey, FiringState, RunEnd, Step};
use crate::launcher::Standing;
use crate::schedule::Schedule;

/// The first and the longest wait between two tries.
const WAITS: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(60));

/// What a task comes back with.
#[derive(Debug)]
pub(super) enum Done {
    /// Times were dealt with, by us (with the firings that came of it) or by another.
    Accounted {
        id: ScheduleId,
        result: Result<(Option<Schedule>, Vec<Firing>)>,
    },
    /// A firing was started, missed, or left to another (`None`).
    Launched {
        key: FiringKey,
        result: Option<(Firing, Schedule)>,
    },
    /// How the jobs of a run stand; or how it ended.
    Stands {
        key: FiringKey,
        standing: Standing,
    },
    Ended {
        key: FiringKey,
        result: Option<(Firing, Schedule)>,
    },
    /// What there is in the store.
    Looked {
        changed: i64,
        open: Vec<Firing>,
        schedules: Option<Vec<Schedule>>,
        tracked: u64,
    },
    /// The store could not be read.
    LookFailed,
    /// A schedule as it stands, or that it is gone.
    Reloaded {
        id: ScheduleId,
        schedule: Option<Schedule>,
    },
    /// Nothing to be told.
    Nothing,
}

impl Inner {
    /// Deals with the times of a schedule that have come.
    pub(super) async fn account(self: Arc<Self>, schedule: Schedule) -> Done {
        let id = schedule.id.clone();
        let _permit = self.accounts.acquire().await.expect("the semaphore is never closed");
        let result = async {
            let now = self.config.clock.now();
            let Some(accounting) = schedule.due(now, self.config.grace) else {
                return Ok((Some(schedule), Vec::new()));
            };
            match self.store.account(&self.owner, accounting).await? {
                Some((schedule, firings)) => Ok((Some(schedule), firings)),
                None => Ok((self.store.schedule(&schedule.id).await?, Vec::new())),
            }
        }
        .await;
        Done::Accounted { id, result }
    }

    /// Takes a firing that waits, or that nobody speaks for any more, and starts it.
    pub(super) async fn take_over(self: Arc<Self>, firing: Firing, silence: Duration) -> Done {
        let key = firing.key();
        match self.store.claim_firing(&self.owner, &key, silence).await {
            Ok(Some(firing)) => self.launch(firing).await,
            Ok(None) => Done::Launched { key, result: None },
            Err(error) => {
                tracing::warn!(firing = %key, "take over a firing: {}", error.chain());
                Done::Launched { key, result: None }
            }
        }
    }

    /// Starts a firing that is ours, however often that takes.
    pub(super) async fn launch(self: Arc<Self>, firing: Firing) -> Done {
        let key = firing.key();
        let taken = Done::Launched { key: key.clone(), result: None };
        let _permit = tokio::select! {
            permit = self.launches.acquire() => permit.expect("the semaphore is never closed"),
            () = self.until_taken(&key) => return taken,
        };
        let begun = tokio::time::Instant::now();
        let mut wait = WAITS.0;
        loop {
            let tried = tokio::select! {
                tried = self.try_launch(&firing) => tried,
                () = self.until_taken(&key) => return taken,
            };
            let error = match tried {
                Ok(jobs) => return self.launched(&key, Step::Start { jobs }).await,
                Err(error) => error,
            };
            let late = begun.elapsed() + wait > self.config.patience;
            if !error.is_retryable() || late {
                let reason = explain(&error);
                tracing::error!(firing = %key, "a firing could not be started: {}", error.chain());
                return self.launched(&key, Step::Miss { reason, failed: true }).await;
            }
            tracing::warn!(firing = %key, "start a firing: {}; trying again in {wait:?}", error.chain());
            let pause = wait.mul_f64(0.75 + fastrand::f64() / 2.0);
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.stopping.cancelled() => return taken,
                () = self.until_taken(&key) => return taken,
            }
            wait = (wait * 2).min(WAITS.1);
            // A process that slept finds out here that another is at it.
            if !self.keep(&key).await {
                return taken;
            }
        }
    }

    /// Says now and again that we are still at a firing. Returns when it is no longer ours.
    async fn until_taken(&self, key: &FiringKey) {
        loop {
            tokio::time::sleep(self.config.silence / 4).await;
            if !self.keep(key).await {
                return;
            }
        }
    }

    /// Says that we are still at a firing. False if it is no longer ours.
    async fn keep(&self, key: &FiringKey) -> bool {
        match self.store.claim_firing(&self.owner, key, self.config.silence).await {
            Ok(kept) => kept.is_some(),
            Err(error) => {
                tracing::warn!(firing = %key, "keep a firing: {}", error.chain());
                true
            }
        }
    }

    async fn try_launch(&self, firing: &Firing) -> Result<Vec<hypersdk_core::JobId>> {
        let schedule = self
            .store
            .schedule(&firing.schedule)
            .await?
            .ok_or_else(|| Error::new(ErrorKind::NotFound, "start firing", "the schedule was removed"))?;
        let work = self.launcher.launch(&schedule, firing);
        tokio::time::timeout(self.config.try_timeout, work).await.unwrap_or_else(|_| {
            let message = format!("it took longer than {:?}", self.config.try_timeout);
            Err(Error::new(ErrorKind::Timeout, "start firing", message))
        })
    }

    async fn launched(&self, key: &FiringKey, step: Step) -> Done {
        Done::Launched { key: key.clone(), result: self.write(key, step).await }
    }

    /// Writes a step, again and again if the store is away. `None` if it is not ours to write, or we stop.
    async fn write(&self, key: &FiringKey, step: Step) -> Option<(Firing, Schedule)> {
        let mut wait = WAITS.0;
        loop {
            let error = match self.store.step_firing(&self.owner, key, step.clone()).await {
                Ok(written) => return Some(written),
                Err(error) if matches!(error.kind(), ErrorKind::Conflict | ErrorKind::NotFound) => {
                    tracing::debug!(firing = %key, "left to another: {}", error.chain());
                    return None;
                }
                Err(error) => error,
            };
            tracing::error!(firing = %key, "write down a firing: {}", error.chain());
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.stopping.cancelled() => return None,
            }
            wait = (wait * 2).min(WAITS.1);
        }
    }

    /// Looks how the jobs of a running firing stand, and ends it if they all have.
    pub(super) async fn check(self: Arc<Self>, firing: Firing) -> Done {
        let key = firing.key();
        let standing = match self.launcher.standing(&firing.jobs).await {
            Ok(standing) => standing,
            Err(error) => {
                tracing::warn!(firing = %key, "look after jobs: {}", error.chain());
                let standing = Standing { open: firing.jobs, ..Standing::default() };
                return Done::Stands { key, standing };
            }
        };
        if !standing.open.is_empty() {
            return Done::Stands { key, standing };
        }
        let end = match standing.failed.first() {
            Some((job, why)) => {
                let (failed, all) = (standing.failed.len(), firing.jobs.len());
                RunEnd::Failed { reason: format!("{failed} of {all} jobs failed; {job}: {why}") }
            }
            None if standing.cancelled > 0 => RunEnd::Cancelled,
            None => RunEnd::Succeeded,
        };
        let result = self.write(&key, Step::End(end)).await;
        Done::Ended { key, result }
    }

    /// Asks the jobs of running firings to stop.
    pub(super) async fn cancel(self: Arc<Self>, firings: Vec<Firing>) -> Done {
        for firing in firings.iter().filter(|firing| firing.state == FiringState::Running) {
            if let Err(error) = self.launcher.cancel(&firing.jobs).await {
                tracing::warn!(firing = %firing.key(), "stop the last run: {}", error.chain());
            }
        }
        Done::Nothing
    }

    /// Looks what others have done. Reads all schedules only if any was changed since `changed`.
    pub(super) async fn look(self: Arc<Self>, changed: i64, tracked: u64) -> Done {
        let result = async {
            let now = self.store.schedules_changed().await?;
            let schedules = if now == changed { None } else { Some(self.store.schedules().await?) };
            Ok::<_, Error>(Done::Looked {
                changed: now,
                open: self.store.open_firings().await?,
                schedules,
                tracked,
            })
        };
        result.await.unwrap_or_else(|error| {
            tracing::warn!("look for schedules: {}", error.chain());
            Done::LookFailed
        })
    }

    /// Reads one schedule.
    pub(super) async fn reload(self: Arc<Self>, id: ScheduleId) -> Done {
        match self.store.schedule(&id).await {
            Ok(schedule) => Done::Reloaded { id, schedule },
            Err(error) => {
                tracing::warn!(schedule = %id, "read schedule: {}", error.chain());
                Done::Nothing
            }
        }
    }
}

/// The message for people.
fn explain(error: &Error) -> String {
    match error.advice() {
        Some(advice) => format!("{}; {advice}", error.chain()),
        None => error.chain(),
    }
}
