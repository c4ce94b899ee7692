//! A schedule: when, and what of it is kept.

use std::time::Duration;

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use hypersdk_core::ScheduleId;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::cron::Cron;
use crate::retention::Retention;
use crate::window::{Blackout, Window};

/// What somebody asked for. Rows written by any earlier version keep being readable: whatever was not there
/// from the beginning has a default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScheduleSpec {
    /// A name for people.
    pub name: String,
    /// What it is for.
    #[serde(default)]
    pub description: String,
    /// Labels for people.
    #[serde(default)]
    pub tags: Vec<String>,
    /// When.
    pub schedule: Cron,
    /// Whose clock `schedule` and `windows` are read off.
    #[serde(default = "utc")]
    pub timezone: Tz,
    /// What to do, in words that only the [`Launcher`](crate::Launcher) understands.
    pub job_template: Map<String, Value>,
    /// What to do while the last run still goes on.
    #[serde(default)]
    pub overlap: Overlap,
    /// What to do about times that went by unused.
    #[serde(default)]
    pub catch_up: CatchUp,
    /// Each firing comes up to this much later than planned, always by the same amount for the same time.
    #[serde(default)]
    pub jitter: Duration,
    /// If there are any, times outside of them are none of the schedule's.
    #[serde(default)]
    pub windows: Vec<Window>,
    /// Nothing is started in these.
    #[serde(default)]
    pub blackouts: Vec<Blackout>,
    /// After this many failures in a row the schedule is disabled.
    #[serde(default)]
    pub max_failures: Option<u32>,
    /// Which of the packages it made are kept.
    #[serde(default)]
    pub retention: Option<Retention>,
}

fn utc() -> Tz {
    Tz::UTC
}

impl ScheduleSpec {
    /// A schedule with every option at its default.
    pub fn new(name: impl Into<String>, schedule: Cron, job_template: Map<String, Value>) -> Self {
        ScheduleSpec {
            name: name.into(),
            description: String::new(),
            tags: Vec::new(),
            schedule,
            timezone: utc(),
            job_template,
            overlap: Overlap::default(),
            catch_up: CatchUp::default(),
            jitter: Duration::ZERO,
            windows: Vec::new(),
            blackouts: Vec::new(),
            max_failures: None,
            retention: None,
        }
    }

    /// Whether the two mean the same times.
    pub(crate) fn same_times(&self, other: &ScheduleSpec) -> bool {
        self.schedule == other.schedule && self.timezone == other.timezone && self.windows == other.windows
    }
}

/// What to do at a time while the last run still goes on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Overlap {
    /// Leave the time out.
    #[default]
    Skip,
    /// Start when the last run has ended.
    Queue,
    /// Stop the last run, and start when it has ended.
    CancelPrevious,
}

/// What to do about times that went by unused: the program was not running, or the clock was set forward.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CatchUp {
    /// Nothing.
    None,
    /// The last of them is made up for, unless the next one has come.
    #[default]
    Latest,
    /// All of them, one after the other.
    All {
        /// At most so many, the last ones.
        limit: u32,
    },
}

/// A schedule as it stands in the store.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    /// Its identifier.
    pub id: ScheduleId,
    /// What somebody asked for.
    pub spec: ScheduleSpec,
    /// Whether it fires.
    pub enabled: bool,
    /// Rises with every change that somebody makes.
    pub revision: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When somebody last changed it.
    pub updated_at: DateTime<Utc>,
    /// Every time up to this one has been dealt with.
    pub accounted_until: DateTime<Utc>,
    /// When it last started something.
    pub last_run: Option<DateTime<Utc>>,
    /// How often it started something.
    pub run_count: u64,
    /// How many of its times came to nothing.
    pub missed_count: u64,
    /// How many of its last runs failed in a row.
    pub failures: u32,
    /// Why the program disabled it, if it did.
    pub disabled_because: Option<String>,
}

/// A schedule to be made.
#[derive(Debug, Clone, PartialEq)]
pub struct NewSchedule {
    /// Its identifier.
    pub id: ScheduleId,
    /// What is asked for.
    pub spec: ScheduleSpec,
    /// Whether it fires.
    pub enabled: bool,
}
