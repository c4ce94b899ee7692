use chrono_tz::America::{New_York, Sao_Paulo};
use chrono_tz::Australia::Lord_Howe;
use chrono_tz::Europe::Berlin;
use chrono_tz::Pacific::Apia;

use super::*;

fn cron(text: &str) -> Cron {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn time(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

/// The next times in the zone, as its clock shows them.
fn shown(text: &str, zone: Tz, after: &str, count: usize) -> Vec<String> {
    let cron = cron(text);
    let times = cron.upcoming(zone, time(after)).take(count);
    times.map(|time| time.with_timezone(&zone).format("%F %T %Z").to_string()).collect()
}

#[test]
fn a_time_that_spring_skips_comes_once_just_after() {
    assert_eq!(
        shown("30 2 * * *", Berlin, "2026-03-27T12:00:00Z", 3),
        ["2026-03-28 02:30:00 CET", "2026-03-29 03:00:00 CEST", "2026-03-30 02:30:00 CEST"]
    );
    assert_eq!(
        shown("*/20 2,3 * * *", Berlin, "2026-03-29T00:00:00Z", 3),
        ["2026-03-29 03:00:00 CEST", "2026-03-29 03:20:00 CEST", "2026-03-29 03:40:00 CEST"]
    );
    // Half an hour, at Lord Howe Island.
    assert_eq!(
        shown("15 2 * * *", Lord_Howe, "2026-10-03T12:00:00Z", 2),
        ["2026-10-04 02:30:00 +11", "2026-10-05 02:15:00 +11"]
    );
    // At midnight, in São Paulo.
    assert_eq!(
        shown("0 0 * * *", Sao_Paulo, "2018-11-03T12:00:00Z", 2),
        ["2018-11-04 01:00:00 -02", "2018-11-05 00:00:00 -02"]
    );
}

#[test]
fn a_time_that_autumn_shows_twice_comes_once_the_first_time() {
    assert_eq!(
        shown("30 2 * * *", Berlin, "2026-10-24T12:00:00Z", 2),
        ["2026-10-25 02:30:00 CEST", "2026-10-26 02:30:00 CET"]
    );
    assert_eq!(
        shown("0,30 * * * *", New_York, "2026-11-01T05:15:00Z", 3),
        ["2026-11-01 01:30:00 EDT", "2026-11-01 02:00:00 EST", "2026-11-01 02:30:00 EST"]
    );
    // Asked in the middle of the repeated hour.
    assert_eq!(shown("30 2 * * *", Berlin, "2026-10-25T01:15:00Z", 1), ["2026-10-26 02:30:00 CET"]);
}

#[test]
fn a_day_that_a_zone_skips_altogether_comes_when_the_next_begins() {
    assert_eq!(
        shown("0 12 30 12 *", Apia, "2011-12-01T00:00:00Z", 2),
        ["2011-12-31 00:00:00 +14", "2012-12-30 12:00:00 +14"]
    );
}

#[test]
fn either_day_field_is_enough_if_both_are_restricted() {
    let days = |text: &str| {
        let cron = cron(text);
        let times = cron.upcoming(Tz::UTC, time("2026-11-01T00:00:00Z")).take(5);
        times.map(|time| time.format("%a %d").to_string()).collect::<Vec<_>>().join(", ")
    };
    assert_eq!(days("0 12 13 * fri"), "Fri 06, Fri 13, Fri 20, Fri 27, Fri 04");
    assert_eq!(days("0 12 13 * *"), "Fri 13, Sun 13, Wed 13, Sat 13, Sat 13");
    assert_eq!(days("0 12 1-7 * */1"), "Sun 01, Mon 02, Tue 03, Wed 04, Thu 05");
    assert_eq!(days("0 12 */10 * sun"), "Sun 01, Sun 08, Wed 11, Sun 15, Sat 21");
    assert_eq!(days("0 12 1-31 * fri"), "Sun 01, Mon 02, Tue 03, Wed 04, Thu 05");
}

#[test]
fn the_same_is_meant_however_it_is_written() {
    for (one, other) in [
        ("0 0 * * 0", "0 0 * * 7"),
        ("0 0 * * sun", "0 0 * * 0,7"),
        ("0 0 * * fri-sun", "0 0 * * 5-7"),
        ("0 0 * * FRI-SUN", "0 0 * * 0,5,6"),
        ("0 0 * Jan,DEC *", "0 0 ? 1,12 ?"),
        ("5/20 * * * *", "5,25,45 * * * *"),
        ("10-50/20 * * * *", "10,30,50 * * * *"),
        ("@daily", "0 0 * * *"),
        ("@MIDNIGHT", "0 0 0 * * *"),
        ("@weekly", "0 0 * * 7"),
        ("@monthly", "0 0 1 * *"),
        ("@annually", "@yearly"),
        ("@hourly", "  0  *  * * *  "),
    ] {
        assert_eq!(cron(one).fields, cron(other).fields, "{one} and {other}");
    }
    assert_eq!(cron(" @daily ").as_str(), "@daily");
}

#[test]
fn six_fields_begin_with_the_second() {
    assert_eq!(
        shown("*/20 59 23 * * *", Tz::UTC, "2026-12-31T23:59:10Z", 3),
        ["2026-12-31 23:59:20 UTC", "2026-12-31 23:59:40 UTC", "2027-01-01 23:59:00 UTC"]
    );
}

#[test]
fn a_leap_day_comes_in_leap_years_and_nothing_after_the_last_year() {
    assert_eq!(
        shown("0 0 29 2 *", Tz::UTC, "2026-01-01T00:00:00Z", 2),
        ["2028-02-29 00:00:00 UTC", "2032-02-29 00:00:00 UTC"]
    );
    assert_eq!(cron("0 0 29 2 *").next_after(Tz::UTC, time("2097-01-01T00:00:00Z")), None);
    assert_eq!(cron("* * * * *").next_after(Berlin, time("2600-01-01T00:00:00Z")), None);
}

#[test]
fn what_is_wrong_is_named_with_what_would_be_right() {
    for (text, says) in [
        ("", "the expression is empty; write five fields such as"),
        ("   ", "is empty"),
        ("* * * *", "there are 4 fields; write five"),
        ("0 0 0 * * * 2026", "there are 7 fields"),
        ("61 * * * *", "field minute: 61 is too large; use 0 to 59"),
        ("99999999999 * * * *", "field minute: 99999999999 is too large"),
        ("60 0 0 * * *", "field second: 60 is too large; use 0 to 59"),
        ("* 24 * * *", "field hour: 24 is too large; use 0 to 23"),
        ("* * 0 * *", "field day of the month: 0 is too small; use 1 to 31"),
        ("* * * 13 *", "field month: 13 is too large; use 1 to 12 or jan to dec"),
        ("* * * * 8", "field day of the week: 8 is too large; use 0 to 7 or sun to sat"),
        ("* * * * monday", "field day of the week: \"monday\" cannot be read; use 0 to 7 or sun to sat"),
        ("a * * * *", "field minute: \"a\" cannot be read; use 0 to 59, ranges a-b, steps */n and lists"),
        ("-5 * * * *", "field minute: \"-5\" cannot be read"),
        ("5- * * * *", "field minute: \"5-\" cannot be read"),
        ("1-2-3 * * * *", "field minute: \"1-2-3\" cannot be read"),
        ("*5 * * * *", "field minute: \"*5\" cannot be read"),
        ("+5 * * * *", "field minute: \"+5\" cannot be read"),
        ("1,,2 * * * *", "field minute: there is an empty place in the list"),
        ("*/0 * * * *", "field minute: the step of \"*/0\" is no number from 1 to 60; write steps as */15"),
        ("*/61 * * * *", "the step of \"*/61\""),
        ("*/ * * * *", "the step of \"*/\""),
        ("*/5/5 * * * *", "the step of \"*/5/5\""),
        ("50-10 * * * *", "field minute: the range 50-10 runs backwards; write two: 50-59,0-10"),
        ("* * * * sat-tue", "field day of the week: the range sat-tue runs backwards; write two: 6-6,0-2"),
        ("0 0 L * *", "field day of the month: \"L\" is another scheduler's way"),
        ("0 0 15W * *", "field day of the month: \"15W\" is another scheduler's way"),
        ("0 0 * * 5#3", "field day of the week: \"5#3\" is another scheduler's way to count"),
        ("0 0 31 2,4 *", "no month of \"2,4\" has a day \"31\""),
        ("@every 5m", "@every 5m is not known; use @yearly"),
        ("@reboot", "@reboot is not known"),
        ("CRON_TZ=Europe/Berlin 0 2 * * *", "give it as the schedule's timezone"),
        ("ü * * * *", "field minute: \"ü\" cannot be read"),
    ] {
        let error = text.parse::<Cron>().expect_err(text).to_string();
        assert!(error.contains(says), "{text:?}: {error}");
    }
    let long = format!("{} * * * *", "1,".repeat(LONGEST));
    assert_eq!(long.parse::<Cron>(), Err(CronError::TooLong { longest: LONGEST }));
    assert!("0 0 31 2 fri".parse::<Cron>().is_ok(), "there are Fridays");
    assert!("0 0 29 2 *".parse::<Cron>().is_ok(), "there are leap years");
}

#[test]
fn an_expression_is_told_in_plain_words() {
    for (text, words) in [
        ("0 2 * * *", "at 02:00 every day"),
        ("@weekly", "at 00:00 on Sunday"),
        ("@hourly", "every hour"),
        ("30 2 * * mon,thu", "at 02:30 on Monday and Thursday"),
        ("0 2,14 1 * *", "at 02:00 and 14:00 on day 1 of the month"),
        ("* * * * *", "every minute"),
        ("*/15 * * * *", "every 15 minutes"),
        ("*/7 * * * *", "at minutes 0, 7, 14, 21, 28, 35, 42, 49 and 56 of every hour"),
        ("5 * * * *", "at minute 5 of every hour"),
        ("*/15 9-17 * * mon-fri", "every 15 minutes of hours 9 to 17 on Monday to Friday"),
        ("0 */2 * * *", "at minute 0 of every 2nd hour every day"),
        ("0 22 1-7 * sun", "at 22:00 on days 1 to 7 of the month or on Sunday"),
        ("0 0 13 * fri", "at 00:00 on day 13 of the month or on Friday"),
        ("0 0 */2 * *", "at 00:00 on every 2nd day of the month"),
        ("0 0 1 1,7 *", "at 00:00 on day 1 of the month in January and July"),
        ("0 0 * 1-3 *", "at 00:00 every day in January to March"),
        ("* * * * * *", "every second"),
        ("*/10 * * * * *", "every 10 seconds"),
        ("30 0 2 * * *", "at 02:00:30 every day"),
        ("5 * * * * *", "at second 5 of every minute"),
        ("0 0 1-31 * fri", "at 00:00 every day"),
    ] {
        assert_eq!(cron(text).describe(), words, "{text}");
    }
}

#[test]
fn an_expression_survives_being_kept() {
    let kept = serde_json::to_string(&cron("0 2 * * 1-5")).unwrap();
    assert_eq!(kept, "\"0 2 * * 1-5\"");
    assert_eq!(serde_json::from_str::<Cron>(&kept).unwrap(), cron("0 2 * * 1-5"));
    let error = serde_json::from_str::<Cron>("\"61 * * * *\"").unwrap_err().to_string();
    assert!(error.contains("61 is too large"), "{error}");
}
