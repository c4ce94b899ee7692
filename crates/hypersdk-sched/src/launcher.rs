//! The port to whatever a schedule starts.

use std::fmt;

use async_trait::async_trait;
use hypersdk_core::{JobId, Result};

use crate::firing::Firing;
use crate::schedule::Schedule;

/// Starts the jobs of firings and knows how they stand. The scheduler knows when, this knows what.
#[async_trait]
pub trait Launcher: fmt::Debug + Send + Sync + 'static {
    /// Has the jobs of a firing accepted and returns all of them.
    ///
    /// Called again for the same firing after a crash or a failure, it must make no job twice: identifiers
    /// follow from the schedule, the planned time and what the job is about.
    ///
    /// # Errors
    /// Whatever went wrong; it is tried again if the error is retryable.
    async fn launch(&self, schedule: &Schedule, firing: &Firing) -> Result<Vec<JobId>>;

    /// How the jobs stand. One that is no longer known has ended well.
    ///
    /// # Errors
    /// The store failed.
    async fn standing(&self, jobs: &[JobId]) -> Result<Standing>;

    /// Asks for jobs to stop.
    ///
    /// # Errors
    /// The store failed.
    async fn cancel(&self, jobs: &[JobId]) -> Result<()>;
}

/// How the jobs of a firing stand.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    /// Those that have not ended.
    pub open: Vec<JobId>,
    /// Those that failed, and why.
    pub failed: Vec<(JobId, String)>,
    /// How many were cancelled.
    pub cancelled: usize,
}
