//! Jobs that come after others.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use hypersdk_core::{Job, JobId, JobStatus, Result};

use super::error::failed;
use super::many;
use super::transaction::{NewEvent, Transaction};
use crate::error::{cannot_come_after, refused, unreadable};
use crate::rows::{RawJob, Row};

/// What waits for a job. The sign keeps SQLite from reading all that is pending instead.
pub(super) const AFTER: &str = "SELECT * FROM jobs WHERE +status = 'pending'
         AND id IN (SELECT job FROM job_dependencies WHERE needs = $1) ORDER BY id";

/// The jobs that this one has yet to wait for. Those `before` it in its submission are not in the database yet.
pub(super) async fn unfinished(
    transaction: &mut Transaction,
    job: &Job,
    before: &HashSet<JobId>,
) -> Result<Vec<JobId>> {
    let mut needs = Vec::new();
    for id in &job.spec.after {
        if before.contains(id) {
            if !needs.contains(id) {
                needs.push(id.clone());
            }
            continue;
        }
        let status: Option<String> = sqlx::query_scalar("SELECT status FROM jobs WHERE id = $1")
            .bind(id.as_str())
            .fetch_optional(transaction.connection())
            .await
            .map_err(|error| failed("read job", &error))?;
        let status = status.map(|text| text.parse()).transpose();
        match status.map_err(|error| unreadable("status", error))? {
            Some(JobStatus::Completed) => {}
            Some(JobStatus::Pending | JobStatus::Running) if needs.contains(id) => {}
            Some(JobStatus::Pending | JobStatus::Running) => needs.push(id.clone()),
            status => return Err(cannot_come_after(&job.id, id, status)),
        }
    }
    Ok(needs)
}

/// Notes what a job has to wait for.
pub(super) async fn note(transaction: &mut Transaction, job: &JobId, needs: &[JobId]) -> Result<()> {
    for id in needs {
        sqlx::query("INSERT INTO job_dependencies (needs, job) VALUES ($1, $2)")
            .bind(id.as_str())
            .bind(job.as_str())
            .execute(transaction.connection())
            .await
            .map_err(|error| failed("insert dependency", &error))?;
    }
    Ok(())
}

/// Those of the jobs that others come after.
pub(super) async fn needed<'a>(
    transaction: &mut Transaction,
    jobs: Vec<(&'a Job, DateTime<Utc>)>,
) -> Result<Vec<(&'a Job, DateTime<Utc>)>> {
    let needed: Vec<String> = sqlx::query_scalar(
        "SELECT DISTINCT needs FROM job_dependencies WHERE needs IN (SELECT value FROM json_each($1))",
    )
    .bind(many::list(jobs.iter().map(|(job, _)| &job.id)))
    .fetch_all(transaction.connection())
    .await
    .map_err(|error| failed("find what comes after", &error))?;
    let needed: HashSet<String> = needed.into_iter().collect();
    Ok(jobs.into_iter().filter(|(job, _)| needed.contains(job.id.as_str())).collect())
}

/// Lets the jobs start that waited for this one if it is completed, and ends them if it ended otherwise.
pub(super) async fn follow_up(transaction: &mut Transaction, job: &Job, now: DateTime<Utc>) -> Result<()> {
    let mut ended = vec![(job.id.clone(), job.status)];
    while let Some((id, status)) = ended.pop() {
        if !status.is_final() {
            continue;
        }
        let rows: Vec<RawJob> = sqlx::query_as(AFTER)
            .bind(id.as_str())
            .fetch_all(transaction.connection())
            .await
            .map_err(|error| failed("find what comes after", &error))?;
        for raw in rows {
            let mut row = Row::try_from(raw)?;
            if status == JobStatus::Completed {
                sqlx::query("UPDATE jobs SET blocked_by = blocked_by - 1 WHERE id = $1")
                    .bind(row.job.id.as_str())
                    .execute(transaction.connection())
                    .await
                    .map_err(|error| failed("unblock job", &error))?;
            } else {
                let kind = row.job.forgo(&id, status, now).map_err(refused)?;
                transaction.append(&[NewEvent::of(kind, &row.job)?]).await?;
                ended.push((row.job.id.clone(), row.job.status));
                transaction.update(&[row]).await?;
            }
        }
    }
    Ok(())
}
