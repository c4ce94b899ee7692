//! What a connection needs to know, as a plain struct.

mod duration;
mod endpoint;
mod inventory;
mod pool;

use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;
use serde::Deserialize;

pub(crate) use endpoint::Endpoint;
pub use inventory::InventoryConfig;
pub use pool::PoolConfig;

/// A connection to one vCenter or stand-alone ESXi host.
///
/// Durations are seconds, or texts such as `30s`, `5m`, `1h30m`. Unknown keys are errors.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct VsphereConfig {
    /// The server: `vcenter.example.org`, `https://10.0.0.1:8443` or `https://host/sdk`. Without a scheme it
    /// is `https`, without a path `/sdk`.
    pub url: String,
    /// The account, e.g. `export@vsphere.local`.
    pub username: String,
    /// Its password; never printed.
    pub password: SecretString,
    /// Accepts any certificate. Default: false.
    #[serde(default)]
    pub insecure: bool,
    /// Accepts exactly the certificate with this SHA-1 or SHA-256 thumbprint, whoever signed it.
    #[serde(default)]
    pub thumbprint: Option<String>,
    /// A PEM file of further authorities, or of the server's own certificate.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// The file of certificates that a person has confirmed ([`KnownHosts`](crate::KnownHosts)). Default: none.
    #[serde(default)]
    pub known_hosts: Option<PathBuf>,
    /// An HTTP proxy for everything, also the hosts, e.g. `http://proxy:3128` or `http://user:password@proxy:3128`.
    /// Default: none; the environment is not asked.
    #[serde(default)]
    pub proxy: Option<SecretString>,
    /// Longest time for a connection to come about. Default: 10 s.
    #[serde(default = "ten_seconds", deserialize_with = "duration::deserialize")]
    pub connect_timeout: Duration,
    /// Longest time for one API call. Default: 60 s.
    #[serde(default = "one_minute", deserialize_with = "duration::deserialize")]
    pub call_timeout: Duration,
    /// Longest time for a task at the server (a snapshot, a power change). Default: 30 min.
    #[serde(default = "half_an_hour", deserialize_with = "duration::deserialize")]
    pub task_timeout: Duration,
    /// Longest time for an export lease to become ready. Default: 5 min.
    #[serde(default = "five_minutes", deserialize_with = "duration::deserialize")]
    pub lease_ready_timeout: Duration,
    /// Longest time without a byte on a disk stream. There is no limit on the whole. Default: 60 s.
    #[serde(default = "one_minute", deserialize_with = "duration::deserialize")]
    pub stream_idle_timeout: Duration,
    /// How often an idle session is kept alive; servers end it after 30 min by default. Default: 10 min.
    #[serde(default = "ten_minutes", deserialize_with = "duration::deserialize")]
    pub keepalive_interval: Duration,
    /// How long refused credentials are not tried again, so that no account gets locked. Default: 15 min.
    #[serde(default = "quarter_of_an_hour", deserialize_with = "duration::deserialize")]
    pub login_cooldown: Duration,
    /// Objects asked for in one page of an inventory listing. Default: 1000.
    #[serde(default = "one_thousand")]
    pub page_size: u32,
    /// How sessions are kept.
    #[serde(default)]
    pub connection_pool: PoolConfig,
    /// How the inventory is kept in memory.
    #[serde(default)]
    pub inventory_cache: InventoryConfig,
}

impl VsphereConfig {
    /// A connection with every option at its default.
    pub fn new(
        url: impl Into<String>,
        username: impl Into<String>,
        password: impl Into<SecretString>,
    ) -> Self {
        VsphereConfig {
            url: url.into(),
            username: username.into(),
            password: password.into(),
            insecure: false,
            thumbprint: None,
            ca_file: None,
            known_hosts: None,
            proxy: None,
            connect_timeout: ten_seconds(),
            call_timeout: one_minute(),
            task_timeout: half_an_hour(),
            lease_ready_timeout: five_minutes(),
            stream_idle_timeout: one_minute(),
            keepalive_interval: ten_minutes(),
            login_cooldown: quarter_of_an_hour(),
            page_size: one_thousand(),
            connection_pool: PoolConfig::default(),
            inventory_cache: InventoryConfig::default(),
        }
    }
}

fn ten_seconds() -> Duration {
    Duration::from_secs(10)
}

fn one_minute() -> Duration {
    Duration::from_secs(60)
}

fn five_minutes() -> Duration {
    Duration::from_secs(5 * 60)
}

fn ten_minutes() -> Duration {
    Duration::from_secs(10 * 60)
}

fn quarter_of_an_hour() -> Duration {
    Duration::from_secs(15 * 60)
}

fn half_an_hour() -> Duration {
    Duration::from_secs(30 * 60)
}

fn one_thousand() -> u32 {
    1000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_is_never_printed() {
        let config = VsphereConfig::new("vc", "user", "hunter2");
        assert!(!format!("{config:?}").contains("hunter2"));
    }

    #[test]
    fn an_unknown_key_is_named() {
        let json = serde_json::json!({"url": "vc", "username": "u", "password": "p", "thumprint": "x"});
        let error = serde_json::from_value::<VsphereConfig>(json).unwrap_err();
        assert!(error.to_string().contains("thumprint"), "{error}");
    }

    #[test]
    fn missing_keys_get_the_defaults_of_new() {
        let json = serde_json::json!({"url": "vc", "username": "u", "password": "p"});
        let config: VsphereConfig = serde_json::from_value(json).unwrap();
        assert_eq!(format!("{config:?}"), format!("{:?}", VsphereConfig::new("vc", "u", "p")));
    }

    #[test]
    fn durations_are_numbers_or_texts() {
        let json = serde_json::json!({
            "url": "vc", "username": "u", "password": "p", "call_timeout": 5, "task_timeout": "1h30m"
        });
        let config: VsphereConfig = serde_json::from_value(json).unwrap();
        assert_eq!(config.call_timeout, Duration::from_secs(5));
        assert_eq!(config.task_timeout, Duration::from_secs(5400));
    }
}
