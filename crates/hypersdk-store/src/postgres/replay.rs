//! Answers kept for requests that are repeated.

use async_trait::async_trait;
use hypersdk_core::{KeptAnswer, Replay, ReplayStore, Result};

use super::PostgresStore;
use super::error::failed;
use crate::access::{DAY, RawReplay, replay};

#[async_trait]
impl ReplayStore for PostgresStore {
    async fn begin(&self, key: &str, fingerprint: &str) -> Result<Replay> {
        let now = self.clock.now().timestamp_micros();
        let (key, fingerprint) = (key.to_owned(), fingerprint.to_owned());
        self.write("look up idempotency key", move |transaction| {
            Box::pin(async move {
                sqlx::query("DELETE FROM replays WHERE begun_at < $1")
                    .bind(now - DAY)
                    .execute(&mut *transaction.connection())
                    .await
                    .map_err(|error| failed("forget old keys", &error))?;
                let noted = sqlx::query(
                    "INSERT INTO replays (key, fingerprint, begun_at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
                )
                .bind(&key)
                .bind(&fingerprint)
                .bind(now)
                .execute(&mut *transaction.connection())
                .await
                .map_err(|error| failed("note key", &error))?;
                if noted.rows_affected() == 1 {
                    return Ok(Replay::New);
                }
                let known: RawReplay =
                    sqlx::query_as("SELECT fingerprint, status, body FROM replays WHERE key = $1")
                        .bind(&key)
                        .fetch_one(transaction.connection())
                        .await
                        .map_err(|error| failed("read key", &error))?;
                replay(known, &fingerprint)
            })
        })
        .await
    }

    async fn finish(&self, key: &str, answer: &KeptAnswer) -> Result<()> {
        let (key, answer) = (key.to_owned(), answer.clone());
        self.write("keep answer", move |transaction| {
            Box::pin(async move {
                sqlx::query("UPDATE replays SET status = $2, body = $3 WHERE key = $1")
                    .bind(key)
                    .bind(i64::from(answer.status))
                    .bind(answer.body)
                    .execute(transaction.connection())
                    .await
                    .map_err(|error| failed("keep answer", &error))?;
                Ok(())
            })
        })
        .await
    }

    async fn forget(&self, key: &str) -> Result<()> {
        let key = key.to_owned();
        self.write("forget key", move |transaction| {
            Box::pin(async move {
                sqlx::query("DELETE FROM replays WHERE key = $1 AND status IS NULL")
                    .bind(key)
                    .execute(transaction.connection())
                    .await
                    .map_err(|error| failed("forget key", &error))?;
                Ok(())
            })
        })
        .await
    }
}
