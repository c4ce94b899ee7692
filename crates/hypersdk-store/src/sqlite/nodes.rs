//! The processes that share the database: on SQLite one, and the names it had.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use hypersdk_core::{Node, NodeReport, NodeStore, Result};

use super::SqliteStore;
use super::error::failed;
use crate::error::no_node;
use crate::rows::{RawNode, to_json};

#[async_trait]
impl NodeStore for SqliteStore {
    async fn report(&self, report: &NodeReport) -> Result<bool> {
        let (now, report) = (self.clock.now().timestamp_micros(), report.clone());
        self.write("report node", move |transaction| {
            Box::pin(async move {
                sqlx::query_scalar(
                    "INSERT INTO nodes (name, report, heard_at) VALUES ($1, $2, $3)
                     ON CONFLICT (name) DO UPDATE SET report = excluded.report, heard_at = excluded.heard_at
                     RETURNING paused",
                )
                .bind(&report.name)
                .bind(to_json("report", &report)?)
                .bind(now)
                .fetch_one(transaction.connection())
                .await
                .map_err(|error| failed("write node", &error))
            })
        })
        .await
    }

    async fn nodes(&self) -> Result<(Vec<Node>, DateTime<Utc>)> {
        let rows: Vec<RawNode> = sqlx::query_as("SELECT report, heard_at, paused FROM nodes ORDER BY name")
            .fetch_all(&self.readers)
            .await
            .map_err(|error| failed("list nodes", &error))?;
        let nodes = rows.into_iter().map(Node::try_from).collect::<Result<_>>()?;
        Ok((nodes, self.clock.now()))
    }

    async fn set_paused(&self, name: &str, paused: bool) -> Result<()> {
        let name = name.to_owned();
        self.write("pause node", move |transaction| {
            Box::pin(async move {
                let done = sqlx::query("UPDATE nodes SET paused = $2 WHERE name = $1")
                    .bind(&name)
                    .bind(paused)
                    .execute(transaction.connection())
                    .await
                    .map_err(|error| failed("write node", &error))?;
                if done.rows_affected() == 0 { Err(no_node(&name)) } else { Ok(()) }
            })
        })
        .await
    }
}
