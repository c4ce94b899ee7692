//! The port to whatever keeps jobs.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Claimant, Failure, Job, JobSpec, JobStatus, Outcome};
use crate::error::Result;
use crate::event::EventLog;
use crate::id::{JobId, Seq};
use crate::progress::Progress;

/// A process that runs jobs. Unique to each start of a program, so that a restarted one does not take its
/// predecessor's claims for its own.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Owner(String);

impl Owner {
    /// A name no other process has.
    pub fn unique() -> Self {
        Owner(uuid::Uuid::now_v7().to_string())
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A job to be accepted.
#[derive(Debug, Clone, PartialEq)]
pub struct NewJob {
    /// Its identifier.
    pub id: JobId,
    /// What to do.
    pub spec: JobSpec,
}

/// A claimed job and the number that proves the claim.
#[derive(Debug, Clone, PartialEq)]
pub struct Claim {
    /// The job, running.
    pub job: Job,
    /// Rises with every claim of the job; a write with an old number is refused.
    pub fence: i64,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Settled {
    /// The package is whole.
    Completed(Outcome),
    /// It failed for good.
    Failed(Failure),
    /// It stopped because it was told to.
    Cancelled,
    /// It goes back to pending, not to be claimed before an instant if one is given.
    Requeued {
        /// Why, unless it was merely interrupted.
        failure: Option<Failure>,
        /// When to try again.
        not_before: Option<DateTime<Utc>>,
    },
}

/// What became of a request to cancel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CancelOutcome {
    /// It was pending and is cancelled now.
    Cancelled,
    /// It runs, and will stop.
    Requested,
    /// It had ended already.
    AlreadyEnded(JobStatus),
}

/// Why a running job must stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopReason {
    /// Somebody asked for it.
    CancelRequested,
    /// It is no longer its owner's: nothing more may be written about it.
    ClaimLost,
}

/// Which jobs to list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobQuery {
    /// In one of these states; any if empty.
    pub statuses: Vec<JobStatus>,
    /// With one of these identifiers; any if empty.
    pub ids: Vec<JobId>,
    /// Older than this job, in the listing's order (newest first).
    pub before: Option<JobId>,
    /// At most this many; 100 by default.
    pub limit: usize,
}

impl Default for JobQuery {
    fn default() -> Self {
        JobQuery { statuses: Vec::new(), ids: Vec::new(), before: None, limit: 100 }
    }
}

/// A page of a listing, newest first.
#[derive(Debug, Clone, PartialEq)]
pub struct JobPage {
    /// The jobs.
    pub jobs: Vec<Job>,
    /// Give this as [`JobQuery::before`] for the next page.
    pub next: Option<JobId>,
}

/// How many jobs are in each state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct JobCounts {
    /// Waiting.
    pub pending: u64,
    /// Running.
    pub running: u64,
    /// Completed.
    pub completed: u64,
    /// Failed.
    pub failed: u64,
    /// Cancelled.
    pub cancelled: u64,
}

impl JobCounts {
    /// All of them.
    pub fn total(&self) -> u64 {
        self.pending + self.running + self.completed + self.failed + self.cancelled
    }

    /// The number in one state.
    pub fn of_mut(&mut self, status: JobStatus) -> &mut u64 {
        match status {
            JobStatus::Pending => &mut self.pending,
            JobStatus::Running => &mut self.running,
            JobStatus::Completed => &mut self.completed,
            JobStatus::Failed => &mut self.failed,
            JobStatus::Cancelled => &mut self.cancelled,
        }
    }
}

/// How serious a line of a job's log is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogLevel {
    /// What happened.
    Info,
    /// What somebody should look at.
    Warning,
    /// What went wrong.
    Error,
}

/// A line of a job's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// When it was written.
    pub time: DateTime<Utc>,
    /// How serious it is.
    pub level: LogLevel,
    /// The text.
    pub message: String,
}

/// Keeps jobs and the log of what happened to them.
///
/// # Guarantees
/// - A change of a job's state and its event are one write: both are there after a crash, or neither.
/// - What returned `Ok` survives the death of the process and, for a durable store, of the machine.
/// - Only changes that [`JobStatus::apply`] allows are made.
/// - A job is claimed by one owner at a time; whoever lost its claim is told so and changes nothing.
/// - Times are kept in whole microseconds.
///
/// What each change does to a job is written once, in its methods ([`Job::start`], [`Job::settle`] and the
/// others): a store loads the job, applies the change, and writes the job and the event.
#[async_trait]
pub trait JobStore: EventLog {
    /// Accepts jobs, all or none, each with its `job.created` event.
    ///
    /// # Errors
    /// `Conflict` naming the identifier that exists already; `Invalid` naming a job that one is to come after and
    /// that neither exists nor stands before it, or that has ended without being completed.
    async fn submit(&self, jobs: Vec<NewJob>) -> Result<Vec<Job>>;

    /// Takes up to `limit` pending jobs for `claimant`, each with its `job.started` event: of those whose time has
    /// come, that come after nothing unfinished, and that it may run, by priority, then in turns among their
    /// [lanes](super::Lane), then by age.
    async fn claim(&self, claimant: &Claimant, limit: usize) -> Result<Vec<Claim>>;

    /// Says that `owner` still runs `jobs` (with the fences of their claims) and how far they are. Only the
    /// jobs named are kept from being taken back. Returns those that must stop.
    async fn heartbeat(
        &self,
        owner: &Owner,
        jobs: &[(JobId, i64, Progress)],
    ) -> Result<Vec<(JobId, StopReason)>>;

    /// Ends an attempt, with its event. Pending jobs that come after this one may start if it is completed, and
    /// end with it otherwise, each with an event of its own and so on. Returns the job as it then stands, which is cancelled where it was
    /// to be requeued and somebody had asked for it to stop.
    ///
    /// # Errors
    /// `Conflict` if the claim was lost meanwhile, `NotFound` for an unknown job; nothing was changed then.
    async fn settle(&self, job: &JobId, fence: i64, settled: Settled, progress: Progress) -> Result<Job>;

    /// Takes back running jobs that nobody has spoken for (by claim or heartbeat) for `silence`, each with
    /// its event: to pending, or to their end if somebody had asked for them to stop. With
    /// `Duration::ZERO` every running job that is not `owner`'s: for a store only one process may use.
    async fn recover(&self, owner: &Owner, silence: Duration) -> Result<Vec<JobId>>;

    /// Asks for a job to stop.
    ///
    /// # Errors
    /// `NotFound` for an unknown job.
    async fn cancel(&self, job: &JobId) -> Result<CancelOutcome>;

    /// A job.
    async fn get(&self, job: &JobId) -> Result<Option<Job>>;

    /// A page of jobs, the one accepted last first.
    ///
    /// # Errors
    /// `NotFound` if `query.before` names no job.
    async fn list(&self, query: &JobQuery) -> Result<JobPage>;

    /// How many jobs are in each state.
    async fn counts(&self) -> Result<JobCounts>;

    /// When the next pending job becomes due, if any is waiting for a time to come.
    async fn next_due(&self) -> Result<Option<DateTime<Utc>>>;

    /// Adds lines to a job's log; with the fence of a claim only if the job was not claimed anew since.
    ///
    /// # Errors
    /// `Conflict` if it was, `NotFound` for an unknown job; nothing was written then.
    async fn append_log(&self, job: &JobId, fence: Option<i64>, lines: &[LogLine]) -> Result<()>;

    /// A job's log, oldest first.
    ///
    /// # Errors
    /// `NotFound` for an unknown job.
    async fn log(&self, job: &JobId) -> Result<Vec<LogLine>>;

    /// Forgets ended jobs with their logs and events: those that ended before `before`, and the oldest beyond
    /// `keep`. Events after `seen` stay, and so do their jobs; at most `limit` jobs at one time. Returns how many.
    async fn prune(
        &self,
        keep: Option<u64>,
        before: Option<DateTime<Utc>>,
        seen: Seq,
        limit: usize,
    ) -> Result<usize>;

    /// Proves that the store can be written to.
    async fn check(&self) -> Result<()>;
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
