//! Taking firings further: by whoever has them, and only as is possible.

use std::time::Duration;

use hypersdk_core::{ErrorKind, EventKind, JobId, Owner};
use serde_json::json;

use super::{Bench, StoreFactory};
use crate::firing::{Firing, FiringState, RunEnd, Step};
use crate::schedule::{Overlap, Schedule};

const SILENCE: Duration = Duration::from_secs(60);

pub(super) async fn all(open: &StoreFactory<'_>) {
    a_firing_that_starts_is_told_with_its_jobs(open).await;
    a_firing_is_another_owners_until_it_is_silent(open).await;
    a_waiting_firing_is_claimed_by_one(open).await;
    what_is_not_possible_changes_nothing(open).await;
    failures_in_a_row_disable_it_and_are_told(open).await;
    a_success_forgets_failures_and_a_cancelled_run_is_neither(open).await;
}

fn jobs() -> Vec<JobId> {
    ["a-1", "a-2"].map(|text| text.parse().expect("an id")).to_vec()
}

/// A schedule with one pending firing.
async fn pending(bench: &Bench, most: Option<u32>) -> (Schedule, Firing) {
    let made = bench.create("a", |spec| spec.max_failures = most).await;
    let (schedule, mut firings) = bench.account(&made, 1).await.expect("accounted");
    (schedule, firings.remove(0))
}

async fn a_firing_that_starts_is_told_with_its_jobs(open: &StoreFactory<'_>) {
    let bench = Bench::new(open).await;
    let (_, firing) = pending(&bench, None).await;
    bench.advance(Duration::from_secs(90));
    let start = Step::Start { jobs: jobs() };
    let (firing, schedule) =
        bench.store.step_firing(&bench.owner, &firing.key(), start).await.expect("starts");
    assert_eq!(
        (firing.state, firing.fired_at, &firing.jobs),
        (FiringState::Running, Some(bench.now()), &jobs())
    );
    assert_eq!((schedule.last_run, schedule.run_count), (Some(bench.now()), 1));
    assert_eq!(bench.store.schedule(&firing.schedule).await.expect("reads"), Some(schedule));
    let listed = bench.store.firings(&firing.schedule, None, 9).await.expect("lists");
    assert_eq!(listed, std::slice::from_ref(&firing));
    let events = bench.events().await;
    assert_eq!(events.len(), 1);
    assert_eq!(
        (events[0].kind, &events[0].job, events[0].time),
        (EventKind::ScheduleFired, &None, bench.now())
    );
    assert_eq!(
        events[0].data,
        json!({"schedule_id": "a", "schedule_name": "Every minute", "planned_at": bench.minute(1),
               "cause": "time", "job_ids": jobs()})
    );
    let end = Step::End(RunEnd::Succeeded);
    let other = Owner::unique();
    let (firing, _) =
        bench.store.step_firing(&other, &firing.key(), end).await.expect("anybody may end a run");
    assert_eq!((firing.state, firing.ended_at), (FiringState::Succeeded, Some(bench.now())));
    assert_eq!(bench.store.open_firings().await.expect("lists"), []);
    assert_eq!(bench.events().await.len(), 1);
}

async fn a_firing_is_another_owners_until_it_is_silent(open: &StoreFactory<'_>) {
    let bench = Bench::new(open).await;
    let (_, firing) = pending(&bench, None).await;
    let (key, other) = (firing.key(), Owner::unique());
    let claim = async |owner: &Owner| bench.store.claim_firing(owner, &key, SILENCE).await.expect("answers");
    bench.advance(Duration::from_secs(59));
    assert_eq!(claim(&other).await, None);
    assert!(claim(&bench.owner).await.is_some(), "it speaks for it");
    bench.advance(Duration::from_secs(59));
    assert_eq!(claim(&other).await, None);
    bench.advance(Duration::from_secs(1));
    assert_eq!(claim(&other).await.expect("it was silent").state, FiringState::Pending);
    assert_eq!(claim(&bench.owner).await, None);
    let start = Step::Start { jobs: jobs() };
    let error = bench.store.step_firing(&bench.owner, &key, start.clone()).await.expect_err("it lost it");
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
    bench.store.step_firing(&other, &key, start).await.expect("the other has it");
    assert_eq!(claim(&other).await, None, "it has started");
    assert_eq!(bench.events().await.len(), 1);
}

async fn a_waiting_firing_is_claimed_by_one(open: &StoreFactory<'_>) {
    let bench = Bench::new(open).await;
    let made = bench.create("a", |spec| spec.overlap = Overlap::Queue).await;
    let (_, firings) = bench.account(&made, 2).await.expect("accounted");
    let key = firings.iter().find(|firing| firing.state == FiringState::Waiting).expect("one waits").key();
    let (first, second) = (Owner::unique(), Owner::unique());
    let taken = bench.store.claim_firing(&first, &key, SILENCE).await.expect("answers");
    assert_eq!(taken.expect("it is free").state, FiringState::Pending);
    assert_eq!(bench.store.claim_firing(&second, &key, SILENCE).await.expect("answers"), None);
    assert_eq!(bench.state(&key).await, Some(FiringState::Pending));
}

async fn what_is_not_possible_changes_nothing(open: &StoreFactory<'_>) {
    let bench = Bench::new(open).await;
    let (schedule, firing) = pending(&bench, None).await;
    let key = firing.key();
    let step = async |step| bench.store.step_firing(&bench.owner, &key, step).await;
    let error = step(Step::End(RunEnd::Succeeded)).await.expect_err("it has not begun");
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
    assert_eq!(bench.store.firings(&firing.schedule, None, 9).await.expect("lists"), [firing]);
    step(Step::Miss { reason: "blackout".to_owned(), failed: false }).await.expect("missed");
    let error = step(Step::Start { jobs: jobs() }).await.expect_err("it is missed");
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
    let stored = bench.store.schedule(&schedule.id).await.expect("reads").expect("it exists");
    assert_eq!((stored.run_count, stored.missed_count, stored.failures), (0, 1, 0));
    assert_eq!(bench.events().await.len(), 1);
    let mut unknown = key.clone();
    unknown.planned_at = bench.minute(9);
    let error = bench.store.step_firing(&bench.owner, &unknown, Step::Start { jobs: jobs() }).await;
    assert_eq!(error.expect_err("unknown").kind(), ErrorKind::NotFound);
}

async fn failures_in_a_row_disable_it_and_are_told(open: &StoreFactory<'_>) {
    let bench = Bench::new(open).await;
    let (schedule, firing) = pending(&bench, Some(2)).await;
    let changed = bench.store.schedules_changed().await.expect("reads");
    let miss = Step::Miss { reason: "no such VM".to_owned(), failed: true };
    let (_, after) = bench.store.step_firing(&bench.owner, &firing.key(), miss).await.expect("missed");
    assert_eq!((after.failures, after.enabled), (1, true));
    let (_, firings) = bench.account(&schedule, 2).await.expect("accounted");
    let key = firings[0].key();
    bench.store.step_firing(&bench.owner, &key, Step::Start { jobs: jobs() }).await.expect("starts");
    let failed = Step::End(RunEnd::Failed { reason: "1 of 2 jobs failed".to_owned() });
    let (firing, after) = bench.store.step_firing(&bench.owner, &key, failed).await.expect("ends");
    assert_eq!((firing.state, firing.reason.as_deref()), (FiringState::Failed, Some("1 of 2 jobs failed")));
    assert_eq!((after.failures, after.enabled), (2, false));
    let why = after.disabled_because.as_deref().expect("it says why");
    assert!(why.contains("2 failures in a row") && why.contains("1 of 2 jobs failed"), "{why}");
    assert_eq!(bench.store.schedule(&schedule.id).await.expect("reads"), Some(after.clone()));
    assert_ne!(bench.store.schedules_changed().await.expect("reads"), changed, "others must learn of it");
    let events = bench.events().await;
    let last = events.last().expect("events");
    assert_eq!((last.kind, &last.data["disabled"]), (EventKind::ScheduleMissed, &json!(true)));
    assert_eq!(bench.account(&after, 3).await, None, "it fires no more");
    let on = bench.store.change_schedule(&schedule.id, None, Some(true), None).await.expect("on again");
    assert_eq!((on.failures, on.disabled_because), (0, None));
}

async fn a_success_forgets_failures_and_a_cancelled_run_is_neither(open: &StoreFactory<'_>) {
    let bench = Bench::new(open).await;
    let (mut schedule, firing) = pending(&bench, Some(9)).await;
    let mut key = firing.key();
    for (minute, end, failures) in [
        (2, RunEnd::Failed { reason: "x".to_owned() }, 1),
        (3, RunEnd::Cancelled, 1),
        (4, RunEnd::Failed { reason: "x".to_owned() }, 2),
        (5, RunEnd::Succeeded, 0),
    ] {
        bench.store.step_firing(&bench.owner, &key, Step::Start { jobs: jobs() }).await.expect("starts");
        let (_, after) = bench.store.step_firing(&bench.owner, &key, Step::End(end)).await.expect("ends");
        assert_eq!(after.failures, failures);
        let (next, firings) = bench.account(&schedule, minute).await.expect("accounted");
        (schedule, key) = (next, firings[0].key());
    }
    assert_eq!(bench.events().await.len(), 4);
}
