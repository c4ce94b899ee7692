//! Ends of attempts, of many jobs at one time.

use std::collections::HashMap;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use hypersdk_core::{Job, JobId, Progress, Result, Settled};

use super::alike::Alike;
use super::transaction::{NewEvent, Transaction};
use super::{after, packages};
use crate::error::{lost, refused, unknown};
use crate::rows::Row;

/// The end of an attempt.
pub(super) struct Settle {
    pub(super) job: JobId,
    /// The number of the attempt's claim.
    pub(super) fence: i64,
    pub(super) settled: Settled,
    pub(super) progress: Progress,
    pub(super) now: DateTime<Utc>,
}

impl Settle {
    /// Ends the attempt in the job's row. One that is refused changes nothing.
    fn apply(&self, rows: &mut HashMap<JobId, Row>) -> Result<(Job, NewEvent)> {
        let row = rows.get_mut(&self.job).ok_or_else(|| unknown(&self.job))?;
        if row.fence != self.fence || row.claim.is_none() {
            return Err(lost(&self.job));
        }
        let mut job = row.job.clone();
        let kind = job.settle(self.settled.clone(), self.progress.clone(), self.now).map_err(refused)?;
        let event = NewEvent::of(kind, &job)?;
        (row.job, row.claim) = (job.clone(), None);
        Ok((job, event))
    }
}

#[async_trait]
impl Alike for Settle {
    type Answer = Job;

    const OPERATION: &'static str = "settle job";

    async fn all(works: &[Self], transaction: &mut Transaction) -> Result<Vec<Result<Job>>> {
        let mut rows = transaction.find(works.iter().map(|work| &work.job)).await?;
        let (mut answers, mut events) = (Vec::with_capacity(works.len()), Vec::with_capacity(works.len()));
        for work in works {
            answers.push(work.apply(&mut rows).map(|(job, event)| {
                events.push(event);
                job
            }));
        }
        let ended: Vec<(&Job, DateTime<Utc>)> = works
            .iter()
            .zip(&answers)
            .filter_map(|(work, answer)| Some((answer.as_ref().ok()?, work.now)))
            .collect();
        let changed: Vec<Row> = rows.into_values().filter(|row| row.job.status != row.was).collect();
        transaction.update(&changed).await?;
        transaction.append(&events).await?;
        packages::enter(transaction, ended.iter().map(|(job, _)| *job)).await?;
        for (job, now) in after::needed(transaction, ended).await? {
            after::follow_up(transaction, job, now).await?;
        }
        Ok(answers)
    }
}
