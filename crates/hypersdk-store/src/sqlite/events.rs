//! Reading the log of events.

use async_trait::async_trait;
use hypersdk_core::{Event, EventLog, JobId, Result, Seq};
use tokio::sync::watch;

use super::SqliteStore;
use super::error::failed;
use crate::rows::RawEvent;

#[async_trait]
impl EventLog for SqliteStore {
    async fn read_after(&self, after: Seq, job: Option<&JobId>, limit: usize) -> Result<Vec<Event>> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows: Result<Vec<RawEvent>, sqlx::Error> = match job {
            None => {
                sqlx::query_as("SELECT * FROM events WHERE seq > $1 ORDER BY seq LIMIT $2")
                    .bind(after.0)
                    .bind(limit)
                    .fetch_all(&self.readers)
                    .await
            }
            Some(job) => {
                sqlx::query_as("SELECT * FROM events WHERE job = $1 AND seq > $2 ORDER BY seq LIMIT $3")
                    .bind(job.as_str())
                    .bind(after.0)
                    .bind(limit)
                    .fetch_all(&self.readers)
                    .await
            }
        };
        rows.map_err(|error| failed("read events", &error))?.into_iter().map(Event::try_from).collect()
    }

    fn latest(&self) -> watch::Receiver<Seq> {
        self.latest.subscribe()
    }
}

impl SqliteStore {
    /// The lowest saved position, that of the webhooks included.
    pub(crate) async fn lowest_cursor(&self) -> Result<Option<Seq>> {
        let lowest: Option<i64> = sqlx::query_scalar(
            "SELECT min(seq) FROM (
                 SELECT seq FROM event_cursors
                 UNION ALL SELECT position FROM webhook_cursor WHERE position IS NOT NULL
             ) AS cursors",
        )
        .fetch_one(&self.readers)
        .await
        .map_err(|error| failed("read positions", &error))?;
        Ok(lowest.map(Seq))
    }
}
