//! Rows and what they hold.

use chrono::{DateTime, Utc};
use hypersdk_core::{Event, EventKind, Job, JobSpec, LogLevel, LogLine, Owner, Result, Seq};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::FromRow;
use sqlx::sqlite::SqliteConnection;

use super::error::{failed, unreadable};

/// A job and its claim.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) job: Job,
    pub(super) fence: i64,
    pub(super) claim: Option<RowClaim>,
}

/// Who runs a job, and when it last said so.
#[derive(Debug)]
pub(super) struct RowClaim {
    pub(super) owner: String,
    pub(super) heard_at: DateTime<Utc>,
}

impl RowClaim {
    pub(super) fn new(owner: &Owner, heard_at: DateTime<Utc>) -> Self {
        RowClaim { owner: owner.to_string(), heard_at }
    }
}

/// A row of `jobs` as it comes from the database.
#[derive(FromRow)]
pub(super) struct RawJob {
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
        Ok(Row { job, fence: raw.fence, claim })
    }
}

impl Row {
    /// Adds a job that was just accepted.
    pub(super) async fn insert(job: &Job, connection: &mut SqliteConnection) -> Result<()> {
        sqlx::query(
            "INSERT INTO jobs (id, spec, priority, status, created_at, updated_at, progress)
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(job.id.as_str())
        .bind(to_json("spec", &job.spec)?)
        .bind(job.spec.priority)
        .bind(job.status.as_str())
        .bind(job.created_at.timestamp_micros())
        .bind(job.updated_at.timestamp_micros())
        .bind(to_json("progress", &job.progress)?)
        .execute(connection)
        .await
        .map_err(|error| failed("insert job", &error))?;
        Ok(())
    }

    /// Writes what can change of a job.
    pub(super) async fn update(&self, connection: &mut SqliteConnection) -> Result<()> {
        let job = &self.job;
        let micros = |time: Option<DateTime<Utc>>| time.map(|time| time.timestamp_micros());
        sqlx::query(
            "UPDATE jobs SET status = $2, attempt = $3, failures = $4, started_at = $5, completed_at = $6,
                 updated_at = $7, not_before = $8, cancel_requested = $9, progress = $10, outcome = $11,
                 failure = $12, owner = $13, fence = $14, heartbeat_at = $15
             WHERE id = $1",
        )
        .bind(job.id.as_str())
        .bind(job.status.as_str())
        .bind(job.attempt)
        .bind(job.failures)
        .bind(micros(job.started_at))
        .bind(micros(job.completed_at))
        .bind(job.updated_at.timestamp_micros())
        .bind(micros(job.not_before))
        .bind(job.cancel_requested)
        .bind(to_json("progress", &job.progress)?)
        .bind(job.outcome.as_ref().map(|outcome| to_json("outcome", outcome)).transpose()?)
        .bind(job.failure.as_ref().map(|failure| to_json("failure", failure)).transpose()?)
        .bind(self.claim.as_ref().map(|claim| claim.owner.as_str()))
        .bind(self.fence)
        .bind(micros(self.claim.as_ref().map(|claim| claim.heard_at)))
        .execute(connection)
        .await
        .map_err(|error| failed("update job", &error))?;
        Ok(())
    }
}

/// Appends the event of a change that was just made to `job`.
pub(super) async fn insert_event(
    connection: &mut SqliteConnection,
    kind: EventKind,
    job: &Job,
) -> Result<Seq> {
    let result = sqlx::query("INSERT INTO events (time, kind, job, data) VALUES ($1, $2, $3, $4)")
        .bind(job.updated_at.timestamp_micros())
        .bind(kind.as_str())
        .bind(job.id.as_str())
        .bind(to_json("data", &job.event_data(kind))?)
        .execute(connection)
        .await
        .map_err(|error| failed("append event", &error))?;
    Ok(Seq(result.last_insert_rowid()))
}

/// A row of `events`.
#[derive(FromRow)]
pub(super) struct RawEvent {
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
pub(super) struct RawLine {
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
pub(super) fn level_name(level: LogLevel) -> &'static str {
    match level {
        LogLevel::Info => "info",
        LogLevel::Warning => "warning",
        LogLevel::Error => "error",
    }
}

fn time(column: &str, micros: i64) -> Result<DateTime<Utc>> {
    DateTime::from_timestamp_micros(micros).ok_or_else(|| unreadable(column, format!("{micros} is no time")))
}

fn optional_time(column: &str, micros: Option<i64>) -> Result<Option<DateTime<Utc>>> {
    micros.map(|micros| time(column, micros)).transpose()
}

fn to_json(column: &str, value: &impl Serialize) -> Result<String> {
    serde_json::to_string(value).map_err(|error| unreadable(column, error))
}

fn from_json<T: DeserializeOwned>(column: &str, text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| unreadable(column, error))
}
