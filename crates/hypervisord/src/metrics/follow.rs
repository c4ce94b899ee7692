//! Counts the events of the log as they come.

use std::sync::Arc;
use std::time::Duration;

use hypersdk_core::{Event, EventKind, JobStore, Outcome};
use tokio_util::sync::CancellationToken;

use super::{Metrics, StatusLabel};

/// Events read at once.
const BATCH: usize = 500;
/// The wait after a failure to read.
const PAUSE: Duration = Duration::from_secs(5);

/// Follows the log from here on until `stop` fires.
pub(crate) async fn follow(metrics: Arc<Metrics>, store: Arc<dyn JobStore>, stop: CancellationToken) {
    let mut grown = store.latest();
    let mut after = *grown.borrow_and_update();
    loop {
        let read = tokio::select! {
            read = store.read_after(after, None, BATCH) => read,
            () = stop.cancelled() => return,
        };
        match read {
            Ok(events) if events.is_empty() => tokio::select! {
                changed = grown.changed() => if changed.is_err() { return },
                () = stop.cancelled() => return,
            },
            Ok(events) => {
                for event in events {
                    after = event.seq;
                    metrics.happened(&event);
                }
            }
            Err(error) => {
                tracing::warn!("count events: {}", error.chain());
                tokio::select! {
                    () = tokio::time::sleep(PAUSE) => {}
                    () = stop.cancelled() => return,
                }
            }
        }
    }
}

impl Metrics {
    /// Counts one event.
    fn happened(&self, event: &Event) {
        let ended = |status| self.jobs_ended.get_or_create(&StatusLabel { status }).inc();
        match event.kind {
            EventKind::JobCreated => {
                self.jobs_created.inc();
            }
            EventKind::JobRequeued => {
                self.jobs_requeued.inc();
            }
            EventKind::JobCompleted => {
                ended("completed");
                let result = event.data.get("result").cloned().unwrap_or_default();
                if let Ok(outcome) = serde_json::from_value::<Outcome>(result) {
                    self.job_duration.observe(outcome.duration_seconds);
                    self.package_size.observe(outcome.total_size as f64);
                    self.packages_bytes.inc_by(outcome.total_size);
                }
            }
            EventKind::JobFailed => {
                ended("failed");
            }
            EventKind::JobCancelled => {
                ended("cancelled");
            }
            _ => {}
        }
    }
}
