//! The processes that share a store, and whether they are paused.

use std::collections::BTreeSet;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::Owner;
use crate::error::Result;
use crate::id::ProviderName;

/// What a process says of itself with each heartbeat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeReport {
    /// Its name, the same after a restart.
    pub name: String,
    /// This start of it.
    pub owner: Owner,
    /// The version of the program.
    pub version: String,
    /// Where its API listens.
    pub address: String,
    /// The providers it can reach.
    pub providers: BTreeSet<ProviderName>,
    /// The labels it has.
    pub labels: BTreeSet<String>,
    /// The jobs that it runs at the moment.
    pub running: u64,
    /// How many it may run at one time.
    pub max_concurrent: u64,
    /// When this process started.
    pub started_at: DateTime<Utc>,
}

/// A process that shares the store, or did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// What it last said.
    pub report: NodeReport,
    /// When it said so.
    pub heard_at: DateTime<Utc>,
    /// It claims nothing until it is resumed.
    pub paused: bool,
}

/// Keeps track of the processes that share a store.
#[async_trait]
pub trait NodeStore: std::fmt::Debug + Send + Sync + 'static {
    /// Notes a heartbeat, and returns whether the process is paused. That stays with its name through restarts.
    async fn report(&self, report: &NodeReport) -> Result<bool>;

    /// Every process there ever was, by name, and the time at which that is so.
    async fn nodes(&self) -> Result<(Vec<Node>, DateTime<Utc>)>;

    /// Pauses a process or lets it go on.
    ///
    /// # Errors
    /// `NotFound` if none of that name was ever heard of.
    async fn set_paused(&self, name: &str, paused: bool) -> Result<()>;
}
