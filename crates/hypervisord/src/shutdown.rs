//! The ordered list of a stop.
//!
//! readiness says no → streams end, nothing more is accepted → schedules stop firing → the manager stops
//! claiming, running jobs get their grace and are put back as pending after it → webhook attempts end →
//! providers log out → the database closes.

use std::time::Duration;

use tokio::task::JoinHandle;

use crate::app::Parts;
use crate::readiness::Stage;

/// How long webhook attempts may go on; what is given up is made again after the next start.
const WEBHOOK_GRACE: Duration = Duration::from_secs(10);

/// Takes everything down.
pub(crate) async fn stop(parts: Parts, server: JoinHandle<()>) {
    let Parts { readiness, stopping, scheduler, manager, webhooks, providers, database, drain_grace, .. } =
        parts;
    tracing::info!(running = manager.running(), grace = ?drain_grace, "stopping");
    readiness.set(Stage::Stopping);
    stopping.cancel();
    scheduler.stop().await;
    let (served, drained) = tokio::join!(server, manager.drain(drain_grace));
    if let Err(error) = served {
        tracing::error!("the server ended badly: {error}");
    }
    tracing::info!(
        ended = drained.ended.len(),
        requeued = drained.requeued.len(),
        abandoned = drained.abandoned.len(),
        "jobs drained"
    );
    let told = webhooks.drain(drain_grace.min(WEBHOOK_GRACE)).await.total;
    tracing::info!(
        attempts = told.attempts,
        delivered = told.delivered,
        failed_attempts = told.failed_attempts,
        dead = told.dead,
        "webhook statistics"
    );
    for instance in providers.instances() {
        instance.provider.close().await;
        let pool = instance.provider.connections();
        tracing::info!(
            provider = %instance.name,
            max_connections = pool.max_connections,
            total_created = pool.total_created,
            total_borrowed = pool.total_borrowed,
            total_reused = pool.total_reused,
            reuse_ratio = format!("{:.2}", pool.reuse_ratio()),
            total_renewed = pool.total_renewed,
            total_timeouts = pool.total_timeouts,
            left_open = pool.total_connections,
            "session pool statistics"
        );
    }
    match manager.store().counts().await {
        Ok(counts) => tracing::info!(
            total = counts.total(),
            pending = counts.pending,
            completed = counts.completed,
            failed = counts.failed,
            cancelled = counts.cancelled,
            "job statistics"
        ),
        Err(error) => tracing::error!("count jobs: {}", error.chain()),
    }
    database.close().await;
    tracing::info!("stopped");
}
