//! Rows of schedules and firings, and what they hold, in every kind of database alike.

use std::time::Duration;

use chrono::{DateTime, Utc};
use hypersdk_core::{Error, ErrorKind, JobId, Owner, Result, ScheduleId};
use hypersdk_sched::{Accounting, Firing, FiringKey, FiringState, Schedule, ScheduleSpec};
use sqlx::FromRow;

use crate::error::unreadable;
use crate::rows::{from_json, optional_time, time};

/// The states of firings that have not come to their end, as the index on them has it.
macro_rules! open {
    ($before:literal, $after:literal) => {
        concat!($before, " state IN ('waiting', 'pending', 'running') ", $after)
    };
}
pub(crate) use open;

/// A row of `scheduled_jobs` as it comes from the database.
#[derive(FromRow)]
pub(crate) struct RawSchedule {
    id: String,
    name: String,
    enabled: bool,
    spec: String,
    revision: i64,
    created_at: i64,
    updated_at: i64,
    accounted_until: i64,
    last_run: Option<i64>,
    run_count: i64,
    missed_count: i64,
    failures: i64,
    disabled_because: Option<String>,
}

impl TryFrom<RawSchedule> for Schedule {
    type Error = hypersdk_core::Error;

    fn try_from(raw: RawSchedule) -> Result<Schedule> {
        let spec: ScheduleSpec = from_json("spec", &raw.spec)?;
        Ok(Schedule {
            id: raw.id.parse().map_err(|error| unreadable("id", error))?,
            spec: ScheduleSpec { name: raw.name, ..spec },
            enabled: raw.enabled,
            revision: raw.revision,
            created_at: time("created_at", raw.created_at)?,
            updated_at: time("updated_at", raw.updated_at)?,
            accounted_until: time("accounted_until", raw.accounted_until)?,
            last_run: optional_time("last_run", raw.last_run)?,
            run_count: u64::try_from(raw.run_count).map_err(|error| unreadable("run_count", error))?,
            missed_count: u64::try_from(raw.missed_count)
                .map_err(|error| unreadable("missed_count", error))?,
            failures: u32::try_from(raw.failures).map_err(|error| unreadable("failures", error))?,
            disabled_because: raw.disabled_because,
        })
    }
}

/// Adds a schedule, unless there is one of the same identifier: [`bind_schedule`] binds its columns.
pub(crate) const INSERT_SCHEDULE: &str =
    "INSERT INTO scheduled_jobs (id, name, enabled, schedule, timezone, spec, revision, created_at, updated_at,
         accounted_until, last_run, run_count, missed_count, failures, disabled_because)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) ON CONFLICT (id) DO NOTHING";

/// Writes a schedule again: [`bind_schedule`] binds its columns.
pub(crate) const UPDATE_SCHEDULE: &str =
    "UPDATE scheduled_jobs SET name = $2, enabled = $3, schedule = $4, timezone = $5, spec = $6, revision = $7,
         created_at = $8, updated_at = $9, accounted_until = $10, last_run = $11, run_count = $12,
         missed_count = $13, failures = $14, disabled_because = $15
     WHERE id = $1";

/// A statement with a schedule's columns.
macro_rules! bind_schedule {
    ($sql:expr, $schedule:expr) => {
        sqlx::query($sql)
            .bind($schedule.id.as_str())
            .bind($schedule.spec.name.as_str())
            .bind($schedule.enabled)
            .bind($schedule.spec.schedule.as_str())
            .bind($schedule.spec.timezone.name())
            .bind($crate::rows::to_json("spec", &$schedule.spec)?)
            .bind($schedule.revision)
            .bind($schedule.created_at.timestamp_micros())
            .bind($schedule.updated_at.timestamp_micros())
            .bind($schedule.accounted_until.timestamp_micros())
            .bind($crate::rows::micros($schedule.last_run))
            .bind(i64::try_from($schedule.run_count).unwrap_or(i64::MAX))
            .bind(i64::try_from($schedule.missed_count).unwrap_or(i64::MAX))
            .bind(i64::from($schedule.failures))
            .bind($schedule.disabled_because.as_deref())
    };
}
pub(crate) use bind_schedule;

/// A firing and who starts it.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) firing: Firing,
    pub(crate) claim: Option<Claim>,
}

/// Who starts a firing, and when it last said so.
#[derive(Debug)]
pub(crate) struct Claim {
    pub(crate) owner: String,
    pub(crate) heard_at: DateTime<Utc>,
}

impl Claim {
    pub(crate) fn new(owner: &Owner, heard_at: DateTime<Utc>) -> Self {
        Claim { owner: owner.to_string(), heard_at }
    }
}

/// A row of `schedule_firings` as it comes from the database.
#[derive(FromRow)]
pub(crate) struct RawFiring {
    schedule: String,
    planned_at: i64,
    cause: String,
    state: String,
    created_at: i64,
    fired_at: Option<i64>,
    ended_at: Option<i64>,
    jobs: String,
    reason: Option<String>,
    owner: Option<String>,
    heard_at: Option<i64>,
}

impl TryFrom<RawFiring> for Row {
    type Error = hypersdk_core::Error;

    fn try_from(raw: RawFiring) -> Result<Row> {
        let firing = Firing {
            schedule: raw.schedule.parse().map_err(|error| unreadable("schedule", error))?,
            planned_at: time("planned_at", raw.planned_at)?,
            cause: raw.cause.parse().map_err(|error| unreadable("cause", error))?,
            state: raw.state.parse().map_err(|error| unreadable("state", error))?,
            created_at: time("created_at", raw.created_at)?,
            fired_at: optional_time("fired_at", raw.fired_at)?,
            ended_at: optional_time("ended_at", raw.ended_at)?,
            jobs: from_json::<Vec<JobId>>("jobs", &raw.jobs)?,
            reason: raw.reason,
        };
        let heard_at = optional_time("heard_at", raw.heard_at)?;
        let claim = raw.owner.zip(heard_at).map(|(owner, heard_at)| Claim { owner, heard_at });
        Ok(Row { firing, claim })
    }
}

impl Row {
    /// Whether `owner` may take it to start it.
    pub(crate) fn is_free_for(&self, owner: &Owner, silence: Duration, now: DateTime<Utc>) -> bool {
        match (self.firing.state, &self.claim) {
            (FiringState::Waiting, _) => true,
            (FiringState::Pending, Some(claim)) => {
                claim.owner == owner.as_str() || claim.heard_at + silence <= now
            }
            _ => false,
        }
    }

    /// Whether another than `owner` is starting it.
    pub(crate) fn is_anothers(&self, owner: &Owner) -> bool {
        self.claim.as_ref().is_some_and(|claim| claim.owner != owner.as_str())
    }

    /// A firing just made; a pending one is its maker's.
    pub(crate) fn new(firing: Firing, owner: &Owner, now: DateTime<Utc>) -> Self {
        let claim = (firing.state == FiringState::Pending).then(|| Claim::new(owner, now));
        Row { firing, claim }
    }
}

/// Adds a firing: [`bind_firing`] binds its columns.
pub(crate) const INSERT_FIRING: &str =
    "INSERT INTO schedule_firings (schedule, planned_at, cause, state, created_at, fired_at, ended_at, jobs, reason,
         owner, heard_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";

/// Writes a firing again: [`bind_firing`] binds its columns.
pub(crate) const UPDATE_FIRING: &str =
    "UPDATE schedule_firings SET cause = $3, state = $4, created_at = $5, fired_at = $6, ended_at = $7, jobs = $8,
         reason = $9, owner = $10, heard_at = $11
     WHERE schedule = $1 AND planned_at = $2";

/// A statement with a firing's columns.
macro_rules! bind_firing {
    ($sql:expr, $row:expr) => {
        sqlx::query($sql)
            .bind($row.firing.schedule.as_str())
            .bind($row.firing.planned_at.timestamp_micros())
            .bind($row.firing.cause.as_str())
            .bind($row.firing.state.as_str())
            .bind($row.firing.created_at.timestamp_micros())
            .bind($crate::rows::micros($row.firing.fired_at))
            .bind($crate::rows::micros($row.firing.ended_at))
            .bind($crate::rows::to_json("jobs", &$row.firing.jobs)?)
            .bind($row.firing.reason.as_deref())
            .bind($row.claim.as_ref().map(|claim| claim.owner.as_str()))
            .bind($crate::rows::micros($row.claim.as_ref().map(|claim| claim.heard_at)))
    };
}
pub(crate) use bind_firing;

/// Drops what is beyond a number of ended firings of a schedule, unless it is later than an instant.
pub(crate) const FORGET_OLD: &str = "DELETE FROM schedule_firings
     WHERE schedule = $1 AND planned_at < $2 AND ended_at IS NOT NULL AND planned_at <= (
         SELECT planned_at FROM schedule_firings WHERE schedule = $1 AND ended_at IS NOT NULL
         ORDER BY planned_at DESC LIMIT 1 OFFSET $3)";

/// The first and the last of the times of an accounting, in microseconds.
pub(crate) fn range(accounting: &Accounting) -> Option<(i64, i64)> {
    let due = accounting.due.iter().map(|(planned_at, _)| planned_at.timestamp_micros());
    let missed = accounting.missed.iter().map(|(planned_at, ..)| planned_at.timestamp_micros());
    due.chain(missed).fold(None, |range, time| {
        let (first, last) = range.unwrap_or((time, time));
        Some((first.min(time), last.max(time)))
    })
}

pub(crate) fn no_schedule(id: &ScheduleId) -> Error {
    Error::new(ErrorKind::NotFound, "find schedule", format!("there is no schedule {id}"))
}

pub(crate) fn no_firing(key: &FiringKey) -> Error {
    Error::new(ErrorKind::NotFound, "find firing", format!("there is no firing {key}"))
}

pub(crate) fn schedule_taken(id: &ScheduleId) -> Error {
    Error::new(ErrorKind::Conflict, "accept schedule", format!("a schedule {id} exists already"))
}

pub(crate) fn firing_taken(key: &FiringKey) -> Error {
    Error::new(ErrorKind::Conflict, "add firing", format!("the firing {key} exists already"))
}

pub(crate) fn another_has(key: &FiringKey) -> Error {
    Error::new(ErrorKind::Conflict, "prove claim", format!("the firing {key} is another's"))
}
