//! The commands of the operator's guide, as written: `curl`, `jq`, `sqlite3`, port 8080.
//!
//! A `.curlrc` leads port 8080 to the daemon under test, so that the commands need not be changed. Row by row: health,
//! status, stats, capabilities, jobs and the database are here; the configuration, the daemon's own command line,
//! schedules, webhooks, the pool, the dashboard and the log are in `guide`. The unit of systemd is checked with the
//! other files for deployment, in the test kit.

mod guide;

use std::path::Path;
use std::process::Command;

use hypersdk_vsim::{FaultKind, FaultRule};
use serde_json::{Value, json};

use crate::world::{APP, WEB, World};

/// Runs a command line in a directory and gives what it printed. Port 8080 of curl is `addr`.
fn sh(directory: &Path, addr: &str, line: &str) -> String {
    let rules = format!("connect-to = \"localhost:8080:{addr}\"\nsilent\nfail-with-body\n");
    std::fs::write(directory.join(".curlrc"), rules).expect("a .curlrc");
    let output = Command::new("sh")
        .args(["-c", line])
        .env("CURL_HOME", directory)
        .current_dir(directory)
        .output()
        .expect("a shell");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{line}\n{said}{}", String::from_utf8_lossy(&output.stderr));
    said
}

fn parsed(line: &str, said: &str) -> Value {
    serde_json::from_str(said).unwrap_or_else(|error| panic!("{line}: {error}\n{said}"))
}

impl World {
    fn sh(&self, line: &str) -> String {
        let addr = self.client().base().strip_prefix("http://").expect("plain HTTP");
        sh(&self.path(""), addr, line)
    }

    fn json(&self, line: &str) -> Value {
        parsed(line, &self.sh(line))
    }
}

/// Each field is there and of its kind.
fn assert_kinds(value: &Value, kinds: &[(&str, &str)]) {
    for (field, kind) in kinds {
        let found = match &value[*field] {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Number(number) if number.is_u64() => "count",
            Value::Number(_) => "number",
            Value::String(_) => "text",
            Value::Array(_) => "list",
            Value::Object(_) => "object",
        };
        assert_eq!(found, *kind, "{field} of {value:#}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn health_status_and_stats_answer_as_the_guide_says() {
    let world = World::new().await;
    assert_eq!(world.sh("curl http://localhost:8080/health | jq -r .status").trim(), "healthy");
    let status = world.json("curl http://localhost:8080/status");
    assert_kinds(
        &status,
        &[
            ("version", "text"),
            ("uptime", "text"),
            ("total_jobs", "count"),
            ("running_jobs", "count"),
            ("completed_jobs", "count"),
            ("failed_jobs", "count"),
            ("cancelled_jobs", "count"),
            ("timestamp", "text"),
        ],
    );
    let stats = world.json(
        "curl http://localhost:8080/stats | jq '{total_jobs, running_jobs, completed_jobs, failed_jobs}'",
    );
    assert_eq!(stats, json!({"total_jobs": 0, "running_jobs": 0, "completed_jobs": 0, "failed_jobs": 0}));
    let can = world.json("curl -s http://localhost:8080/capabilities");
    assert_kinds(
        &can,
        &[("providers", "list"), ("formats", "list"), ("compression", "list"), ("destinations", "list")],
    );
    assert_eq!(can["providers"][0]["type"], "vsphere");
    world.stop_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_submitted_watched_and_cancelled_as_the_guide_says() {
    let world = World::new().await;
    let out = world.out();
    let submit = |vm: &str| {
        let body = json!({
            "vm_path": vm, "output_dir": out, "format": "ova", "compress": true,
            "compression_level": 6, "cleanup_ovf": true,
        });
        world.json(&format!(
            "curl -X POST http://localhost:8080/jobs/submit \\\n  -H \"Content-Type: application/json\" \\\n  -d '{body}'"
        ))
    };
    let answer = submit(WEB);
    assert_kinds(
        &answer,
        &[
            ("job_ids", "list"),
            ("accepted", "count"),
            ("rejected", "count"),
            ("errors", "list"),
            ("timestamp", "text"),
        ],
    );
    let id = answer["job_ids"][0].as_str().unwrap().to_owned();
    world.client().wait_for_end(&id).await;
    let job = world.json(&format!("curl http://localhost:8080/jobs/{id}"));
    assert_kinds(
        &job,
        &[
            ("definition", "object"),
            ("status", "text"),
            ("progress", "object"),
            ("result", "object"),
            ("error", "null"),
            ("started_at", "text"),
            ("completed_at", "text"),
            ("updated_at", "text"),
        ],
    );
    assert_eq!(job["status"], "completed", "{job:#}");
    assert_kinds(
        &job["progress"],
        &[
            ("phase", "text"),
            ("files_downloaded", "count"),
            ("total_files", "count"),
            ("bytes_downloaded", "count"),
        ],
    );
    assert_kinds(
        &job["result"],
        &[
            ("vm_name", "text"),
            ("output_dir", "text"),
            ("ovf_path", "text"),
            ("files", "list"),
            ("total_size", "count"),
            ("duration", "number"),
            ("checksum", "text"),
        ],
    );
    let listed = world.sh("curl http://localhost:8080/jobs | jq -r '.jobs[0].definition.id'");
    assert_eq!(listed.trim(), id);
    let events = world.sh(&format!("curl -N http://localhost:8080/jobs/{id}/events"));
    assert!(events.contains("event: job.completed"), "{events}");
    let slow = FaultRule::stream(FaultKind::RateCap { bytes_per_second: 1 << 20 });
    world.sim.add_fault(slow.always());
    let id = submit(APP)["job_ids"][0].as_str().unwrap().to_owned();
    let cancelled = world.json(&format!(
        "curl -X POST http://localhost:8080/jobs/cancel -H 'Content-Type: application/json' -d '{{\"job_ids\":[\"{id}\"]}}'"
    ));
    assert_eq!(cancelled["cancelled"], json!([id]));
    assert_eq!(world.client().wait_for_end(&id).await["status"], "cancelled");
    world.stop_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_database_is_looked_after_while_the_daemon_runs() {
    let world = World::new().await;
    world.complete(&world.job(APP)).await;
    assert_eq!(world.sh("sqlite3 hypersdk.db 'PRAGMA integrity_check;'").trim(), "ok");
    world.sh("sqlite3 hypersdk.db 'VACUUM;'");
    world.sh("sqlite3 hypersdk.db 'ANALYZE;'");
    let mut again = world.job(APP);
    again["overwrite"] = json!(true);
    world.complete(&again).await;
    assert_eq!(world.sh("curl http://localhost:8080/stats | jq .completed_jobs").trim(), "2");
    world.stop_clean().await;
}
