//! Schedules over restarts and kills.

use std::time::Duration;

use hypersdk_tests::command;
use serde_json::{Value, json};

use crate::world::{World, simulator};

/// What a shell prints for a line of the operator's guide, on this daemon's address and database.
fn shell(world: &World, line: &str) -> String {
    let base = world.client().base().to_owned();
    let line = line
        .replace("http://localhost:8080", &base)
        .replace("./hypersdk.db", world.database().to_str().unwrap());
    command("sh", &["-c", &line], &world.out())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_guides_schedule_is_there_after_a_restart() {
    let world = World::new().await;
    let answer = shell(
        &world,
        r#"curl -s -X POST http://localhost:8080/schedules -H 'Content-Type: application/json' -d '{
            "id": "daily-backup",
            "name": "Daily Backup",
            "schedule": "0 2 * * *",
            "enabled": true,
            "job_template": {"vm_path": "/datacenter/vm/test-vm", "output_path": "/tmp/backups", "format": "ova"}
        }'"#,
    );
    assert_eq!(serde_json::from_str::<Value>(&answer).unwrap()["id"], "daily-backup", "{answer}");
    let world = world.restart();
    let shown =
        shell(&world, r#"curl -s http://localhost:8080/schedules | jq '.[] | select(.id=="daily-backup")'"#);
    let shown: Value = serde_json::from_str(&shown).unwrap_or_else(|error| panic!("{error}: {shown}"));
    assert_eq!((&shown["name"], &shown["enabled"]), (&json!("Daily Backup"), &json!(true)));
    assert!(shown["next_run"].as_str().unwrap().ends_with("T02:00:00Z"), "{shown}");
    let rows = shell(&world, r#"sqlite3 ./hypersdk.db "SELECT id, name, enabled FROM scheduled_jobs;""#);
    assert_eq!(rows.trim(), "daily-backup|Daily Backup|1");
    let log = world.daemon.log();
    let line = log.lines().find(|line| line.contains("load") && line.contains("schedule"));
    assert!(line.expect("the log tells").contains("loaded 1 schedules"), "{line:?}");
    world.stop_clean().await;
}

/// How often the daemon is killed: about a second and a half each. `HYPERSDK_SCHEDULE_KILLS` sets another number.
const KILLS: u32 = 6;

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_killed_at_any_instant_fires_every_time_once() {
    let kills = std::env::var("HYPERSDK_SCHEDULE_KILLS").map_or(KILLS, |text| text.parse().unwrap());
    let mut world = World::over(simulator().lease_timeout(Duration::from_secs(1)), |config| {
        config.set("max_concurrent_jobs", "1")
    })
    .await;
    // The jobs fail at once, since there is no room for a second package of the name: quick, and their number is
    // what counts.
    for number in 0..5 {
        let body = json!({
            "id": format!("every-second-{number}"), "schedule": "* * * * * *", "overlap": "queue",
            "catch_up": {"policy": "all", "limit": 1000},
            "job_template": {"vm_path": "/DC0/vm/prod/*", "output_dir": world.out(), "format": "vmdk",
                             "package_name": "{vm}"},
        });
        let (status, answer) = world.client().post("/schedules", &body).await;
        assert_eq!(status, 201, "{answer}");
    }
    for _ in 0..kills {
        tokio::time::sleep(Duration::from_millis(fastrand::u64(200..1200))).await;
        world = world.crash();
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    for number in 0..5 {
        let (status, answer) =
            world.client().post(&format!("/schedules/every-second-{number}/disable"), &json!({})).await;
        assert_eq!(status, 200, "{answer}");
    }
    let (database, out) = (world.database(), world.out());
    let query = |sql: &str| command("sqlite3", &[database.to_str().unwrap(), sql], &out).trim().to_owned();
    // Nothing is left between being noticed and being started.
    let settled = async {
        while query("SELECT count(*) FROM schedule_firings WHERE state = 'pending'") != "0" {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), settled).await.expect("every firing is started");
    let (status, _, log) = world.daemon.stop();
    assert!(status.success(), "{log}");
    assert_eq!(query("PRAGMA integrity_check"), "ok");
    // Each second from the first firing to the last has its row, in every schedule.
    let gaps = query(
        "SELECT count(*) FROM (SELECT schedule, count(*) AS rows,
             (max(planned_at) - min(planned_at)) / 1000000 + 1 AS seconds FROM schedule_firings GROUP BY schedule)
         WHERE rows <> seconds",
    );
    assert_eq!(gaps, "0", "no time is lost");
    let fired: u32 =
        query("SELECT count(*) FROM schedule_firings WHERE fired_at IS NOT NULL").parse().unwrap();
    assert!(fired >= 5, "{fired}");
    assert_eq!(query("SELECT count(*) FROM events WHERE kind = 'schedule.fired'"), fired.to_string());
    assert_eq!(query("SELECT count(*) FROM jobs"), (fired * 2).to_string(), "two jobs a firing, and no more");
    let strays = query(
        "SELECT count(*) FROM jobs WHERE id NOT IN
         (SELECT value FROM schedule_firings, json_each(schedule_firings.jobs))",
    );
    assert_eq!(strays, "0");
    let counted = query("SELECT sum(run_count) FROM scheduled_jobs");
    assert_eq!(counted, fired.to_string());
}
