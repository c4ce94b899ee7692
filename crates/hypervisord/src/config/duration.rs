//! Durations as people write them: `30s`, `5m`, `1h30m`, `500ms`.

use std::time::Duration;

/// Reads a duration. A bare `0` is allowed; any other number needs its unit.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    const HINT: &str = "write a duration such as 30s, 5m or 1h30m";
    let text = text.trim();
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    if text.is_empty() {
        return Err(HINT.to_owned());
    }
    let mut total = Duration::ZERO;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, tail) = rest.split_at(digits);
        let letters = tail.len() - tail.trim_start_matches(|c: char| c.is_ascii_alphabetic()).len();
        let (unit, tail) = tail.split_at(letters);
        let number: u64 = number.parse().map_err(|_| format!("{text:?} is not a duration; {HINT}"))?;
        let millis = match unit {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            "" => return Err(format!("{text:?} has no unit; {HINT}")),
            _ => return Err(format!("{unit:?} is not a unit of time (ms, s, m, h, d); {HINT}")),
        };
        total = number
            .checked_mul(millis)
            .and_then(|millis| total.checked_add(Duration::from_millis(millis)))
            .ok_or_else(|| format!("{text:?} is too long"))?;
        rest = tail;
    }
    Ok(total)
}

/// Writes a duration so that [`parse`] reads the same, to the millisecond.
pub(crate) fn display(duration: Duration) -> String {
    let mut millis = duration.as_millis();
    if millis == 0 {
        return "0s".to_owned();
    }
    let mut text = String::new();
    for (unit, size) in [("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)] {
        if millis >= size {
            text.push_str(&format!("{}{unit}", millis / size));
            millis %= size;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        for (text, millis) in [
            ("30s", 30_000),
            ("5m", 300_000),
            ("1h30m", 5_400_000),
            ("500ms", 500),
            ("0", 0),
            ("3600s", 3_600_000),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_millis(millis)), "{text}");
            assert_eq!(parse(&display(Duration::from_millis(millis))), Ok(Duration::from_millis(millis)));
        }
    }

    #[test]
    fn a_number_without_a_unit_is_refused_with_the_way_to_write_it() {
        assert!(parse("30").unwrap_err().contains("no unit"));
        for text in
            ["", "s", "-5s", "5 minutes", "1.5h", "5w", "99999999999999999999s", "18446744073709551615h"]
        {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }
}
