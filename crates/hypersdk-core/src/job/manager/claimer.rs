//! The task that claims.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Inner;
use super::attempt;
use crate::job::Claimant;

/// Claims whenever there is room and something may be due, until the manager stops.
pub(super) async fn run(inner: Arc<Inner>) {
    let mut latest = inner.store.latest();
    while !inner.stopping.is_cancelled() {
        latest.mark_unchanged();
        let wait = claim(&inner).await;
        // In a store that is shared, news may be a job that another process has accepted or put back.
        let news = async {
            match inner.config.exclusive {
                false if latest.changed().await.is_ok() => {}
                _ => std::future::pending().await,
            }
        };
        tokio::select! {
            () = inner.stopping.cancelled() => {}
            () = inner.wake.notified() => {}
            () = news => {}
            () = inner.seats.left() => {}
            () = tokio::time::sleep(wait) => {}
        }
        // Those whose ends were written together leave first, so that one claim fills their seats.
        tokio::task::yield_now().await;
    }
}

/// Fills the free places and returns how long to wait before looking again, unless woken.
async fn claim(inner: &Arc<Inner>) -> Duration {
    let poll = inner.config.poll;
    if inner.paused.load(Ordering::SeqCst) {
        return poll;
    }
    let guard = inner.claiming.lock().await;
    let most = inner.config.max_concurrent.max(1) + inner.config.max_waiting;
    let mut seats = inner.seats.take(most.saturating_sub(inner.running().len()));
    let free = seats.len();
    if free == 0 {
        // The attempt that ends wakes this task.
        return poll;
    }
    // Never dropped half way: a claim whose answer is lost is a job that nobody runs.
    let claimant = Claimant {
        owner: inner.owner.clone(),
        providers: inner.config.providers.clone(),
        labels: inner.config.labels.clone(),
    };
    let claims = match inner.store.claim(&claimant, free).await {
        Ok(claims) => claims,
        Err(error) => {
            tracing::warn!(error = %error.chain(), "cannot claim jobs; will try again");
            return poll;
        }
    };
    let full = claims.len() == free;
    for (claim, seat) in claims.into_iter().zip(seats.drain(..)) {
        attempt::spawn(inner, claim, seat);
    }
    drop(guard);
    if full {
        return poll;
    }
    match inner.store.next_due().await {
        Ok(Some(due)) => (due - inner.config.clock.now()).to_std().unwrap_or_default().min(poll),
        Ok(None) => poll,
        Err(error) => {
            tracing::warn!(error = %error.chain(), "cannot see when the next job is due");
            poll
        }
    }
}
