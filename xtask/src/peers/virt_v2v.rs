//! Debian's virt-v2v, of which the tests need no more than that it reads an OVA's descriptor.
//!
//! Installed, it brings QEMU, libguestfs and half a gigabyte of what they need, and conflicts with a newer
//! qemu-utils. So its package and the libraries it is linked with are unpacked beside the build instead.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::{on_path, silent};
use crate::run;

/// The program, and what it does not run without on a small system.
const PACKAGES: &[&str] = &[
    "virt-v2v",
    "nbdkit",
    "libguestfs0",
    "libnbd0",
    "libosinfo-1.0-0",
    "libvirt0",
    "libnl-3-200",
    "libyajl2",
    "libssh-4",
    "libfuse2",
    "libsoup-3.0-0",
];

/// The program's path, or `none: ` and why this machine cannot have it.
pub(super) fn provide(directory: &Path) -> String {
    if on_path("virt-v2v") {
        return "virt-v2v".to_owned();
    }
    let directory = match std::path::absolute(directory.join("virt-v2v")) {
        Ok(directory) => directory,
        Err(error) => return format!("none: {error}"),
    };
    let program = directory.join("virt-v2v");
    if works(&program) {
        return program.display().to_string();
    }
    match unpack(&directory) {
        Ok(()) if works(&program) => program.display().to_string(),
        Ok(()) => "none: Debian's package was unpacked, but a library is missing".to_owned(),
        Err(error) => format!("none: {error:#}"),
    }
}

fn works(program: &Path) -> bool {
    program.exists() && silent(Command::new(program).arg("--version"))
}

fn unpack(directory: &Path) -> Result<()> {
    for tool in ["apt-get", "dpkg"] {
        if !on_path(tool) {
            bail!("there is no {tool}");
        }
    }
    let (archives, root) = (directory.join("archives"), directory.join("root"));
    fs::create_dir_all(&archives)?;
    for package in PACKAGES {
        // A library may have another name in another release, or be there already: what counts is whether it runs.
        _ = run(Command::new("apt-get").args(["download", "-qq", package]).current_dir(&archives));
    }
    for entry in fs::read_dir(&archives)? {
        run(Command::new("dpkg").arg("-x").arg(entry?.path()).arg(&root))?;
    }
    fs::remove_dir_all(&archives)?;
    if !root.join("usr/bin/virt-v2v").exists() {
        bail!("no package source offers virt-v2v");
    }
    let script = directory.join("virt-v2v");
    let root = root.display();
    let libraries = format!("{root}/usr/lib/x86_64-linux-gnu:{root}/lib/x86_64-linux-gnu");
    fs::write(
        &script,
        format!(
            "#!/bin/sh\nLD_LIBRARY_PATH={libraries} PATH={root}/usr/sbin:{root}/usr/bin:$PATH \
             exec {root}/usr/bin/virt-v2v \"$@\"\n"
        ),
    )
    .context("write the script that starts virt-v2v")?;
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?;
    Ok(())
}
