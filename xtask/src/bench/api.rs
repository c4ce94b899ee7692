//! The API while exports run, and what a daemon takes that does nothing.
//!
//! All of it over one database with a hundred thousand jobs: copies of one that a daemon really did, put there while
//! none runs.

mod idle;
mod listeners;
mod load;

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use clap::Args;
use serde_json::{Value, json};

use super::Options;
use super::daemon::Daemon;
use super::lab::{Lab, WORKERS};
use super::report::{Check, Report};
use super::simulator::{PACED, SMALL};

/// Milliseconds within which 99 of 100 pages are there.
const P99_MS: f64 = 10.0;
/// The share of their throughput that exports may lose to those who look.
const LOST: f64 = 0.05;
/// MiB that a thousand listeners may take.
const LISTENERS_MIB: f64 = 64.0;
/// MiB, and share of a core, of a daemon with nothing to do.
const IDLE_MIB: f64 = 32.0;
const IDLE_CORE: f64 = 0.005;
/// Milliseconds until it answers.
const START_MS: f64 = 300.0;

/// What the measurement can be told.
#[derive(Args, Clone)]
pub(crate) struct ApiOptions {
    /// Jobs in the database
    #[arg(long, default_value_t = 100_000)]
    jobs: u64,
    /// Pages asked for a second
    #[arg(long, default_value_t = 500)]
    rate: u32,
    /// Listeners at one time
    #[arg(long, default_value_t = 1000)]
    listeners: usize,
    /// Capacity of the two disks that are exported, in MiB; about a quarter is sent
    #[arg(long, default_value_t = 2048)]
    mib: u64,
    /// How often the exports run, alone and beside those who look
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// Seconds to look at a daemon with nothing to do
    #[arg(long, default_value_t = 20)]
    idle_seconds: u64,
    /// Only print; a missed bound is no failure
    #[arg(long)]
    pub(super) no_gate: bool,
}

pub(super) async fn run(options: &ApiOptions) -> Result<Report> {
    let setting = json!({
        "jobs": options.jobs, "rate": options.rate, "listeners": options.listeners, "mib": options.mib,
        "runs": options.runs,
    });
    let common = Options {
        mib: options.mib,
        fill: 0.5,
        compressibility: 0.5,
        runs: options.runs,
        dir: None,
        no_gate: options.no_gate,
    };
    let lab = Lab::new(&common, |_| Ok(None))?;
    let mut report = Report::with_setting("api", setting);
    let home = lab.directory.path().join("home");
    std::fs::create_dir(&home)?;
    lab.empty()?;

    // One job that is really done, for the others to be copies of.
    let first = start(&lab, &home)?;
    first.export(&lab.job(SMALL, &json!({ "format": "ova" }))).await?;
    first.stop()?;
    fill(&home, options.jobs)?;

    idle::measure(&mut report, &lab, &home, options.idle_seconds).await?;
    listeners::measure(&mut report, &lab, &home, options.listeners).await?;
    exports(&mut report, &lab, &home, options).await?;
    report.end();
    Ok(report)
}

fn start(lab: &Lab, home: &Path) -> Result<Daemon> {
    Daemon::open(&lab.hypervisord, &lab.simulator.access, home, WORKERS)
}

/// Two exports at once, alone and beside those who look, in turns.
async fn exports(report: &mut Report, lab: &Lab, home: &Path, options: &ApiOptions) -> Result<()> {
    let daemon = start(lab, home)?;
    let (mut alone, mut beside, mut looks) = (Vec::new(), Vec::new(), load::Looks::default());
    // What is read for the first time is not what is measured.
    load::page(daemon.address()).await?;
    for turn in 0..options.runs {
        // Who goes first changes, so that neither always meets the other's leavings.
        for step in [turn, turn + 1] {
            lab.empty()?;
            if step % 2 == 0 {
                alone.push(both(lab, &daemon).await?);
            } else {
                let before = daemon.usage()?;
                let load = load::Load::start(daemon.address(), options.rate);
                let wall = both(lab, &daemon).await?;
                looks.add(load.stop().await?);
                let used = daemon.usage()? - before;
                beside.push(wall);
                report.ratio("cores the daemon used meanwhile", (used.user + used.system) / wall);
            }
        }
    }
    daemon.stop()?;
    let (alone, beside) = (mean(&alone), mean(&beside));
    report.ratio("pages", looks.count() as f64);
    report.ratio("pages a second", looks.rate());
    report.ratio("median ms of a page", looks.at(0.5));
    report.ratio("longest ms of a page", looks.at(1.0));
    report.ratio("seconds of two exports at once, alone", alone);
    report.ratio("seconds of two exports at once, beside them", beside);
    report.checks.push(Check::at_most("p99 ms of GET /jobs?limit=50", looks.at(0.99), P99_MS));
    report.checks.push(Check::at_least(
        "pages a second, by what was asked for",
        looks.rate() / f64::from(options.rate),
        0.98,
    ));
    report.checks.push(Check::at_most("share of throughput that exports lose", 1.0 - alone / beside, LOST));
    Ok(())
}

async fn both(lab: &Lab, daemon: &Daemon) -> Result<f64> {
    let [a, b] = PACED.map(|machine| lab.job(machine, &json!({ "format": "ova" })));
    let (a, b) = tokio::try_join!(daemon.export(&a), daemon.export(&b))?;
    Ok(a.wall.max(b.wall))
}

fn mean(figures: &[f64]) -> f64 {
    figures.iter().sum::<f64>() / figures.len() as f64
}

/// Copies the one job there is, with what it made.
fn fill(home: &Path, jobs: u64) -> Result<()> {
    let sql = format!(
        "BEGIN;
         WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < {jobs}),
              done AS (SELECT * FROM jobs ORDER BY seq DESC LIMIT 1)
         INSERT INTO jobs (id, spec, priority, status, attempt, created_at, started_at, completed_at, updated_at,
                           progress, outcome)
         SELECT 'copy-' || n, spec, priority, status, attempt, created_at, started_at, completed_at, updated_at,
                progress, outcome FROM done, c;
         COMMIT;"
    );
    let mut child = Command::new("sqlite3")
        .arg("-bail")
        .arg(home.join("hypersdk.db"))
        .stdin(Stdio::piped())
        .spawn()
        .context("start sqlite3")?;
    child.stdin.take().context("a pipe")?.write_all(sql.as_bytes())?;
    ensure!(child.wait()?.success(), "sqlite3 failed");
    Ok(())
}

/// The body of an answer, if it is a 200.
fn body(answer: &[u8]) -> Result<Value> {
    let text = std::str::from_utf8(answer)?;
    let (head, body) = text.split_once("\r\n\r\n").context("no head")?;
    ensure!(head.starts_with("HTTP/1.1 200 "), "{head}");
    Ok(serde_json::from_str(body)?)
}
