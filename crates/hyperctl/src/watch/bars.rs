//! Bars on a terminal: one line a running job, and below it one for each of its files.
//!
//! What is drawn goes away when a job ends, and a line that stays takes its place. Widths follow the
//! terminal at every redraw.

use std::collections::BTreeMap;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::Display;
use crate::job::{FileProgress, Job, Progress};
use crate::output::{printable, units};

/// A bar's length: percent to two places.
const WHOLE: u64 = 10_000;
/// Redraws a second at most.
const REDRAWS: u8 = 10;

/// Bars for all jobs.
pub(crate) struct Bars {
    multi: MultiProgress,
    summary: Option<ProgressBar>,
    running: BTreeMap<String, JobBars>,
    ended: Vec<String>,
}

struct JobBars {
    head: ProgressBar,
    files: Vec<ProgressBar>,
}

impl Bars {
    pub(crate) fn new() -> Self {
        let multi = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(REDRAWS));
        Bars { multi, summary: None, running: BTreeMap::new(), ended: Vec::new() }
    }

    fn show_job(&mut self, job: &Job) {
        let id = &job.definition.id;
        if job.is_final() {
            if !self.ended.contains(id) {
                self.ended.push(id.clone());
                if let Some(bars) = self.running.remove(id) {
                    bars.remove(&self.multi);
                }
                self.say(&format!("{} {}{}", printable(job.short_name()), job.status, took(job)));
            }
            return;
        }
        let bars = self.running.entry(id.clone()).or_insert_with(|| JobBars::new(&self.multi, job));
        bars.show(&self.multi, &job.progress, &job.status);
    }
}

impl Display for Bars {
    fn show(&mut self, jobs: &[Job]) {
        for job in jobs.iter().filter(|job| jobs.len() == 1 || job.status != "pending") {
            self.show_job(job);
        }
        if jobs.len() > 1 {
            let waiting = jobs.iter().filter(|job| job.status == "pending").count();
            let text = format!("{} of {} ended, {waiting} waiting", self.ended.len(), jobs.len());
            let summary = self
                .summary
                .get_or_insert_with(|| self.multi.add(ProgressBar::new(1).with_style(style("{msg}"))));
            summary.set_message(text);
        }
    }

    fn say(&mut self, text: &str) {
        // Whether a line could be written to stderr is nobody's business.
        let _ = self.multi.println(text);
    }

    fn close(&mut self) {
        for bars in std::mem::take(&mut self.running).into_values() {
            bars.remove(&self.multi);
        }
        if let Some(summary) = self.summary.take() {
            summary.finish_and_clear();
        }
        let _ = self.multi.clear();
    }
}

impl JobBars {
    fn new(multi: &MultiProgress, job: &Job) -> Self {
        let head = multi.add(ProgressBar::new(WHOLE));
        head.set_style(style("{prefix:20!} [{wide_bar}] {percent:>3}% {msg}"));
        head.set_prefix(printable(job.short_name()));
        JobBars { head, files: Vec::new() }
    }

    fn show(&mut self, multi: &MultiProgress, progress: &Progress, status: &str) {
        self.head.set_position(position(progress.percent_complete));
        self.head.set_message(words(progress, status));
        while self.files.len() < progress.files.len() {
            let above = self.files.last().unwrap_or(&self.head);
            let bar = multi.insert_after(above, ProgressBar::new(WHOLE));
            bar.set_style(style("  {prefix:18!} [{wide_bar}] {percent:>3}% {msg}"));
            self.files.push(bar);
        }
        for (bar, FileProgress { name, bytes_downloaded, percent_complete }) in
            self.files.iter().zip(&progress.files)
        {
            bar.set_prefix(printable(name));
            bar.set_position(position(*percent_complete));
            bar.set_message(units::bytes(*bytes_downloaded));
        }
    }

    fn remove(self, multi: &MultiProgress) {
        for bar in self.files.iter().chain([&self.head]) {
            bar.finish_and_clear();
            multi.remove(bar);
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the template is well-formed").progress_chars("=> ")
}

fn position(percent: f64) -> u64 {
    (percent * 100.0).clamp(0.0, WHOLE as f64) as u64
}

/// The phase, and how fast and how long where that means something.
pub(super) fn words(progress: &Progress, status: &str) -> String {
    if status == "pending" {
        return "waiting for its turn".to_owned();
    }
    match (progress.phase.as_str(), progress.estimated_remaining) {
        ("exporting", Some(left)) => {
            format!("{}, ETA {}", units::rate(progress.bytes_per_second), units::seconds(left))
        }
        ("exporting", None) => units::rate(progress.bytes_per_second),
        (phase, _) => printable(phase),
    }
}

/// How much and how long, of a job that completed.
pub(super) fn took(job: &Job) -> String {
    match &job.result {
        Some(result) => {
            format!(": {} in {}", units::bytes(result.total_size), units::seconds(result.duration))
        }
        None => String::new(),
    }
}
