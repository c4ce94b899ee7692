//! What survives, and what happens at a stop.

use hypersdk_tests::{command, names};
use hypersdk_vsim::{FaultKind, FaultRule};
use serde_json::json;

use crate::world::{APP, WEB, World};

/// A job that is in the middle of its transfer.
async fn in_mid_transfer(world: &World, vm: &str) -> String {
    world.sim.add_fault(FaultRule::stream(FaultKind::RateCap { bytes_per_second: 2 << 20 }).always());
    let id = world.client().submit(&world.job(vm)).await;
    world
        .client()
        .wait_for(&id, |job| job["progress"]["bytes_downloaded"].as_u64().is_some_and(|bytes| bytes > 0))
        .await;
    id
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_killed_in_mid_transfer_takes_its_job_up_again() {
    // The dead daemon's lease holds the VM until it expires.
    let simulator = crate::world::simulator().lease_timeout(std::time::Duration::from_secs(3));
    let world = World::over(simulator, |config| config.set("retry_attempts", "8")).await;
    let id = in_mid_transfer(&world, WEB).await;
    let world = world.crash();
    world.sim.clear_faults();
    let job = world.client().wait_for_end(&id).await;
    assert_eq!(job["status"], "completed", "{job:#}\n{}", world.daemon.log());
    assert_eq!(names(&world.out()), ["web.ova", "web.receipt.json"]);
    let database = world.database();
    let check = command("sqlite3", &[database.to_str().unwrap(), "PRAGMA integrity_check"], &world.out());
    assert_eq!(check.trim(), "ok");
    let (status, took, log) = world.daemon.stop();
    assert!(status.success(), "{took:?}\n{log}");
    assert!(world.sim.log().open_leases().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn pending_and_finished_jobs_survive_a_crash() {
    let world = World::over(crate::world::simulator(), |config| config.set("max_concurrent_jobs", "1")).await;
    let done = world.complete(&world.job(APP)).await;
    let done = done["definition"]["id"].as_str().unwrap().to_owned();
    let running = in_mid_transfer(&world, WEB).await;
    let mut waiting = world.job(APP);
    waiting["overwrite"] = json!(true);
    let waiting = world.client().submit(&waiting).await;
    let world = world.crash();
    assert_eq!(world.client().job(&done).await["status"], "completed");
    for id in [&running, &waiting] {
        assert!(["pending", "running"].contains(&world.client().job(id).await["status"].as_str().unwrap()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_puts_running_jobs_back_and_releases_everything() {
    let world = World::over(crate::world::simulator(), |config| config.set("drain_grace", "200ms")).await;
    let id = in_mid_transfer(&world, APP).await;
    let database = world.database();
    let out = world.out();
    let (status, _, log) = world.daemon.stop();
    assert!(status.success(), "{log}");
    assert!(world.sim.log().open_leases().is_empty() && world.sim.log().open_sessions().is_empty(), "{log}");
    assert!(world.sim.log().snapshots().is_empty(), "{log}");
    let query = format!("SELECT status FROM jobs WHERE id = '{id}'");
    assert_eq!(command("sqlite3", &[database.to_str().unwrap(), &query], &out).trim(), "pending");
    assert_eq!(names(&out), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_daemon_on_the_same_database_is_refused() {
    let world = World::new().await;
    let config = world.path("hypersdk.yaml");
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_hypervisord"))
        .arg("--config")
        .arg(config)
        .output()
        .unwrap();
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("hypersdk.db"), "{said}");
    world.stop_clean().await;
}
