//! An independent, slow answer to when an expression comes: look at the clock every minute.
//!
//! It knows nothing of how [`Cron`] works. At each minute it asks what the clock on the wall shows, whether
//! it showed that before, and what it skipped since the last minute.
//!
//! Costs about ten seconds; `HYPERSDK_CRON_EXPRESSIONS` sets how many expressions are tried.

use chrono::{DateTime, Datelike, NaiveDateTime, TimeDelta, Timelike, Utc};
use chrono_tz::Tz;
use fastrand::Rng;
use hypersdk_sched::Cron;

use super::random::Expression;

/// Zones of many habits: none, whole and half hours, both hemispheres, midnight, and a skipped Ramadan.
const ZONES: [Tz; 10] = [
    Tz::UTC,
    Tz::Europe__Berlin,
    Tz::America__New_York,
    Tz::America__Santiago,
    Tz::Australia__Lord_Howe,
    Tz::Asia__Kolkata,
    Tz::Africa__Casablanca,
    Tz::Asia__Beirut,
    Tz::Pacific__Chatham,
    Tz::Atlantic__Azores,
];

/// The times a busy expression is followed from one starting point, and the days any is.
const FOLLOWED: (usize, usize) = (400, 500);

/// The same from shortly before the clock does something odd.
const FOLLOWED_CLOSELY: (usize, usize) = (200, 4);

/// What the clock of a zone does in a minute.
#[derive(Clone, Copy)]
struct Minute {
    shows: NaiveDateTime,
    minute: u32,
    hour: u32,
    day: u32,
    month: u32,
    weekday: u32,
    /// It showed the same before.
    again: bool,
    /// Minutes that it skipped just before.
    skipped: i64,
}

/// Every minute of a zone from the beginning of 2026 on.
struct Calendar {
    /// What the random numbers began with, for messages.
    seed: u64,
    zone: Tz,
    start: DateTime<Utc>,
    minutes: Vec<Minute>,
}

impl Calendar {
    fn new(seed: u64, zone: Tz, days: i64) -> Self {
        let start: DateTime<Utc> = "2026-01-01T00:00:00Z".parse().unwrap();
        let mut minutes = Vec::new();
        let mut latest = (start - TimeDelta::minutes(1)).with_timezone(&zone).naive_local();
        for number in 0..days * 24 * 60 {
            let shows = (start + TimeDelta::minutes(number)).with_timezone(&zone).naive_local();
            minutes.push(Minute {
                shows,
                minute: shows.minute(),
                hour: shows.hour(),
                day: shows.day(),
                month: shows.month(),
                weekday: shows.weekday().num_days_from_sunday(),
                again: shows <= latest,
                skipped: (shows - latest).num_minutes() - 1,
            });
            latest = latest.max(shows);
        }
        Calendar { seed, zone, start, minutes }
    }

    fn instant(&self, place: usize) -> DateTime<Utc> {
        self.start + TimeDelta::minutes(i64::try_from(place).unwrap())
    }

    /// Whether the expression comes in that minute.
    fn comes(&self, expression: &Expression, place: usize) -> bool {
        let minute = &self.minutes[place];
        if !minute.again && matches(expression, minute) {
            return true;
        }
        (1..=minute.skipped).any(|back| {
            let shows = minute.shows - TimeDelta::minutes(back);
            let skipped = Minute {
                minute: shows.minute(),
                hour: shows.hour(),
                day: shows.day(),
                month: shows.month(),
                weekday: shows.weekday().num_days_from_sunday(),
                ..*minute
            };
            matches(expression, &skipped)
        })
    }

    /// The places at which the clock does something odd.
    fn oddities(&self) -> Vec<usize> {
        let odd = |place: &usize| self.minutes[*place].skipped > 0 || self.minutes[*place].again;
        let mut places: Vec<usize> = (0..self.minutes.len()).filter(odd).collect();
        places.dedup_by(|later, earlier| *later - *earlier < 200);
        places
    }

    /// Compares the times from `place` on, and returns how many there were.
    fn agrees(
        &self,
        expression: &Expression,
        cron: &Cron,
        place: usize,
        (times, days): (usize, usize),
    ) -> usize {
        let last = (place + days * 24 * 60).min(self.minutes.len());
        let end = self.instant(last);
        let mut expected = (place + 1..last).filter(|place| self.comes(expression, *place));
        let mut found = cron.upcoming(self.zone, self.instant(place));
        for number in 0..times {
            let wanted = expected.next().map(|place| self.instant(place));
            let came = found.next().filter(|instant| *instant < end);
            assert_eq!(
                came,
                wanted,
                "time {number} of {:?} in {} after {} (seed {seed})",
                expression.text(),
                self.zone,
                self.instant(place),
                seed = self.seed,
            );
            if wanted.is_none() {
                return number;
            }
        }
        times
    }
}

fn matches(expression: &Expression, minute: &Minute) -> bool {
    let Expression { minute: minutes, hour, day, month, weekday } = expression;
    if !(minutes.allows(minute.minute) && hour.allows(minute.hour) && month.allows(minute.month)) {
        return false;
    }
    let by_number = day.allows(minute.day);
    let by_name = weekday.allows(minute.weekday) || (minute.weekday == 0 && weekday.allows(7));
    match (&day.items, &weekday.items) {
        (Some(_), Some(_)) => by_number || by_name,
        _ => by_number && by_name,
    }
}

#[test]
fn every_expression_comes_when_the_clock_on_the_wall_says_so() {
    let count = std::env::var("HYPERSDK_CRON_EXPRESSIONS").map_or(2000, |text| text.parse().unwrap());
    let seed = fastrand::u64(..);
    let mut rng = Rng::with_seed(seed);
    // Three years, of which 2028 has a leap day.
    let calendars: Vec<Calendar> =
        ZONES.into_iter().map(|zone| Calendar::new(seed, zone, 3 * 365 + 1)).collect();
    let mut compared = 0;
    for _ in 0..count {
        let expression = Expression::random(&mut rng);
        let text = expression.text();
        let cron: Cron = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
        let calendar = &calendars[rng.usize(..calendars.len())];
        compared += calendar.agrees(&expression, &cron, rng.usize(..calendar.minutes.len()), FOLLOWED);
        for odd in calendar.oddities() {
            let place = odd.saturating_sub(rng.usize(..200));
            compared += calendar.agrees(&expression, &cron, place, FOLLOWED_CLOSELY);
        }
    }
    assert!(compared > count * 20, "there was something to compare: {compared}");
}

#[test]
fn the_calendar_knows_both_oddities() {
    let calendar = Calendar::new(0, Tz::Europe__Berlin, 365);
    assert_eq!(calendar.minutes.iter().filter(|minute| minute.again).count(), 60);
    assert_eq!(calendar.minutes.iter().map(|minute| minute.skipped.max(0)).sum::<i64>(), 60);
    assert_eq!(calendar.oddities().len(), 2);
}
