//! Three daemons on one PostgreSQL; one is killed and one put to sleep meanwhile.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use hypersdk_tests::{Client, Daemon, DaemonConfig, Postgres, names};
use hypersdk_vsim::{DiskSpec, Event, PowerState, VmSpec, Vsim};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::{BINARY, pairs, replay, scale};

/// How long a claim outlives its owner's last heartbeat, and some.
const ASLEEP: Duration = Duration::from_secs(40);

/// Jobs of one request.
const AT_ONCE: usize = 500;

fn vm(number: usize) -> String {
    format!("vm{number:04}")
}

async fn completed(client: &Client) -> u64 {
    let (_, status) = client.get("/status").await;
    status["completed_jobs"].as_u64().unwrap()
}

async fn until(client: &Client, daemons: &[&Daemon], jobs: u64) {
    let begun = Instant::now();
    while completed(client).await < jobs {
        let logs: Vec<_> = daemons.iter().map(|daemon| daemon.log()).collect();
        assert!(begun.elapsed() < Duration::from_secs(600), "{}", logs.join("\n\n"));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_daemons_do_each_job_once_though_one_dies_and_one_sleeps() {
    let jobs = scale("HYPERSDK_JOBS", 2000);
    let mut simulator = Vsim::builder().lease_timeout(Duration::from_secs(5));
    for number in 0..jobs {
        let vm = VmSpec::new(vm(number)).power(PowerState::Off);
        simulator = simulator.vm(vm.disk(DiskSpec::synth(number as u64, 128 << 10)));
    }
    let sim = simulator.start().await.expect("the simulator starts");
    let url = Postgres::shared().database();
    let database = url.rsplit('/').next().unwrap().to_owned();
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("out");
    std::fs::create_dir(&out).unwrap();
    let start = |name: &str| {
        let own = directory.path().join(name);
        std::fs::create_dir(&own).unwrap();
        let config = DaemonConfig::over(&sim, &own)
            .set("database_url", &url)
            .set("node_name", name)
            .set("max_concurrent_jobs", "4")
            .set("retry_attempts", "20");
        Daemon::start(BINARY, &config)
    };
    let (one, two, three) = (start("one"), start("two"), start("three"));
    let numbers: Vec<usize> = (0..jobs).collect();
    for chunk in numbers.chunks(AT_ONCE) {
        let batch: Vec<Value> = chunk
            .iter()
            .map(|number| {
                json!({ "id": vm(*number), "vm_path": format!("/DC0/vm/{}", vm(*number)), "output_dir": out })
            })
            .collect();
        let (status, answer) = one.client().post("/jobs/submit", &json!({ "jobs": batch })).await;
        assert_eq!((status, &answer["rejected"]), (202, &json!(0)), "{answer}");
    }
    let third = jobs as u64 / 3;
    until(one.client(), &[&one, &two, &three], third).await;
    let (_, status) = one.client().get("/status").await;
    let alive = |status: &Value| {
        let nodes = status["nodes"].as_array().unwrap().clone();
        nodes.iter().filter(|node| node["alive"] == true).count()
    };
    assert_eq!(alive(&status), 3, "{status}");
    two.kill();
    three.signal(Signal::STOP);
    let asleep = Instant::now();
    tokio::time::sleep_until((asleep + ASLEEP).into()).await;
    let (_, status) = one.client().get("/status").await;
    assert_eq!(alive(&status), 1, "the dead and the sleeping are seen as gone: {status}");
    three.signal(Signal::CONT);
    until(one.client(), &[&one, &three], jobs as u64).await;

    let kept = pairs(&Postgres::shared().psql(&database, "SELECT id, status FROM jobs"));
    assert_eq!(kept.len(), jobs);
    let events = "SELECT job, kind FROM events WHERE job IS NOT NULL ORDER BY seq";
    let told = replay(&Postgres::shared().psql(&database, events));
    assert!(told.values().all(|status| *status == "completed"));
    for daemon in [one, three] {
        let (status, _, log) = daemon.stop();
        assert!(status.success(), "{log}");
    }
    let mut leases: BTreeMap<String, usize> = BTreeMap::new();
    for event in sim.log().events() {
        if let Event::LeaseCompleted { vm, .. } = event {
            *leases.entry(vm).or_default() += 1;
        }
    }
    let twice: Vec<_> = leases.iter().filter(|(_, times)| **times > 1).collect();
    assert_eq!(leases.len(), jobs, "each VM was exported");
    // What the dead and the sleeping had in hand may have been exported without having been published.
    assert!(twice.len() <= 8, "{twice:?}");
    each_package_is_its_jobs(&out, jobs, &database);
    sim.shutdown().await;
    let mut stderr = std::io::stderr().lock();
    let _ = std::io::Write::write_fmt(
        &mut stderr,
        format_args!("{jobs} jobs, {} exported again after their daemon was gone\n", twice.len()),
    );
}

/// What stands in the directory is what the attempt wrote that completed the job, and nothing else.
fn each_package_is_its_jobs(out: &Path, jobs: usize, database: &str) {
    let mut expected = Vec::new();
    for number in 0..jobs {
        expected.push(format!("{}.ova", vm(number)));
        expected.push(format!("{}.receipt.json", vm(number)));
    }
    expected.sort();
    assert_eq!(names(out), expected);
    for line in Postgres::shared().psql(database, "SELECT id, outcome FROM jobs").lines() {
        let (job, outcome) = line.split_once('|').unwrap();
        let outcome: Value = serde_json::from_str(outcome).unwrap();
        let receipt = std::fs::read_to_string(out.join(format!("{job}.receipt.json"))).unwrap();
        let receipt: Value = serde_json::from_str(&receipt).unwrap();
        assert_eq!(receipt["outcome"]["checksum"], outcome["checksum"], "{job}");
    }
}
