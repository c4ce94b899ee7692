//! How sessions are kept.

use std::time::Duration;

use serde::Deserialize;

use super::duration;

/// The session pool of one connection.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct PoolConfig {
    /// Sessions are kept for the next piece of work. Else each piece of work logs in and out. Default: true.
    pub enabled: bool,
    /// The most sessions there may be, at least 1. Default: 5.
    pub max_connections: u32,
    /// How long a session may wait for work before it is logged out. Default: 5 min.
    #[serde(deserialize_with = "duration::deserialize")]
    pub idle_timeout: Duration,
    /// How often an idle session is checked. One that was heard of more recently is lent unchecked.
    /// Default: 30 s.
    #[serde(deserialize_with = "duration::deserialize")]
    pub health_check_interval: Duration,
    /// How long work waits for a session when all are lent. Default: 30 s.
    #[serde(deserialize_with = "duration::deserialize")]
    pub borrow_timeout: Duration,
}

impl Default for PoolConfig {
    fn default() -> Self {
        PoolConfig {
            enabled: true,
            max_connections: 5,
            idle_timeout: Duration::from_secs(5 * 60),
            health_check_interval: Duration::from_secs(30),
            borrow_timeout: Duration::from_secs(30),
        }
    }
}
