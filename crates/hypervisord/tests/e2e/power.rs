//! The options of an export: what is done about a running VM, that it is undone, and what is left out.

use hypersdk_vsim::{Attachment, DiskSpec, Event, FaultKind, FaultRule, Obstacle, PowerState, VmSpec, Vsim};
use serde_json::json;

use crate::world::{APP, WEB, World};

async fn export(world: &World, options: serde_json::Value) -> serde_json::Value {
    let mut job = world.job(APP);
    job["options"] = options;
    job["overwrite"] = json!(true);
    world.run(&job).await
}

fn switches(world: &World) -> Vec<PowerState> {
    let power = |event| match event {
        Event::PowerChanged { power, .. } => Some(power),
        _ => None,
    };
    world.sim.log().events().into_iter().filter_map(power).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vm_that_is_stopped_for_its_export_runs_again_afterwards() {
    let world = World::new().await;
    for (count, policy) in ["shutdown", "poweroff"].into_iter().enumerate() {
        let job = export(&world, json!({ "power": policy })).await;
        assert_eq!(job["status"], "completed", "{job:#}\n{}", world.daemon.log());
        assert_eq!(switches(&world).len(), 2 * (count + 1), "off and on again: {policy}");
        assert_eq!(world.sim.power("app"), Some(PowerState::On));
    }
    let job = export(&world, json!({ "power": "poweroff", "restore_power": false })).await;
    assert_eq!(job["status"], "completed", "{job:#}");
    assert_eq!(world.sim.power("app"), Some(PowerState::Off));
    assert!(world.sim.log().snapshots().is_empty());
    world.stop_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vm_that_was_stopped_runs_again_after_a_failure_too() {
    let world = World::over(crate::world::simulator(), |config| config.set("retry_attempts", "0")).await;
    world.sim.add_fault(
        FaultRule::method("ExportVm", FaultKind::MethodFault { fault: "FileFault".to_owned() }).always(),
    );
    let job = export(&world, json!({ "power": "poweroff" })).await;
    assert_eq!(job["status"], "failed", "{job:#}");
    assert_eq!(switches(&world), [PowerState::Off, PowerState::On]);
    assert_eq!(hypersdk_tests::names(&world.out()), [""; 0], "nothing is remembered any more");
    world.stop_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vm_that_a_killed_daemon_had_stopped_runs_again_after_the_next_attempt() {
    let simulator = crate::world::simulator().lease_timeout(std::time::Duration::from_secs(2));
    let world = World::over(simulator, |config| config.set("retry_attempts", "8")).await;
    world.sim.add_fault(FaultRule::stream(FaultKind::RateCap { bytes_per_second: 1 << 20 }).always());
    let mut job = world.job(APP);
    job["options"] = json!({ "power": "poweroff" });
    let id = world.client().submit(&job).await;
    let moving =
        |job: &serde_json::Value| job["progress"]["bytes_downloaded"].as_u64().is_some_and(|bytes| bytes > 0);
    world.client().wait_for(&id, moving).await;
    let world = world.crash();
    world.sim.clear_faults();
    assert_eq!(world.sim.power("app"), Some(PowerState::Off));
    let job = world.client().wait_for_end(&id).await;
    assert_eq!(job["status"], "completed", "{job:#}\n{}", world.daemon.log());
    assert_eq!(world.sim.power("app"), Some(PowerState::On));
}

#[tokio::test(flavor = "multi_thread")]
async fn disks_are_left_out_as_asked_for() {
    let world = World::new().await;
    let mut job = world.job(WEB);
    job["options"] = json!({ "disks": { "exclude": ["Hard disk 2"] }, "include_snapshots": "no" });
    let done = world.complete(&job).await;
    let files = done["result"]["files"].as_array().unwrap();
    assert_eq!(files.iter().filter(|file| file["name"].as_str().unwrap().ends_with(".vmdk")).count(), 1);
    job["options"] = json!({ "disks": { "include": ["Hard disk 9"] } });
    job["overwrite"] = json!(true);
    let refused = world.run(&job).await;
    assert_eq!(refused["status"], "failed");
    assert!(refused["error"].as_str().unwrap().contains("Hard disk 9"), "{refused:#}");
    for (field, value) in [
        ("options.include_snapshots", json!({ "include_snapshots": "yes" })),
        ("options.disks.include", json!({ "disks": { "include": [true] } })),
        ("options.disks.only", json!({ "disks": { "only": [] } })),
        ("options.power", json!({ "power": "pull the plug" })),
    ] {
        job["options"] = value;
        let (status, problem) = world.client().post("/jobs/submit", &job).await;
        assert_eq!((status, problem["errors"][0]["field"].as_str()), (422, Some(field)), "{problem}");
    }
    world.stop_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_is_asked_to_flush_its_file_systems_only_if_the_job_says_so() {
    let world = World::new().await;
    for quiesce in [false, true] {
        let job = export(&world, json!({ "quiesce": quiesce })).await;
        assert_eq!(job["status"], "completed", "{job:#}\n{}", world.daemon.log());
    }
    let quiesced = |event| match event {
        Event::SnapshotCreated { quiesced, .. } => Some(quiesced),
        _ => None,
    };
    let quiesced: Vec<bool> = world.sim.log().events().into_iter().filter_map(quiesced).collect();
    assert_eq!(quiesced, [false, true]);
    world.stop_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connected_image_is_in_the_package_unless_the_job_says_otherwise() {
    let contents: Vec<u8> = (0..100_000_u32).map(|number| (number % 251) as u8).collect();
    let machine = VmSpec::new("cd")
        .disk(DiskSpec::synth(5, 1 << 20))
        .obstacle(Obstacle::ConnectedIso(contents.clone().into()));
    let world = World::over(Vsim::builder().vm(machine), |config| config).await;
    let mut job = world.job("/DC0/vm/cd");
    job["format"] = json!("ovf");
    job["verify"] = json!("full");
    for (name, remove) in [("with", false), ("without", true)] {
        job["package_name"] = json!(name);
        job["options"] = json!({ "remove_cdrom": remove });
        world.complete(&job).await;
    }
    let package = |name: &str| world.out().join(name);
    assert_eq!(
        hypersdk_tests::names(&package("with")),
        ["with-cd.iso", "with-disk-0.vmdk", "with.mf", "with.ovf"]
    );
    assert_eq!(std::fs::read(package("with").join("with-cd.iso")).unwrap(), contents);
    assert_eq!(
        hypersdk_tests::names(&package("without")),
        ["without-disk-0.vmdk", "without.mf", "without.ovf"]
    );
    let descriptor = |name: &str| std::fs::read_to_string(package(name).join(format!("{name}.ovf"))).unwrap();
    assert!(descriptor("with").contains("with-cd.iso"), "{}", descriptor("with"));
    assert!(!descriptor("without").contains(".iso"), "{}", descriptor("without"));
    world.stop_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_raw_device_keeps_a_vm_from_being_exported_until_it_is_left_out() {
    let machine = VmSpec::new("raw")
        .disk(DiskSpec::synth(5, 1 << 20))
        .disk(DiskSpec::synth(6, 1 << 20).attached(Attachment::RawPhysical));
    let world = World::over(Vsim::builder().vm(machine), |config| config).await;
    let mut job = world.job("/DC0/vm/raw");
    let refused = world.run(&job).await;
    assert_eq!(refused["status"], "failed");
    let error = refused["error"].as_str().unwrap();
    assert!(error.contains("Hard disk 2") && error.contains("physical mode"), "{error}");
    job["options"] = json!({ "disks": { "exclude": ["Hard disk 2"] } });
    let done = world.complete(&job).await;
    assert_eq!(done["result"]["files"].as_array().unwrap().len(), 1);
    world.stop_clean().await;
}
