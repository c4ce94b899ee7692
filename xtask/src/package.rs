//! Packages for Debian and RPM systems, with man pages and completions made by the programs themselves.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{cargo, run};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// Shells, and what their completion scripts are called.
const SHELLS: [(&str, &str, &str); 3] = [("bash", "", ""), ("zsh", "_", ""), ("fish", "", ".fish")];

/// Builds the binaries and every kind of package whose tool is installed.
#[expect(clippy::print_stderr, reason = "a chore says what it leaves out")]
pub(crate) fn package() -> Result<()> {
    let mut build = cargo();
    build.args(["build", "--release", "--locked", "-p", "hypervisord", "-p", "hyperctl"]);
    // The same sources make the same bytes wherever they lie.
    run(build.current_dir(ROOT).env("RUSTFLAGS", remap()?))?;
    let release = target().join("release");
    pages(&release)?;
    let tools: [(&str, &[&str]); 2] = [
        ("cargo-deb", &["deb", "--no-build", "--locked", "-p", "hypervisord"]),
        ("cargo-generate-rpm", &["generate-rpm", "-p", "crates/hypervisord"]),
    ];
    let mut made = 0;
    for (tool, arguments) in tools {
        if Command::new(tool).arg("--version").output().is_err() {
            eprintln!("{tool} is not installed, so its package is left out: cargo install --locked {tool}");
            continue;
        }
        run(cargo().args(arguments).current_dir(ROOT).env("CARGO_TARGET_DIR", target()))?;
        made += 1;
    }
    if made == 0 {
        bail!("no package was made");
    }
    Ok(())
}

/// Makes man pages and completions in `release/pages`.
fn pages(release: &Path) -> Result<()> {
    let pages = release.join("pages");
    if pages.exists() {
        fs::remove_dir_all(&pages)?;
    }
    for (program, section) in [("hyperctl", "man1"), ("hypervisord", "man8")] {
        let binary = release.join(program);
        run(Command::new(&binary).arg("man").arg(pages.join(section)))?;
        for (shell, before, after) in SHELLS {
            let directory = pages.join(shell);
            fs::create_dir_all(&directory)?;
            let file = directory.join(format!("{before}{program}{after}"));
            let file = File::create(&file).with_context(|| format!("create {}", file.display()))?;
            run(Command::new(&binary).args(["completions", shell]).stdout(file))?;
        }
    }
    Ok(())
}

/// Flags under which no path of this machine gets into the binaries.
fn remap() -> Result<String> {
    let root = fs::canonicalize(ROOT)?;
    let home = std::env::var("CARGO_HOME")
        .or_else(|_| std::env::var("HOME").map(|home| format!("{home}/.cargo")))
        .context("neither CARGO_HOME nor HOME is set")?;
    Ok(format!("--remap-path-prefix={}=/src --remap-path-prefix={home}=/cargo", root.display()))
}

fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| Path::new(ROOT).join("target"), PathBuf::from)
}
