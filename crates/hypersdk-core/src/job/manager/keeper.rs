//! The task that keeps the claims.

use std::sync::Arc;

use tokio::time::MissedTickBehavior;

use super::Inner;
use super::attempt::Stop;
use crate::job::StopReason;

/// Renews the claims of what runs here and takes back what nobody runs, until everything has stopped.
pub(super) async fn run(inner: Arc<Inner>) {
    let mut tick = tokio::time::interval(inner.config.heartbeat);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = inner.work.wait() => return,
            () = inner.abandon.cancelled() => return,
            _ = tick.tick() => {}
        }
        if !beat(&inner).await || inner.stopping.is_cancelled() {
            continue;
        }
        if let Err(error) = inner.recover(false).await {
            tracing::warn!(error = %error.chain(), "cannot look for abandoned jobs");
        }
    }
}

/// Renews the claims and stops what has to stop. False if the store could not be reached.
async fn beat(inner: &Inner) -> bool {
    let jobs: Vec<_> = inner
        .running()
        .iter()
        .map(|(id, running)| (id.clone(), running.fence, running.progress.now()))
        .collect();
    if jobs.is_empty() {
        return true;
    }
    match inner.store.heartbeat(&inner.owner, &jobs).await {
        Ok(stop) => {
            let running = inner.running();
            for (id, reason) in stop {
                // A job that was settled meanwhile is out of the map, or about to be, and stopping it does
                // nothing.
                if let Some(running) = running.get(&id) {
                    running.stop(match reason {
                        StopReason::CancelRequested => Stop::User,
                        StopReason::ClaimLost => Stop::Lost,
                    });
                }
            }
            true
        }
        Err(error) => {
            tracing::warn!(error = %error.chain(), jobs = jobs.len(), "cannot renew claims; will try again");
            false
        }
    }
}
