use super::*;
use crate::schedule::NewSchedule;

const GRACE: Duration = Duration::from_secs(60);

fn time(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn schedule(cron: &str, change: impl FnOnce(&mut ScheduleSpec)) -> Schedule {
    let mut spec = ScheduleSpec::new("x", cron.parse().unwrap(), serde_json::Map::new());
    change(&mut spec);
    let new = NewSchedule { id: "x".parse().unwrap(), spec, enabled: true };
    Schedule::created(new, time("2026-11-24T12:00:00Z"))
}

/// What is due, as hours and minutes: those that start, then those missed and how many each stands for.
fn due(schedule: &Schedule, now: &str) -> (String, String) {
    let Some(accounting) = schedule.due(time(now), GRACE) else { return Default::default() };
    let show = |time: &DateTime<Utc>| time.format("%H:%M").to_string();
    let starts = accounting.due.iter().map(|(time, cause)| match cause {
        Cause::Time => show(time),
        _ => format!("({})", show(time)),
    });
    let missed = accounting.missed.iter().map(|(time, _, more)| format!("{}+{more}", show(time)));
    (starts.collect::<Vec<_>>().join(" "), missed.collect::<Vec<_>>().join(" "))
}

#[test]
fn nothing_is_due_before_its_time() {
    let hourly = schedule("0 * * * *", |_| {});
    assert_eq!(hourly.due(time("2026-11-24T12:59:59.999Z"), GRACE), None);
    let accounting = hourly.due(time("2026-11-24T13:00:00Z"), GRACE).unwrap();
    assert_eq!(accounting.due, [(time("2026-11-24T13:00:00Z"), Cause::Time)]);
    assert_eq!((accounting.from, accounting.to), (hourly.accounted_until, time("2026-11-24T13:00:00Z")));
    assert_eq!(hourly.next(time("2026-11-24T12:30:00Z")).unwrap().due_at, time("2026-11-24T13:00:00Z"));
}

#[test]
fn times_that_went_by_are_caught_up_as_the_schedule_says() {
    let of = |catch_up| schedule("0 * * * *", |spec| spec.catch_up = catch_up);
    let now = "2026-11-24T17:30:00Z";
    let both = |starts: &str, missed: &str| (starts.to_owned(), missed.to_owned());
    assert_eq!(due(&of(CatchUp::None), now), both("", "13:00+0 14:00+0 15:00+0 16:00+0 17:00+0"));
    assert_eq!(due(&of(CatchUp::Latest), now), both("(17:00)", "13:00+0 14:00+0 15:00+0 16:00+0"));
    assert_eq!(due(&of(CatchUp::All { limit: 2 }), now), both("(16:00) (17:00)", "13:00+0 14:00+0 15:00+0"));
    assert_eq!(due(&of(CatchUp::All { limit: 9 }), now), both("(13:00) (14:00) (15:00) (16:00) (17:00)", ""));
    // The next one has just come: the last one is not made up for as well.
    let now = "2026-11-24T15:00:30Z";
    assert_eq!(due(&of(CatchUp::Latest), now), both("15:00", "13:00+0 14:00+0"));
    assert_eq!(due(&of(CatchUp::All { limit: 9 }), now), both("(13:00) (14:00) 15:00", ""));
}

#[test]
fn a_long_absence_gets_few_rows_and_loses_no_count() {
    let now = time("2026-12-04T12:00:30Z");
    for (catch_up, starts) in [(CatchUp::None, 0), (CatchUp::Latest, 0), (CatchUp::All { limit: 150 }, 150)] {
        let minutely = schedule("* * * * *", |spec| spec.catch_up = catch_up);
        let accounting = minutely.due(now, GRACE).unwrap();
        // The very last one is in time.
        assert_eq!(accounting.due.len(), starts + 1, "{catch_up:?}");
        assert!(accounting.missed.len() <= 101, "{catch_up:?}");
        let counted: u64 = accounting.missed.iter().map(|(_, _, more)| 1 + more).sum();
        assert_eq!(counted as usize + accounting.due.len(), 10 * 24 * 60, "{catch_up:?}");
    }
    let secondly = schedule("* * * * * *", |_| {});
    let accounting = secondly.due(time("2027-06-01T00:00:00Z"), GRACE).unwrap();
    assert_eq!(accounting.to, time("2027-06-01T00:00:00Z"));
    assert!(accounting.missed.iter().all(|(_, reason, _)| reason.contains("more than could be counted")));
}

#[test]
fn a_clock_set_back_brings_nothing_twice_and_one_that_was_years_off_is_forgotten() {
    let mut hourly = schedule("0 * * * *", |_| {});
    hourly.accounted_until = time("2026-11-24T15:00:00Z");
    assert_eq!(hourly.due(time("2026-11-24T13:30:00Z"), GRACE), None);
    assert_eq!(hourly.next_run(time("2026-11-24T13:30:00Z")), Some(time("2026-11-24T16:00:00Z")));
    hourly.accounted_until = time("2031-01-01T00:00:00Z");
    let now = time("2026-11-24T13:30:00Z");
    assert_eq!(hourly.next_run(now), Some(time("2026-11-24T14:00:00Z")));
    assert_eq!(hourly.next(now).unwrap().due_at, now);
    let accounting = hourly.due(now, GRACE).unwrap();
    assert_eq!((accounting.from, accounting.to), (hourly.accounted_until, now));
    assert!(accounting.due.is_empty() && accounting.missed.is_empty());
}

#[test]
fn jitter_is_the_same_for_the_same_time_and_spread_over_its_length() {
    let hourly = schedule("* * * * *", |spec| spec.jitter = Duration::from_secs(600));
    let times: Vec<_> = hourly.spec.upcoming(hourly.created_at).take(1000).collect();
    let delays: Vec<i64> = times.iter().map(|time| hourly.delay(*time).num_seconds()).collect();
    assert!(delays.iter().all(|delay| (0..600).contains(delay)));
    for tenth in 0..10 {
        let count = delays.iter().filter(|delay| **delay / 60 == tenth).count();
        assert!((50..200).contains(&count), "{count} in the {tenth}th minute");
    }
    assert_eq!(hourly.delay(times[0]), hourly.clone().delay(times[0]));
    let daily = schedule("0 13 * * *", |spec| spec.jitter = Duration::from_secs(600));
    let next = daily.next(daily.created_at).unwrap();
    assert!(next.due_at > next.planned_at);
    assert_eq!(daily.due(next.due_at - TimeDelta::microseconds(1), GRACE), None);
    let accounting = daily.due(next.due_at, GRACE).unwrap();
    assert_eq!(accounting.due, [(next.planned_at, Cause::Time)]);
}

#[test]
fn times_outside_the_windows_are_none_and_those_in_a_blackout_are_missed() {
    let night = crate::window::Window {
        days: vec![],
        from: "22:00:00".parse().unwrap(),
        to: "02:00:00".parse().unwrap(),
    };
    let mut hourly = schedule("0 * * * *", |spec| spec.windows = vec![night]);
    let times: Vec<_> =
        hourly.spec.upcoming(hourly.created_at).take(5).map(|t| t.format("%d %H").to_string()).collect();
    assert_eq!(times, ["24 22", "24 23", "25 00", "25 01", "25 22"]);
    assert_eq!(hourly.due(time("2026-11-24T21:59:00Z"), GRACE), None);
    let both = |starts: &str, missed: &str| (starts.to_owned(), missed.to_owned());
    assert_eq!(due(&hourly, "2026-11-24T23:30:00Z"), both("(23:00)", "22:00+0"));
    assert_eq!(due(&hourly, "2026-11-25T03:00:00Z"), both("", "22:00+0 23:00+0 00:00+0 01:00+0"));
    hourly.spec.blackouts = vec![crate::window::Blackout {
        from: time("2026-11-24T21:00:00Z"),
        to: time("2026-11-24T22:30:00Z"),
        reason: "audit".to_owned(),
    }];
    assert_eq!(due(&hourly, "2026-11-24T22:00:00Z"), both("", "22:00+0"));
    assert_eq!(due(&hourly, "2026-11-24T23:00:00Z"), both("23:00", "22:00+0"));
    assert_eq!(hourly.spec.blackout_at(time("2026-11-24T22:00:00Z")).unwrap(), "a blackout: audit");
}

#[test]
fn windows_that_no_time_lies_in_bring_nothing() {
    let morning = crate::window::Window {
        days: vec![],
        from: "08:00:00".parse().unwrap(),
        to: "09:00:00".parse().unwrap(),
    };
    let nightly = schedule("0 2 * * *", |spec| spec.windows = vec![morning]);
    assert_eq!(nightly.next(nightly.created_at), None);
    assert_eq!(nightly.due(time("2026-12-24T12:00:00Z"), GRACE), None);
}
