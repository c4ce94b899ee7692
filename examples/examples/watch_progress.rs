//! Follows an export: its phase, its share done, its rate, the time left.
//!
//! `cargo run -p hypersdk-examples --example watch_progress [VM [DIRECTORY]]`

#![expect(clippy::print_stdout, reason = "what the example shows")]

use hypersdk_core::{JobContext, JobId, JobSpec, Progress};
use hypersdk_examples::{Output, Source};
use hypersdk_export::{ExportConfig, export};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let source = Source::open().await?;
    let mut spec = JobSpec::new(source.choose(arguments.next(), "/DC0/vm/demo/web01")?, "");
    let output = Output::choose(arguments.next())?;
    spec.output_dir = output.path().to_owned();

    let (context, _log) = JobContext::new(JobId::generate(), 1, Default::default());
    // Progress is a latest value, not a history: a slow reader skips, and never holds up the export.
    let mut progress = context.progress.subscribe();
    let watcher = tokio::spawn(async move {
        while progress.changed().await.is_ok() {
            show(&progress.borrow_and_update());
        }
    });
    let outcome = export(&source.provider, &spec, &context, ExportConfig::default()).await?;
    // Nobody writes any more, so the watcher ends.
    drop(context);
    watcher.await?;
    println!("done: {}", outcome.ovf_path);
    source.close().await;
    Ok(())
}

fn show(progress: &Progress) {
    let Progress { phase, files_done, files_total, bytes_done, .. } = progress;
    print!(
        "{:<10} {:>5.1} %  file {files_done} of {files_total}  {bytes_done:>10} bytes",
        format!("{phase:?}").to_lowercase(),
        progress.fraction * 100.0
    );
    if progress.bytes_per_second > 0.0 {
        print!("  {:.1} MiB/s", progress.bytes_per_second / f64::from(1 << 20));
    }
    match progress.remaining_seconds {
        Some(seconds) => println!("  {seconds:.0} s left"),
        None => println!(),
    }
}
