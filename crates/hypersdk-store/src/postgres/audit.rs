//! The audit log.

use async_trait::async_trait;
use hypersdk_core::{AuditEntry, AuditLog, Result};

use super::PostgresStore;
use super::error::failed;
use crate::access::{KEPT, RawEntry, SLACK};

#[async_trait]
impl AuditLog for PostgresStore {
    async fn record(&self, entry: AuditEntry) -> Result<()> {
        self.write("record audit entry", move |transaction| {
            Box::pin(async move {
                let seq: i64 = sqlx::query_scalar(
                    "INSERT INTO audit (time, actor, role, action, target, status, client, request_id)
                     VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING seq",
                )
                .bind(entry.time.timestamp_micros())
                .bind(entry.actor)
                .bind(entry.role)
                .bind(entry.action)
                .bind(entry.target)
                .bind(i64::from(entry.status))
                .bind(entry.client)
                .bind(entry.request_id)
                .fetch_one(&mut *transaction.connection())
                .await
                .map_err(|error| failed("insert audit entry", &error))?;
                if seq % SLACK == 0 {
                    sqlx::query("DELETE FROM audit WHERE seq <= $1")
                        .bind(seq - KEPT)
                        .execute(transaction.connection())
                        .await
                        .map_err(|error| failed("prune audit log", &error))?;
                }
                Ok(())
            })
        })
        .await
    }

    async fn entries(&self, before: Option<i64>, limit: usize) -> Result<Vec<AuditEntry>> {
        let query = sqlx::query_as("SELECT * FROM audit WHERE seq < $1 ORDER BY seq DESC LIMIT $2")
            .bind(before.unwrap_or(i64::MAX))
            .bind(i64::try_from(limit).unwrap_or(i64::MAX));
        let rows: Vec<RawEntry> = self.read("read audit log", query.fetch_all(&self.pool)).await?;
        rows.into_iter().map(AuditEntry::try_from).collect()
    }
}
