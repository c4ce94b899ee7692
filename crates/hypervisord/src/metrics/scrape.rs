//! What is looked up when somebody scrapes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hypersdk_core::{Error, ErrorKind, JobCounts, JobManager, JobQuery, JobStatus, ProviderRegistry};
use hypersdk_store::Database;
use hypersdk_webhook::Deliverer;

use super::{Metrics, OperationLabel, StatusLabel};

/// How long the store may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where the states are.
#[derive(Debug, Clone)]
pub(crate) struct Sources {
    pub(crate) manager: JobManager,
    pub(crate) providers: Arc<ProviderRegistry>,
    pub(crate) webhooks: Deliverer,
    /// `None` if everything is in memory, as in tests.
    pub(crate) database: Option<Database>,
    pub(crate) started: Instant,
}

impl Metrics {
    /// Everything as OpenMetrics text, <https://prometheus.io/docs/specs/om/open_metrics_spec/>.
    ///
    /// # Errors
    /// The store does not answer.
    pub(crate) async fn scrape(&self, sources: &Sources) -> Result<String, Error> {
        let store = sources.manager.store();
        let counts = self.timed("read", store.counts()).await?;
        self.timed("write", store.check()).await?;
        self.count_jobs(&counts);
        let running = JobQuery { statuses: vec![JobStatus::Running], limit: 1000, ..JobQuery::default() };
        let running = sources.manager.list(&running).await?;
        self.transfer_rate.set(running.jobs.iter().map(|job| job.progress.bytes_per_second).sum());
        self.pools.copy(sources.providers.instances());
        self.inventories.copy(sources.providers.instances());
        self.webhooks.copy(&sources.webhooks.stats());
        if let Some(database) = &sources.database {
            let bytes = within_patience(database.size()).await?;
            self.database_size.set(i64::try_from(bytes).unwrap_or(i64::MAX));
        }
        self.uptime.set(sources.started.elapsed().as_secs_f64());
        let mut text = String::new();
        let registry = self.registry.lock().expect("no holder of this lock panics");
        prometheus_client::encoding::text::encode(&mut text, &registry)
            .map_err(|error| Error::new(ErrorKind::Internal, "write metrics", error.to_string()))?;
        Ok(text)
    }

    async fn timed<T>(
        &self,
        operation: &'static str,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let begun = Instant::now();
        let result = within_patience(work).await;
        let label = OperationLabel { operation };
        self.store_latency.get_or_create(&label).observe(begun.elapsed().as_secs_f64());
        result
    }

    fn count_jobs(&self, counts: &JobCounts) {
        let mut counts = *counts;
        for status in JobStatus::ALL {
            let count = i64::try_from(*counts.of_mut(status)).unwrap_or(i64::MAX);
            self.jobs.get_or_create(&StatusLabel { status: status.as_str() }).set(count);
        }
    }
}

async fn within_patience<T>(work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    tokio::time::timeout(PATIENCE, work)
        .await
        .map_err(|_| Error::new(ErrorKind::Timeout, "scrape", "the database does not answer"))?
}
