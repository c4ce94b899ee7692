//! The progress of running jobs, for webhooks that ask for it.

use async_trait::async_trait;
use hypersdk_core::{EventKind, JobManager, JobQuery, JobStatus, Result};
use hypersdk_webhook::{ProgressSource, Sample};
use serde_json::json;

use super::super::model::ProgressView;

/// More jobs than this do not run at once in one daemon.
const MOST: usize = 256;

/// Samples the jobs of a manager.
#[derive(Debug)]
pub(crate) struct JobProgress(pub(crate) JobManager);

#[async_trait]
impl ProgressSource for JobProgress {
    async fn sample(&self) -> Result<Vec<Sample>> {
        if self.0.running() == 0 {
            return Ok(Vec::new());
        }
        let query = JobQuery { statuses: vec![JobStatus::Running], limit: MOST, ..JobQuery::default() };
        let page = self.0.list(&query).await?;
        let here = page.jobs.iter().filter(|job| self.0.watch_progress(&job.id).is_some());
        Ok(here
            .map(|job| {
                let mut data = job.event_data(EventKind::JobStarted);
                data["progress"] = json!(ProgressView::from(&job.progress));
                Sample { job: job.id.clone(), data }
            })
            .collect())
    }
}
