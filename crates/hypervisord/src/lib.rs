#![doc = include_str!("../README.md")]

mod config;
mod telemetry;

pub use config::{Config, ConfigError, Environment, ListenAddr, Mistake, Origin, ProviderConfig, Sources};
pub use telemetry::{LogConfig, LogFormat, Telemetry};
