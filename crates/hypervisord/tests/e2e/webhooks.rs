//! Webhooks of the real daemon, to a receiver in a process of its own that behaves badly.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use hypersdk_tests::{Client, command};
use serde_json::{Value, json};

use crate::world::{APP, WEB, World, simulator};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// The receiver. Dropping it ends it.
struct Receiver {
    child: Child,
    port: String,
    file: PathBuf,
}

impl Receiver {
    fn start(directory: &Path) -> Self {
        let python = std::env::var("HYPERSDK_PYTHON").unwrap_or_else(|_| "python3".to_owned());
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/peers/webhooks/receiver.py");
        let file = directory.join("received.jsonl");
        let mut child = Command::new(&python)
            .arg(script)
            .arg(&file)
            .args(["--secret", SECRET])
            .stdout(Stdio::piped())
            .spawn()
            .expect("the interpreter starts");
        let mut port = String::new();
        BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut port).expect("text");
        let remedy = "pip install standardwebhooks, or name an interpreter that has it in HYPERSDK_PYTHON";
        assert!(!port.trim().is_empty(), "{python} did not run the receiver: {remedy}");
        Receiver { child, port: port.trim().to_owned(), file }
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}/{path}", self.port)
    }

    /// Everything that arrived at a path.
    fn received(&self, path: &str) -> Vec<Value> {
        let text = std::fs::read_to_string(&self.file).unwrap_or_default();
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("a line of JSON"));
        lines.filter(|line| line["path"] == format!("/{path}").as_str()).collect()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How often the daemon is killed; `HYPERSDK_KILLS` says otherwise. A hundred take a minute or so.
fn kills() -> usize {
    std::env::var("HYPERSDK_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(100)
}

fn webhook(name: &str, url: &str) -> Value {
    json!({
        "name": name, "url": url, "secret": SECRET, "allow_private": true, "timeout": "1s", "retry": 100,
        "retry_delay": "20ms",
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn every_event_arrives_in_order_although_the_daemon_is_killed_again_and_again() {
    let (kills, jobs) = (kills(), 500);
    let home = tempfile::tempdir().expect("a directory");
    let receiver = Receiver::start(home.path());
    let webhooks = json!([
        webhook("chaos", &receiver.url("chaos")),
        webhook("hang", &receiver.url("hang")),
        webhook("good", &receiver.url("good")),
    ]);
    let mut world = World::over(simulator(), |config| {
        config
            .set("webhooks", &webhooks.to_string())
            .set("max_concurrent_jobs", "8")
            .set("retry_attempts", "0")
            .set("log_level", "warn,hypervisord=info")
    })
    .await;
    // They fail at once: the VM runs, and they are told to leave it alone.
    let mut submitted = 0;
    for kill in 0..kills {
        let due = jobs * (kill + 1) / kills;
        if due > submitted {
            let batch: Vec<Value> = (submitted..due)
                .map(|number| {
                    let mut job = world.job(APP);
                    job["id"] = json!(format!("job-{number:03}"));
                    job["options"] = json!({ "power": "keep" });
                    job
                })
                .collect();
            let (status, answer) = world.client().post("/jobs/submit", &json!({ "jobs": batch })).await;
            assert_eq!(status, 202, "{answer}");
            if kill % 3 == 0 {
                let last = format!("job-{:03}", due - 1);
                world.client().post("/jobs/cancel", &json!({ "job_ids": [last] })).await;
            }
            submitted = due;
        }
        // Whatever it is doing then.
        tokio::time::sleep(Duration::from_millis(fastrand::u64(0..200))).await;
        world = world.crash();
    }
    assert_eq!(submitted, jobs);
    drained(world.client(), &["chaos", "good"]).await;
    let (_, stats) = world.client().get("/stats/webhooks").await;
    assert_ne!(stats["endpoints"]["hang"]["pending"], 0, "the dead one is still waited for: {stats}");

    let query = "SELECT job, kind, strftime('%Y-%m-%dT%H:%M:%S', time / 1000000, 'unixepoch') AS second
                 FROM events ORDER BY seq";
    let database = world.database();
    let log = command("sqlite3", &["-json", database.to_str().unwrap(), query], home.path());
    let log: Vec<Value> = serde_json::from_str(&log).expect("rows");
    let mut told: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
    for row in &log {
        let text = |name: &str| row[name].as_str().expect("a text").to_owned();
        told.entry(text("job")).or_default().push((text("kind"), text("second")));
    }
    assert_eq!(told.len(), jobs);
    for endpoint in ["chaos", "good"] {
        let arrived = receiver.received(endpoint);
        let forged: Vec<&Value> = arrived.iter().filter(|one| one["verified"] != true).collect();
        assert!(forged.is_empty(), "{} of {} did not verify: {forged:?}", forged.len(), arrived.len());
        let mut seen = BTreeSet::new();
        let mut taken: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
        for one in arrived.iter().filter(|one| one["answer"] == "200") {
            if seen.insert(one["id"].as_str().expect("an id").to_owned()) {
                let text = |name: &str| one[name].as_str().expect("a text").to_owned();
                let second = text("timestamp")[..19].to_owned();
                taken.entry(text("job")).or_default().push((text("event"), second));
            }
        }
        for (job, events) in &told {
            assert_eq!(taken.get(job), Some(events), "{endpoint}: what {job} was told of, in its order");
        }
        assert!(arrived.len() > seen.len() || endpoint == "good", "chaos makes some requests fail");
    }
    // What was killed has not logged out, so only the daemon's own end is looked at.
    let (status, _, log) = world.daemon.stop();
    assert!(status.success(), "{log}");
}

/// Waits until nothing waits for these endpoints any more; two minutes at most.
async fn drained(client: &Client, endpoints: &[&str]) {
    let begun = Instant::now();
    loop {
        let (_, jobs) = client.get("/stats").await;
        let (_, stats) = client.get("/stats/webhooks").await;
        let open = |name: &&str| {
            let of = &stats["endpoints"][*name];
            of["pending"] != 0 || of["in_flight"] != 0
        };
        let quiet = jobs["running_jobs"] == 0 && jobs["pending_jobs"] == 0 && !endpoints.iter().any(open);
        for name in endpoints {
            assert_eq!(stats["endpoints"][*name]["dead_kept"], 0, "{stats:#}");
        }
        if quiet {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(120), "not drained: {stats:#}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_given_over_the_api_are_nowhere_in_clear_and_survive_a_restart() {
    const GIVEN: &str = "whsec_bm90IHRvIGJlIHNlZW4gYW55d2hlcmUgYXQgYWxs";
    const TOKEN: &str = "bearer-not-to-be-seen";
    let home = tempfile::tempdir().expect("a directory");
    let key = home.path().join("secret.key");
    let binary = env!("CARGO_BIN_EXE_hypervisord");
    command(binary, &["secret-key", key.to_str().unwrap()], home.path());
    let receiver = Receiver::start(home.path());
    let configured = json!([{ "name": "configured", "url": receiver.url("good"), "allow_private": true, "secret": SECRET }]);
    let world = World::over(simulator(), |config| {
        config
            .set("webhooks", &configured.to_string())
            .set("secret_key_file", &format!("{key:?}"))
            .set("log_level", "debug")
    })
    .await;
    let endpoint = json!({
        "id": "api", "url": receiver.url("good/hidden-path"), "secret": GIVEN, "headers": { "Authorization": TOKEN },
        "allow_private": true, "retry": 0, "events": ["job.*"],
    });
    let (status, made) = world.client().post("/webhooks", &endpoint).await;
    assert_eq!((status, &made["secret"]), (201, &json!("********")), "{made}");
    // One that fails, so that the log has its line.
    let failing = json!({ "id": "failing", "url": "http://127.0.0.1:9/hidden-path", "secret": GIVEN, "allow_private": true, "retry": 0 });
    world.client().post("/webhooks", &failing).await;
    world.complete(&world.job(WEB)).await;
    drained(world.client(), &["api", "configured"]).await;
    let mut shown = String::new();
    for path in
        ["/webhooks", "/webhooks/api", "/webhooks/configured", "/webhooks/api/deliveries", "/stats/webhooks"]
    {
        shown.push_str(&world.client().get(path).await.1.to_string());
    }
    let (_, listed) = world.client().get("/webhooks/api/deliveries").await;
    let delivery = listed["deliveries"][0]["id"].as_str().expect("a delivery").to_owned();
    shown.push_str(&world.client().get(&format!("/webhooks/deliveries/{delivery}")).await.1.to_string());
    shown.push_str(&world.client().post("/webhooks/api/test", &json!({})).await.1.to_string());

    let before = world.daemon.log();
    assert!(before.contains("webhook delivery failed"), "{before}");
    let world = world.crash();
    let (_, again) = world.client().get("/webhooks/api").await;
    assert_eq!((&again["status"], &again["secret"]), (&json!("active"), &json!("********")), "{again}");
    let answer = world.client().post("/webhooks/api/test", &json!({})).await.1;
    assert_eq!(answer["delivered"], true, "{answer}");
    let mut written = Vec::new();
    for entry in std::fs::read_dir(world.path("")).expect("the directory reads") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.starts_with("hypersdk.db") {
            written.extend(std::fs::read(&path).expect("the database reads"));
        }
    }
    let written = String::from_utf8_lossy(&written).into_owned();
    assert!(written.contains("job.completed"), "it is the database");
    // What was killed has not logged out of vCenter, so only the daemon's own end is looked at.
    let (status, _, after) = world.daemon.stop();
    assert!(status.success(), "{after}");
    let log = before + after.as_str();
    for secret in [GIVEN, &GIVEN[6..], SECRET, &SECRET[6..], TOKEN] {
        assert!(!shown.contains(secret) && !written.contains(secret) && !log.contains(secret), "{secret}");
    }
    assert!(!written.contains("hidden-path") && !log.contains("hidden-path"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_delivery_is_in_the_log_and_a_stop_says_what_was_done() {
    let webhooks =
        json!([{ "name": "ops", "url": "http://127.0.0.1:9/", "allow_private": true, "retry": 0 }]);
    let world = World::over(simulator(), |config| config.set("webhooks", &webhooks.to_string())).await;
    world.complete(&world.job(WEB)).await;
    let begun = Instant::now();
    while world.client().get("/stats/webhooks").await.1["dead"] != 3 {
        assert!(begun.elapsed() < Duration::from_secs(30), "{}", world.daemon.log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let (status, _, log) = world.daemon.stop();
    assert!(status.success());
    assert_eq!(log.matches("webhook delivery failed").count(), 3, "{log}");
    let statistics = log.lines().find(|line| line.contains("webhook statistics")).expect("statistics");
    assert!(statistics.contains("dead=3") && statistics.contains("attempts=3"), "{statistics}");
}
