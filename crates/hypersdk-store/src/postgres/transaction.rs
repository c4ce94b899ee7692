//! A change of the database together with the events that tell of it.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use hypersdk_core::{EventKind, Job, JobId, JobStatus, Result, Seq};
use serde_json::Value;
use sqlx::PgPool;
use sqlx::postgres::{PgConnection, Postgres};

use super::error::{failed, is_unique_violation};
use super::news::CHANNEL;
use crate::error::taken;
use crate::rows::{INSERT_JOB, Row, UPDATE_JOB, to_json, with_insert, with_update};

/// The key of the advisory lock under which events are appended.
const LOG_LOCK: i64 = 0x6879_7065_7273_646b;

/// A transaction that [`PostgresStore::write`](super::PostgresStore::write) has begun and will commit.
///
/// # How an adapter uses it
/// ```text
/// self.write("enable schedule", move |transaction| {
///     Box::pin(async move {
///         sqlx::query("UPDATE ...").execute(transaction.connection()).await.map_err(|error| failed("...", &error))?;
///         transaction.append_event(kind, now, None, &data)?;     // told by the same commit
///         Ok(value)
///     })
/// })
/// ```
/// Rows that are going to be changed are read with `FOR UPDATE`, so that two daemons change them one after the other.
/// Events are kept until the commit and inserted there, in the order they were appended: an event's position is
/// therefore not known before, and what needs it has to read the log. A job that an event names must be one that this
/// transaction has inserted or locked, otherwise its foreign key could wait for somebody who waits for the log.
#[derive(Debug)]
pub(super) struct Transaction {
    inner: sqlx::Transaction<'static, Postgres>,
    events: Vec<NewEvent>,
    /// By how much the number of jobs in a state changes.
    counts: BTreeMap<&'static str, i64>,
}

#[derive(Debug)]
struct NewEvent {
    time: i64,
    kind: EventKind,
    job: Option<String>,
    data: String,
}

impl Transaction {
    pub(super) async fn begin(pool: &PgPool) -> Result<Self> {
        let inner = pool.begin().await.map_err(|error| failed("begin a transaction", &error))?;
        Ok(Transaction { inner, events: Vec::new(), counts: BTreeMap::new() })
    }

    /// For statements of an adapter's own.
    pub(super) fn connection(&mut self) -> &mut PgConnection {
        &mut self.inner
    }

    /// Adds a job that was just accepted.
    ///
    /// # Errors
    /// `Conflict` if there is one of that name, also one that another transaction was just adding.
    pub(super) async fn insert(&mut self, job: &Job, blocked_by: i64) -> Result<()> {
        let insert = with_insert!(sqlx::query(INSERT_JOB), job, blocked_by);
        let inserted = insert.execute(&mut *self.inner).await;
        inserted.map_err(|error| match error {
            error if is_unique_violation(&error) => taken(&job.id),
            error => failed("insert job", &error),
        })?;
        self.count(job.status, 1);
        Ok(())
    }

    /// Writes what can change of a job that was read for update.
    pub(super) async fn update(&mut self, row: &Row) -> Result<()> {
        let updated = with_update!(sqlx::query(UPDATE_JOB), row).execute(&mut *self.inner).await;
        updated.map_err(|error| failed("update job", &error))?;
        if row.was != row.job.status {
            self.count(row.was, -1);
            self.count(row.job.status, 1);
        }
        Ok(())
    }

    /// Counts jobs in or out of a state.
    pub(super) fn count(&mut self, status: JobStatus, change: i64) {
        *self.counts.entry(status.as_str()).or_default() += change;
    }

    /// Appends the event of a change that was just made to `job`.
    pub(super) fn append(&mut self, kind: EventKind, job: &Job) -> Result<()> {
        self.append_event(kind, job.updated_at, Some(&job.id), &job.event_data(kind))
    }

    /// Appends an event, of a job or of none.
    pub(super) fn append_event(
        &mut self,
        kind: EventKind,
        time: DateTime<Utc>,
        job: Option<&JobId>,
        data: &Value,
    ) -> Result<()> {
        self.events.push(NewEvent {
            time: time.timestamp_micros(),
            kind,
            job: job.map(JobId::to_string),
            data: to_json("data", data)?,
        });
        Ok(())
    }

    /// Inserts the events and commits. Returns the position of the last of them.
    pub(super) async fn commit(mut self) -> Result<Option<Seq>> {
        let newest = self.write_events().await?;
        self.inner.commit().await.map_err(|error| failed("commit", &error))?;
        Ok(newest)
    }

    async fn write_events(&mut self) -> Result<Option<Seq>> {
        self.counts.retain(|_, change| *change != 0);
        if self.events.is_empty() && self.counts.is_empty() {
            return Ok(None);
        }
        sqlx::query("SELECT pg_advisory_xact_lock($1)")
            .bind(LOG_LOCK)
            .execute(&mut *self.inner)
            .await
            .map_err(|error| failed("lock the log", &error))?;
        // A statement of its own, as it must see what the lock's last holder has written.
        let (statuses, changes): (Vec<&str>, Vec<i64>) = std::mem::take(&mut self.counts).into_iter().unzip();
        let events = std::mem::take(&mut self.events);
        let newest: Option<i64> = sqlx::query_scalar(
            "WITH counted AS (
                 UPDATE job_counts SET jobs = job_counts.jobs + new.change
                 FROM unnest($1::text[], $2::bigint[]) AS new (status, change)
                 WHERE job_counts.status = new.status
             ), appended AS (
                 INSERT INTO events (time, kind, job, data)
                 SELECT time, kind, job, data
                 FROM unnest($3::bigint[], $4::text[], $5::text[], $6::text[]) WITH ORDINALITY
                     AS new (time, kind, job, data, place)
                 ORDER BY place
                 RETURNING seq
             ), newest AS (SELECT max(seq) AS seq FROM appended)
             SELECT seq FROM newest, LATERAL (SELECT pg_notify($7, seq::text) WHERE seq IS NOT NULL) AS told",
        )
        .bind(statuses)
        .bind(changes)
        .bind(events.iter().map(|event| event.time).collect::<Vec<_>>())
        .bind(events.iter().map(|event| event.kind.as_str()).collect::<Vec<_>>())
        .bind(events.iter().map(|event| event.job.as_deref()).collect::<Vec<_>>())
        .bind(events.iter().map(|event| event.data.as_str()).collect::<Vec<_>>())
        .bind(CHANNEL)
        .fetch_optional(&mut *self.inner)
        .await
        .map_err(|error| failed("append events", &error))?;
        Ok(newest.map(Seq))
    }
}
