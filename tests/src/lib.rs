//! The test kit: the real daemon as a process of its own, over a simulator in this one.
//!
//! End-to-end tests live beside the binary they drive, in `crates/hypervisord/tests`, since only there Cargo
//! names its path.

mod client;
mod daemon;
mod files;
mod postgres;
mod vcsim;

pub use client::Client;
pub use daemon::{Daemon, DaemonConfig};
pub use files::{command, names};
pub use postgres::Postgres;
pub use vcsim::Vcsim;
