//! Schedules, runs and times as people read them.

use serde_json::Value;

use crate::output::table::Rows;
use crate::output::{self, units, word};

fn is_on(schedule: &Value) -> String {
    let failures = schedule["consecutive_failures"].as_u64().unwrap_or_default();
    match (schedule["enabled"] == true, failures) {
        (true, 0) => "on".to_owned(),
        (true, failures) => format!("on, failed {failures}x"),
        (false, _) => "off".to_owned(),
    }
}

pub(super) fn schedules(answer: &Value) {
    let mut rows = Rows::new(&["id", "state", "schedule", "zone", "next", "last", "runs"], &[6]);
    for schedule in output::list(answer) {
        rows.push([
            word(&schedule["id"]),
            is_on(schedule),
            word(&schedule["schedule"]),
            word(&schedule["timezone"]),
            units::instant(&schedule["next_run"]),
            units::instant(&schedule["last_run"]),
            word(&schedule["run_count"]),
        ]);
    }
    output::line(rows.text());
}

/// One line about what a schedule is now.
pub(super) fn now(schedule: &Value) -> String {
    let id = word(&schedule["id"]);
    let text = word(&schedule["schedule_text"]);
    match schedule["next_run"].as_str() {
        Some(_) => format!(
            "{id}: {text} ({}), next {}",
            word(&schedule["timezone"]),
            units::instant(&schedule["next_run"])
        ),
        None => format!("{id}: {text}, {}", is_on(schedule)),
    }
}

pub(super) fn runs(answer: &Value) {
    let mut rows = Rows::new(&["planned", "cause", "status", "ended", "jobs", "reason"], &[]);
    for run in output::list(&answer["runs"]) {
        rows.push([
            units::instant(&run["planned_at"]),
            word(&run["cause"]),
            word(&run["status"]),
            units::instant(&run["completed_at"]),
            word(&run["job_ids"]),
            word(&run["reason"]),
        ]);
    }
    output::line(rows.text());
    if let Some(next) = answer["next"].as_str() {
        output::remark(format!("there are more; the next page: --before {next}"));
    }
}

pub(super) fn times(answer: &Value) {
    if answer["enabled"] == false {
        output::remark("it is off: none of these comes before it is enabled");
    }
    output::line(format!("{}  {}", word(&answer["schedule_text"]), word(&answer["timezone"])));
    let mut rows = Rows::new(&["on its clock", "here", "blackout"], &[]);
    for time in output::list(&answer["next"]) {
        rows.push([word(&time["local"]), units::instant(&time["planned_at"]), word(&time["blackout"])]);
    }
    output::line(rows.text());
}
