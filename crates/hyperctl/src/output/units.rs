//! Quantities for people.

use chrono::{DateTime, Local};
use serde_json::Value;

/// Bytes in the largest binary unit that leaves at least one before the point.
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut value = count as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{count} B") } else { format!("{value:.1} {}", UNITS[unit]) }
}

/// Bytes a second.
pub(crate) fn rate(per_second: f64) -> String {
    format!("{}/s", bytes(per_second.max(0.0) as u64))
}

/// Seconds as `42s`, `3m05s` or `2h10m`.
pub(crate) fn seconds(seconds: f64) -> String {
    let whole = seconds.max(0.0).round() as u64;
    match whole {
        0..=59 => format!("{whole}s"),
        60..=3599 => format!("{}m{:02}s", whole / 60, whole % 60),
        _ => format!("{}h{:02}m", whole / 3600, whole % 3600 / 60),
    }
}

/// An instant of an answer in this machine's zone; `-` if there is none.
pub(crate) fn instant(value: &Value) -> String {
    let Some(text) = value.as_str() else { return "-".to_owned() };
    match DateTime::parse_from_rfc3339(text) {
        Ok(instant) => instant.with_timezone(&Local).format("%Y-%m-%d %H:%M:%S").to_string(),
        Err(_) => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_keep_to_the_unit_that_says_most() {
        assert_eq!(
            [bytes(0), bytes(1023), bytes(1536), bytes(1 << 40)],
            ["0 B", "1023 B", "1.5 KiB", "1.0 TiB"]
        );
        assert_eq!([seconds(0.4), seconds(65.0), seconds(7860.0)], ["0s", "1m05s", "2h11m"]);
        assert_eq!(rate(-1.0), "0 B/s");
    }
}
