#![doc = include_str!("../README.md")]

mod api;
mod app;
mod auth;
mod bundle;
mod cli;
mod commands;
mod config;
mod demo;
mod doctor;
mod export_root;
mod history;
mod legacy;
mod metrics;
mod nodes;
mod orphans;
mod outbound;
mod pages;
mod readiness;
mod reload;
mod retention;
mod scheduling;
mod server;
mod shutdown;
mod signals;
mod submission;
mod systemd;
mod telemetry;
mod token_command;
mod trust;
mod verification;

pub use app::App;
pub use auth::Role;
pub use cli::{Args, Command, TokenCommand, VerifyLevel};
pub use commands::run;
pub use config::{
    Config, ConfigError, Environment, HistoryConfig, InventoryCache, ListenAddr, Mistake, Origin,
    ProviderConfig, SessionPool, Sources, TimeLimits, WebhookConfig,
};
pub use demo::Demo;
pub use reload::Reload;
pub use signals::Signals;
pub use telemetry::{LogConfig, LogFormat, Telemetry, TraceConfig, Traces};
