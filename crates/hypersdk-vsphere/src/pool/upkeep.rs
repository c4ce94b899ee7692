//! Looks after idle sessions: checks them, drops those that ended, logs out those nobody needed for long.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use deadpool::managed::WeakPool;
use futures::future::join_all;
use tokio_util::sync::CancellationToken;

use super::maker::Maker;
use super::{Slots, log_out};
use crate::config::PoolConfig;
use crate::session::{Connector, Session};

/// Starts the upkeep of these slots, unless it runs already.
pub(super) fn begin(slots: &Slots, connector: &Arc<Connector>) {
    if slots.looked_after.swap(true, Ordering::AcqRel) {
        return;
    }
    let (pool, config, stop) = (slots.pool.weak(), connector.pool().clone(), slots.upkeep.clone());
    connector.spawn(look_after(pool, config, stop));
}

async fn look_after(pool: WeakPool<Maker>, config: PoolConfig, stop: CancellationToken) {
    let period = config.health_check_interval.min(config.idle_timeout / 2).max(Duration::from_millis(10));
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(period) => {}
        }
        let Some(pool) = pool.upgrade() else { return };
        let mut silent: Vec<Arc<Session>> = Vec::new();
        let mut gone = pool
            .retain(|session, _| {
                let keep = !session.is_over() && session.idle_for() < config.idle_timeout;
                if keep && session.silent_for() >= config.health_check_interval {
                    silent.push(Arc::clone(session));
                }
                keep
            })
            .removed;
        tokio::select! {
            () = stop.cancelled() => {}
            _ = join_all(silent.iter().map(|session| session.is_alive())) => {}
        }
        drop(silent);
        gone.extend(pool.retain(|session, _| !session.is_over()).removed);
        drop(pool);
        if !gone.is_empty() {
            tracing::debug!(sessions = gone.len(), "idle sessions are logged out");
            log_out(gone).await;
        }
    }
}
