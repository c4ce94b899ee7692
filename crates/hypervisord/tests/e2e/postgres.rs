//! The daemon over PostgreSQL.

use hypersdk_tests::Postgres;
use serde_json::json;

use crate::world::{WEB, World, simulator};

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_done_and_kept_in_postgresql_and_no_password_is_shown() {
    let url = Postgres::shared().database();
    let with_password = url.replace("s3cret%20of%20the%20tests", "${PGSECRET}");
    assert_ne!(with_password, url);
    let without = url.replace(":s3cret%20of%20the%20tests", "");
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("password");
    std::fs::write(&file, Postgres::PASSWORD).unwrap();
    let world = World::over(simulator(), |config| {
        config.set("database_url", &without).set("database_password_file", &format!("{file:?}"))
    })
    .await;
    let done = world.complete(&world.job(WEB)).await;
    let id = done["definition"]["id"].as_str().unwrap().to_owned();
    let world = world.crash();
    assert_eq!(world.client().job(&id).await["status"], "completed");
    let (_, status) = world.client().get("/status").await;
    assert_eq!(status["completed_jobs"], json!(1), "{status}");
    assert!(!world.database().exists(), "no SQLite file is made");
    let metrics = ["-s", &format!("{}/metrics", world.client().base())];
    let metrics = hypersdk_tests::command("curl", &metrics, &world.out());
    let size = metrics.lines().find_map(|line| line.strip_prefix("hypersdk_database_size_bytes "));
    let size: f64 = size.expect("the size is told").parse().expect("a number");
    assert!(size > 1e6, "an empty database of PostgreSQL has several megabytes, and this says {size}");
    assert!(!world.daemon.log().contains("s3cret"), "{}", world.daemon.log());
    let (status, _, log) = world.daemon.stop();
    assert!(status.success(), "{log}");
    assert!(!log.contains("s3cret"), "{log}");

    let file = directory.path().join("hypersdk.yaml");
    std::fs::write(&file, format!("database_url: {with_password}\n")).unwrap();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_hypervisord"))
        .args(["check-config", "--config"])
        .arg(&file)
        .env("PGSECRET", "s3cret%20of%20the%20tests")
        .output()
        .unwrap();
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{shown}{}", String::from_utf8_lossy(&output.stderr));
    assert!(shown.contains("postgres://hyper:********@127.0.0.1"), "{shown}");
    assert!(!shown.contains("s3cret"), "{shown}");
}
