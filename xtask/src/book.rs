//! `cargo xtask book`: the pages of docs/ as an mdBook, in target/book.
//!
//! Building mdBook itself takes minutes, so this is a chore of its own and no part of the tests, which check links and
//! the table of contents by themselves.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{cargo, run};

/// The version that book.toml is for.
const VERSION: &str = "0.5.4";

/// Installs mdBook beside the build if it is not there, and builds the book. A warning is an error.
pub(crate) fn book() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let home = target.join(format!("peers/mdbook-{VERSION}"));
    let mdbook = home.join("bin/mdbook");
    if !mdbook.is_file() {
        // What it serves and watches with is not needed, nor a search that readers of files have in their editors.
        let arguments =
            ["install", "mdbook", "--locked", "--no-default-features", "--version", VERSION, "--root"];
        run(cargo().args(arguments).arg(&home).env_remove("CARGO_TARGET_DIR"))?;
    }
    let output = target.join("book");
    let built = Command::new(&mdbook)
        .arg("build")
        .arg(&root)
        .arg("--dest-dir")
        .arg(std::path::absolute(&output)?)
        .output()
        .with_context(|| format!("run {}", mdbook.display()))?;
    let said = String::from_utf8_lossy(&built.stderr).into_owned();
    if !built.status.success() || said.contains("WARN") || said.contains("ERROR") {
        bail!("mdbook ended with {}:\n{said}", built.status);
    }
    let page = output.join("index.html");
    if !page.is_file() {
        bail!("mdbook wrote no {}", page.display());
    }
    Ok(())
}
