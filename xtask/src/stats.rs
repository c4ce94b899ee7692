//! `cargo xtask stats`: how large the programs are, what they are made of, and how long a build from nothing takes.
#![expect(clippy::print_stdout, reason = "it reports to a terminal")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::json;

use crate::dependencies::{Part, graph};
use crate::package::{ROOT, folder, target};
use crate::{cargo, run};

const MIB: f64 = 1_048_576.0;

/// The programs, and how many MiB each may have once it is stripped.
const PROGRAMS: [(&str, f64); 2] = [("hypervisord", 20.0), ("hyperctl", 20.0)];

/// What to look at.
#[derive(Args)]
pub(crate) struct StatsArgs {
    /// Build from nothing, in a folder of its own, and say how long it took (minutes, and about a gigabyte).
    #[arg(long)]
    cold: bool,
    /// The profile of the binaries.
    #[arg(long, value_name = "NAME", default_value = "release")]
    profile: String,
    /// Report bounds that are not kept, and end well all the same.
    #[arg(long)]
    no_gate: bool,
}

/// Prints the figures; fails if a program is larger than promised.
pub(crate) fn stats(args: &StatsArgs) -> Result<()> {
    let fresh = args
        .cold
        .then(|| tempfile::Builder::new().prefix("hypersdk-cold-").tempdir_in(above(&target())))
        .transpose()?;
    let folder_of_builds = fresh.as_ref().map_or_else(target, |fresh| fresh.path().to_owned());
    let cold =
        args.cold.then(|| build(&folder_of_builds, &["build", "--release", "--locked"])).transpose()?;
    if !args.cold {
        let packages = PROGRAMS.iter().flat_map(|(name, _)| ["-p", name]);
        let arguments = ["build", "--locked", "--profile", &args.profile];
        build(&folder_of_builds, &[&arguments[..], &packages.collect::<Vec<_>>()].concat())?;
    }
    if let Some(seconds) = cold {
        let cores = std::thread::available_parallelism()?;
        println!("cold cargo build --release of the workspace: {seconds:.0} s on {cores} cores");
    }
    let built = folder_of_builds.join(if args.cold { "release" } else { folder(&args.profile) });
    let mut missed = Vec::new();
    let mut sizes = serde_json::Map::new();
    for (name, bound) in PROGRAMS {
        let (whole, stripped) = sizes_of(&built.join(name))?;
        let kept = stripped <= bound;
        println!(
            "{:<8}{name:<14}{:>7.2} MiB, stripped {stripped:.2} MiB <= {bound}",
            if kept { "ok" } else { "MISSED" },
            whole
        );
        if !kept {
            missed.push(format!("{name} has {stripped:.2} MiB stripped, not at most {bound}"));
        }
        sizes.insert(name.to_owned(), json!({ "mib": whole, "stripped_mib": stripped }));
    }
    let names = PROGRAMS.map(|(name, _)| name);
    let mut counts = serde_json::Map::new();
    for (what, packages) in [("hypervisord", &names[..1]), ("hyperctl", &names[1..]), ("both", &names[..])] {
        let linked = foreign(&graph(packages, "normal")?);
        let built = foreign(&graph(packages, "normal,build")?);
        println!("        {what:<14}{linked} crates of others linked, {built} with what only the build uses");
        counts.insert(what.to_owned(), json!({ "linked": linked, "with_build": built }));
    }
    println!(
        "\n{}",
        json!({ "profile": args.profile, "cold_seconds": cold, "binaries": sizes, "crates": counts })
    );
    if !missed.is_empty() && !args.no_gate {
        bail!("{}", missed.join("; "));
    }
    Ok(())
}

/// Where a fresh folder has room: beside the other builds.
fn above(target: &Path) -> PathBuf {
    target.parent().filter(|parent| parent.is_dir()).map_or_else(std::env::temp_dir, Path::to_owned)
}

/// Seconds that it took.
fn build(target: &Path, arguments: &[&str]) -> Result<f64> {
    let begun = Instant::now();
    run(cargo().args(arguments).current_dir(ROOT).env("CARGO_TARGET_DIR", target))?;
    Ok(begun.elapsed().as_secs_f64())
}

/// Of a binary as it was built, and without symbols, in MiB.
fn sizes_of(binary: &Path) -> Result<(f64, f64)> {
    let copy = tempfile::NamedTempFile::new()?;
    fs::copy(binary, copy.path()).with_context(|| format!("copy {}", binary.display()))?;
    let whole = fs::metadata(copy.path())?.len() as f64 / MIB;
    run(Command::new("strip").arg(copy.path()))?;
    Ok((whole, fs::metadata(copy.path())?.len() as f64 / MIB))
}

/// How many are not of this workspace.
fn foreign(graph: &crate::dependencies::Graph) -> usize {
    let is_ours = |part: &&Part| {
        part.name == "hypervisord" || part.name == "hyperctl" || part.name.starts_with("hypersdk-")
    };
    graph.len() - graph.keys().filter(is_ours).count()
}
