//! The machine that a page is written for: its directories, a vCenter, a daemon on port 8080, our programs on the path.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use hypersdk_tests::{Daemon, DaemonConfig};
use hypersdk_vsim::{DiskSpec, PowerState, VmSpec, Vsim};
use rustix::process::{Pid, Signal, kill_process};

use crate::blocks::Step;

const MIB: u64 = 1 << 20;

/// Directories of a reader's machine; each lies below the test's own.
const DIRECTORIES: [&str; 7] = [
    "/srv/exports",
    "/etc/hypersdk",
    "/etc/credstore",
    "/etc/ssl",
    "/var/lib/hypersdk",
    "/var/log/hypersdk",
    "/backup",
];

/// `sudo -u WHO COMMAND` is the command: the tests are one account.
const SUDO: &str = "#!/bin/sh\n[ \"$1\" = -u ] && shift 2\nexec \"$@\"\n";

/// `cargo run -p PROGRAM -- ...` is the program, which is built already.
const CARGO: &str = "#!/bin/sh\nprogram=\nwhile [ $# -gt 0 ] && [ \"$1\" != -- ]; do\n  [ \"$1\" = -p ] && program=$2\n  \
                     shift\ndone\nshift\nexec \"$program\" \"$@\"\n";

pub(crate) struct Machine {
    sim: Vsim,
    daemon: Daemon,
    root: tempfile::TempDir,
}

/// The daemon that `cargo test` builds beside this test: `examples/hypervisord.rs`.
pub(crate) fn hypervisord() -> PathBuf {
    let test = std::env::current_exe().expect("this test has a path");
    let profile = test.parent().and_then(Path::parent).expect("target/<profile>/deps");
    let binary = profile.join("examples/hypervisord");
    assert!(binary.is_file(), "{} is not built: run cargo test -p hyperctl", binary.display());
    binary
}

fn program(path: &Path, text: &str) {
    std::fs::write(path, text).expect("a program");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("its mode");
}

impl Machine {
    pub(crate) async fn new(auth: bool) -> Machine {
        let vm = |name, seed, power| {
            let disk = DiskSpec::synth(seed, 8 * MIB);
            VmSpec::new(name)
                .power(power)
                .disk(disk)
                .disk(DiskSpec::synth(seed + 1, 2 * MIB))
                .nvram(vec![7; 4096])
        };
        let sim = Vsim::builder()
            .vm(vm("web01", 1, PowerState::Off).folder("demo"))
            .vm(vm("db01", 3, PowerState::On).folder("demo"))
            .vm(vm("app01", 5, PowerState::Off).folder("prod"))
            .start()
            .await
            .expect("the simulator starts");
        let root = tempfile::tempdir().expect("a directory");
        let at = |path: &str| root.path().join(path.trim_start_matches('/'));
        for directory in DIRECTORIES.iter().chain(["/tmp", "/work", "/bin", "/home/.config/hyperctl"].iter())
        {
            std::fs::create_dir_all(at(directory)).expect("a directory of the machine");
        }
        std::fs::write(at("/etc/hypersdk/vcenter-password"), sim.password()).expect("a password");
        let etc = at("/etc/hypersdk");
        let mut config = DaemonConfig::over(&sim, &etc)
            .set("database_path", &format!("{:?}", at("/var/lib/hypersdk/hypersdk.db")))
            .set("orphan_sweep_interval", "0")
            .set("secret_key_file", &format!("{:?}", at("/etc/hypersdk/sealing.key")));
        let made =
            Command::new(hypervisord()).arg("secret-key").arg(at("/etc/hypersdk/sealing.key")).output();
        assert!(made.expect("it runs").status.success());
        if auth {
            let users = at("/etc/hypersdk/users");
            std::fs::write(&users, "").expect("users");
            std::fs::set_permissions(&users, std::fs::Permissions::from_mode(0o600)).expect("its mode");
            config = config.set(
                "auth",
                &format!(
                    "{{tokens_file: {:?}, htpasswd_file: {users:?}}}",
                    at("/var/lib/hypersdk/tokens.json")
                ),
            );
        }
        let daemon = Daemon::start(hypervisord().to_str().expect("UTF-8"), &config);
        let url = daemon.client().base().to_owned();
        let addr = url.strip_prefix("http://").expect("plain HTTP");
        let rules: String = ["localhost:8080", "127.0.0.1:8080", "hyper.example.com:8080"]
            .iter()
            .map(|from| format!("connect-to = \"{from}:{addr}\"\n"))
            .collect();
        std::fs::write(at("/home/.curlrc"), format!("{rules}silent\nshow-error\nfail-with-body\n"))
            .expect("a .curlrc");
        let contexts = format!("current: here\ncontexts:\n  here:\n    url: {url}\n");
        std::fs::write(at("/home/.config/hyperctl/config.yaml"), contexts).expect("the contexts");
        symlink(hypervisord(), at("/bin/hypervisord")).expect("a link");
        symlink(env!("CARGO_BIN_EXE_hyperctl"), at("/bin/hyperctl")).expect("a link");
        program(&at("/bin/sudo"), SUDO);
        program(&at("/bin/cargo"), CARGO);
        Machine { sim, daemon, root }
    }

    /// The text with the places of this machine.
    fn here(&self, text: &str) -> String {
        let root = self.root.path().display();
        let authority = self.sim.url().authority().to_owned();
        let mut text = text
            .replace("vcenter.example.com:443", &authority)
            .replace("https://vcenter.example.com", &format!("https://{authority}"))
            .replace("vcenter.example.com", &authority)
            .replace("backup@vsphere.local", self.sim.username());
        // The first, as the root of this machine may lie in the other one's.
        for directory in ["/tmp/"].iter().chain(&DIRECTORIES) {
            text = text.replace(directory, &format!("{root}{directory}"));
        }
        text
    }

    fn bash(&self, command: &str) -> Command {
        let root = self.root.path();
        let mut bash = Command::new("timeout");
        bash.args(["60", "bash", "-euo", "pipefail", "-c", &self.here(command)])
            .current_dir(root.join("work"));
        // What the tests themselves are told is not the reader's.
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy().into_owned();
            if ["HYPERSDK_", "HYPERCTL_", "GOVC_", "XDG_"].iter().any(|prefix| name.starts_with(prefix)) {
                bash.env_remove(name);
            }
        }
        let path = format!("{}:{}", root.join("bin").display(), std::env::var("PATH").unwrap_or_default());
        bash.env("PATH", path).env("HOME", root.join("home")).env("CURL_HOME", root.join("home"));
        bash.env("BERLIN_TOKEN", "hsk_0123456789abcdef")
            .env("VCENTER_PASSWORD", self.sim.password())
            .env("VCENTER_THUMBPRINT", self.sim.thumbprint_sha256());
        // Port 8080 of the machine that tests run on is somebody's.
        bash.env("HYPERSDK_DAEMON_ADDR", "127.0.0.1:0").stdin(Stdio::null());
        bash
    }

    /// Runs a command to its end and looks for what the page shows of its answer.
    pub(crate) fn step(&self, step: &Step, code: i32, place: &str) {
        let ended = self.bash(&step.command).output().expect("bash runs");
        let said =
            format!("{}{}", String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
        let command = &step.command;
        assert_eq!(
            ended.status.code(),
            Some(code),
            "{place}\n{command}\n{said}\nthe daemon:\n{}",
            self.daemon.log()
        );
        let there: BTreeSet<&str> = words(&said).collect();
        let missing: Vec<&str> = words(&step.shown).filter(|word| !there.contains(word)).collect();
        assert!(
            missing.is_empty(),
            "{place}\n{command}\nshows {missing:?}, which is not in the answer\n{said}"
        );
    }

    /// Writes a file that the page shows.
    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.root.path().join("work").join(name), self.here(text)).expect("the page's file");
    }

    /// Starts what goes on until it is stopped, waits until it listens, and stops it.
    pub(crate) fn beside(&self, command: &str, place: &str) {
        let mut bash = self.bash(&format!("exec {}", command.trim()));
        let mut child = bash.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().expect("bash runs");
        let mut lines = BufReader::new(child.stderr.take().expect("a pipe")).lines().map_while(Result::ok);
        let listens = lines.by_ref().any(|line| line.contains("listening on "));
        assert!(listens, "{place}: {command} does not listen");
        // The group of `timeout`, which passes it on.
        let pid = Pid::from_raw(child.id().try_into().expect("a process id")).expect("not 0");
        kill_process(pid, Signal::TERM).expect("the signal is sent");
        let rest: Vec<String> = lines.collect();
        let status = child.wait().expect("it ends");
        assert!(status.success(), "{place}: {command} ended with {status}: {rest:?}");
    }

    pub(crate) fn stop(self) {
        let (status, took, log) = self.daemon.stop();
        assert!(status.success(), "{status} after {took:?}\n{log}");
        assert!(took < Duration::from_secs(30));
    }
}

/// What of an answer stays the same from run to run: names of JSON, and words of letters alone.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .filter(|word| word.len() > 3 && word.chars().all(|c| c.is_ascii_lowercase() || c == '_'))
}

/// Has bash read a script without running it.
pub(crate) fn read_by_bash(script: &str, place: &str) {
    let read = Command::new("bash").args(["-n", "-c", script]).output().expect("bash runs");
    assert!(read.status.success(), "{place}: {}\n{script}", String::from_utf8_lossy(&read.stderr));
}
