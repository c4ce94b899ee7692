//! Lines of jobs' logs, of many jobs at one time.

use std::collections::HashMap;

use async_trait::async_trait;
use hypersdk_core::{JobId, LogLine, Result};
use sqlx::AssertSqlSafe;

use super::alike::Alike;
use super::error::failed;
use super::many;
use super::transaction::Transaction;
use crate::error::{proves, unknown};
use crate::rows::{from_json, level_name};

/// Lines to be added to a job's log.
pub(super) struct Lines {
    pub(super) job: JobId,
    /// The number of the claim that they are written by, if they are by one.
    pub(super) fence: Option<i64>,
    pub(super) lines: Vec<LogLine>,
}

#[async_trait]
impl Alike for Lines {
    type Answer = ();

    const OPERATION: &'static str = "write job log";

    async fn all(works: &[Self], transaction: &mut Transaction) -> Result<Vec<Result<()>>> {
        let fences: String = sqlx::query_scalar(
            "SELECT json_group_object(id, fence) FROM jobs WHERE id IN (SELECT value FROM json_each($1))",
        )
        .bind(many::list(works.iter().map(|work| &work.job)))
        .fetch_one(transaction.connection())
        .await
        .map_err(|error| failed("find jobs", &error))?;
        let fences: HashMap<String, i64> = from_json("fence", &fences)?;
        let answers: Vec<Result<()>> = works
            .iter()
            .map(|Lines { job, fence, .. }| {
                let last = fences.get(job.as_str()).ok_or_else(|| unknown(job))?;
                proves(*last, *fence, job)
            })
            .collect();
        let accepted = works.iter().zip(&answers).filter(|(_, answer)| answer.is_ok());
        let lines: Vec<_> =
            accepted.flat_map(|(work, _)| work.lines.iter().map(|line| (work.job.as_str(), line))).collect();
        for part in many::parts(&lines) {
            let sql = many::values("INSERT INTO job_logs (job, time, level, message)", (part.len(), 4), "");
            let mut query = sqlx::query(AssertSqlSafe(sql));
            for (job, line) in part {
                query = query
                    .bind(*job)
                    .bind(line.time.timestamp_micros())
                    .bind(level_name(line.level))
                    .bind(line.message.as_str());
            }
            query.execute(transaction.connection()).await.map_err(|error| failed("insert lines", &error))?;
        }
        Ok(answers)
    }
}
