//! A firing: one time of a schedule, and what came of it.
//!
//! ```text
//!             ┌─► waiting ──claim──┐        ┌─► succeeded
//! accounted ──┼─► pending ◄────────┘        ├─► failed
//!             │      │ └─────start──► running ──► cancelled
//!             └──────┴──miss──► missed
//! ```
//! There is one row for a schedule and a planned time, whoever notices the time and how often. The jobs of a
//! firing have identifiers that follow from it, so that starting it again after a crash makes none twice.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use hypersdk_core::{JobId, ScheduleId};
use serde::{Deserialize, Serialize};

/// What names a firing.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FiringKey {
    /// The schedule.
    pub schedule: ScheduleId,
    /// The time it is for.
    pub planned_at: DateTime<Utc>,
}

/// One time of a schedule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Firing {
    /// The schedule.
    pub schedule: ScheduleId,
    /// The time it is for.
    pub planned_at: DateTime<Utc>,
    /// What made it.
    pub cause: Cause,
    /// Where it stands.
    pub state: FiringState,
    /// When it was noticed.
    pub created_at: DateTime<Utc>,
    /// When its jobs were accepted.
    pub fired_at: Option<DateTime<Utc>>,
    /// When it came to its end.
    pub ended_at: Option<DateTime<Utc>>,
    /// Its jobs.
    pub jobs: Vec<JobId>,
    /// Why it was missed or failed.
    pub reason: Option<String>,
}

impl Firing {
    /// What names it.
    pub fn key(&self) -> FiringKey {
        FiringKey { schedule: self.schedule.clone(), planned_at: self.planned_at }
    }
}

/// What made a firing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// Its time came.
    Time,
    /// Its time had gone by unused.
    CatchUp,
    /// Somebody asked for it.
    Manual,
}

/// Where a firing stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FiringState {
    /// For an earlier run to end.
    Waiting,
    /// Its jobs are being started.
    Pending,
    /// Its jobs were accepted and have not all ended.
    Running,
    /// All its jobs completed.
    Succeeded,
    /// A job of it failed.
    Failed,
    /// Its jobs were stopped.
    Cancelled,
    /// Nothing was started.
    Missed,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunEnd {
    /// All jobs completed.
    Succeeded,
    /// Some failed.
    Failed {
        /// Which, and why.
        reason: String,
    },
    /// Some were stopped and none failed.
    Cancelled,
}

/// What can happen to a firing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Its jobs were accepted.
    Start {
        /// All of them.
        jobs: Vec<JobId>,
    },
    /// Nothing is started.
    Miss {
        /// Why.
        reason: String,
        /// It is a failure of the schedule, rather than its rules at work.
        failed: bool,
    },
    /// All its jobs have ended.
    End(RunEnd),
}

impl FiringState {
    /// Every state.
    pub const ALL: [FiringState; 7] = [
        FiringState::Waiting,
        FiringState::Pending,
        FiringState::Running,
        FiringState::Succeeded,
        FiringState::Failed,
        FiringState::Cancelled,
        FiringState::Missed,
    ];

    /// The state after a step. `None` if that step is not possible.
    pub(crate) fn after(self, step: &Step) -> Option<FiringState> {
        Some(match (self, step) {
            (FiringState::Pending, Step::Start { .. }) => FiringState::Running,
            (FiringState::Waiting | FiringState::Pending, Step::Miss { .. }) => FiringState::Missed,
            (FiringState::Running, Step::End(RunEnd::Succeeded)) => FiringState::Succeeded,
            (FiringState::Running, Step::End(RunEnd::Failed { .. })) => FiringState::Failed,
            (FiringState::Running, Step::End(RunEnd::Cancelled)) => FiringState::Cancelled,
            _ => return None,
        })
    }

    /// True if it has not come to its end.
    pub fn is_open(self) -> bool {
        matches!(self, FiringState::Waiting | FiringState::Pending | FiringState::Running)
    }

    /// The name in JSON and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            FiringState::Waiting => "waiting",
            FiringState::Pending => "pending",
            FiringState::Running => "running",
            FiringState::Succeeded => "succeeded",
            FiringState::Failed => "failed",
            FiringState::Cancelled => "cancelled",
            FiringState::Missed => "missed",
        }
    }
}

impl FromStr for FiringState {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = FiringState::ALL.into_iter().find(|state| state.as_str() == text);
        found.ok_or_else(|| format!("{text:?} is no state of a firing"))
    }
}

impl Cause {
    /// The name in JSON and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Cause::Time => "time",
            Cause::CatchUp => "catch_up",
            Cause::Manual => "manual",
        }
    }
}

impl FromStr for Cause {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let all = [Cause::Time, Cause::CatchUp, Cause::Manual];
        all.into_iter().find(|cause| cause.as_str() == text).ok_or_else(|| format!("{text:?} is no cause"))
    }
}

impl fmt::Display for FiringKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} of {}",
            self.schedule,
            self.planned_at.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pair_of_state_and_step_is_decided() {
        let steps = [
            Step::Start { jobs: Vec::new() },
            Step::Miss { reason: String::new(), failed: false },
            Step::End(RunEnd::Succeeded),
            Step::End(RunEnd::Failed { reason: String::new() }),
            Step::End(RunEnd::Cancelled),
        ];
        use FiringState::{Cancelled, Failed, Missed, Pending, Running, Succeeded, Waiting};
        for (from, row) in [
            (Waiting, [None, Some(Missed), None, None, None]),
            (Pending, [Some(Running), Some(Missed), None, None, None]),
            (Running, [None, None, Some(Succeeded), Some(Failed), Some(Cancelled)]),
            (Succeeded, [None; 5]),
            (Failed, [None; 5]),
            (Cancelled, [None; 5]),
            (Missed, [None; 5]),
        ] {
            for (step, to) in steps.iter().zip(row) {
                assert_eq!(from.after(step), to, "{from:?} {step:?}");
            }
        }
    }

    #[test]
    fn names_survive() {
        for state in FiringState::ALL {
            assert_eq!(state.as_str().parse(), Ok(state));
        }
        for cause in [Cause::Time, Cause::CatchUp, Cause::Manual] {
            assert_eq!(cause.as_str().parse(), Ok(cause));
        }
    }
}
