//! `08:00,50M 19:00,off`: what rate is in force at which time of day.

use std::fmt;
use std::str::FromStr;

use chrono::NaiveTime;

/// A rate by the time of day, in the machine's own zone. Written as one rate (`50M`, `off`) or as times with
/// rates (`08:00,50M 19:00,off`), each in force until the next, the last one over midnight. A rate is bytes a
/// second; `k`, `M` and `G` stand for 1024 of the next smaller.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Timetable {
    /// By time; the rate is bytes a second, none is no limit.
    entries: Vec<(NaiveTime, Option<u64>)>,
}

/// Why a text is no timetable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} {wrong}; write a rate such as 50M or off, or a timetable such as \"08:00,50M 19:00,off\"")]
pub struct InvalidTimetable {
    text: String,
    wrong: &'static str,
}

impl Timetable {
    /// The rate in force at a time of day, in bytes a second; none is no limit.
    pub fn rate_at(&self, time: NaiveTime) -> Option<u64> {
        let current = self.entries.iter().rev().find(|(from, _)| *from <= time);
        current.or(self.entries.last()).and_then(|(_, rate)| *rate)
    }
}

fn rate(text: &str) -> Result<Option<u64>, InvalidTimetable> {
    let wrong = |wrong| InvalidTimetable { text: text.to_owned(), wrong };
    if text.eq_ignore_ascii_case("off") {
        return Ok(None);
    }
    let (digits, unit) = match text.char_indices().last() {
        Some((at, 'k' | 'K')) => (&text[..at], 1 << 10),
        Some((at, 'm' | 'M')) => (&text[..at], 1 << 20),
        Some((at, 'g' | 'G')) => (&text[..at], 1 << 30),
        _ => (text, 1_u64),
    };
    let number: u64 = digits.parse().map_err(|_| wrong("is not a rate"))?;
    match number.checked_mul(unit) {
        None => Err(wrong("is too fast to be a limit")),
        Some(0) => Err(wrong("would stop every transfer")),
        Some(rate) if rate < 1024 => Err(wrong("is below 1k, at which no export ends")),
        Some(rate) => Ok(Some(rate)),
    }
}

impl FromStr for Timetable {
    type Err = InvalidTimetable;

    fn from_str(text: &str) -> Result<Self, InvalidTimetable> {
        let wrong = |text: &str, wrong| InvalidTimetable { text: text.to_owned(), wrong };
        let text = text.trim();
        if !text.contains(',') {
            let entries = rate(text)?.map(|rate| (NaiveTime::MIN, Some(rate)));
            return Ok(Timetable { entries: entries.into_iter().collect() });
        }
        let mut entries = Vec::new();
        for part in text.split_whitespace() {
            let (time, limit) =
                part.split_once(',').ok_or_else(|| wrong(part, "has no comma between time and rate"))?;
            let time = NaiveTime::parse_from_str(time, "%H:%M")
                .map_err(|_| wrong(part, "does not begin with a time such as 08:00"))?;
            if entries.iter().any(|(known, _)| *known == time) {
                return Err(wrong(part, "names a time twice"));
            }
            entries.push((time, rate(limit)?));
        }
        entries.sort_by_key(|(time, _)| *time);
        Ok(Timetable { entries })
    }
}

impl fmt::Display for Timetable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rate = |rate: &Option<u64>| match rate {
            None => "off".to_owned(),
            Some(rate) => [(30, "G"), (20, "M"), (10, "k")]
                .iter()
                .find(|(shift, _)| rate.trailing_zeros() >= *shift)
                .map_or_else(|| rate.to_string(), |(shift, unit)| format!("{}{unit}", rate >> shift)),
        };
        match self.entries.as_slice() {
            [] => f.write_str("off"),
            [(NaiveTime::MIN, only)] => f.write_str(&rate(only)),
            entries => {
                let parts: Vec<String> = entries
                    .iter()
                    .map(|(time, limit)| format!("{},{}", time.format("%H:%M"), rate(limit)))
                    .collect();
                f.write_str(&parts.join(" "))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(table: &str, hour: u32, minute: u32) -> Option<u64> {
        let time = NaiveTime::from_hms_opt(hour, minute, 0).unwrap();
        table.parse::<Timetable>().unwrap().rate_at(time)
    }

    #[test]
    fn each_rate_is_in_force_until_the_next_and_the_last_over_midnight() {
        let table = "19:00,off 08:00,50M 23:30,512k";
        assert_eq!(at(table, 8, 0), Some(50 << 20));
        assert_eq!(at(table, 18, 59), Some(50 << 20));
        assert_eq!(at(table, 19, 0), None);
        assert_eq!(at(table, 23, 45), Some(512 << 10));
        assert_eq!(at(table, 3, 0), Some(512 << 10), "yesterday's last");
        assert_eq!(at("50M", 0, 0), Some(50 << 20));
        assert_eq!(at("off", 12, 0), None);
    }

    #[test]
    fn what_was_read_is_shown_in_the_same_words() {
        for text in ["off", "50M", "1000k", "3G", "1500", "08:00,50M 19:00,off"] {
            assert_eq!(text.parse::<Timetable>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_timetable_is_refused_with_an_example() {
        for text in
            ["", "fast", "50 M", "0", "-1", "99999999999G", "8,50M", "08:00", "08:00,1M 08:00,2M", "1"]
        {
            let error = text.parse::<Timetable>().unwrap_err();
            assert!(error.to_string().contains("08:00,50M"), "{text}: {error}");
        }
    }
}
