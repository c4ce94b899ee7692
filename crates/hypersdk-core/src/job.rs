//! Jobs: one export each, durable from the moment it is accepted.
//!
//! ```text
//!            claim                 finish
//! pending ──────────► running ──────────────► completed
//!    ▲  │                │ │  └─────fail────► failed ◄──forgo── pending
//!    │  └──cancel──┐     │ └────cancelled──┐
//!    │             ▼     │                 ▼
//!    └──requeue──────────┘             cancelled
//! ```
//! The table of legal transitions is [`JobStatus::apply`]; a [`JobStore`] refuses anything else. The
//! [`JobManager`] claims what is pending and gives it to a [`Runner`].

mod change;
mod clock;
#[cfg(any(test, feature = "testing"))]
pub(crate) mod conformance;
#[cfg(any(test, feature = "testing"))]
pub(crate) mod fake;
mod lane;
mod manager;
mod memory;
mod node;
mod runner;
mod seat;
mod spec;
mod state;
mod store;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

pub use clock::Clock;
pub use lane::{Claimant, Lane, take_turns};
pub use manager::{DrainReport, JobManager, JobManagerConfig, Retries};
pub use memory::MemoryStore;
pub use node::{Node, NodeReport, NodeStore};
pub use runner::{ClaimCheck, JobContext, Outcome, OutcomeChunk, OutcomeFile, RunProgress, Runner};
pub use spec::{
    ArchiveCompression, JobSpec, ManifestDigest, PackageFormat, ScheduledBy, Signing, VerifyMode,
};
pub use state::{IllegalTransition, JobStatus, Transition};
pub use store::{
    CancelOutcome, Claim, JobCounts, JobPage, JobQuery, JobStore, LogLevel, LogLine, NewJob, Owner, Settled,
    StopReason,
};

use crate::error::ErrorKind;
use crate::id::JobId;
use crate::progress::Progress;

/// A job as it stands in the store.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// Its identifier.
    pub id: JobId,
    /// What to do.
    pub spec: JobSpec,
    /// Where it stands.
    pub status: JobStatus,
    /// How often it was started.
    pub attempt: u32,
    /// How many of its attempts failed; an interrupted one did not.
    #[serde(default)]
    pub failures: u32,
    /// When it was accepted.
    pub created_at: DateTime<Utc>,
    /// When it last started.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub completed_at: Option<DateTime<Utc>>,
    /// When the row last changed.
    pub updated_at: DateTime<Utc>,
    /// Not to be claimed before this instant (a retry's backoff).
    pub not_before: Option<DateTime<Utc>>,
    /// Somebody asked for it to stop.
    pub cancel_requested: bool,
    /// The progress last saved.
    pub progress: Progress,
    /// What it made, once completed.
    pub outcome: Option<Outcome>,
    /// Why the last attempt failed; kept while a retry waits.
    pub failure: Option<Failure>,
}

/// Why an attempt failed, as it is kept and shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The kind of error.
    pub kind: ErrorKind,
    /// The whole chain of messages.
    pub message: String,
    /// What to do about it, where that is known.
    pub advice: Option<String>,
    /// Trying again could help.
    pub retryable: bool,
}

impl From<&crate::Error> for Failure {
    fn from(error: &crate::Error) -> Self {
        Failure {
            kind: error.kind(),
            message: error.chain(),
            advice: error.advice().map(str::to_owned),
            retryable: error.is_retryable(),
        }
    }
}
