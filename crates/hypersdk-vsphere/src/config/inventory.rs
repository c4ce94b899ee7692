//! Whether and how long an inventory is kept in memory.

use std::time::Duration;

use serde::Deserialize;

use super::duration;

/// The kept inventory of one connection.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct InventoryConfig {
    /// The inventory is kept in memory and told of every change, from when somebody asks first. Default: true.
    pub enabled: bool,
    /// How long it is kept when nobody asks. Default: 10 min.
    #[serde(deserialize_with = "duration::deserialize")]
    pub idle_timeout: Duration,
}

impl Default for InventoryConfig {
    fn default() -> Self {
        InventoryConfig { enabled: true, idle_timeout: Duration::from_secs(10 * 60) }
    }
}
