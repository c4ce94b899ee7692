//! Forgets ended jobs, with their logs and events, as the configuration says.

use std::sync::Arc;
use std::time::Duration;

use hypersdk_core::{Clock, Error, JobStore, Seq};
use hypersdk_store::Database;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::config::HistoryConfig;

/// How often to look.
const LOOK: Duration = Duration::from_secs(60);

/// Jobs forgotten by one transaction, so that others get their turn.
const AT_ONCE: usize = 200;

/// Forgets what `history` says now, until `stop` fires.
pub(crate) async fn run(
    database: Database,
    mut history: watch::Receiver<HistoryConfig>,
    stop: CancellationToken,
) {
    loop {
        let now = history.borrow_and_update().clone();
        if now.keep.is_none() && now.max_age.is_none() {
            // Everything is kept, until somebody says otherwise.
            tokio::select! {
                () = stop.cancelled() => return,
                changed = history.changed() => match changed {
                    Ok(()) => continue,
                    Err(_) => return,
                },
            }
        }
        match forget(&database, &database.jobs(), &database.clock(), &now, &stop).await {
            Ok(0) => {}
            Ok(jobs) => tracing::info!(jobs, "forgot ended jobs"),
            Err(error) => tracing::warn!(error = %error.chain(), "cannot forget ended jobs; will try again"),
        }
        tokio::select! {
            () = stop.cancelled() => return,
            _ = history.changed() => {}
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
