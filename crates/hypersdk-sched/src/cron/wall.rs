//! Which instant a reading of the wall clock stands for.
//!
//! The mapping never runs backwards: a later reading never stands for an earlier instant. A reading that the
//! clock shows twice stands for the first time, one that it skips for the instant at which it jumps. It
//! follows that no reading before the one that the clock shows at an instant stands for a later instant.

use chrono::offset::LocalResult;
use chrono::{DateTime, NaiveDateTime, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;

/// No clock is further from UTC than this, on either side of a jump.
const FURTHEST: TimeDelta = TimeDelta::hours(26);

/// The instant of a reading. `None` only at the edge of what can be counted.
pub(crate) fn instant(zone: Tz, reading: NaiveDateTime) -> Option<DateTime<Utc>> {
    match zone.from_local_datetime(&reading) {
        LocalResult::Single(instant) => Some(instant.to_utc()),
        LocalResult::Ambiguous(first, _) => Some(first.to_utc()),
        LocalResult::None => after_gap(zone, reading),
    }
}

/// The instant at which the clock jumps over `reading`: the first at which it shows something later.
fn after_gap(zone: Tz, reading: NaiveDateTime) -> Option<DateTime<Utc>> {
    let shows_later = |instant: DateTime<Utc>| instant.with_timezone(&zone).naive_local() > reading;
    let (mut before, mut after) =
        (reading.and_utc().checked_sub_signed(FURTHEST)?, reading.and_utc().checked_add_signed(FURTHEST)?);
    // Zones change at whole seconds.
    while after - before > TimeDelta::seconds(1) {
        let middle = before + TimeDelta::seconds((after - before).num_seconds() / 2);
        if shows_later(middle) { after = middle } else { before = middle }
    }
    Some(after)
}
