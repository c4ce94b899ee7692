//! Forgets ended jobs, with their logs and events, as the configuration says.

use std::sync::Arc;
use std::time::Duration;

use hypersdk_core::{Clock, Error, JobStore, Seq};
use hypersdk_store::Database;
use tokio_util::sync::CancellationToken;

use crate::config::HistoryConfig;

/// How often to look.
const LOOK: Duration = Duration::from_secs(60);

/// Jobs forgotten by one transaction, so that others get their turn.
const AT_ONCE: usize = 200;

/// Forgets until `stop` fires; returns at once if everything is kept.
pub(crate) async fn run(database: Database, history: HistoryConfig, stop: CancellationToken) {
    if history.keep.is_none() && history.max_age.is_none() {
        return;
    }
    loop {
        match forget(&database, &database.jobs(), &database.clock(), &history, &stop).await {
            Ok(0) => {}
            Ok(jobs) => tracing::info!(jobs, "forgot ended jobs"),
            Err(error) => tracing::warn!(error = %error.chain(), "cannot forget ended jobs; will try again"),
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}

async fn forget(
    database: &Database,
    jobs: &Arc<dyn JobStore>,
    clock: &Clock,
    history: &HistoryConfig,
    stop: &CancellationToken,
) -> Result<usize, Error> {
    let before = history.max_age.map(|age| clock.now() - age);
    if let Some(before) = before {
        database.packages().forget_packages(before).await?;
    }
    let mut forgotten = 0;
    while !stop.is_cancelled() {
        let seen = database.lowest_cursor().await?.unwrap_or(Seq(i64::MAX));
        let gone = jobs.prune(history.keep, before, seen, AT_ONCE).await?;
        forgotten += gone;
        if gone < AT_ONCE {
            break;
        }
    }
    Ok(forgotten)
}
