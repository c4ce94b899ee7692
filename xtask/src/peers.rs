//! What the tests talk to and check with: other people's programs, from Debian's packages and PyPI.

pub(crate) mod tools;
mod virt_v2v;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::run;

/// A program, and the Debian package it comes in.
const PROGRAMS: &[(&str, &str)] = &[
    ("qemu-img", "qemu-utils"),
    ("xmllint", "libxml2-utils"),
    ("go", "golang-go"),
    ("python3", "python3"),
    ("curl", "curl"),
    ("jq", "jq"),
    ("sqlite3", "sqlite3"),
    ("openssl", "openssl"),
    ("zstd", "zstd"),
    ("htpasswd", "apache2-utils"),
    ("gzip", "gzip"),
    ("tar", "tar"),
    ("systemd-analyze", "systemd"),
    ("mke2fs", "e2fsprogs"),
    ("promtool", "prometheus"),
    ("chromium", "chromium"),
    ("chromedriver", "chromium-driver"),
    ("npm", "npm"),
];

/// A file, and the Debian package it comes in.
const FILES: &[(&str, &str)] =
    &[("/usr/share/gocode/src/github.com/vmware/govmomi", "golang-github-vmware-govmomi-dev")];

/// From PyPI: VMware's own client, what checks the API against its document, a verifier of webhooks, and one of
/// bills of materials.
const PYTHON_PACKAGES: &[&str] = &[
    "pyvmomi==9.1.1.0",
    "schemathesis==4.32.5",
    "standardwebhooks==1.1.0",
    // They judge the schema of the configuration, and come with schemathesis.
    "jsonschema_rs==0.60.3",
    "PyYAML==6.0.4",
    "cyclonedx-python-lib[json-validation]==11.12.0",
];

/// From npm: what finds barriers in a page.
const AXE: &str = "axe-core@4.14.1";

/// What tests are told by environment.
#[derive(Debug)]
pub(crate) struct Peers {
    /// The Python interpreter that has the packages.
    pub(crate) python: PathBuf,
    /// The script of axe-core.
    pub(crate) axe: PathBuf,
    /// virt-v2v, or `none: ` and why this machine cannot have it.
    pub(crate) virt_v2v: String,
}

impl Peers {
    /// Tells tests that `command` runs.
    pub(crate) fn tell<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command
            .env("HYPERSDK_PYTHON", &self.python)
            .env("HYPERSDK_AXE", &self.axe)
            .env("HYPERSDK_VIRT_V2V", &self.virt_v2v)
    }

    /// Says aloud what cannot be checked here.
    #[expect(clippy::print_stderr, reason = "it reports to a terminal")]
    pub(crate) fn confess(&self) {
        if let Some(reason) = self.virt_v2v.strip_prefix("none: ") {
            eprintln!("NOT CHECKED on this machine: whether virt-v2v reads our packages ({reason})");
        }
    }
}

/// Installs what is missing.
pub(crate) fn install() -> Result<Peers> {
    let mut missing: Vec<&str> = PROGRAMS
        .iter()
        .filter(|(program, _)| !on_path(program))
        .map(|(_, package)| *package)
        .chain(FILES.iter().filter(|(file, _)| !Path::new(file).exists()).map(|(_, package)| *package))
        .collect();
    if !has_postgres() {
        missing.push("postgresql");
    }
    if !can_make_environments() {
        missing.push("python3-venv");
    }
    if !missing.is_empty() {
        apt_get(&missing)?;
    }
    let directory = directory();
    Ok(Peers {
        python: python_environment(&directory)?,
        axe: axe(&directory)?,
        virt_v2v: virt_v2v::provide(&directory),
    })
}

/// Beside the build.
pub(crate) fn directory() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"), PathBuf::from);
    target.join("peers")
}

fn apt_get(packages: &[&str]) -> Result<()> {
    if !rustix::process::getuid().is_root() {
        bail!("these Debian packages are missing: {}; install them, or run as root", packages.join(" "));
    }
    let apt = |arguments: &[&str]| {
        run(Command::new("apt-get").env("DEBIAN_FRONTEND", "noninteractive").args(arguments))
    };
    apt(&["update", "-qq"])?;
    apt(&[&["install", "-y", "-qq", "--no-install-recommends"], packages].concat())
}

fn python_environment(directory: &Path) -> Result<PathBuf> {
    let environment = directory.join("python");
    let python = environment.join("bin/python");
    if !python.exists() {
        run(Command::new("python3").args(["-m", "venv"]).arg(&environment))?;
    }
    run(Command::new(&python)
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
        .args(PYTHON_PACKAGES))?;
    std::path::absolute(&python).context("name the Python interpreter")
}

fn axe(directory: &Path) -> Result<PathBuf> {
    let package = directory.join("npm/node_modules/axe-core");
    let version = AXE.rsplit('@').next().expect("a version");
    let is_there = std::fs::read_to_string(package.join("package.json"))
        .is_ok_and(|text| text.contains(&format!("\"version\": \"{version}\"")));
    if !is_there {
        run(Command::new("npm")
            .args(["install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix"])
            .arg(directory.join("npm"))
            .arg(AXE))?;
    }
    std::path::absolute(package.join("axe.min.js")).context("name the script of axe-core")
}

/// Debian keeps the server's programs off the path, in a directory a version.
fn has_postgres() -> bool {
    std::fs::read_dir("/usr/lib/postgresql")
        .is_ok_and(|versions| versions.flatten().any(|version| version.path().join("bin/initdb").is_file()))
}

fn can_make_environments() -> bool {
    silent(Command::new("python3").args(["-c", "import venv, ensurepip"]))
}

fn on_path(program: &str) -> bool {
    // Administrators' tools are found by tests that give their whole path or run as root.
    let system = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).chain(system).any(|folder| folder.join(program).is_file())
}

fn silent(command: &mut Command) -> bool {
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}
