//! Cron expressions with the meaning that POSIX gives them, in any IANA time zone.
//!
//! The `cron` crate finds the next matching reading of a clock. What it understands differently (it wants
//! seconds, counts Sunday as 1, and joins the two day fields by AND) is translated before, and what it does
//! not know is added: which instant a reading of the clock stands for.
//!
//! - Five fields: minute, hour, day of the month, month, day of the week. Six: a second before them.
//! - `*`, numbers, names (`jan`, `mon`), ranges `a-b`, steps `*/n`, `a-b/n` and `a/n` (from `a` to the
//!   field's end), lists of these. `?` is `*`. 0 and 7 are both Sunday.
//! - `@yearly` (`@annually`), `@monthly`, `@weekly`, `@daily` (`@midnight`), `@hourly`.
//! - If neither day field is `*`, a day matches that fits *either* of them; otherwise it must fit both.
//!   `*/2` is not `*` in this.
//! - Expressions are read off a wall clock in the zone. A reading that the clock skips in spring stands for
//!   the first instant after the gap; one that it shows twice in autumn for the first time it does. Either
//!   way it happens once, and readings that stand for the same instant happen together.

mod describe;
mod error;
mod field;
mod wall;

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, NaiveDateTime, TimeDelta, Timelike, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

pub use self::error::CronError;
use self::field::{Field, Values};
pub(crate) use self::wall::instant as instant_shown;

/// Longer expressions than any sensible list needs are refused.
const LONGEST: usize = 1024;

/// What the shorthands stand for.
const SHORTHANDS: [(&str, &str); 7] = [
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];

/// A cron expression.
///
/// ```
/// use chrono_tz::Europe::Berlin;
/// use hypersdk_sched::Cron;
///
/// let cron: Cron = "30 2 * * *".parse()?;
/// // In the night to the 29th of March 2026 the clock goes from 02:00 to 03:00.
/// let evening = "2026-03-28T20:00:00Z".parse().expect("a time");
/// let nights: Vec<_> = cron.upcoming(Berlin, evening).take(2).map(|time| time.to_rfc3339()).collect();
/// assert_eq!(nights, ["2026-03-29T01:00:00+00:00", "2026-03-30T00:30:00+00:00"]);
/// # Ok::<(), hypersdk_sched::CronError>(())
/// ```
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Cron {
    text: String,
    fields: Fields,
    /// One, or two whose union is meant.
    schedules: Vec<::cron::Schedule>,
}

/// The values of each field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Fields {
    second: Values,
    minute: Values,
    hour: Values,
    day: Values,
    month: Values,
    weekday: Values,
}

impl Cron {
    /// The expression as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The expression in plain words, such as `at 02:00 on Monday and Thursday`.
    pub fn describe(&self) -> String {
        describe::describe(&self.fields)
    }

    /// The first time after `after`. `None` if there is none before the year 2100.
    pub fn next_after(&self, zone: Tz, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
        // No reading before the clock's own at `after` stands for a later instant: see `wall`.
        let shown = after.with_timezone(&zone).naive_local().with_nanosecond(0)?;
        let mut reading = shown - TimeDelta::seconds(1);
        loop {
            reading = self.next_reading(reading)?;
            let instant = wall::instant(zone, reading)?;
            if instant > after {
                return Some(instant);
            }
        }
    }

    /// The times after `after`, in order.
    pub fn upcoming(&self, zone: Tz, after: DateTime<Utc>) -> impl Iterator<Item = DateTime<Utc>> {
        std::iter::successors(self.next_after(zone, after), move |last| self.next_after(zone, *last))
    }

    /// The next reading of a clock that matches.
    fn next_reading(&self, after: NaiveDateTime) -> Option<NaiveDateTime> {
        // The crate is given a clock without zones.
        let after = after.and_utc();
        self.schedules
            .iter()
            .filter_map(|schedule| schedule.after(&after).next())
            .min()
            .map(|t| t.naive_utc())
    }
}

impl FromStr for Cron {
    type Err = CronError;

    fn from_str(text: &str) -> Result<Cron, CronError> {
        if text.len() > LONGEST {
            return Err(CronError::TooLong { longest: LONGEST });
        }
        let text = text.trim();
        let expanded = expand(text)?;
        let fields = read(expanded)?;
        let schedules = fields.translate();
        let schedules = schedules
            .iter()
            .map(|translated| translated.parse().map_err(|error: ::cron::error::Error| (translated, error)))
            .collect::<Result<Vec<::cron::Schedule>, _>>()
            .map_err(|(translated, error)| CronError::Untranslatable {
                translated: translated.clone(),
                message: error.to_string(),
            })?;
        Ok(Cron { text: text.to_owned(), fields, schedules })
    }
}

/// Replaces a shorthand by what it stands for.
fn expand(text: &str) -> Result<&str, CronError> {
    let lower = text.to_ascii_lowercase();
    if let Some((_, meaning)) = SHORTHANDS.iter().find(|(name, _)| *name == lower) {
        return Ok(meaning);
    }
    if lower.starts_with("tz=") || lower.starts_with("cron_tz=") {
        return Err(CronError::ZoneInside);
    }
    if lower.starts_with('@') {
        return Err(CronError::UnknownShorthand { text: text.to_owned() });
    }
    Ok(text)
}

fn read(text: &str) -> Result<Fields, CronError> {
    let parts: Vec<&str> = text.split_whitespace().collect();
    let (second, rest) = match parts.as_slice() {
        [] => return Err(CronError::Empty),
        [minute, rest @ ..] if rest.len() == 4 => ("0", [*minute, rest[0], rest[1], rest[2], rest[3]]),
        [second, rest @ ..] if rest.len() == 5 => (*second, [rest[0], rest[1], rest[2], rest[3], rest[4]]),
        parts => return Err(CronError::FieldCount { found: parts.len() }),
    };
    let fields = Fields {
        second: Field::Second.read(second)?,
        minute: Field::Minute.read(rest[0])?,
        hour: Field::Hour.read(rest[1])?,
        day: Field::Day.read(rest[2])?,
        month: Field::Month.read(rest[3])?,
        weekday: Field::Weekday.read(rest[4])?,
    };
    if fields.never_comes() {
        return Err(CronError::Never { days: rest[2].to_owned(), months: rest[3].to_owned() });
    }
    Ok(fields)
}

impl Fields {
    /// Whether a day that fits either of the day fields is meant, rather than both.
    fn either_day(&self) -> bool {
        !self.day.is_any() && !self.weekday.is_any()
    }

    /// Whether no month has any of the days.
    fn never_comes(&self) -> bool {
        const LONGEST_OF_MONTH: [u32; 12] = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        let first = self.day.iter().next().unwrap_or(1);
        !self.either_day() && !self.month.iter().any(|month| first <= LONGEST_OF_MONTH[month as usize - 1])
    }

    /// What the `cron` crate is to be given.
    fn translate(&self) -> Vec<String> {
        let line = |day: String, weekday: String| {
            let (second, minute, hour) = (self.second.list(), self.minute.list(), self.hour.list());
            format!("{second} {minute} {hour} {day} {} {weekday}", self.month.list())
        };
        // Its week begins with Sunday as 1.
        let (day, weekday) = (self.day.list(), self.weekday.list_from(1));
        if self.either_day() {
            vec![line(day, "*".to_owned()), line("*".to_owned(), weekday)]
        } else {
            vec![line(day, weekday)]
        }
    }
}

impl TryFrom<String> for Cron {
    type Error = CronError;

    fn try_from(text: String) -> Result<Cron, CronError> {
        text.parse()
    }
}

impl From<Cron> for String {
    fn from(cron: Cron) -> String {
        cron.text
    }
}

impl PartialEq for Cron {
    fn eq(&self, other: &Cron) -> bool {
        self.text == other.text
    }
}

impl Eq for Cron {}

impl fmt::Display for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Cron").field(&self.text).finish()
    }
}

#[cfg(test)]
mod tests;
