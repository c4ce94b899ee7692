//! A fresh Debian of this machine's release, made once and unpacked for each test.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::{peers, run};

/// An unpacked root. It goes away with this value.
#[derive(Debug)]
pub(super) struct Root {
    directory: tempfile::TempDir,
    pub(super) suite: String,
}

impl Root {
    pub(super) fn path(&self) -> &Path {
        self.directory.path()
    }
}

/// Unpacks a root, and makes it before if there is none yet (a minute or two).
pub(super) fn root() -> Result<Root> {
    let suite = suite()?;
    let archive = archive(&suite)?;
    let directory = tempfile::Builder::new().prefix("hypersdk-root-").tempdir()?;
    run(Command::new("tar").arg("-xf").arg(&archive).arg("-C").arg(directory.path()))?;
    Ok(Root { directory, suite })
}

/// What dpkg, a shell and systemd need, what the package depends on, and `man`, by which the unit's documents are
/// looked for.
fn archive(suite: &str) -> Result<PathBuf> {
    let archive = peers::directory().join(format!("{suite}-root.tar"));
    if archive.is_file() {
        return Ok(archive);
    }
    fs::create_dir_all(peers::directory())?;
    let unfinished = archive.with_extension("tar.partial");
    let mirror = mirror(suite)?;
    run(Command::new("mmdebstrap")
        .args(["--quiet", "--variant=essential", "--include=systemd,procps,man-db", "--format=tar", suite])
        .arg(&unfinished)
        .arg(mirror))?;
    fs::rename(&unfinished, &archive)?;
    Ok(archive)
}

/// This machine's release: its binaries run on that.
fn suite() -> Result<String> {
    let text = fs::read_to_string("/etc/os-release").context("read /etc/os-release")?;
    let name = text.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="));
    Ok(name.context("this is no Debian with a code name")?.trim_matches('"').to_owned())
}

/// Where this machine gets its own packages.
fn mirror(suite: &str) -> Result<String> {
    let output = Command::new("apt-get")
        .args(["indextargets", "--format", "$(CODENAME) $(COMPONENT) $(REPO_URI)", "Created-By: Packages"])
        .output()
        .context("start apt-get")?;
    let text = String::from_utf8(output.stdout)?;
    let wanted = format!("{suite} main ");
    let found = text.lines().find_map(|line| line.strip_prefix(&wanted));
    Ok(found.with_context(|| format!("apt knows no source of {suite}; run apt-get update"))?.to_owned())
}
