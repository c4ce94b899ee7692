#![doc = include_str!("../README.md")]

mod fetch;
mod meter;
mod output;
mod plan;
mod publish;
mod receipt;
mod runner;
mod transfer;
mod verify;

pub use receipt::Receipt;
pub use runner::{ExportConfig, ExportRunner, export};
