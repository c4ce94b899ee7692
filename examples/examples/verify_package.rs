//! Verifies a package of any producer, down to every grain of its disks.
//!
//! `cargo run -p hypersdk-examples --example verify_package PATH`, where PATH is an OVA, an OVF directory or its
//! descriptor. Without PATH it makes a package, damages a copy, and verifies both.

#![expect(clippy::print_stdout, reason = "what the example shows")]

use std::path::{Path, PathBuf};

use anyhow::ensure;
use hypersdk_core::{JobContext, JobId, JobSpec};
use hypersdk_examples::{Output, Source};
use hypersdk_export::{ExportConfig, export};
use hypersdk_ova::verify::{Level, verify};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    if let Some(path) = std::env::args().nth(1) {
        let report = verify(path.as_ref(), Level::Full).await?;
        println!("{report}");
        ensure!(report.is_ok(), "the package has {} faults", report.faults.len());
        return Ok(());
    }

    let output = Output::choose(None)?;
    let whole = make_package(output.path()).await?;
    println!("{}", verify(&whole, Level::Full).await?);

    // One byte in the middle, which no size and no header tells of.
    let mut bytes = std::fs::read(&whole)?;
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0xff;
    let damaged = output.path().join("damaged.ova");
    std::fs::write(&damaged, bytes)?;

    // `Headers` costs the same for any size of disk, and trusts what it does not read.
    for level in [Level::Headers, Level::Structure, Level::Full] {
        let report = verify(&damaged, level).await?;
        println!("{level:?} finds {} faults, the worst of class {:?}", report.faults.len(), report.worst());
        for fault in &report.faults {
            println!("  {fault}");
        }
    }
    Ok(())
}

async fn make_package(directory: &Path) -> anyhow::Result<PathBuf> {
    let source = Source::simulated().await?;
    let spec = JobSpec::new(source.choose(None, "/DC0/vm/demo/web01")?, directory);
    let (context, _log) = JobContext::new(JobId::generate(), 1, Default::default());
    let outcome = export(&source.provider, &spec, &context, ExportConfig::default()).await?;
    source.close().await;
    Ok(outcome.ovf_path.into())
}
