//! The queue and the schedules: how many jobs a second go through, and what a daemon with a long past costs.
//!
//! Jobs go through the store, the manager and a runner that does nothing, in a process of their own that has one core:
//! what is left when no byte is exported. The long past is put into the database while the daemon is down; then the
//! daemon is started over it as users start it.

mod fill;
mod jobs;

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use chrono::{DateTime, TimeDelta, Utc};
use clap::Args;
use serde_json::{Value, json};

pub(crate) use self::jobs::Jobs;
use super::binaries::release;
use super::daemon::Daemon;
use super::report::{Check, Report};
use super::simulator::{self, Access, Simulator};

/// Jobs a second on one core.
const RATE: f64 = 2000.0;
/// Milliseconds for the first page of all jobs.
const PAGE_MS: f64 = 5.0;
/// Share of a core that a daemon with nothing to do may use.
const IDLE: f64 = 0.01;
/// Milliseconds from a time of a schedule to its jobs having been accepted.
const LATE_MS: f64 = 100.0;
/// Seconds from the start to the first answer.
const START: f64 = 1.0;

/// How long the idle daemon is watched.
const WATCH: Duration = Duration::from_secs(20);
/// Times that are waited for.
const TIMES: usize = 10;
/// Requests for a page right after the start, and of the daemon at rest.
const PAGES: (usize, usize) = (50, 500);
/// The daemon's streams; nothing is exported here.
const WORKERS: u32 = 1;

/// What the measurement can be told.
#[derive(Args, Clone)]
pub(crate) struct StoreOptions {
    /// Jobs that go through the queue
    #[arg(long, default_value_t = 20_000)]
    jobs: u32,
    /// Finished jobs in the database of the daemon
    #[arg(long, default_value_t = 1_000_000)]
    finished: u32,
    /// Schedules in it
    #[arg(long, default_value_t = 10_000)]
    schedules: u32,
    /// This daemon, and this program as it is, instead of release builds of the workspace's
    #[arg(long)]
    daemon: Option<PathBuf>,
    /// Directory for the databases; on the file system to measure [default: the build directory]
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Only print; a missed bound is no failure
    #[arg(long)]
    pub(super) no_gate: bool,
}

pub(super) async fn run(options: &StoreOptions) -> Result<Report> {
    let (hypervisord, xtask) = match &options.daemon {
        Some(daemon) => (daemon.clone(), std::env::current_exe()?),
        None => release(["hypervisord", "xtask"])?.into(),
    };
    let parent = options.dir.clone().unwrap_or_else(|| xtask.with_file_name("../bench"));
    std::fs::create_dir_all(&parent).with_context(|| format!("create {}", parent.display()))?;
    let home = tempfile::Builder::new().prefix("store-").tempdir_in(parent.canonicalize()?)?;
    let setting = json!({
        "jobs": options.jobs, "finished": options.finished, "schedules": options.schedules, "synchronous": "FULL",
    });
    let mut report = Report::with_setting("store", setting);
    report.ratio("milliseconds of one fsync here", sync_ms(home.path())?);
    queue(&xtask, options.jobs, home.path(), &mut report)?;
    fill::fill(home.path(), options.finished, options.schedules).await?;
    let disks = super::Options {
        mib: 16,
        fill: 0.5,
        compressibility: 0.5,
        runs: 1,
        dir: None,
        no_gate: options.no_gate,
    };
    let simulator = Simulator::start(&xtask, &disks, None)?;
    past(&hypervisord, &simulator.access, home.path(), &mut report).await?;
    report.notes.push(
        "synchronous=FULL: a commit is on the disk before anybody is told; up to 256 changes that queued up meanwhile \
         share one"
            .to_owned(),
    );
    report.end();
    Ok(report)
}

/// The median of a few.
fn sync_ms(directory: &Path) -> Result<f64> {
    let mut file = File::create(directory.join("synced"))?;
    let mut took = Vec::new();
    for _ in 0..50 {
        let begun = Instant::now();
        file.write_all(&[0x5a; 4096])?;
        file.sync_data()?;
        took.push(begun.elapsed().as_secs_f64() * 1000.0);
    }
    took.sort_by(f64::total_cmp);
    Ok(took[took.len() / 2])
}

/// Jobs through the queue: on one core, and on all of them.
fn queue(xtask: &Path, jobs: u32, directory: &Path, report: &mut Report) -> Result<()> {
    let measure = |database: &str, mut command: Command| -> Result<Value> {
        let path = directory.join(database);
        let output = command
            .args(["bench", "jobs", "--jobs", &jobs.to_string(), "--database"])
            .arg(&path)
            .stderr(std::process::Stdio::inherit())
            .output()
            .with_context(|| format!("start {command:?}"))?;
        ensure!(output.status.success(), "{command:?} ended with {}", output.status);
        serde_json::from_slice(&output.stdout).context("what the jobs took")
    };
    let mut pinned = Command::new("taskset");
    pinned.args(["--cpu-list", "0"]).arg(xtask);
    let one = measure("one.db", pinned)?;
    let all = measure("all.db", Command::new(xtask))?;
    let of = |figures: &Value, name: &str| figures[name].as_f64().unwrap_or_default();
    let rate = |figures: &Value| f64::from(jobs) / of(figures, "seconds");
    report.ratio("jobs a second on all cores", rate(&all));
    report.ratio("CPU milliseconds of a job", of(&one, "cpu_seconds") * 1000.0 / f64::from(jobs));
    report.checks.push(Check::at_least("jobs a second submitted and finished on one core", rate(&one), RATE));
    Ok(())
}

/// A daemon over the filled database.
async fn past(hypervisord: &Path, access: &Access, home: &Path, report: &mut Report) -> Result<()> {
    let mut starts = Vec::new();
    for _ in 0..3 {
        let begun = Instant::now();
        let daemon = Daemon::open(hypervisord, access, home, WORKERS)?;
        daemon.get("/health/ready").await?;
        starts.push(begun.elapsed().as_secs_f64());
        daemon.stop()?;
    }
    report.checks.push(Check::at_most(
        "seconds to the first answer, the worst of three",
        largest(&starts),
        START,
    ));

    let daemon = Daemon::open(hypervisord, access, home, WORKERS)?;
    let begun = Instant::now();
    daemon.get("/jobs").await?;
    report.ratio("milliseconds of page 1, the first after a start", begun.elapsed().as_secs_f64() * 1000.0);
    let busy = pages(&daemon, PAGES.0).await?;
    report.ratio("milliseconds of page 1 while the start goes on, 95 of 100", of_hundred(&busy, 95));

    // What a start leaves to be done is done.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let rest = pages(&daemon, PAGES.1).await?;
    report.ratio("milliseconds of page 1, median", of_hundred(&rest, 50));
    report.checks.push(Check::at_most(
        "milliseconds of page 1 over HTTP, 95 of 100",
        of_hundred(&rest, 95),
        PAGE_MS,
    ));

    let before = daemon.usage()?;
    tokio::time::sleep(WATCH).await;
    let used = daemon.usage()? - before;
    report.checks.push(Check::at_most(
        "share of a core with nothing to do",
        (used.user + used.system) / WATCH.as_secs_f64(),
        IDLE,
    ));

    let late = lateness(&daemon, home).await?;
    report.ratio("milliseconds a firing was late, median", late[late.len() / 2]);
    report.checks.push(Check::at_most("milliseconds a firing was late, the worst", largest(&late), LATE_MS));
    report.ratio("peak MiB", daemon.peak()? as f64 / 1_048_576.0);
    daemon.stop()
}

/// How long page 1 of all jobs took, `count` times, in milliseconds and in order of size.
async fn pages(daemon: &Daemon, count: usize) -> Result<Vec<f64>> {
    let mut took = Vec::with_capacity(count);
    for _ in 0..count {
        let begun = Instant::now();
        daemon.get("/jobs").await?;
        took.push(begun.elapsed().as_secs_f64() * 1000.0);
    }
    took.sort_by(f64::total_cmp);
    Ok(took)
}

/// What so many of a hundred do not exceed.
fn of_hundred(sorted: &[f64], part: usize) -> f64 {
    sorted[sorted.len() * part / 100]
}

/// Makes a schedule with a few times, one every two seconds, and gives by how much later than planned the jobs of each
/// were accepted, in order of size.
async fn lateness(daemon: &Daemon, home: &Path) -> Result<Vec<f64>> {
    let mut first = Utc::now() + TimeDelta::seconds(2);
    if first.timestamp().rem_euclid(60) + 2 * TIMES as i64 >= 60 {
        first += TimeDelta::seconds(60 - first.timestamp().rem_euclid(60));
    }
    let second = first.timestamp().rem_euclid(60);
    let last = second + 2 * (TIMES as i64 - 1);
    let body = json!({
        "id": "late",
        "schedule": format!("{second}-{last}/2 {}", first.format("%-M %-H %-d %-m *")),
        "overlap": "queue",
        "job_template": {
            "vm_path": simulator::path(simulator::SMALL),
            "output_dir": home,
            "package_name": "{vm}-{time}",
        },
    });
    daemon.post("/schedules", &body).await?;
    let begun = Instant::now();
    loop {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let runs = daemon.json("/schedules/late/runs").await?;
        let runs = runs["runs"].as_array().context("runs")?;
        let mut fired: Vec<f64> = runs.iter().filter_map(late).collect();
        if fired.len() == TIMES {
            fired.sort_by(f64::total_cmp);
            return Ok(fired);
        }
        ensure!(begun.elapsed() < Duration::from_secs(180), "they did not fire: {runs:?}");
    }
}

/// Milliseconds from the planned time to its jobs having been accepted.
fn late(run: &Value) -> Option<f64> {
    let time = |name: &str| run[name].as_str()?.parse::<DateTime<Utc>>().ok();
    let late = time("started_at")? - time("planned_at")?;
    Some(late.num_microseconds()? as f64 / 1000.0)
}

fn largest(figures: &[f64]) -> f64 {
    figures.iter().copied().fold(0.0, f64::max)
}
