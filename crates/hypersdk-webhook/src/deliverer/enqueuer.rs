//! Turns events into deliveries: a saved cursor over the log.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use hypersdk_core::{Event, JobId, Result};
use serde_json::Value;
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::Inner;
use crate::delivery::{DeliveryId, NewDelivery};
use crate::directory::Snapshot;
use crate::filter::PROGRESS;
use crate::store::Cursor;

/// Events turned at once.
const BATCH: usize = 500;
/// How long to wait when the store fails.
const PATIENCE: Duration = Duration::from_secs(1);

/// Runs until the deliverer stops.
pub(super) async fn run(inner: Arc<Inner>, cursor: Cursor) {
    let mut grown = inner.log.latest();
    let mut poll = interval(inner.config.poll);
    poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut sample = interval(inner.config.progress_interval);
    sample.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut enqueuer = Enqueuer { inner: inner.clone(), cursor, told: HashMap::new() };
    loop {
        // Noted before reading, so that what is written meanwhile wakes the wait below.
        grown.borrow_and_update();
        let caught_up = match enqueuer.catch_up().await {
            Ok(()) => true,
            Err(error) => {
                tracing::error!("turn events into webhook deliveries: {}", error.chain());
                false
            }
        };
        tokio::select! {
            () = inner.stopping.cancelled() => return,
            () = sleep(PATIENCE), if !caught_up => {}
            changed = grown.changed(), if caught_up => if changed.is_err() { return },
            _ = poll.tick(), if caught_up => {}
            _ = sample.tick(), if caught_up => {
                if let Err(error) = enqueuer.tell_progress().await {
                    tracing::warn!("sample progress for webhooks: {}", error.chain());
                }
            }
        }
    }
}

struct Enqueuer {
    inner: Arc<Inner>,
    cursor: Cursor,
    /// The progress last told of each running job.
    told: HashMap<JobId, Value>,
}

impl Enqueuer {
    /// Turns everything that is in the log.
    async fn catch_up(&mut self) -> Result<()> {
        while !self.inner.stopping.is_cancelled() {
            let events = self.inner.log.read_after(self.cursor.position, None, BATCH).await?;
            let Some(last) = events.last().map(|event| event.seq) else { return Ok(()) };
            let snapshot = self.inner.directory.current();
            let deliveries: Vec<NewDelivery> =
                events.iter().flat_map(|event| self.inner.deliveries(&snapshot, event)).collect();
            let added = deliveries.len();
            let from = Cursor { revision: snapshot.revision, ..self.cursor };
            let (cursor, moved) = self.inner.store.advance(from, last, deliveries).await?;
            self.cursor = cursor;
            if !moved && cursor.revision != snapshot.revision {
                self.inner.directory.reload().await?;
            }
            if moved && added > 0 {
                self.inner.wake.notify_one();
            }
        }
        Ok(())
    }

    /// Tells the progress of running jobs to whoever wants it, behind what the log has said of them.
    ///
    /// A job that the store says is running has no end in the log yet. If then the log has nothing new and
    /// the cursor has not moved, its start is enqueued and its end is not: the sample is between them.
    async fn tell_progress(&mut self) -> Result<()> {
        let snapshot = self.inner.directory.current();
        let Some(source) = &self.inner.progress else { return Ok(()) };
        let now = self.inner.config.clock.now();
        let listeners: Vec<_> =
            snapshot.endpoints.iter().filter(|endpoint| endpoint.wants(PROGRESS, now)).collect();
        if listeners.is_empty() {
            return Ok(());
        }
        let samples = source.sample().await?;
        let changed: Vec<_> =
            samples.iter().filter(|sample| self.told.get(&sample.job) != Some(&sample.data)).collect();
        if !changed.is_empty() && self.inner.log.read_after(self.cursor.position, None, 1).await?.is_empty() {
            let deliveries = listeners.iter().flat_map(|endpoint| {
                changed.iter().map(|sample| NewDelivery {
                    id: DeliveryId::generate(),
                    endpoint: endpoint.id.clone(),
                    lane: sample.job.to_string(),
                    event: PROGRESS.to_owned(),
                    time: now,
                    data: sample.data.clone(),
                    latest_only: true,
                })
            });
            let from = Cursor { revision: snapshot.revision, ..self.cursor };
            let (cursor, moved) = self.inner.store.advance(from, from.position, deliveries.collect()).await?;
            self.cursor = cursor;
            if moved {
                self.inner.wake.notify_one();
            }
        }
        self.told = samples.into_iter().map(|sample| (sample.job, sample.data)).collect();
        Ok(())
    }
}

impl Inner {
    /// What is to be delivered of an event.
    fn deliveries(&self, snapshot: &Snapshot, event: &Event) -> Vec<NewDelivery> {
        let listeners =
            snapshot.endpoints.iter().filter(|endpoint| endpoint.wants(event.kind.as_str(), event.time));
        let mut shaped = None;
        listeners
            .map(|endpoint| NewDelivery {
                id: DeliveryId::generate(),
                endpoint: endpoint.id.clone(),
                lane: lane(event),
                event: event.kind.as_str().to_owned(),
                time: event.time,
                data: shaped.get_or_insert_with(|| (self.shape)(event)).clone(),
                latest_only: false,
            })
            .collect()
    }
}

/// What an event is kept in order with: its job, or its schedule.
fn lane(event: &Event) -> String {
    match (&event.job, event.data["schedule_id"].as_str()) {
        (Some(job), _) => job.to_string(),
        // No job's identifier has a colon.
        (None, Some(schedule)) => format!("schedule:{schedule}"),
        (None, None) => ":".to_owned(),
    }
}
