//! Following jobs to their ends.
//!
//! The daemon is asked for all of them at once, twice a second: one request whatever their number, and a
//! daemon that restarts is no more than a few questions without an answer. Ctrl-C asks the daemon to cancel
//! and waits until it has tidied up; a second one leaves at once.

mod bars;
mod lines;

use std::time::Duration;

use serde_json::{Value, json};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::Instant;

pub(crate) use bars::Bars;
pub(crate) use lines::Lines;

use crate::client::Client;
use crate::failure::Failure;
use crate::job::Job;
use crate::output::{self, Format};

/// How often the daemon is asked.
const PERIOD: Duration = Duration::from_millis(500);
/// How long it may be away before the watch gives up; a restart takes a few seconds.
const ABSENCE: Duration = Duration::from_secs(60);
/// Jobs of one question at most.
const BATCH: usize = 500;

/// Where the state of jobs is shown while they run.
pub(crate) trait Display {
    /// Shows these states; called again and again with the same jobs in the same order.
    fn show(&mut self, jobs: &[Job]);
    /// Says something between.
    fn say(&mut self, text: &str);
    /// Takes down what was drawn.
    fn close(&mut self);
}

/// Bars on a terminal, lines elsewhere, nothing for programs.
pub(crate) fn display(format: Format) -> Box<dyn Display> {
    match format {
        Format::Json => Box::new(Silent),
        Format::Text if output::can_draw() => Box::new(Bars::new()),
        Format::Text => Box::new(Lines::new()),
    }
}

struct Silent;

impl Display for Silent {
    fn show(&mut self, _jobs: &[Job]) {}
    fn say(&mut self, _text: &str) {}
    fn close(&mut self) {}
}

/// Presses of Ctrl-C from now on, none of which is missed; without a listener they end the program.
pub(crate) struct Interrupts(Signal);

impl Interrupts {
    /// Begins to listen.
    pub(crate) fn listen() -> Result<Self, Failure> {
        signal(SignalKind::interrupt())
            .map(Interrupts)
            .map_err(|error| Failure::Ended(format!("listen for Ctrl-C: {error}")))
    }

    /// The next press.
    ///
    /// # Cancel safety
    /// A press is not lost when this is dropped.
    pub(crate) async fn next(&mut self) {
        if self.0.recv().await.is_none() {
            std::future::pending().await
        }
    }
}

/// Follows jobs until all have ended, and gives them as the daemon showed them last.
///
/// # Errors
/// The daemon stays away, or there was a second Ctrl-C. That jobs failed is no error here.
pub(crate) async fn follow(
    client: &Client,
    ids: &[String],
    display: &mut dyn Display,
    interrupts: &mut Interrupts,
) -> Result<Vec<Value>, Failure> {
    let result = follow_until_end(client, ids, display, interrupts).await;
    display.close();
    result
}

async fn follow_until_end(
    client: &Client,
    ids: &[String],
    display: &mut dyn Display,
    interrupts: &mut Interrupts,
) -> Result<Vec<Value>, Failure> {
    let mut cancelling = false;
    let mut answered = Instant::now();
    loop {
        let asked = tokio::select! {
            asked = ask(client, ids) => Some(asked),
            () = interrupts.next() => None,
        };
        let interrupted = match asked {
            None => true,
            Some(Ok(shown)) => {
                answered = Instant::now();
                let jobs = shown.iter().map(Job::read).collect::<Result<Vec<_>, _>>()?;
                display.show(&jobs);
                if jobs.len() == ids.len() && jobs.iter().all(Job::is_final) {
                    return Ok(shown);
                }
                if jobs.len() < ids.len() {
                    return Err(Failure::Ended("the daemon no longer knows one of the jobs".to_owned()));
                }
                wait_or_interrupt(interrupts).await
            }
            Some(Err(failure)) if answered.elapsed() < ABSENCE && is_passing(&failure) => {
                wait_or_interrupt(interrupts).await
            }
            Some(Err(failure)) => return Err(failure),
        };
        if interrupted && cancelling {
            return Err(Failure::Cancelled(
                "left while the daemon was still cancelling; `hyperctl jobs` shows how it ended".to_owned(),
            ));
        }
        if interrupted {
            cancelling = true;
            display.say(
                "cancelling: waiting until the daemon has removed what is unfinished (Ctrl-C again leaves)",
            );
            tokio::select! {
                cancelled = cancel(client, ids) => cancelled?,
                () = interrupts.next() => return Err(Failure::Cancelled(
                    "left before the daemon took the request; `hyperctl cancel` asks again".to_owned(),
                )),
            }
        }
    }
}

/// True if Ctrl-C was pressed before the next question was due.
async fn wait_or_interrupt(interrupts: &mut Interrupts) -> bool {
    tokio::select! {
        () = tokio::time::sleep(PERIOD) => false,
        () = interrupts.next() => true,
    }
}

/// The jobs in the order of `ids`.
async fn ask(client: &Client, ids: &[String]) -> Result<Vec<Value>, Failure> {
    let mut found = Vec::with_capacity(ids.len());
    for batch in ids.chunks(BATCH) {
        let body = json!({ "job_ids": batch, "limit": BATCH });
        let answer = client.post("/jobs/query", &body).await?;
        found.extend(output::list(&answer["jobs"]).iter().cloned());
    }
    let position = |job: &Value| ids.iter().position(|id| job["definition"]["id"] == id.as_str());
    found.sort_by_key(position);
    Ok(found)
}

/// Cancels those that have not ended; that one ended meanwhile is what was wanted.
async fn cancel(client: &Client, ids: &[String]) -> Result<(), Failure> {
    match client.post("/jobs/cancel", &json!({ "job_ids": ids })).await {
        Ok(_) => Ok(()),
        Err(Failure::Refused(problem)) if problem.status == 409 => Ok(()),
        Err(failure) => Err(failure),
    }
}

fn is_passing(failure: &Failure) -> bool {
    match failure {
        Failure::Unreachable(_) => true,
        Failure::Refused(problem) => problem.status >= 500 || problem.status == 429,
        _ => false,
    }
}

/// What the ends of jobs mean for the command that waited for them.
pub(crate) fn verdict(jobs: &[Job]) -> Result<(), Failure> {
    let mut failed = Vec::new();
    let mut cancelled = 0;
    for job in jobs {
        match job.status.as_str() {
            "completed" => {}
            "cancelled" => cancelled += 1,
            _ => failed.push(format!(
                "{}: {}\n  the steps: hyperctl logs {}",
                job.definition.vm_path,
                job.error.as_deref().unwrap_or("failed"),
                job.definition.id
            )),
        }
    }
    match (failed.is_empty(), cancelled) {
        (true, 0) => Ok(()),
        (true, 1) => Err(Failure::Cancelled("cancelled; nothing unfinished is left".to_owned())),
        (true, count) => {
            Err(Failure::Cancelled(format!("{count} jobs cancelled; nothing unfinished is left")))
        }
        (false, _) => Err(Failure::Ended(failed.join("\n"))),
    }
}
