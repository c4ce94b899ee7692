//! The manager over the memory store, in tokio's paused time.

mod ends;
mod flaky;
mod owners;
mod retries;
mod running;

use std::sync::Arc;
use std::time::Duration;

use super::{JobManager, JobManagerConfig};
use crate::ErrorKind;
use crate::job::fake::{FakeRun, FakeRunner};
use crate::job::{Clock, Job, JobSpec, JobStatus, JobStore, LogLevel, MemoryStore, NewJob};
use crate::{EventKind, JobId, Seq};

const AT_ONCE: Duration = Duration::ZERO;

/// A manager with its runner and store.
struct Bench {
    manager: JobManager,
    runner: Arc<FakeRunner>,
    store: Arc<dyn JobStore>,
    started: tokio::time::Instant,
}

fn config() -> JobManagerConfig {
    JobManagerConfig { clock: Clock::of_runtime(), exclusive: true, ..JobManagerConfig::default() }
}

impl Bench {
    async fn new(plan: impl IntoIterator<Item = FakeRun>) -> Self {
        Bench::with(plan, config()).await
    }

    async fn with(plan: impl IntoIterator<Item = FakeRun>, config: JobManagerConfig) -> Self {
        let store = Arc::new(MemoryStore::with_clock(config.clock.clone()));
        Bench::over(store, plan, config).await
    }

    async fn over(
        store: Arc<dyn JobStore>,
        plan: impl IntoIterator<Item = FakeRun>,
        config: JobManagerConfig,
    ) -> Self {
        let runner = Arc::new(FakeRunner::new(plan));
        let manager = JobManager::start(store.clone(), runner.clone(), config).await.unwrap();
        Bench { manager, runner, store, started: tokio::time::Instant::now() }
    }

    async fn submit(&self, text: &str) -> JobId {
        let job = new_job(text);
        let id = job.id.clone();
        self.manager.submit(vec![job]).await.unwrap();
        id
    }

    async fn job(&self, id: &JobId) -> Job {
        self.store.get(id).await.unwrap().unwrap()
    }

    /// Waits until the job has that status in the store.
    async fn until(&self, id: &JobId, status: JobStatus) -> Job {
        let mut latest = self.store.latest();
        loop {
            latest.borrow_and_update();
            let job = self.job(id).await;
            if job.status == status {
                return job;
            }
            assert!(!job.status.is_final(), "{id} is {} instead of {status}", job.status);
            latest.changed().await.unwrap();
        }
    }

    async fn kinds(&self, id: &JobId) -> Vec<EventKind> {
        let events = self.store.read_after(Seq::START, Some(id), 100).await.unwrap();
        events.into_iter().map(|event| event.kind).collect()
    }

    /// Seconds since the manager started.
    fn elapsed(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }
}

fn new_job(text: &str) -> NewJob {
    NewJob { id: text.parse().unwrap(), spec: JobSpec::new("/DC0/vm/web".parse().unwrap(), "/srv") }
}
