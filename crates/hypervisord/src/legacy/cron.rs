//! The words of 0.2's cron library, in five fields.

use hypersdk_sched::Cron;

/// When, in this version's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct When {
    pub(super) schedule: String,
    pub(super) zone: Option<String>,
    /// What could not be said as it was.
    pub(super) remark: Option<String>,
}

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
    if rest.starts_with('@') {
        if rest.parse::<Cron>().is_ok() {
            return when(rest, None);
        }
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
        assert_eq!(schedule("@daily"), "@daily");
        assert_eq!(schedule("0 30 2 * * 1-5"), "30 2 * * 1-5");
        assert_eq!(schedule("0 2 ? * MON"), "0 2 * * MON");
        let zoned = convert("CRON_TZ=Asia/Tokyo 0 6 * * *");
        assert_eq!((zoned.schedule.as_str(), zoned.zone.as_deref()), ("0 6 * * *", Some("Asia/Tokyo")));
        for odd in ["@every 1h30m", "15 0 2 * * *"] {
            assert!(convert(odd).remark.is_some(), "{odd}");
        }
    }
}
