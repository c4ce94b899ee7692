//! Who did what: kept beside the jobs, for whoever has to explain a night.

use std::fmt;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::error::Result;

/// Something somebody asked for that changes something, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// Its position: rises, and is never used twice. 0 until the store gives one.
    pub seq: i64,
    /// When it was answered.
    pub time: DateTime<Utc>,
    /// Who: `token:ci`, `user:ada`, `anonymous`.
    pub actor: String,
    /// With which role; empty if with none.
    pub role: String,
    /// What was asked for, as method and route: `POST /jobs/cancel`.
    pub action: String,
    /// The path it was asked at, which names its object.
    pub target: String,
    /// The HTTP status of the answer.
    pub status: u16,
    /// The address it came from.
    pub client: String,
    /// The request's id, which the daemon's log has too.
    pub request_id: String,
}

/// Keeps entries. The oldest may go when there are very many.
#[async_trait]
pub trait AuditLog: fmt::Debug + Send + Sync + 'static {
    /// Adds an entry; its `seq` is ignored.
    async fn record(&self, entry: AuditEntry) -> Result<()>;

    /// Up to `limit` entries before position `before` (all if `None`), newest first.
    async fn entries(&self, before: Option<i64>, limit: usize) -> Result<Vec<AuditEntry>>;
}
