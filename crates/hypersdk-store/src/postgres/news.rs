//! Following what other daemons append to the log.

use std::time::Duration;

use chrono::{DateTime, Utc};
use hypersdk_core::{Result, Seq};
use sqlx::PgPool;
use sqlx::postgres::PgListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::error::failed;
use super::time::DatabaseTime;
use crate::rows;

/// The channel on which commits announce the newest position.
pub(super) const CHANNEL: &str = "hypersdk_events";

/// How often to ask for the newest position and the time.
const ASK: Duration = Duration::from_secs(2);

/// How long to wait before listening again after that failed.
const AGAIN: Duration = Duration::from_secs(1);

/// What the database says of itself.
pub(super) struct Seen {
    pub(super) newest: Seq,
    pub(super) time: DateTime<Utc>,
}

/// Asks for the newest position and the time.
pub(super) async fn look(pool: &PgPool) -> Result<Seen> {
    let (newest, micros): (Option<i64>, i64) = sqlx::query_as(
        "SELECT (SELECT max(seq) FROM events), (extract(epoch FROM clock_timestamp()) * 1000000)::bigint",
    )
    .fetch_one(pool)
    .await
    .map_err(|error| failed("ask for news", &error))?;
    Ok(Seen { newest: newest.map_or(Seq::START, Seq), time: rows::time("clock_timestamp", micros)? })
}

/// Says that the log has grown to `newest`, unless that is known.
pub(super) fn announce(latest: &watch::Sender<Seq>, newest: Seq) {
    latest.send_if_modified(|latest| {
        let grown = newest > *latest;
        *latest = newest.max(*latest);
        grown
    });
}

/// Passes on what is announced by whoever commits, until `stop` fires.
pub(super) async fn listen(pool: PgPool, latest: watch::Sender<Seq>, stop: CancellationToken) {
    while !stop.is_cancelled() {
        let lost = tokio::select! {
            () = stop.cancelled() => return,
            lost = hear(&pool, &latest) => lost,
        };
        tracing::debug!(error = %lost, "no notifications from the database for now");
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(AGAIN.mul_f64(0.75 + fastrand::f64() / 2.0)) => {}
        }
    }
}

/// Listens until that fails.
async fn hear(pool: &PgPool, latest: &watch::Sender<Seq>) -> sqlx::Error {
    let listener = async {
        let mut listener = PgListener::connect_with(pool).await?;
        listener.listen(CHANNEL).await?;
        Ok(listener)
    };
    let mut listener: PgListener = match listener.await {
        Ok(listener) => listener,
        Err(error) => return error,
    };
    loop {
        match listener.try_recv().await {
            Ok(Some(notification)) => {
                if let Ok(newest) = notification.payload().parse() {
                    announce(latest, Seq(newest));
                }
            }
            // A connection that was lost and found: asking makes up for what was missed.
            Ok(None) => {}
            Err(error) => return error,
        }
    }
}

/// Asks every few seconds, until `stop` fires.
pub(super) async fn ask(
    pool: PgPool,
    latest: watch::Sender<Seq>,
    time: DatabaseTime,
    stop: CancellationToken,
) {
    let mut away = false;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(ASK) => {}
        }
        let seen = tokio::select! {
            () = stop.cancelled() => return,
            seen = tokio::time::timeout(super::PATIENCE, look(&pool)) => {
                seen.unwrap_or_else(|_| Err(super::too_late("ask for news")))
            }
        };
        match seen {
            Ok(seen) => {
                if std::mem::take(&mut away) {
                    tracing::info!("the database answers again");
                }
                time.heard(seen.time);
                announce(&latest, seen.newest);
            }
            Err(error) => {
                if !std::mem::replace(&mut away, true) {
                    tracing::warn!(error = %error.chain(), "the database does not answer");
                }
            }
        }
    }
}
