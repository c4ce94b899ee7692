#![doc = include_str!("../README.md")]

mod beside;
mod blocking;
mod exporter;
mod fetch;
mod meter;
mod output;
mod plan;
mod pool;
mod publish;
mod receipt;
mod resume;
mod runner;
mod shape;
mod sign;
mod transfer;
mod verify;
mod wrap;

pub use exporter::{ExportConfig, Exporter, export};
pub use receipt::Receipt;
pub use runner::ExportRunner;
