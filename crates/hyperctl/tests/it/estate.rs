//! Looking before an export, what exports left behind, and the sessions in use.

use hypersdk_vsim::{DiskSpec, FaultKind, FaultRule, Obstacle, PowerState, VmSpec, Vsim};

use crate::world::{WEB, World};

#[tokio::test(flavor = "multi_thread")]
async fn an_export_is_validated_with_the_flags_it_would_have() {
    let machine = |name: &str| VmSpec::new(name).disk(DiskSpec::synth(1, 1 << 20));
    let simulator = Vsim::builder()
        .vm(machine("plain").folder("prod"))
        .vm(machine("runs").power(PowerState::On))
        .vm(machine("sealed").obstacle(Obstacle::Tpm));
    let world = World::over(simulator).await;
    let out = world.out();
    let validate = |arguments: &[&str]| {
        let line = [&["validate", "--output", out.to_str().unwrap()], arguments].concat();
        world.run(&line)
    };
    let good = validate(&["/DC0/vm/prod/plain", "/DC0/vm/runs"]);
    assert_eq!(good.code, 0, "{}{}", good.stdout, good.stderr);
    assert!(good.stdout.contains("/DC0/vm/runs: can be exported, about "), "{}", good.stdout);
    assert!(good.stdout.contains("info     the VM runs: it is exported from"), "{}", good.stdout);
    let bad = validate(&["/DC0/vm/runs", "/DC0/vm/sealed", "--power", "keep"]);
    assert_eq!((bad.code, bad.stderr.trim()), (1, "hyperctl: 2 of 2 exports would fail"), "{}", bad.stdout);
    assert!(bad.stdout.contains("error    the VM runs, and power is keep"), "{}", bad.stdout);
    assert!(bad.stdout.contains("-> remove it from the VM"), "{}", bad.stdout);
    let bad = validate(&["/DC0/vm/prod/plain", "--exclude-disk", "Hard disk 7"]);
    assert!(bad.code == 1 && bad.stdout.contains("\"Hard disk 7\""), "{}", bad.stdout);
    let bad = validate(&["/DC0/vm/none"]);
    assert!(bad.code == 1 && bad.stdout.contains("error    vm_path: "), "{}{}", bad.stdout, bad.stderr);
    let json = world.json(&["validate", "/DC0/vm/prod/*", "--output", out.to_str().unwrap()]);
    assert_eq!((&json["valid"], &json["jobs"][0]["vm_path"]), (&true.into(), &"/DC0/vm/prod/plain".into()));
    assert_eq!(world.json(&["jobs"])["total"], 0, "nothing was made");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_exports_left_behind_is_listed_and_removed_but_not_while_they_run() {
    let running = VmSpec::new("runs").power(PowerState::On).disk(DiskSpec::synth(1, 8 << 20));
    let world = World::over(Vsim::builder().vm(running)).await;
    assert_eq!(world.json(&["orphans"])["orphans"], serde_json::json!([]));
    world.sim.add_fault(FaultRule::stream(FaultKind::StallAt { bytes: 1 << 20 }).always());
    let out = world.out();
    let id = world.run(&["export", "/DC0/vm/runs", "--output", out.to_str().unwrap()]).stdout;
    let id = id.trim();
    let moving = |job: &serde_json::Value| job["progress"]["phase"] == "exporting";
    world.daemon.client().wait_for(id, moving).await;
    let listed = world.run(&["orphans", "list"]);
    assert!(listed.code == 0 && listed.stdout.contains("live"), "{}{}", listed.stdout, listed.stderr);
    let snapshot = world.json(&["orphans"])["orphans"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(world.run(&["orphans", "remove", &snapshot]).code, 6, "a job runs on it");
    let cleared = world.run(&["orphans", "remove", "--all"]);
    assert_eq!((cleared.code, cleared.stdout.trim()), (0, ""), "{}", cleared.stderr);
    assert_eq!(world.run(&["orphans", "remove"]).code, 2, "it says which");
    assert_eq!(world.run(&["cancel", id, "--wait"]).code, 0);
    assert_eq!(world.run(&["orphans", "remove", &snapshot]).code, 5, "the export removed its own");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sessions_of_each_connection_are_shown() {
    let world = World::new().await;
    world.export(WEB);
    let shown = world.run(&["pool"]);
    assert_eq!(shown.code, 0, "{}", shown.stderr);
    let row = shown
        .stdout
        .lines()
        .find(|line| line.trim_start().starts_with("default"))
        .expect("the one connection");
    assert!(row.split_whitespace().count() == 8, "{}", shown.stdout);
    let json = world.json(&["pool"]);
    assert_eq!(json["connections"][0]["provider"], "default");
    assert!(json["total_created"].as_u64() >= Some(1), "{json}");
}
