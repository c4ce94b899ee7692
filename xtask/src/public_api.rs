//! `cargo xtask public-api`: what each library offers, a line each, in docs/public-api.
//!
//! The listings are reviewed as the code is: a change of them is a change that embedding programs feel. They come from
//! rustdoc's JSON, whose form belongs to the toolchain that rust-toolchain.toml pins.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::dependencies::workspace_libraries;
use crate::package::ROOT;
use crate::{cargo, run};

/// The version that understands the pinned toolchain's JSON.
const VERSION: &str = "0.52.0";

/// Installs cargo-public-api beside the build if it is not there, and writes the listings.
pub(crate) fn public_api() -> Result<()> {
    let root = Path::new(ROOT);
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let home = target.join(format!("peers/public-api-{VERSION}"));
    let tool = home.join("bin/cargo-public-api");
    if !tool.is_file() {
        let arguments = ["install", "cargo-public-api", "--locked", "--version", VERSION, "--root"];
        run(cargo().args(arguments).arg(&home).env_remove("CARGO_TARGET_DIR"))?;
    }
    let directory = root.join("docs/public-api");
    std::fs::create_dir_all(&directory).context("make docs/public-api")?;
    for library in workspace_libraries()? {
        let listed = Command::new(&tool)
            // Without derived and blanket implementations.
            .args(["public-api", "-sss", "-p", &library])
            .current_dir(root)
            .env("RUSTC_BOOTSTRAP", "1")
            .output()
            .with_context(|| format!("run {}", tool.display()))?;
        if !listed.status.success() {
            bail!("{library}: {}", String::from_utf8_lossy(&listed.stderr));
        }
        let path = directory.join(format!("{library}.txt"));
        std::fs::write(&path, listed.stdout).with_context(|| format!("write {}", path.display()))?;
    }
    Ok(())
}
