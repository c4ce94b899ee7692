//! The same times as `croner`, another library, gives.

use std::str::FromStr;

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use fastrand::Rng;
use hypersdk_sched::Cron;

use super::random::Expression;

/// Where the clock does nothing odd in these years, both must agree on everything.
const EVEN_ZONES: [Tz; 3] = [Tz::UTC, Tz::Asia__Kolkata, Tz::America__Bogota];

#[test]
fn croner_says_the_same_where_the_clock_is_even() {
    let count = std::env::var("HYPERSDK_CRON_EXPRESSIONS").map_or(1500, |text| text.parse().unwrap());
    let seed = fastrand::u64(..);
    let mut rng = Rng::with_seed(seed);
    let mut compared = 0;
    for _ in 0..count {
        let text = Expression::random(&mut rng).text();
        let ours: Cron = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
        // To it `*/1` says something of a day, to us it does not; what it refuses to read cannot be compared.
        let every = |place| text.split(' ').nth(place) == Some("*/1");
        if every(2) || every(4) {
            continue;
        }
        // Sunday as the end of a range that begins with it is that day to us, and the whole week to croner.
        let days = text.to_ascii_lowercase();
        if days.contains("0-sun") || days.contains("sun-sun") {
            continue;
        }
        let Ok(theirs) = croner::Cron::from_str(&text) else { continue };
        let zone = EVEN_ZONES[rng.usize(..EVEN_ZONES.len())];
        let start: DateTime<Utc> = "2026-01-01T00:00:00Z".parse().unwrap();
        let after = start + TimeDelta::minutes(rng.i64(0..3 * 365 * 24 * 60));
        let mut theirs = theirs.iter_after(after.with_timezone(&zone));
        for ours in ours.upcoming(zone, after).take(30) {
            let theirs = theirs.next().map(|time| time.to_utc());
            assert_eq!(Some(ours), theirs, "{text} in {zone} after {after} (seed {seed})");
            compared += 1;
        }
    }
    assert!(compared > count * 10, "most can be compared: {compared}");
}

#[test]
fn croner_says_the_same_of_one_time_a_day_whatever_the_clock_does() {
    for zone in [Tz::Europe__Berlin, Tz::America__New_York, Tz::Australia__Lord_Howe] {
        for minute in [0, 15, 30, 59] {
            for hour in 0..24 {
                let text = format!("{minute} {hour} * * *");
                let ours: Cron = text.parse().unwrap();
                let after: DateTime<Utc> = "2026-01-01T00:00:00Z".parse().unwrap();
                let theirs = croner::Cron::from_str(&text).unwrap();
                let theirs = theirs.iter_after(after.with_timezone(&zone));
                let theirs: Vec<_> = theirs.take(400).map(|time| time.to_utc()).collect();
                let ours: Vec<_> = ours.upcoming(zone, after).take(400).collect();
                assert_eq!(ours, theirs, "{text} in {zone}");
            }
        }
    }
}
