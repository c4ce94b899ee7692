//! Caps and bandwidth: what exports do to the hosts they share with others.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use hypersdk_vsim::{DiskSpec, Event, VmSpec, Vsim};
use serde_json::json;

use crate::world::{APP, World};

const HOSTS: usize = 3;
const VMS_A_HOST: usize = 10;

fn name(host: usize, number: usize) -> String {
    format!("h{host}-{number:02}")
}

fn host_of(vm: &str) -> usize {
    vm[1..2].parse().expect("a host's number")
}

/// Takes about fifteen seconds: thirty exports of about a second each, three at a time.
#[tokio::test(flavor = "multi_thread")]
async fn with_one_export_a_host_no_host_has_two_and_none_is_idle_while_its_vms_wait() {
    // The simulator deals machines out to its hosts in turn.
    let machines = (0..HOSTS * VMS_A_HOST).map(|index| {
        VmSpec::new(name(index % HOSTS, index / HOSTS)).disk(DiskSpec::synth(index as u64, 1 << 20))
    });
    let simulator = machines.fold(Vsim::builder().hosts(HOSTS).stream_rate(400_000), |sim, vm| sim.vm(vm));
    let world = World::over(simulator, |config| {
        config
            .set("limits", "{per_host: 1, per_datastore: 0, per_vcenter: 0}")
            .set("max_concurrent_jobs", "4")
    })
    .await;
    // All of the first host's, then all of the second's: the worst order.
    let jobs: Vec<_> = (0..HOSTS)
        .flat_map(|host| (0..VMS_A_HOST).map(move |number| format!("/DC0/vm/{}", name(host, number))))
        .map(|vm| world.job(&vm))
        .collect();
    let (status, answer) = world.client().post("/jobs/submit", &json!({ "jobs": jobs })).await;
    assert_eq!((status, answer["accepted"].as_u64()), (202, Some(30)), "{answer}");
    let ids: Vec<String> =
        answer["job_ids"].as_array().unwrap().iter().map(|id| id.as_str().unwrap().to_owned()).collect();
    let waiting = |job: &serde_json::Value| job["progress"]["waiting_for"].as_str().is_some();
    let waits = world.client().wait_for(&ids[5], waiting).await;
    assert_eq!(waits["progress"]["phase"], "waiting", "{waits:#}");
    assert!(waits["progress"]["waiting_for"].as_str().unwrap().starts_with("host "), "{waits:#}");
    for id in &ids {
        let job = world.client().wait_for_end(id).await;
        assert_eq!(job["status"], "completed", "{job:#}\n{}", world.daemon.log());
    }
    let mut open: BTreeMap<usize, usize> = BTreeMap::new();
    let mut opened = [0; HOSTS];
    // How often each host began an export while another was idle, by that other.
    let mut begun_while_idle = [[0; HOSTS]; HOSTS];
    for event in world.sim.log().events() {
        match event {
            Event::LeaseOpened { vm, .. } => {
                let host = host_of(&vm);
                *open.entry(host).or_default() += 1;
                assert!(open.values().all(|leases| *leases <= 1), "two leases on one host: {open:?}");
                opened[host] += 1;
                for idle in (0..HOSTS).filter(|idle| open.get(idle).is_none_or(|leases| *leases == 0)) {
                    begun_while_idle[idle][host] += 1;
                    // An export takes more than a second: a host that two of another's begin beside stood idle.
                    let waits = opened[idle] < VMS_A_HOST && opened.iter().all(|count| *count > 0);
                    assert!(!waits || begun_while_idle[idle][host] <= 1, "host {idle} was idle: {opened:?}");
                }
                begun_while_idle[host] = [0; HOSTS];
            }
            Event::LeaseCompleted { vm, .. } => *open.entry(host_of(&vm)).or_default() -= 1,
            _ => {}
        }
    }
    assert_eq!(opened, [VMS_A_HOST; HOSTS]);
    world.stop_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_waits_for_its_host_is_cancelled_at_once_and_keeps_no_other_from_running() {
    let machine = |name: &str| VmSpec::new(name).disk(DiskSpec::synth(7, 1 << 20));
    let simulator =
        Vsim::builder().hosts(2).stream_rate(100_000).vm(machine("a")).vm(machine("b")).vm(machine("c"));
    let world = World::over(simulator, |config| {
        config.set("limits", "{per_host: 1}").set("max_concurrent_jobs", "2")
    })
    .await;
    let first = world.client().submit(&world.job("/DC0/vm/a")).await;
    let exporting = |job: &serde_json::Value| job["progress"]["phase"] == "exporting";
    world.client().wait_for(&first, exporting).await;
    // The third machine is on the first one's host, the second is not.
    let third = world.client().submit(&world.job("/DC0/vm/c")).await;
    let waiting = |job: &serde_json::Value| job["progress"]["phase"] == "waiting";
    world.client().wait_for(&third, waiting).await;
    let second = world.client().submit(&world.job("/DC0/vm/b")).await;
    world.client().wait_for(&second, exporting).await;
    let begun = Instant::now();
    world.client().cancel(&third).await;
    let job = world.client().wait_for_end(&third).await;
    assert_eq!(job["status"], "cancelled", "{job:#}");
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    for id in [first, second] {
        world.client().cancel(&id).await;
        world.client().wait_for_end(&id).await;
    }
    world.stop_clean().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_bandwidth_timetable_is_obeyed_by_a_transfer_in_flight_and_lifted_again() {
    let world = World::new().await;
    let slow = "00:00,64k 12:00,64k";
    let (status, limits) = world.client().put("/limits", &json!({ "bandwidth_limit": slow })).await;
    assert_eq!((status, limits["bytes_per_second"].as_u64()), (200, Some(64 << 10)), "{limits}");
    assert_eq!(limits["bandwidth_limit"], slow);
    let id = world.client().submit(&world.job(APP)).await;
    // About four megabytes at 64 KiB a second would take a minute.
    let job = world
        .client()
        .wait_for(&id, |job| job["progress"]["bytes_downloaded"].as_u64().is_some_and(|bytes| bytes > 0))
        .await;
    assert_eq!(job["status"], "running");
    tokio::time::sleep(Duration::from_secs(2)).await;
    let bytes = world.client().job(&id).await["progress"]["bytes_downloaded"].as_u64().unwrap();
    assert!(bytes < 3 << 20, "{bytes} bytes came in spite of the limit");
    let (_, limits) =
        world.client().put("/limits", &json!({ "bandwidth_limit": "off", "per_host": 2 })).await;
    assert_eq!((limits["per_host"].as_u64(), limits["per_vcenter"].as_u64()), (Some(2), Some(8)), "{limits}");
    let job = world.client().wait_for_end(&id).await;
    assert_eq!(job["status"], "completed", "{job:#}");
    for (field, value) in
        [("bandwidth_limit", json!("fast")), ("per_host", json!(-1)), ("per_hots", json!(1))]
    {
        let (status, problem) = world.client().put("/limits", &json!({ field: value })).await;
        assert_eq!((status, problem["errors"][0]["field"].as_str()), (422, Some(field)), "{problem}");
    }
    world.stop_clean().await;
}
