//! Jobs that come after others.

use chrono::{DateTime, Utc};
use hypersdk_core::{Job, JobId, JobStatus, Result};

use super::error::failed;
use super::writer::Transaction;
use crate::error::{cannot_come_after, refused, unreadable};
use crate::rows::{RawJob, Row};

/// The jobs that this one has yet to wait for.
pub(super) async fn unfinished(transaction: &mut Transaction, job: &Job) -> Result<Vec<JobId>> {
    let mut needs = Vec::new();
    for id in &job.spec.after {
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

/// Lets the jobs start that waited for this one if it is completed, and ends them if it ended otherwise.
pub(super) async fn follow_up(transaction: &mut Transaction, job: &Job, now: DateTime<Utc>) -> Result<()> {
    let mut ended = vec![(job.id.clone(), job.status)];
    while let Some((id, status)) = ended.pop() {
        if !status.is_final() {
            continue;
        }
        let rows: Vec<RawJob> = sqlx::query_as(
            "SELECT * FROM jobs WHERE status = 'pending'
                 AND id IN (SELECT job FROM job_dependencies WHERE needs = $1) ORDER BY id",
        )
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
                transaction.update(&row).await?;
                transaction.append(kind, &row.job).await?;
                ended.push((row.job.id, row.job.status));
            }
        }
    }
    Ok(())
}
