//! When the rules are applied: after each scheduled job that completes, at the start, and now and then.

use std::sync::Arc;
use std::time::Duration;

use hypersdk_core::{Event, EventKind, EventLog, Result, Seq};
use tokio_util::sync::CancellationToken;

use super::Keeper;

/// How often everything is looked at again: free space falls, and what failed may work now.
const LOOK: Duration = Duration::from_secs(10 * 60);

/// Events read at once.
const BATCH: usize = 100;

impl Keeper {
    /// Works until `stop` fires. What was cut short is gone on with at the next start.
    pub(crate) async fn run(self, log: Arc<dyn EventLog>, stop: CancellationToken) {
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.follow(log) => {}
        }
    }

    async fn follow(&self, log: Arc<dyn EventLog>) {
        let mut grown = log.latest();
        let mut seen = *grown.borrow_and_update();
        let mut look = tokio::time::interval(LOOK);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = look.tick() => self.look_at_everything().await,
                changed = grown.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    grown.borrow_and_update();
                    if let Err(error) = self.catch_up(log.as_ref(), &mut seen).await {
                        tracing::warn!("apply retention, which is tried again later: {}", error.chain());
                    }
                }
            }
        }
    }

    async fn look_at_everything(&self) {
        if let Err(error) = self.remover().resume().await {
            tracing::warn!("go on with removals, which is tried again later: {}", error.chain());
        }
        let looked = async {
            for schedule in self.ruled().await? {
                self.apply(&schedule).await?;
            }
            Ok::<_, hypersdk_core::Error>(())
        };
        if let Err(error) = looked.await {
            tracing::warn!("apply retention, which is tried again later: {}", error.chain());
        }
    }

    async fn catch_up(&self, log: &dyn EventLog, seen: &mut Seq) -> Result<()> {
        loop {
            let events = log.read_after(*seen, None, BATCH).await?;
            for event in &events {
                *seen = event.seq;
                self.after(event).await?;
            }
            if events.len() < BATCH {
                return Ok(());
            }
        }
    }

    async fn after(&self, event: &Event) -> Result<()> {
        let (EventKind::JobCompleted, Some(job)) = (event.kind, &event.job) else { return Ok(()) };
        let Some(package) = self.remover().catalogue().package(job).await? else { return Ok(()) };
        let Some(by) = package.spec.schedule else { return Ok(()) };
        match self.ruled_by(&by.id).await? {
            Some(schedule) => self.apply(&schedule).await.map(drop),
            None => Ok(()),
        }
    }
}
