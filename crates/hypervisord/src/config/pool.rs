//! How the sessions of each connection are kept.

use std::time::Duration;

use serde_json::{Value, json};

use super::duration;
use super::keys;
use super::read::{Reader, Values, boolean};

/// The session pool that each connection has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionPool {
    /// Sessions are kept for the next piece of work.
    pub enabled: bool,
    /// The most sessions one connection has.
    pub max_connections: u32,
    /// How long a session may wait for work.
    pub idle_timeout: Duration,
    /// How often an idle session is checked.
    pub health_check_interval: Duration,
    /// How long work waits for a session when all are in use.
    pub borrow_timeout: Duration,
}

impl SessionPool {
    pub(super) fn read(reader: &mut Reader<'_>, top: &Values) -> Self {
        let values = reader.below(top, "connection_pool", &keys::POOL);
        SessionPool {
            enabled: reader.value(&values, "enabled", boolean),
            max_connections: reader.number(&values, "max_connections"),
            idle_timeout: reader.value(&values, "idle_timeout", positive),
            health_check_interval: reader.value(&values, "health_check_interval", positive),
            borrow_timeout: reader.value(&values, "borrow_timeout", positive),
        }
    }

    /// What a provider's factory is given.
    pub(super) fn to_value(&self) -> Value {
        json!({
            "enabled": self.enabled,
            "max_connections": self.max_connections,
            "idle_timeout": duration::display(self.idle_timeout),
            "health_check_interval": duration::display(self.health_check_interval),
            "borrow_timeout": duration::display(self.borrow_timeout),
        })
    }
}

impl Default for SessionPool {
    fn default() -> Self {
        SessionPool {
            enabled: true,
            max_connections: 5,
            idle_timeout: Duration::from_secs(5 * 60),
            health_check_interval: Duration::from_secs(30),
            borrow_timeout: Duration::from_secs(30),
        }
    }
}

/// A time that is longer than zero.
pub(super) fn positive(text: &str) -> Result<Duration, String> {
    let time = duration::parse(text)?;
    if time.is_zero() {
        Err("must be longer than zero; write a time such as 30s".to_owned())
    } else {
        Ok(time)
    }
}
