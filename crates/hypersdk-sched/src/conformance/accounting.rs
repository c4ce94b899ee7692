//! Dealing with times that have come: once each, whoever does it.

use std::time::Duration;

use chrono::TimeDelta;
use hypersdk_core::{ErrorKind, EventKind, Owner};
use serde_json::json;

use super::{Bench, StoreFactory};
use crate::firing::{Cause, FiringState, Step};
use crate::schedule::Overlap;
use crate::store::KEPT_FIRINGS;

pub(super) async fn all(open: &StoreFactory<'_>) {
    a_time_becomes_one_firing_whoever_accounts_for_it(open).await;
    a_changed_schedule_is_not_accounted_for_by_its_old_definition(open).await;
    a_time_that_has_a_firing_gets_no_other(open).await;
    missed_times_are_told_once_a_reason(open).await;
    a_time_while_the_last_run_goes_on_is_left_out(open).await;
    a_time_while_the_last_run_goes_on_waits(open).await;
    the_last_time_takes_the_place_of_one_that_waits(open).await;
    somebody_may_ask_for_a_firing_now(open).await;
    old_firings_are_forgotten(open).await;
}

async fn a_time_becomes_one_firing_whoever_accounts_for_it(open: &StoreFactory<'_>) {
    let bench = Bench::new(open).await;
    let made = bench.create("a", |_| {}).await;
    bench.advance(Duration::from_secs(61));
    let owners: Vec<Owner> = (0..4).map(|_| Owner::unique()).collect();
    let due = vec![(bench.minute(1), Cause::Time)];
    let all = owners
        .iter()
        .map(|owner| bench.store.account(owner, bench.accounting(&made, bench.minute(1), due.clone())));
    let results = join_all(all).await;
    let winners: Vec<_> = results.into_iter().filter_map(|result| result.expect("accounts")).collect();
    assert_eq!(winners.len(), 1, "one of them deals with it");
    let (schedule, firings) = &winners[0];
    assert_eq!(schedule.accounted_until, bench.minute(1));
    assert_eq!(firings.len(), 1);
    let firing = &firings[0];
    assert_eq!((firing.planned_at, firing.cause), (bench.minute(1), Cause::Time));
    assert_eq!((firing.state, firing.created_at, &firing.jobs), (FiringState::Pending, bench.now(), &vec![]));
    assert_eq!(bench.store.open_firings().await.expect("lists"), *firings);
    assert_eq!(bench.store.schedule(&made.id).await.expect("reads").as_ref(), Some(schedule));
    assert_eq!(bench.events().await, [], "it has not fired yet");
}

/// Waits for all of them, polled in turn.
async fn join_all<T>(futures: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut futures: Vec<_> = futures.map(|future| (Box::pin(future), None)).collect();
    std::future::poll_fn(|context| {
        let mut ready = true;
        for (future, result) in &mut futures {
            if result.is_none() {
                match future.as_mut().poll(context) {
                    std::task::Poll::Ready(value) => *result = Some(value),
                    std::task::Poll::Pending => ready = false,
                }
            }
        }
        if ready { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    futures.into_iter().filter_map(|(_, result)| result).collect()
}

async fn a_changed_schedule_is_not_accounted_for_by_its_old_definition(open: &StoreFactory<'_>) {
    let bench = Bench::new(open).await;
    let made = bench.create("a", |_| {}).await;
    let changed = bench.store.change_schedule(&made.id, Some(made.spec.clone()), None, None).await;
    assert_eq!(bench.account(&made, 1).await, None);
    assert!(bench.account(&changed.expect("changed"), 1).await.is_some());
    bench.store.remove_schedule(&made.id, None).await.expect("removed");
    assert_eq!(bench.account(&made, 2).await, None);
}

async fn a_time_that_has_a_firing_gets_no_other(open: &StoreFactory<'_>) {
    let bench = Bench::new(open).await;
    let made = bench.create("a", |spec| spec.overlap = Overlap::Queue).await;
    let (after, firings) = bench.account(&made, 2).await.expect("accounted");
    assert_eq!(firings.len(), 2);
    // As after a clock that was set back by days.
    let back =
        bench.accounting(&after, bench.minute(3), (1..=3).map(|n| (bench.minute(n), Cause::Time)).collect());
    let (_, firings) = bench.store.account(&bench.owner, back).await.expect("accounts").expect("accounted");
    let planned: Vec<_> = firings.iter().map(|firing| firing.planned_at).collect();
    assert_eq!(planned, [bench.minute(3)]);
    assert_eq!(bench.store.firings(&made.id, None, 9).await.expect("lists").len(), 3);
}

async fn missed_times_are_told_once_a_reason(open: &StoreFactory<'_>) {
    let bench = Bench::new(open).await;
    let made = bench.create("a", |_| {}).await;
    bench.advance(Duration::from_secs(600));
    let mut accounting = bench.accounting(&made, bench.minute(4), vec![(bench.minute(4), Cause::CatchUp)]);
    accounting.missed = vec![
        (bench.minute(1), "asleep".to_owned(), 5),
        (bench.minute(2), "asleep".to_owned(), 0),
        (bench.minute(3), "audit".to_owned(), 0),
    ];
    let accounted = bench.store.account(&bench.owner, accounting).await.expect("accounts");
    let (schedule, firings) = accounted.expect("accounted");
    assert_eq!((schedule.missed_count, schedule.run_count, firings.len()), (8, 0, 4));
    let events = bench.events().await;
    assert!(events.iter().all(|event| event.kind == EventKind::ScheduleMissed && event.job.is_none()));
    let told: Vec<_> = events.iter().map(|event| (&event.data["reason"], &event.data["count"])).collect();
    assert_eq!(told, [(&json!("asleep"), &json!(7)), (&json!("audit"), &json!(1))]);
    assert_eq!(events[0].data["planned_at"], json!(bench.minute(2)));
    assert_eq!(events[0].data["first_planned_at"], json!(bench.minute(1)));
    assert_eq!(events[0].data["schedule_id"], "a");
    assert_eq!(events[0].time, bench.now());
    let rows = bench.store.firings(&made.id, None, 9).await.expect("lists");
    let found: Vec<_> = rows.iter().map(|row| (row.state, row.reason.as_deref())).collect();
    let missed = FiringState::Missed;
    assert_eq!(
        found,
        [
            (FiringState::Pending, None),
            (missed, Some("audit")),
            (missed, Some("asleep")),
            (missed, Some("asleep"))
        ]
    );
    assert_eq!(*bench.store.latest().borrow(), events[1].seq);
}

async fn a_time_while_the_last_run_goes_on_is_left_out(open: &StoreFactory<'_>) {
    let bench = Bench::new(open).await;
    let made = bench.create("a", |_| {}).await;
    let (schedule, firings) = bench.account(&made, 1).await.expect("accounted");
    let start = Step::Start { jobs: vec!["j1".parse().expect("an id")] };
    bench.store.step_firing(&bench.owner, &firings[0].key(), start).await.expect("starts");
    let (schedule, firings) = bench.account(&schedule, 2).await.expect("accounted");
    assert_eq!((firings.len(), firings[0].state), (1, FiringState::Missed));
    let reason = firings[0].reason.as_deref().expect("a reason");
    assert!(reason.contains("still goes on"), "{reason}");
    assert_eq!(schedule.missed_count, 1);
    let error = bench.store.trigger(&bench.owner, &made.id).await.expect_err("it goes on");
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
}

async fn a_time_while_the_last_run_goes_on_waits(open: &StoreFactory<'_>) {
    let bench = Bench::new(open).await;
    let made = bench.create("a", |spec| spec.overlap = Overlap::Queue).await;
    let (_, firings) = bench.account(&made, 13).await.expect("accounted");
    let states: Vec<_> = firings.iter().map(|firing| firing.state).collect();
    let count = |state| states.iter().filter(|found| **found == state).count();
    let found = (count(FiringState::Pending), count(FiringState::Waiting), count(FiringState::Missed));
    assert_eq!(found, (1, 10, 2), "a queue is ten long");
    assert_eq!(bench.store.open_firings().await.expect("lists").len(), 11);
    assert_eq!(bench.events().await.len(), 1);
}

async fn the_last_time_takes_the_place_of_one_that_waits(open: &StoreFactory<'_>) {
    let bench = Bench::new(open).await;
    let made = bench.create("a", |spec| spec.overlap = Overlap::CancelPrevious).await;
    let (schedule, _) = bench.account(&made, 2).await.expect("accounted");
    let (_, changed) = bench.account(&schedule, 3).await.expect("accounted");
    let mut found: Vec<_> = changed.iter().map(|firing| (firing.planned_at, firing.state)).collect();
    found.sort_by_key(|(planned_at, _)| *planned_at);
    assert_eq!(found, [(bench.minute(2), FiringState::Missed), (bench.minute(3), FiringState::Waiting)]);
    let open: Vec<_> =
        bench.store.open_firings().await.expect("lists").iter().map(|firing| firing.planned_at).collect();
    assert_eq!(open, [bench.minute(1), bench.minute(3)]);
}

async fn somebody_may_ask_for_a_firing_now(open: &StoreFactory<'_>) {
    let bench = Bench::new(open).await;
    let made = bench.create("a", |_| {}).await;
    bench.store.change_schedule(&made.id, None, Some(false), None).await.expect("off");
    let firing = bench.store.trigger(&bench.owner, &made.id).await.expect("even one that is off");
    assert_eq!(
        (firing.planned_at, firing.cause, firing.state),
        (bench.now(), Cause::Manual, FiringState::Pending)
    );
    assert_eq!(bench.store.open_firings().await.expect("lists"), [firing]);
    let waits = bench.create("b", |spec| spec.overlap = Overlap::Queue).await;
    bench.store.trigger(&bench.owner, &waits.id).await.expect("triggered");
    bench.advance(Duration::from_micros(1));
    let second = bench.store.trigger(&bench.owner, &waits.id).await.expect("triggered");
    assert_eq!(second.state, FiringState::Waiting);
}

async fn old_firings_are_forgotten(open: &StoreFactory<'_>) {
    let bench = Bench::new(open).await;
    let made = bench.create("a", |_| {}).await;
    bench.advance(Duration::from_secs(10 * 24 * 3600));
    let many = i64::try_from(KEPT_FIRINGS).expect("a small number") + 7;
    let mut accounting = bench.accounting(&made, bench.minute(many), Vec::new());
    accounting.missed = (1..=many).map(|n| (bench.minute(n), "asleep".to_owned(), 0)).collect();
    bench.store.account(&bench.owner, accounting).await.expect("accounts").expect("accounted");
    let rows = bench.store.firings(&made.id, None, 1000).await.expect("lists");
    assert_eq!(rows.len(), KEPT_FIRINGS);
    assert_eq!(rows.last().expect("some").planned_at, bench.minute(8));
    let page = bench.store.firings(&made.id, Some(bench.minute(20)), 3).await.expect("lists");
    let page: Vec<_> = page.iter().map(|row| (row.planned_at - bench.minute(0)).num_minutes()).collect();
    assert_eq!(page, [19, 18, 17]);
    let recent = bench.create("b", |_| {}).await;
    let until = bench.now() + TimeDelta::minutes(many);
    let mut accounting = bench.accounting(&recent, until, Vec::new());
    accounting.missed =
        (1..=many).map(|n| (bench.now() + TimeDelta::minutes(n), "asleep".to_owned(), 0)).collect();
    bench.store.account(&bench.owner, accounting).await.expect("accounts").expect("accounted");
    let rows = bench.store.firings(&recent.id, None, 1000).await.expect("lists");
    assert_eq!(rows.len(), KEPT_FIRINGS + 7, "those of the last days are all kept");
}
