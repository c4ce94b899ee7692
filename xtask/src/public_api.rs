//! `cargo xtask public-api`: what each library offers, a line each, in docs/public-api.
//!
//! The listings are reviewed as the code is: a change of them is a change that embedding programs feel. They come from
//! rustdoc's JSON, whose form belongs to the toolchain that rust-toolchain.toml pins.

use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::dependencies::workspace_libraries;
use crate::package::ROOT;
use crate::peers::tools;

/// The version that understands the pinned toolchain's JSON.
const VERSION: &str = "0.52.0";

/// Writes the listings, and installs cargo-public-api before if need be.
pub(crate) fn public_api() -> Result<()> {
    let root = Path::new(ROOT);
    let directory = root.join("docs/public-api");
    std::fs::create_dir_all(&directory).context("make docs/public-api")?;
    for library in workspace_libraries()? {
        let listed = tools::command("cargo-public-api", VERSION)?
            // Without derived and blanket implementations.
            .args(["public-api", "-sss", "-p", &library])
            .current_dir(root)
            .env("RUSTC_BOOTSTRAP", "1")
            .output()
            .context("run cargo-public-api")?;
        if !listed.status.success() {
            bail!("{library}: {}", String::from_utf8_lossy(&listed.stderr));
        }
        let path = directory.join(format!("{library}.txt"));
        std::fs::write(&path, listed.stdout).with_context(|| format!("write {}", path.display()))?;
    }
    Ok(())
}
