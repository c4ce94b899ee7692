//! Webhooks and deliveries as people read them.

use serde_json::Value;

use crate::output::table::Rows;
use crate::output::{self, units, word};

pub(super) fn webhooks(answer: &Value) {
    let heading = ["id", "status", "waiting", "dead", "events", "url"];
    let mut rows = Rows::new(&heading, &[2, 3]);
    for webhook in output::list(&answer["webhooks"]) {
        let count = |key: &str| webhook["deliveries"][key].as_u64().unwrap_or_default();
        rows.push([
            word(&webhook["id"]),
            word(&webhook["status"]),
            (count("pending") + count("in_flight")).to_string(),
            count("dead").to_string(),
            word(&webhook["events"]),
            word(&webhook["url"]),
        ]);
    }
    output::line(rows.text());
}

pub(super) fn deliveries(answer: &Value) {
    let mut rows = Rows::new(&["id", "event", "state", "tries", "made", "job", "last answer"], &[3]);
    for delivery in output::list(&answer["deliveries"]) {
        rows.push([
            word(&delivery["id"]),
            word(&delivery["event"]),
            word(&delivery["state"]),
            word(&delivery["tries"]),
            units::instant(&delivery["created_at"]),
            word(&delivery["job_id"]),
            last_answer(delivery),
        ]);
    }
    output::line(rows.text());
    if let Some(next) = answer["next"].as_str() {
        output::remark(format!("there are more; the next page: --before {next}"));
    }
}

/// What came of the last attempt.
fn last_answer(delivery: &Value) -> String {
    let Some(attempt) = output::list(&delivery["attempts"]).last() else { return "-".to_owned() };
    attempt["error"].as_str().map_or_else(|| word(&attempt["status"]), str::to_owned)
}
