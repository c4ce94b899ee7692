//! Exports one VM into an OVA, without jobs or a daemon.
//!
//! `cargo run -p hypersdk-examples --example export_ova [VM [DIRECTORY]]`

#![expect(clippy::print_stdout, reason = "what the example shows")]

use hypersdk_core::{JobContext, JobId, JobSpec};
use hypersdk_examples::{Output, Source};
use hypersdk_export::{ExportConfig, export};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let source = Source::open().await?;
    let vm = source.choose(arguments.next(), "/DC0/vm/demo/web01")?;
    let output = Output::choose(arguments.next())?;

    // What to do. Every other field has a default: an OVA, SHA-256, a snapshot for a VM that runs.
    let mut spec = JobSpec::new(vm, output.path());
    spec.overwrite = true;

    // Who asks for it, how to stop it (fire the token), and where its log lines go.
    let (context, mut log) = JobContext::new(JobId::generate(), 1, Default::default());
    let outcome = export(&source.provider, &spec, &context, ExportConfig::default()).await?;
    drop(context);

    while let Some((level, line)) = log.recv().await {
        println!("{level:?}: {line}");
    }
    for file in &outcome.files {
        let attested = if file.attested { "attested by the host" } else { "not attested" };
        println!("{} {:>10} {} ({attested})", file.sha256, file.size, file.name);
    }
    println!(
        "exported {} to {}: {} bytes in {:.1} s",
        outcome.vm_name, outcome.ovf_path, outcome.total_size, outcome.duration_seconds
    );
    source.close().await;
    Ok(())
}
