//! An expression in plain words.

use super::Fields;
use super::field::Values;

const WEEKDAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// The most times of day that are listed one by one.
const TIMES: u32 = 6;

pub(super) fn describe(fields: &Fields) -> String {
    let (times, of_day) = times(fields);
    let days = days(fields, of_day);
    let months = if fields.month.is_all() {
        String::new()
    } else {
        format!(" in {}", names(fields.month, |month| MONTHS[month as usize - 1].to_owned()))
    };
    format!("{times}{days}{months}")
}

/// When on a day; and whether that is a time of day rather than all day long.
fn times(fields: &Fields) -> (String, bool) {
    let Fields { second, minute, hour, .. } = fields;
    let at_zero = |values: &Values| values.len() == 1 && values.iter().next() == Some(0);
    if second.len() == 1 && minute.len() * hour.len() <= TIMES {
        let second = second.iter().next().unwrap_or_default();
        let mut times = Vec::new();
        for hour in hour.iter() {
            for minute in minute.iter() {
                times.push(match second {
                    0 => format!("{hour:02}:{minute:02}"),
                    second => format!("{hour:02}:{minute:02}:{second:02}"),
                });
            }
        }
        return (format!("at {}", joined(&times, "and")), true);
    }
    let mut text = match (second.step(), minute.step()) {
        _ if at_zero(second) && at_zero(minute) && hour.is_all() => return ("every hour".to_owned(), false),
        _ if at_zero(second) && minute.is_all() => "every minute".to_owned(),
        (_, Some(step)) if at_zero(second) => format!("every {step} minutes"),
        _ if at_zero(second) => plural("at minute", *minute),
        _ if second.is_all() && minute.is_all() => "every second".to_owned(),
        (Some(step), _) if minute.is_all() => format!("every {step} seconds"),
        _ if minute.is_all() => format!("{} of every minute", plural("at second", *second)),
        _ => format!("{} of {}", plural("at second", *second), plural("minute", *minute)),
    };
    if hour.is_all() {
        if !minute.is_all() && minute.step().is_none() {
            text.push_str(" of every hour");
        }
        return (text, false);
    }
    match hour.step() {
        Some(step) => text.push_str(&format!(" of every {} hour", ordinal(step))),
        None => text.push_str(&format!(" of {}", plural("hour", *hour))),
    }
    (text, true)
}

fn days(fields: &Fields, of_day: bool) -> String {
    let Fields { day, weekday, .. } = fields;
    let by_number = || match day.step() {
        Some(step) => format!("on every {} day of the month", ordinal(step)),
        None => format!("on {} of the month", plural("day", *day)),
    };
    let by_name = || format!("on {}", names(*weekday, |day| WEEKDAYS[day as usize].to_owned()));
    match (day.is_any() || day.is_all(), weekday.is_any() || weekday.is_all()) {
        _ if fields.either_day() && (day.is_all() || weekday.is_all()) => " every day".to_owned(),
        (true, true) => if of_day { " every day" } else { "" }.to_owned(),
        (false, true) => format!(" {}", by_number()),
        (true, false) => format!(" {}", by_name()),
        (false, false) if fields.either_day() => format!(" {} or {}", by_number(), by_name()),
        (false, false) => format!(" {} and {}", by_number(), by_name()),
    }
}

/// `day 1`, or `days 1, 8 and 15`, or `days 1 to 7`.
fn plural(noun: &str, values: Values) -> String {
    let listed = names(values, |value| value.to_string());
    if values.len() == 1 { format!("{noun} {listed}") } else { format!("{noun}s {listed}") }
}

/// The values by name, runs of three and more as `a to b`.
fn names(values: Values, name: impl Fn(u32) -> String) -> String {
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for value in values.iter() {
        match runs.last_mut() {
            Some((_, end)) if *end + 1 == value => *end = value,
            _ => runs.push((value, value)),
        }
    }
    let mut parts = Vec::new();
    for (start, end) in runs {
        if end - start >= 2 {
            parts.push(format!("{} to {}", name(start), name(end)));
        } else {
            parts.extend((start..=end).map(&name));
        }
    }
    joined(&parts, "and")
}

fn joined(parts: &[String], word: &str) -> String {
    match parts {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} {word} {last}", first.join(", ")),
    }
}

fn ordinal(number: u32) -> String {
    let ending = match (number % 10, number % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{number}{ending}")
}
