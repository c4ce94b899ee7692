//! `cargo xtask bench inventory`: a large inventory, listed first, listed again from memory, and changed; against
//! VMware's own client, which reads the same.

mod estate;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use serde_json::{Value, json};

use super::binaries;
use super::daemon::Daemon;
use super::lab::WORKERS;
use super::report::{Check, Report};
use crate::peers;
use estate::Estate;
pub(crate) use estate::ServeInventory;

const MIB: f64 = 1_048_576.0;
/// VMs of a page, the most that the API gives.
const PAGE: usize = 5000;
/// How soon a change must show, in seconds.
const SOON: f64 = 2.0;

/// What to measure.
#[derive(Args, Clone)]
pub(crate) struct InventoryOptions {
    /// VMs of the inventory
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..1_000_000))]
    vms: u32,
    /// Daemons that list it, each as new; pyVmomi lists as often
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,
    /// Milliseconds that the simulator takes for each SOAP call in addition
    #[arg(long, default_value_t = 0)]
    delay: u64,
    /// This daemon instead of a release build of the workspace's
    #[arg(long)]
    daemon: Option<PathBuf>,
    /// Only print; a missed bound is no failure
    #[arg(long)]
    pub(super) no_gate: bool,
}

/// What one daemon did. Times in seconds, memory in bytes.
#[derive(Debug, Clone, Copy)]
struct Listed {
    first: f64,
    calls: u64,
    /// Bytes above those before the first list: at the most, and after the second.
    peak: u64,
    kept: u64,
    second: f64,
    change: f64,
}

pub(super) async fn run(options: &InventoryOptions) -> Result<Report> {
    let python = peers::install()?.python;
    let (daemon, xtask) = match &options.daemon {
        Some(daemon) => (daemon.clone(), std::env::current_exe()?),
        None => binaries::release(["hypervisord", "xtask"])?.into(),
    };
    let directory = tempfile::Builder::new().prefix("bench-inventory-").tempdir()?;
    let mut estate = Estate::start(&xtask, options.vms, options.delay)?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for run in 0..options.runs {
        if run % 2 == 1 {
            theirs.push(pyvmomi(&python, &estate, options.vms)?);
        }
        ours.push(daemon_lists(&daemon, &mut estate, directory.path(), options.vms, run).await?);
        if run % 2 == 0 {
            theirs.push(pyvmomi(&python, &estate, options.vms)?);
        }
    }
    Ok(report(options, &ours, &theirs))
}

fn report(options: &InventoryOptions, ours: &[Listed], theirs: &[f64]) -> Report {
    let setting = json!({ "vms": options.vms, "runs": options.runs, "delay_ms": options.delay });
    let mut report = Report::with_setting("inventory", setting);
    let figure = |figure: fn(&Listed) -> f64| ours.iter().map(figure).collect::<Vec<f64>>();
    let (first, second) = (median(figure(|run| run.first)), median(figure(|run| run.second)));
    let baseline = median(theirs.to_vec());
    let worst = |values: Vec<f64>| values.into_iter().fold(0.0, f64::max);
    report.ratio("first list by the daemon, s", first);
    report.ratio("the same list by pyVmomi's container view, s", baseline);
    report.ratio("MiB above idle after the second list", worst(figure(|run| run.kept as f64 / MIB)));
    report.checks.extend([
        Check::at_most("SOAP calls of the first list", worst(figure(|run| run.calls as f64)), 12.0),
        Check::at_most("MiB above idle, at the peak", worst(figure(|run| run.peak as f64 / MIB)), 64.0),
        Check::at_most("second list, from memory, ms", second * 1000.0, 50.0),
        Check::at_most("first list by that of pyVmomi", first / baseline, 0.25),
        Check::at_most("s until a renamed VM shows", worst(figure(|run| run.change)), SOON),
    ]);
    report.end();
    report
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

async fn daemon_lists(
    binary: &Path,
    estate: &mut Estate,
    directory: &Path,
    vms: u32,
    run: u32,
) -> Result<Listed> {
    let daemon = Daemon::start(binary, &estate.access, directory, WORKERS)?;
    // Whatever a first answer costs is no part of the inventory.
    daemon.get("/status").await?;
    let (idle, before) = (daemon.resident()?, estate.calls()?);
    let (first, vm) = list(&daemon, vms).await?;
    // One of them is the wait for news, which goes on.
    let calls = estate.calls()? - before;
    let peak = daemon.peak()?.saturating_sub(idle);
    let (second, _) = list(&daemon, vms).await?;
    let kept = daemon.resident()?.saturating_sub(idle);
    let name = format!("renamed-{run}");
    estate.rename(&vm, &name)?;
    let begun = Instant::now();
    while parsed(&daemon.get(&format!("/vms?name={name}")).await?)?["total"] != 1 {
        ensure!(begun.elapsed().as_secs_f64() < 10.0 * SOON, "the new name does not show");
    }
    let change = begun.elapsed().as_secs_f64();
    daemon.stop()?;
    ensure!(estate.sessions()? == 0, "sessions are left at the server");
    Ok(Listed { first, calls, peak, kept, second, change })
}

/// Every page: the seconds from each request to its last byte, added up, and the id of the last VM.
async fn list(daemon: &Daemon, vms: u32) -> Result<(f64, String)> {
    let (mut took, mut count, mut last) = (Duration::ZERO, 0, String::new());
    let mut behind = String::new();
    loop {
        let begun = Instant::now();
        let page = daemon.get(&format!("/vms?limit={PAGE}{behind}")).await?;
        took += begun.elapsed();
        let page = parsed(&page)?;
        let Some(found) = page["vms"].as_array() else { bail!("no list: {page}") };
        count += found.len();
        last = found.last().and_then(|vm| vm["id"].as_str()).map_or(last, str::to_owned);
        ensure!(page["cached"] == true, "a page is not from memory");
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        behind = format!("&cursor={cursor}");
    }
    ensure!(count == vms as usize, "{count} VMs were listed, there are {vms}");
    Ok((took.as_secs_f64(), last))
}

fn parsed(answer: &[u8]) -> Result<Value> {
    Ok(serde_json::from_slice(answer)?)
}

/// What the same takes VMware's own client, in seconds.
fn pyvmomi(python: &Path, estate: &Estate, vms: u32) -> Result<f64> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/peers/pyvmomi/inventory.py");
    let access = &estate.access;
    let mut command = Command::new(python);
    command.arg(script).args([&access.url, &access.username, &access.password]);
    let output = command.output().context("start Python")?;
    ensure!(output.status.success(), "pyVmomi: {}", String::from_utf8_lossy(&output.stderr));
    let said = parsed(&output.stdout)?;
    ensure!(said["vms"] == vms, "pyVmomi lists {}, there are {vms}", said["vms"]);
    said["seconds"].as_f64().context("no time")
}
