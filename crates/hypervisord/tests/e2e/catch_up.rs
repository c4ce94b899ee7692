//! An export into a directory that is killed half way goes on with what it had finished. A few seconds each.

use std::time::Duration;

use hypersdk_tests::names;
use hypersdk_vsim::{DiskSpec, Event, FaultKind, FaultRule, PowerState, VmSpec, Vsim, VsimBuilder};
use serde_json::{Value, json};

use crate::world::World;

const MIB: u64 = 1 << 20;

/// A VM of three disks; the lease of whoever was killed ends soon.
fn simulator(power: PowerState) -> VsimBuilder {
    let disks =
        (0..3).fold(VmSpec::new("big").power(power), |vm, seed| vm.disk(DiskSpec::synth(40 + seed, 8 * MIB)));
    Vsim::builder().vm(disks).lease_timeout(Duration::from_secs(1))
}

/// Begins an export whose second disk is slow, and waits until the first is finished.
async fn half_done(power: PowerState, format: &str) -> (World, String) {
    let world = World::over(simulator(power), |config| config.set("download_workers", "1")).await;
    let slow = FaultKind::RateCap { bytes_per_second: 32 << 10 };
    world.sim.add_fault(FaultRule::stream(slow).file("disk-1.vmdk").always());
    let job = json!({ "vm_path": "/DC0/vm/big", "output_dir": world.out(), "format": format });
    let id = world.client().submit(&job).await;
    let begun = |job: &Value| {
        job["progress"]["files_downloaded"] == 1
            && job["progress"]["files"][1]["bytes_downloaded"].as_u64() > Some(0)
    };
    world.client().wait_for(&id, begun).await;
    world.sim.clear_faults();
    (world, id)
}

/// How often a file was begun at the source.
fn readings(world: &World, wanted: &str) -> usize {
    let events = world.sim.log().events();
    events.iter().filter(|event| matches!(event, Event::StreamStarted { file, .. } if file == wanted)).count()
}

async fn end(world: &World, id: &str) {
    let job = world.client().wait_for_end(id).await;
    assert_eq!(job["status"], "completed", "{job:#}\n{}", world.daemon.log());
    let path = job["result"]["ovf_path"].as_str().unwrap().to_owned();
    let (_, report) =
        world.client().post("/packages/verify", &json!({ "path": path, "level": "full" })).await;
    assert_eq!(report["ok"], true, "{report:#}");
    assert_eq!(job["result"]["files"].as_array().unwrap().len(), 3);
    assert_eq!(names(&world.out()), ["big", "big.receipt.json"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_finished_disk_is_kept_while_its_snapshot_survives() {
    for format in ["ovf", "qcow2"] {
        let (world, id) = half_done(PowerState::On, format).await;
        // Once the VM is busy for a while with the lease of the daemon that was killed, which is waited for.
        let world = world.crash_and(|sim| {
            if format != "ovf" {
                sim.expire_leases(None);
            }
        });
        end(&world, &id).await;
        assert_eq!(readings(&world, "disk-0.vmdk"), 1, "{format}: it was finished");
        assert_eq!(readings(&world, "disk-1.vmdk"), 2, "{format}: it was not");
        assert_eq!(readings(&world, "disk-2.vmdk"), 1, "{format}: it had not begun");
        assert_eq!(world.sim.log().calls("CreateSnapshot_Task"), 1, "{format}");
        world.stop_after_a_kill().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_finished_disk_that_was_damaged_or_is_of_a_stopped_vm_is_fetched_again() {
    let (world, id) = half_done(PowerState::On, "ovf").await;
    let partial =
        world.out().join(names(&world.out()).into_iter().find(|name| name.contains(".ovf@")).unwrap());
    let disk = partial.join("big-disk-0.vmdk");
    let mut bytes = std::fs::read(&disk).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&disk, bytes).unwrap();
    let world = world.crash_and(|sim| {
        sim.expire_leases(None);
    });
    end(&world, &id).await;
    assert_eq!(readings(&world, "disk-0.vmdk"), 2, "not a bit of it may differ");
    world.stop_after_a_kill().await;

    // Nothing says that a VM without a snapshot has not been written to meanwhile.
    let (world, id) = half_done(PowerState::Off, "ovf").await;
    let world = world.crash_and(|sim| {
        sim.expire_leases(None);
    });
    end(&world, &id).await;
    assert_eq!(readings(&world, "disk-0.vmdk"), 2);
    world.stop_after_a_kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_snapshot_is_gone_starts_over() {
    let (world, id) = half_done(PowerState::On, "ovf").await;
    // As if it had been read from another snapshot than the one that is there.
    let journal = names(&world.out()).into_iter().find(|name| name.contains(".journal@")).unwrap();
    let journal = world.out().join(journal);
    let mut notes: Value = serde_json::from_slice(&std::fs::read(&journal).unwrap()).unwrap();
    notes["snapshot"] = json!("snapshot-999999");
    std::fs::write(&journal, notes.to_string()).unwrap();
    let world = world.crash_and(|sim| {
        sim.expire_leases(None);
    });
    end(&world, &id).await;
    assert_eq!(readings(&world, "disk-0.vmdk"), 2);
    assert_eq!(world.sim.log().calls("CreateSnapshot_Task"), 2);
    world.stop_after_a_kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_kept_for_the_next_attempt_goes_when_the_job_is_cancelled_before_it() {
    let world = World::over(simulator(PowerState::Off), |config| config).await;
    let cut = FaultKind::CutAfter { bytes: MIB };
    world.sim.add_fault(FaultRule::stream(cut).file("disk-1.vmdk").always());
    let job = json!({
        "vm_path": "/DC0/vm/big",
        "output_dir": world.out(),
        "keep_partial": true,
        "retry_delay": "1h",
    });
    let id = world.client().submit(&job).await;
    let failed = |job: &Value| job["status"] == "pending" && job["error"].is_string();
    world.client().wait_for(&id, failed).await;
    assert!(names(&world.out()).iter().any(|name| name.ends_with(".partial")), "{:?}", names(&world.out()));
    let (status, answer) = world.client().post("/jobs/cancel", &json!({ "job_ids": [id] })).await;
    assert_eq!(status, 200, "{answer}");
    let begun = std::time::Instant::now();
    while !names(&world.out()).is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", names(&world.out()));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    world.stop_clean().await;
}
