//! What is in an export's way, found before it begins.

use hypersdk_vsim::{DiskSpec, Event, VmSpec, Vsim};
use serde_json::{Value, json};

use crate::world::{APP, WEB, World, simulator};

fn codes(verdict: &Value, level: &str) -> Vec<String> {
    let findings = verdict["findings"].as_array().unwrap();
    let of_level = findings.iter().filter(|finding| finding["level"] == level);
    of_level.map(|finding| finding["code"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_judged_without_being_made() {
    let world = World::new().await;
    let (status, answer) =
        world.client().post("/jobs/validate", &json!([world.job(WEB), world.job(APP)])).await;
    assert_eq!((status, answer["valid"].as_bool()), (200, Some(true)), "{answer:#}");
    let (web, app) = (&answer["jobs"][0], &answer["jobs"][1]);
    assert!(web["expected_bytes"].as_u64().is_some_and(|bytes| bytes > 1 << 20), "{web:#}");
    assert!(web["expected_seconds"].is_u64(), "{web:#}");
    assert!(codes(web, "error").is_empty(), "{web:#}");
    // No name server knows the simulator's hosts, which is just what this is to find out.
    assert_eq!(codes(web, "warning"), ["host_unreachable"], "{web:#}");
    assert!(codes(app, "info").contains(&"power_state".to_owned()), "{app:#}");
    let (_, wrong) = world.client().post("/jobs/validate", &world.job("/DC0/vm/no-such")).await;
    assert_eq!(
        (wrong["valid"].as_bool(), wrong["jobs"][0]["errors"][0]["field"].as_str()),
        (Some(false), Some("vm_path"))
    );
    let (_, jobs) = world.client().get("/jobs").await;
    assert_eq!(jobs["jobs"], json!([]), "nothing was made");
    assert!(!world.sim.log().events().iter().any(|event| matches!(event, Event::LeaseOpened { .. })));
    world.stop_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_privilege_fails_the_job_by_name_before_any_lease_or_snapshot() {
    let simulator = simulator().deny_privilege("VirtualMachine.State.RemoveSnapshot");
    let world = World::over(simulator, |config| config).await;
    let (_, answer) = world.client().post("/jobs/validate", &world.job(APP)).await;
    assert_eq!(codes(&answer["jobs"][0], "error"), ["privilege_missing"], "{answer:#}");
    let job = world.run(&world.job(APP)).await;
    assert_eq!(job["status"], "failed", "{job:#}");
    let error = job["error"].as_str().unwrap();
    assert!(error.contains("VirtualMachine.State.RemoveSnapshot") && error.contains("app"), "{error}");
    let touched = |event: &Event| {
        matches!(
            event,
            Event::LeaseOpened { .. } | Event::SnapshotCreated { .. } | Event::PowerChanged { .. }
        )
    };
    assert!(!world.sim.log().events().iter().any(touched));
    world.stop_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_vm_that_is_to_be_left_alone_is_refused_with_the_remedy() {
    let world = World::new().await;
    let mut job = world.job(APP);
    job["options"] = json!({ "power": "keep" });
    let done = world.run(&job).await;
    assert_eq!(done["status"], "failed");
    assert!(done["error"].as_str().unwrap().contains("shutdown"), "{done:#}");
    world.stop_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_package_that_will_not_fit_is_refused_and_the_time_follows_the_bandwidth_limit() {
    let free = std::process::Command::new("df")
        .args(["--block-size=1", "--output=avail", std::env::temp_dir().to_str().expect("UTF-8")])
        .output()
        .expect("df runs");
    let free: u64 = String::from_utf8_lossy(&free.stdout).lines().last().unwrap().trim().parse().unwrap();
    // A thin disk that holds twice what is free here.
    let simulator = Vsim::builder()
        .vm(VmSpec::new("large").disk(DiskSpec::synth(1, 2 * free).fill(1.0)))
        .vm(VmSpec::new("small").disk(DiskSpec::synth(2, 4 << 20).fill(1.0)));
    let world =
        World::over(simulator, |config| config.set("bandwidth_limit", "64k").set("retry_attempts", "0"))
            .await;
    let small = world.job("/DC0/vm/small");
    let (_, answer) = world.client().post("/jobs/validate", &small).await;
    let verdict = &answer["jobs"][0];
    let (bytes, seconds) = (&verdict["expected_bytes"], &verdict["expected_seconds"]);
    assert_eq!(bytes.as_u64().map(|bytes| bytes.div_ceil(64 << 10)), seconds.as_u64(), "{verdict:#}");
    let large = world.job("/DC0/vm/large");
    let (_, answer) = world.client().post("/jobs/validate", &large).await;
    assert_eq!(codes(&answer["jobs"][0], "error"), ["space_here"], "{answer:#}");
    let job = world.run(&large).await;
    assert_eq!(job["status"], "failed");
    assert!(job["error"].as_str().unwrap().contains("may not fit"), "{job:#}");
    world.stop_clean().await;
}
