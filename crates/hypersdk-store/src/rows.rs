//! Rows and what they hold, in every kind of database alike: texts, whole numbers and truth values. Times are
//! microseconds since 1970, and domain types are JSON as serde writes them.

use chrono::{DateTime, Utc};
use hypersdk_core::{
    Event, Job, JobCounts, JobPage, JobSpec, JobStatus, LogLevel, LogLine, Node, Owner, Result, Seq,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sqlx::FromRow;

use crate::error::unreadable;

/// A job and its claim.
#[derive(Debug)]
pub(crate) struct Row {
    /// Its place in the order of acceptance.
    pub(crate) seq: i64,
    pub(crate) job: Job,
    /// The status that the database has.
    pub(crate) was: JobStatus,
    pub(crate) fence: i64,
    pub(crate) claim: Option<RowClaim>,
}

/// Who runs a job, and when it last said so.
#[derive(Debug)]
pub(crate) struct RowClaim {
    pub(crate) owner: String,
    pub(crate) heard_at: DateTime<Utc>,
}

impl RowClaim {
    pub(crate) fn new(owner: &Owner, heard_at: DateTime<Utc>) -> Self {
        RowClaim { owner: owner.to_string(), heard_at }
    }
}

/// A row of `jobs` as it comes from the database.
#[derive(FromRow, Deserialize)]
pub(crate) struct RawJob {
    seq: i64,
    id: String,
    spec: String,
    status: String,
    attempt: i64,
    failures: i64,
    created_at: i64,
    started_at: Option<i64>,
    completed_at: Option<i64>,
    updated_at: i64,
    not_before: Option<i64>,
    cancel_requested: bool,
    progress: String,
    outcome: Option<String>,
    failure: Option<String>,
    owner: Option<String>,
    fence: i64,
    heartbeat_at: Option<i64>,
}

impl TryFrom<RawJob> for Row {
    type Error = hypersdk_core::Error;

    fn try_from(raw: RawJob) -> Result<Row> {
        let job = Job {
            id: raw.id.parse().map_err(|error| unreadable("id", error))?,
            spec: from_json::<JobSpec>("spec", &raw.spec)?,
            status: raw.status.parse().map_err(|error| unreadable("status", error))?,
            attempt: u32::try_from(raw.attempt).map_err(|error| unreadable("attempt", error))?,
            failures: u32::try_from(raw.failures).map_err(|error| unreadable("failures", error))?,
            created_at: time("created_at", raw.created_at)?,
            started_at: optional_time("started_at", raw.started_at)?,
            completed_at: optional_time("completed_at", raw.completed_at)?,
            updated_at: time("updated_at", raw.updated_at)?,
            not_before: optional_time("not_before", raw.not_before)?,
            cancel_requested: raw.cancel_requested,
            progress: from_json("progress", &raw.progress)?,
            outcome: raw.outcome.map(|text| from_json("outcome", &text)).transpose()?,
            failure: raw.failure.map(|text| from_json("failure", &text)).transpose()?,
        };
        let heard_at = optional_time("heartbeat_at", raw.heartbeat_at)?;
        let claim = raw.owner.zip(heard_at).map(|(owner, heard_at)| RowClaim { owner, heard_at });
        Ok(Row { seq: raw.seq, was: job.status, job, fence: raw.fence, claim })
    }
}

/// Adds a job that was just accepted: [`with_insert`] binds its columns.
pub(crate) const INSERT_JOB: &str =
    "INSERT INTO jobs (id, spec, priority, status, created_at, updated_at, progress, lane, blocked_by)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";

/// Writes what can change of a job: [`with_update`] binds its columns.
pub(crate) const UPDATE_JOB: &str =
    "UPDATE jobs SET status = $2, attempt = $3, failures = $4, started_at = $5, completed_at = $6,
         updated_at = $7, not_before = $8, cancel_requested = $9, progress = $10, outcome = $11,
         failure = $12, owner = $13, fence = $14, heartbeat_at = $15
     WHERE id = $1";

/// Binds the columns of [`INSERT_JOB`] to a query. The kinds of database share the text and the types, but sqlx's
/// query is one type a database.
macro_rules! with_insert {
    ($query:expr, $job:expr, $blocked_by:expr) => {
        $query
            .bind($job.id.as_str())
            .bind($crate::rows::to_json("spec", &$job.spec)?)
            .bind($job.spec.priority)
            .bind($job.status.as_str())
            .bind($job.created_at.timestamp_micros())
            .bind($job.updated_at.timestamp_micros())
            .bind($crate::rows::to_json("progress", &$job.progress)?)
            .bind($crate::rows::to_json("lane", &hypersdk_core::Lane::of(&$job.spec))?)
            .bind($blocked_by)
    };
}
pub(crate) use with_insert;

/// Binds the columns of [`UPDATE_JOB`] to a query.
macro_rules! with_update {
    ($query:expr, $row:expr) => {
        $query
            .bind($row.job.id.as_str())
            .bind($row.job.status.as_str())
            .bind(i64::from($row.job.attempt))
            .bind(i64::from($row.job.failures))
            .bind($crate::rows::micros($row.job.started_at))
            .bind($crate::rows::micros($row.job.completed_at))
            .bind($row.job.updated_at.timestamp_micros())
            .bind($crate::rows::micros($row.job.not_before))
            .bind($row.job.cancel_requested)
            .bind($crate::rows::to_json("progress", &$row.job.progress)?)
            .bind($crate::rows::optional_json("outcome", $row.job.outcome.as_ref())?)
            .bind($crate::rows::optional_json("failure", $row.job.failure.as_ref())?)
            .bind($row.claim.as_ref().map(|claim| claim.owner.as_str()))
            .bind($row.fence)
            .bind($crate::rows::micros($row.claim.as_ref().map(|claim| claim.heard_at)))
    };
}
pub(crate) use with_update;

impl Row {
    /// True if `owner` holds the job by the claim of this number.
    pub(crate) fn is_claimed_by(&self, owner: &Owner, fence: i64) -> bool {
        self.fence == fence && self.claim.as_ref().is_some_and(|claim| claim.owner == owner.as_str())
    }
}

/// A page of rows of which one more was asked for than it has.
pub(crate) fn page(rows: Vec<RawJob>, limit: usize) -> Result<JobPage> {
    let more = rows.len() > limit;
    let jobs = rows.into_iter().take(limit).map(|raw| Ok(Row::try_from(raw)?.job));
    let jobs = jobs.collect::<Result<Vec<_>>>()?;
    let next = jobs.last().filter(|_| more).map(|job| job.id.clone());
    Ok(JobPage { jobs, next })
}

/// The rows of `job_counts`.
pub(crate) fn counts(rows: Vec<(String, i64)>) -> Result<JobCounts> {
    let mut counts = JobCounts::default();
    for (status, jobs) in rows {
        let status: JobStatus = status.parse().map_err(|error| unreadable("status", error))?;
        *counts.of_mut(status) = u64::try_from(jobs).map_err(|error| unreadable("jobs", error))?;
    }
    Ok(counts)
}

/// A row of `nodes`.
#[derive(FromRow)]
pub(crate) struct RawNode {
    report: String,
    heard_at: i64,
    paused: bool,
}

impl TryFrom<RawNode> for Node {
    type Error = hypersdk_core::Error;

    fn try_from(raw: RawNode) -> Result<Node> {
        Ok(Node {
            report: from_json("report", &raw.report)?,
            heard_at: time("heard_at", raw.heard_at)?,
            paused: raw.paused,
        })
    }
}

/// A row of `events`.
#[derive(FromRow)]
pub(crate) struct RawEvent {
    seq: i64,
    time: i64,
    kind: String,
    job: Option<String>,
    data: String,
}

impl TryFrom<RawEvent> for Event {
    type Error = hypersdk_core::Error;

    fn try_from(raw: RawEvent) -> Result<Event> {
        Ok(Event {
            seq: Seq(raw.seq),
            time: time("time", raw.time)?,
            kind: raw.kind.parse().map_err(|error| unreadable("kind", error))?,
            job: raw.job.map(|id| id.parse()).transpose().map_err(|error| unreadable("job", error))?,
            data: from_json("data", &raw.data)?,
        })
    }
}

/// A row of `job_logs`.
#[derive(FromRow)]
pub(crate) struct RawLine {
    time: i64,
    level: String,
    message: String,
}

impl TryFrom<RawLine> for LogLine {
    type Error = hypersdk_core::Error;

    fn try_from(raw: RawLine) -> Result<LogLine> {
        let levels = [LogLevel::Info, LogLevel::Warning, LogLevel::Error];
        let level = levels
            .into_iter()
            .find(|level| level_name(*level) == raw.level)
            .ok_or_else(|| unreadable("level", format!("{:?} is not a level", raw.level)))?;
        Ok(LogLine { time: time("time", raw.time)?, level, message: raw.message })
    }
}

/// A level as the database spells it.
pub(crate) fn level_name(level: LogLevel) -> &'static str {
    match level {
        LogLevel::Info => "info",
        LogLevel::Warning => "warning",
        LogLevel::Error => "error",
    }
}

pub(crate) fn time(column: &str, micros: i64) -> Result<DateTime<Utc>> {
    DateTime::from_timestamp_micros(micros).ok_or_else(|| unreadable(column, format!("{micros} is no time")))
}

pub(crate) fn optional_time(column: &str, micros: Option<i64>) -> Result<Option<DateTime<Utc>>> {
    micros.map(|micros| time(column, micros)).transpose()
}

pub(crate) fn micros(time: Option<DateTime<Utc>>) -> Option<i64> {
    time.map(|time| time.timestamp_micros())
}

pub(crate) fn to_json(column: &str, value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|error| unreadable(column, error))
}

pub(crate) fn optional_json(column: &str, value: Option<&impl Serialize>) -> Result<Option<String>> {
    value.map(|value| to_json(column, value)).transpose()
}

pub(crate) fn from_json<T: DeserializeOwned>(column: &str, text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| unreadable(column, error))
}
