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
    download::measure(&lab.xtask, &lab.simulator.access, machine, &bare_disk(lab)).await
}

fn bare_disk(lab: &Lab) -> PathBuf {
    lab.out().join("disk.vmdk")
}

/// What it takes without us.
pub(super) struct Bare {
    /// The download of the disk.
    pub download: Sample,
    /// The download, and the disk packed by tar after it.
    pub tarred: Sample,
    /// The most memory the download took, in bytes.
    pub peak: u64,
}

/// A bare download of the machine's disk, packed by tar after it.
pub(super) async fn bare_then_tar(lab: &Lab, machine: &str) -> Result<Bare> {
    let (download, peak) = bare(lab, machine).await?;
    let tarred = then(download, &lab.out().join("made"), |output| tar(&[bare_disk(lab)], output))?;
    Ok(Bare { download, tarred, peak })
}

/// An export by the daemon.
pub(super) async fn export(lab: &Lab, daemon: &Daemon, machine: &str, fields: &Value) -> Result<Sample> {
    lab.empty()?;
    daemon.export(&lab.job(machine, fields)).await
}

/// An OVF export by the daemon, and its files packed by tar.
pub(super) async fn ovf_then_tar(lab: &Lab, daemon: &Daemon, machine: &str) -> Result<Sample> {
    ovf_then(lab, daemon, machine, tar).await
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
    then(exported, &lab.out().join("made"), |output| program(&files, output))
}

fn tar(files: &[PathBuf], output: &Path) -> Command {
    let mut command = Command::new("tar");
    command.arg("-cf").arg(output).arg("-C").arg(files[0].parent().unwrap_or(Path::new("/")));
    command.args(files.iter().filter_map(|file| file.file_name()));
    command
}

/// What came before, and a program that makes one durable file of it.
fn then(before: Sample, output: &Path, program: impl FnOnce(&Path) -> Command) -> Result<Sample> {
    let mut command = program(output);
    let (idle, begun) = (Usage::of_children()?, Instant::now());
    run(&mut command)?;
    let made = File::open(output)?;
    made.sync_all()?;
    let (wall, used) = (begun.elapsed().as_secs_f64(), Usage::of_children()? - idle);
    Ok(Sample {
        wall: before.wall + wall,
        used: Usage {
            user: before.used.user + used.user,
            system: before.used.system + used.system,
            written: before.used.written + used.written,
        },
        bytes: made.metadata()?.len(),
    })
}

fn extension(path: &Path) -> &str {
    path.extension().and_then(|extension| extension.to_str()).unwrap_or_default()
}
