//! Packages for Debian and RPM systems, with man pages and completions made by the programs themselves.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::peers::tools;
use crate::{cargo, run, sbom};

pub(crate) const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// The tools, and the versions that are built where a machine has none.
const DEB: (&str, &str) = ("cargo-deb", "3.8.0");
const RPM: (&str, &str) = ("cargo-generate-rpm", "0.21.1");

/// Shells, and what their completion scripts are called.
const SHELLS: [(&str, &str, &str); 3] = [("bash", "", ""), ("zsh", "_", ""), ("fish", "", ".fish")];

/// What every package must hold, whatever its kind.
const CONTENTS: [&str; 11] = [
    "/usr/bin/hypervisord",
    "/usr/bin/hyperctl",
    "/usr/lib/systemd/system/hypervisord.service",
    "/usr/lib/sysusers.d/hypersdk.conf",
    "/usr/lib/tmpfiles.d/hypersdk.conf",
    "/etc/hypersdk/hypersdk.yaml",
    "/etc/logrotate.d/hypersdk",
    "/usr/share/doc/hypersdk/config.example.yaml",
    "/usr/share/doc/hypersdk/config.schema.json",
    "/usr/share/doc/hypersdk/hypersdk.cdx.json",
    "/usr/share/bash-completion/completions/hyperctl",
];

/// Which build the packages are made of.
#[derive(Args)]
pub(crate) struct PackageArgs {
    /// The profile to build with. Packages to hand out are of `release`; `dev` is built sooner, to try packaging.
    #[arg(long, value_name = "NAME", default_value = "release")]
    pub(crate) profile: String,
    /// Take the binaries that this profile was built to before.
    #[arg(long)]
    pub(crate) no_build: bool,
}

/// What was made.
#[derive(Debug)]
pub(crate) struct Packages {
    pub(crate) deb: PathBuf,
    pub(crate) rpm: PathBuf,
}

/// Builds the binaries, makes both packages of them, and looks whether they hold what they should.
#[expect(clippy::print_stdout, reason = "it reports to a terminal")]
pub(crate) fn package(args: &PackageArgs) -> Result<Packages> {
    let built = target().join(folder(&args.profile));
    if !args.no_build {
        let mut build = cargo();
        build.args(["build", "--locked", "-p", "hypervisord", "-p", "hyperctl", "--profile", &args.profile]);
        if args.profile == "release" {
            // The same sources make the same bytes wherever they lie.
            build.env("RUSTFLAGS", remap()?);
        }
        run(build.current_dir(ROOT))?;
    }
    pages(&built)?;
    fs::write(built.join("hypersdk.cdx.json"), sbom::document()?)?;
    let made = built.join("packages");
    if made.exists() {
        fs::remove_dir_all(&made)?;
    }
    fs::create_dir_all(&made)?;
    let packages = Packages { deb: deb(args, &made)?, rpm: rpm(args, &made)? };
    for (path, files) in
        [(&packages.deb, deb_files(&packages.deb)?), (&packages.rpm, rpm_files(&packages.rpm)?)]
    {
        let missing: Vec<&str> =
            CONTENTS.into_iter().filter(|file| !files.iter().any(|found| found == file)).collect();
        if !missing.is_empty() {
            bail!("{} lacks {}", path.display(), missing.join(", "));
        }
        println!("{}: {} files, {} bytes", path.display(), files.len(), fs::metadata(path)?.len());
    }
    Ok(packages)
}

fn deb(args: &PackageArgs, into: &Path) -> Result<PathBuf> {
    let mut command = tools::command(DEB.0, DEB.1)?;
    command.args(["--no-build", "--locked", "-p", "hypervisord", "--profile", &args.profile, "-o"]).arg(into);
    run(command.current_dir(ROOT).env("CARGO_TARGET_DIR", target()))?;
    only(into, "deb")
}

fn rpm(args: &PackageArgs, into: &Path) -> Result<PathBuf> {
    let mut command = tools::command(RPM.0, RPM.1)?;
    command.args(["-p", "crates/hypervisord", "--profile", &args.profile, "-o"]).arg(into);
    run(command.arg("--target-dir").arg(target()).current_dir(ROOT))?;
    only(into, "rpm")
}

/// The one file of this kind.
fn only(directory: &Path, extension: &str) -> Result<PathBuf> {
    let found = fs::read_dir(directory)?.flatten().map(|entry| entry.path());
    let mut found = found.filter(|path| path.extension().is_some_and(|found| found == extension));
    match (found.next(), found.next()) {
        (Some(path), None) => Ok(path),
        _ => bail!("{} does not hold one .{extension}", directory.display()),
    }
}

fn deb_files(path: &Path) -> Result<Vec<String>> {
    let listed = said(Command::new("dpkg-deb").arg("--fsys-tarfile").arg(path), "tar", &["-t"])?;
    Ok(listed
        .lines()
        .filter(|file| !file.ends_with('/'))
        .map(|file| format!("/{}", file.trim_start_matches("./")))
        .collect())
}

fn rpm_files(path: &Path) -> Result<Vec<String>> {
    tools::debian(&[("rpm", "rpm")])?;
    let listed = Command::new("rpm").arg("-qlp").arg(path).output().context("start rpm")?;
    if !listed.status.success() {
        bail!("rpm does not read {}: {}", path.display(), String::from_utf8_lossy(&listed.stderr));
    }
    Ok(String::from_utf8(listed.stdout)?.lines().map(str::to_owned).collect())
}

/// What `reader` says about the output of `writer`.
fn said(writer: &mut Command, reader: &str, arguments: &[&str]) -> Result<String> {
    let mut child = writer.stdout(std::process::Stdio::piped()).spawn().context("start dpkg-deb")?;
    let pipe = child.stdout.take().context("a pipe")?;
    let output = Command::new(reader).args(arguments).stdin(pipe).output().context("start tar")?;
    if !child.wait()?.success() || !output.status.success() {
        bail!("the .deb cannot be read");
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// Makes man pages and completions in `pages` beside the binaries.
fn pages(built: &Path) -> Result<()> {
    let pages = built.join("pages");
    if pages.exists() {
        fs::remove_dir_all(&pages)?;
    }
    for (program, section) in [("hyperctl", "man1"), ("hypervisord", "man8")] {
        let binary = built.join(program);
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
pub(crate) fn remap() -> Result<String> {
    let root = fs::canonicalize(ROOT)?;
    let home = std::env::var("CARGO_HOME")
        .or_else(|_| std::env::var("HOME").map(|home| format!("{home}/.cargo")))
        .context("neither CARGO_HOME nor HOME is set")?;
    Ok(format!("--remap-path-prefix={}=/src --remap-path-prefix={home}=/cargo", root.display()))
}

/// Where a profile's binaries are.
pub(crate) fn folder(profile: &str) -> &str {
    if profile == "dev" { "debug" } else { profile }
}

pub(crate) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| Path::new(ROOT).join("target"), PathBuf::from)
}
