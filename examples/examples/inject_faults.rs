//! Tests an exporter against what goes wrong in real networks: the simulator breaks its own streams and sessions
//! as told, and its log proves that nothing was left behind.
//!
//! `cargo run -p hypersdk-examples --example inject_faults`

#![expect(clippy::print_stdout, reason = "what the example shows")]

use anyhow::{Context, ensure};
use hypersdk_core::{JobContext, JobId, JobSpec};
use hypersdk_examples::{Output, Source};
use hypersdk_export::{ExportConfig, export};
use hypersdk_ova::verify::{Level, verify};
use hypersdk_vsim::{Event, FaultKind, FaultRule};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let source = Source::simulated().await?;
    let simulator = source.simulator().context("it is simulated")?;
    let output = Output::choose(std::env::args().nth(1))?;

    // The session is gone when the export begins. The disk's first stream is reset after 1 MB; in its second one
    // a byte is altered, which only a digest tells.
    let cut = FaultRule::stream(FaultKind::CutAfter { bytes: 1_000_000 }).file("disk-0.vmdk");
    let flip = FaultRule::stream(FaultKind::FlipByte { offset: 2_000_000 }).file("disk-0.vmdk").skip(1);
    simulator.add_fault(cut);
    simulator.add_fault(flip);
    simulator.add_fault(FaultRule::method("ExportVm", FaultKind::NotAuthenticated));

    let spec = JobSpec::new(source.choose(None, "/DC0/vm/demo/web01")?, output.path());
    let (context, mut log) = JobContext::new(JobId::generate(), 1, Default::default());
    let outcome = export(&source.provider, &spec, &context, ExportConfig::default()).await?;
    drop(context);
    while let Some((level, line)) = log.recv().await {
        println!("exporter:  {level:?}: {line}");
    }

    source.provider.provider.close().await;
    let events = simulator.log().events();
    let mut struck = 0;
    for event in &events {
        match event {
            Event::FaultInjected { target, fault } => {
                struck += 1;
                println!("simulator: {fault} at {target}");
            }
            Event::StreamEnded { file, bytes, outcome, .. } => {
                println!("simulator: {file}: {bytes} bytes, {outcome:?}");
            }
            _ => {}
        }
    }
    ensure!(simulator.log().open_leases().is_empty(), "a lease was left open");
    ensure!(simulator.log().open_sessions().is_empty(), "a session was left open");

    let report = verify(outcome.ovf_path.as_ref(), Level::Full).await?;
    ensure!(report.is_ok(), "{report}");
    println!("survived {struck} faults: {} is whole, and nothing is left at the source", outcome.ovf_path);
    source.close().await;
    Ok(())
}
