#![doc = include_str!("../README.md")]

mod access;
mod database;
mod error;
mod inspection;
mod legacy;
mod listing;
mod package_rows;
mod postgres;
mod prune;
mod rows;
mod schedule_rows;
mod sqlite;
mod turns;
mod webhook_rows;

pub use database::{Database, DatabaseLocation};
pub use inspection::{Inspection, JobLine};
pub use legacy::LegacySchedule;
pub use postgres::{PostgresOptions, PostgresStore};
pub use sqlite::SqliteStore;
