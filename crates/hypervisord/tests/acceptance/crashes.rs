//! A driver submits jobs and makes schedules, and the daemon is killed at random instants. Afterwards nothing is
//! lost and nothing was done twice.
//!
//! Three hundred instants on each store take about two minutes, as both run at once; `HYPERSDK_CRASHES` sets another
//! number.

mod driver;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

use hypersdk_tests::{Daemon, DaemonConfig, Postgres, command, names};

use self::driver::Driver;
use crate::{BINARY, pairs, replay, scale};

/// A daemon lives until it has answered so many requests, however busy the machine is, and then for a moment.
const ANSWERS: std::ops::Range<usize> = 0..6;
const MOMENT: std::ops::Range<u64> = 0..80_000;

/// How long what is left over may take once nobody is killed any more.
const PATIENCE: Duration = Duration::from_secs(180);

async fn crash(
    store: &str,
    configure: impl FnOnce(DaemonConfig) -> DaemonConfig,
    query: impl Fn(&str) -> String,
) {
    // Reqwest wants a provider even for plain HTTP; somebody else may have installed it already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let sim = driver::simulator().start().await.expect("the simulator starts");
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("out");
    std::fs::create_dir(&out).unwrap();
    std::fs::write(out.join("taken.ova"), "somebody else's").unwrap();
    let config = DaemonConfig::over(&sim, directory.path())
        .set("node_name", "crashing")
        .set("claim_timeout", "3s")
        .set("max_concurrent_jobs", "4");
    let config = configure(config);
    let mut driver = Driver::new(out.clone());
    let crashes = scale("HYPERSDK_CRASHES", 300);
    let begun = Instant::now();
    for _ in 0..crashes {
        let daemon = Daemon::start(BINARY, &config);
        let base = daemon.client().base().to_owned();
        let (told, mut answers) = tokio::sync::watch::channel(0);
        let kill = async {
            let wanted = fastrand::usize(ANSWERS);
            let answered = answers.wait_for(|answers| *answers >= wanted);
            let _ = tokio::time::timeout(Duration::from_secs(5), answered).await;
            tokio::time::sleep(Duration::from_micros(fastrand::u64(MOMENT))).await;
            daemon.kill();
        };
        tokio::join!(kill, driver.drive(&base, &told));
    }
    let killed = begun.elapsed();

    let daemon = Daemon::start(BINARY, &config);
    let base = daemon.client().base().to_owned();
    assert!(driver.make_sure(&base).await, "{}", daemon.log());
    let last = driver.schedules.values().flatten().max().copied().unwrap_or_default();
    let begun = Instant::now();
    loop {
        let (_, status) = daemon.client().get("/status").await;
        let open = query("SELECT count(*) FROM schedule_firings WHERE ended_at IS NULL");
        let past = chrono::Utc::now().timestamp_micros() > last + 2_000_000;
        if status["pending_jobs"] == 0 && status["running_jobs"] == 0 && open.trim() == "0" && past {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "{open} firings open, {status}\n{}", daemon.log());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let (status, _, log) = daemon.stop();
    assert!(status.success(), "{log}");

    let fired = every_due_firing_happened_once(&driver, &query);
    let ended = every_job_is_there_once_and_ended_legally(&driver, &fired, &query);
    let count = |status: &str| ended.values().filter(|ended| *ended == status).count();
    for (job, _) in ended.iter().filter(|(_, status)| *status == "completed") {
        assert!(out.join(format!("{job}.ova")).is_file(), "{job}");
    }
    // A job that was cancelled between two attempts has nobody to tidy up after the first.
    let of_cancelled = |name: &str| ended.iter().any(|(job, end)| end == "cancelled" && name.contains(job));
    let leftovers: Vec<_> =
        names(&out).into_iter().filter(|name| name.contains(".partial") && !of_cancelled(name)).collect();
    assert_eq!(leftovers, [""; 0]);
    // Something was there to be lost.
    assert!(count("completed") * 20 > crashes && count("failed") > crashes, "{}", ended.len());
    let schedules = driver.schedules.len();
    assert!(fired.len() > crashes / 4, "{} firings of {schedules} schedules", fired.len());
    sim.shutdown().await;
    eprintln!(
        "{store}: {crashes} crashes in {:.0} s; {} jobs ({} completed, {} failed, {} cancelled), {} firings of {} \
         schedules; {:.0} s for the rest",
        killed.as_secs_f64(),
        ended.len(),
        count("completed"),
        count("failed"),
        count("cancelled"),
        fired.len(),
        driver.schedules.len(),
        begun.elapsed().as_secs_f64(),
    );
}

/// Each time after its schedule was made has one row, one event and one job. Gives these jobs.
fn every_due_firing_happened_once(driver: &Driver, query: impl Fn(&str) -> String) -> BTreeSet<String> {
    let made = pairs(&query("SELECT id, created_at FROM scheduled_jobs"));
    assert_eq!(made.keys().collect::<Vec<_>>(), driver.schedules.keys().collect::<Vec<_>>());
    let mut due = BTreeSet::new();
    for (schedule, times) in &driver.schedules {
        let made: i64 = made[schedule].parse().unwrap();
        due.extend(times.iter().filter(|time| **time > made).map(|time| (schedule.clone(), *time)));
    }
    let (mut rows, mut jobs) = (BTreeSet::new(), BTreeSet::new());
    let firings = "SELECT schedule, planned_at, state, reason, jobs FROM schedule_firings";
    for line in query(firings).lines() {
        let columns: Vec<&str> = line.splitn(3, '|').collect();
        assert!(["failed", "cancelled"].contains(&columns[2].split('|').next().unwrap()), "{line}");
        rows.insert((columns[0].to_owned(), columns[1].parse::<i64>().unwrap()));
        let started: Vec<String> = serde_json::from_str(line.rsplit('|').next().unwrap()).unwrap();
        assert_eq!(started.len(), 1, "{line}");
        for job in started {
            assert!(jobs.insert(job), "{line}");
        }
    }
    assert_eq!(rows, due);
    let mut told = BTreeSet::new();
    for line in query("SELECT data FROM events WHERE kind = 'schedule.fired'").lines() {
        let data: serde_json::Value = serde_json::from_str(line).unwrap();
        let planned: chrono::DateTime<chrono::Utc> = data["planned_at"].as_str().unwrap().parse().unwrap();
        let schedule = data["schedule_id"].as_str().unwrap().to_owned();
        assert!(told.insert((schedule, planned.timestamp_micros())), "{line}");
    }
    assert_eq!(told, due);
    assert_eq!(query("SELECT count(*) FROM events WHERE kind = 'schedule.missed'").trim(), "0");
    jobs
}

/// Gives the state that each job ended in.
fn every_job_is_there_once_and_ended_legally(
    driver: &Driver,
    fired: &BTreeSet<String>,
    query: impl Fn(&str) -> String,
) -> BTreeMap<String, String> {
    let kept = pairs(&query("SELECT id, status FROM jobs"));
    let asked_for: BTreeSet<String> = driver.jobs.union(fired).cloned().collect();
    assert_eq!(kept.keys().cloned().collect::<BTreeSet<_>>(), asked_for, "every job once, and no other");
    let told = replay(&query("SELECT job, kind FROM events WHERE job IS NOT NULL ORDER BY seq"));
    for (job, status) in &kept {
        assert_eq!(told[job], status, "{job}");
        assert!(["completed", "failed", "cancelled"].contains(&status.as_str()), "{job} is {status}");
    }
    for (status, jobs) in pairs(&query("SELECT status, jobs FROM job_counts")) {
        let found = kept.values().filter(|kept| **kept == status).count();
        assert_eq!(jobs, found.to_string(), "{status}");
    }
    kept
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_on_sqlite_whenever_the_daemon_is_killed() {
    let directory = tempfile::tempdir().unwrap();
    let database = directory.path().join("crash.db");
    let configured = format!("{database:?}");
    let path = database.to_str().unwrap().to_owned();
    let query = |sql: &str| command("sqlite3", &[&path, sql], Path::new("/"));
    crash("SQLite", |config| config.set("database_path", &configured), query).await;
    assert_eq!(command("sqlite3", &[&path, "PRAGMA integrity_check"], Path::new("/")).trim(), "ok");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_on_postgresql_whenever_the_daemon_is_killed() {
    let server = Postgres::start(true);
    let url = server.database();
    let database = url.rsplit('/').next().unwrap().to_owned();
    crash("PostgreSQL", |config| config.set("database_url", &url), |sql| server.psql(&database, sql)).await;
}
