//! The one place that knows which changes of state are legal.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobStatus {
    /// Accepted, or waiting to be tried again.
    Pending,
    /// Claimed by a runner.
    Running,
    /// Its package is whole.
    Completed,
    /// It ended without a package.
    Failed,
    /// Somebody stopped it.
    Cancelled,
}

/// What can happen to a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transition {
    /// A runner takes it.
    Start,
    /// Its package is whole.
    Complete,
    /// It failed for good.
    Fail,
    /// It stopped because it was told to.
    Cancel,
    /// It goes back to pending: a retry, a drain, or an owner that died.
    Requeue,
    /// It fails unstarted, as a job that it was to come after was not completed.
    Forgo,
}

impl JobStatus {
    /// Every status.
    pub const ALL: [JobStatus; 5] = [
        JobStatus::Pending,
        JobStatus::Running,
        JobStatus::Completed,
        JobStatus::Failed,
        JobStatus::Cancelled,
    ];

    /// The status after `transition`.
    ///
    /// # Errors
    /// [`IllegalTransition`]: no ended job ever changes, and only a running one can be completed.
    pub fn apply(self, transition: Transition) -> Result<JobStatus, IllegalTransition> {
        use JobStatus::{Cancelled, Completed, Failed, Pending, Running};
        Ok(match (self, transition) {
            (Pending, Transition::Start) => Running,
            (Running, Transition::Complete) => Completed,
            (Running, Transition::Fail) => Failed,
            (Running, Transition::Requeue) => Pending,
            (Pending, Transition::Forgo) => Failed,
            (Pending | Running, Transition::Cancel) => Cancelled,
            (from, transition) => return Err(IllegalTransition { from, transition }),
        })
    }

    /// True if it never changes again.
    pub fn is_final(self) -> bool {
        matches!(self, JobStatus::Completed | JobStatus::Failed | JobStatus::Cancelled)
    }

    /// The name in JSON and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            JobStatus::Pending => "pending",
            JobStatus::Running => "running",
            JobStatus::Completed => "completed",
            JobStatus::Failed => "failed",
            JobStatus::Cancelled => "cancelled",
        }
    }
}

impl fmt::Display for JobStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for JobStatus {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        JobStatus::ALL.into_iter().find(|status| status.as_str() == text).ok_or_else(|| {
            format!("{text:?} is not a job status: use pending, running, completed, failed or cancelled")
        })
    }
}

/// A change that the table does not allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a {from} job cannot {transition:?}")]
pub struct IllegalTransition {
    /// Where the job stood.
    pub from: JobStatus,
    /// What was asked of it.
    pub transition: Transition,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pair_of_status_and_transition_is_decided() {
        use JobStatus::{Cancelled, Completed, Failed, Pending, Running};
        let transitions = [
            Transition::Start,
            Transition::Complete,
            Transition::Fail,
            Transition::Cancel,
            Transition::Requeue,
            Transition::Forgo,
        ];
        let expected = [
            (Pending, [Some(Running), None, None, Some(Cancelled), None, Some(Failed)]),
            (Running, [None, Some(Completed), Some(Failed), Some(Cancelled), Some(Pending), None]),
            (Completed, [None; 6]),
            (Failed, [None; 6]),
            (Cancelled, [None; 6]),
        ];
        for (from, row) in expected {
            for (transition, to) in transitions.into_iter().zip(row) {
                assert_eq!(from.apply(transition).ok(), to, "{from} {transition:?}");
            }
        }
    }

    #[test]
    fn a_status_survives_its_text() {
        for status in JobStatus::ALL {
            assert_eq!(status.as_str().parse(), Ok(status));
        }
    }
}
