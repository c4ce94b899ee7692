//! Keeps claims alive, takes back those of daemons that died, and forgets what is old.

use std::sync::Arc;
use std::time::Duration;

use hypersdk_core::Result;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::Inner;

/// How often old deliveries are looked for.
const PRUNE: Duration = Duration::from_secs(600);
/// How many are forgotten in one write.
const PRUNE_BATCH: usize = 500;

/// Runs until everything is written.
pub(super) async fn run(inner: Arc<Inner>) {
    let mut tick = interval(inner.config.lease / 3);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut pruned = Instant::now();
    loop {
        tokio::select! {
            () = inner.done.cancelled() => return,
            _ = tick.tick() => {}
        }
        let prune = pruned.elapsed() >= PRUNE;
        if prune {
            pruned = Instant::now();
        }
        if let Err(error) = inner.keep(prune).await {
            tracing::error!("keep webhook deliveries: {}", error.chain());
        }
    }
}

impl Inner {
    async fn keep(&self, prune: bool) -> Result<()> {
        self.store.renew(&self.owner, self.config.lease).await?;
        let taken_back = self.store.take_back(&self.owner, false).await?;
        if taken_back > 0 {
            tracing::warn!(
                taken_back,
                "the process that was sending these deliveries is gone; they are sent again"
            );
            self.wake.notify_one();
        }
        if !self.config.exclusive {
            let known = self.directory.current().revision;
            if self.directory.reload().await?.revision != known {
                self.wake.notify_one();
            }
        }
        while prune && !self.stopping.is_cancelled() {
            let now = self.config.clock.now();
            let (delivered, dead) = (now - self.config.keep_delivered, now - self.config.keep_dead);
            if self.store.prune(delivered, dead, PRUNE_BATCH).await? < PRUNE_BATCH as u64 {
                break;
            }
        }
        Ok(())
    }
}
