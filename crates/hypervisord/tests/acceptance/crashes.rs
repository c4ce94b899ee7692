//! A driver submits jobs and kills the daemon at random instants. Takes about two minutes for 300 of them.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use hypersdk_tests::{Daemon, DaemonConfig, Postgres, command};
use hypersdk_vsim::{DiskSpec, PowerState, VmSpec, Vsim};
use serde_json::{Value, json};

use crate::{BINARY, pairs, replay, scale};

const VMS: usize = 4;

/// What was sent, and which of it may not have arrived.
#[derive(Default)]
struct Driver {
    http: reqwest::Client,
    sent: BTreeSet<String>,
    unsure: Vec<Value>,
    number: usize,
}

impl Driver {
    /// A few jobs: most fail fast as their package's name is taken, some export, some come after another.
    fn batch(&mut self, out: &Path) -> Value {
        let mut jobs = Vec::new();
        for place in 0..4 {
            self.number += 1;
            let id = format!("job-{:05}", self.number);
            let mut job = json!({
                "id": id,
                "vm_path": format!("/DC0/vm/tiny{}", self.number % VMS),
                "output_dir": out,
                "package_name": "taken",
                "retry_attempts": 20,
                "retry_delay": "100ms",
            });
            if self.number % 40 == 1 {
                job["package_name"] = json!(id);
            }
            if place == 3 {
                job["after"] = json!([format!("job-{:05}", self.number - 1)]);
            }
            self.sent.insert(id);
            jobs.push(job);
        }
        json!({ "jobs": jobs })
    }

    /// Sends the batch. False if no answer came: it may have been accepted all the same.
    async fn send(&mut self, base: &str, batch: Value) -> bool {
        let answer = self.http.post(format!("{base}/jobs/submit")).json(&batch).send().await;
        let status = match answer {
            Ok(answer) => {
                let status = answer.status().as_u16();
                let text = answer.text().await;
                // A repeated batch is a conflict as a whole: it was accepted as a whole.
                assert!([202, 409, 503].contains(&status), "{status} {text:?} for {batch}");
                status
            }
            Err(_) => 0,
        };
        if status == 202 || status == 409 {
            return true;
        }
        self.unsure.push(batch);
        false
    }

    /// Sends until the daemon is gone.
    async fn drive(&mut self, base: &str, out: &Path) {
        for batch in std::mem::take(&mut self.unsure) {
            self.send(base, batch).await;
        }
        loop {
            let batch = self.batch(out);
            if !self.send(base, batch).await {
                return;
            }
            if self.number % 28 == 0 {
                let body = json!({ "job_ids": [format!("job-{:05}", self.number - 2)] });
                let _ = self.http.post(format!("{base}/jobs/cancel")).json(&body).send().await;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

async fn crash(configure: impl FnOnce(DaemonConfig) -> DaemonConfig, query: impl Fn(&str) -> String) {
    let mut simulator = Vsim::builder().lease_timeout(Duration::from_secs(1));
    for number in 0..VMS {
        let vm = VmSpec::new(format!("tiny{number}")).power(PowerState::Off);
        simulator = simulator.vm(vm.disk(DiskSpec::synth(number as u64, 1 << 20)));
    }
    let sim = simulator.start().await.expect("the simulator starts");
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("out");
    std::fs::create_dir(&out).unwrap();
    std::fs::write(out.join("taken.ova"), "somebody else's").unwrap();
    let config = configure(DaemonConfig::over(&sim, directory.path()).set("max_concurrent_jobs", "4"));
    // Reqwest wants a provider even for plain HTTP; somebody else may have installed it already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut driver = Driver::default();
    let crashes = scale("HYPERSDK_CRASHES", 300);
    for _ in 0..crashes {
        let daemon = Daemon::start(BINARY, &config);
        let base = daemon.client().base().to_owned();
        let kill = async {
            tokio::time::sleep(Duration::from_micros(fastrand::u64(..150_000))).await;
            daemon.kill();
        };
        tokio::join!(kill, driver.drive(&base, &out));
    }

    let daemon = Daemon::start(BINARY, &config);
    let base = daemon.client().base().to_owned();
    for batch in std::mem::take(&mut driver.unsure) {
        assert!(driver.send(&base, batch).await, "{}", daemon.log());
    }
    let begun = Instant::now();
    loop {
        let (_, status) = daemon.client().get("/status").await;
        if status["pending_jobs"] == 0 && status["running_jobs"] == 0 {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(300), "{status}\n{}", daemon.log());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let (status, _, log) = daemon.stop();
    assert!(status.success(), "{log}");

    let kept = pairs(&query("SELECT id, status FROM jobs"));
    assert_eq!(kept.keys().cloned().collect::<BTreeSet<_>>(), driver.sent, "every job once, and no other");
    let told = replay(&query("SELECT job, kind FROM events WHERE job IS NOT NULL ORDER BY seq"));
    for (job, status) in &kept {
        assert_eq!(told[job], status, "{job}");
        assert!(["completed", "failed", "cancelled"].contains(&status.as_str()), "{job} is {status}");
    }
    let mut counted = std::collections::BTreeMap::<&str, usize>::new();
    for status in kept.values() {
        *counted.entry(status).or_default() += 1;
    }
    let counts = pairs(&query("SELECT status, jobs FROM job_counts"));
    for (status, jobs) in &counts {
        assert_eq!(
            jobs.parse::<usize>().unwrap(),
            counted.get(status.as_str()).copied().unwrap_or(0),
            "{status}"
        );
    }
    let ended = |status: &str| counted.get(status).copied().unwrap_or_default();
    assert!(ended("completed") > 0 && ended("failed") > crashes, "{counted:?}");
    for (job, _) in kept.iter().filter(|(_, status)| *status == "completed") {
        assert!(out.join(format!("{job}.ova")).is_file(), "{job}");
    }
    sim.shutdown().await;
    let mut stderr = std::io::stderr().lock();
    let _ = std::io::Write::write_fmt(&mut stderr, format_args!("{crashes} crashes: {counted:?}\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_on_sqlite_whenever_the_daemon_is_killed() {
    let directory = tempfile::tempdir().unwrap();
    let database = directory.path().join("crash.db");
    let configured = format!("{database:?}");
    let path = database.to_str().unwrap().to_owned();
    let query = |sql: &str| command("sqlite3", &[&path, sql], Path::new("/"));
    crash(|config| config.set("database_path", &configured), query).await;
    assert_eq!(command("sqlite3", &[&path, "PRAGMA integrity_check"], Path::new("/")).trim(), "ok");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_on_postgresql_whenever_the_daemon_is_killed() {
    let server = Postgres::start(true);
    let url = server.database();
    let database = url.rsplit('/').next().unwrap().to_owned();
    crash(|config| config.set("database_url", &url), |sql| server.psql(&database, sql)).await;
}
