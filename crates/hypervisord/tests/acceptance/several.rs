//! Three daemons on one PostgreSQL; one is killed and one put to sleep meanwhile.
//!
//! Four hundred jobs and fifty schedules take about half a minute; `HYPERSDK_JOBS` sets another number of jobs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

use hypersdk_tests::{Client, Daemon, DaemonConfig, Postgres, names};
use hypersdk_vsim::{DiskSpec, Event, PowerState, VmSpec, Vsim, VsimBuilder};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::{BINARY, pairs, replay, scale};

const JOBS: usize = 400;
const SCHEDULES: usize = 50;

/// The times of a schedule, in seconds after the first.
const TIMES: [i64; 2] = [0, 4];

/// Jobs that a daemon runs at one time: as many may be exported again after it was gone.
const AT_ONCE: usize = 4;

/// Jobs of one request.
const BATCH: usize = 100;

const PATIENCE: Duration = Duration::from_secs(300);

fn simulator(jobs: usize) -> VsimBuilder {
    let names = (0..jobs).map(vm).chain((0..SCHEDULES).map(schedule));
    names.enumerate().fold(
        Vsim::builder().lease_timeout(Duration::from_secs(2)),
        |builder, (number, name)| {
            builder
                .vm(VmSpec::new(name).power(PowerState::Off).disk(DiskSpec::synth(number as u64, 128 << 10)))
        },
    )
}

fn vm(number: usize) -> String {
    format!("vm{number:04}")
}

/// A schedule, and its VM.
fn schedule(number: usize) -> String {
    format!("every{number:02}")
}

/// The daemons and what they share.
struct Estate {
    database: String,
    directory: tempfile::TempDir,
}

impl Estate {
    fn start(&self, sim: &Vsim, url: &str, name: &str) -> Daemon {
        let own = self.directory.path().join(name);
        std::fs::create_dir(&own).unwrap();
        let config = DaemonConfig::over(sim, &own)
            .set("database_url", url)
            .set("node_name", name)
            .set("claim_timeout", "4s")
            .set("max_concurrent_jobs", &AT_ONCE.to_string())
            .set("retry_attempts", "20")
            .set("retry_delay", "200ms");
        Daemon::start(BINARY, &config)
    }

    fn query(&self, statement: &str) -> String {
        Postgres::shared().psql(&self.database, statement)
    }

    fn number(&self, statement: &str) -> usize {
        self.query(statement).parse().unwrap()
    }

    /// What the database calls a daemon's claims.
    fn owner(&self, name: &str) -> String {
        let report = self.query(&format!("SELECT report FROM nodes WHERE name = '{name}'"));
        let report: Value = serde_json::from_str(&report).unwrap();
        report["owner"].as_str().unwrap().to_owned()
    }

    /// Stops the daemon when it has jobs in hand, and gives these.
    async fn stopped_with_jobs(&self, daemon: &Daemon, owner: &str) -> BTreeSet<String> {
        loop {
            daemon.signal(Signal::STOP);
            let mut in_hand = self.in_hand(owner);
            // What it had sent is being done.
            loop {
                tokio::time::sleep(Duration::from_millis(300)).await;
                let still = self.in_hand(owner);
                if still == in_hand {
                    break;
                }
                in_hand = still;
            }
            if in_hand.len() > 1 {
                return in_hand;
            }
            daemon.signal(Signal::CONT);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The jobs that are a daemon's.
    fn in_hand(&self, owner: &str) -> BTreeSet<String> {
        let statement = format!("SELECT id FROM jobs WHERE status = 'running' AND owner = '{owner}'");
        self.query(&statement).lines().map(str::to_owned).collect()
    }
}

async fn until(what: &str, daemons: &[&Daemon], mut passed: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !passed() {
        let logs: Vec<_> = daemons.iter().map(|daemon| daemon.log()).collect();
        assert!(begun.elapsed() < PATIENCE, "{what} did not come to pass\n{}", logs.join("\n\n"));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn submit(client: &Client, jobs: usize, out: &Path) {
    let numbers: Vec<usize> = (0..jobs).collect();
    for chunk in numbers.chunks(BATCH) {
        let job = |number: &usize| json!({ "id": vm(*number), "vm_path": format!("/DC0/vm/{}", vm(*number)), "output_dir": out });
        let batch: Vec<Value> = chunk.iter().map(job).collect();
        let (status, answer) = client.post("/jobs/submit", &json!({ "jobs": batch })).await;
        assert_eq!((status, &answer["rejected"]), (202, &json!(0)), "{answer}");
    }
}

/// Makes the schedules, each with two times between `from` and `to` seconds from now, and gives the jobs that come of
/// them.
async fn make_schedules(clients: &[&Client], (from, to): (i64, i64), out: &Path) -> BTreeSet<(String, i64)> {
    let mut due = BTreeSet::new();
    for number in 0..SCHEDULES {
        let mut first = chrono::Utc::now().timestamp() + from + (number as i64) % (to - from - TIMES[1]);
        if first.rem_euclid(60) + TIMES[1] >= 60 {
            first += 60 - first.rem_euclid(60);
        }
        let of = |format: &str| {
            chrono::DateTime::from_timestamp(first, 0).expect("a time").format(format).to_string()
        };
        let seconds = TIMES.map(|after| (first.rem_euclid(60) + after).to_string()).join(",");
        due.extend(TIMES.map(|after| (schedule(number), (first + after) * 1_000_000)));
        let body = json!({
            "id": schedule(number),
            "schedule": format!("{seconds} {}", of("%-M %-H %-d %-m *")),
            "overlap": "queue",
            "catch_up": "all",
            "job_template": {
                "vm_path": format!("/DC0/vm/{}", schedule(number)),
                "output_dir": out,
                "priority": 10,
            },
        });
        let (status, answer) = clients[number % clients.len()].post("/schedules", &body).await;
        assert_eq!(status, 201, "{answer}");
    }
    due
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_daemons_do_each_job_once_though_one_dies_and_one_sleeps() {
    let jobs = scale("HYPERSDK_JOBS", JOBS);
    let sim = simulator(jobs).start().await.expect("the simulator starts");
    let url = Postgres::shared().database();
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("out");
    std::fs::create_dir(&out).unwrap();
    let estate = Estate { database: url.rsplit('/').next().unwrap().to_owned(), directory };
    let begun = Instant::now();
    let [one, two, three] = ["one", "two", "three"].map(|name| estate.start(&sim, &url, name));
    submit(one.client(), jobs, &out).await;
    let clients = [one.client(), two.client(), three.client()];
    // While daemons die and sleep.
    let due = make_schedules(&clients, (3, 25), &out).await;

    let completed = "SELECT jobs FROM job_counts WHERE status = 'completed'";
    until("a fifth of the jobs", &[&one, &two, &three], || estate.number(completed) >= jobs / 5).await;
    let alive = async || {
        let (_, status) = one.client().get("/status").await;
        let nodes = status["nodes"].as_array().unwrap().clone();
        nodes.iter().filter(|node| node["alive"] == true).count()
    };
    assert_eq!(alive().await, 3);
    let (owner_of_two, owner_of_three) = (estate.owner("two"), estate.owner("three"));
    let of_the_dead = estate.stopped_with_jobs(&two, &owner_of_two).await;
    two.kill();
    let of_the_sleeping = estate.stopped_with_jobs(&three, &owner_of_three).await;
    let left = || -> BTreeSet<String> {
        let ended = pairs(&estate.query("SELECT id, status FROM jobs"));
        of_the_dead.union(&of_the_sleeping).filter(|job| ended[*job] != "completed").cloned().collect()
    };
    until("what the dead and the sleeping had in hand", &[&one], || left().is_empty()).await;
    assert_eq!(alive().await, 1, "the dead and the sleeping are seen as gone");
    three.signal(Signal::CONT);
    let noticed = || {
        let log = three.log();
        let told = ["another process took the job", "the attempt's end was not written"];
        let lost: Vec<&str> =
            log.lines().filter(|line| told.iter().any(|told| line.contains(told))).collect();
        of_the_sleeping.iter().all(|job| lost.iter().any(|line| line.contains(job.as_str())))
    };
    until("that the sleeper noticed what it lost", &[&three], noticed).await;
    let all = jobs + due.len();
    until("every job", &[&one, &three], || estate.number(completed) == all).await;
    let open = "SELECT count(*) FROM schedule_firings WHERE ended_at IS NULL";
    until("every firing", &[&one, &three], || estate.number(open) == 0).await;
    let took = begun.elapsed();
    assert_eq!(alive().await, 2, "the sleeper is back");
    for daemon in [one, three] {
        let (status, _, log) = daemon.stop();
        assert!(status.success(), "{log}");
    }

    let told = replay(&estate.query("SELECT job, kind FROM events WHERE job IS NOT NULL ORDER BY seq"));
    assert_eq!(told.len(), all);
    assert!(told.values().all(|status| *status == "completed"));
    each_firing_is_there_once(&estate, &due);
    let again = each_job_was_exported_once(&estate, &sim, all);
    each_package_is_its_jobs(&estate, &out);
    the_sleeper_wrote_nothing(&estate, &of_the_sleeping);
    sim.shutdown().await;
    eprintln!(
        "{jobs} jobs and {} firings by three daemons in {:.0} s; the dead had {} jobs in hand and the sleeper {}; {again} \
         were exported to the end by two",
        due.len(),
        took.as_secs_f64(),
        of_the_dead.len(),
        of_the_sleeping.len(),
    );
}

fn each_firing_is_there_once(estate: &Estate, due: &BTreeSet<(String, i64)>) {
    let rows = estate.query("SELECT schedule, planned_at FROM schedule_firings WHERE state = 'succeeded'");
    let rows = rows.lines().map(|line| line.split_once('|').unwrap());
    let rows: Vec<_> = rows.map(|(id, planned)| (id.to_owned(), planned.parse::<i64>().unwrap())).collect();
    assert_eq!(rows.len(), due.len());
    assert_eq!(rows.into_iter().collect::<BTreeSet<_>>(), *due);
    assert_eq!(estate.number("SELECT count(*) FROM events WHERE kind = 'schedule.fired'"), due.len());
    assert_eq!(estate.number("SELECT count(*) FROM events WHERE kind = 'schedule.missed'"), 0);
}

/// By the simulator's log. What the dead and the sleeping had in hand may have been exported to the end without having
/// been published: that a lease is completed and that a job is are two writes in two places. Gives how many were.
fn each_job_was_exported_once(estate: &Estate, sim: &Vsim, all: usize) -> usize {
    let mut leases: BTreeMap<String, usize> = BTreeMap::new();
    for event in sim.log().events() {
        if let Event::LeaseCompleted { vm, .. } = event {
            *leases.entry(vm).or_default() += 1;
        }
    }
    let of_vms = |what: &str| {
        let statement = format!("SELECT outcome::json->>'vm_name' AS vm, {what} FROM jobs GROUP BY vm");
        pairs(&estate.query(&statement)).into_iter().map(|(vm, count)| (vm, count.parse::<usize>().unwrap()))
    };
    let retried: BTreeMap<String, usize> = of_vms("sum(attempt - 1)").collect();
    let (mut again, mut jobs_of_all) = (0, 0);
    for (vm, jobs) in of_vms("count(*)") {
        let exported = leases.get(&vm).copied().unwrap_or_default();
        assert!((jobs..=jobs + retried[&vm]).contains(&exported), "{vm}: {exported} exports of {jobs} jobs");
        again += exported - jobs;
        jobs_of_all += jobs;
    }
    assert_eq!(jobs_of_all, all);
    assert!(again <= 2 * AT_ONCE, "{again}");
    again
}

/// What stands in the directory is what the attempt wrote that completed the job, and nothing else.
fn each_package_is_its_jobs(estate: &Estate, out: &Path) {
    let mut expected = Vec::new();
    for line in estate.query("SELECT id, outcome FROM jobs").lines() {
        let (job, outcome) = line.split_once('|').unwrap();
        let outcome: Value = serde_json::from_str(outcome).unwrap();
        let package = Path::new(outcome["ovf_path"].as_str().unwrap());
        let receipt = package.with_extension("receipt.json");
        let written: Value = serde_json::from_slice(&std::fs::read(&receipt).unwrap()).unwrap();
        assert_eq!((&written["job"], &written["outcome"]), (&json!(job), &outcome));
        for path in [package, &receipt] {
            expected.push(path.file_name().unwrap().to_str().unwrap().to_owned());
        }
    }
    expected.sort();
    assert_eq!(names(out), expected);
}

/// The last that the log of a job tells is how it was completed.
fn the_sleeper_wrote_nothing(estate: &Estate, in_hand: &BTreeSet<String>) {
    for job in in_hand {
        let statement = format!("SELECT message FROM job_logs WHERE job = '{job}' ORDER BY seq DESC LIMIT 1");
        let last = estate.query(&statement);
        assert!(last.starts_with("completed: "), "{job}: {last}");
        let attempts = estate.number(&format!("SELECT attempt FROM jobs WHERE id = '{job}'"));
        assert!(attempts > 1, "{job}");
    }
}
