use super::*;

#[tokio::test(start_paused = true)]
async fn a_submitted_job_is_run_to_its_end() {
    let bench = Bench::new([]).await;
    let id = bench.submit("a").await;
    let job = bench.until(&id, JobStatus::Completed).await;
    assert_eq!((job.attempt, job.failures), (1, 0));
    assert_eq!(job.outcome.unwrap().vm_name, "/DC0/vm/web");
    assert_eq!((job.progress.phase, job.progress.fraction), (crate::Phase::Done, 1.0));
    assert_eq!(
        bench.kinds(&id).await,
        [EventKind::JobCreated, EventKind::JobStarted, EventKind::JobCompleted]
    );
    assert!(bench.elapsed() < 0.5, "nothing waits for a poll: {} s", bench.elapsed());
}

#[tokio::test(start_paused = true)]
async fn no_more_run_at_once_than_allowed() {
    let second = FakeRun::Succeed(Duration::from_secs(1));
    let bench = Bench::with([second; 9], JobManagerConfig { max_concurrent: 3, ..config() }).await;
    let jobs = (0..9).map(|number| new_job(&format!("job-{number}"))).collect();
    for job in bench.manager.submit(jobs).await.unwrap() {
        bench.until(&job.id, JobStatus::Completed).await;
    }
    assert_eq!(bench.runner.peak(), 3);
    assert!((3.0..4.0).contains(&bench.elapsed()), "three rounds of a second: {} s", bench.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_job_submitted_by_somebody_else_is_found_by_polling() {
    let bench = Bench::new([]).await;
    bench.store.submit(vec![new_job("theirs")]).await.unwrap();
    bench.until(&"theirs".parse().unwrap(), JobStatus::Completed).await;
    assert!(bench.elapsed() <= 1.5, "{} s", bench.elapsed());
}

#[tokio::test(start_paused = true)]
async fn progress_is_live_here_and_saved_for_others() {
    let bench = Bench::new([FakeRun::Hold]).await;
    let id = bench.submit("a").await;
    bench.runner.until_started(1).await;
    assert_eq!(bench.manager.running(), 1);
    let mut progress = bench.manager.watch_progress(&id).expect("it runs here");
    progress.wait_for(|progress| progress.fraction == 0.5).await.unwrap();
    assert_eq!(bench.job(&id).await.progress.fraction, 0.0);
    assert_eq!(bench.manager.get(&id).await.unwrap().unwrap().progress.fraction, 0.5);
    let page = bench.manager.list(&crate::JobQuery::default()).await.unwrap();
    assert_eq!(page.jobs[0].progress.fraction, 0.5);

    tokio::time::sleep(config().heartbeat * 2).await;
    assert_eq!(bench.job(&id).await.progress.fraction, 0.5);

    bench.runner.release();
    bench.until(&id, JobStatus::Completed).await;
    while progress.changed().await.is_ok() {}
    bench.manager.drain(AT_ONCE).await;
    assert!(bench.manager.watch_progress(&id).is_none());
    assert_eq!(bench.manager.get(&id).await.unwrap().unwrap().progress.fraction, 1.0);
}

#[tokio::test(start_paused = true)]
async fn each_step_is_in_the_jobs_log() {
    let busy = FakeRun::Busy(Duration::from_secs(60));
    let bench = Bench::new([busy, FakeRun::Fail(ErrorKind::NotFound)]).await;
    let id = bench.submit("a").await;
    bench.until(&id, JobStatus::Failed).await;
    bench.manager.drain(AT_ONCE).await;
    let log = bench.store.log(&id).await.unwrap();
    let lines: Vec<_> = log.iter().map(|line| (line.level, line.message.as_str())).collect();
    let expected = [
        (LogLevel::Info, "attempt 1 started"),
        (LogLevel::Info, "the fake runs /DC0/vm/web"),
        (LogLevel::Warning, "attempt 1 failed: fake export: told to be busy; retry 1 of 3 in 60.0 s"),
        (LogLevel::Info, "attempt 2 started"),
        (LogLevel::Info, "the fake runs /DC0/vm/web"),
        (LogLevel::Error, "attempt 2 failed for good: fake export: told to fail"),
    ];
    assert_eq!(lines.len(), expected.len(), "{lines:#?}");
    for (line, expected) in lines.iter().zip(expected) {
        assert!(line.0 == expected.0 && line.1.starts_with(expected.1), "{line:?} is not {expected:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn lines_reach_the_store_while_the_job_runs() {
    let bench = Bench::new([FakeRun::Hold]).await;
    let id = bench.submit("a").await;
    bench.runner.until_started(1).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(bench.store.log(&id).await.unwrap().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_job_that_waits_its_turn_keeps_no_other_from_running_and_its_time_does_not_count() {
    let limit = Some(Duration::from_secs(60));
    let limits = JobManagerConfig { max_concurrent: 1, job_timeout: limit, ..config() };
    let bench = Bench::with([FakeRun::Aside], limits).await;
    let waiting = bench.submit("waiting").await;
    let other = bench.submit("other").await;
    bench.until(&other, JobStatus::Completed).await;
    let progress = bench.manager.watch_progress(&waiting).unwrap().borrow().clone();
    assert_eq!((progress.phase, progress.waiting_for.as_deref()), (crate::Phase::Waiting, Some("a turn")));
    tokio::time::sleep(Duration::from_secs(3600)).await;
    bench.runner.release();
    let job = bench.until(&waiting, JobStatus::Completed).await;
    assert_eq!((job.attempt, job.progress.waiting_for), (1, None));
}

#[tokio::test(start_paused = true)]
async fn no_more_wait_aside_than_allowed_and_a_waiting_job_can_be_cancelled() {
    let limits = JobManagerConfig { max_concurrent: 1, max_waiting: 2, ..config() };
    let bench = Bench::with([FakeRun::Aside; 4], limits).await;
    let jobs: Vec<_> = (0..5).map(|number| new_job(&format!("job-{number}"))).collect();
    let ids: Vec<JobId> = jobs.iter().map(|job| job.id.clone()).collect();
    bench.manager.submit(jobs).await.unwrap();
    bench.runner.until_started(3).await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(bench.runner.started().len(), 3, "one may work and two may wait");
    bench.manager.cancel(&ids[0]).await.unwrap();
    bench.until(&ids[0], JobStatus::Cancelled).await;
    bench.runner.until_started(4).await;
    bench.runner.release();
    for id in &ids[1..] {
        bench.until(id, JobStatus::Completed).await;
    }
}
