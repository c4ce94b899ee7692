//! `hypervisord import-legacy`: what the Go HyperSDK 0.2 had, as this version takes it.
//!
//! Its files are read and not changed. Each schedule goes through the same checks as a `POST /schedules` and into the
//! database in one write; run again, it leaves alone what is there. What has no equal here is said, and nothing is
//! guessed: such a schedule comes disabled.

mod cron;

use std::path::Path;

use hypersdk_core::ErrorKind;
use hypersdk_store::{Database, LegacySchedule};
use serde_json::{Map, Value, json};

use crate::api;

/// Fields of 0.2's jobs that say how a job went, when it was made, or by which of its ways it was done.
const MEANINGLESS: [&str; 6] = ["id", "created_at", "export_method", "method", "thin", "datacenter"];

/// What became of one schedule.
#[derive(Debug)]
pub(crate) struct Imported {
    id: String,
    outcome: Outcome,
    /// What has no equal, and what was done about it.
    remarks: Vec<String>,
}

#[derive(Debug)]
enum Outcome {
    /// It is in the database, or would be.
    Taken { enabled: bool },
    /// There is one of this id already, which stays.
    There,
    /// This version has no such schedule.
    Refused(Vec<String>),
}

impl Imported {
    /// True if it is in the database.
    pub(crate) fn is_there(&self) -> bool {
        !matches!(self.outcome, Outcome::Refused(_))
    }

    /// A line for people, and one for each remark.
    pub(crate) fn lines(&self) -> Vec<String> {
        let outcome = match &self.outcome {
            Outcome::Taken { enabled: true } => "taken over".to_owned(),
            Outcome::Taken { enabled: false } => "taken over, disabled".to_owned(),
            Outcome::There => "left alone: there is one of this id already".to_owned(),
            Outcome::Refused(why) => format!("refused: {}", why.join("; ")),
        };
        let remarks = self.remarks.iter().map(|remark| format!("{}: {remark}", self.id));
        std::iter::once(format!("{}: {outcome}", self.id)).chain(remarks).collect()
    }
}

/// Takes the schedules of 0.2's database at `old` into `database`; without one, says what would come of it.
///
/// # Errors
/// `old` is none of 0.2's, or `database` fails.
pub(crate) async fn import(
    old: &Path,
    database: Option<&Database>,
) -> Result<Vec<Imported>, hypersdk_core::Error> {
    let zone = local_zone();
    let mut imported = Vec::new();
    for row in LegacySchedule::read_all(old).await? {
        let Converted { id, body, remarks } = convert(row, &zone);
        let outcome = match (api::read_schedule(body), database) {
            (Err(why), _) => Outcome::Refused(why),
            (Ok(new), None) => Outcome::Taken { enabled: new.enabled },
            (Ok(new), Some(database)) => {
                let enabled = new.enabled;
                match database.schedules().create_schedule(new).await {
                    Ok(_) => Outcome::Taken { enabled },
                    Err(error) if error.kind() == ErrorKind::Conflict => Outcome::There,
                    Err(error) => return Err(error.context(format!("keep the schedule {id}"))),
                }
            }
        };
        imported.push(Imported { id, outcome, remarks });
    }
    Ok(imported)
}

struct Converted {
    id: String,
    /// What `POST /schedules` would be given.
    body: Value,
    remarks: Vec<String>,
}

fn convert(row: LegacySchedule, zone: &str) -> Converted {
    let mut remarks = Vec::new();
    let when = cron::convert(&row.schedule);
    remarks.extend(when.remark);
    let template = template(&row.job_template, &mut remarks);
    let tags = serde_json::from_str::<Value>(&row.tags).ok().filter(Value::is_array);
    let body = json!({
        "id": row.id,
        "name": if row.name.is_empty() { &row.id } else { &row.name },
        "description": row.description,
        "tags": tags.unwrap_or_else(|| json!([])),
        "schedule": when.schedule,
        "timezone": when.zone.unwrap_or_else(|| zone.to_owned()),
        // What could not be said as it was does not fire before somebody has looked at it.
        "enabled": row.enabled && remarks.is_empty(),
        "job_template": template,
    });
    Converted { id: row.id, body, remarks }
}

/// The job that a schedule makes: what it says, without what it leaves empty.
fn template(text: &str, remarks: &mut Vec<String>) -> Map<String, Value> {
    let Ok(Value::Object(fields)) = serde_json::from_str(text) else {
        remarks.push("its job cannot be read".to_owned());
        return Map::new();
    };
    let mut template = Map::new();
    for (name, value) in fields {
        let says_nothing = match &value {
            Value::Null => true,
            Value::String(text) => text.is_empty(),
            Value::Object(fields) => fields.is_empty(),
            Value::Array(items) => items.is_empty(),
            _ => false,
        };
        if says_nothing || MEANINGLESS.contains(&name.as_str()) {
            continue;
        }
        // Passwords do not belong into schedules: a connection is configured once, and named.
        if name == "vcenter" {
            let remark = "it had a connection of its own: configure it under providers and set job_template.provider, \
                          then enable it";
            remarks.push(remark.to_owned());
            continue;
        }
        template.insert(name, value);
    }
    template
}

/// The zone that 0.2 read its times in: the machine's.
fn local_zone() -> String {
    let named = std::env::var("TZ").ok().filter(|zone| !zone.is_empty() && !zone.starts_with([':', '/']));
    let linked = || {
        let target = std::fs::canonicalize("/etc/localtime").ok()?;
        Some(target.to_str()?.split_once("/zoneinfo/")?.1.to_owned())
    };
    named.or_else(linked).unwrap_or_else(|| "UTC".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(schedule: &str, job: &str) -> LegacySchedule {
        LegacySchedule {
            id: "daily-backup".to_owned(),
            name: "Daily".to_owned(),
            description: String::new(),
            schedule: schedule.to_owned(),
            job_template: job.to_owned(),
            enabled: true,
            tags: "null".to_owned(),
        }
    }

    #[test]
    fn an_ordinary_schedule_keeps_its_meaning() {
        let job = r#"{"id":"","name":"x","vm_path":"/DC0/vm/a","output_dir":"/srv","format":"ova","options":null,
                      "created_at":"0001-01-01T00:00:00Z"}"#;
        let converted = convert(row("0 2 * * *", job), "Europe/Berlin");
        assert_eq!(converted.remarks, [""; 0]);
        assert_eq!(converted.body["timezone"], "Europe/Berlin");
        assert_eq!(converted.body["enabled"], true);
        let expected = json!({ "name": "x", "vm_path": "/DC0/vm/a", "output_dir": "/srv", "format": "ova" });
        assert_eq!(converted.body["job_template"], expected);
        let new = api::read_schedule(converted.body).unwrap();
        assert!(new.enabled && new.id.as_str() == "daily-backup");
    }

    #[test]
    fn what_has_no_equal_comes_disabled_and_without_passwords() {
        let job =
            r#"{"vm_path":"/DC0/vm/a","output_dir":"/srv","vcenter":{"server":"vc","password":"hunter2"}}"#;
        let converted = convert(row("@every 90m", job), "UTC");
        assert_eq!(converted.remarks.len(), 2, "{:?}", converted.remarks);
        assert!(!converted.body.to_string().contains("hunter2"));
        assert!(!api::read_schedule(converted.body).unwrap().enabled);
    }

    #[test]
    fn what_this_version_does_not_know_is_refused_by_its_name() {
        let job = r#"{"vm_path":"/DC0/vm/a","output_dir":"/srv","teleport":true}"#;
        let why = api::read_schedule(convert(row("0 2 * * *", job), "UTC").body).unwrap_err();
        assert!(why[0].contains("job_template.teleport"), "{why:?}");
    }
}
