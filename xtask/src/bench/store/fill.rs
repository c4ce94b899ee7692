//! A long past, made by SQL.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use chrono::{Timelike, Utc};
use hypersdk_core::{JobSpec, Phase, Progress};
use hypersdk_sched::{NewSchedule, ScheduleSpec};
use hypersdk_store::{Database, DatabaseLocation};
use serde_json::json;

use super::jobs::outcome;

/// Makes a database of finished jobs, three events each, and of schedules, none of which is due in the next hours.
pub(super) async fn fill(home: &Path, finished: u32, schedules: u32) -> Result<()> {
    let path = home.join("hypersdk.db");
    // The program itself makes the tables, and a schedule to copy.
    let database = Database::open(&DatabaseLocation::Sqlite(path.clone())).await?;
    let template = json!({
        "vm_path": "/DC0/vm/prod/*", "output_dir": "/srv/exports", "format": "ova", "compress": true,
    });
    let template = template.as_object().context("a template")?.clone();
    let spec = ScheduleSpec::new("nightly", "0 2 * * *".parse()?, template);
    database
        .schedules()
        .create_schedule(NewSchedule { id: "schedule-0".parse()?, spec, enabled: true })
        .await?;
    database.close().await;

    let spec = serde_json::to_string(&JobSpec::new("/DC0/vm/prod/web01".parse()?, "/srv/exports"))?;
    let outcome = serde_json::to_string(&outcome("web01"))?;
    let done = Progress { phase: Phase::Done, fraction: 1.0, bytes_done: 9 << 30, ..Progress::default() };
    let progress = serde_json::to_string(&done)?;
    let now = Utc::now();
    let (micros, hour) = (now.timestamp_micros(), now.hour());
    let count = |number: u32| {
        format!("WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < {number})")
    };
    let (jobs, others) = (count(finished), count(schedules.saturating_sub(1)));
    let data =
        "json_object('job_id', 'job-' || n, 'vm_path', '/DC0/vm/prod/web01', 'output_dir', '/srv/exports')";
    let event = |kind: &str| {
        format!(
            "{jobs} INSERT INTO events (time, kind, job, data)
             SELECT {micros} - 1000000 * ({finished} - n), '{kind}', 'job-' || n, {data} FROM c;"
        )
    };
    let (created, started, completed) = (event("job.created"), event("job.started"), event("job.completed"));
    let sql = format!(
        "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -500000;
         BEGIN;
         {jobs} INSERT INTO jobs (id, spec, priority, status, attempt, created_at, started_at, completed_at, updated_at,
                                  progress, outcome)
         SELECT 'job-' || n, '{spec}', 0, 'completed', 1, at, at, at, at, '{progress}', '{outcome}'
         FROM (SELECT n, {micros} - 1000000 * ({finished} - n) AS at FROM c);
         {created} {started} {completed}
         {others} INSERT INTO scheduled_jobs (id, name, enabled, schedule, timezone, spec, revision, created_at,
                                              updated_at, accounted_until)
         SELECT 'schedule-' || n, name, enabled, cron, timezone, json_set(spec, '$.schedule', cron), revision,
                created_at, updated_at, accounted_until
         FROM (SELECT *, (n % 60) || ' ' || (({hour} + 3 + n % 18) % 24) || ' * * *' AS cron
               FROM scheduled_jobs, c);
         UPDATE webhook_cursor SET position = (SELECT max(seq) FROM events);
         COMMIT;
         PRAGMA journal_mode = WAL;"
    );
    let mut child = Command::new("sqlite3")
        .arg("-bail")
        .arg(&path)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .context("start sqlite3")?;
    child.stdin.take().context("a pipe")?.write_all(sql.as_bytes())?;
    ensure!(child.wait()?.success(), "sqlite3 failed");
    Ok(())
}
