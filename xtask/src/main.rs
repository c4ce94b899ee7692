//! Chores: `cargo xtask test` prepares a Debian machine and runs every test, `cargo xtask bench` measures,
//! `cargo xtask package` makes what is installed, and `install-test` tries it.

mod bench;
mod book;
mod dependencies;
mod install_test;
mod package;
mod peers;
mod public_api;
mod sbom;
mod stats;

use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(about = "Chores of the HyperSDK workspace")]
struct Args {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Install what the tests need (Debian packages, a Python environment), then run every test. Without arguments,
    /// look whether all documentation builds without a warning, too.
    Test {
        /// Passed on to `cargo test`.
        #[arg(last = true)]
        rest: Vec<String>,
    },
    /// Only install what the tests need.
    Peers,
    /// Build the pages of docs/ as an mdBook into target/book; installs mdBook if need be.
    Book,
    /// Build the binaries, and from them a .deb and an .rpm with all that belongs into them.
    Package(package::PackageArgs),
    /// Boot a fresh Debian, install the .deb there, and use it as the documents say. Needs root.
    InstallTest(install_test::InstallArgs),
    /// List what each library offers in docs/public-api; installs cargo-public-api if need be.
    PublicApi,
    /// Write the bill of materials of the programs (CycloneDX, JSON).
    Sbom(sbom::SbomArgs),
    /// Say how large the programs are, of how many crates, and how long a build from nothing takes.
    Stats(stats::StatsArgs),
    /// Measure release builds against the simulator; docs/benchmarks.md says how to read it.
    Bench {
        #[command(subcommand)]
        bench: bench::Bench,
    },
}

fn main() -> Result<()> {
    match Args::parse().chore {
        Chore::Test { rest } => test(&rest),
        Chore::Peers => peers::install().map(|peers| peers.confess()),
        Chore::Book => book::book(),
        Chore::Package(args) => package::package(&args).map(drop),
        Chore::InstallTest(args) => install_test::run(&args),
        Chore::PublicApi => public_api::public_api(),
        Chore::Sbom(args) => sbom::sbom(&args),
        Chore::Stats(args) => stats::stats(&args),
        Chore::Bench { bench } => bench.run(),
    }
}

fn test(rest: &[String]) -> Result<()> {
    let peers = peers::install()?;
    if rest.is_empty() {
        run(cargo().args(["doc", "--workspace", "--no-deps", "--quiet"]).env("RUSTDOCFLAGS", "-D warnings"))?;
    }
    let mut command = cargo();
    command.args(["test", "--workspace", "--no-fail-fast"]).args(rest);
    let tested = run(peers.tell(&mut command));
    peers.confess();
    tested
}

fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("start {command:?}"))?;
    if !status.success() {
        bail!("{command:?} ended with {status}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::Args;

    /// Asks for the help of a command and of all below it; how many they are.
    fn ask(command: &mut clap::Command) -> usize {
        let help = command.render_long_help().to_string();
        assert!(help.contains("Usage:"), "{help}");
        assert!(command.get_about().is_some(), "{} says nothing of itself", command.get_name());
        1 + command.get_subcommands_mut().map(ask).sum::<usize>()
    }

    #[test]
    fn every_help_page_is_rendered() {
        let mut command = Args::command().disable_help_subcommand(true);
        command.build();
        assert!(ask(&mut command) > 15);
    }
}
