//! Ways from a machine to a package, each into an emptied output.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::daemon::Daemon;
use super::lab::Lab;
use super::series::Sample;
use super::usage::Usage;
use super::{download, run};

/// A bare download of the machine's disk, and the most memory it took.
pub(super) async fn bare(lab: &Lab, machine: &str) -> Result<(Sample, u64)> {
    lab.empty()?;
    download::measure(&lab.xtask, &lab.simulator.access, machine, &lab.out().join("disk.vmdk")).await
}

/// An export by the daemon.
pub(super) async fn export(lab: &Lab, daemon: &Daemon, machine: &str, fields: &Value) -> Result<Sample> {
    lab.empty()?;
    daemon.export(&lab.job(machine, fields)).await
}

/// An OVF export by the daemon, and its files packed by tar.
pub(super) async fn ovf_then_tar(lab: &Lab, daemon: &Daemon, machine: &str) -> Result<Sample> {
    ovf_then(lab, daemon, machine, |files, output| {
        let mut command = Command::new("tar");
        command.arg("-cf").arg(output).arg("-C").arg(files[0].parent().unwrap_or(Path::new("/")));
        command.args(files.iter().filter_map(|file| file.file_name()));
        command
    })
    .await
}

/// An OVF export by the daemon, and its disk converted by qemu-img.
pub(super) async fn ovf_then_convert(lab: &Lab, daemon: &Daemon, machine: &str) -> Result<Sample> {
    ovf_then(lab, daemon, machine, |files, output| {
        let mut command = Command::new("qemu-img");
        command.args(["convert", "-O", "qcow2"]);
        command.args(files.iter().filter(|file| extension(file) == "vmdk")).arg(output);
        command
    })
    .await
}

/// An OVF export and a program that makes one durable file of it. The program gets the files in the order of
/// an OVA: descriptor, manifest, disks.
async fn ovf_then(
    lab: &Lab,
    daemon: &Daemon,
    machine: &str,
    program: impl FnOnce(&[PathBuf], &Path) -> Command,
) -> Result<Sample> {
    let exported = export(lab, daemon, machine, &json!({ "format": "ovf" })).await?;
    let directory = lab.out().join(machine);
    let mut files = Vec::new();
    for entry in fs::read_dir(&directory).with_context(|| format!("read {}", directory.display()))? {
        files.push(entry?.path());
    }
    files.sort_by_key(|file| match extension(file) {
        "ovf" => 0,
        "mf" => 1,
        _ => 2,
    });
    let output = lab.out().join("made");
    let mut command = program(&files, &output);
    let (before, begun) = (Usage::of_children()?, Instant::now());
    run(&mut command)?;
    let made = File::open(&output)?;
    made.sync_all()?;
    let (wall, used) = (begun.elapsed().as_secs_f64(), Usage::of_children()? - before);
    Ok(Sample {
        wall: exported.wall + wall,
        used: Usage {
            user: exported.used.user + used.user,
            system: exported.used.system + used.system,
            written: exported.used.written + used.written,
        },
        bytes: made.metadata()?.len(),
    })
}

fn extension(path: &Path) -> &str {
    path.extension().and_then(|extension| extension.to_str()).unwrap_or_default()
}
