//! The writing connection, and what its open transaction has appended to the log.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use hypersdk_core::{EventKind, Job, JobId, Result, Seq};
use serde_json::Value;
use sqlx::AssertSqlSafe;
use sqlx::sqlite::SqliteConnection;

use super::error::failed;
use super::many;
use crate::rows::{Row, to_json, with_insert, with_update};

/// The jobs of a list.
pub(super) const FIND: &str =
    many::jobs_of!("SELECT * FROM jobs WHERE id IN (SELECT value FROM json_each($1))");

/// As [`INSERT_JOB`](crate::rows::INSERT_JOB), for many.
const INSERT_JOBS: &str =
    "INSERT INTO jobs (id, spec, priority, status, created_at, updated_at, progress, lane, blocked_by)";

/// As [`UPDATE_JOB`](crate::rows::UPDATE_JOB), for many.
const UPDATE_JOBS: (&str, &str) = (
    "UPDATE jobs SET status = new.column2, attempt = new.column3, failures = new.column4,
         started_at = new.column5, completed_at = new.column6, updated_at = new.column7,
         not_before = new.column8, cancel_requested = new.column9, progress = new.column10,
         outcome = new.column11, failure = new.column12, owner = new.column13, fence = new.column14,
         heartbeat_at = new.column15
     FROM (",
    ") AS new WHERE jobs.id = new.column1",
);

/// The writing connection and what its open transaction has appended to the log.
#[derive(Debug)]
pub(super) struct Transaction {
    connection: SqliteConnection,
    pub(super) newest: Option<Seq>,
}

/// A line of the log of what happened.
#[derive(Debug)]
pub(super) struct NewEvent {
    time: i64,
    kind: EventKind,
    job: Option<String>,
    data: String,
}

impl NewEvent {
    pub(super) fn new(
        kind: EventKind,
        time: DateTime<Utc>,
        job: Option<&JobId>,
        data: &Value,
    ) -> Result<Self> {
        let (time, job) = (time.timestamp_micros(), job.map(JobId::to_string));
        Ok(NewEvent { time, kind, job, data: to_json("data", data)? })
    }

    /// The event of a change that was just made to `job`.
    pub(super) fn of(kind: EventKind, job: &Job) -> Result<Self> {
        Self::new(kind, job.updated_at, Some(&job.id), &job.event_data(kind))
    }
}

impl Transaction {
    pub(super) fn new(connection: SqliteConnection) -> Self {
        Transaction { connection, newest: None }
    }

    pub(super) fn connection(&mut self) -> &mut SqliteConnection {
        &mut self.connection
    }

    pub(super) fn into_connection(self) -> SqliteConnection {
        self.connection
    }

    /// Those of the jobs that there are.
    pub(super) async fn find(
        &mut self,
        ids: impl IntoIterator<Item = &JobId>,
    ) -> Result<HashMap<JobId, Row>> {
        let found: String = sqlx::query_scalar(FIND)
            .bind(many::list(ids))
            .fetch_one(&mut self.connection)
            .await
            .map_err(|error| failed("read jobs", &error))?;
        Ok(many::jobs(&found)?.into_iter().map(|row| (row.job.id.clone(), row)).collect())
    }

    /// Adds jobs that were just accepted, with the numbers of those that each has to wait for.
    pub(super) async fn insert(&mut self, jobs: &[(Job, i64)]) -> Result<()> {
        for part in many::parts(jobs) {
            let mut query = sqlx::query(AssertSqlSafe(many::values(INSERT_JOBS, (part.len(), 9), "")));
            for (job, blocked_by) in part {
                query = with_insert!(query, job, *blocked_by);
            }
            query.execute(&mut self.connection).await.map_err(|error| failed("insert jobs", &error))?;
        }
        Ok(())
    }

    /// Writes what can change of jobs, each of which is there once.
    pub(super) async fn update(&mut self, rows: &[Row]) -> Result<()> {
        for part in many::parts(rows) {
            let (before, after) = UPDATE_JOBS;
            let mut query = sqlx::query(AssertSqlSafe(many::values(before, (part.len(), 15), after)));
            for row in part {
                query = with_update!(query, row);
            }
            query.execute(&mut self.connection).await.map_err(|error| failed("update jobs", &error))?;
        }
        Ok(())
    }

    /// Appends events, of jobs or of none.
    pub(super) async fn append(&mut self, events: &[NewEvent]) -> Result<()> {
        for part in many::parts(events) {
            let sql = many::values("INSERT INTO events (time, kind, job, data)", (part.len(), 4), "");
            let mut query = sqlx::query(AssertSqlSafe(sql));
            for event in part {
                query = query
                    .bind(event.time)
                    .bind(event.kind.as_str())
                    .bind(event.job.as_deref())
                    .bind(event.data.as_str());
            }
            let result = query.execute(&mut self.connection).await;
            let result = result.map_err(|error| failed("append events", &error))?;
            self.newest = Some(Seq(result.last_insert_rowid()));
        }
        Ok(())
    }

    /// Appends an event, of a job or of none.
    pub(super) async fn append_event(
        &mut self,
        kind: EventKind,
        time: DateTime<Utc>,
        job: Option<&JobId>,
        data: &Value,
    ) -> Result<()> {
        self.append(&[NewEvent::new(kind, time, job, data)?]).await
    }

    pub(super) async fn execute(&mut self, sql: &'static str) -> Result<(), sqlx::Error> {
        sqlx::query(sql).execute(&mut self.connection).await.map(drop)
    }
}
