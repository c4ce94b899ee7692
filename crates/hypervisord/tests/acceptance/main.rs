//! The promises about durability, at full size: daemons killed, stopped and starved of space.
//!
//! `HYPERSDK_CRASHES` (300) and `HYPERSDK_JOBS` scale the two long ones.
#![expect(clippy::print_stderr, reason = "a test says what it found")]

mod crashes;
mod disk_full;
mod history;
mod several;

use std::collections::BTreeMap;

const BINARY: &str = env!("CARGO_BIN_EXE_hypervisord");

/// A number from the environment, for longer and shorter runs.
fn scale(name: &str, default: usize) -> usize {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Follows each job through its events, `JOB|KIND` a line in the order of the log, and gives the state that each
/// ended in. Panics on a step that the table of states does not have.
fn replay(lines: &str) -> BTreeMap<String, &'static str> {
    let mut states: BTreeMap<String, &'static str> = BTreeMap::new();
    for line in lines.lines() {
        let (job, kind) = line.split_once('|').expect("a job and a kind");
        let next = match (states.get(job).copied(), kind) {
            (None, "job.created") => "pending",
            (Some("pending"), "job.started") => "running",
            (Some("running"), "job.requeued") => "pending",
            (Some("running"), "job.completed") => "completed",
            (Some("pending" | "running"), "job.failed") => "failed",
            (Some("pending" | "running"), "job.cancelled") => "cancelled",
            (state, kind) => panic!("{job} was {state:?} and then {kind}"),
        };
        states.insert(job.to_owned(), next);
    }
    states
}

/// `KEY|VALUE` lines.
fn pairs(lines: &str) -> BTreeMap<String, String> {
    lines
        .lines()
        .map(|line| line.split_once('|').expect("two columns"))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}
