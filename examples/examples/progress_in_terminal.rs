//! Follows an export with a bar a disk on a terminal; in a pipe or a log file, with a line now and then.
//!
//! `cargo run -p hypersdk-examples --example progress_in_terminal [VM [DIRECTORY]]`

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "what the example shows")]

use std::io::{IsTerminal, stderr};
use std::time::{Duration, Instant};

use hypersdk_core::{JobContext, JobId, JobSpec, Progress};
use hypersdk_examples::{Output, Source};
use hypersdk_export::{ExportConfig, export};
use indicatif::{HumanBytes, MultiProgress, ProgressBar, ProgressStyle};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let source = Source::open().await?;
    let mut spec = JobSpec::new(source.choose(arguments.next(), "/DC0/vm/demo/db01")?, "");
    let output = Output::choose(arguments.next())?;
    spec.output_dir = output.path().to_owned();
    spec.overwrite = true;

    let (context, _log) = JobContext::new(JobId::generate(), 1, Default::default());
    let mut progress = context.progress.subscribe();
    let watcher = tokio::spawn(async move {
        // Progress goes to stderr, so that what a program prints can still be piped.
        let mut view = if stderr().is_terminal() { View::bars() } else { View::Lines(None) };
        while progress.changed().await.is_ok() {
            view.show(&progress.borrow_and_update());
        }
        view.close();
    });
    let outcome = export(&source.provider, &spec, &context, ExportConfig::default()).await;
    drop(context);
    watcher.await?;
    println!("{}", outcome?.ovf_path);
    source.close().await;
    Ok(())
}

/// Where progress is shown.
enum View {
    /// One bar a file, redrawn in place; they go away at the end.
    Bars(MultiProgress, Vec<ProgressBar>),
    /// A line, and when the last one was.
    Lines(Option<Instant>),
}

impl View {
    fn bars() -> Self {
        View::Bars(MultiProgress::new(), Vec::new())
    }

    fn show(&mut self, progress: &Progress) {
        match self {
            View::Bars(all, bars) => {
                for file in progress.files.iter().skip(bars.len()) {
                    let style = "{prefix:20!} [{wide_bar}] {percent:>3} % {msg}";
                    let style = ProgressStyle::with_template(style).expect("a template as documented");
                    let bar = all.add(ProgressBar::new(10_000)).with_style(style.progress_chars("=> "));
                    bars.push(bar.with_prefix(file.name.clone()));
                }
                for (bar, file) in bars.iter().zip(&progress.files) {
                    // By place on the disk: nobody knows how long the stream of a thin disk is.
                    bar.set_position((file.fraction * 10_000.0) as u64);
                    bar.set_message(HumanBytes(file.bytes_done).to_string());
                }
            }
            View::Lines(last) if last.is_none_or(|last| last.elapsed() > Duration::from_millis(500)) => {
                *last = Some(Instant::now());
                let Progress { phase, fraction, bytes_per_second, .. } = progress;
                let rate = HumanBytes(*bytes_per_second as u64);
                eprintln!("{phase:?} {:.0} % {rate}/s", fraction * 100.0);
            }
            View::Lines(_) => {}
        }
    }

    fn close(self) {
        if let View::Bars(all, bars) = self {
            bars.iter().for_each(ProgressBar::finish_and_clear);
            // Whether a terminal that went away was cleared is nobody's business.
            let _ = all.clear();
        }
    }
}
