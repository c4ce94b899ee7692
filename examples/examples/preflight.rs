//! Says what is in the way of an export before anything is asked of the source: privileges, power state, disks,
//! space, the host that will serve the files, expected size and time.
//!
//! `cargo run -p hypersdk-examples --example preflight -- [INVENTORY PATH]`

#![expect(clippy::print_stdout, reason = "what the example shows")]

use hypersdk_core::{JobSpec, PowerPolicy, PreflightDepth, ProviderExt};
use hypersdk_examples::{Output, Source};
use hypersdk_export::{Caps, Limits, forecast};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let source = Source::open().await?;
    let selector = source.choose(std::env::args().nth(1), "/DC0/vm/demo/db01")?;
    let output = Output::choose(None)?;
    let vm = source.provider.provider.get(&selector).await?;

    // How long it takes depends on what all exports together may use.
    let limits = Limits::new(Caps::default(), "10M".parse()?);
    for power in [PowerPolicy::Snapshot, PowerPolicy::Keep] {
        let mut spec = JobSpec::new(selector.clone(), output.path());
        spec.options.power = power;
        let found = forecast(&source.provider, &vm, &spec, &limits, PreflightDepth::Thorough).await?;

        println!("{} with power {power:?}:", vm.path);
        for finding in &found.preflight.findings {
            println!("  {:?} {}: {}", finding.level, finding.code, finding.message);
            if let Some(advice) = &finding.advice {
                println!("    -> {advice}");
            }
        }
        // What a job would fail with, before it takes a lease or a snapshot.
        match found.preflight.verdict() {
            Err(error) => println!("  it would fail: {}", error.kind()),
            Ok(()) => println!(
                "  about {} MiB in {:?}",
                found.preflight.expected_bytes.unwrap_or_default() >> 20,
                found.expected_time.unwrap_or_default()
            ),
        }
    }
    source.close().await;
    Ok(())
}
