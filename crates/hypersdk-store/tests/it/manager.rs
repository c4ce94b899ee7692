//! The job manager over this store.

use std::sync::Arc;
use std::time::Duration;

use hypersdk_core::testing::{FakeRun, FakeRunner};
use hypersdk_core::{EventLog, JobManager, JobManagerConfig, JobStatus, JobStore};
use hypersdk_store::SqliteStore;

use super::new_job;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_interrupted_by_a_restart_is_completed_after_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("jobs.db");
    let config = JobManagerConfig { exclusive: true, ..JobManagerConfig::default() };

    let store = Arc::new(SqliteStore::open(&path).await.unwrap());
    let runner = Arc::new(FakeRunner::new([FakeRun::Succeed(Duration::ZERO), FakeRun::Hold]));
    let manager = JobManager::start(store.clone(), runner.clone(), config.clone()).await.unwrap();
    let jobs = manager.submit(vec![new_job(), new_job()]).await.unwrap();
    runner.until_started(2).await;
    let report = manager.drain(Duration::from_millis(200)).await;
    assert_eq!((report.requeued.len(), report.abandoned.len()), (1, 0), "{report:?}");
    store.close().await;

    let store = Arc::new(SqliteStore::open(&path).await.unwrap());
    let manager = JobManager::start(store.clone(), Arc::new(FakeRunner::new([])), config).await.unwrap();
    let mut latest = store.latest();
    for job in &jobs {
        while manager.get(&job.id).await.unwrap().unwrap().status != JobStatus::Completed {
            latest.changed().await.unwrap();
        }
        let log = store.log(&job.id).await.unwrap();
        assert!(log.iter().any(|line| line.message.starts_with("attempt 1 started")), "{log:?}");
    }
    manager.drain(Duration::from_secs(5)).await;
    let again = manager.get(&report.requeued[0]).await.unwrap().unwrap();
    assert_eq!((again.attempt, again.failures), (2, 0));
    store.close().await;
}
