//! The words of 0.2's cron library, in five fields.

/// When, in this version's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct When {
    pub(super) schedule: String,
    pub(super) zone: Option<String>,
    /// What could not be said as it was.
    pub(super) remark: Option<String>,
}

/// Names of whole schedules, and their fields.
const NAMED: [(&str, &str); 7] = [
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];

pub(super) fn convert(text: &str) -> When {
    let text = text.trim();
    let (zone, rest) = match text.strip_prefix("CRON_TZ=").or_else(|| text.strip_prefix("TZ=")) {
        Some(zoned) => {
            let (zone, rest) = zoned.split_once(char::is_whitespace).unwrap_or((zoned, ""));
            (Some(zone.to_owned()), rest.trim())
        }
        None => (None, text),
    };
    let when = |schedule: &str, remark| When { schedule: schedule.to_owned(), zone: zone.clone(), remark };
    if let Some((_, fields)) = NAMED.iter().find(|(name, _)| *name == rest) {
        return when(fields, None);
    }
    if rest.starts_with('@') {
        let remark =
            format!("{rest:?} has no equal: it is hourly and disabled; set schedule, then enable it");
        return when("0 * * * *", Some(remark));
    }
    let fields: Vec<&str> = rest.split_whitespace().collect();
    match fields.as_slice() {
        ["0", five @ ..] if five.len() == 5 => when(&five.join(" "), None),
        [_, five @ ..] if five.len() == 5 => {
            let remark = format!("{rest:?} has seconds, which are left out: check schedule, then enable it");
            when(&five.join(" "), Some(remark))
        }
        fields => when(&fields.join(" ").replace('?', "*"), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_the_old_library_is_known() {
        let schedule = |text: &str| convert(text).schedule;
        assert_eq!(schedule("0 2 * * *"), "0 2 * * *");
        assert_eq!(schedule("@daily"), "0 0 * * *");
        assert_eq!(schedule("0 30 2 * * 1-5"), "30 2 * * 1-5");
        assert_eq!(schedule("0 2 ? * MON"), "0 2 * * MON");
        let zoned = convert("CRON_TZ=Asia/Tokyo 0 6 * * *");
        assert_eq!((zoned.schedule.as_str(), zoned.zone.as_deref()), ("0 6 * * *", Some("Asia/Tokyo")));
        for odd in ["@every 1h30m", "15 0 2 * * *"] {
            assert!(convert(odd).remark.is_some(), "{odd}");
        }
    }
}
