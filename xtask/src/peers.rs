//! What the tests talk to and check with: other people's programs, from Debian's packages and PyPI.

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
    ("gzip", "gzip"),
    ("tar", "tar"),
];

/// A file, and the Debian package it comes in.
const FILES: &[(&str, &str)] =
    &[("/usr/share/gocode/src/github.com/vmware/govmomi", "golang-github-vmware-govmomi-dev")];

/// From PyPI: VMware's own client.
const PYTHON_PACKAGES: &[&str] = &["pyvmomi==9.1.1.0"];

/// Installs what is missing and returns the Python interpreter that has the packages.
pub(crate) fn install() -> Result<PathBuf> {
    let mut missing: Vec<&str> = PROGRAMS
        .iter()
        .filter(|(program, _)| !on_path(program))
        .map(|(_, package)| *package)
        .chain(FILES.iter().filter(|(file, _)| !Path::new(file).exists()).map(|(_, package)| *package))
        .collect();
    if !can_make_environments() {
        missing.push("python3-venv");
    }
    if !missing.is_empty() {
        apt_get(&missing)?;
    }
    python_environment()
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

fn python_environment() -> Result<PathBuf> {
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"), PathBuf::from);
    let environment = target.join("peers/python");
    let python = environment.join("bin/python");
    if !python.exists() {
        run(Command::new("python3").args(["-m", "venv"]).arg(&environment))?;
    }
    run(Command::new(&python)
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
        .args(PYTHON_PACKAGES))?;
    std::path::absolute(&python).context("name the Python interpreter")
}

fn can_make_environments() -> bool {
    silent(Command::new("python3").args(["-c", "import venv, ensurepip"]))
}

fn on_path(program: &str) -> bool {
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(program).is_file()))
}

fn silent(command: &mut Command) -> bool {
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}
