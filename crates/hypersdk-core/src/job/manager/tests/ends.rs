use super::*;
use crate::job::CancelOutcome;
use crate::job::manager::DrainReport;

#[tokio::test(start_paused = true)]
async fn a_cancelled_job_stops_at_once() {
    let bench = Bench::new([FakeRun::Hold]).await;
    let id = bench.submit("a").await;
    bench.runner.until_started(1).await;
    assert_eq!(bench.manager.cancel(&id).await.unwrap(), CancelOutcome::Requested);
    let job = bench.until(&id, JobStatus::Cancelled).await;
    assert_eq!((job.failure, job.outcome), (None, None));
    assert_eq!(bench.runner.running(), 0, "the runner had returned before");
    assert!(bench.elapsed() < 0.5, "no heartbeat was waited for: {} s", bench.elapsed());
    assert_eq!(bench.kinds(&id).await.last(), Some(&EventKind::JobCancelled));
}

#[tokio::test(start_paused = true)]
async fn a_job_that_waits_for_its_turn_is_cancelled_unrun() {
    let config = JobManagerConfig { max_concurrent: 1, ..config() };
    let bench = Bench::with([FakeRun::Hold], config).await;
    let first = bench.submit("first").await;
    bench.runner.until_started(1).await;
    let second = bench.submit("second").await;
    assert_eq!(bench.manager.cancel(&second).await.unwrap(), CancelOutcome::Cancelled);
    bench.runner.release();
    bench.until(&first, JobStatus::Completed).await;
    let ended = bench.manager.cancel(&first).await.unwrap();
    assert_eq!(ended, CancelOutcome::AlreadyEnded(JobStatus::Completed));
    bench.manager.drain(AT_ONCE).await;
    assert_eq!(bench.runner.started(), [(first, 1)]);
}

#[tokio::test(start_paused = true)]
async fn what_a_job_left_that_is_cancelled_between_two_attempts_is_discarded() {
    let config = JobManagerConfig { max_concurrent: 1, ..config() };
    let bench = Bench::with([FakeRun::Fail(ErrorKind::Unavailable), FakeRun::Hold], config).await;
    let failing = bench.submit("failing").await;
    bench.runner.until_started(1).await;
    bench.until(&failing, JobStatus::Pending).await;
    bench.submit("holding").await;
    bench.runner.until_started(2).await;
    let waiting = bench.submit("waiting").await;
    assert_eq!(bench.manager.cancel(&waiting).await.unwrap(), CancelOutcome::Cancelled);
    assert_eq!(bench.manager.cancel(&failing).await.unwrap(), CancelOutcome::Cancelled);
    assert_eq!(bench.runner.discarded(1).await, [(failing, 1)], "the other has left nothing");
}

#[tokio::test(start_paused = true)]
async fn a_runner_that_panics_fails_its_job_alone() {
    let bench = Bench::new([FakeRun::Panic]).await;
    let id = bench.submit("a").await;
    let failure = bench.until(&id, JobStatus::Failed).await.failure.unwrap();
    assert_eq!(failure.kind, ErrorKind::Internal);
    assert!(failure.message.contains("told to panic"), "{}", failure.message);
    let next = bench.submit("b").await;
    bench.until(&next, JobStatus::Completed).await;
}

#[tokio::test(start_paused = true)]
async fn a_job_that_takes_too_long_is_stopped_and_fails() {
    let limit = Duration::from_secs(100);
    let bench = Bench::with([FakeRun::Hold], JobManagerConfig { job_timeout: Some(limit), ..config() }).await;
    let id = bench.submit("a").await;
    let job = bench.until(&id, JobStatus::Failed).await;
    let failure = job.failure.unwrap();
    assert_eq!((failure.kind, failure.retryable), (ErrorKind::Timeout, false));
    assert!(failure.advice.is_some());
    assert!((100.0..101.0).contains(&bench.elapsed()), "{} s", bench.elapsed());
    assert_eq!(bench.runner.running(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_runner_deaf_to_its_cancellation_is_dropped() {
    let bench = Bench::new([FakeRun::Deaf]).await;
    let id = bench.submit("a").await;
    bench.runner.until_started(1).await;
    bench.manager.cancel(&id).await.unwrap();
    bench.until(&id, JobStatus::Cancelled).await;
    assert!((10.0..11.0).contains(&bench.elapsed()), "{} s", bench.elapsed());
    bench.manager.drain(AT_ONCE).await;
    assert_eq!(bench.runner.running(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_drain_lets_jobs_end_within_the_grace() {
    let bench = Bench::new([FakeRun::Succeed(Duration::from_secs(20))]).await;
    let id = bench.submit("a").await;
    bench.runner.until_started(1).await;
    let report = bench.manager.drain(Duration::from_secs(30)).await;
    assert_eq!(report, DrainReport { ended: vec![id.clone()], ..DrainReport::default() });
    assert_eq!(bench.job(&id).await.status, JobStatus::Completed);
    assert!((20.0..21.0).contains(&bench.elapsed()), "{} s", bench.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_drain_puts_interrupted_jobs_back_without_a_failure() {
    let bench = Bench::with([FakeRun::Hold], JobManagerConfig { max_concurrent: 1, ..config() }).await;
    let interrupted = bench.submit("interrupted").await;
    let waiting = bench.submit("waiting").await;
    bench.runner.until_started(1).await;
    let report = bench.manager.drain(Duration::from_secs(3)).await;
    assert_eq!(report, DrainReport { requeued: vec![interrupted.clone()], ..DrainReport::default() });
    let job = bench.job(&interrupted).await;
    assert_eq!((job.status, job.failures, job.failure, job.not_before), (JobStatus::Pending, 0, None, None));
    assert_eq!(bench.kinds(&interrupted).await.last(), Some(&EventKind::JobRequeued));
    assert_eq!(bench.job(&waiting).await.status, JobStatus::Pending);
    assert_eq!(bench.runner.started().len(), 1, "nothing more was claimed");
    assert_eq!((bench.runner.running(), bench.manager.running()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_job_cancelled_during_a_drain_is_cancelled() {
    let bench = Bench::new([FakeRun::Hold]).await;
    let id = bench.submit("a").await;
    bench.runner.until_started(1).await;
    bench.store.cancel(&id).await.unwrap();
    let report = bench.manager.drain(AT_ONCE).await;
    assert_eq!(report, DrainReport { ended: vec![id.clone()], ..DrainReport::default() });
    assert_eq!(bench.job(&id).await.status, JobStatus::Cancelled);
}

#[tokio::test(start_paused = true)]
async fn dropping_the_last_handle_stops_claiming_and_lets_jobs_end() {
    let bench = Bench::new([FakeRun::Hold]).await;
    let id = bench.submit("a").await;
    bench.runner.until_started(1).await;
    let Bench { manager, runner, store, .. } = bench;
    drop(manager.clone());
    drop(manager);
    store.submit(vec![new_job("later")]).await.unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    runner.release();
    let mut latest = store.latest();
    while store.get(&id).await.unwrap().unwrap().status != JobStatus::Completed {
        latest.changed().await.unwrap();
    }
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(runner.started().len(), 1);
}
