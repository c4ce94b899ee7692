//! What happened, in order: an append-only log with many readers.

use std::fmt;
use std::str::FromStr;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::watch;

use crate::error::Result;
use crate::id::{JobId, Seq};

/// What kind of thing happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum EventKind {
    /// A job was accepted.
    #[serde(rename = "job.created")]
    JobCreated,
    /// A runner took it.
    #[serde(rename = "job.started")]
    JobStarted,
    /// It went back to pending: a retryable failure, a drain, or a daemon that died.
    #[serde(rename = "job.requeued")]
    JobRequeued,
    /// Its package is whole.
    #[serde(rename = "job.completed")]
    JobCompleted,
    /// It ended without a package.
    #[serde(rename = "job.failed")]
    JobFailed,
    /// Somebody stopped it.
    #[serde(rename = "job.cancelled")]
    JobCancelled,
    /// A schedule's time came and its jobs were accepted.
    #[serde(rename = "schedule.fired")]
    ScheduleFired,
    /// A schedule's time came or had gone by, and nothing was started for it.
    #[serde(rename = "schedule.missed")]
    ScheduleMissed,
    /// A package's files were removed: by a rule, or because somebody asked.
    #[serde(rename = "package.removed")]
    PackageRemoved,
}

impl EventKind {
    /// Every kind.
    pub const ALL: [EventKind; 9] = [
        EventKind::JobCreated,
        EventKind::JobStarted,
        EventKind::JobRequeued,
        EventKind::JobCompleted,
        EventKind::JobFailed,
        EventKind::JobCancelled,
        EventKind::ScheduleFired,
        EventKind::ScheduleMissed,
        EventKind::PackageRemoved,
    ];

    /// The name on the wire, e.g. `job.completed`.
    pub fn as_str(self) -> &'static str {
        match self {
            EventKind::JobCreated => "job.created",
            EventKind::JobStarted => "job.started",
            EventKind::JobRequeued => "job.requeued",
            EventKind::JobCompleted => "job.completed",
            EventKind::JobFailed => "job.failed",
            EventKind::JobCancelled => "job.cancelled",
            EventKind::ScheduleFired => "schedule.fired",
            EventKind::ScheduleMissed => "schedule.missed",
            EventKind::PackageRemoved => "package.removed",
        }
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for EventKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        EventKind::ALL
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or_else(|| format!("{text:?} is not an event"))
    }
}

/// One entry of the log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Its position.
    pub seq: Seq,
    /// When it was written.
    pub time: DateTime<Utc>,
    /// What happened.
    pub kind: EventKind,
    /// The job it is about, if it is about one.
    pub job: Option<JobId>,
    /// Details. Of a job `job_id, job_name, vm_path, output_dir, provider, attempt`, and `error` or `result`
    /// at the end; of a schedule `schedule_id` and what its firing did; of a package
    /// what [`Package::event_data`](crate::Package::event_data) says.
    pub data: Value,
}

/// The log. Whoever changes a job or a schedule appends to it in the same write (see
/// [`JobStore`](crate::JobStore)), so this port only reads.
#[async_trait]
pub trait EventLog: fmt::Debug + Send + Sync + 'static {
    /// Up to `limit` events after `after`, oldest first; of one job if `job` is given.
    async fn read_after(&self, after: Seq, job: Option<&JobId>, limit: usize) -> Result<Vec<Event>>;

    /// A hint that the log has grown: the newest position this process knows of. Readers re-read on change.
    fn latest(&self) -> watch::Receiver<Seq>;
}
