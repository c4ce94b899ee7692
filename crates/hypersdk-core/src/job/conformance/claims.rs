//! Claiming, keeping and losing jobs.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{Bench, StoreFactory, failure, id, ids, new_job, progress, spec};
use crate::error::ErrorKind;
use crate::event::EventKind;
use crate::job::{Claimant, JobStatus, LogLevel, LogLine, NewJob, Owner, Settled, StopReason};
use crate::progress::Progress;

const SILENCE: Duration = Duration::from_secs(30);

pub(super) async fn all(open: &StoreFactory<'_>) {
    jobs_are_claimed_by_priority_and_then_by_age(open).await;
    a_claimed_job_runs_with_its_event(open).await;
    a_job_is_not_claimed_before_its_time(open).await;
    concurrent_claimers_take_each_job_once(open).await;
    a_heartbeat_saves_progress_and_keeps_the_claim(open).await;
    a_heartbeat_tells_which_jobs_to_stop(open).await;
    a_silent_owner_loses_its_jobs(open).await;
    a_job_the_owner_does_not_name_is_taken_back(open).await;
    no_silence_takes_back_everything_of_others(open).await;
    a_lost_claim_cannot_write(open).await;
    a_job_asked_to_stop_is_not_run_again_when_its_owner_dies(open).await;
}

async fn jobs_are_claimed_by_priority_and_then_by_age(open: &StoreFactory<'_>) {
    let bench = Bench::new(open).await;
    for (text, priority) in [("first", 0), ("second", 0), ("urgent", 7), ("low", -1), ("third", 0)] {
        let mut spec = spec();
        spec.priority = priority;
        bench.store.submit(vec![NewJob { id: id(text), spec }]).await.expect("accepted");
    }
    let owner = Owner::unique();
    assert_eq!(ids(&bench.claim(&owner, 2).await), ["urgent", "first"]);
    assert_eq!(ids(&bench.claim(&owner, 0).await), [""; 0]);
    assert_eq!(ids(&bench.claim(&owner, 9).await), ["second", "third", "low"]);
    assert_eq!(ids(&bench.claim(&owner, 9).await), [""; 0]);
}

async fn a_claimed_job_runs_with_its_event(open: &StoreFactory<'_>) {
    let bench = Bench::new(open).await;
    bench.submit(&["a"]).await;
    bench.advance(Duration::from_secs(2));
    let claim = bench.claim(&Owner::unique(), 1).await.remove(0);
    assert_eq!((claim.job.status, claim.job.attempt), (JobStatus::Running, 1));
    assert_eq!(claim.job.started_at, Some(bench.now()));
    assert_eq!(bench.store.get(&id("a")).await.expect("get"), Some(claim.job.clone()));
    let events = bench.events().await;
    assert_eq!(events.len(), 2);
    assert_eq!((events[1].kind, events[1].time), (EventKind::JobStarted, bench.now()));
    assert_eq!(events[1].data, claim.job.event_data(EventKind::JobStarted));
}

async fn a_job_is_not_claimed_before_its_time(open: &StoreFactory<'_>) {
    let bench = Bench::new(open).await;
    let owner = Owner::unique();
    let claim = bench.running("late", &owner).await;
    assert_eq!(bench.store.next_due().await.expect("next due"), None);
    let due = bench.now() + Duration::from_secs(60);
    let settled = Settled::Requeued { failure: Some(failure()), not_before: Some(due) };
    let job =
        bench.store.settle(&id("late"), claim.fence, settled, Progress::default()).await.expect("settles");
    assert_eq!((job.status, job.not_before), (JobStatus::Pending, Some(due)));
    bench.submit(&["meanwhile"]).await;
    assert_eq!(bench.store.next_due().await.expect("next due"), Some(due));
    assert_eq!(ids(&bench.claim(&owner, 9).await), ["meanwhile"]);
    bench.advance(Duration::from_micros(59_999_999));
    assert_eq!(ids(&bench.claim(&owner, 9).await), [""; 0]);
    bench.advance(Duration::from_micros(1));
    let again = bench.claim(&owner, 9).await;
    assert_eq!(ids(&again), ["late"]);
    assert_eq!((again[0].job.attempt, again[0].job.failures, again[0].job.not_before), (2, 1, None));
    assert!(again[0].fence > claim.fence, "the fence rises");
}

async fn concurrent_claimers_take_each_job_once(open: &StoreFactory<'_>) {
    let bench = Bench::new(open).await;
    let jobs = (0..120).map(|number| new_job(&format!("job-{number}"))).collect();
    bench.store.submit(jobs).await.expect("accepted");
    let claimers = (0..4).map(|_| {
        let store = bench.store.clone();
        tokio::spawn(async move {
            let owner = Owner::unique();
            let mut taken = Vec::new();
            loop {
                let claims = store.claim(&Claimant::of_any(&owner), 3).await.expect("claiming works");
                if claims.is_empty() {
                    return taken;
                }
                taken.extend(claims.into_iter().map(|claim| claim.job.id));
            }
        })
    });
    let taken: Vec<_> = futures::future::join_all(claimers.collect::<Vec<_>>())
        .await
        .into_iter()
        .flat_map(|taken| taken.expect("no claimer panics"))
        .collect();
    assert_eq!(taken.len(), 120);
    assert_eq!(taken.into_iter().collect::<BTreeSet<_>>().len(), 120);
}

async fn a_heartbeat_saves_progress_and_keeps_the_claim(open: &StoreFactory<'_>) {
    let bench = Bench::new(open).await;
    let (owner, other) = (Owner::unique(), Owner::unique());
    let claim = bench.running("a", &owner).await;
    for _ in 0..3 {
        bench.advance(SILENCE / 2);
        let stop = bench.store.heartbeat(&owner, &[(id("a"), claim.fence, progress())]).await.expect("beats");
        assert_eq!(stop, []);
        assert_eq!(bench.store.recover(&other, SILENCE).await.expect("recovers"), []);
    }
    let job = bench.store.get(&id("a")).await.expect("get").expect("it exists");
    assert_eq!((job.status, job.progress, job.updated_at), (JobStatus::Running, progress(), bench.now()));
}

async fn a_heartbeat_tells_which_jobs_to_stop(open: &StoreFactory<'_>) {
    let bench = Bench::new(open).await;
    let owner = Owner::unique();
    bench.submit(&["goes-on", "cancelled", "ended"]).await;
    let claims = bench.claim(&owner, 3).await;
    bench.store.cancel(&id("cancelled")).await.expect("cancels");
    let settled = Settled::Failed(failure());
    bench.store.settle(&id("ended"), claims[2].fence, settled, progress()).await.expect("settles");
    let jobs: Vec<_> = claims.iter().map(|claim| (claim.job.id.clone(), claim.fence, progress())).collect();
    let mut stop = bench.store.heartbeat(&owner, &jobs).await.expect("beats");
    stop.sort_by_key(|(id, _)| id.clone());
    assert_eq!(stop, [(id("cancelled"), StopReason::CancelRequested), (id("ended"), StopReason::ClaimLost)]);
    let strangers = bench.store.heartbeat(&Owner::unique(), &jobs[..1]).await.expect("beats");
    assert_eq!(strangers, [(id("goes-on"), StopReason::ClaimLost)]);
    let nowhere = (id("nowhere"), 1, progress());
    let unknown = bench.store.heartbeat(&owner, &[nowhere]).await.expect("beats");
    assert_eq!(unknown, [(id("nowhere"), StopReason::ClaimLost)]);
}

async fn a_silent_owner_loses_its_jobs(open: &StoreFactory<'_>) {
    let bench = Bench::new(open).await;
    let other = Owner::unique();
    bench.running("a", &Owner::unique()).await;
    bench.advance(SILENCE - Duration::from_micros(1));
    assert_eq!(bench.store.recover(&other, SILENCE).await.expect("recovers"), []);
    bench.advance(Duration::from_micros(1));
    assert_eq!(bench.store.recover(&other, SILENCE).await.expect("recovers"), [id("a")]);
    let job = bench.store.get(&id("a")).await.expect("get").expect("it exists");
    assert_eq!((job.status, job.failures, job.failure), (JobStatus::Pending, 0, None));
    assert_eq!(
        bench.kinds(&id("a")).await,
        [EventKind::JobCreated, EventKind::JobStarted, EventKind::JobRequeued]
    );
    assert_eq!(ids(&bench.claim(&other, 1).await), ["a"]);
}

async fn a_job_the_owner_does_not_name_is_taken_back(open: &StoreFactory<'_>) {
    let bench = Bench::new(open).await;
    let owner = Owner::unique();
    let kept = bench.running("kept", &owner).await;
    bench.running("forgotten", &owner).await;
    bench.advance(SILENCE);
    bench.store.heartbeat(&owner, &[(id("kept"), kept.fence, progress())]).await.expect("beats");
    assert_eq!(bench.store.recover(&owner, SILENCE).await.expect("recovers"), [id("forgotten")]);
}

async fn no_silence_takes_back_everything_of_others(open: &StoreFactory<'_>) {
    let bench = Bench::new(open).await;
    let owner = Owner::unique();
    bench.running("mine", &owner).await;
    bench.running("theirs", &Owner::unique()).await;
    bench.submit(&["waiting"]).await;
    assert_eq!(bench.store.recover(&owner, Duration::ZERO).await.expect("recovers"), [id("theirs")]);
    let counts = bench.store.counts().await.expect("counts");
    assert_eq!((counts.pending, counts.running), (2, 1));
}

async fn a_lost_claim_cannot_write(open: &StoreFactory<'_>) {
    let bench = Bench::new(open).await;
    let (first, second) = (Owner::unique(), Owner::unique());
    let old = bench.running("a", &first).await;
    let settled = || Settled::Requeued { failure: None, not_before: None };
    let line = LogLine { time: bench.now(), level: LogLevel::Info, message: "mine".to_owned() };
    let note = async || bench.store.append_log(&id("a"), Some(old.fence), std::slice::from_ref(&line)).await;
    note().await.expect("the claim holds");
    bench.store.recover(&second, Duration::ZERO).await.expect("recovers");
    for round in ["while pending", "while another runs it"] {
        let before = bench.store.get(&id("a")).await.expect("get");
        let error = bench
            .store
            .settle(&id("a"), old.fence, settled(), progress())
            .await
            .expect_err("the claim was lost");
        assert_eq!(error.kind(), ErrorKind::Conflict, "{round}: {error}");
        let stop = bench.store.heartbeat(&first, &[(id("a"), old.fence, progress())]).await.expect("beats");
        assert_eq!(stop, [(id("a"), StopReason::ClaimLost)], "{round}");
        assert_eq!(bench.store.get(&id("a")).await.expect("get"), before, "{round}");
        bench.claim(&second, 1).await;
    }
    assert_eq!(note().await.expect_err("another runs it").kind(), ErrorKind::Conflict);
    assert_eq!(bench.store.log(&id("a")).await.expect("reads"), [line]);
    assert_eq!(bench.kinds(&id("a")).await.len(), 4, "created, started, requeued, started");
}

async fn a_job_asked_to_stop_is_not_run_again_when_its_owner_dies(open: &StoreFactory<'_>) {
    let bench = Bench::new(open).await;
    bench.running("a", &Owner::unique()).await;
    bench.store.cancel(&id("a")).await.expect("cancels");
    assert_eq!(bench.store.recover(&Owner::unique(), Duration::ZERO).await.expect("recovers"), [id("a")]);
    let job = bench.store.get(&id("a")).await.expect("get").expect("it exists");
    assert_eq!((job.status, job.completed_at), (JobStatus::Cancelled, Some(bench.now())));
    assert_eq!(bench.kinds(&id("a")).await.last(), Some(&EventKind::JobCancelled));
}
