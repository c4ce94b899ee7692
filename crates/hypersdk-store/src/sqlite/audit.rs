//! The audit log.

use async_trait::async_trait;
use hypersdk_core::{AuditEntry, AuditLog, Result};

use super::SqliteStore;
use super::error::failed;
use crate::access::{KEPT, RawEntry, SLACK};

#[async_trait]
impl AuditLog for SqliteStore {
    async fn record(&self, entry: AuditEntry) -> Result<()> {
        self.write("record audit entry", move |transaction| {
            Box::pin(async move {
                let done = sqlx::query(
                    "INSERT INTO audit (time, actor, role, action, target, status, client, request_id)
                     VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
                )
                .bind(entry.time.timestamp_micros())
                .bind(entry.actor)
                .bind(entry.role)
                .bind(entry.action)
                .bind(entry.target)
                .bind(i64::from(entry.status))
                .bind(entry.client)
                .bind(entry.request_id)
                .execute(&mut *transaction.connection())
                .await
                .map_err(|error| failed("insert audit entry", &error))?;
                let seq = done.last_insert_rowid();
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
        let rows: Vec<RawEntry> =
            sqlx::query_as("SELECT * FROM audit WHERE seq < $1 ORDER BY seq DESC LIMIT $2")
                .bind(before.unwrap_or(i64::MAX))
                .bind(i64::try_from(limit).unwrap_or(i64::MAX))
                .fetch_all(&self.readers)
                .await
                .map_err(|error| failed("read audit log", &error))?;
        rows.into_iter().map(AuditEntry::try_from).collect()
    }
}
