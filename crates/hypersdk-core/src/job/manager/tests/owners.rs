use super::flaky::FlakyStore;
use super::*;
use crate::job::{Claimant, Owner};

#[tokio::test(start_paused = true)]
async fn what_a_dead_process_left_running_is_run_again_at_once_in_a_store_of_ones_own() {
    let store = Arc::new(MemoryStore::with_clock(Clock::of_runtime()));
    store.submit(vec![new_job("orphan")]).await.unwrap();
    store.claim(&Claimant::of_any(&Owner::unique()), 1).await.unwrap();
    let bench = Bench::over(store, [], config()).await;
    let job = bench.until(&"orphan".parse().unwrap(), JobStatus::Completed).await;
    assert_eq!((job.attempt, job.failures), (2, 0));
    assert!(bench.elapsed() < 0.5, "{} s", bench.elapsed());
}

#[tokio::test(start_paused = true)]
async fn in_a_shared_store_an_orphan_is_taken_back_when_its_owner_was_silent_for_long() {
    let store = Arc::new(MemoryStore::with_clock(Clock::of_runtime()));
    store.submit(vec![new_job("orphan")]).await.unwrap();
    store.claim(&Claimant::of_any(&Owner::unique()), 1).await.unwrap();
    let bench = Bench::over(store, [], JobManagerConfig { exclusive: false, ..config() }).await;
    bench.until(&"orphan".parse().unwrap(), JobStatus::Completed).await;
    assert!((30.0..36.0).contains(&bench.elapsed()), "{} s", bench.elapsed());
}

#[tokio::test(start_paused = true)]
async fn two_managers_share_a_store_and_run_each_job_once() {
    let config = JobManagerConfig { exclusive: false, ..config() };
    let slow = [FakeRun::Succeed(Duration::from_secs(100)); 20];
    let one = Bench::with(slow, config.clone()).await;
    let other = Bench::over(one.store.clone(), slow, config).await;
    let jobs = (0..8).map(|number| new_job(&format!("job-{number}"))).collect();
    for job in one.manager.submit(jobs).await.unwrap() {
        assert_eq!(one.until(&job.id, JobStatus::Completed).await.attempt, 1);
    }
    assert_eq!((one.runner.started().len(), other.runner.started().len()), (4, 4));
}

#[tokio::test(start_paused = true)]
async fn a_cancel_by_another_process_arrives_with_the_heartbeat() {
    let bench = Bench::new([FakeRun::Hold]).await;
    let id = bench.submit("a").await;
    bench.runner.until_started(1).await;
    bench.store.cancel(&id).await.unwrap();
    bench.until(&id, JobStatus::Cancelled).await;
    assert!((4.0..6.0).contains(&bench.elapsed()), "{} s", bench.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_manager_that_lost_its_claim_stops_and_writes_nothing() {
    let bench = Bench::new([FakeRun::Hold]).await;
    let id = bench.submit("a").await;
    bench.runner.until_started(1).await;
    let other = Owner::unique();
    bench.store.recover(&other, Duration::ZERO).await.unwrap();
    let claims = bench.store.claim(&Claimant::of_any(&other), 1).await.unwrap();
    let events = bench.kinds(&id).await;
    let drained = bench.manager.drain(Duration::from_secs(8)).await;
    assert_eq!(drained.abandoned, std::slice::from_ref(&id));
    assert!(bench.elapsed() < 6.0, "the heartbeat told: {} s", bench.elapsed());
    assert_eq!(bench.runner.running(), 0);
    assert_eq!(bench.job(&id).await, claims[0].job);
    assert_eq!(bench.kinds(&id).await, events);
}

#[tokio::test(start_paused = true)]
async fn an_end_that_cannot_be_written_is_tried_again_until_it_can() {
    let store = Arc::new(FlakyStore::new(config().clock));
    let bench = Bench::over(store.clone(), [FakeRun::Hold], config()).await;
    let id = bench.submit("a").await;
    bench.runner.until_started(1).await;
    store.fail_settles(6);
    bench.runner.release();
    let job = bench.until(&id, JobStatus::Completed).await;
    assert_eq!((job.attempt, store.failed_settles()), (1, 6));
}

#[tokio::test(start_paused = true)]
async fn a_drain_does_not_wait_for_a_store_that_has_gone() {
    let store = Arc::new(FlakyStore::new(config().clock));
    let bench = Bench::over(store.clone(), [FakeRun::Hold], config()).await;
    let id = bench.submit("a").await;
    bench.runner.until_started(1).await;
    store.fail_settles(u32::MAX);
    let drained = bench.manager.drain(AT_ONCE).await;
    assert_eq!(drained.abandoned, std::slice::from_ref(&id));
    assert!((15.0..17.0).contains(&bench.elapsed()), "{} s", bench.elapsed());
    assert_eq!(bench.job(&id).await.status, JobStatus::Running, "the next start takes it back");
}
