//! `cargo xtask install-test`: the .deb on a fresh Debian that boots with systemd, used as its documents say.
//!
//! The machine is a container of systemd-nspawn in this machine's network, so that the simulator here is reachable
//! there. Nothing stands in for systemd: the account, the unit's hardening, the credential, readiness, watchdog,
//! reload, upgrade and removal are the real ones.
#![expect(clippy::print_stdout, reason = "it reports to a terminal")]

mod fresh;
mod machine;

use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use hypersdk_vsim::{DiskSpec, PowerState, VmSpec, Vsim};
use serde_json::Value;

use self::machine::Machine;
use crate::package::{self, PackageArgs};
use crate::peers::tools;

const UNIT: &str = "hypervisord.service";
const UNIT_FILE: &str = "/usr/lib/systemd/system/hypervisord.service";
const VM: &str = "/DC0/vm/prod/web01";
const EXPORTS: &str = "/var/lib/hypersdk/exports";

/// What to install.
#[derive(Args)]
pub(crate) struct InstallArgs {
    /// Install this .deb, and build none.
    #[arg(long, value_name = "FILE")]
    deb: Option<PathBuf>,
    /// How to build one.
    #[command(flatten)]
    package: PackageArgs,
}

/// Runs the test.
pub(crate) fn run(args: &InstallArgs) -> Result<()> {
    ensure!(rustix::process::getuid().is_root(), "a machine of its own can only be made by root");
    tools::debian(&[
        ("mmdebstrap", "mmdebstrap"),
        ("systemd-nspawn", "systemd-container"),
        ("nsenter", "util-linux"),
    ])?;
    let deb = match &args.deb {
        Some(deb) => deb.clone(),
        None => package::package(&args.package)?.deb,
    };
    let begun = Instant::now();
    let root = fresh::root()?;
    println!("ok  a fresh {} in {}", root.suite, root.path().display());
    let runtime = tokio::runtime::Runtime::new()?;
    let simulator = runtime.block_on(
        Vsim::builder()
            .vm(VmSpec::new("web01").folder("prod").power(PowerState::Off).disk(DiskSpec::synth(1, 64 << 20)))
            .start(),
    )?;
    let machine = Machine::boot(root.path())?;
    println!("ok  it has booted");
    let test = Test { machine, root: root.path().to_owned(), simulator };
    let result = test.all(&deb);
    if result.is_err() {
        println!(
            "{}",
            test.machine.run(&["journalctl", "--no-pager", "-n", "60", "-u", UNIT]).unwrap_or_default()
        );
    }
    test.machine.stop()?;
    runtime.block_on(test.simulator.shutdown());
    result?;
    println!("installed, used, upgraded and removed in {} s", begun.elapsed().as_secs());
    Ok(())
}

struct Test {
    machine: Machine,
    root: PathBuf,
    simulator: Vsim,
}

impl Test {
    fn all(&self, deb: &Path) -> Result<()> {
        fs::copy(deb, self.root.join("root/hypersdk.deb"))
            .with_context(|| format!("copy {}", deb.display()))?;
        self.step("the package installs, and the service waits for its configuration", |m| {
            m.run(&["dpkg", "-i", "/root/hypersdk.deb"])?;
            ensure!(m.run(&["systemctl", "is-active", UNIT]).is_err(), "it runs before it is configured");
            Ok(())
        })?;
        self.step("account, directories and modes are as said", |m| self.files(m))?;
        self.step("the unit is well-formed, and exposed by 2.0 at most", |m| self.unit(m))?;
        let address = self.configure()?;
        self.step("the example configuration, with a vCenter named, is taken", |m| {
            let check = ["env", "CREDENTIALS_DIRECTORY=/etc/credstore", "hypervisord", "check-config"];
            let shown = m.run(&[&check[..], &["--config", "/etc/hypersdk/hypersdk.yaml"]].concat())?;
            ensure!(!shown.contains(self.simulator.password()), "the password is shown");
            Ok(())
        })?;
        self.step("the service starts, is ready when systemctl returns, and answers", |m| {
            m.run(&["systemctl", "enable", "--now", UNIT])?;
            m.hyperctl(&address, &["status"]).map(drop)
        })?;
        let package = self.backup(&address)?;
        self.step("the schedule is there after a restart, and a reload is no restart", |m| {
            m.run(&["systemctl", "restart", UNIT])?;
            m.run(&["systemctl", "reload", UNIT])?;
            let listed = m.hyperctl(&address, &["schedules"])?;
            ensure!(listed.contains("nightly"), "{listed}");
            let log = m.run(&["journalctl", "--no-pager", "-u", UNIT])?;
            ensure!(log.contains("loaded 1 schedule"), "{log}");
            Ok(())
        })?;
        self.step("an upgrade keeps the configuration and restarts the service", |m| {
            let before = m.run(&["systemctl", "show", "-p", "MainPID", UNIT])?;
            m.run(&["dpkg", "-i", "/root/hypersdk.deb"])?;
            ensure!(
                before != m.run(&["systemctl", "show", "-p", "MainPID", UNIT])?,
                "the old one still runs"
            );
            m.hyperctl(&address, &["schedules", "show", "nightly"]).map(drop)
        })?;
        self.step("removal stops the service and leaves the packages", |m| {
            m.run(&["dpkg", "-r", "hypersdk"])?;
            ensure!(m.run(&["systemctl", "is-active", UNIT]).is_err(), "it still runs");
            ensure!(self.root.join(package.trim_start_matches('/')).is_file(), "{package} is gone");
            ensure!(!self.root.join("usr/bin/hypervisord").exists(), "the program is still there");
            Ok(())
        })
    }

    fn step(&self, what: &str, carry_out: impl FnOnce(&Machine) -> Result<()>) -> Result<()> {
        let begun = Instant::now();
        carry_out(&self.machine).with_context(|| format!("NOT: {what}"))?;
        println!("ok  {what} ({} ms)", begun.elapsed().as_millis());
        Ok(())
    }

    fn files(&self, machine: &Machine) -> Result<()> {
        let account = machine.run(&["getent", "passwd", "hypersdk"])?;
        ensure!(account.trim().ends_with("nologin"), "{account}");
        for (path, expected) in [
            ("/etc/hypersdk", "750 root hypersdk"),
            ("/etc/hypersdk/hypersdk.yaml", "640 root hypersdk"),
            ("/var/lib/hypersdk", "750 hypersdk hypersdk"),
            (EXPORTS, "750 hypersdk hypersdk"),
            ("/usr/bin/hypervisord", "755 root root"),
        ] {
            let found = machine.run(&["stat", "-c", "%a %U %G", path])?;
            ensure!(found.trim() == expected, "{path} is {found}, not {expected}");
        }
        for page in ["man1/hyperctl.1", "man1/hyperctl-export.1", "man8/hypervisord.8"] {
            let page = self.root.join("usr/share/man").join(page);
            ensure!(
                page.exists() || page.with_added_extension("gz").exists(),
                "{} is missing",
                page.display()
            );
        }
        // The same files, applied to the root from outside, change nothing more.
        for tool in ["systemd-sysusers", "systemd-tmpfiles"] {
            let root = format!("--root={}", self.root.display());
            let mut command = Command::new(tool);
            command.args((tool == "systemd-tmpfiles").then_some("--create")).arg(root).arg("hypersdk.conf");
            let output = command.output().with_context(|| format!("start {tool}"))?;
            ensure!(output.status.success(), "{tool}: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(())
    }

    fn unit(&self, machine: &Machine) -> Result<()> {
        machine.run(&["systemd-analyze", "verify", UNIT_FILE])?;
        let root = format!("--root={}", self.root.display());
        let output = Command::new("systemd-analyze")
            .args(["security", "--offline=true", "--threshold=20", "--no-pager", &root, UNIT])
            .output()
            .context("start systemd-analyze")?;
        let report = String::from_utf8_lossy(&output.stdout);
        let overall = report.lines().find(|line| line.contains("Overall exposure")).unwrap_or_default();
        println!("    {}", overall.trim_start_matches(|c: char| !c.is_alphabetic()));
        ensure!(output.status.success(), "{report}");
        Ok(())
    }

    /// Does what docs/install.md tells to do after the installation, and gives the daemon's address.
    fn configure(&self) -> Result<String> {
        // The network is this machine's, where 8080 may be somebody else's.
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let path = self.root.join("etc/hypersdk/hypersdk.yaml");
        let text = fs::read_to_string(&path)?;
        let named = format!(
            "{text}vcenter_url: {}\nusername: {}\nthumbprint: {:?}\ndaemon_addr: {address}\n",
            self.simulator.url(),
            self.simulator.username(),
            self.simulator.thumbprint(),
        );
        fs::write(&path, named)?;
        let store = self.root.join("etc/credstore");
        fs::create_dir_all(&store)?;
        fs::set_permissions(&store, Permissions::from_mode(0o700))?;
        let secret = store.join("hypersdk.password");
        fs::write(&secret, format!("{}\n", self.simulator.password()))?;
        fs::set_permissions(&secret, Permissions::from_mode(0o600))?;
        Ok(format!("http://{address}"))
    }

    /// Schedules a backup, has it run, and verifies what it made; gives the package's path.
    fn backup(&self, address: &str) -> Result<String> {
        let mut package = String::new();
        self.step("a backup is scheduled, runs, and its package is whole", |m| {
            let create = ["schedules", "create", "nightly", "--schedule", "0 2 * * *", "--vm", VM];
            m.hyperctl(address, &[&create[..], &["--output", EXPORTS, "--keep-last", "3"]].concat())?;
            m.hyperctl(address, &["schedules", "trigger", "nightly", "--watch"])?;
            let listed: Value = serde_json::from_str(&m.hyperctl(address, &["packages", "--json"])?)?;
            package = listed["packages"][0]["path"].as_str().context("no package is listed")?.to_owned();
            m.hyperctl(address, &["verify", &package, "--level", "full"])?;
            m.run(&["hypervisord", "verify", &package, "--level", "full"]).map(drop)
        })?;
        if !package.starts_with(EXPORTS) {
            bail!("{package} is not below {EXPORTS}");
        }
        Ok(package)
    }
}
