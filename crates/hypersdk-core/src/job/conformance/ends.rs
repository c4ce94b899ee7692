//! How attempts and jobs end.

use std::time::Duration;

use super::{Bench, StoreFactory, failure, id, ids, outcome, progress};
use crate::error::ErrorKind;
use crate::event::EventKind;
use crate::job::{CancelOutcome, JobStatus, Owner, Settled};

pub(super) async fn all(open: &StoreFactory<'_>) {
    each_end_is_kept_with_its_event(open).await;
    a_requeued_job_keeps_the_failure_until_it_starts_again(open).await;
    an_ended_job_never_changes(open).await;
    a_pending_job_is_cancelled_at_once(open).await;
    a_running_job_is_only_asked_to_stop(open).await;
    a_job_asked_to_stop_is_cancelled_instead_of_requeued(open).await;
    what_is_unknown_is_not_found(open).await;
}

async fn each_end_is_kept_with_its_event(open: &StoreFactory<'_>) {
    let cases = [
        (Settled::Completed(outcome()), JobStatus::Completed, EventKind::JobCompleted),
        (Settled::Failed(failure()), JobStatus::Failed, EventKind::JobFailed),
        (Settled::Cancelled, JobStatus::Cancelled, EventKind::JobCancelled),
    ];
    for (settled, status, kind) in cases {
        let bench = Bench::new(open).await;
        let claim = bench.running("a", &Owner::unique()).await;
        bench.advance(Duration::from_secs(90));
        let job = bench.store.settle(&id("a"), claim.fence, settled, progress()).await.expect("settles");
        assert_eq!(bench.store.get(&id("a")).await.expect("get").as_ref(), Some(&job));
        assert_eq!((job.status, job.completed_at), (status, Some(bench.now())));
        assert_eq!(job.started_at, claim.job.started_at);
        assert_eq!(job.progress, progress());
        assert_eq!(job.outcome, (status == JobStatus::Completed).then(outcome));
        assert_eq!(job.failure, (status == JobStatus::Failed).then(failure));
        let events = bench.events().await;
        let last = events.last().expect("an event");
        assert_eq!((last.kind, last.time), (kind, bench.now()));
        assert_eq!(last.data, job.event_data(kind));
        assert_eq!(last.data.get("result").is_some(), status == JobStatus::Completed);
        assert_eq!(last.data.get("error").is_some(), status == JobStatus::Failed);
    }
}

async fn a_requeued_job_keeps_the_failure_until_it_starts_again(open: &StoreFactory<'_>) {
    let bench = Bench::new(open).await;
    let owner = Owner::unique();
    let claim = bench.running("a", &owner).await;
    let settled = Settled::Requeued { failure: Some(failure()), not_before: None };
    bench.store.settle(&id("a"), claim.fence, settled, progress()).await.expect("settles");
    let job = bench.store.get(&id("a")).await.expect("get").expect("it exists");
    assert_eq!((job.status, job.failure.as_ref()), (JobStatus::Pending, Some(&failure())));
    assert_eq!((job.failures, job.completed_at), (1, None));
    let events = bench.events().await;
    assert_eq!(events.last().map(|event| event.kind), Some(EventKind::JobRequeued));
    let again = bench.claim(&owner, 1).await.remove(0);
    assert_eq!((again.job.failure.as_ref(), again.job.attempt), (None, 2));
    let stored = bench.store.get(&id("a")).await.expect("get");
    assert_eq!(stored, Some(again.job), "the cleared failure is cleared in the store as well");
}

async fn an_ended_job_never_changes(open: &StoreFactory<'_>) {
    let bench = Bench::new(open).await;
    let owner = Owner::unique();
    let claim = bench.running("a", &owner).await;
    let ended = bench
        .store
        .settle(&id("a"), claim.fence, Settled::Completed(outcome()), progress())
        .await
        .expect("settles");
    let events = bench.events().await;
    bench.advance(Duration::from_secs(3600));
    for settled in [
        Settled::Completed(outcome()),
        Settled::Failed(failure()),
        Settled::Cancelled,
        Settled::Requeued { failure: None, not_before: None },
    ] {
        let error = bench
            .store
            .settle(&id("a"), claim.fence, settled, progress())
            .await
            .expect_err("an ended job does not end again");
        assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
    }
    let cancelled = bench.store.cancel(&id("a")).await.expect("cancel answers");
    assert_eq!(cancelled, CancelOutcome::AlreadyEnded(JobStatus::Completed));
    assert_eq!(bench.store.recover(&Owner::unique(), Duration::ZERO).await.expect("recovers"), []);
    assert_eq!(ids(&bench.claim(&owner, 9).await), [""; 0]);
    assert_eq!(bench.store.get(&id("a")).await.expect("get"), Some(ended));
    assert_eq!(bench.events().await, events);
}

async fn a_pending_job_is_cancelled_at_once(open: &StoreFactory<'_>) {
    let bench = Bench::new(open).await;
    bench.submit(&["a"]).await;
    assert_eq!(bench.store.cancel(&id("a")).await.expect("cancels"), CancelOutcome::Cancelled);
    let job = bench.store.get(&id("a")).await.expect("get").expect("it exists");
    assert_eq!((job.status, job.completed_at), (JobStatus::Cancelled, Some(bench.now())));
    assert_eq!(bench.kinds(&id("a")).await, [EventKind::JobCreated, EventKind::JobCancelled]);
    assert_eq!(ids(&bench.claim(&Owner::unique(), 9).await), [""; 0]);
    let again = bench.store.cancel(&id("a")).await.expect("cancel answers");
    assert_eq!(again, CancelOutcome::AlreadyEnded(JobStatus::Cancelled));
}

async fn a_running_job_is_only_asked_to_stop(open: &StoreFactory<'_>) {
    let bench = Bench::new(open).await;
    let claim = bench.running("a", &Owner::unique()).await;
    for _ in 0..2 {
        assert_eq!(bench.store.cancel(&id("a")).await.expect("cancels"), CancelOutcome::Requested);
    }
    let job = bench.store.get(&id("a")).await.expect("get").expect("it exists");
    assert_eq!((job.status, job.cancel_requested), (JobStatus::Running, true));
    assert_eq!(bench.kinds(&id("a")).await, [EventKind::JobCreated, EventKind::JobStarted]);
    let job = bench
        .store
        .settle(&id("a"), claim.fence, Settled::Completed(outcome()), progress())
        .await
        .expect("a package that is whole in spite of the request is completed");
    assert_eq!(job.status, JobStatus::Completed);
}

async fn a_job_asked_to_stop_is_cancelled_instead_of_requeued(open: &StoreFactory<'_>) {
    let bench = Bench::new(open).await;
    let claim = bench.running("a", &Owner::unique()).await;
    bench.store.cancel(&id("a")).await.expect("cancels");
    let settled = Settled::Requeued { failure: None, not_before: None };
    let job = bench.store.settle(&id("a"), claim.fence, settled, progress()).await.expect("settles");
    assert_eq!((job.status, job.completed_at), (JobStatus::Cancelled, Some(bench.now())));
    assert_eq!(bench.kinds(&id("a")).await.last(), Some(&EventKind::JobCancelled));
}

async fn what_is_unknown_is_not_found(open: &StoreFactory<'_>) {
    let bench = Bench::new(open).await;
    let nowhere = id("nowhere");
    let errors = [
        bench.store.cancel(&nowhere).await.expect_err("unknown"),
        bench.store.settle(&nowhere, 1, Settled::Cancelled, progress()).await.expect_err("unknown"),
        bench.store.append_log(&nowhere, None, &[]).await.expect_err("unknown"),
        bench.store.log(&nowhere).await.expect_err("unknown"),
    ];
    for error in errors {
        assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
        assert!(error.to_string().contains("nowhere"), "names the id: {error}");
    }
}
