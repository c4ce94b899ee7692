//! The job store's operations. Each loads what it changes, has the job itself make the change, and writes
//! the job and its event in one transaction.

use std::collections::HashSet;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, SubsecRound, Utc};
use hypersdk_core::{
    CancelOutcome, Claim, EventKind, Job, JobCounts, JobId, JobPage, JobQuery, JobStore, LogLine, NewJob,
    Owner, Progress, Result, Settled, StopReason,
};
use sqlx::SqliteExecutor;

use super::SqliteStore;
use super::error::failed;
use crate::error::{lost, refused, taken, unknown};
use crate::listing::listing;
use crate::rows::{self, RawJob, RawLine, Row, RowClaim};

#[async_trait]
impl JobStore for SqliteStore {
    async fn submit(&self, jobs: Vec<NewJob>) -> Result<Vec<Job>> {
        let mut seen = HashSet::new();
        if let Some(twin) = jobs.iter().find(|job| !seen.insert(&job.id)) {
            return Err(taken(&twin.id).context("submit jobs"));
        }
        if jobs.is_empty() {
            return Ok(Vec::new());
        }
        let now = self.clock.now();
        self.write("submit jobs", move |transaction| {
            Box::pin(async move {
                let mut accepted = Vec::with_capacity(jobs.len());
                for new in jobs {
                    if find(transaction.connection(), &new.id).await?.is_some() {
                        return Err(taken(&new.id));
                    }
                    let job = Job::accepted(new, now);
                    transaction.insert(&job).await?;
                    transaction.append(EventKind::JobCreated, &job).await?;
                    accepted.push(job);
                }
                Ok(accepted)
            })
        })
        .await
    }

    async fn claim(&self, owner: &Owner, limit: usize) -> Result<Vec<Claim>> {
        let now = self.clock.now();
        // A look that costs no write: most of the time nothing is due.
        if limit == 0 || due(&self.readers, now, 1).await?.is_empty() {
            return Ok(Vec::new());
        }
        let owner = owner.clone();
        self.write("claim jobs", move |transaction| {
            Box::pin(async move {
                let mut claims = Vec::new();
                for mut row in due(transaction.connection(), now, limit).await? {
                    let kind = row.job.start(now).map_err(refused)?;
                    row.fence += 1;
                    row.claim = Some(RowClaim::new(&owner, now));
                    transaction.update(&row).await?;
                    transaction.append(kind, &row.job).await?;
                    claims.push(Claim { job: row.job, fence: row.fence });
                }
                Ok(claims)
            })
        })
        .await
    }

    async fn heartbeat(
        &self,
        owner: &Owner,
        jobs: &[(JobId, i64, Progress)],
    ) -> Result<Vec<(JobId, StopReason)>> {
        if jobs.is_empty() {
            return Ok(Vec::new());
        }
        let now = self.clock.now();
        let (owner, jobs) = (owner.clone(), jobs.to_vec());
        self.write("keep claims", move |transaction| {
            Box::pin(async move {
                let mut stop = Vec::new();
                for (id, fence, progress) in jobs {
                    match find(transaction.connection(), &id).await? {
                        Some(mut row) if row.is_claimed_by(&owner, fence) => {
                            row.claim = Some(RowClaim::new(&owner, now));
                            row.job.progress = progress;
                            row.job.updated_at = now;
                            transaction.update(&row).await?;
                            if row.job.cancel_requested {
                                stop.push((id, StopReason::CancelRequested));
                            }
                        }
                        _ => stop.push((id, StopReason::ClaimLost)),
                    }
                }
                Ok(stop)
            })
        })
        .await
    }

    async fn settle(&self, id: &JobId, fence: i64, settled: Settled, progress: Progress) -> Result<Job> {
        let now = self.clock.now();
        let id = id.clone();
        let settled = match settled {
            Settled::Requeued { failure, not_before } => {
                Settled::Requeued { failure, not_before: not_before.map(|instant| instant.trunc_subsecs(6)) }
            }
            settled => settled,
        };
        self.write("settle job", move |transaction| {
            Box::pin(async move {
                let mut row = load(transaction.connection(), &id).await?;
                if row.fence != fence || row.claim.is_none() {
                    return Err(lost(&id));
                }
                let kind = row.job.settle(settled, progress, now).map_err(refused)?;
                row.claim = None;
                transaction.update(&row).await?;
                transaction.append(kind, &row.job).await?;
                Ok(row.job)
            })
        })
        .await
    }

    async fn recover(&self, owner: &Owner, silence: Duration) -> Result<Vec<JobId>> {
        let now = self.clock.now();
        let owner = owner.clone();
        if abandoned(&self.readers, &owner, silence, now).await?.is_empty() {
            return Ok(Vec::new());
        }
        self.write("recover jobs", move |transaction| {
            Box::pin(async move {
                let mut taken_back = Vec::new();
                for mut row in abandoned(transaction.connection(), &owner, silence, now).await? {
                    let kind = row.job.take_back(now).map_err(refused)?;
                    row.claim = None;
                    transaction.update(&row).await?;
                    transaction.append(kind, &row.job).await?;
                    taken_back.push(row.job.id);
                }
                Ok(taken_back)
            })
        })
        .await
    }

    async fn cancel(&self, id: &JobId) -> Result<CancelOutcome> {
        let now = self.clock.now();
        let id = id.clone();
        self.write("cancel job", move |transaction| {
            Box::pin(async move {
                let mut row = load(transaction.connection(), &id).await?;
                let (outcome, kind) = row.job.ask_to_stop(now);
                transaction.update(&row).await?;
                if let Some(kind) = kind {
                    transaction.append(kind, &row.job).await?;
                }
                Ok(outcome)
            })
        })
        .await
    }

    async fn get(&self, id: &JobId) -> Result<Option<Job>> {
        Ok(find(&self.readers, id).await?.map(|row| row.job))
    }

    async fn list(&self, query: &JobQuery) -> Result<JobPage> {
        let place = match &query.before {
            None => None,
            Some(before) => {
                let place: Option<i64> = sqlx::query_scalar("SELECT seq FROM jobs WHERE id = $1")
                    .bind(before.as_str())
                    .fetch_optional(&self.readers)
                    .await
                    .map_err(|error| failed("list jobs", &error))?;
                Some(place.ok_or_else(|| unknown(before).context("list jobs"))?)
            }
        };
        let mut select = listing(query, place, |select, ids| {
            // One parameter however many there are: SQLite limits their number.
            let ids = serde_json::Value::from(ids).to_string();
            select.push(" AND id IN (SELECT value FROM json_each(").push_bind(ids).push("))");
        });
        let rows = select
            .build_query_as()
            .fetch_all(&self.readers)
            .await
            .map_err(|error| failed("list jobs", &error))?;
        rows::page(rows, query.limit)
    }

    async fn counts(&self) -> Result<JobCounts> {
        let rows = sqlx::query_as("SELECT status, jobs FROM job_counts").fetch_all(&self.readers).await;
        rows::counts(rows.map_err(|error| failed("count jobs", &error))?)
    }

    async fn next_due(&self) -> Result<Option<DateTime<Utc>>> {
        let micros: Option<i64> = sqlx::query_scalar(
            "SELECT min(not_before) FROM jobs WHERE status = 'pending' AND not_before IS NOT NULL",
        )
        .fetch_one(&self.readers)
        .await
        .map_err(|error| failed("see when the next job is due", &error))?;
        Ok(micros.and_then(DateTime::from_timestamp_micros))
    }

    async fn append_log(&self, id: &JobId, lines: &[LogLine]) -> Result<()> {
        let (id, lines) = (id.clone(), lines.to_vec());
        self.write("write job log", move |transaction| {
            Box::pin(async move {
                load(transaction.connection(), &id).await?;
                for line in lines {
                    sqlx::query("INSERT INTO job_logs (job, time, level, message) VALUES ($1, $2, $3, $4)")
                        .bind(id.as_str())
                        .bind(line.time.timestamp_micros())
                        .bind(rows::level_name(line.level))
                        .bind(line.message)
                        .execute(transaction.connection())
                        .await
                        .map_err(|error| failed("insert line", &error))?;
                }
                Ok(())
            })
        })
        .await
    }

    async fn log(&self, id: &JobId) -> Result<Vec<LogLine>> {
        load(&self.readers, id).await.map_err(|error| error.context("read job log"))?;
        let rows: Vec<RawLine> =
            sqlx::query_as("SELECT time, level, message FROM job_logs WHERE job = $1 ORDER BY seq")
                .bind(id.as_str())
                .fetch_all(&self.readers)
                .await
                .map_err(|error| failed("read job log", &error))?;
        rows.into_iter().map(LogLine::try_from).collect()
    }

    async fn check(&self) -> Result<()> {
        let now = self.clock.now().timestamp_micros();
        self.write("check database", move |transaction| {
            Box::pin(async move {
                sqlx::query(
                    "INSERT INTO store_check (id, checked_at) VALUES (1, $1)
                     ON CONFLICT (id) DO UPDATE SET checked_at = excluded.checked_at",
                )
                .bind(now)
                .execute(transaction.connection())
                .await
                .map_err(|error| failed("write a row", &error))?;
                Ok(())
            })
        })
        .await
    }
}

async fn find(executor: impl SqliteExecutor<'_>, id: &JobId) -> Result<Option<Row>> {
    let raw: Option<RawJob> = sqlx::query_as("SELECT * FROM jobs WHERE id = $1")
        .bind(id.as_str())
        .fetch_optional(executor)
        .await
        .map_err(|error| failed("read job", &error))?;
    raw.map(Row::try_from).transpose()
}

async fn load(executor: impl SqliteExecutor<'_>, id: &JobId) -> Result<Row> {
    find(executor, id).await?.ok_or_else(|| unknown(id))
}

/// Up to `limit` pending jobs whose time has come, in the order of their turns.
async fn due(executor: impl SqliteExecutor<'_>, now: DateTime<Utc>, limit: usize) -> Result<Vec<Row>> {
    let rows: Vec<RawJob> = sqlx::query_as(
        "SELECT * FROM jobs WHERE status = 'pending' AND (not_before IS NULL OR not_before <= $1)
         ORDER BY priority DESC, seq LIMIT $2",
    )
    .bind(now.timestamp_micros())
    .bind(i64::try_from(limit).unwrap_or(i64::MAX))
    .fetch_all(executor)
    .await
    .map_err(|error| failed("find due jobs", &error))?;
    rows.into_iter().map(Row::try_from).collect()
}

/// Running jobs that nobody has spoken for, or with no `silence` those of others.
async fn abandoned(
    executor: impl SqliteExecutor<'_>,
    owner: &Owner,
    silence: Duration,
    now: DateTime<Utc>,
) -> Result<Vec<Row>> {
    let rows: Result<Vec<RawJob>, sqlx::Error> = if silence.is_zero() {
        sqlx::query_as("SELECT * FROM jobs WHERE status = 'running' AND owner <> $1 ORDER BY seq")
            .bind(owner.as_str())
            .fetch_all(executor)
            .await
    } else {
        sqlx::query_as("SELECT * FROM jobs WHERE status = 'running' AND heartbeat_at <= $1 ORDER BY seq")
            .bind((now - silence).timestamp_micros())
            .fetch_all(executor)
            .await
    };
    let rows = rows.map_err(|error| failed("find abandoned jobs", &error))?;
    rows.into_iter().map(Row::try_from).collect()
}
