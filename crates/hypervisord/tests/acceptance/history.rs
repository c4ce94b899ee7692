//! A pause that outlives a restart, a copy of the running database, and forgetting.

use std::path::Path;
use std::process::Command;

use hypersdk_tests::{Daemon, DaemonConfig, command};
use hypersdk_vsim::{DiskSpec, PowerState, VmSpec, Vsim};
use serde_json::json;

use crate::BINARY;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_is_paused_copied_and_forgets_as_it_is_told() {
    let sim = Vsim::builder()
        .vm(VmSpec::new("web").power(PowerState::Off).disk(DiskSpec::synth(1, 1 << 20)))
        .start()
        .await
        .unwrap();
    let directory = tempfile::tempdir().unwrap();
    let config =
        DaemonConfig::over(&sim, directory.path()).set("node_name", "lab").set("labels", "near, fast");
    let daemon = Daemon::start(BINARY, &config);
    let (status, answer) = daemon.client().post("/admin/pause", &json!({})).await;
    assert_eq!((status, &answer["paused"]), (200, &json!(true)), "{answer}");
    let job = |name: &str, extra: serde_json::Value| {
        let mut job = json!({ "id": name, "vm_path": "/DC0/vm/web", "output_dir": directory.path(), "package_name": name });
        job.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        job
    };
    let near =
        daemon.client().submit(&job("near", json!({ "labels": ["near"], "submitter": "alice" }))).await;
    let far = daemon.client().submit(&job("far", json!({ "labels": ["far"] }))).await;
    let next = daemon.client().submit(&job("next", json!({ "after": ["near"], "timeout": "1h" }))).await;
    daemon.kill();

    let daemon = Daemon::start(BINARY, &config);
    let client = daemon.client();
    let (_, ready) = client.get("/health/ready").await;
    assert_eq!(
        (&ready["status"], &ready["paused"]),
        (&json!("ready"), &json!(true)),
        "a pause outlives a crash"
    );
    let (_, status) = client.get("/status").await;
    assert_eq!(
        (&status["pending_jobs"], &status["nodes"][0]["name"]),
        (&json!(3), &json!("lab")),
        "{status}"
    );
    assert_eq!(status["nodes"][0]["labels"], json!(["fast", "near"]));
    let (status, answer) = client.post("/admin/resume", &json!({})).await;
    assert_eq!((status, &answer["paused"]), (200, &json!(false)), "{answer}");
    for id in [&near, &next] {
        let job = client.wait_for_end(id).await;
        assert_eq!(job["status"], "completed", "{job}\n{}", daemon.log());
    }
    assert_eq!(client.job(&far).await["status"], "pending", "nobody has its label");
    assert_eq!(client.job(&near).await["definition"]["submitter"], "alice");

    let copy = directory.path().join("copy.db");
    let backup = || {
        Command::new(BINARY)
            .args(["backup", copy.to_str().unwrap(), "--config"])
            .arg(directory.path().join("hypersdk.yaml"))
            .output()
            .unwrap()
    };
    let done = backup();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let query = |sql: &str| command("sqlite3", &[copy.to_str().unwrap(), sql], Path::new("/"));
    assert_eq!(query("PRAGMA integrity_check").trim(), "ok");
    assert_eq!(query("SELECT id FROM jobs ORDER BY id").lines().collect::<Vec<_>>(), ["far", "near", "next"]);
    let again = backup();
    assert!(!again.status.success());
    assert!(String::from_utf8_lossy(&again.stderr).contains("exists"), "a copy replaces nothing");
    let (status, _, log) = daemon.stop();
    assert!(status.success(), "{log}");

    let daemon = Daemon::start(BINARY, &config.set("history", "{ keep: 1 }"));
    let client = daemon.client();
    let begun = std::time::Instant::now();
    while client.get("/jobs/near").await.0 != 404 {
        assert!(begun.elapsed() < std::time::Duration::from_secs(30), "{}", daemon.log());
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(client.job(&next).await["status"], "completed", "the newest is kept");
    assert_eq!(client.job(&far).await["status"], "pending");
    let (status, _, log) = daemon.stop();
    assert!(status.success(), "{log}");
    sim.shutdown().await;
}
