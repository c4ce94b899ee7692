//! Reading the log of events.

use async_trait::async_trait;
use hypersdk_core::{Event, EventLog, JobId, Result, Seq};
use tokio::sync::watch;

use super::PostgresStore;
use crate::rows::RawEvent;

#[async_trait]
impl EventLog for PostgresStore {
    async fn read_after(&self, after: Seq, job: Option<&JobId>, limit: usize) -> Result<Vec<Event>> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let query = match job {
            None => sqlx::query_as("SELECT * FROM events WHERE seq > $1 ORDER BY seq LIMIT $2")
                .bind(after.0)
                .bind(limit),
            Some(job) => {
                sqlx::query_as("SELECT * FROM events WHERE seq > $1 AND job = $3 ORDER BY seq LIMIT $2")
                    .bind(after.0)
                    .bind(limit)
                    .bind(job.as_str())
            }
        };
        let rows: Vec<RawEvent> = self.read("read events", query.fetch_all(&self.pool)).await?;
        rows.into_iter().map(Event::try_from).collect()
    }

    fn latest(&self) -> watch::Receiver<Seq> {
        self.latest.subscribe()
    }
}

impl PostgresStore {
    /// The lowest saved position, that of the webhooks included.
    pub(crate) async fn lowest_cursor(&self) -> Result<Option<Seq>> {
        let lowest = sqlx::query_scalar(
            "SELECT min(seq) FROM (
                 SELECT seq FROM event_cursors
                 UNION ALL SELECT position FROM webhook_cursor WHERE position IS NOT NULL
             ) AS cursors",
        );
        let lowest: Option<i64> = self.read("read positions", lowest.fetch_one(&self.pool)).await?;
        Ok(lowest.map(Seq))
    }
}
