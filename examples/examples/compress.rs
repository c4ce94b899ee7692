//! Exports one VM twice, as its host sends it and deflated anew, and shows what that saves and what it costs.
//!
//! `cargo run -p hypersdk-examples --example compress [VM [DIRECTORY]]`

#![expect(clippy::print_stdout, reason = "what the example shows")]

use hypersdk_core::{JobContext, JobId, JobSpec, Outcome};
use hypersdk_examples::{Output, Source};
use hypersdk_export::{ExportConfig, export};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let source = Source::open().await?;
    let vm = source.choose(arguments.next(), "/DC0/vm/demo/web01")?;
    let output = Output::choose(arguments.next())?;

    let mut outcomes = Vec::new();
    for (name, compress) in [("as-sent", false), ("compressed", true)] {
        let mut spec = JobSpec::new(vm.clone(), output.path());
        spec.package_name = Some(name.to_owned());
        spec.overwrite = true;
        // Hosts deflate in haste, if at all. Every grain is deflated anew, on all processors, while it arrives.
        spec.compress = compress;
        spec.compression_level = 9;
        let (context, _log) = JobContext::new(JobId::generate(), 1, Default::default());
        let outcome = export(&source.provider, &spec, &context, ExportConfig::default()).await?;
        show(name, &outcome);
        outcomes.push(outcome.total_size);
    }
    println!("compressed: {:.1} % of what it was", 100.0 * outcomes[1] as f64 / outcomes[0] as f64);
    source.close().await;
    Ok(())
}

fn show(name: &str, outcome: &Outcome) {
    println!("{name}: {} bytes in {:.1} s", outcome.total_size, outcome.duration_seconds);
    for file in &outcome.files {
        // What the host attests is what it sent, so that nothing is lost by writing something else.
        println!("  {:<24} {:>10} came, {:>10} written", file.name, file.source_size, file.size);
    }
}
