//! A simulator in this process, the daemon as another, and commands as a user gives them.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use hypersdk_tests::{Daemon, DaemonConfig};
use hypersdk_vsim::{DiskSpec, PowerState, VmSpec, Vsim, VsimBuilder};
use serde_json::Value;

pub(crate) const HYPERCTL: &str = env!("CARGO_BIN_EXE_hyperctl");
const MIB: u64 = 1 << 20;

/// A stopped VM with two disks.
pub(crate) const WEB: &str = "/DC0/vm/prod/web";

pub(crate) struct World {
    pub(crate) sim: Vsim,
    pub(crate) daemon: Daemon,
    pub(crate) home: tempfile::TempDir,
}

/// The daemon that `cargo test` builds beside this test: `examples/hypervisord.rs`.
pub(crate) fn hypervisord() -> String {
    let test = std::env::current_exe().expect("this test has a path");
    let profile = test.parent().and_then(Path::parent).expect("target/<profile>/deps");
    let binary = profile.join("examples/hypervisord");
    assert!(binary.is_file(), "{} is not built: run cargo test -p hyperctl", binary.display());
    binary.to_str().expect("a path in UTF-8").to_owned()
}

pub(crate) fn simulator() -> VsimBuilder {
    let web = VmSpec::new("web")
        .folder("prod")
        .power(PowerState::Off)
        .disk(DiskSpec::synth(1, 24 * MIB))
        .disk(DiskSpec::synth(2, 16 * MIB));
    let app = VmSpec::new("app").folder("prod").power(PowerState::Off).disk(DiskSpec::synth(3, 4 * MIB));
    Vsim::builder().vm(web).vm(app)
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::over(simulator()).await
    }

    pub(crate) async fn over(simulator: VsimBuilder) -> Self {
        Self::configured(simulator, |config, _home| config).await
    }

    pub(crate) async fn configured(
        simulator: VsimBuilder,
        configure: impl FnOnce(DaemonConfig, &Path) -> DaemonConfig,
    ) -> Self {
        let sim = simulator.start().await.expect("the simulator starts");
        let home = tempfile::tempdir().expect("a directory");
        std::fs::create_dir(home.path().join("out")).expect("an output directory");
        let config = DaemonConfig::over(&sim, home.path()).set("retry_attempts", "0");
        let config = configure(config, home.path());
        let daemon = Daemon::start(&hypervisord(), &config);
        World { sim, daemon, home }
    }

    /// Where packages go.
    pub(crate) fn out(&self) -> PathBuf {
        self.home.path().join("out")
    }

    /// The environment of a user who has configured nothing, and this daemon's address.
    pub(crate) fn environment(&self) -> Vec<(&'static str, String)> {
        let home = self.home.path().to_str().expect("a path in UTF-8").to_owned();
        vec![("HOME", home), ("HYPERCTL_URL", self.daemon.client().base().to_owned())]
    }

    /// Runs a command to its end, without a terminal.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ended {
        run(arguments, &self.environment())
    }

    /// Runs a command that must succeed, and reads the JSON it prints.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let ended = self.run(&[arguments, &["--json"]].concat());
        assert_eq!(ended.code, 0, "{arguments:?}: {}", ended.stderr);
        serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {}", ended.stdout))
    }

    pub(crate) fn export(&self, vm: &str) -> Value {
        let out = self.out();
        let jobs = self.json(&["export", vm, "--output", out.to_str().expect("UTF-8"), "--watch"]);
        jobs[0].clone()
    }
}

/// How a command ended.
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs `hyperctl` with this environment and nothing else that could lead it astray.
pub(crate) fn run(arguments: &[&str], environment: &[(&str, String)]) -> Ended {
    let mut command = Command::new(HYPERCTL);
    command.args(arguments).env_clear().env("PATH", "/usr/bin:/bin");
    ended(command.envs(environment.iter().cloned()).output().expect("hyperctl starts"))
}

fn ended(output: Output) -> Ended {
    let text = |bytes| String::from_utf8(bytes).expect("output in UTF-8");
    let code = output.status.code().expect("it ends by itself");
    Ended { code, stdout: text(output.stdout), stderr: text(output.stderr) }
}
