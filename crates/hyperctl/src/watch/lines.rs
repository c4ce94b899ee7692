//! Plain lines where there is no terminal: a line when the phase changes, and every tenth of the way.

use std::collections::BTreeMap;

use super::Display;
use super::bars::{took, words};
use crate::job::Job;
use crate::output;

/// What was said last of each job.
pub(crate) struct Lines {
    said: BTreeMap<String, (String, u64)>,
}

impl Lines {
    pub(crate) fn new() -> Self {
        Lines { said: BTreeMap::new() }
    }

    /// The line that is due, if one is.
    fn due(&mut self, job: &Job) -> Option<String> {
        let name = job.short_name();
        let tenth = (job.progress.percent_complete / 10.0) as u64;
        let stage = match job.is_final() || job.status == "pending" {
            true => job.status.clone(),
            false => job.progress.phase.clone(),
        };
        let now = (stage.clone(), tenth);
        if self.said.get(&job.definition.id) == Some(&now) {
            return None;
        }
        self.said.insert(job.definition.id.clone(), now);
        Some(match stage.as_str() {
            "exporting" => {
                format!(
                    "{name}: exporting {:.0}%, {}",
                    job.progress.percent_complete,
                    words(&job.progress, &job.status)
                )
            }
            _ if job.is_final() => format!("{name}: {stage}{}", took(job)),
            _ => format!("{name}: {stage}"),
        })
    }
}

impl Display for Lines {
    fn show(&mut self, jobs: &[Job]) {
        for job in jobs {
            if let Some(line) = self.due(job) {
                output::remark(line);
            }
        }
    }

    fn say(&mut self, text: &str) {
        output::remark(text);
    }

    fn close(&mut self) {}
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn job(status: &str, phase: &str, percent: f64) -> Job {
        Job::read(&json!({
            "definition": { "id": "j", "vm_path": "/DC0/vm/web01" }, "status": status,
            "progress": { "phase": phase, "percent_complete": percent, "bytes_per_second": 1048576.0,
                          "estimated_remaining": 5.0 },
        }))
        .unwrap()
    }

    #[test]
    fn a_line_comes_with_each_phase_and_each_tenth_and_not_between() {
        let mut lines = Lines::new();
        assert_eq!(lines.due(&job("pending", "queued", 0.0)).unwrap(), "web01: pending");
        assert_eq!(
            lines.due(&job("running", "exporting", 1.0)).unwrap(),
            "web01: exporting 1%, 1.0 MiB/s, ETA 5s"
        );
        assert_eq!(lines.due(&job("running", "exporting", 9.0)), None);
        assert!(lines.due(&job("running", "exporting", 12.0)).is_some());
        assert_eq!(lines.due(&job("completed", "done", 100.0)).unwrap(), "web01: completed");
        assert_eq!(lines.due(&job("completed", "done", 100.0)), None);
    }
}
