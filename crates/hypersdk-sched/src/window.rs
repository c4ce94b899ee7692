//! When a schedule may fire at all: hours of the week, and stretches of time in which nothing starts.

use chrono::{DateTime, Datelike, Days, NaiveDateTime, NaiveTime, TimeDelta, Utc, Weekday};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use crate::cron::instant_shown;

/// Hours that come back every week, on the schedule's clock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// The days on which it opens; every day if empty.
    #[serde(default)]
    pub days: Vec<Weekday>,
    /// When it opens.
    pub from: NaiveTime,
    /// When it closes; on the next day if that is not later than `from`.
    pub to: NaiveTime,
}

impl Window {
    /// Whether it is open when the clock shows `reading`.
    pub fn contains(&self, reading: NaiveDateTime) -> bool {
        let (time, day) = (reading.time(), reading.weekday());
        if self.from < self.to {
            return self.opens_on(day) && self.from <= time && time < self.to;
        }
        (self.opens_on(day) && self.from <= time) || (self.opens_on(day.pred()) && time < self.to)
    }

    fn opens_on(&self, day: Weekday) -> bool {
        self.days.is_empty() || self.days.contains(&day)
    }

    /// When it next opens after `after`.
    fn next_opening(&self, zone: Tz, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let today = after.with_timezone(&zone).date_naive();
        (0..=8)
            .filter_map(|days| today.checked_add_days(Days::new(days)))
            .filter(|day| self.opens_on(day.weekday()))
            .filter_map(|day| instant_shown(zone, day.and_time(self.from)))
            .find(|opening| *opening > after)
    }
}

/// Whether any of the windows is open, or there are none.
pub(crate) fn any_open(windows: &[Window], zone: Tz, at: DateTime<Utc>) -> bool {
    let reading = at.with_timezone(&zone).naive_local();
    windows.is_empty() || windows.iter().any(|window| window.contains(reading))
}

/// An instant just before the first window opens after `after`.
pub(crate) fn before_next_opening(
    windows: &[Window],
    zone: Tz,
    after: DateTime<Utc>,
) -> Option<DateTime<Utc>> {
    let opening = windows.iter().filter_map(|window| window.next_opening(zone, after)).min()?;
    Some((opening - TimeDelta::microseconds(1)).max(after))
}

/// A stretch of time in which nothing is started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blackout {
    /// Its beginning.
    pub from: DateTime<Utc>,
    /// Its end, not part of it.
    pub to: DateTime<Utc>,
    /// Why.
    #[serde(default)]
    pub reason: String,
}

impl Blackout {
    /// Whether `at` lies in it.
    pub fn contains(&self, at: DateTime<Utc>) -> bool {
        self.from <= at && at < self.to
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(days: &[Weekday], from: &str, to: &str) -> Window {
        Window { days: days.to_vec(), from: from.parse().unwrap(), to: to.parse().unwrap() }
    }

    fn open(window: &Window, reading: &str) -> bool {
        window.contains(reading.parse().unwrap())
    }

    #[test]
    fn a_window_past_midnight_belongs_to_the_day_it_opens_on() {
        // The 27th of November 2026 is a Friday.
        let night = window(&[Weekday::Fri], "22:00:00", "06:00:00");
        assert!(!open(&night, "2026-11-27T05:00:00"));
        assert!(open(&night, "2026-11-27T22:00:00"));
        assert!(open(&night, "2026-11-28T05:59:59"));
        assert!(!open(&night, "2026-11-28T06:00:00"));
        assert!(!open(&night, "2026-11-28T22:00:00"));
        let day = window(&[], "08:00:00", "18:00:00");
        assert!(open(&day, "2026-11-28T08:00:00") && !open(&day, "2026-11-28T18:00:00"));
        let always = window(&[], "00:00:00", "00:00:00");
        assert!(open(&always, "2026-11-28T12:00:00"));
    }

    #[test]
    fn the_next_opening_is_found_across_the_week_and_the_clocks_jumps() {
        let berlin = Tz::Europe__Berlin;
        let night = window(&[Weekday::Sun], "02:30:00", "06:00:00");
        let after = "2026-03-26T12:00:00Z".parse().unwrap();
        // The clock jumps from 02:00 to 03:00 on that Sunday.
        let opening: DateTime<Utc> = "2026-03-29T01:00:00Z".parse().unwrap();
        assert_eq!(night.next_opening(berlin, after), Some(opening));
        assert_eq!(
            night.next_opening(berlin, opening),
            Some("2026-04-05T00:30:00Z".parse::<DateTime<Utc>>().unwrap())
        );
    }
}
