//! Lanes, dependencies, nodes, and forgetting.

use std::time::Duration;

use super::{Bench, StoreFactory, failure, id, ids, new_job, outcome, progress, spec};
use crate::error::ErrorKind;
use crate::event::EventKind;
use crate::id::Seq;
use crate::job::{Claimant, JobCounts, JobStatus, NewJob, Owner, Settled};

pub(super) async fn all(open: &StoreFactory<'_>) {
    submitters_take_turns(open).await;
    a_claimant_is_given_only_what_it_may_run(open).await;
    a_job_starts_after_those_it_comes_after(open).await;
    what_comes_after_a_job_that_was_not_completed_fails_with_it(open).await;
    a_job_cannot_come_after_what_is_not_there_or_has_failed(open).await;
    ended_jobs_are_forgotten_by_age_and_by_number(open).await;
    what_was_not_seen_or_is_waited_for_is_not_forgotten(open).await;
}

fn job(text: &str, change: impl FnOnce(&mut crate::job::JobSpec)) -> NewJob {
    let mut spec = spec();
    change(&mut spec);
    NewJob { id: id(text), spec }
}

fn after(text: &str, others: &[&str]) -> NewJob {
    job(text, |spec| spec.after = others.iter().map(|other| id(other)).collect())
}

async fn submitters_take_turns(open: &StoreFactory<'_>) {
    let bench = Bench::new(open).await;
    let mut jobs: Vec<_> =
        (0..5).map(|number| job(&format!("a{number}"), |spec| spec.submitter = Some("a".into()))).collect();
    jobs.push(job("b0", |spec| spec.submitter = Some("b".into())));
    jobs.push(job("b1", |spec| spec.submitter = Some("b".into())));
    jobs.push(job("c0", |spec| spec.provider = Some("paris".parse().expect("a name"))));
    jobs.push(job("urgent", |spec| (spec.submitter, spec.priority) = (Some("a".into()), 1)));
    bench.store.submit(jobs).await.expect("accepted");
    let owner = Owner::unique();
    let mut order = Vec::new();
    for limit in [1, 3, 2, 9] {
        order.extend(bench.claim(&owner, limit).await.into_iter().map(|claim| claim.job.id.to_string()));
    }
    assert_eq!(order, ["urgent", "b0", "c0", "a0", "b1", "a1", "a2", "a3", "a4"]);
}

async fn a_claimant_is_given_only_what_it_may_run(open: &StoreFactory<'_>) {
    let bench = Bench::new(open).await;
    let berlin = || Some("berlin".parse().expect("a name"));
    bench
        .store
        .submit(vec![
            job("paris", |spec| spec.provider = Some("paris".parse().expect("a name"))),
            job("near", |spec| (spec.provider, spec.labels) = (berlin(), ["near".to_owned()].into())),
            job("berlin", |spec| spec.provider = berlin()),
            new_job("any"),
        ])
        .await
        .expect("accepted");
    let mut claimant = Claimant::of_any(&Owner::unique());
    claimant.providers = Some(berlin().into_iter().collect());
    let claim = async |claimant: &Claimant| {
        let claims = bench.store.claim(claimant, 9).await.expect("claiming works");
        let mut found: Vec<_> = claims.into_iter().map(|claim| claim.job.id.to_string()).collect();
        found.sort();
        found
    };
    assert_eq!(claim(&claimant).await, ["any", "berlin"]);
    claimant.labels = ["near".to_owned(), "far".to_owned()].into();
    assert_eq!(claim(&claimant).await, ["near"]);
    assert_eq!(claim(&Claimant::of_any(&Owner::unique())).await, ["paris"]);
}

async fn a_job_starts_after_those_it_comes_after(open: &StoreFactory<'_>) {
    let bench = Bench::new(open).await;
    let owner = Owner::unique();
    bench.submit(&["a", "b"]).await;
    bench.store.submit(vec![after("c", &["a", "b", "a"]), after("d", &["c"])]).await.expect("accepted");
    let claims = bench.claim(&owner, 9).await;
    assert_eq!(ids(&claims), ["a", "b"]);
    let complete = async |name: &str, fence| {
        let settled = Settled::Completed(outcome());
        bench.store.settle(&id(name), fence, settled, progress()).await.expect("settles");
    };
    complete("a", claims[0].fence).await;
    assert_eq!(ids(&bench.claim(&owner, 9).await), [""; 0], "it comes after both");
    complete("b", claims[1].fence).await;
    let claims = bench.claim(&owner, 9).await;
    assert_eq!(ids(&claims), ["c"]);
    complete("c", claims[0].fence).await;
    assert_eq!(ids(&bench.claim(&owner, 9).await), ["d"]);
    bench
        .store
        .submit(vec![after("e", &["a"])])
        .await
        .expect("what is completed already is waited for by nobody");
    assert_eq!(ids(&bench.claim(&owner, 9).await), ["e"]);
}

async fn what_comes_after_a_job_that_was_not_completed_fails_with_it(open: &StoreFactory<'_>) {
    let bench = Bench::new(open).await;
    let owner = Owner::unique();
    bench.submit(&["failing", "cancelled"]).await;
    let jobs = vec![after("next", &["failing"]), after("last", &["next"]), after("other", &["cancelled"])];
    bench.store.submit(jobs).await.expect("accepted");
    let claim = bench.claim(&owner, 1).await.remove(0);
    bench.advance(Duration::from_secs(1));
    let settled = Settled::Failed(failure());
    bench.store.settle(&id("failing"), claim.fence, settled, progress()).await.expect("settles");
    bench.store.cancel(&id("cancelled")).await.expect("cancels");
    for (name, cause) in [("next", "failing, "), ("last", "next, "), ("other", "cancelled, ")] {
        let job = bench.store.get(&id(name)).await.expect("get").expect("it exists");
        assert_eq!((job.status, job.attempt, job.completed_at), (JobStatus::Failed, 0, Some(bench.now())));
        let failure = job.failure.expect("a reason");
        assert!(failure.message.contains(cause) && !failure.retryable, "{failure:?}");
        assert_eq!(bench.kinds(&id(name)).await, [EventKind::JobCreated, EventKind::JobFailed]);
    }
    assert_eq!(ids(&bench.claim(&owner, 9).await), [""; 0]);
    let counts = bench.store.counts().await.expect("counts");
    assert_eq!(counts, JobCounts { failed: 4, cancelled: 1, ..JobCounts::default() });
}

async fn a_job_cannot_come_after_what_is_not_there_or_has_failed(open: &StoreFactory<'_>) {
    let bench = Bench::new(open).await;
    bench.submit(&["cancelled"]).await;
    bench.store.cancel(&id("cancelled")).await.expect("cancels");
    for (jobs, named) in [
        (vec![after("x", &["nowhere"])], "nowhere"),
        (vec![after("x", &["cancelled"])], "cancelled"),
        (vec![after("x", &["y"]), after("y", &["x"])], "y"),
        (vec![after("x", &["x"])], "x"),
    ] {
        let error = bench.store.submit(jobs).await.expect_err("it could never start");
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        assert!(error.to_string().contains(named), "{error}");
        assert_eq!(bench.store.get(&id("x")).await.expect("get"), None);
    }
}

/// Cancels the jobs one second after the other.
async fn end(bench: &Bench, names: &[&str]) {
    bench.submit(names).await;
    for name in names {
        bench.advance(Duration::from_secs(1));
        bench.store.cancel(&id(name)).await.expect("cancels");
    }
}

async fn left(bench: &Bench) -> Vec<String> {
    let page = bench.store.list(&crate::job::JobQuery::default()).await.expect("lists");
    page.jobs.into_iter().map(|job| job.id.to_string()).collect()
}

async fn ended_jobs_are_forgotten_by_age_and_by_number(open: &StoreFactory<'_>) {
    let bench = Bench::new(open).await;
    end(&bench, &["a", "b", "c", "d", "e"]).await;
    bench.submit(&["waiting"]).await;
    let everything = Seq(i64::MAX);
    let prune =
        async |keep, before, limit| bench.store.prune(keep, before, everything, limit).await.expect("prunes");
    assert_eq!(prune(None, None, 9).await, 0);
    assert_eq!(prune(Some(5), None, 9).await, 0);
    assert_eq!(prune(None, Some(bench.now() - Duration::from_secs(3)), 9).await, 1);
    assert_eq!(left(&bench).await, ["waiting", "e", "d", "c", "b"]);
    assert_eq!(prune(Some(2), None, 1).await, 1);
    assert_eq!(prune(Some(2), None, 9).await, 1);
    assert_eq!(left(&bench).await, ["waiting", "e", "d"]);
    let counts = bench.store.counts().await.expect("counts");
    assert_eq!((counts.pending, counts.cancelled), (1, 2));
    assert_eq!(bench.kinds(&id("a")).await, []);
    assert_eq!(bench.store.log(&id("a")).await.expect_err("it is gone").kind(), ErrorKind::NotFound);
    let newest = bench.events().await.last().expect("events are left").seq;
    bench.submit(&["later"]).await;
    assert!(bench.events().await.last().expect("an event").seq > newest, "no position is used twice");
}

async fn what_was_not_seen_or_is_waited_for_is_not_forgotten(open: &StoreFactory<'_>) {
    let bench = Bench::new(open).await;
    end(&bench, &["seen", "unseen"]).await;
    let seen = bench.events().await[2].seq;
    assert_eq!(bench.store.prune(Some(0), None, seen, 9).await.expect("prunes"), 1);
    assert_eq!(left(&bench).await, ["unseen"]);
    let owner = Owner::unique();
    let claim = bench.running("first", &owner).await;
    bench.submit(&["running"]).await;
    bench.store.submit(vec![after("second", &["first", "running"])]).await.expect("accepted");
    bench
        .store
        .settle(&id("first"), claim.fence, Settled::Completed(outcome()), progress())
        .await
        .expect("settles");
    assert_eq!(bench.store.prune(Some(0), None, Seq(i64::MAX), 9).await.expect("prunes"), 1);
    assert_eq!(left(&bench).await, ["second", "running", "first"]);
}
