//! What every store of schedules does, as a suite that any implementation can run.

mod accounting;
mod definitions;
mod steps;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use hypersdk_core::{Clock, Event, Owner, ScheduleId, Seq};
use serde_json::json;

use crate::firing::{Cause, Firing, FiringKey, FiringState};
use crate::plan::Accounting;
use crate::schedule::{NewSchedule, Schedule, ScheduleSpec};
use crate::store::ScheduleStore;

/// What an asynchronous opening of a store comes back as.
type Opening<'a> = std::pin::Pin<Box<dyn Future<Output = Arc<dyn ScheduleStore>> + Send + 'a>>;

/// Opens an empty store that takes the time from the given clock; a new one at each call.
pub type StoreFactory<'a> = dyn Fn(Clock) -> Opening<'a> + Send + Sync + 'a;

/// Runs the whole suite.
///
/// # Panics
/// On the first thing the store does not do.
pub async fn schedule_store(open: &StoreFactory<'_>) {
    definitions::all(open).await;
    accounting::all(open).await;
    steps::all(open).await;
}

/// A store under test and the hand on its clock.
struct Bench {
    store: Arc<dyn ScheduleStore>,
    micros: Arc<AtomicI64>,
    owner: Owner,
}

impl Bench {
    async fn new(open: &StoreFactory<'_>) -> Self {
        // A whole minute, and a microsecond.
        let micros = Arc::new(AtomicI64::new(1_800_000_000_000_001));
        let hand = micros.clone();
        let clock = Clock::new(move || instant(hand.load(Ordering::SeqCst)));
        Bench { store: open(clock).await, micros, owner: Owner::unique() }
    }

    fn now(&self) -> DateTime<Utc> {
        instant(self.micros.load(Ordering::SeqCst))
    }

    fn advance(&self, by: Duration) {
        let micros = i64::try_from(by.as_micros()).expect("tests advance by little");
        self.micros.fetch_add(micros, Ordering::SeqCst);
    }

    /// A schedule for every minute.
    async fn create(&self, text: &str, change: impl FnOnce(&mut ScheduleSpec)) -> Schedule {
        let mut spec = spec();
        change(&mut spec);
        let new = NewSchedule { id: id(text), spec, enabled: true };
        self.store.create_schedule(new).await.expect("the schedule is added")
    }

    /// Accounts for the schedule's times up to `minutes` after it was made, each to be started.
    async fn account(&self, schedule: &Schedule, minutes: i64) -> Option<(Schedule, Vec<Firing>)> {
        let due = (1..=minutes).map(|minute| (self.minute(minute), Cause::Time));
        let due = due.filter(|(planned_at, _)| *planned_at > schedule.accounted_until).collect();
        let accounting = self.accounting(schedule, self.minute(minutes), due);
        self.store.account(&self.owner, accounting).await.expect("accounting works")
    }

    fn accounting(
        &self,
        schedule: &Schedule,
        to: DateTime<Utc>,
        due: Vec<(DateTime<Utc>, Cause)>,
    ) -> Accounting {
        let (id, revision, from) = (schedule.id.clone(), schedule.revision, schedule.accounted_until);
        Accounting { schedule: id, revision, from, to, due, missed: Vec::new() }
    }

    /// A minute after the beginning.
    fn minute(&self, number: i64) -> DateTime<Utc> {
        instant(1_800_000_000_000_000) + TimeDelta::minutes(number)
    }

    /// The state of a firing.
    async fn state(&self, key: &FiringKey) -> Option<FiringState> {
        let firings = self.store.firings(&key.schedule, None, 1000).await.expect("lists");
        firings.into_iter().find(|firing| firing.planned_at == key.planned_at).map(|firing| firing.state)
    }

    async fn events(&self) -> Vec<Event> {
        self.store.read_after(Seq::START, None, 1000).await.expect("the log reads")
    }
}

fn instant(micros: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(micros).expect("a time in this century")
}

fn id(text: &str) -> ScheduleId {
    text.parse().expect("a schedule id")
}

fn spec() -> ScheduleSpec {
    let template = json!({"vm_path": "/DC0/vm/ü \"web\"", "nested": {"a": [1, null]}});
    let template = template.as_object().expect("an object").clone();
    ScheduleSpec::new("Every minute", "* * * * *".parse().expect("cron"), template)
}
