//! What the examples share: where VMs come from, and where packages go.
//!
//! Read `examples/export_ova.rs` first; every example is one program for one task.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use hypersdk_core::{NamedProvider, Provider, VmSelector};
use hypersdk_ova::vmdk::{DiskOptions, StreamWriter};
use hypersdk_vsim::{DiskSpec, PowerState, VmSpec, Vsim};
use hypersdk_vsphere::{VsphereConfig, VsphereProvider};
use tempfile::TempDir;

/// A vCenter or ESXi host, real or simulated.
#[derive(Debug)]
pub struct Source {
    /// The provider to export from.
    pub provider: NamedProvider,
    simulator: Option<Vsim>,
}

impl Source {
    /// The one that `GOVC_URL`, `GOVC_USERNAME`, `GOVC_PASSWORD` and `GOVC_INSECURE` name, or a simulator if
    /// `GOVC_URL` is not set.
    ///
    /// # Errors
    /// One of the variables is missing or wrong, or the simulator does not start.
    pub async fn open() -> Result<Self> {
        let Ok(url) = std::env::var("GOVC_URL") else { return Self::simulated().await };
        let variable = |name| std::env::var(name).with_context(|| format!("GOVC_URL is set, {name} is not"));
        let mut config = VsphereConfig::new(url, variable("GOVC_USERNAME")?, variable("GOVC_PASSWORD")?);
        config.insecure = matches!(std::env::var("GOVC_INSECURE").as_deref(), Ok("1" | "true"));
        Ok(Source { provider: named(VsphereProvider::new(config)?)?, simulator: None })
    }

    /// A simulator with one VM that is off and one that runs.
    ///
    /// # Errors
    /// It does not start.
    pub async fn simulated() -> Result<Self> {
        let simulator = Vsim::builder()
            .stream_rate(32 << 20)
            .vm(VmSpec::new("web01").folder("demo").disk(DiskSpec::synth(1, 64 << 20)).nvram(vec![7; 8192]))
            .vm(VmSpec::new("db01")
                .folder("demo")
                .power(PowerState::On)
                .disk(DiskSpec::synth(2, 64 << 20).fill(0.25))
                .disk(DiskSpec::synth(3, 32 << 20).fill(0.25)))
            .start()
            .await?;
        let mut config =
            VsphereConfig::new(simulator.url(), simulator.username(), simulator.password().to_owned());
        config.thumbprint = Some(simulator.thumbprint_sha256().to_owned());
        Ok(Source { provider: named(VsphereProvider::new(config)?)?, simulator: Some(simulator) })
    }

    /// The simulator, if it is one.
    pub fn simulator(&self) -> Option<&Vsim> {
        self.simulator.as_ref()
    }

    /// The VMs to export: what is asked for, or of a simulator `simulated`. Nothing is taken from a real server
    /// unasked.
    ///
    /// # Errors
    /// What is asked for names no VM, or nothing is asked of a real server.
    pub fn choose(&self, asked: Option<String>, simulated: &str) -> Result<VmSelector> {
        let simulated = self.simulator().map(|_| simulated.to_owned());
        let vm = asked.or(simulated).context("say which VM: its inventory path is the first argument")?;
        Ok(vm.parse()?)
    }

    /// Logs out, and stops the simulator.
    pub async fn close(self) {
        self.provider.provider.close().await;
        if let Some(simulator) = self.simulator {
            simulator.shutdown().await;
        }
    }
}

fn named(provider: VsphereProvider) -> Result<NamedProvider> {
    Ok(NamedProvider { name: "default".parse()?, provider: Arc::new(provider) as Arc<dyn Provider> })
}

/// Where packages go: the directory that is asked for, or a temporary one that goes away with this value.
#[derive(Debug)]
pub struct Output {
    path: PathBuf,
    _temporary: Option<TempDir>,
}

impl Output {
    /// Chooses and makes the directory.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn choose(asked: Option<String>) -> Result<Self> {
        let temporary = if asked.is_none() { Some(tempfile::tempdir()?) } else { None };
        let path = match (asked, &temporary) {
            (Some(path), _) => PathBuf::from(path),
            (None, Some(temporary)) => temporary.path().to_owned(),
            (None, None) => anyhow::bail!("no directory"),
        };
        std::fs::create_dir_all(&path).with_context(|| format!("create {}", path.display()))?;
        Ok(Output { path: path.canonicalize()?, _temporary: temporary })
    }

    /// The directory, absolute.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Writes a streamOptimized disk of 1 GiB of which one grain is in use.
///
/// # Errors
/// The file cannot be written.
pub fn sample_disk(path: &Path) -> Result<()> {
    let file = std::fs::File::create(path).with_context(|| format!("create {}", path.display()))?;
    let mut disk = StreamWriter::new(file, &DiskOptions::new(1 << 30))?;
    disk.write_raw(0, b"a boot sector")?;
    disk.finish()?;
    Ok(())
}
