//! The job store's operations. Each loads what it changes, has the job itself make the change, and writes
//! the job and its event in one transaction.

use std::collections::HashSet;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, SubsecRound, Utc};
use hypersdk_core::{
    CancelOutcome, Claim, Claimant, EventKind, Job, JobCounts, JobId, JobPage, JobQuery, JobStore, LogLine,
    NewJob, Owner, Progress, Result, Seq, Settled, StopReason,
};
use sqlx::SqliteExecutor;
use sqlx::sqlite::SqliteConnection;

use super::error::failed;
use super::lines::Lines;
use super::many::{self, jobs_of};
use super::settle::Settle;
use super::transaction::NewEvent;
use super::writer::Queued;
use super::{SqliteStore, after};
use crate::error::{refused, taken, unknown};
use crate::listing::listing;
use crate::prune;
use crate::rows::{self, RawJob, RawLine, Row, RowClaim};
use crate::turns::{self, due_in_lane, waiting};

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
                let known = transaction.find(jobs.iter().map(|job| &job.id)).await?;
                if let Some(twin) = jobs.iter().find(|job| known.contains_key(&job.id)) {
                    return Err(taken(&twin.id));
                }
                let mut accepted = Vec::with_capacity(jobs.len());
                let (mut before, mut events, mut notes) = (HashSet::new(), Vec::new(), Vec::new());
                for new in jobs {
                    let job = Job::accepted(new, now);
                    let needs = after::unfinished(transaction, &job, &before).await?;
                    events.push(NewEvent::of(EventKind::JobCreated, &job)?);
                    before.insert(job.id.clone());
                    accepted.push((job, i64::try_from(needs.len()).unwrap_or(i64::MAX)));
                    notes.push(needs);
                }
                transaction.insert(&accepted).await?;
                for ((job, _), needs) in accepted.iter().zip(&notes) {
                    after::note(transaction, &job.id, needs).await?;
                }
                transaction.append(&events).await?;
                Ok(accepted.into_iter().map(|(job, _)| job).collect())
            })
        })
        .await
    }

    async fn claim(&self, claimant: &Claimant, limit: usize) -> Result<Vec<Claim>> {
        let now = self.clock.now();
        if limit == 0 {
            return Ok(Vec::new());
        }
        // A look that costs no write: most of the time nothing is due.
        let mut reader = self.readers.acquire().await.map_err(|error| failed("look for due jobs", &error))?;
        if due(&mut reader, claimant, now, 1).await?.is_empty() {
            return Ok(Vec::new());
        }
        drop(reader);
        let claimant = claimant.clone();
        self.write("claim jobs", move |transaction| {
            Box::pin(async move {
                let mut rows = due(transaction.connection(), &claimant, now, limit).await?;
                let mut events = Vec::with_capacity(rows.len());
                for row in &mut rows {
                    let kind = row.job.start(now).map_err(refused)?;
                    row.fence += 1;
                    row.claim = Some(RowClaim::new(&claimant.owner, now));
                    events.push(NewEvent::of(kind, &row.job)?);
                }
                transaction.update(&rows).await?;
                transaction.append(&events).await?;
                Ok(rows.into_iter().map(|row| Claim { job: row.job, fence: row.fence }).collect())
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
                let mut rows = transaction.find(jobs.iter().map(|(id, ..)| id)).await?;
                let (mut stop, mut kept) = (Vec::new(), Vec::with_capacity(jobs.len()));
                for (id, fence, progress) in jobs {
                    match rows.remove(&id) {
                        Some(mut row) if row.is_claimed_by(&owner, fence) => {
                            row.claim = Some(RowClaim::new(&owner, now));
                            row.job.progress = progress;
                            row.job.updated_at = now;
                            if row.job.cancel_requested {
                                stop.push((id, StopReason::CancelRequested));
                            }
                            kept.push(row);
                        }
                        _ => stop.push((id, StopReason::ClaimLost)),
                    }
                }
                transaction.update(&kept).await?;
                Ok(stop)
            })
        })
        .await
    }

    async fn settle(&self, id: &JobId, fence: i64, settled: Settled, progress: Progress) -> Result<Job> {
        let settled = match settled {
            Settled::Requeued { failure, not_before } => {
                Settled::Requeued { failure, not_before: not_before.map(|instant| instant.trunc_subsecs(6)) }
            }
            settled => settled,
        };
        let work = Settle { job: id.clone(), fence, settled, progress, now: self.clock.now() };
        self.write_with_others(work, Queued::Settle).await
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
                    let job = row.job.clone();
                    transaction.update(&[row]).await?;
                    transaction.append(&[NewEvent::of(kind, &job)?]).await?;
                    after::follow_up(transaction, &job, now).await?;
                    taken_back.push(job.id);
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
                let job = row.job.clone();
                transaction.update(&[row]).await?;
                if let Some(kind) = kind {
                    transaction.append(&[NewEvent::of(kind, &job)?]).await?;
                    after::follow_up(transaction, &job, now).await?;
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
            "SELECT min(not_before) FROM jobs INDEXED BY jobs_not_before
             WHERE status = 'pending' AND not_before IS NOT NULL",
        )
        .fetch_one(&self.readers)
        .await
        .map_err(|error| failed("see when the next job is due", &error))?;
        Ok(micros.and_then(DateTime::from_timestamp_micros))
    }

    async fn append_log(&self, id: &JobId, fence: Option<i64>, lines: &[LogLine]) -> Result<()> {
        let work = Lines { job: id.clone(), fence, lines: lines.to_vec() };
        self.write_with_others(work, Queued::Lines).await
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

    async fn prune(
        &self,
        keep: Option<u64>,
        before: Option<DateTime<Utc>>,
        seen: Seq,
        limit: usize,
    ) -> Result<usize> {
        let before = before.map(|before| before.timestamp_micros());
        self.write("forget jobs", move |transaction| {
            Box::pin(async move {
                let connection = transaction.connection();
                let failed = |error: sqlx::Error| failed("forget jobs", &error);
                let beyond: Option<i64> = match keep.map(i64::try_from) {
                    Some(Ok(keep)) => sqlx::query_scalar(prune::BEYOND)
                        .bind(keep)
                        .fetch_optional(&mut *connection)
                        .await
                        .map_err(failed)?,
                    _ => None,
                };
                let gone: Vec<(String, String)> = sqlx::query_as(prune::GONE)
                    .bind(before)
                    .bind(beyond)
                    .bind(seen.0)
                    .bind(i64::try_from(limit).unwrap_or(i64::MAX))
                    .fetch_all(&mut *connection)
                    .await
                    .map_err(failed)?;
                for (id, _) in &gone {
                    for statement in prune::FORGET {
                        sqlx::query(statement).bind(id).execute(&mut *connection).await.map_err(failed)?;
                    }
                }
                sqlx::query(prune::OLD_EVENTS)
                    .bind(before)
                    .bind(seen.0)
                    .execute(&mut *connection)
                    .await
                    .map_err(failed)?;
                Ok(gone.len())
            })
        })
        .await
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

/// Up to `limit` pending jobs that the claimant may run and whose time has come, in the order of their turns.
async fn due(
    connection: &mut SqliteConnection,
    claimant: &Claimant,
    now: DateTime<Utc>,
    limit: usize,
) -> Result<Vec<Row>> {
    let failed = |error: sqlx::Error| failed("find due jobs", &error);
    let waiting: Vec<String> = sqlx::query_scalar(waiting!(" INDEXED BY jobs_by_lane"))
        .fetch_all(&mut *connection)
        .await
        .map_err(failed)?;
    if waiting.is_empty() {
        return Ok(Vec::new());
    }
    let running = sqlx::query_as(turns::RUNNING).fetch_all(&mut *connection).await.map_err(failed)?;
    let mut lanes = Vec::new();
    for (lane, running) in turns::served(waiting, running, claimant)? {
        let rows: String = sqlx::query_scalar(jobs_of!(due_in_lane!(" INDEXED BY jobs_by_lane", "")))
            .bind(lane)
            .bind(now.timestamp_micros())
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .fetch_one(&mut *connection)
            .await
            .map_err(failed)?;
        lanes.push((running, many::jobs(&rows)?));
    }
    Ok(turns::chosen(lanes, limit))
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
