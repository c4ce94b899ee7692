//! A change of the database together with the events that tell of it.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use hypersdk_core::{EventKind, Job, JobId, JobStatus, Result, Seq};
use serde::Serialize;
use serde_json::Value;
use sqlx::postgres::{PgConnection, Postgres};
use sqlx::{AssertSqlSafe, PgPool, Row as _};

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
    counts: BTreeMap<&'static str, i64>,
}

#[derive(Debug, Serialize)]
struct NewEvent {
    time: i64,
    kind: &'static str,
    job: Option<String>,
    data: String,
}

/// By how much the number of jobs in a state changes.
#[derive(Debug, Serialize)]
struct Count<'a> {
    status: &'a str,
    change: i64,
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
            kind: kind.as_str(),
            job: job.map(JobId::to_string),
            data: to_json("data", data)?,
        });
        Ok(())
    }

    /// Inserts the events and commits. Returns the position of the last of them.
    ///
    /// All that is one message: whoever has the log's lock waits for nobody but the server. A process that is put to
    /// sleep at any moment may leave rows locked, but never the log.
    pub(super) async fn commit(mut self) -> Result<Option<Seq>> {
        self.counts.retain(|_, change| *change != 0);
        if self.events.is_empty() && self.counts.is_empty() {
            self.inner.commit().await.map_err(|error| failed("commit", &error))?;
            return Ok(None);
        }
        let events = literal(&self.events)?;
        let counts: Vec<_> =
            self.counts.iter().map(|(status, change)| Count { status, change: *change }).collect();
        let counts = literal(&counts)?;
        // Statements of their own, as those after the lock must see what its last holder has written. The empty
        // transaction that follows ends when `inner` is dropped.
        let statements = format!(
            "SELECT pg_advisory_xact_lock({LOG_LOCK});
             WITH counted AS (
                 UPDATE job_counts SET jobs = job_counts.jobs + new.change
                 FROM json_to_recordset({counts}) AS new (status text, change bigint)
                 WHERE job_counts.status = new.status
             ), appended AS (
                 INSERT INTO events (time, kind, job, data)
                 SELECT (event->>'time')::bigint, event->>'kind', event->>'job', event->>'data'
                 FROM json_array_elements({events}) WITH ORDINALITY AS new (event, place)
                 ORDER BY place
                 RETURNING seq
             ), newest AS (SELECT max(seq) AS seq FROM appended)
             SELECT seq FROM newest, LATERAL (SELECT pg_notify('{CHANNEL}', seq::text) WHERE seq IS NOT NULL) AS told;
             COMMIT AND CHAIN"
        );
        let rows = sqlx::raw_sql(AssertSqlSafe(statements))
            .fetch_all(&mut *self.inner)
            .await
            .map_err(|error| failed("append events and commit", &error))?;
        Ok(rows.iter().find_map(|row| row.try_get("seq").ok()).map(Seq))
    }
}

/// A value as a literal of type `json`. No dollar sign is left in it, so nothing in it can end the literal.
fn literal(value: &impl Serialize) -> Result<String> {
    let json = to_json("events", value)?.replace('$', r"\u0024");
    Ok(format!("$json${json}$json$::json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_literal_ends_it() {
        let literal = literal(&["$json$; DROP TABLE jobs; --", "it's", "\\"]).unwrap();
        let inner =
            literal.strip_prefix("$json$").and_then(|rest| rest.strip_suffix("$json$::json")).unwrap();
        assert!(!inner.contains('$'), "{inner}");
        let read: Vec<String> = serde_json::from_str(inner).unwrap();
        assert_eq!(read, ["$json$; DROP TABLE jobs; --", "it's", "\\"]);
    }
}
