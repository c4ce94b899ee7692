//! Which of several packages are kept. Pure: it knows instants and sizes, and nothing of files.

mod judgement;

use std::collections::BTreeSet;

use chrono::{DateTime, Datelike, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

pub use judgement::{Candidate, Judgement};

/// Which packages are kept. Each rule keeps some; what no rule keeps may go. A package that several rules
/// would keep counts for each of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retention {
    /// The last ones, however old.
    #[serde(default)]
    pub keep_last: Option<u32>,
    /// The last one of each of so many days that have one.
    #[serde(default)]
    pub keep_daily: Option<u32>,
    /// The same of weeks, which begin on Monday.
    #[serde(default)]
    pub keep_weekly: Option<u32>,
    /// The same of months.
    #[serde(default)]
    pub keep_monthly: Option<u32>,
    /// The same of years.
    #[serde(default)]
    pub keep_yearly: Option<u32>,
    /// While less than this many bytes are free, the oldest go although a rule keeps them; the last one never.
    #[serde(default)]
    pub min_free: Option<u64>,
}

impl Retention {
    /// Whether any of the rules that keep something is there. Without one, everything is kept.
    pub fn has_rules(&self) -> bool {
        let rules = [self.keep_last, self.keep_daily, self.keep_weekly, self.keep_monthly, self.keep_yearly];
        rules.iter().any(Option::is_some)
    }

    /// Why each of the packages of one VM is kept, by its place. `times` are sorted, the oldest first; an empty
    /// answer means that no rule keeps it. The last one is always kept. Days begin when the zone's clock says so.
    fn kept(&self, times: &[DateTime<Utc>], zone: Tz) -> Vec<Vec<&'static str>> {
        let mut reasons = vec![Vec::new(); times.len()];
        if !self.has_rules() {
            reasons.iter_mut().for_each(|reasons| reasons.push("no rule lets it go"));
            return reasons;
        }
        if let Some(last) = self.keep_last {
            reasons.iter_mut().rev().take(last as usize).for_each(|reasons| reasons.push("keep_last"));
        }
        let local = |time: &DateTime<Utc>| time.with_timezone(&zone).date_naive();
        let day = |time: &DateTime<Utc>| i64::from(local(time).num_days_from_ce());
        let week = |time: &DateTime<Utc>| i64::from((local(time).num_days_from_ce() - 1).div_euclid(7));
        let month =
            |time: &DateTime<Utc>| i64::from(local(time).year()) * 12 + i64::from(local(time).month());
        let year = |time: &DateTime<Utc>| i64::from(local(time).year());
        type Period<'a> = &'a dyn Fn(&DateTime<Utc>) -> i64;
        let rules: [(&'static str, Option<u32>, Period<'_>); 4] = [
            ("keep_daily", self.keep_daily, &day),
            ("keep_weekly", self.keep_weekly, &week),
            ("keep_monthly", self.keep_monthly, &month),
            ("keep_yearly", self.keep_yearly, &year),
        ];
        for (name, count, period) in rules {
            let mut seen = BTreeSet::new();
            for (place, time) in times.iter().enumerate().rev() {
                let of = period(time);
                if !seen.contains(&of) && seen.len() < count.unwrap_or(0) as usize {
                    seen.insert(of);
                    reasons[place].push(name);
                }
            }
        }
        if let Some(last) = reasons.last_mut().filter(|reasons| reasons.is_empty()) {
            last.push("it is the last one");
        }
        reasons
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(texts: &[&str]) -> Vec<DateTime<Utc>> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn kept(rules: Retention, texts: &[&str], zone: Tz) -> Vec<String> {
        rules.kept(&times(texts), zone).into_iter().map(|reasons| reasons.join(" ")).collect()
    }

    #[test]
    fn each_rule_keeps_its_own() {
        let rules = Retention {
            keep_last: Some(1),
            keep_daily: Some(2),
            keep_weekly: Some(2),
            keep_monthly: Some(2),
            keep_yearly: Some(1),
            min_free: None,
        };
        // The 23rd of November 2026 is a Monday.
        let found = kept(
            rules,
            &[
                "2025-12-31T02:00:00Z",
                "2026-10-31T02:00:00Z",
                "2026-11-22T02:00:00Z",
                "2026-11-23T02:00:00Z",
                "2026-11-24T02:00:00Z",
                "2026-11-24T14:00:00Z",
            ],
            Tz::UTC,
        );
        assert_eq!(
            found,
            [
                "",
                "keep_monthly",
                "keep_weekly",
                "keep_daily",
                "",
                "keep_last keep_daily keep_weekly keep_monthly keep_yearly",
            ]
        );
    }

    #[test]
    fn a_day_is_the_zones() {
        let rules = Retention { keep_daily: Some(9), ..Retention::default() };
        let texts = ["2026-11-24T22:30:00Z", "2026-11-24T23:30:00Z"];
        assert_eq!(kept(rules, &texts, Tz::UTC), ["", "keep_daily"]);
        assert_eq!(kept(rules, &texts, Tz::Europe__Berlin), ["keep_daily", "keep_daily"]);
    }

    #[test]
    fn the_last_one_stays_whatever_the_rules_and_all_do_without_rules() {
        let rules = Retention { keep_last: Some(0), ..Retention::default() };
        let texts = ["2026-11-23T02:00:00Z", "2026-11-24T02:00:00Z"];
        assert_eq!(kept(rules, &texts, Tz::UTC), ["", "it is the last one"]);
        let none = Retention { min_free: Some(1), ..Retention::default() };
        assert_eq!(kept(none, &texts, Tz::UTC), ["no rule lets it go"; 2]);
        assert_eq!(kept(rules, &[], Tz::UTC), [""; 0]);
    }
}
