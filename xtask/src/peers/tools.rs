//! Programs that only some chores need: installed when one of those is asked for.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use super::{apt_get, directory, on_path};
use crate::run;

/// Installs the Debian packages of the programs that are missing.
pub(crate) fn debian(programs: &[(&str, &str)]) -> Result<()> {
    let missing: Vec<&str> =
        programs.iter().filter(|(program, _)| !on_path(program)).map(|(_, package)| *package).collect();
    if missing.is_empty() { Ok(()) } else { apt_get(&missing) }
}

/// The binary of a cargo tool: that of the machine, or one of this version built beside the build, which takes
/// some minutes once.
pub(crate) fn cargo_tool(name: &str, version: &str) -> Result<PathBuf> {
    let root = directory().join("cargo");
    let binary = root.join("bin").join(name);
    if binary.is_file() {
        return Ok(binary);
    }
    if on_path(name) {
        return Ok(PathBuf::from(name));
    }
    // Built by the machine's default toolchain: tools follow the newest, this workspace does not. The cargo on the
    // path says to all it starts which that is; the one that runs this would leave it to files in their directories.
    run(Command::new("cargo")
        .args(["install", "--locked", "--root"])
        .arg(&root)
        .args([name, "--version", version])
        .current_dir(std::env::temp_dir())
        .env_remove("CARGO")
        .env_remove("RUSTUP_TOOLCHAIN")
        .env_remove("CARGO_TARGET_DIR"))?;
    Ok(binary)
}

/// A command of such a tool.
pub(crate) fn command(name: &str, version: &str) -> Result<Command> {
    Ok(Command::new(cargo_tool(name, version)?))
}
