//! What every measurement stands on: release builds, a directory, a simulator.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::daemon::Daemon;
use super::simulator::{Simulator, path};
use super::{Options, binaries};

/// The daemon's default number of streams at once for one VM.
pub(super) const WORKERS: u32 = 3;

pub(super) struct Lab {
    pub(super) xtask: PathBuf,
    pub(super) hypervisord: PathBuf,
    // Before the directory: fields are dropped in order.
    pub(super) simulator: Simulator,
    pub(super) directory: tempfile::TempDir,
}

impl Lab {
    /// Builds, and starts the simulator; `prepare` may make a disk of content for it in the directory.
    pub(super) fn new(
        options: &Options,
        prepare: impl FnOnce(&Path) -> Result<Option<PathBuf>>,
    ) -> Result<Self> {
        let [hypervisord, xtask] = binaries::release(["hypervisord", "xtask"])?;
        let parent = match &options.dir {
            Some(dir) => dir.clone(),
            None => xtask.with_file_name("../bench"),
        };
        fs::create_dir_all(&parent).with_context(|| format!("create {}", parent.display()))?;
        let parent = parent.canonicalize()?;
        let directory = tempfile::Builder::new().prefix("run-").tempdir_in(parent)?;
        let content = prepare(directory.path())?;
        let simulator = Simulator::start(&xtask, options, content.as_deref())?;
        Ok(Self { xtask, hypervisord, simulator, directory })
    }

    /// Where packages and downloads go.
    pub(super) fn out(&self) -> PathBuf {
        self.directory.path().join("out")
    }

    /// Removes the output and lets storage come to rest, so that no run pays for the one before.
    pub(super) fn empty(&self) -> Result<()> {
        let out = self.out();
        if out.exists() {
            fs::remove_dir_all(&out)?;
        }
        fs::create_dir(&out)?;
        rustix::fs::sync();
        Ok(())
    }

    /// A daemon that has done nothing yet.
    pub(super) fn daemon(&self, workers: u32) -> Result<Daemon> {
        Daemon::start(&self.hypervisord, &self.simulator.access, self.directory.path(), workers)
    }

    /// A job for one of the simulator's machines.
    pub(super) fn job(&self, machine: &str, fields: &Value) -> Value {
        let mut job = json!({ "vm_path": path(machine), "output_dir": self.out() });
        if let (Some(job), Some(fields)) = (job.as_object_mut(), fields.as_object()) {
            job.extend(fields.clone());
        }
        job
    }
}
