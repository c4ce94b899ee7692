//! What a killed daemon leaves at the source, and that it goes away again.

use std::time::Duration;

use hypersdk_vsim::{FaultKind, FaultRule};
use serde_json::json;

use crate::world::{APP, World};

/// A daemon that was killed while it exported a running VM, and the job's id.
async fn killed(
    configure: fn(hypersdk_tests::DaemonConfig) -> hypersdk_tests::DaemonConfig,
) -> (World, String) {
    let simulator = crate::world::simulator().lease_timeout(Duration::from_secs(2));
    let world = World::over(simulator, configure).await;
    world.sim.add_fault(FaultRule::stream(FaultKind::RateCap { bytes_per_second: 1 << 20 }).always());
    let id = world.client().submit(&world.job(APP)).await;
    let moving =
        |job: &serde_json::Value| job["progress"]["bytes_downloaded"].as_u64().is_some_and(|bytes| bytes > 0);
    world.client().wait_for(&id, moving).await;
    assert_eq!(world.sim.log().snapshots().len(), 1, "a running VM is exported from a snapshot");
    (world, id)
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_kill_in_a_running_vms_export_no_snapshot_is_left() {
    let (world, id) = killed(|config| config.set("retry_attempts", "8")).await;
    let world = world.crash();
    world.sim.clear_faults();
    let job = world.client().wait_for_end(&id).await;
    assert_eq!(job["status"], "completed", "{job:#}\n{}", world.daemon.log());
    let left = world.sim.log().snapshots();
    assert!(left.is_empty(), "{left:?}\n{}", world.daemon.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_job_that_will_not_run_again_left_is_listed_and_cleared() {
    let (world, id) = killed(|config| config.set("orphan_sweep_interval", "0")).await;
    // Cancelled while nobody runs it: its own next attempt will not come.
    let (status, listed) = world.client().get("/orphans").await;
    assert_eq!((status, listed["orphans"][0]["owner"].as_str()), (200, Some("live")), "{listed}");
    let snapshot = listed["orphans"][0]["id"].as_str().unwrap().to_owned();
    let (status, refused) = world.client().delete(&format!("/orphans/{snapshot}")).await;
    assert_eq!(status, 409, "{refused}");
    let world = world.crash();
    world.client().post("/jobs/cancel", &json!({ "job_ids": [id] })).await;
    let job = world.client().wait_for_end(&id).await;
    assert_eq!(job["status"], "cancelled", "{job:#}");
    // The dead daemon's lease holds the VM until it expires; the removal waits for that.
    let (status, swept) = world.client().delete("/orphans").await;
    assert_eq!(status, 200, "{swept}");
    assert!(world.sim.log().snapshots().is_empty(), "{swept}\n{}", world.daemon.log());
    let (_, listed) = world.client().get("/orphans").await;
    assert_eq!(listed["orphans"], json!([]), "{listed}");
    let (status, missing) = world.client().delete(&format!("/orphans/{snapshot}")).await;
    assert_eq!(status, 404, "{missing}");
}
