//! A simulator in this process, the daemon as another, and a directory for both.

use std::path::PathBuf;
use std::time::Duration;

use hypersdk_tests::{Client, Daemon, DaemonConfig};
use hypersdk_vsim::{DiskSpec, PowerState, VmSpec, Vsim, VsimBuilder};
use serde_json::{Value, json};

const BINARY: &str = env!("CARGO_BIN_EXE_hypervisord");
const MIB: u64 = 1 << 20;

/// A stopped VM with two disks and an nvram.
pub(crate) const WEB: &str = "/DC0/vm/prod/web";
/// A running VM with one disk.
pub(crate) const APP: &str = "/DC0/vm/prod/app";

pub(crate) struct World {
    pub(crate) sim: Vsim,
    pub(crate) daemon: Daemon,
    config: DaemonConfig,
    directory: tempfile::TempDir,
}

pub(crate) fn simulator() -> VsimBuilder {
    let web = VmSpec::new("web")
        .folder("prod")
        .power(PowerState::Off)
        .disk(DiskSpec::synth(1, 24 * MIB))
        .disk(DiskSpec::synth(2, 8 * MIB).layout(hypersdk_vsim::Layout::Qemu))
        .nvram(vec![0x5a; 8684]);
    let app = VmSpec::new("app").folder("prod").power(PowerState::On).disk(DiskSpec::synth(3, 8 * MIB));
    Vsim::builder().vm(web).vm(app)
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::over(simulator(), |config| config).await
    }

    pub(crate) async fn over(
        simulator: VsimBuilder,
        configure: impl FnOnce(DaemonConfig) -> DaemonConfig,
    ) -> Self {
        let sim = simulator.start().await.expect("the simulator starts");
        let directory = tempfile::tempdir().expect("a directory");
        std::fs::create_dir(directory.path().join("out")).expect("an output directory");
        let config = DaemonConfig::over(&sim, directory.path())
            .set("export_root", &format!("{:?}", directory.path().join("out")))
            .set("retry_delay", "100ms")
            .set("stream_idle_timeout", "1s")
            .set("drain_grace", "1s");
        let config = configure(config);
        let daemon = Daemon::start(BINARY, &config);
        World { sim, daemon, config, directory }
    }

    pub(crate) fn client(&self) -> &Client {
        self.daemon.client()
    }

    /// Where packages go.
    pub(crate) fn out(&self) -> PathBuf {
        self.directory.path().join("out")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.path("hypersdk.db")
    }

    /// A job in the contract's words.
    pub(crate) fn job(&self, vm: &str) -> Value {
        json!({ "vm_path": vm, "output_dir": self.out(), "format": "ova" })
    }

    /// Submits a job and waits for its end.
    pub(crate) async fn run(&self, job: &Value) -> Value {
        let id = self.client().submit(job).await;
        self.client().wait_for_end(&id).await
    }

    /// Runs a job that must complete.
    pub(crate) async fn complete(&self, job: &Value) -> Value {
        let job = self.run(job).await;
        assert_eq!(job["status"], "completed", "{job:#}\n{}", self.daemon.log());
        job
    }

    /// Kills the daemon as a power failure would and starts it again.
    pub(crate) fn crash(self) -> Self {
        self.crash_and(|_| ())
    }

    /// The same, with something that happens while it is dead.
    pub(crate) fn crash_and(self, meanwhile: impl FnOnce(&Vsim)) -> Self {
        let World { sim, daemon, config, directory } = self;
        daemon.kill();
        meanwhile(&sim);
        let daemon = Daemon::start(BINARY, &config);
        World { sim, daemon, config, directory }
    }

    /// Stops the daemon in order and starts it again.
    pub(crate) fn restart(self) -> Self {
        let World { sim, daemon, config, directory } = self;
        let (status, _, log) = daemon.stop();
        assert!(status.success(), "{status}\n{log}");
        let daemon = Daemon::start(BINARY, &config);
        World { sim, daemon, config, directory }
    }

    /// Stops the daemon and asserts that nothing is left behind at the source but sessions of those that were killed.
    pub(crate) async fn stop_after_a_kill(self) {
        let (status, _, log) = self.daemon.stop();
        assert!(status.success(), "{status}\n{log}");
        let left = self.sim.log();
        assert_eq!(left.open_leases(), [""; 0], "leases are completed or aborted\n{log}");
        assert!(left.snapshots().is_empty(), "snapshots are removed: {:?}\n{log}", left.snapshots());
        self.sim.shutdown().await;
    }

    /// Stops the daemon and asserts that nothing is left behind at the source.
    /// Gives the daemon's log.
    pub(crate) async fn stop_clean(self) -> String {
        let (status, took, log) = self.daemon.stop();
        assert!(status.success(), "{status}\n{log}");
        assert!(took < Duration::from_secs(15), "stopping took {took:?}\n{log}");
        let left = self.sim.log();
        assert_eq!(left.open_leases(), [""; 0], "leases are completed or aborted\n{log}");
        assert_eq!(left.open_sessions(), [""; 0], "sessions are logged out\n{log}");
        assert!(left.snapshots().is_empty(), "snapshots are removed: {:?}\n{log}", left.snapshots());
        self.sim.shutdown().await;
        log
    }
}
