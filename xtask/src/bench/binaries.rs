//! Release builds, made by cargo.

use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::cargo;

/// Builds each package's binary of the same name and gives their paths.
pub(super) fn release<const N: usize>(packages: [&str; N]) -> Result<[PathBuf; N]> {
    let output = cargo()
        .args(["build", "--release", "--message-format=json-render-diagnostics"])
        .args(packages.iter().flat_map(|package| ["--package", package]))
        .stderr(Stdio::inherit())
        .output()
        .context("start cargo")?;
    if !output.status.success() {
        bail!("building {} failed", packages.join(" and "));
    }
    let messages: Vec<Value> = String::from_utf8(output.stdout)?
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    let mut paths = packages.map(|_| PathBuf::new());
    for (path, package) in paths.iter_mut().zip(packages) {
        *path = messages
            .iter()
            .filter(|message| message["target"]["name"] == package)
            .find_map(|message| message["executable"].as_str().map(PathBuf::from))
            .with_context(|| format!("cargo names no binary of {package}"))?;
    }
    Ok(paths)
}
