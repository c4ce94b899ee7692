//! Adding, changing and removing schedules.

use std::time::Duration;

use hypersdk_core::ErrorKind;

use super::{Bench, StoreFactory, id, spec};
use crate::retention::Retention;
use crate::schedule::{CatchUp, NewSchedule, Overlap};
use crate::window::{Blackout, Window};

pub(super) async fn all(open: &StoreFactory<'_>) {
    a_schedule_comes_back_as_it_was_given(open).await;
    an_identifier_is_taken_once(open).await;
    a_change_rises_the_revision_and_an_old_revision_is_refused(open).await;
    times_that_went_by_while_it_was_off_are_none_of_its(open).await;
    what_is_removed_is_gone_with_its_firings(open).await;
    any_change_is_told_by_the_number(open).await;
}

async fn a_schedule_comes_back_as_it_was_given(open: &StoreFactory<'_>) {
    let bench = Bench::new(open).await;
    let mut full = spec();
    full.name = "Nightly 'ü' \"x\"".to_owned();
    full.description = "line\nline".to_owned();
    full.tags = vec!["prod".to_owned(), "ü".to_owned()];
    full.timezone = chrono_tz::Europe::Berlin;
    full.overlap = Overlap::CancelPrevious;
    full.catch_up = CatchUp::All { limit: 7 };
    full.jitter = Duration::from_millis(90_500);
    full.windows = vec![Window {
        days: vec![chrono::Weekday::Sat],
        from: "22:00:00".parse().expect("a time"),
        to: "06:00:00".parse().expect("a time"),
    }];
    full.blackouts =
        vec![Blackout { from: bench.minute(1), to: bench.minute(2), reason: "the audit".to_owned() }];
    full.max_failures = Some(3);
    full.retention = Some(Retention { keep_last: Some(3), min_free: Some(1 << 40), ..Retention::default() });
    let new = NewSchedule { id: id("full"), spec: full.clone(), enabled: false };
    let made = bench.store.create_schedule(new).await.expect("added");
    assert_eq!((&made.spec, made.enabled, made.revision), (&full, false, 1));
    assert_eq!((made.created_at, made.accounted_until, made.last_run), (bench.now(), bench.now(), None));
    let plain = bench.create("a-plain", |_| {}).await;
    assert_eq!(bench.store.schedule(&id("full")).await.expect("reads"), Some(made.clone()));
    assert_eq!(bench.store.schedules().await.expect("lists"), [plain, made]);
    assert_eq!(bench.store.schedule(&id("nowhere")).await.expect("reads"), None);
}

async fn an_identifier_is_taken_once(open: &StoreFactory<'_>) {
    let bench = Bench::new(open).await;
    let made = bench.create("taken", |_| {}).await;
    let new = NewSchedule { id: id("taken"), spec: spec(), enabled: false };
    let error = bench.store.create_schedule(new).await.expect_err("taken");
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
    assert!(error.to_string().contains("taken"), "{error}");
    assert_eq!(bench.store.schedules().await.expect("lists"), [made]);
}

async fn a_change_rises_the_revision_and_an_old_revision_is_refused(open: &StoreFactory<'_>) {
    let bench = Bench::new(open).await;
    let made = bench.create("a", |_| {}).await;
    bench.advance(Duration::from_secs(30));
    let mut other = made.spec.clone();
    other.name = "Other".to_owned();
    let changed = bench.store.change_schedule(&made.id, Some(other.clone()), None, Some(1)).await;
    let changed = changed.expect("changed");
    assert_eq!((changed.revision, changed.updated_at, &changed.spec), (2, bench.now(), &other));
    assert_eq!(changed.accounted_until, made.accounted_until, "it has the same times");
    let error = bench.store.change_schedule(&made.id, None, Some(false), Some(1)).await.expect_err("old");
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
    other.schedule = "0 2 * * *".parse().expect("cron");
    let changed = bench.store.change_schedule(&made.id, Some(other), None, None).await.expect("changed");
    assert_eq!(changed.accounted_until, bench.now(), "other times begin now");
    assert_eq!(bench.store.schedule(&made.id).await.expect("reads"), Some(changed));
    let error = bench.store.change_schedule(&id("b"), None, Some(true), None).await.expect_err("unknown");
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
}

async fn times_that_went_by_while_it_was_off_are_none_of_its(open: &StoreFactory<'_>) {
    let bench = Bench::new(open).await;
    let made = bench.create("a", |_| {}).await;
    let off = bench.store.change_schedule(&made.id, None, Some(false), None).await.expect("off");
    bench.advance(Duration::from_secs(600));
    assert_eq!(bench.account(&off, 5).await, None, "nothing is accounted for while it is off");
    let on = bench.store.change_schedule(&made.id, None, Some(true), None).await.expect("on");
    assert_eq!((on.enabled, on.accounted_until, on.revision), (true, bench.now(), 3));
}

async fn what_is_removed_is_gone_with_its_firings(open: &StoreFactory<'_>) {
    let bench = Bench::new(open).await;
    let made = bench.create("a", |_| {}).await;
    bench.create("b", |_| {}).await;
    bench.account(&made, 1).await.expect("accounted");
    let overtaken =
        bench.store.remove_schedule(&made.id, Some(made.revision + 1)).await.expect_err("another");
    assert_eq!(overtaken.kind(), ErrorKind::Conflict, "{overtaken}");
    assert!(bench.store.schedule(&made.id).await.expect("reads").is_some_and(|kept| kept.enabled));
    bench.store.remove_schedule(&made.id, Some(made.revision)).await.expect("removed");
    assert_eq!(bench.store.schedule(&made.id).await.expect("reads"), None);
    assert_eq!(bench.store.open_firings().await.expect("lists"), []);
    let errors = [
        bench.store.remove_schedule(&made.id, None).await.expect_err("gone"),
        bench.store.firings(&made.id, None, 9).await.expect_err("gone"),
        bench.store.trigger(&bench.owner, &made.id).await.expect_err("gone"),
    ];
    for error in errors {
        assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    }
    let again = bench.create("a", |_| {}).await;
    assert_eq!((again.revision, again.run_count), (1, 0));
    assert_eq!(bench.store.firings(&made.id, None, 9).await.expect("lists"), []);
}

async fn any_change_is_told_by_the_number(open: &StoreFactory<'_>) {
    let bench = Bench::new(open).await;
    let mut last = bench.store.schedules_changed().await.expect("reads");
    let mut moved = async || {
        let now = bench.store.schedules_changed().await.expect("reads");
        now != std::mem::replace(&mut last, now)
    };
    assert!(!moved().await);
    let made = bench.create("a", |_| {}).await;
    assert!(moved().await);
    bench.account(&made, 1).await.expect("accounted");
    assert!(!moved().await, "what the scheduler does itself is no change");
    bench.store.change_schedule(&made.id, None, Some(false), None).await.expect("changed");
    assert!(moved().await);
    bench.store.remove_schedule(&made.id, None).await.expect("removed");
    assert!(moved().await);
}
