//! How the inventory of each connection is kept in memory.

use std::time::Duration;

use serde_json::{Value, json};

use super::read::{Reader, Values, boolean};
use super::{duration, keys, pool};

/// The kept inventory that each connection has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InventoryCache {
    /// It is kept from when somebody asks first.
    pub enabled: bool,
    /// How long it is kept when nobody asks.
    pub idle_timeout: Duration,
}

impl InventoryCache {
    pub(super) fn read(reader: &mut Reader<'_>, top: &Values) -> Self {
        let values = reader.below(top, "inventory_cache", &keys::INVENTORY);
        InventoryCache {
            enabled: reader.value(&values, "enabled", boolean),
            idle_timeout: reader.value(&values, "idle_timeout", pool::positive),
        }
    }

    /// What a provider's factory is given.
    pub(super) fn to_value(&self) -> Value {
        json!({ "enabled": self.enabled, "idle_timeout": duration::display(self.idle_timeout) })
    }
}

impl Default for InventoryCache {
    fn default() -> Self {
        InventoryCache { enabled: true, idle_timeout: Duration::from_secs(10 * 60) }
    }
}
