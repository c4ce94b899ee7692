use super::*;

#[tokio::test(start_paused = true)]
async fn a_failure_that_a_retry_can_help_is_tried_again_later() {
    let bench = Bench::new([FakeRun::Fail(ErrorKind::Unavailable)]).await;
    let id = bench.submit("a").await;
    bench.runner.until_started(1).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let waiting = bench.job(&id).await;
    assert_eq!((waiting.status, waiting.attempt), (JobStatus::Pending, 1));
    assert_eq!(waiting.failure.unwrap().kind, ErrorKind::Unavailable);
    assert!(waiting.not_before.is_some());
    let job = bench.until(&id, JobStatus::Completed).await;
    assert_eq!((job.attempt, job.failures), (2, 1));
    let kinds = bench.kinds(&id).await;
    assert_eq!(kinds[1..4], [EventKind::JobStarted, EventKind::JobRequeued, EventKind::JobStarted]);
    assert!((3.75..6.5).contains(&bench.elapsed()), "5 s give or take a quarter: {} s", bench.elapsed());
}

#[tokio::test(start_paused = true)]
async fn other_jobs_run_while_a_retry_waits() {
    let config = JobManagerConfig { max_concurrent: 1, ..config() };
    let bench = Bench::with([FakeRun::Fail(ErrorKind::Timeout)], config).await;
    let first = bench.submit("first").await;
    let second = bench.submit("second").await;
    bench.until(&second, JobStatus::Completed).await;
    assert_eq!(bench.job(&first).await.status, JobStatus::Pending);
    assert!(bench.elapsed() < 1.0, "{} s", bench.elapsed());
    bench.until(&first, JobStatus::Completed).await;
}

#[tokio::test(start_paused = true)]
async fn a_job_fails_for_good_when_its_retries_are_used_up() {
    let bench = Bench::with(
        [FakeRun::Fail(ErrorKind::Corrupt); 9],
        JobManagerConfig { retry_attempts: 2, ..config() },
    )
    .await;
    let id = bench.submit("a").await;
    let job = bench.until(&id, JobStatus::Failed).await;
    assert_eq!((job.attempt, job.failures), (3, 3));
    assert_eq!(job.failure.unwrap().kind, ErrorKind::Corrupt);
    assert_eq!(bench.runner.started().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_failure_that_a_retry_cannot_help_is_final() {
    for kind in [ErrorKind::NotFound, ErrorKind::Unauthenticated, ErrorKind::NoSpace] {
        let bench = Bench::new([FakeRun::Fail(kind)]).await;
        let id = bench.submit("a").await;
        let job = bench.until(&id, JobStatus::Failed).await;
        assert_eq!((job.attempt, job.failure.unwrap().kind), (1, kind));
    }
}

#[tokio::test(start_paused = true)]
async fn a_retry_waits_as_long_as_the_source_asks() {
    let bench = Bench::new([FakeRun::Busy(Duration::from_secs(90))]).await;
    let id = bench.submit("a").await;
    bench.until(&id, JobStatus::Completed).await;
    assert!((90.0..92.0).contains(&bench.elapsed()), "{} s", bench.elapsed());
}
