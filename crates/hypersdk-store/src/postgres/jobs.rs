//! The job store's operations. Each reads what it changes for update, has the job itself make the change, and
//! writes the job and its event in one transaction.

use std::collections::HashSet;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, SubsecRound, Utc};
use hypersdk_core::{
    CancelOutcome, Claim, Claimant, EventKind, Job, JobCounts, JobId, JobPage, JobQuery, JobStore, LogLine,
    NewJob, Owner, Progress, Result, Seq, Settled, StopReason,
};
use sqlx::postgres::{PgConnection, PgExecutor};

use super::error::failed;
use super::transaction::Transaction;
use super::{PostgresStore, after, packages};
use crate::error::{lost, proves, refused, taken, unknown, unreadable};
use crate::listing::listing;
use crate::prune;
use crate::rows::{self, RawJob, RawLine, Row, RowClaim};
use crate::turns::{self, due_in_lane, waiting};

#[async_trait]
impl JobStore for PostgresStore {
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
                    let job = Job::accepted(new, now);
                    let needs = after::unfinished(transaction, &job).await?;
                    transaction.insert(&job, i64::try_from(needs.len()).unwrap_or(i64::MAX)).await?;
                    after::note(transaction, &job.id, &needs).await?;
                    transaction.append(EventKind::JobCreated, &job)?;
                    accepted.push(job);
                }
                Ok(accepted)
            })
        })
        .await
    }

    async fn claim(&self, claimant: &Claimant, limit: usize) -> Result<Vec<Claim>> {
        if limit == 0 {
            return Ok(Vec::new());
        }
        let (now, claimant) = (self.clock.now(), claimant.clone());
        self.write("claim jobs", move |transaction| {
            Box::pin(async move {
                let mut claims = Vec::new();
                for mut row in due(transaction.connection(), &claimant, now, limit).await? {
                    let kind = row.job.start(now).map_err(refused)?;
                    row.fence += 1;
                    row.claim = Some(RowClaim::new(&claimant.owner, now));
                    transaction.update(&row).await?;
                    transaction.append(kind, &row.job)?;
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
        let (owner, mut jobs) = (owner.clone(), jobs.to_vec());
        // Everybody locks jobs in one order, so that nobody waits in a circle.
        jobs.sort_by(|one, other| one.0.cmp(&other.0));
        self.write("keep claims", move |transaction| {
            Box::pin(async move {
                let mut stop = Vec::new();
                for (id, fence, progress) in jobs {
                    match find_for_update(transaction, &id).await? {
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
        let (now, id) = (self.clock.now(), id.clone());
        let settled = match settled {
            Settled::Requeued { failure, not_before } => {
                Settled::Requeued { failure, not_before: not_before.map(|instant| instant.trunc_subsecs(6)) }
            }
            settled => settled,
        };
        self.write("settle job", move |transaction| {
            Box::pin(async move {
                let mut row = load_for_update(transaction, &id).await?;
                if row.fence != fence || row.claim.is_none() {
                    return Err(lost(&id));
                }
                let kind = row.job.settle(settled, progress, now).map_err(refused)?;
                row.claim = None;
                transaction.update(&row).await?;
                transaction.append(kind, &row.job)?;
                packages::enter(transaction, &row.job).await?;
                after::follow_up(transaction, &row.job, now).await?;
                Ok(row.job)
            })
        })
        .await
    }

    async fn recover(&self, owner: &Owner, silence: Duration) -> Result<Vec<JobId>> {
        let (now, owner) = (self.clock.now(), owner.clone());
        self.write("recover jobs", move |transaction| {
            Box::pin(async move {
                let mut taken_back = Vec::new();
                for mut row in abandoned(transaction.connection(), &owner, silence, now).await? {
                    let kind = row.job.take_back(now).map_err(refused)?;
                    row.claim = None;
                    transaction.update(&row).await?;
                    transaction.append(kind, &row.job)?;
                    after::follow_up(transaction, &row.job, now).await?;
                    taken_back.push(row.job.id);
                }
                Ok(taken_back)
            })
        })
        .await
    }

    async fn cancel(&self, id: &JobId) -> Result<CancelOutcome> {
        let (now, id) = (self.clock.now(), id.clone());
        self.write("cancel job", move |transaction| {
            Box::pin(async move {
                let mut row = load_for_update(transaction, &id).await?;
                let (outcome, kind) = row.job.ask_to_stop(now);
                transaction.update(&row).await?;
                if let Some(kind) = kind {
                    transaction.append(kind, &row.job)?;
                    after::follow_up(transaction, &row.job, now).await?;
                }
                Ok(outcome)
            })
        })
        .await
    }

    async fn get(&self, id: &JobId) -> Result<Option<Job>> {
        let raw: Option<RawJob> = self.read("read job", select(id).fetch_optional(&self.pool)).await?;
        Ok(raw.map(Row::try_from).transpose()?.map(|row| row.job))
    }

    async fn list(&self, query: &JobQuery) -> Result<JobPage> {
        let place = match &query.before {
            None => None,
            Some(before) => {
                let seq = sqlx::query_scalar("SELECT seq FROM jobs WHERE id = $1").bind(before.as_str());
                let place: Option<i64> = self.read("list jobs", seq.fetch_optional(&self.pool)).await?;
                Some(place.ok_or_else(|| unknown(before).context("list jobs"))?)
            }
        };
        let mut select = listing(query, place, |select, ids| {
            select.push(" AND id = ANY(").push_bind(ids).push(")");
        });
        let rows = self.read("list jobs", select.build_query_as().fetch_all(&self.pool)).await?;
        rows::page(rows, query.limit)
    }

    async fn counts(&self) -> Result<JobCounts> {
        let counts = sqlx::query_as("SELECT status, jobs FROM job_counts").fetch_all(&self.pool);
        rows::counts(self.read("count jobs", counts).await?)
    }

    async fn next_due(&self) -> Result<Option<DateTime<Utc>>> {
        let next = sqlx::query_scalar(
            "SELECT min(not_before) FROM jobs WHERE status = 'pending' AND not_before IS NOT NULL",
        );
        let micros: Option<i64> =
            self.read("see when the next job is due", next.fetch_one(&self.pool)).await?;
        Ok(micros.and_then(DateTime::from_timestamp_micros))
    }

    async fn append_log(&self, id: &JobId, fence: Option<i64>, lines: &[LogLine]) -> Result<()> {
        let (id, lines) = (id.clone(), lines.to_vec());
        self.write("write job log", move |transaction| {
            Box::pin(async move {
                proves(fence_of(transaction.connection(), &id).await?, fence, &id)?;
                let times: Vec<i64> = lines.iter().map(|line| line.time.timestamp_micros()).collect();
                let levels: Vec<&str> = lines.iter().map(|line| rows::level_name(line.level)).collect();
                // PostgreSQL's text has no room for the character NUL.
                let texts: Vec<String> =
                    lines.iter().map(|line| line.message.replace('\0', "\u{fffd}")).collect();
                sqlx::query(
                    "INSERT INTO job_logs (job, time, level, message)
                     SELECT $1, time, level, message
                     FROM unnest($2::bigint[], $3::text[], $4::text[]) WITH ORDINALITY
                         AS new (time, level, message, place)
                     ORDER BY place",
                )
                .bind(id.as_str())
                .bind(times)
                .bind(levels)
                .bind(texts)
                .execute(transaction.connection())
                .await
                .map_err(|error| failed("insert lines", &error))?;
                Ok(())
            })
        })
        .await
    }

    async fn log(&self, id: &JobId) -> Result<Vec<LogLine>> {
        self.get(id).await?.ok_or_else(|| unknown(id).context("read job log"))?;
        let lines = sqlx::query_as("SELECT time, level, message FROM job_logs WHERE job = $1 ORDER BY seq")
            .bind(id.as_str());
        let rows: Vec<RawLine> = self.read("read job log", lines.fetch_all(&self.pool)).await?;
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
                let mut counts = Vec::new();
                for (id, status) in &gone {
                    for statement in prune::FORGET {
                        sqlx::query(statement).bind(id).execute(&mut *connection).await.map_err(failed)?;
                    }
                    let status = status.parse().map_err(|error| unreadable("status", error))?;
                    counts.push(status);
                }
                sqlx::query(prune::OLD_EVENTS)
                    .bind(before)
                    .bind(seen.0)
                    .execute(&mut *connection)
                    .await
                    .map_err(failed)?;
                for status in counts {
                    transaction.count(status, -1);
                }
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

fn select(id: &JobId) -> sqlx::query::QueryAs<'_, sqlx::Postgres, RawJob, sqlx::postgres::PgArguments> {
    sqlx::query_as("SELECT * FROM jobs WHERE id = $1").bind(id.as_str())
}

/// The number of the job's last claim. Whoever claims it waits until this transaction ends.
async fn fence_of(executor: impl PgExecutor<'_>, id: &JobId) -> Result<i64> {
    let fence: Option<i64> = sqlx::query_scalar("SELECT fence FROM jobs WHERE id = $1 FOR SHARE")
        .bind(id.as_str())
        .fetch_optional(executor)
        .await
        .map_err(|error| failed("find job", &error))?;
    fence.ok_or_else(|| unknown(id))
}

async fn find_for_update(transaction: &mut Transaction, id: &JobId) -> Result<Option<Row>> {
    let raw: Option<RawJob> = sqlx::query_as("SELECT * FROM jobs WHERE id = $1 FOR UPDATE")
        .bind(id.as_str())
        .fetch_optional(transaction.connection())
        .await
        .map_err(|error| failed("read job", &error))?;
    raw.map(Row::try_from).transpose()
}

async fn load_for_update(transaction: &mut Transaction, id: &JobId) -> Result<Row> {
    find_for_update(transaction, id).await?.ok_or_else(|| unknown(id))
}

/// Up to `limit` pending jobs that the claimant may run and whose time has come, in the order of their turns.
/// Those that somebody else is taking are passed over.
async fn due(
    connection: &mut PgConnection,
    claimant: &Claimant,
    now: DateTime<Utc>,
    limit: usize,
) -> Result<Vec<Row>> {
    let failed = |error: sqlx::Error| failed("find due jobs", &error);
    let waiting: Vec<String> =
        sqlx::query_scalar(waiting!("")).fetch_all(&mut *connection).await.map_err(failed)?;
    if waiting.is_empty() {
        return Ok(Vec::new());
    }
    let running = sqlx::query_as(turns::RUNNING).fetch_all(&mut *connection).await.map_err(failed)?;
    let mut lanes = Vec::new();
    for (lane, running) in turns::served(waiting, running, claimant)? {
        let rows: Vec<RawJob> = sqlx::query_as(due_in_lane!("", " FOR UPDATE SKIP LOCKED"))
            .bind(lane)
            .bind(now.timestamp_micros())
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .fetch_all(&mut *connection)
            .await
            .map_err(failed)?;
        lanes.push((running, rows.into_iter().map(Row::try_from).collect::<Result<_>>()?));
    }
    Ok(turns::chosen(lanes, limit))
}

/// Running jobs that nobody has spoken for, or with no `silence` those of others. One that somebody is just
/// speaking for is passed over.
async fn abandoned(
    connection: &mut PgConnection,
    owner: &Owner,
    silence: Duration,
    now: DateTime<Utc>,
) -> Result<Vec<Row>> {
    let query = if silence.is_zero() {
        sqlx::query_as(
            "SELECT * FROM jobs WHERE status = 'running' AND owner <> $1 ORDER BY seq FOR UPDATE SKIP LOCKED",
        )
        .bind(owner.as_str())
    } else {
        sqlx::query_as(
            "SELECT * FROM jobs WHERE status = 'running' AND heartbeat_at <= $1
             ORDER BY seq FOR UPDATE SKIP LOCKED",
        )
        .bind((now - silence).timestamp_micros())
    };
    let rows: Vec<RawJob> =
        query.fetch_all(connection).await.map_err(|error| failed("find abandoned jobs", &error))?;
    rows.into_iter().map(Row::try_from).collect()
}
