//! The scheduler over a store in memory, a fake launcher, and a clock in our hands.

use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, TimeDelta, Utc};
use hypersdk_core::{EventKind, Seq};
use tokio::time::Instant;

use super::*;
use crate::fake::FakeLauncher;
use crate::firing::FiringState;
use crate::memory::MemorySchedules;
use crate::schedule::{CatchUp, Overlap};

/// A clock that goes with tokio's paused one, and can be set.
#[derive(Clone)]
struct Hands {
    start: Instant,
    offset: Arc<AtomicI64>,
}

impl Hands {
    fn new() -> Self {
        Hands { start: Instant::now(), offset: Arc::default() }
    }

    fn clock(&self) -> Clock {
        let hands = self.clone();
        Clock::new(move || {
            let offset = TimeDelta::milliseconds(hands.offset.load(Ordering::SeqCst));
            time("2026-11-24T12:00:00.5Z") + hands.start.elapsed() + offset
        })
    }

    fn set(&self, by: TimeDelta) {
        self.offset.fetch_add(by.num_milliseconds(), Ordering::SeqCst);
    }
}

fn time(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

struct Bench {
    hands: Hands,
    store: Arc<MemorySchedules>,
    launcher: Arc<FakeLauncher>,
}

impl Bench {
    fn new() -> Self {
        Bench::with(FakeLauncher::default())
    }

    fn with(launcher: FakeLauncher) -> Self {
        let hands = Hands::new();
        let store = Arc::new(MemorySchedules::with_clock(hands.clock()));
        Bench { hands, store, launcher: Arc::new(launcher) }
    }

    async fn start(&self) -> Scheduler {
        let config = SchedulerConfig { clock: self.hands.clock(), ..SchedulerConfig::default() };
        Scheduler::start(self.store.clone(), self.launcher.clone(), self.launcher.clone(), config)
            .await
            .unwrap()
    }

    async fn create(
        &self,
        scheduler: &Scheduler,
        id: &str,
        cron: &str,
        change: impl FnOnce(&mut ScheduleSpec),
    ) {
        let mut spec = ScheduleSpec::new(id, cron.parse().unwrap(), serde_json::Map::new());
        change(&mut spec);
        scheduler.create(NewSchedule { id: id.parse().unwrap(), spec, enabled: true }).await.unwrap();
    }

    /// The planned times that were launched, as hours and minutes.
    fn launched(&self) -> Vec<String> {
        self.launcher.launched().iter().map(|(_, planned)| planned.format("%H:%M").to_string()).collect()
    }

    async fn states(&self, id: &str) -> Vec<FiringState> {
        let firings = self.store.firings(&id.parse().unwrap(), None, 1000).await.unwrap();
        firings.into_iter().rev().map(|firing| firing.state).collect()
    }

    async fn kinds(&self) -> Vec<EventKind> {
        self.store
            .read_after(Seq::START, None, 10_000)
            .await
            .unwrap()
            .iter()
            .map(|event| event.kind)
            .collect()
    }
}

async fn pass(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

fn skip(spec: &mut ScheduleSpec) {
    // Fake runs end when they are told to, and these tests tell none.
    spec.overlap = Overlap::Queue;
}

#[tokio::test(start_paused = true)]
async fn it_fires_within_milliseconds_of_the_time_and_tells_so() {
    let bench = Bench::new();
    let scheduler = bench.start().await;
    bench.create(&scheduler, "a", "* * * * *", |_| {}).await;
    bench.launcher.until_jobs(1).await;
    let late = bench.hands.clock().now() - time("2026-11-24T12:01:00Z");
    assert!((0..100).contains(&late.num_milliseconds()), "{late}");
    pass(1).await;
    assert_eq!(bench.states("a").await, [FiringState::Running]);
    let schedule = bench.store.schedule(&"a".parse().unwrap()).await.unwrap().unwrap();
    assert_eq!((schedule.run_count, schedule.accounted_until), (1, time("2026-11-24T12:01:00Z")));
    assert_eq!(bench.kinds().await, [EventKind::ScheduleFired]);
    scheduler.stop().await;
    pass(300).await;
    assert_eq!(bench.launched().len(), 1, "a stopped scheduler fires nothing");
}

#[tokio::test(start_paused = true)]
async fn a_clock_set_forward_loses_nothing_and_doubles_nothing() {
    let bench = Bench::new();
    let scheduler = bench.start().await;
    let all = |spec: &mut ScheduleSpec| {
        spec.catch_up = CatchUp::All { limit: 100 };
        spec.overlap = Overlap::Queue;
    };
    bench.create(&scheduler, "all", "0 * * * *", all).await;
    bench.create(&scheduler, "latest", "30 * * * *", |_| {}).await;
    bench.create(&scheduler, "none", "45 * * * *", |spec| spec.catch_up = CatchUp::None).await;
    pass(2).await;
    bench.hands.set(TimeDelta::hours(5));
    for _ in 0..20 {
        pass(10).await;
        bench.launcher.end_all(true);
    }
    // 17:03 by now, and all runs have ended.
    let mut launched = bench.launched();
    launched.sort();
    assert_eq!(launched, ["13:00", "14:00", "15:00", "16:00", "16:30", "17:00"]);
    assert_eq!(bench.states("none").await, [FiringState::Missed; 5]);
    assert_eq!(bench.states("latest").await.len(), 5);
    assert_eq!(bench.launcher.jobs().len(), 6);
    scheduler.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_clock_set_back_doubles_nothing_and_goes_on_afterwards() {
    let bench = Bench::new();
    let scheduler = bench.start().await;
    bench.create(&scheduler, "a", "*/10 * * * *", skip).await;
    pass(31 * 60).await;
    assert_eq!(bench.launched().len(), 1, "the others wait for it");
    for _ in 0..5 {
        bench.launcher.end_all(true);
        pass(10).await;
    }
    assert_eq!(bench.launched(), ["12:10", "12:20", "12:30"]);
    bench.hands.set(TimeDelta::minutes(-25));
    pass(24 * 60).await;
    assert_eq!(bench.launched().len(), 3, "12:10, 12:20 and 12:30 came before");
    bench.launcher.end_all(true);
    pass(12 * 60).await;
    assert_eq!(bench.launched().last().unwrap(), "12:40");
    scheduler.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_a_suspended_machine_slept_through_is_made_up_for_one_run_after_the_other() {
    let bench = Bench::new();
    let scheduler = bench.start().await;
    let all = |spec: &mut ScheduleSpec| spec.catch_up = CatchUp::All { limit: 30 };
    bench.create(&scheduler, "a", "0 * * * *", all).await;
    pass(2).await;
    // A suspended machine's clock goes on, and its timers do not.
    bench.hands.set(TimeDelta::minutes(24 * 60 + 30));
    for launched in 1..=24 {
        pass(2).await;
        assert_eq!(bench.launched().len(), launched, "one at a time, and all of them");
        bench.launcher.end_all(true);
    }
    pass(2).await;
    assert_eq!(bench.states("a").await, [FiringState::Succeeded; 24]);
    scheduler.stop().await;
}

/// Costs about two seconds.
#[tokio::test(start_paused = true)]
async fn whatever_the_clock_does_each_time_comes_once() {
    for seed in 0..10 {
        let mut random = fastrand::Rng::with_seed(seed);
        let bench = Bench::new();
        let scheduler = bench.start().await;
        let all = |spec: &mut ScheduleSpec| {
            spec.catch_up = CatchUp::All { limit: 1000 };
            spec.overlap = Overlap::Queue;
        };
        bench.create(&scheduler, "a", "*/10 * * * *", all).await;
        let now = || bench.hands.clock().now();
        let made = now();
        let mut furthest = made;
        for _ in 0..25 {
            match random.u8(..4) {
                // Set forward, or woken up.
                0 => bench.hands.set(TimeDelta::seconds(random.i64(1..6 * 3600))),
                1 => bench.hands.set(TimeDelta::seconds(-random.i64(1..6 * 3600))),
                // Slewed, by less at a time than is taken for a step.
                2 => {
                    let slew = TimeDelta::milliseconds(random.i64(-900..1900));
                    for _ in 0..random.u8(1..60) {
                        bench.hands.set(slew);
                        pass(1).await;
                        furthest = furthest.max(now());
                    }
                }
                _ => {}
            }
            for _ in 0..random.u8(1..60) {
                pass(10).await;
                furthest = furthest.max(now());
                bench.launcher.end_all(true);
            }
        }
        while bench.states("a").await.iter().any(|state| state.is_open()) {
            pass(2).await;
            furthest = furthest.max(now());
            bench.launcher.end_all(true);
        }
        let firings = bench.store.firings(&"a".parse().unwrap(), None, 10_000).await.unwrap();
        let rows: std::collections::BTreeSet<_> = firings.iter().map(|firing| firing.planned_at).collect();
        assert_eq!(rows.len(), firings.len(), "seed {seed}");
        let spec = bench.store.schedule(&"a".parse().unwrap()).await.unwrap().unwrap().spec;
        let due: std::collections::BTreeSet<_> =
            spec.upcoming(made).take_while(|time| *time <= furthest - TimeDelta::seconds(3)).collect();
        let lost: Vec<_> = due.difference(&rows).collect();
        assert!(lost.is_empty(), "seed {seed}: {lost:?}");
        assert!(rows.iter().all(|time| *time <= furthest), "seed {seed}: none comes before its time");
        let mut launched = bench.launcher.launched();
        let missed = firings.iter().filter(|firing| firing.state == FiringState::Missed).count();
        assert_eq!(launched.len() + missed, rows.len(), "seed {seed}");
        assert!(missed * 10 <= rows.len(), "seed {seed}: {missed} of {}", rows.len());
        launched.sort();
        launched.dedup();
        assert_eq!(launched.len() + missed, rows.len(), "seed {seed}: nothing was started twice");
        scheduler.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_was_years_off_is_not_waited_for() {
    let bench = Bench::new();
    let scheduler = bench.start().await;
    bench.create(&scheduler, "a", "0 * * * *", |spec| spec.catch_up = CatchUp::None).await;
    bench.hands.set(TimeDelta::days(1500));
    pass(2 * 3600).await;
    bench.launcher.end_all(true);
    let far = bench.launched().len();
    assert!(far >= 1);
    bench.hands.set(TimeDelta::days(-1500));
    pass(10 * 3600).await;
    assert!(bench.launched().len() > far, "it goes by the right clock again");
    let mut times = bench.launcher.launched();
    times.sort();
    times.dedup();
    assert_eq!(times.len(), bench.launched().len(), "nothing came twice");
    scheduler.stop().await;
}

#[tokio::test(start_paused = true)]
async fn many_schedulers_over_one_store_fire_each_time_once() {
    let bench = Bench::new();
    let schedulers = [bench.start().await, bench.start().await, bench.start().await];
    for number in 0..50 {
        let id = format!("s{number}");
        bench.create(&schedulers[number % 3], &id, "* * * * *", |_| {}).await;
    }
    for round in 0..33 {
        pass(30).await;
        bench.launcher.end_all(true);
        if round == 20 {
            schedulers[0].stop().await;
        }
    }
    let mut launched = bench.launcher.launched();
    let total = launched.len();
    launched.sort();
    launched.dedup();
    assert_eq!(launched.len(), total, "no firing was launched twice");
    // Sixteen and a half minutes.
    assert_eq!(total, 50 * 16);
    assert_eq!(bench.kinds().await.iter().filter(|kind| **kind == EventKind::ScheduleFired).count(), total);
    for scheduler in &schedulers {
        scheduler.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_firing_left_in_the_middle_is_finished_by_the_next_scheduler() {
    let bench = Bench::new();
    let scheduler = bench.start().await;
    bench.create(&scheduler, "a", "0 * * * *", |_| {}).await;
    // As a process leaves it that is killed between the row and the jobs.
    let dead = Owner::unique();
    let firing = bench.store.trigger(&dead, &"a".parse().unwrap()).await.unwrap();
    pass(25).await;
    assert_eq!(bench.launched().len(), 0, "its owner may be alive");
    pass(15).await;
    assert_eq!(bench.launcher.launched(), [("a".parse().unwrap(), firing.planned_at)]);
    scheduler.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_firing_that_takes_long_to_start_is_not_taken_from_who_is_at_it() {
    let bench = Bench::with(FakeLauncher::slow(Duration::from_secs(110)));
    let (one, other) = (bench.start().await, bench.start().await);
    bench.create(&one, "a", "0 0 1 1 *", |_| {}).await;
    one.trigger(&"a".parse().unwrap()).await.unwrap();
    pass(300).await;
    assert_eq!(bench.launched().len(), 1);
    assert_eq!(bench.states("a").await, [FiringState::Running]);
    one.stop().await;
    other.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_failure_that_a_retry_can_help_is_tried_again_and_another_is_missed() {
    use hypersdk_core::ErrorKind;
    let bench = Bench::with(FakeLauncher::failing([
        ErrorKind::Unavailable,
        ErrorKind::Timeout,
        ErrorKind::Unavailable,
    ]));
    let scheduler = bench.start().await;
    bench.create(&scheduler, "a", "*/30 * * * *", |_| {}).await;
    pass(31 * 60).await;
    assert_eq!(bench.states("a").await, [FiringState::Running]);
    scheduler.stop().await;

    let bench = Bench::with(FakeLauncher::failing([ErrorKind::NotFound; 3]));
    let scheduler = bench.start().await;
    bench.create(&scheduler, "a", "*/30 * * * *", |spec| spec.max_failures = Some(2)).await;
    pass(3 * 3600).await;
    assert_eq!(bench.states("a").await, [FiringState::Missed; 2]);
    let schedule = bench.store.schedule(&"a".parse().unwrap()).await.unwrap().unwrap();
    assert!(!schedule.enabled && schedule.disabled_because.unwrap().contains("2 failures in a row"));
    let kinds = bench.kinds().await;
    assert_eq!(kinds, [EventKind::ScheduleMissed; 3], "two missed, and that it was disabled");
    scheduler.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_later_time_waits_or_stops_the_run_that_goes_on() {
    let bench = Bench::new();
    let scheduler = bench.start().await;
    bench.create(&scheduler, "stops", "*/10 * * * *", |spec| spec.overlap = Overlap::CancelPrevious).await;
    pass(25 * 60).await;
    assert_eq!(bench.launched(), ["12:10", "12:20"]);
    assert_eq!(bench.launcher.cancelled().len(), 1);
    assert_eq!(bench.states("stops").await, [FiringState::Cancelled, FiringState::Running]);
    scheduler.remove(&"stops".parse().unwrap(), None).await.unwrap();

    bench.create(&scheduler, "skips", "*/10 * * * *", |_| {}).await;
    pass(22 * 60).await;
    assert_eq!(bench.states("skips").await, [FiringState::Running, FiringState::Missed]);
    scheduler.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_trigger_answers_with_its_jobs() {
    let bench = Bench::new();
    let scheduler = bench.start().await;
    bench.create(&scheduler, "a", "0 0 1 1 *", |_| {}).await;
    let firing = scheduler.trigger(&"a".parse().unwrap()).await.unwrap();
    assert_eq!((firing.state, firing.jobs.len()), (FiringState::Running, 1));
    assert!(scheduler.trigger(&"a".parse().unwrap()).await.is_err(), "its run goes on");
    scheduler.stop().await;
    assert!(scheduler.trigger(&"a".parse().unwrap()).await.is_err(), "it has stopped");
}

#[tokio::test(start_paused = true)]
async fn changes_take_effect_at_once_and_those_of_others_soon() {
    let bench = Bench::new();
    let scheduler = bench.start().await;
    bench.create(&scheduler, "a", "0 0 1 1 *", |_| {}).await;
    let id: ScheduleId = "a".parse().unwrap();
    let mut spec = bench.store.schedule(&id).await.unwrap().unwrap().spec;
    spec.schedule = "* * * * *".parse().unwrap();
    scheduler.change(&id, Some(spec), None, None).await.unwrap();
    pass(61).await;
    assert_eq!(bench.launched().len(), 1);
    bench.launcher.end_all(true);
    bench.store.change_schedule(&id, None, Some(false), None).await.unwrap();
    pass(600).await;
    assert_eq!(bench.launched().len(), 1);
    bench.store.change_schedule(&id, None, Some(true), None).await.unwrap();
    pass(66).await;
    assert_eq!(bench.launched().len(), 2);
    scheduler.stop().await;
}
