//! Writes what came of attempts, as many at once as have come meanwhile.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::Receiver;
use tokio::time::sleep;

use super::Inner;
use super::attempt::Settled;
use crate::delivery::Report;
use crate::endpoint::{EndpointId, Halt};

/// Reports in one write.
const BATCH: usize = 256;
/// How long to wait when the store fails.
const PATIENCE: Duration = Duration::from_millis(500);
/// How often the last reports are tried before they are left to the next start.
const LAST_TRIES: u32 = 6;

/// Runs until every attempt has reported.
pub(super) async fn run(inner: Arc<Inner>, mut settled: Receiver<Settled>) {
    let mut batch = Vec::with_capacity(BATCH);
    while settled.recv_many(&mut batch, BATCH).await > 0 {
        let mut reports = Vec::with_capacity(batch.len());
        for Settled { report, halt } in batch.drain(..) {
            reports.push(report);
            if let Some((id, reason)) = halt {
                inner.halt(&id, reason).await;
            }
        }
        if !write(&inner, reports).await {
            return;
        }
        inner.wake.notify_one();
    }
}

/// Writes reports, again and again if need be. False if that was given up: the claims end by themselves, and
/// what was sent is sent again.
async fn write(inner: &Inner, reports: Vec<Report>) -> bool {
    let mut tries = 0;
    loop {
        match inner.store.report(&inner.owner, reports.clone()).await {
            Ok(lost) => {
                for id in lost {
                    tracing::debug!(delivery = %id, "the claim on this delivery was lost");
                }
                return true;
            }
            Err(error) => {
                tracing::error!("write webhook deliveries: {}", error.chain());
                tries += u32::from(inner.stopping.is_cancelled());
                if tries >= LAST_TRIES {
                    return false;
                }
                sleep(PATIENCE).await;
            }
        }
    }
}

impl Inner {
    async fn halt(&self, id: &EndpointId, reason: String) {
        tracing::warn!(webhook = %id, "webhook halted: {reason}");
        let halt = Halt { since: self.config.clock.now(), reason };
        let halted = async {
            self.store.halt(id, Some(halt)).await?;
            self.directory.reload().await
        };
        if let Err(error) = halted.await {
            // The next attempt will be told the same.
            tracing::error!(webhook = %id, "halt webhook: {}", error.chain());
        }
    }
}
