//! Requests that a client may repeat without asking twice: the answer to the first is kept under its key.

use std::fmt;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::error::Result;

/// The answer that was given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptAnswer {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: String,
}

/// What is known of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Replay {
    /// Nothing: the request is to be carried out, and its answer kept.
    New,
    /// The same request was begun, and no answer was kept: its process died, or is at it.
    Begun,
    /// The same request was answered.
    Answered(KeptAnswer),
    /// Another request has this key.
    Other,
}

/// Keeps answers under keys for a day.
#[async_trait]
pub trait ReplayStore: fmt::Debug + Send + Sync + 'static {
    /// Looks a key up, and notes it with the request's `fingerprint` if it is new.
    async fn begin(&self, key: &str, fingerprint: &str) -> Result<Replay>;

    /// Keeps the answer to the request of a key.
    async fn finish(&self, key: &str, answer: &KeptAnswer) -> Result<()>;

    /// Forgets a key whose request came to nothing.
    async fn forget(&self, key: &str) -> Result<()>;
}
